"""The doors of proposals: hand a change to a design, read it, accept or decline it."""

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from orchestrator.catalogue import versions
from orchestrator.catalogue.drafts_api import may_begin
from orchestrator.catalogue.keys import LONGEST
from orchestrator.catalogue.model import refused
from orchestrator.proposals import model, service
from orchestrator.proposals.model import FileChange, ProposalState, Seen, Terms, Wish
from orchestrator.proposals.service import Standing
from orchestrator.store import Store
from orchestrator.web import uploads

MOST_FILES: Final = 50
MOST_BYTES: Final = 64 * 1024 * 1024
_FOR_EVER: Final = {"Cache-Control": "max-age=31536000, immutable"}

Key = Annotated[str, Field(max_length=LONGEST)]

routes = APIRouter(tags=["proposals"])


class ProposalView(BaseModel):
    """`stale`: a newer release than `base` is there; `conflicts` are files changed in both.

    `key` is shown once, to its author: with it the proposal can be withdrawn.
    """

    id: str
    design: str
    state: ProposalState
    author: str
    message: str
    made_at: datetime
    base: str
    base_version: str
    newest: str
    newest_version: str
    stale: bool
    conflicts: tuple[str, ...]
    next_version: str | None
    changes: tuple[FileChange, ...]
    seen: Seen
    closed_at: datetime | None
    reason: str
    release: str | None
    terms: Terms | None
    key: str | None = None


class Acceptance(Terms):
    key: Key


class Refusal(BaseModel):
    key: Key
    reason: model.Words


class TakenBack(BaseModel):
    key: Key


def view(at: Standing, key: str | None = None) -> ProposalView:
    row = at.row
    return ProposalView(
        id=row.id,
        design=row.design,
        state=ProposalState(row.state),
        author=row.author,
        message=row.message,
        made_at=row.made_at,
        base=row.base,
        base_version=at.base.version,
        newest=at.newest.sha256,
        newest_version=at.newest.version,
        stale=at.stale,
        conflicts=at.conflicts,
        next_version=versions.following(at.newest.version),
        changes=service.changes_of(row),
        seen=Seen.model_validate(row.seen),
        closed_at=row.closed_at,
        reason=row.reason,
        release=row.release,
        terms=Terms.model_validate(row.terms) if row.terms else None,
        key=key,
    )


async def look(store: Store, proposal_id: str, key: str | None = None) -> ProposalView:
    async with store.view() as unit:
        return view(await service.standing(unit, proposal_id), key)


@routes.post("/api/designs/{design}/proposals", status_code=201)
async def propose(  # noqa: PLR0913, PLR0917 - one for each field of the form
    design: str,
    request: Request,
    author: Annotated[model.Said, Form()],
    message: Annotated[model.Words, Form()],
    base: Annotated[model.Sha256 | None, Form()] = None,
    removed: Annotated[list[str] | None, Form(max_length=1000)] = None,
    licence: Annotated[model.Given | None, Form()] = None,
    files: list[UploadFile] | None = None,
) -> ProposalView:
    """Propose changed files to a public release; who has the maintainer's key decides."""
    may_begin(request, request.app.state.desk.anyone)
    wish = Wish(
        author=author, message=message, base=base, licence=licence, removed=tuple(removed or ())
    )
    return await received(_store(request), design, wish, files or [])


async def received(store: Store, design: str, wish: Wish, files: list[UploadFile]) -> ProposalView:
    with tempfile.TemporaryDirectory(prefix="proposal-") as folder:
        sent = await _save(files, Path(folder))
        row, key = await service.propose(store, design, wish, sent)
    return await look(store, row.id, key)


@routes.get("/api/designs/{design}/proposals")
async def of_design(design: str, request: Request) -> list[ProposalView]:
    async with _store(request).view() as unit:
        rows = await service.of_design(unit, design)
        return [view(await service.standing(unit, row.id)) for row in rows]


@routes.get("/api/proposals/{proposal_id}")
async def one(proposal_id: str, request: Request) -> ProposalView:
    return await look(_store(request), proposal_id)


@routes.post("/api/proposals/{proposal_id}/accept")
async def accept(proposal_id: str, asked: Acceptance, request: Request) -> ProposalView:
    """Publish it as the next release, with its author among the contributors."""
    terms = Terms.model_validate(asked.model_dump(exclude={"key"}))
    await service.accept(_store(request), proposal_id, asked.key, terms)
    return await look(_store(request), proposal_id)


@routes.post("/api/proposals/{proposal_id}/decline")
async def decline(proposal_id: str, asked: Refusal, request: Request) -> ProposalView:
    await service.decline(_store(request), proposal_id, asked.key, asked.reason)
    return await look(_store(request), proposal_id)


@routes.post("/api/proposals/{proposal_id}/withdraw")
async def withdraw(proposal_id: str, asked: TakenBack, request: Request) -> ProposalView:
    await service.withdraw(_store(request), proposal_id, asked.key)
    return await look(_store(request), proposal_id)


@routes.get("/proposals/{proposal_id}/files/{sha256}")
async def file(proposal_id: str, sha256: str, request: Request) -> FileResponse:
    """One proposed file, to be saved: never shown as a page of ours.

    Only of what is open or accepted: what was declined or taken back is not handed on.
    """
    shown = await look(_store(request), proposal_id)
    found = next((change for change in shown.changes if change.after == sha256), None)
    if found is None or shown.state not in model.SHOWN:
        raise service.NoSuchProposal("this proposal brings no such file")
    return FileResponse(
        _store(request).blobs.path(sha256),
        media_type="application/octet-stream",
        filename=Path(found.name).name,
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"},
    )


@routes.get("/proposals/{proposal_id}/pictures/{part}/{view}")
async def picture(proposal_id: str, part: str, view: model.View, request: Request) -> FileResponse:
    """A part's thumbnail `before` or `after` the change, or `both` laid over each other.

    Of what is neither open nor accepted only what was drawn when its files were examined.
    """
    shown = await look(_store(request), proposal_id)
    found = next((change for change in shown.seen.parts if change.name == part), None)
    draws = shown.state in model.SHOWN
    path = found and await service.picture(_store(request), proposal_id, found, view, draws=draws)
    if path is None:
        raise service.NoSuchProposal("there is no such picture")
    return FileResponse(path, media_type="image/png", headers=_FOR_EVER)


async def _save(files: list[UploadFile], folder: Path) -> dict[str, Path]:
    """The uploads under names of our own; what they are called is only a key."""
    given = [(upload.filename or "", upload) for upload in files if upload.filename]
    if len(given) > MOST_FILES:
        raise refused(
            f"{len(given)} files at once", "files", f"change at most {MOST_FILES} in one proposal"
        )
    model.checked_names([name for name, _ in given])
    size, saved = 0, dict[str, Path]()
    for number, (name, upload) in enumerate(given):
        saved[name] = folder / str(number)
        size = await uploads.received(
            uploads.pieces(upload), saved[name], name, most=MOST_BYTES, before=size
        )
    return saved


def _store(request: Request) -> Store:
    return request.app.state.store
