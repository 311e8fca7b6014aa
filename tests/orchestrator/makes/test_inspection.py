"""Inspections held against a part's plan: which checks are due, what may be called conforming."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from designs.design import Check, Release
from designs.errors import DesignRefused
from fablab_agents.protocol.attempts import State
from orchestrator.cli import makes as cli
from orchestrator.makes import model, service
from orchestrator.makes.model import Inspection, Kind, Reading, Verdict
from orchestrator.makes.tables import MakeRow
from orchestrator.orders import model as orders_model
from orchestrator.orders import service as orders
from orchestrator.orders.model import Maker
from orchestrator.store import Unit
from tests.orchestrator.dispatch.conftest import City, _publish, a_quote, a_release

BORE = Check(kind="dimension", what="bore", nominal_mm=8, minus_mm=0.05, plus_mm=0.1)
THREAD = Check(kind="gauge", what="thread", gauge="an M8 bolt", every=3)
WEIGHT = Check(kind="reading", what="weight in g")
FRONT = Check(kind="photo", what="front", every=5)
PLAN = (BORE, THREAD, WEIGHT, FRONT)
GOOD = (
    Reading(check=1, value=8.02), Reading(check=2, passed=True), Reading(check=3, value=21.5),
    Reading(check=4, photo_sha256="a" * 64),
)  # fmt: skip


def found(
    verdict: Verdict = Verdict.CONFORMS, *readings: Reading, kind: Kind = Kind.PERSON
) -> Inspection:
    return Inspection(verdict=verdict, kind=kind, inspector="Ona", readings=readings)


def refused(inspection: Inspection, due: tuple[int, ...] = (1, 2, 3, 4), plan: model.Plan = PLAN,
            *, simulated: bool = False) -> str:  # fmt: skip
    try:
        model.hold(plan, due, inspection, simulated=simulated)
    except DesignRefused as no:
        return str(no)
    return ""


# ── what may be called conforming


@pytest.mark.parametrize(
    ("value", "good"),
    [(7.94, False), (7.949999, False), (7.95, True), (8, True), (8.1, True), (8.1000001, False)],
)
def test_a_dimension_conforms_within_its_tolerance_ends_included(value: float, good: bool) -> None:
    said = refused(found(Verdict.CONFORMS, Reading(check=1, value=value), *GOOD[1:]))
    assert (said == "") is good
    if not good:
        assert "is not within 7.95 to 8.1 mm: such a part cannot be called conforming" in said


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ((), "check 1, bore: the plan asks for it on this part, and there is no reading"),
        (GOOD[:3], "check 4, front: the plan asks"),
        ((GOOD[0], Reading(check=2, passed=False), *GOOD[2:]), "it does not pass an M8 bolt"),
        ((*GOOD, GOOD[0]), "check 1, bore: it is read twice"),
        ((*GOOD, Reading(check=5, value=1)), "check 5: the plan has 4 checks"),
        ((Reading(check=1, passed=True), *GOOD[1:]), "check 1, bore: it wants a number and"),
        ((Reading(check=1), *GOOD[1:]), "it wants a number and nothing else"),
        ((GOOD[0], Reading(check=2, value=1, passed=True), *GOOD[2:]), "whether the gauge passed"),
        ((*GOOD[:3], Reading(check=4, value=1)), "it wants the photo's hash"),
    ],
)
def test_what_the_plan_does_not_bear_out_is_refused(
    readings: tuple[Reading, ...], said: str
) -> None:
    assert said in refused(found(Verdict.CONFORMS, *readings))


def test_what_is_not_due_may_be_left_out_but_not_be_wrong() -> None:
    assert refused(found(Verdict.CONFORMS, GOOD[0], GOOD[2]), due=(1, 3)) == ""
    wrong = Reading(check=2, passed=False)
    assert "does not pass" in refused(found(Verdict.CONFORMS, GOOD[0], wrong, GOOD[2]), due=(1, 3))


def test_other_verdicts_need_no_reading_and_keep_what_was_read() -> None:
    bad = Reading(check=1, value=9)
    for verdict in (Verdict.DEVIATES, Verdict.UNMEASURABLE):
        assert refused(found(verdict)) == ""
        assert refused(found(verdict, bad)) == ""
        assert "read twice" in refused(found(verdict, bad, bad))


def test_only_of_a_simulated_part_nothing_has_to_be_read() -> None:
    said = found(Verdict.CONFORMS, kind=Kind.SIMULATED)
    assert refused(said, simulated=True) == ""
    assert "there is no reading" in refused(said, simulated=False)
    assert "there is no reading" in refused(found(Verdict.CONFORMS), simulated=True)


def test_a_part_without_a_plan_is_judged_as_before() -> None:
    assert refused(found(), due=(), plan=()) == ""
    assert "has no inspection plan" in refused(found(Verdict.CONFORMS, GOOD[0]), due=(), plan=())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_a_value_is_a_number_that_can_be_measured(value: float) -> None:
    with pytest.raises(ValidationError):
        Reading(check=1, value=value)


# ── which are due


@given(
    every=st.integers(1, 12),
    reads=st.lists(st.booleans(), max_size=60),
)
def test_of_any_n_accepted_parts_in_a_row_one_was_looked_at(every: int, reads: list[bool]) -> None:
    """Whoever inspects reads what is due, and sometimes more."""
    plan = (Check(kind="reading", what="weight", every=every),)
    accepted: list[set[int]] = []
    for more in reads:
        due = model.due(plan, accepted)
        accepted.append(set(due) | ({1} if more else set()))
    assert not accepted or accepted[0] == {1}, "the first has all its checks"
    for start in range(len(accepted) - every + 1):
        assert any(accepted[start : start + every])


def test_what_is_due_is_no_more_than_the_plan_asks() -> None:
    accepted: list[set[int]] = []
    due: list[tuple[int, ...]] = []
    for _ in range(7):
        due.append(model.due(PLAN, accepted))
        accepted.append(set(due[-1]))
    assert due == [(1, 2, 3, 4), (1, 3), (1, 3), (1, 2, 3), (1, 3), (1, 3, 4), (1, 2, 3)]


# ── in the city


def with_plan(city: City, *, first_article: bool = False) -> Release:
    plain = a_release(city.file)
    part = plain.parts[0].model_copy(update={"inspection": PLAN})
    return plain.model_copy(
        update={"version": "2.0.0", "parts": (part,), "first_article": first_article}
    )


async def ordered(city: City, release: Release, pieces: int) -> list[str]:
    quote = a_quote(release, city.agent, pieces).model_copy(
        update={"id": "q-2", "first_article": release.first_article}
    )
    async with city.store.unit() as unit:
        await _publish(unit, release)
        text = orders_model.confirmation_text(quote, "Ana")
        agreed = orders.Confirmation(Maker(name="Ana"), orders_model.digest(text))
        order = await orders.place(unit, quote, agreed, city.signer.seal)
        return [job.id for job in await orders.jobs_of(unit, order.id)]


async def made(city: City, job: str) -> MakeRow:
    attempt = await city.staged(job)
    fence = (await city.attempt(attempt)).fence
    await city.claim(attempt, fence=fence)
    for state in (State.STARTING, State.RUNNING, State.FINISHED):
        await city.say(attempt, state, fence)

    async def of_job(unit: Unit) -> MakeRow:
        return (await service.of_job(unit, job))[-1]

    return await city.store.run(of_job)


async def inspected(city: City, make: str, inspection: Inspection) -> None:
    async with city.store.unit() as unit:
        await service.inspected(unit, make, inspection)


async def test_readings_are_kept_and_sampling_goes_over_an_order(city: City) -> None:
    jobs = await ordered(city, with_plan(city), 3)
    first = await made(city, jobs[0])
    with pytest.raises(DesignRefused, match="there is no reading"):
        await inspected(city, first.id, found(Verdict.CONFORMS, GOOD[0]))
    assert (await city.job(jobs[0])).state == "made", "refused, nothing was kept"
    await inspected(city, first.id, found(Verdict.CONFORMS, *GOOD))
    second = await made(city, jobs[1])
    async with city.store.view() as unit:
        kept = await service.find(unit, first.id)
        assert service.read_on(kept) == {1, 2, 3, 4}
        assert (await service.plan(unit, second)).due == (1, 3)
    async with city.store.unit() as unit:
        row = await service.find(unit, second.id)
        row.file, own = "e" * 64, row.file
        assert (await service.plan(unit, row)).due == (1, 2, 3, 4), "the first from another file"
        row.file = own
    await inspected(city, second.id, found(Verdict.CONFORMS, GOOD[0], GOOD[2]))
    assert [(await city.job(each)).state for each in jobs] == ["received", "received", "wanted"]


async def test_of_a_first_article_the_rest_waits_until_one_conforms(city: City) -> None:
    jobs = await ordered(city, with_plan(city, first_article=True), 3)
    assert [(await city.job(each)).after for each in jobs] == [[], [jobs[0]], [jobs[0]]]

    async def wanted() -> list[str]:
        async with city.store.view() as unit:
            found = await orders.wanted_jobs(unit)
            return [job.id for job in found if job.id in jobs]

    assert await wanted() == jobs[:1]
    make = await made(city, jobs[0])
    assert await wanted() == []
    await inspected(city, make.id, found(Verdict.DEVIATES, Reading(check=1, value=9)))
    assert await wanted() == jobs[:1], "again one"
    with pytest.raises(orders_model.IllegalMove, match="waits until"):
        async with city.store.unit() as unit:
            await orders.plan_job(unit, jobs[1], city.agent, "printer-1")
    again = await made(city, jobs[0])
    await inspected(city, again.id, found(Verdict.CONFORMS, *GOOD))
    assert await wanted() == jobs[1:]


# ── on the command line

ASKED: dict[str, Any] = {
    "checks": [check.model_dump(mode="json") for check in PLAN],
    "asked": [model.asked(check) for check in PLAN],
    "due": [1, 3],
}


@pytest.mark.parametrize(("name", "number"), [("bore", 1), ("Thread", 2), ("3", 3), ("front", 4)])
def test_a_check_is_named_by_number_or_words(name: str, number: int) -> None:
    assert cli.check_number(ASKED, name) == number


@pytest.mark.parametrize("name", ["0", "5", "hole", ""])
def test_a_check_that_is_not_there_is_told_with_the_plan(name: str) -> None:
    with pytest.raises(cli.BadReading, match=r"1\. bore: 8 mm, −0\.05 \+0\.1"):
        cli.check_number(ASKED, name)


def test_the_plan_is_told_in_a_workshops_words() -> None:
    assert cli.told_plan(ASKED).splitlines() == [
        "1. bore: 8 mm, −0.05 +0.1",
        "2. thread: passes an M8 bolt, on one part in 3 (not due on this one)",
        "3. weight in g: a reading",
        "4. front: a photo, on one part in 5 (not due on this one)",
    ]
