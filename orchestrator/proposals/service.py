"""Takes proposals in, and makes releases of them.

What is sent is examined in bounded children before anything of it is kept. A proposal is accepted
in one transaction that holds the release, too; two who accept at once get one release.
"""

import asyncio
import contextlib
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import func, select

from designs import bounded, okh
from designs.design import File, Part, Release
from designs.errors import DesignRefused, Finding, Severity
from orchestrator.catalogue import ancestry, forks, keys, lineage, manifest, versions
from orchestrator.catalogue import model as catalogue
from orchestrator.catalogue import service as releases
from orchestrator.catalogue.lifecycle import Caller
from orchestrator.catalogue.model import Answers, Draft, PartDraft
from orchestrator.catalogue.service import Examined
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.proposals import model
from orchestrator.proposals.model import (
    FileChange,
    PartChange,
    ProposalState,
    Seen,
    Side,
    Terms,
    View,
    Wish,
)
from orchestrator.proposals.tables import ProposalRow
from orchestrator.store import Blobs, Store, Unit, new_id

_TRIES: Final = 4
_AT_ONCE: Final = 2
_LOOKS: Final = WeakKeyDictionary[Store, asyncio.Semaphore]()
_DRAWN: Final = WeakKeyDictionary[Store, asyncio.Semaphore]()
_OVERLAYS: Final = "overlays"
_ID: Final = re.compile(r"pr-[0-9a-z]{12}")


class NoSuchProposal(Exception):
    """No proposal has that number."""


class NotYours(Exception):
    """The key does not open this."""


class Raced(Exception):
    """Others published versions of the design all the while; nothing was changed."""


@dataclass(frozen=True)
class Candidate:
    """What a release becomes by a proposal; its version is not decided yet."""

    release: Release
    findings: tuple[Finding, ...]
    pictures: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Standing:
    """A proposal beside the newest release of its design."""

    row: ProposalRow
    base: ReleaseRow
    newest: ReleaseRow
    conflicts: tuple[str, ...]

    @property
    def stale(self) -> bool:
        return self.row.state == ProposalState.OPEN and self.newest.sha256 != self.row.base


# ── proposing


async def propose(
    store: Store, design: str, wish: Wish, sent: Mapping[str, Path]
) -> tuple[ProposalRow, str]:
    """Keep a proposal to a public release; with it the key that its author may withdraw it with.

    Raises NoSuchRelease, and DesignRefused for what could not become a release; then nothing is
    kept.
    """
    async with store.view() as unit:
        base = await _base(unit, design, wish.base)
        await _not_too_many(unit, design)
    model.checked_names([*sent, *wish.removed])
    with tempfile.TemporaryDirectory(prefix="proposed-") as work:
        async with _looks(store):
            sent, taken_out = await asyncio.to_thread(releases.cleaned, sent, Path(work))
        return await _proposed(store, base, wish, sent, taken_out)


def _looks(store: Store) -> asyncio.Semaphore:
    """Shared by all who have files examined: a shop-sized server has two cores."""
    return _LOOKS.setdefault(store, asyncio.Semaphore(_AT_ONCE))


def _drawing(store: Store) -> asyncio.Semaphore:
    """Visitors who ask for pictures wait for each other, and nobody who proposes for them."""
    return _DRAWN.setdefault(store, asyncio.Semaphore(1))


async def _proposed(
    store: Store,
    base: ReleaseRow,
    wish: Wish,
    sent: Mapping[str, Path],
    taken_out: Sequence[Finding],
) -> tuple[ProposalRow, str]:
    design, release = base.design, Release.model_validate_json(base.manifest)
    hashed = await asyncio.to_thread(_hashed, sent)
    held = {file.name: file.sha256 for file in release.files}
    changes = model.changes(held, hashed, wish.removed)
    model.check_steps(changes, sent, held)
    new = {name: path for name, path in sent.items() if any(c.name == name for c in changes)}
    paths = _paths(store.blobs, model.merged(changes, held), new)
    candidate = await _candidate(store, base, paths)
    model.check_unaltered(release, candidate.release, changes)
    given = model.given_under(wish.licence, candidate.release.licence)
    candidate = replace(candidate, findings=(*candidate.findings, *taken_out))
    seen = await asyncio.to_thread(_seen, store.blobs, base, candidate, changes, new, given)
    for path in new.values():
        await asyncio.to_thread(store.blobs.put, path)
    key = keys.drawn("proposal")
    async with store.unit() as unit:
        await _not_too_many(unit, design)
        row = ProposalRow(
            id=new_id("pr"),
            design=design,
            base=base.sha256,
            state=ProposalState.OPEN,
            author=wish.author,
            message=wish.message,
            made_at=unit.now,
            kept=keys.kept(key),
            changes=[change.model_dump(mode="json") for change in changes],
            seen=seen.model_dump(mode="json"),
        )
        unit.session.add(row)
        await unit.session.flush()
        await unit.record("proposal.made", row.id, design=design)
    return row, key


