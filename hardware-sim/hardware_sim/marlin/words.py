"""Promises the code and the words of a command as Marlin's parser sees them.
Never judges whether a command exists.

Source: MarlinFirmware/Marlin `Marlin/src/gcode/parser.cpp` (parse) and `parser.h` (values):
capitals only, the letter must be G, M or T; blanks may stand between a letter and its number; a
code is held in 16 bits; a word may have no value, and the last of its kind counts.
"""

import re
from typing import NamedTuple

_HEAD = re.compile(r"([GMT]) *(\d+) *")
_VALUED = re.compile(r"[A-Z] *[-+]?\.?\d[-+.\d]* *")
_WORD = re.compile(r"([A-Z]) *([-+]?(?:\d+\.?\d*|\.\d+))?")


class Words(NamedTuple):
    """`text` is all that follows the code; a word without a value is only in `seen`."""

    text: str
    values: dict[str, float]
    seen: str

    def get(self, letter: str) -> float | None:
        """The value of a word; None where it is missing or has none."""
        return self.values.get(letter)

    def has(self, letter: str) -> bool:
        """The letter stands there, with or without a value."""
        return letter in self.seen

    def flag(self, letter: str) -> bool:
        """It stands there, and its value is not 0 (`value_bool`)."""
        return self.has(letter) and byte(self.values.get(letter, 1.0)) != 0

    @property
    def message(self) -> str:
        """`string_arg`: what begins with the first word that has no number."""
        rest = self.text
        while found := _VALUED.match(rest):
            rest = rest[found.end() :]
        return rest


def byte(value: float) -> int:
    """`value_byte`."""
    return min(255, max(0, int(value)))


def short(value: float) -> int:
    """`value_int`, which is what a temperature is: 16 bits."""
    return (int(value) + 0x8000) % 0x10000 - 0x8000


FREE_TEXT = frozenset(("M117", "M118"))


def parse(text: str) -> tuple[str, Words]:
    """Code (`G1`; empty for what is none) and words of one command."""
    head = _HEAD.match(text)
    if head is None:
        return "", Words(text, {}, "")
    code = head[1] + str(int(head[2]) & 0xFFFF)
    rest = text[head.end() :]
    values: dict[str, float] = {}
    if code in FREE_TEXT:
        return code, Words(rest, values, "")
    seen = ""
    for letter, digits in _WORD.findall(rest):
        seen += letter
        if digits:
            values[letter] = float(digits)
        else:
            values.pop(letter, None)
    return code, Words(rest, values, seen)
