"""The orchestrator: two replicas on one store, in memory, with dispatch's own decisions.

A transaction is whole or not at all. Now and then one replica has read long before it commits;
then what the other wrote meanwhile speaks against it, and it loads again and decides anew, as
`store` says. Between the commit and the answer a replica may die.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from bench.dst.physical import Ledger, piece
from bench.dst.store import Agent, Job, Raced, Tables, Transaction
from bench.dst.world import Alarm, Broker, World
from fablab_agents.protocol import messages, tickets
from fablab_agents.protocol.attempts import (
    LIVE,
    MAY_HAVE_STARTED,
    TERMINAL,
    IllegalMove,
    State,
)
from fablab_agents.protocol.messages import (
    Ask,
    Denied,
    Down,
    DownAck,
    Durable,
    Granted,
    Offer,
    Up,
    Welcome,
)
from fablab_agents.protocol.tickets import BadEnvelope, Grant, Recipe, Ticket
from orchestrator.dispatch import decide, notes
from orchestrator.dispatch.decide import Effect, Effects, Moved, Noted, Recorded, Told
from orchestrator.dispatch.model import FREE, OFFER_LIFE, ForJob, Known
from orchestrator.dispatch.notes import Compared
from orchestrator.labs import model as labs
from orchestrator.labs.model import Session
from orchestrator.orders import model as orders
from orchestrator.orders.model import JobState

Said = Up | messages.Presence
T = TypeVar("T")
_OPEN: Final = frozenset({JobState.WANTED, JobState.PLANNED, JobState.OFFERED})
_GAP_EVERY_S: Final = 2.0
_AGAIN_AFTER_S: Final = 10.0
_STALE: Final = 0.06
FILE: Final = "f" * 64
LIAR: Final = "liar"
_COLUMNS: Final = frozenset(Known.__dataclass_fields__)
RECIPES: Final = {
    "printer": Recipe(process="3d_printing_fdm", material="pla"),
    "mill": Recipe(process="cnc_milling", material="pla"),
}


class City:
    def __init__(
        self, world: World, ledger: Ledger, broker: Broker, kinds: Mapping[str, str]
    ) -> None:
        self.world, self.ledger, self.broker = world, ledger, broker
        self.tables = Tables()
        self.kinds = kinds
        """`agent/machine` → printer or mill."""
        self.shops: dict[str, list[Any]] = {}
        self._signed: dict[str, bytes] = {}
        self._pause_s = 2.0
        self._looks = Alarm(world, self._round)
        self._gap_told: dict[str, float] = {}
        self.epochs, self.forgets, self._amid_claim = 1, False, False
        self._forgotten: set[str] = set()
        """Quotes whose order an older copy of the store no longer has."""
        self.surprising: set[str] = set()
        """Attempts that had ended here, of which a person was told that they had started."""

    # ── keys

    def sign(self, what: Ticket | Grant) -> str:
        if isinstance(what, Grant):
            self.ledger.granted.add(what.nonce)
        token = f"s{len(self._signed)}"
        self._signed[token] = what.model_dump_json().encode()
        return token

    def verify(self, envelope: str) -> bytes:
        try:
            return self._signed[envelope]
        except KeyError:
            raise BadEnvelope("not signed by us") from None

    # ── what agents say

    def hear(self, what: tuple[str, Said]) -> None:
        agent, said = what
        self._transact(
            lambda: self._answer(agent, said),
            lambda reply: self._reply(agent, said, reply),
            stale=isinstance(said, messages.Claim) and self._withdraws_amid(said),
        )

    def _withdraws_amid(self, said: messages.Claim) -> bool:
        """One replica reads the claim, the other takes the offer back, then the first commits."""
        if self.world.calm or not self._amid_claim or said.attempt not in self.tables.attempts:
            return False
        self._amid_claim = False
        self.world.after(0.0, self._end, said.attempt, decide.withdrawn)
        return True

    def _reply(self, agent: str, said: Said, reply: Down | None) -> None:
        if reply is not None and not self.world.happens(0.03, "silences"):
            self._tell(agent, reply)
        if not isinstance(said, messages.UpAck):
            self._wake()

    def _answer(self, agent: str, said: Said) -> Down | None:
        row = self.tables.agents.get(agent)
        if row is None or row.retired:
            return None
        if isinstance(said, messages.Presence):
            return self._present(agent, row, said)
        if isinstance(said, messages.Hello):
            return self._hello(agent, row, said)
        if said.boot != row.boot:
            return self._once(agent, self._welcome(row, said.boot))
        match said:
            case messages.Machines():
                self._heard(row)
                row.machines = {m.machine: m for m in said.machines}
            case messages.Report():
                return self._report(agent, row, said)
            case messages.Claim():
                return self._claim(agent, said)
            case messages.Recall():
                self._recalled(agent, row, said)
                return self._welcome(row, said.boot)
            case messages.UpAck(seq=seq):
                row.down_acked = max(row.down_acked, min(seq, row.down_head))
        return None

    def _heard(self, row: Agent) -> None:
        row.heard_at, row.session = self.world.at, Session.ONLINE

    def _present(self, agent: str, row: Agent, said: messages.Presence) -> Welcome | None:
        if said.boot != row.boot:
            return None
        if not said.online:
            if row.session is Session.ONLINE:
                row.session = Session.SILENT
            return None
        if row.session is Session.ONLINE:
            return None
        self._heard(row)
        self._send_again(agent, row)
        return self._welcome(row, said.boot)

    def _hello(self, agent: str, row: Agent, said: messages.Hello) -> Welcome | None:
        if said.epoch > self.tables.epoch:
            row.session = Session.SILENT
            return None
        compared = notes.compare(row.notes, said, self.tables.epoch)
        if compared.current:
            row.keep(compared.notes)
            self._heard(row)
            row.machines = {m.machine: m for m in said.machines}
            self._send_again(agent, row)
        if compared.complete:
            live = [k for k in self._live() if k.agent == agent]
            self._perform(decide.listed(live, said.attempts, row.down_acked, self.world.at))
        return self._welcome(row, said.boot, compared)

    def _welcome(self, row: Agent, boot: str, compared: Compared | None = None) -> Welcome:
        compared = compared or Compared(row.notes, current=boot == row.boot)
        return Welcome(
            boot=boot, current=compared.current, epoch=self.tables.epoch,
            speaks=compared.notes.boot, acked_up=compared.notes.up_acked,
            down_from=compared.down_from, down_back=compared.down_back, at=self.world.at,
        )  # fmt: skip

    def _once(self, agent: str, reply: Welcome) -> Welcome | None:
        """As the gateway: a gap makes an agent say everything again."""
        now_s = self.world.now_s
        if now_s - self._gap_told.get(agent, -_GAP_EVERY_S) < _GAP_EVERY_S:
            return None
        self._gap_told[agent] = now_s
        return reply

    def _report(
        self, agent: str, row: Agent, said: messages.Report
    ) -> DownAck | Welcome | Ask | None:
        up_acked = row.up_acked
        if said.seq > up_acked + 1:
            return self._once(agent, self._welcome(row, said.boot))
        if said.seq == up_acked + 1:
            known = self.tables.attempts.get(said.attempt)
            if known is None and row.strange != said.attempt:
                return Ask(attempt=said.attempt)
            self.tables.inbox[agent, said.seq] = said
            row.up_acked = said.seq
            self._heard(row)
            self._perform(decide.reported(known, agent, said, self.world.at))
        return DownAck(seq=row.up_acked)

    def _claim(self, agent: str, said: messages.Claim) -> Granted | Denied | None:
        if self.missing():
            return None
        known = self.tables.attempts.get(said.attempt)
        attended = known is None or self.kinds[f"{known.agent}/{known.machine}"] == "mill"
        reply, effects = decide.claimed(
            known, agent, said, self.world.at, attended=attended, sign=self.sign
        )
        self._perform(effects)
        return reply

    # ── after the store was put back

    def put_back(self, image: Tables) -> None:
        """As the tool does it: the older copy, and at once its new epoch."""
        self.world.tell("city: the store is put back to an older copy")
        self._forgotten |= self.tables.orders.keys() - image.orders.keys()
        self.tables = image.image()
        last = max(image.epoch, self.epochs)  # nobody puts a store back twice within a second
        self.epochs = self.tables.epoch = messages.next_epoch(last, self.world.at)
        for agent, row in self.tables.agents.items():
            first = max(row.down_acked, row.down_floor) + 1
            untold = [self.tables.outbox.get((agent, n)) for n in range(first, row.down_head + 1)]
            row.down_floor = row.down_head
            for said in (each for each in untold if isinstance(each, messages.Wish)):
                self._put(agent, functools.partial(messages.numbered, said))

    def missing(self) -> bool:
        """Some agent has not told what it remembers: nothing is offered or granted."""
        return any(self._awaited(agent) for agent in self.shops if agent in self.tables.agents)

    def _awaited(self, agent: str) -> bool:
        row = self.tables.agents[agent]
        honest = not row.retired and row.boot != LIAR
        return honest and row.epoch < self.tables.epoch

    def _recalled(self, agent: str, row: Agent, said: messages.Recall) -> None:
        tables, name = self.tables, said.attempt
        if said.ticket is None:
            row.strange = name
            return
        if name in tables.attempts:
            return
        ticket = tickets.verify_ticket(said.ticket, self.verify)
        assert (ticket.agent, ticket.attempt) == (agent, name)
        tables.attempts[name] = Known(
            name, agent, ticket.machine, ticket.fence, State.OFFERED, ticket.not_after, 0,
            said.ticket,
        )  # fmt: skip
        tables.versions[name] = 1
        job = tables.jobs.get(ticket.jobs[0])
        self.world.tell("city: adopts", name, "of", ticket.jobs[0])
        if job is None or job.state not in _OPEN or job.fence >= ticket.fence:
            self._perform(decide.orphaned(tables.attempts[name]))
            return
        if job.attempt is not None:
            self._perform(decide.orphaned(tables.attempts[job.attempt]))
        if job.state is JobState.OFFERED:
            self._move(job, JobState.WANTED)
        if job.state is JobState.WANTED:
            self._move(job, JobState.PLANNED)
        self._move(job, JobState.OFFERED)
        job.attempt, job.fence, job.tries = name, ticket.fence, job.tries + 1
        job.version += 1
        tables.live[job.id] = name
        tables.job_of[name] = job.id

    # ── effects

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Noted(name, values):
                    self._set(name, values)
                case Moved(name, values, meaning):
                    self.world.tell("city:", name, values["state"])
                    if self.tables.attempts[name].state in TERMINAL:
                        self.ledger.wrong("an attempt that had ended was moved")
                    self._set(name, values)
                    self.tables.versions[name] += 1
                    self._after_move(name, values["state"])
                    if meaning is not None:
                        self._end_job(name, meaning)
                case Told(agent, name, message, offers):
                    seq = self._put(agent, message)
                    if offers:
                        self._set(name, {"down_seq": seq})
                case Recorded(kind, subject, words):
                    self._recorded(kind, subject, words)

    def _recorded(self, kind: str, subject: str, words: Mapping[str, Any]) -> None:
        if kind in {"attempt.surprise", "attempt.stray"}:
            self.world.tell("city:", kind, subject, dict(words))
        if words.get("ours") in TERMINAL and words.get("theirs") in MAY_HAVE_STARTED:
            self.surprising.add(subject)

    def _after_move(self, name: str, state: State) -> None:
        """Makers are impatient."""
        if state is State.UNKNOWN and self.world.happens(0.2, "impatience"):
            seconds = 10 ** self.world.between(0.0, 2.0)
            self.world.after(seconds, self.maker_gives_up, name)

    def _set(self, name: str, values: Mapping[str, Any]) -> None:
        known = self.tables.attempts[name]
        kept = {column: value for column, value in values.items() if column in _COLUMNS}
        fresh = object.__new__(Known)
        fresh.__dict__.update(known.__dict__)
        for column, value in kept.items():
            object.__setattr__(fresh, column, value)
        self.tables.attempts[name] = fresh

    def _put(self, agent: str, message: Callable[[int, int], Durable]) -> int:
        row = self.tables.agents[agent]
        row.down_head += 1
        self.tables.outbox[agent, row.down_head] = message(self.tables.epoch, row.down_head)
        return row.down_head

    def _end_job(self, name: str, meaning: ForJob) -> None:
        if name not in self.tables.job_of:
            return
        job = self.tables.jobs[self.tables.job_of[name]]
        if self.tables.live.get(job.id) == name:
            del self.tables.live[job.id]
        if job.state is not JobState.OFFERED or job.attempt != name:
            return
        if meaning is ForJob.MADE:
            self._move(job, JobState.MADE)
            return
        known = self.tables.attempts[name]
        counts = meaning is ForJob.AGAIN
        job.tries = job.tries if counts else max(0, job.tries - 1)
        if meaning is ForJob.AGAIN_ELSEWHERE:
            job.avoid |= {f"{known.agent}/{known.machine}"}
        self._move(job, orders.after_failure(job.tries))
        job.attempt = None

    def _move(self, job: Job, to: JobState) -> None:
        job.state = orders.move_job(job.state, to)
        job.version += 1
        self.world.tell("city: job", job.id, to)

    # ── what it does by itself

    def order(self, quote: str, kind: str) -> None:
        """A maker agrees to a quote; twice to the same is one order, unless it was forgotten."""
        while quote in self._forgotten:
            quote += "x"
        self._transact(lambda: self._place(quote, kind), lambda _: self._wake())

    def _place(self, quote: str, kind: str) -> None:
        if quote in self.tables.orders:
            return
        job = f"{quote}-{len(self.tables.jobs)}"
        self.tables.orders[quote] = job
        self.tables.jobs[job] = Job(job, kind)

    def _wake(self) -> None:
        self._looks.within(0.4)

    def _round(self) -> None:
        self._transact(self._silence, lambda _: None)
        self._transact(self._plan_and_offer, lambda _: self._send())
        self._looks.within(self._pause_s)
        self._pause_s = min(60.0, self._pause_s * 2)

    def _silence(self) -> None:
        now = self.world.at
        for row in self.tables.agents.values():
            row.session = labs.after_silence(row.session, row.heard_at, now)
        for known in self._live():
            if known.state is State.UNKNOWN or self._awaited(known.agent):
                continue
            row = self.tables.agents[known.agent]
            away = row.retired or row.session is Session.AWAY
            online = row.session is Session.ONLINE and not row.retired
            self._perform(decide.unheard(known, now, online=online, away=away))

    def _plan_and_offer(self) -> None:
        tables = self.tables
        wanted = [job for job in tables.jobs.values() if job.state is JobState.WANTED]
        if not wanted or self.missing():
            return
        for job in wanted:
            busy = {f"{k.agent}/{k.machine}" for k in self._live()}
            free = [
                place for place, kind in self.kinds.items()
                if kind == job.kind and place not in busy and place not in job.avoid
                and self._takes(place)
            ]  # fmt: skip
            if free:
                self._move(job, JobState.PLANNED)
                self._offer(job, self.world.chance.choice(free))

    def _takes(self, place: str) -> bool:
        agent, name = place.split("/")
        row = self.tables.agents[agent]
        machine = row.machines.get(name)
        if (
            row.session is not Session.ONLINE
            or row.retired
            or machine is None
            or not machine.offered
        ):
            return False
        return machine.condition not in {"offline", "fault"}

    def _offer(self, job: Job, place: str) -> None:
        tables, now = self.tables, self.world.at
        agent, machine = place.split("/")
        tables.attempts_made += 1
        name = f"a{tables.attempts_made}-{self.world.chance.getrandbits(20):05x}"
        job.fence = orders.next_fence(job.fence, tables.epoch)
        job.tries, job.attempt = job.tries + 1, name
        self._move(job, JobState.OFFERED)
        tables.live[job.id] = name
        tables.job_of[name] = job.id
        ticket = Ticket(
            agent=agent, machine=machine, attempt=name, fence=job.fence, issued_at=now,
            jobs=(job.id,), release=FILE, design="hook", version="1", part="hook", file=FILE,
            file_bytes=1, format="stl", quantity=1,
            recipe=RECIPES[job.kind], estimate_s=100, not_after=now + OFFER_LIFE,
        )  # fmt: skip
        signed = self.sign(ticket)
        down_seq = self._put(agent, lambda epoch, seq: Offer(epoch=epoch, seq=seq, ticket=signed))
        tables.attempts[name] = Known(
            name, agent, machine, job.fence, State.OFFERED, ticket.not_after, down_seq, signed
        )
        tables.versions[name] = 1
        self.world.tell("city: offers", name, "of", job.id, "to", place)

    def _send_again(self, agent: str, row: Agent) -> None:
        for seq in range(row.down_acked + 1, row.down_head + 1):
            self.tables.sent_s.pop((agent, seq), None)

    def _send(self) -> None:
        now_s = self.world.now_s
        for agent, row in self.tables.agents.items():
            if row.session is not Session.ONLINE or row.retired:
                continue
            for seq in range(row.down_acked + 1, row.down_head + 1):
                key = (agent, seq)
                if key not in self.tables.outbox:
                    continue
                self._pause_s = min(self._pause_s, _AGAIN_AFTER_S)
                sent_s = self.tables.sent_s.get(key)
                if sent_s is None or now_s - sent_s >= _AGAIN_AFTER_S:
                    self.tables.sent_s[key] = now_s
                    self._tell(agent, self.tables.outbox[key])

    def _tell(self, agent: str, message: Down) -> None:
        for shop in self.shops[agent]:
            self.broker.carry(shop.hear, message)

    def _live(self) -> list[Known]:
        return [k for k in self.tables.attempts.values() if k.state in LIVE]

    # ── people

    def maker_gives_up(self, name: str | None = None) -> None:
        """A maker is tired of waiting, and consents to a second part."""
        if not self.world.calm and (asked := name or self._any()) is not None:
            self._transact(lambda: self._give_up(asked), self.ledger.consented)

    def _give_up(self, name: str) -> list[str]:
        known = self.tables.attempts[name]
        return [name] if self._allowed(lambda: decide.given_up(known, "yes", self.world.at)) else []

    def _any(self) -> str | None:
        live = self._live()
        return self.world.chance.choice(live).id if live else None

    def maker_cancels(self) -> None:
        self._transact(self._cancel, self.ledger.cancelled.update)

    def _cancel(self) -> list[str]:
        """As `cancel_order`: only what no machine has begun."""
        if self.missing():
            return []
        for job in self.tables.jobs.values():
            if job.state not in {JobState.WANTED, JobState.PLANNED, JobState.OFFERED}:
                continue
            known = self.tables.attempts.get(job.attempt or "")
            if known and known.state not in FREE:
                continue
            self._move(job, JobState.CANCELLED)
            if known is not None:
                self._perform(decide.stopped(known, "the order was cancelled", self.world.at))
            return [piece(job.id)]
        return []

    def operator_retires(self, agent: str) -> None:
        """From now on its word is worth nothing.

        Not where the store is put back: whoever retires a lab that has not told what it remembers
        decides that its parts may be made again.
        """
        if self.forgets:
            return
        self._transact(lambda: self._retire(agent), lambda _: self.ledger.retired(agent))

    def _retire(self, agent: str) -> None:
        self.world.tell("city: retires", agent)
        self.tables.agents[agent].retired = True

    def operator_withdraws_amid_claim(self) -> None:
        self._amid_claim = True

    def operator_withdraws(self) -> None:
        self._end_any(decide.withdrawn)

    def operator_stops(self) -> None:
        self._end_any(decide.stopped)

    def _end_any(self, wish: Callable[[Known, str, datetime], Effects]) -> None:
        if (name := self._any()) is not None:
            self._end(name, wish)

    def _end(self, name: str, wish: Callable[[Known, str, datetime], Effects]) -> None:
        self._transact(lambda: self._ended(name, wish), self._taken_back)

    def _ended(self, name: str, wish: Callable[[Known, str, datetime], Effects]) -> list[str]:
        known = self.tables.attempts[name]
        if self._awaited(known.agent):
            return []
        return [name] if self._allowed(lambda: wish(known, "not any more", self.world.at)) else []

    def _taken_back(self, attempts: list[str]) -> None:
        for name in attempts:
            self.ledger.taken_back.setdefault(name, self.world.at)
        self._wake()

    def _allowed(self, wish: Callable[[], Effects]) -> bool:
        """What people wish is done, or refused to them."""
        try:
            effects = wish()
        except (IllegalMove, decide.NotInDoubt) as error:
            self.world.tell("city: refuses:", error)
            return False
        self._perform(effects)
        return True

    # ── transactions

    def _transact(
        self, work: Callable[[], T], then: Callable[[T], None], *, stale: bool = False
    ) -> None:
        """At once, as with one writer at a time; or read now and written a little later."""
        if not (self.world.happens(_STALE, "races") or stale):
            then(work())
            return
        read, newest = self.tables.image(), self.tables
        self.tables = newest.image()
        try:
            result, wrote = work(), self.tables
        finally:
            self.tables = newest
        self.world.after(
            self.world.between(0.0, 5.0), self._commit, Transaction(read, wrote), work, then,
            result, self.epochs,
        )  # fmt: skip

    def _commit(
        self,
        done: Transaction,
        work: Callable[[], T],
        then: Callable[[T], None],
        result: T,
        begun_in: int,
    ) -> None:
        if begun_in != self.epochs:  # the database was put back, and its replicas began anew
            return
        try:
            done.commit(self.tables)
        except Raced as why:
            self.world.tell("city: raced:", why)
            self._transact(work, then)
        else:
            then(result)
