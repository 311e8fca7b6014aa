"""The doors for recalls: open, settle, lift; what they meet as JSON or as a table.

What holders are called is for the operator alone: those doors ask for the token, as every POST.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime
from json.encoder import encode_basestring
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.catalogue import api as catalogue_api
from orchestrator.catalogue.model import ReleaseState
from orchestrator.makes import recalled
from orchestrator.makes.recalled import Holder, Listed, StoppedJob
from orchestrator.recalls import model, service
from orchestrator.recalls.model import Scope
from orchestrator.recalls.service import Ending, Wish
from orchestrator.recalls.tables import RecallRow
from orchestrator.store import Store, Unit

routes = APIRouter(tags=["recalls"])
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


# Each object is alike: its names are written once, not encoded a hundred thousand times.
_OBJECT: Final = "{" + ", ".join(f'"{name}": %s' for name in Listed._fields) + "}"
_RISKY: Final = frozenset((*_FORMULA, " ", "\u00a0"))


class RecallView(BaseModel):
    """`units` and `orders` count what it meets now; `scope` is None where it names nothing that
    whoever asks may see.
    """

    id: str
    state: str
    what: str
    scope: Scope | None
    reason: str
    todo: str
    by: str
    opened_at: datetime
    settled_at: datetime | None
    settled_why: str | None
    lifted_at: datetime | None
    lifted_why: str | None
    units: int
    orders: int


class PreviewView(BaseModel):
    """What a recall would meet now; nothing was done."""

    what: str
    units: int
    orders: int
    jobs: int


class Told(BaseModel):
    model_config = ConfigDict(extra="forbid")
    order: str = Field(max_length=80)
    how: str = Field(min_length=1, max_length=500)


async def recall_view(unit: Unit, row: RecallRow, request: Request) -> RecallView:
    counted = await recalled.count(unit, service.value(row))
    plain = {name: getattr(row, name) for name in RecallView.model_fields if hasattr(row, name)}
    plain["scope"], plain["what"] = await shown(unit, row, request)
    return RecallView(**plain, units=counted.units, orders=counted.orders)


async def shown(unit: Unit, row: RecallRow, request: Request) -> tuple[Scope | None, str]:
    """What it withdraws, as a value and in words, as far as whoever asks may see it."""
    scope = service.value(row).scope
    hidden = await catalogue_api.hidden(unit, request, model.releases_of(scope))
    return model.shown(scope, row.what, hidden)


async def stopped(unit: Unit, recall_id: str, request: Request) -> list[StoppedJob]:
    """The jobs that it stopped, as whoever asks may see them."""
    found = await recalled.jobs(unit, recall_id)
    hidden = await catalogue_api.hidden(unit, request, found.values())
    return [
        replace(job, part=None) if hidden.get(release) is ReleaseState.PRE_RELEASE else job
        for job, release in found.items()
    ]


async def listed_for(unit: Unit, found: list[Listed], request: Request) -> list[Listed]:
    """Without hashes of what whoever asks may not see, and without parts of pre-releases."""
    hidden = await catalogue_api.hidden(unit, request, {each.release or "" for each in found})
    return [_closed(each, hidden.get(each.release or "")) for each in found] if hidden else found


def _closed(each: Listed, closed: ReleaseState | None) -> Listed:
    if closed is None:
        return each
    part = None if closed is ReleaseState.PRE_RELEASE else each.part
    return each._replace(release=None, part=part)


@routes.post("/api/recalls", status_code=201)
async def begin(wish: Wish, request: Request) -> RecallView:
    """Withdraw a release, a part, a material lot or a machine in a span of time.

    In one transaction: nothing of it can be ordered any more, open jobs stop as far as no machine
    has begun them, what has begun is asked to stop, and each holder stands in the outbox.
    """
    async with _store(request).unit() as unit:
        return await recall_view(unit, await recalled.begin(unit, wish), request)


@routes.post("/api/recalls/preview")
async def preview(wish: Wish, request: Request) -> PreviewView:
    """What it would meet; nothing is done."""
    async with _store(request).view() as unit:
        return PreviewView(**(await recalled.preview(unit, wish))._asdict())


@routes.get("/api/recalls")
async def listed(request: Request) -> list[RecallView]:
    async with _store(request).view() as unit:
        return [await recall_view(unit, row, request) for row in await service.listed(unit)]


@routes.get("/api/recalls/{recall_id}")
async def one(recall_id: str, request: Request) -> RecallView:
    async with _store(request).view() as unit:
        return await recall_view(unit, await service.find(unit, recall_id), request)


@routes.post("/api/recalls/{recall_id}/settle")
async def settle(recall_id: str, ending: Ending, request: Request) -> RecallView:
    """What had to be done about the units is done; what was withdrawn stays withdrawn."""
    async with _store(request).unit() as unit:
        return await recall_view(unit, await service.settle(unit, recall_id, ending), request)


@routes.post("/api/recalls/{recall_id}/lift")
async def lift(recall_id: str, ending: Ending, request: Request) -> RecallView:
    """It may be ordered, made and used again."""
    async with _store(request).unit() as unit:
        return await recall_view(unit, await service.lift(unit, recall_id, ending), request)


@routes.get("/api/recalls/{recall_id}/jobs")
async def jobs(recall_id: str, request: Request) -> list[StoppedJob]:
    """What was done about each open job, and how job and attempt really stand now."""
    async with _store(request).view() as unit:
        await service.find(unit, recall_id)
        return await stopped(unit, recall_id, request)


@routes.post("/api/recalls/{recall_id}/holders")
async def holders(recall_id: str, request: Request) -> list[Holder]:
    """Who has to be told, how they are reached, and who was: for the operator alone."""
    async with _store(request).view() as unit:
        row = await service.find(unit, recall_id)
        return await recalled.holders(unit, service.value(row))


@routes.post("/api/recalls/{recall_id}/told", status_code=204)
async def told(recall_id: str, said: Told, request: Request) -> None:
    """Somebody told the holder of an order."""
    async with _store(request).unit() as unit:
        await service.find(unit, recall_id)
        await recalled.told(unit, recall_id, said.order, said.how)


# ── the list of units


@routes.get("/api/recalls/{recall_id}/units")
async def units(recall_id: str, request: Request) -> StreamingResponse:
    """Every unit it meets, as an array of objects; sent as it is read."""
    pieces = await _pieces(request, recall_id)
    return StreamingResponse(as_json(pieces), media_type="application/json")


@routes.get("/api/recalls/{recall_id}/units.csv")
async def units_csv(recall_id: str, request: Request) -> StreamingResponse:
    """The same as a table; no cell of it is a formula."""
    pieces = await _pieces(request, recall_id)
    name = f'attachment; filename="recall-{recall_id}.csv"'
    return StreamingResponse(
        as_csv(pieces), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name}
    )


async def _pieces(request: Request, recall_id: str) -> AsyncIterator[list[Listed]]:
    async with _store(request).view() as unit:
        recall = service.value(await service.find(unit, recall_id))
    return _for_asker(request, recalled.all_units(_store(request), recall))


async def _for_asker(
    request: Request, pieces: AsyncIterator[list[Listed]]
) -> AsyncIterator[list[Listed]]:
    async for found in pieces:
        async with _store(request).view() as unit:
            told = await listed_for(unit, found, request)
        yield told


async def as_json(pieces: AsyncIterator[Iterable[Listed]]) -> AsyncIterator[str]:
    begin = "["
    async for found in pieces:
        yield begin + ", ".join(map(_object, found))
        begin = ","
    yield "[]" if begin == "[" else "]"


async def as_csv(pieces: AsyncIterator[Iterable[Listed]]) -> AsyncIterator[str]:
    yield _lines([Listed._fields])
    async for found in pieces:
        yield _lines(map(_plain, found))


def _plain(each: Listed) -> tuple[str | None, ...]:
    return (*each[:7], each.ended_at.isoformat(), *each[8:])


def _object(each: Listed) -> str:
    values = ["null" if value is None else encode_basestring(value) for value in _plain(each)]
    return _OBJECT % tuple(values)


def _lines(rows: Iterable[Iterable[str | None]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(
        [cell(value) if value and value[0] in _RISKY else value for value in row] for row in rows
    )
    return text.getvalue()


def cell(value: str) -> str:
    """What a spreadsheet would take for a formula is text to it."""
    return f"'{value}" if value.lstrip(" \u00a0").startswith(_FORMULA) else value


def _store(request: Request) -> Store:
    return request.app.state.store
