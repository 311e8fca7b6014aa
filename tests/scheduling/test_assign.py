"""Routing's inner search: what it answers is possible, bounded from below, and always the same."""

import itertools
import os
import subprocess
import sys
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


def cheapest(cells: Cells) -> int:
    """Every assignment, left out or not, tried."""
    jobs, bins = cells.bins.shape
    least = 10**9
    for choice in itertools.product(range(-1, bins), repeat=jobs):
        load, cost = np.zeros(bins, np.int64), 0
        for j, q in enumerate(choice):
            if q < 0:
                cost += int(cells.unplaced[j])
            else:
                load[cells.bins[j, q]] += cells.weight[j, q]
                cost += int(cells.cost[j, q])
        if (load <= cells.capacity).all():
            least = min(least, cost)
    return least


def judge(cells: Cells, found: Assignment) -> None:
    """What it says of itself is so."""
    load, cost = np.zeros(len(cells.capacity), np.int64), 0
    for j, i in enumerate(found.bin):
        if i < 0:
            cost += int(cells.unplaced[j])
            continue
        [q] = np.flatnonzero(cells.bins[j] == i)
        load[i] += cells.weight[j, q]
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
    cells = Cells(bins, cost, weight, np.array([4, 4], np.int64), np.array([70, 70], np.int64))
    found = assign(cells, effort())
    judge(cells, found)
    assert found.bin.tolist() == [-1, 0]


@pytest.mark.parametrize(("jobs", "ways", "bins"), [(0, 0, 0), (0, 3, 2), (2, 0, 2), (2, 3, 0)])
def test_where_nothing_can_go_anywhere_all_is_left_out(jobs: int, ways: int, bins: int):
    none = np.full((jobs, ways), -1, np.int64)
    left_out, capacity = np.full(jobs, 9, np.int64), np.full(bins, 5, np.int64)
    found = assign(Cells(none, none, none + 1, capacity, left_out), effort())
    assert (found.bin.tolist(), found.cost, found.bound) == ([-1] * jobs, 9 * jobs, 9 * jobs)


_TOLD = """
import sys
from scheduling.assign import assign
from tests.scheduling.test_assign import city, effort
found = assign(city(8, 40, 5, 0.9), effort(1000))
print(found.cost, found.bound.hex(), found.bin.tolist())
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
        "bins": np.array([[0, 1], [1, 0]], np.int64), "cost": ones, "weight": ones,
        "capacity": np.array([3, 3], np.int64), "unplaced": np.array([9, 9], np.int64),
    }  # fmt: skip
    return Cells(**{**plain, **changes})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bins": np.array([[0, 2], [1, 0]])}, "a cell's bin is 2; it must lie between -1 and 1"),
        ({"bins": np.array([[0, 0], [1, 0]])}, "a job has two cells in one bin"),
        ({"capacity": np.array([3, -1])}, "a capacity is -1"),
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
