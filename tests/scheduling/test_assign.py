"""Routing's inner search: what it answers is possible, bounded from below, and always the same."""

import itertools
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.gap import BadInstance, best_known, read
from scheduling.assign import Assignment, Effort, assign
from scheduling.cells import Cells, CellsError, dense
from scheduling.prices import capacity_prices

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(300)


def effort(kicks: int = 1000, seed: int = 1) -> Effort:
    return Effort(lambda: False, seed=seed, kicks=kicks)


def city(seed: int, jobs: int, bins: int, load: float) -> Cells:
    chance = np.random.default_rng(seed)
    weight = chance.integers(1, 30, (jobs, bins))
    cost = chance.integers(1, 60, (jobs, bins))
    capacity = np.full(bins, int(weight.mean() * jobs / bins / load), np.int64)
    return dense(cost, weight, capacity, 500)


def town(seed: int, jobs: int, bins: int, load: float, rows: int = 3) -> Cells:
    """Each job is due in one row and may be late in those after it, dearer by the lateness."""
    chance = np.random.default_rng(seed)
    weight = np.repeat(chance.integers(1, 30, (jobs, bins)), rows, axis=1)
    row = np.tile(np.arange(rows), (jobs, bins))
    due = chance.integers(0, rows, (jobs, 1))
    where = np.repeat(np.arange(bins), rows) * np.ones((jobs, 1), np.int64)
    cost = np.repeat(chance.integers(1, 60, (jobs, bins)), rows, axis=1) + 9 * (row - due)
    whole = weight.mean() * jobs / bins / load
    share = np.sort(chance.uniform(0.2, 1.0, (bins, rows)), axis=1)
    capacity = (whole * share / share[:, -1:]).astype(np.int64)
    bins_or_none = np.where(row >= due, where, -1)
    return Cells(bins_or_none, row, cost, weight, capacity, np.full(jobs, 500, np.int64))


def cheapest(cells: Cells) -> int:
    """Every assignment, left out or not, tried."""
    jobs, ways = cells.bins.shape
    least = 10**9
    for choice in itertools.product(range(-1, ways), repeat=jobs):
        load, cost = np.zeros_like(cells.capacity), 0
        for j, q in enumerate(choice):
            if q < 0:
                cost += int(cells.unplaced[j])
            elif cells.bins[j, q] < 0:
                cost += 10**9
            else:
                load[cells.bins[j, q], cells.row[j, q] :] += cells.weight[j, q]
                cost += int(cells.cost[j, q])
        if (load <= cells.capacity).all():
            least = min(least, cost)
    return least


def judge(cells: Cells, found: Assignment) -> None:
    """What it says of itself is so."""
    load, cost = np.zeros_like(cells.capacity), 0
    for j, (i, row) in enumerate(zip(found.bin, found.row, strict=True)):
        if i < 0:
            cost += int(cells.unplaced[j])
            continue
        [q] = np.flatnonzero((cells.bins[j] == i) & (cells.row[j] == row))
        load[i, row:] += cells.weight[j, q]
        cost += int(cells.cost[j, q])
    assert (load <= cells.capacity).all()
    assert found.cost == cost
    assert found.bound <= cost + 1e-6


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 3), st.floats(0.3, 1.6))
@settings(max_examples=40, deadline=None)
def test_small_ones_are_solved_and_the_bound_is_one(seed: int, jobs: int, bins: int, load: float):
    cells = city(seed, jobs, bins, load)
    found = assign(cells, effort())
    judge(cells, found)
    least = cheapest(cells)
    assert found.bound <= least + 1e-6
    assert found.cost == least


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 2), st.floats(0.3, 1.6))
@settings(max_examples=40, deadline=None)
def test_small_ones_with_due_rows_are_solved(seed: int, jobs: int, bins: int, load: float):
    cells = town(seed, jobs, bins, load, rows=2)
    found = assign(cells, effort())
    judge(cells, found)
    assert found.cost == cheapest(cells)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 8), st.floats(0.3, 1.4))
@settings(max_examples=30, deadline=None)
def test_capacities_are_kept_in_every_row(seed: int, jobs: int, bins: int, load: float):
    cells = town(seed, jobs, bins, load, rows=1 + seed % 5)
    judge(cells, assign(cells, effort(200, seed)))


def relaxed(cells: Cells) -> float:
    """The value of the linear relaxation, by a solver that shares nothing with ours.

    In a process of its own: what the solver brings along closes streams that are pytest's.
    """
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_relaxation, (cells,))


