"""What may be written into the journal, and when: from what it holds to what one commit adds.

Pure: it reads through `Book`, which the journal's file is, and the memory of a simulated shop. What
a function returns is written whole or not at all; where something speaks against it, it raises.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypedDict, Unpack

from fablab_agents.protocol.attempts import (
    LIVE,
    MAY_HAVE_STARTED,
    NEVER_STARTED,
    Actor,
    IllegalMove,
    State,
    move,
)
from fablab_agents.protocol.messages import Bed, ProgramFacts, Report
from fablab_agents.protocol.tickets import Grant, Ticket

BED_MARK_S: Final = 12 * 3600
START_MARK_S: Final = 120
_CAUSE_MAX: Final = 2000
UNSTARTED: Final = frozenset({State.OFFERED, State.ACCEPTED, State.STAGED, State.CLAIMED})
_HAS_THE_MACHINE: Final = LIVE - UNSTARTED
_MAY_BE_MADE: Final = (_HAS_THE_MACHINE | {State.CLAIMED}) - {State.UNKNOWN}
_ROUNDABOUT: Final = frozenset({State.FINISHED, State.INTERRUPTED, State.NOT_STARTED})


class NotReady(Exception):
    """A start that the journal does not allow now; the text says why."""


class Words(TypedDict, total=False):
    """What a report may say besides the move itself."""

    cause: str
    person: str | None
    minutes: float | None
    machine_s: float | None
    evidence: dict[str, str | int | float | bool]


class Moment(NamedTuple):
    """One instant as both clocks tell it; `elapsed_s` never jumps and counts sleep too."""

    at: datetime
    elapsed_s: float


class Attempt(NamedTuple):
    """One row of the journal; `handle` is set once the next byte may reach the machine."""

    id: str
    ticket: Ticket
    machine: str
    fence: int
    state: State
    at: datetime
    program: ProgramFacts | None = None
    program_path: Path | None = None
    nonce: str | None = None
    handle: str | None = None
    stop_why: str | None = None
    started_at: datetime | None = None
    closing: bool = False
    """Its last line may be out: from here on the part may be whole."""


class Mark(NamedTuple):
    """What a person said at a machine: the bed is clear, or "I start this attempt now"."""

    machine: str
    bed: Bed
    attempt: str | None
    person: str
    boot: str
    elapsed_s: float

    def clear(self, boot: str, elapsed_s: float) -> bool:
        age_s = elapsed_s - self.elapsed_s
        return self.bed is Bed.CLEAR and self.boot == boot and 0 <= age_s < BED_MARK_S

    def starts(self, attempt: str, boot: str, elapsed_s: float) -> bool:
        """The person at the machine pressed start for this attempt, less than 120 s ago."""
        fresh = elapsed_s - self.elapsed_s < START_MARK_S
        return self.attempt == attempt and fresh and self.clear(boot, elapsed_s)

    def used(self) -> "Mark":
        return self._replace(bed=Bed.OCCUPIED, attempt=None)


class Book(Protocol):
    """What the journal holds, as far as a decision may ask for it."""

    @property
    @abstractmethod
    def boot(self) -> str: ...
    @property
    @abstractmethod
    def witnessed(self) -> bool:
        """This is the journal as the last boot left it: the computer saw nothing else since."""

    @property
    @abstractmethod
    def epoch(self) -> int: ...
    @property
    @abstractmethod
    def head_seq(self) -> int: ...
    @property
    @abstractmethod
    def seen_down(self) -> int: ...
    @property
    @abstractmethod
    def acked_up(self) -> int: ...
    @abstractmethod
    def live(self) -> tuple[Attempt, ...]: ...
    @abstractmethod
    def find(self, attempt: str) -> Attempt | None: ...
    @abstractmethod
    def floor(self, jobs: Iterable[str]) -> int: ...
    @abstractmethod
    def mark(self, machine: str) -> Mark | None: ...


# ── what a commit is made of ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Seen:
    """The orchestrator's messages are stored down to and with this one."""

    seq: int


@dataclass(frozen=True, slots=True)
class Acked:
    """The orchestrator has stored our reports up to and with this one."""

    seq: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """The orchestrator numbers its messages anew, or counts them from an earlier one."""

    epoch: int
    acked_up: int
    seen_down: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """This journal is the older copy: it is struck out as far as it was live when this boot began.

    What this boot said since stands on old memory too; reports after `seq` go with it.
    """

    after: str | None
    """The boot whose memory is taken over from the orchestrator."""
    seq: int
    epoch: int
    seen_down: int


