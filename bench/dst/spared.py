"""What of a schedule's bad luck is left out, in a notation that fits on a command line.

    --only strikes:4 losses:1-2,7 orders:2 --without races:3- --dice 2

The chance that draws what is left out is drawn all the same, so that the rest stays as it was for
as long as it can.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal[
    "strikes", "losses", "copies", "delays", "jams", "silences", "races", "scrap", "impatience",
    "absences", "mistakes", "presses", "outages", "relapses", "repeats", "orders", "labs",
]  # fmt: skip
MEANS: Final[Mapping[Kind, str]] = {
    "strikes": "what strikes at a drawn time: kills, sieges, failing disks, older copies, …",
    "losses": "messages that the broker loses",
    "copies": "messages that it delivers several times",
    "delays": "messages that it delivers late",
    "jams": "messages that are stuck for hours",
    "silences": "a replica dies between its commit and its answer",
    "races": "a replica has read long before it commits",
    "scrap": "runs that end in a bad part",
    "impatience": "makers who give up what is in doubt",
    "absences": "people who do not come",
    "mistakes": "people who press for another machine",
    "presses": "people who press again after the start",
    "outages": "where a process is killed its computer loses power, too",
    "relapses": "a process that starts again dies in its first moments",
    "repeats": "orders that are placed twice",
    "orders": "what is ordered",
    "labs": "whole labs",
}
LUCK: Final[tuple[Kind, ...]] = tuple(k for k in MEANS if k not in {"orders", "labs"})
BY_CHANCE: Final = LUCK[1:]
_ON: Final = 1_000_000_000
_ALL: Final = range(1, _ON)


class Unreadable(ValueError):
    """These words name nothing that there is."""


@dataclass(frozen=True)
class Spared:
    """Some of each kind by number; `dice` are thrown anew once the schedule is drawn."""

    left_out: Mapping[Kind, tuple[range, ...]] = field(
        default_factory=dict[Kind, tuple[range, ...]]
    )
    dice: int = 0

    def has(self, kind: Kind, number: int) -> bool:
        return any(number in some for some in self.left_out.get(kind, ()))


NOTHING: Final = Spared()


def everything(of: Iterable[Kind]) -> dict[Kind, tuple[range, ...]]:
    """All of these kinds, however many there will be."""
    return dict.fromkeys(of, (_ALL,))


def numbers(these: Iterable[int]) -> tuple[range, ...]:
    found = list[range]()
    for number in sorted(these):
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return tuple(found)


def read(without: Iterable[str], only: Iterable[str] = (), dice: int = 0) -> Spared:
    """`only` leaves out all other luck, and of orders and labs the others where some are named.

    Raises Unreadable, which says what could be written.
    """
    left_out, kept = _named(without), _named(only)
    for kind in LUCK if kept else ():
        kept.setdefault(kind, ())
    for kind, some in kept.items():
        left_out[kind] = left_out.get(kind, ()) + tuple(_others(some))
    return Spared(left_out, dice)


def _named(words: Iterable[str]) -> dict[Kind, tuple[range, ...]]:
    named = dict[Kind, tuple[range, ...]]()
    for word in words:
        name, colon, said = word.partition(":")
        kind = next((each for each in MEANS if each == name), None)
        if kind is None:
            raise Unreadable(f"there is no {name!r} in a schedule, but: {', '.join(MEANS)}")
        ranges = tuple(map(_range, said.split(","))) if colon else (_ALL,)
        named[kind] = named.get(kind, ()) + ranges
    return named


def _others(some: Iterable[range]) -> Iterator[range]:
    start = 1
    for each in sorted(some, key=lambda each: each.start):
        if each.start > start:
            yield range(start, each.start)
        start = max(start, each.stop)
    if start < _ON:
        yield range(start, _ON)


def _range(said: str) -> range:
    match = re.fullmatch(r"([1-9]\d*)(-?)(\d*)", said)
    if match is None or (match[3] and (not match[2] or int(match[3]) < int(match[1]))):
        raise Unreadable(f"{said!r} is no number of one; write strikes:1,4-5 or losses:3-")
    first = int(match[1])
    return range(first, int(match[3]) + 1 if match[3] else _ON if match[2] else first + 1)


def word(kind: Kind, these: Iterable[int]) -> str:
    """As it is read."""
    return f"{kind}:{','.join(map(_said, numbers(these)))}"


def _said(some: range) -> str:
    return str(some.start) if len(some) == 1 else f"{some.start}-{some.stop - 1}"
