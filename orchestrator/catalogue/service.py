"""Publishes releases and finds them again.

Files are examined in bounded children and kept by hash before the one row that publishes them is
written: a release is there whole or not at all.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import select

from designs import bounded, okh
from designs.design import Facts, File, MeshFacts, Release, Role
from designs.errors import DesignRefused, Finding
from orchestrator.catalogue import model
from orchestrator.catalogue.model import Answers, Draft, PartDraft
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Blobs, Store, Unit


class NoSuchRelease(Exception):
    """No release of that name or hash is published here."""


@dataclass(frozen=True)
class Published:
    release: Release
    findings: tuple[Finding, ...]


class Derived(BaseModel):
    """What was made of a STEP for the workshops."""

    file: Path
    thickness_mm: float | None


class Examined(BaseModel):
    """One part's file as the bounded reader saw it; `pictures` are files by kind."""

    facts: Facts
    findings: tuple[Finding, ...]
    pictures: dict[str, Path]
    derived: Derived | None = None


class _Cleaned(BaseModel):
    changed: bool
    findings: tuple[Finding, ...]


async def publish(store: Store, files: Mapping[str, Path], answers: Answers) -> Published:
    """Publish what lies in `files` (name → file on disk).

    A manifest among them is followed; without one the answers are. Raises DesignRefused with
    every reason at once; the same content twice gives the same release.
    """
    draft = await asyncio.to_thread(_draft, files, answers)
    licence = model.judge_licence(draft.licence)
    missing = [part.file_name for part in draft.parts if part.file_name not in files]
    if missing:
        raise model.refused(
            f"{', '.join(missing)} is named in the manifest but was not sent",
            "manifest",
            "add the file, or correct its name in the manifest",
        )
    with tempfile.TemporaryDirectory(prefix="publish-") as work:
        examined = await _examine_all(draft, files, Path(work))
        findings = [finding for seen in examined.values() for finding in seen.findings]
        model.reject(findings)
        files, taken_out = await asyncio.to_thread(_cleaned, files, draft, Path(work))
        findings += taken_out
        draft, files = _derived(draft, files, examined)
        pictures = {
            name: {kind: store.blobs.put(path) for kind, path in seen.pictures.items()}
            for name, seen in examined.items()
        }
        kept = _keep(store.blobs, files, draft)
    facts = {name: seen.facts for name, seen in examined.items()}
    release = model.release(draft, licence, facts, kept)
    async with store.unit() as unit:
        await _insert(unit, release, findings, pictures)
    return Published(release, tuple(findings))


def _draft(files: Mapping[str, Path], answers: Answers) -> Draft:
    manifest = next((name for name in model.MANIFESTS if name in files), None)
    if manifest is None:
        return model.draft_of_files(list(files), answers)
    read = okh.read(files[manifest].read_bytes(), manifest)
    return model.draft_of_manifest(read, list(files), answers)


async def _examine_all(draft: Draft, files: Mapping[str, Path], work: Path) -> dict[str, Examined]:
    """By part name. One child at a time: a shop-sized server has two cores."""
    return {
        part.name: await asyncio.to_thread(_examine, part, files[part.file_name], work / part.name)
        for part in draft.parts
    }


def _examine(part: PartDraft, file: Path, out: Path) -> Examined:
    out.mkdir()
    seen = bounded.run(
        "designs.inspect:examine",
        str(file),
        model.file_format(part.file_name),
        part.process,
        part.material,
        part.thickness_mm,
        str(out),
        part.file_name,
    )
    examined = Examined.model_validate(seen)
    made = examined.derived
    return examined.model_copy(
        update={
            "pictures": {kind: out / name for kind, name in examined.pictures.items()},
            "derived": made and made.model_copy(update={"file": out / made.file}),
        }
    )


def _derived(
    draft: Draft, files: Mapping[str, Path], examined: Mapping[str, Examined]
) -> tuple[Draft, dict[str, Path]]:
    """Parts whose file no workshop reads are made of what was derived from it, kept beside it."""
    whole = dict(files)
    made: dict[str, tuple[str, float | None]] = {}
    for part in draft.parts:
        derived = examined[part.name].derived
        if derived is not None:
            name = model.beside(part.file_name, derived.file.suffix[1:], whole)
            whole[name] = derived.file
            made[part.name] = (name, derived.thickness_mm)
    return model.made_of(draft, made), whole