@dataclass(frozen=True, slots=True)
class Fenced:
    job: str
    fence: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A new attempt, with the signed envelope it came in."""

    attempt: Attempt
    envelope: str


@dataclass(frozen=True, slots=True)
class Changed:
    """An attempt as it stands from now on; its ticket never changes."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Said:
    """A report for the orchestrator; the file gives it the next number."""

    report: Report


@dataclass(frozen=True, slots=True)
class Marked:
    mark: Mark


Entry = Seen | Acked | Epoch | Forgotten | Fenced | Opened | Changed | Said | Marked
Entries = list[Entry]


# ── what the orchestrator says ──────────────────────────────────────────────────────────────


def offered(book: Book, seq: int, ticket: Ticket, envelope: str, moment: Moment) -> Entries:
    """Keep an offer and raise its jobs' fences; a stale or known one is only seen."""
    entries: Entries = [seen(book, seq)]
    if book.find(ticket.attempt) or ticket.fence <= book.floor(ticket.jobs):
        return entries
    entries += _close_older(book, ticket, moment)
    entries += [Fenced(job, ticket.fence) for job in ticket.jobs]
    attempt = Attempt(
        ticket.attempt, ticket, ticket.machine, ticket.fence, State.OFFERED, moment.at
    )
    return [*entries, Opened(attempt, envelope)]


def doubted(book: Book, seq: int, ticket: Ticket, envelope: str, moment: Moment) -> Entries:
    """Keep an attempt that an unknown boot may have begun: a person says what became of it.

    Of one that a machine here has begun only the news was lost: it is told again. One that has not
    started here, or never does, may have started at a second computer of this name.
    """
    entries: Entries = [seen(book, seq)]
    known = book.find(ticket.attempt)
    if known is not None and known.state not in NEVER_STARTED | UNSTARTED:
        return [*entries, _said(book, known, moment)]
    raised = max(ticket.fence, book.floor(ticket.jobs))
    entries += [Fenced(job, raised) for job in ticket.jobs]
    if known is None:
        attempt = Attempt(
            ticket.attempt, ticket, ticket.machine, ticket.fence, State.UNKNOWN, moment.at
        )
        entries.append(Opened(attempt, envelope))
    else:
        attempt = known._replace(state=State.UNKNOWN, at=moment.at)
        entries.append(Changed(attempt))
    why = "this computer's memory is an older copy, and the network had let it start"
    return [*entries, _said(book, attempt, moment, cause=why)]


def withdrawn(book: Book, seq: int, attempt: str, fence: int, why: str, moment: Moment) -> Entries:
    """End an attempt that has not started; one that has, or is unknown here, is left alone."""
    row = _named(book, attempt, fence)
    if row is None or row.state not in UNSTARTED:
        return [seen(book, seq)]
    ended = _moved(book, row, State.WITHDRAWN, Actor.ORCHESTRATOR, moment, cause=why)
    return [seen(book, seq), *ended]


def stop_asked(book: Book, seq: int, attempt: str, fence: int, why: str, moment: Moment) -> Entries:
    """Withdraw what has not started, wish a stop for what has."""
    row = _named(book, attempt, fence)
    if row is None or row.state not in MAY_HAVE_STARTED & LIVE:
        return withdrawn(book, seq, attempt, fence, why, moment)
    return [seen(book, seq), Changed(row._replace(stop_why=why))]


def seen(book: Book, seq: int) -> Seen:
    """A message was read and need not come again; raises IllegalMove where one is missing."""
    if seq != book.seen_down + 1:
        raise IllegalMove(f"message {seq} cannot follow message {book.seen_down}")
    return Seen(seq)


def acked(book: Book, seq: int) -> Entries:
    return [Acked(seq)] if seq > book.acked_up else []


def renumbered(book: Book, epoch: int, acked_up: int, seen_down: int, back: int | None) -> Entries:
    """In its new epoch the orchestrator has this many reports and counts its messages from here.

    Numbers are not signed: where somebody counted us on beyond its last one, we go back to that.
    What it says a second time then is known by its attempt and changes nothing.
    """
    if epoch > book.epoch:
        return [Epoch(epoch, acked_up, seen_down)]
    if back is not None and epoch == book.epoch and book.seen_down > back:
        return [Epoch(epoch, book.acked_up, back)]
    return []


