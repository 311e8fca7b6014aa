"""What a design's page says of its grants, and the forms that record and withdraw one.

A key that somebody types is checked and never shown again.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import select

from designs import licences, misfits
from designs.errors import DesignRefused
from designs.licences import Act, Outcome
from orchestrator.catalogue import service as catalogue
from orchestrator.catalogue.keys import LONGEST
from orchestrator.catalogue.lifecycle import Caller
from orchestrator.grants import service
from orchestrator.grants.api import Withdrawal, views
from orchestrator.grants.model import Whom, Wish
from orchestrator.labs.tables import LabRow
from orchestrator.store import Store, Unit
from orchestrator.web.pages import Slots, check_form, form_token, fragment, see_other

routes = APIRouter(include_in_schema=False)


class Keyed(BaseModel):
    form_token: str = Field(max_length=100)
    key: str = Field(max_length=LONGEST)


class Granted(Keyed):
    """The form; what is left empty sets no limit. `whom`: `everybody`, or a lab's id."""

    whom: str = Field(max_length=80)
    until: str = Field(default="", max_length=10)
    most_units: str = Field(default="", max_length=10)
    terms: str = Field(default="", max_length=2000)

    def wish(self) -> Wish:
        whom = {"everybody": True} if self.whom == Whom.EVERYBODY else {"lab": self.whom}
        limits = {"until": self.until or None, "most_units": self.most_units or None}
        try:
            return Wish.model_validate({**whom, **limits, "terms": self.terms})
        except ValidationError as wrong:
            raise DesignRefused(misfits.told(wrong.errors(), whole="the grant")) from None


class Withdrawn(Keyed, Withdrawal):
    pass


def fill(slots: Slots) -> None:
    """Stand below the licence on a design's page."""
    slots.fill("design.grants", _of_release)


async def _of_release(request: Request, unit: Unit, sha256: str) -> str:
    release = await catalogue.release(unit, sha256)
    outcome = licences.judge(release.licence, Act.MAKE_PAID).outcome
    if release.private or outcome is not Outcome.NEEDS_GRANT:
        return ""
    rows = await service.of_design(unit, release.design, withdrawn=False)
    labs = (await unit.session.scalars(select(LabRow).order_by(LabRow.name, LabRow.id))).all()
    return fragment(
        "grants/grants.html",
        release=release,
        grants=await views(unit, rows),
        labs=labs,
        form_token=form_token(request),
    )


@routes.post("/designs/{design}/grants")
async def record(
    design: str, asked: Annotated[Granted, Form()], request: Request
) -> RedirectResponse:
    check_form(request, asked.form_token)
    async with _store(request).unit() as unit:
        await service.record(unit, design, asked.wish(), Caller(key=asked.key))
    return see_other(f"/designs/{design}#grants")


@routes.post("/grants/{grant_id}/withdraw")
async def withdraw(
    grant_id: str, asked: Annotated[Withdrawn, Form()], request: Request
) -> RedirectResponse:
    check_form(request, asked.form_token)
    async with _store(request).unit() as unit:
        row = await service.withdraw(unit, grant_id, asked.why, Caller(key=asked.key))
    return see_other(f"/designs/{row.design}#grants")


def _store(request: Request) -> Store:
    return request.app.state.store
