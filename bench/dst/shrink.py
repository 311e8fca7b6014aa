"""A schedule that goes wrong, with as little bad luck as its violation needs.

Delta debugging (Zeller and Hildebrandt, 2002) over strikes, kinds of chance, orders and labs, then
over what is left of chance one by one. Whatever is left out changes what is drawn later; so for
each thing left out other dice are thrown, too, until the same violation is seen again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from bench.dst import spared as words
from bench.dst.spared import BY_CHANCE, LUCK, MEANS, NOTHING, Kind, Spared
from bench.dst.story import Verdict, judged

T = TypeVar("T")
_DICE: Final = 6
_AGAIN: Final = 2
_SHORTER: Final = 40
_NO_CHANCE: Final = words.everything(kind for kind in BY_CHANCE if kind != "repeats")


def least(items: Sequence[T], holds: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """Some of the items with which it holds, and without any one of which it does not."""
    if not items or holds(()):
        return ()
    parts = 2
    while len(items) > 1:
        ends = [len(items) * part // parts for part in range(parts + 1)]
        rests = ([*items[:a], *items[b:]] for a, b in pairwise(ends))
        rest = next(filter(holds, rests), None)
        if rest is not None:
            items, parts = rest, max(parts - 1, 2)
        elif parts < len(items):
            parts = min(len(items), parts * 2)
        else:
            break
    return items


@dataclass(frozen=True)
class Shrunk:
    fault: str
    seed: int
    spared: Spared
    before: Verdict
    after: Verdict
    plays: int
    seconds: float
    whole: bool
    """No strike, order, lab or chance more can go; False when time was up before that was known."""

    def left(self) -> dict[Kind, tuple[int, int]]:
        """What is left, of how much there was."""
        return {
            kind: (len(_left(self.after, self.spared, kind)), self.before.drawn.get(kind, 0))
            for kind in MEANS
        }

    def options(self) -> list[str]:
        """What `--tell` takes to play it; without words for what never was."""
        left = {kind: _left(self.after, self.spared, kind) for kind in MEANS}
        named = [kind for kind in LUCK if left[kind]] + [
            kind for kind in ("orders", "labs") if 0 < len(left[kind]) < self.after.drawn[kind]
        ]
        only = [words.word(kind, left[kind]) for kind in named]
        without = [] if left["orders"] else ["--without", "orders"]
        dice = ["--dice", str(self.spared.dice)] if self.spared.dice else []
        return ["--only", *(only or ["labs"]), *without, *dice]

    def last_lines(self, most: int) -> list[str]:
        """Of its story, up to the violation."""
        at = next(n for n, line in enumerate(self.after.told) if line.endswith(self.fault))
        return self.after.told[max(0, at + 1 - most) : at + 1]


class Size(NamedTuple):
    """What is left; the first that differs says which story is the shorter one."""

    things: int
    """Strikes, orders, labs, and kinds of chance."""
    pieces: int
    """Every one of a kind."""
    lines: int


class _Search:
    """Holds the least that was found so far."""

    def __init__(self, seed: int, fault: str, seconds: float, say: Callable[[str], None]) -> None:
        self._seed, self._fault, self._say = seed, fault, say
        self._began_s = self._said_s = time.monotonic()
        self._seconds, self._plays, self._doing = seconds, 0, ""
        self._spared = NOTHING
        self._before = self._verdict = judged(seed, told=True)

    def shrunk(self) -> Shrunk:
        self._any(_NO_CHANCE, 2 * _DICE)
        for kind in ("strikes", "orders", "labs"):
            self._numbers(kind, _DICE)
        self._kinds(_DICE)
        self._shorten()
        size = None
        while self._size() != size and not self._late():
            size = self._size()
            self._kinds(_AGAIN)
            for kind in MEANS:
                self._numbers(kind, _AGAIN)
            self._shorten()
        whole, took_s = not self._late(), time.monotonic() - self._began_s
        return Shrunk(
            self._fault, self._seed, self._spared, self._before, self._verdict, self._plays,
            took_s, whole,
        )  # fmt: skip

    def _numbers(self, kind: Kind, dice: int) -> None:
        there = _left(self._verdict, self._spared, kind)
        before, self._doing = self._spared.left_out, kind

        def holds(kept: Sequence[int]) -> bool:
            if kind == "labs" and not kept:
                return False
            out = words.numbers(set(there) - set(kept))
            return self._any({**before, kind: before.get(kind, ()) + out}, dice)

        least(there, holds)

    def _kinds(self, dice: int) -> None:
        there = [kind for kind in BY_CHANCE if _left(self._verdict, self._spared, kind)]
        before, self._doing = self._spared.left_out, "kinds of chance"

        def holds(kept: Sequence[Kind]) -> bool:
            return self._any({**before, **words.everything(set(there) - set(kept))}, dice)

        least(there, holds)

    def _shorten(self) -> None:
        """Of many dice those whose story needs the fewest pieces, told in the fewest lines."""
        self._doing = "other dice"
        for dice in range(1, _SHORTER):
            for out in (_NO_CHANCE, {}):
                left_out = {**self._spared.left_out, **out}
                self._holds(Spared(left_out, dice), below=self._size())

    def _any(self, left_out: Mapping[Kind, tuple[range, ...]], dice: int) -> bool:
        """By these dice, or by others if less is left."""
        now, size = self._spared.dice, self._size()
        return self._holds(Spared(left_out, now)) or any(
            self._holds(Spared(left_out, other), below=size)
            for other in range(now + 1, now + 1 + dice)
        )

    def _holds(self, spared: Spared, below: Size | None = None) -> bool:
        if self._late():
            return False
        self._plays += 1
        self._progress()
        verdict = judged(self._seed, told=True, spared=spared)
        holds = self._fault in verdict.faults
        holds = holds and (below is None or _size(verdict, spared) < below)
        if holds:
            self._spared, self._verdict = spared, verdict
        return holds

    def _size(self) -> Size:
        return _size(self._verdict, self._spared)

    def _late(self) -> bool:
        return time.monotonic() - self._began_s > self._seconds

    def _progress(self) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s > 2:
            self._said_s = now_s
            self._say(
                f"shrinking seed {self._seed}, {self._fault}: {self._size().pieces} of"
                f" {_size(self._before, NOTHING).pieces} pieces left after {self._plays} plays and"
                f" {now_s - self._began_s:.0f} of {self._seconds:.0f} s; now {self._doing}"
            )


def _left(verdict: Verdict, spared: Spared, kind: Kind) -> list[int]:
    there = range(1, verdict.drawn.get(kind, 0) + 1)
    return [number for number in there if not spared.has(kind, number)]


def _size(verdict: Verdict, spared: Spared) -> Size:
    left = {kind: len(_left(verdict, spared, kind)) for kind in MEANS}
    kinds = sum(left[kind] > 0 for kind in BY_CHANCE)
    pieces = sum(left.values())
    drawn = pieces - sum(left[kind] for kind in BY_CHANCE)
    return Size(drawn + kinds, pieces, len(verdict.told))


def shrink(
    seed: int, fault: str, seconds: float, say: Callable[[str], None] = lambda _: None
) -> Shrunk:
    """`fault` is a violation of this seed; `say` hears every few seconds how far this is."""
    return _Search(seed, fault, seconds, say).shrunk()