def woken(book: Book, moment: Moment) -> Entries:
    """A new boot: after the computer was off nobody can say that this is no older copy.

    Then what it does not say of what was claimed or begun may have happened. Said at once and
    whole, for the next boot is witnessed by this one.
    """
    if book.witnessed:
        return []
    why = "the computer was off meanwhile: look at what is on the machine"
    return [
        entry
        for row in book.live()
        if row.state in _MAY_BE_MADE
        for entry in _moved(book, row, State.UNKNOWN, Actor.AGENT, moment, cause=why)
    ]


# ── moves ───────────────────────────────────────────────────────────────────────────────────


def moved(
    book: Book, attempt: str, to: State, by: Actor, moment: Moment, **words: Unpack[Words]
) -> Entries:
    """One move by the shared table; raises IllegalMove."""
    return list(_moved(book, must(book, attempt), to, by, moment, **words))


def ended(book: Book, attempt: str, to: State, moment: Moment, **words: Unpack[Words]) -> Entries:
    """The run is over, said once; where the table has no direct way it is unknown first."""
    row, entries = must(book, attempt), list[Entry]()
    if row.state is to:
        return []
    if row.state is State.STARTING and to in _ROUNDABOUT:
        cause = words.get("cause", "")
        entries += _moved(book, row, State.UNKNOWN, Actor.AGENT, moment, cause=cause)
        row = row._replace(state=State.UNKNOWN)
    return [*entries, *_moved(book, row, to, Actor.AGENT, moment, **words)]


def runs(book: Book, attempt: str, moment: Moment, *, resumed: bool) -> Entries:
    """The machine moves: said once, and again after a pause."""
    state = _state(book, attempt)
    begins = state in (State.STARTING, State.UNKNOWN) and not resumed
    if begins or (resumed and state in (State.PAUSED, State.UNKNOWN)):
        return moved(book, attempt, State.RUNNING, Actor.AGENT, moment)
    return []


def pauses(book: Book, attempt: str, by: str, moment: Moment) -> Entries:
    """A pause before the first line was taken changes nothing: it is still starting."""
    if _state(book, attempt) not in (State.RUNNING, State.UNKNOWN):
        return []
    return moved(book, attempt, State.PAUSED, Actor.AGENT, moment, cause=f"paused by {by}")


def left_behind(attempt: Attempt) -> tuple[State, str] | None:
    """What an attempt of an earlier boot has come to when its machine has no run of ours."""
    if attempt.state is State.UNKNOWN:
        return None
    if attempt.handle is None:
        return State.NOT_STARTED, "the agent was ended before the first byte could leave"
    if attempt.closing:
        return State.UNKNOWN, "the agent was ended after the last line: is the part whole?"
    if attempt.state in (State.RUNNING, State.PAUSED):
        return State.INTERRUPTED, "the agent was restarted while the machine was moving"
    if attempt.state is State.STARTING:
        why = "the agent was ended between its intent and the first recorded line"
        return State.UNKNOWN, why
    return None


def claimed(book: Book, attempt: str, moment: Moment) -> Entries:
    """Before it is claimed, once: from this commit on a grant may be out."""
    row = must(book, attempt)
    if row.state is State.CLAIMED:
        return []
    return list(_moved(book, row, State.CLAIMED, Actor.AGENT, moment))


def prepared(book: Book, attempt: str, facts: ProgramFacts, path: Path) -> Entries:
    row = must(book, attempt)
    if row.state is not State.ACCEPTED:
        raise IllegalMove(f"attempt {attempt} no longer waits for a program")
    return [Changed(row._replace(program=facts, program_path=path))]


def begun(book: Book, attempt: str, grant: Grant, moment: Moment, *, attended: bool) -> Entries:
    """The intent: granted and starting in one commit, which uses up the person's mark.

    After it the machine may move, once. Raises NotReady when anything speaks against it.
    """
    row = must(book, attempt)
    mark = _mark_for(book, row, moment, attended=attended)
    granted = _granted(row, grant, started_at=moment.at)
    return list(_moved(book, granted, State.STARTING, Actor.AGENT, moment, person=mark.person))


def armed(book: Book, attempt: str, handle: str) -> Entries:
    """From this commit on a byte may have reached the machine."""
    return [Changed(must(book, attempt)._replace(handle=handle))]


