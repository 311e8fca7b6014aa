"""A problem as cards for the planning board, and the board's cards as a plan.

It promises that whoever asks the board in ids is answered in ids, and that a plan put on the board
comes off it as it was; it decides nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, Final

import numpy as np

from scheduling import board
from scheduling.board import Facts, State
from scheduling.cells import Ints
from scheduling.cost import cost_lines, leg_minor
from scheduling.distance import travel_s
from scheduling.fleet import Fleet
from scheduling.plan import Assignment, Plan, left_out_minor
from scheduling.problem import Job, Load, Machine, Problem, fixed_span
from scheduling.routing import labs_kept_to, made_at, ready_s
from scheduling.sequencing import without

_ALWAYS: Final = ((0, board.FOR_EVER),)


@dataclass(frozen=True, eq=False)
class Cards:
    """All open jobs of a problem, numbered in the order given, and what they need."""

    problem: Problem
    jobs: tuple[Job, ...]
    machines: tuple[Machine, ...]
    """Those of a lab stand together."""
    facts: Facts
    fixed: Ints

    def empty(self) -> State:
        """A board with nothing but what is fixed and reserved."""
        return board.state_for(self.facts, self.fixed)

    @cached_property
    def number(self) -> dict[str, int]:
        return {job.id: at for at, job in enumerate(self.jobs)}

    @cached_property
    def machine_number(self) -> dict[str, int]:
        return {machine.id: at for at, machine in enumerate(self.machines)}

    @cached_property
    def people(self) -> tuple[str, ...]:
        return tuple(each.id for lab in self.problem.labs for each in lab.operators or ())

    def ways(self, job: int) -> range:
        return range(*(int(x) for x in self.facts.jobs[job, [board.WAY, board.WAY_TO]]))

    def way_to(self, job: int, machine: int) -> int | None:
        """The way of a job that uses this machine."""
        ways = self.ways(job)
        made = np.flatnonzero(self.facts.ways[ways.start : ways.stop, board.MACHINE] == machine)
        return ways.start + int(made[0]) if len(made) else None

    def machine_of_way(self, way: int) -> Machine:
        return self.machines[int(self.facts.ways[way, board.MACHINE])]

    def alone_minor(self, job: int) -> list[int]:
        """By way: what it adds to an empty board, what comes before left aside."""
        ways = self.ways(job)
        free = self.facts.jobs.copy()
        free[:, board.BEFORE_TO] = free[:, board.BEFORE]
        minor = board.alone(self.facts._replace(jobs=free), self.empty())
        return [int(each) for each in minor[ways.start : ways.stop]]

    def lab_on(self, s: State, job: str) -> str | None:
        """Where an open job is made."""
        on = int(s.items[self.number[job], board.ON])
        return self.machines[on].lab if on >= 0 else None

    def assignments(self, s: State) -> tuple[Assignment, ...]:
        """What stands on the board, in order of time, then by id."""
        placed = [at for at in range(len(self.jobs)) if s.items[at, board.ON] >= 0]
        found = (self._assignment(s, at) for at in placed)
        return tuple(sorted(found, key=lambda each: (each.start_s, each.job)))

    def left_out(self, s: State) -> tuple[str, ...]:
        jobs = enumerate(self.jobs)
        return tuple(job.id for at, job in jobs if s.items[at, board.ON] < 0)

    def _assignment(self, s: State, at: int) -> Assignment:
        item, job = s.items[at], self.jobs[at]
        head = s.items[item[board.HEAD]]
        machine = self.machines[int(item[board.ON])]
        shared = bool(head[board.MATE] >= 0)
        labs = [self._lab_of(s, before) for before in job.after]
        changed = bool(head[board.CHANGED]) and job.id == self._payer(s, int(item[board.HEAD]))
        start, end = int(item[board.START]), int(item[board.END])
        lines = cost_lines(self.problem, job, machine, end, labs, changed=changed)
        who = int(head[board.WHO])
        corner = (int(item[board.X]), int(item[board.Y])) if shared else None
        by = self.people[who] if who >= 0 else None
        return Assignment(job.id, machine.id, start, end, lines, by, corner)

    def _payer(self, s: State, head: int) -> str:
        """Of a plate the job with the first id bears the changeover."""
        return min(self.jobs[mate].id for mate in _plate(s, head))

    def _lab_of(self, s: State, job: str) -> str:
        made = made_at(self.problem, job)
        lab = made[0] if made else self.lab_on(s, job)
        if lab is None:
            raise ValueError(f"{job} is not on the board, though others follow it")
        return lab

    def put_up(self, s: State, assignments: Iterable[Assignment]) -> None:
        """Put a plan's jobs on an empty board as they are."""
        by_place = sorted(assignments, key=lambda each: (each.machine, each.start_s, each.job))
        for _, plate in groupby(by_place, key=lambda each: (each.machine, each.start_s)):
            self._put_up_plate(s, list(plate))

    def _put_up_plate(self, s: State, plate: Sequence[Assignment]) -> None:
        numbers = [self.number[each.job] for each in plate]
        for at, each in zip(numbers, plate, strict=True):
            machine = self.machine_number[each.machine]
            way = self.way_to(at, machine)
            if way is None:
                raise ValueError(f"{each.job} cannot be made on {each.machine}")
            item = s.items[at]
            item[[board.START, board.END, board.HOW]] = each.start_s, each.end_s, way
            item[[board.ON, board.HEAD]] = machine, numbers[0]
            item[[board.X, board.Y]] = each.on_plate_um or (0, 0)
            group = int(self.facts.jobs[at, board.GROUP])
            if group >= 0:
                s.groups[group, board.AT] = self.facts.machines[machine, board.LAB]
                s.groups[group, board.MANY] += 1
        for at, mate in zip(numbers, [*numbers[1:], -1], strict=True):
            s.items[at, board.MATE] = mate
        who = plate[0].operator
        person = -1 if who is None else self.people.index(who)
        board.hang_up(self.facts, s, numbers[0], person)


