"""What was tried and what came of it, a row for each class."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeVar

_T = TypeVar("_T")


@dataclass
class Row:
    """A class of tries; `right`: how many of them are the true thing, `wrong`: judged amiss."""

    name: str
    tried: int = 0
    accepted: int = 0
    right: int = 0
    wrong: int = 0

    def count(self, accepted: bool, *, right: bool = False) -> None:
        self.tried += 1
        self.accepted += accepted
        self.right += right
        self.wrong += accepted is not right

    @property
    def holds(self) -> bool:
        return self.tried > 0 and self.wrong == 0

    def __str__(self) -> str:
        refused = self.tried - self.accepted
        verdict = "" if self.holds else f"   WRONG: {self.wrong}"
        return f"{self.name:<66}{self.tried:>9}{refused:>9}{self.accepted:>9}{verdict}"


HEAD = f"{'class':<66}{'tried':>9}{'refused':>9}{'accepted':>9}"


def judge(name: str, tries: Iterable[_T], accepted: Callable[[_T], bool]) -> Row:
    """All of one class; none of them may be accepted."""
    row = Row(name)
    for each in tries:
        row.count(accepted(each))
    return row


@dataclass(frozen=True)
class Sample:
    """A share of each long class, by a seed; 1 is all of it."""

    share: float = 1.0
    seed: int = 1

    def of(self, tries: Iterable[_T]) -> Iterator[_T]:
        chance = Random(self.seed)
        return (each for each in tries if self.share >= 1 or chance.random() < self.share)

    def count(self, whole: int, least: int = 20) -> int:
        return max(least, round(whole * self.share))
