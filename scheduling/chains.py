"""Chains of moves: a job goes to another bin, whose job goes on to a third, until all fit again.

The loops of `assign`, compiled where numba is installed. What an assignment costs above the bound
of its prices is a sum of parts that are never negative: what each job's cell costs more than its
cheapest, prices included (its *excess*), and the price of what is left free in each bin. A chain
that lowers that sum can be begun at a place from which every part of it does so far (Lin &
Kernighan, Operations Research 21, 1973): only such chains are followed, the best few of each
length. Where none is left, some jobs are taken out and put back otherwise; what became dearer by
that is mostly undone.

In all functions here: `w` the work, `s` where the jobs sit, `b` the beam of chains.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduling.cells import Floats, Ints
from scheduling.compiled import compiled, inlined

LEVEL: Final = 0
PLACE: Final = 1
SLOT: Final = 2
_TINY: Final = 1e-9
_LOG: Final = 4096


class Work(NamedTuple):
    """What does not change: cells with their excess, sorted by it; bins with price and capacity."""

    bins: Ints
    excess: Floats
    weight: Ints
    capacity: Ints
    price: Floats
    penalty: Floats
    """What a job that is left out costs above its cheapest cell."""


class Seats(NamedTuple):
    """The slot of each job, -1 = left out; the bins' loads; each bin's jobs as a linked list."""

    slot: Ints
    load: Ints
    first: Ints
    after: Ints
    before: Ints


class Beam(NamedTuple):
    """Chains being followed: by level, the jobs that wait for a bin and how they came to that."""

    job: Ints
    slot: Ints
    """The slot that the job before it in the chain takes."""
    parent: Ints
    score: Floats
    filled: Ints
    seen: Ints
    """By bin: the last chain that has been there."""
    at: Ints
    """Of the chain that was found: its level, or -1, its place and its last slot."""


class Desk(NamedTuple):
    """What a kick needs: jobs to be looked at, and how to undo it."""

    queue: Ints
    queued: NDArray[np.bool_]
    log_job: Ints
    log_slot: Ints
    wanted: Ints
    """The jobs that were left out when somebody last looked."""
    counts: Ints
    """How many are queued, logged and wanted."""
    dice: Ints


def seats_for(w: Work) -> Seats:
    """Nobody sits anywhere yet."""
    jobs, bins = len(w.bins), len(w.capacity)
    none = np.full(jobs, -1, dtype=np.int64)
    return Seats(
        none.copy(), np.zeros(bins, np.int64), np.full(bins, -1, np.int64), none.copy(), none.copy()
    )


def beam_for(w: Work, depth: int, width: int) -> Beam:
    def table() -> Ints:
        return np.zeros((depth + 1, width), np.int64)

    return Beam(
        table(), table(), table(), np.zeros((depth + 1, width)), np.zeros(depth + 1, np.int64),
        np.zeros(len(w.capacity) + 1, np.int64), np.full(3, -1, np.int64),
    )  # fmt: skip


def desk_for(w: Work, seed: int) -> Desk:
    jobs = len(w.bins)
    dice = np.array([seed % 2147483561 + 1, seed * 7919 % 2147483397 + 1], np.int64)
    return Desk(
        np.zeros(jobs, np.int64), np.zeros(jobs, np.bool_), np.zeros(_LOG, np.int64),
        np.zeros(_LOG, np.int64), np.zeros(jobs, np.int64), np.zeros(3, np.int64), dice,
    )  # fmt: skip


@compiled
def drawn(dice: Ints, below: int) -> int:
    """A number from 0 up to, without, `below` (L'Ecuyer, CACM 31, 1988: two small generators)."""
    dice[0] = dice[0] * 40014 % 2147483563
    dice[1] = dice[1] * 40692 % 2147483399
    return (dice[0] + dice[1]) % below


@compiled
def value_of(w: Work, s: Seats) -> float:
    """What the seats cost above the bound of the prices."""
    value = 0.0
    for j in range(len(w.bins)):
        value += w.excess[j, s.slot[j]] if s.slot[j] >= 0 else w.penalty[j]
    for i in range(len(w.price)):
        value += w.price[i] * (w.capacity[i] - s.load[i])
    return value


@inlined
def seat(w: Work, s: Seats, job: int, slot: int) -> None:
    """Take the job from where it is, and to that slot; -1 leaves it out."""
    old = s.slot[job]
    if old >= 0:
        i = w.bins[job, old]
        s.load[i] -= w.weight[job, old]
        left, right = s.before[job], s.after[job]
        if left >= 0:
            s.after[left] = right
        else:
            s.first[i] = right
        if right >= 0:
            s.before[right] = left
    s.slot[job] = slot
    if slot >= 0:
        i = w.bins[job, slot]
        s.load[i] += w.weight[job, slot]
        head = s.first[i]
        s.before[job], s.after[job] = -1, head
        if head >= 0:
            s.before[head] = job
        s.first[i] = job


@compiled
def search(w: Work, s: Seats, b: Beam, start: int, limit: float) -> float:
    """The best chain from this job that costs less than `limit`, which is returned if none does.

    One loop in one function: a compiled call that is handed all these tables costs more than what
    it does here.
    """
    bins, excess, weight, capacity, price = w.bins, w.excess, w.weight, w.capacity, w.price
    slot, load, first, after = s.slot, s.load, s.first, s.after
    jobs, slots, parents, scores, count = b.job, b.slot, b.parent, b.score, b.filled
    seen, depth, width, ways = b.seen, len(b.filled) - 1, b.job.shape[1], w.bins.shape[1]
    home, freed, best, stamp = -1, 0.0, limit, seen[-1]
    best_level, best_place, best_slot = -1, -1, -1
    jobs[0, 0], scores[0, 0], count[0] = start, 0.0, 1
    if slot[start] >= 0:
        home = bins[start, slot[start]]
        freed = price[home] * weight[start, slot[start]]
        scores[0, 0] = -excess[start, slot[start]]
    for level in range(depth + 1):
        if level < depth:
            count[level + 1] = 0
        for place in range(count[level]):
            stamp += 1  # the bins of this chain, to which it must not come again
            if home >= 0:
                seen[home] = stamp
            back = place
            for up in range(level, 0, -1):
                seen[bins[jobs[up, back], slot[jobs[up, back]]]] = stamp
                back = parents[up, back]
            job, so_far = jobs[level, place], scores[level, place]
            for q in range(ways):
                i = bins[job, q]
                if i < 0:
                    continue
                score, heavy = so_far + excess[job, q], weight[job, q]
                if i == home:  # into the place of the job with which the chain began
                    left = load[home] - weight[start, slot[start]]
                    then = score + freed - price[i] * heavy
                    if level > 0 and left + heavy <= capacity[i] and then < best:
                        best, best_level, best_place, best_slot = then, level, place, q
                    continue
                room = capacity[i] - load[i]
                if seen[i] == stamp or score - price[i] * room >= limit:
                    continue
                if heavy <= room:  # into what is free
                    then = score - price[i] * heavy + freed
                    if then < best:
                        best, best_level, best_place, best_slot = then, level, place, q
                if level == depth:
                    continue
                other = first[i]
                while other >= 0:  # or one of those there makes room, and goes on
                    gone = weight[other, slot[other]]
                    if heavy - gone <= room:
                        then = score - excess[other, slot[other]] + price[i] * (gone - heavy)
                        if then < limit:
                            at = _seat_in_beam(scores, count, level + 1, width, then)
                            if at >= 0:
                                jobs[level + 1, at], slots[level + 1, at] = other, q
                                parents[level + 1, at], scores[level + 1, at] = place, then
                    other = after[other]
        if best < -_TINY or level == depth or count[level + 1] == 0:
            break
    seen[-1] = stamp
    b.at[LEVEL], b.at[PLACE], b.at[SLOT] = best_level, best_place, best_slot
    return best


@inlined
def _seat_in_beam(scores: Floats, count: Ints, level: int, width: int, score: float) -> int:
    """The place in its level of a chain that is among the best of it; -1: it is not."""
    at = count[level]
    if at < width:
        count[level] += 1
        return at
    at = 0
    for place in range(1, width):
        if scores[level, place] > scores[level, at]:
            at = place
    return at if score < scores[level, at] else -1


@compiled
def follow(w: Work, s: Seats, b: Beam, d: Desk) -> None:
    """Carry out the chain that `search` found; who sits where it passed is looked at again."""
    level, place, q = int(b.at[LEVEL]), int(b.at[PLACE]), int(b.at[SLOT])
    while level >= 0:
        job = int(b.job[level, place])
        move(w, s, d, job, q)
        other = int(s.first[w.bins[job, q]])
        while other >= 0:
            enqueue(d, other)
            other = int(s.after[other])
        q, place = int(b.slot[level, place]), int(b.parent[level, place])
        level -= 1


@compiled
def move(w: Work, s: Seats, d: Desk, job: int, slot: int) -> None:
    """As `seat`, and written down."""
    if d.counts[1] < len(d.log_job):
        d.log_job[d.counts[1]], d.log_slot[d.counts[1]] = job, s.slot[job]
    d.counts[1] += 1
    seat(w, s, job, slot)


@compiled
def enqueue(d: Desk, job: int) -> None:
    if not d.queued[job]:
        d.queued[job] = True
        d.queue[d.counts[0]] = job
        d.counts[0] += 1


@compiled
def descend(w: Work, s: Seats, b: Beam, d: Desk, most: int) -> float:
    """Follow chains that save, from at most `most` of the jobs in the queue; what it saved."""
    saved = 0.0
    while d.counts[0] > 0 and most > 0:
        most -= 1
        at = _next(s, d)
        job = int(d.queue[at])
        d.counts[0] -= 1
        d.queue[at] = d.queue[d.counts[0]]
        d.queued[job] = False
        out = s.slot[job] < 0
        limit = float(w.penalty[job]) if out else 0.0
        found = search(w, s, b, job, limit - _TINY)
        if b.at[LEVEL] >= 0:
            saved += limit - found if out else -found
            follow(w, s, b, d)
    return saved


@compiled
def _next(s: Seats, d: Desk) -> int:
    """Whoever is left out first, as far as they are near; else anybody."""
    for at in range(min(d.counts[0], 8)):
        if s.slot[d.queue[at]] < 0:
            return at
    return drawn(d.dice, d.counts[0])


@compiled
def kick(w: Work, s: Seats, d: Desk, out: int) -> float:
    """Leave out some jobs, one after the other from bins that they like, too; what it costs."""
    cost, near = 0.0, min(w.bins.shape[1], 6)
    if d.counts[2] > 0 and drawn(d.dice, 2) == 0:
        job = d.wanted[drawn(d.dice, d.counts[2])]
    else:
        job = drawn(d.dice, len(w.bins))
    enqueue(d, job)
    i = w.bins[job, s.slot[job] if s.slot[job] >= 0 else drawn(d.dice, near)]
    if i < 0:
        return 0.0
    for _ in range(out):
        job = _anyone(s, d, i)
        if job >= 0:
            slot = s.slot[job]
            cost += w.penalty[job] - w.excess[job, slot] + w.price[i] * w.weight[job, slot]
            move(w, s, d, job, -1)
            enqueue(d, job)
            q = drawn(d.dice, near)
            i = w.bins[job, q] if w.bins[job, q] >= 0 else i
    return cost


@compiled
def _anyone(s: Seats, d: Desk, i: int) -> int:
    """One of the jobs in a bin, each as likely; -1 if it is empty."""
    many, job = 0, int(s.first[i])
    while job >= 0:
        many += 1
        job = int(s.after[job])
    job = int(s.first[i])
    if many > 0:
        for _ in range(drawn(d.dice, many)):
            job = int(s.after[job])
    return job


@compiled
def _forbearance(dice: Ints) -> float:
    """On average one; twice as much is half as likely, as with Metropolis, without a logarithm."""
    halvings = 0
    while drawn(dice, 2) == 1:
        halvings += 1
    return (halvings + drawn(dice, 1000) / 1000.0) * 0.67


@compiled
def kicks(w: Work, s: Seats, b: Beam, d: Desk, value: float, best: Ints, span: Floats) -> float:
    """Kick and descend, once for each patience in `span`; `best` are the best slots so far.

    A patience is how much dearer a kick may leave it and still stay. Returns the value of where it
    stands; span[0] becomes that of `best`.
    """
    least, span[0] = span[0], 0.0
    for at in range(1, len(span)):
        while d.counts[0] > 0:
            d.counts[0] -= 1
            d.queued[d.queue[d.counts[0]]] = False
        d.counts[1] = 0
        now = value + kick(w, s, d, 5)
        now -= descend(w, s, b, d, len(d.log_job))
        dearer = now - value - span[at] * _forbearance(d.dice)
        if d.counts[1] <= len(d.log_job) and dearer > 0.0 and now > least - _TINY:
            while d.counts[1] > 0:
                d.counts[1] -= 1
                at_log = d.counts[1]
                seat(w, s, int(d.log_job[at_log]), int(d.log_slot[at_log]))
        else:
            value = now
            if value < least - _TINY:
                least = value
                best[:] = s.slot
    span[0] = least
    return value
