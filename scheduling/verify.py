"""The independent check of a plan, in plain Python, from the problem's own words.

It promises to name every broken rule; it shares no decision, distance or cost code with the
planner, so that one mistake cannot hide in both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import atan2, cos, hypot, radians, sin

from scheduling.plan import Assignment, Plan
from scheduling.problem import Job, Machine, Problem, Running

_RADIUS_M = 6_371_008.8


@dataclass(frozen=True)
class Fault:
    """One broken rule: `kind` for programs, `message` for people."""

    kind: str
    job: str
    message: str


def verify(problem: Problem, plan: Plan) -> tuple[Fault, ...]:
    """All faults of the plan; empty means that it may be used."""
    faults = list(_listing(problem, plan))
    if faults:
        return tuple(faults)
    for assignment in plan.assignments:
        faults += _placed(problem, plan, assignment)
    held = _held(problem, plan)
    faults += _overlaps(plan, held)
    faults += _together(problem, plan)
    faults += _left_out(problem, plan, held)
    faults += _sums(problem, plan)
    return tuple(faults)


def _listing(problem: Problem, plan: Plan) -> Iterator[Fault]:
    jobs = {job.id for job in problem.jobs}
    held = {item.job for item in problem.fixed}
    seen: set[str] = set()
    named = [each.job for each in plan.assignments] + [each.job for each in plan.unplaced]
    for job in named:
        if job not in jobs:
            yield Fault("unknown", job, f"{job} is not a job of this problem")
        elif job in held:
            yield Fault("fixed", job, f"{job} is fixed and must not be planned")
        elif job in seen:
            yield Fault("twice", job, f"{job} is in the plan twice")
        seen.add(job)
    for job in sorted(jobs - held - seen):
        yield Fault("missing", job, f"{job} is neither placed nor left out")
    machines = {machine.id for machine in problem.machines}
    for each in plan.assignments:
        if each.machine not in machines:
            yield Fault("unknown", each.job, f"{each.job} is on {each.machine}, no such machine")


def _placed(problem: Problem, plan: Plan, spot: Assignment) -> Iterator[Fault]:
    job, machine = problem.job[spot.job], problem.machine[spot.machine]
    for kind, wrong in (
        ("incapable", _incapable(job, machine)),
        ("duration", _duration_wrong(job, spot)),
        ("early", _too_early(problem, job, machine, spot.start_s)),
        ("horizon", _after_horizon(problem, spot.end_s)),
        ("hours", _outside_hours(problem, machine, spot.start_s, spot.end_s)),
        ("prerequisite", _prerequisite_wrong(problem, plan, job, machine, spot.start_s)),
        ("lines", _lines_wrong(problem, plan, job, machine, spot)),
    ):
        if wrong:
            yield Fault(kind, job.id, f"{job.id} on {machine.id}: {wrong}")


def _incapable(job: Job, machine: Machine) -> str:
    if machine.process != job.process or job.material not in machine.materials:
        return f"it does not do {job.process} in {job.material}"
    if any(job.size_on(machine.id)[axis] > machine.envelope_um[axis] for axis in range(3)):
        return "the part is larger than the machine"
    thick, limit = job.thickness_um, machine.thickness_max_um
    if thick is not None and limit is not None and thick > limit:
        return "the sheet is too thick"
    if job.tolerance_um is not None and job.tolerance_um < machine.tolerance_um:
        return "the tolerance is finer than the machine holds"
    return "" if machine.id in job.durations_s else "there is no estimate for it"


def _duration_wrong(job: Job, spot: Assignment) -> str:
    wanted = job.durations_s.get(spot.machine)
    taken = spot.end_s - spot.start_s
    return "" if wanted in (None, taken) else f"it takes {wanted} s, the plan gives it {taken} s"


def _too_early(problem: Problem, job: Job, machine: Machine, start_s: int) -> str:
    if start_s < problem.now_s:
        return "it starts in the past"
    if start_s < job.release_s:
        return "it starts before its release"
    return "" if start_s >= machine.available_from_s else "the machine is not available yet"


def _after_horizon(problem: Problem, end_s: int) -> str:
    return "it ends after the horizon" if end_s > problem.horizon_s else ""


def _outside_hours(problem: Problem, machine: Machine, start_s: int, end_s: int) -> str:
    lab = problem.lab[machine.lab]
    if not lab.open_windows_s:
        return ""
    for opens, closes in lab.open_windows_s:
        if opens <= start_s < closes and (machine.unattended or end_s <= closes):
            return ""
    return "it does not lie within one opening of the lab"


def _prerequisite_wrong(
    problem: Problem, plan: Plan, job: Job, machine: Machine, start_s: int
) -> str:
    for before in job.after:
        made = _made(problem, plan, before)
        if made is None:
            return f"{before}, which it comes after, is not planned"
        lab, end_s = made
        if start_s < end_s + _travel_s(problem, lab, machine.lab):
            return f"{before}, which it comes after, is not there yet"
    return ""


def _made(problem: Problem, plan: Plan, job: str) -> tuple[str, int] | None:
    for item in problem.fixed:
        if item.job == job:
            end = item.until_s if isinstance(item, Running) else item.end_s
            return problem.machine[item.machine].lab, end
    spot = plan.by_job.get(job)
    return (problem.machine[spot.machine].lab, spot.end_s) if spot else None


def _lines_wrong(problem: Problem, plan: Plan, job: Job, machine: Machine, spot: Assignment) -> str:
    if machine.id not in job.durations_s:
        return ""
    expected = _expected(problem, plan, job, machine, spot.end_s)
    printed = [(line.name, line.minor) for line in spot.lines]
    if len(printed) == len(dict(printed)) and dict(printed) == expected:
        return ""
    return f"its cost lines are {dict(printed)}, they should be {expected}"


def _expected(
    problem: Problem, plan: Plan, job: Job, machine: Machine, end_s: int
) -> dict[str, int]:
    weights = problem.weights
    rated = _up(machine.rate_minor_per_h * job.durations_s[machine.id], 3600)
    late_s = end_s - job.due_s if job.due_s is not None and end_s > job.due_s else 0
    waited_s = min(end_s - problem.now_s, end_s - job.release_s)
    moved = job.id in problem.current and problem.current[job.id] != machine.id
    every = {
        "machine": job.prices_minor.get(machine.id, rated),
        "setup": machine.setup_minor,
        "material": job.material_minor,
        "transport": sum(
            _up(metres * weights.transport_minor_per_km, 1000)
            for metres in _ways_m(problem, plan, job, machine)
        ),
        "lateness": _up(late_s * weights.lateness_minor_per_h, 3600),
        "waiting": _up(waited_s * weights.waiting_minor_per_h, 3600),
        "move": weights.move_minor if moved else 0,
    }
    return {name: minor for name, minor in every.items() if minor != 0}


def _ways_m(problem: Problem, plan: Plan, job: Job, machine: Machine) -> Iterator[int]:
    """Metres of every way that the job causes: parts coming in, and the last one to the maker."""
    for before in job.after:
        made = _made(problem, plan, before)
        if made and made[0] != machine.lab:
            yield _between_m(_lab_place(problem, made[0]), _lab_place(problem, machine.lab))
    if not any(job.id in other.after for other in problem.jobs):
        yield _between_m(_lab_place(problem, machine.lab), (job.lat_udeg, job.lon_udeg))


def _up(number: int, divisor: int) -> int:
    return (number + divisor - 1) // divisor


def _lab_place(problem: Problem, lab: str) -> tuple[int, int]:
    found = problem.lab[lab]
    return found.lat_udeg, found.lon_udeg


def _between_m(place: tuple[int, int], other: tuple[int, int]) -> int:
    """Great-circle metres from the angle between two unit vectors (Vincenty on a sphere)."""
    (ax, ay, az), (bx, by, bz) = _unit(place), _unit(other)
    across = hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    return round(_RADIUS_M * atan2(across, ax * bx + ay * by + az * bz))


def _unit(place: tuple[int, int]) -> tuple[float, float, float]:
    lat, lon = radians(place[0] / 1_000_000), radians(place[1] / 1_000_000)
    return cos(lat) * cos(lon), cos(lat) * sin(lon), sin(lat)


def _travel_s(problem: Problem, lab: str, other: str) -> int:
    if lab == other:
        return 0
    metres = _between_m(_lab_place(problem, lab), _lab_place(problem, other))
    return problem.travel.handover_s + _up(metres * problem.travel.s_per_km, 1000)


Held = dict[str, list[tuple[int, int, str]]]


def _held(problem: Problem, plan: Plan) -> Held:
    """By machine: all spans in which a job is on it, in order of time."""
    held: Held = {machine.id: [] for machine in problem.machines}
    for spot in plan.assignments:
        held[spot.machine].append((spot.start_s, spot.end_s, spot.job))
    for item in problem.fixed:
        running = isinstance(item, Running)
        start = problem.now_s if running else item.start_s
        end = item.until_s if running else item.end_s
        if end > start:
            held[item.machine].append((start, end, item.job))
    return {machine: sorted(spans) for machine, spans in held.items()}


def _overlaps(plan: Plan, held: Held) -> Iterator[Fault]:
    for machine, spans in held.items():
        until, holder = -1, ""
        for start, end, job in spans:
            if start < until and (job in plan.by_job or holder in plan.by_job):
                yield Fault("overlap", job, f"{job} and {holder} are on {machine} at once")
            if end > until:
                until, holder = end, job


def _together(problem: Problem, plan: Plan) -> Iterator[Fault]:
    for job in problem.jobs:
        labs = _group_labs(problem, plan, job)
        if job.id in plan.by_job and len(labs) > 1:
            where = ", ".join(sorted(labs))
            yield Fault("split", job.id, f"{job.id} is kept with {job.keep_with}, made at {where}")


def _group_labs(problem: Problem, plan: Plan, job: Job) -> set[str]:
    if not job.keep_with:
        return set()
    kept = [other.id for other in problem.jobs if other.keep_with == job.keep_with]
    return {made[0] for other in kept if (made := _made(problem, plan, other))}


def _left_out(problem: Problem, plan: Plan, held: Held) -> Iterator[Fault]:
    for left in plan.unplaced:
        if not any(reason.strip() for reason in left.reasons):
            yield Fault("no reason", left.job, f"{left.job} is left out without a reason")
        job = problem.job[left.job]
        for machine in problem.machines:
            if _could_be_placed(problem, plan, job, machine, held[machine.id]):
                yield Fault("needless", job.id, f"{job.id} is left out, {machine.id} has room")


def _could_be_placed(
    problem: Problem, plan: Plan, job: Job, machine: Machine, held: list[tuple[int, int, str]]
) -> bool:
    """Whether the plan could take the job on this machine for less than leaving it out."""
    if _incapable(job, machine):
        return False
    if _group_labs(problem, plan, job) - {machine.lab}:
        return False
    for start_s in _moments(problem, plan, job, machine, held):
        end_s = start_s + job.durations_s[machine.id]
        free = not any(start < end_s and end > start_s for start, end, _ in held)
        if free and _stands(problem, plan, job, machine, (start_s, end_s)):
            cost = sum(_expected(problem, plan, job, machine, end_s).values())
            return cost < problem.weights.unplaced_minor
    return False


def _moments(
    problem: Problem, plan: Plan, job: Job, machine: Machine, held: list[tuple[int, int, str]]
) -> list[int]:
    """Every moment at which the job could start at the earliest: one of them is the first."""
    moments = {problem.now_s, job.release_s, machine.available_from_s}
    moments.update(opens for opens, _ in problem.lab[machine.lab].open_windows_s)
    moments.update(end for _, end, _ in held)
    for before in job.after:
        if made := _made(problem, plan, before):
            moments.add(made[1] + _travel_s(problem, made[0], machine.lab))
    return sorted(moments)


def _stands(
    problem: Problem, plan: Plan, job: Job, machine: Machine, span: tuple[int, int]
) -> bool:
    return not (
        _too_early(problem, job, machine, span[0])
        or _after_horizon(problem, span[1])
        or _outside_hours(problem, machine, *span)
        or _prerequisite_wrong(problem, plan, job, machine, span[0])
    )


def _sums(problem: Problem, plan: Plan) -> Iterator[Fault]:
    printed = sum(line.minor for each in plan.assignments for line in each.lines)
    total = printed + problem.weights.unplaced_minor * len(plan.unplaced)
    if plan.objective_minor != total:
        yield Fault("objective", "", f"objective {plan.objective_minor}, the lines add to {total}")
    if plan.bound_minor > plan.objective_minor:
        yield Fault("bound", "", f"bound {plan.bound_minor} above {plan.objective_minor}")
    if plan.status == "optimal" and plan.bound_minor != plan.objective_minor:
        yield Fault("status", "", "called optimal, but the bound is below the objective")
