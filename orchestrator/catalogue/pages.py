"""The page of one design, with its parts in 3D; the list of them is `search/doors.py`."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from designs import licences
from designs.design import OWN_WORK, Recipe
from fablab_agents.protocol.tickets import Manner
from orchestrator.catalogue import feeds, service
from orchestrator.catalogue.api import release_view, seen
from orchestrator.catalogue.model import PUBLIC
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Store, Unit
from orchestrator.web.keys import keep_key
from orchestrator.web.pages import Slots, page, see_other


def router(slots: Slots) -> APIRouter:
    """The catalogue's pages; `slots` lets other rooms add to a design's page."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/designs/{design}", response_model=None)
    async def design(  # pyright: ignore[reportUnusedFunction]
        design: str, request: Request, version: str | None = None
    ) -> Response:
        async with _store(request).view() as unit:
            row = await service.newest(unit, design, version)
            if version is not None:
                return RedirectResponse(_address(row), status_code=301)
            return await shown(request, unit, row)

    @routes.get("/designs/{design}/versions/{version}")
    async def one_version(design: str, version: str, request: Request) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        """The stable address of a release: what stands here never changes."""
        async with _store(request).view() as unit:
            return await shown(request, unit, await service.newest(unit, design, version))

    @routes.get("/releases/{sha256}", response_model=None)
    async def release(  # pyright: ignore[reportUnusedFunction]
        sha256: str, request: Request, key: Annotated[str, Query(max_length=100)] = ""
    ) -> Response:
        """The same by the release's hash: the only way to private work and to a pre-release."""
        if key:
            answer = see_other(f"/releases/{sha256}")
            keep_key(request, answer, sha256, key)
            return answer
        async with _store(request).view() as unit:
            return await shown(request, unit, await seen(unit, request, sha256))

    async def shown(request: Request, unit: Unit, row: ReleaseRow) -> HTMLResponse:
        view = release_view(row)
        return page(
            request,
            "catalogue/design.html",
            view=view,
            release=view.release,
            metadata=feeds.ld_json(feeds.schema_org(feeds.base_of(request), feeds.listed(row))),
            canonical=canonical(row, request),
            licence=licence_words(view.release.licence),
            recipe=recipe_words,
            versions=await service.versions_of(unit, row.design),
            successor=await _successor(unit, view.standing.successor),
            order=await slots.render("design.order", request, unit, view.sha256),
            makes=await slots.render("design.makes", request, unit, view.sha256),
            grants=await slots.render("design.grants", request, unit, view.sha256),
            lineage=await slots.render("design.lineage", request, unit, view.sha256),
        )

    return routes


def _address(row: ReleaseRow) -> str:
    return f"/designs/{row.design}/versions/{quote(row.version)}"


def canonical(row: ReleaseRow, request: Request) -> str:
    """The address by which this release is to be named; what is not public has only its hash."""
    named = not row.private and row.state in PUBLIC
    path = _address(row) if named else f"/releases/{row.sha256}"
    return feeds.base_of(request) + path


def recipe_words(recipe: Recipe) -> str:
    """As the person at the machine reads it."""
    return str(Manner.model_validate(recipe.model_dump(mode="json")))


def licence_words(licence: str) -> tuple[str, ...]:
    """What the licence means for making and changing the design, a sentence each."""
    if licence == OWN_WORK:
        return ("Somebody's own work: private, made only for them.",)
    paid = licences.judge(licence, licences.Act.MAKE_PAID)
    fork = licences.judge(licence, licences.Act.FORK)
    under = "" if licences.ANY in fork.fork_as else f" under {' or '.join(sorted(fork.fork_as))}"
    return (
        "Labs may make it for payment." if paid.allowed else f"{paid.why}.",
        f"You may change it and publish the change{under}." if fork.allowed else f"{fork.why}.",
        *(f"{duty}." for duty in fork.duties),
    )


async def _successor(unit: Unit, sha256: str | None) -> ReleaseRow | None:
    return None if sha256 is None else await service.row(unit, sha256)


def _store(request: Request) -> Store:
    return request.app.state.store
