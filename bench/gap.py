"""Routing's inner search on published assignment problems: our answer, its bound, the best known

DIR holds instances of the generalised assignment problem, as the OR-Library writes them: `agents
jobs`, a row of costs for each agent, a row of weights for each, the capacities; costs are to be
least. Two workers search with seeds of their own; the better answer counts. The seconds are wall
time, reading included; what numba compiles, it compiles before the first instance.

    ./run bench gap ../shared/data/scheduling/gap/yagiura2004 --seconds 60 --out answers --json
"""

import argparse
import csv
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import within
from scheduling.assign import Assignment, Effort, assign
from scheduling.cells import Cells, Ints, dense

_FORK: Final = multiprocessing.get_context("fork")
_WORKERS: Final = 2
_SPARE_S: Final = 0.15
PEERS: Final = ("CP_SAT", "GSCIP", "HIGHS")


class BadInstance(ValueError):
    """The file is no such problem; the message says what is wrong with it."""


@dataclass(frozen=True, eq=False)
class Instance:
    """`cost` and `weight`: jobs × agents."""

    name: str
    cost: Ints
    weight: Ints
    capacity: Ints

    def cells(self) -> Cells:
        """Leaving a job out is dearer than anything that may be gained by it."""
        return dense(self.cost, self.weight, self.capacity, 100 * int(self.cost.max()) + 1)

    def judged(self, agents: Ints) -> tuple[bool, int]:
        """Whether every job has an agent and none too much to do; what it costs."""
        jobs = np.arange(len(agents))
        if len(agents) != len(self.cost) or not (agents >= 0).all():
            return False, 0
        load = np.zeros(len(self.capacity), np.int64)
        np.add.at(load, agents, self.weight[jobs, agents])
        return bool((load <= self.capacity).all()), int(self.cost[jobs, agents].sum())


