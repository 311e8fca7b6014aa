"""Chains of moves: a job goes to another bin, whose job goes on to a third, until all fit again.

The loops of `assign`, compiled where numba is installed. What an assignment costs above the bound
of its prices is a sum of parts that are never negative: what each job's cell costs more than its
cheapest, tolls included (its *excess*), and the price of what is left free in each bin and row. A
chain
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
from scheduling.dice import dice_for, drawn, forbearance

LEVEL, PLACE, LAST = 0, 1, 2
QUEUED, LOGGED, WANTED, OUT, STALE, BEGIN = 0, 1, 2, 3, 4, 5
_TINY: Final = 1e-9
_LOG: Final = 4096
_TRIES: Final = 10
NEAR: Final = 2_000
_DEAREST_OF: Final = 8
_PRESSED_OF_TEN: Final = 9


class Work(NamedTuple):
    """What does not change: cells with their excess, sorted by it; bins × rows, and what is paid.

    A job's cells come first, then fills, whose bin is -1.
    """

    bins: Ints
    row: Ints
    weight: Ints
    excess: Floats
    capacity: Ints
    price: Floats
    toll: Floats
    """The prices of a row and of all after it: what a cell in it pays for each unit of weight."""
    penalty: Floats
    """What a job that is left out costs above its cheapest cell."""


class Seats(NamedTuple):
    """Where the jobs sit, and what that leaves of each bin."""

    slot: Ints
    """By job, -1 = left out; the next four are then of no meaning."""
    bin: Ints
    row: Ints
    weight: Ints
    leaves: Floats
    """By job: what it would save to be left out, but for the penalty."""
    free: Ints
    """By bin and row: what is left until the row's end."""
    room: Ints
    """The least that is left in the row and in all after it: as much may come into that row."""
    worth: Floats
    """By bin: the price of all that is left."""
    first: Ints
    """By bin: the job there that leaves with the least loss, -1 = none; after each the next one."""
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
    tries: Ints
    """By job: how often it was kicked in for being left out; it becomes ever rarer."""
    stale: Ints
    """Who may sit otherwise than in the best."""
    is_stale: NDArray[np.bool_]
    counts: Ints
    """How many are queued, logged and wanted, how many a kick leaves out, how many are stale, and
    where kicks begin now: at one of the next jobs; neighbours are soon in the nearest memory."""
    dice: Ints


def seats_for(w: Work) -> Seats:
    """Nobody sits anywhere yet."""
    jobs, bins = len(w.bins), len(w.capacity)
    none, zero, room = np.full(jobs, -1, np.int64), np.zeros(jobs, np.int64), w.capacity.copy()
    worth = (w.price * w.capacity).sum(axis=1)
    return Seats(
        none.copy(), zero.copy(), zero.copy(), zero.copy(), np.zeros(jobs),
        room.copy(), room, worth, np.full(bins, -1, np.int64), none.copy(), none.copy(),
    )  # fmt: skip


def beam_for(w: Work, depth: int, width: int) -> Beam:
    def table() -> Ints:
        return np.zeros((depth + 1, width), np.int64)

    return Beam(
        table(), table(), table(), np.zeros((depth + 1, width)), np.zeros(depth + 1, np.int64),
        np.zeros(len(w.capacity) + 1, np.int64), np.full(3, -1, np.int64),
    )  # fmt: skip


def desk_for(w: Work, seed: int, out: int) -> Desk:
    jobs = np.zeros(len(w.bins), np.int64)
    log, counts = np.zeros(_LOG, np.int64), np.array([0, 0, 0, out, 0, 0], np.int64)
    no = np.zeros(len(w.bins), np.bool_)
    return Desk(
        jobs.copy(), no.copy(), log.copy(), log.copy(), jobs.copy(), jobs.copy(),
        jobs.copy(), no.copy(), counts, dice_for(seed),
    )  # fmt: skip


@compiled
def value_of(w: Work, s: Seats) -> float:
    """What the seats cost above the bound of the prices."""
    value = 0.0
    for j in range(len(w.bins)):
        slot = s.slot[j]
        value += w.excess[j, slot] if slot >= 0 else w.penalty[j]
    for i in range(len(w.price)):
        value += s.worth[i]
    return value


