"""Pages of recalls, and what the pages of orders say of them.

They change nothing, and name no holder: opening and lifting is done on the command line or by the
API, with the operator's token.
"""

from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from orchestrator.makes import recalled
from orchestrator.makes.passport import recall_record
from orchestrator.makes.recall_api import listed_for, recall_view, shown, stopped
from orchestrator.recalls import service
from orchestrator.recalls.model import WORDS, Todo
from orchestrator.store import Store, Unit
from orchestrator.web.pages import Slots, fragment, page

SHOWN = 200
routes = APIRouter(include_in_schema=False)


@routes.get("/recalls")
async def recalls(request: Request) -> HTMLResponse:
    async with _store(request).view() as unit:
        views = [await recall_view(unit, row, request) for row in await service.listed(unit)]
    return page(request, "makes/recalls.html", recalls=views)


@routes.get("/recalls/{recall_id}")
async def recall(recall_id: str, request: Request) -> HTMLResponse:
    async with _store(request).view() as unit:
        row = await service.find(unit, recall_id)
        view = await recall_view(unit, row, request)
        found = await recalled.units(unit, service.value(row), most=SHOWN)
        units = await listed_for(unit, found, request)
        jobs = await stopped(unit, recall_id, request)
    return page(
        request, "makes/recall.html",
        recall=view, units=units, jobs=jobs, todo=WORDS[Todo(view.todo)],
    )  # fmt: skip


def fill(slots: Slots) -> None:
    """Tell the holder of an order first."""
    slots.fill("order.notices", of_order)


async def of_order(request: Request, unit: Unit, order_id: str) -> str:
    """What recalls ask of whoever has parts of this order."""
    found = await recalled.of_order(unit, order_id)
    records = [
        recall_record(each.recall, (await shown(unit, each.recall, request))[1]) for each in found
    ]
    return fragment(
        "makes/order_recalled.html",
        found=[(told, each.passports) for told, each in zip(records, found, strict=True)],
        moment=datetime.fromisoformat,
    )


def _store(request: Request) -> Store:
    return request.app.state.store
