"""Serves the console: the page, its JSON and the buttons, on this machine alone by default.

A button is pressed only by a request that carries the console's own header, and only under a
host name that is the console's own: both keep pages of other sites out.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Generator
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import uvicorn
from jinja2 import Environment, PackageLoader
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fablab_agents.config import ConfigRefused, Console
from fablab_agents.console.cards import cards, latest
from fablab_agents.journal import JournalBroken
from fablab_agents.protocol.attempts import IllegalMove, State
from fablab_agents.runner import NotNow, Runner
from firmware_bridge.driver import Word
from firmware_bridge.errors import BridgeError
from firmware_bridge.streaming import read_program

HEADER: Final = "x-cosmolocal"
BODY_MAX: Final = 16 * 1024
_SECURITY: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_T = TypeVar("_T", bound=BaseModel)


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class ByPerson(_Asked):
    person: Annotated[str, Field(min_length=1, max_length=80)]
    attempt: str | None = None


class Why(ByPerson):
    why: Annotated[str, Field(max_length=500)] = ""


class Attested(ByPerson):
    outcome: Literal["finished", "failed", "interrupted", "not_started"]
    evidence: Annotated[str, Field(min_length=1, max_length=2000)]


class Told(ByPerson):
    word: Word
    note: Annotated[str, Field(max_length=500)] = ""


class Offered(_Asked):
    offered: bool


class Site:
    """The console's server; `address` is where a browser finds it once it is bound."""

    def __init__(self, place: Console, runner: Runner, agent: str, lab: str) -> None:
        self._place = place
        self._runner = runner
        self._name = {"agent": agent, "lab": lab or agent}
        self._pages = Environment(
            loader=PackageLoader("fablab_agents.console"), autoescape=True, trim_blocks=True
        )
        self._socket: socket.socket | None = None
        self._server = _Server(
            uvicorn.Config(
                self.app(),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                http="h11",
                timeout_graceful_shutdown=1,
                h11_max_incomplete_event_size=BODY_MAX,
            )
        )

    @property
    def address(self) -> str:
        port = self._socket.getsockname()[1] if self._socket else self._place.port
        return f"http://{self._place.host}:{port}/"

    def bind(self) -> None:
        try:
            self._socket = socket.create_server((self._place.host, self._place.port))
        except OSError as error:
            raise ConfigRefused(
                f"the console cannot listen on {self._place.host} port {self._place.port}:"
                f" {error.strerror}; choose another port in [console]"
            ) from None

    async def serve(self) -> None:
        assert self._socket is not None
        await self._server.serve(sockets=[self._socket])

    async def close(self) -> None:
        self._server.should_exit = True

    def app(self) -> Starlette:
        static = StaticFiles(
            directory=Path(str(resources.files("fablab_agents.console") / "static"))
        )
        people = self._runner.people
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/cards", self._cards),
                Route("/machines/{id}/program", self._program),
                Route("/machines/{id}/sheet", self._sheet),
                Route("/api/agent", self._agent),
                Route("/api/machines", self._machines),
                Route("/api/attempts", self._attempts),
                _post("/api/machines/{id}/bed-clear", ByPerson, _plain(
                    lambda name, said: people.bed_clear(name, said.person))),
                _post("/api/machines/{id}/start", ByPerson, _plain(
                    lambda name, said: people.start(name, said.person, said.attempt))),
                _post("/api/machines/{id}/stop", Why,
                      lambda name, said: people.stop(name, said.person, said.why)),
                _post("/api/machines/{id}/pause", ByPerson,
                      lambda name, said: people.pause(name, said.person)),
                _post("/api/machines/{id}/resume", ByPerson,
                      lambda name, said: people.resume(name, said.person)),
                _post("/api/machines/{id}/told", Told,
                      lambda name, said: people.tell(name, said.person, said.word, said.note)),
                _post("/api/machines/{id}/offered", Offered, _plain(
                    lambda name, said: people.offer(name, offered=said.offered))),
                _post("/api/attempts/{id}/attest", Attested, _plain(
                    lambda name, said: people.attest(
                        name, said.person, State(said.outcome), said.evidence))),
                _post("/api/attempts/{id}/accept", ByPerson, _plain(
                    lambda name, said: people.accept(name, said.person))),
                _post("/api/attempts/{id}/refuse", Why, _plain(
                    lambda name, said: people.refuse(name, said.person, said.why))),
                Mount("/static", static),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=self._hosts())],
        )  # fmt: skip

    def _hosts(self) -> list[str]:
        """A name that a stranger's DNS points here is not ours."""
        if self._place.host in ("0.0.0.0", "::"):  # noqa: S104 - the shop chose its whole network
            return ["*"]
        return ["127.0.0.1", "localhost", "[::1]", self._place.host]

    # ── looking ─────────────────────────────────────────────────────────────────────────────

    async def _page(self, request: Request) -> Response:
        del request
        return self._html("page.html")

    async def _cards(self, request: Request) -> Response:
        del request
        return self._html("cards.html")

    # ── handing out ─────────────────────────────────────────────────────────────────────────

    async def _program(self, request: Request) -> Response:
        """The approved bytes of what is handed out at this machine, or the reason why not."""
        try:
            attempt = self._runner.people.handed_out(request.path_params["id"])
            program = self._runner.program(attempt)
            data = await asyncio.to_thread(read_program, program)
        except (NotNow, BridgeError) as error:
            return _problem(HTTPStatus.CONFLICT, "Not now", str(error))
        except JournalBroken as error:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is broken", str(error))
        file = {"Content-Disposition": f'attachment; filename="{program.remote_name}"'}
        return Response(data, 200, {**_SECURITY, **file}, "application/octet-stream")

    async def _sheet(self, request: Request) -> Response:
        try:
            attempt = self._runner.people.handed_out(request.path_params["id"])
            sheet = self._runner.program(attempt).sheet
        except NotNow as error:
            return _problem(HTTPStatus.CONFLICT, "Not now", str(error))
        except JournalBroken as error:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is broken", str(error))
        page = self._pages.get_template("sheet.html").render(part=attempt.ticket.part, sheet=sheet)
        return HTMLResponse(page, headers=_SECURITY)

    def _html(self, template: str) -> Response:
        try:
            body = self._pages.get_template(template).render(
                **self._standing(), cards=cards(self._runner), latest=latest(self._runner)
            )
        except JournalBroken as error:
            return HTMLResponse(self._pages.get_template("trouble.html").render(
                trouble=str(error)), HTTPStatus.SERVICE_UNAVAILABLE, _SECURITY)  # fmt: skip
        return HTMLResponse(body, headers=_SECURITY)

    def _standing(self) -> dict[str, object]:
        connected, trouble = self._runner.connected, self._runner.trouble()
        return {**self._name, "connected": connected, "trouble": trouble}

    async def _agent(self, request: Request) -> Response:
        del request
        return JSONResponse(self._standing(), headers=_SECURITY)

    async def _machines(self, request: Request) -> Response:
        del request
        try:
            return JSONResponse(cards(self._runner), headers=_SECURITY)
        except JournalBroken as error:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is broken", str(error))

    async def _attempts(self, request: Request) -> Response:
        del request
        try:
            return JSONResponse(latest(self._runner), headers=_SECURITY)
        except JournalBroken as error:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is broken", str(error))


