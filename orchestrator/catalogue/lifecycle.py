"""Moves a release through its life, and says who may see it meanwhile.

The content never changes; a move and the event that tells who made it and why are one transaction.
Deprecating takes nothing from anybody: whatever the licence lets labs make stays orderable.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, select

from designs.design import OWN_WORK
from designs.errors import Refused
from orchestrator.catalogue import keys, model
from orchestrator.catalogue.model import PUBLIC, ReleaseState, Standing
from orchestrator.catalogue.search import index
from orchestrator.catalogue.tables import NamedLabRow, ReleaseRow
from orchestrator.store import JsonValue, Unit

MOST_LABS: Final = 100
LabsKnown = Callable[[Unit], Awaitable[Mapping[str, str]]]
"""Ids and names of all labs: of the labs' room, handed in by the application."""


class NoSuchRelease(Exception):
    """No release of that name or hash is published here."""


class NotYours(Exception):
    """Only the operator, or whoever has the key it was published with, may do this."""


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as we know anybody: until there are accounts a key is all there is."""

    operator: bool = False
    key: str = ""

    @property
    def who(self) -> str:
        return "operator" if self.operator else "designer"


THE_OPERATOR: Final = Caller(operator=True)


class Wish(BaseModel):
    """What is to become of a release; reason and successor are for a deprecation."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    to: ReleaseState
    reason: str = Field(default="", max_length=1000)
    successor: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


async def find(unit: Unit, sha256: str) -> ReleaseRow:
    found = await unit.session.get(ReleaseRow, sha256)
    if found is None:
        raise NoSuchRelease(f"no release {sha256[:16]} is published here")
    return found


def standing(row: ReleaseRow) -> Standing:
    return Standing(
        state=ReleaseState(row.state),
        since=row.state_at or row.published_at,
        reason=row.reason,
        successor=row.successor,
    )


# ── who may see it


async def seen(unit: Unit, sha256: str, caller: Caller) -> ReleaseRow:
    """The release, if this caller may see it; raises NoSuchRelease for both reasons alike."""
    row = await find(unit, sha256)
    if (
        ReleaseState(row.state) in PUBLIC
        or caller.operator
        or keys.fits(caller.key, row.key_sha256)
    ):
        return row
    if any(keys.fits(caller.key, each.key_sha256) for each in await _named(unit, [sha256])):
        return row
    raise NoSuchRelease(f"no release {sha256[:16]} is published here")


async def hidden(
    unit: Unit, releases: Iterable[str], caller_of: Callable[[str], Caller]
) -> dict[str, ReleaseState]:
    """Private work and pre-releases among these that no key of the caller opens: no place that
    anybody may look at tells their hashes, because the hash of private work opens it.
    """
    rows = await unit.session.execute(
        select(ReleaseRow.sha256, ReleaseRow.state, ReleaseRow.key_sha256).where(
            ReleaseRow.sha256.in_(set(releases)), ~index.is_public()
        )
    )
    callers = {row.sha256: (row, caller_of(row.sha256)) for row in rows}
    closed = {
        sha256: ReleaseState(row.state)
        for sha256, (row, caller) in callers.items()
        if not caller.operator and not keys.fits(caller.key, row.key_sha256)
    }
    for each in await _named(unit, list(closed)) if closed else ():
        if keys.fits(callers[each.release][1].key, each.key_sha256):
            closed.pop(each.release, None)
    return closed


async def only_labs(unit: Unit, releases: Iterable[str]) -> dict[str, frozenset[str]]:
    """By release, the ids of the labs that alone may make it; public ones are not in it."""
    pre = select(ReleaseRow.sha256).where(
        ReleaseRow.sha256.in_(set(releases)), ReleaseRow.state == ReleaseState.PRE_RELEASE
    )
    bound = list(await unit.session.scalars(pre))
    rows = await _named(unit, bound) if bound else []
    return {sha256: frozenset(r.lab for r in rows if r.release == sha256) for sha256 in bound}


async def _named(unit: Unit, releases: Sequence[str]) -> Sequence[NamedLabRow]:
    rows = select(NamedLabRow).where(NamedLabRow.release.in_(releases)).order_by(NamedLabRow.lab)
    return (await unit.session.scalars(rows)).all()


# ── moves


