"""Marlin's side of the line, read from its `queue.cpp` (bugfix-2.1.x) and nothing else of ours.

It executes in no time unless it has a planner; it never executes a line whose number or checksum
is wrong, and it does what Marlin does about them: an error, an emptied buffer, a `Resend`.
"""

import re
from collections import deque
from functools import reduce
from operator import xor
from typing import Final

from bench.streaming.board import Planner, Wire

BUFSIZE: Final = 4
MAX_COMMAND: Final = 95
_BUSY_S: Final = 2.0
_LEADING = re.compile(rb"\s*[+-]?\d+")
_NUMBER = re.compile(rb"N\s*[+-]?\d*\s*")
_WORD = re.compile(rb"([XYZE])(-?\d*\.?\d+)")
_CAPS: Final = (
    b"SERIAL_XON_XOFF:0", b"BINARY_FILE_TRANSFER:0", b"EEPROM:0", b"VOLUMETRIC:1",
    b"AUTOREPORT_POS:0", b"AUTOREPORT_TEMP:1", b"PROGRESS:0", b"PRINT_JOB:1", b"AUTOLEVEL:0",
    b"EMERGENCY_PARSER:0", b"HOST_ACTION_COMMANDS:0", b"PROMPT_SUPPORT:0", b"SDCARD:0",
    b"THERMAL_PROTECTION:1", b"BUSY_PROTOCOL:1",
)  # fmt: skip
_HEAT: Final = b"T:21.00 /0.00 B:21.00 /0.00 @:0 B@:0"
_TAKEN: Final = re.compile(
    rb"(?:G(?:0|1|2|3|4|17|21|28|90|91|92)"
    rb"|M(?:2[01]|27|73|8[234]|10[4-9]|1[14]0|11[23457]|155|190|20[1345]|22[01]|400|413|524|900)"
    rb"|T0)(?![0-9])"
)


def leading_number(text: bytes) -> int:
    """As C's strtol: what digits there are at the front, else 0."""
    found = _LEADING.match(text)
    return int(found[0]) if found else 0


