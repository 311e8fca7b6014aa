"""How long after it is sent a design of 10 MB can be seen: over HTTP, a real server, SQLite.

Beside it stands what no server can go below: hashing and writing the same bytes, synced.
    .venv/bin/python -m bench.designs_publish [--runs 5] [--json]
"""

import argparse
import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np

from bench import at_least_one, computed_s
from tests.conftest import free_port

ROOT = Path(__file__).resolve().parent.parent
TARGET_S = 2.0


@dataclass(frozen=True)
class Measured:
    """Seconds, each the list of all runs. `draft_s` is publishing alone, after the file was put;
    `computed_s` what the server and the child that looks at the file computed for an upload.
    """

    megabytes: float
    triangles: int
    upload_s: tuple[float, ...]
    computed_s: tuple[float, ...]
    draft_put_s: tuple[float, ...]
    draft_s: tuple[float, ...]
    limit_s: tuple[float, ...]

    @property
    def good(self) -> bool:
        return statistics.median(self.upload_s) <= TARGET_S

    def table(self) -> str:
        rows = {
            "publish → visible, by upload": self.upload_s,
            "  of which server and child computed": self.computed_s,
            "a file put into a draft, looked at": self.draft_put_s,
            "publish → visible, from that draft": self.draft_s,
            "limit: hash and write the same, synced": self.limit_s,
        }
        lines = [f"{self.megabytes:.1f} MB, {self.triangles} triangles; target {TARGET_S:.0f} s"]
        for name, seconds in rows.items():
            spread = f"{min(seconds):.2f}–{max(seconds):.2f}"
            lines.append(f"  {name:40s} {statistics.median(seconds):6.2f} s   ({spread})")
        lines.append(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        return "\n".join(lines)


def solid(megabytes: float, bump: float = 0.0) -> bytes:
    """A ball with dents as binary STL of about that size; another `bump`, another content."""
    side = max(8, round((megabytes * 1e6 / 100) ** 0.5))
    down, around = np.meshgrid(
        np.linspace(1e-3, np.pi - 1e-3, side + 1), np.arange(side) * 2 * np.pi / side, indexing="ij"
    )
    radius = 30 + np.sin(9 * down) * np.cos(7 * around) + bump
    at = radius[..., None] * np.stack(
        [np.sin(down) * np.cos(around), np.sin(down) * np.sin(around), np.cos(down)], axis=-1
    )
    at[0], at[-1] = at[0].mean(axis=0), at[-1].mean(axis=0)  # closed at the poles
    a, b = at[:-1], at[1:]
    c, d = np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)
    first, second = np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)
    faces = np.concatenate([first[:-1].reshape(-1, 3, 3), second[1:].reshape(-1, 3, 3)])
    rows = np.zeros(len(faces), dtype=[("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
    rows["v"] = faces
    return b"\0" * 80 + len(faces).to_bytes(4, "little") + rows.tobytes()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[httpx.Client, int]]:
    """`cosmolocal serve` on an empty folder: its pid, and a client with the operator's token."""
    port, data = free_port(), folder / "served"
    command = [sys.executable, "-m", "orchestrator.cli", "serve", "--data-dir", str(data)]
    command += ["--port", str(port), "--mqtt-port", str(free_port())]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
                _await(client, process)
                token = (data / "token").read_text().strip()
                client.headers["Authorization"] = f"Bearer {token}"
                yield client, process.pid
        finally:
            process.terminate()
            process.wait(20)


def _await(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx.TransportError):
            if client.get("/healthz").is_success:
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("the server did not come up")


def _timed(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def by_upload(client: httpx.Client, title: str, content: bytes) -> None:
    """Publish, and see the page and the picture."""
    said = {"title": title, "licence": "CERN-OHL-W-2.0", "licensor": "Us"}
    files = [("files", ("ball.stl", content, "application/octet-stream"))]
    client.post("/api/designs", data=said, files=files).raise_for_status()
    see(client, title)


def see(client: httpx.Client, slug: str) -> None:
    page = client.get(f"/designs/{slug}").raise_for_status()
    release = client.get(f"/api/designs/{slug}").raise_for_status().json()["sha256"]
    assert release in page.text
    client.get(f"/releases/{release}/pictures/ball/thumbnail").raise_for_status()


def into_draft(client: httpx.Client, title: str, content: bytes) -> tuple[str, dict[str, str]]:
    begun = client.post("/api/drafts").raise_for_status().json()
    key = {"X-Api-Key": begun["key"]}
    door = f"/api/drafts/{begun['id']}"
    said = {"title": title, "licence": "CERN-OHL-W-2.0", "licensor": "Us"}
    client.patch(f"{door}/answers", json=said, headers=key).raise_for_status()
    client.put(f"{door}/files/ball.stl", content=content, headers=key).raise_for_status()
    return door, key


def from_draft(client: httpx.Client, title: str, door: str, key: dict[str, str]) -> None:
    client.post(f"{door}/publish", json={}, headers=key).raise_for_status()
    see(client, title)


def to_disk(folder: Path, content: bytes) -> None:
    with (folder / "limit").open("wb") as out:
        hashlib.sha256(content).hexdigest()
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def measure(runs: int = 5, megabytes: float = 10.0) -> Measured:
    upload: list[float] = []
    computed: list[float] = []
    put: list[float] = []
    draft: list[float] = []
    limit: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-publish-") as name,
        served(Path(name)) as (client, pid),
    ):
        for run in range(runs):
            contents = [solid(megabytes, (2 * run + n) / 100) for n in range(2)]
            limit.append(_timed(lambda: to_disk(Path(name), contents[0])))  # noqa: B023
            before = computed_s(pid)
            upload.append(_timed(lambda: by_upload(client, f"up-{run}", contents[0])))  # noqa: B023
            computed.append(computed_s(pid) - before)
            begun: list[tuple[str, dict[str, str]]] = []
            title = f"drafted-{run}"
            put.append(
                _timed(lambda: begun.append(into_draft(client, title, contents[1])))  # noqa: B023
            )
            draft.append(_timed(lambda: from_draft(client, title, *begun[0])))  # noqa: B023
    size = len(contents[0])
    return Measured(
        size / 1e6,
        (size - 84) // 50,
        tuple(upload),
        tuple(computed),
        tuple(put),
        tuple(draft),
        tuple(limit),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=at_least_one, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    measured = measure(args.runs)
    print(
        json.dumps({**asdict(measured), "good": measured.good}) if args.json else measured.table()
    )
    return 0 if measured.good else 1


if __name__ == "__main__":
    sys.exit(main())
