"""How a button of the console is pressed: who, what, and the answer in words.

Only a request with the console's own header presses one; nothing is done before it was understood.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fablab_agents.journal import JournalBroken
from fablab_agents.protocol.attempts import IllegalMove
from fablab_agents.runner import NotNow
from firmware_bridge.driver import Word
from firmware_bridge.errors import BridgeError

HEADER: Final = "x-cosmolocal"
BODY_MAX: Final = 16 * 1024
SECURITY: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'none'",
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


class AtTheMachine(ByPerson):
    """Said by somebody who stands there and sees that nothing and nobody is in the way."""

    at_the_machine: Literal[True]


class Jogged(AtTheMachine):
    axis: Literal["X", "Y", "Z"]
    toward: Literal["+", "-"]
    step_mm: Literal["0.1", "1", "10"]

    @property
    def mm(self) -> float:
        return float(self.toward + self.step_mm)


class Offered(_Asked):
    offered: bool


_Act = Callable[[str, _T], Awaitable[None]]


def plain(act: Callable[[str, _T], None]) -> _Act[_T]:
    async def later(name: str, said: _T) -> None:
        act(name, said)

    return later


def post(path: str, model: type[_T], act: _Act[_T]) -> Route:
    async def answer(request: Request) -> Response:
        if HEADER not in request.headers:
            return problem(
                HTTPStatus.FORBIDDEN, "Not from the console", f"send the header {HEADER}: console"
            )
        try:
            said = model.model_validate_json(await _body(request))
            await act(request.path_params["id"], said)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            return problem(HTTPStatus.BAD_REQUEST, "Not understood", f"{where}: {first['msg']}")
        except (NotNow, BridgeError, IllegalMove) as error:
            return problem(HTTPStatus.CONFLICT, "Not now", str(error))
        except JournalBroken as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is broken", str(error))
        return JSONResponse({"done": True}, headers=SECURITY)

    return Route(path, answer, methods=["POST"])


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX:
            raise NotNow(f"more than {BODY_MAX} bytes: no button says that much")
    return bytes(body)


def problem(status: HTTPStatus, title: str, detail: str) -> Response:
    return JSONResponse(
        {"title": title, "detail": detail},
        status,
        SECURITY,
        media_type="application/problem+json",
    )
