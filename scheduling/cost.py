"""What it costs to make a job on a machine, line by line, in whole minor units.

It promises the same number to the search, the plan and the explanation; it never chooses.
"""

from collections.abc import Iterable
from typing import Final

from scheduling.distance import job_distance_m, lab_distance_m
from scheduling.plan import Line
from scheduling.problem import Job, Machine, Problem

HOUR_S: Final = 3600
_METRES_GRAMS: Final = 1000 * 1000
_WATT_SECONDS_GRAMS: Final = HOUR_S * 1000 * 1000


def ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _carried(problem: Problem, metres: int) -> tuple[int, int]:
    """What transport over a distance counts, and its CO2."""
    weights = problem.weights
    grams_1000 = metres * weights.co2_g_per_km
    return (
        ceil_div(metres * weights.transport_minor_per_km, 1000),
        ceil_div(grams_1000 * weights.co2_minor_per_kg, _METRES_GRAMS),
    )


def _leg(problem: Problem, lab: str, other: str) -> tuple[int, int]:
    return (0, 0) if lab == other else _carried(problem, lab_distance_m(problem, lab, other))


def leg_minor(problem: Problem, lab: str, other: str) -> int:
    """What it counts that a part travels between two labs."""
    return sum(_leg(problem, lab, other))


def _delivery(problem: Problem, job: Job, lab: str) -> tuple[int, int]:
    """The way from the lab to where the job is wanted; none if another job takes the part on."""
    if job.id in problem.followers:
        return 0, 0
    return _carried(problem, job_distance_m(problem, job, lab))


def delivery_minor(problem: Problem, job: Job, lab: str) -> int:
    """What the way from a lab to where the job is wanted counts."""
    return sum(_delivery(problem, job, lab))


def machine_minor(job: Job, machine: Machine) -> int:
    """The caller's price of the machine's time, else its rate times the duration, rounded up."""
    if machine.id in job.prices_minor:
        return job.prices_minor[machine.id]
    return ceil_div(machine.rate_minor_per_h * job.durations_s[machine.id], HOUR_S)


def _paid(problem: Problem, job: Job, machine: Machine) -> dict[str, int]:
    time = machine_minor(job, machine)
    floor = problem.lab[machine.lab].floor_minor_per_h * job.durations_s[machine.id]
    return {
        "machine": time,
        "fair pay": max(0, ceil_div(floor, HOUR_S) - time),
        "setup": machine.setup_minor,
        "material": job.material_minor,
    }


def _energy_minor(problem: Problem, job: Job, machine: Machine) -> int:
    weights, watt_s = problem.weights, machine.power_w * job.durations_s[machine.id]
    counted = watt_s * weights.co2_g_per_kwh * weights.co2_minor_per_kg
    return ceil_div(counted, _WATT_SECONDS_GRAMS)


def _untimed(problem: Problem, job: Job, machine: Machine) -> dict[str, int]:
    paid = _paid(problem, job, machine)
    total, lab = sum(paid.values()), problem.lab[machine.lab]
    transport, carried = _delivery(problem, job, machine.lab)
    moved = problem.current.get(job.id, machine.id) != machine.id
    reliable = machine.reliable_permille
    return {
        **paid,
        "transport": transport,
        "co2": carried + _energy_minor(problem, job, machine),
        "remakes": ceil_div(total * (1000 - reliable), reliable),
        "fairness": -(total * lab.credit_permille // 1000),
        "trial": -lab.trial_minor,
        "move": problem.weights.move_minor if moved else 0,
    }


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
    """What depends on the machine alone: all but time, changeover and what other labs send."""
    return sum(_untimed(problem, job, machine).values())


def cost_lines(
    problem: Problem,
    job: Job,
    machine: Machine,
    end_s: int,
    from_labs: Iterable[str],
    *,
    changed: bool = False,
) -> tuple[Line, ...]:
    """All lines, without zeros; `from_labs` are the labs whose parts this job takes on.

    `changed`: the machine is loaded anew for it.
    """
    legs = [_leg(problem, lab, machine.lab) for lab in from_labs]
    lines = _untimed(problem, job, machine)
    lines["transport"] += sum(transport for transport, _ in legs)
    lines["co2"] += sum(co2 for _, co2 in legs)
    lines["lateness"] = lateness_minor(problem, job, end_s)
    lines["waiting"] = waiting_minor(problem, job, end_s)
    lines["changeover"] = machine.changeover_minor if changed else 0
    return tuple(Line(name, minor) for name, minor in lines.items() if minor)