def _plate(s: State, head: int) -> Iterator[int]:
    while head >= 0:
        yield head
        head = int(s.items[head, board.MATE])


# ── from a problem


def lay_out(problem: Problem) -> Cards:
    """Cards for all open jobs, each with its ways, the cheapest first; made once."""
    made: dict[str, Any] = problem.__dict__
    if "_cards" not in made:
        made["_cards"] = _laid_out(problem)
    return made["_cards"]


def board_of(problem: Problem, plan: Plan) -> State:
    """The board with the plan on it, to be looked at only; made once."""
    made: dict[str, Any] = plan.__dict__
    if made.get("_board_of") is not problem:
        s = lay_out(problem).empty()
        lay_out(problem).put_up(s, plan.assignments)
        made["_board_of"], made["_board"] = problem, s
    return made["_board"]


def _laid_out(problem: Problem) -> Cards:
    places = {lab.id: at for at, lab in enumerate(problem.labs)}
    machines = tuple(sorted(problem.machines, key=lambda each: places[each.lab]))
    jobs = problem.open_jobs
    people = [each.id for lab in problem.labs for each in lab.operators or ()]
    loads = _numbered(_loads(problem))
    skills = _numbered(each.process for each in machines)
    spans = _Spans()
    labs, rows = (
        _labs(problem, machines),
        _machines(problem, machines, places, loads, skills, spans),
    )
    persons = _people(problem, skills, spans)
    groups = _numbered(job.keep_with for job in jobs if job.keep_with)
    number = {job.id: at for at, job in enumerate(jobs)}
    cards, links = _jobs(problem, jobs, loads, groups, number)
    ways = _ways(problem, jobs, {each.id: at for at, each in enumerate(machines)}, cards)
    travel, leg = _legs(problem, jobs, machines, ways, cards, links)
    weights = problem.weights
    whole = [problem.now_s, problem.horizon_s, weights.lateness_minor_per_h,
             weights.waiting_minor_per_h]  # fmt: skip
    facts = Facts(
        np.array(whole, np.int64), cards, links, ways, rows, labs, persons, spans.table(),
        travel, leg,
    )  # fmt: skip
    whom = {each: at for at, each in enumerate(people)}
    fixed = _fixed(problem, {each.id: at for at, each in enumerate(machines)}, whom, loads)
    return _sorted(Cards(problem, jobs, machines, facts, fixed))


