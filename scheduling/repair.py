"""Mends an assignment that stands: some jobs come in or a bin falls out, and few others move.

It promises that every capacity is kept, that whoever moves from a seat pays for it, and that a call
works by what it touches, not by how many jobs there are; it never looks at anybody else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduling.assign import ranked
from scheduling.cells import Cells, CellsError, Floats, Ints
from scheduling.chains import (
    LEVEL,
    LOGGED,
    QUEUED,
    Beam,
    Desk,
    Seats,
    Work,
    beam_for,
    descend,
    desk_for,
    enqueue,
    follow,
    search,
    seat,
    seat_all,
    seats_for,
)
from scheduling.compiled import compiled
from scheduling.prices import Prices

KEEP: Final = 24
_DEPTH: Final = 4
_WIDTH: Final = 12
_HANDFUL: Final = 100
_TINY: Final = 1e-9
_NO_ROOM: Final = -1


@dataclass(frozen=True)
class Terms:
    """`move_cost`: what it costs to move a job that sits. `looks`: from so many jobs that had to do
    with a change, at most, chains are followed that make it cheaper.
    """

    move_cost: int
    looks: int = 100
    seed: int = 0
    should_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, eq=False)
class Mended:
    """`job`, with its `bin` and `row`: whose place is another now; -1 = left out.

    `moved`: how many of these sat elsewhere and were not asked to leave. `left_out`: who was to be
    placed and is not. `cost`: of the whole assignment as it stands now.
    """

    job: Ints
    bin: Ints
    row: Ints
    moved: int
    left_out: Ints
    cost: int


class Standing:
    """An assignment with its prices, kept ready; jobs are numbered as in its cells, new ones on."""

    def __init__(
        self, cells: Cells, prices: Prices, seats: tuple[Ints, Ints], terms: Terms
    ) -> None:
        """`seats`: the bin and row of each job, -1 = left out; they are taken as they are.

        Raises CellsError where somebody sits in none of their cells.
        """
        self.prices, self.terms, self.jobs = prices, terms, cells.jobs
        order, work = ranked(cells, prices)
        self._home = _slots(work, *seats)
        wide = min(KEEP, work.bins.shape[1])
        picked = _picked(self._home, work.bins.shape[1], wide)
        self._home = np.minimum(self._home, wide - 1)
        cost = np.take_along_axis(cells.cost, order, axis=1)
        self._cost, self._unplaced = np.take_along_axis(cost, picked, axis=1), cells.unplaced
        self._base = np.take_along_axis(work.excess, picked, axis=1)
        bins, row, weight = (
            np.take_along_axis(table, picked, axis=1)
            for table in (work.bins, work.row, work.weight)
        )
        self._work = work._replace(
            bins=bins, row=row, weight=weight, excess=_with_moves(self._base, self._home, terms),
            capacity=cells.capacity.copy(),
        )  # fmt: skip
        self.cost = int(self._paid(np.arange(self.jobs), self._home).sum())
        self._make_room(max(1000, self.jobs // 10))

    def _make_room(self, more: int) -> None:
        """For so many jobs more; the one thing here that looks at everybody."""
        work = self._work
        self._home = _longer(self._home, more, -1)
        self._cost, self._base = _longer(self._cost, more), _longer(self._base, more)
        self._unplaced = _longer(self._unplaced, more)
        self._work = work = work._replace(
            bins=_longer(work.bins, more, -1), row=_longer(work.row, more),
            weight=_longer(work.weight, more), excess=_longer(work.excess, more),
            penalty=_longer(work.penalty, more),
        )  # fmt: skip
        self._seats: Seats = seats_for(work)
        self._beam: Beam = beam_for(work, _DEPTH, _WIDTH)
        self._desk: Desk = desk_for(work, self.terms.seed, 0)
        seat_all(work, self._seats, self._home)

    def at(self, jobs: Ints) -> tuple[Ints, Ints]:
        """The bin and row of each, -1 = left out."""
        sits = self._home[jobs] >= 0
        return np.where(sits, self._seats.bin[jobs], -1), np.where(sits, self._seats.row[jobs], -1)

    @property
    def bin(self) -> Ints:
        return self.at(np.arange(self.jobs))[0]

    @property
    def row(self) -> Ints:
        return self.at(np.arange(self.jobs))[1]

    @property
    def room(self) -> Ints:
        """Bins × rows: as much may still come into that row."""
        return np.maximum(0, self._seats.room)

    def arrive(self, cells: Cells) -> Mended:
        """New jobs, numbered on from those that are here; their bins are those of the others."""
        if self.jobs + cells.jobs > len(self._home):
            self._make_room(max(cells.jobs, self.jobs // 10))
        jobs = np.arange(self.jobs, self.jobs + cells.jobs)
        self.jobs += cells.jobs
        self.cost += int(cells.unplaced.sum())
        self._unplaced[jobs] = cells.unplaced
        return self.look(jobs, cells)

    def look(self, jobs: Ints, cells: Cells) -> Mended:
        """Those who are left out may take these cells, instead of what they had before."""
        if (self._home[jobs] >= 0).any():
            raise CellsError("only who is left out can be given other cells")
        wide = self._work.bins.shape[1]
        order, work = ranked(cells, self.prices)
        for mine, theirs in (
            (self._work.bins, work.bins), (self._work.row, work.row), (self._base, work.excess),
            (self._work.weight, work.weight),
            (self._cost, np.take_along_axis(cells.cost, order, axis=1)),
        ):  # fmt: skip
            mine[jobs] = _wide(theirs, wide, -1 if theirs is work.bins else 0)
        self._work.excess[jobs] = self._base[jobs]
        self._work.penalty[jobs] = work.penalty
        return self._mended(jobs)

    def fail(self, bin_: int) -> Mended:
        """The bin takes nobody any more; who sat there goes elsewhere, and pays nothing for it."""
        jobs = _emptied(self._work, self._seats, bin_)
        for table in (self._work.capacity, self._seats.free, self._seats.room):
            table[bin_] = _NO_ROOM
        self._seats.worth[bin_] = 0.0
        self._work.excess[jobs] = self._base[jobs]
        return self._mended(jobs)

    def _mended(self, wanted: Ints) -> Mended:
        """Those who want a seat get one, then all near them are looked at, as far as terms go."""
        work, seats, desk = self._work, self._seats, self._desk
        touched, looks = [wanted], self.terms.looks
        for at in range(0, len(wanted), _HANDFUL):
            _sit(work, seats, self._beam, desk, wanted[at : at + _HANDFUL])
            touched.append(self._logged())
        while looks > 0 and desk.counts[QUEUED] > 0 and not self.terms.should_stop():
            descend(work, seats, self._beam, desk, min(_HANDFUL, looks))
            looks -= _HANDFUL
            touched.append(self._logged())
        desk.queued[desk.queue[: desk.counts[QUEUED]]] = False
        desk.counts[QUEUED] = 0
        return self._told(np.unique(np.concatenate(touched)), wanted)

    def _logged(self) -> Ints:
        """Who moved since somebody last asked."""
        moved = self._desk.log_job[: self._desk.counts[LOGGED]].copy()
        self._desk.counts[LOGGED] = 0
        return moved

    def _told(self, touched: Ints, wanted: Ints) -> Mended:
        seats = self._seats
        job = touched[seats.slot[touched] != self._home[touched]]
        moved = int(((self._home[job] >= 0) & ~np.isin(job, wanted)).sum())
        self.cost += self._settle(job)
        return Mended(job, *self.at(job), moved, wanted[seats.slot[wanted] < 0], self.cost)

    def _settle(self, jobs: Ints) -> int:
        """Where they sit now is what they pay for leaving from now on; what that costs more."""
        seats, slot = self._seats, self._seats.slot[jobs]
        dearer = self._paid(jobs, slot) - self._paid(jobs, self._home[jobs])
        self._home[jobs] = slot
        self._work.excess[jobs] = _with_moves(self._base[jobs], slot, self.terms)
        toll = self._work.toll[seats.bin[jobs], seats.row[jobs]]
        seats.leaves[jobs] = toll * seats.weight[jobs] - self._work.excess[jobs, slot]
        return int(dearer.sum())

    def _paid(self, jobs: Ints, slot: Ints) -> Ints:
        return np.where(slot >= 0, self._cost[jobs, slot], self._unplaced[jobs])


def _slots(work: Work, bins: Ints, row: Ints) -> Ints:
    """Where in the cells of each job its seat is."""
    here = (work.bins == bins[:, None]) & (work.row == row[:, None]) & (bins >= 0)[:, None]
    slot = np.where(here.any(axis=1), here.argmax(axis=1), -1)
    lost = np.flatnonzero((slot < 0) & (bins >= 0))
    if len(lost):
        raise CellsError(f"job {lost[0]} sits in none of its cells")
    return slot


def _picked(home: Ints, ways: int, wide: int) -> Ints:
    """The best cells of each job, and its seat as the last of them if it is none of these."""
    picked = np.broadcast_to(np.arange(ways), (len(home), ways))[:, :wide].copy()
    far = np.flatnonzero(home >= wide)
    picked[far, wide - 1] = home[far]
    return picked


def _with_moves(excess: Floats, home: Ints, terms: Terms) -> Floats:
    """Whoever sits pays for every other cell."""
    excess, sits = excess.copy(), np.flatnonzero(home >= 0)
    stays = excess[sits, home[sits]]
    excess[sits] += terms.move_cost
    excess[sits, home[sits]] = stays
    return excess


def _longer(table: NDArray[Any], more: int, fill: int = 0) -> NDArray[Any]:
    return np.concatenate([table, np.full((more, *table.shape[1:]), fill, table.dtype)])


def _wide(table: NDArray[Any], wide: int, fill: int) -> NDArray[Any]:
    """Cut off or filled up."""
    kept = table[:, :wide]
    return np.pad(kept, ((0, 0), (0, wide - kept.shape[1])), constant_values=fill)


@compiled
def _emptied(w: Work, s: Seats, i: int) -> Ints:
    """Everybody who sat there, in no order."""
    many, job = 0, int(s.first[i])
    while job >= 0:
        many += 1
        job = int(s.after[job])
    jobs = np.empty(many, np.int64)
    for at in range(many):
        job = int(s.first[i])
        jobs[at] = job
        seat(w, s, job, -1)
    return jobs


@compiled
def _sit(w: Work, s: Seats, b: Beam, d: Desk, jobs: Ints) -> None:
    """One after the other by the best chain that seats them, if being left out is not better."""
    for job in jobs:
        limit = float(w.penalty[job]) - _TINY
        search(w, s, b, job, limit)
        if b.at[LEVEL] >= 0:
            follow(w, s, b, d)
        enqueue(d, job)
