"""The independent check of a plan, in plain Python, from the problem's own words.

It promises to name every broken rule; it shares no decision, distance or cost code with the
planner, so that one mistake cannot hide in both.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import atan2, cos, hypot, radians, sin

from scheduling.plan import Assignment, Plan
from scheduling.problem import Job, Lab, Load, Machine, Problem, Running

_RADIUS_M = 6_371_008.8


@dataclass(frozen=True)
class Fault:
    """One broken rule: `kind` for programs, `message` for people."""

    kind: str
    job: str
    message: str


@dataclass(frozen=True)
class Held:
    """A span in which something is on a machine; `load` None: unknown or none."""

    start_s: int
    end_s: int
    job: str
    machine: str
    load: Load | None
    operator: str | None
    draws: bool


class Look:
    """A problem and a plan, turned so that each rule finds what it reads."""

    def __init__(self, problem: Problem, plan: Plan) -> None:
        self.problem, self.plan = problem, plan
        self.followed = {before for job in problem.jobs for before in job.after}
        self.made = _made(problem, plan)
        self.on: dict[str, list[Held]] = {machine.id: [] for machine in problem.machines}
        self.by: dict[str, list[Held]] = defaultdict(list)
        self.at: dict[str, list[Held]] = {lab.id: [] for lab in problem.labs}
        for held in sorted(_held(problem, plan), key=lambda each: (each.start_s, each.end_s)):
            self.on[held.machine].append(held)
            self.at[problem.machine[held.machine].lab].append(held)
            if held.operator:
                self.by[held.operator].append(held)
        self.plates: dict[tuple[str, int], list[Assignment]] = defaultdict(list)
        for spot in plan.assignments:
            self.plates[spot.machine, spot.start_s].append(spot)
        self.kept: dict[str, set[str]] = defaultdict(set)
        for job in problem.jobs:
            if job.keep_with and job.id in self.made:
                self.kept[job.keep_with].add(self.made[job.id][0])


def verify(problem: Problem, plan: Plan) -> tuple[Fault, ...]:
    """All faults of the plan; empty means that it may be used."""
    faults = list(_listing(problem, plan))
    if faults:
        return tuple(faults)
    look = Look(problem, plan)
    for assignment in plan.assignments:
        faults += _placed(look, assignment)
    faults += _overlaps(look)
    faults += _beds(look)
    faults += _people(look)
    faults += _power(look)
    faults += _together(look)
    faults += _left_out(look)
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
    people = {each.id for lab in problem.labs for each in lab.operators or ()}
    for each in plan.assignments:
        if each.machine not in machines:
            yield Fault("unknown", each.job, f"{each.job} is on {each.machine}, no such machine")
        if each.operator is not None and each.operator not in people:
            yield Fault("unknown", each.job, f"{each.job} is served by {each.operator}, nobody")


def _made(problem: Problem, plan: Plan) -> dict[str, tuple[str, int]]:
    """By job, fixed or planned: at which lab, and when it is done."""
    made = {each.job: (problem.machine[each.machine].lab, each.end_s) for each in plan.assignments}
    for item in problem.fixed:
        end = item.until_s if isinstance(item, Running) else item.end_s
        made[item.job] = problem.machine[item.machine].lab, end
    return made


def _held(problem: Problem, plan: Plan) -> Iterator[Held]:
    for spot in plan.assignments:
        job = problem.job[spot.job]
        load = job.material, job.colour
        yield Held(spot.start_s, spot.end_s, spot.job, spot.machine, load, spot.operator, True)
    for item in problem.fixed:
        running = isinstance(item, Running)
        start = problem.now_s if running else item.start_s
        end = item.until_s if running else item.end_s
        job = problem.job.get(item.job)
        load = (job.material, job.colour) if job else None
        if end > start:
            yield Held(start, end, item.job, item.machine, load, item.operator, True)
    for machine in problem.machines:
        for start, end in machine.reserved_s:
            yield Held(start, end, "a reservation", machine.id, None, None, False)


def _placed(look: Look, spot: Assignment) -> Iterator[Fault]:
    job, machine = look.problem.job[spot.job], look.problem.machine[spot.machine]
    for kind, wrong in (
        ("incapable", incapable(look.problem, job, machine)),
        ("duration", _duration_wrong(look, spot)),
        ("early", _too_early(look.problem, job, machine, spot.start_s)),
        ("horizon", _after_horizon(look.problem, spot.end_s)),
        ("hours", _outside_hours(look.problem, machine, spot.start_s, spot.end_s)),
        ("operator", _operator_wrong(look.problem, machine, spot)),
        ("prerequisite", _prerequisite_wrong(look, job, machine, spot.start_s)),
        ("lines", _lines_wrong(look, job, machine, spot)),
    ):
        if wrong:
            yield Fault(kind, job.id, f"{job.id} on {machine.id}: {wrong}")


def incapable(problem: Problem, job: Job, machine: Machine) -> str:
    """Why the machine could never make the job; empty if it could."""
    if machine.process != job.process or job.material not in machine.materials:
        return f"it does not do {job.process} in {job.material}"
    if any(job.size_on(machine.id)[axis] > machine.envelope_um[axis] for axis in range(3)):
        return "the part is larger than the machine"
    thick, limit = job.thickness_um, machine.thickness_max_um
    if thick is not None and limit is not None and thick > limit:
        return "the sheet is too thick"
    if job.tolerance_um is not None and job.tolerance_um < machine.tolerance_um:
        return "the tolerance is finer than the machine holds"
    most = problem.lab[machine.lab].power_max_w
    if most is not None and machine.power_w > most:
        return "it draws more than its lab may"
    return "" if machine.id in job.durations_s else "there is no estimate for it"


def _changes(look: Look, machine: Machine, load: Load, start_s: int) -> bool:
    """Whether the machine must be loaded anew for what starts then."""
    known = [each for each in look.on[machine.id] if each.load and each.start_s < start_s]
    before = known[-1].load if known else machine.loaded
    return before is not None and before != load


def _duration_wrong(look: Look, spot: Assignment) -> str:
    job, machine = look.problem.job[spot.job], look.problem.machine[spot.machine]
    plate = [look.problem.job[each.job] for each in look.plates[spot.machine, spot.start_s]]
    times = [each.durations_s.get(machine.id, 0) for each in plate]
    begins = [min(machine.begin_s, each) for each in times]
    wanted = sum(times) - sum(begins) + max(begins)
    if _changes(look, machine, (job.material, job.colour), spot.start_s):
        wanted += machine.changeover_s
    taken = spot.end_s - spot.start_s
    return "" if wanted == taken else f"it takes {wanted} s, the plan gives it {taken} s"


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


def _operator_wrong(problem: Problem, machine: Machine, spot: Assignment) -> str:
    operators = problem.lab[machine.lab].operators
    if machine.unattended or operators is None:
        return "" if spot.operator is None else "it needs nobody by name, the plan names one"
    for person in operators:
        if person.id == spot.operator:
            there = not person.windows_s or any(
                begin <= spot.start_s and spot.end_s <= end for begin, end in person.windows_s
            )
            if machine.process not in person.skills:
                return f"{person.id} may not serve it"
            return "" if there else f"{person.id} is not there all the time"
    return "nobody of its lab serves it"


def _prerequisite_wrong(look: Look, job: Job, machine: Machine, start_s: int) -> str:
    for before in job.after:
        if before not in look.made:
            return f"{before}, which it comes after, is not planned"
        lab, end_s = look.made[before]
        if start_s < end_s + _travel_s(look.problem, lab, machine.lab):
            return f"{before}, which it comes after, is not there yet"
    return ""


def _lines_wrong(look: Look, job: Job, machine: Machine, spot: Assignment) -> str:
    if machine.id not in job.durations_s:
        return ""
    first = min(each.job for each in look.plates[spot.machine, spot.start_s])
    load = job.material, job.colour
    pays = first == job.id and _changes(look, machine, load, spot.start_s)
    expected = expected_lines(look, job, machine, spot.end_s, changes=pays)
    printed = [(line.name, line.minor) for line in spot.lines]
    if len(printed) == len(dict(printed)) and dict(printed) == expected:
        return ""
    return f"its cost lines are {dict(printed)}, they should be {expected}"


def expected_lines(
    look: Look, job: Job, machine: Machine, end_s: int, *, changes: bool
) -> dict[str, int]:
    """What a job costs on a machine, by the problem's own words; lines of nought left out."""
    problem, weights, lab = look.problem, look.problem.weights, look.problem.lab[machine.lab]
    takes_s = job.durations_s[machine.id]
    price = job.prices_minor.get(machine.id, _up(machine.rate_minor_per_h * takes_s, 3600))
    least = _up(lab.floor_minor_per_h * takes_s, 3600)
    paid = max(price, least) + machine.setup_minor + job.material_minor
    late_s = end_s - job.due_s if job.due_s is not None and end_s > job.due_s else 0
    waited_s = min(end_s - problem.now_s, end_s - job.release_s)
    moved = job.id in problem.current and problem.current[job.id] != machine.id
    ways_m = list(_ways_m(look, job, machine))
    energy = machine.power_w * takes_s * weights.co2_g_per_kwh * weights.co2_minor_per_kg
    carried = weights.co2_g_per_km * weights.co2_minor_per_kg
    every = {
        "machine": price,
        "fair pay": least - price if least > price else 0,
        "setup": machine.setup_minor,
        "material": job.material_minor,
        "transport": sum(_up(metres * weights.transport_minor_per_km, 1000) for metres in ways_m),
        "co2": sum(_up(metres * carried, 10**6) for metres in ways_m) + _up(energy, 36 * 10**8),
        "remakes": _up(paid * (1000 - machine.reliable_permille), machine.reliable_permille),
        "fairness": 0 - paid * lab.credit_permille // 1000,
        "trial": 0 - lab.trial_minor,
        "lateness": _up(late_s * weights.lateness_minor_per_h, 3600),
        "waiting": _up(waited_s * weights.waiting_minor_per_h, 3600),
        "move": weights.move_minor if moved else 0,
        "changeover": machine.changeover_minor if changes else 0,
    }
    return {name: minor for name, minor in every.items() if minor != 0}


