"""A plan: which job is made where and when, what each costs line by line, and what is left out.

It promises that the objective is the sum of its printed parts; it never says how it was found.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from scheduling.problem import Job, Problem


class Line(NamedTuple):
    """One part of a cost, in minor units."""

    name: str
    minor: int


PRICE_LINES = frozenset({"machine", "fair pay", "setup", "material"})
Status = Literal["optimal", "feasible", "greedy"]


def price_minor(lines: tuple[Line, ...]) -> int:
    """What the lab is paid: the lines that are money, without what only weighs."""
    return sum(line.minor for line in lines if line.name in PRICE_LINES)


def total_minor(lines: tuple[Line, ...]) -> int:
    return sum(line.minor for line in lines)


@dataclass(frozen=True)
class Assignment:
    """A job on a machine from `start_s` until `end_s`; lines that are zero are left out.

    A changeover before it lies within the span. `operator`: who serves it, where the lab names
    its people. `on_plate_um`: the corner of its place on a bed that it may share.
    """

    job: str
    machine: str
    start_s: int
    end_s: int
    lines: tuple[Line, ...]
    operator: str | None = None
    on_plate_um: tuple[int, int] | None = None

    @property
    def cost_minor(self) -> int:
        return total_minor(self.lines)

    @property
    def price_minor(self) -> int:
        return price_minor(self.lines)


@dataclass(frozen=True)
class Unplaced:
    """A job that is left out, and why, in sentences."""

    job: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Every open job of a problem once, placed or left out.

    `bound_minor`: no plan can cost less. Status `optimal`: the objective equals the bound;
    `feasible`: found by the solver; `greedy`: found by insertion and local search alone.
    `solver_s`: CP-SAT's deterministic seconds, 0.0 if it was not asked.
    """

    assignments: tuple[Assignment, ...]
    unplaced: tuple[Unplaced, ...]
    objective_minor: int
    bound_minor: int
    status: Status
    solver_s: float = 0.0

    @cached_property
    def by_job(self) -> dict[str, Assignment]:
        return {assignment.job: assignment for assignment in self.assignments}


NO_PLAN = Plan((), (), 0, 0, "optimal")


def objective_minor(
    problem: Problem, assignments: tuple[Assignment, ...], unplaced: tuple[Unplaced, ...]
) -> int:
    """All lines of all assignments, and the price of leaving out for each job left out."""
    left_out = sum(left_out_minor(problem, problem.job[each.job]) for each in unplaced)
    return sum(assignment.cost_minor for assignment in assignments) + left_out


def left_out_minor(problem: Problem, job: Job) -> int:
    """The price of leaving the job out."""
    return problem.weights.unplaced_minor if job.value_minor is None else job.value_minor
