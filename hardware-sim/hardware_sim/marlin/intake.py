"""Promises Marlin's serial front door: receive buffer, line numbers, checksums, resends.
Never looks inside a command beyond what the door itself acts on.

Source: MarlinFirmware/Marlin `Marlin/src/gcode/queue.cpp` (process_stream_char, process_line_done,
get_serial_commands, gcode_line_error, flush_and_request_resend): N must come first; its number is
looked at before the checksum; a line that repeats one of the last two numbers is dropped without a
word (since 2.1.2); a fault empties the receive buffer; M108, M112 and M410 act early only when the
line has no number; a command keeps its slot while it is carried out. What of a line is its command:
`parser.cpp` parse (behind the number, up to the star; blanks are cut only before a star).
"""

import operator
import re
from collections import deque
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

LONG_MAX, LONG_MIN = 2**31 - 1, -(2**31)  # strtol of a 32-bit long
LINE_NUMBER = "Line Number is not Last Line Number+1"
CHECKSUM = "checksum mismatch"
NO_CHECKSUM = "No Checksum with line number"
_EARLY = ("M108", "M112", "M410")
_ODD = (b";", b"\\", b"\x08", b"\0")
_USUAL = re.compile(r"N(\d{1,9}) *([^*\d +-][^*]*)\*(\d{1,3})\Z")
_NUMBER = re.compile(r"N[-+\d]+ *")
_SPLIT = bytes.maketrans(b"\r", b"\n")


class Command(NamedTuple):
    """A line that was let in: its text without number and checksum."""

    text: str
    number: int | None
    silent: bool = False
    """It came from the card or the panel: no ok is said."""
    raw: str = ""
    """The whole line as the queue holds it."""


class LineFault(NamedTuple):
    """A line that was turned away, in the firmware's own words."""

    why: str
    last: int


def xor(data: bytes) -> int:
    """The checksum of a numbered line."""
    return reduce(operator.xor, data, 0)


class Intake:
    """Bytes in, commands out; `urgent` sees M108, M112 and M410 before the queue does."""

    def __init__(
        self,
        rx_buffer: int,
        bufsize: int,
        line_bytes: int,
        urgent: Callable[[str], None],
        *,
        drops_repeats: bool = True,
    ) -> None:
        self._capacity = rx_buffer - 1  # a ring keeps one place free
        self.bufsize = bufsize
        self._line_bytes = line_bytes - 1  # its last byte is the terminator
        self._urgent = urgent
        self._drops_repeats = drops_repeats
        self._rx = bytearray()
        self._line = bytearray()  # what the main loop has taken out of the ring already
        self.queue: deque[Command] = deque()
        self.occupied = False  # the command that is being carried out still has its slot
        self.last = 0
        self.overrun = 0

    def clear(self) -> None:
        """Power-up: nothing received, counting from 0."""
        self._rx.clear()
        self._line.clear()
        self.queue.clear()
        self.last, self.occupied = 0, False

    @property
    def room(self) -> int:
        """Free bytes of the receive buffer."""
        return self._capacity - len(self._rx)

    @property
    def free(self) -> int:
        """Free command slots."""
        return self.bufsize - len(self.queue) - self.occupied

    def put(self, data: bytes) -> None:
        """Store what fits; the rest is lost silently, as without flow control."""
        room = self._capacity - len(self._rx)
        if len(data) > room:
            self.overrun += len(data) - max(0, room)
            data = data[: max(0, room)]
        self._rx += data.translate(_SPLIT) if b"\r" in data else data

    def forget(self) -> None:
        """What waits in the receive buffer is thrown away."""
        self._rx.clear()

    def next(self) -> Command | LineFault | None:
        """Read one line if a command slot is free; a fault has emptied the receive buffer."""
        while self.free > 0:
            end = self._rx.find(b"\n")
            if end < 0:
                self._line += self._rx
                self._rx.clear()
                return None
            self._line += self._rx[:end]
            del self._rx[: end + 1]
            line = bytes(self._line)
            self._line.clear()
            if any(odd in line for odd in _ODD):
                line = _cleaned(line, self._line_bytes)
            if line and (judged := self._judge(line[: self._line_bytes].partition(b"\0")[0])):
                return judged
        return None

    def _judge(self, line: bytes) -> Command | LineFault | None:
        """None: it is dropped without a word."""
        text = line.decode("latin-1")
        usual = _USUAL.match(text)
        if usual is not None and "M110" not in text:
            return self._judge_usual(line, usual)
        command = text.lstrip(" ")
        if command[:1] != "N":
            return self._let_in(text, command)
        setting = "M110" in command
        place = command.find("N", 4) if setting else -1
        number = _number(command, max(place, 0) + 1)
        if number != self.last + 1 and not setting:
            return self._out_of_turn(number)
        star = command.rfind("*")
        if star < 0:
            return self._refuse(NO_CHECKSUM)
        skipped = len(text) - len(command)
        if _number(command, star + 1) != xor(line[skipped : skipped + star]):
            return self._refuse(CHECKSUM)
        self.last = number
        return self._queued(_command_of(command), _number(command, 1), text)

    def _judge_usual(self, line: bytes, found: re.Match[str]) -> Command | LineFault | None:
        """The same judgement for a line as hosts write it."""
        number = int(found[1])
        if number != self.last + 1:
            return self._out_of_turn(number)
        if int(found[3]) != xor(line[: found.end(2)]):
            return self._refuse(CHECKSUM)
        self.last = number
        return self._queued(found[2].rstrip(" "), number, found[0])

    def _let_in(self, line: str, command: str) -> Command | None:
        if command[:4] in _EARLY:
            self._urgent(command[:4])
        if line[:1] == ";":  # an escaped one: the ring takes no comment
            return None
        return self._queued(_command_of(command), None, line)

    def _queued(self, text: str, number: int | None, line: str) -> Command:
        command = Command(text, number, raw=line)
        self.queue.append(command)
        return command

    def _out_of_turn(self, number: int) -> LineFault | None:
        """A repeat of what it has just had: a resend was on its way twice."""
        if self._drops_repeats and self.last - 1 <= number <= self.last:
            return None
        return self._refuse(LINE_NUMBER)

    def _refuse(self, why: str) -> LineFault:
        self._rx.clear()
        return LineFault(why, self.last)


def _command_of(line: str) -> str:
    """Behind the number, up to the first star; only blanks before a star are cut."""
    number = _NUMBER.match(line)
    command = line if number is None else line[number.end() :]
    star = command.find("*", 1)
    return command if star < 0 else command[:star].rstrip(" ")


def _cleaned(line: bytes, most: int) -> bytes:
    """process_stream_char: comments, backslash escapes, backspaces, nothing beyond the buffer."""
    out = bytearray()
    escaped = False
    for byte in line:
        if escaped:
            escaped = False
        elif byte == ord("\\"):
            escaped = True
            continue
        elif byte == ord(";"):
            break
        if byte == 0x08:
            del out[-1:]
        else:
            out.append(byte)
        if len(out) >= most:
            break
    return bytes(out)


def _number(text: str, place: int) -> int:
    """`strtol` from `place`: 0 where no digits stand, and never beyond a 32-bit long."""
    digits = text[place : place + 24].lstrip(" \t")
    sign = digits[:1]
    end = start = 1 if sign in ("-", "+") and sign else 0
    while end < len(digits) and "0" <= digits[end] <= "9":
        end += 1
    value = int(digits[start:end]) if end > start else 0
    return max(LONG_MIN, -value) if sign == "-" else min(LONG_MAX, value)
