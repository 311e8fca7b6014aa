"""Benches and runs with a driver that misbehaves to order.

The real drivers meet simulated machines in the other tests of this room.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from fablab_agents import config
from fablab_agents.config import parse
from fablab_agents.journal import Journal
from fablab_agents.machines import Bench
from fablab_agents.protocol.attempts import LIVE, Actor, State
from fablab_agents.protocol.messages import Bed, Claim, Condition
from fablab_agents.runner import NotNow, Runner, clock
from firmware_bridge.driver import Condition as Says
from firmware_bridge.driver import (
    Ended,
    Event,
    Paused,
    Program,
    Progress,
    Resumed,
    Run,
    Started,
    Status,
    Travel,
)
from firmware_bridge.drivers.marlin import MarlinDriver
from firmware_bridge.errors import BridgeError, LinkLost, NeedsPerson, Refused
from tests.fablab_agents.conftest import LASER, PRINTER, Workshop, make_ticket
from tests.fablab_agents.test_journal import grant_of

GCODE = b"G1 X1\n"
FINISHED = (Started(), Progress(0.5, 1), Ended("finished", "complete", 1))


class Scripted:
    """A run that tells these events; an exception among them is raised."""

    handle = "handle-1"

    def __init__(self, events: tuple[Event | Exception, ...]) -> None:
        self._events = events

    def events(self) -> Iterator[Event]:
        for event in self._events:
            if isinstance(event, Exception):
                raise event
            yield event

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop(self, why: str) -> None: ...


@dataclass
class Machine:
    """A driver whose answers are given beforehand."""

    run: tuple[Event | Exception, ...] = FINISHED
    start_error: BridgeError | None = None
    recovers: list[Run | BridgeError | None] = field(default_factory=list[Any])
    connects: list[Exception] = field(default_factory=list[Exception])
    says: Says = Says.IDLE
    then_says: Says | None = None
    started: list[Program] = field(default_factory=list[Program])
    halted: int = 0
    hang: threading.Event | None = None

    def connect(self) -> Status:
        if self.hang is not None:
            self.hang.wait()
        if self.connects:
            raise self.connects.pop(0)
        return self.status()

    def close(self) -> None: ...

    def status(self) -> Status:
        said, self.says = self.says, self.then_says or self.says
        return Status(said)

    def start(self, program: Program) -> Run:
        if self.start_error is not None:
            raise self.start_error
        self.started.append(program)
        return Scripted(self.run)

    def recover(self, handle: str) -> Run | None:
        assert handle == "handle-1"
        answer = self.recovers.pop(0)
        if isinstance(answer, BridgeError):
            raise answer
        return answer

    def halt(self) -> None:
        self.halted += 1


class Shop:
    """A runner in this process, with a city that grants every claim at once."""

    def __init__(self, folder: Path, boot: str = "b1", **machines: Machine) -> None:
        self.folder = folder
        self.machines = {name.replace("_", "-"): machine for name, machine in machines.items()}
        self.journal = Journal.open(folder / "journal.db", "lab-nord", boot, datetime.now(UTC))
        text = LASER.format(link="/p") + PRINTER.format(link="/q")
        shop = parse(text)
        wanted = tuple(entry for entry in shop.machine if entry.id in self.machines)
        self.config = shop.model_copy(update={"machine": wanted})

    def accepted(self) -> str:
        """An attempt on the laser with its program ready and the person's start pressed."""
        ticket = make_ticket()
        path = self.folder / "program.gcode"
        path.write_bytes(GCODE)
        from hashlib import sha256

        from fablab_agents.protocol.messages import ProgramFacts

        facts = ProgramFacts(sha256=sha256(GCODE).hexdigest(), lines=1, seconds=1, grams=0)
        self.journal.store_offer(self.journal.seen_down + 1, ticket, "e", clock())
        self.journal.move(ticket.attempt, State.ACCEPTED, Actor.AGENT, clock())
        self.journal.keep_program(ticket.attempt, facts, path)
        self.journal.put_mark("laser-1", "Ana", clock(), attempt=ticket.attempt)
        return ticket.attempt

    def left(self, *, armed: bool = True, state: State = State.RUNNING) -> str:
        """An attempt as a killed boot leaves it."""
        name = self.accepted()
        self.journal.move(name, State.STAGED, Actor.AGENT, clock())
        self.journal.claim(name, clock())
        attempt = self.journal.find(name)
        assert attempt is not None
        self.journal.begin(name, grant_of(attempt.ticket), clock(), attended=True)
        if armed:
            self.journal.arm(name, "handle-1")
        if state is not State.STARTING:
            self.journal.move(name, state, Actor.AGENT, clock())
        return name

    def states(self, attempt: str) -> list[State]:
        return [report.state for report in self.journal.causes(attempt)]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Runner]:
        benches: dict[str, Bench] = {}
        async with httpx.AsyncClient() as client:
            runner = Runner(self.config, self.folder, self.journal, benches, client)
            for entry in self.config.machine:
                benches[entry.id] = Bench(entry, runner.machine_changed, self._open)
            runner.connected = True
            runner.send = lambda claim: self._grant(runner, claim)
            tasks = [asyncio.create_task(b.serve()) for b in benches.values()]
            tasks.append(asyncio.create_task(runner.serve()))
            yield runner
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self.journal.close()

    def _open(self, entry: config.Machine) -> Machine:
        return self.machines[entry.id]

    def _grant(self, runner: Runner, claim: Claim) -> None:
        attempt = self.journal.find(claim.attempt)
        assert attempt is not None
        grant = grant_of(attempt.ticket, claim.nonce, claim.boot)
        runner.granted(grant.model_copy(update={"program": claim.program}))

    async def until(self, what: Callable[[], Any], within_s: float = 15) -> None:
        async with asyncio.timeout(within_s):
            while not what():  # noqa: ASYNC110 - a journal tells nobody
                await asyncio.sleep(0.02)

    async def over(self, attempt: str) -> list[State]:
        def ended() -> bool:
            return self.states(attempt)[-1] not in LIVE - {State.UNKNOWN}

        await self.until(ended)
        return self.states(attempt)


