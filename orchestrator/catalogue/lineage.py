"""Keeps where releases come from, and walks that line both ways.

A line has no rings: a release is named by the hash of its content, and its ancestor is part of
that. It never shows a private release to whoever does not hold its hash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, or_, select, true, update
from sqlalchemy.orm import aliased

from designs.design import Release
from orchestrator.catalogue import ancestry, keys
from orchestrator.catalogue.ancestry import Link
from orchestrator.catalogue.model import PUBLIC
from orchestrator.catalogue.tables import DesignKeyRow, ForkRow, ReleaseRow
from orchestrator.store import Unit

MOST_UP: Final = 64
MOST_DOWN: Final = 200


@dataclass(frozen=True)
class Fork:
    """A design that was forked from another: `depth` 1 from the one asked about."""

    row: ReleaseRow
    of_design: str
    of_version: str
    depth: int


# ── at publishing


async def settled(
    unit: Unit, release: Release, mine: frozenset[str | None] | None = None
) -> Release:
    """The release with the ancestry and names it was silent about; raises DesignRefused.

    Of pre-releases it reads those whose key is in `mine` alone, every one if that is None.
    """
    before = await _before(unit, release, mine)
    stated = release.ancestor or (before.ancestor if before else None)
    told = select(ReleaseRow.manifest).where(_readable(mine))
    found = stated and await unit.session.scalar(told.where(ReleaseRow.sha256 == stated.release))
    ancestor = Release.model_validate_json(found) if found else None
    return ancestry.settled(release, before, ancestor)


def _readable(mine: frozenset[str | None] | None) -> ColumnElement[bool]:
    if mine is None:
        return true()
    known = sorted(key for key in mine if key is not None)
    return or_(ReleaseRow.state.in_(sorted(PUBLIC)), ReleaseRow.key_sha256.in_(known))


async def _before(
    unit: Unit, release: Release, mine: frozenset[str | None] | None
) -> Release | None:
    """The same version if it is there, else the newest; private work stands for itself."""
    if release.private:
        return None
    named = select(ReleaseRow.manifest).where(
        ReleaseRow.design == release.design, ReleaseRow.private.is_(False), _readable(mine)
    )
    here = await unit.session.scalar(named.where(ReleaseRow.version == release.version))
    found = here or await unit.session.scalar(
        named.order_by(ReleaseRow.published_at.desc(), ReleaseRow.sha256).limit(1)
    )
    return Release.model_validate_json(found) if found else None


async def remember(unit: Unit, row: ReleaseRow, release: Release) -> str | None:
    """Keep the line of a release that is just published, and whose design it is.

    Returns a key for the design's maintainer if it is the first of its name and came without one.
    """
    if release.ancestor is not None:
        unit.session.add(ForkRow(release=release.sha256, ancestor=release.ancestor.release))
        await unit.session.flush()
    if release.private:
        return None
    kept = await kept_key(unit, release.design)
    if kept is not None:
        row.key_sha256 = row.key_sha256 or kept
    elif row.key_sha256 is not None:
        await _keep(unit, release.design, row.key_sha256)
    elif not await _had_others(unit, release):
        return await new_key(unit, release.design)
    return None


async def _had_others(unit: Unit, release: Release) -> bool:
    """Whether there were releases of the design before, from when designs had no keys."""
    others = select(ReleaseRow.sha256).where(
        ReleaseRow.design == release.design,
        ReleaseRow.private.is_(False),
        ReleaseRow.sha256 != release.sha256,
    )
    return await unit.session.scalar(others.limit(1)) is not None


async def new_key(unit: Unit, design: str) -> str:
    """A key for the design's maintainer; any that there was opens nothing from now on."""
    key = keys.drawn("maintainer")
    await _keep(unit, design, keys.kept(key))
    theirs = update(ReleaseRow).where(ReleaseRow.design == design, ReleaseRow.private.is_(False))
    await unit.session.execute(theirs.values(key_sha256=keys.kept(key)))
    await unit.record("design.key", design)
    return key


async def _keep(unit: Unit, design: str, kept: str) -> None:
    row = await unit.session.get(DesignKeyRow, design)
    if row is None:
        unit.session.add(DesignKeyRow(design=design, kept=kept, since=unit.now))
    else:
        row.kept, row.since = kept, unit.now
    await unit.session.flush()


async def kept_key(unit: Unit, design: str) -> str | None:
    row = await unit.session.get(DesignKeyRow, design)
    return row.kept if row else None


async def is_maintainer(unit: Unit, design: str, key: str) -> bool:
    return keys.fits(key, await kept_key(unit, design))


# ── looking


async def find(unit: Unit, sha256: str) -> Release | None:
    row = await unit.session.get(ReleaseRow, sha256)
    return Release.model_validate_json(row.manifest) if row else None


async def chain(unit: Unit, release: Release) -> tuple[Link, ...]:
    """The ancestors, nearest first, as far as they are published here and one further."""
    found: list[Link] = []
    ancestor = release.ancestor
    while ancestor is not None and len(found) < MOST_UP:
        here = await find(unit, ancestor.release)
        found.append(Link(ancestor, here))
        ancestor = here.ancestor if here else None
    return tuple(found)


async def forks(unit: Unit, design: str) -> tuple[Fork, ...]:
    """Public designs that descend from this one, each below the one it was forked from.

    The nearest first and the newest release of each; at most 200.
    """
    seen, level, found = {design}, [design], list[Fork]()
    depth = 0
    while level and len(found) < MOST_DOWN:
        depth += 1
        below = await _children(unit, level, depth, seen)
        found += below
        level = [fork.row.design for fork in below]
    return tuple(found[:MOST_DOWN])


async def _children(unit: Unit, designs: Sequence[str], depth: int, seen: set[str]) -> list[Fork]:
    """One level: designs not seen before of which some version comes from one of `designs`."""
    parent, child = aliased(ReleaseRow), aliased(ReleaseRow)
    rows = await unit.session.execute(
        select(child.design, parent.design, parent.version)
        .join(ForkRow, ForkRow.release == child.sha256)
        .join(parent, parent.sha256 == ForkRow.ancestor)
        .where(parent.design.in_(designs), *_public(parent), *_public(child))
        .order_by(child.published_at, child.sha256)
        .limit(MOST_DOWN * 5)
    )
    came_from: dict[str, tuple[str, str]] = {}
    for design, of_design, of_version in rows.all():
        if design not in seen:
            came_from.setdefault(design, (of_design, of_version))
    seen |= came_from.keys()
    newest = await _newest(unit, [*came_from])
    return [Fork(newest[design], *of, depth) for design, of in came_from.items()]


async def _newest(unit: Unit, designs: Sequence[str]) -> Mapping[str, ReleaseRow]:
    rows = await unit.session.scalars(
        select(ReleaseRow)
        .where(ReleaseRow.design.in_(designs), *_public(ReleaseRow))
        .order_by(ReleaseRow.published_at, ReleaseRow.sha256.desc())
    )
    return {row.design: row for row in rows}


def _public(row: type[ReleaseRow]) -> tuple[ColumnElement[bool], ...]:
    return row.private.is_(False), row.state.in_(sorted(PUBLIC))
