"""The agent's session beside a model orchestrator, over a broker that loses, repeats and reorders.

The file is the real journal; the model keeps what an orchestrator keeps: reports in their order,
and what it sent down until that was acknowledged.
"""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pydantic import BaseModel

from fablab_agents.book import Moment
from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import Actor, State
from fablab_agents.protocol.tickets import Ticket, canonical
from fablab_agents.session import NoAnswer, Session, Who
from tests.fablab_agents.conftest import AGENT, make_ticket
from tests.fablab_agents.test_journal import NOW, open_at
from tests.wire import welcome

pytestmark = pytest.mark.timeout(300)
SETTLES = 80
EPOCH = 1


class Shop:
    connected = False
    unwell: str | None = None
    welcomed_s: float | None = None
    asked_anew = 0

    def wake(self) -> None:
        pass

    def granted(self, grant: object) -> str | None:
        return f"nothing here waits for {grant}"

    def denied(self, denied: object) -> None:
        pass

    def ask_anew(self) -> None:
        self.asked_anew += 1

    def machines(self) -> tuple[messages.Machine, ...]:
        return ()


def unstamped(report: messages.Report) -> messages.Report:
    """Without the boot, which is that of whoever tells it."""
    return report.model_copy(update={"boot": "b"})


@dataclass
class City:
    """The other end: it believes what it stored, and repeats what was not acknowledged.

    A boot that comes after the one that spoke for the agent speaks for it when its journal has all
    that is stored.
    """

    boot: str = ""
    turned_away: set[str] = field(default_factory=set[str])
    stored: list[messages.Report] = field(default_factory=list[messages.Report])
    sent: list[messages.Offer] = field(default_factory=list[messages.Offer])
    acked: int = 0

    def hear(self, said: BaseModel) -> list[BaseModel]:
        match said:
            case messages.Hello():
                return self.greet(said)
            case messages.Report() | messages.UpAck() | messages.Claim() if said.boot != self.boot:
                return []
            case messages.Report():
                if said.seq == len(self.stored) + 1:
                    self.stored.append(said)
                elif said.seq <= len(self.stored):
                    assert unstamped(self.stored[said.seq - 1]) == unstamped(said), (
                        "one number, two reports"
                    )
                return [messages.DownAck(seq=len(self.stored))] if self.stored else []
            case messages.UpAck():
                assert said.seq <= len(self.sent), "acknowledged what was never sent"
                self.acked = max(self.acked, said.seq)
            case _:
                pass
        return []

    def greet(self, said: messages.Hello) -> list[BaseModel]:
        stranger = self.boot not in {"", said.boot, *(earlier.boot for earlier in said.boots)}
        if stranger or (said.boot != self.boot and said.began_seq < len(self.stored)):
            self.turned_away.add(said.boot)
            return [self.welcome(said.boot, current=False)]
        self.boot = said.boot
        assert said.epoch in {0, EPOCH}
        if said.epoch == EPOCH:
            assert said.acked_down <= len(self.sent), "acknowledged what was never sent"
            self.acked = max(self.acked, said.acked_down)
        return [self.welcome(said.boot, current=True), *self.sent[self.acked :]]

    def welcome(self, boot: str, *, current: bool) -> messages.Welcome:
        return welcome(
            boot, current=current, epoch=EPOCH, speaks=self.boot or None, acked_up=len(self.stored),
            down_from=0 if current else len(self.sent), at=NOW,
        )  # fmt: skip


