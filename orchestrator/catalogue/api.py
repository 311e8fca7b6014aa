"""The doors of the catalogue: publish by upload, one design as JSON, files and pictures by hash."""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Form, Request, Response, UploadFile
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field

from designs import archive, okh
from designs.design import Release
from designs.errors import Finding
from orchestrator.catalogue import intake, lifecycle, model, service
from orchestrator.catalogue.lifecycle import Caller
from orchestrator.catalogue.model import PUBLIC, Answers, ReleaseState, Standing
from orchestrator.catalogue.search.index import Makes
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Store, Unit
from orchestrator.web import keys, uploads

MOST_BYTES = 128 * 1024 * 1024
_CHUNK = 1 << 20
_MEDIA = {"png": "image/png", "glb": "model/gltf-binary", "svg": "image/svg+xml"}

routes = APIRouter(tags=["catalogue"])


class ReleaseView(BaseModel):
    """A release with its hash and what its designer was told."""

    sha256: str
    published_at: datetime
    release: Release
    findings: tuple[Finding, ...]
    pictures: dict[str, dict[str, str]]
    standing: Standing
    made: okh.Made | None = None
    """How often this release was made; told where one release is asked for."""
    maintainer_key: str | None = None
    """Shown once, to whoever publishes the first release of a design."""


def release_view(row: ReleaseRow, key: str | None = None) -> ReleaseView:
    return ReleaseView(
        sha256=row.sha256,
        published_at=row.published_at,
        release=Release.model_validate_json(row.manifest),
        findings=tuple(Finding.model_validate(plain) for plain in row.findings),
        pictures=row.pictures,
        standing=lifecycle.standing(row),
        maintainer_key=key,
    )


def caller(request: Request, sha256: str) -> Caller:
    """Who looks at this release."""
    return Caller(keys.is_operator(request), keys.key_of(request, sha256))


async def seen(unit: Unit, request: Request, sha256: str) -> ReleaseRow:
    """The release, if whoever asks may see it; otherwise there is none."""
    return await lifecycle.seen(unit, sha256, caller(request, sha256))


async def hidden(unit: Unit, request: Request, releases: Iterable[str]) -> dict[str, ReleaseState]:
    """Those of these releases that are not for whoever asks to find in a list of ours."""
    return await lifecycle.hidden(unit, releases, lambda sha256: caller(request, sha256))


def base_of(request: Request) -> str:
    """How this server is reached, without a slash at the end."""
    told = request.app.state.public_url
    return (told or str(request.base_url)).rstrip("/")


def _answers(  # noqa: PLR0913, PLR0917 - one for each field of the form
    title: Annotated[str | None, Form()] = None,
    version: Annotated[str, Form()] = "1.0.0",
    function: Annotated[str | None, Form()] = None,
    licence: Annotated[str | None, Form()] = None,
    licensor: Annotated[str | None, Form()] = None,
    process: Annotated[str | None, Form()] = None,
    material: Annotated[str | None, Form()] = None,
    thickness_mm: Annotated[float | None, Form(gt=0, le=200)] = None,
    quantity: Annotated[int, Form(ge=1, le=1000)] = 1,
) -> Answers:
    return model.answered(locals())


@routes.post("/api/designs", status_code=201)
async def publish(
    files: list[UploadFile],
    answers: Annotated[Answers, Depends(_answers)],
    request: Request,
    folder: Annotated[str, Form(max_length=400)] = "",
    ref: Annotated[str, Form(max_length=200)] = "HEAD",
) -> ReleaseView:
    """Publish the uploaded files: with an OKH manifest among them, or with answers.

    A single archive (.zip, .tar.gz, …) or Git bundle is taken apart; a release's own archive is
    taken over under the hash it has. `folder` and `ref` say what of an archive or bundle is meant.
    """
    with tempfile.TemporaryDirectory(prefix="upload-") as room:
        saved, work = await _save(files, Path(room)), Path(room)
        taken = intake.Taken(saved)
        if intake.is_packed(saved):
            [(name, packed)] = saved.items()
            taken = await asyncio.to_thread(intake.opened, name, packed, work, folder, ref)
        published = await intake.publish(_store(request), taken, answers)
    return await _view(request, published)


class From(Answers):
    """Where to fetch a design from: a file, an archive or a Git repository on public https."""

    address: str = Field(min_length=1, max_length=2000, examples=["https://example.org/lamp.git"])
    folder: str = Field(default="", max_length=400, description="only what lies below this folder")
    ref: str = Field(default="HEAD", max_length=200, description="a branch or tag of a repository")


@routes.post("/api/designs/from", status_code=201)
async def publish_from(wish: From, request: Request) -> ReleaseView:
    """Fetch a design and publish it; addresses that are not public are refused."""
    source = intake.Source(wish.address, wish.folder, wish.ref)
    answers = Answers.model_validate(wish.model_dump(include=set(Answers.model_fields)))
    return await _view(request, await intake.publish_from(_store(request), source, answers))


