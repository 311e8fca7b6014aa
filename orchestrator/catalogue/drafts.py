"""Drafts: folders on this server that are not published yet, each opened by the key it began with.

A draft survives restarts and never becomes public by itself. What is sent into it is kept as it
is: its solids and drawings are looked at in bounded children, its programs are never run.
"""

import asyncio
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import structlog
from pydantic import BaseModel, JsonValue, TypeAdapter
from sqlalchemy import delete, exists, func, select

from designs.design import Facts, Release, Role
from designs.errors import DesignRefused, Finding, Severity
from orchestrator.catalogue import keys, lifecycle, model, service, versions
from orchestrator.catalogue.lifecycle import THE_OPERATOR, Caller
from orchestrator.catalogue.model import Answers, Draft, PartDraft
from orchestrator.catalogue.service import Examined, Published, Terms
from orchestrator.catalogue.tables import DraftFileRow, DraftRow, ReleaseRow
from orchestrator.store import LooseBlobs, Store, Unit, new_id

MOST_DRAFTS: Final = 1000
MOST_OF_ONE_KEY: Final = 20
MOST_OF_ONE_SENDER: Final = 50
MOST_FILES: Final = 100
MOST_BYTES: Final = 128 * 1024 * 1024
MOST_BYTES_OF_ALL: Final = 8 * 1024**3
UNUSED: Final = timedelta(days=90)
EMPTY: Final = timedelta(days=1)
_A_USE: Final = timedelta(hours=12)
_LATELY: Final = timedelta(days=1)
_AT_ONCE: Final = 2
_FACTS: Final = TypeAdapter[Facts | None](Facts | None)
_log = structlog.get_logger("drafts")


class NoSuchDraft(Exception):
    """There is no draft here that this key opens."""


class DraftPublished(Exception):
    """It became a release and changes no more: begin the next version with the same key."""


class DraftsFull(Exception):
    """This server holds as many drafts, or as many bytes of them, as it may."""


class YourDraftsFull(Exception):
    """This key, or this sender, has as many open drafts as one may; others can go on."""


@dataclass(frozen=True)
class Begun:
    """A new draft; its key is told only here."""

    id: str
    key: str


class FileView(BaseModel):
    """`looked_at` is False where nobody has, as nothing is made from it or it is not its turn."""

    name: str
    sha256: str
    size_bytes: int
    role: Role
    note: str
    looked_at: bool
    facts: Facts | None
    findings: tuple[Finding, ...]
    thumbnail: str | None
    pictures: dict[str, str]
    """By kind, those that are shown: the thumbnail, and where a finding is."""


class DraftView(BaseModel):
    """`findings` are about the whole; it is ready when nothing here is a refusal."""

    id: str
    answers: Answers
    files: tuple[FileView, ...]
    findings: tuple[Finding, ...]
    ready: bool
    used_at: datetime
    kept_until: datetime
    release: str | None

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


