"""Opens, settles and lifts recalls, and answers what may not be made now.

It finds what a wish names, and refuses one that names nothing: a typing error must not look like
a recall. It stops nothing itself: `makes.recalled` does, in the same transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import select

from designs.design import Part, Release, Sha256, Slug, Word
from orchestrator.catalogue import service as catalogue
from orchestrator.catalogue.model import PUBLIC
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.labs import service as labs
from orchestrator.labs.tables import MachineRow
from orchestrator.recalls import model
from orchestrator.recalls.model import (
    Lot,
    OfLot,
    OfMachine,
    OfPart,
    OfReleases,
    Recall,
    State,
    Todo,
)
from orchestrator.recalls.tables import RecallRow
from orchestrator.store import Unit, new_id

_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
_Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}$")]


class NoSuchRecall(Exception):
    """There is no recall with this id."""


class RecallRefused(Exception):
    """A wish that names nothing we know, or too much; the message says what to write instead."""


class RecallIsOpen(Exception):
    """The same is withdrawn already; the message names the recall that does it."""


class Wish(BaseModel):
    """What somebody wants withdrawn: exactly one of release, design, lot or machine.

    `part` narrows a release; `everywhere` widens that to all releases, forks among them, that have
    a part of the same file. A design without versions means all that are published now.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    release: Sha256 | None = None
    design: Slug | None = None
    first_version: _Version | None = None
    last_version: _Version | None = None
    part: Slug | None = None
    everywhere: bool = False
    lot: Lot | None = None
    material: Word | None = None
    machine: str | None = Field(default=None, max_length=161, pattern=r"^[^/]+/[^/]+$")
    """`agent/machine`"""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    reason: _Words
    todo: Todo = Todo.STOP_USING
    by: _Name

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        named = [self.release, self.design, self.lot, self.machine]
        if sum(each is not None for each in named) != 1:
            raise ValueError("name one of release, design, lot or machine")
        self._only("design", self.design, "first_version", "last_version")
        self._only("release", self.release, "part")
        self._only("part", self.part, "everywhere")
        self._only("lot", self.lot, "material")
        self._only("machine", self.machine, "since", "until")
        if self.machine is not None and self.since is None:
            raise ValueError("a machine is recalled from a moment on: give since")
        return self

    def _only(self, name: str, given: object, *fields: str) -> None:
        for field in fields:
            if given is None and getattr(self, field) not in {None, False}:
                raise ValueError(f"{field} goes with a {name}")


