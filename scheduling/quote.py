"""For one job, asked about or planned: where it could be made, when, and for how much.

It promises true times behind what is fixed and planned, and a reason for every lab; it changes
nothing and holds nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from scheduling import board
from scheduling.cards import Cards, board_of, lay_out
from scheduling.cells import Ints
from scheduling.cost import cost_lines
from scheduling.distance import job_distance_m
from scheduling.plan import (
    NO_PLAN,
    Line,
    Plan,
    Status,
    objective_minor,
    price_minor,
    total_minor,
)
from scheduling.problem import Job, Machine, Problem
from scheduling.routing import candidates, made_at
from scheduling.words import amount, listed, refusal, span
from scheduling.words import way as way_in_words


@dataclass(frozen=True)
class Opening:
    """The best free time for a job on one machine, and what making it then costs.

    `others_minor`: what it costs others that it is there: a later end, a changeover more.
    """

    machine: Machine
    start_s: int
    end_s: int
    lines: tuple[Line, ...]
    others_minor: int = 0

    @property
    def cost_minor(self) -> int:
        return total_minor(self.lines) + self.others_minor


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


class Spots(NamedTuple):
    """Where a job fits on a plan's board, by way; `labs` are those whose parts it takes on."""

    without: "Without"
    labs: tuple[str, ...]
    found: tuple[tuple[int, Ints], ...]

    def machine(self, way: int) -> Machine:
        return self.without.cards.machine_of_way(way)

    def opening(self, job: Job, way: int, spot: Ints) -> Opening:
        machine, changed = self.machine(way), bool(spot[board.CHANGES])
        start, end = int(spot[board.FROM]), int(spot[board.UNTIL])
        lines = cost_lines(self.without.problem, job, machine, end, self.labs, changed=changed)
        return Opening(machine, start, end, lines, int(spot[board.COST]) - total_minor(lines))


def spots(problem: Problem, job: Job, plan: Plan = NO_PLAN) -> Spots:
    """The best place on each capable machine with everything else as planned.

    None at all if a job that this one comes after is neither fixed nor in the plan.
    """
    problem.check(job)
    without = board_without(problem, job, plan)
    labs = [made[0] for before in job.after if (made := _made(problem, plan, before))]
    if len(labs) < len(job.after):
        return Spots(without, (), ())
    found = _fits(without.cards, without.board, without.cards.number[job.id])
    return Spots(without, tuple(labs), tuple(found))


def openings(problem: Problem, job: Job, plan: Plan = NO_PLAN) -> tuple[Opening, ...]:
    """As `spots`, with what each costs line by line; cheapest first."""
    there = spots(problem, job, plan)
    found = (there.opening(job, way, spot) for way, spot in there.found)
    return tuple(sorted(found, key=lambda each: (each.cost_minor, each.end_s)))


class Without(NamedTuple):
    """A plan's board, one job taken off. `problem` has the job, `misplaced` cannot stay then."""

    problem: Problem
    cards: Cards
    board: board.State
    misplaced: tuple[str, ...]


def board_without(problem: Problem, job: Job, plan: Plan) -> Without:
    """What the job's openings are looked for on; it need not be in the problem or the plan."""
    known = problem.job.get(job.id) is job
    others = tuple(each for each in problem.jobs if each.id != job.id)
    asked = problem if known else replace(problem, jobs=(*others, job))
    cards = lay_out(asked)
    s = board.copied(board_of(asked, plan))
    at, other = cards.number[job.id], -1
    if s.items[at, board.ON] >= 0:
        other = int(board.take(cards.facts, s, at))
    return Without(asked, cards, s, (cards.jobs[other].id,) if other >= 0 else ())


def moved(problem: Problem, plan: Plan, job_id: str, machine: str) -> Plan:
    """The plan with that job alone moved to its best opening on the machine.

    Raises LookupError if the machine has no opening for it.
    """
    _, cards, s, _ = board_without(problem, problem.job[job_id], plan)
    at = cards.number[job_id]
    there = [each for each in _fits(cards, s, at) if cards.machine_of_way(each[0]).id == machine]
    if not there:
        raise LookupError(f"{machine} has no opening for {job_id}")
    board.put(cards.facts, s, at, *there[0])
    placed = cards.assignments(s)
    left_out = tuple(each for each in plan.unplaced if each.job != job_id)
    total = objective_minor(problem, placed, left_out)
    status: Status = "optimal" if total == plan.bound_minor else "feasible"
    return Plan(placed, left_out, total, plan.bound_minor, status)


class Unhurried(NamedTuple):
    """The cheapest opening if a planned job were not due; `saves_minor` against where it is."""

    machine: Machine
    end_s: int
    saves_minor: int


def unhurried(problem: Problem, job: Job, plan: Plan) -> Unhurried | None:
    """For a planned job that none comes after; None: it could not come back, or others not stay."""
    _, cards, s, misplaced = board_without(problem, job, plan)
    if misplaced:
        return None
    at, jobs = cards.number[job.id], cards.facts.jobs.copy()
    jobs[at, board.DUE] = -1
    cards = replace(cards, facts=cards.facts._replace(jobs=jobs))
    with_it = board.total_minor(cards.facts, board_of(problem, plan))
    without = board.total_minor(cards.facts, s) - int(jobs[at, board.VALUE])
    fits = list(_fits(cards, s, at))
    if not fits:
        return None
    way, spot = min(fits, key=lambda each: (each[1][board.COST], each[1][board.UNTIL]))
    saves = with_it - without - int(spot[board.COST])
    return Unhurried(cards.machine_of_way(way), int(spot[board.UNTIL]), saves)


def _fits(cards: Cards, s: board.State, job: int) -> Iterator[tuple[int, Ints]]:
    for way in cards.ways(job):
        spot = board.found_for()
        if board.fit(cards.facts, s, job, way, board.FOR_EVER, spot) < board.FOR_EVER:
            yield way, spot


def _made(problem: Problem, plan: Plan, job: str) -> tuple[str, int] | None:
    spot = plan.by_job.get(job)
    return (problem.machine[spot.machine].lab, spot.end_s) if spot else made_at(problem, job)


def _labs_of_label(problem: Problem, plan: Plan, job: Job) -> set[str]:
    """The labs of the jobs, planned or fixed, that this one is kept with."""
    if not job.keep_with:
        return set()
    kept = (other.id for other in problem.jobs if other.keep_with == job.keep_with)
    made = (_made(problem, plan, other) for other in kept if other != job.id)
    return {lab for lab, _ in filter(None, made)}


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
        f"{way_in_words(job_distance_m(problem, job, opening.machine.lab))} away, "
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
