"""The agent's end of the wire: compares notes after every connect, reports, claims, listens.

The broker is only a doorbell: whatever it loses, repeats, delays or makes up, nothing starts that
the reconciler would not start, and nothing is lost that the journal holds.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Final

import aiomqtt
import structlog
from pydantic import BaseModel

from fablab_agents.book import Moment
from fablab_agents.journal import Journal, JournalBroken
from fablab_agents.protocol import messages, tickets, topics
from fablab_agents.runner import Runner, clock
from fablab_agents.trust import Identity

KEEPALIVE_S: Final = 10
HELLO_AGAIN_S: Final = 2.0
WELCOME_S: Final = 10.0
UNACKED_S: Final = 5.0
QUIET_S: Final = 20.0
TELEMETRY_S: Final = 1.0
RETRY_MAX_S: Final = 15.0
_REFUSED: Final = 0x80
_log = structlog.get_logger()

Durable = messages.Offer | messages.Withdraw | messages.Stop


class NoAnswer(Exception):
    """The broker takes our messages and the orchestrator says nothing: connect again."""


class Door:
    """Each message from the orchestrator, held against the pinned keys and the journal."""

    def __init__(
        self,
        identity: Identity,
        journal: Journal,
        runner: Runner,
        now: Callable[[], Moment] = clock,
    ) -> None:
        self._agent = identity.agent
        self._verify = identity.verifier()
        self._journal = journal
        self._runner = runner
        self._now = now
        self.gap = False

    def durable(self, message: Durable) -> messages.UpAck | None:
        """Store what must not be lost; the acknowledgement, or None when one before is missing."""
        seen = self._journal.seen_down
        if message.seq > seen + 1:
            _log.warning("a message is missing", got=message.seq, missing=seen + 1)
            self.gap = True
            return None
        if message.seq == seen + 1:
            self.gap = False
            self._store(message)
            self._runner.wake()
        return messages.UpAck(boot=self._journal.boot, seq=max(message.seq, seen))

    def _store(self, message: Durable) -> None:
        match message:
            case messages.Offer():
                self._offer(message)
            case messages.Withdraw(seq=seq, attempt=name, fence=fence, why=why):
                done = self._journal.store_withdrawal(seq, name, fence, why, self._now())
                _log.info("withdrawn" if done else "withdrawn too late", attempt=name, why=why)
            case messages.Stop(seq=seq, attempt=name, fence=fence, why=why):
                self._journal.store_stop(seq, name, fence, why, self._now())
                _log.warning("asked to stop", attempt=name, why=why)

    def _offer(self, message: messages.Offer) -> None:
        try:
            ticket = self._ticket(message.ticket)
        except tickets.BadEnvelope as error:
            _log.warning("an offer that is none", seq=message.seq, why=str(error))
            self._journal.store_seen(message.seq)
            return
        fresh = self._journal.store_offer(message.seq, ticket, message.ticket, self._now())
        _log.info(
            "offered" if fresh else "an old offer",
            attempt=ticket.attempt,
            part=ticket.part,
            machine=ticket.machine,
        )

    def _ticket(self, envelope: str) -> tickets.Ticket:
        ticket = tickets.verify_ticket(envelope, self._verify)
        if ticket.agent != self._agent:
            msg = f"the ticket is for {ticket.agent}"
            raise tickets.BadEnvelope(msg)
        return ticket

    def grant(self, message: messages.Granted) -> None:
        try:
            why = self._runner.granted(tickets.verify_grant(message.grant, self._verify))
        except tickets.BadEnvelope as error:
            why = str(error)
        if why:
            _log.warning("a grant that means nothing here", why=why)


class Uplink:
    """Connects for ever; `Runner.connected` is true while the orchestrator has welcomed us."""

    def __init__(
        self,
        identity: Identity,
        version: str,
        journal: Journal,
        runner: Runner,
        now: Callable[[], Moment] = clock,
    ) -> None:
        self._identity = identity
        self._version = version
        self._journal = journal
        self._runner = runner
        self._now = now
        self._door = Door(identity, journal, runner, now)
        self._out: deque[BaseModel] = deque()
        self._client: aiomqtt.Client | None = None
        self._away_said: str | None = None
        self._forget_session()
        runner.send = self._claim

    def _forget_session(self) -> None:
        self._runner.connected = False
        self._door.gap = False
        self._out.clear()
        self._sent_seq = 0
        self._sent_machines: tuple[messages.Machine, ...] = ()
        self._hello_due = True
        self._waiting_since_s: float | None = None
        self._hello_s = self._heard_s = self._acked_s = self._now().elapsed_s

    async def serve(self) -> None:
        wait_s = 0.5
        while True:
            try:
                # A task of its own: 3.11's TaskGroup leaves its task marked as being cancelled.
                await asyncio.create_task(self._connect(), name="uplink session")
            except* (aiomqtt.MqttError, NoAnswer, JournalBroken) as group:
                self._away(_words(group))
            if _cancelled():
                return
            wait_s = 0.5 if self._runner.connected else min(2 * wait_s, RETRY_MAX_S)
            self._forget_session()
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - only jitter

    async def farewell(self) -> None:
        """Say goodbye in so many words; the broker would say it for us a little later."""
        if self._client is not None:
            try:
                await self._presence(self._client, online=False)
            except aiomqtt.MqttError as error:
                _log.debug("no farewell", why=str(error))

    def _away(self, why: str) -> None:
        """An outage is logged once, its end once."""
        if self._away_said is None:
            _log.warning("the network is away", why=why)
        self._away_said = why
        self._runner.wake()

    # ── a session ───────────────────────────────────────────────────────────────────────────

    async def _connect(self) -> None:
        agent, mqtt = self._identity.agent, self._identity.mqtt
        will = messages.Presence(boot=self._journal.boot, online=False)
        client = aiomqtt.Client(
            mqtt.host,
            mqtt.port,
            identifier=agent,
            username=agent,
            password=self._identity.secret,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            keepalive=KEEPALIVE_S,
            will=aiomqtt.Will(topics.presence(agent), tickets.canonical(will), 1, retain=True),
        )
        async with client:
            self._forget_session()
            await self._listen_to(client, topics.down(agent))
            await self._presence(client, online=True)
            self._client = client
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._hearing(client), name="uplink hearing")
                    tasks.create_task(self._speaking(client), name="uplink speaking")
                    tasks.create_task(self._telling(client), name="uplink telling progress")
                    tasks.create_task(self._watching(), name="uplink watching")
            finally:
                self._client = None

    async def _listen_to(self, client: aiomqtt.Client, topic: str) -> None:
        answers = await client.subscribe(topic, qos=1)
        if any(isinstance(answer, int) and answer >= _REFUSED for answer in answers):
            msg = f"the broker does not let this agent listen to {topic}"
            raise aiomqtt.MqttError(msg)

    async def _presence(self, client: aiomqtt.Client, *, online: bool) -> None:
        said = messages.Presence(boot=self._journal.boot, online=online)
        topic = topics.presence(self._identity.agent)
        await client.publish(topic, tickets.canonical(said), qos=1, retain=True)

    # ── hearing ─────────────────────────────────────────────────────────────────────────────

    async def _hearing(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if message.retain:
                _log.warning("a retained message on down: dropped")
                continue
            try:
                raw = message.payload
                self._hear(messages.read_down(raw if isinstance(raw, bytes) else b""))
            except messages.BadMessage as error:
                _log.warning("a message that is none", why=str(error)[:200])
            except JournalBroken as error:
                # Not acknowledged: it comes again when the disk keeps it.
                _log.warning("a message that could not be kept", why=str(error))

    def _hear(self, message: messages.Down) -> None:
        self._heard_s = self._now().elapsed_s
        match message:
            case messages.Welcome():
                self._welcome(message)
            case messages.Granted():
                self._door.grant(message)
            case messages.Denied():
                self._runner.denied(message)
            case messages.DownAck(seq=seq):
                self._journal.ack_up(min(seq, self._journal.head_seq))
                self._acked_s = self._now().elapsed_s
            case messages.Offer() | messages.Withdraw() | messages.Stop():
                ack = self._door.durable(message)
                if ack is not None:
                    self._out.append(ack)
        self._runner.wake()

    def _welcome(self, message: messages.Welcome) -> None:
        if message.boot != self._journal.boot:
            return
        head = self._journal.head_seq
        self._runner.rolled_back = (
            None
            if message.acked_up <= head
            else (
                f"the orchestrator has {message.acked_up} reports of this agent, its journal holds"
                f" {head}: the disk was restored from an older copy; enrol this agent anew"
            )
        )
        self._journal.ack_up(min(message.acked_up, head))
        self._sent_seq = message.acked_up
        self._waiting_since_s = None
        self._acked_s = self._now().elapsed_s
        self._runner.connected = True
        if self._away_said is not None or self._sent_machines == ():
            _log.info("the orchestrator answers", reports_stored=message.acked_up)
        self._away_said = None

    # ── speaking ────────────────────────────────────────────────────────────────────────────

    def _claim(self, claim: messages.Claim) -> None:
        self._out.append(claim)
        self._runner.changed.set()

    async def _speaking(self, client: aiomqtt.Client) -> None:
        topic = topics.up(self._identity.agent)
        while not _cancelled():
            while not _cancelled() and (said := self._next()) is not None:
                await client.publish(topic, tickets.canonical(said), qos=1)
            await self._runner.changed.wait()
            self._runner.changed.clear()

    def _next(self) -> BaseModel | None:
        """Hello before all else, reports before the claims that stand on them."""
        if self._hello_due:
            return self._hello()
        if not self._runner.connected:
            return None
        for report in self._journal.reports(self._sent_seq, limit=1):
            self._sent_seq = report.seq
            return report
        machines = self._runner.machines()
        if machines != self._sent_machines:
            self._sent_machines = machines
            return messages.Machines(boot=self._journal.boot, machines=machines)
        return self._out.popleft() if self._out else None

    def _hello(self) -> messages.Hello:
        self._hello_due = False
        self._hello_s = self._now().elapsed_s
        if self._waiting_since_s is None:
            self._waiting_since_s = self._hello_s
        attempts = tuple(
            messages.AttemptStatus(attempt=row.id, fence=row.fence, state=row.state)
            for row in self._journal.live()
        )
        return messages.Hello(
            boot=self._journal.boot,
            version=self._version,
            head_seq=self._journal.head_seq,
            acked_down=self._journal.seen_down,
            attempts=attempts,
            machines=self._runner.machines(),
        )

    async def _telling(self, client: aiomqtt.Client) -> None:
        topic = topics.telemetry(self._identity.agent)
        while not _cancelled():
            await asyncio.sleep(TELEMETRY_S)
            for bench in self._runner.benches.values():
                if bench.doing is not None:
                    said = messages.Progress(
                        boot=self._journal.boot,
                        attempt=bench.doing.attempt,
                        machine=bench.id,
                        fraction=min(1.0, max(0.0, bench.doing.fraction)),
                        line=bench.doing.line,
                        temperatures_c=dict(bench.temperatures_c),
                    )
                    await client.publish(topic, tickets.canonical(said), qos=0)

    # ── watching ────────────────────────────────────────────────────────────────────────────

    async def _watching(self) -> None:
        """Says hello again when something was not answered; gives up on a mute connection."""
        while True:
            await asyncio.sleep(1)
            now_s = self._now().elapsed_s
            if self._unanswered(now_s) or self._must_ask(now_s):
                self._hello_due = True
                self._runner.changed.set()

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
        return self._door.gap or unacked or quiet


def _cancelled() -> bool:
    """Whether this task was told to end: the client's waits (3.11's wait_for) may swallow that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _words(group: BaseExceptionGroup[BaseException]) -> str:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first) or type(first).__name__
