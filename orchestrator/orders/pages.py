"""Pages of orders: the list, and one order with its live progress.

They change nothing: an order is placed on its quote's page, its jobs are moved elsewhere.
"""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from orchestrator.catalogue import service as catalogue
from orchestrator.orders import service
from orchestrator.orders.api import OrderView, is_veiled, order_views, shown
from orchestrator.orders.tables import OrderRow
from orchestrator.store import Store, Unit
from orchestrator.web.live import live
from orchestrator.web.pages import Slots, fragment, page


def router(slots: Slots) -> APIRouter:
    """The pages of orders; `slots` lets dispatch and makes show what they know of a job."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/orders")
    async def orders(request: Request) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).view() as unit:
            rows = await service.orders(unit)
            views = await order_views(unit, request, rows)
        return page(request, "orders/orders.html", orders=views)

    @routes.get("/orders/{order_id}")
    async def order(order_id: str, request: Request) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).view() as unit:
            row = await _order(unit, order_id)
            view = await shown(unit, request, row)
            progress = await _progress(request, unit, slots, order_id)
            titles = await _titles(unit, row, view)
        return page(request, "orders/order.html", order=view, progress=progress, titles=titles)

    @routes.get("/orders/{order_id}/live")
    async def news(order_id: str, request: Request) -> StreamingResponse:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).view() as unit:
            await _order(unit, order_id)
        return live(
            request, _store(request), lambda unit: _progress(request, unit, slots, order_id)
        )

    return routes


async def _order(unit: Unit, order_id: str) -> OrderRow:
    row = await service.order(unit, order_id)
    if row is None:
        raise KeyError(f"order {order_id}")
    return row


async def _progress(request: Request, unit: Unit, slots: Slots, order_id: str) -> str:
    row = await _order(unit, order_id)
    view = await shown(unit, request, row)
    titles = await _titles(unit, row, view)
    more = dict.fromkeys((job.id for job in view.jobs), "")
    if not await is_veiled(unit, request, row):
        more = {job: await slots.render("order.job", request, unit, job) for job in more}
    return fragment(
        "orders/progress.html",
        order=view,
        titles=titles,
        notices=await slots.render("order.notices", request, unit, order_id),
        papers=await slots.render("order.papers", request, unit, order_id),
        shown=more,
    )


async def _titles(unit: Unit, row: OrderRow, view: OrderView) -> dict[str, str]:
    """What people call the parts, by what whoever asks is told of each."""
    release = await catalogue.release(unit, row.release)
    titles = {part.name: part.title for part in release.parts}
    return {item.part: titles.get(item.part, item.part) for item in view.items}


def _store(request: Request) -> Store:
    return request.app.state.store
