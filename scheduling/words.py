"""Numbers and refusals in words that a maker understands.

It promises that what a sentence says is what the waterfall counted; it never decides.
"""

from collections.abc import Sequence

from scheduling.problem import Job, Machine, Problem
from scheduling.routing import (
    STEPS,
    Change,
    Relaxation,
    Step,
    passed,
    smallest_relaxation,
    waterfall,
)


def amount(problem: Problem, minor: int) -> str:
    return f"{minor} {problem.minor_unit}"


def way(metres: int) -> str:
    return f"{metres} m" if metres < 1000 else f"{metres / 1000:.1f} km"


def span(seconds: int) -> str:
    """The two largest units of a duration, in whole minutes, rounded up."""
    minutes = -(-seconds // 60)
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min")]
    said = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(said[:2]) or "0 min"


def mm(um: int) -> str:
    return f"{um / 1000:g} mm"


def size(size_um: tuple[int, int, int]) -> str:
    return " x ".join(f"{um / 1000:g}" for um in size_um) + " mm"


def listed(items: Sequence[str]) -> str:
    return ", ".join(items[:-1]) + f" and {items[-1]}" if len(items) > 1 else "".join(items)


def refusal(problem: Problem, job: Job, machines: Sequence[Machine], where: str) -> str:
    """Why none of these machines can make the job, and what would change that."""
    depth = max((passed(problem, job, machine) for machine in machines), default=0)
    furthest = [machine for machine in machines if passed(problem, job, machine) == depth]
    sentence = f"{where} {_lack(problem, job, furthest, STEPS[depth])}"
    relaxation = smallest_relaxation(job, problem, machines)
    return f"{sentence}; {remedy(job, relaxation)}." if relaxation else f"{sentence}."


def counted(
    problem: Problem, job: Job, machines: Sequence[Machine], cheap: int | None = None
) -> str:
    """How many of these machines each step of the waterfall leaves, from where one of them falls.

    `cheap`: how many of those that could make it would cost less than leaving it out.
    """
    steps = waterfall([passed(problem, job, machine) for machine in machines])
    if cheap is not None:
        steps = (*steps, Step("price", cheap))
    before = (len(machines), *(step.left for step in steps))
    falls = [step for step, last in zip(steps, before, strict=False) if step.left < last]
    said = listed([f"{step.left or 'none'} after {step.name}" for step in falls])
    return f"Machines left, of {len(machines)}: {said or 'all'}."


def _lack(problem: Problem, job: Job, machines: Sequence[Machine], step: str) -> str:
    match step:
        case "process":
            return f"has no machine for {job.process}"
        case "material":
            taken = sorted(set[str]().union(*(machine.materials for machine in machines)))
            return f"does not work with {job.material}, only with {listed(taken) or 'nothing now'}"
        case "size":
            largest = max(machines, key=lambda each: sorted(each.envelope_um))
            asked = size(job.size_on(largest.id))
            return f"takes at most {size(largest.envelope_um)}, the part is {asked}"
        case "thickness":
            limit = max(machine.thickness_max_um or 0 for machine in machines)
            return f"takes sheets up to {mm(limit)}, the part needs {mm(job.thickness_um or 0)}"
        case "tolerance":
            best = min(machine.tolerance_um for machine in machines)
            return f"holds {mm(best)}, the part wants {mm(job.tolerance_um or 0)}"
        case "estimate":
            return "has no time and price for this job"
        case _:
            wanted = min(job.durations_s[machine.id] for machine in machines)
            left = span(max(0, problem.horizon_s - problem.now_s))
            return f"has no free opening for {span(wanted)} of work within {left}"


def remedy(job: Job, relaxation: Relaxation) -> str:
    """What to change so that the machine of the relaxation can make the job."""
    changes = [_change(job, relaxation.machine, change) for change in relaxation.changes]
    return f"{relaxation.machine} could make it if {listed(changes)}"


def _change(job: Job, machine: str, change: Change) -> str:
    to = change.to
    if isinstance(to, tuple):
        return f"the part were at most {size(to)}"
    if isinstance(to, str):
        return f"it were of {to}"
    if change.field == "thickness_um":
        return f"it were {mm(to)} thick"
    if change.field == "tolerance_um":
        return f"a tolerance of {mm(to)} will do"
    return f"it took {span(to)}, not {span(job.durations_s[machine])}"
