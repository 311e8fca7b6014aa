"""From cells to an assignment: prices first, then regret, then chains of moves and kicks.

It promises the same answer to the same seed, compiled or not, in threads or not, and one that more
time never makes worse; it knows no clock, and asks `should_stop` between handfuls of work.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate, count, pairwise
from typing import Final

import numpy as np

from scheduling.cells import Cells, Floats, Ints
from scheduling.chains import (
    BEGIN,
    LOGGED,
    NEAR,
    QUEUED,
    WANTED,
    Beam,
    Desk,
    Seats,
    Work,
    beam_for,
    descend,
    desk_for,
    enqueue_all,
    kicks,
    seat_all,
    seats_for,
    value_of,
)
from scheduling.compiled import AtOnce
from scheduling.districts import District, districts
from scheduling.prices import Prices, capacity_prices
from scheduling.regret import sit_by_regret

_STARTS_AT_ONCE: Final = 2_000
_HANDFUL: Final = 200
_FIRST_ROUND: Final = 5_000
_HOT: Final = 0.2
_COLD: Final = 0.02
_JOBS_OF_A_DISTRICT: Final = 60_000
_DENSE_JOBS: Final = 5_000


@dataclass(frozen=True)
class _Manner:
    """How far to look: cells of a job, length and number of chains; how many a kick leaves out.

    `looks`: length and number of chains of the first rounds, in which everybody is looked at once.
    """

    keep: int
    depth: int
    width: int
    out: int
    looks: tuple[tuple[int, int], ...] = ()


_DEEP: Final = _Manner(20, 8, 8, 6, looks=((12, 12),))
_FETCHING: Final = _Manner(12, 8, 12, 5)
_WIDE: Final = _Manner(40, 6, 8, 6, looks=((4, 6), (4, 6), (8, 16), (12, 24)))
"""Where there are rows, or very many jobs."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """`bin` and `row`: of each job, -1 = left out. `cost`: with those. `bound`: none costs less.

    `price`: bins × rows, the prices that prove the bound.
    """

    bin: Ints
    row: Ints
    cost: int
    bound: float
    price: Floats
    kicks: int

    @property
    def placed(self) -> int:
        return int((self.bin >= 0).sum())


@dataclass(frozen=True)
class Effort:
    """`kicks`: at most so many.

    `workers`: in how many parts the work is done; `at_once`: runs the parts, as the `map` of a pool
    of threads does. The answer depends on the first of the two only.
    """

    should_stop: Callable[[], bool]
    seed: int = 0
    kicks: int = 10**12
    workers: int = 1
    at_once: AtOnce = map


def assign(cells: Cells, effort: Effort, prices: Prices | None = None) -> Assignment:
    """The best assignment found; always one that keeps every capacity."""
    if not (cells.bins >= 0).any():
        cost, none = int(cells.unplaced.sum()), np.full(cells.jobs, -1, np.int64)
        return Assignment(none, none, cost, float(cost), np.zeros(cells.capacity.shape), 0)
    if prices is None:
        prices = capacity_prices(cells, workers=effort.workers, at_once=effort.at_once)
    order, work = ranked(cells, prices)
    rounds = _Rounds(work, effort)
    rounds.run()
    return _answer(cells, order, rounds, prices)


class _Rounds:
    """Districts are cut, searched and joined, round by round, from the best so far."""

    def __init__(self, work: Work, effort: Effort) -> None:
        self.work, self.effort, self.kicked = work, effort, 0
        many, rows = len(work.bins), work.capacity.shape[1]
        self.manner = _DEEP if rows == 1 and many <= _DENSE_JOBS else _WIDE
        self.keep, self.scale = min(self.manner.keep, work.bins.shape[1]), _scale(work)
        self.halvings = max(0, int(np.ceil(np.log2(len(work.bins) / _JOBS_OF_A_DISTRICT))))
        self.slots = sit_by_regret(work)

    def run(self) -> None:
        length = 0
        for number in count():
            manner = self.manner
            if number < len(manner.looks):
                depth, width = manner.looks[number]
                manner = replace(manner, depth=depth, width=width)
            else:
                length = max(_FIRST_ROUND, 2 * length)
            self._round(length, manner, number)
            self._fetch_in()
            if self.kicked >= self.effort.kicks or self.effort.should_stop():
                return

    def _round(self, length: int, manner: _Manner, number: int) -> None:
        """Each district by itself, with as many kicks as its share of the jobs."""
        seed = self.effort.seed + 7919 * number
        left = min(length, self.effort.kicks - self.kicked)
        parts = districts(self.work, self.slots, self.halvings, self.keep, seed)

        def searched(task: tuple[District, int, int]) -> tuple[Ints, int]:
            part, *kicks_of_it = task
            return _Search(part, self.effort, seed, self.scale, manner).cooled(*kicks_of_it)

        tasks = list(zip(parts, _shares(parts, length), _shares(parts, left), strict=True))
        for part, (slot, kicked) in zip(parts, self.effort.at_once(searched, tasks), strict=True):
            self._take(part, slot)
            self.kicked += kicked

    def _fetch_in(self) -> None:
        """Who was left out looks at all cells, over all borders; if in vain, all look at more."""
        if not len(wanted(self.work, self.slots)):
            return
        [whole] = districts(self.work, self.slots, 0, self.work.bins.shape[1], 0)
        search = _Search(whole, self.effort, self.effort.seed, self.scale, _FETCHING)
        search.place(wanted(whole.work, whole.slot))
        self._take(whole, search.seats.slot)
        if len(wanted(self.work, self.slots)):
            self.keep = min(2 * self.keep, self.work.bins.shape[1])

    def _take(self, part: District, slot: Ints) -> None:
        """The slots that were found within a district, as they are called in the whole."""
        there = np.take_along_axis(part.via, np.maximum(slot, 0)[:, None], axis=1)[:, 0]
        self.slots[part.jobs] = np.where(slot >= 0, there, -1)


class _Search:
    """Of one district, from where its jobs sit."""

    def __init__(
        self, part: District, effort: Effort, seed: int, scale: float, manner: _Manner
    ) -> None:
        self.work, self.effort, self.scale = part.work, effort, scale
        self.seats: Seats = seats_for(self.work)
        self.beam: Beam = beam_for(self.work, manner.depth, manner.width)
        self.desk: Desk = desk_for(self.work, seed, manner.out)
        seat_all(self.work, self.seats, part.slot)

    def descend(self, jobs: Ints) -> None:
        enqueue_all(self.desk, jobs)
        while self.desk.counts[QUEUED] > 0 and not self.effort.should_stop():
            descend(self.work, self.seats, self.beam, self.desk, _STARTS_AT_ONCE)

    def place(self, jobs: Ints) -> None:
        """Each by one chain, though time be up; nobody else is looked at for that."""
        for job in jobs:
            enqueue_all(self.desk, np.array([job]))
            descend(self.work, self.seats, self.beam, self.desk, 1)
            self.desk.queued[:] = False
            self.desk.counts[[QUEUED, LOGGED]] = 0

    def cooled(self, length: int, most: int) -> tuple[Ints, int]:
        """The best slots after kicks that cool down, at most so many of `length`; and how many.

        Where there are none to be, everybody is looked at once.
        """
        if length == 0:
            self.descend(np.arange(len(self.seats.slot)))
        best, least, kicked = self.seats.slot.copy(), value_of(self.work, self.seats), 0
        while kicked < most and not self.effort.should_stop():
            parts = (kicked + np.arange(min(_HANDFUL, most - kicked))) / length
            span = np.concatenate([[least], self.scale * _HOT * (_COLD / _HOT) ** parts])
            least = self._handful(best, span)
            kicked += len(parts)
        return best, kicked

    def _handful(self, best: Ints, span: Floats) -> float:
        out = wanted(self.work, self.seats.slot)
        self.desk.wanted[: len(out)] = out
        self.desk.counts[WANTED] = len(out)
        self.desk.counts[BEGIN] = (self.desk.counts[BEGIN] + NEAR) % len(self.work.bins)
        value = value_of(self.work, self.seats)
        kicks(self.work, self.seats, self.beam, self.desk, value, best, span)
        return float(span[0])


def _shares(parts: list[District], kicks_of_all: int) -> list[int]:
    """By their numbers of jobs, and together no more and no less."""
    ends = [0, *accumulate(len(part.jobs) for part in parts)]
    return [kicks_of_all * b // ends[-1] - kicks_of_all * a // ends[-1] for a, b in pairwise(ends)]


def wanted(work: Work, slots: Ints) -> Ints:
    """Who is left out though a cell costs less."""
    could = (work.bins[:, 0] >= 0) & (work.excess[:, 0] < work.penalty)
    return np.flatnonzero((slots < 0) & could)


def _answer(cells: Cells, order: Ints, rounds: _Rounds, prices: Prices) -> Assignment:
    jobs, slots = np.arange(cells.jobs), rounds.slots
    way = order[jobs, slots]
    out = slots < 0
    cost = np.where(out, cells.unplaced, cells.cost[jobs, way])
    return Assignment(
        np.where(out, -1, cells.bins[jobs, way]),
        np.where(out, -1, cells.row[jobs, way]),
        int(cost.sum()),
        prices.bound,
        prices.price,
        rounds.kicked,
    )


def ranked(cells: Cells, prices: Prices) -> tuple[Ints, Work]:
    """The cells in the order of what each costs above the job's best, tolls included."""
    there, toll = cells.bins >= 0, prices.toll
    priced = np.where(there, cells.cost + toll[cells.bins, cells.row] * cells.weight, np.inf)
    order = np.argsort(priced, axis=1, kind="stable")
    reduced = np.take_along_axis(priced, order, axis=1)
    least = np.minimum(reduced[:, 0], cells.unplaced)
    bins, row, weight = (
        np.take_along_axis(table, order, axis=1) for table in (cells.bins, cells.row, cells.weight)
    )
    excess = np.where(bins >= 0, reduced - least[:, None], 0.0)
    penalty = (cells.unplaced - least).astype(np.float64)
    return order, Work(bins, row, weight, excess, cells.capacity, prices.price, toll, penalty)


def _scale(work: Work) -> float:
    """What a step to another good cell costs: the mean of the fourth best."""
    fourth = min(3, work.bins.shape[1] - 1)
    there = work.bins[:, fourth] >= 0
    return float(work.excess[there, fourth].mean()) if there.any() else 0.0
