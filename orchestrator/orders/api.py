"""The doors for orders: JSON in, JSON out, errors left to the one place that words them.

They parse and answer; what may happen is decided in `service` and `model`.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

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


class OrderView(BaseModel):
    """Contracting labs stand in `items`.

    Only the operator and whoever has the seal, which is told once to who places the order, read
    who ordered: for others the confirmation names nobody and `seal` is empty. `release` is None
    where the design is not for whoever asks.
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
    items = tuple(
        ItemView(part=item.part, quantity=item.quantity, lab=item.lab, lines=item.lines)
        for item in quoted.items
    )
    plain = {name: getattr(row, name) for name in OrderView.model_fields if hasattr(row, name)}
    return OrderView(**plain, items=items, jobs=tuple(job_view(job) for job in jobs))


def shown(request: Request, row: OrderRow, jobs: list[JobRow]) -> OrderView:
    """The order as whoever asks may see it."""
    view = order_view(row, jobs)
    owner = secrets.compare_digest(keys.key_of(request, row.id).encode(), row.seal.encode())
    if owner or keys.is_operator(request):
        return view
    words = model.unnamed(row.confirmation, row.maker_name)
    return view.model_copy(update={"confirmation": words, "seal": ""})


async def order_views(unit: Unit, request: Request, rows: Sequence[OrderRow]) -> list[OrderView]:
    """A list that anybody may look at: it does not tell what pre-releases are called."""
    hidden = await catalogue_api.hidden(unit, request, {row.release for row in rows})
    views: list[OrderView] = []
    for row in rows:
        view = shown(request, row, list(await service.jobs_of(unit, row.id)))
        told: dict[str, str | None] = {"release": None} if row.release in hidden else {}
        if hidden.get(row.release) is ReleaseState.PRE_RELEASE:
            told |= {"title": "a design that is not public", "confirmation": ""}
        views.append(view.model_copy(update=told))
    return views


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
            text = model.confirmation_text(await quote_or_refuse(unit, book, quote_id), maker)
        return {"text": text, "sha256": model.digest(text)}

    @routes.post("/api/orders", status_code=201)
    async def place(wish: OrderWish, request: Request) -> OrderView:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).unit() as unit:
            quoted = await quote_or_refuse(unit, book, wish.quote)
            row = await service.place(unit, quoted, confirmed(wish), seal)
            return order_view(row, list(await service.jobs_of(unit, row.id)))

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
            view = shown(request, row, list(await service.jobs_of(unit, order_id)))
            hidden = await catalogue_api.hidden(unit, request, [row.release])
        return view.model_copy(update={"release": None}) if hidden else view

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
