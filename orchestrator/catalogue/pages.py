"""Pages of the catalogue: the designs, and one design with its parts in 3D."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from designs import licences
from designs.design import OWN_WORK
from designs.processes import PROCESSES
from orchestrator.catalogue import service
from orchestrator.catalogue.api import ReleaseView, release_view, seen
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Store, Unit
from orchestrator.web.keys import keep_key
from orchestrator.web.pages import Slots, page, see_other


def router(slots: Slots) -> APIRouter:
    """The catalogue's pages; `slots` lets other rooms add to a design's page."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def designs(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        q: Annotated[str, Query(max_length=100)] = "",
        process: Annotated[str, Query(max_length=40)] = "",
    ) -> HTMLResponse:
        async with _store(request).view() as unit:
            releases = [release_view(row) for row in await service.listed(unit)]
        shown = [view for view in releases if matches(view, q, process)]
        return page(
            request,
            "catalogue/designs.html",
            releases=shown,
            total=len(releases),
            q=q,
            process=process,
            processes=PROCESSES,
        )

    @routes.get("/designs/{design}")
    async def design(  # pyright: ignore[reportUnusedFunction]
        design: str, request: Request, version: str | None = None
    ) -> HTMLResponse:
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
            licence=licence_words(view.release.licence),
            successor=await _successor(unit, view.standing.successor),
            order=await slots.render("design.order", request, unit, view.sha256),
            makes=await slots.render("design.makes", request, unit, view.sha256),
            lineage=await slots.render("design.lineage", request, unit, view.sha256),
        )

    return routes


def matches(view: ReleaseView, words: str, process: str) -> bool:
    """Every word stands in the title, function or a part; one part is made by the process."""
    parts = view.release.parts
    said = " ".join(
        (view.release.title, view.release.function, *(f"{p.title} {p.material}" for p in parts))
    )
    wanted = words.lower().split()
    return all(word in said.lower() for word in wanted) and (
        not process or any(part.process == process for part in parts)
    )


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
