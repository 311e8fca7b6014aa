"""The agent's end of the wire: connects for ever, and carries what `session` says and hears.

The broker is only a doorbell; nothing that matters lives in a connection.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

import aiomqtt
import structlog

from fablab_agents.book import Moment
from fablab_agents.journal import Journal, JournalBroken
from fablab_agents.protocol import messages, tickets, topics
from fablab_agents.runner import Runner, clock
from fablab_agents.session import NoAnswer, Session, Who
from fablab_agents.trust import Pinned

KEEPALIVE_S: Final = 10
TELEMETRY_S: Final = 1.0
RETRY_MAX_S: Final = 8.0
_REFUSED: Final = 0x80
_log = structlog.get_logger()


class Uplink:
    """Connects for ever; `Runner.connected` is true while the orchestrator has welcomed us."""

    def __init__(
        self,
        pinned: Pinned,
        version: str,
        journal: Journal,
        runner: Runner,
        now: Callable[[], Moment] = clock,
    ) -> None:
        self._identity = identity = pinned.identity
        self._journal = journal
        self._runner = runner
        who = Who(identity.agent, pinned.verify, version)
        self._session = Session(who, journal, runner, now)
        self._client: aiomqtt.Client | None = None
        self._away_said: str | None = None
        runner.send = self._claim

    async def serve(self) -> None:
        wait_s = 0.5
        while True:
            try:
                # A task of its own: 3.11's TaskGroup leaves its task marked as being cancelled.
                await asyncio.create_task(self._connect(), name="uplink session")
            except* (aiomqtt.MqttError, NoAnswer, JournalBroken) as group:
                self._away(_words(group))
            except* Exception as group:  # noqa: BLE001 - logged in full; the next one begins anew
                _log.exception("the connection broke off; connecting again", exc_info=group)
                self._away(_words(group))
            if _cancelled():
                return
            wait_s = 0.5 if self._runner.connected else min(2 * wait_s, RETRY_MAX_S)
            self._session.begin()
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
            _end_if_told()
            self._session.begin()
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
        _end_if_told()
        if any(isinstance(answer, int) and answer >= _REFUSED for answer in answers):
            msg = f"the broker does not let this agent listen to {topic}"
            raise aiomqtt.MqttError(msg)

    async def _presence(self, client: aiomqtt.Client, *, online: bool) -> None:
        said = messages.Presence(boot=self._journal.boot, online=online)
        topic = topics.presence(self._identity.agent)
        await client.publish(topic, tickets.canonical(said), qos=1, retain=True)
        _end_if_told()

    # ── hearing ─────────────────────────────────────────────────────────────────────────────

    async def _hearing(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if message.retain:
                _log.warning("a retained message on down: dropped")
                continue
            try:
                raw = message.payload
                self._session.hear(messages.read_down(raw if isinstance(raw, bytes) else b""))
                self._away_said = None if self._runner.connected else self._away_said
            except messages.BadMessage as error:
                _log.warning("a message that is none", why=str(error)[:200])
            except JournalBroken as error:
                # Not acknowledged: it comes again when the disk keeps it.
                _log.warning("a message that could not be kept", why=str(error))

    # ── speaking ────────────────────────────────────────────────────────────────────────────

    def _claim(self, claim: messages.Claim) -> None:
        self._session.say(claim)
        self._runner.changed.set()

    async def _speaking(self, client: aiomqtt.Client) -> None:
        topic = topics.up(self._identity.agent)
        while True:
            while (said := self._session.next()) is not None:
                await client.publish(topic, tickets.canonical(said), qos=1)
                _end_if_told()
            await self._runner.changed.wait()
            self._runner.changed.clear()

    async def _telling(self, client: aiomqtt.Client) -> None:
        topic = topics.telemetry(self._identity.agent)
        while True:
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
                    _end_if_told()

    # ── watching ────────────────────────────────────────────────────────────────────────────

    async def _watching(self) -> None:
        """Says hello again when something was not answered; gives up on a mute connection."""
        while True:
            await asyncio.sleep(1)
            if self._session.look():
                self._runner.changed.set()


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _end_if_told() -> None:
    """After each wait of the client: 3.11's wait_for may swallow that its task was told to end."""
    if _cancelled():
        raise asyncio.CancelledError


def _words(group: BaseExceptionGroup[BaseException]) -> str:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first) or type(first).__name__
