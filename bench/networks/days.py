"""A city's network for as many days as are asked for, and what is ordered on each of them.

Labs, machines and orders are those of `made`: the hours of its first two weeks come again and
again, nothing runs at the beginning, and each day brings orders of its own. It plans nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Final

from bench.networks.made import DAY, WEEK, network, orders
from scheduling import Job, Lab, Operator, Problem

_ROUND_S: Final = 2 * WEEK


def city(seed: int, labs: int, machines: int, days: int) -> Problem:
    """The network of the first morning, without orders, with hours for the days and a fortnight."""
    made = network(seed, labs, machines, 0)
    rounds = -(-(days * DAY) // _ROUND_S) + 2
    horizon = made.now_s + rounds * _ROUND_S
    machines_ = tuple(
        replace(each, reserved_s=_again(each.reserved_s, rounds)) for each in made.machines
    )
    labs_ = tuple(_lab(each, rounds) for each in made.labs)
    return replace(made, horizon_s=horizon, labs=labs_, machines=machines_, fixed=(), current={})


def _again(spans: tuple[tuple[int, int], ...], rounds: int) -> tuple[tuple[int, int], ...]:
    later = (each * _ROUND_S for each in range(rounds))
    return tuple((start + by, end + by) for by in later for start, end in spans)


def _lab(lab: Lab, rounds: int) -> Lab:
    """No credit is granted yet."""
    people = tuple(
        Operator(each.id, each.skills, _again(each.windows_s, rounds))
        for each in lab.operators or ()
    )
    hours = _again(lab.open_windows_s, rounds)
    return replace(lab, open_windows_s=hours, operators=people, credit_permille=0, trial_minor=0)


def demand(seed: int, network: Problem, days: int, jobs_a_day: int) -> list[tuple[Job, ...]]:
    """By day: what is ordered since the day before; some of it may begin days later only."""
    dice, machines = Random(seed * 7919 + 1), list(network.machines)
    return [
        tuple(_on(day, orders(dice, jobs_a_day, machines)))
        for day in range(days)
    ]  # fmt: skip


def _on(day: int, jobs: Iterator[Job]) -> Iterator[Job]:
    def named(name: str) -> str:
        return f"day-{day:02}/{name}"

    for job in jobs:
        yield replace(
            job,
            id=named(job.id),
            after=tuple(named(each) for each in job.after),
            keep_with=named(job.keep_with) if job.keep_with else None,
            release_s=job.release_s + day * DAY,
            due_s=None if job.due_s is None else job.due_s + day * DAY,
        )
