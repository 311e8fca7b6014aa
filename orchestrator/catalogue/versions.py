"""Versions of releases by semver: how a designer's spelling is read, and which one is the newest.

It never guesses: what is no version is refused with an example. Releases from before versions were
read keep theirs, and stand below every version that can be read.
"""

import re
from typing import Final

from semver import Version

from designs.errors import Refused

_SPOKEN: Final = re.compile(r"[vV]?(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?([-+].*)?")
_LONGEST: Final = 40  # of a release's version
Rank = tuple[bool, bool, Version]
"""Sorts: what can be read above what cannot, finished versions above `-rc.1`, then by semver."""


def normal(said: str) -> str:
    """`v1.2` → `1.2.0`; raises Refused where it is no version."""
    found = _SPOKEN.fullmatch(said.strip())
    if found and len(said) <= _LONGEST:
        major, minor, patch, more = found.groups()
        spelled = f"{major}.{minor or 0}.{patch or 0}{more or ''}"
        date = patch is None and more is not None and not more[1:2].isalpha()  # 2026-11-30
        if not date and Version.is_valid(spelled) and len(spelled) <= _LONGEST:
            return spelled
    raise Refused(
        f"{said[:60]!r} is no version",
        "version",
        "write three numbers as in 1.2.0 (what breaks, what is new, what is mended), or 1.2.0-rc.1 "
        "for one to try",
    )


def spelled(asked: str) -> str:
    """The version somebody asks for, as new releases spell it; unchanged if it is none."""
    try:
        return normal(asked)
    except Refused:
        return asked


def following(version: str) -> str | None:
    """What would come next, where something is new; None after what is no version."""
    try:
        return str(Version.parse(normal(version)).bump_minor())
    except Refused:
        return None


def rank(version: str) -> Rank:
    """A key to sort versions by, the oldest first."""
    if not Version.is_valid(version):
        return (False, False, Version(0))
    read = Version.parse(version)
    return (True, read.prerelease is None, read)
