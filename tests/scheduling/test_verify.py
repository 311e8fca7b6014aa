from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduling.plan import Assignment, Line, Plan, Unplaced
from scheduling.problem import Frozen, Problem, Travel, Weights
from scheduling.solve import Limits, solve
from scheduling.verify import verify
from tests.scheduling.worlds import HOUR, NOW, job, lab, machine, problem, problems

OUT = Unplaced("out", ("nobody mills",))


def world(**changes: Any) -> Problem:
    """Two labs; `c` comes after `a`; `d` and `e` are kept together; nobody can make `out`."""
    labs = [lab("near", 0, ((0, 8), (24, 40))), lab("far", 10)]
    machines = [
        machine("n1", "near"),
        machine("n2", "near", unattended=False),
        machine("f1", "far", available_from_s=NOW + HOUR),
        machine("f2", "far", process="cut", thickness_max_um=5000),
    ]
    on = {"n1": 2, "n2": 2, "f1": 2, "f2": 2}
    jobs = [
        job("a", on),
        job("b", on, release_s=NOW + 3 * HOUR, due_s=NOW + 4 * HOUR),
        job("c", on, process="cut", after=("a",)),
        job("d", on, keep_with="kit"),
        job("e", on, keep_with="kit"),
        job("out", on, process="mill"),
        job("held", on),
    ]
    given: dict[str, Any] = {
        "fixed": (Frozen("held", "n1", NOW + 30 * HOUR, NOW + 32 * HOUR),),
        "weights": Weights(waiting_minor_per_h=10, move_minor=77),
        "travel": Travel(handover_s=HOUR, s_per_km=0),
        "current": {"a": "f1", "e": "n2"},
        "horizon_s": NOW + 50 * HOUR,
    }
    return problem(labs, machines, jobs, **{**given, **changes})


def at(name: str, on: str, start_h: float, *lines: tuple[str, int], hours: float = 2) -> Assignment:
    start = NOW + round(start_h * HOUR)
    end = start + round(hours * HOUR)
    return Assignment(name, on, start, end, tuple(Line(*line) for line in lines))


BASE = ("machine", 1000)


def sound() -> Plan:
    placed = (
        at("a", "n1", 0, BASE, ("waiting", 20), ("move", 77)),
        at("b", "n1", 3, BASE, ("waiting", 20), ("lateness", 200)),
        at("c", "f2", 3, BASE, ("transport", 600), ("waiting", 50)),
        at("d", "n2", 0, BASE, ("waiting", 20)),
        at("e", "n2", 2, BASE, ("waiting", 40)),
    )
    return with_sum(Plan(placed, (OUT,), 0, 0, "feasible"))


def with_sum(plan: Plan) -> Plan:
    total = sum(each.cost_minor for each in plan.assignments) + 1_000_000 * len(plan.unplaced)
    return replace(plan, objective_minor=total)


def swap(plan: Plan, *placed: Assignment) -> Plan:
    names = {each.job for each in placed}
    kept = tuple(each for each in plan.assignments if each.job not in names)
    return with_sum(replace(plan, assignments=kept + placed))


