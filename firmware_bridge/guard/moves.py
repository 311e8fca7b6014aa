"""What a program for a mill or a laser does, as a table: one row for each move, wait or switch.

Values only, in mm, mm/min and s, in the coordinates of the stock (G54); nothing here judges.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Row = tuple[float, ...]

# What is known of a coordinate: a work offset's number (54 to 59), or one of these.
NOWHERE: Final = 0
"""Never told: where the machine happened to be."""
ELSEWHERE: Final = 28
"""Told once, but not in these coordinates: a stored position, another offset's zero."""
MACHINE: Final = 53
"""Told in machine coordinates while nobody knows where the work lies."""
STOCK: Final = 54
"""Told from the stock's corner."""

HOMING: Final = 28
"""A rapid way home (G28, G30) while G1, G2 or G3 is in force: GRBL blanks no beam there."""


class Col(IntEnum):
    """The columns; X, Y and Z follow each other, so a group is `Col.X0 + axis`."""

    LINE = 0
    MOTION = 1  # 0 rapid, 1 straight, 2 and 3 arcs, 38 probing, HOMING
    MOVES = 2
    X0 = 3
    X1 = 6
    LOW = 9
    HIGH = 12
    LENGTH = 15
    FEED = 16  # 0 while none was told
    SPIN = 17  # 3, 4 or 5, as in M3, M4, M5
    POWER = 18  # S; nan while none was told
    TOLD_S = 19
    DWELL = 20
    PLACE = 21
    FRESH = 24  # bits of the axes whose start was not known
    TOLD = 25  # bits of the axes in this line
    STOPS = 26  # waits for a person
    CENTRE = 27  # X and Y, of arcs in the XY plane; nan otherwise


WIDTH: Final = 29


class Moves:
    """Rows of one stretch of a program, in its order."""

    def __init__(self, rows: Floats) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, column: int) -> Floats:
        return self._rows[:, column]

    @property
    def moving(self) -> Bools:
        return self[Col.MOVES] > 0

    @property
    def rapid(self) -> Bools:
        """Moves at the machine's own speed (G0, G28, G30)."""
        return self.moving & ((self[Col.MOTION] == 0) | (self[Col.MOTION] == HOMING))

    @property
    def fed(self) -> Bools:
        """Moves at a feed (G1, G2, G3, probing)."""
        return self.moving & (self[Col.MOTION] > 0) & (self[Col.MOTION] != HOMING)

    @property
    def across(self) -> Bools:
        """Moves that change X or Y, an arc that ends where it starts too."""
        return self.moving & (
            (self[Col.HIGH] > self[Col.LOW]) | (self[Col.HIGH + 1] > self[Col.LOW + 1])
        )

    def told(self, axis: int) -> Bools:
        return (self[Col.TOLD].astype(np.int64) >> axis & 1).astype(np.bool_)

    def fresh(self, axis: int) -> Bools:
        return (self[Col.FRESH].astype(np.int64) >> axis & 1).astype(np.bool_)

    def known(self, axis: int) -> Bools:
        """The coordinate after the move counts from the stock's corner."""
        return self[Col.PLACE + axis] == STOCK

    @property
    def from_top(self) -> Bools:
        """Z counts from the top of the stock, by whichever work offset."""
        return self[Col.PLACE + 2] >= STOCK

    def line(self, index: int) -> int:
        return int(self[Col.LINE][index])

    def lines(self, which: Bools) -> Iterator[int]:
        """The line numbers of these rows, in their order."""
        return map(int, self[Col.LINE][which])


class Table:
    """Collects rows until there are enough to be looked at together."""

    def __init__(self) -> None:
        self._loose: list[Row] = []
        self._packed: list[Floats] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, row: Row) -> None:
        self._loose.append(row)
        self._count += 1

    def extend(self, rows: Floats) -> None:
        self._pack()
        self._packed.append(rows)
        self._count += len(rows)

    def take(self) -> Moves:
        """All rows so far, leaving none."""
        self._pack()
        rows = np.concatenate([np.empty((0, WIDTH)), *self._packed])
        self._packed, self._count = [], 0
        return Moves(rows)

    def _pack(self) -> None:
        if self._loose:
            self._packed.append(np.array(self._loose, dtype=np.float64))
            self._loose = []
