"""The delivery note of an order: the parts that were accepted, by whom they were made, and what
their licence wants told with them.

It names no maker: whoever carries the parts need not know. A recalled part is on it, and said.
"""

from dataclasses import dataclass
from datetime import date, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from orchestrator.catalogue import api as catalogue_api
from orchestrator.catalogue import service as catalogue
from orchestrator.catalogue.api import base_of
from orchestrator.labs.tables import AgentRow, LabRow
from orchestrator.makes import duties, passport, recalled, service
from orchestrator.makes.duties import Owed
from orchestrator.makes.model import Verdict
from orchestrator.makes.tables import MakeRow
from orchestrator.orders import api as orders_api
from orchestrator.orders import service as orders
from orchestrator.orders.tables import OrderRow
from orchestrator.recalls.model import State
from orchestrator.store import Store, Unit
from orchestrator.web.pages import Slots, fragment, page

routes = APIRouter(tags=["makes"])


class Delivered(BaseModel):
    """One accepted part. `lab` is None where nobody here knows the agent any more.

    `simulated`: no real part; `attested`: a person says that it was made, no machine told us.
    """

    passport: str
    part: str
    material: str
    lab: str | None
    address: str | None
    made_at: datetime
    simulated: bool
    attested: bool
    recalled: bool


class DeliveryNote(BaseModel):
    """`source_until`: the last day on which the source is promised at least."""

    order: str
    title: str
    version: str | None
    parts: tuple[Delivered, ...]
    notices: tuple[str, ...]
    source_until: date | None
    handed_over_at: datetime | None


@dataclass(frozen=True)
class _Seen:
    """What whoever asks may know of the order's design."""

    title: str
    version: str | None
    titles: dict[str, str]
    is_shut: bool


@routes.get("/api/orders/{order_id}/delivery-note")
async def record(order_id: str, request: Request) -> DeliveryNote:
    """What goes with the parts of an order when they are handed over."""
    async with _store(request).view() as unit:
        return await _note(unit, request, await _order(unit, order_id))


@routes.get("/orders/{order_id}/delivery-note", include_in_schema=False)
async def shown(order_id: str, request: Request) -> HTMLResponse:
    async with _store(request).view() as unit:
        note = await _note(unit, request, await _order(unit, order_id))
    return page(request, "makes/delivery.html", note=note)


def fill(slots: Slots) -> None:
    """Lead there from an order that has something to hand over."""
    slots.fill("order.papers", _link)


async def _link(_request: Request, unit: Unit, order_id: str) -> str:
    made = await service.of_order(unit, order_id)
    accepted = any(make.verdict == Verdict.CONFORMS for make in made)
    return fragment("makes/delivery_link.html", order=order_id) if accepted else ""


async def _order(unit: Unit, order_id: str) -> OrderRow:
    row = await orders.order(unit, order_id)
    if row is None:
        raise KeyError(f"order {order_id}")
    return row


async def _note(unit: Unit, request: Request, order: OrderRow) -> DeliveryNote:
    seen = await _seen(unit, request, order)
    made = [m for m in await service.of_order(unit, order.id) if m.verdict == Verdict.CONFORMS]
    made.sort(key=lambda make: make.part)
    handed_over = order.handed_over_at or max((m.ended_at for m in made), default=unit.now)
    day, base = handed_over.date(), base_of(request)
    owed = [await _owed(unit, make, seen, base, day) for make in made]
    return DeliveryNote(
        order=order.id,
        title=seen.title,
        version=seen.version,
        parts=tuple([await _delivered(unit, make, seen) for make in made]),
        notices=tuple(dict.fromkeys(line for each in owed for line in each.notices)),
        source_until=max((each.until for each in owed if each.until), default=None),
        handed_over_at=order.handed_over_at,
    )


async def _seen(unit: Unit, request: Request, order: OrderRow) -> _Seen:
    release = await catalogue.release(unit, order.release)
    veiled = await orders_api.is_veiled(unit, request, order)
    titles = {part.name: "a part" if veiled else part.title for part in release.parts}
    if await catalogue_api.hidden(unit, request, [order.release]):
        return _Seen("a design that is not public", None, titles, is_shut=True)
    return _Seen(release.title, release.version, titles, is_shut=False)


async def _owed(unit: Unit, make: MakeRow, seen: _Seen, base: str, day: date) -> Owed:
    release = await catalogue.release(unit, make.release)
    if seen.is_shut:
        return duties.outline(release)
    return await passport.owed_for(unit, make, release, base, day)


async def _delivered(unit: Unit, make: MakeRow, seen: _Seen) -> Delivered:
    agent = await unit.session.get(AgentRow, make.agent)
    lab = await unit.session.get(LabRow, agent.lab_id) if agent else None
    met = await recalled.of_make(unit, make)
    return Delivered(
        passport=make.id,
        part=seen.titles.get(make.part, make.part),
        material=make.material,
        lab=lab.name if lab else None,
        address=lab.address if lab else None,
        made_at=make.ended_at,
        simulated=make.simulated,
        attested=make.attested,
        recalled=any(row.state != State.LIFTED for row in met),
    )


def _store(request: Request) -> Store:
    return request.app.state.store
