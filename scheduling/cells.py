"""Who can do what at which cost: jobs, bins with a capacity, and the cells where they may meet.

The heart of routing as a bare value: the sparse generalised assignment problem, its capacities in
nested rows. A bin is a machine, a row a span from now to a due date, a cell one job on one bin by
the end of one row. It promises sane numbers from birth, and never sorts or shortens them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_MOST: Final = 10**12
_ROWS_MOST: Final = 1000


class CellsError(ValueError):
    """The numbers contradict each other or are absurd; the message says which."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Each job takes one of its cells or none; what a bin carries stays within its capacity.

    `bins`, `row`, `cost`, `weight`: jobs × cells of each; a bin and row stand at most once among a
    job's cells, and -1 as the bin fills up those that are fewer. `capacity`: bins × rows; what
    weighs in a row weighs in all after it, and there is never less room by the end of a later one.
    `unplaced`: what leaving a job out costs.
    """

    bins: Ints
    row: Ints
    cost: Ints
    weight: Ints
    capacity: Ints
    unplaced: Ints

    def __post_init__(self) -> None:
        shape = self.bins.shape
        if len(shape) != 2 or any(t.shape != shape for t in (self.row, self.cost, self.weight)):
            raise CellsError("bins, row, cost and weight must be tables of one shape, jobs × cells")
        if self.unplaced.shape != (len(self.bins),):
            raise CellsError("unplaced must have one number a job")
        if self.capacity.ndim != 2 or not 1 <= self.capacity.shape[1] <= _ROWS_MOST:
            raise CellsError(f"capacity must be a table, bins × rows, of 1 to {_ROWS_MOST} rows")
        _within("a cell's bin", self.bins, -1, len(self.capacity) - 1)
        _within("a cell's row", self.row, 0, self.rows - 1)
        _within("a capacity", self.capacity, 0, _MOST)
        _within("a cell's cost", self.cost, -_MOST, _MOST)
        _within("a cell's weight", self.weight, 0, _MOST)
        _within("the cost of leaving out", self.unplaced, -_MOST, _MOST)
        if (self.capacity[:, 1:] < self.capacity[:, :-1]).any():
            raise CellsError("a bin's capacity falls from a row to the next; rows are nested")
        place = np.sort(np.where(self.bins < 0, -1, self.bins * self.rows + self.row), axis=1)
        if ((place[:, 1:] == place[:, :-1]) & (place[:, 1:] >= 0)).any():
            raise CellsError("a job has two cells in one bin and row; keep the cheaper")

    @property
    def jobs(self) -> int:
        return len(self.bins)

    @property
    def rows(self) -> int:
        return int(self.capacity.shape[1])


def dense(cost: Ints, weight: Ints, capacity: Ints, unplaced: int) -> Cells:
    """Every job may go to every bin, of one row each; `cost` and `weight` are jobs × bins."""
    jobs, bins = cost.shape
    every = np.broadcast_to(np.arange(bins, dtype=np.int64), (jobs, bins)).copy()
    left_out = np.full(jobs, unplaced, dtype=np.int64)
    return Cells(every, np.zeros_like(every), cost, weight, capacity[:, None], left_out)


def _within(what: str, numbers: Ints, least: int, most: int) -> None:
    if numbers.dtype != np.int64:
        raise CellsError(f"{what} is kept as {numbers.dtype}; give 64-bit whole numbers")
    if numbers.size and not (numbers.min() >= least and numbers.max() <= most):
        worst = numbers.min() if numbers.min() < least else numbers.max()
        raise CellsError(f"{what} is {worst}; it must lie between {least} and {most}")
