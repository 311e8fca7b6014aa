"""What every answer of the site carries: static files, guarding headers, an API page to read.

It loads nothing from elsewhere, and knows no room: the list of doors comes from their own schema.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.web.pages import STATIC, page

HEADERS: Final = {
    # The 3D viewer and the map write styles; the viewer also compiles WebAssembly (no script text).
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self' blob:; worker-src 'self' blob:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), usb=(), serial=()",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ANSWERS: Final = "#/components/schemas/"

routes = APIRouter(include_in_schema=False)


def furnish(app: FastAPI, personal: tuple[str, ...]) -> None:
    """Give the application its static files, its headers and its page of doors.

    `personal`: how addresses begin whose answers differ by who asks, and are kept by nobody.
    """
    static = _Static(directory=STATIC, check_dir=False)
    app.mount("/static", GZipMiddleware(static, minimum_size=1000), "static")
    app.include_router(routes)
    app.add_middleware(Shield, personal=personal)
    app.add_middleware(Headed)


class Shield:
    """Adds the guarding headers to every answer that does not bring its own."""

    def __init__(self, app: ASGIApp, personal: tuple[str, ...]) -> None:
        self._app = app
        self._personal = personal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(self._personal):
                    headers["Cache-Control"] = "private, no-store"
            await send(message)

        await self._app(scope, receive, shielded if scope["type"] == "http" else send)


class Headed:
    """Whatever is answered to GET is answered to HEAD, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def bare(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})  # a live feed ends, too

        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, bare)
        else:
            await self._app(scope, receive, send)


class _Static(StaticFiles):
    """Files asked for by their content's mark are kept for ever, others asked after each time."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        marked = b"v=" in scope["query_string"]
        answer.headers["Cache-Control"] = _FOR_EVER if marked else "no-cache"
        return answer


# ── the page of doors


@dataclass(frozen=True)
class Door:
    method: str
    path: str
    words: str
    takes: tuple[str, ...]
    gives: str


@routes.get("/api/docs")
async def docs(request: Request) -> HTMLResponse:
    """Every door of the API, from the same schema that programs read."""
    schema = request.app.openapi()
    groups: dict[str, list[Door]] = {}
    for tag, door in doors(schema):
        groups.setdefault(tag, []).append(door)
    return page(request, "docs.html", groups=groups, version=schema["info"]["version"])


def doors(schema: Mapping[str, Any]) -> Iterator[tuple[str, Door]]:
    """Each operation of an OpenAPI schema, with the group it stands in."""
    for path, methods in schema["paths"].items():
        for method, said in methods.items():
            words = said.get("description", "")
            door = Door(method.upper(), path, words, tuple(_takes(schema, said)), _gives(said))
            yield said.get("tags", ["other"])[0], door


def _takes(schema: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[str]:
    for each in said.get("parameters", ()):
        if each["in"] == "query":
            yield _field(each["name"], each.get("required", False))
    for content in said.get("requestBody", {}).get("content", {}).values():
        body = _resolved(schema, content["schema"])
        needed = body.get("required", ())
        yield from (_field(name, name in needed) for name in body.get("properties", ()))


def _field(name: str, required: bool) -> str:
    return name if required else f"{name}?"


def _gives(said: Mapping[str, Any]) -> str:
    """`201 OrderView`, `200 list of LabView`, `204`."""
    status = next(iter(said["responses"]))
    content = said["responses"][status].get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    name = schema.get("$ref") or schema.get("items", {}).get("$ref", "")
    many = "list of " if schema.get("type") == "array" else ""
    return f"{status} {many}{name.removeprefix(_ANSWERS)}".strip()


def _resolved(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    name = part.get("$ref", "").removeprefix(_ANSWERS)
    return schema["components"]["schemas"][name] if name else part
