"""Plans a whole city: prices and a bound that hold for all of it, then a search by these.

It promises that nobody is left out where a capable machine has room and that costs less; it never
reads a clock: `should_stop` tells when time is up.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from scheduling.assign import Effort, assign
from scheduling.cells import Cells, Floats, Ints
from scheduling.city import Choice, City, Jobs, seconds_on
from scheduling.compiled import AtOnce
from scheduling.prices import Prices, capacity_prices
from scheduling.reach import (
    NEAR,
    Reach,
    Ways,
    cheapest,
    joined,
    nearest,
    reach_of,
    ways_to,
    widened,
)

_WIDTH: Final = 40
_FIRST_SWEEPS: Final = 150
_ROUNDS: Final = ((12, 200), (8, 400))
_LAST: Final = (4, 150)
_CLOSE: Final = 2e-5
_TRIES: Final = 4
_SMALL: Final = 20_000


@dataclass(frozen=True)
class Hands:
    """In how many parts large work is done, and what runs them, as a pool's `map` does."""

    workers: int = 1
    at_once: AtOnce = map


@dataclass(frozen=True, eq=False)
class Priced:
    """Ways worth a look, and prices: no plan of the whole city costs less than `bound`."""

    ways: Ways
    price: Floats
    bound: float


def cells_of(city: City, ways: Ways) -> Cells:
    """A machine is a bin, a bucket a row, its open seconds until the bucket's end the capacity."""
    machine, bucket, cost, seconds = ways
    return Cells(machine, bucket, cost, seconds, city.machines.hours_s, city.jobs.value_minor)


def priced(reach: Reach, hands: Hands) -> Priced:
    """From the nearest machines on: prices for what is known, then what those make worth a look.

    Prices for few ways are wrong where nobody looks; so ways are added until they prove as much for
    the city as for the ways, or nearly.
    """
    patience = 1 + min(3, _SMALL // max(1, len(reach.wishes.due)))
    ways = widened(ways_to(reach, nearest(reach, NEAR)), _WIDTH)
    prices = _prices(reach, ways, _FIRST_SWEEPS * patience, None, hands)
    best = Priced(ways, prices.price, -np.inf)
    for keep, sweeps in _ROUNDS:
        best, ways = _looked_around(reach, best, ways, prices, keep, hands)
        prices = _prices(reach, ways, sweeps * patience, None, hands)
    best, ways = _looked_around(reach, best, ways, prices, _LAST[0], hands)
    for _ in range(_TRIES):
        if prices.bound - best.bound <= _CLOSE * abs(best.bound):
            break
        prices = _prices(reach, ways, _LAST[1] * patience, prices.price, hands)
        best, ways = _looked_around(reach, best, ways, prices, _LAST[0], hands)
    return best


def _looked_around(
    reach: Reach, best: Priced, ways: Ways, prices: Prices, keep: int, hands: Hands
) -> tuple[Priced, Ways]:
    """The better of two sets of prices, and the ways with those that these make worth a look."""
    more, bound = cheapest(reach, prices.price, keep, ways, hands.workers, hands.at_once)
    ways = joined(ways, more, prices.price)
    if bound > best.bound:
        return Priced(ways, prices.price, bound), ways
    return replace(best, ways=ways), ways


def _prices(reach: Reach, ways: Ways, sweeps: int, start: Floats | None, hands: Hands) -> Prices:
    cells = cells_of(reach.city, ways)
    return capacity_prices(cells, sweeps, start, hands.workers, hands.at_once)


def routed(reach: Reach, priced: Priced, effort: Effort) -> Choice:
    """The best plan found until it is told to stop."""
    cells = cells_of(reach.city, priced.ways)
    found = assign(cells, effort, Prices(priced.price, priced.bound))
    choice = Choice(found.bin.copy(), found.row.copy())
    _fetch_in(reach.city, choice)
    return choice


def _fetch_in(city: City, choice: Choice) -> None:
    """Who is left out goes where it is cheapest among all machines that still have room."""
    while len(out := np.flatnonzero(choice.machine < 0)):
        jobs = Jobs(*(column[out] for column in vars(city.jobs).values()))
        room = replace(city.machines, hours_s=room_in(city, choice))
        ways, _ = cheapest(reach_of(replace(city, machines=room, jobs=jobs)), _no_price(city), 1)
        machine, cost = ways.machine[:, 0], ways.cost[:, 0]
        could = np.flatnonzero((machine >= 0) & (cost < jobs.value_minor))
        if not len(could):
            return
        _, first = np.unique(machine[could], return_index=True)
        sit = could[first]
        choice.machine[out[sit]], choice.bucket[out[sit]] = machine[sit], ways.bucket[sit, 0]


def _no_price(city: City) -> Floats:
    return np.zeros(city.machines.hours_s.shape)


def room_in(city: City, choice: Choice) -> Ints:
    """Seconds that each machine could still take on by the end of each bucket."""
    load = np.zeros(city.machines.hours_s.shape, np.int64)
    job = np.flatnonzero(choice.machine >= 0)
    machine = choice.machine[job]
    np.add.at(load, (machine, choice.bucket[job]), seconds_on(city, job, machine))
    free = city.machines.hours_s - np.cumsum(load, axis=1)
    return np.minimum.accumulate(free[:, ::-1], axis=1)[:, ::-1].copy()
