"""A dirty line by seed: which lines are altered, which acknowledgements never arrive whole.

It decides from the seed alone, so that every host meets the same dice; it moves no bytes itself.
"""

from dataclasses import dataclass, field
from random import Random

_NEWLINE = 10


@dataclass
class Dirt:
    """Shares (0 to 1) of lines altered on the way to the board and of acknowledgements spoilt.

    Altered: one byte of the line, never its newline, becomes any other byte but a newline.
    Spoilt, a third each: lost, first character garbled, newline lost.
    """

    seed: int = 0
    lines: float = 0.0
    acks: float = 0.0
    armed: bool = False
    altered: int = 0
    spoilt: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self._line_dice = Random(self.seed * 2 + 1)
        self._ack_dice = Random(self.seed * 2 + 2)

    def line(self, line: bytes) -> bytes:
        """The line (with its newline) as it arrives."""
        if not self.armed or len(line) < 2 or self._line_dice.random() >= self.lines:
            return line
        self.altered += 1
        at = self._line_dice.randrange(len(line) - 1)
        choices = [byte for byte in range(256) if byte not in (_NEWLINE, line[at])]
        return line[:at] + bytes([self._line_dice.choice(choices)]) + line[at + 1 :]

    def ack(self, ack: bytes) -> bytes:
        """The acknowledgement as it arrives; empty when it is lost."""
        if not self.armed or self._ack_dice.random() >= self.acks:
            return ack
        how = self._ack_dice.choice(("lost", "garbled", "joined"))
        self.spoilt.append(how)
        if how == "lost":
            return b""
        if how == "joined":
            return ack.rstrip(b"\r\n")
        return bytes([self._ack_dice.choice(b"abcdefghijklmnpqrstuvwxyz")]) + ack[1:]
