"""The printer's conversation against a board that reads, queues and refuses as Marlin does.

Bytes are altered, swallowed and chopped as Hypothesis likes; what the board executed is held
against the program. The board's rules are Marlin's queue.cpp, both of its manners of refusing.
"""

from collections import deque
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.driver import Ended, Event
from firmware_bridge.drivers.marlin.conversation import MarlinConversation
from firmware_bridge.streaming import Timeouts, Wish

OURS = {"M105", "M400", "M110"}


@dataclass
class Board:
    """Queue of four, receive buffer of 127 bytes, one command done in each turn while it is free.

    `repeats_dropped`: a line that it has already is dropped without a word (Marlin 2.0.9 and on).
    `ok_after_resend`: says ok behind each Resend. `advanced`: its oks carry line numbers.
    `pace`: bytes that arrive in one turn (0: all at once). `lag`: bytes that arrive and are thrown
    away while it refuses a line. `dice`: one line in ten arrives altered, and the first if
    `first_bad`.
    """

    repeats_dropped: bool
    ok_after_resend: bool
    advanced: bool
    pace: int = 0
    lag: int = 0
    dice: Random | None = None
    first_bad: bool = False
    last: int = 0
    coming: bytes = b""
    buffer: bytes = b""
    queue: deque[tuple[int | None, str]] = field(default_factory=deque)
    executed: list[str] = field(default_factory=list)
    overrun: int = 0

    def receive(self, data: bytes) -> None:
        self.coming += data
        pace = self.pace or len(self.coming)
        data, self.coming = self.coming[:pace], self.coming[pace:]
        room = 127 - len(self.buffer)
        self.overrun += max(len(data) - room, 0)
        self.buffer += data[:room]

    def turn(self) -> bytes:
        out = self._read() + (self._execute() if self.queue else b"")
        return out + self._read()

    def _read(self) -> bytes:
        out = b""
        while len(self.queue) < 4 and b"\n" in self.buffer:
            line, self.buffer = self.buffer.split(b"\n", 1)
            out += self._line(line.strip())
        return out

    def _line(self, line: bytes) -> bytes:
        if not line:
            return b""
        line = self._altered(line)
        if not line.startswith(b"N"):
            self.queue.append((None, line.decode("latin-1").split("*")[0]))
            return b""
        body, star, told = line.rpartition(b"*")
        digits = line[1:].split(b" ")[0].split(b"*")[0]
        number = int(digits) if digits.isdigit() else 0
        m110 = b"M110" in line
        if number != self.last + 1 and not m110:
            if self.repeats_dropped and self.last - 1 <= number <= self.last:
                return b""
            return self._refuse(b"Line Number is not Last Line Number+1")
        if not star or not told.isdigit() or int(told) != reduce(xor, body, 0):
            return self._refuse(b"checksum mismatch" if star else b"No Checksum")
        command = body.split(b" ", 1)[1].decode("latin-1")
        self.last = number
        self.queue.append((number, command))
        return b""

    def _altered(self, line: bytes) -> bytes:
        if self.first_bad and b"X" in line:
            self.first_bad = False
            return line.replace(b"X", b"x")
        if self.dice is None or self.dice.random() >= 0.1:
            return line
        at = self.dice.randrange(len(line))
        return line[:at] + self.dice.choice([b"x", b"0", b"5", b" "]) + line[at + 1 :]

    def _refuse(self, why: bytes) -> bytes:
        self.buffer, self.coming = b"", self.coming[self.lag :]
        more = b"ok\n" if self.ok_after_resend else b""
        return b"Error:%s, Last Line: %d\nResend: %d\n%s" % (why, self.last, self.last + 1, more)

    def _execute(self) -> bytes:
        number, command = self.queue.popleft()
        self.executed.append(command)
        if command == "M105":
            return b"ok T:20.0 /0.0 B:20.0 /0.0 @:0\n"
        known = b"" if command[:1] in "GM" else b'echo:Unknown command: "%s"\n' % command.encode()
        if self.advanced and number is not None:
            return known + b"ok N%d P15 B%d\n" % (number, 3 - len(self.queue))
        return known + b"ok\n"

    @property
    def made(self) -> list[str]:
        """What it executed of the program: not what the host adds, not what it did not know."""
        return [row for row in self.executed if row[:1] == "G"]


@dataclass
class Fault:
    """Alters or swallows one byte of what is said in one turn; lines keep their newline."""

    turn: int
    place: int
    byte: int | None


