"""What a design's page says of its line and of who made it, and the button that forks it."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from designs import licences
from designs.design import OWN_WORK
from designs.errors import DesignRefused
from orchestrator.catalogue import ancestry, service
from orchestrator.catalogue.fork_api import forked, lineage_view, tree
from orchestrator.catalogue.forks import Said, Wish
from orchestrator.store import Unit
from orchestrator.web.pages import Slots, check_form, form_token, fragment, page

routes = APIRouter(include_in_schema=False)


class Asked(BaseModel):
    """The form on a design's page; what is left empty is chosen for whoever forks."""

    form_token: str = Field(max_length=100)
    who: Said
    title: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] = ""
    licence: Annotated[str, Field(max_length=1000)] = ""

    def wish(self) -> Wish:
        return Wish(who=self.who, title=self.title.strip() or None, licence=self.licence or None)


def fill(slots: Slots) -> None:
    """Show a design's line and contributors on its page."""
    slots.fill("design.lineage", _lineage)


async def _lineage(request: Request, unit: Unit, sha256: str) -> str:
    release = await service.release(unit, sha256)
    line = await lineage_view(unit, sha256)
    return fragment(
        "catalogue/lineage.html",
        release=release,
        sha256=sha256,
        line=line,
        branches=tree(line.forks, release.design),
        choices=ancestry.choices(release.licence),
        refusal=why_not(release.licence),
        form_token=form_token(request),
    )


def why_not(licence: str) -> str:
    """Why it may not be forked, or nothing."""
    try:
        ancestry.fork_licences(licence)
    except DesignRefused:
        return licences.judge(licence, licences.Act.FORK).why
    return ""


@routes.post("/releases/{sha256}/fork")
async def fork(sha256: str, asked: Annotated[Asked, Form()], request: Request) -> HTMLResponse:
    check_form(request, asked.form_token)
    made = await forked(request, sha256, asked.wish())
    release = made.release
    place = f"/releases/{release.sha256}" if release.private else f"/designs/{release.design}"
    return page(
        request,
        "catalogue/forked.html",
        201,
        release=release,
        place=place,
        key=made.key,
        own=release.licence == OWN_WORK,
    )
