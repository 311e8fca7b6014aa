"""The page of the labs: where they are, and how their machines stand."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from orchestrator.labs import service
from orchestrator.labs.api import LabView, lab_view
from orchestrator.store import Store
from orchestrator.web.pages import fragment, page

routes = APIRouter(include_in_schema=False)


@routes.get("/labs")
async def labs(request: Request) -> HTMLResponse:
    views = await _views(request)
    return page(
        request,
        "labs/labs.html",
        points={"points": [point(view) for view in views]},
        table=fragment("labs/table.html", labs=views),
    )


@routes.get("/labs/table")
async def table(request: Request) -> HTMLResponse:
    """The labs alone, for a page that looks again."""
    return HTMLResponse(fragment("labs/table.html", labs=await _views(request)))


async def _views(request: Request) -> list[LabView]:
    store: Store = request.app.state.store
    async with store.view() as unit:
        return [lab_view(standing) for standing in await service.labs(unit)]


def point(view: LabView, chosen: bool = False) -> dict[str, object]:
    """A lab as the map draws it."""
    return {"name": view.name, "lat": view.lat, "lon": view.lon, "chosen": chosen}
