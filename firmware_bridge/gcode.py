"""G-code as text: one line into its command, a command into its words.

It knows how the language is written, never what a word means on a machine.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

_COMMENT = re.compile(rb";.*|\((?:[^()]|\([^()]*\))*\)", re.DOTALL)
_TAPE_MARK = b"%"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_WORD = re.compile(rf"([A-Za-z])\s*({_NUMBER})?\s*")

Word = tuple[str, float | None]


def command(raw: bytes) -> bytes:
    """What of a line reaches a machine: without `;` and `( )` comments and outer blanks.

    Whichever opens first holds the other; a pair of parentheses may stand within another. A line
    that is only `%`, the mark of a paper tape, holds no command. The answer may be empty.
    """
    bare = raw
    if b"(" in raw:
        bare = _COMMENT.sub(b" ", raw)
    elif b";" in raw:
        bare = raw.split(b";", 1)[0]
    bare = bare.strip()
    return b"" if bare == _TAPE_MARK else bare


def strip(line: str) -> str:
    """`command` for text."""
    return command(line.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def words(command: str) -> tuple[Word, ...] | None:
    """The command as (LETTER, number or None) pairs, or None when it is not made of words."""
    found: list[Word] = []
    at = 0
    while at < len(command):
        match = _WORD.match(command, at)
        if match is None:
            return None
        number = match[2]
        found.append((match[1].upper(), None if number is None else float(number)))
        at = match.end()
    return tuple(found)


def commands(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, command bytes) for each line of a program that holds a command.

    Comments never reach a machine; a command with a byte beyond ASCII raises ValueError.
    """
    start, number = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        number += 1
        told = command(data[start:end])
        start = end + 1
        if told:
            if not told.isascii():
                msg = f"line {number} has a character that machines do not read"
                raise ValueError(msg)
            yield number, told


Frame = Literal["work", "machine"]
Place = tuple[Frame, float]


def end_position(program: Iterable[tuple[int, bytes]]) -> dict[str, Place]:
    """Where a program leaves X, Y and Z, in mm, as far as its words alone say it.

    An axis is missing when it was never told absolutely or something moved its zero. `G53` tells
    it in machine coordinates. Starts in G21 G90, the state every GRBL controller resets to.
    """
    place: dict[str, Place] = {}
    scale, absolute = 1.0, True
    for _, command in program:
        found = words(command.decode("ascii", "replace")) or ()
        codes = {value for letter, value in found if letter == "G"}
        scale = 25.4 if 20 in codes else 1.0 if 21 in codes else scale
        absolute = True if 90 in codes else False if 91 in codes else absolute
        if codes & _MOVES_ZERO:
            place.clear()
            continue
        for axis, value in found:
            if axis in "XYZ" and value is not None and not codes & _NO_MOTION:
                told = _told(place.get(axis), value * scale, absolute, 53 in codes)
                place = {key: at for key, at in place.items() if key != axis}
                if told is not None:
                    place[axis] = told
    return place


_MOVES_ZERO = {10, 28, 28.1, 30, 30.1, 38.2, 38.3, 38.4, 38.5, 43.1, 92, 92.1, 92.2, 92.3} | {
    float(system) for system in range(55, 60)
}
_NO_MOTION = {4.0}


def _told(before: Place | None, value_mm: float, absolute: bool, machine: bool) -> Place | None:
    if machine:
        return ("machine", value_mm)
    if absolute:
        return ("work", value_mm)
    return None if before is None else (before[0], before[1] + value_mm)
