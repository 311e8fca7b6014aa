"""Mending what stands: new jobs, a bin that falls out, and how few others that moves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.assign import assign
from scheduling.cells import Cells, CellsError, Ints
from scheduling.prices import Prices
from scheduling.repair import Mended, Standing, Terms
from tests.scheduling.test_assign import effort, town

pytestmark = pytest.mark.timeout(300)


def part(cells: Cells, jobs: slice) -> Cells:
    tables = (cells.bins, cells.row, cells.cost, cells.weight)
    return Cells(*(table[jobs] for table in tables), cells.capacity, cells.unplaced[jobs])


def standing(cells: Cells, jobs: int, terms: Terms) -> Standing:
    """The first so many jobs, planned."""
    first = part(cells, slice(0, jobs))
    found = assign(first, effort(200))
    return Standing(first, Prices(found.price, found.bound), (found.bin, found.row), terms)


def judge(cells: Cells, stands: Standing, closed: int = -1) -> None:
    """Every seat is a cell of its job, every capacity is kept, and the cost is what it says."""
    bins, row = stands.bin, stands.row
    assert len(bins) == cells.jobs
    load, cost = np.zeros_like(cells.capacity), 0
    for j in range(cells.jobs):
        if bins[j] < 0:
            cost += int(cells.unplaced[j])
            continue
        [q] = np.flatnonzero((cells.bins[j] == bins[j]) & (cells.row[j] == row[j]))
        cost += int(cells.cost[j, q])
        load[bins[j], row[j] :] += cells.weight[j, q]
    assert (load <= cells.capacity).all()
    assert stands.cost == cost
    assert not (bins == closed).any() or closed < 0
    room = np.minimum.accumulate((cells.capacity - load)[:, ::-1], axis=1)[:, ::-1]
    still = np.arange(len(room)) != closed
    assert (stands.room[still] == room[still]).all()


def changed(before: tuple[Ints, Ints], stands: Standing, mended: Mended, asked: Ints) -> None:
    """What it tells is what changed, and nothing else did."""
    bins, row = (np.full(stands.jobs, -1, np.int64) for _ in range(2))
    bins[: len(before[0])], row[: len(before[1])] = before
    now = (stands.bin, stands.row)
    differs = (bins != now[0]) | ((bins >= 0) & (row != now[1]))
    assert set(mended.job) == set(np.flatnonzero(differs))
    assert (now[0][mended.job] == mended.bin).all()
    assert (now[1][mended.job] == mended.row).all()
    moved = differs & (bins >= 0)
    moved[asked] = False
    assert mended.moved == moved.sum()
    assert set(mended.left_out) == {j for j in asked.tolist() if now[0][j] < 0}


@given(st.integers(0, 10**6), st.sampled_from([0, 5, 10**6]), st.sampled_from([0, 1, 300]))
@settings(max_examples=25, deadline=None)
def test_what_arrives_and_what_fails_is_told_and_keeps_every_capacity(
    seed: int, move_cost: int, looks: int
):
    cells = town(seed, 60, 6, 0.9)
    stands = standing(cells, 40, Terms(move_cost, looks, seed))
    judge(part(cells, slice(0, 40)), stands)
    for begin, end in ((40, 50), (50, 60)):
        before = stands.bin, stands.row
        mended = stands.arrive(part(cells, slice(begin, end)))
        judge(part(cells, slice(0, end)), stands)
        changed(before, stands, mended, np.arange(begin, end))
        assert mended.cost == stands.cost
    before = stands.bin, stands.row
    mended = stands.fail(2)
    judge(cells, stands, closed=2)
    changed(before, stands, mended, np.flatnonzero(before[0] == 2))


def test_nobody_moves_where_that_costs_more_than_anything():
    for seed in range(5):
        cells = town(seed, 60, 6, 0.7)
        stands = standing(cells, 50, Terms(10**9, 500))
        assert stands.arrive(part(cells, slice(50, 60))).moved == 0
        assert stands.fail(1).moved == 0


def test_the_dearer_moving_is_the_fewer_move():
    moved = [0, 0]
    for seed in range(8):
        cells = town(seed, 120, 8, 0.9)
        for at, move_cost in enumerate((0, 40)):
            stands = standing(cells, 100, Terms(move_cost, 1000))
            moved[at] += stands.arrive(part(cells, slice(100, 120))).moved
    assert moved[1] < moved[0]


def test_there_is_room_for_any_number_of_jobs():
    cells = town(3, 2600, 100, 0.6)
    stands = standing(cells, 100, Terms(10))
    stands.arrive(part(cells, slice(100, 2600)))
    judge(cells, stands)


def test_who_is_left_out_may_be_given_other_cells():
    few = Cells(
        *(np.array(t, np.int64)[:, None] for t in ([0, 0], [0, 0], [5, 5], [4, 4])),
        np.array([[4], [9]], np.int64), np.array([70, 70], np.int64),
    )  # fmt: skip
    stands = standing(few, 1, Terms(1000))
    second = part(few, slice(1, 2))
    assert stands.arrive(second).left_out.tolist() == [1]
    other = Cells(
        second.bins + 1, second.row, second.cost, second.weight, few.capacity, second.unplaced
    )
    mended = stands.look(np.array([1]), other)
    assert (mended.bin.tolist(), mended.left_out.tolist(), stands.cost) == ([1], [], 10)
    with pytest.raises(CellsError, match="only who is left out"):
        stands.look(np.array([1]), other)


def test_a_seat_that_is_no_cell_of_its_job_is_told():
    cells = town(1, 20, 4, 0.8)
    nobody = np.full(20, -1, np.int64)
    wrong, row = nobody.copy(), nobody.copy()
    wrong[3], row[3] = 0, 99
    with pytest.raises(CellsError, match="job 3 sits in none of its cells"):
        Standing(cells, Prices(np.zeros(cells.capacity.shape), 0.0), (wrong, row), Terms(1))
