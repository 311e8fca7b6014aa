"""pyserial and a loop: what a good afternoon's work gives, the reference for everybody else.

Marlin: numbered and checksummed, one line at a time or a window of 4 lines and 120 bytes; a resend
empties the window and starts where the board says. GRBL: one at a time, or counting 127 characters.
"""

import sys
from collections import deque
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Final

import serial

_SILENCE_S: Final = 3.0  # longer than the two seconds between two `busy`
_QUIET_S: Final = 0.05
_MARLIN_BYTES: Final = 120
_MARLIN_LINES: Final = 4
_GRBL_BYTES: Final = 127


class Replies:
    """Lines as they come in, several from one read."""

    def __init__(self, port: serial.Serial) -> None:
        self.port = port
        self.rest = b""
        self.lines: deque[bytes] = deque()

    def next(self) -> bytes | None:
        """One line, or None after a silence."""
        while not self.lines:
            data = self.port.read(max(1, self.port.in_waiting))
            if not data:
                return None
            *whole, self.rest = (self.rest + data).split(b"\n")
            self.lines.extend(whole)
        return self.lines.popleft().strip()


def numbered(number: int, command: bytes) -> bytes:
    body = b"N%d %s" % (number, command)
    return b"%s*%d\n" % (body, reduce(xor, body))


def greet(port: serial.Serial, replies: Replies, hello: bytes) -> None:
    """Wait for the board's banner, then for the answer to a first line."""
    port.timeout = 0.5
    while replies.next() is not None:
        pass
    port.timeout = _SILENCE_S
    port.write(hello)
    while (reply := replies.next()) is not None and not reply.startswith(b"ok"):
        pass


def marlin(port: serial.Serial, commands: list[bytes], *, most: int) -> bool:
    """True when all were acknowledged."""
    replies = Replies(port)
    greet(port, replies, numbered(0, b"M110 N0"))
    ready = [numbered(number, command) for number, command in enumerate(commands, 1)]
    flying: deque[int] = deque()
    following, in_flight = 0, 0
    while following < len(ready) or flying:
        out: list[bytes] = []
        while following < len(ready) and len(flying) < most:
            line = ready[following]
            if flying and in_flight + len(line) > _MARLIN_BYTES:
                break
            out.append(line)
            flying.append(len(line))
            in_flight += len(line)
            following += 1
        if out:
            port.write(b"".join(out))
        reply = replies.next()
        if reply is None:
            port.write(ready[following - len(flying)])  # its answer says how far the board is
        elif reply.startswith(b"Resend:"):
            following = settled(port, replies, reply) - 1
            flying.clear()
            in_flight = 0
        elif reply.startswith(b"ok") and flying:
            in_flight -= flying.popleft()
    return True


def settled(port: serial.Serial, replies: Replies, reply: bytes) -> int:
    """The number that the board wants once it has nothing more to say about lines in flight."""
    wanted = reply
    port.timeout = _QUIET_S
    while (following := replies.next()) is not None:
        wanted = following if following.startswith(b"Resend:") else wanted
    port.timeout = _SILENCE_S
    return int(wanted[7:])


def grbl(port: serial.Serial, commands: list[bytes], *, room: int) -> bool:
    """True when all were acknowledged; an error is counted and passed over, as stream.py does."""
    replies = Replies(port)
    greet(port, replies, b"\n")
    flying: deque[int] = deque()
    following, in_flight = 0, 0
    ready = [command + b"\n" for command in commands]
    while following < len(ready) or flying:
        out: list[bytes] = []
        while following < len(ready):
            line = ready[following]
            if flying and in_flight + len(line) > room:
                break
            out.append(line)
            flying.append(len(line))
            in_flight += len(line)
            following += 1
        if out:
            port.write(b"".join(out))
        reply = replies.next()
        if reply is None:
            return False
        if reply.startswith((b"ok", b"error:")) and flying:
            in_flight -= flying.popleft()
    return True


def main() -> int:
    manner, where, baud, path = sys.argv[1:5]
    commands = Path(path).read_bytes().splitlines()
    with serial.Serial(where, int(baud), timeout=_SILENCE_S) as port:
        if manner == "windowed":
            done = marlin(port, commands, most=_MARLIN_LINES)
        elif manner == "send-and-wait":
            done = marlin(port, commands, most=1)
        else:
            done = grbl(port, commands, room=_GRBL_BYTES if manner == "grbl-counting" else 0)
    return 0 if done else 1


if __name__ == "__main__":
    raise SystemExit(main())
