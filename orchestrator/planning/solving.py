"""From a problem to a plan with its reasons, within some seconds.

It promises a plan that passed the independent check; it knows no store.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import scheduling

_WALL_PER_S: Final = 5.0


@dataclass(frozen=True)
class Planned:
    """A plan and its reasons, by job."""

    plan: scheduling.Plan
    why: Mapping[str, str]


def solved(problem: scheduling.Problem, seconds: float) -> Planned:
    """Raises scheduling.InvalidPlan if the plan fails the check."""
    until = time.monotonic() + seconds * _WALL_PER_S
    limits = scheduling.Limits(seconds=seconds, should_stop=lambda: time.monotonic() > until)
    plan = scheduling.solve(problem, limits)
    return Planned(plan, {job.id: scheduling.why(problem, plan, job.id) for job in problem.jobs})
