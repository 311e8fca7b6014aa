"""The checker on the shop's rules: each way of breaking one is seen, by its name."""

from dataclasses import replace
from typing import Any

import pytest

from scheduling import Limits, Operator, Plan, Problem, Unplaced, solve, verify
from scheduling.plan import Assignment, objective_minor
from scheduling.problem import Running
from tests.scheduling.worlds import HOUR, NOW, job, lab, machine, problem

ANN = Operator("ann", frozenset({"mill"}))
BOB = Operator("bob", frozenset({"mill", "cut"}), ((NOW, NOW + 9 * HOUR),))
SMALL = (90_000, 90_000)
SOON = NOW + 6 * HOUR - 600


def shop() -> Problem:
    """Two mills with two people, one printer with a bed of which two jobs share a plate."""
    labs = [replace(lab("shop"), operators=(ANN, BOB), power_max_w=3000), lab("other")]
    machines = [
        machine("m1", "shop", process="mill", unattended=False, power_w=1000),
        machine("m2", "shop", process="mill", unattended=False, power_w=1000),
        machine("n1", "shop", plate_gap_um=5_000, begin_s=600, power_w=1000, loaded=("pla", ""),
                changeover_s=HOUR, changeover_minor=9,
                reserved_s=((NOW + 90 * HOUR, NOW + 95 * HOUR),)),
        machine("n9", "other", power_w=5000),
    ]  # fmt: skip
    jobs = [
        job("a", {"m1": 2, "m2": 2}, process="mill"),
        job("b", {"m1": 2, "m2": 2}, process="mill"),
        job("p", {"n1": 3}, plate_um=SMALL, due_s=SOON),
        job("q", {"n1": 3}, plate_um=SMALL, due_s=SOON),
        job("r", {"n1": 1}, colour="red"),
    ]
    return problem(labs, machines, jobs)


def planned() -> tuple[Problem, Plan]:
    world = shop()
    plan = solve(world, Limits(seconds=0.1))
    assert not verify(world, plan)
    assert plan.by_job["p"].on_plate_um is not None
    return world, plan


def kinds(world: Problem, plan: Plan, *changed: Assignment) -> set[str]:
    """What the checker says of the plan with these put in the place of those of the same job."""
    new = {each.job: each for each in changed}
    placed = tuple(new.get(each.job, each) for each in plan.assignments)
    total = objective_minor(world, placed, plan.unplaced)
    told = replace(
        plan, assignments=placed, objective_minor=total, bound_minor=0, status="feasible"
    )
    return {fault.kind for fault in verify(world, told)}


def test_nobody_serves_two_machines_or_without_being_able() -> None:
    world, plan = planned()
    a, b = plan.by_job["a"], plan.by_job["b"]
    assert {a.operator, b.operator} == {"ann", "bob"}
    assert kinds(world, plan, replace(a, operator=b.operator)) == {"operator"}
    assert kinds(world, plan, replace(a, operator=None)) == {"operator"}
    assert kinds(world, plan, replace(a, operator="zoe")) == {"unknown"}
    assert kinds(world, plan, replace(plan.by_job["r"], operator="ann")) >= {"operator"}
    unskilled = replace(BOB, skills=frozenset({"cut"}))
    away = replace(BOB, windows_s=((NOW, NOW + HOUR),))
    for wrong in (unskilled, away):
        labs = (replace(world.labs[0], operators=(ANN, wrong)), *world.labs[1:])
        assert "operator" in kinds(replace(world, labs=labs), plan)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"on_plate_um": (0, 0)}, "bed"),
        ({"on_plate_um": (94_999, 0)}, "bed"),
        ({"on_plate_um": (95_000, 131_000)}, "bed"),
        ({"on_plate_um": (-1, 0)}, "bed"),
        ({"on_plate_um": None}, "bed"),
    ],
)
def test_a_bed_is_measured(change: dict[str, Any], kind: str) -> None:
    world, plan = planned()
    moved = next(plan.by_job[x] for x in "pq" if plan.by_job[x].on_plate_um != (0, 0))
    assert kinds(world, plan, replace(moved, **change)) == {kind}


def test_a_plate_is_of_one_load_and_of_jobs_that_share() -> None:
    world, plan = planned()
    for change in ({"colour": "blue"}, {"plate_um": None}):
        jobs = tuple(replace(x, **change) if x.id == "p" else x for x in world.jobs)
        assert "bed" in kinds(replace(world, jobs=jobs), plan)
    machines = tuple(replace(x, plate_gap_um=None) if x.id == "n1" else x for x in world.machines)
    assert "bed" in kinds(replace(world, machines=machines), plan)


def test_a_plate_spares_what_it_says_and_a_changeover_takes_its_time() -> None:
    world, plan = planned()
    for name in "pr":
        spot = plan.by_job[name]
        assert "duration" in kinds(world, plan, replace(spot, end_s=spot.end_s + 600))
    red = plan.by_job["r"]
    free = tuple(line for line in red.lines if line.name != "changeover")
    assert kinds(world, plan, replace(red, lines=free)) == {"lines"}


def test_power_and_reservations_are_kept() -> None:
    world, plan = planned()
    labs = (replace(world.labs[0], power_max_w=2500), *world.labs[1:])
    assert "power" in kinds(replace(world, labs=labs), plan)
    labs = (replace(world.labs[0], power_max_w=900), *world.labs[1:])
    assert "incapable" in kinds(replace(world, labs=labs), plan)
    taken = ((NOW, NOW + HOUR),)
    machines = tuple(replace(x, reserved_s=taken) if x.id == "m1" else x for x in world.machines)
    assert "overlap" in kinds(replace(world, machines=machines), plan)


def test_who_serves_what_is_fixed_is_busy() -> None:
    world, plan = planned()
    fixed = (Running("elsewhere", "n9", NOW + HOUR, "ann"),)
    assert kinds(replace(world, fixed=fixed), plan) == {"operator"}


def test_a_job_left_out_though_there_is_room_is_seen_under_all_rules() -> None:
    world, plan = planned()
    for name in "ar":
        placed = tuple(each for each in plan.assignments if each.job != name)
        reason = replace(plan, assignments=placed)
        out = (Unplaced(name, ("no",)),)
        total = objective_minor(world, placed, out)
        told = replace(
            reason, unplaced=out, objective_minor=total, bound_minor=0, status="feasible"
        )
        assert "needless" in {fault.kind for fault in verify(world, told)}
