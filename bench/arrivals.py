"""Orders that come in, and a machine that fails, in a city whose plan stands: seconds, moves, gap

A city is made up and planned as `./run bench city` does; jobs of its kind are kept back. Then they
come, all at once: each gets its best machines under the prices of the plan, then a place by chains
that may move others, and whoever moves from where the plan put them costs the plan extra. The bound
is worked out anew, before and after by the better of the old prices and new ones. Then the machine
with the longest queue fails, and its jobs are placed elsewhere. What is written down for being
asked (the standing plan, the tables of the snapshot) is made once before and told apart; what numba
compiles is compiled before.

    ./run bench arrivals --jobs 100000 --machines 10000 --labs 1000 --new 100
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import numpy as np

from bench import at_least_one
from bench.cities import check
from bench.cities.files import dumped, planned
from bench.cities.generator import Asked
from bench.cities.standing import Planned, planned_city
from bench.city import WORKERS, warm
from scheduling.city import City, cost_of
from scheduling.citywide import Hands, priced
from scheduling.reach import cheapest, reach_of
from scheduling.repair import Terms
from scheduling.standing import Change, StandingCity

_FEW: Final = Asked(0, 60, 6, 2, 0.8)
_Result = TypeVar("_Result")


def clocked(work: Callable[[], _Result]) -> tuple[_Result, dict[str, float]]:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    result = work()
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return result, {"wall_ms": round(1000 * wall_s, 2), "cpu_ms": round(1000 * cpu_s, 2)}


def bounds(one: Planned, grown: City) -> list[float]:
    """Before and after, each by the better of the old prices and new ones: any prove a bound, and
    what one of them proves worse by chance must not look like a gap that falls or rises.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        hands = Hands(WORKERS, pool.map)
        prices = (one.priced.price, priced(reach_of(grown), hands).price)
        return [
            max(cheapest(reach, price, 1, None, WORKERS, pool.map)[1] for price in prices)
            for reach in (reach_of(one.city), reach_of(grown))
        ]


def told(change: Change, planned_jobs: int) -> dict[str, Any]:
    return {
        "placed": int((change.machine[change.job >= planned_jobs] >= 0).sum()),
        "moved": change.moved,
        "moved_percent": round(100 * change.moved / planned_jobs, 4),
        "left_out": len(change.left_out),
    }


def measured(asked: Asked, new: int, seconds: float, terms: Terms) -> dict[str, Any]:
    warm()
    few = planned_city(_FEW, 3, 0.0, kicks=0)
    rehearsed = StandingCity(few.city, few.priced, few.choice, terms)
    rehearsed.arrive(few.coming)
    rehearsed.fail(0)
    one = planned_city(asked, new, seconds)
    stands, made = clocked(lambda: StandingCity(one.city, one.priced, one.choice, terms))
    arrived = _arrived(one, stands)
    failed = _failed(stands, asked.jobs)
    return {**vars(asked), "new": new, "made": made, "arrived": arrived, "failed": failed}


def _arrived(one: Planned, stands: StandingCity) -> dict[str, Any]:
    change, spent = clocked(lambda: stands.arrive(one.coming))
    costs = (one.cost, change.cost)
    gaps = zip(costs, bounds(one, stands.city), strict=True)
    before, after = (100 * (cost / bound - 1) for cost, bound in gaps)
    return {
        **spent, **told(change, len(one.city.jobs.due)),
        "gap_before_percent": round(before, 4), "gap_after_percent": round(after, 4),
        "gap_rise_points": round(after - before, 4), "faults": faults(stands, change.cost),
    }  # fmt: skip


def _failed(stands: StandingCity, planned_jobs: int) -> dict[str, Any]:
    """The machine with most jobs."""
    choice = stands.choice
    placed = choice.machine[choice.machine >= 0]
    machine = int(np.bincount(placed).argmax())
    queue = int((placed == machine).sum())
    before = int(cost_of(stands.city, choice).sum())
    change, spent = clocked(lambda: stands.fail(machine))
    row = told(change, planned_jobs)
    del row["placed"]
    return {
        **spent, "queue": queue, **row, "dearer_minor": change.cost - before,
        "faults": faults(stands, change.cost),
    }  # fmt: skip


def faults(stands: StandingCity, cost: int) -> list[str]:
    """By the checker that shares no code with the planner."""
    plan = planned(stands.choice, cost, 0.0, np.zeros(stands.city.machines.hours_s.shape))
    return list(check.judged(dumped(stands.city), plan, with_bound=False).faults)


def shown(row: dict[str, Any]) -> str:
    return "\n".join([
        "{place}, seed {seed}: {jobs} jobs, {machines} machines, {labs} labs, load {load}; made"
        " ready in {wall} ms wall, {cpu} ms CPU".format(
            **row, wall=row["made"]["wall_ms"], cpu=row["made"]["cpu_ms"]
        ),
        "{new} new    {wall_ms} ms wall, {cpu_ms} ms CPU; {placed} placed, {left_out} left out;"
        " {moved} others moved ({moved_percent} %)".format(new=row["new"], **row["arrived"]),
        "gap         {gap_before_percent} % before, {gap_after_percent} % after:"
        " {gap_rise_points:+} points".format(**row["arrived"]),
        "a failure   {wall_ms} ms wall, {cpu_ms} ms CPU; {queue} jobs re-placed but {left_out};"
        " {moved} others moved ({moved_percent} %); {dearer_minor} dearer".format(**row["failed"]),
        *(f"fault: {each}" for each in row["arrived"]["faults"] + row["failed"]["faults"]),
    ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run bench arrivals",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add("--seed", type=int, default=1, help="of the city and of what comes (default 1)")
    add("--jobs", type=at_least_one, default=100_000, metavar="N", help="default 100000")
    add("--machines", type=at_least_one, default=10_000, metavar="M", help="default 10000")
    add("--labs", type=at_least_one, default=1000, metavar="L", help="default 1000")
    add("--new", type=at_least_one, default=100, metavar="K", help="jobs that come (default 100)")
    add("--seconds", type=at_least_one, default=30, help="of search for the plan (default 30)")
    add("--move-minor", type=int, default=100, help="what moving a job costs (default 100)")
    add("--looks", type=int, default=100, help="jobs near a change looked at (default 100)")
    add("--json", action="store_true", help="one JSON object instead of words")
    asked = parser.parse_args()
    if asked.machines < asked.labs:
        parser.error(f"{asked.labs} labs need at least as many machines, not {asked.machines}")
    city = Asked(asked.seed, asked.jobs, asked.machines, asked.labs, 0.8)
    row = measured(city, asked.new, asked.seconds, Terms(asked.move_minor, asked.looks))
    print(json.dumps(row) if asked.json else shown(row))
    return 1 if row["arrived"]["faults"] or row["failed"]["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
