"""Keeps a part of an open page as things are: sent at once, and again whenever it looks different.

It holds no state of its own, so a page that comes back after a lost connection or a restart of
the server first gets how things are now. It never sends the same twice in a row.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from fastapi import Request
from fastapi.responses import StreamingResponse

from orchestrator.store import Store, Unit
from orchestrator.store.engine import rung

Look = Callable[[Unit], Awaitable[str]]
_LOOK_S: Final = 1.0
"""Telemetry rings no bell: it is looked for."""
_PAUSE_S: Final = 0.25
_STILL_HERE_LOOKS: Final = 15


def live(request: Request, store: Store, look: Look) -> StreamingResponse:
    """Server-sent events without a name, which htmx swaps into the page."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _news(request, store, look), media_type="text/event-stream", headers=headers
    )


async def _news(request: Request, store: Store, look: Look) -> AsyncGenerator[str]:
    last, quiet = "", 0
    while not await request.is_disconnected():
        bell = store.bell
        async with store.view() as unit:
            now = await look(unit)
        if now != last:
            last, quiet = now, 0
            yield event(now)
        elif quiet >= _STILL_HERE_LOOKS:
            quiet = 0
            yield ": still here\n\n"
        quiet += 1
        await asyncio.sleep(_PAUSE_S)
        await rung(bell, _LOOK_S - _PAUSE_S)


def event(html: str) -> str:
    return "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"