class Drafts:
    """All drafts of one store. One change of a draft at a time, a few looks at files at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._looks = asyncio.Semaphore(_AT_ONCE)
        self._begun_by: dict[str, set[str]] = {}
        """By sender, the drafts begun since this server started; no address is written down."""

    # ── who opens what

    async def begin(self, key: str = "", sender: str = "") -> Begun:
        """A new draft; with a key of a release or draft here it is for that design's next version.

        `sender` is whoever's drafts are counted together, "" for nobody's. Raises NoSuchDraft for a
        key that opens nothing, DraftsFull, YourDraftsFull.
        """
        known = await self.knows(key) if key else None
        given = key or keys.drawn("draft")
        async with self._store.unit() as unit:
            await _make_room(unit, keys.kept(given), self._begun_by.get(sender, ()))
            row = DraftRow(
                id=new_id("d"),
                key_sha256=keys.kept(given),
                answers=(known or Answers()).model_dump(mode="json", exclude_defaults=True),
                began_at=unit.now,
                used_at=unit.now,
            )
            unit.session.add(row)
            await unit.session.flush()
            await unit.record("draft.began", row.id)
        if sender:
            self._begun_by.setdefault(sender, set()).add(row.id)
        return Begun(row.id, given)

    async def knows(self, key: str) -> Answers:
        """What the next draft of this key begins with; raises NoSuchDraft for a key of nobody."""
        hashed = keys.kept(key)
        async with self._store.view() as unit:
            rows = select(ReleaseRow).where(ReleaseRow.key_sha256 == hashed)
            last = await unit.session.scalar(rows.order_by(ReleaseRow.published_at.desc()).limit(1))
            if last is not None:
                return _next_version(Release.model_validate_json(last.manifest))
            if await unit.session.scalar(select(exists().where(DraftRow.key_sha256 == hashed))):
                return Answers()
        raise NoSuchDraft("this key opens no draft and no release here")

    async def opened_by(self, key: str) -> str:
        """The id of the newest open draft of this key; a new one where the last was published.

        This is what lets a slicer be told one key for good.
        """
        newest = select(DraftRow.id).where(
            DraftRow.key_sha256 == keys.kept(key), DraftRow.release.is_(None)
        )
        async with self._store.view() as unit:
            found = await unit.session.scalar(newest.order_by(DraftRow.id.desc()).limit(1))
        if found is not None:
            return found
        await self.knows(key)  # no key is nobody's: it begins nothing
        return (await self.begin(key)).id

    async def check(self, draft: str, caller: Caller) -> None:
        """Raise NoSuchDraft unless there is such a draft and the caller may open it.

        Whoever brings no key is told how, and nothing of what drafts there are.
        """
        if not (caller.operator or caller.key):
            raise NoSuchDraft(_NO_KEY)
        async with self._store.view() as unit:
            row = await unit.session.get(DraftRow, draft)
        if row is None or not (caller.operator or keys.fits(caller.key, row.key_sha256)):
            raise NoSuchDraft(f"there is no draft {draft[:40]} that this key opens")

    # ── what is in it

    async def add(self, draft: str, name: str, path: Path, note: str = "") -> None:
        """Keep a copy of this file under that name, in the place of an earlier one."""
        name, size = model.file_name(name), path.stat().st_size
        async with self._lock(draft):
            async with self._store.view() as unit:
                await _check_room(unit, draft, name, size)
            files = self._files(draft)
            sha256 = await asyncio.to_thread(files.put, path)
            async with self._store.unit() as unit:
                row = await _open(unit, draft)
                await unit.session.execute(_named(draft, name))
                unit.session.add(
                    DraftFileRow(
                        draft=draft, name=name, sha256=sha256, size_bytes=size, note=note,
                        added_at=unit.now, findings=[], pictures={},
                    )
                )  # fmt: skip
                row.used_at = unit.now
            await self._drop_unused(draft)

    async def remove(self, draft: str, name: str) -> None:
        """Raises KeyError for a file that is not in it."""
        async with self._lock(draft):
            async with self._store.unit() as unit:
                row = await _open(unit, draft)
                if await unit.session.get(DraftFileRow, (draft, name)) is None:
                    raise KeyError(f"file {name[:80]} in this draft")
                await unit.session.execute(_named(draft, name))
                row.used_at = unit.now
            await self._drop_unused(draft)

    async def answer(self, draft: str, said: Mapping[str, object]) -> None:
        """Keep these answers beside the earlier ones; None takes one back."""
        async with self._lock(draft), self._store.unit() as unit:
            row = await _open(unit, draft)
            kept = model.answered({**row.answers, **said})
            row.answers = kept.model_dump(mode="json", exclude_defaults=True)
            row.used_at = unit.now

    async def look(self, draft: str, caller: Caller = THE_OPERATOR) -> DraftView:
        """The draft as it is for who would publish it.

        What was added or asked for otherwise since is looked at first.
        """
        async with self._lock(draft):
            row, files = await self._load(draft)
            paths = self._paths(draft, files)
            plan = await asyncio.to_thread(_planned, paths, row)
            for part in plan.parts.values():
                seen = files[part.file_name]
                if seen.asked != asked_of(part):
                    await self._look_at(seen, part, paths[part.file_name])
        async with self._store.view() as unit:
            now = unit.now
            if plan.draft is not None:
                terms = Terms(caller, key_sha256=row.key_sha256)
                taken = await service.taken(unit, plan.draft, terms)
                plan = plan.also(taken)
        if now - row.used_at > _A_USE and row.release is None:
            await self.answer(draft, {})
        return _view(row, files.values(), plan)

    async def picture(self, draft: str, sha256: str) -> Path:
        """A PNG we drew of a file in it; raises KeyError."""
        _, files = await self._load(draft)
        if sha256 not in {each for file in files.values() for each in _shown(file).values()}:
            raise KeyError("picture in this draft")
        return self._files(draft).path(sha256)

    # ── what becomes of it

    async def publish(
        self,
        draft: str,
        caller: Caller,
        labs: Sequence[str] = (),
        known_labs: Mapping[str, str] | None = None,
    ) -> Published | None:
        """Make a release of it, for the named labs or for everybody; then its files are there.

        None where that was done before. Raises DesignRefused, and then the draft stays as it is.
        """
        async with self._lock(draft):
            row, files = await self._load(draft)
            if row.release is not None:
                if labs:
                    raise _released_already(row.release)
                return None

            async def close(unit: Unit, release: Release) -> None:
                kept = await _open(unit, draft)
                kept.release, kept.used_at = release.sha256, unit.now
                await unit.session.execute(delete(DraftFileRow).where(DraftFileRow.draft == draft))
                await unit.record("draft.published", draft, release=release.sha256)

            named = lifecycle.checked_labs(labs, known_labs or {}) if labs else ()
            terms = Terms(caller, named, row.key_sha256, self._seen(draft, files), close)
            answers = Answers.model_validate(row.answers)
            async with self._looks:
                published = await service.publish(
                    self._store, self._paths(draft, files), answers, terms
                )
            await asyncio.to_thread(self._files(draft).throw_away)
        return published

    async def drop(self, draft: str, why: str) -> None:
        async with self._lock(draft):
            async with self._store.unit() as unit:
                await _forget(unit, draft, why)
            await asyncio.to_thread(self._files(draft).throw_away)

    async def sweep(self, now: datetime | None = None) -> tuple[str, ...]:
        """Remove what nobody used for 90 days, and empty drafts after one; tells which."""
        async with self._store.view() as unit:
            at = now or unit.now
            full = exists().where(DraftFileRow.draft == DraftRow.id)
            old = select(DraftRow.id).where(DraftRow.used_at < at - UNUSED)
            empty = select(DraftRow.id).where(
                DraftRow.used_at < at - EMPTY, DraftRow.release.is_(None), ~full
            )
            unused = set(await unit.session.scalars(old)) | set(await unit.session.scalars(empty))
            known = set(await unit.session.scalars(select(DraftRow.id)))
        left = {sender: begun & known for sender, begun in self._begun_by.items()}
        self._begun_by = {sender: begun for sender, begun in left.items() if begun}
        for draft in sorted(unused):
            await self.drop(draft, "nobody used it")
            _log.info("a draft that nobody used is removed", draft=draft)
        await asyncio.to_thread(self._drop_orphans, known, at)
        return tuple(sorted(unused))

    def _drop_orphans(self, known: Collection[str], at: datetime) -> None:
        """Folders that no draft stands for any more: of one that a kill interrupted."""
        for folder in self._store.blobs.apart("drafts").folders():
            aged = at.timestamp() - folder.stat().st_mtime > EMPTY.total_seconds()
            if folder.name not in known and aged:
                self._files(folder.name).throw_away()

    # ── within

    def _lock(self, draft: str) -> asyncio.Lock:
        return self._locks.setdefault(draft, asyncio.Lock())

    def _files(self, draft: str) -> LooseBlobs:
        return self._store.blobs.apart("drafts", draft)

    def _paths(self, draft: str, files: Mapping[str, DraftFileRow]) -> dict[str, Path]:
        kept = self._files(draft)
        return {name: kept.path(file.sha256) for name, file in files.items()}

    async def _load(self, draft: str) -> tuple[DraftRow, dict[str, DraftFileRow]]:
        async with self._store.view() as unit:
            row = await unit.session.get(DraftRow, draft)
            if row is None:
                raise NoSuchDraft(f"there is no draft {draft[:40]}")
            mine = select(DraftFileRow).where(DraftFileRow.draft == draft)
            rows = await unit.session.scalars(mine.order_by(DraftFileRow.name))
            return row, {file.name: file for file in rows}

    def _seen(
        self, draft: str, files: Mapping[str, DraftFileRow]
    ) -> Callable[[PartDraft], Examined | None]:
        """What lately was found in these files, so that publishing need not look again."""
        kept, now = self._files(draft), datetime.now(UTC)

        def seen(part: PartDraft) -> Examined | None:
            if model.file_format(part.file_name) == "step":
                return None  # what is made of it for the workshops is not kept with the draft
            file = files[part.file_name]
            lately = file.looked_at is not None and now - file.looked_at < _LATELY
            if file.facts is None or file.asked != asked_of(part) or not lately:
                return None
            pictures = {kind: kept.path(sha256) for kind, sha256 in file.pictures.items()}
            return Examined.model_validate(
                {"facts": file.facts, "findings": file.findings, "pictures": pictures}
            )

        return seen

    async def _look_at(self, file: DraftFileRow, part: PartDraft, path: Path) -> None:
        """Examine one file, in a child, and keep what was seen."""
        kept = self._files(file.draft)
        file.facts = None
        with tempfile.TemporaryDirectory(prefix="draft-") as work:
            try:
                async with self._looks:
                    seen = await asyncio.to_thread(service.examine, part, path, Path(work) / "out")
                file.facts = seen.facts.model_dump(mode="json")
                found, drawn = seen.findings, seen.pictures
            except DesignRefused as refused:
                found, drawn = refused.findings, service.drawn_of(refused, Path(work) / "out")
            file.pictures = {
                kind: await asyncio.to_thread(kept.put, picture) for kind, picture in drawn.items()
            }
        file.findings = [finding.model_dump(mode="json") for finding in found]
        file.asked = asked_of(part)
        async with self._store.unit() as unit:
            file.looked_at = unit.now
            await unit.session.merge(file)

    async def _drop_unused(self, draft: str) -> None:
        """Files of the folder that no name in the draft stands for any more."""
        _, rows = await self._load(draft)
        drawn = {sha256 for row in rows.values() for sha256 in row.pictures.values()}
        kept = {row.sha256 for row in rows.values()} | drawn
        files = self._files(draft)
        for sha256 in await asyncio.to_thread(files.all):
            if sha256 not in kept:
                files.remove(sha256)


# ── rows


async def _open(unit: Unit, draft: str) -> DraftRow:
    row = await unit.session.get(DraftRow, draft)
    if row is None:
        raise NoSuchDraft(f"there is no draft {draft[:40]}")
    if row.release is not None:
        raise DraftPublished(
            f"this draft is published as release {row.release[:16]}: begin a new one with its key"
        )
    return row


_NO_KEY: Final = (
    "a draft is opened by its key, and none was given: programs send it in the header X-Api-Key "
    "(cosmolocal: --key), browsers come by the draft's private link"
)


def _released_already(release: str) -> DraftPublished:
    return DraftPublished(
        f"this draft is published as release {release[:16]}, so no labs are named for it here: the "
        f"labs of a pre-release are named anew with cosmolocal release labs {release} --lab NAME; "
        "what is open to everybody stays so"
    )


def _named(draft: str, name: str):  # noqa: ANN202 - sqlalchemy's own
    return delete(DraftFileRow).where(DraftFileRow.draft == draft, DraftFileRow.name == name)


async def _forget(unit: Unit, draft: str, why: str) -> None:
    await unit.session.execute(delete(DraftFileRow).where(DraftFileRow.draft == draft))
    await unit.session.execute(delete(DraftRow).where(DraftRow.id == draft))
    await unit.record("draft.removed", draft, why=why)


_TILL_GONE: Final = (
    f"publish or remove one. By themselves empty ones are gone after {EMPTY.days} day, others when "
    f"nobody opened them for {UNUSED.days} days"
)


async def _make_room(unit: Unit, key_sha256: str, begun: Collection[str]) -> None:
    """Raise DraftsFull where there is none, YourDraftsFull where others still have some."""
    still_open = select(func.count()).select_from(DraftRow).where(DraftRow.release.is_(None))
    of_key = await unit.session.scalar(still_open.where(DraftRow.key_sha256 == key_sha256)) or 0
    if of_key >= MOST_OF_ONE_KEY:
        raise YourDraftsFull(f"{of_key} drafts of this key are open: {_TILL_GONE}")
    of_sender = await unit.session.scalar(still_open.where(DraftRow.id.in_(begun))) or 0
    if of_sender >= MOST_OF_ONE_SENDER:
        raise YourDraftsFull(
            f"{of_sender} drafts that were begun from where you are are open: {_TILL_GONE}"
        )
    count = await unit.session.scalar(still_open) or 0
    if count >= MOST_DRAFTS:
        raise DraftsFull(
            f"there are {count} drafts here, and no more are kept: publish or remove one, or ask "
            "the operator"
        )


async def _check_room(unit: Unit, draft: str, name: str, size: int) -> None:
    """Raise where the file does not fit into this draft, or into all of them."""
    await _open(unit, draft)
    held = func.coalesce(func.sum(DraftFileRow.size_bytes), 0)
    mine, same = DraftFileRow.draft == draft, DraftFileRow.name == name
    found = await unit.session.execute(select(func.count(), held).where(mine, ~same))
    count, in_draft = found.one()
    if count >= MOST_FILES or in_draft + size > MOST_BYTES:
        raise model.refused(
            f"a draft holds at most {MOST_FILES} files and {MOST_BYTES >> 20} MB",
            name,
            "leave out what is not needed to make the parts",
        )
    in_all = await unit.session.scalar(select(held).where(~(mine & same))) or 0
    if in_all + size > MOST_BYTES_OF_ALL:
        raise DraftsFull("the drafts on this server are full: remove one, or ask the operator")


# ── what it looks like


@dataclass(frozen=True)
class _Plan:
    """By file, the part that is made of it; and what stands in the way of the whole."""

    parts: Mapping[str, PartDraft]
    hindrances: tuple[Finding, ...]
    draft: Draft | None = None

    def also(self, found: Sequence[Finding]) -> "_Plan":
        said = set(self.hindrances)
        return replace(self, hindrances=(*self.hindrances, *(f for f in found if f not in said)))


def _planned(paths: Mapping[str, Path], row: DraftRow) -> _Plan:
    if not paths:
        return _Plan({}, () if row.release else model.refused(
            "there is no file in it yet", "files", "add an STL, 3MF, DXF or SVG"
        ).findings)  # fmt: skip
    try:
        draft = service.described(paths, Answers.model_validate(row.answers))
    except DesignRefused as refused:
        return _Plan({}, refused.findings)
    parts: dict[str, PartDraft] = {}
    for part in model.to_be_seen(draft):
        if part.file_name in paths:
            parts.setdefault(part.file_name, part)
    return _Plan(parts, model.hindrances(draft, paths.keys()), draft)


def _view(row: DraftRow, files: Iterable[DraftFileRow], plan: _Plan) -> DraftView:
    shown = tuple(_file_view(file, plan) for file in files)
    if plan.draft:
        facts = {file.name: file.facts for file in shown if file.facts}
        plan = plan.also(model.unlike(plan.draft.parts, facts))
    everything = (*plan.hindrances, *(f for file in shown for f in file.findings))
    return DraftView(
        id=row.id,
        answers=Answers.model_validate(row.answers),
        files=shown,
        findings=plan.hindrances,
        ready=row.release is None
        and not any(finding.severity is Severity.REFUSAL for finding in everything),
        used_at=row.used_at,
        kept_until=row.used_at + UNUSED,
        release=row.release,
    )


def _file_view(file: DraftFileRow, plan: _Plan) -> FileView:
    role = model.role(file.name, plan.parts)
    made = file.name in plan.parts
    return FileView(
        name=file.name,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        role=role,
        note=file.note,
        looked_at=made and file.asked is not None,
        facts=_FACTS.validate_python(file.facts) if made else None,
        findings=tuple(Finding.model_validate(each) for each in file.findings) if made else (),
        thumbnail=file.pictures.get("thumbnail") if made else None,
        pictures=_shown(file) if made else {},
    )


def _shown(file: DraftFileRow) -> dict[str, str]:
    pictures = file.pictures.items()
    return {k: v for k, v in pictures if k == "thumbnail" or k.startswith("finding-")}


def asked_of(part: PartDraft) -> list[JsonValue]:
    return [part.process, part.material, part.thickness_mm]


def _next_version(last: Release) -> Answers:
    """What its designer said of the release before, with the next number."""
    return Answers(
        title=last.title,
        version=versions.following(last.version) or "1.0.0",
        function=last.function,
        licence=last.licence,
        licensor=last.licensor,
    )
