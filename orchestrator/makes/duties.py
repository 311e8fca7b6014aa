"""What a licence wants told with every part, what the lab has to add to that itself, and until
when the source has to be reachable.

Pure. It claims no more than the licence asks for, and names the grants that a part stands on.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from designs import licences
from designs.design import OWN_WORK, Release
from designs.licences import Act, Grant, Work
from orchestrator.catalogue.model import NOT_NAMED

_LICENCE: Final = r"licen[cs]es?|copying"
_NOTICE: Final = r"notices?"


@dataclass(frozen=True)
class Owed:
    """`until`: the last day on which the source is promised at least; None where no span is set.
    `to_add`: what whoever hands the part over has to add, because it is not known here.
    """

    notices: tuple[str, ...] = ()
    to_add: tuple[str, ...] = ()
    until: date | None = None


def owed(release: Release, source: str, handed_over: date, grants: Sequence[Grant]) -> Owed:
    """For a part of a release that came into somebody's hands that day, or not before it.

    `source` is the address of the release with all its files.
    """
    if release.licence == OWN_WORK:
        return Owed()
    verdict = licences.judge(release.licence, Act.MAKE_PAID)
    until = licences.source_until(verdict, handed_over)
    work = Work(
        title=release.title,
        version=release.version,
        licensor=release.licensor,
        holder=None if release.licensor == NOT_NAMED else release.licensor,
        source=source,
        texts=_named(release, source, _LICENCE),
        own_notices=_named(release, source, _NOTICE),
        changes=_changes(release),
        until=until,
        grants=tuple(grants),
    )
    return Owed(licences.notices(verdict, work), licences.to_add(verdict, work), until)


def outline(release: Release) -> Owed:
    """For whoever may not see the design: neither its names nor where its source is."""
    if release.licence == OWN_WORK:
        return Owed()
    return Owed(licences.anonymous(licences.judge(release.licence, Act.MAKE_PAID)))


def _named(release: Release, source: str, name: str) -> tuple[str, ...]:
    """Addresses of the texts that are called so, in whatever folder: `LICENSE-MIT`, `Notice.md`."""
    wanted = re.compile(rf"(?:.*/)?(?:{name})(?:-\w+)?(?:\.(?:txt|md|html?|pdf))?", re.IGNORECASE)
    found = [file for file in release.files if wanted.fullmatch(file.name)]
    return tuple(f"{source}/files/{file.sha256}" for file in found)


def _changes(release: Release) -> tuple[str, ...]:
    before = release.ancestor
    if before is None:
        return ()
    return (f"from {before.title} {before.version} by {before.licensor}, {before.licence}",)
