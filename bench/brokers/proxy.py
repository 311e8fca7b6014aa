"""A line between a client and the broker that can be deaf in one direction, or repeat things.

It forwards whole packets, keeps what was said, and can say more in the client's name.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final, Literal, Self

from bench.brokers.wire import CONNACK, PUBACK, Message, Packet, Packets
from demo.world import free_port

Way = Literal["to broker", "to client"]
WAYS: Final[tuple[Way, ...]] = ("to broker", "to client")
OURS: Final = 20_000
"""Numbers of packets from here on are ours: their acknowledgements are kept from the client."""


class Line:
    """One client's connection, both ways."""

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self.writers: dict[Way, asyncio.StreamWriter] = {"to broker": broker, "to client": client}

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()


class Proxy:
    """Listens on `port` for one client of the broker at `broker_port`; runs in a thread."""

    def __init__(self, broker_port: int, port: int | None = None) -> None:
        self.port = free_port() if port is None else port
        self.heard: dict[Way, list[Message]] = {"to broker": [], "to client": []}
        self.deaf: set[Way] = set()
        """Directions in which every byte is lost, of old and of new connections."""
        self.withhold: Callable[[Way, Message], bool] = lambda _way, _message: False
        """Messages that do not pass, although they were said."""
        self.withheld: list[Message] = []
        self.connections = 0
        self.owed: dict[int, Message] = {}
        """What was said in the client's name and is not acknowledged yet, by its number."""
        self._broker_port = broker_port
        self._lines: list[Line] = []
        self._loop = asyncio.new_event_loop()
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def say(self, messages: list[Message]) -> None:
        """Say all of these at once to the broker, as if the client had.

        What is not acknowledged when the connection ends is said again on the next one, as a
        client does that keeps what it has to say.
        """
        assert not self.owed
        assert len(messages) <= 65_536 - OURS
        numbered = dict(enumerate(messages, OURS))
        self.owed = {number: each for number, each in numbered.items() if each.qos}
        self._loop.call_soon_threadsafe(self._say, numbered)

    def _say(self, numbered: dict[int, Message]) -> None:
        for line in self._lines[-1:]:
            _write(line, numbered)

    def cut(self) -> None:
        """End every connection, as a router that starts anew does."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for line in self._lines:
            line.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        async with server:
            self._ready.set()
            await self._over.wait()
            for line in self._lines:
                line.close()

    async def _connected(self, up: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            down, broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            client.close()
            return
        line = Line(client, broker)
        self._lines.append(line)
        self.connections += 1
        try:
            both = [self._carry(line, "to broker", up), self._carry(line, "to client", down)]
            await asyncio.gather(*(asyncio.create_task(each) for each in both))
        finally:
            self._lines.remove(line)

    async def _carry(self, line: Line, way: Way, reader: asyncio.StreamReader) -> None:
        packets, writer = Packets(), line.writers[way]
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                for packet in packets.feed(data):
                    if way not in self.deaf and self._passes(way, packet):
                        writer.write(packet.raw)
                    if packet.kind == CONNACK:
                        _write(line, self.owed)
                await writer.drain()
        if way not in self.deaf:  # the end of a connection is not heard either
            writer.close()

    def _passes(self, way: Way, packet: Packet) -> bool:
        if way == "to client" and packet.kind == PUBACK and (number := packet.number) >= OURS:
            self.owed.pop(number, None)
            return False
        message = Message.of(packet)
        if message is None:
            return True
        self.heard[way].append(message)
        kept_back = self.withhold(way, message)
        if kept_back:
            self.withheld.append(message)
        return not kept_back


def _write(line: Line, numbered: dict[int, Message]) -> None:
    line.writers["to broker"].writelines(each.packet(at) for at, each in numbered.items())