def closed(book: Book, attempt: str) -> Entries:
    """From this commit on the machine may have the last line, and the part may be whole."""
    return [Changed(must(book, attempt)._replace(closing=True))]


def unused(book: Book, attempt: str, grant: Grant, why: str, moment: Moment) -> Entries:
    """A grant was given and is not used: this attempt never starts."""
    row = _granted(must(book, attempt), grant)
    return list(_moved(book, row, State.NOT_STARTED, Actor.AGENT, moment, cause=why))


# ── what people say ─────────────────────────────────────────────────────────────────────────


def marked_clear(
    book: Book, machine: str, person: str, moment: Moment, attempt: str | None = None
) -> Entries:
    """A person at the machine: its bed is clear, and perhaps "I start this attempt now"."""
    return [Marked(Mark(machine, Bed.CLEAR, attempt, person, book.boot, moment.elapsed_s))]


def mark_voided(book: Book, machine: str) -> Entries:
    """An alarm or a stranger's job: a clear bed is no longer known to be clear."""
    mark = book.mark(machine)
    if mark is None or mark.bed is not Bed.CLEAR:
        return []
    return [Marked(mark._replace(bed=Bed.UNKNOWN))]


def stop_wished(book: Book, attempt: str, why: str) -> Entries:
    return [Changed(must(book, attempt)._replace(stop_why=why))]


# ── inside ──────────────────────────────────────────────────────────────────────────────────


def must(book: Book, attempt: str) -> Attempt:
    found = book.find(attempt)
    if found is None:
        raise IllegalMove(f"there is no attempt {attempt} in the journal")
    return found


def _state(book: Book, attempt: str) -> State | None:
    row = book.find(attempt)
    return row.state if row else None


def _named(book: Book, attempt: str, fence: int) -> Attempt | None:
    row = book.find(attempt)
    return row if row is not None and row.fence == fence else None


def _close_older(book: Book, ticket: Ticket, moment: Moment) -> Iterator[Entry]:
    """A newer fence ends the unstarted attempts of the same jobs."""
    why = f"attempt {ticket.attempt} with a newer fence took its place"
    for row in book.live():
        if row.state not in MAY_HAVE_STARTED and set(row.ticket.jobs) & set(ticket.jobs):
            yield from _moved(book, row, State.WITHDRAWN, Actor.AGENT, moment, cause=why)


def _granted(row: Attempt, grant: Grant, started_at: datetime | None = None) -> Attempt:
    state = move(row.state, State.GRANTED, Actor.ORCHESTRATOR)
    return row._replace(state=state, nonce=grant.nonce, started_at=started_at)


def _mark_for(book: Book, row: Attempt, moment: Moment, *, attended: bool) -> Mark:
    """The person's mark that this start uses up; raises NotReady."""
    mark = book.mark(row.machine)
    if row.nonce is not None or row.started_at is not None:
        raise NotReady("this attempt was granted before")
    if row.fence < book.floor(row.ticket.jobs):
        raise NotReady("a newer attempt closed this one's fence")
    for other in book.live():
        taken = other.machine == row.machine and other.state in _HAS_THE_MACHINE
        if taken and other.id != row.id:
            raise NotReady(f"attempt {other.id} on this machine has not ended")
    if mark is None or not mark.clear(book.boot, moment.elapsed_s):
        raise NotReady("nobody said that the bed is clear")
    if attended and not mark.starts(row.id, book.boot, moment.elapsed_s):
        raise NotReady("nobody at the machine started it in the last two minutes")
    return mark


def _moved(
    book: Book, row: Attempt, to: State, by: Actor, moment: Moment, **words: Unpack[Words]
) -> Iterator[Entry]:
    state = move(row.state, to, by)
    yield Changed(row._replace(state=state, at=moment.at))
    mark = book.mark(row.machine)
    if by is Actor.AGENT and state in MAY_HAVE_STARTED and mark and mark.bed is Bed.CLEAR:
        # A mark that was put between the intent and the first byte saw another bed.
        yield Marked(mark.used())
    yield _said(book, row._replace(state=state), moment, **words)


def _said(book: Book, row: Attempt, moment: Moment, **words: Unpack[Words]) -> Said:
    words["cause"] = words.get("cause", "")[:_CAUSE_MAX]
    return Said(
        Report(
            boot=book.boot, seq=1, attempt=row.id, fence=row.fence, state=row.state, at=moment.at,
            program=row.program if row.state is State.STAGED else None, **words,
        )
    )  # fmt: skip