async def test_a_run_is_told_in_its_states(tmp_path: Path) -> None:
    shop = Shop(tmp_path, laser_1=Machine())
    attempt = shop.accepted()
    async with shop.open():
        assert (await shop.over(attempt))[1:] == [
            State.STAGED,
            State.CLAIMED,
            State.STARTING,
            State.RUNNING,
            State.FINISHED,
        ]
    [program] = shop.machines["laser-1"].started
    assert program.attempt == attempt


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (Refused("a line is too long"), [State.FAILED]),
        (LinkLost("unplugged"), [State.UNKNOWN, State.NOT_STARTED]),
        (NeedsPerson("homing"), [State.UNKNOWN, State.NOT_STARTED]),
    ],
)
async def test_a_start_that_the_machine_does_not_take(
    tmp_path: Path, error: BridgeError, ends: list[State]
) -> None:
    shop = Shop(tmp_path, laser_1=Machine(start_error=error))
    attempt = shop.accepted()
    async with shop.open() as runner:
        await shop.until(lambda: shop.states(attempt)[-1] is ends[-1])
        assert shop.states(attempt)[4:] == ends
        assert str(error) in shop.journal.causes(attempt)[-1].cause
        assert runner.journal.bed("laser-1", clock().elapsed_s) is Bed.OCCUPIED


@pytest.mark.parametrize(
    ("run", "ends"),
    [
        ((Ended("failed", "alarm", 0),), [State.FAILED]),
        ((Ended("interrupted", "unplugged", 0),), [State.UNKNOWN, State.INTERRUPTED]),
        ((Started(), Ended("interrupted", "unplugged", 1)), [State.RUNNING, State.INTERRUPTED]),
        ((Started(), Ended("unknown", "silent", 1)), [State.RUNNING, State.UNKNOWN]),
        ((Started(), ValueError("a bug")), [State.RUNNING, State.UNKNOWN]),
        ((ValueError("a bug"),), [State.UNKNOWN]),
        (
            (Paused("us"), Resumed("us"), Started(), Ended("finished", "complete", 1)),
            [State.RUNNING, State.FINISHED],
        ),
        (
            (Started(), Paused("us"), Resumed("us"), Ended("finished", "complete", 1)),
            [State.RUNNING, State.PAUSED, State.RUNNING, State.FINISHED],
        ),
    ],
)
async def test_every_end_is_told_as_it_was(
    tmp_path: Path, run: tuple[Event | Exception, ...], ends: list[State]
) -> None:
    machine = Machine(run=run, recovers=[None])
    shop = Shop(tmp_path, laser_1=machine)
    attempt = shop.accepted()
    async with shop.open():
        await shop.until(lambda: shop.states(attempt)[4:] == ends)
        await asyncio.sleep(0.2)
        assert shop.states(attempt)[4:] == ends
    assert machine.halted == int(any(isinstance(event, ValueError) for event in run))
    assert len(machine.started) == 1


