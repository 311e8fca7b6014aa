"""Pages on which a design is published: drop files, read what was found in them, say what they are.

They work without scripts; `static/publish.js` only saves loading the page again. The key of a draft
is in its link once and in a cookie afterwards.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from starlette.datastructures import FormData, UploadFile

from designs import licences
from designs.design import OWN_WORK, Release
from designs.errors import DesignRefused, Finding
from designs.licences import Act
from designs.processes import MATERIALS, PROCESSES
from orchestrator.catalogue import service
from orchestrator.catalogue.drafts import MOST_BYTES, MOST_FILES, DraftPublished, Drafts
from orchestrator.catalogue.drafts_api import drawn, may_begin, sender
from orchestrator.catalogue.lifecycle import Caller, LabsKnown
from orchestrator.catalogue.lifecycle_api import addresses
from orchestrator.catalogue.model import Answers, ReleaseState
from orchestrator.catalogue.pages import licence_words
from orchestrator.store import Store
from orchestrator.web import keys, uploads
from orchestrator.web.pages import check_form, form_token, fragment, page, see_other

_PIECE: Final = "x-piece"
"""With this header a form is answered with the piece of the page that changed."""
_FIELDS: Final = ("title", "version", "function", "licensor", "process", "material", "quantity")


@dataclass(frozen=True)
class Choice:
    """A licence by what it lets others do."""

    licence: str
    says: str
    open: bool
    paid: bool


CHOICES: Final = tuple(
    Choice(
        licence,
        says,
        licences.judge(licence, Act.LIST).open,
        licences.judge(licence, Act.MAKE_PAID).allowed,
    )
    for licence, says in (
        ("CERN-OHL-W-2.0", "make, sell and change it; changes to your files stay open"),
        ("CERN-OHL-S-2.0", "make, sell and change it; all that is built on it stays open"),
        ("CERN-OHL-P-2.0", "do with it what they like, as long as they name you"),
        ("CC-BY-SA-4.0", "make, sell and change it, naming you, under the same licence"),
        ("CC0-1.0", "do with it what they like, without naming you"),
        ("CC-BY-NC-SA-4.0", "make and change it, but nobody may be paid for making it"),
        (OWN_WORK, "nothing: it stays private, and is made for whoever has its address"),
    )
)


@dataclass(frozen=True)
class Desk:
    """What the pages work with. `anyone`: whether a visitor may begin a draft."""

    drafts: Drafts
    labs_known: LabsKnown
    anyone: bool


routes = APIRouter(include_in_schema=False)


@routes.get("/publish")
async def start(request: Request) -> HTMLResponse:
    limits = {"most_files": MOST_FILES, "most_mb": MOST_BYTES >> 20}
    return page(request, "catalogue/publish.html", anyone=_desk(request).anyone, **limits)


@routes.post("/publish")
async def begin(request: Request) -> Response:
    desk = _desk(request)
    may_begin(request, desk.anyone)
    async with request.form(max_files=MOST_FILES) as form:
        _check(request, form)
        begun = await desk.drafts.begin(sender=sender(request))
        await _add(desk.drafts, begun.id, form)
    answer = see_other(f"/publish/{begun.id}")
    keys.keep_key(request, answer, begun.id, begun.key)
    return answer


@routes.get("/publish/{draft}", response_model=None)
async def one(
    draft: str, request: Request, key: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    if key:
        answer = see_other(f"/publish/{draft}")
        keys.keep_key(request, answer, draft, key)
        return answer
    await _opened(request, draft)
    return await shown(request, draft)


@routes.post("/publish/{draft}/files")
async def add(draft: str, request: Request) -> Response:
    await _opened(request, draft)
    async with request.form(max_files=MOST_FILES) as form:
        _check(request, form)
        try:
            await _add(_desk(request).drafts, draft, form)
        except DesignRefused as no:
            return await shown(request, draft, no.findings)
    return await shown(request, draft, after="files")


@routes.post("/publish/{draft}/remove")
async def remove(draft: str, request: Request) -> Response:
    await _opened(request, draft)
    async with request.form() as form:
        _check(request, form)
        await _desk(request).drafts.remove(draft, str(form.get("name", "")))
    return await shown(request, draft, after="files")


@routes.post("/publish/{draft}/answers")
async def answer(draft: str, request: Request) -> Response:
    await _opened(request, draft)
    async with request.form() as form:
        _check(request, form)
        try:
            await _desk(request).drafts.answer(draft, said(form))
        except DesignRefused as no:
            return await shown(request, draft, no.findings)
    return await shown(request, draft, after="answers")


@routes.post("/publish/{draft}/publish")
async def publish(draft: str, request: Request) -> Response:
    """Keep the answers, then publish; what stands in the way is said on the draft's page."""
    caller, desk = await _opened(request, draft), _desk(request)
    async with request.form() as form:
        _check(request, form)
        labs = [str(lab) for lab in form.getlist("lab")]
        answers = said(form)
    known = await _labs(request)
    try:
        await desk.drafts.answer(draft, answers)
        done = await desk.drafts.publish(draft, caller, labs, known)
    except DraftPublished:
        done = None
    except DesignRefused as no:
        return await shown(request, draft, no.findings)
    if done is not None and done.lab_keys:
        told = addresses(request, done.release.sha256, dict(done.lab_keys))
        pairs = [(known.get(lab, lab), link) for lab, link in told.items()]
        return page(request, "catalogue/pre_released.html", release=done.release, labs=pairs)
    if done is not None and caller.key:
        return await _key_told(request, done.release, caller.key)
    return await _published(request, draft)


