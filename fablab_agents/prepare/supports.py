"""Bounds what a print program calls support: it lies below what hangs over, and not in the part.

The program's word is taken for which beads are support, for nothing else: a bead that lies where
nothing needs carrying refuses the program.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from designs.errors import Finding
from designs.geometry.raster import rastered
from fablab_agents.prepare.beads import Beads
from fablab_agents.prepare.order import Printing, refusal
from fablab_agents.prepare.sections import along, inside, near, section

Array = NDArray[np.float64]

MARGIN_MM = 1.0
"""Of the middle of a bead beyond what hangs over: the slicer closes gaps between supports and
spreads their feet by up to 0.5 mm; the grid of the shadow is a quarter coarse."""
INSIDE_MM = 0.5  # a bead's width: support may touch the part's side
STEEP = 0.15  # of the normal's length: what looks down less than 9° from upright carries itself
MOST_LAYERS = 500  # as many sections of the solid are looked at
_CELL_MM, _CELLS = 0.25, 1200
_SAMPLE_MM = 0.5
_ABOVE_MM = 0.05
_WRONG = "do not run it; report this program as a fault of the preparation"


def bounded(support: Beads, triangles: Array, want: Printing) -> Iterator[Finding]:
    """What is wrong with the beads that are called support, for this placed solid (m, 3, 3)."""
    if not len(support.top_mm):
        return
    if want.supports == "none":
        at = (*support.start[0], support.top_mm[0])
        yield _said(np.array(at), "it lays down support that nobody ordered")
        return
    grid, places = _Grid.over(triangles), _places(support)
    ceiling = grid.ceiling(triangles)
    stray = places[grid.at(places, ceiling, -np.inf) + _ABOVE_MM < places[:, 2]]
    if len(stray):
        yield _said(stray[0], "what it calls support lies below nothing that hangs over")
    buried = _buried(places, triangles, want)
    if len(buried):
        yield _said(buried[0], "what it calls support lies inside the part")
    standing = places[grid.at(places, grid.roof(triangles), np.inf) + _ABOVE_MM < places[:, 2]]
    if want.supports == "from_bed" and len(standing):
        yield _said(standing[0], "support stands on the part, and the recipe has it from the bed")
    laid_mm3 = float(support.volume_mm3.sum())
    if laid_mm3 > float(np.maximum(ceiling, 0).sum()) * grid.cell_mm**2:
        what = f"{laid_mm3 / 1000:.2f} cm³ of support have no room below what hangs over"
        yield refusal("amount of plastic", what, _WRONG)


def _places(support: Beads) -> Array:
    """(n, 3) along the middles of the beads, at their tops."""
    places, row, _ = along(np.stack([support.start, support.end], axis=1), _SAMPLE_MM)
    return np.column_stack([places, support.top_mm[row]])


def _said(place: Array, what: str) -> Finding:
    x, y, z = place
    return refusal(f"X {x:.1f} Y {y:.1f}, height {z:g} mm", what, _WRONG)


def _facing(triangles: Array, way: int) -> Array:
    """Those that look up (1) or down (-1)."""
    a, b, c = triangles.transpose(1, 0, 2)
    inside_out = float(np.einsum("ij,ij->", a, np.cross(b, c))) < 0
    normal = np.cross(b - a, c - a) * (-way if inside_out else way)
    return triangles[normal[:, 2] > STEEP * np.linalg.norm(normal, axis=1)]


@dataclass(frozen=True)
class _Grid:
    """Square cells over the solid and a margin around it."""

    low: Array
    cell_mm: float
    cells: int

    @classmethod
    def over(cls, triangles: Array) -> "_Grid":
        low = triangles[:, :, :2].min(axis=(0, 1)) - 2 * MARGIN_MM
        span = float((triangles[:, :, :2].max(axis=(0, 1)) - low).max()) + 2 * MARGIN_MM
        cell_mm = max(_CELL_MM, span / _CELLS)
        return cls(low, cell_mm, int(np.ceil(span / cell_mm)))

    def highest(self, triangles: Array) -> Array:
        """In mm by cell, the highest of what covers it; -inf where nothing does."""
        corners = triangles.transpose(2, 1, 0).copy()
        corners[:2] = (corners[:2] - self.low[:, None, None]) / self.cell_mm
        return rastered(corners, self.cells)[0]

    def ceiling(self, triangles: Array) -> Array:
        """In mm by cell, how high support may stand; -inf where it may not."""
        return _spread(self.highest(_facing(triangles, -1)), MARGIN_MM / self.cell_mm)

    def roof(self, triangles: Array) -> Array:
        """In mm by cell, the lowest that stands in the way down to the bed; inf where nothing."""
        upside_down = _facing(triangles, 1) * (1, 1, -1)
        return _spread(-self.highest(upside_down), INSIDE_MM / self.cell_mm)

    def at(self, places: Array, heights: Array, beyond: float) -> Array:
        """The height of each of (n, 3) places, and what is told of those beyond the grid."""
        column, row = np.floor((places[:, :2] - self.low) / self.cell_mm).astype(int).T
        within = (column >= 0) & (row >= 0) & (column < self.cells) & (row < self.cells)
        found = np.full(len(places), beyond)
        found[within] = heights[row[within], column[within]]
        return found


def _spread(height: Array, radius: float) -> Array:
    """Each cell gets the highest within so many cells of it."""
    reach, size = int(radius), len(height)
    wide = np.pad(height, reach, constant_values=-np.inf)
    best = height
    for i, j in product(range(-reach, reach + 1), repeat=2):
        if np.hypot(i, j) <= radius:
            best = np.maximum(best, wide[reach + i :, reach + j :][:size, :size])
    return best


def _buried(places: Array, triangles: Array, want: Printing) -> Array:
    """Those of the places (n, 3) that lie in the solid, deeper than a bead's width."""
    tops = np.unique(places[:, 2].round(3))
    if len(tops) > MOST_LAYERS:
        tops = tops[np.linspace(0, len(tops) - 1, MOST_LAYERS).astype(int)]
    for top in tops:
        here = places[np.abs(places[:, 2] - top) < 5e-4]
        outline = section(triangles, float(top) - want.layer_mm / 2)
        if len(outline) and len(deep := _deep(here, outline)):
            return deep
    return np.empty((0, 3))


def _deep(places: Array, outline: Array) -> Array:
    within = places[inside(places[:, :2], outline)]
    return within[~near(within[:, :2], outline, INSIDE_MM)]
