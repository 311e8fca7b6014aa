"""Plans by insertion, then by taking some jobs off the board and putting them back otherwise.

It promises the same board to the same seed, compiled or not, and one that more time never makes
worse; it knows no clock. Strings of neighbours are taken out as in Christiaens & Vanden Berghe,
Transportation Science 54, 2020.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from scheduling.board import (
    AFTER,
    AFTER_TO,
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
    LEAST,
    MACHINE,
    MANY,
    MATE,
    NEXT,
    ON,
    PREV,
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
    take,
    total_minor,
)
from scheduling.cells import Floats, Ints
from scheduling.chains import drawn
from scheduling.compiled import compiled

_HANDFUL: Final = 200
_FIRST_ROUND: Final = 2_000
_HOT: Final = 0.5
_COLD: Final = 0.01
_STRINGS: Final = 3
_STRING: Final = 6
_MODES: Final = 5


@dataclass(frozen=True)
class Patience:
    """How long to mend: at most so many turns, until told to stop or the total is at the floor."""

    turns: int
    seed: int
    should_stop: Callable[[], bool]
    floor: int


def insert_all(f: Facts, s: State, order: Iterable[int], pins: Mapping[int, int]) -> None:
    """Each job of the order where it adds least; on its pinned machine, if there is room."""
    dice, found = dice_for(0), found_for()
    for job in order:
        insert(f, s, job, pins.get(job, -1), dice, found)


def mended(f: Facts, s: State, patience: Patience, workers: int) -> State:
    """The best of as many boards as there are workers, each with a seed of its own."""
    if workers == 1 or patience.turns == 0:
        return _mended(f, s, patience)
    seeds = (replace(patience, seed=patience.seed + at) for at in range(workers))
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(lambda each: _mended(f, s, each), seeds))
    return min(found, key=lambda each: total_minor(f, each))


def _mended(f: Facts, s: State, patience: Patience) -> State:
    """In rounds that cool down, each twice as long as the one before, from the best so far."""
    desk = Desk(f, copied(s), patience.seed)
    length, turn, step = _FIRST_ROUND, 0, _scale(f)

    def over() -> bool:
        spent = turn >= patience.turns or desk.least <= patience.floor
        return spent or patience.should_stop()

    while not over():
        desk.back_to_best()
        for begun in range(0, length, _HANDFUL):
            if over():
                break
            many = min(_HANDFUL, patience.turns - turn)
            parts = (begun + np.arange(many)) / length
            desk.turns(step * _HOT * (_COLD / _HOT) ** parts)
            turn += many
        length *= 2
    desk.back_to_best()
    insert_left_out(f, desk.s, desk.dice)
    return desk.s


class Desk:
    """The board being mended, as it stands and as it was best."""

    def __init__(self, f: Facts, s: State, seed: int) -> None:
        jobs = len(f.jobs)
        self.f, self.s, self.dice = f, s, dice_for(seed)
        self.best, self.kept = copied(s), copied(s)
        self.least = total_minor(f, s)
        self.gone, self.key = np.zeros(jobs, np.int64), np.zeros(2 * jobs + 64, np.int64)

    def turns(self, patience: Floats) -> None:
        value = total_minor(self.f, self.s)
        self.least = _turns(
            self.f, self.s, (self.kept, self.best), self.dice, self.gone, self.key, patience,
            (value, self.least),
        )  # fmt: skip

    def back_to_best(self) -> None:
        _restore(self.s, self.best)


def dice_for(seed: int) -> Ints:
    return np.array([seed % 2147483561 + 1, seed * 7919 % 2147483397 + 1], np.int64)


def _scale(f: Facts) -> float:
    """What a change of way costs: the mean of the second best above the best."""
    first = f.jobs[:, WAY]
    two = first + 1 < f.jobs[:, WAY_TO]
    if not two.any():
        return 1.0
    minor = f.ways[:, 2]
    return float(np.abs(minor[first[two] + 1] - minor[first[two]]).mean()) + 1.0


@compiled
def _restore(to: State, source: State) -> None:
    to.items[:] = source.items
    to.first[:] = source.first
    to.hand[:] = source.hand
    to.groups[:] = source.groups


@compiled
def insert(f: Facts, s: State, job: int, pin: int, dice: Ints, found: Ints) -> bool:
    """Put the job where it adds least, if that is less than leaving it out costs.

    `pin`: the machine to take if it has room, or -1. The first of those that are kept together goes
    where most of them can be made, mostly.
    """
    group, way = f.jobs[job, GROUP], -1
    if pin >= 0:
        way = _best_way(f, s, job, pin, False, found)
    if way < 0 and group >= 0 and s.groups[group, MANY] == 0 and drawn(dice, 8) > 0:
        way = _best_way(f, s, job, -1, True, found)
    if way < 0:
        way = _best_way(f, s, job, -1, False, found)
    if way >= 0:
        put(f, s, job, way, found)
    return way >= 0


@compiled
def _best_way(f: Facts, s: State, job: int, pin: int, home: bool, found: Ints) -> int:
    """The way that adds least, and less than leaving out; -1: none. `found`: where it fits."""
    chosen, limit, best = -1, f.jobs[job, VALUE], found_for()
    for way in range(f.jobs[job, WAY], f.jobs[job, WAY_TO]):
        if f.ways[way, LEAST] >= limit:
            break
        if (pin >= 0 and f.ways[way, MACHINE] != pin) or (home and not f.ways[way, HOME]):
            continue
        minor = fit(f, s, job, way, limit, found)
        if minor < limit:
            limit, chosen = minor, way
            best[:] = found
    found[:] = best
    return chosen


@compiled
def insert_left_out(f: Facts, s: State, dice: Ints) -> None:
    """Put up whatever still has room."""
    found, again = found_for(), True
    while again:
        again = False
        for job in range(len(f.jobs)):
            if s.items[job, ON] < 0 and _can_follow(f, s, job):
                again = insert(f, s, job, -1, dice, found) or again


@compiled
def _pull(f: Facts, s: State, job: int, gone: Ints, many: int, stack: Ints) -> int:
    """Take a job off, what comes after it first, and what cannot stay then; how many are gone."""
    items, high = s.items, 1
    stack[0] = job
    while high > 0:
        job, follower = stack[high - 1], -1
        if items[job, ON] < 0:
            high -= 1
            continue
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
def _ruin(f: Facts, s: State, dice: Ints, gone: Ints, stack: Ints) -> int:
    """Take out strings of neighbours on machines that one job could go to; how many jobs."""
    items, many = s.items, 0
    seed = drawn(dice, len(f.jobs))
    when = items[seed, START] if items[seed, ON] >= 0 else -1
    gone[0] = seed
    if items[seed, ON] < 0:
        many = 1
    elif f.jobs[seed, GROUP] >= 0 and drawn(dice, 2) == 0:
        for at in range(f.jobs[seed, KIN], f.jobs[seed, KIN_TO]):
            many = _pull(f, s, f.links[at], gone, many, stack)
    ways = f.jobs[seed, WAY_TO] - f.jobs[seed, WAY]
    for string in range(1 + drawn(dice, _STRINGS) if ways else 0):
        way = f.jobs[seed, WAY] + drawn(dice, min(ways, 8))
        machine = f.ways[way, MACHINE]
        if string == 0 and items[seed, ON] >= 0:
            machine = items[seed, ON]
        item = int(_near(s, machine, when, dice))
        for _ in range(1 + drawn(dice, _STRING)):
            while item >= 0 and items[item, HOW] < 0:
                item = int(items[item, NEXT])
            if item < 0:
                break
            after = int(items[item, NEXT] if items[item, MATE] < 0 else items[item, MATE])
            many = _pull(f, s, item, gone, many, stack)
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
def _recreate(f: Facts, s: State, dice: Ints, gone: Ints, many: int, key: Ints) -> None:
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
                insert(f, s, job, -1, dice, found)


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
    f: Facts, s: State, as_it_was: tuple[State, State], dice: Ints, gone: Ints, key: Ints,
    patience: Floats, values: tuple[int, int],
) -> int:  # fmt: skip
    """Ruin and recreate, once for each patience: how much dearer it may be and stay."""
    kept, best = as_it_was
    value, least = values
    _restore(kept, s)
    for at in range(len(patience)):
        many = _ruin(f, s, dice, gone, key)
        _recreate(f, s, dice, gone, many, key)
        for place in range(many):
            if s.items[gone[place], ON] >= 0:
                close_up(f, s, s.items[gone[place], ON])
        for place in range(many):
            if kept.items[gone[place], ON] >= 0:
                close_up(f, s, kept.items[gone[place], ON])
        now = total_minor(f, s)
        if now <= value + patience[at] * _forbearance(dice):
            value = now
            _restore(kept, s)
            if value < least:
                least = value
                _restore(best, s)
        else:
            _restore(s, kept)
    return least


@compiled
def _forbearance(dice: Ints) -> float:
    """On average one; twice as much is half as likely, as with Metropolis, without a logarithm."""
    halvings = 0
    while drawn(dice, 2) == 1:
        halvings += 1
    return (halvings + drawn(dice, 1000) / 1000.0) * 0.67
