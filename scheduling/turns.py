"""The loops of `sequence`: what an order of turns costs, and better orders by moves that cool down.

An order is a list of jobs; each has its turn as early as it can after the one before, since no cost
falls as time goes on. A job that would end after the horizon, or cost more than leaving it out, is
left out. A move changes the order between two places (a block goes elsewhere, two jobs change
places, a stretch is turned round); from the first of them on the turns are taken anew, until they
are again where they were, or cannot be cheap enough any more. What is dearer may stay for a while,
the less so the longer it goes on (simulated annealing).
"""

from typing import Final, NamedTuple

import numpy as np

from scheduling.cells import Floats, Ints
from scheduling.compiled import compiled, inlined
from scheduling.dice import drawn, forbearance
from scheduling.machine_queue import Queue

NEVER: Final = 4 * 10**11
_DAWN: Final = 2 * 10**11
_RUN: Final = 8


class Tables(NamedTuple):
    """A queue as numbers; the jobs and families in the order of `Queue.jobs` and `.families`."""

    duration: Ints
    release: Ints
    due: Ints
    lateness: Ints
    waiting: Ints
    left_out: Ints
    family: Ints
    change_s: Ints
    """From a family, or in the last row from what is loaded now, to a family."""
    change_minor: Ints
    free: Ints
    """Spans in which a changeover and its job lie."""
    opening: Ints
    """Spans in which they lie, or start if `unattended`."""
    unattended: bool
    now: int


def tables_of(queue: Queue) -> Tables:
    def each(*numbers: int) -> Ints:
        return np.array(numbers, np.int64)

    changes = [
        [queue.changeover(before, after) for after in queue.families]
        for before in (*queue.families, queue.loaded)
    ]
    jobs, number = queue.jobs, {family: i for i, family in enumerate(queue.families)}
    return Tables(
        each(*(job.duration_s for job in jobs)),
        each(*(max(job.release_s, queue.now_s) for job in jobs)),
        each(*(NEVER if job.due_s is None else job.due_s for job in jobs)),
        each(*(job.lateness_minor_per_h for job in jobs)),
        each(*(job.waiting_minor_per_h for job in jobs)),
        each(*(job.left_out_minor for job in jobs)),
        each(*(number[job.family] for job in jobs)),
        np.array([[change.duration_s for change in row] for row in changes], np.int64),
        np.array([[change.minor for change in row] for row in changes], np.int64),
        np.array(queue.free_s, np.int64).reshape(-1, 2),
        np.array(queue.openings_s or ((0, _DAWN),), np.int64),
        queue.unattended,
        queue.now_s,
    )


@inlined
def _begin(
    after: int, block: int, lead: int, free: Ints, opening: Ints, k: int, w: int
) -> tuple[int, int, int]:
    """The first moment from `after` on for a block, NEVER if none; and the spans it is in."""
    found = NEVER
    while k < len(free) and w < len(opening):
        at = max(after, free[k, 0], opening[w, 0])
        if at + block > free[k, 1]:
            k += 1
        elif at + lead > opening[w, 1]:
            w += 1
        else:
            found = at
            break
    return found, k, w


@compiled
def walk(x: Tables, order: Ints, keep: bool, begins: Ints) -> int:
    """What these jobs cost; `begins`: of each, when its changeover does, NEVER = left out.

    `keep`: none is left out that can be made.
    """
    cost, t, f, k, w = 0, x.now, len(x.change_s) - 1, 0, 0
    for q in range(len(order)):
        job = int(order[q])
        to, d, price = int(x.family[job]), int(x.duration[job]), int(x.left_out[job])
        c, own = int(x.change_s[f, to]), int(x.change_minor[f, to])
        lead = c + 1 if x.unattended else c + d
        after = max(t, int(x.release[job]) - c)
        b, k_then, w_then = _begin(after, c + d, lead, x.free, x.opening, k, w)
        end = b + c + d
        if b < NEVER:
            own += int(x.waiting[job] * (end - x.release[job]) + 3599) // 3600
            if end > x.due[job]:
                own += int(x.lateness[job] * (end - x.due[job]) + 3599) // 3600
        if b < NEVER and (keep or own <= price):
            begins[job] = b
            cost, t, f, k, w = cost + own, end, to, k_then, w_then
        else:
            begins[job] = NEVER
            cost += price
    return cost


