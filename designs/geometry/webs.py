"""Widths in a drawing: of the material between two cuts, of the slots in it; its inside corners.

Measured square to the outline at many points of it, never over the whole drawing at once.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon, STRtree

from designs.geometry.mesh import Indices, Points

LOOK_MM = 10.0  # wider than this nothing is measured
SAMPLES = 20_000  # points of the outline, about
_STEP_MM = 0.25  # between them at best
_FACING = -0.8  # cosine between both sides: 37 degrees off parallel
_PARALLEL = -0.995  # 6 degrees
_TIP = 6.0  # sides that run together within so many widths end in a tip of 19 degrees or more
NECK_MM, NECK_LOOK_MM = 1.0, 2.5
_CORNERS, _CORNERS_AT_ONCE = 10_000, 500
_AWAY_MM = 1e-6
_SHARP_DEG = 35.0  # a bend of more between two lines is a corner, of less a piece of an arc
_STRAIGHT_DEG = 0.5
_SIDE_MM = 0.8


@dataclass(frozen=True, eq=False)
class Widths:
    """Between facing outlines: `width_mm` (n,), `middle` (n, 2), `along_mm` (n,) of outline that
    each stands for, `ring` (n,) the number of the outline it was measured from.
    """

    width_mm: Points
    middle: Points
    along_mm: Points
    ring: Indices

    def __add__(self, other: "Widths") -> "Widths":
        return Widths(
            np.concatenate([self.width_mm, other.width_mm]),
            np.concatenate([self.middle, other.middle]),
            np.concatenate([self.along_mm, other.along_mm]),
            np.concatenate([self.ring, other.ring]),
        )

    def narrowest_mm(self, least_mm: float = 0.2) -> float | None:
        """The width below which at least so much of the outline lies; None: wider everywhere."""
        order = np.argsort(self.width_mm, kind="stable")
        at = np.searchsorted(np.cumsum(self.along_mm[order]), least_mm)
        return float(self.width_mm[order[at]]) if at < len(order) else None

    def under(self, width_mm: float) -> "Widths":
        return self.only(self.width_mm < width_mm - 1e-6)

    def only(self, chosen: NDArray[np.bool_]) -> "Widths":
        return Widths(
            self.width_mm[chosen], self.middle[chosen], self.along_mm[chosen], self.ring[chosen]
        )


@dataclass(frozen=True, eq=False)
class Corners:
    """Inside corners: the places of sharp ones (n, 2), and the smallest radius of the others."""

    sharp: Points
    smallest_radius_mm: float | None


@dataclass(frozen=True, eq=False)
class Outline:
    """All outlines as directed lines with the material to their left.

    `is_hole` (k,) and `size_mm` (k, 2) are those of the outlines that `ring` (n,) counts.
    """

    start: Points
    end: Points
    ring: Indices
    is_hole: NDArray[np.bool_]
    size_mm: Points

    @property
    def direction(self) -> Points:
        along = self.end - self.start
        return along / np.hypot(*along.T)[:, None]


def outline(regions: tuple[Polygon, ...]) -> Outline:
    turned = [shapely.orient_polygons(region) for region in regions]
    rings = [ring for p in turned for ring in (p.exterior, *p.interiors)]
    coords = [np.asarray(r.coords) for r in rings]
    start, end = (np.concatenate([c[cut] for c in coords]) for cut in (slice(-1), slice(1, None)))
    ring = np.repeat(np.arange(len(coords)), [len(c) - 1 for c in coords])
    real = np.hypot(*(end - start).T) > 1e-9
    holes = [i > 0 for p in turned for i in range(1 + len(p.interiors))]
    size = np.array([np.ptp(c, axis=0) for c in coords])
    return Outline(start[real], end[real], ring[real], np.array(holes), size)


def widths(drawn: Outline, *, outside: bool, look_mm: float = LOOK_MM) -> Widths:
    """Of the material (webs), or with `outside` of what is cut away (slots, holes, gaps).

    Exact between parallel lines; between others the mean of both directions. What is wider than
    `look_mm` is left out, and so is the tip or the bottom of a corner, which joins nothing.
    """
    at, along, of = _sampled(drawn)
    direction = drawn.direction[of]
    normal = np.column_stack([-direction[:, 1], direction[:, 0]]) * (-1 if outside else 1)
    lines = _segments(drawn.start, drawn.end)
    probes = _segments(at + normal * _AWAY_MM, at + normal * look_mm)
    probe, line = STRtree(lines).query(probes, predicate="intersects")
    distance = _met(at[probe], normal[probe], drawn.start[line], drawn.end[line])
    real = (line != of[probe]) & (distance > 1e-5)
    probe, line, distance = probe[real], line[real], distance[real]
    order = np.lexsort((distance, probe))
    probe, line, distance = probe[order], line[order], distance[order]
    nearest = np.append(True, np.diff(probe) > 0) if len(probe) else np.zeros(0, dtype=bool)
    probe, line, distance = probe[nearest], line[nearest], distance[nearest]
    cosine = np.einsum("ij,ij->i", direction[probe], drawn.direction[line])
    met = at[probe] + normal[probe] * distance[:, None]
    around = _around(drawn, (at[probe], of[probe]), (met, line))
    tip = (cosine > _PARALLEL) & (around < _TIP * distance)
    facing = (cosine < _FACING) & ~tip
    width = (distance * (1 - cosine) / 2)[facing]
    probe, distance = probe[facing], distance[facing]
    middle = at[probe] + normal[probe] * distance[:, None] / 2
    return Widths(width, middle, along[probe], drawn.ring[of[probe]])


def necks(drawn: Outline, look_mm: float = NECK_LOOK_MM) -> Widths:
    """Material between the point of an inside corner and another cut, as between two notches.

    No sides face each other there, so each stands for `NECK_MM` of outline. Of very many corners
    only every n-th is looked at.
    """
    corners, _ = _bent(drawn)
    corners = corners[:: len(corners) // _CORNERS + 1]
    tree, after = STRtree(_segments(drawn.start, drawn.end)), _next(drawn)
    portions = np.array_split(corners, len(corners) // _CORNERS_AT_ONCE + 1)
    found = [_necks(drawn, tree, some, after[some], look_mm) for some in portions]
    return sum(found[1:], found[0])


def _necks(
    drawn: Outline, tree: STRtree, before: Indices, after: Indices, look_mm: float
) -> Widths:
    """Of the corners between lines `before` and `after`."""
    at = drawn.end[before]
    points = np.asarray(shapely.points(at), dtype=object)
    corner, line = tree.query(points, predicate="dwithin", distance=look_mm)
    met = _nearest(at[corner], drawn.start[line], drawn.end[line])
    way = met - at[corner]
    width = np.hypot(*way.T)
    around = _around(drawn, (at[corner], before[corner]), (met, line))
    inwards = np.zeros(len(corner), dtype=bool)
    for beside in (before, after):
        one = drawn.direction[beside[corner]]
        inwards |= one[:, 0] * way[:, 1] - one[:, 1] * way[:, 0] > 1e-9
    real = np.flatnonzero((width > 1e-5) & (around >= _TIP * width) & inwards)
    first = np.lexsort((width[real], corner[real]))
    real = real[first][np.append(True, np.diff(corner[real][first]) > 0)[: len(real)]]
    middle = (at[corner] + met)[real] / 2
    ring = drawn.ring[before[corner[real]]]
    return Widths(width[real], middle, np.full(len(real), NECK_MM), ring)


def _nearest(at: Points, start: Points, end: Points) -> Points:
    """The place on each line that is nearest to a point."""
    line = end - start
    share = ((at - start) * line).sum(axis=1) / (line * line).sum(axis=1)
    return start + np.clip(share, 0, 1)[:, None] * line


def inside_corners(drawn: Outline) -> Corners:
    """Where the material bends around what is cut away: a round cutter leaves something there.

    The radius of an arc drawn as short lines: their mean length over the angle between them,
    L / (2 sin(a / 2)), within 3 % for arcs of at least eight lines to the quarter.
    """
    sharp, radius_mm = _bent(drawn)
    return Corners(drawn.end[sharp], radius_mm)


def _bent(drawn: Outline) -> tuple[Indices, float | None]:
    """The lines that end in a sharp inside corner, and the smallest radius of other bends."""
    after = _next(drawn)
    one, other = drawn.direction, drawn.direction[after]
    bend = np.degrees(
        np.arctan2(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0], (one * other).sum(axis=1))
    )
    inside = bend < -_STRAIGHT_DEG  # to the right: away from the material on the left
    length = np.hypot(*(drawn.end - drawn.start).T)
    short = np.minimum(length, length[after])
    # A small circle may be drawn with few lines: their bends are corners to nobody.
    sharp = inside & ((bend < -2 * _SHARP_DEG) | ((bend < -_SHARP_DEG) & (short > _SIDE_MM)))
    curved = inside & ~sharp & np.roll(inside & ~sharp, 1)  # a bend alone is no arc
    radius = short / (2 * np.sin(np.radians(np.abs(bend)) / 2) + 1e-12)
    return np.flatnonzero(sharp), float(radius[curved].min()) if curved.any() else None


def _segments(start: Points, end: Points) -> NDArray[np.object_]:
    return np.asarray(shapely.linestrings(np.stack([start, end], axis=1)), dtype=object)


def _next(drawn: Outline) -> Indices:
    """For each line the one that follows it around its ring."""
    first = np.flatnonzero(np.append(True, np.diff(drawn.ring) != 0))
    after = np.arange(1, len(drawn.ring) + 1)
    after[np.append(first[1:], len(drawn.ring)) - 1] = first
    return after


def _sampled(drawn: Outline) -> tuple[Points, Points, Indices]:
    """(points, mm of outline each stands for, number of its line): every line has one at least."""
    length = np.hypot(*(drawn.end - drawn.start).T)
    step = max(_STEP_MM, float(length.sum()) / SAMPLES)
    many = np.maximum(np.ceil(length / step), 1).astype(np.int64)
    of = np.repeat(np.arange(len(many)), many)
    number = np.arange(len(of)) - np.repeat(np.cumsum(many) - many, many)
    share = ((number + 0.5) / many[of])[:, None]
    return drawn.start[of] * (1 - share) + drawn.end[of] * share, length[of] / many[of], of


def _around(drawn: Outline, one: tuple[Points, Indices], other: tuple[Points, Indices]) -> Points:
    """The shorter way along the outline between places on two of its lines; infinite where these
    belong to two outlines.
    """
    length = np.hypot(*(drawn.end - drawn.start).T)
    whole = np.bincount(drawn.ring, weights=length)
    begins = np.cumsum(length) - length
    a, b = (begins[line] + np.hypot(*(at - drawn.start[line]).T) for at, line in (one, other))
    ring, same = drawn.ring[one[1]], drawn.ring[one[1]] == drawn.ring[other[1]]
    way = np.abs(a - b)
    return np.where(same, np.minimum(way, whole[ring] - way), np.inf)


def _met(at: Points, way: Points, start: Points, end: Points) -> Points:
    """How far along its way each probe crosses the line; infinite where they run side by side."""
    line, to = end - start, start - at
    across = way[:, 0] * line[:, 1] - way[:, 1] * line[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (to[:, 0] * line[:, 1] - to[:, 1] * line[:, 0]) / across
    return np.where(np.abs(across) > 1e-12, distance, np.inf)
