"""From cells to an assignment: prices first, then regret, then chains of moves and kicks.

It promises the same answer to the same seed, compiled or not, and one that more time never makes
worse; it knows no clock, and asks `should_stop` between handfuls of work.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from scheduling.cells import Cells, Floats, Ints
from scheduling.chains import (
    Beam,
    Desk,
    Seats,
    Work,
    beam_for,
    descend,
    desk_for,
    enqueue,
    kicks,
    seat,
    seats_for,
    value_of,
)
from scheduling.prices import Prices, capacity_prices

DEPTH: Final = 8
WIDTH: Final = 12
_STARTS_AT_ONCE: Final = 5_000
_HANDFUL: Final = 500
_TRIES: Final = 12
_FIRST_ROUND: Final = 5_000
_HOT: Final = 0.2
_COLD: Final = 0.02


@dataclass(frozen=True, eq=False)
class Assignment:
    """`bin`: of each job, -1 = left out. `cost`: with those. `bound`: no assignment costs less."""

    bin: Ints
    cost: int
    bound: float
    kicks: int

    @property
    def placed(self) -> int:
        return int((self.bin >= 0).sum())


@dataclass(frozen=True)
class Effort:
    """`kicks`: at most so many; `keep`: cells looked at of each job, the best by their prices."""

    should_stop: Callable[[], bool]
    seed: int = 0
    kicks: int = 10**12
    keep: int = 12


def assign(cells: Cells, effort: Effort, prices: Prices | None = None) -> Assignment:
    """The best assignment found; always one that keeps every capacity."""
    if not (cells.bins >= 0).any():
        cost = int(cells.unplaced.sum())
        return Assignment(np.full(cells.jobs, -1, np.int64), cost, float(cost), 0)
    prices = prices or capacity_prices(cells)
    ranked, work = _work(cells, prices)
    first = seats_for(work)
    _sit_by_regret(work, first)
    keep, ways = effort.keep, cells.bins.shape[1]
    while True:
        search = _Search(ranked, work, _few(first.slot, min(keep, ways)), first.slot, effort)
        if search.all_sit() or keep >= ways or effort.should_stop():
            return search.found(prices.bound)
        keep *= 2


class _Search:
    """From a first assignment on, by the `few` cells of each job that are worth a look."""

    def __init__(self, ranked: Cells, all_: Work, few: Ints, first: Ints, effort: Effort) -> None:
        self.cells, self.effort = ranked.picked(few), effort
        excess = np.ascontiguousarray(np.take_along_axis(all_.excess, few, axis=1))
        self.work = all_._replace(bins=self.cells.bins, excess=excess, weight=self.cells.weight)
        self.seats: Seats = seats_for(self.work)
        self.beam: Beam = beam_for(self.work, DEPTH, WIDTH)
        self.desk: Desk = desk_for(self.work, effort.seed)
        self.kicked, self.scale = 0, _scale(self.work)
        self.best = np.minimum(first, few.shape[1] - 1)
        self._back_to_best()
        self._descend(range(self.cells.jobs))
        self.best, self.least = self.seats.slot.copy(), value_of(self.work, self.seats)

    def all_sit(self) -> bool:
        """Whether everybody does, after some kicks for those who do not."""
        for _ in range(_TRIES):
            if not self._wanted() or self._spent():
                break
            self._handful(np.full(_HANDFUL, self.scale * _HOT))
        return not self._wanted()

    def found(self, bound: float) -> Assignment:
        """Rounds that cool down, each twice as long as the one before, from the best so far."""
        length = _FIRST_ROUND
        while not self._spent():
            self._back_to_best()
            for begun in range(0, length, _HANDFUL):
                if self._spent():
                    break
                parts = (begun + np.arange(_HANDFUL)) / length
                self._handful(self.scale * _HOT * (_COLD / _HOT) ** parts)
            length *= 2
        return self._answer(bound)

    def _spent(self) -> bool:
        return self.kicked >= self.effort.kicks or self.effort.should_stop()

    def _handful(self, patience: Floats) -> None:
        self._descend(self._wanted())
        value = value_of(self.work, self.seats)
        if value < self.least:
            self.best[:], self.least = self.seats.slot, value
        span = np.concatenate([[self.least], patience])
        kicks(self.work, self.seats, self.beam, self.desk, value, self.best, span)
        self.least = float(span[0])
        self.kicked += len(patience)

    def _wanted(self) -> list[int]:
        """Who is left out though a cell costs less, for the kicks to know, too."""
        out = [int(job) for job in np.flatnonzero(self.seats.slot < 0)]
        wanted = [job for job in out if self.work.excess[job, 0] < self.work.penalty[job]]
        self.desk.wanted[: len(wanted)] = wanted
        self.desk.counts[2] = len(wanted)
        return wanted

    def _descend(self, jobs: Iterable[int]) -> None:
        for job in jobs:
            enqueue(self.desk, job)
        while self.desk.counts[0] > 0 and not self.effort.should_stop():
            descend(self.work, self.seats, self.beam, self.desk, _STARTS_AT_ONCE)

    def _back_to_best(self) -> None:
        for job in range(self.cells.jobs):
            seat(self.work, self.seats, job, -1)
        for job in range(self.cells.jobs):
            seat(self.work, self.seats, job, int(self.best[job]))

    def _answer(self, bound: float) -> Assignment:
        jobs, few = np.arange(self.cells.jobs), self.cells
        out = self.best < 0
        where = np.where(out, -1, few.bins[jobs, self.best])
        cost = np.where(out, few.unplaced, few.cost[jobs, self.best])
        return Assignment(where, int(cost.sum()), bound, self.kicked)


def _work(cells: Cells, prices: Prices) -> tuple[Cells, Work]:
    """The cells in the order of what each costs above the job's best, prices included."""
    priced = np.where(cells.bins >= 0, cells.cost + prices.price[cells.bins] * cells.weight, np.inf)
    order = np.argsort(priced, axis=1, kind="stable")
    ranked = cells.picked(order)
    reduced = np.take_along_axis(priced, order, axis=1)
    least = np.minimum(reduced[:, 0], cells.unplaced)
    excess = np.where(ranked.bins >= 0, reduced - least[:, None], 0.0)
    return ranked, Work(
        ranked.bins,
        excess,
        ranked.weight,
        ranked.capacity,
        prices.price,
        (cells.unplaced - least).astype(np.float64),
    )


