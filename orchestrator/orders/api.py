"""The doors for orders: JSON in, JSON out, errors left to the one place that words them.

They parse and answer; what may happen is decided in `service` and `model`.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from fastapi import APIRouter, HTTPException, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from designs.licences import Grant
from orchestrator.catalogue import api as catalogue_api
from orchestrator.catalogue.model import ReleaseState
from orchestrator.orders import model, service
from orchestrator.orders.model import Maker, PriceLine, Quoted
from orchestrator.orders.tables import JobRow, OrderRow
from orchestrator.store import Store, Unit
from orchestrator.web import keys

QuoteBook = Callable[[Unit, str], Awaitable[Quoted | None]]
"""Finds a quote by its id: planning's, handed in by the application."""


class OrderWish(BaseModel):
    """`agreed_sha256` is the hash of the confirmation text that the maker has read."""

    model_config = ConfigDict(extra="forbid")
    quote: str = Field(max_length=40)
    maker: Maker
    agreed_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: str | None = Field(default=None, max_length=8000)
    due_at: AwareDatetime | None = None


class JobView(BaseModel):
    id: str
    part: str
    process: str
    material: str
    state: str
    why: str
    tries: int
    agent: str | None
    machine: str | None
    attempt: str | None
    price_minor: int
    made_at: datetime | None


class ItemView(BaseModel):
    part: str
    quantity: int
    lab: str
    lines: tuple[PriceLine, ...]
    grants: tuple[Grant, ...]


class OrderView(BaseModel):
    """Contracting labs stand in `items`.

    Only the operator and whoever has the seal, which is told once to who places the order, read
    who ordered: for others the confirmation names nobody and no quote, and `seal` is empty.
    `release` is None where the design is not for whoever asks; others than these two read neither
    title nor confirmation of a pre-release, and its parts are numbered for them.
    """

    id: str
    state: str
    title: str
    release: str | None
    quantity: int
    total_minor: int
    currency: str
    policy_version: str
    placed_at: datetime
    confirmation: str
    seal: str
    items: tuple[ItemView, ...]
    jobs: tuple[JobView, ...]


def job_view(row: JobRow) -> JobView:
    return JobView.model_validate(row, from_attributes=True)


def order_view(row: OrderRow, jobs: list[JobRow]) -> OrderView:
    quoted = Quoted.model_validate_json(row.quoted)
    items = tuple(ItemView.model_validate(item, from_attributes=True) for item in quoted.items)
    plain = {name: getattr(row, name) for name in OrderView.model_fields if hasattr(row, name)}
    return OrderView(**plain, items=items, jobs=tuple(job_view(job) for job in jobs))


def opens(request: Request, row: OrderRow) -> bool:
    """Whether whoever asks holds the order's seal, or is the operator."""
    held = keys.key_of(request, row.id)
    return keys.is_operator(request) or secrets.compare_digest(held.encode(), row.seal.encode())


async def check_quote(unit: Unit, request: Request, quote_id: str) -> None:
    """Once a quote is ordered, refuse it to others: it tells where its maker is."""
    order = await service.of_quote(unit, quote_id)
    if order is not None and not opens(request, order):
        raise HTTPException(
            403,
            "this quote was ordered, and it tells where whoever ordered is: it is for them, in "
            f"the browser they ordered with, and for the operator; look at /orders/{order.id}",
        )


async def is_veiled(unit: Unit, request: Request, row: OrderRow) -> bool:
    """Whether it is of a pre-release that whoever asks may not know."""
    hidden = await catalogue_api.hidden(unit, request, [row.release])
    return hidden.get(row.release) is ReleaseState.PRE_RELEASE and not opens(request, row)


async def shown(unit: Unit, request: Request, row: OrderRow) -> OrderView:
    """The order as whoever asks may see it."""
    (view,) = await order_views(unit, request, [row])
    return view


async def order_views(unit: Unit, request: Request, rows: Sequence[OrderRow]) -> list[OrderView]:
    """As whoever asks may see them."""
    hidden = await catalogue_api.hidden(unit, request, {row.release for row in rows})
    views = [order_view(row, list(await service.jobs_of(unit, row.id))) for row in rows]
    return [
        _told(view, row, hidden.get(row.release), opens(request, row))
        for view, row in zip(views, rows, strict=True)
    ]