async def _base(unit: Unit, design: str, sha256: str | None) -> ReleaseRow:
    """The release that is changed: a public one of that design."""
    newest = await releases.newest(unit, design)
    if sha256 is None or sha256 == newest.sha256:
        return newest
    asked = await unit.session.get(ReleaseRow, sha256)
    if asked is None or asked.design != design:
        raise releases.NoSuchRelease(f"no release {sha256[:16]} of {design} is published here")
    return await releases.newest(unit, design, asked.version)


async def _not_too_many(unit: Unit, design: str) -> None:
    waiting = await open_of(unit, design)
    if waiting >= model.MOST_OPEN:
        raise catalogue.refused(
            f"{waiting} proposals to {design} are open already", "proposals",
            "wait until its maintainer has answered some, or publish a fork",
        )  # fmt: skip


def _hashed(sent: Mapping[str, Path]) -> dict[str, tuple[str, int]]:
    return {name: (releases.file_hash(path), path.stat().st_size) for name, path in sent.items()}


def _paths(blobs: Blobs, files: Mapping[str, str], new: Mapping[str, Path]) -> dict[str, Path]:
    """Where each file of the changed release lies on this disk."""
    return {name: new.get(name) or blobs.path(sha256) for name, sha256 in files.items()}


def _seen(
    blobs: Blobs,
    base: ReleaseRow,
    candidate: Candidate,
    changes: Sequence[FileChange],
    new: Mapping[str, Path],
    given: str,
) -> Seen:
    before = Release.model_validate_json(base.manifest)
    texts = [
        model.text_change(
            change.name,
            _text(blobs.path(change.before)) if change.before else b"",
            _text(new[change.name]) if change.after else b"",
        )
        for change in changes
        if model.is_text(change.name)
    ]
    known = {(f["where"], f["what"]) for f in base.findings}
    return Seen(
        parts=model.part_changes(
            before, candidate.release, thumbnails(base.pictures), thumbnails(candidate.pictures)
        ),
        texts=tuple(texts),
        findings=tuple(f for f in candidate.findings if (f.where, f.what) not in known),
        licence=model.licence_words(before.licence, candidate.release.licence, given),
        given=given,
    )