def _ways_m(look: Look, job: Job, machine: Machine) -> Iterator[int]:
    """Metres of every way that the job causes: parts coming in, and the last one to the maker."""
    problem = look.problem
    for before in job.after:
        made = look.made.get(before)
        if made and made[0] != machine.lab:
            yield _between_m(_place(problem.lab[made[0]]), _place(problem.lab[machine.lab]))
    if job.id not in look.followed:
        yield _between_m(_place(problem.lab[machine.lab]), (job.lat_udeg, job.lon_udeg))


def _up(number: int, divisor: int) -> int:
    return (number + divisor - 1) // divisor


def _place(lab: Lab) -> tuple[int, int]:
    return lab.lat_udeg, lab.lon_udeg


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
    metres = _between_m(_place(problem.lab[lab]), _place(problem.lab[other]))
    return problem.travel.handover_s + _up(metres * problem.travel.s_per_km, 1000)


def _overlaps(look: Look) -> Iterator[Fault]:
    planned = look.plan.by_job
    for machine, spans in look.on.items():
        last: Held | None = None
        for held in spans:
            if last and held.start_s < last.end_s and (held.job in planned or last.job in planned):
                both = held.job in planned and last.job in planned
                if not (both and (held.start_s, held.end_s) == (last.start_s, last.end_s)):
                    message = f"{held.job} and {last.job} are on {machine} at once"
                    yield Fault("overlap", held.job, message)
            if last is None or held.end_s > last.end_s:
                last = held


