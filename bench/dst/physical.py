"""What really happens at the machines, and the judge who looks at nothing else."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from bench.dst.world import World

RUN_S: Final = (3.0, 50.0)


def piece(job: str) -> str:
    """What a maker wanted, however often it was ordered by mistake."""
    return job.split("-", maxsplit=1)[0]


@dataclass
class Make:
    """One physical run: bytes that moved a machine."""

    attempt: str
    piece: str
    agent: str
    machine: str
    fence: int
    at_s: float
    outcome: Literal["moving", "finished", "scrap"] = "moving"


@dataclass
class Ledger:
    """The account of the physical world, and what was wrong in it."""

    world: World
    makes: list[Make] = field(default_factory=list[Make])
    faults: list[str] = field(default_factory=list[str])
    given_up: set[str] = field(default_factory=set[str])
    """Attempts whose maker accepted that their part may be made a second time."""
    closed: set[str] = field(default_factory=set[str])
    """Those of them of which the orchestrator still knows that."""
    taken_back: dict[str, datetime] = field(default_factory=dict[str, datetime])
    """Attempts that the orchestrator ended or wanted stopped, and when."""
    asked_s: dict[str, float] = field(default_factory=dict[str, float])
    """Nonces of claims, and when they were first asked."""
    granted: set[str] = field(default_factory=set[str])
    """Nonces that the orchestrator answered."""
    cancelled: set[str] = field(default_factory=set[str])
    """Pieces that their makers no longer want."""
    pressed: dict[str, tuple[str | None, datetime]] = field(
        default_factory=dict[str, tuple[str | None, datetime]]
    )
    """`agent/machine` → the attempt that a person there started, and when."""
    retired_at: dict[str, datetime] = field(default_factory=dict[str, datetime])
    """Agents whose word is worth nothing any more, and since when."""

    def wrong(self, what: str) -> None:
        self.world.tell("WRONG:", what)
        self.faults.append(what)

    def consented(self, attempts: list[str]) -> None:
        self.given_up.update(attempts)
        self.closed.update(attempts)

    def retired(self, agent: str) -> None:
        self.retired_at.setdefault(agent, self.world.at)

    def started(self, make: Make, *, occupied: bool, moving: bool) -> None:
        self.world.tell("physical start", make.attempt, "of", make.piece, "on", make.machine)
        if make.attempt in self.closed:
            self.wrong("an attempt started after its maker gave it up")
        if make.piece in self.cancelled:
            self.wrong("a part of a cancelled order was started")
        for earlier in self.makes:
            if earlier.attempt == make.attempt:
                self.wrong("an attempt started twice")
            elif earlier.piece == make.piece and self._counts(earlier):
                self.wrong("a job was started again while its part was good or being made")
        if occupied:
            self.wrong("a start on an occupied bed")
        if moving:
            self.wrong("a start on a machine that moves")
        self.makes.append(make)

    def _counts(self, make: Make) -> bool:
        return make.outcome != "scrap" and make.attempt not in self.given_up

    def good(self) -> Counter[str]:
        return Counter(make.piece for make in self.makes if make.outcome == "finished")

    def twice(self) -> bool:
        """A job has more good parts than its maker agreed to."""
        agreed = Counter(
            make.piece for make in self.makes if make.outcome == "finished" and self._counts(make)
        )
        return any(count > 1 for count in agreed.values())


class Machine:
    """A machine with a body: it moves, its bed fills, somebody may use it by hand.

    A `server` prints on when its host dies and can be asked what became of a file; a `serial` one
    stops with its host.
    """

    def __init__(
        self, world: World, ledger: Ledger, name: str, kind: Literal["serial", "server"]
    ) -> None:
        self.world, self.ledger, self.name, self.kind = world, ledger, name, kind
        self.occupied = False
        self.make: Make | None = None
        self.foreign = False
        self.latest: dict[str, Make] = {}
        self.watched_by: Watcher | None = None
        self.closing = False

    @property
    def moves(self) -> bool:
        return self.make is not None or self.foreign

    def first_byte(self, make: Make, watcher: "Watcher") -> None:
        self.ledger.started(make, occupied=self.occupied, moving=self.moves)
        self.occupied, self.make, self.watched_by = True, make, watcher
        self.latest[make.attempt] = make
        self.world.after(self.world.span(*RUN_S), self._last_line, make)

    def _last_line(self, make: Make) -> None:
        """A serial machine waits for its last line; its host first writes down that it is due."""
        if self.make is not make:
            return
        if self.kind == "server" or (self.watched_by and self.watched_by.may_close(make)):
            self.closing = True
            self.world.after(self.world.between(0.1, 2.0), self._over, make)
        else:
            self.world.after(1.0, self._last_line, make)

    def _over(self, make: Make) -> None:
        if self.make is make:
            good = not self.world.happens(0.08, "scrap")
            self._end(make, "finished" if good else "scrap")

    def _end(self, make: Make, outcome: Literal["finished", "scrap"]) -> None:
        self.world.tell("machine", self.name, make.attempt, outcome)
        make.outcome, self.make, self.closing = outcome, None, False
        watcher, self.watched_by = self.watched_by, None
        if watcher is not None:
            watcher.ended(make)

    def cut(self) -> None:
        """Power, cable or a person's stop: what moves is scrap."""
        if self.make is not None:
            self._end(self.make, "scrap")
        self.foreign = False

    def host_died(self) -> None:
        """What a serial machine has in hand it still makes: nothing more, or the last line."""
        self.watched_by = None
        if self.kind == "serial" and not self.closing:
            self.cut()

    def used_by_hand(self) -> bool:
        """Somebody prints something of their own; the bed is full afterwards."""
        if self.moves:
            return False
        self.world.tell("machine", self.name, "is used by hand")
        self.occupied = self.foreign = True
        self.world.after(self.world.span(10.0, 60.0), self._by_hand_over)
        return True

    def _by_hand_over(self) -> None:
        self.foreign = False

    def cleared(self) -> bool:
        """A person empties the bed of a machine at rest."""
        if self.moves:
            return False
        self.occupied = False
        return True


class Watcher(ABC):
    """Whoever follows a run; told when it is over."""

    @abstractmethod
    def ended(self, make: Make) -> None: ...

    @abstractmethod
    def may_close(self, make: Make) -> bool:
        """The last line is due: True once the journal says that it may be out."""
