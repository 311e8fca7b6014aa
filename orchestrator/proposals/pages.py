"""Pages of proposals: the list and the form of a design, and one proposal with what it changes.

They work without scripts. A key that somebody types is checked and never shown again.
"""

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.datastructures import Headers

from designs.design import Release
from orchestrator.catalogue import ancestry
from orchestrator.catalogue import service as releases
from orchestrator.catalogue.drafts_api import may_begin
from orchestrator.catalogue.fork_api import shares
from orchestrator.proposals import model, service
from orchestrator.proposals.api import Key, ProposalView, look, received, view
from orchestrator.proposals.model import Terms, Wish
from orchestrator.store import Store, Unit
from orchestrator.web.pages import Slots, check_form, fragment, page, see_other

routes = APIRouter(include_in_schema=False)


class Decided(BaseModel):
    """What every form on a proposal's page brings back."""

    form_token: str = Field(max_length=100)
    key: Key


class Accepted(Decided):
    version: Annotated[str, Field(pattern=r"^([0-9A-Za-z][0-9A-Za-z.+_-]{0,39})?$")] = ""
    share: Annotated[int, Field(ge=0, le=1_000_000)]
    did: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] = ""
    reason: Annotated[str, Field(max_length=4000, pattern=model.NO_CONTROLS)] = ""

    def terms(self) -> Terms:
        return Terms(
            version=self.version or None,
            share=self.share,
            did=self.did.strip() or None,
            reason=self.reason.strip(),
        )


class Declined(Decided):
    reason: model.Words


def fill(slots: Slots) -> None:
    """Lead from a design's page to its proposals."""
    slots.fill("design.lineage", _invitation)


async def _invitation(_request: Request, unit: Unit, sha256: str) -> str:
    release = await releases.release(unit, sha256)
    if release.private:
        return ""
    waiting = await service.open_of(unit, release.design)
    return fragment("proposals/invitation.html", release=release, waiting=waiting)


@routes.get("/designs/{design}/proposals")
async def of_design(design: str, request: Request) -> HTMLResponse:
    async with _store(request).view() as unit:
        newest = await releases.newest(unit, design)
        rows = await service.of_design(unit, design)
        views = [view(await service.standing(unit, row.id)) for row in rows]
    release = Release.model_validate_json(newest.manifest)
    return page(
        request, "proposals/proposals.html",
        release=release, base=newest.sha256, proposals=views,
    )  # fmt: skip


@routes.post("/designs/{design}/proposals")
async def propose(  # noqa: PLR0913, PLR0917 - one for each field of the form
    design: str,
    request: Request,
    token: Annotated[str, Form(alias="form_token", max_length=100)],
    author: Annotated[model.Said, Form()],
    message: Annotated[model.Words, Form()],
    base: Annotated[model.Sha256, Form()],
    removed: Annotated[list[str] | None, Form(max_length=1000)] = None,
    licence: Annotated[model.Given | None, Form()] = None,
    files: list[UploadFile] | None = None,
) -> HTMLResponse:
    """The proposal's page, with the key to withdraw it: shown this once."""
    may_begin(request, request.app.state.desk.anyone)
    check_form(request, token)
    async with _store(request).view() as unit:
        newest = await releases.newest(unit, design)
    named = _named_as_there(Release.model_validate_json(newest.manifest), files or [])
    wish = Wish(
        author=author, message=message, base=base, licence=licence, removed=tuple(removed or ())
    )
    made = await received(_store(request), design, wish, named)
    return await _page(request, made, 201)


def _named_as_there(release: Release, files: list[UploadFile]) -> list[UploadFile]:
    """A browser sends a file without its folder: it is the one of that name, if there is one."""
    places: dict[str, list[str]] = {}
    for file in release.files:
        places.setdefault(PurePosixPath(file.name).name, []).append(file.name)
    found: list[UploadFile] = []
    for upload in files:
        name = upload.filename or ""
        there = places.get(name, [])
        if len(there) == 1 and there[0] != name:
            headers = Headers(raw=upload.headers.raw)
            upload = UploadFile(upload.file, filename=there[0], headers=headers)  # noqa: PLW2901
        found.append(upload)
    return found


@routes.get("/proposals/{proposal_id}")
async def one(proposal_id: str, request: Request) -> HTMLResponse:
    return await _page(request, await look(_store(request), proposal_id))


@routes.post("/proposals/{proposal_id}/accept")
async def accept(
    proposal_id: str, asked: Annotated[Accepted, Form()], request: Request
) -> RedirectResponse:
    check_form(request, asked.form_token)
    await service.accept(_store(request), proposal_id, asked.key, asked.terms())
    return see_other(f"/proposals/{proposal_id}")


@routes.post("/proposals/{proposal_id}/decline")
async def decline(
    proposal_id: str, asked: Annotated[Declined, Form()], request: Request
) -> RedirectResponse:
    check_form(request, asked.form_token)
    await service.decline(_store(request), proposal_id, asked.key, asked.reason)
    return see_other(f"/proposals/{proposal_id}")


@routes.post("/proposals/{proposal_id}/withdraw")
async def withdraw(
    proposal_id: str, asked: Annotated[Decided, Form()], request: Request
) -> RedirectResponse:
    check_form(request, asked.form_token)
    await service.withdraw(_store(request), proposal_id, asked.key)
    return see_other(f"/proposals/{proposal_id}")


async def _page(request: Request, shown: ProposalView, status: int = 200) -> HTMLResponse:
    async with _store(request).view() as unit:
        release = await releases.release(unit, shown.newest)
        published = await releases.release(unit, shown.release) if shown.release else None
    return page(
        request, "proposals/proposal.html", status,
        proposal=shown,
        release=release,
        published=published,
        shares=shares(release),
        whole=sum(each.share for each in ancestry.standing(release)),
    )  # fmt: skip


def _store(request: Request) -> Store:
    return request.app.state.store