class Ending(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    why: _Words
    by: _Name


# ── what is asked


async def find(unit: Unit, recall_id: str) -> RecallRow:
    row = await unit.session.get(RecallRow, recall_id)
    if row is None:
        raise NoSuchRecall(f"there is no recall {recall_id}")
    return row


async def listed(unit: Unit) -> Sequence[RecallRow]:
    """All of them, newest first."""
    rows = select(RecallRow).order_by(RecallRow.opened_at.desc(), RecallRow.id.desc())
    return (await unit.session.scalars(rows)).all()


async def in_force(unit: Unit) -> list[Recall]:
    """What is not lifted, oldest first."""
    rows = (
        select(RecallRow)
        .where(RecallRow.state != State.LIFTED)
        .order_by(RecallRow.opened_at, RecallRow.id)
    )
    return [value(row) for row in await unit.session.scalars(rows)]


def value(row: RecallRow) -> Recall:
    scope = model.SCOPE.validate_python(row.scope)
    return Recall(row.id, scope, row.reason, Todo(row.todo), row.opened_at, row.lifted_at)


async def against(unit: Unit, release: str, parts: Iterable[str]) -> str:
    """Why these parts of a release cannot be ordered now; empty where no recall is in the way."""
    standing = await in_force(unit)
    if not standing:
        return ""
    found = await unit.session.get(ReleaseRow, release)
    known = None if found is None else Release.model_validate_json(found.manifest)
    for name in parts:
        part = known.part(name) if known else None
        for recall in standing:
            if model.forbids(recall, release, name, files_of(part)):
                return model.refusal(_called(known, part, recall), recall)
    return ""


def files_of(part: Part | None) -> set[str]:
    """What a part may be made from."""
    if part is None:
        return set()
    return {part.file_sha256, *(each.file_sha256 for each in part.alternatives)}


def _called(release: Release | None, part: Part | None, recall: Recall) -> str:
    if release is None or part is None:
        return "this"
    whole = f"{release.title} {release.version}"
    return whole if recall.scope.kind == "release" else f"{part.title} of {whole}"


async def machines_out(unit: Unit) -> set[str]:
    """`agent/machine` of those on which nothing is to be made now."""
    return model.machines_out(await in_force(unit), unit.now)


# ── what is done


async def open_one(unit: Unit, wish: Wish) -> RecallRow:
    """Write the recall down; raises RecallRefused where the wish names nothing, RecallIsOpen."""
    scope, what = await scope_of(unit, wish)
    open_ones = select(RecallRow).where(RecallRow.state == State.OPEN, RecallRow.kind == scope.kind)
    for same in await unit.session.scalars(open_ones):
        if model.same(value(same).scope, scope):
            raise RecallIsOpen(
                f"{what}: recalled already, by {same.id} of {same.opened_at:%Y-%m-%d}: "
                f"{same.reason}. Look at it with cosmolocal recall show {same.id}; if there is "
                "another reason, settle it and open the next: it stays withdrawn meanwhile"
            )
    row = RecallRow(
        id=new_id("r"),
        state=State.OPEN,
        kind=scope.kind,
        what=what,
        scope=scope.model_dump(mode="json"),
        reason=wish.reason.rstrip("."),
        todo=wish.todo,
        by=wish.by,
        opened_at=unit.now,
    )
    unit.session.add(row)
    await unit.session.flush()
    await unit.record("recall.opened", row.id, scope=scope.kind)
    return row


async def settle(unit: Unit, recall_id: str, ending: Ending) -> RecallRow:
    """The units are dealt with; what was withdrawn stays withdrawn."""
    row = await find(unit, recall_id)
    row.state = model.move(State(row.state), State.SETTLED)
    row.settled_at, row.settled_why, row.settled_by = unit.now, ending.why, ending.by
    await unit.session.flush()
    await unit.record("recall.settled", row.id)
    return row


async def lift(unit: Unit, recall_id: str, ending: Ending) -> RecallRow:
    """It may be made and used again, from now on."""
    row = await find(unit, recall_id)
    row.state = model.move(State(row.state), State.LIFTED)
    row.lifted_at, row.lifted_why, row.lifted_by = unit.now, ending.why, ending.by
    await unit.session.flush()
    await unit.record("recall.lifted", row.id)
    return row


async def scope_of(unit: Unit, wish: Wish) -> tuple[OfReleases | OfPart | OfLot | OfMachine, str]:
    """What the wish names, as a value and in words."""
    if wish.lot is not None:
        of = f" of {wish.material}" if wish.material else ""
        return OfLot(lot=wish.lot, material=wish.material), f"material lot {wish.lot}{of}"
    if wish.machine is not None:
        return await _machine(unit, wish, wish.machine)
    if wish.design is not None:
        return await _versions(unit, wish.design, wish.first_version, wish.last_version)
    release = await catalogue.release(unit, wish.release or "")
    if wish.part is None:
        return OfReleases(releases=(release.sha256,)), f"{release.title} {release.version}"
    return _part(release, wish.part, everywhere=wish.everywhere)


def _part(release: Release, name: str, *, everywhere: bool) -> tuple[OfPart, str]:
    part = release.part(name)
    if part is None:
        names = ", ".join(each.name for each in release.parts)
        raise RecallRefused(f"{release.title} has no part {name}: its parts are {names}")
    files = tuple(sorted(files_of(part))) if everywhere else ()
    words = f"{part.title} of {release.title} {release.version}"
    also = " and of every release with the same file" if everywhere else ""
    return OfPart(release=release.sha256, part=name, files=files), words + also


async def _versions(
    unit: Unit, design: str, first: str | None, last: str | None
) -> tuple[OfReleases, str]:
    rows = await unit.session.execute(
        select(ReleaseRow.sha256, ReleaseRow.version, ReleaseRow.state, ReleaseRow.title)
        .where(ReleaseRow.design == design, ReleaseRow.private.is_(False))
        .order_by(ReleaseRow.published_at, ReleaseRow.sha256)
    )
    found = rows.all()
    known = [(row.sha256, row.version) for row in found]
    if not known:
        raise RecallRefused(f"no design {design} is published here: look at its page for its name")
    meant = known
    if first or last:
        _orderable([version for _, version in known] + [v for v in (first, last) if v])
        meant = [(sha256, v) for sha256, v in known if model.within(v, first, last)]
    if not meant:
        versions = ", ".join(version for _, version in known[-20:])
        raise RecallRefused(f"{design} has no version in that range: it has {versions}")
    if len(meant) > model.MOST_RELEASES:
        raise RecallRefused(
            f"{len(meant)} releases at once: recall at most {model.MOST_RELEASES} by one recall, "
            "in several ranges of versions"
        )
    scope = OfReleases(releases=tuple(sha256 for sha256, _ in meant))
    named = [row for row in found if row.state in PUBLIC and row.sha256 in scope.releases]
    return scope, _listed(design, named[-1].title if named else "", [row.version for row in named])


def _listed(design: str, title: str, versions: Sequence[str]) -> str:
    """In words, of which everybody can see all."""
    if not versions:
        return f"pre-releases of {design}"
    more = f" and {len(versions) - 20} more versions" if len(versions) > 20 else ""
    return f"{title} {', '.join(versions[:20])}{more}"


def _orderable(versions: Collection[str]) -> None:
    for version in versions:
        if model.version_key(version) is None:
            raise RecallRefused(
                f"version {version} has no place in an order: name the releases by their hashes, "
                "one recall each"
            )


async def _machine(unit: Unit, wish: Wish, name: str) -> tuple[OfMachine, str]:
    agent, _, machine = name.partition("/")
    assert wish.since is not None
    try:
        scope = OfMachine(agent=agent, machine=machine, since=wish.since, until=wish.until)
    except ValueError as error:
        raise RecallRefused("the span ends before it begins: exchange since and until") from error
    row = await unit.session.get(MachineRow, (agent, machine))
    if row is None:
        known = sorted(each.id for each in await labs.machines(unit))
        raise RecallRefused(
            f"no machine {name} is known here: they are {', '.join(known) or 'none'}"
        )
    until = f"until before {scope.until:%Y-%m-%d %H:%M:%S} UTC" if scope.until else "on"
    since = f"from {scope.since:%Y-%m-%d %H:%M:%S} UTC"
    return scope, f"{row.said.get('title') or machine} ({name}) {since} {until}"
