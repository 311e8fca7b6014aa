from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduling.board import total_minor
from scheduling.cards import board_of, lay_out
from scheduling.cost import cost_lines
from scheduling.explain import NotInPlan, Tip, runner_up, tip, why, why_not
from scheduling.plan import Assignment, Plan
from scheduling.problem import Problem, Running, Weights
from scheduling.quote import moved, openings
from scheduling.solve import Limits, solve
from scheduling.verify import verify
from tests.scheduling.test_solve import contended
from tests.scheduling.worlds import (
    HOUR,
    NOW,
    job,
    lab,
    machine,
    placed,
    problem,
    problems,
    two_labs,
)


def test_why_names_price_distance_and_time_against_the_runner_up() -> None:
    world = two_labs(job("a", {"n1": 1, "f1": 4}, prices_minor={"n1": 880, "f1": 1000}))
    assert why(world, solve(world), "a") == (
        "Made at Near on n1, because it is 435 cents ahead of Far (f1), all things counted: "
        "120 cents less, 10.0 km nearer and ready 3 h earlier."
    )


def test_why_also_says_what_speaks_against_the_choice() -> None:
    world = two_labs(job("a", {"n1": 1, "f1": 4}, prices_minor={"n1": 2000, "f1": 1000}))
    assert why(world, solve(world), "a") == (
        "Made at Far on f1, because it is 685 cents ahead of Near (n1), all things counted: "
        "1000 cents less; though 10.0 km farther and ready 3 h later."
    )


def test_why_says_when_there_was_no_choice() -> None:
    world = two_labs(job("a", {"n1": 1}))
    said = why(world, solve(world), "a")
    assert said.startswith("Made at Near on n1: of 2 machines only this one can (2 after process")


def test_why_says_when_the_others_are_full() -> None:
    world = two_labs(job("a", {"n1": 1, "f1": 1}), fixed=(Running("r", "f1", NOW + 99 * HOUR + 1),))
    assert "only this one can" in why(world, solve(world), "a")
    world = two_labs(job("b", {"f1": 99}), job("a", {"n1": 3, "f1": 3}))
    assert "no other machine that can make it has an opening" in why(world, solve(world), "a")


def test_why_says_when_another_place_would_hold_up_what_follows() -> None:
    labs = [lab("near", 0), lab("far", 10)]
    machines = [
        machine("n1", "near"),
        machine("f1", "far"),
        machine("cut", "near", process="cut"),
    ]
    jobs = [
        job("a", {"n1": 1, "f1": 1}),
        job("b", {"cut": 1}, process="cut", after=("a",)),
    ]
    world = problem(labs, machines, jobs)
    plan = solve(world)
    assert why(world, plan, "a") == "Made at Near on n1, because Far (f1) would hold up b."
    assert why_not(world, "a", "far", plan) == "Far could make it, but that would hold up b."


def test_why_of_a_job_that_is_left_out_gives_the_reason_and_the_remedy() -> None:
    world = two_labs(job("a", {"n1": 1, "f1": 1}, material="oak"))
    assert why(world, solve(world), "a") == (
        "Not planned. The network does not work with oak, only with pla; "
        "n1 could make it if it were of pla. Machines left, of 2: none after material."
    )


def test_why_is_honest_about_a_plan_that_was_cut_short() -> None:
    world = two_labs(job("a", {"n1": 1, "f1": 1}))
    best = solve(world).assignments[0]
    lines = cost_lines(world, world.job["a"], world.machine["f1"], best.end_s, ())
    worse = Assignment("a", "f1", best.start_s, best.end_s, lines)
    plan = Plan((worse,), (), worse.cost_minor, 0, "greedy")
    assert not verify(world, plan)
    assert "300 cents better for this job alone; the search ended before" in why(world, plan, "a")


def test_a_job_that_stays_where_it_was_says_so() -> None:
    world = two_labs(job("a", {"n1": 1, "f1": 1}), current={"a": "f1"})
    world = replace(world, weights=Weights(move_minor=500))
    said = why(world, solve(world), "a")
    assert said.endswith("it stays where it was planned; though 10.0 km farther.")


def test_why_not_says_how_far_a_lab_is_behind_and_by_what() -> None:
    world = two_labs(job("a", {"n1": 1, "f1": 1}))
    plan = solve(world)
    assert why_not(world, "a", "near", plan) == "It is made at Near."
    assert why_not(world, "a", "far", plan) == (
        "Far could make it, but is 300 cents behind Near, all things counted; "
        "Near is better by: 10.0 km nearer."
    )


def test_why_not_of_a_job_that_is_only_asked_about() -> None:
    asked = job("ask", {"n1": 1, "f1": 1}, size_um=(230_000, 10_000, 10_000))
    assert why_not(two_labs(), asked, "near") == (
        "Near takes at most 220 x 220 x 250 mm, the part is 230 x 10 x 10 mm; "
        "n1 could make it if the part were at most 220 x 10 x 10 mm."
    )
    fits = replace(asked, size_um=(1, 1, 1))
    assert why_not(two_labs(), fits, "near") == "Near can make it; nothing speaks against it."


