"""The doors for quotes: who can make it, for how much, and why."""

from fastapi import APIRouter, Request

from orchestrator.orders import api as orders_api
from orchestrator.planning import service
from orchestrator.planning.model import Quote, Wish
from orchestrator.planning.service import InForce
from orchestrator.store import Store, Unit
from orchestrator.web import keys

routes = APIRouter(tags=["quotes"])


@routes.post("/api/quotes", status_code=201)
async def ask(wish: Wish, request: Request) -> Quote:
    """A quote for a design, or one part of it, at a place on the map."""
    async with _store(request).unit() as unit:
        return await service.quote(unit, wish)


@routes.get("/api/quotes/{quote_id}")
async def one(quote_id: str, request: Request) -> Quote:
    async with _store(request).view() as unit:
        return await seen(unit, request, quote_id)


@routes.get("/api/plan")
async def in_force(request: Request) -> InForce:
    """The plan in force: when which machine is to be at work; which jobs, the operator reads."""
    async with _store(request).view() as unit:
        return await service.in_force(unit, named=keys.is_operator(request))


async def seen(unit: Unit, request: Request, quote_id: str) -> Quote:
    """The quote, for anybody who knows its number; once ordered, for whoever ordered it."""
    found = await service.find_quote(unit, quote_id)
    if found is None:
        raise KeyError(f"quote {quote_id}")
    await orders_api.check_quote(unit, request, quote_id)
    return found


def _store(request: Request) -> Store:
    return request.app.state.store