def _table(rows: Sequence[Sequence[int]], columns: int) -> Ints:
    return np.array(rows, np.int64).reshape(len(rows), columns)


def _numbered(names: Iterable[Any]) -> dict[Any, int]:
    return {name: at for at, name in enumerate(dict.fromkeys(names))}


def _loads(problem: Problem) -> Iterator[Load]:
    yield from (machine.loaded for machine in problem.machines if machine.loaded)
    yield from (job.load for job in problem.jobs)


class _Spans:
    """One table of all openings and shifts."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []

    def add(self, spans: Iterable[tuple[int, int]]) -> tuple[int, int]:
        first = len(self.rows)
        self.rows.extend(spans)
        return first, len(self.rows)

    def table(self) -> Ints:
        return _table(self.rows, 2)


def _labs(problem: Problem, machines: Sequence[Machine]) -> Ints:
    owned, rows, row, person = Counter(each.lab for each in machines), [], 0, 0
    for lab in problem.labs:
        people = lab.operators or ()
        most = -1 if lab.power_max_w is None else lab.power_max_w
        named = int(lab.operators is not None)
        many = owned[lab.id]
        where = lab.lat_udeg, lab.lon_udeg
        rows.append((most, named, row, row + many, person, person + len(people), *where))
        row, person = row + many, person + len(people)
    return _table(rows, 8)


def _machines(
    problem: Problem,
    machines: Sequence[Machine],
    places: dict[str, int],
    loads: dict[Load, int],
    skills: dict[str, int],
    spans: _Spans,
) -> Ints:
    hours = {lab.id: spans.add(lab.open_windows_s or _ALWAYS) for lab in problem.labs}
    rows = [
        (
            places[each.lab], int(not each.unattended), each.changeover_s, each.changeover_minor,
            loads[each.loaded] if each.loaded else -1, each.power_w, skills[each.process],
            each.envelope_um[0], each.envelope_um[1],
            -1 if each.plate_gap_um is None else each.plate_gap_um, each.begin_s,
            *hours[each.lab],
        )
        for each in machines
    ]  # fmt: skip
    return _table(rows, 13)


def _people(problem: Problem, skills: dict[str, int], spans: _Spans) -> Ints:
    rows: list[tuple[int, int, int]] = []
    for lab in problem.labs:
        for each in lab.operators or ():
            known = sum(1 << skills[skill] for skill in each.skills if skill in skills)
            rows.append((known, *spans.add(each.windows_s or _ALWAYS)))
    return _table(rows, 3)


def _jobs(
    problem: Problem,
    jobs: Sequence[Job],
    loads: dict[Load, int],
    groups: dict[str, int],
    number: dict[str, int],
) -> tuple[Ints, Ints]:
    kin: dict[str, list[int]] = {}
    for at, job in enumerate(jobs):
        if job.keep_with:
            kin.setdefault(job.keep_with, []).append(at)
    links: list[int] = []

    def linked(others: Iterable[int]) -> tuple[int, int]:
        first = len(links)
        links.extend(others)
        return first, len(links)

    rows = [
        (
            max(problem.now_s, job.release_s), -1 if job.due_s is None else job.due_s,
            left_out_minor(problem, job), loads[job.load], *(job.plate_um or (0, 0)),
            groups.get(job.keep_with or "", -1),
            *linked(number[each] for each in job.after if each in number),
            *linked(number[each] for each in problem.followers.get(job.id, ()) if each in number),
            *linked(kin.get(job.keep_with or "", ())),
            0, 0,
        )
        for job in jobs
    ]  # fmt: skip
    return _table(rows, 15), np.array(links, np.int64)


def _ways(problem: Problem, jobs: Sequence[Job], machines: dict[str, int], cards: Ints) -> Ints:
    """A row for each job and machine that can make it; where each job's begin goes to `cards`."""
    fleets = {each: Fleet(problem, each) for each in sorted({job.process for job in jobs})}
    numbers = {
        process: np.array([machines[each] for each in fleet.ids], np.int64)
        for process, fleet in fleets.items()
    }
    taken = [fleets[job.process].takes_s(job) for job in jobs]
    homes = _homes(fleets, jobs, taken)
    tables: list[Ints] = []
    many = 0
    for at, job in enumerate(jobs):
        fleet, takes = fleets[job.process], taken[at]
        kept = labs_kept_to(problem, job.keep_with) if job.keep_with else frozenset[str]()
        home = homes.get(job.keep_with or "", frozenset[str]())
        made = [made[0] for before in job.after if (made := made_at(problem, before))]
        on = fleet.machines
        able = np.flatnonzero(takes)
        if kept:
            able = np.array([i for i in able if kept <= {on[i].lab}], np.int64)
        table = np.zeros((len(able), 6), np.int64)
        table[:, board.MACHINE] = numbers[job.process][able]
        table[:, board.TAKES] = takes[able]
        table[:, board.MINOR] = fleet.untimed_minor(job, takes)[able]
        if made:
            legs = [sum(leg_minor(problem, lab, on[i].lab) for lab in made) for i in able]
            table[:, board.MINOR] += np.array(legs, np.int64)
        ready = fleet.available_s[able]
        table[:, board.READY] = np.maximum(ready, max(problem.now_s, job.release_s))
        if made:
            table[:, board.READY] = [ready_s(problem, job, on[i]) for i in able]
        if home:
            table[:, board.HOME] = [on[i].lab in home for i in able]
        tables.append(table)
        cards[at, board.WAY] = many
        many += len(able)
        cards[at, board.WAY_TO] = many
    return np.concatenate(tables) if tables else _table([], 6)


