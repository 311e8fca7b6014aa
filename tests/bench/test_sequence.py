"""The bench of one machine's queue: its judge finds what is broken, peers see the same costs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.sequence import rows, told_in_all
from bench.sequencing.judge import CannotBeKeptError, as_early_as_can_be, cost_of
from bench.sequencing.peers import PEERS, answer_of
from bench.sequencing.queues import STEP_S, drawn
from scheduling.machine_queue import Changeover, Queue, Waiting
from scheduling.sequence import Effort, best_order

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3600
pytestmark = pytest.mark.timeout(300)


def test_a_seed_gives_the_same_queue_of_whole_steps():
    queue = drawn(3, 20)
    assert queue == drawn(3, 20)
    assert queue.jobs != drawn(4, 20).jobs
    times = [each for job in queue.jobs for each in (job.duration_s, job.release_s, job.due_s or 0)]
    times += [change.duration_s for change in queue.changeovers.values()]
    assert {each % STEP_S for each in times} == {0}


def _queue() -> Queue:
    jobs = (
        Waiting("a", "r", 2 * HOUR, due_s=11 * HOUR),
        Waiting("b", "g", HOUR, release_s=9 * HOUR),
    )
    changeovers = {(x, y): Changeover(HOUR, 70) for x in "rg" for y in "rg" if x != y}
    hours, taken = ((8 * HOUR, 16 * HOUR),), ((12 * HOUR, 12 * HOUR + 60),)
    return Queue(0, 48 * HOUR, jobs, changeovers, "r", hours, taken_s=taken)


def test_the_judge_counts_what_the_rules_say():
    queue = _queue()
    assert as_early_as_can_be(queue, ["a", "b"]) == {"a": 8 * HOUR, "b": 11 * HOUR}
    assert cost_of(queue, {"a": 8 * HOUR, "b": 11 * HOUR}) == 10 * 5 + 70 + 3 * 5
    assert cost_of(queue, {"a": 9 * HOUR + 1}) == 55 + 1 + 1 + 1_000_000


@pytest.mark.parametrize(
    ("starts", "why"),
    [
        ({"a": 8 * HOUR, "b": 10 * HOUR}, "b at 36000: before the last is over"),
        ({"b": 8 * HOUR}, "before its release"),
        ({"a": 7 * HOUR}, "outside of the openings"),
        ({"a": 15 * HOUR}, "outside of the openings"),
        ({"a": 11 * HOUR}, "in a span that is taken"),
        ({"a": 47 * HOUR}, "outside of the horizon"),
    ],
)
def test_the_judge_finds_what_cannot_be_kept(starts: dict[str, int], why: str):
    with pytest.raises(CannotBeKeptError, match=why):
        cost_of(_queue(), starts)


@pytest.mark.parametrize("openings", [False, True])
def test_cp_sat_proves_the_same_cost(openings: bool):
    [peer] = [each for each in PEERS if each.name == "CP-SAT hinted"]
    for seed in range(2):
        queue = drawn(seed, 7, openings)
        found = best_order(queue, Effort(lambda: False))
        hint = [turn.job for turn in best_order(queue, Effort(lambda: True)).turns]
        answer = answer_of(peer, queue, 60, 1, hint)
        assert answer["status"] == found.status == "optimal"
        assert answer["cost"] == answer["claimed"] == found.cost_minor


def test_the_table_says_what_was_found():
    command = ["-m", "bench.sequence", "--jobs", "5,6", "--seeds", "2", "--seconds", "2"]
    asked = [sys.executable, *command, "--peer", "CP-SAT", "--json"]
    ran = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(each["jobs"], each["seed"]) for each in told] == [(5, 0), (5, 1), (6, 0), (6, 1)]
    assert {each["ours"]["status"] for each in told} == {"optimal"}
    ours, peer = rows(told[:2])
    assert ours.split()[:3] == ["5", "2", "ours"]
    assert "0.00 %" in peer
    [line] = told_in_all(told)
    assert "ours better by 0.00 % on average" in line
