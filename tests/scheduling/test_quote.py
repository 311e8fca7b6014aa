from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduling.board import total_minor
from scheduling.plan import left_out_minor
from scheduling.problem import Problem, ProblemError, Running
from scheduling.quote import board_without, moved, openings, quote
from scheduling.solve import Limits, solve
from scheduling.verify import verify
from tests.scheduling.worlds import HOUR, NOW, job, lab, machine, problem, problems, two_labs


def city() -> Problem:
    labs = [lab("near", 1), lab("far", 11), lab("wood", 2), lab("empty", 3), lab("night", 5, ())]
    machines = [
        machine("n1", "near"),
        machine("n2", "near"),
        machine("f1", "far"),
        machine("w1", "wood", materials=frozenset({"wood"})),
        machine("x1", "night"),
    ]
    return problem(labs, machines, [])


ASKED = job(
    "ask",
    {"n1": 2, "n2": 3, "f1": 2, "w1": 1, "x1": 2},
    prices_minor={"n1": 1000, "n2": 900, "f1": 500, "x1": 5000},
    material_minor=40,
)


def test_a_quote_ranks_one_machine_of_each_lab_with_price_distance_and_time() -> None:
    found = quote(city(), ASKED, most=2)
    assert [(each.lab, each.machine) for each in found.options] == [("far", "f1"), ("near", "n2")]
    far, near = found.options
    assert dict(far.lines) == {"machine": 500, "material": 40, "transport": 330, "waiting": 10}
    assert (far.price_minor, far.cost_minor, far.distance_m) == (540, 880, 11_000)
    assert (near.start_s, near.ready_by_s) == (NOW, NOW + 3 * HOUR)
    assert far.reason == (
        "The best of 3 labs, all things counted: 11.0 km away, ready in 2 h, 540 cents; "
        "105 cents ahead of Near."
    )
    assert near.reason == (
        "Also possible: 1.0 km away, ready in 3 h, 940 cents; "
        "105 cents behind Far, all things counted."
    )


def test_every_other_lab_gets_its_reason_nearest_first() -> None:
    found = quote(city(), ASKED, most=2)
    assert [(each.lab, each.reason) for each in found.refusals] == [
        (
            "wood",
            "Wood does not work with pla, only with wood; w1 could make it if it were of wood.",
        ),
        ("empty", "Empty has no machine for print."),
        ("night", "Night could make it, but it is 4320 cents behind Far, all things counted."),
    ]


def test_the_only_lab_is_called_the_only_one() -> None:
    only = replace(ASKED, durations_s={"n1": HOUR})
    assert quote(city(), only).options[0].reason.startswith("The only lab that can make it: 1.0 km")


def test_a_quote_stands_behind_what_runs_and_what_is_planned() -> None:
    busy = two_labs(job("a", {"n1": 3}), fixed=(Running("r", "n1", NOW + 2 * HOUR),))
    asked = job("ask", {"n1": 1})
    assert quote(busy, asked).options[0].start_s == NOW + 2 * HOUR
    assert quote(busy, asked, solve(busy)).options[0].start_s == NOW + 5 * HOUR


def test_a_lab_that_is_full_says_so() -> None:
    world = two_labs(job("a", {"n1": 99}))
    refusals = quote(world, job("ask", {"n1": 2}), solve(world)).refusals
    assert refusals[0].reason == (
        "Near could make it, but what is planned there leaves no opening in time."
    )


def test_a_job_kept_with_another_is_quoted_at_its_lab_only() -> None:
    world = two_labs(job("a", {"f1": 1}, keep_with="kit"))
    found = quote(world, job("ask", {"n1": 1, "f1": 1}, keep_with="kit"), solve(world))
    assert [each.lab for each in found.options] == ["far"]
    assert "kept with what is made at Far" in found.refusals[0].reason


def test_what_waits_for_an_unplanned_job_is_not_quoted_and_says_why() -> None:
    world = two_labs(job("a", {}))
    found = quote(world, job("ask", {"n1": 1}, after=("a",)), solve(world))
    assert found.options == ()
    assert "a must come first and is not planned" in found.refusals[0].reason


def test_a_job_that_names_an_unknown_machine_is_refused() -> None:
    with pytest.raises(ProblemError, match="machine x9: unknown"):
        quote(city(), job("ask", {"x9": 1}))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems(), st.data())
def test_every_opening_makes_a_valid_plan_at_its_price(world: Problem, data: st.DataObject) -> None:
    """Take a job out of a plan that nothing follows, put it at any opening: the check nods."""
    world = replace(world, weights=replace(world.weights, unplaced_minor=1_000_000_000))
    plan = solve(world, Limits(seconds=0))
    last = [a for a in plan.assignments if a.job not in world.followers]
    if not last:
        return
    spot = data.draw(st.sampled_from(last))
    found = openings(world, world.job[spot.job], plan)
    assert spot.machine in {each.machine.id for each in found}
    misplaced = board_without(world, world.job[spot.job], plan).misplaced
    for each in [] if misplaced else found:
        after = moved(world, plan, spot.job, each.machine.id)
        now = after.by_job[spot.job]
        assert (now.start_s, now.end_s) == (each.start_s, each.end_s)
        rest = after.objective_minor - sum(line.minor for line in each.lines) - each.others_minor
        without = board_without(world, world.job[spot.job], plan)
        value = left_out_minor(world, world.job[spot.job])
        assert rest == total_minor(without.cards.facts, without.board) - value
        faults = verify(world, after)
        assert {fault.kind for fault in faults} <= {"needless"}  # a gap may have opened for others
