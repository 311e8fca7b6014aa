"""The hands of the agent: the loop that asks the reconciler, and what each answer does.

All of it runs on one event loop, the journal too: between a check and its commit nothing else
can happen. Only fetching, preparing and the machines themselves are waited for.
"""

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
import structlog

from fablab_agents.book import UNSTARTED, Attempt, Moment, NotReady
from fablab_agents.claims import Claims
from fablab_agents.config import Config
from fablab_agents.journal import Journal, JournalBroken
from fablab_agents.machines import Bench, OwnThread
from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import Actor, IllegalMove, State
from fablab_agents.protocol.messages import Condition
from fablab_agents.protocol.tickets import Grant, Verifier, holds
from fablab_agents.reconciler import (
    FORGET_AFTER,
    Accept,
    Action,
    Claim,
    Desk,
    Prepare,
    Recover,
    Refuse,
    Stage,
    Start,
    Stop,
    Tombstone,
    View,
    Withdraw,
    against_running,
    next_actions,
)
from fablab_agents.runner import making, sheet
from fablab_agents.runner.files import FileAway, FileRefused, Files, sha256_of
from fablab_agents.runner.owed import Owed
from fablab_agents.runner.people import People
from fablab_agents.runner.running import Running
from firmware_bridge.driver import Program
from firmware_bridge.errors import BridgeError

TICK_S: Final = 0.5
RETRY_S: Final = 5.0
BROKEN_RETRY_S: Final = 20.0
CRASHES_MAX: Final = 3
DISK_LOW_BYTES: Final = 64 << 20
PREPARE_AT_ONCE: Final = 2
STOP_PATIENCE_S: Final = 20.0
CACHE_KEPT_S: Final = 30 * 86_400.0
_HOUSEKEEPING_S: Final = 3600.0
_BECOMES: Final[Mapping[type[Action], State]] = {
    Accept: State.ACCEPTED,
    Refuse: State.REFUSED,
    Withdraw: State.WITHDRAWN,
    Stage: State.STAGED,
}
_log = structlog.get_logger()


def clock() -> Moment:
    """Both clocks; the second one counts sleep where the system can."""
    elapsed_s = (
        time.clock_gettime(time.CLOCK_BOOTTIME)
        if hasattr(time, "CLOCK_BOOTTIME")
        else time.monotonic()
    )
    return Moment(datetime.now(UTC), elapsed_s)


@dataclass
class _Memory:
    """Who is at work on what; it dies with this boot."""

    busy: set[str] = field(default_factory=set[str])
    stopping: set[str] = field(default_factory=set[str])
    asked: set[str] = field(default_factory=set[str])
    crashes: dict[str, int] = field(default_factory=dict[str, int])