def _text(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(model.MOST_TEXT + 1)


def thumbnails(pictures: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {part: kinds["thumbnail"] for part, kinds in pictures.items() if "thumbnail" in kinds}


async def picture(
    store: Store, proposal: str, change: PartChange, view: View, *, draws: bool
) -> Path | None:
    """Of a part before or after the change, or both versions one over the other.

    What was not drawn when the files were examined is when it is first asked for, if it `draws` at
    all. None where there is nothing to show.
    """
    if (examined := {View.BEFORE: change.before, View.AFTER: change.after}.get(view)) is not None:
        return store.blobs.path(examined)
    if change.sides is None or not draws:
        return None
    name = change.name if view is View.BOTH else f"{change.name}@{view}"
    kept = store.blobs.apart(_OVERLAYS, proposal, name)
    if not kept.all():
        async with _drawing(store):
            if not kept.all():
                await asyncio.to_thread(
                    _draw, store.blobs, change.sides, change.process, view, kept
                )
    drawn = kept.path(kept.all()[0])
    return drawn if drawn.stat().st_size else None


def _draw(blobs: Blobs, sides: tuple[Side, Side], process: str, view: View, kept: Blobs) -> None:
    """Draw it into `kept`; an empty file where it cannot be drawn, so that nobody tries again."""
    before, after = ((str(blobs.path(side.sha256)), side.format) for side in sides)
    target, told = {
        View.BEFORE: ("pictured", before),
        View.AFTER: ("pictured", after),
        View.BOTH: ("overlaid", (*before, *after)),
    }[view]
    with tempfile.TemporaryDirectory(prefix="picture-") as work:
        out = Path(work) / "picture.png"
        with contextlib.suppress(DesignRefused):
            bounded.run(f"designs.inspect:{target}", *told, process, str(out))
        out.touch()
        kept.put(out)


async def sweep(store: Store) -> None:
    """Throw away overlays that no page shows: of what was declined or taken back."""
    folders = await asyncio.to_thread(store.blobs.apart(_OVERLAYS).folders)
    async with store.view() as unit:  # after the folders, so that none is of a later proposal
        shown = select(ProposalRow.id).where(ProposalRow.state.in_(model.SHOWN))
        kept = set(await unit.session.scalars(shown))
    for folder in folders:
        if folder.name not in kept:
            await asyncio.to_thread(store.blobs.apart(_OVERLAYS, folder.name).throw_away)


# ── what it would become


async def _candidate(store: Store, base: ReleaseRow, paths: Mapping[str, Path]) -> Candidate:
    """The release of these files. Only what is not in `base` as it is gets examined."""
    before, blobs = Release.model_validate_json(base.manifest), store.blobs
    draft = await asyncio.to_thread(_draft, blobs, before, paths)
    missing = [name for name in catalogue.needed(draft) if name not in paths]
    if missing:
        raise catalogue.refused(
            f"{', '.join(missing)} is named in the manifest but is not among the files",
            "manifest", "send the file, or correct its name in the manifest",
        )  # fmt: skip
    licence = catalogue.judge_licence(draft.licence)
    hashed = await asyncio.to_thread(_hashed, paths)
    asked, seen_before = catalogue.to_be_seen(draft), catalogue.as_seen(before)
    known = {
        part.name: _known(seen_before.get(part.name), part, hashed[part.file_name][0])
        for part in asked
    }
    with tempfile.TemporaryDirectory(prefix="proposed-") as work:
        async with _looks(store):
            unknown = [part for part in asked if known[part.name] is None]
            fresh = await releases.examine_all(unknown, paths, Path(work))
        findings = [f for seen in fresh.values() for f in seen.findings]
        catalogue.reject(findings)
        facts = {name: part.facts if part else fresh[name].facts for name, part in known.items()}
        files = _files(draft, hashed)
        release = _as_before(before, catalogue.release(draft, licence, facts, files))
        pictures = await asyncio.to_thread(_kept_pictures, blobs, base, draft, fresh)
    same = [part for part in known.values() if part is not None]
    older = [f for f in base.findings if any(_is_of(f["where"], part) for part in same)]
    kept = tuple(Finding.model_validate(plain) for plain in older)
    told = (*kept, *findings, *catalogue.unlike_in(release), *_idle(before, draft, paths))
    return Candidate(release, told, pictures)


def _idle(before: Release, draft: Draft, paths: Mapping[str, Path]) -> list[Finding]:
    """Of each new file of which a part could be made and none is: it may have another name here."""
    there, made_from = {file.name for file in before.files}, catalogue.needed(draft)
    do = f"If it is to take the place of one, give it that name: {', '.join(made_from)}"
    makeable = catalogue.FORMATS - {"step"}  # which is often the source of another
    return [
        Finding(severity=Severity.WARNING, where=name, what="no part is made from it", do=do)
        for name in paths
        if name not in {*there, *made_from} and catalogue.file_format(name) in makeable
    ]


def _draft(blobs: Blobs, before: Release, paths: Mapping[str, Path]) -> Draft:
    old = forks.old_manifest(before)
    name = next((name for name in catalogue.MANIFESTS if name in paths), None)
    names = [each.name for each in before.files]
    was = _said(old.name, lambda: blobs.read(old.sha256), names) if old else None
    now = _said(name, paths[name].read_bytes, [*paths]) if name else None
    catalogue.reject(now.remarks if now else ())
    said, draft = now or was, model.draft(before, [*paths], was, now)
    if said is not None and said.bought:
        return draft
    listed = releases.billed(draft.model_copy(update={"bought": ()}), paths)
    return draft.model_copy(update={"bought": listed.bought or draft.bought})


def _said(name: str, content: Callable[[], bytes], names: Sequence[str]) -> Draft:
    return catalogue.draft_of_manifest(okh.read(content(), name), names, Answers())


def _known(old: Part | None, part: PartDraft, sha256: str) -> Part | None:
    """The part of the release, if its facts hold for this one, too."""
    asked = (sha256, part.process, part.material, part.thickness_mm)
    if old is None or (old.file_sha256, old.process, old.material, old.thickness_mm) != asked:
        return None
    return old


def _kept_pictures(
    blobs: Blobs, base: ReleaseRow, draft: Draft, fresh: Mapping[str, Examined]
) -> dict[str, dict[str, str]]:
    return {
        part.name: {kind: blobs.put(path) for kind, path in fresh[part.name].pictures.items()}
        if part.name in fresh
        else base.pictures.get(part.name, {})
        for part in draft.parts
    }


def _files(draft: Draft, hashed: Mapping[str, tuple[str, int]]) -> dict[str, File]:
    made_from = catalogue.needed(draft)
    return {
        name: File(
            name=name,
            sha256=sha256,
            size_bytes=size,
            role=catalogue.role(name, made_from, draft.said_roles),
            format=catalogue.file_format(name) or "none",
        )
        for name, (sha256, size) in hashed.items()
    }


def _as_before(before: Release, after: Release) -> Release:
    """With what no manifest says and the release had: roles, the wish for a first article."""
    roles = {(file.name, file.sha256): file for file in before.files}
    files = tuple(roles.get((file.name, file.sha256), file) for file in after.files)
    first = after.first_article or before.first_article
    return after.model_copy(update={"files": files, "first_article": first})


def _is_of(where: str, part: Part) -> bool:
    return where == part.file_name or where.startswith(f"{part.file_name}, ")


# ── accepting


async def accept(store: Store, proposal_id: str, key: str, terms: Terms) -> ProposalRow:
    """Make the next release of it, once; the same asked again gets the same answer.

    Raises NotYours, Closed, Raced, and DesignRefused where it does not fit what was published
    meanwhile or could not be published.
    """
    for _ in range(_TRIES):
        async with store.view() as unit:
            at = await standing(unit, proposal_id)
            await _may(unit, at.row.design, key)
        if (done := _replayed(at.row, terms)) is not None:
            return done
        made = await _next(store, at, terms)
        async with store.unit() as unit:
            row = await find(unit, proposal_id)
            if (done := _replayed(row, terms)) is not None:
                return done
            newest = await releases.newest(unit, row.design)
            if newest.sha256 != at.newest.sha256:
                continue
            kept = await lineage.kept_key(unit, row.design)
            by = releases.Terms(caller=Caller(key=key), key_sha256=kept)
            published = await releases.insert(unit, made.release, made.findings, made.pictures, by)
            row.release = published.release.sha256
            row.terms = terms.model_dump(mode="json")
            return await _close(unit, row, ProposalState.ACCEPTED, terms.reason)
    raise Raced("others publish versions of this design just now: try again")


def _replayed(row: ProposalRow, terms: Terms) -> ProposalRow | None:
    if row.state == ProposalState.OPEN:
        return None
    if row.state == ProposalState.ACCEPTED and row.terms == terms.model_dump(mode="json"):
        return row
    model.move(ProposalState(row.state), ProposalState.ACCEPTED)
    raise AssertionError("unreachable")


async def _next(store: Store, at: Standing, terms: Terms) -> Candidate:
    """The release that accepting makes: its version, its author among those who are named."""
    if at.conflicts:
        raise catalogue.refused(
            f"{', '.join(at.conflicts)} changed in {at.newest.design} {at.newest.version}, too",
            "files", "ask its author to propose it again, to the newest release",
        )  # fmt: skip
    newest = Release.model_validate_json(at.newest.manifest)
    version = terms.version or versions.following(newest.version)
    if version is None:
        raise catalogue.refused(
            f"nobody can count on from version {newest.version}", "version",
            "say which version the new release is",
        )  # fmt: skip
    version, blobs = versions.normal(version), store.blobs
    if versions.rank(version) < versions.rank(newest.version):
        raise catalogue.refused(
            f"{version} is below {newest.version}, which it changes", "version",
            f"say a higher one, such as {versions.following(newest.version)}, or none",
        )  # fmt: skip
    held = {file.name: file.sha256 for file in newest.files}
    files = model.merged(changes_of(at.row), held)
    candidate = await _candidate(store, at.newest, _paths(blobs, files, {}))
    given = Seen.model_validate(at.row.seen).given
    did = model.contribution(terms.did or f"proposal {at.row.id}", given)
    named = ancestry.joined(ancestry.standing(newest), at.row.author, terms.share, did)
    named_too = {"version": version, "contributors": named, "ancestor": newest.ancestor}
    release = candidate.release.model_copy(update=named_too)
    release = await asyncio.to_thread(_with_manifest, blobs, release)
    return Candidate(release, candidate.findings, candidate.pictures)


def _with_manifest(blobs: Blobs, release: Release) -> Release:
    """With its manifest, if it has one, saying what the release says."""
    old = forks.old_manifest(release)
    if old is None:
        return release
    return forks.with_manifest(
        blobs, release, manifest.text(release, blobs.read(old.sha256), old.name)
    )


async def decline(store: Store, proposal_id: str, key: str, reason: str) -> ProposalRow:
    """Say no, with the reason that its author reads."""
    async with store.unit() as unit:
        row = await find(unit, proposal_id)
        await _may(unit, row.design, key)
        if row.state == ProposalState.DECLINED and row.reason == reason:
            return row
        return await _close(unit, row, ProposalState.DECLINED, reason)


async def withdraw(store: Store, proposal_id: str, key: str) -> ProposalRow:
    """Take it back; its author has the key."""
    async with store.unit() as unit:
        row = await find(unit, proposal_id)
        if not keys.fits(key, row.kept):
            raise NotYours("this needs the key that was shown when the proposal was made")
        if row.state == ProposalState.WITHDRAWN:
            return row
        return await _close(unit, row, ProposalState.WITHDRAWN, "")


async def _may(unit: Unit, design: str, key: str) -> None:
    if not await lineage.is_maintainer(unit, design, key):
        raise NotYours(
            f"this needs the maintainer's key of {design}, shown when it was first published; "
            f"for a new one, on the server's computer: cosmolocal designs key {design} --new"
        )


async def _close(unit: Unit, row: ProposalRow, to: ProposalState, reason: str) -> ProposalRow:
    row.state = model.move(ProposalState(row.state), to)
    row.closed_at, row.reason = unit.now, reason
    await unit.session.flush()
    await unit.record(f"proposal.{to}", row.id, design=row.design)
    return row


# ── looking


async def find(unit: Unit, proposal_id: str) -> ProposalRow:
    known = _ID.fullmatch(proposal_id) is not None
    row = (
        await unit.session.get(ProposalRow, proposal_id, populate_existing=True) if known else None
    )
    if row is None:
        raise NoSuchProposal(f"there is no proposal {proposal_id[:40]}")
    return row


async def of_design(unit: Unit, design: str) -> Sequence[ProposalRow]:
    """Open ones first, then the newest."""
    await releases.newest(unit, design)
    rows = await unit.session.scalars(
        select(ProposalRow)
        .where(ProposalRow.design == design)
        .order_by(ProposalRow.state != ProposalState.OPEN, ProposalRow.id.desc())
        .limit(500)
    )
    return rows.all()


async def open_of(unit: Unit, design: str) -> int:
    count = (
        select(func.count())
        .select_from(ProposalRow)
        .where(ProposalRow.design == design, ProposalRow.state == ProposalState.OPEN)
    )
    return await unit.session.scalar(count) or 0


async def standing(unit: Unit, proposal_id: str) -> Standing:
    row = await find(unit, proposal_id)
    base = await releases.row(unit, row.base)
    newest = await releases.newest(unit, row.design)
    release = Release.model_validate_json(newest.manifest)
    now = {file.name: file.sha256 for file in release.files}
    is_open = row.state == ProposalState.OPEN
    conflicts = model.conflicts(changes_of(row), now) if is_open else ()
    return Standing(row, base, newest, conflicts)


def changes_of(row: ProposalRow) -> tuple[FileChange, ...]:
    return tuple(FileChange.model_validate(plain) for plain in row.changes)