def _relaxation(cells: Cells) -> float:
    from ortools.math_opt.python import mathopt

    model, sums = mathopt.Model(), np.zeros_like(cells.capacity, dtype=object)
    total: list[Any] = []
    for j in range(cells.jobs):
        out = model.add_variable(lb=0)
        ways = [q for q in range(cells.bins.shape[1]) if cells.bins[j, q] >= 0]
        takes = {q: model.add_variable(lb=0) for q in ways}
        model.add_linear_constraint(mathopt.fast_sum([out, *takes.values()]) == 1)
        total += [int(cells.cost[j, q]) * x for q, x in takes.items()]
        total.append(int(cells.unplaced[j]) * out)
        for q, x in takes.items():
            for b in range(cells.row[j, q], cells.rows):
                sums[cells.bins[j, q], b] += int(cells.weight[j, q]) * x
    for i, b in np.ndindex(*cells.capacity.shape):
        if not isinstance(sums[i, b], int):
            model.add_linear_constraint(sums[i, b] <= int(cells.capacity[i, b]))
    model.minimize(mathopt.fast_sum(total))
    return mathopt.solve(model, mathopt.SolverType.GLOP).objective_value()


@pytest.mark.parametrize(
    "cells", [city(1, 150, 9, 0.9), town(2, 150, 9, 0.8), town(3, 150, 9, 0.95, rows=6)]
)
def test_the_bound_is_the_relaxation_to_a_ten_thousandth(cells: Cells):
    bound, whole = capacity_prices(cells).bound, relaxed(cells)
    assert whole * (1 - 1e-4) <= bound <= whole * (1 + 1e-9)


def test_cost_is_the_bound_and_all_excess_and_the_price_of_what_is_free():
    cells = town(4, 120, 8, 0.8)
    prices = capacity_prices(cells)
    found = assign(cells, effort(), prices)
    load, above = np.zeros_like(cells.capacity), 0.0
    for j in range(cells.jobs):
        there, row = cells.bins[j], cells.row[j]
        tolls = [float(prices.price[i, r:].sum()) for i, r in zip(there, row, strict=True)]
        paid = np.where(there >= 0, cells.cost[j] + np.array(tolls) * cells.weight[j], np.inf)
        least = min(paid.min(), cells.unplaced[j])
        if found.bin[j] < 0:
            above += cells.unplaced[j] - least
            continue
        [q] = np.flatnonzero((there == found.bin[j]) & (row == found.row[j]))
        above += paid[q] - least
        load[found.bin[j], found.row[j] :] += cells.weight[j, q]
    above += (prices.price * (cells.capacity - load)).sum()
    assert found.cost == pytest.approx(prices.bound + above)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("scheduling.assign._JOBS_OF_A_DISTRICT", 60)
    monkeypatch.setattr("scheduling.prices._CELLS_MANY", 0)
    cells = town(9, 300, 20, 0.85)
    plain = assign(cells, replace(effort(), workers=2))
    with ThreadPoolExecutor(2) as pool:
        found = assign(cells, replace(effort(), workers=2, at_once=pool.map))
    judge(cells, found)
    assert (found.bin.tolist(), found.row.tolist()) == (plain.bin.tolist(), plain.row.tolist())
    assert (found.cost, found.bound.hex()) == (plain.cost, plain.bound.hex())


def test_more_work_is_never_worse_and_ends_near_the_bound():
    cells = city(5, 200, 12, 0.85)
    costs = [assign(cells, effort(kicks)).cost for kicks in (500, 2000, 8000)]
    assert costs == sorted(costs, reverse=True)
    found = assign(cells, effort(8000))
    judge(cells, found)
    assert found.placed == 200
    assert found.cost <= 1.02 * found.bound


def test_who_is_stopped_at_once_still_has_an_answer():
    cells = city(6, 120, 9, 0.9)
    found = assign(cells, Effort(lambda: True))
    judge(cells, found)


def test_more_sweeps_never_make_the_bound_worse():
    cells = city(7, 150, 10, 0.9)
    bounds = [capacity_prices(cells, sweeps).bound for sweeps in (1, 20, 200, 2000)]
    assert bounds == sorted(bounds)


def test_what_fits_nowhere_is_left_out_and_a_short_row_is_filled_up():
    bins = np.array([[0, -1], [0, 1]], np.int64)
    cost, weight = np.array([[5, 0], [5, 6]], np.int64), np.array([[9, 0], [2, 2]], np.int64)
    capacity, left_out = np.array([[4], [4]], np.int64), np.array([70, 70], np.int64)
    cells = Cells(bins, np.zeros_like(bins), cost, weight, capacity, left_out)
    found = assign(cells, effort())
    judge(cells, found)
    assert found.bin.tolist() == [-1, 0]