@inlined
def seat(w: Work, s: Seats, job: int, slot: int) -> None:
    """Take the job from where it is, and to that slot; -1 leaves it out."""
    if s.slot[job] >= 0:
        i = s.bin[job]
        _join(s, i, int(s.before[job]), int(s.after[job]))
        _fill(w, s, i, s.row[job], -s.weight[job])
    s.slot[job] = slot
    if slot >= 0:
        i, r, heavy = w.bins[job, slot], w.row[job, slot], w.weight[job, slot]
        s.bin[job], s.row[job], s.weight[job] = i, r, heavy
        s.leaves[job] = w.toll[i, r] * heavy - w.excess[job, slot]
        left, right = -1, int(s.first[i])
        while right >= 0 and s.leaves[right] < s.leaves[job]:
            left, right = right, int(s.after[right])
        _join(s, i, left, job)
        _join(s, i, job, right)
        _fill(w, s, i, r, heavy)


@inlined
def _join(s: Seats, i: int, left: int, right: int) -> None:
    """The two follow each other in a bin; -1 is its end."""
    if left >= 0:
        s.after[left] = right
    else:
        s.first[i] = right
    if right >= 0:
        s.before[right] = left


@compiled
def seat_all(w: Work, s: Seats, slots: Ints) -> None:
    """Each job to that slot."""
    for job in range(len(slots)):
        seat(w, s, job, -1)
    for job in range(len(slots)):
        seat(w, s, job, slots[job])


@inlined
def _fill(w: Work, s: Seats, i: int, row: int, heavy: int) -> None:
    """So much more in a row of a bin, and in all after it."""
    free, room, worth, least = s.free, s.room, 0.0, np.int64(2**62)
    for b in range(free.shape[1] - 1, -1, -1):
        if b >= row:
            free[i, b] -= heavy
        least = min(least, free[i, b])
        room[i, b] = least
        worth += w.price[i, b] * free[i, b]
    s.worth[i] = worth


@compiled
def search(w: Work, s: Seats, b: Beam, start: int, limit: float) -> float:
    """The best chain from this job that costs less than `limit`, which is returned if none does.

    One loop in one function: a compiled call that is handed all these tables costs more than what
    it does here.
    """
    bins, row, weight, excess, toll = w.bins, w.row, w.weight, w.excess, w.toll
    slot, at_bin, at_row, at_weight, leaves = s.slot, s.bin, s.row, s.weight, s.leaves
    free, room, worth, first, after = s.free, s.room, s.worth, s.first, s.after
    jobs, slots, parents, scores, count = b.job, b.slot, b.parent, b.score, b.filled
    seen, depth, width, ways = b.seen, len(b.filled) - 1, b.job.shape[1], w.bins.shape[1]
    home, freed, best, stamp = np.int64(-1), 0.0, limit, seen[-1]
    start_slot, start_row, start_weight = slot[start], at_row[start], at_weight[start]
    best_level, best_place, best_slot = -1, -1, -1
    jobs[0, 0], scores[0, 0], count[0] = start, 0.0, 1
    if start_slot >= 0:
        home = at_bin[start]
        freed = toll[home, start_row] * start_weight
        scores[0, 0] = -excess[start, start_slot]
    for level in range(depth + 1):
        if level < depth:
            count[level + 1] = 0
        highest, highest_at = best, -1  # of the next level: whom a better one would replace
        for place in range(count[level]):
            stamp += 1  # the bins of this chain, to which it must not come again
            if home >= 0:
                seen[home] = stamp
            back = place
            for up in range(level, 0, -1):
                seen[at_bin[jobs[up, back]]] = stamp
                back = parents[up, back]
            job, so_far = jobs[level, place], scores[level, place]
            for q in range(ways):
                i = bins[job, q]
                if i < 0:
                    break
                r, heavy, score = row[job, q], weight[job, q], so_far + excess[job, q]
                if i == home:  # into the place of the job with which the chain began
                    then = score + freed - toll[i, r] * heavy
                    fits = heavy - start_weight <= room[i, r] and (level > 0 or q != start_slot)
                    if fits and then < best and _is_early(free, i, r, start_row, heavy):
                        best, best_level, best_place, best_slot = then, level, place, q
                    continue
                if seen[i] == stamp or score - worth[i] >= best:
                    continue
                score -= toll[i, r] * heavy
                if heavy <= room[i, r]:  # into what is free
                    then = score + freed
                    if then < best:
                        best, best_level, best_place, best_slot = then, level, place, q
                if level == depth:
                    continue
                other = first[i]
                while other >= 0:  # or one of those there makes room, and goes on
                    then = score + leaves[other]
                    if then >= highest:
                        break
                    if heavy - at_weight[other] <= room[i, r]:
                        late = int(at_row[other])
                        if late <= r or _is_early(free, i, r, late, heavy):
                            at = count[level + 1]
                            if at < width:
                                count[level + 1] += 1
                            else:
                                at = highest_at
                            jobs[level + 1, at], slots[level + 1, at] = other, q
                            parents[level + 1, at], scores[level + 1, at] = place, then
                            if count[level + 1] == width:
                                highest_at = 0
                                for each in range(1, width):
                                    if scores[level + 1, each] > scores[level + 1, highest_at]:
                                        highest_at = each
                                highest = scores[level + 1, highest_at]
                    other = after[other]
        if best < -_TINY or level == depth or count[level + 1] == 0:
            break
    seen[-1] = stamp
    b.at[LEVEL], b.at[PLACE], b.at[LAST] = best_level, best_place, best_slot
    return best