async def _view(request: Request, published: service.Published) -> ReleaseView:
    """The release as it is kept; what was left out of an archive is told this once."""
    async with _store(request).view() as unit:
        row = await service.row(unit, published.release.sha256)
    view = release_view(row, published.key)
    return view.model_copy(update={"findings": published.findings})


def router(makes: Makes) -> APIRouter:
    """The doors that tell how often a release was made, which `makes` knows."""
    routes = APIRouter(tags=["catalogue"])

    async def counted(unit: Unit, row: ReleaseRow) -> ReleaseView:
        made = await makes(unit, [row.sha256])
        return release_view(row).model_copy(update={"made": made})

    @routes.get("/api/designs/{design}")
    async def newest(design: str, request: Request, version: str | None = None) -> ReleaseView:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).view() as unit:
            return await counted(unit, await service.newest(unit, design, version))

    @routes.get("/api/releases/{sha256}")
    async def one(sha256: str, request: Request) -> ReleaseView:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).view() as unit:
            return await counted(unit, await seen(unit, request, sha256))

    @routes.get("/releases/{sha256}/okh.toml")
    async def manifest(sha256: str, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """The release as an Open Know-How manifest 2.4, for any other catalogue."""
        async with _store(request).view() as unit:
            row = await seen(unit, request, sha256)
            made = await makes(unit, [sha256])
        text = await _manifest(request, row, made)
        public = lifecycle.standing(row).state in PUBLIC
        kept = "no-cache" if public else "private, no-store"  # it may be made again any moment
        return Response(text, media_type="application/toml", headers={"Cache-Control": kept})

    return routes


async def _manifest(request: Request, row: ReleaseRow, made: okh.Made) -> str:
    release = Release.model_validate_json(row.manifest)
    home = f"{base_of(request)}/releases/{row.sha256}"
    return okh.of_release(
        release,
        home,
        address=lambda file: f"{home}/files/{file.sha256}",
        made=made,
        published_with=await asyncio.to_thread(service.manifest_of, _store(request).blobs, release),
    )


@routes.get("/releases/{sha256}/archive.zip")
async def whole(sha256: str, request: Request) -> StreamingResponse:
    """The release and every file of it; whoever has it can check it without us."""
    store = _store(request)
    async with store.view() as unit:
        row = await seen(unit, request, sha256)
    release = Release.model_validate_json(row.manifest)
    packed = await asyncio.to_thread(_packed, release, store)
    name = f"{release.design}-{release.version}.zip"
    return StreamingResponse(
        _chunks(packed),
        media_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": kept_for(row),
        },
    )


def _packed(release: Release, store: Store) -> IO[bytes]:
    out = tempfile.TemporaryFile(prefix="archive-")  # noqa: SIM115 - closed once it is sent
    archive.write(release, store.blobs.path, out)
    out.seek(0)
    return out


def _chunks(packed: IO[bytes]) -> Iterator[bytes]:
    with packed:
        while chunk := packed.read(_CHUNK):
            yield chunk


@routes.get("/releases/{sha256}/files/{file_sha256}")
async def file(sha256: str, file_sha256: str, request: Request) -> FileResponse:
    """One file of the release, to be saved: never shown as a page of ours."""
    async with _store(request).view() as unit:
        row = await seen(unit, request, sha256)
    release = Release.model_validate_json(row.manifest)
    found = next((f for f in release.files if f.sha256 == file_sha256), None)
    if found is None:
        raise service.NoSuchRelease("this release has no such file")
    return FileResponse(
        _store(request).blobs.path(file_sha256),
        media_type="application/octet-stream",
        filename=Path(found.name).name,
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": kept_for(row)},
    )


@routes.get("/releases/{sha256}/pictures/{part}/{kind}")
async def picture(sha256: str, part: str, kind: str, request: Request) -> FileResponse:
    """A picture we drew ourselves: `thumbnail` or `model`."""
    async with _store(request).view() as unit:
        row = await seen(unit, request, sha256)
    blob = row.pictures.get(part, {}).get(kind)
    if blob is None:
        raise service.NoSuchRelease("there is no such picture")
    media = _MEDIA["glb" if kind == "model" else "png"]
    return FileResponse(
        _store(request).blobs.path(blob),
        media_type=media,
        headers={"Cache-Control": kept_for(row)},
    )


def kept_for(row: ReleaseRow) -> str:
    """What is for some only is asked for each time, and kept by nobody in between."""
    public = lifecycle.standing(row).state in PUBLIC
    return "max-age=31536000, immutable" if public else "private, no-store"


async def _save(files: list[UploadFile], folder: Path) -> dict[str, Path]:
    """The uploads under names of our own; what they were called is only a key."""
    if len(files) > model.MOST_FILES:
        raise model.refused(
            f"{len(files)} files at once", "upload", f"publish at most {model.MOST_FILES} files"
        )
    size, saved = 0, dict[str, Path]()
    for number, upload in enumerate(files):
        name, path = upload.filename or f"file-{number}", folder / f"{number}"
        sent = uploads.pieces(upload)
        size = await uploads.received(sent, path, name, most=MOST_BYTES, before=size)
        saved[model.file_name(name)] = path
    return saved


def _store(request: Request) -> Store:
    return request.app.state.store