@pytest.mark.parametrize(("jobs", "ways", "bins"), [(0, 0, 0), (0, 3, 2), (2, 0, 2), (2, 3, 0)])
def test_where_nothing_can_go_anywhere_all_is_left_out(jobs: int, ways: int, bins: int):
    none = np.full((jobs, ways), -1, np.int64)
    left_out, capacity = np.full(jobs, 9, np.int64), np.full((bins, 1), 5, np.int64)
    found = assign(Cells(none, none + 1, none, none + 1, capacity, left_out), effort())
    assert (found.bin.tolist(), found.cost, found.bound) == ([-1] * jobs, 9 * jobs, 9 * jobs)


_TOLD = """
from scheduling.assign import assign
from tests.scheduling.test_assign import city, effort, town
for cells in (city(8, 40, 5, 0.9), town(8, 60, 5, 0.8)):
    found = assign(cells, effort(300))
    print(found.cost, found.bound.hex(), found.bin.tolist(), found.row.tolist())
"""


def test_compiled_or_not_the_answer_is_the_same():
    told = [_told({}), _told({"NUMBA_DISABLE_JIT": "1"})]
    assert told[0] == told[1]


def _told(words: dict[str, str]) -> str:
    path = os.pathsep.join([str(ROOT), str(ROOT / "hardware-sim")])
    ran = subprocess.run(
        [sys.executable, "-c", _TOLD], env={**os.environ, "PYTHONPATH": path, **words},
        capture_output=True, text=True, check=True, timeout=250,
    )  # fmt: skip
    return ran.stdout


def _cells(**changes: Any) -> Cells:
    ones = np.ones((2, 2), np.int64)
    plain: dict[str, Any] = {
        "bins": np.array([[0, 1], [1, 0]], np.int64), "row": ones, "cost": ones, "weight": ones,
        "capacity": np.array([[2, 3], [2, 3]], np.int64), "unplaced": np.array([9, 9], np.int64),
    }  # fmt: skip
    return Cells(**{**plain, **changes})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bins": np.array([[0, 2], [1, 0]])}, "a cell's bin is 2; it must lie between -1 and 1"),
        ({"bins": np.array([[0, 0], [1, 0]])}, "a job has two cells in one bin and row"),
        ({"row": np.array([[0, 2], [1, 0]])}, "a cell's row is 2; it must lie between 0 and 1"),
        ({"row": np.array([[0, -1], [1, 0]])}, "a cell's row is -1"),
        ({"capacity": np.array([[2, 3], [-1, 3]])}, "a capacity is -1"),
        ({"capacity": np.array([[2, 3], [3, 2]])}, "falls from a row to the next"),
        ({"capacity": np.array([3, 3])}, "capacity must be a table"),
        ({"weight": np.array([[1, 1], [1, -4]])}, "a cell's weight is -4"),
        ({"cost": np.array([[1, 1], [1, 10**13]])}, "a cell's cost is 10000000000000"),
        ({"cost": np.ones((2, 2))}, "kept as float64"),
        ({"cost": np.ones((2, 3), np.int64)}, "tables of one shape"),
        ({"unplaced": np.array([9])}, "one number a job"),
    ],
)
def test_numbers_that_contradict_themselves_are_no_problem(changes: dict[str, Any], why: str):
    with pytest.raises(CellsError, match=why):
        _cells(**changes)


def test_an_instance_is_read_and_a_bad_one_is_told(tmp_path: Path):
    good = tmp_path / "tiny"
    good.write_text("2 3\n1 2 3\n4 5 6\n1 1 1\n2 2 2\n2 4\n")
    instance = read(good)
    assert instance.cost.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert instance.capacity.tolist() == [2, 4]
    assert instance.judged(np.array([0, 0, 1])) == (True, 9)
    assert instance.judged(np.array([0, 0, 0]))[0] is False
    assert instance.judged(np.array([0, 0, -1]))[0] is False
    for words, why in (
        ("2 3\n1 2", "need 16 numbers, there are 4"),
        ("two 3", "not whole numbers"),
        ("", "begin with the numbers"),
        ("2 3 -1", "none is below 0"),
    ):
        good.write_text(words)
        with pytest.raises(BadInstance, match=why):
            read(good)


def test_the_best_known_values_are_those_of_the_folder(tmp_path: Path):
    (tmp_path / "gap" / "some").mkdir(parents=True)
    (tmp_path / "best_known.csv").write_text("family,instance,best\ngap/some,x,7\ngap/other,x,9\n")
    assert best_known(tmp_path / "gap" / "some") == {"x": 7}
