"""What people at the machines may say and ask, each with the reason when it cannot be now.

A stop works whatever the disk does; nobody's word starts what was not granted.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from fablab_agents.journal import Attempt, Journal, JournalBroken
from fablab_agents.machines import Bench
from fablab_agents.protocol.attempts import Actor, State
from fablab_agents.protocol.messages import Condition
from fablab_agents.reconciler import UNSTARTED, View, first_in_line
from firmware_bridge.driver import ByPerson, Word

ATTESTED: Final = (State.FINISHED, State.FAILED, State.INTERRUPTED, State.NOT_STARTED)
_log = structlog.get_logger()


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
        bench = self._bench(machine)
        if bench.run is not None or bench.condition in (Condition.RUNNING, Condition.PAUSED):
            raise NotNow(f"{machine} is running")
        self._journal.put_mark(machine, person, self._view().moment)
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

    def handed_out(self, machine: str) -> Attempt:
        """The attempt whose file is handed out at this machine now."""
        bench = self._bench(machine)
        if bench.doing is None or not isinstance(bench.run, ByPerson):
            raise NotNow(f"nothing is handed out for {machine}")
        return self._attempt(bench.doing.attempt)

    def attest(self, name: str, person: str, outcome: State, evidence: str) -> None:
        """What became of an attempt that nobody knew of, with the evidence in words."""
        attempt = self._attempt(name)
        if attempt.state is not State.UNKNOWN or name in self._view().busy:
            raise NotNow(f"attempt {name} is {attempt.state}; it waits for nobody's word")
        if outcome not in ATTESTED:
            raise NotNow(f"an attempt is attested {', '.join(ATTESTED)}; not {outcome}")
        if not evidence.strip():
            raise NotNow("say what you saw: that is the evidence")
        self._journal.move(
            name,
            outcome,
            Actor.PERSON,
            self._view().moment,
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
        staged = self._unstarted(name).state is State.STAGED
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
