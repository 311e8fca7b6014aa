"""`cosmolocal serve` as a process: it starts, is killed, starts again and ends in order."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port


class Served:
    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.port, self.mqtt_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def command(self, *more: str) -> list[str]:
        return [
            sys.executable, "-m", "orchestrator.cli", "serve", "--data-dir", str(self.data),
            "--port", str(self.port), "--mqtt-port", str(self.mqtt_port), "--json", *more,
        ]  # fmt: skip

    def start(self) -> None:
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, text=True)
        for _ in range(900):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            assert self.process.poll() is None, "serve ended"
            time.sleep(0.1)
        pytest.fail("serve did not become ready")

    def end(self, how: signal.Signals) -> tuple[int, str]:
        assert self.process is not None
        self.process.send_signal(how)
        said, _ = self.process.communicate(timeout=30)
        return self.process.returncode, said

    def broker(self) -> int | None:
        """The process id of the broker of this server."""
        marked = str(self.data / "broker" / "broker.toml")
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if marked.encode() in each.read_bytes():
                    return int(each.parent.name)
        return None

    def api(self, method: str, path: str, body: object = None) -> httpx.Response:
        token = (self.data / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.request(method, f"{self.url}{path}", json=body, headers=headers, timeout=20)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.communicate()


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_and_started_again_it_knows_what_it_answered(served: Served):
    served.start()
    code = served.api("POST", "/api/labs", {"name": "Nord", "lat": 1, "lon": 2}).json()["code"]
    wish = {"code": code, "version": "0.1.0"}
    enrolled = served.api("POST", "/agent/v1/enrol", wish).json()
    served.end(signal.SIGKILL)
    served.start()
    (lab,) = served.api("GET", "/api/labs").json()
    assert lab["agent"] == enrolled["agent"]
    mine = httpx.BasicAuth(enrolled["agent"], enrolled["secret"])
    keys = httpx.get(f"{served.url}/agent/v1/keys", auth=mine, timeout=20).json()["keys"]
    assert keys == enrolled["keys"]

    former = served.broker()
    assert former is not None
    os.kill(former, signal.SIGKILL)
    for _ in range(300):
        if served.broker() not in {None, former} and ready(served):
            break
        time.sleep(0.1)
    assert ready(served)

    second = subprocess.run(served.command(), capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "another orchestrator" in second.stderr

    status, said = served.end(signal.SIGTERM)
    assert status == 0
    assert json.loads(said)["url"] == served.url
    assert served.broker() is None
    private = ("token", "broker/passwd", "broker/orchestrator.secret", "keys/tickets.json")
    assert {(served.data / name).stat().st_mode & 0o777 for name in private} == {0o600}


def ready(served: Served) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{served.url}/readyz", timeout=2).status_code == 200
    return False


def test_a_port_that_is_taken_is_named(served: Served, tmp_path: Path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", served.port))
        taken.listen()
        told = subprocess.run(served.command(), capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert f"{served.port}" in told.stderr
    assert "--port" in told.stderr
    assert "Traceback" not in told.stderr
