"""One bench a machine: its driver on a thread of its own, watched, reconnected, kept apart.

A machine that hangs or breaks its driver disturbs no other; nothing here starts a job by itself.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, TypeVar

import structlog

from fablab_agents import config
from fablab_agents.config import PROCESS_OF
from fablab_agents.protocol.messages import Bed, Condition
from fablab_agents.protocol.messages import Machine as MachineNote
from firmware_bridge import profiles
from firmware_bridge.driver import (
    Closing,
    Driver,
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
    Waiting,
)
from firmware_bridge.errors import BridgeError, LinkLost, NeedsPerson, Refused

POLL_S: Final = 2.0
PATIENCE_S: Final = 15.0
RETRY_MAX_S: Final = 15.0
_TOLERANCE_MM: Final[Mapping[str, float]] = {"fdm": 0.3, "mill": 0.1, "laser": 0.1}
_log = structlog.get_logger()
_T = TypeVar("_T")
_Power = TypeVar("_Power")
_JOG_MM_MIN: Final = (1500.0, 1500.0, 300.0)

Heat = tuple[float, float]
"""Actual and target, in °C."""

Opener = Callable[[config.Machine], Driver]


def open_driver(entry: config.Machine) -> Driver:
    """The driver that the shop's entry names; raises BridgeError in words."""
    from firmware_bridge import registry

    fields = entry.model_dump(include=set(registry.Entry.model_fields))
    return registry.open_driver({name: value for name, value in fields.items() if value})


