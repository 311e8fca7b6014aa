"""A first assignment: whoever loses most where the best cell is taken sits first.

It promises that every capacity is kept and that nobody sits dearer than being left out; it never
moves anybody who sits.
"""

import numpy as np

from scheduling.cells import Floats, Ints
from scheduling.chains import Seats, Work, seat, seats_for
from scheduling.compiled import compiled


def sit_by_regret(work: Work) -> Ints:
    """The slot of each job, -1 = left out; looked at anew whenever one of thirty sits."""
    seats, left = seats_for(work), np.arange(len(work.bins))
    while len(left):
        regret = _regrets(work, seats, left)
        left, regret = left[regret >= 0.0], regret[regret >= 0.0]
        order = np.argsort(-regret, kind="stable")
        most = max(1, len(left) // 30)
        _sit(work, seats, left[order[:most]])
        left = left[seats.slot[left] < 0]
    return seats.slot.copy()


@compiled
def _regrets(w: Work, s: Seats, left: Ints) -> Floats:
    """What the second best cell with room costs above the best; -1: there is none."""
    regret = np.empty(len(left))
    for at in range(len(left)):
        job = left[at]
        best = second = w.penalty[job]
        for q in range(w.bins.shape[1]):
            i = w.bins[job, q]
            if i < 0 or w.excess[job, q] >= second:
                break
            if w.weight[job, q] <= s.room[i, w.row[job, q]]:
                if w.excess[job, q] < best:
                    best = w.excess[job, q]
                else:
                    second = w.excess[job, q]
                    break
        regret[at] = second - best if best < w.penalty[job] else -1.0
    return regret


@compiled
def _sit(w: Work, s: Seats, jobs: Ints) -> None:
    """Each in the best cell with room, unless it costs more than being left out."""
    for job in jobs:
        for q in range(w.bins.shape[1]):
            i = w.bins[job, q]
            if i < 0 or w.excess[job, q] >= w.penalty[job]:
                break
            if w.weight[job, q] <= s.room[i, w.row[job, q]]:
                seat(w, s, job, q)
                break