def test_a_sound_plan_written_by_hand_has_no_fault() -> None:
    assert verify(world(), sound()) == ()


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("missing", lambda p: with_sum(replace(p, assignments=p.assignments[1:]))),
        ("twice", lambda p: with_sum(replace(p, assignments=p.assignments + p.assignments[:1]))),
        ("twice", lambda p: with_sum(replace(p, unplaced=(OUT, Unplaced("a", ("why",)))))),
        ("unknown", lambda p: swap(p, at("ghost", "n1", 10))),
        ("unknown", lambda p: swap(p, at("a", "ghost", 10))),
        ("fixed", lambda p: swap(p, at("held", "n1", 30))),
        ("incapable", lambda p: swap(p, at("a", "f2", 9, BASE))),
        ("duration", lambda p: swap(p, at("a", "n1", 0, BASE, hours=1))),
        ("early", lambda p: swap(p, at("a", "n1", -1, BASE))),
        ("early", lambda p: swap(p, at("b", "n1", 2, BASE))),
        ("early", lambda p: swap(p, at("a", "f1", 0.5, BASE))),
        ("horizon", lambda p: swap(p, at("a", "f1", 49, BASE))),
        ("hours", lambda p: swap(p, at("a", "n1", 8, BASE))),
        ("hours", lambda p: swap(p, at("e", "n2", 7, BASE))),
        ("overlap", lambda p: swap(p, at("b", "n1", 31, BASE))),
        ("overlap", lambda p: swap(p, at("e", "n2", 1, BASE))),
        ("prerequisite", lambda p: swap(p, at("c", "f2", 2.9, BASE))),
        ("lines", lambda p: swap(p, at("a", "n1", 0, ("machine", 999), ("waiting", 20)))),
        ("lines", lambda p: swap(p, at("a", "n1", 0, BASE, ("waiting", 20)))),
        ("lines", lambda p: swap(p, at("d", "n2", 0, BASE, ("waiting", 20), ("fee", 0)))),
        ("split", lambda p: swap(p, at("e", "f1", 4, BASE))),
        ("no reason", lambda p: replace(p, unplaced=(Unplaced("out", (" ",)),))),
        ("objective", lambda p: replace(p, objective_minor=p.objective_minor - 1)),
        ("bound", lambda p: replace(p, bound_minor=p.objective_minor + 1)),
        ("status", lambda p: replace(p, status="optimal")),
    ],
)
def test_each_broken_rule_is_named(kind: str, broken: Callable[[Plan], Plan]) -> None:
    assert kind in {fault.kind for fault in verify(world(), broken(sound()))}


def test_an_unattended_print_may_run_past_closing_time_but_an_attended_one_not() -> None:
    late = swap(sound(), at("a", "n1", 7, BASE, ("waiting", 90), ("move", 77)))
    kinds = {fault.kind for fault in verify(world(), late)}
    assert kinds == {"prerequisite"}  # only because c no longer follows in time


def test_leaving_out_what_would_fit_is_a_fault() -> None:
    kept = tuple(each for each in sound().assignments if each.job != "e")
    lazy = with_sum(replace(sound(), assignments=kept, unplaced=(OUT, Unplaced("e", ("busy",)))))
    assert {fault.kind for fault in verify(world(), lazy)} == {"needless"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"material": "oak"}, "does not do print in oak"),
        ({"size_um": (1, 1, 250_001)}, "larger than the machine"),
        ({"tolerance_um": 199}, "finer than the machine holds"),
        ({"durations_s": {"n2": 2 * HOUR}}, "no estimate"),
    ],
)
def test_every_way_of_being_incapable_is_seen(changes: dict[str, Any], wrong: str) -> None:
    jobs = tuple(replace(j, **changes) if j.id == "a" else j for j in world().jobs)
    faults = verify(replace(world(), jobs=jobs), sound())
    assert any(fault.kind == "incapable" and wrong in fault.message for fault in faults)


def test_a_sheet_that_is_too_thick_is_seen() -> None:
    jobs = tuple(replace(j, thickness_um=5001) if j.id == "c" else j for j in world().jobs)
    faults = verify(replace(world(), jobs=jobs), sound())
    assert [fault.message for fault in faults] == ["c on f2: the sheet is too thick"]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems(), st.data())
def test_a_plan_that_was_tampered_with_never_passes(world: Problem, data: st.DataObject) -> None:
    plan = solve(world, Limits(seconds=0))
    if not plan.assignments:
        return
    spot = data.draw(st.sampled_from(plan.assignments))
    dearer = (*spot.lines, Line("extra", 1))
    changed = data.draw(
        st.sampled_from(
            [
                replace(spot, end_s=spot.end_s + 1),
                replace(spot, start_s=world.now_s - 1),
                replace(spot, start_s=world.horizon_s, end_s=world.horizon_s + 1),
                replace(spot, lines=dearer),
                replace(spot, job="ghost"),
            ]
        )
    )
    others = tuple(each for each in plan.assignments if each is not spot)
    assert verify(world, with_sum(replace(plan, assignments=(*others, changed), bound_minor=0)))
    assert verify(world, with_sum(replace(plan, assignments=others, bound_minor=0)))
