"""Promises Marlin's serial front door: receive buffer, line numbers, checksums, resends.
Never looks inside a command beyond what the door itself acts on.

Source: Marlin 2.1 `queue.cpp` (get_serial_commands, gcode_line_error) as described in the
project's machine notes: number first, then checksum; an error empties the receive buffer.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

MAX_COMMAND = 95  # MAX_CMD_SIZE 96 with its terminator: the rest of a line is cut off


class Command(NamedTuple):
    """A line that was let in: its text without number and checksum."""

    text: str
    number: int | None


class LineFault(NamedTuple):
    """A line that was turned away, in the firmware's own words."""

    why: str
    last: int


def xor(data: bytes) -> int:
    """The checksum of a numbered line."""
    check = 0
    for byte in data:
        check ^= byte
    return check


class Intake:
    """Bytes in, commands out; `urgent` sees M108, M112 and M410 before the queue does."""

    def __init__(self, rx_buffer: int, bufsize: int, urgent: Callable[[str], None]) -> None:
        self._capacity = rx_buffer - 1  # a ring keeps one place free
        self._bufsize = bufsize
        self._urgent = urgent
        self._rx = bytearray()
        self.queue: deque[Command] = deque()
        self.last = 0
        self.overrun = 0

    def clear(self) -> None:
        """Power-up: nothing received, counting from 0."""
        self._rx.clear()
        self.queue.clear()
        self.last = 0

    @property
    def room(self) -> int:
        """Free bytes of the receive buffer."""
        return self._capacity - len(self._rx)

    def put(self, data: bytes) -> None:
        """Store what fits; the rest is lost silently, as without flow control."""
        room = self.room
        self._rx += data[:room]
        self.overrun += max(0, len(data) - room)

    @property
    def full(self) -> bool:
        """No command slot is free, so lines stay in the receive buffer."""
        return len(self.queue) >= self._bufsize

    def next(self) -> Command | LineFault | None:
        """Read one line if a command slot is free; a fault has emptied the receive buffer."""
        while not self.full:
            end = self._rx.find(b"\n")
            if end < 0:
                return None
            raw = bytes(self._rx[:end])
            del self._rx[: end + 1]
            line = raw.replace(b"\r", b"").split(b";", 1)[0].strip(b" ")[:MAX_COMMAND]
            if line:
                return self._judge(line)
        return None

    def _judge(self, line: bytes) -> Command | LineFault:
        text = line.decode("latin-1")
        if text[0] != "N":
            return self._let_in(text, None)
        number = _number(text, _number_place(text))
        if number != self.last + 1 and "M110" not in text:
            return self._refuse("Line Number is not Last Line Number+1")
        star = line.rfind(b"*")
        if star < 0:
            return self._refuse("No Checksum with line number")
        if _number(text, star) != xor(line[:star]):
            return self._refuse("checksum mismatch")
        self.last = number
        return self._let_in(text[:star].lstrip("N0123456789-").strip(), number)

    def _let_in(self, text: str, number: int | None) -> Command:
        if text[:4] in ("M108", "M112", "M410"):
            self._urgent(text[:4])
        command = Command(text, number)
        self.queue.append(command)
        return command

    def _refuse(self, why: str) -> LineFault:
        self._rx.clear()
        return LineFault(why, self.last)


def _number_place(text: str) -> int:
    """Where the number that counts stands: M110's own N, else the leading one."""
    if "M110" in text:
        own = text.find("N", text.find("M110"))
        return max(own, 0)
    return 0


def _number(text: str, place: int) -> int:
    """`strtol` after the letter at `place`: 0 where no digits stand."""
    digits = text[place + 1 : place + 12].lstrip()
    end = 1 if digits[:1] == "-" else 0
    while end < len(digits) and digits[end].isdigit():
        end += 1
    return int(digits[:end]) if digits[:end] not in ("", "-") else 0