def test_asking_about_what_is_not_there_is_an_error() -> None:
    world = two_labs(job("a", {"n1": 1}))
    plan = solve(world)
    for ask in (
        lambda: why(world, plan, "x"),
        lambda: why_not(world, "x", "near", plan),
        lambda: why_not(world, "a", "nowhere", plan),
        lambda: runner_up(world, Plan((), (), 0, 0, "greedy"), "a"),
    ):
        with pytest.raises(NotInPlan):
            ask()


def check_runner_up(world: Problem, plan: Plan, name: str) -> None:
    found = runner_up(world, plan, name)
    assert why(world, plan, name)
    if found is None:
        return
    assert found.extra_minor == sum(d.other_minor - d.chosen_minor for d in found.lines)
    after = moved(world, plan, name, found.other)
    if set(found.delays) - set(world.followers.get(name, ())):
        return  # somebody cannot stay where they are: the comparison says so instead
    faults = {fault.kind for fault in verify(world, after)} - {"needless"}
    assert faults == ({"prerequisite"} if found.delays else set())
    assert after.objective_minor - plan.objective_minor == found.extra_minor
    if plan.status == "optimal" and not found.delays:
        assert found.extra_minor >= 0


def test_moving_a_job_to_its_runner_up_costs_exactly_the_printed_difference() -> None:
    world = contended()
    for plan in (solve(world), solve(world, Limits(seconds=0))):
        for each in plan.assignments:
            check_runner_up(world, plan, each.job)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems(), st.data())
def test_the_printed_difference_is_true_in_any_world(world: Problem, data: st.DataObject) -> None:
    plan = solve(world, Limits(seconds=0))
    for left in plan.unplaced:
        assert why(world, plan, left.job).startswith("Not planned. ")
    if plan.assignments:
        check_runner_up(world, plan, data.draw(st.sampled_from(plan.assignments)).job)
    for each in world.open_jobs:
        for one in world.labs:
            assert why_not(world, each.id, one.id, plan).endswith(".")


def test_why_says_what_a_later_due_date_would_save() -> None:
    asked = job("a", {"n1": 2, "f1": 2}, prices_minor={"n1": 1000, "f1": 200}, due_s=NOW + 4 * HOUR)
    world = two_labs(asked, fixed=(Running("r", "f1", NOW + 48 * HOUR),))
    plan = solve(world)
    assert why(world, plan, "a").endswith(
        "Ready 2 days later, at Far (f1), would save 260 cents, all things counted."
    )
    later = two_labs(replace(asked, due_s=NOW + 50 * HOUR), fixed=world.fixed)
    assert placed(solve(later)) == {"a": "f1"}
    assert plan.objective_minor - solve(later).objective_minor == 260


def test_why_says_nothing_of_a_later_day_that_saves_nothing() -> None:
    asked = job("a", {"n1": 2, "f1": 2}, due_s=NOW + 4 * HOUR)
    for one in (asked, replace(asked, due_s=None)):
        world = two_labs(one)
        assert tip(world, solve(world), "a") is None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems(), st.integers(1, 9))
def test_a_tip_holds_when_the_due_date_is_set(world: Problem, due_h: int) -> None:
    """All are in a hurry, of what is busy some is cheap: then a tip is not rare."""
    hurried = (replace(each, due_s=NOW + due_h * HOUR, value_minor=None) for each in world.jobs)
    weights = Weights(lateness_minor_per_h=3000, waiting_minor_per_h=1)
    busy = tuple(Running(f"r{each.id}", each.id, NOW + 12 * HOUR) for each in world.machines[::2])
    world = replace(world, jobs=tuple(hurried), weights=weights, fixed=busy, current={})
    plan = solve(world, Limits(seconds=0))
    for spot in plan.assignments:
        found = tip(world, plan, spot.job)
        if found:
            check_tip(world, plan, found, spot)


def check_tip(world: Problem, plan: Plan, found: Tip, spot: Assignment) -> None:
    due = replace(world.job[spot.job], due_s=found.end_s)
    later = replace(world, jobs=tuple(due if each.id == due.id else each for each in world.jobs))
    first, *others = openings(later, due, plan)
    [best] = [each for each in (first, *others) if each.machine.id == found.machine]
    assert (best.end_s, best.cost_minor) == (found.end_s, first.cost_minor)
    after = moved(later, replace(plan, bound_minor=0), due.id, found.machine)
    assert {fault.kind for fault in verify(later, after)} <= {"needless"}
    as_it_was = total_minor(lay_out(later).facts, board_of(later, plan))
    assert as_it_was - after.objective_minor == found.saves_minor
    assert found.end_s - spot.end_s == found.later_s > 0