@compiled
def anneal(x: Tables, order: Ints, best: Ints, least: int, patience: Floats, dice: Ints) -> int:
    """One move for each patience: how much dearer an order may become, on average, and still stay.

    `order` is where it stands; `best` the best order so far, which costs `least`, and so does what
    is returned. One loop in one function: a compiled call costs more than most of what it does.
    """
    duration, release, due, lateness = x.duration, x.release, x.due, x.lateness
    waiting, left_out, family = x.waiting, x.left_out, x.family
    change_s, change_minor = x.change_s, x.change_minor
    free, opening, unattended = x.free, x.opening, x.unattended
    n = len(order)
    at, fam, paid = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    ks, ws = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    at_, fam_, paid_, ks_, ws_ = at.copy(), fam.copy(), paid.copy(), ks.copy(), ws.copy()
    trial = order.copy()
    at[0], fam[0] = x.now, len(change_s) - 1
    total, limit = NEVER, NEVER
    for move in range(-1, len(patience)):
        lo, hi = 0, n
        if move >= 0:
            lo, hi = _moved(order, trial, family, dice)
            limit = total + int(patience[move] * forbearance(dice))
        t, f, cost = int(at[lo]), int(fam[lo]), int(paid[lo])
        k, w = int(ks[lo]), int(ws[lo])
        q, new = lo, NEVER
        while cost <= limit:
            if q == n:
                new = cost
                break
            if q >= hi and f == fam[q]:
                if t == at[q]:
                    new = cost + total - int(paid[q])
                    break
                if t > at[q] and cost + total - paid[q] > limit:
                    break
            job = int(trial[q] if q < hi else order[q])
            to, d = int(family[job]), int(duration[job])
            c, own = int(change_s[f, to]), int(change_minor[f, to])
            lead = c + 1 if unattended else c + d
            after = max(t, int(release[job]) - c)
            b, k_then, w_then = _begin(after, c + d, lead, free, opening, k, w)
            end = b + c + d
            if b < NEVER:
                own += int(waiting[job] * (end - release[job]) + 3599) // 3600
                if end > due[job]:
                    own += int(lateness[job] * (end - due[job]) + 3599) // 3600
            if b < NEVER and own <= left_out[job]:
                cost, t, f, k, w = cost + own, end, to, k_then, w_then
            else:
                cost += int(left_out[job])
            q += 1
            at_[q], fam_[q], paid_[q], ks_[q], ws_[q] = t, f, cost, k, w
        if new > limit:
            continue
        for p in range(lo, hi):
            order[p] = trial[p]
        for p in range(lo + 1, q + 1):
            at[p], fam[p], paid[p], ks[p], ws[p] = at_[p], fam_[p], paid_[p], ks_[p], ws_[p]
        for p in range(q + 1, n + 1):
            paid[p] += new - total
        total = new
        if total < least:
            least = total
            best[:] = order
    return least


@compiled
def _moved(order: Ints, trial: Ints, family: Ints, dice: Ints) -> tuple[int, int]:
    """A move by the dice: `trial` from the first place to, without, the second is what it makes."""
    n = len(order)
    kind, i = drawn(dice, 8), drawn(dice, n)
    if kind == 0:  # a stretch turned round
        j = min(n, i + 2 + drawn(dice, _RUN))
        for p in range(i, j):
            trial[p] = order[i + j - 1 - p]
        return i, j
    p = drawn(dice, n)
    if kind == 1:  # two change places
        lo, hi = min(i, p), max(i, p) + 1
        trial[lo:hi] = order[lo:hi]
        trial[i], trial[p] = order[p], order[i]
        return lo, hi
    j = i + 1
    if kind == 2:  # all of one family that follow each other
        while i > 0 and family[order[i - 1]] == family[order[i]]:
            i -= 1
        while j < n and family[order[j]] == family[order[i]]:
            j += 1
    elif kind <= 4:
        j = min(n, i + 1 + drawn(dice, 4))
    if kind >= 6:  # not far
        p = min(n, max(0, i - _RUN + drawn(dice, 2 * _RUN + 2)))
    elif kind == 5:  # to one of its own family
        tries = 0
        while family[order[p]] != family[order[i]] and tries < 8:
            p, tries = drawn(dice, n), tries + 1
    elif drawn(dice, 2) == 1:
        p += 1
    if p < i:
        trial[p : p + j - i] = order[i:j]
        trial[p + j - i : j] = order[p:i]
        return p, j
    p = max(p, j)
    trial[i : i + p - j] = order[j:p]
    trial[i + p - j : p] = order[i:j]
    return i, p