async def test_a_stranger_at_the_machine_means_not_started(tmp_path: Path) -> None:
    machine = Machine(then_says=Says.RUNNING)
    shop = Shop(tmp_path, laser_1=machine)
    attempt = shop.accepted()
    async with shop.open():
        assert (await shop.over(attempt))[-1] is State.NOT_STARTED
        assert shop.journal.bed("laser-1", clock().elapsed_s) is Bed.UNKNOWN
    assert machine.started == []


async def test_what_moved_in_a_killed_boot_is_interrupted(tmp_path: Path) -> None:
    attempt = Shop(tmp_path).left()
    shop = Shop(tmp_path, "b2", laser_1=Machine(recovers=[None]))
    async with shop.open():
        assert (await shop.over(attempt))[-1] is State.INTERRUPTED
        assert "restarted" in shop.journal.causes(attempt)[-1].cause
    assert shop.machines["laser-1"].started == []


async def test_an_intent_without_an_armed_byte_never_started(tmp_path: Path) -> None:
    attempt = Shop(tmp_path).left(armed=False, state=State.STARTING)
    shop = Shop(tmp_path, "b2", laser_1=Machine())
    async with shop.open():
        await shop.until(lambda: shop.states(attempt)[-1] is State.NOT_STARTED)
    assert shop.machines["laser-1"].started == []


async def test_an_armed_intent_without_a_recorded_line_is_unknown(tmp_path: Path) -> None:
    attempt = Shop(tmp_path).left(state=State.STARTING)
    shop = Shop(tmp_path, "b2", laser_1=Machine(recovers=[None]))
    async with shop.open() as runner:
        assert (await shop.over(attempt))[-1] is State.UNKNOWN
        runner.people.attest(attempt, "Ana", State.FAILED, "half a cut")
        assert shop.states(attempt)[-1] is State.FAILED


async def test_a_job_that_lives_at_a_print_server_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fablab_agents.runner.runner.RETRY_S", 0.1)
    attempt = Shop(tmp_path).left()
    machine = Machine(recovers=[LinkLost("no answer"), LinkLost("no answer"), Scripted(FINISHED)])
    shop = Shop(tmp_path, "b2", laser_1=machine)
    async with shop.open():
        await shop.until(lambda: shop.states(attempt)[-1] is State.FINISHED)
        assert shop.states(attempt)[-3:] == [State.UNKNOWN, State.RUNNING, State.FINISHED]
    assert machine.started == []


async def test_a_machine_that_is_gone_from_the_file_leaves_its_attempt_unknown(
    tmp_path: Path,
) -> None:
    attempt = Shop(tmp_path).left()
    shop = Shop(tmp_path, "b2")
    async with shop.open():
        assert (await shop.over(attempt))[-1] is State.UNKNOWN
        assert "no longer has laser-1" in shop.journal.causes(attempt)[-1].cause


async def test_a_driver_that_hangs_or_breaks_disturbs_no_other_machine(tmp_path: Path) -> None:
    hang = threading.Event()
    shop = Shop(tmp_path, laser_1=Machine(), printer_1=Machine(hang=hang))
    attempt = shop.accepted()
    async with shop.open() as runner:
        assert (await shop.over(attempt))[-1] is State.FINISHED
        assert runner.benches["printer-1"].condition is Condition.OFFLINE
        hang.set()


@pytest.mark.parametrize(
    ("error", "condition"),
    [
        (LinkLost("no port"), Condition.OFFLINE),
        (NeedsPerson("is it on?"), Condition.ATTENTION),
        (Refused("no such driver"), Condition.FAULT),
        (ValueError("a bug"), Condition.FAULT),
    ],
)
async def test_a_machine_that_cannot_be_met_says_why_and_is_tried_again(
    tmp_path: Path, error: Exception, condition: Condition
) -> None:
    shop = Shop(tmp_path, laser_1=Machine(connects=[error]))
    async with shop.open() as runner:
        bench = runner.benches["laser-1"]
        await shop.until(lambda: bench.condition is condition and str(error) in bench.detail)
        await shop.until(lambda: bench.condition is Condition.IDLE)


