"""Promises which beads of a print are not the part's: skirt, brim, support, raft, purge line.
Never believes a comment: where a bead lies and what lies above it are all that counts.

A bead whose middle lies outside the design's section is *foreign*. A foreign bead is support if
the design overhangs it, brim or skirt or purge line if it lies on the bed (a thick patch of its
own is none of these), a shield if it is a thin wall around everything, and extra otherwise.
"""

from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology.edges import Floats, polygons
from hardware_sim.metrology.solid import Solid

Bools = NDArray[np.bool_]
STEEP = -0.15  # faces that look down more than this may be supported (z of the unit normal)
SHADOW_MM = 1.5  # support reaches so far out from under what it carries
UNDER_MM = 0.5  # and so high into it
TOUCH_MM = 1.2
THICK_MM = 2.0  # half the breadth at which a patch on the bed is no line any more
LINE_MM = 0.5  # breadth given to a bead when patches are told from lines
BLOB_MM2 = 4.0


class Overhangs:
    """The faces of a body that look down, seen from below."""

    def __init__(self, solid: Solid) -> None:
        corners = solid.points[solid.faces]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        size = np.linalg.norm(normal, axis=1)
        down = (size > 1e-12) & (normal[:, 2] < STEEP * size) & (corners[:, :, 2].max(axis=1) > 0.1)
        flat = corners[down]
        self._high = flat[:, :, 2].max(axis=1)
        rings = np.concatenate([flat[:, :, :2], flat[:, :1, :2]], axis=1)
        self._tree = shapely.STRtree(np.asarray(shapely.polygons(rings), dtype=object))

    def above(self, points: Floats, z_mm: Floats) -> Bools:
        """Which (n, 2) points at a height have such a face above them, or nearly so."""
        found = np.zeros(len(points), dtype=bool)
        if not len(points) or not len(self._high):
            return found
        bead, face = self._tree.query(
            shapely.points(points), predicate="dwithin", distance=SHADOW_MM
        )
        found[bead[self._high[face] > z_mm[bead] - UNDER_MM]] = True
        return found


@dataclass
class Apart:
    """What lies beside the part: lengths of bead by kind in mm³, and what nothing explains."""

    volume_mm3: dict[str, float] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    extra_beads: Bools | None = None

    def add(self, kind: str, volume_mm3: float) -> None:
        self.volume_mm3[kind] = self.volume_mm3.get(kind, 0.0) + volume_mm3


def patches(ends: Floats) -> list[shapely.Polygon]:
    """Where beads lie side by side or end to end, each LINE_MM broad and a gap bridged."""
    lines = shapely.linestrings(ends[:, :4].reshape(-1, 2, 2))
    wide = shapely.union_all(shapely.buffer(lines, 0.9 * LINE_MM, quad_segs=2))
    return polygons(wide.buffer(-0.4 * LINE_MM, quad_segs=2))


def is_line(patch: BaseGeometry) -> bool:
    """Nowhere as broad as a patch: a skirt, a purge line, a shield."""
    return patch.buffer(-THICK_MM, quad_segs=2).is_empty


def on_the_bed(patch: BaseGeometry, part: BaseGeometry) -> str | None:
    """The kind of a foreign patch of the first level; None if nothing explains it."""
    if patch.distance(part) < TOUCH_MM:
        return "brim"
    if not is_line(patch):
        return None
    return "skirt" if _around(patch, part) else "purge"


def above_the_bed(patch: BaseGeometry, part: BaseGeometry) -> str | None:
    """The kind of a foreign patch of a later level; None if nothing explains it."""
    return "skirt" if is_line(patch) and _around(patch, part) else None


def _around(patch: BaseGeometry, part: BaseGeometry) -> bool:
    """Whether it encloses the part, or most of it where the part's box is broad."""
    hull = patch.convex_hull
    return hull.intersection(part.convex_hull).area > 0.8 * part.convex_hull.area


def told(patch: BaseGeometry, z_mm: float) -> str:
    """How an extra patch is named."""
    point = patch.representative_point()
    return f"{patch.area:.1f} mm² beside the part at X {point.x:.1f} Y {point.y:.1f}, z {z_mm:.2f}"