class Runner:
    """One agent at work; `send` takes what may be lost, `connected` is the uplink's word."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        journal: Journal,
        benches: Mapping[str, Bench],
        client: httpx.AsyncClient,
        now: Callable[[], Moment] = clock,
    ) -> None:
        self.config = config
        self.journal = journal
        self.benches = benches
        self.connected = False
        self.unwell: str | None = None
        self.welcomed_s: float | None = None
        self.send: Callable[[messages.Claim], None] = lambda _: None
        self.changed = asyncio.Event()
        self._folder = folder
        self._rooms = making.Rooms(folder / "programs", folder / "cache")
        self._files = Files(folder / "files")
        self._client = client
        self._now = now
        self._memory = _Memory()
        self._claims = Claims(journal.boot)
        self._wake = asyncio.Event()
        self._owed = Owed(journal, now, self.wake)
        self._running = Running(journal, self._owed)
        self.people = People(journal, benches.get, self.view, self.wake)
        self._tasks: asyncio.TaskGroup | None = None
        self._preparing = asyncio.Semaphore(PREPARE_AT_ONCE)
        self._threads: dict[str, OwnThread] = {}
        self._distrusted: frozenset[str] = frozenset()
        self._said: str | None = None
        self._next_housekeeping_s = 0.0
        self._leaving = False

    # ── the loop ────────────────────────────────────────────────────────────────────────────

    async def serve(self) -> None:
        """Ask what to do, do it, wait for news; for ever."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            while True:
                self.step()
                await self._news()

    def step(self) -> None:
        """One round; a journal or a folder that cannot be used stops it until the disk is well."""
        try:
            self._mend()
            actions = next_actions(self.view())
            for action in actions:
                self._do(action)
            self._housekeeping()
        except (JournalBroken, OSError) as error:
            self._say(str(error))
            return
        if actions:
            self.wake()

    def wake(self) -> None:
        self._wake.set()
        self.changed.set()

    async def _news(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _mend(self) -> None:
        if self.journal.trouble and self.journal.mend():
            _log.info("the disk keeps the journal again")
        self._owed.pay()
        self._say(self.trouble())

    def _say(self, trouble: str | None) -> None:
        """A trouble is logged once, its end once."""
        if trouble == self._said:
            return
        if trouble:
            _log.error("no new work", why=trouble)
        else:
            _log.info("the trouble is over", was=self._said)
        self._said = trouble
        self.changed.set()

    def trouble(self) -> str | None:
        """Why this agent takes no new work now."""
        if self.journal.trouble:
            return self.journal.trouble
        free = shutil.disk_usage(self._folder).free
        if free < DISK_LOW_BYTES:
            return f"the disk is almost full: {free >> 20} MiB are free below {self._folder}"
        return self.unwell

    def view(self) -> View:
        moment, memory, claims = self._now(), self._memory, self._claims
        chosen = self.journal.offered()
        return View(
            moment=moment,
            boot=self.journal.boot,
            local=moment.at.astimezone(),
            policy=self.config.policy,
            desks={name: self._desk(bench, chosen) for name, bench in self.benches.items()},
            attempts=self.journal.live(),
            connected=self.connected,
            trouble="the agent is being stopped" if self._leaving else self.trouble(),
            claims=dict(claims.live),
            grants=dict(claims.grants),
            denials=dict(claims.denials),
            busy=frozenset(memory.busy),
            stopping=frozenset(memory.stopping),
            asked=frozenset(memory.asked),
            not_before_s=dict(claims.not_before_s),
            witnessed=self.journal.witnessed,
            welcomed_s=self.welcomed_s,
            distrusted=self._distrusted,
        )

    def _desk(self, bench: Bench, chosen: Mapping[str, bool]) -> Desk:
        return Desk(
            entry=bench.entry,
            kind=bench.kind,
            offered=chosen.get(bench.id, bench.entry.offered),
            condition=bench.condition,
            mark=self.journal.mark(bench.id),
        )

    # ── acting ──────────────────────────────────────────────────────────────────────────────

    def _do(self, action: Action) -> None:
        try:
            self._act(action)
        except IllegalMove:
            _log.exception("a move that the table does not know", attempt=action.attempt)

    def _act(self, action: Action) -> None:
        name = action.attempt
        match action:
            case Accept() | Refuse() | Withdraw() | Stage():
                why = action.why if isinstance(action, Refuse | Withdraw) else ""
                self._move(name, _BECOMES[type(action)], why)
            case Claim():
                self._claim(name, again=action.again)
            case Tombstone():
                self._tombstone(name, action.grant, action.why)
            case Prepare():
                self._spawn(name, self._prepare)
            case Start():
                self._spawn(name, self._start)
            case Recover():
                self._spawn(name, self._recover)
            case Stop():
                self._spawn_stop(name, action.why)

    def _move(self, attempt: str, to: State, cause: str = "") -> None:
        self.journal.move(attempt, to, Actor.AGENT, self._now(), cause=cause)
        _log.info("attempt " + to.value, attempt=attempt, **({"why": cause} if cause else {}))
        if to in (State.REFUSED, State.WITHDRAWN):
            self._drop(attempt)

    def _tombstone(self, attempt: str, grant: Grant, why: str) -> None:
        self.journal.tombstone(attempt, grant, why, self._now())
        self._drop(attempt)
        _log.warning("attempt not started", attempt=attempt, why=why)

    def _claim(self, name: str, *, again: bool) -> None:
        nonce, moment = secrets.token_hex(16), self._now()
        self.journal.claim(name, moment)
        self.send(self._claims.ask(self._must(name), moment.elapsed_s, nonce, again=again))

    def _drop(self, name: str) -> None:
        self._claims.drop(name)
        self._memory.crashes.pop(name, None)

    def _must(self, name: str) -> Attempt:
        attempt = self.journal.find(name)
        if attempt is None:
            msg = f"there is no attempt {name} in the journal"
            raise IllegalMove(msg)
        return attempt

    def _spawn(self, name: str, work: Callable[[str], Awaitable[None]]) -> None:
        assert self._tasks is not None
        self._memory.busy.add(name)
        self._tasks.create_task(self._guarded(name, work), name=f"{work.__name__} {name}")

    async def _guarded(self, name: str, work: Callable[[str], Awaitable[None]]) -> None:
        """One attempt that breaks its work ends neither the agent nor the other attempts."""
        try:
            await work(name)
        except (JournalBroken, IllegalMove) as error:
            _log.warning("not done", attempt=name, why=str(error))
        except Exception as error:  # noqa: BLE001
            _log.exception("work on an attempt broke", attempt=name)
            with contextlib.suppress(JournalBroken, IllegalMove):
                self._broke(name, error)
        finally:
            self._memory.busy.discard(name)
            self._memory.stopping.discard(name)
            self.wake()

    def _broke(self, name: str, error: Exception) -> None:
        self._rest(name, BROKEN_RETRY_S)
        crashes = self._memory.crashes.get(name, 0) + 1
        self._memory.crashes[name] = crashes
        attempt = self._must(name)
        if crashes >= CRASHES_MAX and attempt.state in (State.OFFERED, State.ACCEPTED):
            self._move(name, State.REFUSED, f"the agent broke on it {crashes} times: {error}")

    def _rest(self, name: str, seconds: float) -> None:
        self._claims.rest(name, self._now().elapsed_s + seconds)

    def _spawn_stop(self, name: str, why: str) -> None:
        assert self._tasks is not None
        bench = self.benches.get(self._must(name).machine)
        if bench is not None:
            self._memory.stopping.add(name)
            self._tasks.create_task(self._ask_stop(name, bench, why), name=f"stop {name}")

    async def _ask_stop(self, name: str, bench: Bench, why: str) -> None:
        _log.warning("stopping", attempt=name, machine=bench.id, why=why)
        try:
            await bench.ask(lambda run: run.stop(why))
        except BridgeError as error:
            _log.warning("stop not taken", attempt=name, why=str(error))
            await asyncio.sleep(1)
            self._memory.stopping.discard(name)

    # ── preparing ───────────────────────────────────────────────────────────────────────────

    async def _prepare(self, name: str) -> None:
        attempt = self._must(name)
        ticket, bench = attempt.ticket, self.benches[attempt.machine]
        try:
            async with self._preparing:
                file = await self._files.get(self._client, ticket.file, ticket.file_bytes)
                made = await self._thread(bench).do(
                    making.make, ticket, bench.entry, bench.profile, file, self._rooms
                )
        except FileAway as error:
            _log.warning("waiting for the file", attempt=name, why=str(error))
            self._rest(name, RETRY_S)
        except (FileRefused, making.NotMade) as error:
            self._move(name, State.REFUSED, str(error))
        else:
            self.journal.keep_program(name, made.facts, made.program)
            _log.info("program ready", attempt=name, seconds=made.facts.seconds)

    def _thread(self, bench: Bench) -> OwnThread:
        """Slicing takes minutes; on a daemon thread it never holds up the agent's end."""
        if bench.id not in self._threads:
            self._threads[bench.id] = OwnThread(f"prepare {bench.id}")
        return self._threads[bench.id]

    # ── the wire's answers ──────────────────────────────────────────────────────────────────

    def granted(self, grant: Grant) -> str | None:
        """Take a verified grant; the reason when it is dropped because nothing waits for it."""
        why = self._claims.granted(self.journal.find(grant.attempt), grant)
        if why is None:
            self.wake()
        return why

    def denied(self, denied: messages.Denied) -> None:
        if self._claims.denied(denied, self._now().elapsed_s):
            _log.warning("claim denied", attempt=denied.attempt, why=denied.why)

    def distrust(self, verify: Verifier) -> None:
        """The keys are others now: nothing starts that only an older one stands behind."""
        envelopes = self.journal.envelopes().items()
        self._distrusted = frozenset(n for n, signed in envelopes if not holds(signed, verify))
        self.ask_anew()

    def ask_anew(self) -> None:
        """Whatever was asked and answered so far lets nothing start any more."""
        self._claims.forget()
        self.wake()

    # ── starting, once ──────────────────────────────────────────────────────────────────────

    async def _start(self, name: str) -> None:
        attempt, grant = self._must(name), self._claims.grants.get(name)
        if grant is None:  # forgotten since: it has to be asked for anew
            return
        bench = self.benches[attempt.machine]
        assert attempt.program is not None
        assert attempt.program_path is not None
        sha256 = await asyncio.to_thread(sha256_of, attempt.program_path)
        await self._look(bench)
        # From here to the commit nothing is waited for: what was checked still holds.
        why = self._against(name, grant, altered=sha256 != attempt.program.sha256)
        try:
            if why is None:
                desk = self._desk(bench, {})
                self.journal.begin(name, grant, self._now(), attended=desk.attended)
        except NotReady as error:
            why = str(error)
        if why is not None:
            self._tombstone(name, grant, why)
            return
        self._drop(name)
        _log.info("starting", attempt=name, machine=bench.id, program=attempt.program.sha256[:12])
        await self._running.start(bench, self.program(attempt))

    def program(self, attempt: Attempt) -> Program:
        """What a machine is given; where only people reach it, with what they have to know."""
        facts, bench = attempt.program, self.benches[attempt.machine]
        assert facts is not None
        assert attempt.program_path is not None
        lab, words = self.config.lab.title, ""
        if bench.entry.by_hand:
            words = sheet.text(lab, attempt, bench.entry, bench.profile)
        return Program(attempt.program_path, facts.sha256, attempt.id, facts.lines, words)

    async def _look(self, bench: Bench) -> None:
        """Hear from the machine itself, right before it may move."""
        try:
            await bench.look()
        except BridgeError as error:
            bench.condition, bench.detail = Condition.OFFLINE, str(error)

    def _against(self, name: str, grant: Grant, *, altered: bool) -> str | None:
        attempt = self._must(name)
        if attempt.state is not State.CLAIMED:
            raise IllegalMove(f"attempt {name} became {attempt.state} before it could start")
        return against_running(self.view(), attempt, grant, altered=altered)

    async def _recover(self, name: str) -> None:
        attempt, later = self._must(name), False

        def ask_later() -> None:
            nonlocal later
            later = True
            self._rest(name, RETRY_S)

        await self._running.recover(attempt, self.benches.get(attempt.machine), ask_later)
        if not later:
            self._memory.asked.add(name)

    # ── round about ─────────────────────────────────────────────────────────────────────────

    def machine_changed(self, machine: str) -> None:
        """An alarm, a stranger's job, a time unseen: the bed is no longer known to be clear."""
        bench = self.benches[machine]
        alarm = bench.condition in (Condition.FAULT, Condition.ATTENTION, Condition.OFFLINE)
        foreign = bench.run is None and bench.condition in (Condition.RUNNING, Condition.PAUSED)
        if alarm or foreign:
            self._owed.owe(lambda: self._void(machine))
        self.wake()

    def _void(self, machine: str) -> None:
        if self.journal.void_mark(machine):
            _log.warning("bed no longer known to be clear", machine=machine)

    def machines(self) -> tuple[messages.Machine, ...]:
        """What the network is told of the machines."""
        elapsed_s, chosen = self._now().elapsed_s, self.journal.offered()
        having = {a.machine: a.id for a in self.journal.live() if a.state not in UNSTARTED}
        return tuple(
            bench.describe(
                bed=self.journal.bed(name, elapsed_s),
                offered=chosen.get(name, bench.entry.offered),
                attempt=having.get(name),
            )
            for name, bench in self.benches.items()
        )

    def _housekeeping(self) -> None:
        moment = self._now()
        if moment.elapsed_s < self._next_housekeeping_s:
            return
        self._next_housekeeping_s = moment.elapsed_s + _HOUSEKEEPING_S
        live = self.journal.live()
        self._forget_all_but({attempt.id for attempt in live})
        needed = {attempt.ticket.file for attempt in live}
        for attempt in self.journal.forgettable(moment.at - FORGET_AFTER):
            shutil.rmtree(self._rooms.programs / attempt.id, ignore_errors=True)
            if attempt.ticket.file not in needed:
                self._files.forget(attempt.ticket.file)
            self.journal.forget(attempt.id)
        for kept in self._rooms.cache.glob("*"):
            if moment.at.timestamp() - kept.stat().st_mtime > CACHE_KEPT_S:
                shutil.rmtree(kept, ignore_errors=True)

    def _forget_all_but(self, live: set[str]) -> None:
        claims, memory = self._claims, self._memory
        for gone in {*claims.live, *claims.not_before_s, *memory.crashes} - live:
            self._drop(gone)
        memory.asked &= live

    async def leave(self) -> None:
        """Before the agent ends: nothing new, and what cannot go on alone is stopped safely."""
        self._leaving = True
        moving = [bench for bench in self.benches.values() if bench.run and not bench.outlives]
        for bench in moving:
            try:
                await bench.ask(lambda run: run.stop("the agent was stopped"))
            except BridgeError as error:
                _log.warning("stop not taken", machine=bench.id, why=str(error))
        try:
            async with asyncio.timeout(STOP_PATIENCE_S):
                for bench in moving:
                    await bench.free()
                await self._owed.settled()
        except TimeoutError:
            _log.warning("a machine did not stop in time")
