"""A printer on the worst of wires: bytes and lines lost, altered, doubled and late, both ways.

The printer is written from Marlin's queue.cpp alone and executes what it lets in. Whatever happens,
`finished` means that exactly the program was executed, and a run always ends.
"""

import random
from collections import deque
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import NamedTuple

import pytest

from firmware_bridge.driver import Ended, Event
from firmware_bridge.drivers.marlin.conversation import MarlinConversation
from firmware_bridge.streaming import Timeouts, Wish

HEAT = b"ok T:20.0 /0.0 B:20.0 /0.0 @:0 B@:0\n"
KNOWN = {"G1", "M84", "M104", "M105", "M107", "M108", "M110", "M112", "M140", "M400", "M410"}
RX_BYTES = 255
LINE_S = 0.004
TURN_S = 0.002
PATIENCE = Timeouts(silence_s=20.0, stop_s=5.0)
LONGEST_S = 900.0


class Manner(NamedTuple):
    """In what real boards differ: 2.1.2 drops a repeat, those before refuse it; ADVANCED_OK; some
    say no ok behind a Resend.
    """

    drops_repeats: bool
    advanced: bool
    ok_after_resend: bool


@dataclass
class Printer:
    """Four commands, one carried out at a time; busy every 2 s.

    Its receive buffer has room for a line that the wire doubled: the 127 bytes of an 8-bit board
    would overflow, and once in 256 times what is glued together then passes an 8-bit checksum.
    """

    manner: Manner
    last: int = 0
    rx: bytearray = field(default_factory=bytearray)
    line: bytearray = field(default_factory=bytearray)
    queue: deque[tuple[str, str]] = field(default_factory=deque)
    done: list[str] = field(default_factory=list)
    free_at: float = 0.0
    busy_at: float = 0.0
    killed: bool = False

    def receive(self, data: bytes) -> None:
        self.rx += data[: RX_BYTES - len(self.rx)]

    def turn(self, now: float) -> bytes:
        said = self._read()
        if self.killed or not self.queue:
            return said
        if now < self.free_at:
            return said + self._keep_alive(now)
        said += self._execute(now)
        return said + self._read()

    def _keep_alive(self, now: float) -> bytes:
        if now < self.busy_at:
            return b""
        self.busy_at = now + 2.0
        return b"echo:busy: processing\n"

    def _read(self) -> bytes:
        said = b""
        while self.rx and len(self.queue) < 4 and not self.killed:
            byte = self.rx.pop(0)
            if byte not in b"\r\n":
                if len(self.line) < 95:
                    self.line.append(byte)
            elif self.line:
                whole, self.line = bytes(self.line), bytearray()
                said += self._judge(whole.partition(b";")[0])
        return said

    def _judge(self, line: bytes) -> bytes:
        command = line.lstrip(b" ")
        if command[:1] != b"N":
            return self._early(command)
        m110 = b"M110" in command
        place = max(command.find(b"N", 4), 0) if m110 else 0
        number = strtol(command[place + 1 :])
        if number != self.last + 1 and not m110:
            if self.manner.drops_repeats and self.last - 1 <= number <= self.last:
                return b""
            return self._refuse(b"Line Number is not Last Line Number+1")
        body, star, told = command.rpartition(b"*")
        if not star:
            return self._refuse(b"No Checksum with line number")
        if strtol(told) != reduce(xor, body, 0):
            return self._refuse(b"checksum mismatch")
        self.last = number
        return self._queued(command)

    def _early(self, command: bytes) -> bytes:
        if command.startswith(b"M112"):
            self.killed = True
            return b"echo:M112 Shutdown\nError:Printer halted. kill() called!\n"
        return self._queued(command)

    def _queued(self, command: bytes) -> bytes:
        digits = len(command) - len(command[1:].lstrip(b"0123456789+-"))
        number = command[:digits] if command[:1] == b"N" and digits > 1 else b""
        text = command[len(number) :].lstrip(b" ")
        text = text[:1] + text[1:].partition(b"*")[0].rstrip(b" ")
        self.queue.append((number.decode("latin-1"), text.decode("latin-1")))
        return b""

    def _refuse(self, why: bytes) -> bytes:
        self.rx.clear()
        ok = b"ok\n" if self.manner.ok_after_resend else b""
        return b"Error:%s, Last Line: %d\nResend: %d\n%s" % (why, self.last, self.last + 1, ok)

    def _execute(self, now: float) -> bytes:
        number, text = self.queue.popleft()
        self.free_at, self.busy_at = now + LINE_S, now + 2.0
        code = text[:1] + str(strtol(text[1:].encode("latin-1")) & 0xFFFF)
        if code[:1] == "T":
            return b"echo:%s Invalid extruder\n" % code.encode("latin-1") + self._ok(number)
        if code not in KNOWN:
            return b'echo:Unknown command: "%s"\n' % text.encode("latin-1") + self._ok(number)
        self.done.append(text)
        if code == "M105":
            return HEAT
        if code == "M110" and "N" in text:
            self.last = strtol(text.partition("N")[2].encode())
        if code == "M112":
            self.killed = True
            return b"echo:M112 Shutdown\nError:Printer halted. kill() called!\n"
        return self._ok(number)

    def _ok(self, number: str) -> bytes:
        if not self.manner.advanced:
            return b"ok\n"
        shown = f" {number}" if number else ""
        return f"ok{shown} P15 B{3 - len(self.queue)}\n".encode()


