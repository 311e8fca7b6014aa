"""Forks a release: its files under a new name, with its ancestry and everybody who is named in it.

It changes nothing of the release it starts from, and copies no file: both name them by hash.
"""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import select

from designs import okh
from designs.design import LICENCE_LONGEST, OWN_WORK, File, Line, Release, Role, Slug
from designs.errors import Finding
from orchestrator.catalogue import ancestry, manifest, model, service
from orchestrator.catalogue.model import PUBLIC, ReleaseState
from orchestrator.catalogue.service import Published, Terms
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Blobs, Store, Unit

_FIRST: Final = "1.0.0"
_TRIES: Final = 100
_TITLE: Final = 50  # characters of a title that leave room for " fork 100" in a name

Said = Annotated[Line, StringConstraints(strip_whitespace=True)]


class Wish(BaseModel):
    """What somebody who forks says. `who` becomes the licensor; a design is called by its title."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    who: Said
    name: Slug | None = None
    title: Said | None = None
    licence: str | None = Field(default=None, min_length=1, max_length=LICENCE_LONGEST)

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if self.name and self.title and okh.slug(self.title) != self.name:
            raise ValueError(
                f"a design is called by its title: {self.title!r} would be "
                f"{okh.slug(self.title)}, not {self.name}; leave one of the two out"
            )
        return self


async def fork(store: Store, sha256: str, wish: Wish, address: str = "") -> Published:
    """Publish a fork as version 1.0.0 of a design of its own.

    `address` is where the release it starts from is found. Raises NoSuchRelease, and DesignRefused
    where the licence does not allow it or the name is taken. The same wish twice is one fork.
    """
    async with store.view() as unit:
        row = await service.row(unit, sha256)
    if ReleaseState(row.state) not in PUBLIC:
        raise model.refused(
            f"{row.design} {row.version} is a pre-release, for the labs it names", "release",
            "fork it once it is released",
        )  # fmt: skip
    base = Release.model_validate_json(row.manifest)
    findings = [Finding.model_validate(plain) for plain in row.findings]
    for title in titles(base, wish):
        made = await asyncio.to_thread(_made, store.blobs, base, wish, title, address)
        async with store.unit() as unit:
            if await _is_free(unit, made):
                return await service.insert(unit, made, findings, row.pictures, Terms())
    where = wish.name or okh.slug(wish.title or base.title)
    raise model.refused(
        f"there is a design called {where} already", "name", "give the fork another name"
    )


def titles(base: Release, wish: Wish) -> Iterator[str]:
    """What the fork may be called: as wished, or after what it was forked from."""
    if wish.title is not None:
        yield wish.title
    elif wish.name is not None:
        words = wish.name.replace("-", " ").capitalize()
        yield words if okh.slug(words) == wish.name else wish.name
    else:
        yield f"{base.title[:_TITLE]} fork"
        yield from (f"{base.title[:_TITLE]} fork {number}" for number in range(2, _TRIES))


def forked(base: Release, wish: Wish, title: str, address: str) -> Release:
    """The fork as a value, still with the manifest of the release it starts from."""
    licence = ancestry.fork_licence(base.licence, wish.licence)
    return base.model_copy(
        update={
            "design": okh.slug(title),
            "version": _FIRST,
            "title": title,
            "licence": licence,
            "licensor": wish.who,
            "private": licence == OWN_WORK,
            "repo": None,
            "forked_from": (base.repo or address)[:500] or None,
            "ancestor": ancestry.named(base),
            "contributors": ancestry.standing(base),
        }
    )


def old_manifest(release: Release) -> File | None:
    return next((file for file in release.files if file.name in model.MANIFESTS), None)


def _made(blobs: Blobs, base: Release, wish: Wish, title: str, address: str) -> Release:
    """With a manifest of its own in the place of the one it came with."""
    release = forked(base, wish, title, address)
    old = old_manifest(base)
    older = blobs.read(old.sha256) if old else None
    return with_manifest(blobs, release, manifest.text(release, older, old.name if old else ""))


def with_manifest(blobs: Blobs, release: Release, text: bytes) -> Release:
    """The release with this text as its only manifest."""
    file = File(
        name=manifest.NAME,
        sha256=blobs.put(text),
        size_bytes=len(text),
        role=Role.MANIFEST,
        format="toml",
    )
    others = [each for each in release.files if each.name not in model.MANIFESTS]
    files = sorted([*others, file], key=lambda each: each.name)
    return release.model_copy(update={"files": tuple(files)})


async def _is_free(unit: Unit, made: Release) -> bool:
    """Whether nothing public is called so; the same fork once more is no stranger."""
    if await unit.session.get(ReleaseRow, made.sha256) is not None:
        return True
    taken = select(ReleaseRow.sha256).where(
        ReleaseRow.design == made.design, ReleaseRow.private.is_(False)
    )
    return made.private or await unit.session.scalar(taken.limit(1)) is None
