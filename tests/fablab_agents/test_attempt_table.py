"""Anything in any order: the journal's file and a book in memory beside a plain model of the rules.

The model knows the words of ARCHITECTURE.md and nothing of the code but the table of moves.
"""

import contextlib
import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bench.dst.memory import MemoryBook
from fablab_agents.book import Moment, NotReady
from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import NEVER_STARTED, Actor, IllegalMove, State, may_move
from fablab_agents.protocol.tickets import Ticket, canonical
from fablab_agents.session import Door, Who
from fablab_agents.writer import Writer
from tests.fablab_agents.conftest import AGENT, make_ticket
from tests.fablab_agents.test_journal import NOW, PROGRAM, grant_of, open_at

pytestmark = pytest.mark.timeout(300)
UNSTARTED = {State.OFFERED, State.ACCEPTED, State.STAGED, State.CLAIMED}
STARTED = {State.STARTING, State.RUNNING, State.PAUSED, State.UNKNOWN}
MAY_BE_MADE = {State.CLAIMED, State.STARTING, State.RUNNING, State.PAUSED}
BODIES = {State.FINISHED, State.FAILED, State.INTERRUPTED}
ROUNDABOUT = {State.FINISHED, State.INTERRUPTED, State.NOT_STARTED}
EPOCH = 1
LASERS = ("laser-1", "laser-2")
BED_S, START_S = 12 * 3600.0, 120.0


@dataclass
class Row:
    ticket: Ticket
    state: State = State.OFFERED
    granted: bool = False
    program: bool = False
    stop: str | None = None
    told: list[State] = field(default_factory=list[State])


@dataclass
class Mark:
    at_s: float
    attempt: str | None


@dataclass
class Model:
    """What a journal holds; copied when the disk is."""

    seen: int = 0
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    floors: dict[str, int] = field(default_factory=dict[str, int])
    said: list[tuple[str, State]] = field(default_factory=list[tuple[str, State]])


@dataclass
class Disk:
    """An image of all that was on it."""

    folder: Path
    memory: dict[str, Any]
    model: Model


class Shop:
    """What the door asks of the workshop: here nobody is in."""

    connected = False
    unwell: str | None = None
    welcomed_s: float | None = None

    def wake(self) -> None:
        pass

    def granted(self, grant: object) -> str | None:
        raise AssertionError(grant)

    def denied(self, denied: object) -> None:
        raise AssertionError(denied)

    def ask_anew(self) -> None:
        pass

    def machines(self) -> tuple[messages.Machine, ...]:
        return ()


