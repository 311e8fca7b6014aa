from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from scheduling.distance import distance_m, travel_s
from scheduling.problem import Problem, Travel
from scheduling.routing import (
    STEPS,
    Change,
    candidates,
    relaxed,
    smallest_relaxation,
)
from scheduling.verify import _between_m
from tests.scheduling.worlds import HOME, HOUR, job, lab, machine, problem, problems, two_labs

PARIS, BERLIN = (48_856_600, 2_352_200), (52_520_000, 13_405_000)


@pytest.mark.parametrize(
    ("place", "other", "metres"),
    [
        (PARIS, PARIS, 0),
        (PARIS, BERLIN, 877_464),
        ((0, 179_999_999), (0, -179_999_999), 0),
        ((90_000_000, 0), (90_000_000, 120_000_000), 0),
        ((90_000_000, 0), (-90_000_000, 0), 20_015_115),
        ((0, 0), (0, 180_000_000), 20_015_115),
    ],
)
def test_distances_hold_at_the_poles_and_over_the_date_line(
    place: tuple[int, int], other: tuple[int, int], metres: int
) -> None:
    assert distance_m(place, other) == pytest.approx(metres, abs=1)
    assert distance_m(place, other) == distance_m(other, place) == _between_m(place, other)


def test_the_way_between_labs_is_a_handover_and_the_kilometres() -> None:
    world = two_labs(travel=Travel(handover_s=100, s_per_km=60))
    assert travel_s(world, "near", "far") == 100 + 600
    assert travel_s(world, "near", "near") == 0


def test_the_waterfall_counts_the_machines_left_after_each_step() -> None:
    labs = [lab("here", 2), lab("there", 1), lab("shut", 1, ((0, 1),))]
    machines = [
        machine("mill", "here", process="mill"),
        machine("wood", "here", materials=frozenset({"wood"})),
        machine("tiny", "here", envelope_um=(10, 10, 10)),
        machine("thin", "here", thickness_max_um=1),
        machine("rough", "here", tolerance_um=900),
        machine("untimed", "here"),
        machine("closed", "shut", unattended=False),
        machine("b", "here"),
        machine("a", "here"),
        machine("c", "there"),
    ]
    timed = {each.id: 2.0 for each in machines if each.id != "untimed"}
    found = candidates(
        job("j", timed, thickness_um=2, tolerance_um=200), problem(labs, machines, [])
    )
    assert [step.name for step in found.waterfall] == list(STEPS)
    assert [step.left for step in found.waterfall] == [9, 8, 7, 6, 5, 4, 4, 3]
    assert [each.id for each in found.machines] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("wanted", "change"),
    [
        ({"material": "oak"}, Change("material", "pla")),
        ({"size_um": (300_000, 5, 5)}, Change("size_um", (220_000, 5, 5))),
        ({"thickness_um": 9_000}, Change("thickness_um", 6_000)),
        ({"tolerance_um": 150}, Change("tolerance_um", 200)),
        ({"durations_s": {"m": 3 * HOUR}}, Change("duration_s", 2 * HOUR)),
    ],
)
def test_the_smallest_relaxation_names_the_one_thing_in_the_way(
    wanted: dict[str, Any], change: Change
) -> None:
    only = machine("m", "near", unattended=False, thickness_max_um=6_000)
    world = problem([lab("near", 1, ((0, 2),))], [only], [])
    relaxation = smallest_relaxation(replace(job("j", {"m": 1}), **wanted), world)
    assert relaxation
    assert relaxation.changes == (change,)


def test_of_two_relaxations_the_smaller_is_named() -> None:
    machines = [
        machine("s", "near", envelope_um=(100_000, 200_000, 200_000)),
        machine("m", "near", envelope_um=(190_000, 200_000, 200_000)),
    ]
    part = job("j", {"s": 1, "m": 1}, size_um=(200_000, 1, 1))
    found = smallest_relaxation(part, problem([lab("near")], machines, []))
    assert found
    assert found.machine == "m"


def test_without_the_process_there_is_nothing_to_relax() -> None:
    assert smallest_relaxation(job("j", {"n1": 1}, process="laser"), two_labs()) is None
    assert smallest_relaxation(job("j", {}, material="oak"), two_labs()) is None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems())
def test_a_relaxation_when_applied_always_works(world: Problem) -> None:
    refused = [each for each in world.jobs if not candidates(each, world).machines]
    found = [(each, smallest_relaxation(each, world)) for each in refused]
    assume(any(relaxation for _, relaxation in found))
    for each, relaxation in found:
        if relaxation:
            able = candidates(relaxed(each, relaxation), world).machines
            assert relaxation.machine in {one.id for one in able}


def test_home_is_a_kilometre_from_near() -> None:
    near = two_labs().lab["near"]
    assert distance_m(HOME, (near.lat_udeg, near.lon_udeg)) == 1000
