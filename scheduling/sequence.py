"""In which order one machine makes what waits there: changeovers, lateness and waiting at least.

It promises an order that can be kept, the same to the same seed, compiled or not, that more time
never makes worse, and up to `EXACT` jobs one that is proved best; it knows no clock, and asks
`should_stop` between handfuls of work.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from scheduling.cells import Ints
from scheduling.cost import HOUR_S, ceil_div
from scheduling.machine_queue import Changeover, Order, Queue, Turn, Waiting
from scheduling.plan import Line, total_minor
from scheduling.subsets import GaveUpError, best_turns
from scheduling.turns import NEVER, Tables, anneal, tables_of, walk

EXACT: Final = 12
_TRIED: Final = 18
_MOST_TRIED: Final = 50_000
_MOST: Final = 10**7
_HANDFUL: Final = 2_000
_FIRST_ROUND: Final = 100_000
_HOT: Final = 0.4
_COLD: Final = 0.002


@dataclass(frozen=True)
class Effort:
    """`moves`: at most so many, where the best is not proved before."""

    should_stop: Callable[[], bool]
    seed: int = 0
    moves: int = 10**12


def best_order(queue: Queue, effort: Effort) -> Order:
    """The best order found, always one that can be kept; proved where there are few jobs.

    Up to `EXACT` jobs it ends by itself when that is proved. With a few more it tries that, too,
    where the effort goes beyond the first rounds.
    """
    x = tables_of(queue)
    search, jobs = _Search(x, effort), len(queue.jobs)
    enough = _HANDFUL if jobs <= EXACT else 2 * _FIRST_ROUND
    search.go_on(enough)
    if jobs <= EXACT or (jobs <= _TRIED and search.moved >= enough):
        most = _MOST if jobs <= EXACT else _MOST_TRIED
        try:
            better = best_turns(x, search.least, effort.should_stop, most)
        except GaveUpError:
            pass
        else:
            if better is not None:
                return _order(queue, x, better, proved=True, keep=True)
            return _order(queue, x, search.best, proved=True)
    search.go_on(effort.moves)
    return _order(queue, x, search.best, proved=False)


class _Search:
    """Rounds that cool down, each twice as long as the one before, from the best so far."""

    def __init__(self, x: Tables, effort: Effort) -> None:
        self.x, self.effort, self.moved = x, effort, 0
        begins = np.zeros(len(x.duration), np.int64)
        self.best = min(_starts(x), key=lambda order: walk(x, order, False, begins))
        self.least = walk(x, self.best, False, begins)
        seed = effort.seed
        self.dice = np.array([seed % 2147483561 + 1, seed * 7919 % 2147483397 + 1], np.int64)
        self.length, self.begun, self.order = _FIRST_ROUND, 0, self.best.copy()
        self.scale = 0.0

    def go_on(self, moves: int) -> None:
        """Up to that many in all."""
        while self.moved < min(moves, self.effort.moves) and not self.effort.should_stop():
            if self.begun == self.length:
                self.length, self.begun = 2 * self.length, 0
            if self.begun == 0:
                self.order, self.scale = self.best.copy(), self.least / len(self.best)
            parts = (self.begun + np.arange(_HANDFUL)) / self.length
            patience = self.scale * _HOT * (_COLD / _HOT) ** parts
            self.least = anneal(self.x, self.order, self.best, self.least, patience, self.dice)
            self.begun += _HANDFUL
            self.moved += _HANDFUL


def _starts(x: Tables) -> Iterator[Ints]:
    """By due date, and by the rule ATCS with several of its two weights."""
    yield np.lexsort((x.release, x.due))
    for far, change in product((0.5, 1.0, 2.0, 4.0), (0.1, 0.3, 1.0)):
        yield _atcs(x, far, change)


def _atcs(x: Tables, far: float, change: float) -> Ints:
    """Who loses most by waiting goes next: weight over duration, less if it is due late or changes.

    Lee, Bhaskaran and Pinedo, IIE Transactions 29, 1997; a changeover's price counts as time.
    """
    n = len(x.duration)
    took, rate = float(x.duration.mean()), x.lateness + x.waiting + 1e-9
    change_s = x.change_s + 3600.0 * x.change_minor / max(1.0, float(rate.mean()))
    usual = max(1.0, float(change_s.mean()))
    left, t, f, order = np.ones(n, np.bool_), x.now, len(x.change_s) - 1, np.zeros(n, np.int64)
    for turn in range(n):
        ready = np.maximum(t, x.release)
        slack = np.maximum(0, x.due - x.duration - ready) / (far * took)
        urgent = x.waiting + x.lateness * np.exp(-np.minimum(slack, 500.0))
        changes = (change_s[f, x.family] + ready - t) / (change * usual)
        score = urgent / x.duration * np.exp(-np.minimum(changes, 500.0))
        job = int(np.argmax(np.where(left, score, -1.0)))
        order[turn], left[job] = job, False
        t = max(t + int(x.change_s[f, x.family[job]]), int(x.release[job])) + int(x.duration[job])
        f = int(x.family[job])
    return order


def _order(queue: Queue, x: Tables, jobs: Ints, proved: bool, keep: bool = False) -> Order:
    """The turns of these jobs, with their lines; `keep`: all of them, the others are left out."""
    begins = np.full(len(queue.jobs), NEVER, np.int64)
    walk(x, jobs, keep, begins)
    turns: list[Turn] = []
    loaded = queue.loaded
    for at in jobs:
        if begins[at] < NEVER:
            job = queue.jobs[at]
            turns.append(_turn(queue, job, queue.changeover(loaded, job.family), int(begins[at])))
            loaded = job.family
    left_out = [job for job, begin in zip(queue.jobs, begins, strict=True) if begin == NEVER]
    cost = sum(total_minor(turn.lines) for turn in turns)
    cost += sum(job.left_out_minor for job in left_out)
    names = tuple(job.id for job in left_out)
    return Order(
        tuple(turns), names, cost, "optimal" if proved else "feasible", cost if proved else None
    )


def _turn(queue: Queue, job: Waiting, change: Changeover, begin_s: int) -> Turn:
    start_s = begin_s + change.duration_s
    end_s = start_s + job.duration_s
    late_s = 0 if job.due_s is None else max(0, end_s - job.due_s)
    waited_s = end_s - max(queue.now_s, job.release_s)
    lines = (
        Line("changeover", change.minor),
        Line("lateness", ceil_div(late_s * job.lateness_minor_per_h, HOUR_S)),
        Line("waiting", ceil_div(waited_s * job.waiting_minor_per_h, HOUR_S)),
    )
    return Turn(job.id, begin_s, start_s, end_s, tuple(line for line in lines if line.minor))