@compiled
def _is_early(free: Ints, i: int, row: int, late: int, heavy: int) -> bool:
    """Whether it may come into a row when another leaves a later one: up to that it finds room."""
    least = heavy
    for b in range(row, late):
        least = min(least, free[i, b])
    return least >= heavy


@compiled
def follow(w: Work, s: Seats, b: Beam, d: Desk) -> None:
    """Carry out the chain that `search` found; who sits where it passed is looked at again."""
    level, place, q = int(b.at[LEVEL]), int(b.at[PLACE]), int(b.at[LAST])
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
    if d.counts[LOGGED] < len(d.log_job):
        d.log_job[d.counts[LOGGED]], d.log_slot[d.counts[LOGGED]] = job, s.slot[job]
    d.counts[LOGGED] += 1
    seat(w, s, job, slot)


@compiled
def enqueue(d: Desk, job: int) -> None:
    if not d.queued[job]:
        d.queued[job] = True
        d.queue[d.counts[QUEUED]] = job
        d.counts[QUEUED] += 1


@compiled
def enqueue_all(d: Desk, jobs: Ints) -> None:
    for job in jobs:
        enqueue(d, job)


@compiled
def descend(w: Work, s: Seats, b: Beam, d: Desk, most: int) -> float:
    """Follow chains that save, from at most `most` of the jobs in the queue; what it saved."""
    saved = 0.0
    while d.counts[QUEUED] > 0 and most > 0:
        most -= 1
        at = _next(s, d)
        job = int(d.queue[at])
        d.counts[QUEUED] -= 1
        d.queue[at] = d.queue[d.counts[QUEUED]]
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
    for at in range(min(d.counts[QUEUED], 8)):
        if s.slot[d.queue[at]] < 0:
            return at
    return drawn(d.dice, d.counts[QUEUED])


@compiled
def kick(w: Work, s: Seats, d: Desk) -> float:
    """Leave out some jobs, one after the other from bins that they like, too; what it costs."""
    cost, near = 0.0, min(w.bins.shape[1], 6)
    job = (d.counts[BEGIN] + drawn(d.dice, min(NEAR, len(w.bins)))) % len(w.bins)
    if d.counts[WANTED] > 0 and drawn(d.dice, 2) == 0:
        wanted = int(d.wanted[drawn(d.dice, int(d.counts[WANTED]))])
        if drawn(d.dice, _TRIES + int(d.tries[wanted])) < _TRIES:
            job = wanted
            d.tries[wanted] += 1
    enqueue(d, job)
    slot = s.slot[job]
    i = w.bins[job, slot if slot >= 0 else drawn(d.dice, near)]
    if i < 0:
        return 0.0
    for _ in range(d.counts[OUT]):
        job = _anyone(s, d, i)
        if job >= 0:
            cost += _put_out(w, s, d, job)
            q = drawn(d.dice, near)
            i = w.bins[job, q] if w.bins[job, q] >= 0 else i
    return cost


