"""Where the shop's own blocks stand in a program, and what fills their holes there.

It finds them; whether the machine may do what they say was decided by the person who approved them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from firmware_bridge import gcode
from firmware_bridge.profiles.blocks import Block, Hole, compile_block

_SOUGHT: Final = 400
"""Commands at a program's head and tail among which a block is sought."""


@dataclass(frozen=True, slots=True)
class Filled:
    """One line of a program that belongs to a block, and what fills the block's holes there."""

    number: int
    raw: bytes
    values: tuple[tuple[Hole, str], ...]


_PROGRESS: Final = "M73 "
"""Slicers sprinkle it anywhere, into blocks too."""


class Place(NamedTuple):
    """In which block a line stands, and whether it is its last."""

    block: Literal["start", "body", "end"]
    last: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A line that holds a command, its blanks told as one."""

    number: int
    raw: bytes
    told: str


def head(lines: Sequence[bytes]) -> list[Command]:
    return list(_commands(enumerate(lines, 1)))


def tail(lines: Sequence[bytes]) -> list[Command]:
    numbered = zip(range(len(lines), 0, -1), reversed(lines), strict=True)
    return list(_commands(numbered))[::-1]


def _commands(numbered: Iterable[tuple[int, bytes]]) -> Iterator[Command]:
    left = _SOUGHT
    for number, raw in numbered:
        if not raw or raw[0] == 59:
            continue
        told = " ".join(gcode.command(raw).decode("ascii", "replace").split())
        if told and not told.startswith(_PROGRESS):
            yield Command(number, raw, told)
            left -= 1
            if not left:
                return


def find(text: str, commands: Sequence[Command]) -> tuple[Filled, ...]:
    """A block's lines where it first stands among these, in order; empty where it does not."""
    block = compile_block(text)
    said = "\n" + "".join(f"{one.told}\n" for one in commands)
    found = block.form.search(said)
    if found is None:
        return ()
    first = said.count("\n", 0, found.start() + 1) - 1
    last = said.count("\n", 0, found.end()) - 1
    values: dict[int, list[tuple[Hole, str]]] = {}
    for at, hole, value in _values(block, found):
        values.setdefault(said.count("\n", 0, at) - 1, []).append((hole, value))
    return tuple(
        Filled(one.number, one.raw, tuple(values.get(at, ())))
        for at, one in enumerate(commands[first:last], first)
    )


def _values(block: Block, found: re.Match[str]) -> Iterator[tuple[int, Hole, str]]:
    for index, hole in enumerate(block.holes):
        value: str | None = found[f"h{index}"]
        if value is not None:
            yield found.start(f"h{index}"), hole, value


def line_of(texts: Sequence[str], number: int, raw: bytes) -> Filled | None:
    """The line as one of those that may stand anywhere, or None."""
    commands = list(_commands([(number, raw)]))
    for text in texts:
        found = find(text, commands)
        if found:
            return found[0]
    return None