@routes.get("/publish/{draft}/pictures/{sha256}")
async def picture(draft: str, sha256: str, request: Request) -> FileResponse:
    await _opened(request, draft)
    return drawn(await _desk(request).drafts.picture(draft, sha256))


# ── what is answered


async def shown(
    request: Request, draft: str, refused: tuple[Finding, ...] = (), after: str = ""
) -> Response:
    """The draft's page, its changing piece for the script, or the way back to it."""
    pieced = _PIECE in request.headers
    if after and not pieced:
        return see_other(f"/publish/{draft}#{after}")
    view = await _desk(request).drafts.look(draft, _caller(request, draft))
    if view.release is not None:
        return await _published(request, draft)
    status = 422 if refused else 200
    told = {"draft": view, "refused": refused, "words": _licence_said(view.answers)}
    if pieced:
        piece = fragment("catalogue/draft_files.html", form_token=form_token(request), **told)
        return HTMLResponse(piece, status, headers={"Cache-Control": "no-store"})
    key = keys.key_of(request, draft)
    link = f"{str(request.base_url).rstrip('/')}/publish/{draft}?key={key}" if key else ""
    whole = page(
        request, "catalogue/draft.html", status, labs=await _labs(request), key=key, link=link,
        choices=CHOICES, processes=PROCESSES, materials=MATERIALS, **told,
    )  # fmt: skip
    whole.headers["Cache-Control"] = "no-store"
    return whole


async def _key_told(request: Request, release: Release, key: str) -> Response:
    """What was published, and this once the key that it is kept by; never in an address."""
    place = await _place(request, release.sha256)
    answer = page(request, "catalogue/published.html", release=release, place=place, key=key)
    answer.headers["Cache-Control"] = "no-store"
    keys.keep_key(request, answer, release.sha256, key)
    return answer


async def _published(request: Request, draft: str) -> Response:
    """To the page of what became of it."""
    sha256 = (await _desk(request).drafts.look(draft)).release
    assert sha256 is not None
    answer = see_other(await _place(request, sha256))
    keys.keep_key(request, answer, sha256, keys.key_of(request, draft))
    return answer


async def _place(request: Request, sha256: str) -> str:
    async with _store(request).view() as unit:
        row = await service.row(unit, sha256)
    public = not row.private and row.state == ReleaseState.RELEASED
    named = f"/designs/{row.design}?version={quote(row.version)}"
    return named if public else f"/releases/{sha256}"


def said(form: FormData) -> dict[str, object]:
    """The answers in the form; empty ones are taken back."""
    typed: dict[str, object] = {name: _text(form, name) for name in _FIELDS if name in form}
    if "thickness_mm" in form:
        typed["thickness_mm"] = _text(form, "thickness_mm")
    if "licence" in form or "other_licence" in form:
        typed["licence"] = _text(form, "other_licence") or _text(form, "licence")
    return typed


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value.strip() or None if isinstance(value, str) else None


def _licence_said(answers: Answers) -> tuple[str, ...]:
    """What the chosen licence means, where it is one that we know."""
    known = answers.licence and licences.judge(answers.licence, Act.LIST).allowed
    own = answers.licence == OWN_WORK
    return licence_words(answers.licence) if answers.licence and (known or own) else ()


async def _add(drafts: Drafts, draft: str, form: FormData) -> None:
    """Keep every file of the form; raises DesignRefused at the first that cannot be kept."""
    for sent in form.getlist("files"):
        if not isinstance(sent, UploadFile) or not sent.filename:
            continue
        with tempfile.TemporaryDirectory(prefix="publish-") as folder:
            path = Path(folder) / "file"
            await uploads.received(uploads.pieces(sent), path, sent.filename, most=MOST_BYTES)
            await drafts.add(draft, sent.filename, path)


def _check(request: Request, form: FormData) -> None:
    token = form.get("form_token")
    if not isinstance(token, str):
        raise HTTPException(403, "this form is not from a page of ours: load the page again")
    check_form(request, token)


async def _opened(request: Request, draft: str) -> Caller:
    """Whoever asks, if they may open this draft; raises NoSuchDraft."""
    caller = _caller(request, draft)
    await _desk(request).drafts.check(draft, caller)
    return caller


def _caller(request: Request, draft: str) -> Caller:
    return Caller(keys.is_operator(request), keys.key_of(request, draft))


async def _labs(request: Request) -> Mapping[str, str]:
    async with _store(request).view() as unit:
        return await _desk(request).labs_known(unit)


def _desk(request: Request) -> Desk:
    return request.app.state.desk


def _store(request: Request) -> Store:
    return request.app.state.store
