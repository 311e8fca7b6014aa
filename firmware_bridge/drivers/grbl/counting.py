"""Characters in flight: how much of a program GRBL's receive buffer holds, line by line.

It takes lines from the program and gives bytes, never more than the buffer has room for. It reads
no reply: what an ok means, the conversation decides.
"""

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from firmware_bridge.driver import Event
from firmware_bridge.streaming import Rows, Tally

_DWELL: Final = re.compile(rb"(?i)G0*4\s*P\s*([\d.]+)")
# interface.md, "EEPROM issues": while it reads or writes EEPROM the receive interrupt is off.
_EEPROM: Final = re.compile(
    rb"(?i)G\s*(?:5[4-9]|0*28(?:\.1)?|0*30(?:\.1)?|0*10)(?![\d.])|M\s*0*(?:2|30)(?!\d)"
)


@dataclass(frozen=True, slots=True)
class Sent:
    size: int
    file_line: int
    dwell_s: float
    alone: bool


class Counting:
    def __init__(self, rows: Rows, rx_bytes: int, tally: Tally) -> None:
        self.acked_line = 0
        self._rows = rows
        self._rx_bytes = rx_bytes
        self._tally = tally
        self._flying: deque[Sent] = deque()
        self._bytes = 0
        self._measured: Sent | None = None

    @property
    def owed(self) -> int:
        """Lines without an answer."""
        return len(self._flying)

    @property
    def all_sent(self) -> bool:
        return self._rows.next is None

    @property
    def line_due(self) -> int:
        """The line of the program that the next answer belongs to."""
        return self._flying[0].file_line if self._flying else self.acked_line

    @property
    def dwell_s(self) -> float:
        """How long the lines in flight stand still on purpose."""
        return sum(sent.dwell_s for sent in self._flying)

    def fill(self, events: list[Event]) -> bytes:
        """What fits now; tells `events` when the last line is due."""
        out = bytearray()
        while (row := self._rows.next) is not None:
            sent = self._measured = self._measured or _measure(*row)
            if self._flying and (sent.alone or self._flying[-1].alone):
                break
            if self._bytes + sent.size > self._rx_bytes or self._rows.hold(events):
                break
            self._rows.take()
            self._measured = None
            self._send(sent)
            out += row[1] + b"\n"
        return bytes(out)

    def heard(self) -> None:
        self._rows.heard()

    def answered(self) -> bool:
        """One answer; False when no line was due for it."""
        if not self._flying:
            return False
        sent = self._flying.popleft()
        self._bytes -= sent.size
        self.acked_line = sent.file_line
        self._tally.acked += 1
        return True

    def _send(self, sent: Sent) -> None:
        tally = self._tally
        self._flying.append(sent)
        self._bytes += sent.size
        tally.sent += 1
        tally.window_max = max(tally.window_max, len(self._flying))
        tally.window_max_bytes = max(tally.window_max_bytes, self._bytes)


def _measure(file_line: int, command: bytes) -> Sent:
    dwell = _DWELL.search(command)
    alone = _EEPROM.search(command) is not None
    return Sent(len(command) + 1, file_line, float(dwell[1]) if dwell else 0.0, alone)
