"""What the shop's rules mean for a plan: people, power, changeovers, beds, pay, reservations."""

from dataclasses import replace
from typing import Any

import pytest

from scheduling import Limits, Operator, Plan, Problem, Weights, solve, verify, why
from scheduling.cards import board_of, lay_out
from scheduling.problem import Job, Lab, ProblemError
from tests.scheduling.worlds import HOUR, NOW, job, lab, machine, problem

QUICK = Limits(seconds=0.05)


def planned(world: Problem, limits: Limits = QUICK) -> Plan:
    plan = solve(world, limits)
    assert not verify(world, plan)
    return plan


def starts_h(plan: Plan) -> dict[str, float]:
    return {each.job: (each.start_s - NOW) / HOUR for each in plan.assignments}


def staffed(*people: Operator, **changes: Any) -> Lab:
    return replace(lab("shop", 1), operators=people, **changes)


def mills(*names: str, **changes: Any) -> list[Any]:
    return [machine(name, "shop", process="mill", unattended=False, **changes) for name in names]


def milled(name: str, on: dict[str, float], **changes: Any) -> Job:
    return job(name, on, process="mill", **changes)


def test_one_person_serves_one_mill_at_a_time() -> None:
    both = {"m1": 2.0, "m2": 2.0}
    jobs = [milled("a", both), milled("b", both)]
    one = problem([staffed(Operator("ann", frozenset({"mill"})))], mills("m1", "m2"), jobs)
    assert sorted(starts_h(planned(one)).values()) == [0, 2]
    two = [Operator(name, frozenset({"mill"})) for name in ("ann", "bob")]
    plan = planned(problem([staffed(*two)], mills("m1", "m2"), jobs))
    assert sorted(starts_h(plan).values()) == [0, 0]
    assert {each.operator for each in plan.assignments} == {"ann", "bob"}


def test_nobody_serves_what_they_have_not_learned_or_when_they_are_away() -> None:
    late = Operator("ann", frozenset({"mill"}), ((NOW + 5 * HOUR, NOW + 9 * HOUR),))
    other = Operator("bob", frozenset({"laser"}))
    plan = planned(problem([staffed(late, other)], mills("m1"), [milled("a", {"m1": 2})]))
    assert starts_h(plan) == {"a": 5}
    left = planned(problem([staffed(other)], mills("m1"), [milled("a", {"m1": 2})]))
    assert left.unplaced[0].job == "a"
    assert "no free opening" in left.unplaced[0].reasons[0]


def test_a_printer_needs_nobody_by_name() -> None:
    world = problem([staffed()], [machine("n1", "shop")], [job("a", {"n1": 2})])
    assert planned(world).assignments[0].operator is None


def test_machines_wait_for_one_another_where_power_is_short() -> None:
    printers = [machine(name, "shop", power_w=1000) for name in ("n1", "n2", "n3")]
    jobs = [job(name, {"n1": 2, "n2": 2, "n3": 2}) for name in "abc"]
    plan = planned(problem([replace(lab("shop"), power_max_w=2000)], printers, jobs))
    assert sorted(starts_h(plan).values()) == [0, 0, 2]
    none = problem([replace(lab("shop"), power_max_w=500)], printers, jobs)
    assert len(planned(none).unplaced) == 3


def test_jobs_of_one_colour_follow_each_other_and_a_change_takes_time_and_money() -> None:
    loaded = machine("n1", "near", loaded=("pla", "red"), changeover_s=HOUR, changeover_minor=40)
    jobs = [job(name, {"n1": 2}, colour=colour) for name, colour in
            (("a", "red"), ("b", "blue"), ("c", "red"))]  # fmt: skip
    plan = planned(problem([lab("near")], [loaded], jobs))
    spots = plan.by_job
    assert spots["b"].start_s == max(each.start_s for each in plan.assignments)
    assert spots["b"].end_s - spots["b"].start_s == 3 * HOUR
    assert dict(spots["b"].lines)["changeover"] == 40
    assert "changeover" not in dict(spots["a"].lines)


def printer_with_bed(**changes: Any) -> Any:
    return machine("n1", "near", plate_gap_um=5_000, begin_s=600, **changes)


def test_parts_of_one_material_share_a_plate_through_the_night() -> None:
    at_work = ((0, 8), (24, 32))
    jobs = [job(name, {"n1": 6}, plate_um=(90_000, 90_000)) for name in "abcd"]
    plan = planned(problem([lab("near", 0, at_work)], [printer_with_bed()], jobs))
    assert set(starts_h(plan).values()) < {0, 6, 24, 30}
    assert len(set(starts_h(plan).values())) < 4
    corners = {each.on_plate_um for each in plan.assignments}
    assert (0, 0) in corners
    assert (95_000, 0) in corners
    plate = [each for each in plan.assignments if each.on_plate_um is not None]
    many = len([each for each in plate if each.start_s == plate[0].start_s])
    assert plate[0].end_s - plate[0].start_s == many * 6 * HOUR - (many - 1) * 600