async def move(unit: Unit, sha256: str, wish: Wish, caller: Caller) -> ReleaseRow:
    """Release a pre-release, deprecate a release, or take that back; raises IllegalMove."""
    row = await find(unit, sha256)
    _owned(row, caller)
    state = model.move_release(ReleaseState(row.state), wish.to)
    if state is ReleaseState.DEPRECATED:
        await _check_deprecation(unit, row, wish)
    deprecated = state is ReleaseState.DEPRECATED
    before, row.state, row.state_at = ReleaseState(row.state), state, unit.now
    row.reason = wish.reason.strip() if deprecated else ""
    row.successor = wish.successor if deprecated else None
    await unit.session.execute(delete(NamedLabRow).where(NamedLabRow.release == sha256))
    await unit.session.flush()
    await unit.record(
        f"release.{state}", sha256, design=row.design, was=before, by=caller.who,
        why=wish.reason.strip(), successor=row.successor,
    )  # fmt: skip
    if before is ReleaseState.PRE_RELEASE:
        row.published_at = unit.now
    await index.refresh(unit, row.design)
    if before is ReleaseState.PRE_RELEASE:
        await unit.record("release.published", sha256, design=row.design)
    return row


async def _check_deprecation(unit: Unit, row: ReleaseRow, wish: Wish) -> None:
    if not wish.reason.strip():
        raise Refused(
            "nobody is told why it is deprecated",
            "reason",
            "say in a sentence what is wrong with it and for whom, as makers will read it",
        )
    if wish.successor is None:
        return
    next_one = await unit.session.get(ReleaseRow, wish.successor)
    public = next_one is not None and ReleaseState(next_one.state) in PUBLIC
    if next_one is None or not public or next_one.private or next_one.sha256 == row.sha256:
        raise Refused(
            f"{wish.successor[:16]} cannot take its place",
            "successor",
            "name another release that everybody can see, by its hash, or leave it out",
        )


async def name_labs(
    unit: Unit, sha256: str, labs: Sequence[str], known: Mapping[str, str], caller: Caller
) -> dict[str, str]:
    """The labs that a pre-release is for, in the place of those before; their keys, told once.

    `known`: ids and names of all labs.
    """
    row = await find(unit, sha256)
    _owned(row, caller)
    if ReleaseState(row.state) is not ReleaseState.PRE_RELEASE:
        raise model.IllegalMove("only a pre-release is for named labs: this one is for everybody")
    fresh = {lab: keys.drawn("lab") for lab in checked_labs(labs, known)}
    await unit.session.execute(delete(NamedLabRow).where(NamedLabRow.release == sha256))
    unit.session.add_all(
        NamedLabRow(release=sha256, lab=lab, key_sha256=keys.kept(key))
        for lab, key in fresh.items()
    )
    await unit.session.flush()
    told: list[JsonValue] = [*fresh]
    await unit.record("release.labs_named", sha256, by=caller.who, labs=told)
    return fresh


def checked_labs(said: Sequence[str], known: Mapping[str, str]) -> tuple[str, ...]:
    """Ids of the labs that are meant, by id or name; raises Refused for one that is not here."""
    by_name = {name.casefold(): lab for lab, name in known.items()}
    wanted = {each: each if each in known else by_name.get(each.casefold()) for each in said}
    strange = [each for each, lab in wanted.items() if lab is None]
    if strange or not wanted or len(wanted) > MOST_LABS:
        what = f"nobody knows the lab {strange[0][:60]!r}" if strange else "no lab is named"
        raise Refused(what, "labs", f"name 1 to {MOST_LABS} labs as the page of labs lists them")
    return tuple(sorted({lab for lab in wanted.values() if lab is not None}))


def check_private(licence: str, state: ReleaseState) -> None:
    """Own work has one way of being shown, by its hash; raises Refused for a pre-release of it."""
    if state is ReleaseState.PRE_RELEASE and licence == OWN_WORK:
        raise Refused(
            "your own work is private already, there is no public to keep it from",
            "labs",
            "publish it without naming labs, or give it an open licence",
        )


def _owned(row: ReleaseRow, caller: Caller) -> None:
    if not caller.operator and not keys.fits(caller.key, row.key_sha256):
        raise NotYours(
            f"{row.design} {row.version} is moved by whoever published it: give the key of its "
            "draft, or the operator's token"
        )