def _beds(look: Look) -> Iterator[Fault]:
    """Jobs that are on a machine at once lie on one bed, apart, of one load."""
    for (name, _), plate in look.plates.items():
        machine = look.problem.machine[name]
        jobs = [look.problem.job[spot.job] for spot in plate]
        for spot, job in zip(plate, jobs, strict=True):
            wrong = _off_bed(machine, spot, job, alone=len(plate) == 1)
            if wrong:
                yield Fault("bed", job.id, f"{job.id} on {name}: {wrong}")
                return
        if len({(job.material, job.colour) for job in jobs}) > 1:
            yield Fault("bed", jobs[0].id, f"a plate on {name} is of more than one load")
        for (one, a), (two, b) in combinations(zip(plate, jobs, strict=True), 2):
            if not _apart(machine.plate_gap_um or 0, one, a, two, b):
                message = f"{a.id} and {b.id} lie on {name} less than its gap apart"
                yield Fault("bed", a.id, message)


def _off_bed(machine: Machine, spot: Assignment, job: Job, *, alone: bool) -> str:
    if spot.on_plate_um is None:
        return "" if alone else "it shares a bed, but has no place on it"
    if alone:
        return "it shares a bed with nobody, but has a place on it"
    if machine.plate_gap_um is None or job.plate_um is None:
        return "it may not share a bed"
    ends = [at + length for at, length in zip(spot.on_plate_um, job.plate_um, strict=True)]
    inside = ends[0] <= machine.envelope_um[0] and ends[1] <= machine.envelope_um[1]
    return "" if inside and min(spot.on_plate_um) >= 0 else "it lies beyond the bed"


