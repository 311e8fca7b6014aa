import sys
from dataclasses import replace
from subprocess import run
from time import perf_counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from scheduling.plan import Plan
from scheduling.problem import Frozen, Problem, Running, Travel, Weights
from scheduling.solve import InvalidPlan, Limits, checked, solve
from scheduling.verify import verify
from tests.scheduling.worlds import (
    HOUR,
    NOW,
    cheapest_minor,
    job,
    lab,
    machine,
    placed,
    problem,
    problems,
    two_labs,
)

QUICK = Limits(seconds=0.3)
generated = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def contended() -> Problem:
    """Two printers, five prints: what is cheapest for one is not cheapest for all."""
    hours = ((3, 5), (4, 4), (2, 6), (5, 5), (1, 2))
    due = (4, 5, 6, 9, 2)
    jobs = [
        job(f"j{i}", {"n1": a, "f1": b}, due_s=NOW + due[i] * HOUR)
        for i, (a, b) in enumerate(hours)
    ]
    return two_labs(*jobs)


def test_one_job_goes_to_the_nearer_of_two_equal_machines() -> None:
    plan = solve(two_labs(job("a", {"n1": 1, "f1": 1})))
    assert placed(plan) == {"a": "n1"}
    lines = dict(plan.assignments[0].lines)
    assert lines == {"machine": 1000, "transport": 30, "waiting": 5}
    assert (plan.objective_minor, plan.bound_minor, plan.status) == (1035, 1035, "optimal")


def test_a_queue_sends_the_second_job_to_the_farther_machine() -> None:
    weights = Weights(waiting_minor_per_h=100)
    plan = solve(two_labs(*(job(n, {"n1": 5, "f1": 5}) for n in "ab"), weights=weights))
    assert sorted(placed(plan).values()) == ["f1", "n1"]
    assert plan.objective_minor == 2 * 1000 + 30 + 330 + 2 * 500
    assert plan.status == "optimal"


def test_the_solver_proves_an_optimum_that_insertion_alone_does_not() -> None:
    world = contended()
    plan = solve(world)
    assert plan.status == "optimal"
    assert plan.objective_minor == cheapest_minor(world)
    assert plan.solver_s > 0


def test_an_attended_machine_works_within_one_opening_and_an_unattended_one_through_the_night() -> (
    None
):
    labs = [lab("near", 1, ((0, 2), (10, 20)))]
    machines = [machine("free", "near"), machine("tended", "near", unattended=False)]
    both = [job("a", {"free": 5}), job("b", {"tended": 5})]
    plan = solve(problem(labs, machines, both))
    starts = {each.job: (each.start_s - NOW) / HOUR for each in plan.assignments}
    assert starts == {"a": 0, "b": 10}


def test_a_follower_waits_for_the_way_between_the_labs_and_pays_it() -> None:
    labs = [lab("near", 0), lab("far", 10)]
    machines = [machine("p", "near"), machine("m", "far", process="mill")]
    jobs = [job("print", {"p": 1}), job("mill", {"m": 1}, process="mill", after=("print",))]
    plan = solve(problem(labs, machines, jobs, travel=Travel(handover_s=600, s_per_km=100)))
    first, second = plan.assignments
    assert second.start_s == first.end_s + 600 + 1000
    assert "transport" not in dict(first.lines)
    assert dict(second.lines)["transport"] == 300 + 300


def test_a_part_made_long_ago_at_another_lab_still_has_to_travel() -> None:
    labs = [lab("near", 0), lab("far", 10)]
    machines = [machine("p", "near"), machine("m", "far", process="mill")]
    world = problem(
        labs,
        machines,
        [job("mill", {"m": 1}, process="mill", after=("print",))],
        fixed=(Running("print", "p", NOW - 500),),
        travel=Travel(handover_s=600, s_per_km=100),
    )
    assert solve(world).assignments[0].start_s == NOW - 500 + 600 + 1000


