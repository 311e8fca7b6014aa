"""For one job, asked about or planned: where it could be made, when, and for how much.

It promises true times behind what is fixed and planned, and a reason for every lab; it changes
nothing and holds nothing.
"""

from dataclasses import dataclass

from scheduling.cost import cost_lines
from scheduling.plan import NO_PLAN, Line, Plan, price_minor, total_minor
from scheduling.problem import Job, Machine, Problem
from scheduling.routing import candidates, free_starts, job_distance_m, made_at, travel_s
from scheduling.sequencing import Queues, earliest_start
from scheduling.words import amount, listed, refusal, span, way


@dataclass(frozen=True)
class Opening:
    """The first free time for a job on one machine, and what making it then costs."""

    machine: Machine
    start_s: int
    end_s: int
    lines: tuple[Line, ...]

    @property
    def cost_minor(self) -> int:
        return total_minor(self.lines)


@dataclass(frozen=True)
class Option:
    """One lab's best offer. `cost_minor` = all lines, `price_minor` = those paid to the lab."""

    lab: str
    lab_name: str
    machine: str
    distance_m: int
    start_s: int
    ready_by_s: int
    lines: tuple[Line, ...]
    cost_minor: int
    price_minor: int
    reason: str


@dataclass(frozen=True)
class Refusal:
    """A lab that is not among the options, and why."""

    lab: str
    lab_name: str
    reason: str


@dataclass(frozen=True)
class Quote:
    """Options, the best first, and every other lab with its reason, nearest first."""

    options: tuple[Option, ...]
    refusals: tuple[Refusal, ...]


def openings(problem: Problem, job: Job, plan: Plan = NO_PLAN) -> tuple[Opening, ...]:
    """The first opening on each capable machine with everything else as planned; cheapest first.

    None at all if a job that this one comes after is neither fixed nor in the plan.
    """
    problem.check(job)
    parts = [_made(problem, plan, before) for before in job.after]
    known = [part for part in parts if part]
    if len(known) < len(parts):
        return ()
    queues = _queues(plan, job)
    labs = _labs_of_label(problem, plan, job)
    found = (
        _opening(problem, job, machine, known, queues)
        for machine in candidates(job, problem).machines
        if labs <= {machine.lab}
    )
    return tuple(sorted(filter(None, found), key=lambda each: (each.cost_minor, each.end_s)))


def _made(problem: Problem, plan: Plan, job: str) -> tuple[str, int] | None:
    spot = plan.by_job.get(job)
    return (problem.machine[spot.machine].lab, spot.end_s) if spot else made_at(problem, job)


def _queues(plan: Plan, job: Job) -> Queues:
    queues = Queues()
    for spot in plan.assignments:
        if spot.job != job.id:
            queues.add(spot.machine, spot.start_s, spot.end_s)
    return queues


def _labs_of_label(problem: Problem, plan: Plan, job: Job) -> set[str]:
    """The labs of the jobs, planned or fixed, that this one is kept with."""
    if not job.keep_with:
        return set()
    kept = (other.id for other in problem.jobs if other.keep_with == job.keep_with)
    made = (_made(problem, plan, other) for other in kept if other != job.id)
    return {lab for lab, _ in filter(None, made)}


def _opening(
    problem: Problem, job: Job, machine: Machine, parts: list[tuple[str, int]], queues: Queues
) -> Opening | None:
    ready = max((end + travel_s(problem, lab, machine.lab) for lab, end in parts), default=0)
    starts, duration_s = free_starts(problem, job, machine), job.durations_s[machine.id]
    start = earliest_start(starts, queues.of(machine.id), duration_s, ready)
    if start is None:
        return None
    end = start + duration_s
    lines = cost_lines(problem, job, machine, end, (lab for lab, _ in parts))
    return Opening(machine, start, end, lines)


def quote(problem: Problem, job: Job, plan: Plan = NO_PLAN, most: int = 5) -> Quote:
    """The best machine of each of at most `most` labs, ranked by cost, and why not the others.

    The job need not be in the problem. Raises ProblemError if it names what the problem lacks.
    """
    best = _best_of_each_lab(openings(problem, job, plan))
    ranked = [_option(problem, job, opening, best) for opening in best[:most]]
    chosen = {option.lab for option in ranked}
    others = sorted(
        (lab.id for lab in problem.labs if lab.id not in chosen),
        key=lambda lab: (job_distance_m(problem, job, lab), lab),
    )
    refusals = (
        Refusal(lab, problem.lab[lab].name, not_chosen(problem, job, plan, lab, best))
        for lab in others
    )
    return Quote(tuple(ranked), tuple(refusals))


def _best_of_each_lab(found: tuple[Opening, ...]) -> tuple[Opening, ...]:
    by_lab: dict[str, Opening] = {}
    for opening in found:
        by_lab.setdefault(opening.machine.lab, opening)
    return tuple(by_lab.values())


def _option(problem: Problem, job: Job, opening: Opening, best: tuple[Opening, ...]) -> Option:
    lab = problem.lab[opening.machine.lab]
    return Option(
        lab=lab.id,
        lab_name=lab.name,
        machine=opening.machine.id,
        distance_m=job_distance_m(problem, job, lab.id),
        start_s=opening.start_s,
        ready_by_s=opening.end_s,
        lines=opening.lines,
        cost_minor=opening.cost_minor,
        price_minor=price_minor(opening.lines),
        reason=_reason(problem, job, opening, best),
    )


def _reason(problem: Problem, job: Job, opening: Opening, best: tuple[Opening, ...]) -> str:
    facts = (
        f"{way(job_distance_m(problem, job, opening.machine.lab))} away, "
        f"ready in {span(opening.end_s - problem.now_s)}, "
        f"{amount(problem, price_minor(opening.lines))}"
    )
    if len(best) == 1:
        return f"The only lab that can make it: {facts}."
    first = best[0]
    if opening is first:
        return f"The best of {len(best)} labs, all things counted: {facts}; {_lead(problem, best)}."
    more = amount(problem, opening.cost_minor - first.cost_minor)
    name = problem.lab[first.machine.lab].name
    return f"Also possible: {facts}; {more} behind {name}, all things counted."


def _lead(problem: Problem, best: tuple[Opening, ...]) -> str:
    name = problem.lab[best[1].machine.lab].name
    ahead = best[1].cost_minor - best[0].cost_minor
    return f"{amount(problem, ahead)} ahead of {name}" if ahead else f"level with {name}"


def not_chosen(problem: Problem, job: Job, plan: Plan, lab: str, best: tuple[Opening, ...]) -> str:
    """Why a lab is not offered: what it lacks, or by how much others are better."""
    name = problem.lab[lab].name
    machines = [machine for machine in problem.machines if machine.lab == lab]
    if not candidates(job, problem, lab).machines:
        return refusal(problem, job, machines, name)
    missing = [before for before in job.after if not _made(problem, plan, before)]
    if missing:
        return f"{name} could make it, but {listed(missing)} must come first and is not planned."
    here = next((opening for opening in best if opening.machine.lab == lab), None)
    if here:
        more = amount(problem, here.cost_minor - best[0].cost_minor)
        ahead = problem.lab[best[0].machine.lab].name
        return f"{name} could make it, but it is {more} behind {ahead}, all things counted."
    kept = _labs_of_label(problem, plan, job)
    if kept and kept != {lab}:
        where = listed(sorted(problem.lab[each].name for each in kept))
        return f"{name} could make it, but it is kept with what is made at {where}."
    return f"{name} could make it, but what is planned there leaves no opening in time."
