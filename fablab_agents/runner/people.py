"""What people at the machines may say and ask, each with the reason when it cannot be now.

A stop works whatever the disk does; nobody's word starts what was not granted.
"""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from typing import Final, Literal

import structlog

from fablab_agents import policy
from fablab_agents.book import UNSTARTED, Attempt
from fablab_agents.journal import Journal, JournalBroken
from fablab_agents.machines import Bench
from fablab_agents.protocol.attempts import Actor, State
from fablab_agents.protocol.messages import Condition
from fablab_agents.reconciler import View, against_mark, against_not_started, first_in_line
from firmware_bridge.driver import ByPerson, Homes, Jogs, Picture, Sees, Word
from firmware_bridge.errors import BridgeError

ATTESTED: Final = (State.FINISHED, State.FAILED, State.INTERRUPTED, State.NOT_STARTED)
Axis = Literal["X", "Y", "Z"]
_log = structlog.get_logger()


@contextlib.contextmanager
def _told(what: str, **facts: object) -> Generator[None]:
    """Logged when it is done, and as not done when it is not."""
    try:
        yield
    except BridgeError as error:
        _log.warning(f"not {what}", why=str(error), **facts)
        raise
    _log.info(what, **facts)


class NotNow(Exception):
    """What a person asked at the console cannot be done now; the text says why."""


