"""What a licence wants told with every part, and until when its source has to be reachable.

Pure. It claims no more than the licence asks for, and names the grants that a part stands on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from designs import licences
from designs.design import OWN_WORK, Release
from designs.licences import Act, Grant, Work


@dataclass(frozen=True)
class Owed:
    """`until`: the last day on which the source is promised at least; None where no span is set."""

    notices: tuple[str, ...] = ()
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
        source=source,
        changes=_changes(release),
        until=until,
        grants=tuple(grants),
    )
    return Owed(licences.notices(verdict, work), until)


def outline(release: Release) -> Owed:
    """For whoever may not see the design: neither its names nor where its source is."""
    return Owed(licences.judge(release.licence, Act.MAKE_PAID).notices)


def _changes(release: Release) -> tuple[str, ...]:
    before = release.ancestor
    if before is None:
        return ()
    return (f"from {before.title} {before.version} by {before.licensor}, {before.licence}",)