def _apart(gap_um: int, one: Assignment, a: Job, two: Assignment, b: Job) -> bool:
    for axis in range(2):
        at, other = (one.on_plate_um or (0, 0))[axis], (two.on_plate_um or (0, 0))[axis]
        mine, theirs = (a.plate_um or (0, 0))[axis], (b.plate_um or (0, 0))[axis]
        if at + mine + gap_um <= other or other + theirs + gap_um <= at:
            return True
    return False


def _people(look: Look) -> Iterator[Fault]:
    """Nobody serves two machines at once; a plate is one."""
    planned = look.plan.by_job
    for person, spans in look.by.items():
        last: Held | None = None
        for held in spans:
            if last and held.start_s < last.end_s and (held.job in planned or last.job in planned):
                plate = held.machine == last.machine and held.start_s == last.start_s
                if not plate:
                    message = f"{person} serves {held.job} and {last.job} at once"
                    yield Fault("operator", held.job, message)
            if last is None or held.end_s > last.end_s:
                last = held


def _power(look: Look) -> Iterator[Fault]:
    """What a lab's machines draw together; what is fixed was somebody else's decision."""
    planned = look.plan.by_job
    for lab in look.problem.labs:
        for held in look.at[lab.id] if lab.power_max_w is not None else ():
            on = [each for each in look.at[lab.id] if each.start_s <= held.start_s < each.end_s]
            machines = {each.machine for each in on if each.draws}
            watts = sum(look.problem.machine[each].power_w for each in machines)
            if watts > (lab.power_max_w or 0) and any(each.job in planned for each in on):
                message = (
                    f"{lab.id} draws {watts} W while {held.job} starts, {lab.power_max_w} W may be"
                )
                yield Fault("power", held.job, message)


def _together(look: Look) -> Iterator[Fault]:
    for job in look.problem.jobs:
        labs = look.kept[job.keep_with] if job.keep_with else set[str]()
        if job.id in look.plan.by_job and len(labs) > 1:
            where = ", ".join(sorted(labs))
            yield Fault("split", job.id, f"{job.id} is kept with {job.keep_with}, made at {where}")


def _left_out(look: Look) -> Iterator[Fault]:
    for left in look.plan.unplaced:
        if not any(reason.strip() for reason in left.reasons):
            yield Fault("no reason", left.job, f"{left.job} is left out without a reason")
        job = look.problem.job[left.job]
        for machine in look.problem.machines_of(job.process):
            if _could_be_placed(look, job, machine):
                yield Fault("needless", job.id, f"{job.id} is left out, {machine.id} has room")


def _could_be_placed(look: Look, job: Job, machine: Machine) -> bool:
    """Whether the plan could take the job, moving nothing, for less than leaving it out."""
    if incapable(look.problem, job, machine):
        return False
    labs = look.kept[job.keep_with] if job.keep_with else set[str]()
    if labs - {machine.lab}:
        return False
    weights = look.problem.weights
    value = weights.unplaced_minor if job.value_minor is None else job.value_minor
    for start_s in moments(look, job, machine):
        end_s, changes = ends(look, job, machine, start_s)
        if room(look, job, machine, start_s, end_s):
            lines = expected_lines(look, job, machine, end_s, changes=changes)
            return sum(lines.values()) < value
    return False


