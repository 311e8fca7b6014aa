"""The numbered lines of a job: made once, in flight, acknowledged, or due to go again.

It keeps the books and says how much may be in flight; a number is never given to a second command.
It reads no reply and knows no time: what an answer means, the conversation decides.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from firmware_bridge.drivers.marlin import codec, quirks
from firmware_bridge.streaming import Tally


class Kind(Enum):
    PLAIN = auto()
    SYNC = auto()  # M105: only "ok T:" answers it, after all before it was executed
    RENUMBER = auto()


@dataclass(slots=True)
class Line:
    """A command under its number; `file_line` 0 marks one of our own."""

    number: int
    command: bytes
    wire: bytes
    file_line: int
    kind: Kind


class Window:
    """Lines `acked < number <= sent` are in flight; those up to `made` exist and wait to be sent.

    `width` is how many may be in flight. It grows by one after a few clean acknowledgements; after
    damage on the wire it stays at one for a long while: a board that refuses a line empties its
    buffer, and with one line in flight there is nothing behind it that could be cut in two.
    """

    def __init__(self, tally: Tally) -> None:
        self.acked_line = 0
        self.width = 1
        self.trusted = True  # false: oks of before may still come, counting them proves nothing
        self._tally = tally
        self._lines: deque[Line] = deque()
        self._acked = self._sent = self._highest = quirks.FIRST_NUMBER - 1
        self._read = self._sent  # lines up to here are known to have left the receive buffer
        self._bytes = 0  # in flight and perhaps in the receive buffer
        self._proven = False
        self._widest = quirks.IN_FLIGHT_LINES
        self._clean = 0
        self._evidence = quirks.CLEAN_ACKS_TO_WIDEN
        self._penance = quirks.CLEAN_ACKS_AFTER_DAMAGE

    # ── what there is ───────────────────────────────────────────────────────────────────────

    @property
    def owed(self) -> int:
        """Lines in flight."""
        return self._sent - self._acked

    @property
    def sent(self) -> int:
        """The highest number in flight or acknowledged."""
        return self._sent

    @property
    def acked(self) -> int:
        return self._acked

    @property
    def made(self) -> int:
        return self._lines[-1].number if self._lines else self._sent

    @property
    def oldest_known(self) -> int:
        """The lowest number that could go again."""
        return self._lines[0].number if self._lines else self._sent + 1

    @property
    def oldest(self) -> Line | None:
        """The line whose acknowledgement is due."""
        return self._at(self._acked + 1) if self.owed else None

    @property
    def renumbering(self) -> bool:
        line = self.oldest
        return line is not None and line.kind is Kind.RENUMBER

    @property
    def empty(self) -> bool:
        return not self.owed and self.waiting() is None

    @property
    def is_read(self) -> bool:
        """All that is in flight left the receive buffer: one line more fits whatever is owed."""
        return self._read == self._sent

    @property
    def proven(self) -> bool:
        """All that was sent is executed, by the machine's own word."""
        return self._proven

    @property
    def only_ours(self) -> bool:
        """No line of the program is unanswered."""
        return all(not line.file_line for line in self._lines if line.number > self._acked)

    def waiting(self) -> Line | None:
        """The next line that exists and is not in flight."""
        return self._at(self._sent + 1) if self._lines and self.made > self._sent else None

    def asks_for_sync(self) -> bool:
        return any(line.kind is Kind.SYNC for line in self._unanswered())

    def lately(self) -> set[bytes]:
        """Commands in flight or just acknowledged."""
        since = self._acked - quirks.IN_FLIGHT_LINES
        return {line.command for line in self._lines if line.number > since}

    def fits(self, line: Line) -> bool:
        return not self.owed or self._bytes + len(line.wire) <= quirks.IN_FLIGHT_BYTES

    # ── sending ─────────────────────────────────────────────────────────────────────────────

    def make(self, command: bytes, file_line: int = 0, kind: Kind = Kind.PLAIN) -> Line:
        number = self.made + 1
        told = quirks.FIRST_NUMBER - 1 if kind is Kind.RENUMBER else number
        line = Line(number, command, codec.numbered(told, command), file_line, kind)
        self._lines.append(line)
        if file_line:
            self._tally.sent += 1
        return line

    def send(self, line: Line) -> None:
        tally = self._tally
        self._proven = False
        self._sent = line.number
        self._bytes += len(line.wire)
        if line.number > self._highest:
            self._highest = line.number
        else:
            tally.resends += 1
        tally.window_max = max(tally.window_max, self._sent - self._acked)
        tally.window_max_bytes = max(tally.window_max_bytes, self._bytes)

    def room_for(self, free: int) -> None:
        """A board with ADVANCED_OK says how many commands its queue still takes."""
        self._widest = max(self._widest, free)

    # ── answers ─────────────────────────────────────────────────────────────────────────────

    def acknowledge(self) -> bool:
        """One plain ok; False when no line was due for it."""
        line = self.oldest
        if line is None or line.kind is Kind.SYNC:
            return False
        self._take(line)
        self._widen()
        return True

    def taken_up_to(self, number: int) -> bool:
        """The machine named the line that it executed; False when that line was not in flight."""
        if self.renumbering and number == quirks.FIRST_NUMBER - 1:
            return self.acknowledge()
        if not self._acked < number <= self._sent:
            return False
        for each in range(self._acked + 1, number + 1):
            self._take(self._at(each))
        self.trusted = True
        self._proven = number == self._sent or not self._lines
        self._widen()
        return True

    def synced(self) -> bool:
        """An "ok T:": all up to the oldest sync in flight is executed, no older ok can follow."""
        syncs = (line.number for line in self._unanswered() if line.kind is Kind.SYNC)
        number = next(syncs, self._sent + 1)
        return self.taken_up_to(number)

    def give_up_syncs(self) -> int:
        """Their answers were lost: how many will never prove anything."""
        in_flight = [line for line in self._unanswered() if line.number <= self._sent]
        lost = [line for line in in_flight if line.kind is Kind.SYNC]
        for line in lost:
            line.kind = Kind.PLAIN
        return len(lost)

    def all_read(self) -> None:
        """The machine answered a question, so it read all that was sent before."""
        self._read, self._bytes = self._sent, 0

    def back_to(self, number: int) -> None:
        """The machine has all lines up to `number` and none behind it: go on from there."""
        for each in range(self._acked + 1, number + 1):
            self._take(self._at(each))
        for line in self._lines:
            if number < line.number <= self._acked and line.file_line:
                self._tally.acked -= 1
                self.acked_line = min(self.acked_line, line.file_line - 1)
        self._acked = self._sent = self._read = number
        self._bytes = 0

    # ── width ───────────────────────────────────────────────────────────────────────────────

    @property
    def closed(self) -> bool:
        """One line in flight because of damage on the wire."""
        return self.width == 1 and self._evidence > quirks.CLEAN_ACKS_TO_WIDEN

    def narrow(self, *, damage: bool) -> None:
        """One line in flight, until there is evidence again; after damage, much evidence."""
        self.width, self._clean = 1, 0
        if damage:
            self._evidence = self._penance
            self._penance = min(2 * self._penance, quirks.CLEAN_ACKS_AFTER_MUCH_DAMAGE)

    def _widen(self) -> None:
        self._clean += 1
        if self.width < self._widest and self._clean >= self._evidence and self.trusted:
            self._clean, self._evidence = 0, quirks.CLEAN_ACKS_TO_WIDEN
            self.width += 1
        elif self._clean >= quirks.CLEAN_ACKS_AFTER_MUCH_DAMAGE:
            self._clean, self._penance = 0, quirks.CLEAN_ACKS_AFTER_DAMAGE

    # ── behind it ───────────────────────────────────────────────────────────────────────────

    def _at(self, number: int) -> Line:
        return self._lines[number - self._lines[0].number]

    def _unanswered(self) -> list[Line]:
        first = self._acked + 1 - self.oldest_known
        return [self._lines[index] for index in range(first, len(self._lines))]

    def _take(self, line: Line) -> None:
        if line.kind is Kind.RENUMBER:
            self._restart()
            return
        self._acked = line.number
        if line.number > self._read:
            self._bytes -= len(line.wire)
        if line.file_line:
            self.acked_line = max(self.acked_line, line.file_line)
            self._tally.acked += 1
        while len(self._lines) > quirks.HISTORY_LINES and self._lines[0].number < self._acked:
            self._lines.popleft()

    def _restart(self) -> None:
        """The machine took our M110, with nothing else in flight: numbers begin anew."""
        self._lines.clear()
        self._acked = self._sent = self._read = self._highest = quirks.FIRST_NUMBER - 1
        self._bytes = 0
