"""The door for slicers: what "send to printer" needs of OctoPrint, into a draft.

A program that comes in is kept and never run: asking to print it starts nothing, anywhere.
PrusaSlicer (2.5 to 2.9) and OrcaSlicer ask for the version and then send the fields `print`,
`path`, `file` (OrcaSlicer `plateindex`, too); Cura's OctoPrint plugin sends `path`, `file`,
`select`, `print`: src/slic3r/Utils/OctoPrint.cpp, OctoPrintOutputDevice.py.
"""

import contextlib
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile

from orchestrator.catalogue.drafts import MOST_BYTES, Drafts, NoSuchDraft
from orchestrator.web import keys, uploads

ASKED_TO_PRINT: Final = "the slicer asked to print it: nothing was started, a draft starts nothing"
_FIELDS: Final = 20


class Version(BaseModel):
    """Slicers take any `text` that begins with OctoPrint."""

    api: str = "0.1"
    server: str = "1.10.0"
    text: str = "OctoPrint 1.10.0 (upload into a draft of Cosmolocal)"


def router(drafts: Drafts) -> APIRouter:
    routes = APIRouter(tags=["slicers"])

    @routes.get("/api/version")
    async def version(request: Request) -> Version:  # pyright: ignore[reportUnusedFunction]
        """What a slicer's "Test" button asks for, with a draft's key as X-Api-Key."""
        with _forbidden():
            await drafts.knows(request.headers.get(keys.HEADER, ""))
        return Version()

    @routes.post("/api/files/local", status_code=201)
    async def upload(request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        """A file from a slicer, into the draft of its key. `print` and `select` start nothing."""
        with _forbidden():
            draft = await drafts.opened_by(request.headers.get(keys.HEADER, ""))
        async with request.form(max_files=1, max_fields=_FIELDS) as form:
            name, sent = _named(form)
            with tempfile.TemporaryDirectory(prefix="slicer-") as folder:
                path = Path(folder) / "file"
                await uploads.received(uploads.pieces(sent), path, name, most=MOST_BYTES)
                asked = _yes(form, "print") or _yes(form, "select")
                await drafts.add(draft, name, path, ASKED_TO_PRINT if asked else "")
        return _taken(request, draft, name)

    return routes


@contextlib.contextmanager
def _forbidden() -> Generator[None]:
    """A key that opens nothing is answered as OctoPrint answers a wrong one."""
    try:
        yield
    except NoSuchDraft as no:
        raise HTTPException(403, f"{no}: give the key of a draft as the API key") from None


def _named(form: FormData) -> tuple[str, UploadFile]:
    sent = form.get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        raise HTTPException(400, "no file was sent: the field `file` is missing")
    within = form.get("path")
    folder = within.strip("/ ") if isinstance(within, str) else ""
    return f"{folder}/{sent.filename}" if folder else sent.filename, sent


def _yes(form: FormData, field: str) -> bool:
    return str(form.get(field, "")).lower() in {"true", "yes", "y", "1"}


def _taken(request: Request, draft: str, name: str) -> JSONResponse:
    address = f"{str(request.base_url).rstrip('/')}/publish/{draft}"
    stored = {
        "name": Path(name).name,
        "path": name,
        "origin": "local",
        "refs": {"resource": address, "download": address},
    }
    body = {
        "files": {"local": stored},
        "done": True,
        "effectiveSelect": False,
        "effectivePrint": False,
    }
    return JSONResponse(body, 201, {"Location": address})
