"""The doors for makes: what was made, its inspection, its passport as data."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from designs.design import Check
from orchestrator.makes import service
from orchestrator.makes.model import Inspection, asked
from orchestrator.makes.tables import MakeRow
from orchestrator.store import Store

routes = APIRouter(tags=["makes"])


class MakeView(BaseModel):
    id: str
    job_id: str
    order_id: str
    attempt: str
    release: str
    part: str
    process: str
    material: str
    agent: str
    machine: str
    program_sha256: str
    made_at: datetime
    began_at: datetime
    ended_at: datetime
    file: str | None
    lot: str | None
    machine_s: float | None
    operator: str | None
    operator_minutes: float | None
    simulated: bool
    attested: bool
    verdict: str | None
    inspection: dict[str, Any] | None
    inspected_at: datetime | None


def make_view(row: MakeRow) -> MakeView:
    return MakeView.model_validate(row, from_attributes=True)


@routes.get("/api/makes")
async def waiting(request: Request) -> list[MakeView]:
    """Makes that nobody has inspected yet."""
    async with _store(request).view() as unit:
        return [make_view(row) for row in await service.uninspected(unit)]


@routes.get("/api/makes/{make_id}")
async def one(make_id: str, request: Request) -> MakeView:
    async with _store(request).view() as unit:
        return make_view(await service.find(unit, make_id))


class PlanView(BaseModel):
    """`checks` are numbered from 1 on; without those in `due` this part cannot be accepted."""

    checks: tuple[Check, ...]
    asked: tuple[str, ...]
    due: tuple[int, ...]


@routes.get("/api/makes/{make_id}/plan")
async def plan(make_id: str, request: Request) -> PlanView:
    """What has to be looked at before this part can be accepted."""
    async with _store(request).view() as unit:
        found = await service.plan(unit, await service.find(unit, make_id))
    words = tuple(asked(check) for check in found.checks)
    return PlanView(checks=tuple(found.checks), asked=words, due=found.due)


@routes.get("/api/orders/{order_id}/makes")
async def of_order(order_id: str, request: Request) -> list[MakeView]:
    async with _store(request).view() as unit:
        return [make_view(row) for row in await service.of_order(unit, order_id)]


@routes.post("/api/makes/{make_id}/inspection")
async def inspect(make_id: str, inspection: Inspection, request: Request) -> MakeView:
    """The verdict of whoever inspected, once; a part that deviates is made again."""
    async with _store(request).unit() as unit:
        return make_view(await service.inspected(unit, make_id, inspection))


def _store(request: Request) -> Store:
    return request.app.state.store
