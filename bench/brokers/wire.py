"""MQTT 3.1.1 as bytes: packets out of a stream, and those that a replayer or attacker writes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CONNECT: Final = 1
CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
SUBSCRIBE: Final = 8
SUBACK: Final = 9
PINGREQ: Final = 12
_KEEP_ALIVE_S: Final = 60
LONGEST: Final = 268_435_455
"""What the length of a packet can say at most: 256 MiB less a byte."""


@dataclass(frozen=True)
class Packet:
    """`raw` is the whole of it, `at` where its body begins."""

    raw: bytes
    at: int

    @property
    def kind(self) -> int:
        return self.raw[0] >> 4

    @property
    def body(self) -> bytes:
        return self.raw[self.at :]

    @property
    def number(self) -> int:
        """Of a PUBACK: which packet it acknowledges."""
        return int.from_bytes(self.body[:2], "big")


@dataclass(frozen=True)
class Message:
    """What a PUBLISH says."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False

    @classmethod
    def of(cls, packet: Packet) -> "Message | None":
        if packet.kind != PUBLISH:
            return None
        body, flags = packet.body, packet.raw[0]
        end = 2 + int.from_bytes(body[:2], "big")
        qos = (flags >> 1) & 3
        payload = body[end + (2 if qos else 0) :]
        return cls(body[2:end].decode(), payload, qos, bool(flags & 1))

    def packet(self, number: int = 1) -> bytes:
        flags = PUBLISH << 4 | self.qos << 1 | int(self.retain)
        numbered = struct.pack(">H", number) if self.qos else b""
        return framed(flags, text(self.topic) + numbered + self.payload)


class Packets:
    """Whole packets out of bytes as they come."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        self._kept += data
        while (found := _length(self._kept)) is not None:
            at, length = found
            if len(self._kept) < at + length:
                return
            raw = bytes(self._kept[: at + length])
            del self._kept[: at + length]
            yield Packet(raw, at)


def _length(data: bytes | bytearray) -> tuple[int, int] | None:
    """Where the body begins and how long it is; None while that has not come."""
    length = 0
    for place, byte in enumerate(data[1:5]):
        length |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return place + 2, length
    return None


def framed(flags: int, body: bytes, length: int | None = None) -> bytes:
    """A packet; with `length` it says that its body is so long, whatever it is."""
    left, said = len(body) if length is None else length, bytearray()
    while True:
        left, low = left >> 7, left & 0x7F
        said.append(low | 0x80 if left else low)
        if not left:
            return bytes([flags]) + bytes(said) + body


def text(words: str | bytes) -> bytes:
    raw = words.encode() if isinstance(words, str) else words
    return struct.pack(">H", len(raw)) + raw


def connect(
    client: str, user: str, secret: str, *, will: Message | None = None, clean: bool = True
) -> bytes:
    flags, payload = 0xC0 | (2 if clean else 0), text(client)
    if will is not None:
        flags |= 0x04 | will.qos << 3 | int(will.retain) << 5
        payload += text(will.topic) + text(will.payload)
    head = text("MQTT") + bytes([4, flags]) + struct.pack(">H", _KEEP_ALIVE_S)
    return framed(CONNECT << 4, head + payload + text(user) + text(secret))


def subscribe(*filters: str, number: int = 1) -> bytes:
    wanted = b"".join(text(each) + b"\x01" for each in filters)
    return framed(SUBSCRIBE << 4 | 2, struct.pack(">H", number) + wanted)