def _homes(
    fleets: Mapping[str, Fleet], jobs: Sequence[Job], taken: Sequence[Ints]
) -> dict[str, frozenset[str]]:
    """By label: the labs that can make the most of the jobs that are kept together."""
    able: dict[str, Counter[str]] = {}
    for job, takes in zip(jobs, taken, strict=True):
        if job.keep_with:
            machines = fleets[job.process].machines
            labs = {machines[at].lab for at in np.flatnonzero(takes)}
            able.setdefault(job.keep_with, Counter()).update(labs)
    return {
        label: frozenset(lab for lab, count in labs.items() if count == max(labs.values()))
        for label, labs in able.items()
    }


def _legs(
    problem: Problem,
    jobs: Sequence[Job],
    machines: Sequence[Machine],
    ways: Ints,
    cards: Ints,
    links: Ints,
) -> tuple[Ints, Ints]:
    """Between the labs at which linked jobs may be; elsewhere nought."""
    many = len(problem.labs)
    travel, leg = np.zeros((many, many), np.int64), np.zeros((many, many), np.int64)
    lab_of = np.array([problem.labs.index(problem.lab[each.lab]) for each in machines], np.int64)

    def labs(at: int) -> list[int]:
        mine = ways[cards[at, board.WAY] : cards[at, board.WAY_TO], board.MACHINE]
        return [int(lab) for lab in np.unique(lab_of[mine])]

    pairs = {
        (a, b)
        for at in range(len(jobs))
        for before in links[cards[at, board.BEFORE] : cards[at, board.BEFORE_TO]]
        for a in labs(int(before))
        for b in labs(at)
    }
    for a, b in pairs:
        ids = problem.labs[a].id, problem.labs[b].id
        travel[a, b], leg[a, b] = travel_s(problem, *ids), leg_minor(problem, *ids)
    return travel, leg


def _fixed(
    problem: Problem, machines: dict[str, int], people: dict[str, int], loads: dict[Load, int]
) -> Ints:
    """Rows for `board.state_for`; on a machine none overlaps another, the later begins later."""
    rows: list[tuple[int, int, int, int, int, int]] = []
    taken: dict[str, list[tuple[int, int]]] = {}
    for item in sorted(problem.fixed, key=lambda each: fixed_span(each, problem.now_s)):
        start, end = fixed_span(item, problem.now_s)
        job, before = problem.job.get(item.job), taken.setdefault(item.machine, [])
        if end > start:
            start = max(start, *(until for _, until in before), start)
            end = max(start, end)
            who = -1 if item.operator is None else people[item.operator]
            load = loads[job.load] if job else -1
            rows.append((start, end, machines[item.machine], who, load, 1))
            before.append((start, end))
    for machine in problem.machines:
        for start, end in without(machine.reserved_s, taken.get(machine.id, ())):
            rows.append((start, end, machines[machine.id], -1, -1, 0))
    return _table(sorted(rows), 6)


