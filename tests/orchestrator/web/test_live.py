"""A live part of a page: first how things are, then only what changed, until the page is closed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from fastapi import Request

from orchestrator.store import Store, Unit
from orchestrator.web.live import event, live


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/test.db", tmp_path / "blobs")
    yield opened
    await opened.close()


class Visitor:
    """A request that stays open until the page is closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.closed.wait()
        return {"type": "http.disconnect"}

    def request(self) -> Request:
        scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b""}
        return Request(scope, self.receive)


def news(store: Store, visitor: Visitor, look: Callable[[], str]) -> AsyncIterator[str]:
    async def seen(_unit: Unit) -> str:
        return look()

    answer = live(visitor.request(), store, seen)
    assert answer.media_type == "text/event-stream"
    return aiter(answer.body_iterator)  # type: ignore[arg-type]


async def test_first_how_things_are_then_what_changed_then_nothing_more(store: Store) -> None:
    shown, visitor = ["<p>one</p>"], Visitor()
    told = news(store, visitor, lambda: shown[0])
    assert await anext(told) == "data: <p>one</p>\n\n"
    waiting = asyncio.ensure_future(anext(told))
    await asyncio.sleep(1.5)
    assert not waiting.done()
    shown[0] = "<p>two\nlines</p>"
    async with store.unit() as unit:
        await unit.record("order.made", "o-1")
    async with asyncio.timeout(0.9):
        assert await waiting == "data: <p>two\ndata: lines</p>\n\n"
    visitor.closed.set()
    async with asyncio.timeout(3):
        assert await anext(told, "over") == "over"


async def test_a_quiet_page_keeps_its_line_open(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.web.live._STILL_HERE_LOOKS", 1)
    told = news(store, Visitor(), lambda: "<p>same</p>")
    assert await anext(told) == event("<p>same</p>")
    async with asyncio.timeout(5):
        assert await anext(told) == ": still here\n\n"
