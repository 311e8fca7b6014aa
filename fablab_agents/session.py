"""What agent and orchestrator say to each other in one connection, without the connection.

It compares notes first, reports before it claims, and takes nothing on trust: whatever the broker
loses, repeats, delays or makes up, nothing starts that the reconciler would not start, and nothing
is lost that the journal holds.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

import structlog
from pydantic import BaseModel

from fablab_agents.book import Moment
from fablab_agents.protocol import messages, tickets
from fablab_agents.protocol.messages import Durable
from fablab_agents.protocol.tickets import Grant, Verifier
from fablab_agents.writer import Writer

HELLO_AGAIN_S: Final = 2.0
WELCOME_S: Final = 10.0
UNACKED_S: Final = 5.0
QUIET_S: Final = 20.0
_log = structlog.get_logger()

_CLOCK_OFF: Final = timedelta(minutes=10)


class NoAnswer(Exception):
    """The broker takes our messages and the orchestrator says nothing: connect again."""


@dataclass(frozen=True)
class Who:
    """Who we are, and whose signature we believe."""

    agent: str
    verify: Verifier
    version: str


class Shop(Protocol):
    """The workshop behind the session."""

    connected: bool
    unwell: str | None
    """Why the network gives it no new work, in words for people; set by the session."""
    welcomed_s: float | None
    """Since when this boot speaks for the agent, and no other; set by the session."""

    def wake(self) -> None: ...
    def granted(self, grant: Grant) -> str | None: ...
    def denied(self, denied: messages.Denied) -> None: ...
    def ask_anew(self) -> None:
        """No claim and no grant of before counts: the store that gave it does not know of it."""

    def machines(self) -> tuple[messages.Machine, ...]: ...


class Door:
    """Each message from the orchestrator, held against the pinned keys and the journal."""

    def __init__(
        self,
        who: Who,
        journal: Writer,
        shop: Shop,
        now: Callable[[], Moment],
    ) -> None:
        self._who = who
        self._journal = journal
        self._shop = shop
        self._now = now
        self.gap = False
        self.unkept = False

    def durable(self, message: Durable) -> messages.UpAck | None:
        """Store what must not be lost; the acknowledgement, or None when one before is missing."""
        if message.epoch != self._journal.epoch:
            return None
        seen = self._journal.seen_down
        if message.seq > seen + 1:
            _log.warning("a message is missing", got=message.seq, missing=seen + 1)
            self.gap = True
            return None
        if message.seq == seen + 1:
            self.gap = False
            self._store(message)
            self._shop.wake()
        return messages.UpAck(boot=self._journal.boot, seq=max(message.seq, seen))

    def _store(self, message: Durable) -> None:
        match message:
            case messages.Offer() | messages.Doubt():
                self._ticketed(message)
            case messages.Withdraw(seq=seq, attempt=name, fence=fence, why=why):
                done = self._journal.store_withdrawal(seq, name, fence, why, self._now())
                _log.info("withdrawn" if done else "withdrawn too late", attempt=name, why=why)
            case messages.Stop(seq=seq, attempt=name, fence=fence, why=why):
                self._journal.store_stop(seq, name, fence, why, self._now())
                _log.warning("asked to stop", attempt=name, why=why)

    def _ticketed(self, message: messages.Offer | messages.Doubt) -> None:
        try:
            ticket = self._ticket(message.ticket)
        except tickets.BadEnvelope as error:
            _log.warning("a ticket that is none", seq=message.seq, why=str(error))
            self._journal.store_seen(message.seq)
            self.unkept = True  # the next hello does not list it, so that it is offered anew
            return
        doubted = isinstance(message, messages.Doubt)
        store = self._journal.store_doubt if doubted else self._journal.store_offer
        fresh = store(message.seq, ticket, message.ticket, self._now())
        _log.info(
            ("in doubt" if doubted else "offered") if fresh else "an old offer",
            attempt=ticket.attempt,
            part=ticket.part,
            machine=ticket.machine,
        )

    def _ticket(self, envelope: str) -> tickets.Ticket:
        ticket = tickets.verify_ticket(envelope, self._who.verify)
        if ticket.agent != self._who.agent:
            msg = f"the ticket is for {ticket.agent}"
            raise tickets.BadEnvelope(msg)
        return ticket

    def grant(self, message: messages.Granted) -> None:
        try:
            why = self._shop.granted(tickets.verify_grant(message.grant, self._who.verify))
        except tickets.BadEnvelope as error:
            why = str(error)
        if why:
            _log.warning("a grant that means nothing here", why=why)


class Session:
    """Told what came and asked what is to be said; `shop.connected` is true once welcomed."""

    def __init__(self, who: Who, journal: Writer, shop: Shop, now: Callable[[], Moment]) -> None:
        self._who = who
        self._journal = journal
        self._shop = shop
        self._now = now
        self._door = Door(who, journal, shop, now)
        self._out: deque[BaseModel] = deque()
        self._welcomed = self._recounting = False
        self.begin()

    def begin(self) -> None:
        """A new connection: what was said in the last one may all be lost."""
        self._shop.connected = False
        self._door.gap = False
        self._out.clear()
        self._sent_seq = 0
        self._sent_machines: tuple[messages.Machine, ...] = ()
        self._hello_due = True
        self._waiting_since_s: float | None = None
        self._hello_s = self._heard_s = self._acked_s = self._now().elapsed_s

    def say(self, claim: messages.Claim) -> None:
        """Worth something only in this connection."""
        self._out.append(claim)

    # ── hearing ─────────────────────────────────────────────────────────────────────────────

    def hear(self, message: messages.Down) -> None:
        self._heard_s = self._now().elapsed_s
        match message:
            case messages.Welcome():
                self._welcome(message)
            case messages.Granted():
                self._door.grant(message)
            case messages.Denied():
                self._shop.denied(message)
                self._differ()
            case messages.DownAck(seq=seq):
                self._acknowledged(seq)
            case messages.Ask(attempt=attempt):
                ticket = self._journal.envelope(attempt)
                boot = self._journal.boot
                self._out.append(messages.Recall(boot=boot, attempt=attempt, ticket=ticket))
            case messages.Offer() | messages.Withdraw() | messages.Stop() | messages.Doubt():
                ack = self._door.durable(message)
                if ack is not None:
                    self._out.append(ack)
        self._shop.wake()

    def _differ(self) -> None:
        """What we claim is not so there: a message to us is lost, so compare notes."""
        if self._now().elapsed_s - self._hello_s > HELLO_AGAIN_S:
            self._hello_due = True

    def _acknowledged(self, seq: int) -> None:
        """One that came late is no sign that what we said since has come."""
        if seq > self._journal.acked_up:
            self._acked_s = self._now().elapsed_s
        self._journal.ack_up(min(seq, self._journal.head_seq))
        if self._recounting and seq >= self._journal.head_seq:
            self._recounting, self._hello_due = False, True

    def _welcome(self, message: messages.Welcome) -> None:
        if message.boot != self._journal.boot or self._not_begun(message.epoch):
            return
        if not message.current and self._has_taken_over(message):
            return
        self._waiting_since_s = None
        if not message.current:
            self._overtaken(message)
            return
        self._shop.unwell = _clock_trouble(self._now(), message)
        self._welcomed = True
        new = self._journal.epoch == 0
        if self._journal.renumber(
            message.epoch, message.acked_up, message.down_from, message.down_back
        ):
            if not new:
                _log.warning("the network counts anew: telling it all again")
            self._shop.ask_anew()
            self._recounting, self._hello_due = True, True
        self._journal.ack_up(min(message.acked_up, self._journal.head_seq))
        self._sent_seq = message.acked_up
        self._acked_s = self._now().elapsed_s
        if not self._shop.connected:
            _log.info("the orchestrator answers", reports_stored=message.acked_up)
        self._shop.connected = True
        if self._shop.welcomed_s is None:
            self._shop.welcomed_s = self._now().elapsed_s

    def _not_begun(self, epoch: int) -> bool:
        """No store can be in it yet; believed, no later epoch of the true one would be news."""
        last = messages.epoch_by(self._now().at + timedelta(days=1))
        if epoch <= max(1, self._journal.epoch, last):
            return False
        self._shop.unwell = (
            "by this computer's clock the network's memory begins in days to come: set it right"
        )
        _log.warning("an epoch of days to come", epoch=epoch)
        return True

    def _has_taken_over(self, message: messages.Welcome) -> bool:
        """It answers what this boot said before it did, and comes late or once more.

        Obeyed again, it would strike out what was accepted since.
        """
        journal = self._journal
        return message.epoch == journal.epoch and messages.goes_on(
            message.speaks, message.acked_up, journal.began_seq, journal.boots
        )

    def _overtaken(self, message: messages.Welcome) -> None:
        """A boot that was never welcome runs on an older copy; one that was has a double."""
        self._shop.connected, self._shop.welcomed_s = False, None
        if self._welcomed:
            self._shop.unwell = (
                "another computer speaks in this lab's name: stop one of them, then start the"
                " agent of the other again"
            )
            return
        _log.warning("this journal is an older copy; going on from what the network remembers")
        self._journal.forget_all(message.speaks, message.acked_up, message.epoch, message.down_from)
        self._hello_due = True

    # ── speaking ────────────────────────────────────────────────────────────────────────────

    def next(self) -> BaseModel | None:
        """Hello before all else, reports before the claims that stand on them."""
        if self._hello_due:
            return self._hello()
        if not self._shop.connected:
            return None
        for report in self._journal.reports(self._sent_seq, limit=1):
            self._sent_seq = report.seq
            return report.model_copy(update={"boot": self._journal.boot})
        machines = self._shop.machines()
        if machines != self._sent_machines:
            self._sent_machines = machines
            return messages.Machines(boot=self._journal.boot, machines=machines)
        return self._out.popleft() if self._out else None

    def _hello(self) -> messages.Hello:
        self._hello_due = self._door.unkept = False
        self._hello_s = self._now().elapsed_s
        if self._waiting_since_s is None:
            self._waiting_since_s = self._hello_s
        attempts = tuple(
            messages.AttemptStatus(attempt=row.id, fence=row.fence, state=row.state)
            for row in self._journal.live()
        )
        return messages.Hello(
            boot=self._journal.boot,
            version=self._who.version,
            epoch=self._journal.epoch,
            boots=self._journal.boots,
            floor_seq=self._journal.floor_seq,
            began_seq=self._journal.began_seq,
            head_seq=self._journal.head_seq,
            acked_up=self._journal.acked_up,
            acked_down=self._journal.seen_down,
            attempts=attempts,
            machines=self._shop.machines(),
        )

    # ── watching ────────────────────────────────────────────────────────────────────────────

    def look(self) -> bool:
        """Once a second: whether to say hello again, something not answered; raises NoAnswer."""
        now_s = self._now().elapsed_s
        due = self._unanswered(now_s) or self._must_ask(now_s)
        self._hello_due = self._hello_due or due
        return due

    def _unanswered(self, now_s: float) -> bool:
        if self._waiting_since_s is None:
            return False
        if now_s - self._waiting_since_s > WELCOME_S:
            raise NoAnswer("the orchestrator does not answer")
        return now_s - self._hello_s > HELLO_AGAIN_S

    def _must_ask(self, now_s: float) -> bool:
        if self._waiting_since_s is not None or now_s - self._hello_s < HELLO_AGAIN_S:
            return False
        if self._journal.head_seq <= self._journal.acked_up:
            self._acked_s = now_s
        unacked, quiet = now_s - self._acked_s > UNACKED_S, now_s - self._heard_s > QUIET_S
        return self._door.gap or self._door.unkept or unacked or quiet


def _clock_trouble(now: Moment, welcome: messages.Welcome) -> str | None:
    off = now.at - welcome.at
    if abs(off) < _CLOCK_OFF:
        return None
    fast, minutes = off > timedelta(0), abs(off) // timedelta(minutes=1)
    return f"this computer's clock is {minutes} min {'fast' if fast else 'slow'}: set it right"
