"""Pages of orders: the list, and one order with its live progress."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from orchestrator.orders import service
from orchestrator.orders.api import order_view
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
            views = [order_view(row, list(await service.jobs_of(unit, row.id))) for row in rows]
        return page(request, "orders/orders.html", orders=views)

    @routes.get("/orders/{order_id}")
    async def order(order_id: str, request: Request) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).view() as unit:
            row = await _order(unit, order_id)
            view = order_view(row, list(await service.jobs_of(unit, order_id)))
            progress = await _progress(request, unit, slots, order_id)
        return page(request, "orders/order.html", order=view, progress=progress)

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
    jobs = list(await service.jobs_of(unit, order_id))
    shown = {job.id: await slots.render("order.job", request, unit, job.id) for job in jobs}
    return fragment("orders/progress.html", order=order_view(row, jobs), shown=shown)


def _store(request: Request) -> Store:
    return request.app.state.store
