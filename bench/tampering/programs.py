"""Programs changed on the disk at every moment: the bytes that were hashed are the bytes sent."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import httpx

from bench.tampering.envelopes import flips
from bench.tampering.machines import Machine, machine
from bench.tampering.running import through_the_runner
from bench.tampering.table import Row, Sample, judge
from fablab_agents.prepare import cache
from fablab_agents.prepare.order import Made
from fablab_agents.runner.files import FileAway, FileRefused, Files, sha256_of
from firmware_bridge.driver import Driver, Program, Started
from firmware_bridge.errors import Refused
from firmware_bridge.registry import open_driver

KINDS: Final = {"printer-220": "marlin", "laser-400": "grbl"}
_ENDS: Final = {"printer-220": "M104 S0\nM84\n", "laser-400": "M5\nM2\n"}
_BEGINS: Final = {"printer-220": "G21\nG90\nG28\nM104 S60\n", "laser-400": "G21\nG90\nM4 S0\n"}


def gcode(kind: str, moves: int, aside: float = 0) -> bytes:
    """A program whose moves are all different; `aside` shifts each of them."""
    power = " S500" if kind == "laser-400" else ""
    rows = [
        f"G1 X{10 + at % 97 + aside:.2f} Y{10 + at / 100:.2f} F3000{power}\n" for at in range(moves)
    ]
    return (_BEGINS[kind] + "".join(rows) + _ENDS[kind]).encode()


def written(path: Path, data: bytes) -> Program:
    path.write_bytes(data)
    return Program(path, hashlib.sha256(data).hexdigest(), "a-1", data.count(b"\n"))


def tampered(count: int, sample: Sample) -> Iterator[Row]:
    with TemporaryDirectory(prefix="tampering-") as name:
        folder = Path(name)
        for kind, language in KINDS.items():
            with machine(kind, folder / kind) as body, opened(language, body) as driver:
                program = written(folder / f"{kind}.gcode", gcode(kind, 700))
                what = f"a program for {language}: a bit flipped on the disk"
                yield on_disk(what, program, driver, sample.count(count * 45 // 100), body)
                yield while_streamed(kind, language, driver, body, folder, sample)
        program = written(folder / "by-hand.gcode", gcode("laser-400", 700))
        driver = by_hand(folder / "hand-out")
        what = "a program handed out to people: a bit flipped on the disk"
        yield on_disk(what, program, driver, sample.count(count // 10))
        driver.close()
        yield asyncio.run(through_the_runner(folder / "runner", sample.count(60, 2)))
        yield judge(
            "a prepared program in the cache: each single bit flipped",
            sample.of(flips(gcode("printer-220", 20))),
            _from_cache(folder / "cache", gcode("printer-220", 20)),
        )
        yield from design_files(folder / "files", sample)


def by_hand(folder: Path) -> Driver:
    folder.mkdir()
    driver = open_driver({"driver": "by_hand", "link": str(folder)})
    driver.connect()
    return driver


@contextlib.contextmanager
def opened(language: str, body: Machine) -> Generator[Driver]:
    driver = open_driver({"driver": language, "link": str(body.link)})
    driver.connect()
    try:
        yield driver
    finally:
        driver.close()


# ── before it is read


def on_disk(
    name: str, program: Program, driver: Driver, count: int, body: Machine | None = None
) -> Row:
    """Neither the runner's look at the file nor the driver's may take it for the approved one."""
    row, whole = Row(name), program.path.stat().st_size * 8
    chosen = Random(name).sample(range(whole), min(count, whole))
    with program.path.open("r+b", buffering=0) as file:
        for bit in chosen:
            _flip(file.fileno(), bit)
            same = sha256_of(program.path) == program.sha256
            row.count(same or _starts(driver, program))
            _flip(file.fileno(), bit)
    row.count(sha256_of(program.path) == program.sha256 and _starts(driver, program), right=True)
    if body is not None and body.starts:
        row.wrong += body.starts
    return row


def _flip(file: int, bit: int) -> None:
    [byte] = os.pread(file, 1, bit // 8)
    os.pwrite(file, bytes([byte ^ 1 << bit % 8]), bit // 8)


def _starts(driver: Driver, program: Program) -> bool:
    try:
        run = driver.start(program)
    except Refused:
        return False
    run.stop("taken for the approved one")
    return True


# ── after it was read


def _flipped(program: Program, other: bytes) -> None:
    with program.path.open("r+b", buffering=0) as file:
        file.write(other[: program.path.stat().st_size])


def _replaced(program: Program, other: bytes) -> None:
    aside = program.path.with_suffix(".new")
    aside.write_bytes(other)
    aside.replace(program.path)


def _grown(program: Program, other: bytes) -> None:
    with program.path.open("ab") as file:
        file.write(other)


MEDDLING: Final[dict[str, Callable[[Program, bytes], object]]] = {
    "overwritten": _flipped,
    "replaced": _replaced,
    "grown": _grown,
    "emptied": lambda program, _: os.truncate(program.path, 0),
    "deleted": lambda program, _: program.path.unlink(),
}
_MOMENTS: Final = ("before the first byte", "at the first line", "in the midst")


def while_streamed(
    kind: str, language: str, driver: Driver, body: Machine, folder: Path, sample: Sample
) -> Row:
    """Whatever becomes of the file once the driver read it, the machine gets what was hashed."""
    row = Row(f"a program for {language}: the file changed while it is streamed")
    good, other = gcode(kind, 120), gcode(kind, 120, aside=0.5)
    wanted = [line for line in good.decode().splitlines() if line.startswith("G1")]
    tries = [(how, moment) for how in MEDDLING for moment in _MOMENTS]
    for how, moment in tries[: sample.count(len(tries), 2)]:
        program = written(folder / "streamed.gcode", good)
        _run(driver, program, moment, lambda: MEDDLING[how](program, other))  # noqa: B023
        row.count(body.moves(body.starts) != wanted)
    return row


def _run(driver: Driver, program: Program, moment: str, meddle: Callable[[], object]) -> None:
    run = driver.start(program)
    if moment == _MOMENTS[0]:
        meddle()
    for number, event in enumerate(run.events()):
        if (moment == _MOMENTS[1] and isinstance(event, Started)) or (
            moment == _MOMENTS[2] and number == 20
        ):
            meddle()


# ── what it is made of


def _from_cache(folder: Path, good: bytes) -> Callable[[bytes], bool]:
    kept, out = folder / "kept", folder / "out"
    for each in (kept, out):
        each.mkdir(parents=True)
    made = Made.model_validate(
        {
            "sha256": hashlib.sha256(good).hexdigest(),
            "lines": 1,
            "seconds": 1,
            "grams": 1.0,
            "placement": {"dx_mm": 0, "dy_mm": 0, "dz_mm": 0, "rotation_deg": 0},
            "findings": [],
            "facts": {},
        }
    )
    (kept / cache.RECORD).write_text(made.model_dump_json())
    (kept / cache.PLACEMENT).write_text("[]")
    (kept / cache.PROGRAM).write_bytes(good)
    assert cache.find(kept, out) is not None

    def given_out(flipped: bytes) -> bool:
        (kept / cache.PROGRAM).write_bytes(flipped)
        return cache.find(kept, out) is not None

    return given_out


def design_files(folder: Path, sample: Sample) -> Iterator[Row]:
    """A design's file: flipped where it is kept it is fetched anew, on its way it is refused."""
    good = b"solid hook\n" + bytes(range(64)) + b"\nendsolid\n"
    sha256, served = hashlib.sha256(good).hexdigest(), [good]
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=served[-1]))
    files = Files(folder)

    async def got() -> bytes | None:
        async with httpx.AsyncClient(transport=transport, base_url="http://city") as client:
            try:
                return (await files.get(client, sha256, len(good))).read_bytes()
            except (FileRefused, FileAway):
                return None

    def kept(flipped: bytes) -> bool:
        files.path(sha256).unlink(missing_ok=True)
        files.path(sha256).write_bytes(flipped)
        return asyncio.run(got()) != good

    def on_its_way(flipped: bytes) -> bool:
        files.forget(sha256)
        served.append(flipped)
        return asyncio.run(got()) is not None

    yield judge(
        "a design's file: each bit flipped in the shop's store", sample.of(flips(good)), kept
    )
    yield judge("a design's file: each bit flipped on its way", sample.of(flips(good)), on_its_way)