def _cleaned(
    files: Mapping[str, Path], draft: Draft, work: Path
) -> tuple[dict[str, Path], list[Finding]]:
    """The files with pictures that tell nothing but the picture, and what was taken out."""
    made_from = [part.file_name for part in draft.parts]
    clean, found = dict(files), list[Finding]()
    for number, (name, path) in enumerate(files.items()):
        if model.role(name, made_from) is not Role.IMAGE:
            continue
        copy = work / f"picture-{number}"
        try:
            seen = bounded.run("designs.images:clean", str(path), str(copy))
        except DesignRefused as no:
            raise DesignRefused(_at(name, no.findings)) from None
        cleaned = _Cleaned.model_validate(seen)
        if cleaned.changed:
            clean[name] = copy
        found += _at(name, cleaned.findings)
    return clean, found


def _at(name: str, found: Sequence[Finding]) -> list[Finding]:
    return [f.model_copy(update={"where": f"{name}, {f.where}"}) for f in found]


def _keep(blobs: Blobs, files: Mapping[str, Path], draft: Draft) -> dict[str, File]:
    made_from = [part.file_name for part in draft.parts]
    return {
        name: File(
            name=name,
            sha256=blobs.put(path),
            size_bytes=path.stat().st_size,
            role=model.role(name, made_from),
            format=model.file_format(name) or "none",
        )
        for name, path in files.items()
    }


async def _insert(
    unit: Unit,
    release: Release,
    findings: Sequence[Finding],
    pictures: dict[str, dict[str, str]],
) -> None:
    if await unit.session.get(ReleaseRow, release.sha256) is not None:
        return
    taken = select(ReleaseRow.sha256).where(
        ReleaseRow.design == release.design, ReleaseRow.version == release.version
    )
    if await unit.session.scalar(taken) is not None:
        raise model.refused(
            f"{release.design} {release.version} is published already, with other content",
            "version",
            "a release never changes: publish this one under a new version",
        )
    unit.session.add(
        ReleaseRow(
            sha256=release.sha256,
            design=release.design,
            version=release.version,
            title=release.title,
            licence=release.licence,
            private=release.private,
            published_at=unit.now,
            manifest=release.canonical().decode(),
            findings=[finding.model_dump(mode="json") for finding in findings],
            pictures=pictures,
        )
    )
    await unit.session.flush()
    await unit.record("release.published", release.sha256, design=release.design)


async def release(unit: Unit, sha256: str) -> Release:
    row = await unit.session.get(ReleaseRow, sha256)
    if row is None:
        raise NoSuchRelease(f"no release {sha256[:16]} is published here")
    return Release.model_validate_json(row.manifest)


async def row(unit: Unit, sha256: str) -> ReleaseRow:
    found = await unit.session.get(ReleaseRow, sha256)
    if found is None:
        raise NoSuchRelease(f"no release {sha256[:16]} is published here")
    return found


async def newest(unit: Unit, design: str, version: str | None = None) -> ReleaseRow:
    """The newest release of a design, or the one of that version; private ones have no name."""
    named = select(ReleaseRow).where(ReleaseRow.design == design)
    wanted = named.where(ReleaseRow.private.is_(False))
    if version is not None:
        wanted = wanted.where(ReleaseRow.version == version)
    found = await unit.session.scalar(wanted.order_by(ReleaseRow.published_at.desc()).limit(1))
    if found is None:
        name = design if version is None else f"{design} {version}"
        raise NoSuchRelease(
            f"no release of {name} is published here; a private one is asked for by its hash"
        )
    return found


async def listed(unit: Unit) -> Sequence[ReleaseRow]:
    """The newest release of every design that is not private, newest first."""
    rows = await unit.session.scalars(
        select(ReleaseRow)
        .where(ReleaseRow.private.is_(False))
        .order_by(ReleaseRow.published_at.desc(), ReleaseRow.sha256)
    )
    first: dict[str, ReleaseRow] = {}
    for found in rows:
        first.setdefault(found.design, found)
    return list(first.values())


def is_solid(facts: Facts) -> bool:
    return isinstance(facts, MeshFacts)
