"""Small cities solved to the end by CP-SAT: how much of a gap to the bound no plan can close.

Every capable machine and bucket is in the model, none left out. It promises the optimum where it
says "proved"; it never runs longer than its limit for each city.
"""

import json
import time
from statistics import fmean, median
from typing import Any, Final

import numpy as np
from ortools.sat.python import cp_model

from bench.cities.generator import Asked, city_of
from scheduling.assign import Effort
from scheduling.cells import Cells
from scheduling.city import cost_of
from scheduling.citywide import Hands, cells_of, priced, routed
from scheduling.reach import cheapest, reach_of

SIZES: Final = ((30, 3, 1), (40, 4, 1), (50, 5, 2), (60, 6, 2))
_LIMIT_S: Final = 30.0
_KICKS: Final = 20_000


def told(cities: int, seed: int, load: float, place: str, *, as_json: bool) -> int:
    """Prints a line a city and the means over those that were proved; 1 if none was."""
    rows: list[dict[str, Any]] = []
    for k in range(cities):
        rows.append(solved(Asked(seed + k, *SIZES[k % len(SIZES)], load, place)))
        print(json.dumps(rows[-1]) if as_json else _shown(rows[-1]), flush=True)
    proved = [row for row in rows if row["proved"]]
    if proved and not as_json:
        print(
            f"{len(proved)} of {len(rows)} proved; their optima are above the bound by"
            f" {_told(proved, 'integrality_percent')}, our plans above the optimum by"
            f" {_told(proved, 'above_optimum_percent')}"
        )
    return 0 if proved else 1


def solved(asked: Asked) -> dict[str, Any]:
    city = city_of(asked)
    reach = reach_of(city)
    found = priced(reach, Hands())
    ours = int(cost_of(city, routed(reach, found, Effort(lambda: False, kicks=_KICKS))).sum())
    all_ways, _ = cheapest(reach, np.zeros(city.machines.hours_s.shape), city.machines.hours_s.size)
    began_s = time.process_time()
    optimum, proved = optimum_of(cells_of(city, all_ways), ours)
    return {
        "jobs": asked.jobs,
        "machines": asked.machines,
        "seed": asked.seed,
        "bound": round(found.bound, 2),
        "ours": ours,
        "best": optimum,
        "proved": proved,
        "integrality_percent": round(100 * (optimum - found.bound) / found.bound, 4),
        "above_optimum_percent": round(100 * (ours - optimum) / optimum, 4),
        "solver_cpu_seconds": round(time.process_time() - began_s, 2),
    }


def optimum_of(cells: Cells, at_most: int) -> tuple[int, bool]:
    """The least cost, or the least found in the time, and whether that is proved."""
    model = cp_model.CpModel()
    weighs: dict[tuple[int, int], list[Any]] = {}
    costs: list[Any] = []
    for j in range(cells.jobs):
        out = model.new_bool_var("")
        costs.append(out * int(cells.unplaced[j]))
        choices = [out]
        for i, b, cost, weight in zip(*(t[j].tolist() for t in _tables(cells)), strict=True):
            if i >= 0:
                choices.append(model.new_bool_var(""))
                costs.append(choices[-1] * cost)
                weighs.setdefault((i, b), []).append(choices[-1] * weight)
        model.add_exactly_one(choices)
    for i, capacity in enumerate(cells.capacity.tolist()):
        carried: list[Any] = []
        for b, most in enumerate(capacity):
            carried = carried + weighs.get((i, b), [])
            model.add(sum(carried) <= most)
    model.add(sum(costs) <= at_most)
    model.minimize(sum(costs))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = _LIMIT_S
    status = solver.solve(model)
    if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        return at_most, False
    return min(at_most, round(solver.objective_value)), status == cp_model.OPTIMAL


def _tables(cells: Cells) -> tuple[Any, ...]:
    return cells.bins, cells.row, cells.cost, cells.weight


def _told(rows: list[dict[str, Any]], what: str) -> str:
    """A tiny city or two may be most of a mean."""
    values = [row[what] for row in rows]
    return (
        f"{fmean(values):.3f} % (mean), {median(values):.3f} % (median), {max(values):.3f} % (most)"
    )


def _shown(row: dict[str, Any]) -> str:
    return (
        f"{row['jobs']:4} jobs {row['machines']:3} machines, seed {row['seed']}:"
        f" bound {row['bound']:,.0f}, ours {row['ours']:,}, best {row['best']:,}"
        f" {'proved' if row['proved'] else 'not proved'};"
        f" best above bound {row['integrality_percent']:.3f} %,"
        f" ours above best {row['above_optimum_percent']:.3f} %,"
        f" {row['solver_cpu_seconds']:.1f} s CPU"
    )
