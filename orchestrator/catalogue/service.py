"""Publishes releases and finds them again.

Files are examined in bounded children and kept by hash before the one row that publishes them is
written: a release is there whole or not at all.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from sqlalchemy import Select, select

from designs import bom, bounded, kinds, okh
from designs.design import Facts, File, MeshFacts, Release, Role
from designs.errors import DesignRefused, Finding, LimitExceeded, Refused
from orchestrator.catalogue import keys, lifecycle, lineage, model, versions
from orchestrator.catalogue.lifecycle import THE_OPERATOR, Caller, NoSuchRelease
from orchestrator.catalogue.model import PUBLIC, Answers, Draft, PartDraft, ReleaseState
from orchestrator.catalogue.search import index
from orchestrator.catalogue.tables import NamedLabRow, ReleaseRow
from orchestrator.store import Blobs, JsonValue, Store, Unit


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


_PICTURES: Final = {*kinds.IMAGES, "bmp", "avif"}


class _Cleaned(BaseModel):
    changed: bool
    findings: tuple[Finding, ...]


Seen = Callable[[PartDraft], Examined | None]


def unseen(_: PartDraft) -> None:
    """Nobody looked before."""


@dataclass(frozen=True)
class Published:
    """`lab_keys`: by lab, the key that lets it look at a pre-release; told only here.

    `key` is the maintainer's, of a design that nobody has one of yet; told only here, too.
    """

    release: Release
    findings: tuple[Finding, ...]
    lab_keys: Mapping[str, str]
    key: str | None = None


@dataclass(frozen=True)
class Terms:
    """Who publishes, and to whom: to everybody, or to the labs that are named."""

    caller: Caller = THE_OPERATOR
    labs: tuple[str, ...] = ()
    key_sha256: str | None = None
    """Of the key that will move the release and publish the next version."""
    seen: Seen = unseen
    """What was found in the same bytes for the same part just before, where it is known."""
    then: Callable[[Unit, Release], Awaitable[None]] | None = None
    """Done in the same transaction as the release."""
    exact: bool = False
    """It has to keep its hash: what it is silent about is not added."""

    @property
    def state(self) -> ReleaseState:
        to = ReleaseState.PRE_RELEASE if self.labs else ReleaseState.RELEASED
        return model.move_release(ReleaseState.DRAFT, to)


async def publish(
    store: Store, files: Mapping[str, Path], answers: Answers, terms: Terms | None = None
) -> Published:
    """Publish what lies in `files` (name → file on disk), by the operator if no terms are given.

    A manifest among them is followed; without one the answers are. Raises DesignRefused with
    every reason at once; the same content twice gives the same release.
    """
    terms = terms or Terms()
    draft = await asyncio.to_thread(described, files, answers)
    found = [*draft.remarks]
    with model.going_on(found):
        draft, notes = model.at_version(draft)
        found += notes
    with model.going_on(found):
        lifecycle.check_private(model.judge_licence(draft.licence)[0], terms.state)
    return await keep(
        store,
        draft,
        files,
        lambda draft, facts, kept: model.release(
            draft, model.judge_licence(draft.licence), facts, kept
        ),
        terms,
        found,
    )


Record = Callable[[Draft, dict[str, Facts], dict[str, File]], Release]
"""The release of a draft as it is kept, its examined parts and files; may refuse."""


async def keep(
    store: Store,
    draft: Draft,
    files: Mapping[str, Path],
    record: Record,
    terms: Terms,
    notes: Sequence[Finding] = (),
) -> Published:
    """Examine and keep what a draft names, and the one row that publishes it.

    Raises DesignRefused with all that `notes` refuse already and the files besides.
    """
    findings, sent = [*notes], files
    examined: dict[str, Examined] = {}
    taken_out: list[Finding] = []
    with model.going_on(findings):
        model.check_sent(draft, files.keys())
    with tempfile.TemporaryDirectory(prefix="publish-") as work:
        asked = [part for part in model.to_be_seen(draft) if part.file_name in files]
        with model.going_on(findings):
            examined = await examine_all(asked, files, Path(work), terms.seen)
        with model.going_on(findings):
            files, taken_out = await asyncio.to_thread(cleaned, files, Path(work))
        findings += [finding for seen in examined.values() for finding in seen.findings]
        model.reject(findings)
        if terms.exact and files != sent:
            raise model.refused(
                "a picture of it tells more than the picture", taken_out[0].where,
                "publish its files, and what it tells besides is taken out",
            )  # fmt: skip
        findings += taken_out
        draft, files = _derived(draft, files, examined)
        hashed = await asyncio.to_thread(_hashed, files, draft)
        facts = {name: seen.facts for name, seen in examined.items()}
        release = record(draft, facts, hashed)
        findings += model.unlike_in(release)
        async with store.view() as unit:
            await _checked(unit, release, terms)  # what is refused leaves no file
        parts = {part.name: examined[part.name] for part in draft.parts}
        pictures = await asyncio.to_thread(_keep, store.blobs, files, parts)
    async with store.unit() as unit:
        return await insert(unit, release, findings, pictures, terms)


async def insert(
    unit: Unit,
    release: Release,
    findings: Sequence[Finding],
    pictures: dict[str, dict[str, str]],
    terms: Terms,
) -> Published:
    """The row that publishes a release, with the ancestry and the names that stay with it.

    Raises DesignRefused where the name or the version is taken, or somebody would be lost.
    """
    release = await _checked(unit, release, terms)
    row = _row(unit, release, findings, pictures, terms)
    is_new = await unit.session.get(ReleaseRow, row.sha256) is None
    lab_keys = await _insert(unit, row, terms)
    key = await lineage.remember(unit, row, release) if is_new else None
    if terms.then is not None:
        await terms.then(unit, release)
    return Published(release, tuple(findings), lab_keys, key)


async def _checked(unit: Unit, said: Release, terms: Terms) -> Release:
    """The release as it would be kept; raises DesignRefused where it may not be.

    Nothing is read for it of a design that is somebody else's.
    """
    if not said.private:
        await _check_name(unit, said.design, terms)
    caller = terms.caller
    mine = None if caller.operator else frozenset({keys.kept(caller.key), terms.key_sha256})
    release = await lineage.settled(unit, said, mine)
    if terms.exact and release != said:
        raise model.refused(
            f"it says nothing of those whom {release.design} names here", "release.json",
            "publish its files, or take over a release that names them",
        )  # fmt: skip
    there = await unit.session.get(ReleaseRow, release.sha256)
    if there is None:
        if not release.private:  # private work has no name, and so takes no version from anybody
            await _check_version(unit, release.design, release.version)
    elif there.state == ReleaseState.PRE_RELEASE and not terms.labs:
        raise model.refused(
            f"this is a pre-release already, as {there.design} {there.version}",
            "version",
            f"open it to everybody: cosmolocal release open {there.sha256[:16]}…",
        )
    return release


def described(files: Mapping[str, Path], answers: Answers) -> Draft:
    """What a manifest among the files or the answers make of them; reads the manifest alone."""
    manifest = next((name for name in model.MANIFESTS if name in files), None)
    if manifest is None:
        return billed(model.draft_of_files(list(files), answers), files)
    content = files[manifest].read_bytes()
    read = okh.read(content, manifest)
    slips = [okh.finding(slip) for slip in okh.slips(content, manifest)]
    with model.going_on(slips):
        draft = billed(model.draft_of_manifest(read, list(files), answers), files)
        return draft.model_copy(update={"remarks": (*slips, *draft.remarks)})
    raise DesignRefused(slips)


def billed(draft: Draft, files: Mapping[str, Path]) -> Draft:
    """With what the lists of parts among the files say is bought, if the draft says nothing of it.

    Where such a list says another number of a part than the draft, it is told.
    """
    parts = {part.name: (part.title, part.file_name) for part in draft.parts}
    bills = {
        name: bom.read(_beginning(files[name], bom.MOST_BYTES + 1), name, parts)
        for name in model.bills(draft, files)
    }
    return model.with_bills(draft, bills)


def _beginning(file: Path, most: int) -> bytes:
    with file.open("rb") as opened:
        return opened.read(most)


async def examine_all(
    parts: Iterable[PartDraft], files: Mapping[str, Path], work: Path, seen: Seen = unseen
) -> dict[str, Examined]:
    """By their names. One child at a time: a shop-sized server has two cores.

    Pictures are kept of parts; findings of what a part may be made from besides name none. Raises
    DesignRefused with what is wrong in any of them; what was too much to read is the last.
    """
    found: dict[str, Examined] = {}
    refused: list[Finding] = []
    for part in parts:
        file = files[part.file_name]
        try:
            found[part.name] = seen(part) or await asyncio.to_thread(
                examine, part, file, work / part.name
            )
        except DesignRefused as no:
            refused += _within(part.file_name, no.findings)
            if isinstance(no, LimitExceeded):
                break
    if refused:
        raise DesignRefused(refused)
    return {
        name: _without_pictures(each) if model.is_alternative(name) else each
        for name, each in found.items()
    }


def _without_pictures(seen: Examined) -> Examined:
    plain = tuple(finding.model_copy(update={"picture": None}) for finding in seen.findings)
    return seen.model_copy(update={"findings": plain, "pictures": {}})


def examine(part: PartDraft, file: Path, out: Path) -> Examined:
    """In a bounded child; its pictures are left in `out`. Raises DesignRefused; blocks."""
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


def drawn_of(refused: DesignRefused, out: Path) -> dict[str, Path]:
    """The pictures that `examine` left of what is refused."""
    named = {finding.picture for finding in refused.findings if finding.picture}
    return {name: out / f"{name}.png" for name in sorted(named)}


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


def cleaned(files: Mapping[str, Path], work: Path) -> tuple[dict[str, Path], list[Finding]]:
    """The files with pictures that tell nothing but the picture, and what was taken out.

    Raises DesignRefused for pictures that cannot be cleaned. Blocks; copies are left in `work`.
    """
    clean, found, refused = dict(files), list[Finding](), list[Finding]()
    for number, (name, path) in enumerate(files.items()):
        if not _PICTURES & {kinds.called(name), kinds.held(path)}:
            continue
        copy = work / f"picture-{number}"
        try:
            seen = bounded.run("designs.images:clean", str(path), str(copy))
        except DesignRefused as no:
            refused += _at(name, no.findings)
            continue
        told = _Cleaned.model_validate(seen)
        if told.changed:
            clean[name] = copy
        found += _at(name, told.findings)
    if refused:
        raise DesignRefused(refused)
    return clean, found


def _within(name: str, found: Sequence[Finding]) -> list[Finding]:
    """The findings under that name, where they do not say it yet."""
    return [each if each.where.startswith(name) else _at(name, [each])[0] for each in found]


def _at(name: str, found: Sequence[Finding]) -> list[Finding]:
    return [f.model_copy(update={"where": f"{name}, {f.where}"}) for f in found]


def _keep(
    blobs: Blobs, files: Mapping[str, Path], examined: Mapping[str, Examined]
) -> dict[str, dict[str, str]]:
    """Put them among the files of releases; the pictures of each part, by kind."""
    for path in files.values():
        blobs.put(path)
    return {
        name: {kind: blobs.put(path) for kind, path in seen.pictures.items()}
        for name, seen in examined.items()
    }


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hashed(files: Mapping[str, Path], draft: Draft) -> dict[str, File]:
    made_from = model.needed(draft)
    return {
        name: File(
            name=name,
            sha256=file_hash(path),
            size_bytes=path.stat().st_size,
            role=model.role(name, made_from, draft.said_roles),
            format=model.file_format(name) or "none",
        )
        for name, path in files.items()
    }


def _row(
    unit: Unit,
    release: Release,
    findings: Sequence[Finding],
    pictures: dict[str, dict[str, str]],
    terms: Terms,
) -> ReleaseRow:
    return ReleaseRow(
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
        state=terms.state,
        state_at=unit.now,
        reason="",
        key_sha256=terms.key_sha256,
    )


async def taken(unit: Unit, draft: Draft, terms: Terms) -> tuple[Finding, ...]:
    """Why a draft that has other content than any release cannot have its name or its version."""
    try:
        if not model.judge_licence(draft.licence)[1]:
            await _check_name(unit, draft.design, terms)
            await _check_version(unit, draft.design, versions.normal(draft.version))
    except DesignRefused as no:
        return no.findings
    return ()


async def _check_name(unit: Unit, design: str, terms: Terms) -> None:
    """A design's name belongs to who used it first; raises DesignRefused for anybody else."""
    if terms.caller.operator:
        return
    named = select(ReleaseRow.key_sha256).where(
        ReleaseRow.design == design, ReleaseRow.private.is_(False)
    )
    taken = set(await unit.session.scalars(named))
    theirs = taken | {await lineage.kept_key(unit, design)}
    if taken and terms.key_sha256 not in theirs - {None}:
        raise model.refused(
            f"somebody else's design is called {design}",
            "title",
            "choose another title; if it is yours, begin the draft with the key of your release",
        )


