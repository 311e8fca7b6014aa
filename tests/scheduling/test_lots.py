from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduling.explain import NotInPlan, why_split
from scheduling.lots import lots, together
from scheduling.plan import Plan
from scheduling.problem import Job, Problem, ProblemError, Running, Weights
from scheduling.solve import Limits, solve
from scheduling.verify import verify
from tests.scheduling.worlds import HOUR, NOW, job, lab, machine, problem, problems, two_labs

WHOLE = job(
    "a",
    {"n1": 10, "f1": 7},
    prices_minor={"n1": 1001, "f1": 998},
    material_minor=301,
    value_minor=5000,
    after=("begin",),
    keep_with="kit",
)


def test_lots_are_of_whole_pieces_and_keep_what_the_job_is_bound_to() -> None:
    parts = lots(WHOLE, 10, 3)
    assert [each.id for each in parts] == ["a/1", "a/2", "a/3"]
    assert [each.durations_s["n1"] / HOUR for each in parts] == [4, 3, 3]
    assert {(each.after, each.keep_with) for each in parts} == {(("begin",), "kit")}
    assert [each.id for each in lots(WHOLE, 2, 5)] == ["a/1", "a/2"]
    assert [replace(each, id="a") for each in lots(WHOLE, 4, 1)] == [WHOLE]


