"""The one place where errors become HTTP: problem+json for programs, a page for people.

It says what is wrong and what to do, and never shows the inside of a defect.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException

from designs import misfits
from designs.errors import DesignRefused
from orchestrator.store import MissingBlob, StoreAway
from orchestrator.web.pages import page

Wording = Mapping[type[Exception], int]
"""Which errors of the rooms are whose fault: their message is the answer, with this status."""
_log = structlog.get_logger("web")
_FRAMEWORKS: Final = {
    "Not Found": "there is nothing at this address: see /docs for those that there are",
    "Method Not Allowed": "this address is not asked in this way: see /docs",
    "There was an error parsing the body": "the request cannot be read: send JSON in UTF-8, or a "
    "form as browsers send it",
}
"""What the framework says by itself, and our words for it."""
_COMMON: Final[Wording] = {MissingBlob: 404, StoreAway: 503}


def install(app: FastAPI, rooms: Wording) -> None:
    for kind, status in {**_COMMON, **rooms}.items():
        app.add_exception_handler(kind, _worded(status))
    app.add_exception_handler(KeyError, _missing)
    app.add_exception_handler(DesignRefused, _refused_design)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DataError, _unkept)
    app.add_exception_handler(Exception, _defect)


def problem(
    request: Request,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    findings: list[Any] | None = None,
) -> Response:
    """The answer to a request that cannot be served."""
    title = HTTPStatus(status).phrase
    if _is_person(request):
        return page(request, "problem.html", status, title=title, detail=detail)
    body: dict[str, Any] = {"status": status, "title": title, "detail": detail}
    if findings:
        body["findings"] = findings
    return JSONResponse(body, status, dict(headers or {}), "application/problem+json")


def _is_person(request: Request) -> bool:
    for_programs = request.url.path.startswith(("/api/", "/agent/", "/files/"))
    return not for_programs and "text/html" in request.headers.get("accept", "")


def _worded(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}

    async def answer(request: Request, error: Exception) -> Response:
        return problem(request, status, str(error), headers)

    return answer


async def _missing(request: Request, error: Exception) -> Response:
    return problem(request, 404, f"there is no {error.args[0] if error.args else 'such thing'}")


async def _refused_design(request: Request, error: Exception) -> Response:
    assert isinstance(error, DesignRefused)
    findings = [finding.model_dump(mode="json") for finding in error.findings]
    return problem(request, 422, str(error), findings=findings)


async def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = misfits.told(error.errors(), whole="the request", without=1)
    findings = [finding.model_dump(mode="json") for finding in found]
    return problem(request, 422, "; ".join(map(str, found)), findings=findings)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = _FRAMEWORKS.get(str(error.detail), str(error.detail))
    return problem(request, error.status_code, said, error.headers)


async def _unkept(request: Request, error: Exception) -> Response:
    """PostgreSQL keeps and looks for no text with a NUL in it; SQLite does."""
    assert isinstance(error, DataError)
    if "NUL" not in str(error.orig):
        raise error
    return problem(request, 422, "no text here holds a NUL: write it without")


async def _defect(request: Request, error: Exception) -> Response:
    _log.error("a defect", path=request.url.path, exc_info=error)
    return problem(request, 500, "this is a defect of ours; it is in the server's log")