class AttemptTable(RuleBasedStateMachine):
    which = st.integers(0, 7)

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.boots, self.elapsed_s, self.nonces = 0, 0.0, 0
        self.memory = MemoryBook(lambda: None)
        self.sent: list[messages.Durable] = []
        self.tickets: list[Ticket] = []
        self.model = Model()
        self.marks: dict[str, Mark] = {}
        self.image: Disk | None = None
        self.boot(witnessed=False)
        for book in self.books:
            assert book.renumber(EPOCH, 0, 0, None)

    @property
    def place(self) -> Path:
        return Path(self.folder.name) / "disk"

    @property
    def rows(self) -> dict[str, Row]:
        return self.model.rows

    def boot(self, *, witnessed: bool) -> None:
        """A person's word dies with the boot; without a witness what was claimed is in doubt."""
        self.boots, self.witnessed = self.boots + 1, witnessed
        boot = f"b{self.boots}"
        self.journal = open_at(self.place, boot)
        self.memory.open(boot, Moment(NOW, 0.0))
        self.marks.clear()
        for name, row in self.rows.items():
            if row.state in MAY_BE_MADE and not witnessed:
                self.became(name, State.UNKNOWN)
        who = Who(AGENT, str.encode, "test")
        self.books: tuple[Writer, ...] = (self.journal, self.memory)
        self.doors = [Door(who, book, Shop(), lambda: self.moment) for book in self.books]

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()

    @property
    def moment(self) -> Moment:
        return Moment(NOW, 1000.0 + self.elapsed_s)

    # ── both books and the model ────────────────────────────────────────────────────────────

    def both(self, do: Callable[[Writer], object], *, may: bool) -> None:
        """Both books do it where the model says so, and neither does where it says no."""
        for book in self.books:
            try:
                do(book)
            except (IllegalMove, NotReady):
                assert not may, "refused what the rules allow"
            else:
                assert may, "did what the rules forbid"

    def became(self, name: str, to: State, by: Actor = Actor.AGENT) -> None:
        row = self.rows[name]
        row.state = to
        self.model.said.append((name, to))
        if by is Actor.AGENT and to in STARTED | BODIES:
            self.marks.pop(row.ticket.machine, None)

    def some(self, which: int) -> str:
        return list(self.rows)[which % len(self.rows)]

    def there(self) -> bool:
        return bool(self.rows)

    # ── the orchestrator, through a broker that repeats and reorders ────────────────────────

    @rule(
        new=st.booleans(),
        job=st.integers(1, 2),
        fence=st.integers(1, 5),
        at=st.sampled_from(LASERS),
        doubt=st.sampled_from([False, False, False, True]),
    )
    def offer(self, new: bool, job: int, fence: int, at: str, doubt: bool) -> None:
        if new or not self.tickets:
            self.tickets.append(make_ticket(fence=fence, jobs=(f"j-{job}",), machine=at))
        ticket = self.tickets[(job + fence) % len(self.tickets)]
        seq = len(self.sent) + 1
        what = messages.Doubt if doubt else messages.Offer
        self.sent.append(what(epoch=EPOCH, seq=seq, ticket=canonical(ticket).decode()))

    @rule(
        what=st.sampled_from([messages.Withdraw, messages.Stop]),
        which=which,
        fence=st.integers(1, 5),
    )
    def take_back(
        self, what: type[messages.Withdraw | messages.Stop], which: int, fence: int
    ) -> None:
        if self.tickets:
            ticket = self.tickets[which % len(self.tickets)]
            right = ticket.fence if which % 3 else fence
            seq = len(self.sent) + 1
            self.sent.append(
                what(epoch=EPOCH, seq=seq, attempt=ticket.attempt, fence=right, why="x")
            )

    @precondition(lambda self: self.model.seen < len(self.sent))
    @rule()
    def arrives(self) -> None:
        self.deliver(self.model.seen)

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 40))
    def arrives_again_or_early(self, which: int) -> None:
        self.deliver(which % len(self.sent))

    def deliver(self, at: int) -> None:
        message = self.sent[at]
        if message.seq == self.model.seen + 1:
            self.model.seen += 1
            self.kept(message)
        wanted = None if message.seq > self.model.seen else self.model.seen
        for door in self.doors:
            ack = door.durable(message)
            assert (ack.seq if ack else None) == wanted

    @rule(which=st.integers(0, 40), epoch=st.sampled_from([EPOCH - 1, EPOCH + 1]))
    def arrives_from_another_epoch(self, which: int, epoch: int) -> None:
        seq = which % (self.model.seen + 2) + 1
        stray = messages.Stop(epoch=1, seq=seq, attempt="a", fence=1, why="x")
        for door in self.doors:
            assert door.durable(stray.model_copy(update={"epoch": epoch})) is None

    def kept(self, message: messages.Durable) -> None:
        if isinstance(message, messages.Offer | messages.Doubt):
            said = next(t for t in self.tickets if canonical(t).decode() == message.ticket)
            take = self.taken_up if isinstance(message, messages.Offer) else self.in_doubt
            take(said)
            return
        row = self.rows.get(message.attempt)
        if row is None or row.ticket.fence != message.fence:
            return
        if row.state in UNSTARTED:
            self.became(message.attempt, State.WITHDRAWN, Actor.ORCHESTRATOR)
        elif row.state in STARTED and isinstance(message, messages.Stop):
            row.stop = "x"

    def taken_up(self, ticket: Ticket) -> None:
        [job] = ticket.jobs
        if ticket.attempt in self.rows or ticket.fence <= self.model.floors.get(job, 0):
            return
        for name, row in self.rows.items():
            if row.state in UNSTARTED and row.ticket.jobs == ticket.jobs:
                self.became(name, State.WITHDRAWN)
        self.model.floors[job] = ticket.fence
        self.rows[ticket.attempt] = Row(ticket)

    def in_doubt(self, ticket: Ticket) -> None:
        """One that was begun here is told again; any other may have been begun elsewhere."""
        [job] = ticket.jobs
        row = self.rows.get(ticket.attempt)
        if row is None or row.state in NEVER_STARTED:
            self.model.floors[job] = max(ticket.fence, self.model.floors.get(job, 0))
            row = self.rows.setdefault(ticket.attempt, Row(ticket))
            row.state, row.granted = State.UNKNOWN, False
        self.model.said.append((ticket.attempt, self.rows[ticket.attempt].state))

    # ── the agent and the people ────────────────────────────────────────────────────────────

    @precondition(there)
    @rule(which=which, to=st.sampled_from(State), by=st.sampled_from(Actor))
    def moves(self, which: int, to: State, by: Actor) -> None:
        name = self.some(which)
        if to not in (State.GRANTED, State.STARTING):
            may = may_move(self.rows[name].state, to, by)
            self.both(lambda book: book.move(name, to, by, self.moment), may=may)
            if may:
                self.became(name, to, by)

    @precondition(there)
    @rule(which=which)
    def stages(self, which: int) -> None:
        """The usual way, as far as it goes."""
        name = self.some(which)
        self.moves(which, State.ACCEPTED, Actor.AGENT)
        may = self.rows[name].state is State.ACCEPTED
        self.both(lambda book: book.keep_program(name, PROGRAM, Path("p")), may=may)
        self.moves(which, State.STAGED, Actor.AGENT)

    @precondition(there)
    @rule(which=which)
    def claims(self, which: int) -> None:
        """Written down before it is asked, and once however often it is asked."""
        name = self.some(which)
        state = self.rows[name].state
        may = state in {State.STAGED, State.CLAIMED}
        self.both(lambda book: book.claim(name, self.moment), may=may)
        if state is State.STAGED:
            self.became(name, State.CLAIMED)

    @precondition(there)
    @rule(which=which, start=st.booleans())
    def clears(self, which: int, start: bool) -> None:
        name = self.some(which)
        attempt, machine = name if start else None, self.rows[name].ticket.machine
        self.both(lambda b: b.put_mark(machine, "Ana", self.moment, attempt), may=True)
        self.marks[machine] = Mark(self.elapsed_s, attempt)

    @precondition(there)
    @rule(which=which, attended=st.booleans())
    def begins(self, which: int, attended: bool) -> None:
        name = self.some(which)
        row = self.rows[name]
        self.nonces += 1
        grant = grant_of(row.ticket, f"{self.nonces:032x}", self.journal.boot)
        may = self.may_begin(name, row, attended=attended)
        self.both(lambda b: b.begin(name, grant, self.moment, attended=attended), may=may)
        if may:
            row.granted = True
            self.became(name, State.STARTING)

    @precondition(there)
    @rule(which=which, attended=st.booleans())
    def starts_the_usual_way(self, which: int, attended: bool) -> None:
        self.stages(which)
        self.claims(which)
        self.clears(which, attended)
        self.begins(which, attended)

    @precondition(lambda self: self.tickets)
    @rule(what=st.sampled_from([messages.Withdraw, messages.Stop]), which=which)
    def takes_back_at_once(self, what: type[messages.Withdraw | messages.Stop], which: int) -> None:
        self.take_back(what, 3 * which + 1, 1)
        self.all_arrives()

    def all_arrives(self) -> None:
        while self.model.seen < len(self.sent):
            self.deliver(self.model.seen)

    def may_begin(self, name: str, row: Row, *, attended: bool) -> bool:
        mark, machine = self.marks.get(row.ticket.machine), row.ticket.machine
        age_s = self.elapsed_s - mark.at_s if mark else BED_S
        free = not any(
            other.ticket.machine == machine and other.state in STARTED
            for each, other in self.rows.items()
            if each != name
        )
        pressed = mark is not None and mark.attempt == name and age_s < START_S
        return (
            row.state is State.CLAIMED
            and row.ticket.fence >= self.model.floors[row.ticket.jobs[0]]
            and free
            and age_s < BED_S
            and (pressed or not attended)
        )

    @precondition(there)
    @rule(which=which)
    def leaves_unused(self, which: int) -> None:
        name = self.some(which)
        self.nonces += 1
        grant = grant_of(self.rows[name].ticket, f"{self.nonces:032x}", self.journal.boot)
        may = self.rows[name].state is State.CLAIMED
        self.both(lambda book: book.tombstone(name, grant, "late", self.moment), may=may)
        if may:
            self.became(name, State.NOT_STARTED)

    @precondition(there)
    @rule(which=which, to=st.sampled_from(sorted(BODIES | {State.UNKNOWN, State.NOT_STARTED})))
    def ends(self, which: int, to: State) -> None:
        name = self.some(which)
        state = self.rows[name].state
        about = state is State.STARTING and to in ROUNDABOUT
        may = state is to or about or may_move(state, to, Actor.AGENT)
        self.both(lambda book: book.end(name, to, self.moment), may=may)
        if may and about:
            self.became(name, State.UNKNOWN)
        if may and state is not to:
            self.became(name, to)

    # ── the world ───────────────────────────────────────────────────────────────────────────

    @rule(seconds=st.sampled_from([1.0, 119.0, 130.0, 13 * 3600.0]))
    def waits(self, seconds: float) -> None:
        self.elapsed_s += seconds

    @rule(machine=st.sampled_from(LASERS))
    def alarms(self, machine: str) -> None:
        self.both(lambda book: book.void_mark(machine), may=True)
        self.marks.pop(machine, None)

    @rule()
    def is_killed(self) -> None:
        """Nothing is said, nothing is flushed; the computer stays on."""
        self.dies()
        self.boot(witnessed=True)

    def dies(self) -> None:
        with contextlib.closing(self.journal._db):
            pass

    @rule()
    def loses_power(self) -> None:
        """What the computer saw of the journal is gone; what was synced is not."""
        self.dies()
        self.journal._witness._path.unlink()
        self.memory.witness = None
        self.boot(witnessed=False)

    @rule(at=st.sampled_from(LASERS))
    def loses_power_while_it_claims(self, at: str) -> None:
        self.all_arrives()
        ticket = make_ticket(fence=self.model.floors.get("j-3", 0) + 1, jobs=("j-3",), machine=at)
        self.tickets.append(ticket)
        seq = len(self.sent) + 1
        self.sent.append(messages.Offer(epoch=EPOCH, seq=seq, ticket=canonical(ticket).decode()))
        self.all_arrives()
        self.stages(len(self.rows) - 1)
        self.claims(len(self.rows) - 1)
        self.loses_power()

    @rule()
    def is_copied(self) -> None:
        """The disk, between two boots."""
        self.dies()
        folder = Path(self.folder.name) / f"image-{self.boots}"
        shutil.copytree(self.place, folder)
        self.image = Disk(folder, self.memory.image(), copy.deepcopy(self.model))
        self.boot(witnessed=True)

    @precondition(lambda self: self.image)
    @rule()
    def is_put_back(self) -> None:
        """The computer stays on, and has seen more than this disk holds."""
        assert self.image is not None
        self.dies()
        shutil.rmtree(self.place)
        shutil.copytree(self.image.folder, self.place)
        self.memory.put_back(self.image.memory)
        self.model = copy.deepcopy(self.image.model)
        self.boot(witnessed=False)

    # ── what holds at every moment ──────────────────────────────────────────────────────────

    @invariant()
    def every_attempt_is_where_the_model_has_it(self) -> None:
        for book in self.books:
            for name, row in self.rows.items():
                found = book.find(name)
                assert found is not None
                assert (found.state, found.stop_why) == (row.state, row.stop)
                assert found.nonce is not None or not row.granted
            ends = {State.REFUSED, State.WITHDRAWN, State.NOT_STARTED, State.SUPERSEDED} | BODIES
            live = [name for name, row in self.rows.items() if row.state not in ends]
            assert [attempt.id for attempt in book.live()] == live

    @invariant()
    def numbers_and_fences_are_the_models(self) -> None:
        for book in self.books:
            assert (book.epoch, book.seen_down) == (EPOCH, self.model.seen)
            assert book.witnessed is self.witnessed
            for job in ("j-1", "j-2", "j-3"):
                assert book.floor([job]) == self.model.floors.get(job, 0)

    @invariant()
    def each_move_was_said_once_and_in_order(self) -> None:
        for book in self.books:
            told = book.reports(0, limit=10_000)
            assert [report.seq for report in told] == list(range(1, len(told) + 1))
            assert [(report.attempt, report.state) for report in told] == self.model.said

    @invariant()
    def no_machine_was_begun_for_two(self) -> None:
        """Of what is only in doubt there may be more."""
        rows = [row for row in self.rows.values() if row.granted and row.state in STARTED]
        having = [row.ticket.machine for row in rows]
        assert len(having) == len(set(having))


TestAttemptTable = AttemptTable.TestCase
TestAttemptTable.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
