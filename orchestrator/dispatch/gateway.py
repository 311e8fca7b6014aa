"""The orchestrator's own connection to the broker: the outbox goes out, what agents say comes in.

It keeps nothing that must not be lost: all of that is in the database, and every connect begins
by comparing notes. A bad message harms no other.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NoReturn, TypeVar, cast

import aiomqtt
import structlog

from fablab_agents.protocol import messages, topics
from fablab_agents.protocol.messages import (
    Ask,
    BadMessage,
    Claim,
    Down,
    DownAck,
    Hello,
    Machines,
    Presence,
    Progress,
    Recall,
    Report,
    Up,
    UpAck,
    Welcome,
)
from orchestrator.dispatch import access, outbox, service
from orchestrator.dispatch.inbox import Heard, Inbox
from orchestrator.dispatch.signing import Signer
from orchestrator.labs import service as labs
from orchestrator.labs.model import Session
from orchestrator.labs.tables import AgentRow
from orchestrator.store import Store, StoreAway, Unit, rung

_log = structlog.get_logger("gateway")
_BATCH: Final = 100
_AGAIN_AFTER: Final = timedelta(seconds=10)
_GAP_EVERY_S: Final = 2.0
_POLL_S: Final = 2.0
_BREATH_S: Final = 0.05
_COMPLAIN_EVERY_S: Final = 10.0
_PROGRESS_EVERY_S: Final = 1.0
_WAIT_MIN_S, _WAIT_MAX_S = 0.1, 2.0
_READERS: Final[Mapping[str, Callable[[bytes], Up | Progress | Presence]]] = {
    "up": messages.read_up,
    "telemetry": messages.read_progress,
    "presence": messages.read_presence,
}
_PUT_BACK: Final = "if it was put back to an older copy, say so: cosmolocal store restored"
_REFUSED: Final = 0x80  # SUBACK's no, of which the client library says nothing


@dataclass(frozen=True)
class Address:
    """Where the broker is, and the orchestrator's own secret there."""

    host: str
    port: int
    secret: str


@dataclass(frozen=True)
class Said:
    """What an agent said, read."""

    agent: str
    said: Up | Progress | Presence


Reply = tuple[str, Down]
_T = TypeVar("_T")


