"""The doors of the catalogue: publish by upload, one design as JSON, files and pictures by hash."""

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel

from designs.design import Release
from designs.errors import Finding
from orchestrator.catalogue import model, service
from orchestrator.catalogue.model import Answers
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Store

MOST_FILES = 200
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


def release_view(row: ReleaseRow) -> ReleaseView:
    return ReleaseView(
        sha256=row.sha256,
        published_at=row.published_at,
        release=Release.model_validate_json(row.manifest),
        findings=tuple(Finding.model_validate(plain) for plain in row.findings),
        pictures=row.pictures,
    )


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
    return Answers(**locals())


@routes.post("/api/designs", status_code=201)
async def publish(
    files: list[UploadFile], answers: Annotated[Answers, Depends(_answers)], request: Request
) -> ReleaseView:
    """Publish the uploaded files: with an OKH manifest among them, or with answers."""
    with tempfile.TemporaryDirectory(prefix="upload-") as folder:
        saved = await _save(files, Path(folder))
        published = await service.publish(_store(request), saved, answers)
    async with _store(request).view() as unit:
        return release_view(await service.row(unit, published.release.sha256))


@routes.get("/api/designs/{design}")
async def newest(design: str, request: Request, version: str | None = None) -> ReleaseView:
    async with _store(request).view() as unit:
        return release_view(await service.newest(unit, design, version))


@routes.get("/api/releases/{sha256}")
async def one(sha256: str, request: Request) -> ReleaseView:
    async with _store(request).view() as unit:
        return release_view(await service.row(unit, sha256))


@routes.get("/releases/{sha256}/files/{file_sha256}")
async def file(sha256: str, file_sha256: str, request: Request) -> FileResponse:
    """One file of the release, to be saved: never shown as a page of ours."""
    async with _store(request).view() as unit:
        release = await service.release(unit, sha256)
    found = next((f for f in release.files if f.sha256 == file_sha256), None)
    if found is None:
        raise service.NoSuchRelease("this release has no such file")
    return FileResponse(
        _store(request).blobs.path(file_sha256),
        media_type="application/octet-stream",
        filename=Path(found.name).name,
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=31536000"},
    )


@routes.get("/releases/{sha256}/pictures/{part}/{kind}")
async def picture(sha256: str, part: str, kind: str, request: Request) -> FileResponse:
    """A picture we drew ourselves: `thumbnail` or `model`."""
    async with _store(request).view() as unit:
        row = await service.row(unit, sha256)
    blob = row.pictures.get(part, {}).get(kind)
    if blob is None:
        raise service.NoSuchRelease("there is no such picture")
    media = _MEDIA["glb" if kind == "model" else "png"]
    return FileResponse(
        _store(request).blobs.path(blob),
        media_type=media,
        headers={"Cache-Control": "max-age=31536000, immutable"},
    )


async def _save(files: list[UploadFile], folder: Path) -> dict[str, Path]:
    """The uploads under names of our own; what they were called is only a key."""
    if len(files) > MOST_FILES:
        raise model.refused(
            f"{len(files)} files at once", "upload", f"publish at most {MOST_FILES} files"
        )
    saved: dict[str, Path] = {}
    left = MOST_BYTES
    for number, upload in enumerate(files):
        path = folder / f"{number}"
        left -= await _save_one(upload, path, left)
        saved[upload.filename or f"file-{number}"] = path
    return saved


async def _save_one(upload: UploadFile, path: Path, left: int) -> int:
    size = 0
    with path.open("wb") as out:
        while chunk := await upload.read(_CHUNK):
            size += len(chunk)
            if size > left:
                raise model.refused(
                    f"the upload is larger than {MOST_BYTES >> 20} MB",
                    upload.filename or "upload",
                    "leave out what is not needed to make the parts",
                )
            out.write(chunk)
    return size


def _store(request: Request) -> Store:
    return request.app.state.store
