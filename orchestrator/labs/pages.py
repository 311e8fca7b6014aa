"""The page of the labs: where they are, and how their machines stand."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from orchestrator.labs import service
from orchestrator.labs.api import LabView, lab_view
from orchestrator.store import Store, Unit
from orchestrator.web.live import live
from orchestrator.web.pages import Slots, fragment, page

routes = APIRouter(include_in_schema=False)


@routes.get("/labs")
async def labs(request: Request) -> HTMLResponse:
    async with _store(request).view() as unit:
        views = await _views(unit)
    points = [point(view) for view in views]
    return page(request, "labs/labs.html", points=points, table=_table(views))


@routes.get("/labs/live")
async def news(request: Request) -> StreamingResponse:
    async def look(unit: Unit) -> str:
        return _table(await _views(unit))

    return live(request, _store(request), look)


def fill(slots: Slots) -> None:
    """Where labs are is where somebody may look for what is made around."""
    slots.fill("search.places", _places)


async def _places(_request: Request, unit: Unit, _subject: str) -> str:
    labs = [standing.lab for standing in await service.labs(unit)]
    return fragment("labs/places.html", labs=labs)


async def _views(unit: Unit) -> list[LabView]:
    return [lab_view(standing) for standing in await service.labs(unit)]


def _table(views: list[LabView]) -> str:
    return fragment("labs/table.html", labs=views)


def point(view: LabView) -> dict[str, object]:
    """A lab as the map draws it."""
    return {"name": view.name, "lat": view.lat, "lon": view.lon}


def _store(request: Request) -> Store:
    return request.app.state.store