def strtol(text: bytes) -> int:
    digits = text.lstrip(b" \t")
    end = 1 if digits[:1] in (b"-", b"+") else 0
    while digits[end : end + 1].isdigit():
        end += 1
    return int(digits[:end]) if digits[:end].strip(b"+-") else 0


@dataclass
class Wire:
    """One direction: a byte or a line may be lost, altered, doubled; a line may be late."""

    chance: random.Random
    bad: float
    late_s: float
    rest: bytes = b""
    flying: deque[tuple[float, bytes]] = field(default_factory=deque)

    def put(self, data: bytes, now: float) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self._send(line + b"\n", now)

    def _send(self, line: bytes, now: float) -> None:
        kind = self.chance.random() / self.bad if self.bad else 1.0
        late = self.chance.random() * self.late_s if kind < 1 / 6 else 0.0
        at = max(now + late, self.flying[-1][0] if self.flying else 0.0)
        if 1 / 6 <= kind < 2 / 6:
            return
        if 2 / 6 <= kind < 3 / 6:
            line = line * 2
        elif 3 / 6 <= kind < 1:
            line = self._spoilt(line, 3 * (2 * kind - 1))
        self.flying.append((at, line))

    def _spoilt(self, line: bytes, kind: float) -> bytes:
        at = self.chance.randrange(len(line))
        if kind < 1:  # a byte is lost; where it is the newline, two lines become one
            return line[:at] + line[at + 1 :]
        if kind < 2:
            return line[: at + 1] + line[at:]
        return line[:at] + bytes([self.chance.choice(b"#5QxzNGMT*\n\x80 ")]) + line[at + 1 :]

    def take(self, now: float) -> bytes:
        out = b""
        while self.flying and self.flying[0][0] <= now:
            out += self.flying.popleft()[1]
        return out


def run(seed: int, bad: float, manner: Manner, lines: list[str]) -> tuple[Ended, Printer]:
    chance = random.Random(seed)
    there, back = Wire(chance, bad, 0.5), Wire(chance, bad, 0.5)
    printer = Printer(manner)
    talk = MarlinConversation(iter(enumerate(map(str.encode, lines), 1)), len(lines), PATIENCE)
    events: list[Event] = []
    now = 100.0
    while now < 100.0 + LONGEST_S:
        now += TURN_S
        talk.tick(now, Wish.RUN, "")
        there.put(talk.take_bytes(), now)
        printer.receive(there.take(now))
        back.put(printer.turn(now), now)
        if heard := back.take(now):
            talk.hear(heard, now)
        events += talk.take_events()
        if events and isinstance(events[-1], Ended):
            return events[-1], printer
    raise AssertionError(f"seed {seed}: it never ended")


def program(count: int) -> list[str]:
    return [f"G1 X{n}.125 Y{n * 7 % 90} E0.0{n % 9 + 1}" for n in range(count)]


def made(printer: Printer) -> list[str]:
    """What it executed of the program: all but what the host adds."""
    return [row for row in printer.done if row[:4] not in ("M105", "M110", "M400")]


def judged(seed: int, bad: float, manner: Manner) -> str:
    lines = program(60)
    end, printer = run(seed, bad, manner, lines)
    if end.outcome == "finished":
        assert made(printer) == lines, (seed, bad, manner)
    return end.outcome


MANNERS = [
    Manner(repeats, advanced, ok)
    for repeats in (True, False)
    for advanced in (False, True)
    for ok in (True, False)
]


@pytest.mark.parametrize("bad", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("manner", MANNERS)
def test_finished_means_exactly_the_program(bad: float, manner: Manner) -> None:
    outcomes = [judged(seed, bad, manner) for seed in range(10)]
    assert outcomes.count("finished") >= 8, outcomes


def test_on_a_clean_wire_it_finishes() -> None:
    for manner in MANNERS:
        assert judged(1, 0.0, manner) == "finished"