class _Server(uvicorn.Server):
    """The agent has its own signals; the console's server takes none."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


_Act = Callable[[str, _T], Awaitable[None]]


def _plain(act: Callable[[str, _T], None]) -> _Act[_T]:
    async def later(name: str, said: _T) -> None:
        act(name, said)

    return later


def _post(path: str, model: type[_T], act: _Act[_T]) -> Route:
    async def answer(request: Request) -> Response:
        if HEADER not in request.headers:
            return _problem(
                HTTPStatus.FORBIDDEN, "Not from the console", f"send the header {HEADER}: console"
            )
        try:
            said = model.model_validate_json(await _body(request))
            await act(request.path_params["id"], said)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            return _problem(HTTPStatus.BAD_REQUEST, "Not understood", f"{where}: {first['msg']}")
        except (NotNow, BridgeError, IllegalMove) as error:
            return _problem(HTTPStatus.CONFLICT, "Not now", str(error))
        except JournalBroken as error:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is broken", str(error))
        return JSONResponse({"done": True}, headers=_SECURITY)

    return Route(path, answer, methods=["POST"])


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX:
            raise NotNow(f"more than {BODY_MAX} bytes: no button says that much")
    return bytes(body)


def _problem(status: HTTPStatus, title: str, detail: str) -> Response:
    return JSONResponse(
        {"title": title, "detail": detail},
        status,
        _SECURITY,
        media_type="application/problem+json",
    )
