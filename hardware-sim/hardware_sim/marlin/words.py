"""Promises the code and the words of a command as Marlin's parser sees them.
Never judges whether a command exists.

Source: MarlinFirmware/Marlin `Marlin/src/gcode/parser.cpp` (parse): capitals only, the letter must
be G, M or T, a number must follow at once; a word may have no value.
"""

import re
from typing import NamedTuple

_HEAD = re.compile(r"([GMT])(\d+)(?:\.\d+)? *")
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


FREE_TEXT = frozenset(("M117", "M118"))


def parse(text: str) -> tuple[str, Words]:
    """Code (`G1`; empty for what is none) and words of one command."""
    head = _HEAD.match(text)
    if head is None:
        return "", Words(text, {}, "")
    code = head[1] + (head[2].lstrip("0") or "0")
    rest = text[head.end() :]
    values: dict[str, float] = {}
    if code in FREE_TEXT:
        return code, Words(rest, values, "")
    seen = ""
    for letter, digits in _WORD.findall(rest):
        seen += letter
        if digits and letter not in values:
            values[letter] = float(digits)
    return code, Words(rest, values, seen)
