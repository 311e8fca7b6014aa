"""The embedded broker: amqtt 0.12.1 made safe, a process of its own that dies with its parent.

It promises what `access` says, and that a slow, hostile or half-dead client harms no other. It
stores nothing: after a restart it is empty, and nobody minds.

What stock amqtt does, and is mended here: it shows everybody's retained messages to every new
client; loses messages while somebody subscribes; lets a will bypass the rules; ends the session of
any client id before it looks at the password; never drops a client that stopped sending; reads
packets of any size, and a SUBSCRIBE beyond its end; keeps what is retained on any topic; reads as
much as a client sends, however much of it is still to be delivered.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from amqtt.adapters import ReaderAdapter, StreamReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.errors import MQTTError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import OutgoingApplicationMessage, Session

from fablab_agents.protocol import topics
from orchestrator.dispatch import access
from orchestrator.dispatch.access import BrokerSettings, Passwords

_CONNECT_WITHIN_S = 10
_SEND_WITHIN_S = 15
_LOOK_S = 1.0
_BIND_TRIES = 25
_ON_THEIR_WAY_MAX = 20
_CROWDED_S = 0.005


class _Refused(Exception):
    """Nothing that follows on this connection can be read: it ends."""


class _PacketReader(StreamReaderAdapter):
    """Hands out one whole packet after the other, of bounded size, and no byte beyond it.

    A client with too many messages on their way is not read until some have arrived: whoever
    floods waits, and nobody else does.
    """

    def __init__(self, reader: asyncio.StreamReader, crowded: Callable[[Session], bool]) -> None:
        super().__init__(reader)
        self.session: Session | None = None
        self._crowded = crowded
        self._packet = b""

    async def read(self, n: int = -1) -> bytes:
        if n == 0:
            return b""
        if not self._packet:
            self._packet = await self._next()
        if not 0 < n <= len(self._packet):
            raise _Refused("a packet that is shorter than what it says it holds")
        read, self._packet = self._packet[:n], self._packet[n:]
        return read

    async def _next(self) -> bytes:
        if self.session is not None and len(self.session.inflight_in) >= _ON_THEIR_WAY_MAX:
            raise _Refused("messages of QoS 2 that it never releases")
        while self.session is not None and self._crowded(self.session):  # noqa: ASYNC110
            await asyncio.sleep(_CROWDED_S)
        head = await super().read(2)
        while len(head) > 1 and head[-1] & 0x80:
            if len(head) > 4:
                raise _Refused("a length that is none")
            head += await super().read(1)
        length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
        if length > access.PACKET_MAX_BYTES:
            raise _Refused(f"a packet of {length} bytes")
        return head + (await super().read(length) if length else b"")


class _Handler(BrokerProtocolHandler):
    def handle_read_timeout(self) -> None:
        """Nothing came for one and a half keep-alives: as good as gone."""
        if self.reader is not None:
            self.reader.feed_eof()


class SafeBroker(Broker):
    """Clean sessions only; one connection for each user; delivery by exact topic."""

    def __init__(self, settings: BrokerSettings) -> None:
        listener = ListenerConfig(bind=f"{settings.host}:{settings.port}", max_connections=2000)
        super().__init__(BrokerConfig(listeners={"default": listener}, plugins={}))
        self._passwords = Passwords(settings.passwords)
        self._on_their_way: Counter[str] = Counter()

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        try:
            await self._client_connected(
                listener_name, _PacketReader(reader, self._crowded), StreamWriterAdapter(writer)
            )
        except Exception as error:  # noqa: BLE001 - whatever a client sends ends only that client
            self.logger.warning("a client was dropped: %r", error)
        finally:
            writer.close()

    async def _initialize_client_session(
        self,
        reader: ReaderAdapter,
        writer: WriterAdapter,
        remote_address: str,
        remote_port: int,
    ) -> tuple[BrokerProtocolHandler, Session]:
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                handler, session = await _Handler.init_from_connect(
                    reader, writer, self.plugins_manager
                )
        except Exception as error:
            # amqtt gives a place in its line back only for errors of its own.
            raise MQTTError(f"{remote_address}:{remote_port} did not connect: {error!r}") from error
        if not self._admits(session):
            await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
            await writer.close()
            raise MQTTError(f"{session.client_id!r} from {remote_address} was not let in")
        await self._end_former(str(session.client_id))
        session.clean_session = True
        if session.keep_alive > 0:
            session.keep_alive += max(2, session.keep_alive // 2)
        if isinstance(reader, _PacketReader):
            reader.session = session
        return handler, session

    def _admits(self, session: Session) -> bool:
        user, password = session.username, session.password
        if user is None or password is None or session.client_id != user:
            return False
        if session.will_flag and not access.may(user, "publish", str(session.will_topic)):
            return False
        return self._passwords.fits(user, password)

    async def _end_former(self, client_id: str) -> None:
        """End the user's older connection, its will first, before the new one says a word."""
        session, handler = self._sessions.get(client_id, (None, None))
        if session is not None and handler is not None:
            await handler.handle_connection_closed()
            for _ in range(500):
                if session.transitions.state != "connected":
                    break
                await asyncio.sleep(0.01)
        await self._delete_session(client_id)

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        return session.username is not None  # it was let in before it had a session

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        return access.may(str(session.username), action.value, topic)

    def _crowded(self, session: Session) -> bool:
        """Whether too much of what this client said has not arrived yet; ours to the labs may."""
        if session.username == access.ORCHESTRATOR:
            return False
        waiting = session.delivered_message_queue.qsize()
        return waiting + self._on_their_way[str(session.client_id)] >= _ON_THEIR_WAY_MAX

    async def _broadcast_message(
        self,
        session: Session | None,
        topic: str | None,
        data: bytes | bytearray | None,
        force_qos: int | None = None,
    ) -> None:
        self._on_their_way[str(session and session.client_id)] += 1
        await super()._broadcast_message(session, topic, data, force_qos)

    async def _run_broadcast(
        self, running_tasks: deque[asyncio.Task[OutgoingApplicationMessage]]
    ) -> None:
        broadcast: dict[str, Any] = await self._broadcast_queue.get()
        running_tasks.append(asyncio.create_task(self._deliver(broadcast)))

    async def _deliver(self, broadcast: dict[str, Any]) -> Any:  # noqa: ANN401 - amqtt's
        topic, source = broadcast["topic"], broadcast["session"]
        try:
            await asyncio.gather(
                *(
                    _sent(handler.mqtt_publish(topic, broadcast["data"], qos, retain=False))
                    for session, qos in self._listeners(topic)
                    if session.transitions.state == "connected"
                    and (handler := self._get_handler(session)) is not None
                )
            )
        finally:
            self._on_their_way[str(source and source.client_id)] -= 1

    def _listeners(self, topic: str) -> list[tuple[Session, int]]:
        """Who is subscribed: `access` allows the topic itself and one wildcard for the agent."""
        named = topics.agent_of(topic)
        if named is None:
            return []
        filters = (topic, f"{topics.ROOT}/+/{named[1]}")
        return [found for each in filters for found in self._subscriptions.get(each, ())]

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        subscribed = self._subscriptions.get(subscription[0], ())
        if any(each is session for each, _ in subscribed):
            await super()._publish_retained_messages_for_subscription(subscription, session)

    async def retain_message(
        self,
        source_session: Session | None,
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        if topic_name is not None and access.may_retain(topic_name):
            await super().retain_message(source_session, topic_name, data, qos)

    async def watch_passwords(self) -> None:
        """End the connections of users that are no longer in the file."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self._passwords.refresh()
            for client_id, (_, handler) in list(self._sessions.items()):
                if not self._passwords.knows(client_id):
                    await handler.handle_connection_closed()


async def _sent(sending: Any) -> Any:  # noqa: ANN401 - amqtt's coroutine, passed through
    """A subscriber that is gone or does not answer loses this message, as a doorbell may."""
    with contextlib.suppress(Exception):
        return await asyncio.wait_for(sending, _SEND_WITHIN_S)


async def serve(settings: BrokerSettings) -> None:
    """Run for as long as the process does."""
    broker = SafeBroker(settings)
    await _start(broker)
    await broker.watch_passwords()


async def _start(broker: SafeBroker) -> None:
    """A predecessor that is just dying may still hold the port for a moment."""
    for left in reversed(range(_BIND_TRIES)):
        try:
            await broker.start()
            return
        except Exception:
            if not left:
                raise
            broker.transitions.set_state("new")
            await asyncio.sleep(0.2)


def run(settings: BrokerSettings, parent: int | None = None) -> None:
    """The body of the broker process: until SIGTERM, or until its parent is gone."""
    logging.basicConfig(level=logging.ERROR, format="broker: %(message)s")
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    if parent is not None:
        _die_with_parent(parent)
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, _leave)
    asyncio.run(serve(settings))


def _leave(*_: object) -> NoReturn:
    """Nothing is stored here, so an orderly end, which a client can hold up, would save nothing."""
    os._exit(0)


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        raise SystemExit("the parent of this broker is gone")


if __name__ == "__main__":  # what `cosmolocal serve` starts: nothing but the broker in memory
    run(BrokerSettings.read(Path(sys.argv[1])), int(sys.argv[2]))
