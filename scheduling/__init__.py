"""Where and when to make what: a problem goes in, a checked and explained plan comes out.

It promises integers, seeds and no surprises; it never reads a clock, a disk or a network.
"""

from scheduling.explain import (
    Comparison,
    Difference,
    NotInPlan,
    Tip,
    runner_up,
    tip,
    why,
    why_not,
    why_split,
)
from scheduling.lots import lots
from scheduling.plan import Assignment, Line, Plan, Unplaced
from scheduling.problem import (
    DURATION_MAX_S,
    MONEY_MAX_MINOR,
    Frozen,
    Job,
    Lab,
    Machine,
    Operator,
    Problem,
    ProblemError,
    Running,
    Travel,
    Weights,
)
from scheduling.quote import Option, Quote, Refusal, moved, quote
from scheduling.solve import InvalidPlan, Limits, solve
from scheduling.verify import Fault, verify

__all__ = [
    "DURATION_MAX_S",
    "MONEY_MAX_MINOR",
    "Assignment",
    "Comparison",
    "Difference",
    "Fault",
    "Frozen",
    "InvalidPlan",
    "Job",
    "Lab",
    "Limits",
    "Line",
    "Machine",
    "NotInPlan",
    "Operator",
    "Option",
    "Plan",
    "Problem",
    "ProblemError",
    "Quote",
    "Refusal",
    "Running",
    "Tip",
    "Travel",
    "Unplaced",
    "Weights",
    "lots",
    "moved",
    "quote",
    "runner_up",
    "solve",
    "tip",
    "verify",
    "why",
    "why_not",
    "why_split",
]
