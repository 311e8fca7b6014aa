"""Serves the console: the page, its JSON and the buttons, on this machine alone by default.

A button is pressed only by a request that carries the console's own header, and only under a
host name that is the console's own: both keep pages of other sites out.
"""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from http import HTTPStatus
from importlib import resources
from pathlib import Path

import uvicorn
from jinja2 import Environment, PackageLoader
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fablab_agents.config import ConfigRefused, Console
from fablab_agents.console.asked import (
    BODY_MAX,
    SECURITY,
    Attested,
    AtTheMachine,
    ByPerson,
    Jogged,
    Offered,
    Told,
    Why,
    plain,
    post,
    problem,
)
from fablab_agents.console.cards import cards, latest
from fablab_agents.journal import JournalBroken
from fablab_agents.protocol.attempts import State
from fablab_agents.runner import NotNow, Runner
from firmware_bridge.errors import BridgeError
from firmware_bridge.streaming import read_program


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
                Route("/machines/{id}/setup", self._setup),
                Route("/machines/{id}/picture", self._picture),
                Route("/api/agent", self._agent),
                Route("/api/machines", self._machines),
                Route("/api/attempts", self._attempts),
                post("/api/machines/{id}/bed-clear", ByPerson, plain(
                    lambda name, said: people.bed_clear(name, said.person))),
                post("/api/machines/{id}/start", ByPerson, plain(
                    lambda name, said: people.start(name, said.person, said.attempt))),
                post("/api/machines/{id}/stop", Why,
                      lambda name, said: people.stop(name, said.person, said.why)),
                post("/api/machines/{id}/pause", ByPerson,
                      lambda name, said: people.pause(name, said.person)),
                post("/api/machines/{id}/resume", ByPerson,
                      lambda name, said: people.resume(name, said.person)),
                post("/api/machines/{id}/told", Told,
                      lambda name, said: people.tell(name, said.person, said.word, said.note)),
                post("/api/machines/{id}/home", AtTheMachine,
                     lambda name, said: people.home(name, said.person)),
                post("/api/machines/{id}/jog", Jogged,
                     lambda name, said: people.jog(name, said.person, said.axis, said.mm)),
                post("/api/machines/{id}/stop-jog", ByPerson,
                     lambda name, _: people.stop_jog(name)),
                post("/api/machines/{id}/offered", Offered, plain(
                    lambda name, said: people.offer(name, offered=said.offered))),
                post("/api/attempts/{id}/attest", Attested, plain(
                    lambda name, said: people.attest(
                        name, said.person, State(said.outcome), said.evidence))),
                post("/api/attempts/{id}/accept", ByPerson, plain(
                    lambda name, said: people.accept(name, said.person))),
                post("/api/attempts/{id}/refuse", Why, plain(
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
            return problem(HTTPStatus.CONFLICT, "Not now", str(error))
        except JournalBroken as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is broken", str(error))
        file = {"Content-Disposition": f'attachment; filename="{program.remote_name}"'}
        return Response(data, 200, {**SECURITY, **file}, "application/octet-stream")

    async def _sheet(self, request: Request) -> Response:
        try:
            attempt = self._runner.people.handed_out(request.path_params["id"])
            sheet = self._runner.program(attempt).sheet
        except NotNow as error:
            return problem(HTTPStatus.CONFLICT, "Not now", str(error))
        except JournalBroken as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is broken", str(error))
        page = self._pages.get_template("sheet.html").render(part=attempt.ticket.part, sheet=sheet)
        return HTMLResponse(page, headers=SECURITY)

    # ── setting up ──────────────────────────────────────────────────────────────────────────

    async def _setup(self, request: Request) -> Response:
        """Homing, small moves and the camera's picture, for whoever stands at this machine."""
        return self._html("setup.html", request.path_params["id"])

    async def _picture(self, request: Request) -> Response:
        try:
            seen = await self._runner.people.picture(request.path_params["id"])
        except (NotNow, BridgeError) as error:
            return problem(HTTPStatus.CONFLICT, "No picture", str(error))
        return Response(seen.data, 200, SECURITY, seen.media_type)

    def _html(self, template: str, machine: str = "") -> Response:
        try:
            body = self._pages.get_template(template).render(
                **self._standing(),
                cards=[card for card in cards(self._runner) if machine in ("", card["machine"])],
                latest=latest(self._runner),
            )
        except JournalBroken as error:
            return HTMLResponse(self._pages.get_template("trouble.html").render(
                trouble=str(error)), HTTPStatus.SERVICE_UNAVAILABLE, SECURITY)  # fmt: skip
        return HTMLResponse(body, headers=SECURITY)

    def _standing(self) -> dict[str, object]:
        connected, trouble = self._runner.connected, self._runner.trouble()
        return {**self._name, "connected": connected, "trouble": trouble}

    async def _agent(self, request: Request) -> Response:
        del request
        return JSONResponse(self._standing(), headers=SECURITY)

    async def _machines(self, request: Request) -> Response:
        del request
        try:
            return JSONResponse(cards(self._runner), headers=SECURITY)
        except JournalBroken as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is broken", str(error))

    async def _attempts(self, request: Request) -> Response:
        del request
        try:
            return JSONResponse(latest(self._runner), headers=SECURITY)
        except JournalBroken as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is broken", str(error))


class _Server(uvicorn.Server):
    """The agent has its own signals; the console's server takes none."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