def _few(slot: Ints, keep: int) -> Ints:
    """The slots worth a look: the best, and where a job sits now."""
    slots = np.broadcast_to(np.arange(keep), (len(slot), keep)).copy()
    slots[:, -1] = np.where(slot >= keep, slot, keep - 1)
    return slots


def _sit_by_regret(work: Work, seats: Seats) -> None:
    """Whoever loses most where the best cell is taken sits first; looked at anew as bins fill."""
    while True:
        left = np.flatnonzero(seats.slot < 0)
        bins = work.bins[left]
        room = (work.capacity - seats.load)[bins]
        open_ = (bins >= 0) & (work.weight[left] <= room)
        cost = np.where(open_, work.excess[left], work.penalty[left, None])
        cost = np.minimum(np.sort(cost, axis=1)[:, :2], work.penalty[left, None])
        could = cost[:, 0] < work.penalty[left]
        if not could.any():
            return
        left, regret = left[could], (cost[:, -1] - cost[:, 0])[could]
        for at in np.argsort(-regret, kind="stable")[: max(1, len(left) // 30)]:
            _sit(work, seats, int(left[at]))


def _sit(work: Work, seats: Seats, job: int) -> None:
    """In the best cell with room, unless it costs more than being left out."""
    for slot in range(work.bins.shape[1]):
        i = work.bins[job, slot]
        if i < 0 or work.excess[job, slot] >= work.penalty[job]:
            return
        if seats.load[i] + work.weight[job, slot] <= work.capacity[i]:
            seat(work, seats, job, slot)
            return


def _scale(work: Work) -> float:
    """What a step to another good cell costs: the mean of the fourth best."""
    fourth = min(3, work.bins.shape[1] - 1)
    there = work.bins[:, fourth] >= 0
    return float(work.excess[there, fourth].mean()) if there.any() else 0.0
