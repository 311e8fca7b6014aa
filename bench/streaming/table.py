"""Rows and columns for a terminal; a figure that was not taken is a dash, never a guess."""

from collections.abc import Sequence
from dataclasses import dataclass


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: Sequence[int] = (0,),
) -> str:
    """Figures stand to the right, the columns numbered in `words` to the left."""
    grid = [list(columns), *[list(row) for row in rows]]
    widths = [max(len(row[at]) for row in grid) for at in range(len(columns))]
    lines = [title]
    for row in grid:
        sized = enumerate(zip(row, widths, strict=True))
        cells = [
            cell.ljust(width) if at in words else cell.rjust(width) for at, (cell, width) in sized
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value * 100:.{digits}f} %"


@dataclass(frozen=True)
class Target:
    """A figure that the project has promised, and what was found."""

    what: str
    found: float | None
    wanted: float
    at_most: bool = False
    unit: str = ""

    @property
    def met(self) -> bool | None:
        if self.found is None:
            return None
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    def row(self) -> list[str]:
        sign = "≤" if self.at_most else "≥"
        verdict = {True: "met", False: "MISSED", None: "not measured"}[self.met]
        return [self.what, f"{sign} {self._show(self.wanted)}", self._show(self.found), verdict]

    def _show(self, value: float | None) -> str:
        if value is None:
            return "–"
        if self.unit == "%":
            return f"{value * 100:.2f} %" if self.wanted < 0.01 else f"{value * 100:.1f} %"
        return f"{value:,.2f}" if self.wanted < 20 else f"{value:,.0f}"


def targets(found: Sequence[Target]) -> str:
    return table("Targets", ["", "wanted", "found", ""], [target.row() for target in found])