def ends(look: Look, job: Job, machine: Machine, start_s: int) -> tuple[int, bool]:
    """When the job, alone on its bed, would end, and whether it needs a changeover."""
    changes = _changes(look, machine, (job.material, job.colour), start_s)
    return start_s + job.durations_s[machine.id] + changes * machine.changeover_s, changes


def room(look: Look, job: Job, machine: Machine, start_s: int, end_s: int) -> bool:
    """Whether the job could be there with everything else as it is."""
    problem = look.problem
    if any(each.start_s < end_s and each.end_s > start_s for each in look.on[machine.id]):
        return False
    if (
        _too_early(problem, job, machine, start_s)
        or _after_horizon(problem, end_s)
        or _outside_hours(problem, machine, start_s, end_s)
        or _prerequisite_wrong(look, job, machine, start_s)
    ):
        return False
    return (
        _leaves_others(look, job, machine, start_s)
        and somebody(look, machine, start_s, end_s)[0]
        and _power_left(look, machine, start_s, end_s)
    )


def _leaves_others(look: Look, job: Job, machine: Machine, start_s: int) -> bool:
    """Whether the next job still finds what it expects in the machine."""
    after = [each for each in look.on[machine.id] if each.load and each.start_s >= start_s]
    if not after or after[0].job not in look.plan.by_job or after[0].load is None:
        return True
    changes = _changes(look, machine, after[0].load, after[0].start_s)
    return changes == (after[0].load != (job.material, job.colour))


def somebody(look: Look, machine: Machine, start_s: int, end_s: int) -> tuple[bool, str | None]:
    """Whether the machine could be served, and by whom, if it needs somebody by name."""
    operators = look.problem.lab[machine.lab].operators
    if machine.unattended or operators is None:
        return True, None
    for person in operators:
        there = not person.windows_s or any(
            begin <= start_s and end_s <= end for begin, end in person.windows_s
        )
        busy = any(each.start_s < end_s and each.end_s > start_s for each in look.by[person.id])
        if machine.process in person.skills and there and not busy:
            return True, person.id
    return False, None


def _power_left(look: Look, machine: Machine, start_s: int, end_s: int) -> bool:
    most = look.problem.lab[machine.lab].power_max_w
    if most is None:
        return True
    drawing = [each for each in look.at[machine.lab] if each.draws]
    times = {start_s} | {each.start_s for each in drawing if start_s < each.start_s < end_s}
    for time in times:
        on = {each.machine for each in drawing if each.start_s <= time < each.end_s}
        watts = sum(look.problem.machine[each].power_w for each in on | {machine.id})
        if watts > most:
            return False
    return True


def moments(look: Look, job: Job, machine: Machine) -> list[int]:
    """Every moment at which the job could start at the earliest: one of them is the first."""
    problem, lab = look.problem, look.problem.lab[machine.lab]
    found = {problem.now_s, job.release_s, machine.available_from_s}
    found.update(opens for opens, _ in lab.open_windows_s)
    found.update(begin for each in lab.operators or () for begin, _ in each.windows_s)
    found.update(each.end_s for each in look.at[machine.lab])
    for before in job.after:
        if before in look.made:
            where, end_s = look.made[before]
            found.add(end_s + _travel_s(problem, where, machine.lab))
    return sorted(found)


def _sums(problem: Problem, plan: Plan) -> Iterator[Fault]:
    printed = sum(line.minor for each in plan.assignments for line in each.lines)
    values = [problem.job[each.job].value_minor for each in plan.unplaced]
    left_out = sum(problem.weights.unplaced_minor if each is None else each for each in values)
    total = printed + left_out
    if plan.objective_minor != total:
        yield Fault("objective", "", f"objective {plan.objective_minor}, the lines add to {total}")
    if plan.bound_minor > plan.objective_minor:
        yield Fault("bound", "", f"bound {plan.bound_minor} above {plan.objective_minor}")
    if plan.status == "optimal" and plan.bound_minor != plan.objective_minor:
        yield Fault("status", "", "called optimal, but the bound is below the objective")