def read(path: Path) -> Instance:
    try:
        numbers = np.array(path.read_text(encoding="ascii").split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise BadInstance(f"{path}: not whole numbers throughout ({error})") from error
    if len(numbers) < 2 or (numbers[:2] < 1).any() or (numbers < 0).any():
        raise BadInstance(f"{path}: begin with the numbers of agents and jobs; none is below 0")
    agents, jobs = int(numbers[0]), int(numbers[1])
    cells = agents * jobs
    if len(numbers) != 2 + 2 * cells + agents:
        raise BadInstance(
            f"{path}: {agents} agents and {jobs} jobs need {2 + 2 * cells + agents} numbers,"
            f" there are {len(numbers)}"
        )
    cost, weight = numbers[2 : 2 + cells], numbers[2 + cells : 2 + 2 * cells]
    table = (np.ascontiguousarray(each.reshape(agents, jobs).T) for each in (cost, weight))
    return Instance(path.stem, *table, numbers[2 + 2 * cells :].copy())


def best_known(folder: Path) -> dict[str, int]:
    """By instance, from the `best_known.csv` above the folder; the family is the folder's name."""
    for above in (folder, *folder.resolve().parents):
        if (above / "best_known.csv").is_file():
            with (above / "best_known.csv").open(newline="") as file:
                rows = [row for row in csv.reader(file) if len(row) > 2 and row[2].isdigit()]
            family = folder.resolve().name
            return {row[1]: int(row[2]) for row in rows if row[0].endswith(family)}
    return {}


def solved(path: Path, seconds: float) -> tuple[Instance, Assignment]:
    """By two workers at once, each in a process of its own."""
    until_s = time.monotonic() + seconds - _SPARE_S
    instance = read(path)
    with _FORK.Pool(_WORKERS) as pool:
        found = pool.starmap(_searched, [(instance, seed, until_s) for seed in range(_WORKERS)])
    return instance, min(found, key=lambda each: each.cost)


def _searched(instance: Instance, seed: int, until_s: float) -> Assignment:
    return assign(instance.cells(), Effort(lambda: time.monotonic() >= until_s, seed=seed))


def _warm() -> None:
    """So that the first instance does not pay for what is compiled once."""
    ones = np.ones((3, 2), np.int64)
    few = Instance("warm", ones, ones, np.array([2, 2], np.int64))
    assign(few.cells(), Effort(lambda: False, kicks=1000))


def peer(name: str, instance: Instance, seconds: float) -> dict[str, Any]:
    """The whole model by a solver of OR-Tools, in as much wall time; HiGHS chooses its threads."""
    from datetime import timedelta

    from ortools.math_opt.python import mathopt

    model = mathopt.Model()
    jobs, agents = instance.cost.shape
    x = [[model.add_binary_variable() for _ in range(agents)] for _ in range(jobs)]
    for row in x:
        model.add_linear_constraint(mathopt.fast_sum(row) == 1)
    for i in range(agents):
        load = mathopt.fast_sum(int(instance.weight[j, i]) * x[j][i] for j in range(jobs))
        model.add_linear_constraint(load <= int(instance.capacity[i]))
    model.minimize(
        mathopt.fast_sum(int(instance.cost[j, i]) * x[j][i] for j in range(jobs)
                         for i in range(agents))
    )  # fmt: skip
    threads = None if name == "HIGHS" else _WORKERS  # HiGHS takes its own number
    limits = mathopt.SolveParameters(time_limit=timedelta(seconds=seconds), threads=threads)
    began_s = time.monotonic()
    result = mathopt.solve(model, mathopt.SolverType[name], params=limits)
    told: dict[str, Any] = {"wall_seconds": round(time.monotonic() - began_s, 2)}
    if result.has_primal_feasible_solution():
        told["objective"] = round(result.objective_value())
    return told


def _cpu_s() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def lines(paths: list[Path], asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    known = best_known(asked.dir)
    for path in paths:
        wall_s, cpu_s = time.monotonic(), _cpu_s()
        instance, found = solved(path, asked.seconds)
        feasible, cost = instance.judged(found.bin)
        told: dict[str, Any] = {
            "instance": instance.name,
            "objective": cost if feasible else None,
            "bound": round(found.bound, 3),
            "feasible": feasible,
            "gap_to_best_known_percent": _gap(cost, known.get(instance.name)) if feasible else None,
            "cpu_seconds": round(_cpu_s() - cpu_s, 2),
            "wall_seconds": round(time.monotonic() - wall_s, 2),
            "kicks": found.kicks,
        }
        if asked.out is not None and feasible:
            name = asked.out / f"{instance.name}.assignment"
            name.write_text(" ".join(map(str, found.bin)) + "\n")
        for name in asked.peer:
            with _FORK.Pool(1) as pool:
                other = pool.apply(peer, (name, instance, asked.seconds))
            other["gap_to_best_known_percent"] = _gap(
                other.get("objective"), known.get(instance.name)
            )
            told.setdefault("peers", {})[name] = other
        yield told


def _gap(cost: int | None, best: int | None) -> float | None:
    return None if cost is None or not best else round(100 * (cost - best) / best, 4)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run bench gap",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="a folder of instances")
    parser.add_argument(
        "--seconds", type=within(0.5, 86_400, " s"), default=60.0, help="of wall time for each"
    )
    parser.add_argument("--out", type=Path, metavar="DIR2", help="NAME.assignment goes there")
    parser.add_argument("--only", action="append", metavar="NAME", help="this one; again for more")
    parser.add_argument(
        "--peer",
        action="append",
        choices=PEERS,
        default=[],
        help="beside us, as long; again for more",
    )
    parser.add_argument("--json", action="store_true", help="one JSON line an instance")
    asked = parser.parse_args()
    if not asked.dir.is_dir():
        parser.error(f"{asked.dir} is no folder")
    paths = sorted(p for p in asked.dir.iterdir() if p.is_file() and not p.name.startswith("."))
    paths = [p for p in paths if asked.only is None or p.stem in asked.only]
    if not paths:
        parser.error(f"no such instances in {asked.dir}")
    try:
        for path in paths:
            read(path)  # a bad one is told before the first is solved
    except BadInstance as why:
        parser.error(f"{why}; --only NAME leaves others out")
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _warm()
    print(f"{len(paths)} instances, {asked.seconds:g} s each", file=sys.stderr)
    told: list[dict[str, Any]] = []
    for each in lines(paths, asked):
        told.append(each)
        print(json.dumps(each) if asked.json else _row(each), flush=True)
    gaps = [g for each in told if (g := each["gap_to_best_known_percent"]) is not None]
    feasible = sum(each["feasible"] for each in told)
    if gaps:
        print(
            f"{feasible} of {len(told)} feasible; to the best known: mean {np.mean(gaps):.3f} %,"
            f" worst {max(gaps):.3f} %",
            file=sys.stderr,
        )
    return 0 if feasible == len(told) else 1


def _row(told: dict[str, Any]) -> str:
    others = "".join(
        f"  {name} {each.get('gap_to_best_known_percent')} %"
        for name, each in told.get("peers", {}).items()
    )
    gap = told["gap_to_best_known_percent"]
    return (
        f"{told['instance']:10} {told['objective'] or 'not feasible':>12}"
        f"  bound {told['bound']:12.1f}  gap {'-' if gap is None else f'{gap:.3f} %'}"
        f"  {told['wall_seconds']:5.1f} s wall {told['cpu_seconds']:6.1f} s cpu{others}"
    )


if __name__ == "__main__":
    sys.exit(main())
