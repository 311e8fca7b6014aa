"""The query lists exactly the units that the rule meets, on either database."""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from orchestrator.makes import recalled
from orchestrator.makes.tables import MakeRow
from orchestrator.orders import service as orders
from orchestrator.recalls.model import (
    Made,
    OfLot,
    OfMachine,
    OfPart,
    OfReleases,
    Recall,
    Todo,
    affected,
    lot_key,
)
from tests.orchestrator.orders.test_orders import confirmed, opened, quoted, seal

pytestmark = pytest.mark.timeout(300)
_T = TypeVar("_T")

# Clocks in Madrid are put back on 25 October 2026 at 01:00 UTC: 02:00 to 03:00 happens twice.
NIGHT = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
ZONES = [
    UTC,
    ZoneInfo("Europe/Madrid"),
    ZoneInfo("America/St_Johns"),
    timezone(timedelta(hours=14)),
]
moments = st.builds(
    lambda quarter, tick, zone: (
        NIGHT + quarter * timedelta(minutes=15) + tick * timedelta(microseconds=1)
    ).astimezone(zone),
    st.integers(0, 12), st.integers(-1, 1), st.sampled_from(ZONES),
)  # fmt: skip


def in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


hashes = st.sampled_from(["a" * 64, "b" * 64, "c" * 64])
parts = st.sampled_from(["hook", "plate"])
materials = st.sampled_from(["pla", "petg"])
lots = st.sampled_from(["A 1", "a1", "A-1", "ａ1", "ß", "SS", "%", "a_"])
agents = st.sampled_from(["nord", "sud"])
machines = st.sampled_from(["printer-1", "printer-2"])


@st.composite
def makes(draw: st.DrawFn) -> Made:
    began, ended = sorted([draw(moments), draw(moments)], key=in_utc)
    return Made(
        draw(hashes), draw(parts), draw(st.none() | hashes), draw(materials),
        draw(st.none() | lots), draw(agents), draw(machines), began, ended,
    )  # fmt: skip


@st.composite
def spans(draw: st.DrawFn) -> OfMachine:
    since, until = draw(moments), draw(st.none() | moments)
    if until is not None and in_utc(until) <= in_utc(since):
        until = in_utc(since) + timedelta(microseconds=1)
    return OfMachine(agent=draw(agents), machine=draw(machines), since=since, until=until)


scopes = st.one_of(
    st.builds(OfReleases, releases=st.lists(hashes, min_size=1, max_size=3).map(tuple)),
    st.builds(OfPart, release=hashes, part=parts, files=st.lists(hashes, max_size=2).map(tuple)),
    st.builds(OfLot, lot=lots, material=st.none() | materials),
    spans(),
)
recalls = st.builds(
    Recall, st.just("r-1"), scopes, st.just("x"), st.just(Todo.RETURN), st.just(NIGHT),
    st.none() | moments,
)  # fmt: skip


class Table:
    """A store with one order and one job, into which makes are put and taken out again."""

    def __init__(self, url: str, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = self.wait(opened(url, folder / "blobs"))
        self.order, self.job = self.wait(self._order())

    def wait(self, work: Awaitable[_T]) -> _T:
        return self.loop.run_until_complete(work)  # pyright: ignore[reportArgumentType, reportReturnType]

    async def _order(self) -> tuple[str, str]:
        async with self.store.unit() as unit:
            quote = quoted()
            order = await orders.place(unit, quote, confirmed(quote), seal)
            return order.id, (await orders.jobs_of(unit, order.id))[0].id

    def row(self, name: str, made: Made) -> dict[str, Any]:
        return {
            **asdict(made), "id": name, "order_id": self.order, "job_id": self.job,
            "lot_key": lot_key(made.lot) if made.lot else None, "attempt": f"a-{name}",
            "process": "3d_printing_fdm", "program_sha256": "d" * 64, "made_at": made.ended_at,
            "simulated": False, "attested": False, "note": "",
        }  # fmt: skip

    async def listed(self, made: dict[str, Made], recall: Recall) -> tuple[list[str], int]:
        class Undone(Exception):
            pass

        try:
            async with self.store.unit() as unit:
                if made:
                    rows = [self.row(name, each) for name, each in made.items()]
                    await unit.session.execute(insert(MakeRow), rows)
                found, after = list[str](), ""
                while some := await recalled.units(unit, recall, after, most=3):
                    found += [each.passport for each in some]
                    after = found[-1]
                counted = (await recalled.count(unit, recall)).units
                raise Undone  # noqa: TRY301 - takes the makes out again
        except Undone:
            return found, counted


@pytest.fixture
def table(database_url: str, tmp_path: Path) -> Iterator[Table]:
    made = Table(database_url, tmp_path)
    yield made
    made.wait(made.store.close())
    made.loop.close()


def test_the_query_lists_what_the_rule_meets(table: Table) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(made=st.lists(makes(), max_size=12), recall=recalls)
    def holds(made: list[Made], recall: Recall) -> None:
        named = {f"p-{number:03d}": each for number, each in enumerate(made)}
        right = [name for name, each in named.items() if affected(recall, each)]
        assert table.wait(table.listed(named, recall)) == (right, len(right))

    holds()