def spoil(data: bytes, faults: dict[int, Fault], turn: int) -> bytes:
    fault = faults.get(turn)
    if fault is None or len(data) < 2:
        return data
    at = fault.place % len(data)
    if data[at : at + 1] == b"\n":
        return data
    new = b"" if fault.byte is None else bytes([fault.byte])
    return data[:at] + new + data[at + 1 :]


def run(board: Board, lines: list[str], to: list[Fault], back: list[Fault], chop: int) -> Ended:
    rows = [(n, row.encode()) for n, row in enumerate(lines, 1)]
    talk = MarlinConversation(iter(rows), len(rows), Timeouts())
    there, here = {f.turn: f for f in to}, {f.turn: f for f in back}
    events: list[Event] = []
    now, said = 100.0, b""
    for turn in range(20_000):
        now += 0.003
        talk.tick(now, Wish.RUN, "")
        board.receive(spoil(talk.take_bytes(), there, turn))
        said += spoil(board.turn(), here, turn)
        piece, said = said[: chop or None], said[chop:] if chop else b""
        if piece:
            talk.hear(piece, now)
        events += talk.take_events()
        if events and isinstance(events[-1], Ended):
            return events[-1]
    raise AssertionError("it never ended")


LETTERS = st.integers(33, 122).filter(lambda byte: byte not in b"GMN;*")
FAULTS = st.lists(
    st.builds(Fault, st.integers(2, 160), st.integers(1, 200), st.none() | LETTERS), max_size=12
)


@settings(max_examples=150, deadline=None)
@given(
    repeats_dropped=st.booleans(),
    ok_after_resend=st.booleans(),
    advanced=st.booleans(),
    back=FAULTS,
    chop=st.sampled_from([0, 1, 3, 7]),
    count=st.integers(1, 80),
)
def test_no_ok_that_is_lost_or_altered_changes_what_is_made(
    repeats_dropped: bool,
    ok_after_resend: bool,
    advanced: bool,
    back: list[Fault],
    chop: int,
    count: int,
) -> None:
    lines = [f"G1 X{n}.125 Y{n * 7 % 90} E0.0{n % 9 + 1}" for n in range(count)]
    board = Board(repeats_dropped, ok_after_resend, advanced)
    end = run(board, lines, [], back, chop)
    assert board.made == lines[: len(board.made)]
    assert board.overrun == 0
    if end.outcome == "finished":
        assert board.made == lines
    else:  # an answer altered into bad news is believed
        assert end.cause not in ("silent", "stalled"), end


@settings(max_examples=150, deadline=None)
@given(
    repeats_dropped=st.booleans(),
    ok_after_resend=st.booleans(),
    advanced=st.booleans(),
    to=st.lists(st.builds(Fault, st.integers(3, 160), st.integers(1, 12), LETTERS), max_size=8),
    count=st.integers(1, 80),
)
def test_no_altered_line_is_made(
    repeats_dropped: bool, ok_after_resend: bool, advanced: bool, to: list[Fault], count: int
) -> None:
    lines = [f"G1 X{n}.125 Y{n * 7 % 90} E0.0{n % 9 + 1}" for n in range(count)]
    board = Board(repeats_dropped, ok_after_resend, advanced)
    end = run(board, lines, to, [], 0)
    assert end.outcome == "finished", end
    assert board.made == lines


def slow_and_bad(seed: int, *, first_bad: bool) -> tuple[Board, list[str], Ended]:
    dice = Random(seed)
    lines = [f"G1 X{n}.125 Y{n * 7 % 90} E0.0{n % 9 + 1}" for n in range(70)]
    pace, lag = dice.randint(10, 60), dice.randint(0, 20)
    ok_after_resend = seed % 4 < 2 or not first_bad
    board = Board(seed % 2 == 0, ok_after_resend, False, pace, lag, dice, first_bad)
    return board, lines, run(board, lines, [], [], 0)


@pytest.mark.parametrize("seed", range(60))
def test_once_the_window_is_closed_no_flush_however_late_cuts_a_line_loose(seed: int) -> None:
    """Were a command behind its number in the air, some lag would leave it without the number."""
    board, lines, end = slow_and_bad(seed, first_bad=True)
    assert (board.made, end.outcome) == (lines, "finished"), end


@pytest.mark.parametrize("seed", range(60))
def test_a_piece_of_a_line_that_ran_without_its_number_is_never_called_finished(seed: int) -> None:
    """By the ok that it says too much; which a firmware without ok after Resend may hide."""
    board, lines, end = slow_and_bad(seed, first_bad=False)
    assert (end.outcome == "finished") == (board.made == lines), end
    assert end.outcome == "finished" or end.cause == "cut line"
