"""Pages of makes: the passport of a made part, and what other pages show of makes."""

import json
from datetime import UTC, datetime
from functools import partial

import segno
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from orchestrator.catalogue import api as catalogue_api
from orchestrator.catalogue import service as catalogue
from orchestrator.catalogue.api import base_of
from orchestrator.makes import passport, recalled, service
from orchestrator.makes.api import make_view
from orchestrator.makes.tables import MakeRow
from orchestrator.store import Store, Unit
from orchestrator.web.pages import Slots, fragment, page

routes = APIRouter(include_in_schema=False)


@routes.get("/p/{make_id}.json")
async def record(make_id: str, request: Request) -> JSONResponse:
    """The passport as data."""
    async with _store(request).view() as unit:
        make = await service.find(unit, make_id)
        known = await _record(unit, make, request)
    return JSONResponse(known, headers={"Cache-Control": "no-cache"})


@routes.get("/p/{make_id}.html")
async def kept(make_id: str, request: Request) -> HTMLResponse:
    """The passport as one file that needs nothing of this node, to be kept beside the part."""
    async with _store(request).view() as unit:
        make = await service.find(unit, make_id)
        known = await _record(unit, make, request)
    html = fragment(
        "makes/kept.html",
        data=json.dumps(known, ensure_ascii=False, indent=2),
        kept_at=datetime.now(UTC),
        **_shown(known),
    )
    name = f'attachment; filename="passport-{make.id}.html"'
    return HTMLResponse(html, headers={"Content-Disposition": name, "Cache-Control": "no-cache"})


@routes.get("/p/{make_id}")
async def shown(make_id: str, request: Request) -> HTMLResponse:
    async with _store(request).view() as unit:
        make = await service.find(unit, make_id)
        known = await _record(unit, make, request)
        parts = len((await catalogue.release(unit, make.release)).parts)
    html = _shown(known)
    return page(request, "makes/passport.html", 200, parts=parts, **html)


async def _record(unit: Unit, make: MakeRow, request: Request) -> passport.Record:
    hidden = partial(catalogue_api.hidden, unit, request)
    return await passport.record(unit, make, base_of(request), hidden)


def _shown(known: passport.Record) -> dict[str, object]:
    address = str(known["address"])
    return {
        "record": known,
        "address": address,
        "qr": qr(address),
        "moment": datetime.fromisoformat,
    }


def qr(address: str) -> str:
    """An inline SVG that a phone reads as the address."""
    return segno.make(address, error="m").svg_inline(omitsize=True, title=f"Address: {address}")


def fill(slots: Slots) -> None:
    """Show makes where other rooms' pages have a place for them."""
    slots.fill("order.job", _of_job)
    slots.fill("design.makes", _of_release)


async def _of_job(_request: Request, unit: Unit, job_id: str) -> str:
    makes = await service.of_job(unit, job_id)
    withdrawn = await recalled.among(unit, makes)
    return fragment(
        "makes/job.html", makes=[make_view(make) for make in makes], withdrawn=withdrawn
    )


async def _of_release(_request: Request, unit: Unit, release: str) -> str:
    """This release; and all versions of its design together, where there are others."""
    row = await catalogue.row(unit, release)
    versions = [] if row.private else await catalogue.versions_of(unit, row.design)
    made = await service.made(unit, [release])
    of_all = await service.made(unit, [each.sha256 for each in versions])
    labels = await service.labelled(unit, release)
    return fragment("makes/release.html", made=made, of_all=of_all, labels=labels)


def _store(request: Request) -> Store:
    return request.app.state.store