class OwnThread:
    """Runs blocking calls one after another; a call that hangs holds up nobody else."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def close(self) -> None:
        self._work.put(None)

    async def do(self, call: Callable[..., _T], *given: Any) -> _T:  # noqa: ANN401
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T] = loop.create_future()

        def work() -> None:
            try:
                value = call(*given)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
                self._tell(loop, answer, error=error)
            else:
                self._tell(loop, answer, value=value)

        self._work.put(work)
        return await answer

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    @staticmethod
    def _tell(
        loop: asyncio.AbstractEventLoop,
        answer: asyncio.Future[_T],
        value: _T | None = None,
        error: BaseException | None = None,
    ) -> None:
        def settle() -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(value)  # pyright: ignore[reportArgumentType]

        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(settle)


@dataclass(frozen=True)
class Doing:
    """How far a run is."""

    attempt: str
    fraction: float = 0.0
    line: int = 0
    machine_s: float | None = None


class Bench:
    """One machine of the shop: what its driver says, and the run that it is on."""

    def __init__(
        self,
        entry: config.Machine,
        changed: Callable[[str], None],
        opener: Opener = open_driver,
    ) -> None:
        self.entry = entry
        self.profile = profiles.load(entry.profile)
        self.condition = Condition.OFFLINE
        self.detail = "not asked yet"
        self.firmware = ""
        self.temperatures_c: Mapping[str, Heat] = {}
        self.position_mm: tuple[float, ...] | None = None
        self.needs_homing = False
        self.doing: Doing | None = None
        self.run: Run | None = None
        self._driver: Driver | None = None
        self._met = False
        self._opener = opener
        self._changed = changed
        self._thread = OwnThread(entry.id)
        self._said: str | None = None
        self._poke = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()

    @property
    def id(self) -> str:
        return self.entry.id

    @property
    def outlives(self) -> bool:
        """Its jobs live at a print server and go on without this agent."""
        from firmware_bridge import registry

        return registry.outlives(self.entry.driver)

    @property
    def kind(self) -> str:
        return self.profile.kind

    # ── watching ────────────────────────────────────────────────────────────────────────────

    async def serve(self) -> None:
        """Connect, watch, and connect again with growing pauses, for ever."""
        wait_s = 1.0
        while True:
            try:
                self._note(await self._patient(self._connect), first=True)
                wait_s = 1.0
                await self._watch()
            except BridgeError as error:
                self._lost(_condition_of(error), str(error))
            except Exception as error:  # noqa: BLE001 - one bad driver must not end the others
                _log.exception("machine driver broke", machine=self.id)
                self._lost(Condition.FAULT, f"its driver broke: {type(error).__name__}: {error}")
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - only jitter
            wait_s = min(2 * wait_s, RETRY_MAX_S)

    async def close(self) -> None:
        """Let go of the port; a driver that hangs is left to die with the process."""
        if self._driver is not None:
            with contextlib.suppress(BridgeError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._thread.do(self._driver.close)
        self._thread.close()

    def _connect(self) -> Status:
        driver, again, self._met = self._made(), self._met, True
        if again:
            driver.close()
        return driver.connect()

    def _made(self) -> Driver:
        """On the machine's thread: its one driver, which a recovery may need before it is met."""
        if self._driver is None:
            self._driver = self._opener(self.entry)
        return self._driver

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._poke.wait()
            self._poke.clear()
            await self._free.wait()
            await self.look()

    async def look(self) -> Condition:
        """Ask the machine now; raises BridgeError when it cannot be asked."""
        if self._driver is None:
            raise LinkLost(self.detail)
        status = await self._patient(self._driver.status)
        if self.run is None:
            self._note(status)
        if status.condition.value == Condition.OFFLINE:
            raise LinkLost(status.detail or "the machine is gone")
        return Condition(status.condition.value)

    async def _patient(self, call: Callable[[], _T]) -> _T:
        """Wait for a call on the machine's thread; say so when it takes too long."""
        answer = asyncio.ensure_future(self._thread.do(call))
        try:
            # Not wait_for: before Python 3.12 it may swallow a cancellation.
            async with asyncio.timeout(PATIENCE_S):
                return await asyncio.shield(answer)
        except TimeoutError:
            self._lost(Condition.OFFLINE, "it does not answer")
            return await answer
        finally:
            answer.cancel()

    def _note(self, status: Status, *, first: bool = False) -> None:
        before = (self.condition, self.detail)
        self.condition, self.detail = Condition(status.condition.value), status.detail
        self.temperatures_c = dict(status.temperatures_c)
        self.position_mm, self.needs_homing = status.position_mm, status.needs_homing
        self.firmware = status.firmware or self.firmware
        if first:
            self._said = None
            _log.info("machine connected", machine=self.id, condition=self.condition.value)
        if before != (self.condition, self.detail):
            self._changed(self.id)

    def _lost(self, condition: Condition, why: str) -> None:
        """An outage is logged once, its end once."""
        if self._said != why:
            self._said = why
            _log.warning("machine not ready", machine=self.id, condition=condition.value, why=why)
        self.condition, self.detail, self.needs_homing = condition, why, False
        self._changed(self.id)

    # ── for set-up ──────────────────────────────────────────────────────────────────────────

    def can(self, power: type[_Power]) -> _Power | None:
        """The driver, if it has this power."""
        return self._driver if isinstance(self._driver, power) else None

    @property
    def sets_up(self) -> bool:
        """A person moves it, and no program does."""
        return self.run is None and not self._free.is_set()

    async def moved(self, what: Callable[[], Status], why: str) -> None:
        """A move that a person at the machine asked for; nothing else meanwhile, and in no run."""
        if self.run is not None or not self._free.is_set():
            raise Refused(f"{self.id} cannot be moved now: {self.detail or self.condition}")
        self._free.clear()
        self.condition, self.detail = Condition.ATTENTION, why
        self._changed(self.id)
        try:
            self._note(await self._thread.do(what))
        finally:
            self._free.set()
            self._poke.set()

    def travel(self, axis: int) -> Travel:
        """Where a person may move it, and how fast along this axis."""
        feed = min(_JOG_MM_MIN[axis], self.profile.rapid_mm_min, self.profile.feed_max_mm_min)
        return Travel(*self.profile.machine, feed)

    # ── running ─────────────────────────────────────────────────────────────────────────────

    async def start(self, program: Program) -> Run:
        """Make ready to run; no byte of the program leaves before `follow` is read."""
        if self._driver is None:
            raise LinkLost(self.detail)
        return await self._thread.do(self._driver.start, program)

    async def recover(self, handle: str) -> Run | None:
        """The run of an earlier boot if it still exists at the machine; None if it is over."""
        return await self._thread.do(lambda: self._made().recover(handle))

    async def follow(self, attempt: str, run: Run) -> AsyncIterator[Event]:
        """Drive the run and tell its events; `Ended` is the last."""
        self._free.clear()
        self.run, self.doing = run, Doing(attempt)
        try:
            events = run.events()
            while (told := await self._thread.do(self._next, events)) is not None:
                event, heat = told
                self.temperatures_c = heat or self.temperatures_c
                self._follow(event)
                yield event
        finally:
            self.run, self.doing = None, None
            self._free.set()
            self._poke.set()
            self._changed(self.id)

    def _next(self, events: Iterator[Event]) -> tuple[Event, Mapping[str, Heat] | None] | None:
        """On the machine's thread: the next event, and with progress how warm it is."""
        event = next(events, None)
        if event is None:
            return None
        if not isinstance(event, Progress) or self._driver is None:
            return event, None
        with contextlib.suppress(BridgeError):
            return event, dict(self._driver.status().temperatures_c)
        return event, None

    def _follow(self, event: Event) -> None:
        doing = self.doing
        assert doing is not None
        match event:
            case Progress():
                self.doing = Doing(doing.attempt, event.fraction, event.line, event.machine_s)
                return
            case Started() | Resumed():
                self.condition, self.detail = Condition.RUNNING, ""
            case Paused(by=by):
                self.condition, self.detail = Condition.PAUSED, f"paused by {by}"
            case Waiting(what=what):
                if self.detail == what:
                    return
                self.detail = what
                if self.condition is Condition.IDLE:
                    self.condition = Condition.ATTENTION
            case Closing():
                return
            case Ended():
                self.condition, self.detail = Condition.CONNECTING, event.cause
        self._changed(self.id)

    async def ask(self, what: Callable[[Run], None]) -> None:
        """Pause, resume or stop the run from beside it; raises Refused when nothing runs."""
        if self.run is None:
            raise Refused(f"nothing runs on {self.id}")
        await asyncio.to_thread(what, self.run)

    async def free(self) -> None:
        """Wait until no run is on."""
        await self._free.wait()

    async def halt(self) -> None:
        """Everything off, as far as software can; never raises."""
        if self._driver is not None:
            with contextlib.suppress(BridgeError):
                await self._thread.do(self._driver.halt)

    # ── what the network is told ────────────────────────────────────────────────────────────

    def describe(self, *, bed: Bed, offered: bool, attempt: str | None) -> MachineNote:
        low, high = self.profile.machine
        stock_mm = self.profile.mill.stock_mm if self.profile.mill else None
        entry = self.entry
        return MachineNote(
            machine=entry.id,
            title=entry.title or self.profile.title,
            model=self.profile.name,
            processes=(PROCESS_OF[self.kind],),
            materials=entry.materials,
            envelope_mm=(high[0] - low[0], high[1] - low[1], high[2] - low[2]),
            tolerance_mm=entry.tolerance_mm or _TOLERANCE_MM[self.kind],
            thickness_max_mm=entry.thickness_max_mm or stock_mm,
            tool_mm=entry.tool_mm,
            attended=entry.started_by_a_person(self.kind),
            by_hand=entry.by_hand,
            rate_minor_per_h=entry.rate_minor_per_h,
            setup_minor=entry.setup_minor,
            currency=entry.currency,
            simulated=entry.simulated,
            offered=offered,
            condition=self.condition,
            detail=self.detail[:500],
            bed=bed,
            attempt=attempt,
            firmware=self.firmware[:200],
        )


def _condition_of(error: BridgeError) -> Condition:
    if isinstance(error, NeedsPerson):
        return Condition.ATTENTION
    return Condition.FAULT if isinstance(error, Refused) else Condition.OFFLINE
