"""Which machines can make a job, how far they are, and why the others cannot.

It promises a waterfall whose counts are true and a relaxation that works when applied;
it never looks at prices or at what other open jobs want.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from scheduling.distance import job_distance_m, travel_s
from scheduling.problem import Job, Lab, Machine, Operator, Problem, Running, Spans
from scheduling.sequencing import Need, longest_s, overlap, start_ranges, united


def made_at(problem: Problem, job: str) -> tuple[str, int] | None:
    """The lab and the end of a fixed job; None if the job is open."""
    item = problem.fixed_by_job.get(job)
    if item is None:
        return None
    end_s = item.until_s if isinstance(item, Running) else item.end_s
    return problem.machine[item.machine].lab, end_s


def ready_s(problem: Problem, job: Job, machine: Machine) -> int:
    """The first moment at which the machine may begin, as far as what is fixed tells."""
    made = (made_at(problem, before) for before in job.after)
    received = (end + travel_s(problem, lab, machine.lab) for lab, end in filter(None, made))
    return max(problem.now_s, job.release_s, machine.available_from_s, *received, 0)


def _need(problem: Problem, job: Job, machine: Machine) -> Need:
    ready = ready_s(problem, job, machine)
    return Need(job.durations_s[machine.id], ready, problem.horizon_s, machine.unattended)


def served(problem: Problem, machine: Machine) -> tuple[Spans, ...]:
    """The lab's openings, for each who can serve the machine as far as they are there."""
    lab = problem.lab[machine.lab]
    if machine.unattended or lab.operators is None:
        return (lab.open_windows_s,)
    skilled = (each for each in lab.operators if machine.process in each.skills)
    return tuple(filter(None, (_both(problem, lab, each) for each in skilled)))


def _both(problem: Problem, lab: Lab, person: Operator) -> Spans:
    """When the lab is open and the person there."""
    always = ((0, problem.horizon_s),)
    return overlap(lab.open_windows_s or always, person.windows_s or always)


def free_starts(problem: Problem, job: Job, machine: Machine) -> Spans:
    """When the machine could start the job: openings, people, what is fixed, release, horizon."""
    need, busy = _need(problem, job, machine), problem.busy.get(machine.id, ())
    found = [start_ranges(each, busy, need) for each in served(problem, machine)]
    return found[0] if len(found) == 1 else united(found)


def _size_fits(job: Job, machine: Machine) -> bool:
    x, y, z = job.size_on(machine.id)
    wide, long, high = machine.envelope_um
    return x <= wide and y <= long and z <= high


def _thickness_fits(job: Job, machine: Machine) -> bool:
    limit = machine.thickness_max_um
    return job.thickness_um is None or limit is None or job.thickness_um <= limit


def _tolerance_fits(job: Job, machine: Machine) -> bool:
    return job.tolerance_um is None or machine.tolerance_um <= job.tolerance_um


def _power_lasts(problem: Problem, machine: Machine) -> bool:
    most = problem.lab[machine.lab].power_max_w
    return most is None or machine.power_w <= most


Test = Callable[[Problem, Job, Machine], bool]
_TESTS: dict[str, Test] = {
    "process": lambda _, job, machine: job.process == machine.process,
    "material": lambda _, job, machine: job.material in machine.materials,
    "size": lambda _, job, machine: _size_fits(job, machine),
    "thickness": lambda _, job, machine: _thickness_fits(job, machine),
    "tolerance": lambda _, job, machine: _tolerance_fits(job, machine),
    "estimate": lambda _, job, machine: machine.id in job.durations_s,
    "power": lambda problem, _, machine: _power_lasts(problem, machine),
    "hours": lambda problem, job, machine: bool(free_starts(problem, job, machine)),
}
STEPS = tuple(_TESTS)


def passed(problem: Problem, job: Job, machine: Machine) -> int:
    """How many steps of the waterfall the machine passes; len(STEPS) = it can make the job."""
    return sum(1 for _ in takewhile(lambda test: test(problem, job, machine), _TESTS.values()))


@dataclass(frozen=True)
class Step:
    """One step of the waterfall and how many machines are left after it."""

    name: str
    left: int


@dataclass(frozen=True)
class Candidates:
    """The machines that can make a job, nearest first, and how they were found."""

    machines: tuple[Machine, ...]
    waterfall: tuple[Step, ...]


