"""Plans by insertion: jobs in some order, each to where it costs least, then a seeded search.

It promises that every layout it returns keeps all hard rules; it never proves that one is best.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from scheduling.cost import leg_minor, timed_minor, untimed_minor
from scheduling.problem import Job, Problem, Spans
from scheduling.routing import candidates, free_starts, labs_kept_to, made_at, travel_s
from scheduling.sequencing import Queues, earliest_start


@dataclass(frozen=True)
class Way:
    """One machine that can make a job, when it could start, and what it costs but for time."""

    machine: str
    lab: str
    duration_s: int
    starts: Spans
    minor: int


@dataclass(frozen=True)
class Desk:
    """A problem laid out for search. `ways` are by job, the cheapest when alone first.

    `floor_minor` is by job a cost below which no plan can make it or leave it out; `homes` are by
    label the labs that insertion tries first for jobs kept together.
    """

    problem: Problem
    ways: Mapping[str, tuple[Way, ...]]
    floor_minor: Mapping[str, int]
    homes: Mapping[str, frozenset[str]]
    reach: int

    @property
    def bound_minor(self) -> int:
        return sum(self.floor_minor.values())


@dataclass(frozen=True)
class Spot:
    """Where and when a job is made in a layout, and all that this costs."""

    way: Way
    start_s: int
    end_s: int
    minor: int


@dataclass(frozen=True)
class Layout:
    """The outcome of putting jobs down in an order; pins name the machine some must take."""

    order: tuple[str, ...]
    pins: Mapping[str, str]
    spots: Mapping[str, Spot]
    left_out: tuple[str, ...]
    minor: int


def prepare(problem: Problem, reach: int) -> Desk:
    """The ways of every open job; `reach` of them are looked at first in the search."""
    ways = {job.id: _ways(problem, job) for job in problem.open_jobs}
    ends: dict[str, int | None] = {}
    floors: dict[str, int] = {}
    for job_id in followed(problem, [job.id for job in problem.open_jobs]):
        ends[job_id], floors[job_id] = _floor(problem, problem.job[job_id], ways[job_id], ends)
    return Desk(problem, ways, floors, _homes(problem, ways), reach)


def _homes(problem: Problem, ways: Mapping[str, tuple[Way, ...]]) -> dict[str, frozenset[str]]:
    """By label: the labs that can make the most of the jobs that are kept together."""
    able: dict[str, Counter[str]] = {}
    for job in problem.open_jobs:
        if job.keep_with:
            able.setdefault(job.keep_with, Counter()).update({way.lab for way in ways[job.id]})
    return {
        label: frozenset(lab for lab, count in labs.items() if count == max(labs.values()))
        for label, labs in able.items()
    }


def _ways(problem: Problem, job: Job) -> tuple[Way, ...]:
    labs = labs_kept_to(problem, job.keep_with)
    inbound = [made[0] for before in job.after if (made := made_at(problem, before))]
    ways = (
        Way(
            machine.id,
            machine.lab,
            job.durations_s[machine.id],
            free_starts(problem, job, machine),
            untimed_minor(problem, job, machine)
            + sum(leg_minor(problem, lab, machine.lab) for lab in inbound),
        )
        for machine in candidates(job, problem).machines
        if labs <= {machine.lab}
    )
    return tuple(sorted(ways, key=lambda way: alone_minor(problem, job, way)))


def alone_minor(problem: Problem, job: Job, way: Way) -> int:
    """What the job costs this way if no other open job is there."""
    return way.minor + timed_minor(problem, job, way.starts[0][0] + way.duration_s)


def _floor(
    problem: Problem, job: Job, ways: tuple[Way, ...], ends: Mapping[str, int | None]
) -> tuple[int | None, int]:
    """The earliest end of a job and the least it can cost, whatever the others do."""
    waits = [ends[before] for before in job.after if before in ends]
    ready = max((end for end in waits if end is not None), default=0)
    starts = [(way, earliest_start(way.starts, (), way.duration_s, ready)) for way in ways]
    ended = [(way, start + way.duration_s) for way, start in starts if start is not None]
    leave_out = problem.weights.unplaced_minor
    if None in waits or not ended:
        return None, leave_out
    least = min(way.minor + timed_minor(problem, job, end) for way, end in ended)
    return min(end for _, end in ended), min(least, leave_out)


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


@dataclass
class _Board:
    desk: Desk
    queues: Queues = field(default_factory=Queues)
    spots: dict[str, Spot] = field(default_factory=dict[str, Spot])
    lab_of_label: dict[str, str] = field(default_factory=dict[str, str])

    def put(self, job: Job, spot: Spot) -> None:
        self.spots[job.id] = spot
        self.queues.add(spot.way.machine, spot.start_s, spot.end_s)
        if job.keep_with:
            self.lab_of_label[job.keep_with] = spot.way.lab

    def best(self, job: Job, pin: str | None) -> Spot | None:
        """The cheapest spot for the job, None if leaving it out is cheaper or must be."""
        before = [each for each in job.after if each not in self.desk.problem.fixed_by_job]
        if any(each not in self.spots for each in before):
            return None
        parts = [self.spots[each] for each in before]
        ways, reach = self.desk.ways[job.id], self.desk.reach
        pinned = tuple(way for way in ways if way.machine == pin)
        homes = self.desk.homes.get(job.keep_with or "", frozenset[str]())
        at_home = tuple(way for way in ways if way.lab in homes)
        for some in (pinned, at_home, ways[:reach], ways[reach:]):
            spot = self._cheapest(job, some, parts)
            if spot and spot.minor < self.desk.problem.weights.unplaced_minor:
                return spot
        return None

    def _cheapest(self, job: Job, ways: Sequence[Way], parts: Sequence[Spot]) -> Spot | None:
        lab = self.lab_of_label.get(job.keep_with or "")
        best: Spot | None = None
        for way in ways:
            if lab not in (None, way.lab):
                continue
            if best and way.minor >= best.minor:
                continue
            spot = self._spot(job, way, parts)
            if spot and (best is None or spot.minor < best.minor):
                best = spot
        return best

    def _spot(self, job: Job, way: Way, parts: Sequence[Spot]) -> Spot | None:
        problem = self.desk.problem
        ready = max((p.end_s + travel_s(problem, p.way.lab, way.lab) for p in parts), default=0)
        queue = self.queues.of(way.machine)
        start = earliest_start(way.starts, queue, way.duration_s, ready)
        if start is None:
            return None
        inbound = sum(leg_minor(problem, part.way.lab, way.lab) for part in parts)
        end = start + way.duration_s
        return Spot(way, start, end, way.minor + inbound + timed_minor(problem, job, end))


def lay_out(desk: Desk, order: Iterable[str], pins: Mapping[str, str]) -> Layout:
    """Put the jobs down one by one, each at the cheapest spot that the ones before it left."""
    board = _Board(desk)
    sequence = tuple(followed(desk.problem, order))
    left_out: list[str] = []
    for job_id in sequence:
        job = desk.problem.job[job_id]
        spot = board.best(job, pins.get(job_id))
        if spot:
            board.put(job, spot)
        else:
            left_out.append(job_id)
    placed = sum(spot.minor for spot in board.spots.values())
    minor = placed + desk.problem.weights.unplaced_minor * len(left_out)
    return Layout(sequence, pins, board.spots, tuple(left_out), minor)


def construct(desk: Desk, should_stop: Callable[[], bool]) -> Layout:
    """The best of three orders: most regret first, most urgent first, shortest first."""
    jobs = [job.id for job in desk.problem.open_jobs]
    best = lay_out(desk, sorted(jobs, key=lambda job: -_regret_minor(desk, job)), {})
    for key in (_urgency, _shortness):
        if should_stop() or best.minor == desk.bound_minor:
            break
        layout = lay_out(desk, sorted(jobs, key=lambda job, key=key: key(desk, job)), {})
        best = min(best, layout, key=lambda each: each.minor)
    return best


def _regret_minor(desk: Desk, job_id: str) -> int:
    """What is lost if the job misses its cheapest machine; most of all if it has no other."""
    job = desk.problem.job[job_id]
    costs = [alone_minor(desk.problem, job, way) for way in desk.ways[job_id][:2]]
    leave_out = desk.problem.weights.unplaced_minor
    best, second = [*costs, leave_out, leave_out][:2]
    return second - best


def _urgency(desk: Desk, job_id: str) -> tuple[int, int]:
    job = desk.problem.job[job_id]
    return (desk.problem.horizon_s if job.due_s is None else job.due_s, job.release_s)


def _shortness(desk: Desk, job_id: str) -> tuple[int, int]:
    return (min((way.duration_s for way in desk.ways[job_id]), default=0), 0)


@dataclass
class _Dice:
    """A small linear congruential generator (Knuth's MMIX constants): the same seed, the same."""

    state: int

    def below(self, count: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % count


def improve(
    desk: Desk, layout: Layout, rounds: int, seed: int, should_stop: Callable[[], bool]
) -> Layout:
    """Shake order and machines for some rounds, keeping what is not dearer."""
    dice = _Dice(seed)
    for _ in range(rounds if layout.order else 0):
        if should_stop() or layout.minor == desk.bound_minor:
            break
        shaken = lay_out(desk, *_shaken(desk, layout, dice))
        if shaken.minor <= layout.minor:
            layout = shaken
    return layout


def _shaken(desk: Desk, layout: Layout, dice: _Dice) -> tuple[list[str], dict[str, str]]:
    order, pins = list(layout.order), dict(layout.pins)
    job = _unhappy(desk, layout, dice)
    ways = desk.ways[job][: desk.reach]
    pins.pop(job, None)
    if ways and dice.below(3) == 0:
        pins[job] = ways[dice.below(len(ways))].machine
    if dice.below(3):
        order.insert(dice.below(len(order)), order.pop(order.index(job)))
    return order, pins


def _unhappy(desk: Desk, layout: Layout, dice: _Dice) -> str:
    """A job that costs more than it would alone, now and then any job."""
    dear = [
        job
        for job in layout.order
        if job not in layout.spots or layout.spots[job].minor > desk.floor_minor[job]
    ]
    pool = dear if dear and dice.below(4) else list(layout.order)
    return pool[dice.below(len(pool))]