class Gateway:
    """Run `run` for ever; `connected` says how it stands."""

    def __init__(
        self, store: Store, signer: Signer, address: Address, patience_s: float = 0
    ) -> None:
        """`patience_s`: how long a broker may take to be there at first without a word of it."""
        self.connected = False
        self._patience_s = patience_s
        self._store = store
        self._signer = signer
        self._address = address
        self._inbox = Inbox()
        self._complaints = Complaints()
        self._progress: dict[tuple[str, str], Progress] = {}
        self._gap_told: dict[str, float] = {}

    async def run(self) -> NoReturn:
        """Stay connected; an outage is told once, and its end once."""
        wait_s, told, due = _WAIT_MIN_S, False, time.monotonic() + self._patience_s
        while True:
            try:
                # A task of its own: 3.11's TaskGroup leaves its task marked as being cancelled.
                await asyncio.create_task(self._connect(), name="gateway session")
            except* aiomqtt.MqttError as errors:
                is_late = time.monotonic() >= due
                if self.connected or (is_late and not told):
                    _log.warning("broker away", why=str(errors.exceptions[0]))
                    told = True
            if self.connected:
                wait_s, self.connected = _WAIT_MIN_S, False
            _end_if_told()
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - only jitter
            wait_s = min(_WAIT_MAX_S, wait_s * 2)

    async def _connect(self) -> None:
        async with self._client() as client:
            _end_if_told()
            await self._serve(client)

    def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self._address.host,
            self._address.port,
            username=access.ORCHESTRATOR,
            password=self._address.secret,
            identifier=access.ORCHESTRATOR,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            queue_type=cast(
                "type[asyncio.Queue[aiomqtt.Message]]", lambda maxsize: _Onward(maxsize, self._hear)
            ),
            keepalive=10,
            timeout=10,
        )

    async def _serve(self, client: aiomqtt.Client) -> None:
        # Nobody counts as online until this connection has heard of them.
        await self._patiently(labs.hear_anew)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(client), name="gateway: listen")
            tasks.create_task(self._work(client), name="gateway: work")
            tasks.create_task(self._send(client), name="gateway: send")
            tasks.create_task(self._keep_progress(), name="gateway: progress")
            granted = await client.subscribe([(each, 1) for each in access.HEARD_FILTERS])
            _end_if_told()
            if any(getattr(code, "value", code) == _REFUSED for code in granted):
                raise aiomqtt.MqttError("the broker does not let the orchestrator listen")
            self.connected = True
            _log.info("broker connected", host=self._address.host, port=self._address.port)

    # ── in

    def _hear(self, message: aiomqtt.Message) -> None:
        named = topics.agent_of(str(message.topic))
        if named is None or named[1] not in _READERS or not isinstance(message.payload, bytes):
            return
        if self._inbox.put(Heard(*named, message.payload)):
            self._complaints.add(named[0], "says more than can be read", "its oldest words go")

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Until the connection is gone; what it brings has been heard by then."""
        async for _ in client.messages:
            continue

    async def _work(self, client: aiomqtt.Client) -> None:
        while True:
            batch = list(self._read(await self._inbox.take(_BATCH)))
            for agent, reply in await self._take(batch):
                await self._publish(client, agent, reply.model_dump_json())
            if self._inbox.crowded:
                await asyncio.sleep(_BREATH_S)  # others write to the database, too

    def _read(self, batch: list[Heard]) -> Iterator[Said]:
        """Only what is a message comes to the database at all."""
        for heard in batch:
            try:
                yield Said(heard.agent, _READERS[heard.channel](heard.raw))
            except BadMessage as error:
                why = str(error)[:200]
                self._complaints.add(heard.agent, "not a message of this version", why)

    async def _take(self, batch: list[Said]) -> list[Reply]:
        """Take all of the batch in one transaction, or, if one spoils it, each in its own."""
        if not batch:
            return []
        try:
            taken = await self._patiently(lambda unit: self._take_all(unit, batch))
            return _shortened(taken)
        except Exception:  # noqa: BLE001 - logged in full
            if len(batch) == 1:
                _log.exception("a message could not be taken", agent=batch[0].agent)
                return await self._shelve(batch[0])
            return [reply for each in batch for reply in await self._take([each])]

    async def _shelve(self, heard: Said) -> list[Reply]:
        """A report that nothing can be done with must not hold up those behind it.

        If its words cannot be kept the bare move is. If even that fails, it is not the report that
        is at fault, and nothing is acknowledged: the agent says it again.
        """
        if not isinstance(said := heard.said, Report):
            return []
        for kept in (said, said.bare()):
            try:
                reply = await self._patiently(
                    lambda unit, kept=kept: service.shelve(unit, heard.agent, kept)
                )
            except Exception:  # noqa: BLE001 - logged in full; other labs go on
                _log.exception("a report could not be shelved", agent=heard.agent, seq=said.seq)
            else:
                return [(heard.agent, reply)]
        return []

    async def _take_all(self, unit: Unit, batch: list[Said]) -> list[Reply]:
        replies = [(heard.agent, await self._take_one(unit, heard)) for heard in batch]
        return [(agent, reply) for agent, reply in replies if reply is not None]

    async def _take_one(self, unit: Unit, heard: Said) -> Down | None:
        row = await labs.agent(unit, heard.agent)
        if row is None:
            return None
        match heard.said:
            case Progress() as said:
                self._progress[heard.agent, said.attempt] = said
                return None
            case Presence() as said:
                return await self._present(unit, row, said)
            case said:
                return await self._answer(unit, row, said)

    async def _present(self, unit: Unit, row: AgentRow, said: Presence) -> Down | None:
        """An agent that was there before us is welcomed at once; a new boot says hello first."""
        agent = row.id
        if not said.online:
            await labs.fell_silent(unit, agent, said.boot)
            return None
        if row.session == Session.ONLINE or row.boot != said.boot:
            return None
        if await service.turned_away(unit, agent, said.boot):
            return None
        await labs.heard(unit, agent, said.boot)
        await outbox.send_again(unit, agent)
        return await service.welcome(unit, agent, said.boot)

    async def _answer(self, unit: Unit, row: AgentRow, said: Up) -> Down | None:
        agent = row.id
        if not isinstance(said, Hello) and row.boot != said.boot:
            return self._once(agent, await service.welcome(unit, agent, said.boot))
        match said:
            case Hello():
                welcome = await service.hello(unit, agent, said)
                if welcome is None:
                    self._complaints.add(agent, "is in a later life of this database", _PUT_BACK)
                return welcome
            case Machines():
                await labs.heard(unit, agent, said.boot)
                await labs.machines_said(unit, agent, said.machines)
            case Report():
                return self._once(agent, await service.report(unit, agent, said))
            case Claim():
                return await service.claim(unit, self._signer, agent, said)
            case Recall():
                return await service.recall(unit, self._signer, agent, said)
            case UpAck():
                await outbox.acked(unit, agent, said.seq)
        return None

    def _once(self, agent: str, reply: DownAck | Welcome | Ask) -> Down | None:
        """A gap makes the agent say everything again: ask for that only now and then."""
        if not isinstance(reply, Welcome):
            return reply
        now_s = asyncio.get_running_loop().time()
        if now_s - self._gap_told.get(agent, -_GAP_EVERY_S) < _GAP_EVERY_S:
            return None
        self._gap_told[agent] = now_s
        return reply

    # ── out

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            bell = self._store.bell
            sends = await self._waiting(self._to_send)
            for each in sends:
                await self._publish(client, each.agent, each.body)
            if sends:
                await self._patiently(lambda unit, sends=sends: outbox.sent(unit, sends))
            else:
                await rung(bell, _POLL_S)

    async def _publish(self, client: aiomqtt.Client, agent: str, body: str) -> None:
        await client.publish(topics.down(agent), body, qos=1)
        _end_if_told()

    async def _keep_progress(self) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_EVERY_S)
            if self._progress:
                said = [(agent, each) for (agent, _), each in self._progress.items()]
                self._progress.clear()
                try:
                    await self._patiently(lambda unit, said=said: service.progress(unit, said))
                except Exception:  # noqa: BLE001 - logged in full; telemetry may be lost
                    _log.exception("telemetry was dropped")

    async def _to_send(self) -> Sequence[outbox.Send]:
        async with self._store.view() as unit:
            return await outbox.to_send(unit, unit.now - _AGAIN_AFTER)

    async def _patiently(self, work: Callable[[Unit], Awaitable[_T]]) -> _T:
        return await self._waiting(lambda: self._store.run(work))

    async def _waiting(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Until the database is there: what waits is not lost by waiting."""
        wait_s = _WAIT_MIN_S
        while True:
            try:
                return await work()
            except StoreAway as error:
                if wait_s == _WAIT_MIN_S:
                    _log.warning("messages wait", why=str(error))
                await asyncio.sleep(wait_s)
                wait_s = min(_WAIT_MAX_S, wait_s * 2)