def _sorted(cards: Cards) -> Cards:
    """Each job's ways by the least that they can cost, without those that never have room."""
    facts, fixed = lenient(cards)
    least = board.alone(facts, board.state_for(facts, fixed))
    ways = cards.facts.ways
    ways[:, board.LEAST] = least
    owner = np.repeat(np.arange(len(cards.jobs)), _many(cards.facts))
    order = np.lexsort((least, owner))
    order = order[least[order] < board.FOR_EVER]
    jobs = cards.facts.jobs.copy()
    ends = np.cumsum(np.bincount(owner[order], minlength=len(cards.jobs)))
    jobs[:, board.WAY], jobs[:, board.WAY_TO] = np.r_[0, ends[:-1]] if len(ends) else 0, ends
    facts = cards.facts._replace(jobs=jobs, ways=np.ascontiguousarray(ways[order]))
    return Cards(cards.problem, cards.jobs, cards.machines, facts, cards.fixed)


def _many(facts: Facts) -> Ints:
    """How many ways each job has."""
    return facts.jobs[:, board.WAY_TO] - facts.jobs[:, board.WAY]


def lenient(cards: Cards) -> tuple[Facts, Ints]:
    """The same without what others may spare a job: changeovers, a beginning, waiting for them."""
    facts, fixed = cards.facts, cards.fixed.copy()
    jobs, ways, machines = facts.jobs.copy(), facts.ways.copy(), facts.machines.copy()
    machines[:, board.LOADED], fixed[:, 4] = -1, -1
    on = machines[ways[:, board.MACHINE]]
    owner = np.repeat(np.arange(len(jobs)), _many(facts))
    shares = (on[:, board.GAP] >= 0) & (jobs[owner, board.WIDE] > 0)
    ways[:, board.TAKES] -= np.where(
        shares, np.minimum(on[:, board.BEGIN], ways[:, board.TAKES] - 1), 0
    )
    jobs[:, board.BEFORE_TO] = jobs[:, board.BEFORE]
    return facts._replace(jobs=jobs, ways=ways, machines=machines), fixed


def floors(cards: Cards) -> list[int]:
    """By job a cost below which no plan can make it or leave it out, whatever the others do."""
    facts, fixed = lenient(cards)
    return _floors(cards, facts, board.state_for(facts, fixed))


def _floors(cards: Cards, lenient: Facts, empty: State) -> list[int]:
    """Each in turn, so that none begins before what it comes after could be ready."""
    ends: dict[int, int | None] = {}
    found = [0] * len(cards.jobs)
    for job in followed(cards.problem, [each.id for each in cards.jobs]):
        at, value = cards.number[job], left_out_minor(cards.problem, cards.problem.job[job])
        if not cards.problem.job[job].after and job not in cards.problem.followers:
            least = lenient.ways[cards.ways(at).start, board.LEAST] if cards.ways(at) else value
            found[at] = min(int(least), value)
            continue
        before = [ends[cards.number[each]] for each in cards.problem.job[job].after
                  if each in cards.number]  # fmt: skip
        ready = max((each for each in before if each is not None), default=0)
        ways = cards.ways(at)
        lenient.ways[ways.start : ways.stop, board.READY] = np.maximum(
            lenient.ways[ways.start : ways.stop, board.READY], ready
        )
        minor, end = board.best_alone(lenient, empty, at)
        if None in before or end < 0:
            ends[at], found[at] = None, value
        else:
            ends[at], found[at] = int(end), min(int(minor), value)
    return found


def followed(problem: Problem, order: Iterable[str]) -> Iterator[str]:
    """The same jobs, each moved behind the open jobs that it comes after."""
    done = set(problem.fixed_by_job)
    for wanted in order:
        stack = [wanted]
        while stack:
            missing = [job for job in problem.job[stack[-1]].after if job not in done]
            if missing and stack[-1] not in done:
                stack.append(missing[0])
                continue
            job = stack.pop()
            if job not in done:
                done.add(job)
                yield job
