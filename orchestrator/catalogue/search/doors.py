"""The doors of search: the first page of the site, the same as JSON, and the index made again."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from designs import licences
from designs.errors import DesignRefused
from designs.licences import Act, Outcome
from designs.processes import MATERIALS, PROCESSES
from orchestrator.catalogue.search import finder, index
from orchestrator.catalogue.search.documents import BEDS_MM, Card
from orchestrator.catalogue.search.finder import Found, Relaxed
from orchestrator.catalogue.search.model import (
    FIELDS,
    WITHIN_KM,
    Able,
    Place,
    Query,
    Read,
    read,
)
from orchestrator.store import Store, Unit
from orchestrator.web.pages import Slots, page

Reach = Callable[[Unit, Place, float], Awaitable[Sequence[Able]]]
"""What labs within so many kilometres of a place can make now: from the rooms that know labs."""
_LICENCES: Final = (
    *("CERN-OHL-S-2.0", "CERN-OHL-W-2.0", "CERN-OHL-P-2.0", "CC-BY-4.0", "CC-BY-SA-4.0"),
    *("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC0-1.0", "MIT", "GPL-3.0-or-later"),
)
_FORMATS: Final = ("stl", "3mf", "step", "dxf", "svg", "scad", "py")
_OPTIONS: Final = {
    "process": [(each.id, each.title) for each in PROCESSES],
    "material": [(each.id, each.title) for each in MATERIALS],
    "licence": [(each, each) for each in _LICENCES],
    "format": [(each, each.upper()) for each in _FORMATS],
}
_NARROWING: Final = 6
_IN_FRONT: Final = frozenset({"q", "process", "fits"})
"""Fields that are always in sight; the others are folded until one is used."""


class Instead(BaseModel):
    """What leaving one filter out would find; `at_least`: it was not counted further."""

    model_config = ConfigDict(frozen=True)
    without: str
    words: str
    count: int
    at_least: bool
    address: str


class Listing(BaseModel):
    """A page of designs. `total` is exact unless `at_least`; facets only where it is exact.

    `next`: give it as `after` for the next page. `ignored`: words too common to look for.
    `instead`: where nothing is found, what each filter hides.
    """

    model_config = ConfigDict(frozen=True)
    designs: tuple[Card, ...]
    total: int
    at_least: bool
    next: str | None
    facets: dict[str, dict[str, int]] | None
    ignored: tuple[str, ...]
    instead: tuple[Instead, ...] = ()


class Rebuilt(BaseModel):
    designs: int


def router(reach: Reach, makes: index.Makes, slots: Slots) -> APIRouter:
    routes = APIRouter(tags=["catalogue"])

    @routes.get("/api/designs", response_model=Listing, openapi_extra=_parameters())
    async def designs(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Search what is listed: every field is a filter; docs/search.md tells each."""
        asked = read(request.query_params.multi_items())
        if asked.findings:
            raise DesignRefused(asked.findings)
        async with _store(request).view() as unit:
            found, instead = await _find(unit, asked.query, reach)
        return Response(_listing(found, instead).model_dump_json(), media_type="application/json")

    @routes.post("/api/designs/index")
    async def rebuild(request: Request) -> Rebuilt:  # pyright: ignore[reportUnusedFunction]
        """Make the search index again from the releases; nobody can publish meanwhile."""
        async with _store(request).unit() as unit:
            return Rebuilt(designs=await index.rebuild(unit, makes))

    @routes.get("/", include_in_schema=False)
    async def first_page(request: Request) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        asked = read(request.query_params.multi_items())
        async with _store(request).view() as unit:
            found, instead = await _find(unit, asked.query, reach)
            places = await slots.render("search.places", request, unit, "")
            published = bool(found.cards) or await index.count(unit) > 0
        shown = _shown(asked, found, instead)
        status = 422 if asked.findings else 200
        return page(
            request, "catalogue/designs.html", status,
            **shown, places=places, published=published,
        )  # fmt: skip

    return routes


async def _find(unit: Unit, query: Query, reach: Reach) -> tuple[Found, tuple[Relaxed, ...]]:
    able = await reach(unit, query.near, query.within or WITHIN_KM) if query.near else None
    found = await finder.find(unit, query, able)
    if found.total or query.after:
        return found, ()
    return found, await finder.relaxations(unit, query, able)


def _listing(found: Found, instead: Sequence[Relaxed]) -> Listing:
    return Listing(
        designs=found.cards,
        total=found.total,
        at_least=found.more,
        next=found.next.text if found.next else None,
        facets=None if found.facets is None else {k: dict(v) for k, v in found.facets.items()},
        ignored=found.ignored,
        instead=tuple(
            Instead(
                without=each.name,
                words=each.words,
                count=each.count,
                at_least=each.more,
                address=each.without.address("/api/designs"),
            )
            for each in instead
        ),
    )


def _shown(asked: Read, found: Found, instead: Sequence[Relaxed]) -> dict[str, Any]:
    """What the page's template needs."""
    query = asked.query
    active = query.active()
    return {
        "query": query,
        "said": asked.said,
        "findings": {finding.where: finding for finding in asked.findings},
        "found": found,
        "active": [(each, query.without(each.name, each.value).address()) for each in active],
        "instead": [each for each in instead if each.count],
        "narrower": _narrower(query, found),
        "next": query.address(after=found.next.text) if found.next else None,
        "unfolded": any(each.name not in _IN_FRONT for each in active)
        or any(finding.where not in _IN_FRONT for finding in asked.findings),
        "options": _OPTIONS,
        "beds": BEDS_MM,
        "may": may,
    }


def _narrower(query: Query, found: Found) -> list[tuple[str, list[tuple[str, int, str]]]]:
    """For each facet its values that would leave fewer designs: value, how many, where."""
    rows: list[tuple[str, list[tuple[str, int, str]]]] = []
    for name, counts in (found.facets or {}).items():
        narrowing = [
            (value, many, query.address(**{name: value}))
            for value, many in counts.items()
            if many < found.total and value not in getattr(query, name)
        ]
        if narrowing:
            rows.append((name, narrowing[:_NARROWING]))
    return rows


def may(card: Card) -> str:
    """What the licence allows, in a line; it does not know what was granted."""
    changed = "you may change it" if card.may_be_changed else "no changed versions"
    if card.may_be_sold:
        return f"labs may make it for payment, {changed}"
    if licences.judge(card.licence, Act.MAKE_PAID).outcome is Outcome.NEEDS_GRANT:
        return f"for payment only where its licensor grants it, {changed}"
    return f"not for paid making, {changed}"


def _parameters() -> dict[str, Any]:
    """The fields as OpenAPI has them, so that the page of doors and programs know them."""
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": field.help,
             "schema": {"type": "array", "items": {"type": "string"}} if field.many
             else {"type": "string"}}
            for name, field in FIELDS.items()
        ]
    }  # fmt: skip


def _store(request: Request) -> Store:
    return request.app.state.store
