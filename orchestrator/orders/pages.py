"""Pages of orders: the list, and one order with its live progress."""

from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from orchestrator.orders import service
from orchestrator.orders.api import order_view
from orchestrator.store import Store, Unit
from orchestrator.store.engine import rung
from orchestrator.web.pages import Slots, fragment, page

LOOK_S = 1.0


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
            row = await service.order(unit, order_id)
            if row is None:
                raise KeyError(order_id)
            view = order_view(row, list(await service.jobs_of(unit, order_id)))
            progress = await _progress(unit, slots, order_id)
            return page(request, "orders/order.html", order=view, progress=progress)

    @routes.get("/orders/{order_id}/live")
    async def live(order_id: str, request: Request) -> StreamingResponse:  # pyright: ignore[reportUnusedFunction]
        return StreamingResponse(
            _live(request, slots, order_id),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
        )

    return routes


async def _progress(unit: Unit, slots: Slots, order_id: str) -> str:
    row = await service.order(unit, order_id)
    if row is None:
        raise KeyError(order_id)
    jobs = list(await service.jobs_of(unit, order_id))
    shown = {job.id: await slots.render("order.job", unit, job.id) for job in jobs}
    return fragment("orders/progress.html", order=order_view(row, jobs), shown=shown)


async def _live(request: Request, slots: Slots, order_id: str) -> AsyncGenerator[str]:
    """The progress again whenever it looks different; the first thing sent is how it is now."""
    store = _store(request)
    last = ""
    while not await request.is_disconnected():
        bell = store.bell
        async with store.view() as unit:
            now = await _progress(unit, slots, order_id)
        if now != last:
            last = now
            yield "".join(f"data: {line}\n" for line in now.splitlines()) + "\n"
        await rung(bell, LOOK_S)


def _store(request: Request) -> Store:
    return request.app.state.store
