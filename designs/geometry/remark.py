"""A finding together with what has to be marked in a picture of it."""

from dataclasses import dataclass

from designs.errors import Finding, Severity
from designs.geometry.marked import Mark


@dataclass(frozen=True, eq=False)
class Remark:
    finding: Finding
    mark: Mark | None = None


def warning(where: str, what: str, do: str, mark: Mark | None = None) -> Remark:
    return Remark(Finding(severity=Severity.WARNING, where=where, what=what, do=do), mark)


def note(where: str, what: str, do: str, mark: Mark | None = None) -> Remark:
    return Remark(Finding(severity=Severity.NOTE, where=where, what=what, do=do), mark)
