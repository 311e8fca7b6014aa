"""A client with one lab's own credentials that means no good: raw bytes, no client library."""

import contextlib
import random
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from bench.brokers import wire
from bench.brokers.wire import Message, Packet, Packets
from fablab_agents.protocol import topics
from fablab_agents.trust import Identity

MARK: Final = b"from a stranger"


@dataclass(frozen=True)
class Target:
    """Where the broker is, and whose credentials have leaked."""

    port: int
    agent: str
    secret: str

    @classmethod
    def of(cls, port: int, folder: Path) -> Self:
        known = Identity.load(folder)
        return cls(port, known.agent, known.secret)


@dataclass
class Attacker:
    """One connection; `closed` once the broker has ended it."""

    target: Target
    heard: list[Message] = field(default_factory=list[Message])
    closed: bool = False

    def __post_init__(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self.target.port), 10)
        self._packets = Packets()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def die(self) -> None:
        """Be gone without a word: the connection is reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def connect(
        self,
        *,
        client: str | None = None,
        user: str | None = None,
        secret: str | None = None,
        will: Message | None = None,
        clean: bool = True,
    ) -> bool:
        """Whether it was let in."""
        me = self.target
        self.send(
            wire.connect(
                client or me.agent, user or me.agent, me.secret if secret is None else secret,
                will=will, clean=clean,
            )
        )  # fmt: skip
        answer = next((p for p in self.listen(10) if p.kind == wire.CONNACK), None)
        return answer is not None and answer.body[1] == 0

    def send(self, data: bytes, within_s: float = 10) -> bool:
        """Whether all of it went out."""
        self._socket.settimeout(within_s)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            return False
        except OSError:
            self.closed = True
            return False
        return True

    def listen(self, within_s: float) -> Iterator[Packet]:
        """What comes, until nothing has come for so long; messages are kept and acknowledged."""
        self._socket.settimeout(within_s)
        while not self.closed:
            try:
                data = self._socket.recv(65_536)
            except TimeoutError:
                return
            except OSError:
                data = b""
            self.closed = not data
            for packet in self._packets.feed(data):
                message = Message.of(packet)
                if message is not None:
                    self.heard.append(message)
                yield packet

    def settle(self, within_s: float = 1.0) -> None:
        for _ in self.listen(within_s):
            continue

    @property
    def gone(self) -> bool:
        """Whether the broker has ended this connection."""
        self.settle(0.01)
        return self.closed


# ── heavy and broken things; each says how much it sent


def giant(target: Target, kind: int) -> int:
    """A packet as long as MQTT can say; bytes sent until the broker ended it."""
    head = {
        wire.CONNECT: wire.text("MQTT") + bytes([4, 2, 0, 60]),
        wire.PUBLISH: wire.text(topics.up(target.agent)),
        wire.SUBSCRIBE: b"\0\1",
    }[kind]
    flags = kind << 4 | (2 if kind == wire.SUBSCRIBE else 0)
    with Attacker(target) as me:
        if kind != wire.CONNECT:
            me.connect()
        sent, block = 0, b"\0\1a\1" * 16_384
        me.send(wire.framed(flags, head, wire.LONGEST))
        while sent < wire.LONGEST and me.send(block, 5) and not me.gone:
            sent += len(block)
        return sent


def broken(target: Target, count: int, seed: int) -> int:
    """Packets with flipped bits, wrong lengths, forbidden kinds; connections that it took."""
    chance, connections = random.Random(seed), 0
    left = count
    while left:
        connections += 1
        with Attacker(target) as me, contextlib.suppress(OSError):
            me.connect()
            while left and not me.gone:
                left -= 1
                me.send(spoiled(target, chance))
    return connections


def spoiled(target: Target, chance: random.Random) -> bytes:
    good = [
        Message(topics.up(target.agent), b'{"kind":"hello"}', chance.randrange(3)).packet(),
        wire.subscribe(topics.down(target.agent)),
        wire.connect(target.agent, target.agent, target.secret),
        wire.framed(wire.PINGREQ << 4, b""),
    ]
    raw = bytearray(chance.choice(good))
    match chance.randrange(4):
        case 0:
            for _ in range(chance.randint(1, 4)):
                raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        case 1:
            raw[1] = chance.randrange(128)
        case 2:
            raw = raw[: chance.randint(1, len(raw))]
        case _:
            raw[0] = chance.randrange(256)
    return bytes(raw)


def flood(target: Target, message: Message, for_s: float) -> int:
    """As many of one message as the broker takes, over one connection after the other."""
    end_s, sent = time.monotonic() + for_s, 0
    block = b"".join(message.packet(1 + number) for number in range(20))
    while time.monotonic() < end_s:
        with Attacker(target) as me, contextlib.suppress(OSError):
            me.connect()
            while time.monotonic() < end_s and me.send(block, 1) and not me.closed:
                sent += 20
                me.settle(0.0001)
    return sent


def unreleased(target: Target, count: int) -> int:
    """QoS 2 messages of which none is ever released."""
    with Attacker(target) as me:
        me.connect()
        body = b"x" * 1000
        for number in range(count):
            said = Message(topics.up(target.agent), body, 2).packet(1 + number % 65_535)
            if not me.send(said) or me.closed:
                return number
            if number % 50 == 0:
                me.settle(0.0001)
        me.settle()
    return count


def filters(target: Target, count: int) -> int:
    """Subscriptions to as many filters."""
    with Attacker(target) as me:
        me.connect()
        for number in range(0, count, 100):
            names = [f"{topics.ROOT}/{target.agent}/down/{number + n}" for n in range(100)]
            if not me.send(wire.subscribe(*names)) or me.closed:
                return number
            me.settle(0.0001)
        me.settle()
    return count


def idle(target: Target, count: int, for_s: float) -> int:
    """Connections that never say a word."""
    kept: list[Attacker] = []
    with contextlib.suppress(OSError):
        kept = [Attacker(target) for _ in range(count)]
    time.sleep(for_s)
    for each in kept:
        with each:
            pass
    return len(kept)
