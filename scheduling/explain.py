"""Why a job is made where it is, and why not elsewhere, in words and in lines that add up.

It promises that each comparison is the true change of the objective if that job alone were moved;
it never guesses at what a whole new plan would bring.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from scheduling import board
from scheduling.cards import board_of
from scheduling.cells import Ints
from scheduling.cost import leg_minor
from scheduling.distance import job_distance_m, travel_s
from scheduling.lots import together
from scheduling.plan import (
    NO_PLAN,
    PRICE_LINES,
    Assignment,
    Line,
    Plan,
    left_out_minor,
)
from scheduling.problem import Job, Problem
from scheduling.quote import (
    Opening,
    board_without,
    not_chosen,
    openings,
    spots,
    unhurried,
)
from scheduling.routing import candidates
from scheduling.words import amount, listed, span, way


class NotInPlan(LookupError):
    """The job is not in the plan or the problem; ask about one that is."""


@dataclass(frozen=True)
class Difference:
    """One line of the chosen machine beside the same line of the other."""

    name: str
    chosen_minor: int
    other_minor: int


@dataclass(frozen=True)
class Comparison:
    """The chosen machine against the runner-up, everything else as planned.

    `extra_minor` is what the objective would rise by if the job went to the other machine: the sum
    of the differences of the lines. `nearer_m`, `earlier_s`: by how much the chosen one is better
    (negative: worse). `delays` names the jobs that could not start as planned after such a move.
    """

    job: str
    machine: str
    other: str
    other_start_s: int
    other_end_s: int
    lines: tuple[Difference, ...]
    extra_minor: int
    nearer_m: int
    earlier_s: int
    delays: tuple[str, ...]

    @property
    def cheaper_minor(self) -> int:
        """How much less the lab is paid at the chosen machine (negative: more)."""
        paid = (line for line in self.lines if line.name in PRICE_LINES)
        return sum(line.other_minor - line.chosen_minor for line in paid)


def runner_up(problem: Problem, plan: Plan, job_id: str) -> Comparison | None:
    """The machine that would be next best for this job alone; None if no other has an opening.

    Machines on which the move would delay no other job come first. Raises NotInPlan.
    """
    spot, job = _spot(plan, job_id), _job(problem, job_id)
    there = spots(problem, job, plan)
    others = [each for each in there.found if there.machine(each[0]).id != spot.machine]
    if not others:
        return None
    legs = {lab.id: _onward(problem, plan, job, lab.id).minor for lab in problem.labs}

    def rank(each: tuple[int, Ints]) -> tuple[bool, int, str]:
        machine, found = there.machine(each[0]), each[1]
        late = bool(_late_followers(problem, plan, job, machine.lab, int(found[board.UNTIL])))
        return late, int(found[board.COST]) + legs[machine.lab], machine.id

    return _compare(problem, plan, job, spot, there.opening(job, *min(others, key=rank)))


def _rank(compared: Comparison) -> tuple[bool, int, str]:
    return bool(compared.delays), compared.extra_minor, compared.other


def _spot(plan: Plan, job_id: str) -> Assignment:
    if job_id not in plan.by_job:
        raise NotInPlan(f"job {job_id} is not placed in this plan")
    return plan.by_job[job_id]


def _job(problem: Problem, job_id: str) -> Job:
    if job_id not in problem.job:
        raise NotInPlan(f"job {job_id} is not in this problem")
    return problem.job[job_id]


def _compare(
    problem: Problem, plan: Plan, job: Job, spot: Assignment, other: Opening
) -> Comparison:
    here, there = problem.machine[spot.machine].lab, other.machine.lab
    onward = _onward(problem, plan, job, here)
    lines = _differences(
        (*spot.lines, onward, Line("others", _others_minor(problem, plan, spot, onward.minor))),
        (*other.lines, _onward(problem, plan, job, there), Line("others", other.others_minor)),
    )
    return Comparison(
        job=job.id,
        machine=spot.machine,
        other=other.machine.id,
        other_start_s=other.start_s,
        other_end_s=other.end_s,
        lines=lines,
        extra_minor=sum(line.other_minor - line.chosen_minor for line in lines),
        nearer_m=job_distance_m(problem, job, there) - job_distance_m(problem, job, here),
        earlier_s=other.end_s - spot.end_s,
        delays=_delays(problem, plan, job, other),
    )


def _onward(problem: Problem, plan: Plan, job: Job, lab: str) -> Line:
    """What it counts to bring the part from this lab to those where other jobs take it on."""
    labs = [problem.machine[spot.machine].lab for spot in _followers(problem, plan, job)]
    return Line("onward transport", sum(leg_minor(problem, lab, other) for other in labs))


def _others_minor(problem: Problem, plan: Plan, spot: Assignment, onward_minor: int) -> int:
    """What it costs others that the job is where it is: what they would save without it."""
    job = problem.job[spot.job]
    _, cards, s, _ = board_without(problem, job, plan)
    facts, value = cards.facts, left_out_minor(problem, job)
    with_it = board.total_minor(facts, board_of(problem, plan))
    without = board.total_minor(facts, s) - value
    return with_it - without - spot.cost_minor - onward_minor


def _followers(problem: Problem, plan: Plan, job: Job) -> list[Assignment]:
    after = problem.followers.get(job.id, ())
    return [plan.by_job[each] for each in after if each in plan.by_job]


def _delays(problem: Problem, plan: Plan, job: Job, other: Opening) -> tuple[str, ...]:
    misplaced = board_without(problem, job, plan).misplaced if job.id in plan.by_job else ()
    return misplaced + _late_followers(problem, plan, job, other.machine.lab, other.end_s)


def _late_followers(
    problem: Problem, plan: Plan, job: Job, lab: str, end_s: int
) -> tuple[str, ...]:
    """Who could not start as planned if the job were done then, at that lab."""
    return tuple(
        spot.job
        for spot in _followers(problem, plan, job)
        if spot.start_s < end_s + travel_s(problem, lab, problem.machine[spot.machine].lab)
    )


def _differences(chosen: tuple[Line, ...], other: tuple[Line, ...]) -> tuple[Difference, ...]:
    mine, theirs = dict(chosen), dict(other)
    both = [*mine, *(name for name in theirs if name not in mine)]
    pairs = (Difference(name, mine.get(name, 0), theirs.get(name, 0)) for name in both)
    return tuple(pair for pair in pairs if pair.chosen_minor or pair.other_minor)


def why(problem: Problem, plan: Plan, job_id: str) -> str:
    """One or two sentences: where the job is made and what speaks for it, or why it is left out.

    Raises NotInPlan if the plan does not know the job.
    """
    for left in plan.unplaced:
        if left.job == job_id:
            return f"Not planned. {' '.join(left.reasons)}"
    spot = _spot(plan, job_id)
    lab = problem.lab[problem.machine[spot.machine].lab].name
    second, later = runner_up(problem, plan, job_id), _if_later(problem, plan, spot)
    if second is None:
        alone = _alone(problem, _job(problem, job_id))
        return f"Made at {lab} on {spot.machine}: {alone}.{later}"
    other_lab = problem.lab[problem.machine[second.other].lab].name
    other = f"{second.other} there" if other_lab == lab else f"{other_lab} ({second.other})"
    return f"Made at {lab} on {spot.machine}, {_verdict(problem, second, other)}.{later}"


@dataclass(frozen=True)
class Tip:
    """What would tip the choice: were the job due at `end_s`, this machine would save so much.

    `saves_minor` is what the objective would fall by if the job alone went there.
    """

    machine: str
    end_s: int
    later_s: int
    saves_minor: int


def tip(problem: Problem, plan: Plan, job_id: str) -> Tip | None:
    """None if it saves nothing to wait, or others come after the job. Raises NotInPlan."""
    spot, job = _spot(plan, job_id), _job(problem, job_id)
    if job.due_s is None or problem.followers.get(job_id):
        return None
    found = unhurried(problem, job, plan)
    if found is None or found.saves_minor <= 0 or found.end_s <= max(job.due_s, spot.end_s):
        return None
    later_s = found.end_s - spot.end_s
    return Tip(found.machine.id, found.end_s, later_s, found.saves_minor)


def _if_later(problem: Problem, plan: Plan, spot: Assignment) -> str:
    found = tip(problem, plan, spot.job)
    if found is None:
        return ""
    saves = amount(problem, found.saves_minor)
    where = _where(problem, found.machine)
    return (
        f" Ready {span(found.later_s)} later, at {where}, would save {saves}, all things counted."
    )


def _where(problem: Problem, machine: str) -> str:
    return f"{problem.lab[problem.machine[machine].lab].name} ({machine})"


def why_split(problem: Problem, plan: Plan, lots: Sequence[str]) -> str:
    """Where the lots of one job are made, when all are ready, and what one machine would be.

    That machine is the one on which all of them, one after the other, would cost least, everything
    else as planned. Raises NotInPlan if a lot is not placed.
    """
    if not lots:
        raise NotInPlan("no lots are named")
    placed = sorted((_spot(plan, lot) for lot in lots), key=lambda each: each.machine)
    by_machine = [
        f"{listed([spot.job for spot in some])} at {_where(problem, machine)}"
        for machine, some in groupby(placed, key=lambda each: each.machine)
    ]
    ready = span(max(spot.end_s for spot in placed) - problem.now_s)
    made = f"Made in {len(lots)} lots, {listed(by_machine)}: all ready in {ready}"
    return f"{made}, {_beside_one(problem, plan, lots)}."


def _beside_one(problem: Problem, plan: Plan, lots: Sequence[str]) -> str:
    whole = together(problem, plan, lots)
    if whole is None:
        return "as no one machine could make all of them without holding up others"
    here, there = ([each.by_job[lot] for lot in lots] for each in (plan, whole))
    if {spot.machine for spot in here} == {there[0].machine}:
        return f"all on one machine, as on {there[0].machine} they cost least"
    earlier_s = max(each.end_s for each in there) - max(each.end_s for each in here)
    more = sum(each.price_minor for each in here) - sum(each.price_minor for each in there)
    ahead = whole.objective_minor - plan.objective_minor
    when = f"{span(abs(earlier_s))} {'earlier' if earlier_s > 0 else 'later'} than"
    return (
        f"{when if earlier_s else 'just as'} on {_where(problem, there[0].machine)} alone, "
        f"for {_more(problem, more)}; {_ahead(problem, ahead)}, all things counted"
    )


def _more(problem: Problem, minor: int) -> str:
    if not minor:
        return "the same price"
    return f"{amount(problem, abs(minor))} {'more' if minor > 0 else 'less'}"


def _ahead(problem: Problem, minor: int) -> str:
    if not minor:
        return "level"
    return f"{amount(problem, abs(minor))} {'ahead' if minor > 0 else 'behind'}"


def _alone(problem: Problem, job: Job) -> str:
    steps = candidates(job, problem).waterfall
    left = [f"{step.left} after {step.name}" for step in steps]
    if steps[-1].left > 1:
        return "no other machine that can make it has an opening in time"
    return f"of {len(problem.machines)} machines only this one can ({listed(left)})"


def _verdict(problem: Problem, second: Comparison, other: str) -> str:
    pros, cons = _points(problem, second)
    pro, con = listed(pros), listed(cons)
    if second.delays:
        return f"because {other} would hold up {listed(second.delays)}"
    if second.extra_minor > 0:
        ahead = f"{amount(problem, second.extra_minor)} ahead of {other}, all things counted"
        return f"because it is {ahead}" + (f": {pro}" if pro else "") + _though(con)
    if second.extra_minor == 0:
        return (
            f"level with {other}, all things counted" + (f": {pro}" if pro else "") + _though(con)
        )
    behind = f"{other} would be {amount(problem, -second.extra_minor)} better for this job alone"
    return f"though {behind}; the search ended before it found a better whole"


def _though(con: str) -> str:
    return f"; though {con}" if con else ""


def _points(problem: Problem, second: Comparison) -> tuple[list[str], list[str]]:
    """What speaks for the chosen machine, and what against it."""
    minor, metres, seconds = second.cheaper_minor, second.nearer_m, second.earlier_s
    moves = sum(d.other_minor - d.chosen_minor for d in second.lines if d.name == "move")
    weighed = (
        (minor, f"{amount(problem, abs(minor))} less", f"{amount(problem, abs(minor))} more"),
        (metres, f"{way(abs(metres))} nearer", f"{way(abs(metres))} farther"),
        (seconds, f"ready {span(abs(seconds))} earlier", f"ready {span(abs(seconds))} later"),
        (moves, "it stays where it was planned", "it moves from where it was planned"),
    )
    pros = [pro for value, pro, _ in weighed if value > 0]
    cons = [con for value, _, con in weighed if value < 0]
    return pros, cons


def why_not(problem: Problem, job: Job | str, lab: str, plan: Plan = NO_PLAN) -> str:
    """One sentence: what the lab lacks for the job, or by how much another is better.

    The job may be one of the problem's, by id, or a hypothetical one. Raises NotInPlan.
    """
    asked = _job(problem, job) if isinstance(job, str) else job
    if lab not in problem.lab:
        raise NotInPlan(f"lab {lab} is not in this problem")
    found = openings(problem, asked, plan)
    spot = plan.by_job.get(asked.id)
    name = problem.lab[lab].name
    if spot and problem.machine[spot.machine].lab == lab:
        return f"It is made at {name}."
    here = [opening for opening in found if opening.machine.lab == lab]
    if spot and here:
        compared = (_compare(problem, plan, asked, spot, opening) for opening in here)
        return f"{name} could make it, but {_behind(problem, min(compared, key=_rank))}."
    if here and here[0] == found[0]:
        return f"{name} can make it; nothing speaks against it."
    return not_chosen(problem, asked, plan, lab, found)


def _behind(problem: Problem, other: Comparison) -> str:
    chosen = problem.lab[problem.machine[other.machine].lab].name
    if other.delays:
        return f"that would hold up {listed(other.delays)}"
    if other.extra_minor < 0:
        gain = amount(problem, -other.extra_minor)
        return f"the search ended before it found this, {gain} better for this job alone"
    behind = f"is {amount(problem, other.extra_minor)} behind {chosen}, all things counted"
    pros, _ = _points(problem, other)
    return behind + (f"; {chosen} is better by: {listed(pros)}" if pros else "")
