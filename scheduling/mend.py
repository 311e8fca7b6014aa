"""Plans by insertion, then by taking some jobs off the board and putting them back otherwise.

It promises the same board to the same seed, compiled or not, and one that more time never makes
worse; it knows no clock. Strings of neighbours are taken out as in Christiaens & Vanden Berghe,
Transportation Science 54, 2020.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from scheduling.board import (
    AFTER,
    AFTER_TO,
    AT,
    BEFORE,
    BEFORE_TO,
    DUE,
    END,
    FOR_EVER,
    GROUP,
    HOME,
    HOW,
    KIN,
    KIN_TO,
    LAB,
    LAT,
    LEAST,
    LON,
    MACHINE,
    MANY,
    MATE,
    MINOR,
    NEXT,
    ON,
    PREV,
    ROW,
    SINCE,
    START,
    TAKES,
    VALUE,
    WAY,
    WAY_TO,
    Facts,
    State,
    close_up,
    copied,
    fit,
    found_for,
    put,
    ready_s,
    rehang,
    take,
    total_minor,
)
from scheduling.cells import Floats, Ints
from scheduling.compiled import AtOnce, compiled
from scheduling.dice import dice_for, drawn, forbearance

_STRETCH: Final = 200
_GOLDEN: Final = 2.39996
_FIRST_ROUND: Final = 2_000
_HOT: Final = 0.2
_COLD: Final = 0.01
_STRINGS: Final = 5
_STRING: Final = 4
_MODES: Final = 5


@dataclass(frozen=True)
class Patience:
    """How long to mend: at most so many turns, until told to stop or the total is at the floor.

    `workers`: how many work at the board, each on a side of its own; `at_once`: runs them, as the
    `map` of a pool of threads does. The board depends on the first of the two only.
    """

    turns: int
    seed: int
    should_stop: Callable[[], bool]
    floor: int
    workers: int = 1
    at_once: AtOnce = map


def insert_all(f: Facts, s: State, order: Iterable[int], pins: Mapping[int, int]) -> None:
    """Each job of the order where it adds least; on its pinned machine, if there is room."""
    dice, found, everywhere = dice_for(0), found_for(), np.ones(len(f.machines), np.int64)
    for job in order:
        insert(f, s, job, pins.get(job, -1), everywhere, dice, found)


def mended(f: Facts, s: State, patience: Patience) -> State:
    """In rounds that cool down, each twice as long as the one before, from the best so far."""
    desk = _Desk(f, copied(s), patience)
    length, step = _FIRST_ROUND, _scale(f)
    while not desk.is_over():
        _restore(desk.s, desk.best)
        for begun in range(0, length, _STRETCH):
            if desk.is_over():
                break
            parts = (begun + np.arange(min(_STRETCH, patience.turns - desk.turned))) / length
            desk.stretch(step * _HOT * (_COLD / _HOT) ** parts)
        length *= 2
    everywhere = np.ones(len(f.machines), np.int64)
    insert_left_out(f, desk.best, everywhere, dice_for(patience.seed))
    return desk.best


class _Desk:
    """The board being mended, as it stands and as it was best."""

    def __init__(self, f: Facts, s: State, patience: Patience) -> None:
        self.f, self.s, self.patience = f, s, patience
        self.best, self.least, self.turned, self.stretches = copied(s), total_minor(f, s), 0, 0
        seeds = range(patience.seed, patience.seed + patience.workers)
        self.hands = [_Hand(f, s, seed) for seed in seeds]

    def is_over(self) -> bool:
        spent = self.turned >= self.patience.turns or self.least <= self.patience.floor
        return spent or self.patience.should_stop()

    def stretch(self, patience: Floats) -> None:
        """Some turns by each worker on its side, then the sides are joined."""
        side = _sides(self.f, self.s, len(self.hands), self.stretches)
        owner = _owners(self.f, self.s, side, len(self.hands))

        def turned(each: tuple[int, _Hand]) -> State:
            at, hand = each
            mine = (side == at).astype(np.int64), (owner == at).astype(np.int64)
            return hand.turned(self.f, self.s, mine, patience)

        boards = list(self.patience.at_once(turned, enumerate(self.hands)))
        if len(boards) == 1:
            _restore(self.s, boards[0])
        else:
            _join(self.f, self.s, [board.items for board in boards], owner)
        self.turned += len(patience)
        self.stretches += 1
        value = total_minor(self.f, self.s)
        if value < self.least:
            self.least = value
            _restore(self.best, self.s)


class _Hand:
    """What one worker needs."""

    def __init__(self, f: Facts, s: State, seed: int) -> None:
        jobs = len(f.jobs)
        self.board, self.kept, self.dice = copied(s), copied(s), dice_for(seed)
        self.gone, self.key = np.zeros(jobs, np.int64), _stack_for(jobs)

    def turned(self, f: Facts, s: State, mine: tuple[Ints, Ints], patience: Floats) -> State:
        _restore(self.board, s)
        _turns(f, self.board, self.kept, mine, self.dice, self.gone, self.key, patience)
        return self.board


def _sides(f: Facts, s: State, workers: int, stretch: int) -> Ints:
    """By machine: whose side it is on. The city is cut across its labs, each time otherwise."""
    if workers == 1:
        return np.zeros(len(f.machines), np.int64)
    angle = stretch * _GOLDEN
    north, east = f.labs[:, LAT], f.labs[:, LON] * np.cos(np.radians(f.labs[:, LAT].mean() / 1e6))
    across = north * np.cos(angle) + east * np.sin(angle)
    on = s.items[: len(f.jobs), ON]
    busy = 1 + np.bincount(f.machines[on[on >= 0], LAB], minlength=len(f.labs))
    order = np.argsort(across, kind="stable")
    before = np.cumsum(busy[order]) - busy[order]
    side = np.zeros(len(f.labs), np.int64)
    side[order] = before * workers // busy.sum()
    return side[f.machines[:, LAB]]


@compiled
def _owners(f: Facts, s: State, side: Ints, workers: int) -> Ints:
    """By job: who may touch it; -1: nobody. One that is left out goes to where its like are."""
    items, jobs = s.items, f.jobs
    owner = np.zeros(len(jobs), np.int64)
    for job in range(len(jobs)):
        if items[job, ON] >= 0:
            owner[job] = side[items[job, ON]]
            continue
        group = jobs[job, GROUP]
        owner[job] = (group if group >= 0 else job) % workers
        if group >= 0 and s.groups[group, MANY] > 0:
            owner[job] = side[f.labs[s.groups[group, AT], ROW]]
        bound = group >= 0
        for at in range(jobs[job, BEFORE], jobs[job, BEFORE_TO]):
            on = items[f.links[at], ON]
            if on >= 0 and side[on] != owner[job]:
                owner[job] = -1 if bound else side[on]
            bound = bound or on >= 0
    return owner


def _join(f: Facts, s: State, boards: Sequence[Ints], owner: Ints) -> None:
    """Each job as whoever owns it has it."""
    jobs = len(f.jobs)
    for at, items in enumerate(boards):
        s.items[:jobs][owner == at] = items[:jobs][owner == at]
    rehang(f, s)
    _settle(f, s)


@compiled
def _stack_for(jobs: int) -> Ints:
    """Of jobs to be taken off, in which one may stand twice."""
    return np.zeros(2 * jobs + 64, np.int64)


@compiled
def _settle(f: Facts, s: State) -> None:
    """Put anew what one side moved forward while the other made what comes before it later."""
    jobs, everywhere = len(f.jobs), np.ones(len(f.machines), np.int64)
    own, gone, stack = np.ones(jobs, np.int64), np.zeros(jobs, np.int64), _stack_for(jobs)
    dice = np.ones(2, np.int64)
    for job in range(jobs):
        if s.items[job, ON] >= 0 and s.items[job, START] < ready_s(f, s, job, s.items[job, HOW]):
            many = _pull(f, s, job, own, gone, 0, stack)
            _recreate(f, s, everywhere, dice, gone, many, stack)


def _scale(f: Facts) -> float:
    """What a change of way costs: the mean of the second best above the best."""
    first = f.jobs[:, WAY]
    two = first + 1 < f.jobs[:, WAY_TO]
    if not two.any():
        return 1.0
    minor = f.ways[:, MINOR]
    return float(np.abs(minor[first[two] + 1] - minor[first[two]]).mean()) + 1.0


@compiled
def _restore(to: State, source: State) -> None:
    to.items[:] = source.items
    to.first[:] = source.first
    to.hand[:] = source.hand
    to.groups[:] = source.groups


@compiled
def insert(f: Facts, s: State, job: int, pin: int, mine: Ints, dice: Ints, found: Ints) -> bool:
    """Put the job where it adds least, if that is less than leaving it out costs.

    `pin`: the machine to take if it has room, or -1; `mine`: which machines may be taken. The first
    of those that are kept together goes where most of them can be made, mostly.
    """
    group, way = f.jobs[job, GROUP], -1
    if pin >= 0:
        way = _best_way(f, s, job, pin, False, mine, found)
    if way < 0 and group >= 0 and s.groups[group, MANY] == 0 and drawn(dice, 8) > 0:
        way = _best_way(f, s, job, -1, True, mine, found)
    if way < 0:
        way = _best_way(f, s, job, -1, False, mine, found)
    if way >= 0:
        put(f, s, job, way, found)
    return way >= 0


@compiled
def _best_way(f: Facts, s: State, job: int, pin: int, home: bool, mine: Ints, found: Ints) -> int:
    """The way that adds least, and less than leaving out; -1: none. `found`: where it fits."""
    ways, chosen, limit, best = f.ways, -1, f.jobs[job, VALUE], found_for()
    for way in range(f.jobs[job, WAY], f.jobs[job, WAY_TO]):
        if ways[way, LEAST] >= limit:
            break
        machine = ways[way, MACHINE]
        if (pin >= 0 and machine != pin) or (home and not ways[way, HOME]) or not mine[machine]:
            continue
        minor = fit(f, s, job, way, limit, found)
        if minor < limit:
            limit, chosen = minor, way
            best[:] = found
    found[:] = best
    return chosen


@compiled
def insert_left_out(f: Facts, s: State, mine: Ints, dice: Ints) -> None:
    """Put up whatever still has room."""
    found, again = found_for(), True
    while again:
        again = False
        for job in range(len(f.jobs)):
            if s.items[job, ON] < 0 and _can_follow(f, s, job):
                again = insert(f, s, job, -1, mine, dice, found) or again


@compiled
def _pull(f: Facts, s: State, job: int, own: Ints, gone: Ints, many: int, stack: Ints) -> int:
    """Take a job off, what comes after it first, and what cannot stay then; how many are gone.

    -1: it would have touched somebody else's.
    """
    items, high = s.items, 1
    stack[0] = job
    while high > 0:
        job, follower = stack[high - 1], -1
        if items[job, ON] < 0:
            high -= 1
            continue
        if not own[job]:
            return -1
        for at in range(f.jobs[job, AFTER], f.jobs[job, AFTER_TO]):
            if items[f.links[at], ON] >= 0:
                follower = f.links[at]
        if follower >= 0:
            stack[high] = follower
            high += 1
            continue
        high -= 1
        other = take(f, s, job)
        gone[many] = job
        many += 1
        while other >= 0:  # the whole plate
            stack[high] = other
            high += 1
            other = items[other, MATE]
    return many


@compiled
def _ruin(f: Facts, s: State, mine: Ints, own: Ints, dice: Ints, gone: Ints, stack: Ints) -> int:
    """Take out strings of neighbours on machines that one job could go to; how many jobs.

    0 or less: it came to nothing, or upon somebody else's.
    """
    items, many, seed = s.items, 0, drawn(dice, len(f.jobs))
    for _ in range(100):
        if own[seed]:
            break
        seed = drawn(dice, len(f.jobs))
    if not own[seed]:
        return 0
    when = items[seed, START] if items[seed, ON] >= 0 else -1
    if items[seed, ON] < 0:
        gone[0], many = seed, 1
    elif f.jobs[seed, GROUP] >= 0 and drawn(dice, 2) == 0:
        for at in range(f.jobs[seed, KIN], f.jobs[seed, KIN_TO]):
            many = _pull(f, s, f.links[at], own, gone, many, stack)
            if many < 0:
                return many
    ways = f.jobs[seed, WAY_TO] - f.jobs[seed, WAY]
    for string in range(1 + drawn(dice, _STRINGS) if ways else 0):
        way = f.jobs[seed, WAY] + drawn(dice, min(ways, 8))
        machine = f.ways[way, MACHINE]
        if string == 0 and items[seed, ON] >= 0:
            machine = items[seed, ON]
        if mine[machine]:
            many = _pull_string(f, s, machine, when, own, dice, gone, many, stack)
            if many < 0:
                return many
    return many


@compiled
def _pull_string(  # noqa: PLR0913, PLR0917 - where, whose, and what for
    f: Facts, s: State, machine: int, when: int, own: Ints, dice: Ints, gone: Ints, many: int,
    stack: Ints,
) -> int:  # fmt: skip
    items, item = s.items, int(_near(s, machine, when, dice))
    for _ in range(1 + drawn(dice, _STRING)):
        while item >= 0 and items[item, HOW] < 0:
            item = int(items[item, NEXT])
        if item < 0:
            break
        after = int(items[item, NEXT] if items[item, MATE] < 0 else items[item, MATE])
        many = _pull(f, s, item, own, gone, many, stack)
        if many < 0:
            break
        stays = after >= 0 and items[after, ON] == machine
        item = after if stays else int(s.first[machine])
    return many


@compiled
def _near(s: State, machine: int, when: int, dice: Ints) -> int:
    """A card of the row around a moment, or anywhere; a step or two before it now and then."""
    item, many = s.first[machine], 0
    if when < 0:
        while item >= 0:
            many += 1
            item = s.items[item, NEXT]
        item = s.first[machine]
        for _ in range(drawn(dice, many) if many else 0):
            item = s.items[item, NEXT]
        return item
    while item >= 0 and s.items[item, NEXT] >= 0 and s.items[item, END] <= when:
        item = s.items[item, NEXT]
    for _ in range(drawn(dice, 3)):
        if item >= 0 and s.items[item, PREV] >= 0:
            item = s.items[item, PREV]
    return item


@compiled
def _recreate(f: Facts, s: State, mine: Ints, dice: Ints, gone: Ints, many: int, key: Ints) -> None:
    """Put back, in some order, what is gone; what comes after others when they are there."""
    mode = drawn(dice, _MODES)
    for at in range(many):
        key[at] = _key(f, s, gone[at], mode, dice)
    for at in range(1, many):
        job, its = gone[at], key[at]
        to = at
        while to > 0 and key[to - 1] > its:
            gone[to], key[to] = gone[to - 1], key[to - 1]
            to -= 1
        gone[to], key[to] = job, its
    found, again = found_for(), True
    while again:
        again = False
        for at in range(many):
            job = gone[at]
            if s.items[job, ON] < 0 and key[at] < FOR_EVER and _can_follow(f, s, job):
                key[at] = FOR_EVER  # tried
                again = True
                insert(f, s, job, -1, mine, dice, found)


@compiled
def _can_follow(f: Facts, s: State, job: int) -> bool:
    for at in range(f.jobs[job, BEFORE], f.jobs[job, BEFORE_TO]):
        if s.items[f.links[at], ON] < 0:
            return False
    return True


@compiled
def _key(f: Facts, s: State, job: int, mode: int, dice: Ints) -> int:
    if mode == 0:
        return drawn(dice, 1_000_000)
    if mode == 1:
        return f.jobs[job, DUE] if f.jobs[job, DUE] >= 0 else FOR_EVER - 1
    way = f.jobs[job, WAY]
    takes = f.ways[way, TAKES] if way < f.jobs[job, WAY_TO] else 0
    if mode == 2:
        return -takes
    if mode == 3:
        return takes
    return s.items[job, START] if s.items[job, START] >= 0 else f.jobs[job, SINCE]


@compiled
def _turns(  # noqa: PLR0913, PLR0917 - what a turn needs, made once
    f: Facts, s: State, kept: State, mine: tuple[Ints, Ints], dice: Ints, gone: Ints, key: Ints,
    patience: Floats,
) -> None:  # fmt: skip
    """Ruin and recreate, once for each patience: how much dearer it may be and stay."""
    machines, own = mine
    value = total_minor(f, s)
    _restore(kept, s)
    for at in range(len(patience)):
        many = _ruin(f, s, machines, own, dice, gone, key)
        if many <= 0:
            if many < 0:
                _restore(s, kept)
            continue
        _recreate(f, s, machines, dice, gone, many, key)
        for place in range(many):
            if s.items[gone[place], ON] >= 0:
                close_up(f, s, s.items[gone[place], ON])
        for place in range(many):
            if kept.items[gone[place], ON] >= 0:
                close_up(f, s, kept.items[gone[place], ON])
        now = total_minor(f, s)
        if now <= value + patience[at] * forbearance(dice):
            value = now
            _restore(kept, s)
        else:
            _restore(s, kept)
