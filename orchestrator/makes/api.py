"""The doors for makes: what was made, its inspection, its passport as data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from designs.design import Check
from orchestrator.catalogue import api as catalogue_api
from orchestrator.catalogue.lifecycle import NotYours
from orchestrator.catalogue.model import ReleaseState
from orchestrator.makes import service
from orchestrator.makes.model import Inspection, asked
from orchestrator.makes.tables import MakeRow
from orchestrator.store import Store, Unit

routes = APIRouter(tags=["makes"])


class MakeView(BaseModel):
    id: str
    job_id: str
    order_id: str
    attempt: str
    release: str | None
    """None, as `file`, where the design is not for whoever asks."""
    part: str | None
    """None, as `inspection`, of a pre-release that is not for whoever asks."""
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


def make_view(row: MakeRow, closed: ReleaseState | None = None) -> MakeView:
    """`closed`: how the release stands if it is not for whoever asks."""
    view = MakeView.model_validate(row, from_attributes=True)
    if closed is None:
        return view
    unknown = {"part": None, "inspection": None} if closed is ReleaseState.PRE_RELEASE else {}
    return view.model_copy(update={"release": None, "file": None} | unknown)


async def _views(unit: Unit, request: Request, rows: Sequence[MakeRow]) -> list[MakeView]:
    hidden = await catalogue_api.hidden(unit, request, {row.release for row in rows})
    return [make_view(row, hidden.get(row.release)) for row in rows]


@routes.get("/api/makes")
async def waiting(request: Request) -> list[MakeView]:
    """Makes that nobody has inspected yet."""
    async with _store(request).view() as unit:
        return await _views(unit, request, await service.uninspected(unit))


@routes.get("/api/makes/{make_id}")
async def one(make_id: str, request: Request) -> MakeView:
    async with _store(request).view() as unit:
        (view,) = await _views(unit, request, [await service.find(unit, make_id)])
    return view


class PlanView(BaseModel):
    """`checks` are numbered from 1 on; without those in `due` this part cannot be accepted."""

    checks: tuple[Check, ...]
    asked: tuple[str, ...]
    due: tuple[int, ...]


@routes.get("/api/makes/{make_id}/plan")
async def plan(make_id: str, request: Request) -> PlanView:
    """What has to be looked at before this part can be accepted."""
    async with _store(request).view() as unit:
        make = await service.find(unit, make_id)
        if await catalogue_api.hidden(unit, request, [make.release]):
            raise NotYours(
                "the design of this part is not public: give the key of its release, or the "
                "operator's token, to see its inspection plan"
            )
        found = await service.plan(unit, make)
    words = tuple(asked(check) for check in found.checks)
    return PlanView(checks=tuple(found.checks), asked=words, due=found.due)


@routes.get("/api/orders/{order_id}/makes")
async def of_order(order_id: str, request: Request) -> list[MakeView]:
    async with _store(request).view() as unit:
        return await _views(unit, request, await service.of_order(unit, order_id))


@routes.post("/api/makes/{make_id}/inspection")
async def inspect(make_id: str, inspection: Inspection, request: Request) -> MakeView:
    """The verdict of whoever inspected, once; a part that deviates is made again."""
    async with _store(request).unit() as unit:
        return make_view(await service.inspected(unit, make_id, inspection))


def _store(request: Request) -> Store:
    return request.app.state.store
