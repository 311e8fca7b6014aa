"""Days of a network, one plan a day, made as planned; what each lab was paid for which hours.

What begins before the next morning is made; the rest is planned anew with what was ordered since.
Nothing here is by chance: the same city, orders, rule and turns make the same days.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bench.networks.made import DAY, WEEK
from scheduling import Assignment, Job, Lab, Limits, Machine, Plan, Problem, Running, solve
from scheduling.fairness import Account, Credit, Rule, credits_after
from scheduling.plan import left_out_minor
from scheduling.routing import served
from scheduling.sequencing import overlap, without

_GRANTED: Final = frozenset({"fairness", "trial"})
_EARNED: Final = frozenset({"machine", "fair pay", "setup"})
Spans = tuple[tuple[int, int], ...]


def real_minor(spot: Assignment) -> int:
    """What it costs but for what members granted."""
    return sum(line.minor for line in spot.lines if line.name not in _GRANTED)


def earned_minor(spot: Assignment) -> int:
    """What the lab is paid for its work: all but the material, which it passes on."""
    return sum(line.minor for line in spot.lines if line.name in _EARNED)


@dataclass
class Book:
    """What was offered, worked, earned and spent so far, by lab and process."""

    offered_s: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    worked_s: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    earned_minor: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    jobs: Counter[str] = field(default_factory=Counter[str])
    real_minor: dict[str, int] = field(default_factory=dict[str, int])
    """By job that was made."""
    left_out_minor: int = 0
    left_out: int = 0

    def accounts(self, labs: Sequence[Lab]) -> list[Account]:
        return [
            Account(lab.id, dict(self.offered_s[lab.id]), dict(self.earned_minor[lab.id]),
                    self.jobs[lab.id])
            for lab in labs
        ]  # fmt: skip

    @property
    def worked_in_all_s(self) -> int:
        return sum(sum(each.values()) for each in self.worked_s.values())

    def add(self, machine: Machine, spot: Assignment) -> None:
        self.worked_s[machine.lab][machine.process] += spot.end_s - spot.start_s
        self.earned_minor[machine.lab][machine.process] += earned_minor(spot)
        self.jobs[machine.lab] += 1
        self.real_minor[spot.job] = real_minor(spot)


@dataclass(frozen=True)
class Evening:
    """How things stand after a day; `credits` are those of the next."""

    day: int
    accounts: tuple[Account, ...]
    credits: dict[str, Credit]
    book: Book


def simulated(
    network: Problem, demand: Sequence[tuple[Job, ...]], rule: Rule | None, turns: int
) -> Iterator[Evening]:
    """Evening after evening; on the last the plan is carried out to its end. None: no credits."""
    days = _Days(network, rule, turns)
    for day, ordered in enumerate(demand):
        yield days.pass_one(ordered, last=day + 1 == len(demand))


class _Days:
    def __init__(self, network: Problem, rule: Rule | None, turns: int) -> None:
        self.network, self.rule, self.turns = network, rule, turns
        self.book, self.day = Book(), 0
        self.credits = {lab.id: Credit() for lab in network.labs}
        self.waiting: dict[str, Job] = {}
        self.made: dict[str, tuple[Job, Assignment]] = {}
        self.loaded = {each.id: each.loaded for each in network.machines}

    def pass_one(self, ordered: Iterable[Job], *, last: bool) -> Evening:
        self.waiting |= {job.id: job for job in ordered}
        problem = self._morning()
        limits = Limits(seconds=self.turns / 1000, seed=self.day, exact_jobs=0)
        plan = solve(problem, limits)
        until_s = problem.horizon_s if last else problem.now_s + DAY
        self._carry_out(problem, plan, until_s)
        accounts = self.book.accounts(self.network.labs)
        if self.rule:
            self.credits = credits_after(accounts, self.credits, self.rule)
        self.day += 1
        return Evening(self.day, tuple(accounts), self.credits, self.book)

    def _morning(self) -> Problem:
        """What waits, and of what is made whatever still runs or is asked for by what waits."""
        now = self.network.now_s + self.day * DAY
        asked = {before for job in self.waiting.values() for before in job.after}
        kept = {job.keep_with for job in self.waiting.values() if job.keep_with}
        self.made = {
            name: (job, spot)
            for name, (job, spot) in self.made.items()
            if spot.end_s > now or name in asked or job.keep_with in kept
        }
        jobs = [replace(job, after=()) for job, _ in self.made.values()]
        fixed = (
            Running(name, spot.machine, spot.end_s, spot.operator)
            for name, (_, spot) in self.made.items()
        )
        return replace(
            self.network, now_s=now, horizon_s=now + 2 * WEEK, jobs=(*jobs, *self.waiting.values()),
            labs=tuple(self._credited(lab) for lab in self.network.labs), fixed=tuple(fixed),
            machines=tuple(
                replace(each, loaded=self.loaded[each.id]) for each in self.network.machines
            ),
        )  # fmt: skip

    def _credited(self, lab: Lab) -> Lab:
        credit = self.credits[lab.id]
        return replace(lab, credit_permille=credit.permille, trial_minor=credit.trial_minor)

    def _carry_out(self, problem: Problem, plan: Plan, until_s: int) -> None:
        for spot in plan.assignments:
            if spot.start_s >= until_s:
                break
            job, machine = self.waiting.pop(spot.job), problem.machine[spot.machine]
            self.book.add(machine, spot)
            self.made[job.id] = job, spot
            self.loaded[machine.id] = job.load
        for left in plan.unplaced:
            job = self.waiting.pop(left.job)
            self.book.left_out_minor += left_out_minor(problem, job)
            self.book.left_out += 1
        hours = ((problem.now_s, problem.now_s + DAY),)
        for machine in problem.machines:
            seconds = offered_s(self.network, machine, hours)
            self.book.offered_s[machine.lab][machine.process] += seconds


def offered_s(network: Problem, machine: Machine, hours: Spans) -> int:
    """The seconds of a span in which the machine was there to be begun.

    Its lab is open and, if it must be attended, somebody is there who can; where there are more
    such machines than people, an equal part of these people's time.
    """
    there: Spans = ()
    for each in served(network, machine):
        there += without(overlap(without(each, machine.reserved_s), hours), there)
    lab = network.lab[machine.lab]
    if machine.unattended or lab.operators is None:
        return _length(there)
    attended = [each for each in network.machines if each.lab == lab.id and not each.unattended]
    people = (overlap(overlap(lab.open_windows_s, each.windows_s), hours) for each in lab.operators)
    return min(_length(there), sum(map(_length, people)) // len(attended))


def _length(spans: Spans) -> int:
    return sum(end - start for start, end in spans)
