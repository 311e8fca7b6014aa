"""From a problem to a plan: insertion, mending, CP-SAT where it is small enough, then the check.

It promises a plan that keeps every hard rule, whatever the time; it never returns one unchecked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scheduling.board import MINOR, TAKES, Facts, State, total_minor
from scheduling.cards import Cards, floors, followed, lay_out
from scheduling.compiled import AtOnce
from scheduling.exact import SearchLimits, search
from scheduling.hours import tolled
from scheduling.mend import Patience, insert_all, mended
from scheduling.plan import Plan, Status, Unplaced, left_out_minor, objective_minor
from scheduling.problem import DURATION_MAX_S, MONEY_MAX_MINOR, Job, Problem
from scheduling.routing import labs_kept_to
from scheduling.verify import Fault, verify
from scheduling.words import amount, counted, listed, refusal, span

_TURNS_PER_S: Final = 1_000
_SMALL_TURNS: Final = 60


def never() -> bool:
    """The `should_stop` of those who have time."""
    return False


@dataclass(frozen=True)
class Limits:
    """How much effort to spend.

    `seconds` are CP-SAT's deterministic seconds (three to ten wall seconds each, more on a busy
    machine), and as many thousand turns of mending; 0 asks for insertion only. `wall_seconds` is a
    guard that CP-SAT keeps by its own clock: a search that reaches it may end differently next
    time. `should_stop` is asked between handfuls and slices of the search, so some seconds may
    pass. `exact_jobs`: with more open jobs than this CP-SAT is not asked. `reach`: how many of each
    job's machines it may choose from. `workers`: CP-SAT's, and how many mend at once where the plan
    is large; `at_once` runs these, as the `map` of a pool of threads does.
    """

    seconds: float = 2.0
    wall_seconds: float = 10.0
    seed: int = 0
    should_stop: Callable[[], bool] = never
    workers: int = 1
    at_once: AtOnce = map
    exact_jobs: int = 60
    reach: int = 12

    def __post_init__(self) -> None:
        if not self.seconds >= 0 or not self.wall_seconds >= 0:
            raise ValueError(f"{self.seconds} and {self.wall_seconds} s: give no less than nothing")
        if self.workers < 1 or self.reach < 1 or self.exact_jobs < 0:
            raise ValueError(
                "give at least one worker and a reach of one, and no negative exact_jobs"
            )

    @property
    def turns(self) -> int:
        return int(self.seconds * _TURNS_PER_S)


class InvalidPlan(RuntimeError):
    """The planner's own answer failed the independent check; keep the plan in force."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)


def solve(problem: Problem, limits: Limits | None = None) -> Plan:
    """The best plan found within the limits; see `Plan` for what its status means.

    Raises InvalidPlan if even the plan by insertion fails the check (a defect, never a matter of
    input).
    """
    limits = limits or Limits()
    cards = lay_out(problem)
    floor = sum(floors(cards))
    s = _construct(cards, limits)
    exact = _worth_exact(cards, limits)
    turns = min(_SMALL_TURNS, limits.turns) if exact else limits.turns
    workers = limits.workers if len(cards.jobs) > limits.exact_jobs else 1
    patience = Patience(turns, limits.seed, limits.should_stop, floor, workers, limits.at_once)
    s = mended(cards.facts, s, patience)
    found = _Found(s, floor, "greedy", 0.0)
    plan = _plan(cards, found)
    if plan.status == "optimal" or not exact or limits.should_stop():
        return checked(problem, plan)
    proved = _plan(cards, _exact(cards, found, limits))
    return checked(problem, plan if verify(problem, proved) else proved)


@dataclass(frozen=True)
class _Found:
    board: State
    bound_minor: int
    status: Status
    solver_s: float


def _construct(cards: Cards, limits: Limits) -> State:
    """The best of insertion in some orders: the urgent, the short, the choosy first.

    Of many jobs the urgent first alone, each where it costs least with its hours at their price.
    """
    if len(cards.jobs) > limits.exact_jobs:
        return _inserted(cards, tolled(cards, limits.workers, limits.at_once), _urgency)
    boards = [_inserted(cards, cards.facts, key) for key in (_urgency, _shortness, _choosiness)]
    return min(boards, key=lambda s: total_minor(cards.facts, s))


def _inserted(cards: Cards, facts: Facts, key: Callable[[Cards, str], tuple[int, int]]) -> State:
    order = sorted((job.id for job in cards.jobs), key=lambda job: key(cards, job))
    return _redrawn(cards, facts, order, {})


def _urgency(cards: Cards, job_id: str) -> tuple[int, int]:
    job = cards.problem.job[job_id]
    return (cards.problem.horizon_s if job.due_s is None else job.due_s, job.release_s)


def _shortness(cards: Cards, job_id: str) -> tuple[int, int]:
    ways = cards.ways(cards.number[job_id])
    taken = cards.facts.ways[ways.start : ways.stop, TAKES]
    return int(taken.min(initial=DURATION_MAX_S)), 0


def _choosiness(cards: Cards, job_id: str) -> tuple[int, int]:
    """How much dearer the second way is than the first; those with one way before all."""
    ways = cards.ways(cards.number[job_id])
    minor = [int(each) for each in cards.facts.ways[ways.start : ways.stop, MINOR][:2]]
    return (-abs(minor[1] - minor[0]) if len(minor) == 2 else -MONEY_MAX_MINOR, 0)


