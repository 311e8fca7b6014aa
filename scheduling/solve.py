"""From a problem to a plan: insertion first, then CP-SAT where it is small enough, then the check.

It promises a plan that keeps every hard rule, whatever the time; it never returns one unchecked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scheduling.cost import cost_lines
from scheduling.exact import SearchLimits, search
from scheduling.greedy import Desk, Layout, construct, improve, lay_out, prepare
from scheduling.plan import Assignment, Plan, Status, Unplaced, objective_minor
from scheduling.problem import Job, Problem
from scheduling.routing import labs_kept_to, made_at
from scheduling.verify import Fault, verify
from scheduling.words import amount, listed, refusal, span


def never() -> bool:
    """The `should_stop` of those who have time."""
    return False


@dataclass(frozen=True)
class Limits:
    """How much effort to spend.

    `seconds` are CP-SAT's deterministic seconds (three to ten wall seconds each, more on a busy
    machine); 0 asks for insertion only. `wall_seconds` is a guard that CP-SAT keeps by its own
    clock: a search that reaches it may end differently next time. `should_stop` is asked between
    rounds and slices of the search, so some seconds may pass. `exact_jobs`: with more open jobs
    than this CP-SAT is not asked. `reach`: machines looked at first for each job.
    """

    seconds: float = 2.0
    wall_seconds: float = 10.0
    seed: int = 0
    should_stop: Callable[[], bool] = never
    workers: int = 1
    exact_jobs: int = 60
    reach: int = 12


class InvalidPlan(RuntimeError):
    """The planner's own answer failed the independent check; keep the plan in force."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)


def solve(problem: Problem, limits: Limits | None = None) -> Plan:
    """The best plan found within the limits; see `Plan` for what its status means.

    Raises InvalidPlan if even the greedy plan fails the check (a defect, never a matter of input).
    """
    limits = limits or Limits()
    desk = prepare(problem, limits.reach)
    layout = construct(desk, limits.should_stop)
    rounds = _rounds(desk, limits)
    layout = improve(desk, layout, rounds, limits.seed, limits.should_stop)
    greedy = _plan(desk, layout, "greedy", desk.bound_minor, 0.0)
    if greedy.status == "optimal" or not _worth_exact(desk, limits):
        return checked(problem, greedy)
    exact = _exact(desk, layout, limits)
    return checked(problem, greedy if verify(problem, exact) else exact)


def _rounds(desk: Desk, limits: Limits) -> int:
    """Rounds of local search: a few before CP-SAT, and all of the time where it is not asked."""
    jobs = max(1, len(desk.problem.open_jobs))
    looks_per_s = 100_000
    rounds = int(limits.seconds * looks_per_s / (jobs * limits.reach))
    return min(rounds, 100) if jobs <= limits.exact_jobs else rounds


def _worth_exact(desk: Desk, limits: Limits) -> bool:
    small = len(desk.problem.open_jobs) <= limits.exact_jobs
    return small and limits.seconds > 0 and not limits.should_stop()


def _exact(desk: Desk, layout: Layout, limits: Limits) -> Plan:
    def redraw(order: Sequence[str], pins: Mapping[str, str]) -> Layout:
        return lay_out(desk, order, pins)

    effort = SearchLimits(
        limits.seconds, limits.wall_seconds, limits.seed, limits.workers, limits.should_stop
    )
    found, bound, used = search(desk, layout, redraw, effort)
    whole = all(len(ways) <= desk.reach for ways in desk.ways.values())
    bound = max(desk.bound_minor, bound if whole else 0)
    status: Status = "feasible" if bound or found.minor < layout.minor else "greedy"
    return _plan(desk, found, status, bound, used)


def _plan(desk: Desk, layout: Layout, status: Status, bound: int, solver_s: float) -> Plan:
    problem = desk.problem
    placed = sorted(layout.spots, key=lambda job: (layout.spots[job].start_s, job))
    assignments = tuple(_assignment(problem, layout, job) for job in placed)
    unplaced = tuple(Unplaced(job, _reasons(desk, layout, job)) for job in layout.left_out)
    total = objective_minor(problem, assignments, unplaced)
    proved: Status = "optimal" if total == bound else status
    return Plan(assignments, unplaced, total, bound, proved, solver_s)


def _assignment(problem: Problem, layout: Layout, job_id: str) -> Assignment:
    job, spot = problem.job[job_id], layout.spots[job_id]
    labs = [_lab_of(problem, layout, before) for before in job.after]
    lines = cost_lines(problem, job, problem.machine[spot.way.machine], spot.end_s, labs)
    return Assignment(job_id, spot.way.machine, spot.start_s, spot.end_s, lines)


def _lab_of(problem: Problem, layout: Layout, job: str) -> str:
    made = made_at(problem, job)
    return made[0] if made else layout.spots[job].way.lab


def _reasons(desk: Desk, layout: Layout, job_id: str) -> tuple[str, ...]:
    problem, job = desk.problem, desk.problem.job[job_id]
    waits = [before for before in job.after if before in layout.left_out]
    if waits:
        return (f"It comes after {listed(waits)}, which is not planned.",)
    kept_to = _kept_to(problem, layout, job)
    ways = [way for way in desk.ways[job_id] if kept_to <= {way.lab}]
    if not ways:
        return (_no_way(problem, job, kept_to),)
    labs = sorted({problem.lab[way.lab].name for way in ways})
    shortest = span(min(way.duration_s for way in ways))
    left_out = amount(problem, problem.weights.unplaced_minor)
    reason = (
        f"{listed(labs)} could make it, but what else is planned leaves no opening of {shortest} "
        f"before the plan ends that costs less than {left_out}, the price of leaving it out."
    )
    return (reason,)


def _kept_to(problem: Problem, layout: Layout, job: Job) -> frozenset[str]:
    """The labs of the jobs, fixed or placed, that this one is kept with."""
    kept = (other.id for other in problem.open_jobs if other.keep_with == job.keep_with)
    placed = {layout.spots[other].way.lab for other in kept if other in layout.spots}
    return labs_kept_to(problem, job.keep_with) | placed if job.keep_with else frozenset()


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
