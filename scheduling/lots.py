"""One job in several lots, and what it would be to make them all on one machine instead.

It promises lots that add up to the whole, to the second and the cent, and a plan for one machine
whose cost is true; it never decides whether to split.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from scheduling import board
from scheduling.cards import Cards, board_of, lay_out
from scheduling.plan import Plan, Status, objective_minor
from scheduling.problem import Job, Problem, ProblemError


def lots(job: Job, pieces: int, most: int, *, first_article: bool = False) -> tuple[Job, ...]:
    """The job, which is of so many pieces, as at most `most` lots of whole pieces, alike in size.

    Ids are `job/1` and on. Durations, prices, material and value are divided by pieces; what the
    jobs come after and are kept with, and the bed that a job takes, stay as they are.
    `first_article`: lot 1 is one piece, all the others come after it. What others come after must
    name the lots. Raises ProblemError where it cannot be so.
    """
    sizes = _sizes(job, pieces, most, first_article=first_article)
    ends = [sum(sizes[:at]) for at in range(len(sizes) + 1)]
    parts = [_part(job, at, span, pieces) for at, span in enumerate(pairwise(ends), 1)]
    if first_article:
        first, *others = parts
        after = (*job.after, first.id)
        return (first, *(replace(each, after=after) for each in others))
    return tuple(parts)


def _sizes(job: Job, pieces: int, most: int, *, first_article: bool) -> list[int]:
    least = 2 if first_article else 1
    for name, number in (("pieces", pieces), ("lots", most)):
        if type(number) is not int or number < least:
            why = "; the first article is a lot and a piece of its own" if first_article else ""
            raise ProblemError(
                f"job {job.id} in lots: {number!r} {name}; give a whole number from {least} on{why}"
            )
    if first_article:
        return [1, *_alike(pieces - 1, most - 1)]
    return _alike(pieces, most)


def _alike(pieces: int, most: int) -> list[int]:
    """Whole numbers that add up, the larger first, none larger than another by more than one."""
    many = min(pieces, most)
    size, more = divmod(pieces, many)
    return [size + 1] * more + [size] * (many - more)


def _part(job: Job, number: int, span: tuple[int, int], pieces: int) -> Job:
    def share(whole: int) -> int:
        return whole * span[1] // pieces - whole * span[0] // pieces

    name = f"{job.id}/{number}"
    durations_s = _shared(job.durations_s, share)
    idle = [machine for machine, takes_s in durations_s.items() if not takes_s]
    if idle:
        raise ProblemError(f"job {name} would take no second on {idle[0]}; make fewer lots")
    return replace(
        job,
        id=name,
        durations_s=durations_s,
        prices_minor=_shared(job.prices_minor, share),
        material_minor=share(job.material_minor),
        value_minor=None if job.value_minor is None else share(job.value_minor),
    )


def _shared(wholes: Mapping[str, int], share: Callable[[int], int]) -> dict[str, int]:
    return {machine: share(whole) for machine, whole in wholes.items()}


def together(problem: Problem, plan: Plan, jobs: Sequence[str]) -> Plan | None:
    """The plan with these placed jobs on one machine, one after the other in the order given.

    The machine is the one on which the whole then costs least, everything else as planned. None:
    no machine has room for all of them that would not hold up other jobs.
    """
    cards = lay_out(problem)
    s = board.copied(board_of(problem, plan))
    numbers = [cards.number[job] for job in jobs]
    if not _pulled(cards, s, numbers):
        return None
    found = [(board.total_minor(cards.facts, each), at) for at, each in _boards(cards, s, numbers)]
    if not found:
        return None
    _, machine = min(found)
    _put_all(cards, s, numbers, machine)
    placed = cards.assignments(s)
    total = objective_minor(problem, placed, plan.unplaced)
    status: Status = "optimal" if total == plan.bound_minor else "feasible"
    return Plan(placed, plan.unplaced, total, plan.bound_minor, status)


def _pulled(cards: Cards, s: board.State, jobs: list[int]) -> bool:
    """Take them all off, the last first; whether all others can stay where they are."""
    for job in reversed(jobs):
        other = int(board.take(cards.facts, s, job))
        if other >= 0 and (other not in jobs or s.items[other, board.MATE] >= 0):
            return False
    return True


def _boards(cards: Cards, s: board.State, jobs: list[int]) -> Iterator[tuple[int, board.State]]:
    """By machine that can make all of them: the board with them on it."""
    able = [{int(cards.facts.ways[way, board.MACHINE]) for way in cards.ways(job)} for job in jobs]
    for machine in sorted(set.intersection(*able)):
        tried = board.copied(s)
        if _put_all(cards, tried, jobs, machine) and _all_follow(cards, tried, jobs):
            yield machine, tried


def _put_all(cards: Cards, s: board.State, jobs: list[int], machine: int) -> bool:
    found = board.found_for()
    for job in jobs:
        way = cards.way_to(job, machine)
        if way is None or (
            board.fit(cards.facts, s, job, way, board.FOR_EVER, found) >= board.FOR_EVER
        ):
            return False
        board.put(cards.facts, s, job, way, found)
    return True


def _all_follow(cards: Cards, s: board.State, jobs: list[int]) -> bool:
    """Whether what comes after these jobs still begins when they are there."""
    facts = cards.facts
    for job in jobs:
        for link in range(*(int(x) for x in facts.jobs[job, [board.AFTER, board.AFTER_TO]])):
            after = int(facts.links[link])
            way, start = (int(x) for x in s.items[after, [board.HOW, board.START]])
            if way >= 0 and not 0 <= board.ready_s(facts, s, after, way) <= start:
                return False
    return True