def _redrawn(cards: Cards, facts: Facts, order: Iterable[str], pins: Mapping[str, str]) -> State:
    s = cards.empty()
    wanted = {cards.number[job]: cards.machine_number[machine] for job, machine in pins.items()}
    jobs = (cards.number[job] for job in followed(cards.problem, order))
    insert_all(facts, s, jobs, wanted)
    return s


def _worth_exact(cards: Cards, limits: Limits) -> bool:
    """A plate takes less time than its jobs, which CP-SAT is not told: its bound would be wrong."""
    shares = any(job.plate_um for job in cards.jobs)
    small = len(cards.jobs) <= limits.exact_jobs
    return small and not shares and limits.seconds > 0 and not limits.should_stop()


def _exact(cards: Cards, found: _Found, limits: Limits) -> _Found:
    def redraw(order: Sequence[str], pins: Mapping[str, str]) -> State:
        return _redrawn(cards, cards.facts, order, pins)

    effort = SearchLimits(
        limits.reach, limits.seconds, limits.wall_seconds, limits.seed, limits.workers,
        limits.should_stop,
    )  # fmt: skip
    s, bound, used = search(cards, found.board, redraw, effort)
    whole = all(len(cards.ways(at)) <= limits.reach for at in range(len(cards.jobs)))
    proved = bound if whole and bound is not None else found.bound_minor
    better = bound is not None or s is not found.board
    return _Found(s, max(found.bound_minor, proved), "feasible" if better else "greedy", used)


def _plan(cards: Cards, found: _Found) -> Plan:
    problem, s = cards.problem, found.board
    assignments = cards.assignments(s)
    unplaced = tuple(Unplaced(job, _reasons(cards, s, job)) for job in cards.left_out(s))
    total = objective_minor(problem, assignments, unplaced)
    status: Status = "optimal" if total == found.bound_minor else found.status
    return Plan(assignments, unplaced, total, found.bound_minor, status, found.solver_s)


def _reasons(cards: Cards, s: State, job_id: str) -> tuple[str, ...]:
    problem, job = cards.problem, cards.problem.job[job_id]
    left_out = set(cards.left_out(s))
    waits = [before for before in job.after if before in left_out]
    if waits:
        return (f"It comes after {listed(waits)}, which is not planned.",)
    kept_to = _kept_to(cards, s, job)
    ways = [at for at in cards.ways(cards.number[job_id])
            if kept_to <= {cards.machine_of_way(at).lab}]  # fmt: skip
    asked = [each for each in problem.machines if kept_to <= {each.lab}]
    if not ways:
        said = _no_way(problem, job, kept_to)
        return (said, counted(problem, job, asked)) if asked else (said,)
    least = _with_nothing_else(cards, job, ways)
    cheap = sum(minor < left_out_minor(problem, job) for minor in least)
    said = _too_full(cards, job, ways) if cheap else _too_dear(problem, job, min(least))
    return said, counted(problem, job, asked, cheap)


def _with_nothing_else(cards: Cards, job: Job, ways: Sequence[int]) -> list[int]:
    """What each of these ways would cost if nothing else were planned.

    Where that cannot be known, since what comes before it is open, less than nothing.
    """
    if any(before in cards.number for before in job.after):
        return [-1] * len(ways)
    at = cards.number[job.id]
    minor, first = cards.alone_minor(at), cards.ways(at).start
    return [minor[way - first] for way in ways]


def _too_full(cards: Cards, job: Job, ways: Sequence[int]) -> str:
    problem = cards.problem
    labs = sorted({problem.lab[cards.machine_of_way(at).lab].name for at in ways})
    shortest = span(min(int(cards.facts.ways[at, TAKES]) for at in ways))
    return (
        f"{listed(labs)} could make it, but what else is planned leaves no opening of {shortest} "
        f"before the plan ends that costs less than {amount(problem, left_out_minor(problem, job))}"
        ", the price of leaving it out."
    )


def _too_dear(problem: Problem, job: Job, least: int) -> str:
    return (
        f"Even with nothing else to do it would cost {amount(problem, least)}; leaving it out "
        f"counts {amount(problem, left_out_minor(problem, job))}. It would be made if it counted "
        "more than that."
    )


def _kept_to(cards: Cards, s: State, job: Job) -> frozenset[str]:
    """The labs of the jobs, fixed or placed, that this one is kept with."""
    if not job.keep_with:
        return frozenset()
    kept = (other.id for other in cards.jobs if other.keep_with == job.keep_with)
    placed = {lab for other in kept if (lab := cards.lab_on(s, other))}
    return labs_kept_to(cards.problem, job.keep_with) | placed


def _no_way(problem: Problem, job: Job, kept_to: frozenset[str]) -> str:
    if not kept_to:
        return refusal(problem, job, problem.machines, "The network")
    names = listed(sorted(problem.lab[lab].name for lab in kept_to))
    if len(kept_to) > 1:
        return f"It is kept with jobs that are at {names}, which cannot be one lab."
    machines = [machine for machine in problem.machines if machine.lab in kept_to]
    return refusal(problem, job, machines, f"{names}, where {job.keep_with} is made,")


def checked(problem: Problem, plan: Plan) -> Plan:
    """The plan itself, if the independent check finds no fault; raises InvalidPlan otherwise."""
    faults = verify(problem, plan)
    if faults:
        raise InvalidPlan(faults)
    return plan
