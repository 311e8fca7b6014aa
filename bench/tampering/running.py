"""A real runner, its journal, a simulated printer; the program is changed before it starts."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import httpx

from bench.tampering.city import AGENT, BOOT, grant, ticket
from bench.tampering.machines import Machine, machine
from bench.tampering.table import Row
from fablab_agents.config import Config
from fablab_agents.config import Machine as Entry
from fablab_agents.journal import Journal
from fablab_agents.machines import Bench, open_driver
from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import TERMINAL, Actor, State
from fablab_agents.runner import Runner, clock
from firmware_bridge.driver import Driver, Program, Run

_PRINT: Final = b"G21\nG90\nG28\nM104 S60\n" + b"G1 X60 F3000\nG1 X10\n" * 40 + b"M104 S0\nM84\n"
_PATIENCE_S: Final = 60.0


class Meddled:
    """The printer's own driver, and somebody who changes the file right before it reads it."""

    def __init__(self, inner: Driver) -> None:
        self._inner = inner
        self.meddle: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def start(self, program: Program) -> Run:
        self.meddle()
        return self._inner.start(program)


class Place:
    """One agent with one printer, in one process; claims are granted at once."""

    def __init__(self, folder: Path, body: Machine) -> None:
        self.folder = folder
        entry = Entry(
            id="printer-1", profile="generic-fdm-220", driver="marlin", link=str(body.link),
            materials=("pla",),
        )  # fmt: skip
        self.journal = Journal.open(folder / "journal.db", AGENT, BOOT, clock().at)
        self.drivers: list[Meddled] = []
        benches: dict[str, Bench] = {}
        client = httpx.AsyncClient()
        self.runner = Runner(Config(machine=(entry,)), folder, self.journal, benches, client)
        self.bench = Bench(entry, self.runner.machine_changed, self._open)
        benches[entry.id] = self.bench
        self.runner.connected = True
        self.runner.send = self._claimed
        self.on_claim: Callable[[], None] = lambda: None

    def _open(self, entry: Entry) -> Driver:
        self.drivers.append(Meddled(open_driver(entry)))
        return self.drivers[-1]  # pyright: ignore[reportReturnType]

    def _claimed(self, claim: messages.Claim) -> None:
        self.on_claim()
        said = claim.model_dump(exclude={"kind"})
        self.runner.granted(grant(**said))

    def stage(self, number: int) -> Path:
        """The next attempt, prepared, with its bed clear; its program's path."""
        name, now = f"a-{number}", clock()
        said = ticket(attempt=name, jobs=(f"j-{number}",), fence=1)
        path = self.folder / f"{name}.gcode"
        path.write_bytes(_PRINT)
        sha256 = hashlib.sha256(_PRINT).hexdigest()
        facts = messages.ProgramFacts(sha256=sha256, lines=88, seconds=9, grams=1.0)
        self.journal.store_offer(number, said, "signed", now)
        self.journal.move(name, State.ACCEPTED, Actor.AGENT, now)
        self.journal.keep_program(name, facts, path)
        self.journal.put_mark("printer-1", "Ana", now)
        self.runner.wake()
        return path

    async def ended(self, number: int) -> State:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                row = self.journal.find(f"a-{number}")
                if row is not None and row.state in TERMINAL:
                    return row.state
                await asyncio.sleep(0.01)


async def through_the_runner(folder: Path, count: int) -> Row:
    row = Row("a program changed before the last look, and between it and the driver")
    with machine("printer-220", folder / "printer") as body:
        place = Place(folder, body)
        async with asyncio.TaskGroup() as tasks:
            serving = [
                tasks.create_task(place.runner.serve()),
                tasks.create_task(place.bench.serve()),
            ]
            while not place.drivers or place.bench.condition != "idle":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            for number in range(1, count + 1):
                row.count(await _meddled(place, body, number))
            place.on_claim = place.drivers[-1].meddle = lambda: None
            place.stage(count + 1)
            row.count(await place.ended(count + 1) is State.FINISHED, right=True)
            for task in serving:
                task.cancel()
        await place.bench.close()
        place.journal.close()
    return row


async def _meddled(place: Place, body: Machine, number: int) -> bool:
    """Whether a machine moved on a changed program: of two tries one is caught by the driver."""
    path = place.stage(number)
    bit = Random(number).randrange(len(_PRINT) * 8)

    def flip() -> None:
        changed = bytearray(_PRINT)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)

    quiet: Callable[[], None] = lambda: None  # noqa: E731
    place.on_claim = flip if number % 2 else quiet
    place.drivers[-1].meddle = quiet if number % 2 else flip
    ended = await place.ended(number)
    wanted = State.NOT_STARTED if number % 2 else State.FAILED
    return ended is not wanted or body.starts > 0
