"""From an archive, a Git repository or an https address to the files of a design.

What it hands on is published by the one way that uploads go, `service.publish`. The archive of a
release is another matter: it is taken over whole, under the hash it has, once its files are seen
to be what its record says.
"""

import asyncio
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final, cast
from urllib.parse import urlsplit

from designs import archive, bounded
from designs.design import Facts, Release
from designs.errors import Finding
from orchestrator.catalogue import fetch, model, service
from orchestrator.catalogue.fetch import World
from orchestrator.catalogue.model import Answers, Draft
from orchestrator.catalogue.service import Published, Terms
from orchestrator.store import Store

BUNDLES: Final = (".bundle",)
_LFS: Final = b"version https://git-lfs.github.com/spec/"
_GIT_ANSWER: Final = b"# service=git-upload-pack"
_SAME: Final = 1e-3
"""Facts are computed anew; they may differ by this share through another version of a library."""


@dataclass(frozen=True)
class Source:
    """Where a design is to come from; `folder` below it, `ref` for a Git branch or tag."""

    address: str
    folder: str = ""
    ref: str = "HEAD"


@dataclass(frozen=True)
class Taken:
    """Files by name, and what was left out; or a release that is there whole."""

    files: dict[str, Path]
    notes: tuple[Finding, ...] = ()
    release: Release | None = None


async def publish_from(
    store: Store, source: Source, answers: Answers, world: World | None = None
) -> Published:
    """Fetch and publish; raises DesignRefused, with nothing kept."""
    with tempfile.TemporaryDirectory(prefix="fetched-") as work:
        taken = await asyncio.to_thread(_brought, source, Path(work), world or World())
        return await publish(store, taken, answers)


async def publish(store: Store, taken: Taken, answers: Answers) -> Published:
    if taken.release is not None:
        return await adopt(store, taken.release, taken.files)
    done = await service.publish(store, taken.files, answers)
    return replace(done, findings=(*taken.notes, *done.findings))


def is_packed(files: Mapping[str, Path]) -> bool:
    """Whether what was sent is one archive or Git bundle rather than a design's files."""
    return len(files) == 1 and next(iter(files)).lower().endswith((*archive.SUFFIXES, *BUNDLES))


def opened(name: str, packed: Path, work: Path, folder: str = "", ref: str = "HEAD") -> Taken:
    """The files in an archive or Git bundle that lies on this disk."""
    if name.lower().endswith(BUNDLES):
        tar = work / "bundle.tar"
        fetch.clone(str(packed), tar, ref)
        packed = tar
    return _apart(packed, work, folder)


# ── fetching


def _brought(source: Source, work: Path, world: World) -> Taken:
    name = PurePosixPath(urlsplit(source.address).path).name
    if name.lower().endswith((*archive.SUFFIXES, *BUNDLES)):
        packed = work / "packed"
        fetch.fetch(source.address, packed, world)
        return opened(name, packed, work, source.folder, source.ref)
    if model.file_format(name) in model.FORMATS:
        plain = work / "fetched"
        fetch.fetch(source.address, plain, world)
        return Taken({name: plain})
    tar = work / "repository.tar"
    fetch.clone(_repository(source.address, work, world), tar, source.ref, world)
    return _apart(tar, work, source.folder)


def _repository(address: str, work: Path, world: World) -> str:
    """Where the repository really is: Git itself follows no redirect, we would not see where."""
    asked, answer = "/info/refs?service=git-upload-pack", work / "refs"
    base = address.rstrip("/")
    final = fetch.fetch(base + asked, answer, world)
    if _GIT_ANSWER not in answer.read_bytes()[:64]:
        raise model.refused(
            "there is no Git repository, and it is no file that we can read", address[:100],
            "give the address of a repository, or of a .zip, .tar.gz, STL, 3MF, DXF or SVG",
        )  # fmt: skip
    return final.removesuffix(asked)