async def _check_version(unit: Unit, design: str, version: str) -> None:
    """Raise DesignRefused, with the version that is free, where this one is not."""
    published = select(ReleaseRow.version).where(
        ReleaseRow.design == design, ReleaseRow.private.is_(False)
    )
    there = set(await unit.session.scalars(published))
    if version in there:
        free = versions.following(max(there, key=versions.rank))
        raise model.refused(
            f"{design} {version} is published already, with other content",
            "version",
            f"a release never changes: publish this one as {free or 'a version of its own'}",
        )


async def _insert(unit: Unit, row: ReleaseRow, terms: Terms) -> dict[str, str]:
    """The keys of the labs that a pre-release is for; none where it is there already."""
    if await unit.session.get(ReleaseRow, row.sha256) is not None:
        return {}
    unit.session.add(row)
    fresh = {lab: keys.drawn("lab") for lab in terms.labs}
    await unit.session.flush()
    unit.session.add_all(
        NamedLabRow(release=row.sha256, lab=lab, key_sha256=keys.kept(key))
        for lab, key in fresh.items()
    )
    await unit.session.flush()
    named: list[JsonValue] = [*terms.labs]
    await unit.record(
        f"release.{row.state}", row.sha256, design=row.design, by=terms.caller.who, labs=named
    )
    await index.refresh(unit, row.design)
    if row.state == ReleaseState.RELEASED:
        await unit.record("release.published", row.sha256, design=row.design)
    return fresh