@compiled
def _put_out(w: Work, s: Seats, d: Desk, job: int) -> float:
    """What it costs that somebody sits nowhere."""
    cost = w.penalty[job] + s.leaves[job]
    move(w, s, d, job, -1)
    enqueue(d, job)
    return cost


@compiled
def press(w: Work, s: Seats, d: Desk) -> float:
    """Seat one of those who sit dearest in a better cell, whoever has to leave for that; its cost.

    Chains take one job for one; a large one that should take the place of several small ones needs
    this.
    """
    job, dearest = -1, 0.0
    for _ in range(_DEAREST_OF):
        other = (d.counts[BEGIN] + drawn(d.dice, min(NEAR, len(w.bins)))) % len(w.bins)
        slot = s.slot[other]
        if slot > 0 and w.excess[other, slot] > dearest:
            job, dearest = other, w.excess[other, slot]
    if job < 0:
        return 0.0
    q = drawn(d.dice, min(int(s.slot[job]), 6))
    i, r, heavy = w.bins[job, q], w.row[job, q], w.weight[job, q]
    if w.excess[job, q] >= dearest or heavy > w.capacity[i, r]:
        return 0.0
    cost = s.leaves[job]
    move(w, s, d, job, -1)
    while heavy > s.room[i, r]:
        cost += _put_out(w, s, d, _anyone(s, d, i))
    cost += w.excess[job, q] - w.toll[i, r] * heavy
    move(w, s, d, job, q)
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
def kicks(w: Work, s: Seats, b: Beam, d: Desk, value: float, best: Ints, span: Floats) -> float:
    """Kick and descend, once for each patience in `span`; `best` are the best slots so far.

    A patience is how much dearer a kick may leave it and still stay. Returns the value of where it
    stands; span[0] becomes that of `best`.
    """
    least, span[0] = span[0], 0.0
    for at in range(1, len(span)):
        while d.counts[QUEUED] > 0:
            d.counts[QUEUED] -= 1
            d.queued[d.queue[d.counts[QUEUED]]] = False
        d.counts[LOGGED] = 0
        is_pressed = drawn(d.dice, 10) < _PRESSED_OF_TEN
        now = value + (press(w, s, d) if is_pressed else kick(w, s, d))
        now -= descend(w, s, b, d, len(d.log_job))
        dearer = now - value - span[at] * forbearance(d.dice)
        if d.counts[LOGGED] <= len(d.log_job) and dearer > 0.0 and now > least - _TINY:
            while d.counts[LOGGED] > 0:
                d.counts[LOGGED] -= 1
                at_log = d.counts[LOGGED]
                seat(w, s, int(d.log_job[at_log]), int(d.log_slot[at_log]))
        else:
            value = now
            _went_stale(d)
            if value < least - _TINY:
                least = value
                _keep(s, d, best)
    span[0] = least
    return value


@compiled
def _went_stale(d: Desk) -> None:
    """Those who moved need not sit as in the best any more; too many to be written down: nobody."""
    if d.counts[LOGGED] > len(d.log_job):
        d.counts[STALE] = len(d.stale)
        for job in range(len(d.stale)):
            d.stale[job], d.is_stale[job] = job, True
    for at in range(min(d.counts[LOGGED], len(d.log_job))):
        job = d.log_job[at]
        if not d.is_stale[job]:
            d.stale[d.counts[STALE]], d.is_stale[job] = job, True
            d.counts[STALE] += 1


@compiled
def _keep(s: Seats, d: Desk, best: Ints) -> None:
    """They sit as never better: that costs by who moved since, not by how many there are."""
    for at in range(d.counts[STALE]):
        job = d.stale[at]
        best[job], d.is_stale[job] = s.slot[job], False
    d.counts[STALE] = 0
