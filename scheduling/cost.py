"""What it costs to make a job on a machine, line by line, in whole minor units.

It promises the same number to the search, the plan and the explanation; it never chooses.
"""

from collections.abc import Iterable

from scheduling.plan import Line
from scheduling.problem import Job, Machine, Problem
from scheduling.routing import job_distance_m, lab_distance_m

HOUR_S = 3600


def ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


def leg_minor(problem: Problem, lab: str, other: str) -> int:
    """What it counts that a part travels between two labs."""
    if lab == other:
        return 0
    metres = lab_distance_m(problem, lab, other)
    return ceil_div(metres * problem.weights.transport_minor_per_km, 1000)


def delivery_minor(problem: Problem, job: Job, lab: str) -> int:
    """The way from the lab to where the job is wanted; none if another job takes the part on."""
    if job.id in problem.followers:
        return 0
    metres = job_distance_m(problem, job, lab)
    return ceil_div(metres * problem.weights.transport_minor_per_km, 1000)


def machine_minor(job: Job, machine: Machine) -> int:
    """The caller's price of the machine's time, else its rate times the duration, rounded up."""
    if machine.id in job.prices_minor:
        return job.prices_minor[machine.id]
    return ceil_div(machine.rate_minor_per_h * job.durations_s[machine.id], HOUR_S)


def move_minor(problem: Problem, job: Job, machine: Machine) -> int:
    """What it counts to take the job away from the machine on which it is planned now."""
    moved = problem.current.get(job.id, machine.id) != machine.id
    return problem.weights.move_minor if moved else 0


def lateness_minor(problem: Problem, job: Job, end_s: int) -> int:
    late_s = 0 if job.due_s is None else max(0, end_s - job.due_s)
    return ceil_div(late_s * problem.weights.lateness_minor_per_h, HOUR_S)


def waiting_minor(problem: Problem, job: Job, end_s: int) -> int:
    """The time until the job is ready, counted from now or from its release."""
    waited_s = end_s - max(problem.now_s, job.release_s)
    return ceil_div(waited_s * problem.weights.waiting_minor_per_h, HOUR_S)


def timed_minor(problem: Problem, job: Job, end_s: int) -> int:
    """The part of the cost that depends on when the job ends; never falls as `end_s` grows."""
    return lateness_minor(problem, job, end_s) + waiting_minor(problem, job, end_s)


def untimed_minor(problem: Problem, job: Job, machine: Machine) -> int:
    """The part that depends on the machine alone: all but time and what comes from other labs."""
    paid = machine_minor(job, machine) + machine.setup_minor + job.material_minor
    delivery = delivery_minor(problem, job, machine.lab)
    return paid + delivery + move_minor(problem, job, machine)


def cost_lines(
    problem: Problem, job: Job, machine: Machine, end_s: int, from_labs: Iterable[str]
) -> tuple[Line, ...]:
    """All lines, without zeros; `from_labs` are the labs whose parts this job takes on."""
    inbound = sum(leg_minor(problem, lab, machine.lab) for lab in from_labs)
    lines = (
        Line("machine", machine_minor(job, machine)),
        Line("setup", machine.setup_minor),
        Line("material", job.material_minor),
        Line("transport", delivery_minor(problem, job, machine.lab) + inbound),
        Line("lateness", lateness_minor(problem, job, end_s)),
        Line("waiting", waiting_minor(problem, job, end_s)),
        Line("move", move_minor(problem, job, machine)),
    )
    return tuple(line for line in lines if line.minor)
