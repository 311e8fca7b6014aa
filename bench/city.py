"""A whole city routed: cost, bound and gap beside today's practice, unplaced, seconds and memory

A city is made up at a real place from the seed (bench/cities/generator.py says how), routed, judged
by a checker that shares no code with the planner, and served as today: each job, as it arrives, to
the nearest machine with room, and to the cheapest. The peers may look at every machine; like for
like counts the jobs that both place, and again without the material, which costs the same
everywhere. The bound holds for the whole city, not only for the machines that were looked at. The
seconds are wall time with two threads: making the city, ways, prices and search; what numba
compiles is compiled before, and the peers and the checker come after.

    ./run bench city --jobs 100000 --machines 10000 --labs 1000 --load 0.8 --seconds 30
    ./run bench city --dump city.json --plan plan.json
    ./run bench city --check city.json plan.json
    ./run bench city --exact 20
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import at_least_one, within
from bench.cities import check, exact
from bench.cities.files import dumped, planned
from bench.cities.generator import PLACES, Asked, city_of, load_of
from bench.cities.peers import PEERS, choice_of
from scheduling.assign import Effort
from scheduling.city import Choice, City, cost_of
from scheduling.citywide import Hands, Priced, priced, routed
from scheduling.reach import STEPS, Reach, reach_of, refusals

WORKERS: Final = 2
_SPARE_SHARE: Final = 0.01
_PRICE_SHARE: Final = 0.6


@dataclass
class Clock:
    """Wall and CPU seconds of each phase, in order."""

    phases: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        wall_s, cpu_s = time.monotonic(), time.process_time()
        yield
        self.phases[name] = (time.monotonic() - wall_s, time.process_time() - cpu_s)

    def total(self) -> tuple[float, float]:
        wall_s, cpu_s = zip(*self.phases.values(), strict=True)
        return sum(wall_s), sum(cpu_s)


@dataclass(frozen=True, eq=False)
class Run:
    """A city, how it was priced and routed, and what that took."""

    city: City
    reach: Reach
    priced: Priced
    choice: Choice
    clock: Clock
    peak_mb: float

    @property
    def cost(self) -> int:
        return int(cost_of(self.city, self.choice).sum())

    @property
    def gap_percent(self) -> float:
        bound = self.priced.bound
        return 100 * (self.cost - bound) / bound if bound > 0 else 0.0


def run(asked: Asked, seconds: float, kicks: int = 10**12) -> Run:
    """Two threads; the answer depends on the time or the kicks there are, and the bound on whether
    its prices were done within their share of the time.
    """
    begun_s, clock = time.monotonic(), Clock()
    until_s, priced_s = (begun_s + seconds * share for share in (1 - _SPARE_SHARE, _PRICE_SHARE))
    with ThreadPoolExecutor(WORKERS) as pool:
        with clock.phase("city"):
            city = city_of(asked)
        with clock.phase("reach"):
            reach = reach_of(city)
        with clock.phase("prices"):
            found = priced(reach, Hands(WORKERS, pool.map), lambda: time.monotonic() >= priced_s)
        with clock.phase("search"):
            effort = Effort(
                lambda: time.monotonic() >= until_s,
                seed=asked.seed,
                kicks=kicks,
                workers=WORKERS,
                at_once=pool.map,
            )
            choice = routed(reach, found, effort)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Run(city, reach, found, choice, clock, peak_mb)


def warm() -> None:
    """So that no city pays for what is compiled once."""
    run(Asked(0, 60, 6, 2, 0.8), 1.0)


def told(asked: Asked, one: Run) -> dict[str, Any]:
    verdict = check.judged(
        dumped(one.city),
        planned(one.choice, one.cost, one.priced.bound, one.priced.price),
        with_bound=False,
    )
    wall_s, cpu_s = one.clock.total()
    return {
        **vars(asked),
        "measured_load": _rounded(load_of(one.city), 4),
        "cost_minor": one.cost,
        "bound_minor": round(one.priced.bound, 2),
        "gap_percent": round(one.gap_percent, 4),
        "unplaced": verdict.unplaced,
        "could_be_placed": verdict.could_be_placed,
        "late": int((one.choice.bucket > one.city.jobs.due).sum()),
        "faults": list(verdict.faults),
        "refused": refused(one),
        "wall_seconds": round(wall_s, 2),
        "cpu_seconds": round(cpu_s, 2),
        "phases": {name: _rounded(spent, 2) for name, spent in one.clock.phases.items()},
        "peak_mb": round(one.peak_mb),
    }


def refused(one: Run) -> dict[str, int]:
    """Who could go nowhere even if alone, by the step at which the last machine falls out."""
    left = refusals(one.reach, np.flatnonzero(one.choice.machine < 0))
    steps = (left > 0).sum(axis=1)
    return {name: n for k, name in enumerate(STEPS) if (n := int((steps == k).sum()))}


def beside(one: Run) -> dict[str, Any]:
    """Each peer: its total, what it leaves out, and how much cheaper we are on what both place."""
    ours = cost_of(one.city, one.choice)
    rows: dict[str, Any] = {}
    for peer in PEERS:
        cpu_s = time.process_time()
        choice = choice_of(peer, one.reach)
        cpu_s = time.process_time() - cpu_s
        theirs = cost_of(one.city, choice)
        both = (choice.machine >= 0) & (one.choice.machine >= 0)
        material = int(one.city.jobs.material_minor[both].sum())
        mine, other = int(ours[both].sum()), int(theirs[both].sum())
        rows[peer] = {
            "cost_minor": int(theirs.sum()),
            "unplaced": int((choice.machine < 0).sum()),
            "late": int((choice.bucket > one.city.jobs.due).sum()),
            "dearer_percent": _dearer(other, mine),
            "dearer_without_material_percent": _dearer(other - material, mine - material),
            "cpu_seconds": round(cpu_s, 2),
        }
    return rows


def _dearer(other: int, mine: int) -> float | None:
    return round(100 * (other - mine) / mine, 2) if mine else None


def _rounded(numbers: tuple[float, ...], digits: int) -> list[float]:
    return [round(number, digits) for number in numbers]


def shown(row: dict[str, Any]) -> str:
    load, *by_process = row["measured_load"]
    loads = ", ".join(f"{each:.3f}" for each in by_process)
    phases = ", ".join(f"{name} {w:.1f} / {c:.1f}" for name, (w, c) in row["phases"].items())
    lines = [
        "{place}, seed {seed}: {jobs} jobs, {machines} machines, {labs} labs".format(**row),
        f"load       {load:.3f} within the week; printing, milling, laser {loads}",
        "cost       {cost_minor:,}   bound {bound_minor:,.0f} (whole city)"
        "   gap {gap_percent:.3f} %".format(**row),
        "unplaced   {unplaced}, of which could be placed {could_be_placed}   late {late}"
        "   refused {refusals}".format(**row, refusals=row["refused"] or "none"),
        "seconds    {wall_seconds:.1f} wall, {cpu_seconds:.1f} CPU: ".format(**row) + phases,
        f"memory     {row['peak_mb']} MB at most",
    ]
    for name, peer in row["peers"].items():
        lines.append(
            f"{name:10} {peer['cost_minor']:,}   unplaced {peer['unplaced']}   late {peer['late']};"
            f" on jobs placed by both {peer['dearer_percent']} % dearer than ours,"
            f" without material {peer['dearer_without_material_percent']} %"
        )
    return "\n".join([*lines, *(f"fault: {fault}" for fault in row["faults"])])


def main() -> int:
    parser = _parser()
    asked = parser.parse_args()
    if asked.check is not None:
        return check.told(*asked.check)
    if asked.machines < asked.labs:
        parser.error(f"{asked.labs} labs need at least as many machines, not {asked.machines}")
    if asked.exact is not None:
        return exact.told(asked.exact, asked.seed, asked.load, asked.city, as_json=asked.json)
    for path in (asked.dump, asked.plan):
        if path is not None and not path.parent.is_dir():
            parser.error(f"{path.parent} is no folder")
    warm()
    wanted = Asked(asked.seed, asked.jobs, asked.machines, asked.labs, asked.load, asked.city)
    one = run(wanted, asked.seconds)
    row = {**told(wanted, one), "peers": beside(one)}
    _keep(asked.dump, dumped(one.city))
    _keep(asked.plan, planned(one.choice, one.cost, one.priced.bound, one.priced.price))
    print(json.dumps(row) if asked.json else shown(row))
    return 1 if row["faults"] else 0


def _keep(path: Path | None, value: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(value, separators=(",", ":")) + "\n", encoding="ascii")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run bench city",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add("--seed", type=int, default=1, help="of the city (default 1)")
    add("--jobs", type=at_least_one, default=2000, metavar="N", help="default 2000")
    add("--machines", type=at_least_one, default=200, metavar="M", help="default 200")
    add("--labs", type=at_least_one, default=30, metavar="L", help="default 30")
    add("--load", type=within(0.05, 2.0, ""), default=0.8, metavar="X", help="default 0.8")
    add("--city", choices=sorted(PLACES), default="paris", help="default paris")
    add("--seconds", type=within(0.5, 86_400, " s"), default=5.0, help="of wall time (default 5)")
    add("--dump", type=Path, metavar="FILE", help="the city as JSON (docs/city-format.md)")
    add("--plan", type=Path, metavar="FILE", help="the plan as JSON, with the prices of its bound")
    add("--json", action="store_true", help="one JSON object instead of words")
    add("--check", nargs=2, type=Path, metavar=("DUMP", "PLAN"), help="say what is wrong with them")
    add("--exact", type=at_least_one, metavar="K", help="solve K small cities to the end instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