class People:
    def __init__(
        self,
        journal: Journal,
        bench: Callable[[str], Bench | None],
        view: Callable[[], View],
        wake: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._find_bench = bench
        self._view = view
        self._wake = wake

    def bed_clear(self, machine: str, person: str) -> None:
        bench, view = self._bench(machine), self._view()
        why = against_mark(view.desks[machine])
        if bench.run is not None or why:
            raise NotNow(why or f"{machine} is running")
        self._journal.put_mark(machine, person, view.moment)
        _log.info("bed clear", machine=machine, person=person)
        self._wake()

    def start(self, machine: str, person: str, attempt: str | None = None) -> None:
        """Mill and laser: the stock is clamped, the bed is clear, I start it now."""
        self._bench(machine)
        view = self._view()
        first, desk = first_in_line(view, machine), view.desks[machine]
        if not desk.attended:
            raise NotNow(f"{machine} starts by itself once its bed is clear")
        if first is None or first.state not in UNSTARTED:
            raise NotNow(f"nothing waits for a start on {machine}")
        if attempt not in (None, first.id):
            raise NotNow(f"attempt {attempt} is no longer the next one; look again")
        if desk.condition is not Condition.IDLE:
            raise NotNow(f"{machine} is {desk.condition}")
        if not view.connected:
            raise NotNow("the network is away, and it was not granted yet")
        self._journal.put_mark(machine, person, view.moment, attempt=first.id)
        _log.info("start pressed", machine=machine, person=person, attempt=first.id)
        self._wake()

    async def stop(self, machine: str, person: str, why: str) -> None:
        bench = self._bench(machine)
        if bench.doing is None:
            raise NotNow(f"nothing of ours runs on {machine}")
        said = f"by {person} at the machine: {why or 'no reason given'}"
        try:
            self._journal.wish_stop(bench.doing.attempt, said)
        except JournalBroken as error:
            _log.warning("a stop that the journal does not keep", why=str(error))
        await bench.ask(lambda run: run.stop(said))

    async def pause(self, machine: str, person: str) -> None:
        await self._bench(machine).ask(lambda run: run.pause())
        _log.info("pause pressed", machine=machine, person=person)

    async def resume(self, machine: str, person: str) -> None:
        await self._bench(machine).ask(lambda run: run.resume())
        _log.info("resume pressed", machine=machine, person=person)

    async def tell(self, machine: str, person: str, word: Word, note: str) -> None:
        """Of a machine that only people reach: what a person did there, or saw."""
        run = self._bench(machine).run
        if not isinstance(run, ByPerson):
            raise NotNow(f"nothing on {machine} waits for a person's word")
        await asyncio.to_thread(run.tell, word, person, note)
        _log.info("told by a person", machine=machine, person=person, word=word)

    async def home(self, machine: str, person: str) -> None:
        """It moves to its switches; the person says that nothing and nobody is in the way."""
        bench = self._movable(machine)
        driver = bench.can(Homes)
        if driver is None:
            raise NotNow(f"{machine} cannot home from here")
        with _told("homed by a person", machine=machine, person=person):
            await bench.moved(driver.home, f"{person} homes it")

    async def jog(self, machine: str, person: str, axis: Axis, mm: float) -> None:
        """One small move for set-up."""
        bench = self._movable(machine)
        driver = bench.can(Jogs)
        if driver is None:
            raise NotNow(f"{machine} cannot be moved from here")
        number = "XYZ".index(axis)
        by_mm = (mm if number == 0 else 0, mm if number == 1 else 0, mm if number == 2 else 0)
        with _told("jogged by a person", machine=machine, person=person, axis=axis, mm=mm):
            await bench.moved(lambda: driver.jog(by_mm, bench.travel(number)), f"{person} moves it")

    async def stop_jog(self, machine: str) -> None:
        """Of a move for set-up alone: what stops a jog would break a job and let it run on."""
        bench = self._bench(machine)
        driver = bench.can(Jogs)
        if driver is None or not bench.sets_up:
            raise NotNow(f"nobody moves {machine} from here")
        await asyncio.to_thread(driver.stop_jog)

    def _movable(self, machine: str) -> Bench:
        bench, view = self._bench(machine), self._view()
        why = policy.against_moving(bench.entry, needs_homing=bench.needs_homing)
        if why:
            raise NotNow(why)
        begun = [
            each
            for each in view.attempts
            if each.machine == machine and (each.state not in UNSTARTED or each.id in view.grants)
        ]
        if begun:
            raise NotNow(f"{machine} has attempt {begun[0].id}, which is {begun[0].state}")
        return bench

    async def picture(self, machine: str) -> Picture:
        """What the machine's camera sees now, if the shop shows it."""
        bench = self._bench(machine)
        driver = bench.can(Sees)
        if driver is None or not bench.entry.camera:
            raise NotNow(f"no camera of {machine} is shown; that is camera = true in agent.toml")
        return await asyncio.to_thread(driver.snapshot)

    def handed_out(self, machine: str) -> Attempt:
        """The attempt whose file is handed out at this machine now."""
        bench = self._bench(machine)
        if bench.doing is None or not isinstance(bench.run, ByPerson):
            raise NotNow(f"nothing is handed out for {machine}")
        return self._attempt(bench.doing.attempt)

    def attest(self, name: str, person: str, outcome: State, evidence: str) -> None:
        """What became of an attempt that nobody knew of, with the evidence in words."""
        attempt, view = self._attempt(name), self._view()
        if attempt.state is not State.UNKNOWN or name in view.busy:
            raise NotNow(f"attempt {name} is {attempt.state}; it waits for nobody's word")
        if outcome not in ATTESTED:
            raise NotNow(f"an attempt is attested {', '.join(ATTESTED)}; not {outcome}")
        if not evidence.strip():
            raise NotNow("say what you saw: that is the evidence")
        if outcome is State.NOT_STARTED and (why := against_not_started(view, attempt)):
            raise NotNow(why)
        self._journal.move(
            name,
            outcome,
            Actor.PERSON,
            view.moment,
            cause=evidence,
            person=person,
            evidence={"attested": True},
        )
        self._wake()

    def accept(self, name: str, person: str) -> None:
        self._unstarted(name)
        self._move(name, State.ACCEPTED, f"by {person}")

    def refuse(self, name: str, person: str, why: str) -> None:
        """Send an offer away, as long as it has not started."""
        staged = self._unstarted(name).state in {State.STAGED, State.CLAIMED}
        to = State.WITHDRAWN if staged else State.REFUSED
        self._move(name, to, f"by {person}: {why or 'no reason given'}")

    def offer(self, machine: str, *, offered: bool) -> None:
        """Whether the network may ask for this machine: the shop's choice, kept over restarts."""
        self._bench(machine)
        self._journal.put_offered(machine, offered)
        self._wake()

    def _move(self, name: str, to: State, cause: str) -> None:
        self._journal.move(name, to, Actor.AGENT, self._view().moment, cause=cause)
        self._wake()

    def _unstarted(self, name: str) -> Attempt:
        attempt = self._attempt(name)
        if attempt.state not in UNSTARTED or name in self._view().grants:
            raise NotNow(f"attempt {name} is {attempt.state}")
        return attempt

    def _attempt(self, name: str) -> Attempt:
        attempt = self._journal.find(name)
        if attempt is None:
            raise NotNow(f"there is no attempt {name}")
        return attempt

    def _bench(self, machine: str) -> Bench:
        bench = self._find_bench(machine)
        if bench is None:
            raise NotNow(f"this lab has no machine {machine}")
        return bench