class Marlin:
    """One serial port of a Marlin board: the receive state, the command queue, the answers."""

    banner = b"start\necho:Marlin bugfix-2.1.x\necho: Free Memory: 3000  PlannerBufferBytes: 1232\n"

    def __init__(
        self, wire: Wire, planner: Planner | None, *, advanced_ok: bool, homing_s: float
    ) -> None:
        self.wire = wire
        self.planner = planner
        self.advanced_ok = advanced_ok
        self.homing_s = homing_s
        self.last_number = 0
        self.ready = 0.0
        self.done: deque[float] = deque(maxlen=BUFSIZE)
        self.killed = False
        self.report_every_s = 0.0
        self.report_at = 0.0
        self.facts = {"resends": 0, "unknown": 0, "killed": 0, "without number": 0}

    def reset(self, at: float) -> None:
        self.last_number, self.killed, self.report_every_s = 0, False, 0.0
        self.ready = at
        self.done.clear()

    def realtime(self, data: bytes, at: float) -> bytes:
        """Without EMERGENCY_PARSER nothing is read ahead of the line."""
        del at
        return data

    def idle(self, now: float) -> float | None:
        if not self.report_every_s or self.killed:
            return None
        if now >= self.report_at:
            self.report_at = now + self.report_every_s
            self.wire.say(b" " + _HEAT + b"\n", now)
        return self.report_at

    # -- lines

    def take(self, line: bytes, at: float) -> None:
        """A line with its newline, whose last byte arrived at `at`."""
        if self.killed:
            return
        read_at = at
        if self.ready > at and len(self.done) == BUFSIZE:
            read_at = max(at, self.done[0])
        if (read_at > at or self.wire.buffered) and not self.wire.store(line, at, read_at):
            return
        body = line[:-1]
        if b"\r" in body or b";" in body or len(body) > MAX_COMMAND:
            for part in body.split(b"\r"):
                self._line(part.split(b";", 1)[0][:MAX_COMMAND], len(line), read_at)
        else:
            self._line(body, len(line), read_at)

    def _line(self, body: bytes, size: int, at: float) -> None:
        body = body.lstrip(b" ")
        if not body:
            return
        number = None
        if body.startswith(b"N"):
            m110 = b"M110" in body
            number = self._number(body, m110)
            if complaint := self._complaint(body, number, m110):
                self._refuse(complaint, at)
                return
            self.last_number = number
            body = _NUMBER.sub(b"", body, count=1)
        else:
            self.facts["without number"] += 1
        self._execute(body.rpartition(b"*")[0].strip() or body.strip(), number, size, at)

    def _complaint(self, body: bytes, number: int, m110: bool) -> bytes:
        """What Marlin finds wrong with a numbered line, or nothing."""
        if number != self.last_number + 1 and not m110:
            return b"Line Number is not Last Line Number+1, Last Line: "
        star = body.rfind(b"*")
        if star < 0:
            return b"No Checksum with line number, Last Line: "
        if reduce(xor, body[:star], 0) != leading_number(body[star + 1 :]):
            return b"checksum mismatch, Last Line: "
        return b""

    @staticmethod
    def _number(body: bytes, m110: bool) -> int:
        second = body.find(b"N", 4) if m110 else -1
        return leading_number(body[max(0, second) + 1 :])

    def _refuse(self, why: bytes, at: float) -> None:
        self.facts["resends"] += 1
        self.wire.deaf_until = max(self.wire.deaf_until, at)
        self.wire.partial = b""
        self.wire.say(
            b"Error:%s%d\nResend: %d\n" % (why, self.last_number, self.last_number + 1), at
        )
        self.wire.acknowledge(b"ok\n", at)

    # -- commands

    def _execute(self, command: bytes, number: int | None, size: int, at: float) -> None:
        begins = max(at, self.ready)
        if command.startswith(b"G1 "):
            ends = self.planner.add(begins) if self.planner else begins
            self._finish(command, number, size, ends)
            return
        if not _TAKEN.match(command):
            self.facts["unknown"] += 1
            self.wire.say(b'echo:Unknown command: "%s"\n' % command, begins)
            self._done(number, begins)
            return
        ends = begins + self._takes_s(command, begins)
        self._keep_alive(begins, ends)
        if not self._special(command, ends):
            self._finish(command, number, size, ends)

    def _finish(self, command: bytes, number: int | None, size: int, at: float) -> None:
        self.wire.ran(command, size, at)
        self._done(number, at)

    def _done(self, number: int | None, at: float) -> None:
        self.ready = at
        self.done.append(at)
        self.wire.acknowledge(self._ok(number, at), at)

    def _ok(self, number: int | None, at: float) -> bytes:
        if not self.advanced_ok:
            return b"ok\n"
        n = b"" if number is None else b" N%d" % number
        waiting = sum(end > at for end in self.planner.ends) if self.planner else 0
        return b"ok%s P%d B%d\n" % (n, 15 - min(15, waiting), BUFSIZE - 1)

    def _takes_s(self, command: bytes, at: float) -> float:
        if command.startswith(b"G28"):
            return self.homing_s
        if command.startswith(b"G4"):
            seconds = re.search(rb"S(\d+\.?\d*)", command)
            millis = re.search(rb"P(\d+)", command)
            return float(seconds[1]) if seconds else int(millis[1]) / 1000 if millis else 0.0
        if command.startswith(b"M400") and self.planner:
            return max(0.0, self.planner.last_end - at)
        return 0.0

    def _keep_alive(self, begins: float, ends: float) -> None:
        busy = begins + _BUSY_S
        while busy < ends:
            self.wire.say(b"echo:busy: processing\n", busy)
            busy += _BUSY_S

    def _special(self, command: bytes, at: float) -> bool:
        """Whether the command has an end of its own instead of the plain `ok`."""
        if command.startswith(b"M112"):
            self.killed = True
            self.facts["killed"] += 1
            self.wire.executed.append(command)
            self.wire.say(b"Error:Printer halted. kill() called!\n", at)
            return True
        if command.startswith(b"M105"):
            self.ready = at
            self.wire.executed.append(command)
            self.wire.acknowledge(self._ok(None, at).rstrip() + b" " + _HEAT + b"\n", at)
            return True
        self._answer(command, at)
        return False

    def _answer(self, command: bytes, at: float) -> None:
        if command.startswith(b"M115"):
            name = b"FIRMWARE_NAME:Marlin bugfix-2.1.x (bench) PROTOCOL_VERSION:1.0 "
            name += (
                b"MACHINE_TYPE:bench EXTRUDER_COUNT:1 UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff\n"
            )
            self.wire.say(name + b"".join(b"Cap:%s\n" % cap for cap in _CAPS), at)
        elif command.startswith(b"M114"):
            self.wire.say(b"X:%.2f Y:%.2f Z:%.2f E:%.2f Count X:0 Y:0 Z:0\n" % self._position(), at)
        elif command.startswith(b"M155"):
            self.report_every_s = float(leading_number(command.partition(b"S")[2]))
            self.report_at = at + self.report_every_s

    def _position(self) -> tuple[float, ...]:
        """Of the axes X, Y, Z, E in mm: the last word of each in what was executed."""
        found: dict[bytes, float] = {}
        for command in reversed(self.wire.executed):
            if command.startswith(b"G28"):
                break
            if command.startswith((b"G1 ", b"G0 ", b"G92")):
                for letter, value in _WORD.findall(command):
                    found.setdefault(letter, float(value))
            if len(found) == 4:
                break
        return tuple(found.get(axis, 0.0) for axis in (b"X", b"Y", b"Z", b"E"))