class Sessions(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.city = City()
        self.boots, self.elapsed_s = 0, 0.0
        self.up: list[BaseModel] = []
        self.down: list[BaseModel] = []
        self.tickets: list[Ticket] = []
        self.boot()

    def boot(self) -> None:
        self.boots += 1
        self.shop = Shop()
        self.journal = open_at(Path(self.folder.name), f"b{self.boots}")
        who = Who(AGENT, str.encode, "test")
        self.session = Session(who, self.journal, self.shop, lambda: self.moment)
        self.connects()

    def teardown(self) -> None:
        self.all_is_well_again()
        self.journal.close()
        self.folder.cleanup()

    @property
    def moment(self) -> Moment:
        return Moment(NOW, 1000.0 + self.elapsed_s)

    # ── the shop's side ─────────────────────────────────────────────────────────────────────

    @rule()
    def connects(self) -> None:
        """A new connection, with clean sessions: what was on its way down is gone or late."""
        self.session.begin()
        self.greeted = self.told_seq = 0
        self.claimed_at: list[int] = []

    @rule()
    def is_killed(self) -> None:
        self.journal.close()
        self.boot()

    @rule()
    def speaks(self) -> None:
        said = self.session.next()
        if said is None:
            return
        self.up.append(said)
        if isinstance(said, messages.Hello):
            self.greeted += 1
            assert (said.epoch, said.head_seq) == (self.journal.epoch, self.journal.head_seq)
            before = tuple(f"b{number}" for number in range(self.boots - 1, 0, -1))
            assert tuple(each.boot for each in said.boots) == before[: messages.BOOTS_MAX]
            assert {a.attempt for a in said.attempts} == {a.id for a in self.journal.live()}
            return
        assert self.greeted, "hello comes first"
        assert self.shop.connected, "spoke before it was welcomed"
        if isinstance(said, messages.UpAck):
            assert said.seq <= self.journal.seen_down, "acknowledged before it was stored"
        elif isinstance(said, messages.Report):
            assert said.seq == self.told_seq + 1, "out of order or with a gap"
            assert said.boot == self.journal.boot, "told in a former boot's name"
            self.told_seq = said.seq
        elif isinstance(said, messages.Claim):
            assert self.told_seq >= self.claimed_at.pop(0), "claimed before the reports it rests on"

    @precondition(lambda self: self.journal.live())
    @rule(
        which=st.integers(0, 5),
        to=st.sampled_from([State.ACCEPTED, State.REFUSED, State.WITHDRAWN]),
    )
    def moves(self, which: int, to: State) -> None:
        live = self.journal.live()
        row = live[which % len(live)]
        if row.state is State.OFFERED or to is State.WITHDRAWN:
            self.journal.move(row.id, to, Actor.AGENT, self.moment)

    @precondition(lambda self: self.tickets)
    @rule()
    def claims(self) -> None:
        ticket = self.tickets[-1]
        claim = messages.Claim(
            boot=self.journal.boot, attempt=ticket.attempt, fence=ticket.fence,
            machine=ticket.machine, nonce="0" * 32, program="a" * 64,
        )  # fmt: skip
        self.session.say(claim)
        self.claimed_at.append(self.journal.head_seq)

    @rule(seconds=st.sampled_from([0.5, 2.1, 5.1, 20.1]))
    def waits(self, seconds: float) -> None:
        self.elapsed_s += seconds
        try:
            self.session.look()
        except NoAnswer:
            self.connects()

    # ── the city's side ─────────────────────────────────────────────────────────────────────

    @rule(honest=st.booleans())
    def offers(self, honest: bool) -> None:
        """Also what is no ticket: it is stored as read, so that it need not come again."""
        number = len(self.city.sent) + 1
        ticket = make_ticket(attempt=f"a-{number}", jobs=(f"j-{number}",))
        envelope = canonical(ticket).decode() if honest else "{}"
        if honest:
            self.tickets.append(ticket)
        self.city.sent.append(messages.Offer(epoch=EPOCH, seq=number, ticket=envelope))
        self.down.append(self.city.sent[-1])

    # ── the broker ──────────────────────────────────────────────────────────────────────────

    @rule(which=st.integers(0, 30), again=st.booleans())
    def carries_up(self, which: int, again: bool) -> None:
        if self.up:
            at = which % len(self.up)
            said = self.up[at] if again else self.up.pop(at)
            self.down += self.city.hear(said)

    @rule(which=st.integers(0, 30), again=st.booleans())
    def carries_down(self, which: int, again: bool) -> None:
        if self.down:
            at = which % len(self.down)
            self.tell(self.down[at] if again else self.down.pop(at))

    @rule(which=st.integers(0, 30), way=st.booleans())
    def loses(self, which: int, way: bool) -> None:
        wire = self.up if way else self.down
        if wire:
            wire.pop(which % len(wire))

    @rule()
    def all_is_carried(self) -> None:
        """For a moment it does what a broker should."""
        for _ in range(4):
            self.speaks()
            for said in self.up:
                self.down += self.city.hear(said)
            told, self.up, self.down = self.down, [], []
            for message in told:
                self.tell(message)

    @rule()
    def an_offer_is_lost(self) -> None:
        self.all_is_carried()
        self.offers(honest=True)
        self.down.pop()

    def tell(self, message: BaseModel) -> None:
        before, was = self.shop.connected, self.journal.seen_down
        assert isinstance(message, messages.Down)
        self.session.hear(message)
        if isinstance(message, messages.Welcome) and message.boot == self.journal.boot:
            self.told_seq = message.acked_up
            assert self.shop.connected
        else:
            assert self.shop.connected is before, "only a welcome to this boot connects"
        heard = isinstance(message, messages.Offer) and self.journal.epoch == message.epoch
        step = 1 if heard and message.seq == was + 1 else 0
        assert self.journal.seen_down == was + step

    # ── what holds at every moment ──────────────────────────────────────────────────────────

    @invariant()
    def nothing_is_acknowledged_that_is_not_stored(self) -> None:
        assert self.city.acked <= self.journal.seen_down
        assert self.journal.acked_up <= len(self.city.stored) <= self.journal.head_seq

    @invariant()
    def the_city_has_the_journals_reports(self) -> None:
        kept = self.journal.reports(0, len(self.city.stored))
        assert [*map(unstamped, self.city.stored)] == [*map(unstamped, kept)]

    @invariant()
    def the_journal_has_the_citys_offers(self) -> None:
        for offer in self.city.sent:
            kept = self.journal.find(f"a-{offer.seq}") is not None
            assert kept == (offer.seq <= self.journal.seen_down and offer.ticket != "{}")

    @invariant()
    def nobody_is_taken_for_an_older_copy(self) -> None:
        assert self.shop.unwell is None
        assert self.journal.boot not in self.city.turned_away

    # ── and in the end ──────────────────────────────────────────────────────────────────────

    def all_is_well_again(self) -> None:
        """A broker that carries everything: both sides have the same before long."""
        for _ in range(SETTLES):
            while self.up or self.down:
                if self.up:
                    self.down += self.city.hear(self.up.pop(0))
                if self.down:
                    self.tell(self.down.pop(0))
                self.speaks()
            self.waits(1.1)
            self.speaks()
        assert self.shop.connected
        assert self.journal.epoch == EPOCH
        assert self.city.acked == self.journal.seen_down == len(self.city.sent)
        assert self.journal.acked_up == len(self.city.stored) == self.journal.head_seq


def test_in_a_new_epoch_leave_to_start_is_asked_for_anew(tmp_path: Path) -> None:
    """A grant that an older copy of the store forgot is still out (simulation, seed 34092)."""
    shop, journal = Shop(), open_at(tmp_path, "b1")
    who = Who(AGENT, str.encode, "test")
    session = Session(who, journal, shop, lambda: Moment(NOW, 0.0))
    session.hear(welcome("b1", epoch=1))
    before = shop.asked_anew
    session.hear(welcome("b1", epoch=1))
    assert shop.asked_anew == before
    session.hear(welcome("b1", epoch=2))
    assert shop.asked_anew == before + 1
    journal.close()


def test_acknowledgements_that_came_late_do_not_hide_that_reports_are_lost(tmp_path: Path) -> None:
    """The broker lost the second report, and repeats what was said of the first."""
    journal, clock = open_at(tmp_path, "b1"), [0.0]
    session = Session(Who(AGENT, str.encode, "test"), journal, Shop(), lambda: Moment(NOW, *clock))
    session.hear(welcome("b1", epoch=1))
    for seq in (1, 2):
        ticket = make_ticket(attempt=f"a-{seq}", jobs=(f"j-{seq}",))
        journal.store_offer(seq, ticket, "envelope", Moment(NOW, 0.0))
        journal.move(ticket.attempt, State.ACCEPTED, Actor.AGENT, Moment(NOW, 0.0))
    session.hear(messages.DownAck(seq=1))
    for clock[0] in (2.0, 4.0):
        session.hear(messages.DownAck(seq=1))
        assert not session.look()
    clock[0] = 5.5
    session.hear(messages.DownAck(seq=1))
    assert session.look()
    journal.close()


def test_an_answer_from_before_it_took_over_strikes_nothing_out(tmp_path: Path) -> None:
    """A jammed copy of it came before the word that it is welcome (simulation, seed 11993)."""
    journal, shop = open_at(tmp_path, "b3"), Shop()
    session = Session(Who(AGENT, str.encode, "test"), journal, shop, lambda: Moment(NOW, 0.0))
    older = welcome("b3", current=False, epoch=1, speaks="b2", acked_up=1, down_from=1)
    session.hear(older)
    ticket = make_ticket(attempt="a-2", jobs=("j-1",))
    journal.store_offer(2, ticket, "envelope", Moment(NOW, 0.0))
    journal.move("a-2", State.ACCEPTED, Actor.AGENT, Moment(NOW, 0.0))
    session.hear(older)
    assert [(row.id, row.state) for row in journal.live()] == [("a-2", State.ACCEPTED)]
    session.hear(welcome("b3", epoch=1, speaks="b3", acked_up=1, at=NOW))
    session.hear(older)
    assert shop.connected
    assert shop.unwell is None
    session.hear(welcome("b3", current=False, epoch=1, speaks="b4", acked_up=2, down_from=2))
    assert "another computer speaks in this lab's name" in (shop.unwell or "")
    journal.close()


def test_who_is_denied_compares_notes(tmp_path: Path) -> None:
    """What it claims is over there: the message that says so is lost, or waits for a hello."""
    journal, clock = open_at(tmp_path, "b1"), [0.0]
    session = Session(Who(AGENT, str.encode, "test"), journal, Shop(), lambda: Moment(NOW, *clock))
    assert isinstance(session.next(), messages.Hello)
    session.hear(welcome("b1", epoch=journal.epoch or 1))
    while session.next() is not None:
        pass
    clock[0] = 30.0
    session.hear(messages.Denied(attempt="a-1", nonce="1" * 32, why="it is withdrawn"))
    assert isinstance(session.next(), messages.Hello)
    session.hear(messages.Denied(attempt="a-1", nonce="1" * 32, why="it is withdrawn"))
    assert session.next() is None, "once in two seconds"
    journal.close()


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
