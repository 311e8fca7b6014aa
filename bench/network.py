"""The everyday case: a city's week, planned, checked and explained, beside today's practice

Thirty labs, two hundred machines and two thousand open jobs are made up from a seed, with opening
hours, people, reservations, changeovers, plates, power and pay floors (bench/networks/made.py). The
seconds are wall time with two workers, from the problem to the checked plan; what numba compiles,
it compiles before. The bound is proved by prices of hours over all ways of all jobs; it knows
nothing of people, changeovers and beds, so that part of the gap to it no plan can close. With
--best the plan is searched for as long, and the first one is held against that.

    ./run bench network --seed 1 --best 3600
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from bench import at_least_one, within
from bench.networks.made import network
from scheduling import Limits, Plan, Problem, moved, runner_up, solve, verify
from scheduling.board import LEAST, MACHINE, MINOR, VALUE, Facts, total_minor
from scheduling.cards import Cards, lay_out
from scheduling.distance import job_distance_m
from scheduling.hours import bounding
from scheduling.mend import insert_all
from scheduling.prices import capacity_prices
from scheduling.routing import candidates, relaxed, smallest_relaxation

_WORKERS: Final = 2
_SHARE_OF_SEARCH: Final = 0.88
"""The rest is for writing the plan down and checking it."""


def planned(problem: Problem, seconds: float, seed: int) -> Plan:
    began_s = time.monotonic()
    until_s = began_s + seconds * _SHARE_OF_SEARCH
    with ThreadPoolExecutor(_WORKERS) as pool:
        limits = Limits(
            seconds=1e6, seed=seed, should_stop=lambda: time.monotonic() >= until_s,
            workers=_WORKERS, at_once=pool.map,
        )  # fmt: skip
        return solve(problem, limits)


def practice(cards: Cards, *, nearest: bool) -> tuple[int, int]:
    """First come, first served: each job where it costs least, or at the nearest with room.

    What that costs, by the same lines, and how many jobs it leaves out.
    """
    facts = cards.facts
    if nearest:
        facts = _by_distance(cards)
    s = cards.empty()
    first_come = sorted(range(len(cards.jobs)), key=lambda at: (cards.jobs[at].release_s, at))
    insert_all(facts, s, first_come, {})
    return total_minor(cards.facts, s), len(cards.left_out(s))


def _by_distance(cards: Cards) -> Facts:
    ways, jobs = cards.facts.ways.copy(), cards.facts.jobs.copy()
    for at, job in enumerate(cards.jobs):
        for way in cards.ways(at):
            machine = cards.machines[int(ways[way, MACHINE])]
            ways[way, MINOR] = 100 * job_distance_m(cards.problem, job, machine.lab)
    ways[:, LEAST] = 0
    jobs[:, VALUE] = 10**15
    return cards.facts._replace(ways=ways, jobs=jobs)


def untrue(problem: Problem, plan: Plan, many: int) -> Iterator[str]:
    """Explanations that do not hold: the runner-up is tried, the refusal's remedy applied."""
    step = max(1, len(plan.assignments) // many)
    for spot in plan.assignments[::step]:
        found = runner_up(problem, plan, spot.job)
        if found is None or found.delays:
            continue
        after = moved(problem, plan, spot.job, found.other)
        faults = [each for each in verify(problem, after) if each.kind != "needless"]
        rise = after.objective_minor - plan.objective_minor
        if faults or rise != found.extra_minor:
            yield f"{spot.job}: said {found.extra_minor}, is {rise}; {faults[:2]}"
    for left in plan.unplaced:
        job = problem.job[left.job]
        remedy = smallest_relaxation(job, problem)
        if remedy and not candidates(relaxed(job, remedy), problem).machines:
            yield f"{left.job}: its remedy does not help"


def _used() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measured(asked: argparse.Namespace) -> dict[str, Any]:
    problem = network(asked.seed, asked.labs, asked.machines, asked.jobs)
    cpu_s, wall_s = _used()[0], time.monotonic()
    plan = planned(problem, asked.seconds, asked.seed)
    faults = verify(problem, plan)
    told: dict[str, Any] = {
        "seed": asked.seed,
        "labs": asked.labs,
        "machines": asked.machines,
        "jobs": asked.jobs,
        "objective_minor": plan.objective_minor,
        "left_out": len(plan.unplaced),
        "on_plates": sum(1 for each in plan.assignments if each.on_plate_um),
        "wall_seconds": round(time.monotonic() - wall_s, 2),
        "cpu_seconds": round(_used()[0] - cpu_s, 2),
        "peak_mb": round(_used()[1]),
        "faults": [fault.message for fault in faults],
    }
    cards = lay_out(problem)
    for name, nearest in (("nearest", True), ("cheapest", False)):
        minor, out = practice(cards, nearest=nearest)
        more = 100 * (minor - plan.objective_minor) / plan.objective_minor
        told[name] = {"objective_minor": minor, "left_out": out, "dearer_percent": round(more, 2)}
    bound = capacity_prices(bounding(cards)).bound
    told["bound_minor"] = round(bound)
    told["gap_to_bound_percent"] = round(100 * (plan.objective_minor - bound) / bound, 2)
    if asked.best:
        best = planned(replace(problem), asked.best, asked.seed + 1)
        more = 100 * (plan.objective_minor - best.objective_minor) / best.objective_minor
        told["best_known_minor"] = best.objective_minor
        told["best_known_seconds"] = asked.best
        told["gap_to_best_known_percent"] = round(more, 2)
    told["explained"] = min(asked.explained, len(plan.assignments))
    told["untrue"] = list(untrue(problem, plan, asked.explained)) if asked.explained else []
    return told


def _row(told: dict[str, Any]) -> str:
    size = ", ".join(f"{told[name]} {name}" for name in ("labs", "machines", "jobs"))
    ours = (
        f"  ours      {told['objective_minor']:>10}  {told['left_out']} left out,"
        f" {told['on_plates']} share a plate; {told['wall_seconds']} s wall,"
        f" {told['cpu_seconds']} s cpu, {told['peak_mb']} MB"
    )
    lines = [f"{size}, seed {told['seed']}", ours]
    for name in ("cheapest", "nearest"):
        other = told[name]
        lines.append(
            f"  {name:9} {other['objective_minor']:>10}  {other['left_out']} left out,"
            f" {other['dearer_percent']} % dearer"
        )
    lines.append(
        f"  bound     {told['bound_minor']:>10}  ours is {told['gap_to_bound_percent']} % above"
    )
    if "best_known_minor" in told:
        lines.append(
            f"  best      {told['best_known_minor']:>10}  after {told['best_known_seconds']:g} s;"
            f" ours is {told['gap_to_best_known_percent']} % above"
        )
    lines.append(
        f"  {len(told['faults'])} rules broken; {told['explained']} explanations tried,"
        f" {len(told['untrue'])} not true"
    )
    return "\n".join(lines + told["faults"][:5] + told["untrue"][:5])


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="./run bench network",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1)
    for name, many in (("labs", 30), ("machines", 200), ("jobs", 2000)):
        parser.add_argument(f"--{name}", type=at_least_one, default=many)
    parser.add_argument(
        "--seconds", type=within(0, 86_400, " s"), default=5.0, help="of wall time; 5"
    )
    parser.add_argument("--best", type=within(0, 86_400, " s"), default=0.0, metavar="SECONDS",
                        help="search as long for the best known; 0: do not")  # fmt: skip
    parser.add_argument("--explained", type=int, default=60, metavar="N",
                        help="how many explanations to try; 60")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object")
    asked = parser.parse_args(words)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    planned(network(0, 4, 20, 90), 1, 0)
    bounding(lay_out(network(0, 2, 4, 5)))
    told = measured(asked)
    print(json.dumps(told) if asked.json else _row(told))
    return 1 if told["faults"] or told["untrue"] else 0


if __name__ == "__main__":
    sys.exit(main())
