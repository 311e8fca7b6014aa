"""The orchestrator: two replicas on one store, in memory, with dispatch's own decisions.

A transaction is whole or not at all, as the store promises with its one writer at a time; between
the commit and the answer a replica may die.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from bench.dst.physical import Ledger
from bench.dst.world import Alarm, Broker, World
from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import LIVE, State
from fablab_agents.protocol.messages import Denied, Down, DownAck, Granted, Offer, Up, Welcome
from fablab_agents.protocol.tickets import BadEnvelope, Grant, Recipe, Ticket
from orchestrator.dispatch import decide
from orchestrator.dispatch.decide import Effect, Moved, Noted, Recorded, Told
from orchestrator.dispatch.model import FREE, OFFER_LIFE, ForJob, Known
from orchestrator.labs import model as labs
from orchestrator.labs.model import Session
from orchestrator.orders import model as orders
from orchestrator.orders.model import JobState

Said = Up | messages.Presence
Durable = messages.Offer | messages.Withdraw | messages.Stop
_AGAIN_AFTER_S: Final = 10.0
_FILE: Final = "f" * 64
_COLUMNS: Final = frozenset(Known.__dataclass_fields__)
PROCESS: Final = {"printer": "3d_printing_fdm", "mill": "cnc_milling"}


@dataclass
class Job:
    id: str
    kind: str
    state: JobState = JobState.WANTED
    attempt: str | None = None
    fence: int = 0
    tries: int = 0
    avoid: set[str] = field(default_factory=set[str])
    cancelled_why: str = ""


@dataclass
class Agent:
    session: Session = Session.ENROLLED
    boot: str = ""
    heard_at: datetime | None = None
    machines: dict[str, messages.Machine] = field(default_factory=dict[str, messages.Machine])
    down_head: int = 0
    down_acked: int = 0
    up_acked: int = 0


@dataclass
class Tables:
    """All that the database holds."""

    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    attempts: dict[str, Known] = field(default_factory=dict[str, Known])
    job_of: dict[str, str] = field(default_factory=dict[str, str])
    live: dict[str, str] = field(default_factory=dict[str, str])
    """The unique index: at most one live attempt per job."""
    agents: dict[str, Agent] = field(default_factory=dict[str, Agent])
    outbox: dict[tuple[str, int], Durable] = field(default_factory=dict[tuple[str, int], Durable])
    sent_s: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])
    inbox: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    attempts_made: int = 0


class City:
    def __init__(
        self, world: World, ledger: Ledger, broker: Broker, kinds: Mapping[str, str]
    ) -> None:
        self.world, self.ledger, self.broker = world, ledger, broker
        self.tables = Tables()
        self.kinds = kinds
        """`agent/machine` → printer or mill."""
        self.shops: dict[str, Any] = {}
        self._signed: dict[str, bytes] = {}
        self._pause_s = 2.0
        self._looks = Alarm(world, self._round)
        self.surprises: list[str] = []

    # ── keys

    def sign(self, what: Ticket | Grant) -> str:
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
        row = self.tables.agents.get(agent)
        if row is None or row.session is Session.RETIRED:
            return
        reply = self._answer(agent, row, said)
        if reply is not None and not self.world.happens(0.03):
            self._tell(agent, reply)
        if not isinstance(said, messages.UpAck):
            self._wake()

    def _answer(self, agent: str, row: Agent, said: Said) -> Down | None:
        match said:
            case messages.Presence():
                return self._present(agent, row, said)
            case messages.Hello():
                return self._hello(agent, row, said)
            case messages.Machines():
                self._heard(row, said.boot)
                row.machines = {m.machine: m for m in said.machines}
            case messages.Report():
                return self._report(agent, row, said)
            case messages.Claim():
                return self._claim(agent, said)
            case messages.UpAck(seq=seq):
                row.down_acked = max(row.down_acked, min(seq, row.down_head))
        return None

    def _heard(self, row: Agent, boot: str) -> None:
        row.boot, row.heard_at, row.session = boot, self.world.at, Session.ONLINE

    def _present(self, agent: str, row: Agent, said: messages.Presence) -> Welcome | None:
        if not said.online:
            if row.session is Session.ONLINE and said.boot == row.boot:
                row.session = Session.SILENT
            return None
        if row.session is Session.ONLINE and row.boot == said.boot:
            return None
        self._heard(row, said.boot)
        self._send_again(agent, row)
        return Welcome(boot=said.boot, acked_up=row.up_acked)

    def _hello(self, agent: str, row: Agent, said: messages.Hello) -> Welcome:
        row.down_head = max(row.down_head, said.acked_down)
        row.down_acked = said.acked_down
        self._heard(row, said.boot)
        row.machines = {m.machine: m for m in said.machines}
        if said.head_seq == row.up_acked:
            listed = frozenset(status.attempt for status in said.attempts)
            live = [k for k in self._live() if k.agent == agent]
            self._perform(decide.missed(live, listed, row.down_acked, self.world.at))
        self._send_again(agent, row)
        return Welcome(boot=said.boot, acked_up=row.up_acked)

    def _report(self, agent: str, row: Agent, said: messages.Report) -> DownAck | Welcome:
        if said.seq > row.up_acked + 1:
            return Welcome(boot=said.boot, acked_up=row.up_acked)
        if said.seq == row.up_acked + 1:
            if (agent, said.seq) in self.tables.inbox:
                raise AssertionError("the inbox has this number already")
            self.tables.inbox.add((agent, said.seq))
            row.up_acked = said.seq
            self._heard(row, said.boot)
            known = self.tables.attempts.get(said.attempt)
            self._perform(decide.reported(known, agent, said, self.world.at))
        return DownAck(seq=max(1, row.up_acked))

    def _claim(self, agent: str, said: messages.Claim) -> Granted | Denied | None:
        known = self.tables.attempts.get(said.attempt)
        attended = known is None or self.kinds[f"{known.agent}/{known.machine}"] == "mill"
        reply, effects = decide.claimed(
            known, agent, said, self.world.at, attended=attended, sign=self.sign
        )
        self._perform(effects)
        return reply

    # ── effects

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Noted(name, values):
                    self._set(name, values)
                case Moved(name, values, meaning):
                    self.world.tell("city:", name, values["state"])
                    self._set(name, values)
                    if meaning is not None:
                        self._end_job(name, meaning)
                case Told(agent, _, message):
                    self._put(agent, message)
                case Recorded(kind, subject, words):
                    if kind in {"attempt.surprise", "attempt.stray"}:
                        self.surprises.append(f"{kind} {subject} {dict(words)}")
                        self.world.tell("city:", kind, subject, dict(words))

    def _set(self, name: str, values: Mapping[str, Any]) -> None:
        known = self.tables.attempts[name]
        kept = {column: value for column, value in values.items() if column in _COLUMNS}
        fresh = copy.copy(known)
        for column, value in kept.items():
            object.__setattr__(fresh, column, value)
        self.tables.attempts[name] = fresh

    def _put(self, agent: str, message: Callable[[int], Durable]) -> int:
        row = self.tables.agents[agent]
        row.down_head += 1
        key = (agent, row.down_head)
        assert key not in self.tables.outbox
        self.tables.outbox[key] = message(row.down_head)
        return row.down_head

    def _end_job(self, name: str, meaning: ForJob) -> None:
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
            job.avoid.add(f"{known.agent}/{known.machine}")
        self._move(job, orders.after_failure(job.tries))
        job.attempt = None

    def _move(self, job: Job, to: JobState) -> None:
        job.state = orders.move_job(job.state, to)
        self.world.tell("city: job", job.id, to)

    # ── what it does by itself

    def want(self, job: str, kind: str) -> None:
        self.tables.jobs[job] = Job(job, kind)
        self._wake()

    def _wake(self) -> None:
        self._looks.within(0.02)

    def _round(self) -> None:
        self._silence()
        self._plan_and_offer()
        self._send()
        self._looks.within(self._pause_s)
        self._pause_s = min(60.0, self._pause_s * 2)

    def _silence(self) -> None:
        now = self.world.at
        for row in self.tables.agents.values():
            row.session = labs.after_silence(row.session, row.heard_at, now)
        for known in self._live():
            if known.state is State.UNKNOWN:
                continue
            session = self.tables.agents[known.agent].session
            away = session in {Session.AWAY, Session.RETIRED}
            online = session is Session.ONLINE
            self._perform(decide.unheard(known, now, online=online, away=away))

    def _plan_and_offer(self) -> None:
        tables = self.tables
        for job in tables.jobs.values():
            if job.state is not JobState.WANTED:
                continue
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
        if row.session is not Session.ONLINE or machine is None or not machine.offered:
            return False
        return machine.condition not in {"offline", "fault"}

    def _offer(self, job: Job, place: str) -> None:
        tables, now = self.tables, self.world.at
        agent, machine = place.split("/")
        tables.attempts_made += 1
        name = f"a{tables.attempts_made}-{self.world.chance.getrandbits(20):05x}"
        job.fence, job.tries, job.attempt = job.fence + 1, job.tries + 1, name
        self._move(job, JobState.OFFERED)
        if job.id in tables.live:
            raise AssertionError("two live attempts of one job")
        tables.live[job.id] = name
        tables.job_of[name] = job.id
        ticket = Ticket(
            agent=agent, machine=machine, attempt=name, fence=job.fence, issued_at=now,
            jobs=(job.id,), release=_FILE, design="hook", version="1", part="hook", file=_FILE,
            file_bytes=1, format="stl", quantity=1,
            recipe=Recipe(process=PROCESS[job.kind], material="pla"), estimate_s=100,
            not_after=now + OFFER_LIFE,
        )  # fmt: skip
        signed = self.sign(ticket)
        down_seq = self._put(agent, lambda seq: Offer(seq=seq, ticket=signed))
        tables.attempts[name] = Known(
            name, agent, machine, job.fence, State.OFFERED, ticket.not_after, down_seq
        )
        self.world.tell("city: offers", name, "of", job.id, "to", place)

    def _send_again(self, agent: str, row: Agent) -> None:
        for seq in range(row.down_acked + 1, row.down_head + 1):
            self.tables.sent_s.pop((agent, seq), None)

    def _send(self) -> None:
        now_s = self.world.now_s
        for agent, row in self.tables.agents.items():
            if row.session is not Session.ONLINE:
                continue
            for seq in range(row.down_acked + 1, row.down_head + 1):
                key = (agent, seq)
                if key not in self.tables.outbox:
                    continue
                sent_s = self.tables.sent_s.get(key)
                if sent_s is None or now_s - sent_s >= _AGAIN_AFTER_S:
                    self.tables.sent_s[key] = now_s
                    self._tell(agent, self.tables.outbox[key])
                    self._pause_s = min(self._pause_s, _AGAIN_AFTER_S)

    def _tell(self, agent: str, message: Down) -> None:
        self.broker.carry(self.shops[agent].hear, message)

    def _live(self) -> list[Known]:
        return [k for k in self.tables.attempts.values() if k.state in LIVE]

    # ── people

    def maker_gives_up(self) -> None:
        """A maker who is tired of waiting for an attempt that nobody knows of consents."""
        for known in self._live():
            if known.state is State.UNKNOWN and self.world.chance.random() < 0.5:
                job = self.tables.job_of[known.id]
                self.world.tell("maker: consents to a second", job)
                self.ledger.consented.add(job)
                self._perform(decide.given_up(known, "yes", self.world.at))
        self._wake()

    def maker_cancels(self) -> None:
        """As `cancel_order`: only what no machine has begun."""
        for job in self.tables.jobs.values():
            if job.state not in {JobState.WANTED, JobState.PLANNED, JobState.OFFERED}:
                continue
            known = self.tables.attempts.get(job.attempt or "")
            if known is not None and known.state not in FREE:
                continue
            self._move(job, JobState.CANCELLED)
            if known is not None:
                self._perform(decide.stopped(known, "the order was cancelled", self.world.at))
            return

    def operator_withdraws(self) -> None:
        for known in self._live():
            if known.state in FREE:
                self._perform(decide.withdrawn(known, "a better lab", self.world.at))
                self._wake()
                return

    def operator_stops(self) -> None:
        for known in self._live():
            self._perform(decide.stopped(known, "the network wants it", self.world.at))
            self._wake()
            return