def _end_if_told() -> None:
    """After each wait of the client: 3.11's wait_for may swallow that its task was told to end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class _Onward(asyncio.Queue[aiomqtt.Message]):
    """Hands each message on as it comes: the library's own queue has neither bounds nor turns."""

    def __init__(self, maxsize: int, hear: Callable[[aiomqtt.Message], None]) -> None:
        super().__init__(maxsize)
        self._hear = hear

    def _put(self, item: aiomqtt.Message) -> None:
        self._hear(item)


class Complaints:
    """What an agent does wrong is told at once, and then again now and then: logs fill disks."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}
        self._untold: Counter[tuple[str, str]] = Counter()

    def add(self, agent: str, what: str, why: str) -> None:
        now_s, key = asyncio.get_running_loop().time(), (agent, what)
        if now_s - self._told.get(key, -_COMPLAIN_EVERY_S) < _COMPLAIN_EVERY_S:
            self._untold[key] += 1
            return
        self._told[key] = now_s
        _log.warning(what, agent=agent, why=why, untold=self._untold.pop(key, 0))


def _shortened(replies: list[Reply]) -> list[Reply]:
    """Of several acknowledgements to one agent the last says it all."""
    last = {agent: at for at, (agent, down) in enumerate(replies) if isinstance(down, DownAck)}
    return [
        (agent, down)
        for at, (agent, down) in enumerate(replies)
        if not isinstance(down, DownAck) or last[agent] == at
    ]
