"""What an hour of each bin is worth: capacity prices, and the bound that they prove.

The linear relaxation of the assignment has a price for each capacity. Any prices that are not
negative prove a bound: each job takes its cheapest cell, its price included, and what the bins hold
is paid back. The best prices are found by a subgradient method with a target that moves with what
was reached (Held, Wolfe & Crowder, Mathematical Programming 6, 1974; the target as in Goffin &
Kiwiel, Mathematical Programming 85, 1999).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from scheduling.cells import Cells, Floats, Ints
from scheduling.compiled import compiled

SWEEPS: Final = 2000
_MEMORY: Final = 0.7
_PATIENCE: Final = 12


@dataclass(frozen=True, eq=False)
class Prices:
    """`price`: one a bin, for a unit of its capacity. `bound`: no assignment costs less."""

    price: Floats
    bound: float


def capacity_prices(cells: Cells, sweeps: int = SWEEPS, start: Floats | None = None) -> Prices:
    """More sweeps never make the bound worse; `start` are the prices of a like problem."""
    price = np.zeros(len(cells.capacity)) if start is None else start.astype(np.float64)
    bound = _climb(cells.bins, cells.cost, cells.weight, cells.capacity, cells.unplaced, price,
                   sweeps)  # fmt: skip
    return Prices(price, bound)


@compiled
def _climb(
    bins: Ints, cost: Ints, weight: Ints, capacity: Ints, unplaced: Ints, best: Floats, sweeps: int
) -> float:
    """`best`: prices to begin with, and the best ones in the end; returns their bound."""
    price, way, load = best.copy(), np.zeros_like(best), np.zeros_like(best)
    bound = _sweep(bins, cost, weight, capacity, unplaced, price, load)
    reach, waited = 0.05, 0
    for _ in range(sweeps):
        norm = 0.0
        for i in range(len(price)):
            slope = load[i] - capacity[i]
            if price[i] <= 0.0 and slope < 0.0:
                slope = 0.0
            way[i] = _MEMORY * way[i] + (1.0 - _MEMORY) * slope
            norm += way[i] * way[i]
        if norm <= 0.0:
            break
        step = reach * max(1.0, abs(bound)) / norm
        for i in range(len(price)):
            price[i] = max(0.0, price[i] + step * way[i])
        value = _sweep(bins, cost, weight, capacity, unplaced, price, load)
        if value > bound:
            bound, waited = value, 0
            best[:] = price
        else:
            waited += 1
            if waited > _PATIENCE:
                reach, waited = reach * 0.7, 0
                price[:] = best
                way[:] = 0.0
                _sweep(bins, cost, weight, capacity, unplaced, price, load)
    return bound


@compiled
def _sweep(
    bins: Ints,
    cost: Ints,
    weight: Ints,
    capacity: Ints,
    unplaced: Ints,
    price: Floats,
    load: Floats,
) -> float:
    """Each job to its cheapest cell, its price included: the bound; `load` is what they weigh."""
    value = 0.0
    for i in range(len(price)):
        load[i] = 0.0
        value -= price[i] * capacity[i]
    for j in range(len(bins)):
        cheapest, where = float(unplaced[j]), -1
        for q in range(bins.shape[1]):
            i = bins[j, q]
            if i >= 0:
                priced = cost[j, q] + price[i] * weight[j, q]
                if priced < cheapest:
                    cheapest, where = priced, q
        value += cheapest
        if where >= 0:
            load[bins[j, where]] += weight[j, where]
    return value
