"""Who can do what at which cost: jobs, bins with a capacity, and the cells where they may meet.

The heart of routing as a bare value: the sparse generalised assignment problem. A bin is a machine
or a span of its hours; a cell is one job on one bin. It promises sane numbers from birth.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_MOST: Final = 10**12


class CellsError(ValueError):
    """The numbers contradict each other or are absurd; the message says which."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Each job takes one of its cells or none; what a bin carries stays within its capacity.

    `bins`, `cost`, `weight`: jobs × cells of each; a bin stands at most once in a row, and -1 fills
    rows that are shorter. `capacity`: one number a bin. `unplaced`: what leaving a job out costs.
    """

    bins: Ints
    cost: Ints
    weight: Ints
    capacity: Ints
    unplaced: Ints

    def __post_init__(self) -> None:
        if self.bins.ndim != 2 or not self.bins.shape == self.cost.shape == self.weight.shape:
            raise CellsError("bins, cost and weight must be tables of one shape, jobs × cells")
        if self.unplaced.shape != (len(self.bins),):
            raise CellsError("unplaced must have one number a job")
        if self.capacity.ndim != 1:
            raise CellsError("capacity must have one number a bin")
        _within("a cell's bin", self.bins, -1, len(self.capacity) - 1)
        _within("a capacity", self.capacity, 0, _MOST)
        _within("a cell's cost", self.cost, -_MOST, _MOST)
        _within("a cell's weight", self.weight, 0, _MOST)
        _within("the cost of leaving out", self.unplaced, -_MOST, _MOST)
        row = np.sort(self.bins, axis=1)
        if ((row[:, 1:] == row[:, :-1]) & (row[:, 1:] >= 0)).any():
            raise CellsError("a job has two cells in one bin; keep the cheaper")

    @property
    def jobs(self) -> int:
        return len(self.bins)

    def picked(self, order: Ints) -> "Cells":
        """The cells at these places of each row, in this order."""
        bins, cost, weight = (
            np.ascontiguousarray(np.take_along_axis(table, order, axis=1))
            for table in (self.bins, self.cost, self.weight)
        )
        return Cells(bins, cost, weight, self.capacity, self.unplaced)


def dense(cost: Ints, weight: Ints, capacity: Ints, unplaced: int) -> Cells:
    """Every job may go to every bin; `cost` and `weight` are jobs × bins."""
    jobs, bins = cost.shape
    every = np.broadcast_to(np.arange(bins, dtype=np.int64), (jobs, bins)).copy()
    left_out = np.full(jobs, unplaced, dtype=np.int64)
    return Cells(every, cost, weight, capacity, left_out)


def _within(what: str, numbers: Ints, least: int, most: int) -> None:
    if numbers.dtype != np.int64:
        raise CellsError(f"{what} is kept as {numbers.dtype}; give 64-bit whole numbers")
    if numbers.size and not (numbers.min() >= least and numbers.max() <= most):
        worst = numbers.min() if numbers.min() < least else numbers.max()
        raise CellsError(f"{what} is {worst}; it must lie between {least} and {most}")
