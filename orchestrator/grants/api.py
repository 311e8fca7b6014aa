"""The doors of grants: record one, list a design's, withdraw one.

They ask for the design's key or the operator's token, in the header alone; anybody may look.
"""

from collections.abc import Sequence
from datetime import date, datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from orchestrator.catalogue import service as catalogue
from orchestrator.catalogue.lifecycle_api import by_header
from orchestrator.grants import service
from orchestrator.grants.model import Whom, Wish, covers
from orchestrator.grants.service import Lab
from orchestrator.grants.tables import GrantRow
from orchestrator.labs.tables import LabRow
from orchestrator.store import Store, Unit

routes = APIRouter(tags=["grants"])


class GrantView(BaseModel):
    """`labs`: names of those that it covers now. Where it stands written is for its licensor."""

    id: str
    design: str
    licence: str
    acts: tuple[str, ...]
    whom: Whom
    name: str
    labs: tuple[str, ...]
    first_version: str | None
    last_version: str | None
    since: date | None
    until: date | None
    most_units: int | None
    fee_cents: int | None
    currency: str | None
    share_pct: float | None
    terms: str
    by: str
    recorded_by: str
    recorded_at: datetime
    withdrawn_at: datetime | None
    withdrawn_why: str | None


class Withdrawal(BaseModel):
    model_config = ConfigDict(extra="forbid")
    why: str = Field(default="", max_length=1000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")


async def views(unit: Unit, rows: Sequence[GrantRow]) -> list[GrantView]:
    labs = (await unit.session.scalars(select(LabRow).order_by(LabRow.name, LabRow.id))).all()
    found: list[GrantView] = []
    for row in rows:
        whom = Whom(row.whom)
        named = [lab.name for lab in labs if covers(whom, row.name, Lab(lab.id, lab.operator))]
        plain = {n: getattr(row, n) for n in GrantView.model_fields if hasattr(row, n)}
        found.append(GrantView.model_validate(plain | {"labs": named}))
    return found


@routes.post("/api/designs/{design}/grants", status_code=201)
async def record(design: str, wish: Wish, request: Request) -> GrantView:
    """Permit what the licence holds back; who has the design's key may, and the operator."""
    async with _store(request).unit() as unit:
        row = await service.record(unit, design, wish, by_header(request))
        (view,) = await views(unit, [row])
    return view


@routes.get("/api/designs/{design}/grants")
async def of_design(design: str, request: Request) -> list[GrantView]:
    """All that were recorded, withdrawn ones too, oldest first."""
    async with _store(request).view() as unit:
        await catalogue.newest(unit, design)
        return await views(unit, await service.of_design(unit, design))


@routes.post("/api/grants/{grant_id}/withdraw")
async def withdraw(grant_id: str, asked: Withdrawal, request: Request) -> GrantView:
    """For what is ordered from now on; what was ordered under it stands."""
    async with _store(request).unit() as unit:
        row = await service.withdraw(unit, grant_id, asked.why, by_header(request))
        (view,) = await views(unit, [row])
    return view


def _store(request: Request) -> Store:
    return request.app.state.store
