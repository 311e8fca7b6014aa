"""The delivery note of an order: the parts that were accepted, by whom they were made, and what
their licence wants told with them; and, on the order's page, where they lie to be fetched.

It names no maker: whoever carries the parts need not know. A recalled part is on it, and said; it
never sends anybody for one.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from pydantic import BaseModel

from orchestrator.catalogue import api as catalogue_api
from orchestrator.catalogue import service as catalogue
from orchestrator.catalogue.api import base_of
from orchestrator.labs import service as labs
from orchestrator.labs.tables import AgentRow, LabRow
from orchestrator.makes import duties, passport, recall_pages, recalled, service
from orchestrator.makes.duties import Owed
from orchestrator.makes.model import Verdict
from orchestrator.makes.tables import MakeRow
from orchestrator.orders import api as orders_api
from orchestrator.orders import service as orders
from orchestrator.orders.model import OrderState
from orchestrator.orders.tables import OrderRow
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
    """`source_until`: the last day on which the source is promised at least. `to_add`: what the
    licence wants with the parts and whoever hands them over has to add.
    """

    order: str
    title: str
    version: str | None
    parts: tuple[Delivered, ...]
    notices: tuple[str, ...]
    to_add: tuple[str, ...]
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
        recalls = await recall_pages.of_order(request, unit, order_id)
    return page(request, "makes/delivery.html", note=note, recalls=Markup(recalls))  # noqa: S704 - rendered by us


def fill(slots: Slots) -> None:
    """Say where to fetch what an order has to hand over, and lead to its delivery note."""
    slots.fill("order.papers", _papers)


@dataclass(frozen=True)
class _Lying:
    """What lies at a lab, in words; `withdrawn` is recalled, and stays there."""

    lab: LabRow
    pieces: str
    withdrawn: str


async def _papers(request: Request, unit: Unit, order_id: str) -> str:
    accepted = await _accepted(unit, order_id)
    if not accepted:
        return ""
    order = await _order(unit, order_id)
    is_ready = order.state == OrderState.READY
    lying = await _lying(unit, await _seen(unit, request, order), accepted) if is_ready else []
    return fragment("makes/papers.html", order=order_id, lying=lying)


async def _lying(unit: Unit, seen: _Seen, made: Sequence[MakeRow]) -> list[_Lying]:
    agents = {each.agent: each.lab for each in await labs.machines(unit)}
    there: dict[str, list[MakeRow]] = {}
    for make in made:
        there.setdefault(make.agent, []).append(make)
    withdrawn = await recalled.among(unit, made)

    def words(agent: str, *, recalled: bool) -> str:
        named = [m for m in there[agent] if (m.id in withdrawn) is recalled]
        titles = Counter(seen.titles.get(make.part, make.part) for make in named)
        return ", ".join(f"{count} × {title}" for title, count in titles.items())

    return [
        _Lying(lab, words(agent, recalled=False), words(agent, recalled=True))
        for agent, lab in agents.items()
        if agent in there
    ]


async def _accepted(unit: Unit, order_id: str) -> list[MakeRow]:
    return [m for m in await service.of_order(unit, order_id) if m.verdict == Verdict.CONFORMS]


async def _order(unit: Unit, order_id: str) -> OrderRow:
    row = await orders.order(unit, order_id)
    if row is None:
        raise KeyError(f"order {order_id}")
    return row


async def _note(unit: Unit, request: Request, order: OrderRow) -> DeliveryNote:
    seen = await _seen(unit, request, order)
    made = sorted(await _accepted(unit, order.id), key=lambda make: make.part)
    withdrawn = await recalled.among(unit, made)
    handed_over = order.handed_over_at or max((m.ended_at for m in made), default=unit.now)
    day, base = handed_over.date(), base_of(request)
    owed = [await _owed(unit, make, seen, base, day) for make in made]
    return DeliveryNote(
        order=order.id,
        title=seen.title,
        version=seen.version,
        parts=tuple([await _delivered(unit, make, seen, withdrawn) for make in made]),
        notices=tuple(dict.fromkeys(line for each in owed for line in each.notices)),
        to_add=tuple(dict.fromkeys(line for each in owed for line in each.to_add)),
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


async def _delivered(
    unit: Unit, make: MakeRow, seen: _Seen, withdrawn: Collection[str]
) -> Delivered:
    agent = await unit.session.get(AgentRow, make.agent)
    lab = await unit.session.get(LabRow, agent.lab_id) if agent else None
    return Delivered(
        passport=make.id,
        part=seen.titles.get(make.part, make.part),
        material=make.material,
        lab=lab.name if lab else None,
        address=lab.address if lab else None,
        made_at=make.ended_at,
        simulated=make.simulated,
        attested=make.attested,
        recalled=make.id in withdrawn,
    )


def _store(request: Request) -> Store:
    return request.app.state.store