@pytest.mark.parametrize(
    "changes",
    [{"colour": "red"}, {"material": "petg"}, {"plate_um": (200_000, 200_000)}, {"plate_um": None}],
)
def test_what_does_not_belong_on_a_plate_does_not_share_it(changes: dict[str, Any]) -> None:
    printer = printer_with_bed(materials=frozenset({"pla", "petg"}))
    jobs = [job("a", {"n1": 6}, plate_um=(90_000, 90_000)),
            job("b", {"n1": 6}, **{"plate_um": (90_000, 90_000), **changes})]  # fmt: skip
    plan = planned(problem([lab("near", 0, ((0, 1), (24, 25)))], [printer], jobs))
    assert {each.on_plate_um for each in plan.assignments} == {None}


def test_a_reserved_machine_is_left_alone() -> None:
    taken = machine("n1", "near", reserved_s=((NOW + HOUR, NOW + 4 * HOUR),))
    plan = planned(problem([lab("near")], [taken], [job("a", {"n1": 2})]))
    assert starts_h(plan) == {"a": 4}


def test_a_lab_is_never_paid_less_than_its_floor() -> None:
    labs = [replace(lab("near"), floor_minor_per_h=900)]
    world = problem(labs, [machine("n1", "near")], [job("a", {"n1": 2}, prices_minor={"n1": 500})])
    spot = planned(world).assignments[0]
    assert dict(spot.lines)["fair pay"] == 1300
    assert spot.price_minor == 1800


def test_a_credit_moves_work_and_nobodys_pay() -> None:
    labs = [lab("near"), replace(lab("poor"), credit_permille=100)]
    jobs = [job("a", {"n1": 2, "p1": 2})]
    machines = [machine("n1", "near"), machine("p1", "poor")]
    spot = planned(problem(labs, machines, jobs)).assignments[0]
    assert spot.machine == "p1"
    assert (dict(spot.lines)["fairness"], spot.price_minor) == (-100, 1000)
    tried = [lab("near"), replace(lab("poor"), trial_minor=5)]
    spot = planned(problem(tried, machines, jobs)).assignments[0]
    assert (spot.machine, dict(spot.lines)["trial"]) == ("p1", -5)


def test_co2_has_a_price_of_its_own() -> None:
    labs = [lab("near"), lab("far", 10)]
    weights = Weights(transport_minor_per_km=0, co2_minor_per_kg=100)
    machines = [machine("n1", "near", power_w=8000), machine("f1", "far", power_w=100)]
    world = problem(labs, machines, [job("a", {"n1": 1, "f1": 1})], weights=weights)
    spot = planned(world).assignments[0]
    assert (spot.machine, dict(spot.lines)["co2"]) == ("f1", 150 + 3)


def test_machines_that_fail_often_count_more() -> None:
    machines = [machine("n1", "near", reliable_permille=800), machine("n2", "near")]
    world = problem([lab("near")], machines, [job("a", {"n1": 1, "n2": 2})])
    spot = planned(world).assignments[0]
    assert spot.machine == "n2"
    assert planned(replace(world, machines=machines[:1], jobs=(job("a", {"n1": 1}),))
    ).assignments[0].lines[1] == ("remakes", 250)  # fmt: skip


def test_a_job_is_left_out_when_it_costs_more_than_it_is_worth() -> None:
    world = problem([lab("near")], [machine("n1", "near")], [job("a", {"n1": 1}, value_minor=900)])
    plan = planned(world)
    assert why(world, plan, "a") == (
        "Not planned. Even with nothing else to do it would cost 1005 cents; leaving it out counts "
        "900 cents. It would be made if it counted more than that. "
        "Machines left, of 1: none after price."
    )
    worth = replace(world, jobs=(job("a", {"n1": 1}, value_minor=1006),))
    assert planned(worth).assignments


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: replace(lab("a"), power_max_w=-1), "lab a: power_max_w is -1"),
        (lambda: replace(lab("a"), credit_permille=1001), "lab a: credit_permille is 1001"),
        (lambda: machine("m", "a", reliable_permille=0), "machine m: reliable_permille is 0"),
        (lambda: machine("m", "a", reserved_s=((3, 2),)), "machine m: reserved_s: a window closes"),
        (lambda: Operator("x y", frozenset()), "an operator has the id"),
        (lambda: job("j", {}, plate_um=(0, 4)), "job j: plate_um: x is 0"),
        (lambda: job("j", {}, value_minor=-4), "job j: value_minor is -4"),
        (lambda: problem([staffed(Operator("p", frozenset()), Operator("p", frozenset()))], [], []),
         "operator p is given twice"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_at_birth(wrong: Any, words: str) -> None:
    with pytest.raises(ProblemError, match=words.replace("(", r"\(")):
        wrong()


def test_a_plan_put_on_the_board_comes_off_as_it_was() -> None:
    jobs = [job(name, {"n1": 6}, plate_um=(90_000, 90_000)) for name in "abcd"]
    world = problem([lab("near", 0, ((0, 8), (24, 32)))], [printer_with_bed()], jobs)
    plan = planned(world)
    assert lay_out(world).assignments(board_of(world, plan)) == plan.assignments