def candidates(job: Job, problem: Problem, lab: str | None = None) -> Candidates:
    """All capable machines (of one lab, if named), nearest first, then by id."""
    asked = [machine for machine in problem.machines if lab in (None, machine.lab)]
    depths = [passed(problem, job, machine) for machine in asked]
    able = (each for each, depth in zip(asked, depths, strict=True) if depth == len(STEPS))
    ranked = sorted(able, key=lambda each: (job_distance_m(problem, job, each.lab), each.id))
    return Candidates(tuple(ranked), waterfall(depths))


def waterfall(depths: Sequence[int]) -> tuple[Step, ...]:
    """From how many steps each machine passes."""
    return tuple(
        Step(name, sum(depth > index for depth in depths)) for index, name in enumerate(STEPS)
    )


def labs_kept_to(problem: Problem, label: str | None) -> frozenset[str]:
    """The labs at which fixed jobs with this label are; the open ones must be made there too."""
    kept = (job.id for job in problem.jobs if label and job.keep_with == label)
    return frozenset(made[0] for job in kept if (made := made_at(problem, job)))


@dataclass(frozen=True)
class Change:
    """One field of a job and the value that would fit; `duration_s` is the time on the machine."""

    field: str
    to: str | int | tuple[int, int, int]


@dataclass(frozen=True)
class Relaxation:
    """The fewest and smallest changes with which one machine could make the job."""

    machine: str
    changes: tuple[Change, ...]


def smallest_relaxation(
    job: Job, problem: Problem, machines: Iterable[Machine] | None = None
) -> Relaxation | None:
    """The easiest change that makes the job possible; None if no machine of its process can."""
    asked = problem.machines if machines is None else tuple(machines)
    able = [each for each in asked if each.process == job.process and each.id in job.durations_s]
    found = ((each, _changes(problem, job, each)) for each in able)
    possible = [(each, changes) for each, changes in found if changes]
    if not possible:
        return None
    machine, changes = min(
        possible,
        key=lambda pair: (
            len(pair[1]),
            _effort(job, pair[0], pair[1]),
            job_distance_m(problem, job, pair[0].lab),
            pair[0].id,
        ),
    )
    return Relaxation(machine.id, changes)


def _changes(problem: Problem, job: Job, machine: Machine) -> tuple[Change, ...] | None:
    changes: list[Change] = []
    if job.material not in machine.materials:
        if not machine.materials:
            return None
        changes.append(Change("material", min(machine.materials)))
    if not _size_fits(job, machine):
        both = zip(job.size_on(machine.id), machine.envelope_um, strict=True)
        x, y, z = (min(a, b) for a, b in both)
        changes.append(Change("size_um", (x, y, z)))
    if not _thickness_fits(job, machine):
        changes.append(Change("thickness_um", machine.thickness_max_um or 0))
    if not _tolerance_fits(job, machine):
        changes.append(Change("tolerance_um", machine.tolerance_um))
    if not _power_lasts(problem, machine):
        return None
    if not free_starts(problem, job, machine):
        need, busy = _need(problem, job, machine), problem.busy.get(machine.id, ())
        spans = served(problem, machine)
        longest = max((longest_s(each, busy, need) for each in spans), default=0)
        if not longest:
            return None
        changes.append(Change("duration_s", longest))
    return tuple(changes)


def _effort(job: Job, machine: Machine, changes: tuple[Change, ...]) -> float:
    """How far the changes are from what is wanted: the sum of the shares that must give way."""
    return sum(_share(job, machine, change) for change in changes)


def _share(job: Job, machine: Machine, change: Change) -> float:
    if isinstance(change.to, str):
        return 0.0
    if isinstance(change.to, tuple):
        pairs = zip(job.size_on(machine.id), change.to, strict=True)
        return max(1 - smaller / wanted for wanted, smaller in pairs if wanted)
    wanted = {
        "thickness_um": job.thickness_um or 0,
        "tolerance_um": job.tolerance_um or 0,
        "duration_s": job.durations_s[machine.id],
    }[change.field]
    return abs(change.to - wanted) / max(change.to, wanted, 1)


def relaxed(job: Job, relaxation: Relaxation) -> Job:
    """The job with the changes applied."""
    for change in relaxation.changes:
        if change.field == "duration_s":
            durations = {**job.durations_s, relaxation.machine: int(str(change.to))}
            job = replace(job, durations_s=durations)
        else:
            sizes_um = {} if change.field == "size_um" else job.sizes_um
            job = replace(job, **{change.field: change.to, "sizes_um": sizes_um})
    return job
