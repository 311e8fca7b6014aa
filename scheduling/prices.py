"""What an hour of each bin is worth: capacity prices, and the bound that they prove.

The linear relaxation of the assignment has a price for each capacity. Any prices that are not
negative prove a bound: each job takes its cheapest cell, its price included, and what the bins hold
is paid back. Good prices are found by a subgradient method with a memory, whose steps aim above the
bound by a share that shrinks (Held, Wolfe & Crowder, Mathematical Programming 6, 1974), and to
which a bin that is overrun counts as one that is merely far too full; it never answers with worse
ones than it came upon.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduling.cells import Cells, Floats, Ints
from scheduling.compiled import AtOnce, compiled

SWEEPS: Final = 800
_MEMORY: Final = 0.9
_OVERRUN: Final = 4
_COLD: Final = (0.05, 1e-6)
_WARM: Final = (1e-3, 1e-6)
_CELLS_MANY: Final = 200_000

Spots = NDArray[np.int32]
Singles = NDArray[np.float32]
_Ledger = tuple[Spots, Singles, Singles]


@dataclass(frozen=True, eq=False)
class Prices:
    """`price`: bins × rows, for a unit of capacity. `bound`: no assignment costs less.

    A cell pays the prices of its row and of all after it: in each of them it takes room.
    """

    price: Floats
    bound: float

    @property
    def toll(self) -> Floats:
        """What a unit of weight pays, by bin and row."""
        return tolls(self.price)


def tolls(price: Floats) -> Floats:
    return np.ascontiguousarray(np.cumsum(price[:, ::-1], axis=1)[:, ::-1])


def capacity_prices(
    cells: Cells,
    sweeps: int = SWEEPS,
    start: Floats | None = None,
    workers: int = 1,
    at_once: AtOnce = map,
    stride: tuple[float, float] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Prices:
    """The bound is within 0.01 % of the best after 600 sweeps; `start`: prices of a like problem.

    Large problems are swept in as many parts as there are `workers`, each by a call of `at_once`,
    until `should_stop`. `stride`: by which share above the bound to aim at first, and at last.
    """
    best = np.zeros(cells.capacity.shape) if start is None else start.astype(np.float64)
    far, near = stride or (_COLD if start is None else _WARM)
    climb = _Climb(best.copy(), np.zeros_like(best), np.zeros_like(best), tolls(best), best.copy())
    hands = _Hands(workers if cells.bins.size >= _CELLS_MANY else 1, at_once, should_stop)
    bound = _proved(cells, best, climb.load, hands)
    aim = np.array([bound, far, (near / far) ** (1.0 / max(1, sweeps))])
    ledger = _ledger(cells.bins, cells.row, cells.cost, cells.weight, cells.rows)
    if hands.workers > 1:
        _climb_in_parts(cells, ledger, climb, aim, sweeps, hands)
    else:
        _climb(ledger, cells.capacity, cells.unplaced, climb, aim, sweeps)
    for price in (climb.best, climb.price):
        proved = _proved(cells, price, climb.load, hands)
        if proved > bound:
            bound, best = proved, price
    return Prices(best, bound)


class _Climb(NamedTuple):
    """Prices, the way that they are going, what the bins would carry, and the best prices yet."""

    price: Floats
    way: Floats
    load: Floats
    toll: Floats
    best: Floats


@dataclass(frozen=True)
class _Hands:
    workers: int
    at_once: AtOnce
    should_stop: Callable[[], bool]

    def shares(self, jobs: int) -> list[slice]:
        ends = [jobs * part // self.workers for part in range(self.workers + 1)]
        return [slice(a, b) for a, b in pairwise(ends)]


def _climb_in_parts(
    cells: Cells, ledger: _Ledger, climb: _Climb, aim: Floats, sweeps: int, hands: _Hands
) -> None:
    """As `_climb`; the parts are added up in their order, so that threads change nothing."""
    parts = [
        (*(table[share] for table in ledger), cells.unplaced[share], np.zeros_like(climb.load))
        for share in hands.shares(cells.jobs)
    ]

    def sweep(part: tuple[Spots, Singles, Singles, Ints, Floats]) -> float:
        spot, cost, weight, unplaced, load = part
        load[:] = 0.0
        return float(_sweep(spot, cost, weight, unplaced, climb.toll, load))

    for _ in range(sweeps):
        if hands.should_stop() or not _step(
            cells.capacity, climb.price, climb.way, climb.load, climb.toll, aim
        ):
            return
        value = sum(hands.at_once(sweep, parts))
        climb.load[:] = np.cumsum(sum(part[4] for part in parts), axis=1)
        value -= float((climb.price * cells.capacity).sum())
        if value > aim[0]:
            aim[0] = value
            climb.best[:] = climb.price


@compiled
def _ledger(bins: Ints, row: Ints, cost: Ints, weight: Ints, rows: int) -> _Ledger:
    """Bin and row as one number, costs and weights in short: a sweep is as quick as memory is."""
    spot = np.zeros(bins.shape, np.int32)
    costs, weights = np.zeros(bins.shape, np.float32), np.zeros(bins.shape, np.float32)
    for j in range(len(bins)):
        for q in range(bins.shape[1]):
            spot[j, q] = max(0, bins[j, q]) * rows + row[j, q]
            costs[j, q] = cost[j, q] if bins[j, q] >= 0 else np.inf
            weights[j, q] = weight[j, q]
    return spot, costs, weights


@compiled
def _climb(
    ledger: _Ledger, capacity: Ints, unplaced: Ints, climb: _Climb, aim: Floats, sweeps: int
) -> None:
    """`aim`: the best bound yet, how far above it to step, and how that shrinks."""
    spot, cost, weight = ledger
    price, way, load, toll, best = climb
    for _ in range(sweeps):
        if not _step(capacity, price, way, load, toll, aim):
            return
        load[:] = 0.0
        value = _sweep(spot, cost, weight, unplaced, toll, load)
        for i in range(len(price)):
            for b in range(price.shape[1]):
                load[i, b] += load[i, b - 1] if b > 0 else 0.0
                value -= price[i, b] * capacity[i, b]
        if value > aim[0]:
            aim[0] = value
            best[:] = price


@compiled
def _step(
    capacity: Ints, price: Floats, way: Floats, load: Floats, toll: Floats, aim: Floats
) -> bool:
    """Prices rise where a bin carries too much and fall where too little; whether any moved."""
    norm, rows = 0.0, price.shape[1]
    for i in range(len(price)):
        for b in range(rows):
            slope = min(load[i, b] - capacity[i, b], 1.0 * _OVERRUN * max(1, capacity[i, b]))
            if price[i, b] <= 0.0 and slope < 0.0:
                slope = 0.0
            way[i, b] = _MEMORY * way[i, b] + (1.0 - _MEMORY) * slope
            norm += way[i, b] * way[i, b] / max(1, capacity[i, b])
    if norm <= 0.0:
        return False
    step = aim[1] * max(1.0, abs(aim[0])) / norm
    aim[1] *= aim[2]
    for i in range(len(price)):
        for b in range(rows - 1, -1, -1):
            change = step * way[i, b] / max(1, capacity[i, b])
            price[i, b] = max(0.0, price[i, b] + change)
            toll[i, b] = price[i, b] + (toll[i, b + 1] if b + 1 < rows else 0.0)
    return True


@compiled
def _sweep(
    spot: Spots, cost: Singles, weight: Singles, unplaced: Ints, toll: Floats, load: Floats
) -> float:
    """Each job to its cheapest cell, its toll included; `load`: what those weigh, row by row."""
    value, price, laden = 0.0, toll.ravel(), load.ravel()
    for j in range(len(spot)):
        cheapest, where = np.float64(unplaced[j]), -1
        for q in range(spot.shape[1]):
            pays = cost[j, q] + price[spot[j, q]] * weight[j, q]
            if pays < cheapest:
                cheapest, where = pays, q
        value += cheapest
        if where >= 0:
            laden[spot[j, where]] += weight[j, where]
    return value


def _proved(cells: Cells, price: Floats, load: Floats, hands: _Hands) -> float:
    """The bound of these prices to the last digit; `load`: what the bins would carry at them."""
    toll = tolls(price)

    def proved(share: slice) -> tuple[float, Floats]:
        part, tables = np.zeros_like(load), (cells.bins, cells.row, cells.cost, cells.weight)
        bins, row, cost, weight = (each[share] for each in tables)
        return _prove(bins, row, cost, weight, cells.unplaced[share], toll, part), part

    values, loads = zip(*hands.at_once(proved, hands.shares(cells.jobs)), strict=True)
    load[:] = np.cumsum(sum(loads), axis=1)
    return float(sum(values) - (price * cells.capacity).sum())


@compiled
def _prove(
    bins: Ints, row: Ints, cost: Ints, weight: Ints, unplaced: Ints, toll: Floats, load: Floats
) -> float:
    value = 0.0
    for j in range(len(bins)):
        cheapest, where = float(unplaced[j]), -1
        for q in range(bins.shape[1]):
            i = bins[j, q]
            if i >= 0:
                pays = cost[j, q] + toll[i, row[j, q]] * weight[j, q]
                if pays < cheapest:
                    cheapest, where = pays, q
        value += cheapest
        if where >= 0:
            load[bins[j, where], row[j, where]] += weight[j, where]
    return value
