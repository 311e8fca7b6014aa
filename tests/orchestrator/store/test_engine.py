import asyncio
import gc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import String, select, text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Event, Store, Unit, Utc, new_id


class Cup(Base):
    __tablename__ = "test_cup"
    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    full: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime | None] = mapped_column(Utc)


@pytest.fixture
async def store(database_url: str, tmp_path: Path):
    opened = await Store.open(database_url, tmp_path / "blobs")
    async with opened._engine.begin() as connection:
        await connection.run_sync(Cup.metadata.tables["test_cup"].create)
    yield opened
    await opened.close()


async def _log(store: Store) -> list[str]:
    found: list[str] = []
    last = await store.last_event()
    if not last:
        return []
    async for told in store.events(0):
        found.append(told.kind)
        if told.id == last:
            return found
    return found


async def test_a_change_and_its_event_are_kept_together_or_not_at_all(store: Store):
    async with store.unit() as unit:
        unit.session.add(Cup(id="a"))
        await unit.record("cup.made", "a", by="potter")

    async def drop(unit: Unit) -> None:
        unit.session.add(Cup(id="b"))
        await unit.record("cup.made", "b")
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await store.run(drop)
    async with store.view() as unit:
        assert (await unit.session.scalars(select(Cup.id))).all() == ["a"]
    assert await _log(store) == ["cup.made"]


async def test_moments_come_back_as_the_utc_they_were(store: Store):
    async with store.unit() as unit:
        moment = unit.now
        unit.session.add(Cup(id="a", at=moment))
    async with store.view() as unit:
        cup = await unit.session.get(Cup, "a")
    assert cup is not None
    assert cup.at == moment
    assert cup.at is not None
    assert cup.at.tzinfo is UTC


async def test_a_moment_without_a_zone_is_refused(store: Store):
    with pytest.raises(Exception, match="without a zone"):
        async with store.unit() as unit:
            unit.session.add(Cup(id="a", at=datetime(2026, 1, 1)))  # noqa: DTZ001


async def test_handlers_run_inside_the_unit_and_may_record_more(store: Store):
    async def chip(unit: Unit, told: Event) -> None:
        cup = await unit.session.get(Cup, told.subject)
        assert cup is not None
        cup.full = 7
        await unit.record("cup.filled", told.subject)

    store.on("cup.made", chip)
    async with store.unit() as unit:
        await unit.record("cup.made", "a")
        unit.session.add(Cup(id="a"))  # the handler comes after the body is done
    async with store.view() as unit:
        cup = await unit.session.get(Cup, "a")
    assert cup is not None
    assert cup.full == 7
    assert await _log(store) == ["cup.made", "cup.filled"]


async def test_an_error_in_a_handler_undoes_the_unit(store: Store):
    async def refuse(unit: Unit, told: Event) -> None:
        raise LookupError(told.subject)

    store.on("cup.made", refuse)

    async def make(unit: Unit) -> None:
        unit.session.add(Cup(id="a"))
        await unit.record("cup.made", "a")

    with pytest.raises(LookupError):
        await store.run(make)
    async with store.view() as unit:
        assert await unit.session.get(Cup, "a") is None


async def test_a_hundred_writers_lose_no_update_and_no_event(store: Store):
    async with store.unit() as unit:
        unit.session.add(Cup(id="a"))

    async def pour(unit: Unit) -> None:
        cup = await unit.session.get(Cup, "a")
        assert cup is not None
        cup.full += 1
        await unit.record("cup.filled", "a")

    await asyncio.gather(*(store.run(pour) for _ in range(100)))
    async with store.view() as unit:
        cup = await unit.session.get(Cup, "a")
    assert cup is not None
    assert cup.full == 100
    assert len(await _log(store)) == 100


async def test_the_live_feed_misses_nothing_and_keeps_the_order(store: Store):
    seen: list[int] = []

    async def listen() -> None:
        async for told in store.events(0):
            seen.append(told.id)
            if len(seen) == 60:
                return

    listener = asyncio.create_task(listen())

    async def tell(unit: Unit) -> None:
        await unit.record("tick", "clock")

    await asyncio.gather(*(store.run(tell) for _ in range(60)))
    await asyncio.wait_for(listener, 10)
    assert seen == sorted(seen)
    assert len(set(seen)) == 60


async def test_a_second_process_hears_within_its_poll(store: Store, database_url: str, tmp_path):
    other = await Store.open(database_url, tmp_path / "blobs")
    try:
        feed = other.events(0)
        waiting = asyncio.ensure_future(anext(feed))
        await asyncio.sleep(0.1)
        async with store.unit() as unit:
            await unit.record("tick", "clock")
        assert (await asyncio.wait_for(waiting, 5)).kind == "tick"
        await feed.aclose()
    finally:
        await other.close()


@pytest.fixture
def _nothing_collected():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_nothing_collected")
async def test_who_is_cancelled_amid_a_statement_gives_up_its_turn(store: Store):
    """Found by `./run proof brokers`: a dying connection took the store along for a minute."""
    count = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000000)"

    async def work(unit: Unit) -> None:
        await unit.record("cup.made", "a")
        await unit.session.execute(text(f"{count} SELECT max(x) FROM c"))

    for moment_s in (0.01, 0.03, 0.05, 0.07):
        working = asyncio.create_task(store.run(work))
        await asyncio.sleep(moment_s)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        async with asyncio.timeout(5), store.unit() as unit:
            await unit.record("cup.filled", "b")
    assert await _log(store) == ["cup.filled"] * 4


async def test_a_view_reads_while_a_unit_writes(store: Store):
    async with store.unit() as writing:
        writing.session.add(Cup(id="a"))
        await writing.session.flush()
        async with store.view() as reading:
            assert await reading.session.get(Cup, "a") is None


def test_ids_sort_by_the_time_they_were_made_and_never_repeat():
    ids = [new_id("o") for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5000
    assert all(len(i) == 14 for i in ids)
