"""Orders: placed once, moved only along the table, folded from their jobs."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.orders import model, service
from orchestrator.orders.model import Item, JobState, Maker, OrderState, PriceLine, Quoted
from orchestrator.store import Store, Unit
from tests.orchestrator.dispatch.conftest import _publish, a_release

RELEASE = a_release("f" * 64)


async def opened(url: str, blobs: Path) -> Store:
    """A store in which what `quoted` is of is published."""
    store = await Store.open(url, blobs)
    async with store.unit() as unit:
        await _publish(unit, RELEASE)
    return store


def quoted(**changes: object) -> Quoted:
    item = Item(
        part="hook", quantity=2, process="3d_printing_fdm", material="pla", estimate_s=900,
        lab="Taller Poblenou", agent="poblenou-1", machine="printer-1",
        lines=(PriceLine(what="set-up", minor=100), PriceLine(what="machine time", minor=75)),
    )  # fmt: skip
    plain = {
        "id": "q-1", "release": RELEASE.sha256, "title": "Wall hook", "version": "1.0.0",
        "quantity": 2, "lat": 41.39, "lon": 2.19, "items": (item,),
        "currency": "EUR", "policy_version": "p1",
        "ready_at": None, "valid_until": datetime.now(UTC) + timedelta(hours=1),
    }  # fmt: skip
    return Quoted.model_validate({**plain, **changes})


def confirmed(quote: Quoted, name: str = "Aina") -> service.Confirmation:
    text = model.confirmation_text(quote, name)
    return service.Confirmation(Maker(name=name, contact="aina@example.org"), model.digest(text))


def seal(payload: bytes) -> str:
    return "sealed " + model.digest(payload.decode())[:8]


@pytest.fixture
async def store(database_url: str, tmp_path: Path) -> AsyncIterator[Store]:
    store = await opened(database_url, tmp_path / "blobs")
    yield store
    await store.close()


async def place(store: Store) -> str:
    async with store.unit() as unit:
        return (await service.place(unit, quoted(), confirmed(quoted()), seal)).id


async def order_state(unit: Unit, order_id: str) -> str | None:
    order = await service.order(unit, order_id)
    return order and order.state


async def job_states(unit: Unit, order_id: str) -> list[str]:
    return [job.state for job in await service.jobs_of(unit, order_id)]


async def test_an_order_wants_one_job_a_piece_and_keeps_what_was_agreed(store: Store) -> None:
    order_id = await place(store)
    async with store.unit() as unit:
        order = await service.order(unit, order_id)
        jobs = await service.jobs_of(unit, order_id)
        kinds = [e async for e in first(store, 3)]
    assert order is not None
    assert (order.total_minor, order.policy_version, order.state) == (175, "p1", "placed")
    assert "Taller Poblenou" in order.confirmation
    assert order.seal.startswith("sealed")
    assert [(j.part, j.quantity, j.state, j.price_minor) for j in jobs] == [
        ("hook", 1, "wanted", 87),
        ("hook", 1, "wanted", 87),
    ]
    assert kinds == ["order.placed", "job.wanted", "job.wanted"]


async def first(store: Store, count: int) -> AsyncIterator[str]:
    seen = 0
    async for event in store.events(after=0):
        yield event.kind
        seen += 1
        if seen == count:
            return


async def test_the_same_quote_twice_is_one_order(store: Store) -> None:
    assert await place(store) == await place(store)
    async with store.unit() as unit:
        assert len(await service.orders(unit)) == 1
        assert len(await service.wanted_jobs(unit)) == 2


async def test_an_order_is_of_whoever_can_prove_it_and_a_name_proves_nothing(
    tmp_path: Path,
) -> None:
    store = await opened(f"sqlite+aiosqlite:///{tmp_path}/one.db", tmp_path / "blobs")
    mine, named = replace(confirmed(quoted()), proof="mine"), confirmed(quoted())
    other = replace(mine, maker=Maker(name="Eve"), proof="hers")
    async with store.unit() as unit:
        rows = [await service.place(unit, quoted(), each, seal) for each in (mine, named, other)]
    assert len({row.id for row in rows}) == 1
    assert rows[-1].maker_name == "Aina"
    assert [service.placed_by(rows[0], each, seal) for each in (mine, named, other)] == [
        True, False, False
    ]  # fmt: skip
    await store.close()


async def test_events_carry_no_personal_data(store: Store) -> None:
    await place(store)
    async for event in store.events(after=0):
        assert "Aina" not in f"{event}"
        assert "example.org" not in f"{event}"
        if event.kind == "job.wanted":
            break


@pytest.mark.parametrize(
    ("quote", "what", "words"),
    [
        (quoted(), "other text", "read the quote again"),
        (quoted(valid_until=datetime(2020, 1, 1, tzinfo=UTC)), None, "expired"),
    ],
)
async def test_a_confirmation_that_does_not_fit_is_refused_whole(
    store: Store, quote: Quoted, what: str | None, words: str
) -> None:
    given_text = what or model.confirmation_text(quote, "Aina")
    wish = service.Confirmation(Maker(name="Aina"), model.digest(given_text))
    with pytest.raises(service.OrderRefused, match=words):
        async with store.unit() as unit:
            await service.place(unit, quote, wish, seal)
    async with store.unit() as unit:
        assert not await service.orders(unit)
        assert not await service.wanted_jobs(unit)


async def test_a_job_walks_its_table_and_the_order_follows(store: Store) -> None:
    order_id = await place(store)
    async with store.unit() as unit:
        for job in await service.wanted_jobs(unit):
            await service.plan_job(unit, job.id, "poblenou-1", "printer-1")
            assert await service.offer_job(unit, job.id, f"a-{job.id}") == 1
        assert await order_state(unit, order_id) == OrderState.MAKING
    async with store.unit() as unit:
        for job in await service.jobs_of(unit, order_id):
            await service.job_made(unit, job.id, f"a-{job.id}")
            await service.job_received(unit, job.id)
        assert await job_states(unit, order_id) == ["received", "received"]
        assert await order_state(unit, order_id) == OrderState.READY
        await service.hand_over(unit, order_id)


async def test_an_attempt_that_is_not_the_jobs_own_makes_nothing(store: Store) -> None:
    order_id = await place(store)
    async with store.unit() as unit:
        job = (await service.jobs_of(unit, order_id))[0]
        await service.plan_job(unit, job.id, "a", "m")
        await service.offer_job(unit, job.id, "a-1")
        with pytest.raises(service.Raced):
            await service.job_made(unit, job.id, "a-0")
        with pytest.raises(model.IllegalMove):
            await service.plan_job(unit, job.id, "a", "m")
        with pytest.raises(model.IllegalMove):
            await service.unplan_job(unit, job.id, "planned anew")


async def test_tries_are_counted_and_the_last_one_abandons_the_job(store: Store) -> None:
    order_id = await place(store)
    fences: list[int] = []
    async with store.unit() as unit:
        job_id = (await service.jobs_of(unit, order_id))[0].id
        for n in range(model.MOST_TRIES):
            await service.plan_job(unit, job_id, "a", "m")
            fences.append(await service.offer_job(unit, job_id, f"a-{n}"))
            await service.job_wanted_again(unit, job_id, "the printer was unplugged")
        job = await service.job(unit, job_id)
        assert (job.state, job.why) == ("abandoned", "the printer was unplugged")
        await service.try_again(unit, job_id)
        assert (await service.job(unit, job_id)).tries == 0
    assert fences == [1, 2, 3, 4]


async def test_a_refusal_counts_no_try_and_avoids_the_machine(store: Store) -> None:
    order_id = await place(store)
    async with store.unit() as unit:
        job_id = (await service.jobs_of(unit, order_id))[0].id
        await service.plan_job(unit, job_id, "a", "m")
        await service.offer_job(unit, job_id, "a-1")
        await service.job_wanted_again(unit, job_id, "too tall", avoid="a/m", counts=False)
        job = await service.job(unit, job_id)
        assert (job.state, job.tries, job.avoid, job.fence) == ("wanted", 0, ["a/m"], 1)


@given(st.lists(st.sampled_from(JobState), min_size=1, max_size=6))
def test_an_order_is_ready_exactly_when_every_job_has_ended_and_one_was_received(
    jobs: list[JobState],
) -> None:
    ready = model.fold(OrderState.MAKING, jobs) is OrderState.READY
    assert ready == (set(jobs) <= model.JOB_ENDS and JobState.RECEIVED in jobs)


@given(st.sampled_from(JobState), st.sampled_from(JobState))
def test_a_received_job_never_moves_again(state: JobState, to: JobState) -> None:
    if state is JobState.RECEIVED:
        with pytest.raises(model.IllegalMove):
            model.move_job(state, to)