# ── what lies in it


def _apart(packed: Path, work: Path, folder: str) -> Taken:
    into = work / "apart"
    into.mkdir()
    found = bounded.run("designs.archive:unpack", str(packed), str(into), folder)
    told = cast(dict[str, list[str]], found)
    if archive.is_release(into):
        release, files = archive.verify(into)
        return Taken(files, release=release)
    names = model.wanted(told["files"])
    manifest = next((name for name in model.MANIFESTS if name in names), None)
    if manifest is None:
        _told_where(told["files"])
    if len(names) > model.MOST_FILES:
        raise model.refused(
            f"it holds {len(names)} files of a design", "archive",
            f"name the folder to publish; at most {model.MOST_FILES} files make one release",
        )  # fmt: skip
    for name in names:
        model.file_name(name)
    files = {name: into / name for name in names}
    _real(files)
    return Taken(files, _left_out(told, names))


def _told_where(names: list[str]) -> None:
    """A manifest in a folder below: it is for a person to say whether that is the design."""
    below = sorted(n for n in names if PurePosixPath(n).name in model.MANIFESTS)
    if below:
        folders = ", ".join(str(PurePosixPath(name).parent) for name in below[:5])
        raise model.refused(
            "its manifest is not at the top", folders, "name the folder that is to be published"
        )


def _real(files: Mapping[str, Path]) -> None:
    """Git LFS leaves a note where a large file would be."""
    what = "it stands in Git LFS, and only a note of it is here"
    do = "publish an archive that holds the file itself"
    model.reject(
        finding
        for name, path in files.items()
        if _begins(path) == _LFS
        for finding in model.refused(what, name, do).findings
    )


def _begins(path: Path) -> bytes:
    with path.open("rb") as held:
        return held.read(len(_LFS))


def _left_out(told: dict[str, list[str]], names: list[str]) -> tuple[Finding, ...]:
    kept = set(names)
    other = [name for name in told["files"] if name not in kept]
    links = told["left_out"]
    return (
        *([model.left_out(links, "links are not followed")] if links else []),
        *([model.left_out(other)] if other else []),
    )


# ── a release from elsewhere


async def adopt(store: Store, release: Release, files: Mapping[str, Path]) -> Published:
    """Publish a release that was published elsewhere, under the same hash.

    Its files are examined here as any others; what they hold has to be what the record says.
    """
    licence, private = model.judge_licence(release.licence)
    model.check_recipes(release)
    draft = _draft_of(release)
    if (licence, private) != (release.licence, release.private):
        raise model.refused("its licence does not go with it", "release.json", _ELSEWHERE)
    return await service.keep(
        store, draft, files, lambda _, facts, __: _as_said(release, facts), Terms(exact=True)
    )


def _draft_of(release: Release) -> Draft:
    parts = tuple(model.part_draft(part) for part in release.parts)
    shared = set(Draft.model_fields) & set(Release.model_fields) - {"parts"}
    return Draft(**{name: getattr(release, name) for name in shared}, parts=parts)


def _as_said(release: Release, facts: Mapping[str, Facts]) -> Release:
    for name, part in model.as_seen(release).items():
        seen = facts.get(name)
        if seen is None or not _alike(part.facts.model_dump(), seen.model_dump()):
            raise model.refused(
                "the record's facts are not those of its file", part.file_name, _ELSEWHERE
            )
    return release


_ELSEWHERE: Final = "take the archive from where the design was published, or publish the files"


def _alike(said: dict[str, object], seen: dict[str, object]) -> bool:
    """What both tell; a fact that came into the record later is not held against an older one."""
    return all(
        _close(said[key], seen[key]) for key in said.keys() & seen.keys() if said[key] is not None
    )


def _close(one: object, other: object) -> bool:
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, float) and isinstance(other, (float, int)):
        return math.isclose(one, other, rel_tol=_SAME, abs_tol=_SAME)
    return one == other
