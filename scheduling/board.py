"""The planning board: a row of cards for each machine and each person, in whole seconds.

It promises that every card it takes stands where all hard rules are kept: openings, what is fixed
or reserved, changeovers, people, power, beds and what must come first; it never chooses which card
goes where. Compiled where numba is installed, the same answers where not.

In all functions here: `f` what does not change, `s` where the cards are. An item is an open job (by
its number) or, after those, a span that is fixed; tables have a row each, their columns are named
below.
"""

from typing import Final, NamedTuple

import numpy as np

from scheduling.cells import Ints
from scheduling.compiled import compiled

FOR_EVER: Final = 10**18
_DARK: Final = -2

# whole: of the problem
NOW, HORIZON, LATE, WAIT = range(4)
# jobs
SINCE, DUE, VALUE, LOAD, WIDE, LONG, GROUP = range(7)
BEFORE, BEFORE_TO, AFTER, AFTER_TO, KIN, KIN_TO, WAY, WAY_TO = range(7, 15)
# ways: how a job may be made; LEAST: no board can take it so for less
MACHINE, TAKES, MINOR, READY, HOME, LEAST = range(6)
# machines
LAB, ATTENDED, CHANGE_S, CHANGE_MINOR, LOADED, POWER, SKILL = range(7)
BED_X, BED_Y, GAP, BEGIN, OPEN, OPEN_TO = range(7, 13)
# labs
POWER_MAX, NAMED, ROW, ROW_TO, PERSON, PERSON_TO, LAT, LON = range(8)
# people
SKILLS, SHIFT, SHIFT_TO = range(3)
# items
START, END, ON, HOW, WHO, PREV, NEXT, HAND_PREV, HAND_NEXT, MATE, HEAD, X, Y, CHANGED, CARRIES = (
    range(15)
)
# groups: of jobs that are kept together
AT, MANY = range(2)
# found
COST, BEHIND, FROM, UNTIL, BY, JOINS, CHANGES = range(7)


class Facts(NamedTuple):
    whole: Ints
    jobs: Ints
    links: Ints
    """Jobs that come before and after others, and those that are kept together."""
    ways: Ints
    machines: Ints
    labs: Ints
    people: Ints
    spans: Ints
    """Openings of machines and shifts of people: from, until."""
    travel: Ints
    leg: Ints
    """By lab and lab: seconds, and minor units."""


class State(NamedTuple):
    items: Ints
    first: Ints
    hand: Ints
    """By person: the first card."""
    groups: Ints


def state_for(f: Facts, fixed: Ints) -> State:
    """No job is placed yet.

    `fixed`: rows of start, end, machine, person or -1, load or -1, and whether it draws power.
    """
    jobs = len(f.jobs)
    items = np.full((jobs + len(fixed), 15), -1, np.int64)
    items[:, (X, Y, CHANGED)] = 0
    items[:jobs, CARRIES] = f.jobs[:, LOAD]
    items[:, HEAD] = np.arange(len(items))
    groups = int(f.jobs[:, GROUP].max(initial=-1)) + 1
    state = State(
        items, np.full(len(f.machines), -1, np.int64), np.full(len(f.people), -1, np.int64),
        np.tile(np.array([-1, 0], np.int64), (groups, 1)),
    )  # fmt: skip
    for at, (start, end, machine, who, load, draws) in enumerate(fixed):
        item = jobs + at
        items[item, [START, END, CARRIES, HOW]] = start, end, load, -1 if draws else _DARK
        _hang(state, item, machine, _behind(state, machine, start))
        if who >= 0:
            _hand(state, item, who)
    return state


def copied(s: State) -> State:
    return State(s.items.copy(), s.first.copy(), s.hand.copy(), s.groups.copy())