def _told(view: OrderView, row: OrderRow, closed: ReleaseState | None, is_open: bool) -> OrderView:
    """Without what is not for whoever asks; `closed`: how the release stands if it is not."""
    told = view if closed is None else view.model_copy(update={"release": None})
    if is_open:
        return told
    if closed is ReleaseState.PRE_RELEASE:
        return _veiled(told)
    words = model.unnamed(row.confirmation, row.maker_name, row.quote_id)
    return told.model_copy(update={"confirmation": words, "seal": ""})


def _veiled(view: OrderView) -> OrderView:
    """Without what tells of what it is: what labs say of its jobs names parts and files, what its
    price is made of names licensors.
    """
    parts = dict.fromkeys(item.part for item in view.items)
    number = {part: f"part {place}" for place, part in enumerate(parts, 1)}
    priced = {"lines": (), "grants": ()}
    items = [item.model_copy(update={"part": number[item.part], **priced}) for item in view.items]
    jobs = [job.model_copy(update={"part": number[job.part], "why": ""}) for job in view.jobs]
    told = {"title": "a design that is not public", "confirmation": "", "seal": ""}
    return view.model_copy(update=told | {"items": tuple(items), "jobs": tuple(jobs)})


def confirmed(wish: OrderWish) -> service.Confirmation:
    return service.Confirmation(wish.maker, wish.agreed_sha256, wish.signature, wish.due_at)


async def quote_or_refuse(unit: Unit, book: QuoteBook, quote_id: str) -> Quoted:
    quoted = await book(unit, quote_id)
    if quoted is None:
        raise KeyError(quote_id)
    return quoted


def router(book: QuoteBook, seal: service.Seal) -> APIRouter:
    """The routes of orders; `book` finds quotes, `seal` signs what was agreed."""
    routes = APIRouter(tags=["orders"])

    @routes.get("/api/quotes/{quote_id}/confirmation")
    async def confirmation(quote_id: str, maker: str, request: Request) -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """The words to agree to, and their hash."""
        async with _store(request).view() as unit:
            await check_quote(unit, request, quote_id)
            text = model.confirmation_text(await quote_or_refuse(unit, book, quote_id), maker)
        return {"text": text, "sha256": model.digest(text)}

    @routes.post("/api/orders", status_code=201)
    async def place(wish: OrderWish, request: Request) -> OrderView:  # pyright: ignore[reportUnusedFunction]
        """The order with its seal; of a quote ordered before, the order as you may see it."""
        async with _store(request).unit() as unit:
            quoted = await quote_or_refuse(unit, book, wish.quote)
            confirmation = confirmed(wish)
            row = await service.place(unit, quoted, confirmation, seal)
            if service.placed_by(row, confirmation, seal):
                return order_view(row, list(await service.jobs_of(unit, row.id)))
            return await shown(unit, request, row)

    @routes.get("/api/orders")
    async def newest(request: Request) -> list[OrderView]:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).view() as unit:
            rows = await service.orders(unit)
            return await order_views(unit, request, rows)

    @routes.get("/api/orders/{order_id}")
    async def one(order_id: str, request: Request) -> OrderView:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).view() as unit:
            row = await service.order(unit, order_id)
            if row is None:
                raise KeyError(order_id)
            return await shown(unit, request, row)

    @routes.post("/api/orders/{order_id}/collected", status_code=204)
    async def collected(order_id: str, request: Request) -> None:  # pyright: ignore[reportUnusedFunction]
        """The maker has the parts in hand."""
        async with _store(request).unit() as unit:
            await service.hand_over(unit, order_id)

    @routes.post("/api/jobs/{job_id}/try-again", status_code=204)
    async def try_again(job_id: str, request: Request) -> None:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).unit() as unit:
            await service.try_again(unit, job_id)

    return routes


def _store(request: Request) -> Store:
    return request.app.state.store
