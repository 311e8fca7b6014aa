"""The best order of a few jobs, proved: every set of jobs made so far, in the ways worth going on.

A way is what it has cost and when it is over. Of two that have made the same jobs and left the same
family loaded, one that is neither cheaper nor over sooner is dropped: whatever follows it could
follow the other, at no higher cost (Held & Karp, Journal of SIAM 10, 1962, with two values instead
of one). So is one that cannot end below a cost that is known to be possible. It promises the
optimum or says that it gave up; it never guesses.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduling.cells import Ints
from scheduling.turns import NEVER, Tables


@dataclass(frozen=True, eq=False)
class _Ways:
    """Of all ways that have made as many jobs: which, what is loaded, cost, end, from where."""

    made: Ints
    family: Ints
    cost: Ints
    end: Ints
    parent: Ints
    job: Ints

    def at(self, places: Ints | NDArray[np.bool_]) -> "_Ways":
        return _Ways(
            self.made[places], self.family[places], self.cost[places], self.end[places],
            self.parent[places], self.job[places],
        )  # fmt: skip


class GaveUpError(Exception):
    """It was told to stop, or there were too many ways to go on from at once."""


def best_turns(x: Tables, below: int, should_stop: Callable[[], bool], most: int) -> Ints | None:
    """Jobs in their order, without those left out, that cost least; None if not less than `below`.

    Raises GaveUpError, also where there are more than `most` ways at once.
    """
    none = np.zeros(1, np.int64)
    ways = _Ways(none, none + len(x.change_s) - 1, none, none + x.now, none - 1, none - 1)
    layers, found = [ways], (-1, -1)
    while len(ways.made):
        if len(ways.made) > most:
            raise GaveUpError
        whole = ways.cost + _left_out(x, ways.made)
        place = int(np.argmin(whole))
        if whole[place] < below:
            below, found = int(whole[place]), (len(layers) - 1, place)
        ways = _pareto(_next(x, ways, below, should_stop))
        layers.append(ways)
    return _traced(layers, *found)


def _left_out(x: Tables, made: Ints) -> Ints:
    out = np.zeros(len(made), np.int64)
    for job, price in enumerate(x.left_out):
        out += np.where(made >> job & 1, 0, price)
    return out


def _next(x: Tables, ways: _Ways, below: int, should_stop: Callable[[], bool]) -> _Ways:
    """Each way with each job that it has not made, as far as it may still end below that."""
    grown: list[_Ways] = []
    for job in range(len(x.duration)):
        if should_stop():
            raise GaveUpError
        places = np.flatnonzero((ways.made >> job & 1) == 0)
        here = ways.at(places)
        ends = _ends(x, job, here.family, here.end)
        cost = here.cost + x.change_minor[here.family, x.family[job]] + _timed(x, job, ends)
        more = _Ways(
            here.made | 1 << job, np.full_like(ends, x.family[job]), cost, ends, places,
            np.full_like(ends, job),
        )  # fmt: skip
        grown.append(more.at((ends < NEVER) & (cost < below)))
    all_ = _Ways(
        *(np.concatenate([getattr(more, name) for more in grown])
          for name in ("made", "family", "cost", "end", "parent", "job"))
    )  # fmt: skip
    return all_.at(all_.cost + _rest(x, all_) < below)


def _rest(x: Tables, ways: _Ways) -> Ints:
    """What all others cost at least: each as if it were next, and once a changeover a family."""
    rest = np.zeros(len(ways.made), np.int64)
    for family in range(x.change_s.shape[1]):
        others = np.arange(len(x.change_s)) != family
        new = ways.family != family
        change_s = np.where(new, x.change_s[others, family].min(), x.change_s[:, family].min())
        spared = np.zeros_like(rest)  # by leaving none of the family out
        for job in np.flatnonzero(x.family == family):
            end = np.maximum(ways.end + change_s, x.release[job]) + x.duration[job]
            left = ways.made >> job & 1 == 0
            price = x.left_out[job]
            least = np.where(left, np.minimum(_timed(x, int(job), end), price), 0)
            rest += least
            spared += np.where(left, price - least, 0)
        rest += np.where(new, np.minimum(x.change_minor[others, family].min(), spared), 0)
    return rest


def _timed(x: Tables, job: int, end: Ints) -> Ints:
    end = np.minimum(end, NEVER)
    late = np.maximum(0, end - x.due[job])
    waiting = -(-(end - x.release[job]) * x.waiting[job] // 3600)
    return waiting - (-late * x.lateness[job] // 3600)


def _ends(x: Tables, job: int, families: Ints, after: Ints) -> Ints:
    """When the job is over at the soonest, NEVER if it does not fit before the horizon."""
    change_s = x.change_s[families, x.family[job]]
    block = change_s + x.duration[job]
    lead = change_s + 1 if x.unattended else block
    begin = np.maximum(after, x.release[job] - change_s)
    while True:
        then = _from(x.free, begin, block)
        then = _from(x.opening, then, lead)
        if (then == begin).all():
            return np.where(begin < NEVER, begin + block, NEVER)
        begin = then


def _from(spans: Ints, begin: Ints, long: Ints) -> Ints:
    """The first moment from `begin` on with that long left of its span."""
    at = np.searchsorted(spans[:, 1], begin + long)
    opens = np.append(spans[:, 0], NEVER)
    return np.maximum(begin, opens[at])


def _pareto(ways: _Ways) -> _Ways:
    """Those that are cheaper or over sooner than any other that made the same and left the same."""
    order = np.lexsort((ways.end, ways.cost, ways.family, ways.made))
    ways = ways.at(order)
    if not len(order):
        return ways
    fresh = np.append(
        True, (ways.made[1:] != ways.made[:-1]) | (ways.family[1:] != ways.family[:-1])
    )
    group = np.cumsum(fresh)
    # within a group the ends must fall: those of later groups are put below all of earlier ones
    end = ways.end - group * (2 * NEVER)
    soonest = np.minimum.accumulate(end)
    return ways.at(fresh | np.append(True, end[1:] < soonest[:-1]))


def _traced(layers: list[_Ways], layer: int, place: int) -> Ints | None:
    if layer < 0:
        return None
    jobs: list[int] = []
    for ways in reversed(layers[1 : layer + 1]):
        jobs.append(int(ways.job[place]))
        place = int(ways.parent[place])
    return np.array(jobs[::-1], np.int64)
