import pickle
from dataclasses import replace
from typing import Any

import pytest

from scheduling.problem import Frozen, Lab, ProblemError, Running, Travel, Weights
from tests.scheduling.worlds import HOUR, NOW, job, lab, machine, problem, two_labs


def test_windows_are_put_in_order_and_joined_where_they_touch() -> None:
    assert Lab("a", "A", 0, 0, ((5, 9), (0, 2), (2, 4))).open_windows_s == ((0, 4), (5, 9))


@pytest.mark.parametrize(
    ("windows", "said"),
    [(((0, 5), (4, 9)), "overlap at 4"), (((5, 5),), "closes at 5"), (((0, 2.5),), "2.5")],
)
def test_contradictory_windows_are_refused(windows: Any, said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        Lab("a", "A", 0, 0, windows)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lab("near", 20_000), "lab near: lat_udeg is"),
        (lambda: Lab("a b", "A", 0, 0), "has the id 'a b'"),
        (lambda: Lab("a", "A", 0, 180_000_001), "lon_udeg"),
        (lambda: machine("m", "l", envelope_um=(0, 1, 1)), "machine m: envelope_um: x is 0"),
        (lambda: machine("m", "l", envelope_um=(1, 1)), "give x, y and z"),
        (lambda: machine("m", "l", rate_minor_per_h=-1), "rate_minor_per_h is -1"),
        (lambda: machine("m", "l", setup_minor=1.5), "setup_minor is 1.5; give a whole number"),
        (lambda: job("j", {"m": 0}), "job j: duration on m is 0"),
        (lambda: job("j", {}, prices_minor={"m": -1}), "price on m is -1"),
        (lambda: job("j", {}, due_s=-5), "due_s is -5"),
        (lambda: job("j", {}, after=("a", "a")), "names a job twice"),
        (lambda: job("j", {}, thickness_um=10**12), "thickness_um"),
        (lambda: Weights(unplaced_minor=-1), "unplaced_minor is -1"),
        (lambda: Travel(s_per_km=True), "give a whole number"),
        (lambda: two_labs(job("j", {"n9": 1})), "estimate for machine n9: unknown"),
        (lambda: two_labs(job("j", {}, after=("x",))), "comes after x, which is neither"),
        (lambda: two_labs(job("j", {}), job("j", {})), "job j is given twice"),
        (lambda: two_labs(job("j", {}, after=("j",))), "wait for one another: j"),
        (
            lambda: two_labs(job("a", {}, after=("b",)), job("b", {}, after=("a",))),
            "wait for one another: a, b",
        ),
        (lambda: two_labs(horizon_s=NOW), "horizon_s"),
        (lambda: two_labs(horizon_s=NOW + 500 * 24 * HOUR), "horizon_s"),
        (lambda: two_labs(fixed=(Running("r", "n9", NOW),)), "machine n9, which is unknown"),
        (lambda: two_labs(fixed=(Frozen("r", "n1", NOW, NOW),)), "end_s"),
        (lambda: problem([], [machine("m", "l")], []), "stands in lab l: unknown"),
    ],
)
def test_what_makes_no_sense_is_refused_at_birth(make: Any, said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        make()


def test_a_problem_travels_to_another_process_unchanged() -> None:
    world = two_labs(job("a", {"n1": 1}), fixed=(Running("r", "n1", NOW + 5),))
    assert world.busy == {"n1": ((NOW, NOW + 5),)}
    assert pickle.loads(pickle.dumps(world)) == world
    assert replace(world, fixed=()).busy == {}


def test_fixed_spans_that_overlap_are_one_busy_span() -> None:
    fixed = (Running("r", "n1", NOW + 9), Frozen("f", "n1", NOW + 5, NOW + 12))
    assert two_labs(fixed=fixed).busy == {"n1": ((NOW, NOW + 12),)}
