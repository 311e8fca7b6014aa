"""The problem as a CP-SAT model: one optional interval for each job and machine.

It promises a bound and an order that a layout can be made from; it never writes a plan itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from scheduling.board import MINOR, ON, START, TAKES, State, total_minor
from scheduling.cards import Cards
from scheduling.cost import HOUR_S, ceil_div, leg_minor
from scheduling.distance import travel_s
from scheduling.plan import left_out_minor
from scheduling.problem import Job, Spans
from scheduling.routing import free_starts

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


@dataclass(frozen=True)
class SearchLimits:
    """CP-SAT's deterministic and wall seconds, its seed and workers, and when to give up.

    `reach`: the ways of each job that it may choose from, the cheapest.
    """

    reach: int
    seconds: float
    wall_seconds: float
    seed: int
    workers: int
    should_stop: Callable[[], bool]


@dataclass(frozen=True)
class _Answer:
    """Jobs in order of their start and the machine of each, if found; what CP-SAT proved."""

    order: tuple[str, ...] | None
    pins: Mapping[str, str]
    bound_minor: int | None
    proved: bool
    solver_s: float
    wall_s: float


class _Way(NamedTuple):
    machine: str
    lab: str
    duration_s: int
    starts: Spans
    minor: int


def _ways(cards: Cards, job: Job, reach: int) -> list[_Way]:
    """The cheapest ways of a job."""
    found: list[_Way] = []
    for at in cards.ways(cards.number[job.id])[:reach]:
        machine, way = cards.machine_of_way(at), cards.facts.ways[at]
        starts = free_starts(cards.problem, job, machine)
        found.append(_Way(machine.id, machine.lab, int(way[TAKES]), starts, int(way[MINOR])))
    return found


class _Model:
    """Variables of one problem; all times count from now.

    Changeovers, people and power are left to the board: what it bounds, it bounds with them, too.
    """

    def __init__(self, cards: Cards, reach: int) -> None:
        from ortools.sat.python import cp_model

        self.cp = cp_model
        self.model = cp_model.CpModel()
        self.cards, self.problem = cards, cards.problem
        self.ways = {job.id: _ways(cards, job, reach) for job in cards.jobs}
        self.span_s = self.problem.horizon_s - self.problem.now_s
        self.start: dict[str, cp_model.IntVar] = {}
        self.end: dict[str, cp_model.LinearExprT] = {}
        self.out: dict[str, cp_model.IntVar] = {}
        self.on: dict[tuple[str, str], cp_model.IntVar] = {}
        self.terms: list[cp_model.LinearExprT] = []
        self._build()

    def _build(self) -> None:
        intervals: dict[str, list[cp_model.IntervalVar]] = {}
        for job in self.problem.open_jobs:
            for way, interval in self._place(job):
                intervals.setdefault(way.machine, []).append(interval)
            self._charge_time(job)
        for queue in intervals.values():
            self.model.add_no_overlap(queue)
        for job in self.problem.open_jobs:
            for before in job.after:
                if before in self.start:
                    self._follow(before, job.id)
        self._keep_together()
        self.model.minimize(sum(self.terms))

    def _place(self, job: Job) -> "list[tuple[_Way, cp_model.IntervalVar]]":
        model, ways = self.model, self.ways[job.id]
        start = self.start[job.id] = model.new_int_var(0, self.span_s, "")
        out = self.out[job.id] = model.new_bool_var("")
        self.terms.append(left_out_minor(self.problem, job) * out)
        model.add(start == 0).only_enforce_if(out)
        on = [model.new_bool_var("") for _ in ways]
        model.add_exactly_one([*on, out])
        self.end[job.id] = start + sum(way.duration_s * v for way, v in zip(ways, on, strict=True))
        made: list[tuple[_Way, cp_model.IntervalVar]] = []
        for way, chosen in zip(ways, on, strict=True):
            self.on[job.id, way.machine] = chosen
            self.terms.append(way.minor * chosen)
            model.add_linear_expression_in_domain(start, self._starts(way)).only_enforce_if(chosen)
            fixed_size = model.new_optional_fixed_size_interval_var
            made.append((way, fixed_size(start, way.duration_s, chosen, "")))
        return made

    def _starts(self, way: _Way) -> "cp_model.Domain":
        now = self.problem.now_s
        return self.cp.Domain.from_intervals([[low - now, high - now] for low, high in way.starts])

    def _charge_time(self, job: Job) -> None:
        """Lateness and waiting, each rounded up by itself as in the printed lines."""
        weights, now = self.problem.weights, self.problem.now_s
        self._charge(job, max(now, job.release_s), weights.waiting_minor_per_h)
        if job.due_s is not None:
            self._charge(job, job.due_s, weights.lateness_minor_per_h)

    def _charge(self, job: Job, since_s: int, minor_per_h: int) -> None:
        longest = max(0, self.problem.horizon_s - since_s)
        cost = self.model.new_int_var(0, ceil_div(longest * minor_per_h, HOUR_S), "")
        after = self.end[job.id] - (since_s - self.problem.now_s)
        placed = self.out[job.id].negated()
        self.model.add(HOUR_S * cost >= minor_per_h * after).only_enforce_if(placed)
        self.terms.append(cost)

    def _labs(self, job: str) -> "dict[str, list[cp_model.IntVar]]":
        labs: dict[str, list[cp_model.IntVar]] = {}
        for way in self.ways[job]:
            labs.setdefault(way.lab, []).append(self.on[job, way.machine])
        return labs

    def _follow(self, before: str, job: str) -> None:
        """Time and price of the way from the lab of one job to the lab of the next."""
        self.model.add_implication(self.out[before], self.out[job])
        sources, targets = self._labs(before), self._labs(job)
        legs = {(a, b): leg_minor(self.problem, a, b) for a in sources for b in targets}
        leg = self.model.new_int_var(0, max(legs.values(), default=0), "")
        self.terms.append(leg)
        for (source, target), minor in legs.items():
            at_source, at_target = sum(sources[source]), sum(targets[target])
            self.model.add(leg >= minor * (at_source + at_target - 1))
            both = self.model.new_bool_var("")
            self.model.add(at_source + at_target <= 1 + both)
            way_s = travel_s(self.problem, source, target)
            self.model.add(self.start[job] >= self.end[before] + way_s).only_enforce_if(both)

    def _keep_together(self) -> None:
        groups: dict[str, list[str]] = {}
        for job in self.problem.open_jobs:
            if job.keep_with:
                groups.setdefault(job.keep_with, []).append(job.id)
        for jobs in groups.values():
            labs = sorted({way.lab for job in jobs for way in self.ways[job]})
            here = {lab: self.model.new_bool_var("") for lab in labs}
            self.model.add_at_most_one(here.values())
            for job in jobs:
                for way in self.ways[job]:
                    self.model.add_implication(self.on[job, way.machine], here[way.lab])

    def hint(self, s: State) -> None:
        """Start the search from a known board."""
        self.model.clear_hints()
        for job, start in self.start.items():
            item = s.items[self.cards.number[job]]
            on = int(item[ON])
            machine = self.cards.machines[on].id if on >= 0 else None
            self.model.add_hint(start, int(item[START]) - self.problem.now_s if machine else 0)
            self.model.add_hint(self.out[job], machine is None)
            for way in self.ways[job]:
                self.model.add_hint(self.on[job, way.machine], machine == way.machine)


def search(
    cards: Cards,
    s: State,
    redraw: Callable[[Sequence[str], Mapping[str, str]], State],
    limits: SearchLimits,
) -> tuple[State, int | None, float]:
    """Improve a board until proved best, told to stop or out of deterministic seconds.

    Answers with the best board, a bound for the ways within reach, and the seconds used. The
    time is spent in growing slices, so that `should_stop` is asked between them too.
    """
    model = _Model(cards, limits.reach)
    least, bound = total_minor(cards.facts, s), None
    used, wall_s, slice_s = 0.0, 0.0, 0.25
    while used < limits.seconds and wall_s < limits.wall_seconds and not limits.should_stop():
        model.hint(s)
        seconds = min(slice_s, limits.seconds - used)
        answer = _solve(model, seconds, limits.wall_seconds - wall_s, limits)
        used, wall_s, slice_s = used + answer.solver_s, wall_s + answer.wall_s, slice_s * 2
        if answer.bound_minor is not None:
            bound = answer.bound_minor if bound is None else max(bound, answer.bound_minor)
        if answer.order is not None:
            drawn = redraw(answer.order, answer.pins)
            if (minor := total_minor(cards.facts, drawn)) < least:
                s, least = drawn, minor
        if answer.proved or (bound is not None and least <= bound) or not answer.solver_s:
            break
    return s, bound, used


def _solve(model: _Model, seconds: float, wall_s: float, limits: SearchLimits) -> _Answer:
    cp = model.cp
    solver = cp.CpSolver()
    solver.parameters.max_deterministic_time = seconds
    solver.parameters.max_time_in_seconds = wall_s
    solver.parameters.random_seed = limits.seed % 2**31
    solver.parameters.num_workers = limits.workers
    solver.parameters.interleave_search = limits.workers > 1

    class Watch(cp.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            if limits.should_stop():
                self.stop_search()

    def stop_if_told(_bound: float) -> None:
        if limits.should_stop():
            solver.stop_search()

    solver.best_bound_callback = stop_if_told
    status = solver.solve(model.model, Watch())
    used, wall_s = solver.response_proto.deterministic_time, solver.wall_time
    if status not in (cp.OPTIMAL, cp.FEASIBLE):
        return _Answer(None, {}, None, proved=False, solver_s=used, wall_s=wall_s)
    start = {job: solver.value(start) for job, start in model.start.items()}
    pins = {job: machine for (job, machine), on in model.on.items() if solver.value(on)}
    order = sorted(start, key=lambda job: (job not in pins, start[job], job))
    bound = ceil(solver.best_objective_bound - 1e-6)
    proved = status == cp.OPTIMAL
    return _Answer(tuple(order), pins, bound, proved, solver_s=used, wall_s=wall_s)
