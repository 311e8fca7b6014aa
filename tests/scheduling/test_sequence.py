"""One machine's order: what it answers can be kept, is proved where small, and always the same."""

import os
import random
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.sequencing.judge import as_early_as_can_be, cost_of
from scheduling.machine_queue import Changeover, Order, Queue, QueueError, Waiting
from scheduling.sequence import Effort, best_order

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3600
pytestmark = pytest.mark.timeout(300)


def effort(moves: int = 20_000, seed: int = 1) -> Effort:
    return Effort(lambda: False, seed=seed, moves=moves)


def drawn(seed: int, jobs: int, families: int = 3) -> Queue:
    """Of every kind: hours, spans that are taken, dear changeovers, jobs that need not be made."""
    dice = random.Random(seed)
    now, long = 1_000_000, 4000 * jobs
    names = [f"f{i}" for i in range(families)]
    changeovers = {
        (a, b): Changeover(dice.randrange(0, 3000), dice.randrange(0, 900))
        for a in names for b in names if a != b or dice.random() < 0.1
    }  # fmt: skip
    waiting = tuple(
        Waiting(
            f"j{i}", dice.choice(names), dice.randrange(1, 7000), now + dice.randrange(-long, long),
            dice.choice([None, now + dice.randrange(-long, long)]), dice.randrange(500),
            dice.randrange(50), dice.choice([30, 400, 10**6]),
        )
        for i in range(jobs)
    )  # fmt: skip
    openings = [(now + at - 5000, now + at + dice.randrange(100, 15_000))
                for at in range(0, 3 * long, 15_000)]  # fmt: skip
    taken = [(at, at + dice.randrange(1, 4000))
             for at in (now + dice.randrange(-long, 2 * long) for _ in range(3))]  # fmt: skip
    return Queue(
        now, now + dice.randrange(long // 2, 4 * long), waiting, changeovers,
        dice.choice([None, *names]), tuple(openings if dice.random() < 0.6 else ()),
        dice.random() < 0.5, tuple(taken if dice.random() < 0.5 else ()),
    )  # fmt: skip


def judge(queue: Queue, found: Order) -> None:
    """What it says of itself is so."""
    assert sorted([*(turn.job for turn in found.turns), *found.left_out]) == sorted(
        job.id for job in queue.jobs
    )
    assert found.cost_minor == cost_of(queue, {turn.job: turn.start_s for turn in found.turns})
    left_out = sum(job.left_out_minor for job in queue.jobs if job.id in found.left_out)
    assert found.cost_minor == left_out + sum(
        line.minor for turn in found.turns for line in turn.lines
    )
    assert [turn.begin_s for turn in found.turns] == sorted(turn.begin_s for turn in found.turns)
    if found.status == "optimal":
        assert found.bound_minor == found.cost_minor
    else:
        assert found.bound_minor is None


def cheapest(queue: Queue) -> int:
    """Every order of every choice of jobs, tried."""
    names = [job.id for job in queue.jobs]
    return min(
        cost_of(queue, as_early_as_can_be(queue, some))
        for many in range(len(names) + 1)
        for some in permutations(names, many)
    )


@given(st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_a_few_jobs_are_proved(seed: int, jobs: int):
    queue = drawn(seed, jobs)
    found = best_order(queue, effort())
    judge(queue, found)
    assert (found.status, found.cost_minor) == ("optimal", cheapest(queue))


@pytest.mark.parametrize(("seed", "jobs"), [(1, 6), (2, 6), (3, 6), (4, 6), (5, 7)])
def test_some_more_jobs_are_proved(seed: int, jobs: int):
    queue = drawn(seed, jobs, families=4)
    found = best_order(queue, effort())
    judge(queue, found)
    assert (found.status, found.cost_minor) == ("optimal", cheapest(queue))


@pytest.mark.parametrize("seed", range(6))
def test_twelve_jobs_are_proved_and_no_search_finds_better(seed: int):
    queue = drawn(seed, 12, families=5)
    found = best_order(queue, effort())
    judge(queue, found)
    assert found.status == "optimal"
    other = random.Random(seed)
    names = [job.id for job in queue.jobs]
    for _ in range(300):
        other.shuffle(names)
        assert found.cost_minor <= cost_of(queue, as_early_as_can_be(queue, names))


@given(st.integers(0, 10**6), st.integers(13, 40))
@settings(max_examples=15, deadline=None)
def test_many_jobs_have_an_order_that_can_be_kept(seed: int, jobs: int):
    queue = drawn(seed, jobs, families=6)
    judge(queue, best_order(queue, effort()))


def test_the_search_alone_finds_what_is_proved():
    for seed in range(5):
        queue = drawn(seed, 14, families=4)
        proved = best_order(queue, effort(400_000))
        assert proved.status == "optimal"
        never = iter([False] * 80)
        searched = best_order(queue, Effort(lambda: next(never, True), seed=2))  # noqa: B023
        judge(queue, searched)
        assert searched.status == "feasible"
        assert proved.cost_minor <= searched.cost_minor <= 1.02 * proved.cost_minor


def test_more_work_is_never_worse():
    queue = drawn(8, 80, families=6)
    costs = [best_order(queue, effort(moves)).cost_minor for moves in (0, 2000, 20_000, 300_000)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


@pytest.mark.parametrize("jobs", [1, 8, 200])
def test_who_is_stopped_at_once_still_has_an_answer(jobs: int):
    queue = drawn(9, jobs)
    found = best_order(queue, Effort(lambda: True))
    judge(queue, found)
    assert found.status == "feasible"


def test_one_family_after_the_other_where_nothing_is_due():
    changeovers = {(a, b): Changeover(600, 50) for a in "rg" for b in "rg" if a != b}
    jobs = tuple(Waiting(f"j{i}", "rg"[i % 2], HOUR, waiting_minor_per_h=1) for i in range(6))
    found = best_order(Queue(0, 9 * HOUR, jobs, changeovers, "g"), effort())
    assert [turn.job for turn in found.turns] == ["j1", "j3", "j5", "j0", "j2", "j4"]
    assert (found.turns[3].begin_s, found.turns[3].start_s) == (3 * HOUR, 3 * HOUR + 600)


@pytest.mark.parametrize(("unattended", "start"), [(False, 24 * HOUR), (True, 9 * HOUR)])
def test_a_long_print_runs_on_through_the_night_where_it_may(unattended: bool, start: int):
    openings = ((9 * HOUR, 17 * HOUR), (24 * HOUR, 40 * HOUR))
    jobs = (Waiting("long", "r", 12 * HOUR),)
    queue = Queue(0, 48 * HOUR, jobs, openings_s=openings, unattended=unattended)
    [turn] = best_order(queue, effort()).turns
    assert turn.start_s == start


def test_nobody_changes_a_spool_after_closing_time():
    openings = ((9 * HOUR, 17 * HOUR), (24 * HOUR, 40 * HOUR))
    changeovers = {("g", "r"): Changeover(HOUR, 0)}
    jobs = (Waiting("j", "r", HOUR, release_s=17 * HOUR),)
    queue = Queue(0, 48 * HOUR, jobs, changeovers, "g", openings, unattended=True)
    [turn] = best_order(queue, effort()).turns
    assert (turn.begin_s, turn.start_s) == (24 * HOUR, 25 * HOUR)


def test_what_fits_nowhere_is_left_out_at_its_price():
    jobs = (Waiting("long", "r", 9 * HOUR, left_out_minor=700), Waiting("short", "r", HOUR))
    found = best_order(Queue(0, 8 * HOUR, jobs), effort())
    assert (found.left_out, found.cost_minor) == (("long",), 705)
    none = best_order(Queue(0, 8 * HOUR, jobs, taken_s=((0, 8 * HOUR),)), effort())
    assert (none.turns, none.cost_minor, none.status) == ((), 1_000_700, "optimal")


_TOLD = """
from scheduling.sequence import best_order
from tests.scheduling.test_sequence import drawn, effort
for jobs in (9, 30):
    print(best_order(drawn(8, jobs, 5), effort(4000)))
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


def _queue(**changes: Any) -> Queue:
    plain: dict[str, Any] = {
        "now_s": 0, "horizon_s": 100, "jobs": (Waiting("a", "r", 5), Waiting("b", "g", 5)),
        "changeovers": {("r", "g"): Changeover(1, 1), ("g", "r"): Changeover(1, 1)},
    }  # fmt: skip
    return Queue(**{**plain, **changes})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"jobs": ()}, "0 jobs wait; give 1 to 200"),
        ({"jobs": tuple(Waiting(f"j{i}", "r", 5) for i in range(201))}, "201 jobs wait"),
        ({"jobs": (Waiting("a", "r", 5), Waiting("a", "g", 5))}, "job a is given twice"),
        ({"now_s": 0.5}, "now_s is 0.5; give a whole number"),
        ({"horizon_s": 0}, "horizon_s is 0; it must lie between 1"),
        ({"loaded": "blue"}, "no changeover from blue to g"),
        ({"changeovers": {("r", "g"): Changeover(1, 1)}}, "no changeover from g to r"),
        ({"changeovers": {("r", "g"): Changeover(-1, 1)}}, "from r to g: duration_s is -1"),
        ({"changeovers": {("r", "g"): Changeover(1, 10**10)}}, "from r to g: minor is 10000000000"),
        ({"openings_s": ((5, 5),)}, "openings_s: a span ends at 5, not after it begins at 5"),
        ({"taken_s": ((-5, 5),)}, "taken_s: a beginning is -5"),
    ],
)
def test_a_queue_that_contradicts_itself_is_none(changes: dict[str, Any], why: str):
    with pytest.raises(QueueError, match=why):
        _queue(**changes)


def _waiting(**changes: Any) -> Waiting:
    plain: dict[str, Any] = {"id": "a", "family": "r", "duration_s": 5}
    return Waiting(**{**plain, **changes})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"duration_s": 0}, "job a: duration_s is 0"),
        ({"due_s": True}, "job a: due_s is True; give a whole number"),
        ({"release_s": -1}, "job a: release_s is -1"),
        ({"lateness_minor_per_h": 10**8}, "job a: lateness_minor_per_h is 100000000"),
        ({"left_out_minor": -1}, "job a: left_out_minor is -1"),
    ],
)
def test_a_job_that_contradicts_itself_is_none(changes: dict[str, Any], why: str):
    with pytest.raises(QueueError, match=why):
        _waiting(**changes)
