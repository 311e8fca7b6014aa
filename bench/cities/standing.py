"""A city with a plan that stands, jobs of its kind still to come, and a re-plan beside it all.

It promises that what is still to come was drawn with the city, by the same chance.
"""

import multiprocessing
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event

from bench.cities.generator import Asked, city_of
from bench.city import WORKERS
from scheduling.assign import Effort
from scheduling.city import Choice, City, Jobs, cost_of
from scheduling.citywide import Hands, Priced, priced, routed
from scheduling.reach import reach_of


@dataclass(frozen=True, eq=False)
class Planned:
    """`coming`: jobs that no plan knows yet."""

    city: City
    priced: Priced
    choice: Choice
    coming: Jobs

    @property
    def cost(self) -> int:
        return int(cost_of(self.city, self.choice).sum())


def planned_city(asked: Asked, coming: int, seconds: float, kicks: int = 10**12) -> Planned:
    """Searched for so many seconds of wall time after the prices; the last jobs are kept back.

    The load is that of the city as planned.
    """
    share = (asked.jobs + coming) / asked.jobs
    whole = city_of(replace(asked, jobs=asked.jobs + coming, load=asked.load * share))
    now, later = (_some(whole.jobs, part) for part in (slice(asked.jobs), slice(asked.jobs, None)))
    city = replace(whole, jobs=now)
    reach = reach_of(city)
    with ThreadPoolExecutor(WORKERS) as pool:
        found = priced(reach, Hands(WORKERS, pool.map))
        until_s = time.monotonic() + seconds
        effort = Effort(lambda: time.monotonic() >= until_s, asked.seed, kicks, WORKERS, pool.map)
        choice = routed(reach, found, effort)
    return Planned(city, found, choice, later)


def _some(jobs: Jobs, part: slice) -> Jobs:
    return Jobs(*(column[part] for column in vars(jobs).values()))


@contextmanager
def replanning(city: City, priced: Priced) -> Generator[None]:
    """In a process of its own, which has begun when this begins and is at it when this ends."""
    spawn = multiprocessing.get_context("spawn")
    begun, enough = spawn.Event(), spawn.Event()
    planner = spawn.Process(target=_replan, args=(city, priced, begun, enough), daemon=True)
    planner.start()
    while not begun.wait(1.0):
        if not planner.is_alive():
            raise RuntimeError("the re-plan ended before it began")
    try:
        yield
        if not planner.is_alive():
            raise RuntimeError("the re-plan ended before all was asked")
    finally:
        enough.set()
        planner.join()


def _replan(city: City, priced: Priced, begun: Event, enough: Event) -> None:
    reach = reach_of(city)
    begun.set()
    while not enough.is_set():
        routed(reach, priced, Effort(enough.is_set))