def test_fixed_jobs_keep_their_place_and_open_ones_fit_between() -> None:
    world = problem(
        [lab("near", 1)],
        [machine("n1", "near")],
        [job("long", {"n1": 4}), job("short", {"n1": 1})],
        fixed=(
            Running("now", "n1", NOW + 2 * HOUR),
            Frozen("held", "n1", NOW + 3 * HOUR, NOW + 5 * HOUR),
        ),
    )
    starts = {each.job: (each.start_s - NOW) // HOUR for each in solve(world).assignments}
    assert starts == {"short": 2, "long": 5}


def test_jobs_kept_together_are_made_at_one_lab() -> None:
    jobs = [job(n, {"n1": 30, "f1": 30}, keep_with="kit") for n in "abc"]
    weights = Weights(waiting_minor_per_h=50)
    apart = solve(two_labs(*(replace(each, keep_with=None) for each in jobs), weights=weights))
    together = solve(two_labs(*jobs, weights=weights))
    assert set(placed(apart).values()) == {"n1", "f1"}
    assert set(placed(together).values()) == {"n1"}


def test_a_move_counts_only_as_much_as_its_weight() -> None:
    one = job("a", {"n1": 1, "f1": 1})
    stays = two_labs(one, current={"a": "f1"}, weights=Weights(move_minor=400))
    moves = two_labs(one, current={"a": "f1"}, weights=Weights(move_minor=200))
    assert placed(solve(stays)) == {"a": "f1"}
    assert placed(solve(moves)) == {"a": "n1"}
    assert dict(solve(moves).assignments[0].lines)["move"] == 200


@pytest.mark.parametrize(
    ("changes", "said", "counts"),
    [
        ({"process": "laser"}, "no machine for laser", "none after process"),
        ({"material": "oak"}, "does not work with oak, only with pla", "none after material"),
        ({"size_um": (300_000, 1, 1)}, "at most 220 x 220 x 250 mm", "none after size"),
        ({"tolerance_um": 50}, "holds 0.2 mm, the part wants 0.05 mm", "none after tolerance"),
        ({"durations_s": {}}, "no time and price", "none after estimate"),
        (
            {"durations_s": {"n1": 200 * HOUR}},
            "no free opening for 8 days 8 h",
            "1 after estimate and none after hours",
        ),
        ({"value_minor": 3}, "it would cost", "1 after estimate and none after price"),
    ],
)
def test_what_cannot_be_made_is_left_out_with_its_reason(
    changes: dict, said: str, counts: str
) -> None:
    plan = solve(two_labs(replace(job("a", {"n1": 1}), **changes)))
    why, waterfall = plan.unplaced[0].reasons
    assert said in why
    assert waterfall == f"Machines left, of 2: {counts}."
    assert plan.status == "optimal"  # leaving out what nobody can make is the best there is


def test_what_follows_a_job_that_is_left_out_is_left_out_too() -> None:
    plan = solve(two_labs(job("a", {}), job("b", {"n1": 1}, after=("a",))))
    reasons = {left.job: left.reasons[0] for left in plan.unplaced}
    assert reasons["b"] == "It comes after a, which is not planned."


def test_a_full_machine_leaves_out_what_it_must_and_says_so() -> None:
    world = two_labs(*(job(f"j{i}", {"n1": 40}) for i in range(4)))
    plan = solve(world)
    assert (len(plan.assignments), len(plan.unplaced), plan.status) == (2, 2, "optimal")
    why, waterfall = plan.unplaced[0].reasons
    assert "Near could make it" in why
    assert waterfall == "Machines left, of 2: 1 after estimate."


def test_without_time_the_greedy_plan_is_returned_and_the_solver_is_not_loaded() -> None:
    plan = solve(contended(), Limits(should_stop=lambda: True))
    assert plan.status == "greedy"
    assert plan.solver_s == 0
    assert len(plan.assignments) == 5
    assert not verify(contended(), plan)
    code = "import sys, scheduling; sys.exit('ortools' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0


def test_too_many_jobs_for_the_solver_are_planned_greedily() -> None:
    plan = solve(contended(), Limits(exact_jobs=4))
    assert plan.status == "greedy"
    assert plan.bound_minor <= plan.objective_minor


def test_stopping_between_two_looks_still_gives_a_whole_plan() -> None:
    for asked in range(1, 40, 3):
        left = iter(range(asked))
        plan = solve(contended(), Limits(should_stop=lambda left=left: next(left, None) is None))
        assert not verify(contended(), plan)


def test_a_bound_is_not_claimed_for_machines_that_were_not_looked_at() -> None:
    plan = solve(contended(), Limits(reach=1))
    assert plan.status != "optimal" or plan.objective_minor == cheapest_minor(contended())
    assert plan.bound_minor <= cheapest_minor(contended())


def test_the_same_seed_gives_the_same_plan() -> None:
    for limits in (QUICK, Limits(seconds=0.3, seed=7), Limits(seconds=0.05, exact_jobs=0, seed=7)):
        assert solve(contended(), limits) == solve(contended(), limits)


def test_the_wall_guard_ends_a_search_that_would_go_on() -> None:
    jobs = [
        job(f"j{i}", {"n1": 1 + i % 7, "f1": 2 + i % 5}, due_s=NOW + (i * 5 % 60) * HOUR)
        for i in range(40)
    ]
    began = perf_counter()
    plan = solve(two_labs(*jobs), Limits(seconds=1000, wall_seconds=1))
    assert perf_counter() - began < 15
    assert plan.status == "feasible"


def test_two_workers_answer_the_same_each_time() -> None:
    assert solve(contended(), Limits(workers=2)) == solve(contended(), Limits(workers=2))


def test_the_largest_numbers_allowed_do_not_overflow_the_solver() -> None:
    most, year = 10**9, 400 * 24
    jobs = [
        job(f"j{i}", {"n1": year / 4 + i, "f1": year / 4}, due_s=0, material_minor=most)
        for i in range(6)
    ]
    priced = [replace(each, prices_minor=dict.fromkeys(("n1", "f1"), most)) for each in jobs]
    dear = Weights(10**7, 10**7, 10**7, most, most)
    for weights in (dear, replace(dear, lateness_minor_per_h=0, waiting_minor_per_h=1)):
        world = two_labs(*priced, horizon_s=NOW + year * HOUR, weights=weights)
        plan = solve(world)
        assert plan.solver_s > 0 or plan.status == "optimal"
        assert not verify(world, plan)


def test_a_few_hundred_jobs_are_planned_by_insertion_without_a_fault() -> None:
    shut_at_night = tuple((24 * day + 8, 24 * day + 18) for day in range(7))
    labs = [lab(f"l{i}", i, shut_at_night) for i in range(8)]
    machines = [machine(f"m{i}", f"l{i % 8}", unattended=i % 3 > 0) for i in range(32)]
    jobs = [
        job(
            f"j{i}",
            {each.id: 1 + i % 5 + k % 3 for k, each in enumerate(machines) if (i + k) % 4},
            due_s=NOW + (i % 90) * HOUR,
            after=(f"j{i - 1}",) if i % 6 == 5 else (),
        )
        for i in range(300)
    ]
    world = problem(labs, machines, jobs, horizon_s=NOW + 168 * HOUR)
    greedy, improved = solve(world, Limits(seconds=0)), solve(world, Limits(seconds=1))
    assert not greedy.unplaced
    assert greedy.bound_minor <= improved.objective_minor <= greedy.objective_minor


def test_an_empty_problem_has_an_empty_plan() -> None:
    plan = solve(problem([], [], []))
    assert plan == Plan((), (), 0, 0, "optimal")


def test_an_invalid_plan_is_never_handed_out() -> None:
    world = two_labs(job("a", {"n1": 1}))
    with pytest.raises(InvalidPlan, match="a is neither placed nor left out"):
        checked(world, Plan((), (), 0, 0, "greedy"))


@generated
@given(problems())
def test_every_plan_passes_the_independent_check(world: Problem) -> None:
    for limits in (QUICK, Limits(should_stop=lambda: True), Limits(seconds=0.01, exact_jobs=0)):
        plan = solve(world, limits)
        assert not verify(world, plan)
        assert plan.bound_minor <= plan.objective_minor


@generated
@given(problems(most_jobs=3, most_machines=3))
def test_what_is_called_optimal_is_what_trying_everything_finds(world: Problem) -> None:
    least = cheapest_minor(world)
    plan = solve(world, Limits(seconds=2))
    assert plan.bound_minor <= least <= plan.objective_minor
    if plan.status == "optimal":
        assert plan.objective_minor == least


@pytest.mark.parametrize(
    "wrong", [{"seconds": -1.0}, {"seconds": float("nan")}, {"workers": 0}, {"reach": 0}]
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give"):
        Limits(**wrong)
