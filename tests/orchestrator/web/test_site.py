"""Static files, guarding headers and the page of doors."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from orchestrator.web import site
from orchestrator.web.pages import asset, has_script


class Wish(BaseModel):
    name: str
    size: int = 1


def app() -> FastAPI:
    made = FastAPI(title="t", version="1.2.3", docs_url=None, openapi_url="/api/openapi.json")

    @made.post("/api/things", tags=["things"], status_code=201)
    def make(wish: Wish, colour: str = "red") -> list[Wish]:
        """Makes things."""
        return [wish]

    @made.get("/bare")
    def bare() -> dict[str, str]:
        return {}

    site.furnish(made, ())
    return made


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app())
    async with httpx.AsyncClient(transport=transport, base_url="http://pages.test") as opened:
        yield opened


async def test_every_answer_is_guarded(client: httpx.AsyncClient) -> None:
    for path in ("/bare", "/api/docs", "/static/cosmolocal.css", "/nothing"):
        headers = (await client.get(path)).headers
        assert {name.lower() for name in site.HEADERS} <= set(headers)


async def test_what_can_be_had_can_be_asked_about(client: httpx.AsyncClient) -> None:
    for path in ("/bare", "/api/docs", "/static/cosmolocal.css", "/nothing"):
        whole, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        for name in ("content-type", "content-length", "content-security-policy"):
            assert head.headers[name] == whole.headers[name]
    assert (await client.head("/api/things")).status_code == 405


async def test_a_file_asked_for_by_its_content_is_kept_for_ever(client: httpx.AsyncClient) -> None:
    marked = await client.get(asset("/static/cosmolocal.css"))
    plain = await client.get("/static/cosmolocal.css")
    assert "immutable" in marked.headers["cache-control"]
    assert plain.headers["cache-control"] == "no-cache"
    assert marked.headers["content-encoding"] == "gzip"
    again = await client.get(
        "/static/cosmolocal.css", headers={"If-None-Match": plain.headers["etag"]}
    )
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/static/../pages.py", "/static/%2e%2e/pages.py", "/static/none"])
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_the_page_of_doors_says_what_each_takes_and_gives(client: httpx.AsyncClient) -> None:
    ((tag, door),) = [each for each in site.doors(app().openapi()) if each[1].path == "/api/things"]
    assert tag == "things"
    assert door == site.Door(
        "POST", "/api/things", "Makes things.", ("colour?", "name", "size?"), "201 list of Wish"
    )
    words = (await client.get("/api/docs")).text
    assert "POST /api/things" in words
    assert "1.2.3" in words
    assert "cdn" not in words


def test_a_mark_changes_with_the_content() -> None:
    assert asset("/static/icon.svg").startswith("/static/icon.svg?v=")
    assert not has_script("no-such-script.js")
