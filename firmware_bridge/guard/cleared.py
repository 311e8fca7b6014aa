"""Which places a mill has cut free, so that a rapid move back through them is no crash.

The cutter is not known: a place is free where the middle of the tool passed within a cell of it, as
deep or deeper, before. It judges nothing.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.guard.moves import Bools, Col, Floats, Moves

_CELL_MM: Final = 0.5
_STEP_MM: Final = 0.2
_SAMPLES_MAX: Final = 4_000_000
_DEEPER_MM: Final = 0.01
_COLUMNS: Final = (*range(Col.X0, Col.LOW), Col.CENTRE, Col.CENTRE + 1, Col.MOTION, Col.LINE)
_LINE, _ORDER = len(_COLUMNS) - 1, len(_COLUMNS)
_ROWS_MAX: Final = 1 << 34
_AROUND: Final = tuple((dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1))
_Ints = NDArray[np.int64]


class Cleared:
    def __init__(self) -> None:
        self._cuts: list[Floats] = []
        self._rapids: list[Floats] = []
        self._count = 0

    def add(self, moves: Moves, cutting: Bools, crossing: Bools) -> None:
        order = np.arange(self._count, self._count + len(moves), dtype=np.float64)
        self._count += len(moves)
        rows = np.column_stack([*(moves[column] for column in _COLUMNS), order])
        self._cuts.append(rows[cutting])
        if crossing.any():
            self._rapids.append(rows[crossing])

    def crossings(self) -> list[tuple[int, bool]]:
        """Each rapid move below the surface: its line, and whether all of its way was free."""
        if not self._rapids:
            return []
        rapids, cuts = np.concatenate(self._rapids), np.concatenate(self._cuts)
        which, points = _samples(rapids)
        below = points[:, 2] < -_DEEPER_MM
        free = _is_free(rapids[which, _ORDER], points, cuts) | ~below
        stuck = np.bincount(which, weights=~free, minlength=len(rapids)) > 0
        return [(int(row[_LINE]), not bad) for row, bad in zip(rapids, stuck, strict=True)]


def _is_free(order: Floats, points: Floats, cuts: Floats) -> Bools:
    which, passed = _samples(cuts)
    at = _key(_cells(passed)) * _ROWS_MAX + cuts[which, _ORDER].astype(np.int64)
    sort = np.argsort(at)
    at, depth = at[sort], passed[sort, 2]
    cell = at // _ROWS_MAX
    depth = _lowest_so_far(depth, cell)
    free = np.zeros(len(points), dtype=np.bool_)
    for step in _AROUND:
        key = _key(_cells(points) + np.array(step))
        last = np.searchsorted(at, key * _ROWS_MAX + order.astype(np.int64)) - 1
        there = (last >= 0) & (cell[last] == key) if len(at) else np.False_
        free |= there & (depth[last] <= points[:, 2] + _DEEPER_MM) if len(at) else np.False_
    return free


def _samples(rows: Floats) -> tuple[_Ints, Floats]:
    """Points along each move, with the row that each belongs to."""
    start, end, middle = rows[:, :3], rows[:, 3:6], rows[:, 6:8]
    reach = np.nan_to_num(2 * np.pi * np.hypot(*(start[:, :2] - middle).T))
    length = np.maximum(np.linalg.norm(end - start, axis=1), reach)
    step = max(_STEP_MM, float(length.sum()) / _SAMPLES_MAX)
    count = np.ceil(length / step).astype(np.int64) + 1
    which = np.repeat(np.arange(len(rows)), count)
    first = np.cumsum(count) - count
    share = (np.arange(len(which)) - first[which]) / np.maximum(count[which] - 1, 1)
    points = start[which] + (end - start)[which] * share[:, None]
    bent = ~np.isnan(middle[which, 0])
    points[bent, :2] = _bent(rows[which[bent]], share[bent])
    return which, points


def _bent(rows: Floats, share: Floats) -> Floats:
    away, to = rows[:, :2] - rows[:, 6:8], rows[:, 3:5] - rows[:, 6:8]
    begin = np.arctan2(away[:, 1], away[:, 0])
    turn = np.where(rows[:, 8] == 2, -1.0, 1.0)
    sweep = (turn * (np.arctan2(to[:, 1], to[:, 0]) - begin)) % (2 * np.pi)
    angle = begin + turn * np.where(sweep < 1e-6, 2 * np.pi, sweep) * share
    radius = np.hypot(away[:, 0], away[:, 1])
    return rows[:, 6:8] + np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]


def _cells(points: Floats) -> _Ints:
    return np.floor(points[:, :2] / _CELL_MM).astype(np.int64)


def _key(cells: _Ints) -> _Ints:
    key: _Ints = ((cells[:, 0] + (1 << 13)) << 14) + cells[:, 1] + (1 << 13)
    return key


def _lowest_so_far(depth: Floats, cell: _Ints) -> Floats:
    new = np.concatenate([[0], np.cumsum(cell[1:] != cell[:-1])]) if len(cell) else cell
    shift: Floats = new.astype(np.float64) * 1e6  # deeper than any: each cell starts anew
    lowest: Floats = np.minimum.accumulate(depth - shift)
    return lowest + shift