async def release(unit: Unit, sha256: str) -> Release:
    return Release.model_validate_json((await lifecycle.find(unit, sha256)).manifest)


def manifest_of(blobs: Blobs, published: Release) -> okh.Manifest | None:
    """The manifest that a release was published with, if there was one and it still reads."""
    file = next((f for f in published.files if f.role is Role.MANIFEST), None)
    if file is None:
        return None
    try:
        return okh.read(blobs.path(file.sha256).read_bytes(), file.name)
    except Refused:
        return None


async def row(unit: Unit, sha256: str) -> ReleaseRow:
    return await lifecycle.find(unit, sha256)


async def newest(unit: Unit, design: str, version: str | None = None) -> ReleaseRow:
    """The newest public release of a design by semver, or the one of that version.

    Released ones come before deprecated ones. Private ones and pre-releases have no name here.
    """
    found = (await unit.session.scalars(_public().where(ReleaseRow.design == design))).all()
    if version is not None:
        wanted = {version, versions.spelled(version)}
        found = [each for each in found if each.version in wanted]
    if not found:
        name = design if version is None else f"{design} {version}"
        raise NoSuchRelease(
            f"no release of {name} is published here; a private one is asked for by its hash"
        )
    return max(found, key=_precedence)


async def versions_of(unit: Unit, design: str) -> Sequence[ReleaseRow]:
    """The public releases of a design, the one that its name stands for first."""
    public = select(ReleaseRow).where(
        ReleaseRow.design == design,
        ReleaseRow.private.is_(False),
        ReleaseRow.state.in_(PUBLIC),
    )
    rows = (await unit.session.scalars(public)).all()
    return sorted(rows, key=_precedence, reverse=True)


async def listed(unit: Unit) -> Sequence[ReleaseRow]:
    """The newest public release of every design, the one published last first."""
    best: dict[str, ReleaseRow] = {}
    for found in await unit.session.scalars(_public()):
        known = best.get(found.design)
        if known is None or _precedence(found) > _precedence(known):
            best[found.design] = found
    return sorted(best.values(), key=lambda row: (row.published_at, row.sha256), reverse=True)


def _public() -> Select[ReleaseRow]:
    return select(ReleaseRow).where(
        ReleaseRow.private.is_(False), ReleaseRow.state.in_(sorted(PUBLIC))
    )


def _precedence(row: ReleaseRow) -> tuple[object, ...]:
    return model.precedence(ReleaseState(row.state), row.version, row.published_at)


def is_solid(facts: Facts) -> bool:
    return isinstance(facts, MeshFacts)
