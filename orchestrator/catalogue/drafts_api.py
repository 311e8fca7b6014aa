"""The doors of drafts: begin one, put files in, say what they are, publish.

Each draft is opened by its own key (header X-Api-Key); the operator's token opens all of them.
"""

import ipaddress
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from orchestrator.catalogue import lifecycle, service
from orchestrator.catalogue.api import ReleaseView, release_view
from orchestrator.catalogue.drafts import MOST_BYTES, Drafts, DraftView
from orchestrator.catalogue.lifecycle import LabsKnown
from orchestrator.catalogue.lifecycle_api import addresses, by_header
from orchestrator.catalogue.service import Published
from orchestrator.store import Store
from orchestrator.web import keys, uploads

_Text = Annotated[str, StringConstraints(max_length=2000)]


class BegunView(BaseModel):
    """`key` opens the draft and is told only here; `page` is where a browser goes on with it."""

    id: str
    key: str
    page: str


class Said(BaseModel):
    """Answers to keep; what is left out stays, null takes an answer back."""

    model_config = ConfigDict(extra="forbid")
    title: _Text | None = None
    version: _Text | None = None
    function: _Text | None = None
    licence: _Text | None = None
    licensor: _Text | None = None
    process: _Text | None = None
    material: _Text | None = None
    thickness_mm: float | None = None
    quantity: int | None = None


class PublishWish(BaseModel):
    """With labs (ids or names) it becomes a pre-release for them."""

    model_config = ConfigDict(extra="forbid")
    labs: tuple[str, ...] = Field(default=(), max_length=lifecycle.MOST_LABS)


class PublishedView(ReleaseView):
    """`lab_pages`: by lab, the address at which it sees the pre-release; told only here. By lab,
    too, their names.
    """

    lab_pages: dict[str, str]
    lab_names: dict[str, str]


def router(drafts: Drafts, labs_known: LabsKnown, anyone: bool) -> APIRouter:
    """`anyone`: whether drafts are begun without the operator's token, too."""
    routes = APIRouter(tags=["drafts"])

    @routes.post("/api/drafts", status_code=201)
    async def begin(request: Request) -> BegunView:  # pyright: ignore[reportUnusedFunction]
        """A new draft. With the key of an earlier one: for the next version of its design."""
        may_begin(request, anyone)
        begun = await drafts.begin(request.headers.get(keys.HEADER, ""), sender(request))
        base = str(request.base_url).rstrip("/")
        page = f"{base}/publish/{begun.id}?key={begun.key}"
        return BegunView(id=begun.id, key=begun.key, page=page)

    @routes.get("/api/drafts/{draft}")
    async def one(draft: str, request: Request) -> DraftView:  # pyright: ignore[reportUnusedFunction]
        await drafts.check(draft, by_header(request))
        return await drafts.look(draft, by_header(request))

    @routes.delete("/api/drafts/{draft}", status_code=204)
    async def drop(draft: str, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Throw it away with all its files."""
        caller = by_header(request)
        await drafts.check(draft, caller)
        await drafts.drop(draft, f"thrown away by the {caller.who}")
        return Response(status_code=204)

    @routes.patch("/api/drafts/{draft}/answers")
    async def answer(draft: str, said: Said, request: Request) -> DraftView:  # pyright: ignore[reportUnusedFunction]
        await drafts.check(draft, by_header(request))
        await drafts.answer(draft, said.model_dump(exclude_unset=True))
        return await drafts.look(draft, by_header(request))

    @routes.put("/api/drafts/{draft}/files/{name:path}")
    async def put(draft: str, name: str, request: Request) -> DraftView:  # pyright: ignore[reportUnusedFunction]
        """The body is the file, in the place of an earlier one of that name."""
        await drafts.check(draft, by_header(request))
        with tempfile.TemporaryDirectory(prefix="draft-") as folder:
            path = Path(folder) / "file"
            await uploads.received(request.stream(), path, name, most=MOST_BYTES)
            await drafts.add(draft, name, path)
        return await drafts.look(draft, by_header(request))

    @routes.delete("/api/drafts/{draft}/files/{name:path}")
    async def remove(draft: str, name: str, request: Request) -> DraftView:  # pyright: ignore[reportUnusedFunction]
        await drafts.check(draft, by_header(request))
        await drafts.remove(draft, name)
        return await drafts.look(draft, by_header(request))

    @routes.get("/api/drafts/{draft}/pictures/{sha256}")
    async def picture(draft: str, sha256: str, request: Request) -> FileResponse:  # pyright: ignore[reportUnusedFunction]
        """The thumbnail of a file in it."""
        await drafts.check(draft, by_header(request))
        return drawn(await drafts.picture(draft, sha256))

    @routes.post("/api/drafts/{draft}/publish", status_code=201)
    async def publish(draft: str, wish: PublishWish, request: Request) -> PublishedView:  # pyright: ignore[reportUnusedFunction]
        """Make an immutable release of it; asked twice it gives the same release."""
        caller, store = by_header(request), _store(request)
        await drafts.check(draft, caller)
        async with store.view() as unit:
            known = await labs_known(unit)
        published = await drafts.publish(draft, caller, wish.labs, known)
        return await _published_view(drafts, draft, published, known, request)

    return routes


def may_begin(request: Request, anyone: bool) -> None:
    if not anyone and not keys.is_operator(request):
        raise HTTPException(
            401, "drafts are begun here with the operator's token alone: ask who runs this server"
        )


def sender(request: Request) -> str:
    """Whose drafts are counted together: a network of one household, nobody on this computer."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if address.is_loopback or keys.is_operator(request):
        return ""
    return str(ipaddress.ip_network((host, 64), strict=False)) if address.version == 6 else host


def drawn(path: Path) -> FileResponse:
    """A picture we drew ourselves, for whoever may open the draft."""
    return FileResponse(path, media_type="image/png", headers={"Cache-Control": "private"})


async def _published_view(
    drafts: Drafts,
    draft: str,
    published: Published | None,
    known: Mapping[str, str],
    request: Request,
) -> PublishedView:
    sha256 = (await drafts.look(draft)).release
    assert sha256 is not None
    async with _store(request).view() as unit:
        view = release_view(await service.row(unit, sha256))
    told = addresses(request, sha256, dict(published.lab_keys) if published else {})
    names = {lab: known.get(lab, lab) for lab in told}
    return PublishedView(**dict(view), lab_pages=told, lab_names=names)


def _store(request: Request) -> Store:
    return request.app.state.store
