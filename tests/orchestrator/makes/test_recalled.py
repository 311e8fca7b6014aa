"""A recall in a small city: what stops, what is asked to stop, who is told, and what stays so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import Denied, Report, Stop, Withdraw
from orchestrator.dispatch import census
from orchestrator.dispatch import service as dispatch
from orchestrator.makes import recall_loop, recalled
from orchestrator.makes import service as makes
from orchestrator.makes.model import Inspection, Kind, Verdict
from orchestrator.makes.recalled import Did, RecalledUnit
from orchestrator.makes.tables import MakeRow, RecallNoticeRow
from orchestrator.orders import service as orders
from orchestrator.orders.service import OrderRefused
from orchestrator.planning import service as planning
from orchestrator.planning.model import Wish as Asked
from orchestrator.recalls import service as recalls
from orchestrator.recalls.model import IllegalMove
from orchestrator.recalls.service import Ending, RecallIsOpen, RecallRefused, Wish
from orchestrator.recalls.tables import RecallRow
from tests.orchestrator.dispatch.conftest import BOOT, City, a_quote, a_release
from tests.orchestrator.orders.test_orders import confirmed, seal

HOUR = timedelta(hours=1)
ENDING = Ending(why="it was another spool", by="Ona")


def release(city: City) -> str:
    return a_release(city.file).sha256


async def withdraw(city: City, **what: Any) -> RecallRow:
    wish = Wish.model_validate({"reason": "it breaks.", "by": "Ona", **what})
    async with city.store.unit() as unit:
        return await recalled.begin(unit, wish)


async def did(city: City, recall: str) -> list[tuple[str, str, str | None]]:
    """What was done about each job, how the job stands, how its attempt."""
    async with city.store.view() as unit:
        return [
            (each.did, each.state, each.attempt_state) for each in await recalled.jobs(unit, recall)
        ]


async def met(city: City, recall: str) -> list[str]:
    async with city.store.view() as unit:
        row = await recalls.find(unit, recall)
        return [each.passport for each in await recalled.units(unit, recalls.value(row))]


async def the_makes(city: City) -> list[MakeRow]:
    async with city.store.view() as unit:
        return list(await unit.session.scalars(select(MakeRow).order_by(MakeRow.id)))


async def finished(city: City, **words: Any) -> MakeRow:
    attempt = await city.running()
    await city.say(attempt, State.FINISHED, **words)
    return (await the_makes(city))[-1]


async def inspect(city: City, make: str, verdict: Verdict, **words: Any) -> None:
    found = Inspection(verdict=verdict, kind=Kind.PERSON, inspector="Ona", **words)
    async with city.store.unit() as unit:
        await makes.inspected(unit, make, found)


async def messages(city: City) -> list[str]:
    return [send.body for send in await city.sends()]


# ── open jobs


async def test_what_nobody_began_is_cancelled_and_what_runs_is_asked_to_stop(city: City) -> None:
    attempt = await city.running()
    recall = await withdraw(city, release=release(city))
    assert await did(city, recall.id) == [
        (Did.ASKED, "offered", "running"),
        (Did.CANCELLED, "cancelled", None),
    ]
    stop = Stop.model_validate_json((await messages(city))[-1])
    assert (stop.attempt, stop.why) == (attempt, f"recall {recall.id}: it breaks")
    await city.say(attempt, State.INTERRUPTED, cause="stopped")
    assert (await city.job()).state == "cancelled", "not wanted again while the recall stands"
    async with city.store.view() as unit:
        (order,) = await orders.orders(unit)
    assert order.state == "cancelled"
    assert await planning.replan(city.store) is None


async def test_an_offer_is_taken_back_and_never_granted(city: City) -> None:
    attempt = await city.staged()
    recall = await withdraw(city, release=release(city))
    assert await did(city, recall.id) == [
        (Did.CANCELLED, "cancelled", "withdrawn"),
        (Did.CANCELLED, "cancelled", None),
    ]
    told = Withdraw.model_validate_json((await messages(city))[-1])
    assert told.why == f"recall {recall.id}: it breaks"
    assert isinstance(await city.claim(attempt), Denied)


async def test_what_could_not_be_stopped_any_more_is_on_the_list_and_not_accepted(
    city: City,
) -> None:
    attempt = await city.running()
    recall = await withdraw(city, release=release(city), todo="free_replacement")
    assert await met(city, recall.id) == []
    await city.say(attempt, State.FINISHED)
    (make,) = await the_makes(city)
    assert await met(city, recall.id) == [make.id]
    assert "make.recalled" in await city.kinds()
    with pytest.raises(RecalledUnit, match="it breaks"):
        await inspect(city, make.id, Verdict.CONFORMS)
    await inspect(city, make.id, Verdict.DEVIATES)
    assert (await city.job()).state == "cancelled"


async def test_an_abandoned_job_is_not_tried_again(city: City) -> None:
    recall = await withdraw(city, release=release(city))
    assert [each[0] for each in await did(city, recall.id)] == [Did.CANCELLED] * 2
    with pytest.raises(OrderRefused, match="only an abandoned job"):
        async with city.store.unit() as unit:
            await orders.try_again(unit, city.jobs[0])


async def test_a_machine_is_left_by_what_it_has_not_begun_and_nothing_is_cancelled(
    city: City,
) -> None:
    attempt = await city.staged()
    since = datetime.now(UTC) - HOUR
    name = f"{city.agent}/printer-1"
    recall = await withdraw(city, machine=name, since=since)
    assert await did(city, recall.id) == [(Did.MOVED, "wanted", "withdrawn")]
    assert isinstance(await city.claim(attempt), Denied)
    async with city.store.view() as unit:
        assert await recalls.machines_out(unit) == {name}
    await planning.replan(city.store)
    assert [(await city.job(each)).state for each in city.jobs] == ["wanted", "wanted"]
    async with city.store.unit() as unit:
        await recalls.lift(unit, recall.id, ENDING)
    await planning.replan(city.store)
    assert [(await city.job(each)).state for each in city.jobs] == ["planned", "planned"]


async def test_a_span_that_is_over_leaves_the_machine_alone(city: City) -> None:
    attempt = await city.staged()
    now = datetime.now(UTC)
    name = f"{city.agent}/printer-1"
    recall = await withdraw(city, machine=name, since=now - 2 * HOUR, until=now - HOUR)
    assert await did(city, recall.id) == []
    assert (await city.attempt(attempt)).state == "claimed"


async def test_while_labs_are_awaited_nothing_is_called_stopped_and_then_it_is(city: City) -> None:
    attempt = await city.staged()
    async with city.store.unit() as unit:
        epoch = await census.begin(unit, "a test")
    recall = await withdraw(city, release=release(city))
    assert {each[0] for each in await did(city, recall.id)} == {Did.WAITS}
    assert (await city.attempt(attempt)).state == "claimed"
    await recall_loop.look(city.store)
    assert {each[0] for each in await did(city, recall.id)} == {Did.WAITS}
    await city.hello(epoch=epoch, head_seq=3)
    await recall_loop.look(city.store)
    assert {each[:2] for each in await did(city, recall.id)} == {(Did.CANCELLED, "cancelled")}
    assert (await city.attempt(attempt)).state == "withdrawn"


async def test_a_look_takes_no_turn_to_write_where_nothing_is_open(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    recall = await withdraw(city, release=release(city))
    assert {each[0] for each in await did(city, recall.id)} == {Did.CANCELLED}

    async def never(_work: object) -> None:
        raise AssertionError("it took the writer's turn")

    monkeypatch.setattr(city.store, "run", never)
    await recall_loop.look(city.store)


# ── what may be ordered


async def test_a_recalled_release_is_neither_quoted_nor_ordered_until_it_is_lifted(
    city: City,
) -> None:
    asked = Asked(design="hook", lat=52.5, lon=13.4)
    quote = a_quote(a_release(city.file), city.agent, 1).model_copy(update={"id": "q-2"})
    async with city.store.unit() as unit:
        await planning.quote(unit, asked)
    recall = await withdraw(city, release=release(city), part="hook")
    with pytest.raises(planning.QuoteRefused, match=f"recalled since .*: it breaks.*{recall.id}"):
        async with city.store.unit() as unit:
            await planning.quote(unit, asked)
    with pytest.raises(OrderRefused, match=r"Hook of Hook 1\.0\.0 is recalled"):
        async with city.store.unit() as unit:
            await orders.place(unit, quote, confirmed(quote), seal)
    async with city.store.unit() as unit:
        await recalls.settle(unit, recall.id, ENDING)
        assert await recalls.against(unit, quote.release, ["hook"]), "settled is not lifted"
    async with city.store.unit() as unit:
        await recalls.lift(unit, recall.id, ENDING)
    async with city.store.unit() as unit:
        await orders.place(unit, quote, confirmed(quote), seal)


# ── units and holders


async def test_a_lot_is_met_by_what_the_lab_reports_and_by_what_the_inspector_sees(
    city: City,
) -> None:
    reported = await finished(city, evidence={"lot": "PLA  2611-A"})
    assert reported.lot == "PLA 2611-A"
    await inspect(city, reported.id, Verdict.CONFORMS, lot="pla 2611-a")
    recall = await withdraw(city, lot="pla2611-A")
    assert await met(city, recall.id) == [reported.id]
    with pytest.raises(makes.AlreadyInspected):
        await inspect(city, reported.id, Verdict.CONFORMS)


async def test_two_lots_for_one_part_are_asked_about(city: City) -> None:
    reported = await finished(city, evidence={"lot": "A"})
    with pytest.raises(makes.OtherLot, match="written down as A"):
        await inspect(city, reported.id, Verdict.CONFORMS, lot="B")


async def test_a_recalled_lot_seen_at_the_inspection_is_not_accepted(city: City) -> None:
    make = await finished(city)
    recall = await withdraw(city, lot="B")
    with pytest.raises(RecallIsOpen, match=f"material lot b: recalled already, by {recall.id}"):
        await withdraw(city, lot="b")
    with pytest.raises(RecalledUnit):
        await inspect(city, make.id, Verdict.CONFORMS, lot="b")
    assert await met(city, recall.id) == []
    await inspect(city, make.id, Verdict.DEVIATES, lot="b")
    assert await met(city, recall.id) == [make.id]
    assert (await city.job()).state == "wanted", "made again, of another lot"
    async with city.store.view() as unit:
        assert (await unit.session.get(RecallNoticeRow, (recall.id, make.order_id))) is not None


async def test_holders_stand_in_the_outbox_until_somebody_told_them(city: City) -> None:
    make = await finished(city)
    await inspect(city, make.id, Verdict.CONFORMS)
    recall = await withdraw(city, release=release(city))
    async with city.store.view() as unit:
        (holder,) = await recalled.holders(unit, recalls.value(await recalls.find(unit, recall.id)))
    assert (holder.order, holder.name, holder.units, holder.told_at) == (
        make.order_id, "Ana", 1, None,
    )  # fmt: skip
    async with city.store.unit() as unit:
        await recalled.told(unit, recall.id, make.order_id, "by telephone")
    async with city.store.view() as unit:
        (row,) = (await unit.session.scalars(select(RecallNoticeRow))).all()
    assert row.told_at is not None
    with pytest.raises(KeyError):
        async with city.store.unit() as unit:
            await recalled.told(unit, recall.id, "o-none", "by telephone")


async def test_what_is_made_after_lifting_is_free_and_what_was_before_keeps_its_history(
    city: City,
) -> None:
    make = await finished(city)
    recall = await withdraw(city, machine=f"{city.agent}/printer-1", since=make.ended_at - HOUR)
    async with city.store.unit() as unit:
        await recalls.lift(unit, recall.id, ENDING)
        later = await recalls.find(unit, recall.id)
        later.lifted_at = make.ended_at + timedelta(milliseconds=1)
    await inspect(city, make.id, Verdict.CONFORMS)
    assert await met(city, recall.id) == [make.id]
    async with city.store.unit() as unit:
        row = await recalls.find(unit, recall.id)
        row.lifted_at = make.began_at
    assert await met(city, recall.id) == []
    with pytest.raises(IllegalMove):
        async with city.store.unit() as unit:
            await recalls.settle(unit, recall.id, ENDING)


async def test_the_time_of_a_make_is_the_shops_not_the_posts(city: City) -> None:
    """A lab that was offline for a day tells late; the span means when its machine worked."""
    attempt = await city.staged()
    await city.claim(attempt)
    began = datetime.now(UTC) - timedelta(days=1)
    moves = ((State.STARTING, began), (State.RUNNING, began), (State.FINISHED, began + HOUR))
    for state, at in moves:
        city.seq += 1
        said = Report(boot=BOOT, seq=city.seq, attempt=attempt, fence=1, state=state, at=at)
        async with city.store.unit() as unit:
            await dispatch.report(unit, city.agent, said)
    (make,) = await the_makes(city)
    assert (make.began_at, make.ended_at, make.file) == (began, began + HOUR, city.file)
    name = f"{city.agent}/printer-1"
    during = await withdraw(city, machine=name, since=began + HOUR / 2, until=began + HOUR)
    assert await met(city, during.id) == [make.id]
    today = await withdraw(city, machine=name, since=began + 2 * HOUR)
    assert await met(city, today.id) == []


# ── a wish that names nothing


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"design": "none"}, "no design none is published"),
        ({"design": "hook", "first_version": "2.0.0"}, "it has 1.0.0"),
        ({"machine": "nord/none", "since": datetime.now(UTC)}, "no machine nord/none is known"),
    ],
)
async def test_a_recall_of_nothing_is_refused(city: City, what: dict[str, Any], said: str) -> None:
    with pytest.raises(RecallRefused, match=said):
        await withdraw(city, **what)
    assert "recall.opened" not in await city.kinds()


async def test_a_preview_does_nothing(city: City) -> None:
    await finished(city)
    wish = Wish(release=release(city), reason="it breaks", by="Ona")
    async with city.store.view() as unit:
        assert await recalled.preview(unit, wish) == ("Hook 1.0.0", 1, 1, 1)
    assert "recall.opened" not in await city.kinds()