@compiled
def timed(f: Facts, job: int, end: int) -> int:
    """What lateness and waiting count."""
    whole, jobs = f.whole, f.jobs
    waited = (end - jobs[job, SINCE]) * whole[WAIT]
    minor = -(-waited // 3600)
    due = jobs[job, DUE]
    if 0 <= due < end:
        minor += -(-((end - due) * whole[LATE]) // 3600)
    return minor


@compiled
def total_minor(f: Facts, s: State) -> int:
    """All that all jobs count where they are, or left out; one loop, as a turn asks for it."""
    items, jobs, ways, machines = s.items, f.jobs, f.ways, f.machines
    links, leg, late, wait = f.links, f.leg, f.whole[LATE], f.whole[WAIT]
    total = 0
    for job in range(len(jobs)):
        way = items[job, HOW]
        if way < 0:
            total += jobs[job, VALUE]
            continue
        machine, end, due = ways[way, MACHINE], items[job, END], jobs[job, DUE]
        total += ways[way, MINOR] - (jobs[job, SINCE] - end) * wait // 3600
        if 0 <= due < end:
            total -= (due - end) * late // 3600
        if items[job, HEAD] == job and items[job, CHANGED]:
            total += machines[machine, CHANGE_MINOR]
        lab = machines[machine, LAB]
        for at in range(jobs[job, BEFORE], jobs[job, BEFORE_TO]):
            on = items[links[at], ON]
            if on >= 0:
                total += leg[machines[on, LAB], lab]
    return total


@compiled
def _inbound(f: Facts, s: State, job: int, lab: int) -> int:
    minor = 0
    for at in range(f.jobs[job, BEFORE], f.jobs[job, BEFORE_TO]):
        on = s.items[f.links[at], ON]
        if on >= 0:
            minor += f.leg[f.machines[on, LAB], lab]
    return minor


@compiled
def ready_s(f: Facts, s: State, job: int, way: int) -> int:
    """When all that the job comes after is there; -1 if something of it is not placed."""
    items, ready, lab = s.items, f.ways[way, READY], f.machines[f.ways[way, MACHINE], LAB]
    for at in range(f.jobs[job, BEFORE], f.jobs[job, BEFORE_TO]):
        before = f.links[at]
        on = items[before, ON]
        if on < 0:
            return -1
        ready = max(ready, items[before, END] + f.travel[f.machines[on, LAB], lab])
    return ready


@compiled
def found_for() -> Ints:
    """Where `fit` says what it found."""
    return np.zeros(CHANGES + 1, np.int64)


# ── when


@compiled
def _opening(f: Facts, machine: int, t: int, span: int) -> int:
    """The first moment from `t` on at which the machine's openings let the span begin; or -1."""
    spans, lead = f.spans, span if f.machines[machine, ATTENDED] else 1
    low, high = f.machines[machine, OPEN], f.machines[machine, OPEN_TO]
    while low < high:  # the first that closes late enough
        middle = (low + high) // 2
        if spans[middle, 1] < t + lead:
            low = middle + 1
        else:
            high = middle
    for at in range(low, f.machines[machine, OPEN_TO]):
        begin = max(t, spans[at, 0])
        if begin + lead <= spans[at, 1]:
            return begin
    return -1


@compiled
def _hand_free(f: Facts, s: State, who: int, t: int, span: int, but: int) -> int:
    """The first moment from `t` on at which a person has the span free; or -1."""
    items, spans = s.items, f.spans
    at, last = f.people[who, SHIFT], f.people[who, SHIFT_TO]
    item = s.hand[who]
    while at < last:
        begin = max(t, spans[at, 0])
        if begin + span > spans[at, 1]:
            at += 1
            continue
        while item >= 0 and (items[item, END] <= begin or item == but):
            item = items[item, HAND_NEXT]
        if item < 0 or items[item, START] >= begin + span:
            return begin
        t = items[item, END]
    return -1


@compiled
def _served(f: Facts, s: State, machine: int, t: int, span: int, but: int) -> tuple[int, int]:
    """When, from `t` on, somebody with the skill is free first, and who; (-1, -1) if nobody."""
    lab, skill = f.machines[machine, LAB], f.machines[machine, SKILL]
    begin, by = -1, -1
    for who in range(f.labs[lab, PERSON], f.labs[lab, PERSON_TO]):
        if f.people[who, SKILLS] >> skill & 1:
            free = _hand_free(f, s, who, t, span, but)
            if free >= 0 and (begin < 0 or free < begin):
                begin, by = free, who
    return begin, by


@compiled
def _drawn_w(f: Facts, s: State, lab: int, machine: int, t: int) -> tuple[int, int]:
    """What the lab's other machines draw at a moment, and until when at least as much."""
    items, watts, until = s.items, 0, FOR_EVER
    for other in range(f.labs[lab, ROW], f.labs[lab, ROW_TO]):
        if other == machine:
            continue
        item = s.first[other]
        while item >= 0 and items[item, START] <= t:
            if items[item, END] > t and items[item, HOW] != _DARK:
                watts += f.machines[other, POWER]
                until = min(until, items[item, END])
            item = items[item, NEXT]
    return watts, until


@compiled
def _powered(f: Facts, s: State, machine: int, t: int, span: int) -> int:
    """`t`, if the lab's power lasts for the span; else a later moment to try; -1: never."""
    lab, items = f.machines[machine, LAB], s.items
    left = f.labs[lab, POWER_MAX] - f.machines[machine, POWER]
    if left < 0:
        return -1
    watts, until = _drawn_w(f, s, lab, machine, t)
    if watts > left:
        return until
    for other in range(f.labs[lab, ROW], f.labs[lab, ROW_TO]):
        item = s.first[other] if other != machine else -1
        while item >= 0 and items[item, START] < t + span:
            if items[item, START] > t:
                watts, until = _drawn_w(f, s, lab, machine, items[item, START])
                if watts > left:
                    return until
            item = items[item, NEXT]
    return t


@compiled
def _earliest(
    f: Facts, s: State, machine: int, t: int, span: int, until: int, but: int
) -> tuple[int, int]:
    """The first moment from `t` on for a span that ends by `until`, and who serves it.

    `but`: a card to look through. (-1, -1): there is none.
    """
    lab = f.machines[machine, LAB]
    asked = f.machines[machine, ATTENDED] and f.labs[lab, NAMED]
    who = -1
    while t + span <= until:
        begin = _opening(f, machine, t, span)
        if begin < 0 or begin + span > until:
            return -1, -1
        t = begin
        if asked:
            t, who = _served(f, s, machine, t, span, but)
            if t < 0:
                return -1, -1
        if f.labs[lab, POWER_MAX] >= 0 and t + span <= until:
            t = _powered(f, s, machine, t, span)
            if t < 0:
                return -1, -1
        if t == begin:
            return t, who
    return -1, -1


@compiled
def _may_take(f: Facts, s: State, item: int, start: int, end: int) -> bool:
    """Whether the card may be so long, with the same person, its neighbours apart."""
    items, machine = s.items, s.items[item, ON]
    if end > f.whole[HORIZON] or _opening(f, machine, start, end - start) != start:
        return False
    who = items[item, WHO]
    if who >= 0 and _hand_free(f, s, who, start, end - start, item) != start:
        return False
    capped = f.labs[f.machines[machine, LAB], POWER_MAX] >= 0
    return not capped or _powered(f, s, machine, start, end - start) == start


# ── what fits


@compiled
def fit(f: Facts, s: State, job: int, way: int, limit: int, found: Ints) -> int:
    """The cheapest place for a job that is not placed, if it adds less than `limit`.

    Returns what it adds to the total, or `limit`; `found` is where.
    """
    items, machines, jobs = s.items, f.machines, f.jobs
    machine, takes = f.ways[way, MACHINE], f.ways[way, TAKES]
    ready, group = ready_s(f, s, job, way), jobs[job, GROUP]
    if ready < 0:
        return limit
    if group >= 0 and s.groups[group, MANY] and s.groups[group, AT] != machines[machine, LAB]:
        return limit
    load, best = jobs[job, LOAD], limit
    change_s, change_minor = machines[machine, CHANGE_S], machines[machine, CHANGE_MINOR]
    base = f.ways[way, MINOR] + _inbound(f, s, job, machines[machine, LAB])
    shares = jobs[job, WIDE] > 0 and machines[machine, GAP] >= 0
    behind, carries, item = -1, machines[machine, LOADED], int(s.first[machine])
    t = ready
    while base + timed(f, job, t + takes) - change_minor < best:
        changed = carries >= 0 and carries != load
        span = takes + change_s if changed else takes
        minor, until = base + (change_minor if changed else 0), f.whole[HORIZON]
        follower, grows = _next_loaded(s, item), 0
        if item >= 0:
            until = min(until, items[item, START])
        if follower >= 0 and items[follower, HOW] >= 0:
            grows = int(items[follower, CARRIES] != load) - items[follower, CHANGED]
            minor += grows * change_minor
            if grows < 0:
                minor -= _sooner_minor(f, s, follower, change_s)
            elif follower == item:
                until -= grows * change_s
        if t + span <= until and minor + timed(f, job, t + span) < best:
            begin, who = _earliest(f, s, machine, t, span, until, -1)
            if begin >= 0:
                minor += timed(f, job, begin + span)
                if minor < best and (grows <= 0 or _may_begin(f, s, follower, change_s)):
                    best = minor
                    found[COST], found[BEHIND], found[FROM] = minor, behind, begin
                    found[UNTIL], found[BY], found[JOINS] = begin + span, who, -1
                    found[CHANGES] = int(changed)
        if item < 0:
            break
        if shares and items[item, HOW] >= 0 and items[item, CARRIES] == load:
            minor = base + _shared_minor(f, s, job, way, item, ready, best - base)
            if minor < best:
                best = minor
                found[COST], found[FROM], found[JOINS] = minor, items[item, START], item
                found[UNTIL] = _shared_until(f, s, way, item)
                found[BY], found[CHANGES] = items[item, WHO], 0
        t = max(t, items[item, END])
        if items[item, CARRIES] >= 0:
            carries = items[item, CARRIES]
        behind, item = item, int(items[item, NEXT])
    return best


@compiled
def _sooner_minor(f: Facts, s: State, head: int, sooner_s: int) -> int:
    """What a plate saves that ends so much sooner."""
    saved, mate, end = 0, head, s.items[head, END]
    while mate >= 0:
        saved += timed(f, mate, end) - timed(f, mate, end - sooner_s)
        mate = s.items[mate, MATE]
    return saved


@compiled
def _shared_minor(f: Facts, s: State, job: int, way: int, head: int, ready: int, limit: int) -> int:
    """What it adds, but for the job's own way, that it joins a plate; `limit` if it cannot."""
    items, machine = s.items, s.items[head, ON]
    if f.jobs[head, WIDE] <= 0 or items[head, START] < ready:
        return limit
    end, after = _shared_until(f, s, way, head), items[head, NEXT]
    if after >= 0 and end > items[after, START]:
        return limit
    added, mate = timed(f, job, end), head
    while mate >= 0:
        added += timed(f, mate, end) - timed(f, mate, items[mate, END])
        if end > _wanted_by(f, s, mate):
            return limit
        mate = items[mate, MATE]
    if added >= limit or not _may_take(f, s, head, items[head, START], end):
        return limit
    return added if _packed(f, s, head, job, machine, False) else limit


@compiled
def _shared_until(f: Facts, s: State, way: int, head: int) -> int:
    """When a plate ends that the job of this way joins."""
    end = s.items[head, START] + _plate_s(f, s, head, f.ways[way, TAKES])
    return end + f.machines[s.items[head, ON], CHANGE_S] if s.items[head, CHANGED] else end


@compiled
def _plate_s(f: Facts, s: State, head: int, more_s: int) -> int:
    """How long a plate takes, with one more job on it (0: none), without its changeover."""
    begin = f.machines[s.items[head, ON], BEGIN]
    total, saved = more_s, min(begin, more_s)
    most, mate = saved, head
    while mate >= 0:
        takes = f.ways[s.items[mate, HOW], TAKES]
        total += takes
        saved += min(begin, takes)
        most = max(most, min(begin, takes))
        mate = s.items[mate, MATE]
    return total - saved + most


@compiled
def _wanted_by(f: Facts, s: State, job: int) -> int:
    """When the job must be ready for those that come after it."""
    items, by = s.items, FOR_EVER
    lab = f.machines[items[job, ON], LAB]
    for at in range(f.jobs[job, AFTER], f.jobs[job, AFTER_TO]):
        after = f.links[at]
        on = items[after, ON]
        if on >= 0:
            by = min(by, items[after, START] - f.travel[lab, f.machines[on, LAB]])
    return by


@compiled
def _packed(f: Facts, s: State, head: int, job: int, machine: int, move: bool) -> bool:
    """Whether a plate and one more job lie on the bed in rows, the longest first.

    `move`: lay them so. Rows as in Coffman et al., SIAM Journal on Computing 9, 1980 (next fit,
    decreasing height).
    """
    items, jobs = s.items, f.jobs
    bed_x, bed_y = f.machines[machine, BED_X], f.machines[machine, BED_Y]
    gap = f.machines[machine, GAP]
    x, y, row, last_long, last_id = 0, 0, 0, FOR_EVER, -1
    while True:
        pick, mate = -1, job  # the longest of those not yet laid, then the lowest number
        while mate >= 0:
            long = jobs[mate, LONG]
            if (long < last_long or (long == last_long and mate > last_id)) and (
                pick < 0 or long > jobs[pick, LONG] or (long == jobs[pick, LONG] and mate < pick)
            ):
                pick = mate
            mate = head if mate == job else items[mate, MATE]
        if pick < 0:
            return True
        if x > 0 and x + jobs[pick, WIDE] > bed_x:
            x, y = 0, y + row + gap
            row = 0
        if x + jobs[pick, WIDE] > bed_x or y + jobs[pick, LONG] > bed_y:
            return False
        if move:
            items[pick, X], items[pick, Y] = x, y
        row = max(row, jobs[pick, LONG])
        x += jobs[pick, WIDE] + gap
        last_long, last_id = jobs[pick, LONG], pick


# ── moving cards


@compiled
def _behind(s: State, machine: int, start: int) -> int:
    behind, item = -1, s.first[machine]
    while item >= 0 and s.items[item, START] < start:
        behind, item = item, s.items[item, NEXT]
    return behind


@compiled
def _hang(s: State, item: int, machine: int, behind: int) -> None:
    items = s.items
    after = s.first[machine] if behind < 0 else items[behind, NEXT]
    items[item, ON], items[item, PREV], items[item, NEXT] = machine, behind, after
    if behind < 0:
        s.first[machine] = item
    else:
        items[behind, NEXT] = item
    if after >= 0:
        items[after, PREV] = item


@compiled
def _hand(s: State, item: int, who: int) -> None:
    """The card goes to the person, in order of time."""
    items, behind, after = s.items, -1, s.hand[who]
    while after >= 0 and items[after, START] < items[item, START]:
        behind, after = after, items[after, HAND_NEXT]
    items[item, WHO], items[item, HAND_PREV], items[item, HAND_NEXT] = who, behind, after
    if behind < 0:
        s.hand[who] = item
    else:
        items[behind, HAND_NEXT] = item
    if after >= 0:
        items[after, HAND_PREV] = item


@compiled
def _unhand(s: State, item: int) -> None:
    items, who = s.items, s.items[item, WHO]
    if who < 0:
        return
    behind, after = items[item, HAND_PREV], items[item, HAND_NEXT]
    if behind < 0:
        s.hand[who] = after
    else:
        items[behind, HAND_NEXT] = after
    if after >= 0:
        items[after, HAND_PREV] = behind
    items[item, WHO] = -1


@compiled
def put(f: Facts, s: State, job: int, way: int, found: Ints) -> None:
    """Place the job where `fit` found room for it."""
    items, machine = s.items, f.ways[way, MACHINE]
    items[job, HOW] = way
    group = f.jobs[job, GROUP]
    if group >= 0:
        s.groups[group, AT] = f.machines[machine, LAB]
        s.groups[group, MANY] += 1
    if found[JOINS] >= 0:
        head = found[JOINS]
        _packed(f, s, head, job, machine, True)
        items[job, ON], items[job, HEAD] = machine, head
        items[job, MATE], items[head, MATE] = items[head, MATE], job
        _respan(f, s, head)
        return
    items[job, MATE], items[job, HEAD], items[job, X], items[job, Y] = -1, job, 0, 0
    items[job, START] = found[FROM]
    _hang(s, job, machine, found[BEHIND])
    carries = _carried(f, s, job)
    items[job, CHANGED] = int(carries >= 0 and carries != items[job, CARRIES])
    _respan(f, s, job)
    if found[BY] >= 0:
        _hand(s, job, found[BY])
    _rechange(f, s, items[job, NEXT])


@compiled
def _respan(f: Facts, s: State, head: int) -> None:
    """The end of a card and of those that share its plate, from its start on."""
    items, machine = s.items, s.items[head, ON]
    end = items[head, START] + _plate_s(f, s, head, 0)
    if items[head, CHANGED]:
        end += f.machines[machine, CHANGE_S]
    mate = head
    while mate >= 0:
        items[mate, START], items[mate, END] = items[head, START], end
        mate = items[mate, MATE]


@compiled
def _carried(f: Facts, s: State, item: int) -> int:
    """The load that a card finds in its machine; -1: unknown."""
    items, before = s.items, s.items[item, PREV]
    while before >= 0 and items[before, CARRIES] < 0:
        before = items[before, PREV]
    return items[before, CARRIES] if before >= 0 else f.machines[items[item, ON], LOADED]


@compiled
def _next_loaded(s: State, item: int) -> int:
    while item >= 0 and s.items[item, CARRIES] < 0:
        item = s.items[item, NEXT]
    return item


@compiled
def _rechange(f: Facts, s: State, item: int) -> bool:
    """Whether the next job is still right behind a new neighbour.

    If it needs no changeover any more, it ends sooner; if it needs one now, it begins earlier.
    False: it cannot.
    """
    item = _next_loaded(s, item)
    if item < 0 or s.items[item, HOW] < 0:
        return True
    items = s.items
    carries = _carried(f, s, item)
    changed = int(carries >= 0 and carries != items[item, CARRIES])
    if changed == items[item, CHANGED]:
        return True
    change_s = f.machines[items[item, ON], CHANGE_S]
    fits = changed == 0 or _may_begin(f, s, item, change_s)
    if changed:
        items[item, START] -= change_s
    items[item, CHANGED] = changed
    _respan(f, s, item)
    return fits


@compiled
def _may_begin(f: Facts, s: State, item: int, earlier_s: int) -> bool:
    """Whether a card may begin so much earlier."""
    before, start = s.items[item, PREV], s.items[item, START] - earlier_s
    if before >= 0 and s.items[before, END] > start:
        return False
    mate = item
    while mate >= 0:
        ready = ready_s(f, s, mate, s.items[mate, HOW])
        if ready < 0 or start < ready:
            return False
        mate = s.items[mate, MATE]
    return _may_take(f, s, item, start, s.items[item, END])


@compiled
def take(f: Facts, s: State, job: int) -> int:
    """Take a job off the board; returns another that cannot stay where it is then, or -1."""
    items, head = s.items, s.items[job, HEAD]
    group = f.jobs[job, GROUP]
    if group >= 0:
        s.groups[group, MANY] -= 1
    if head != job or items[job, MATE] >= 0:
        _leave_plate(f, s, job, head)
        return -1
    _unhand(s, job)
    behind, after, machine = items[job, PREV], items[job, NEXT], items[job, ON]
    if behind < 0:
        s.first[machine] = after
    else:
        items[behind, NEXT] = after
    if after >= 0:
        items[after, PREV] = behind
    _forget(s, job)
    if _rechange(f, s, after):
        return -1
    return _next_loaded(s, after)


@compiled
def _forget(s: State, job: int) -> None:
    items = s.items
    items[job, ON], items[job, HOW], items[job, WHO], items[job, MATE] = -1, -1, -1, -1
    items[job, HEAD], items[job, CHANGED], items[job, PREV], items[job, NEXT] = job, 0, -1, -1


@compiled
def _leave_plate(f: Facts, s: State, job: int, head: int) -> None:
    items = s.items
    if head != job:
        before = head
        while items[before, MATE] != job:
            before = items[before, MATE]
        items[before, MATE] = items[job, MATE]
    else:
        head = _pass_on(s, job)
    _forget(s, job)
    _respan(f, s, head)


@compiled
def _pass_on(s: State, job: int) -> int:
    """The next of a plate takes the place of the first."""
    items, heir = s.items, s.items[job, MATE]
    for column in (ON, WHO, PREV, NEXT, HAND_PREV, HAND_NEXT, CHANGED):
        items[heir, column] = items[job, column]
    before, after = items[job, PREV], items[job, NEXT]
    if before < 0:
        s.first[items[job, ON]] = heir
    else:
        items[before, NEXT] = heir
    if after >= 0:
        items[after, PREV] = heir
    if items[job, WHO] >= 0:
        before, after = items[job, HAND_PREV], items[job, HAND_NEXT]
        if before < 0:
            s.hand[items[job, WHO]] = heir
        else:
            items[before, HAND_NEXT] = heir
        if after >= 0:
            items[after, HAND_PREV] = heir
    mate = heir
    while mate >= 0:
        items[mate, HEAD] = heir
        mate = items[mate, MATE]
    return heir


@compiled
def close_up(f: Facts, s: State, machine: int) -> bool:
    """Each card of the row as early as it may be, in the same order; whether one has moved."""
    items, item, moved = s.items, s.first[machine], False
    while item >= 0:
        if items[item, HOW] >= 0:
            before = items[item, PREV]
            t = items[before, END] if before >= 0 else 0
            mate = item
            while mate >= 0:
                t = max(t, ready_s(f, s, mate, items[mate, HOW]))
                mate = items[mate, MATE]
            span = items[item, END] - items[item, START]
            begin, who = _earliest(f, s, machine, t, span, items[item, END], item)
            if 0 <= begin < items[item, START]:
                moved = True
                _unhand(s, item)
                items[item, START] = begin
                _respan(f, s, item)
                if who >= 0:
                    _hand(s, item, who)
        item = items[item, NEXT]
    return moved


# ── from outside


def hang_up(f: Facts, s: State, head: int, who: int) -> None:
    """A card whose place is known goes into its row, and to who serves it."""
    items = s.items
    _hang(s, head, items[head, ON], _behind(s, items[head, ON], items[head, START]))
    carries = _carried(f, s, head)
    items[head, CHANGED] = int(carries >= 0 and carries != items[head, CARRIES])
    if who >= 0:
        _hand(s, head, who)


@compiled
def rehang(f: Facts, s: State) -> None:
    """Put all cards anew into the rows that they name, and to the people."""
    items, jobs = s.items, len(f.jobs)
    s.first[:], s.hand[:], s.groups[:, MANY] = -1, -1, 0
    for item in range(len(items)):
        on, who = items[item, ON], items[item, WHO]
        if on < 0:
            continue
        if item < jobs and f.jobs[item, GROUP] >= 0:
            s.groups[f.jobs[item, GROUP], AT] = f.machines[on, LAB]
            s.groups[f.jobs[item, GROUP], MANY] += 1
        if items[item, HEAD] == item:
            _hang(s, item, on, _behind(s, on, items[item, START]))
            if who >= 0:
                _hand(s, item, who)


@compiled
def alone(f: Facts, s: State) -> Ints:
    """By way: what it adds to this board; FOR_EVER if it has no room."""
    minor, found = np.full(len(f.ways), FOR_EVER, np.int64), found_for()
    for job in range(len(f.jobs)):
        for way in range(f.jobs[job, WAY], f.jobs[job, WAY_TO]):
            minor[way] = fit(f, s, job, way, FOR_EVER, found)
    return minor


@compiled
def best_alone(f: Facts, s: State, job: int) -> tuple[int, int]:
    """The least that any way of the job adds to this board, and the first end; end -1: none."""
    least, first, found = FOR_EVER, -1, found_for()
    for way in range(f.jobs[job, WAY], f.jobs[job, WAY_TO]):
        minor = fit(f, s, job, way, FOR_EVER, found)
        if minor < FOR_EVER:
            end = found[FROM] + f.ways[way, TAKES]
            least = min(least, minor)
            first = end if first < 0 else min(first, end)
    return least, first