async def test_an_alarm_voids_the_persons_mark(tmp_path: Path) -> None:
    machine = Machine()
    shop = Shop(tmp_path, laser_1=machine)
    async with shop.open() as runner:
        await shop.until(lambda: runner.benches["laser-1"].condition is Condition.IDLE)
        runner.people.bed_clear("laser-1", "Ana")
        assert shop.journal.bed("laser-1", clock().elapsed_s) is Bed.CLEAR
        machine.says = Says.FAULT
        await shop.until(lambda: shop.journal.bed("laser-1", clock().elapsed_s) is Bed.UNKNOWN, 20)


async def test_nobody_calls_a_bed_clear_while_a_strangers_job_fills_it(tmp_path: Path) -> None:
    shop = Shop(tmp_path, laser_1=Machine(says=Says.ATTENTION))
    async with shop.open() as runner:
        await shop.until(lambda: runner.benches["laser-1"].condition is Condition.ATTENTION)
        with pytest.raises(NotNow, match="wants attention"):
            runner.people.bed_clear("laser-1", "Ana")
        assert shop.journal.mark("laser-1") is None


@dataclass
class Movable(Machine):
    stopped: int = 0

    def jog(self, by_mm: tuple[float, float, float], travel: Travel) -> Status:
        if by_mm[0] < 0:
            raise Refused("outside its travel")
        return Status(Says.IDLE)

    def stop_jog(self) -> None:
        self.stopped += 1


async def test_only_a_move_for_set_up_is_stopped_by_its_button(tmp_path: Path) -> None:
    machine, over = Movable(), threading.Event()

    def moves() -> Status:
        over.wait(10)
        return Status(Says.IDLE)

    shop = Shop(tmp_path, laser_1=machine)
    async with shop.open() as runner:
        bench = runner.benches["laser-1"]
        await shop.until(lambda: bench.condition is Condition.IDLE)
        with pytest.raises(NotNow, match="nobody moves"):
            await runner.people.stop_jog("laser-1")
        moving = asyncio.create_task(bench.moved(moves, "Ana moves it"))
        await shop.until(lambda: bench.condition is Condition.ATTENTION)
        await runner.people.stop_jog("laser-1")
        over.set()
        await moving
    assert machine.stopped == 1


async def test_a_printer_whose_set_up_was_stopped_is_connected_again_by_itself(
    workshop: Workshop,
) -> None:
    link = workshop.start("printer-1", "printer-220", speed=20)
    (entry,) = parse(PRINTER.format(link=link)).machine
    bench = Bench(entry, lambda _: None)
    serving = asyncio.create_task(bench.serve())

    async def until_idle() -> None:
        for _ in range(300):
            if bench.condition is Condition.IDLE:
                return
            await asyncio.sleep(0.05)
        pytest.fail(bench.detail)

    await until_idle()
    driver = bench.can(MarlinDriver)
    assert driver is not None
    await bench.moved(driver.home, "Ana homes it")
    slow = Travel((0, 0, 0), (220, 220, 250), 60)
    moving = asyncio.create_task(bench.moved(lambda: driver.jog((100, 0, 0), slow), "Ana moves it"))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(driver.stop_jog)
    with pytest.raises(LinkLost, match="home it again when it is back"):
        await moving
    assert bench.condition is not Condition.IDLE
    await until_idle()
    await bench.moved(driver.home, "Ana homes it")
    serving.cancel()
    await bench.close()


async def test_a_refused_jog_is_not_logged_as_done(tmp_path: Path) -> None:
    shop = Shop(tmp_path, laser_1=Movable())
    (entry,) = shop.config.machine
    jogs = entry.model_copy(update={"jog": True})
    shop.config = shop.config.model_copy(update={"machine": (jogs,)})
    async with shop.open() as runner:
        await shop.until(lambda: runner.benches["laser-1"].condition is Condition.IDLE)
        with capture_logs() as logs:
            with pytest.raises(Refused):
                await runner.people.jog("laser-1", "Ana", "X", -1)
            await runner.people.jog("laser-1", "Ana", "X", 1)
    said = [(log["event"], log.get("why")) for log in logs if "jogged" in log["event"]]
    assert said == [
        ("not jogged by a person", "outside its travel"),
        ("jogged by a person", None),
    ]