def test_the_first_article_is_one_piece_that_all_others_come_after() -> None:
    first, *others = lots(WHOLE, 10, 4, first_article=True)
    assert first.durations_s == {"n1": HOUR, "f1": 7 * HOUR // 10}
    assert [each.durations_s["n1"] / HOUR for each in others] == [3, 3, 3]
    assert first.after == ("begin",)
    assert {each.after for each in others} == {("begin", "a/1")}


@given(
    st.integers(1, 200), st.integers(1, 12), st.booleans(), st.integers(200, 10**6),
    st.integers(0, 10**6), st.integers(0, 10**6),
)  # fmt: skip
def test_the_lots_add_up_to_the_whole(
    pieces: int, most: int, first: bool, takes_s: int, price: int, value: int
) -> None:
    whole = replace(WHOLE, durations_s={"n1": takes_s}, prices_minor={"n1": price, "f1": 7},
                    material_minor=value, value_minor=value)  # fmt: skip
    if first and min(pieces, most) < 2:
        with pytest.raises(ProblemError, match="a piece of its own"):
            lots(whole, pieces, most, first_article=True)
        return
    parts = lots(whole, pieces, most, first_article=first)
    assert len(parts) <= most
    assert sum(each.durations_s["n1"] for each in parts) == takes_s
    assert sum(each.prices_minor["n1"] for each in parts) == price
    assert sum(each.prices_minor["f1"] for each in parts) == 7
    assert sum(each.material_minor for each in parts) == value
    assert sum(each.value_minor or 0 for each in parts) == value


@pytest.mark.parametrize(
    ("pieces", "most", "why"),
    [(0, 2, "job a in lots: 0 pieces"), (2, 0, "job a in lots: 0 lots"), (True, 1, "True pieces")],
)
def test_what_cannot_be_divided_is_refused_by_name(pieces: int, most: int, why: str) -> None:
    with pytest.raises(ProblemError, match=why):
        lots(WHOLE, pieces, most)


def test_a_lot_that_would_take_no_time_is_refused() -> None:
    short = replace(WHOLE, durations_s={"n1": 2})
    with pytest.raises(ProblemError, match="job a/1 would take no second on n1"):
        lots(short, 3, 3)


def split_world(whole: Job, **changes: object) -> tuple[Problem, tuple[str, ...]]:
    parts = lots(whole, 4, 4)
    return two_labs(*parts, **changes), tuple(each.id for each in parts)


def test_why_split_says_where_when_and_what_one_machine_would_be() -> None:
    whole = job("a", {"n1": 8, "f1": 8}, prices_minor={"n1": 800, "f1": 880}, due_s=NOW + 5 * HOUR)
    world, names = split_world(whole)
    plan = solve(world)
    assert why_split(world, plan, names) == (
        "Made in 4 lots, a/4 at Far (f1) and a/1, a/2 and a/3 at Near (n1): all ready in 6 h, "
        "2 h earlier than on Near (n1) alone, for 20 cents more; "
        "310 cents ahead, all things counted."
    )


def test_why_split_of_lots_on_one_machine_says_that_they_cost_least_there() -> None:
    world, names = split_world(job("a", {"n1": 8, "f1": 80}))
    assert why_split(world, solve(world), names) == (
        "Made in 4 lots, a/1, a/2, a/3 and a/4 at Near (n1): all ready in 8 h, "
        "all on one machine, as on n1 they cost least."
    )


def test_why_split_says_when_no_one_machine_has_the_room() -> None:
    whole = job("a", {"n1": 60, "f1": 60})
    busy = (Running("r", "n1", NOW + 50 * HOUR), Running("q", "f1", NOW + 50 * HOUR))
    world, names = split_world(whole, fixed=busy)
    said = why_split(world, solve(world), names)
    assert said.endswith("no one machine could make all of them without holding up others.")


def test_one_machine_that_would_hold_up_what_follows_does_not_count() -> None:
    parts = lots(job("a", {"n1": 8, "n2": 8}), 2, 2)
    after = job("b", {"cut": 1}, process="cut", after=("a/1", "a/2"))
    machines = [machine("n1", "near"), machine("n2", "near"), machine("cut", "near", process="cut")]
    world = problem([lab("near")], machines, [*parts, after])
    plan = solve(world)
    assert together(world, plan, ["a/1", "a/2"]) is None


def test_lots_that_are_not_in_the_plan_are_an_error() -> None:
    world, names = split_world(job("a", {"n1": 8}))
    for asked, plan in (((*names, "a/9"), solve(world)), (names, Plan((), (), 0, 0, "greedy"))):
        with pytest.raises(NotInPlan):
            why_split(world, plan, asked)
    with pytest.raises(NotInPlan):
        why_split(world, solve(world), ())


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems(), st.data())
def test_one_machine_for_all_lots_makes_a_valid_plan(world: Problem, data: st.DataObject) -> None:
    """Really applied, the checker nods; nobody else has moved; no other machine costs less."""
    whole = data.draw(st.sampled_from(world.jobs)) if world.jobs else None
    if whole is None or whole.id in world.fixed_by_job or world.followers.get(whole.id):
        return
    whole = replace(whole, durations_s=dict.fromkeys(whole.durations_s, 3 * HOUR))
    parts = lots(whole, 3, 3, first_article=data.draw(st.booleans()))
    others = tuple(each for each in world.jobs if each.id != whole.id)
    world = replace(world, jobs=(*others, *parts))
    plan = solve(world, Limits(seconds=0))
    names = [each.id for each in parts]
    if not set(names) <= set(plan.by_job):
        return
    assert why_split(world, plan, names).endswith(".")
    after = together(world, plan, names)
    if after is None:
        return
    assert len({after.by_job[name].machine for name in names}) == 1
    assert {fault.kind for fault in verify(world, after)} <= {"needless"}
    stay = [each.id for each in others if each.id in plan.by_job]
    assert [after.by_job[name].machine for name in stay] == [
        plan.by_job[name].machine for name in stay
    ]
    ends = [after.by_job[name].end_s for name in names]
    if parts[1].after:
        assert ends[0] <= min(ends)


def test_the_machine_that_costs_least_is_taken() -> None:
    whole = job("a", {"n1": 8, "f1": 8}, prices_minor={"n1": 4000, "f1": 400})
    world, names = split_world(whole, weights=Weights(waiting_minor_per_h=1000))
    after = together(world, solve(world), names)
    assert after
    assert {after.by_job[name].machine for name in names} == {"f1"}
    assert not verify(world, after)
