"""Turns cut-out shapes into strokes of a milling cutter or a laser beam, inside before outside.

It knows geometry only: no machine codes (`post`), no tables (`recipes`), no files.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from fablab_agents.prepare.post import Stroke, Vertex
from fablab_agents.prepare.recipes import Depths

Kind = Literal["hole", "outside", "drill"]
Array = NDArray[np.float64]

SMOOTH_MM = 0.005  # how far a simplified path may leave the true one
FIT_SLACK_MM = 0.002  # a slot exactly as wide as the tool is still a slot
DRILL_SLACK_MM = 0.04  # a round hole this near to the tool's diameter is drilled
ARC_STEPS = 16  # segments per quarter turn of an offset


@dataclass(frozen=True)
class Contour:
    """A closed path of the tool's centre, `ring` (n, 2) with the last point equal to the first."""

    kind: Kind
    ring: Array

    @property
    def length_mm(self) -> float:
        return float(np.hypot(*np.diff(self.ring, axis=0).T).sum())


# ── from shape to contours ───────────────────────────────────────────────────────────────────


def contours(regions: Sequence[Polygon], tool_mm: float) -> tuple[Contour, ...]:
    """The tool-centre paths for these regions (mm), each contour after all that lie inside it.

    `tool_mm` is the width the tool removes: the cutter's diameter or the laser's kerf.
    """
    found = [c for region in regions for c in _of_region(region, tool_mm)]
    return _inner_first(found)


def _of_region(region: Polygon, tool_mm: float) -> Iterator[Contour]:
    for hole in map(Polygon, region.interiors):
        if is_drilled(hole, tool_mm):
            yield Contour("drill", np.array([hole.centroid.coords[0]], dtype=float))
        else:
            yield from _paths("hole", hole, FIT_SLACK_MM - tool_mm / 2)
    yield from _paths("outside", Polygon(region.exterior), tool_mm / 2)


def _paths(kind: Kind, shape: Polygon, offset_mm: float) -> Iterator[Contour]:
    moved = shape.buffer(offset_mm, quad_segs=ARC_STEPS)
    for piece in polygons(moved.simplify(SMOOTH_MM)):
        # Climb milling with a right-hand cutter: clockwise around a part, the other way in a hole.
        ring = orient(piece, 1.0 if kind == "hole" else -1.0).exterior
        yield Contour(kind, np.asarray(ring.coords, dtype=float)[:, :2])


def polygons(shape: BaseGeometry) -> tuple[Polygon, ...]:
    if isinstance(shape, Polygon):
        return () if shape.is_empty else (shape,)
    if isinstance(shape, MultiPolygon):
        return tuple(shape.geoms)
    return tuple(p for part in getattr(shape, "geoms", ()) for p in polygons(part))


def is_drilled(hole: Polygon, tool_mm: float) -> bool:
    """True for a round hole whose diameter is the tool's within 0.04 mm."""
    low_x, low_y, high_x, high_y = hole.bounds
    across = (high_x - low_x, high_y - low_y)
    round_enough = hole.area > 0.97 * math.pi / 4 * across[0] * across[1]
    return round_enough and all(abs(d - tool_mm) <= DRILL_SLACK_MM for d in across)


def _inner_first(found: list[Contour]) -> tuple[Contour, ...]:
    """Nearest next, among those whose inner contours are all done."""
    shapes = [_shape(c) for c in found]
    inside = [_held_by(i, shapes) for i in range(len(found))]
    left, at, ordered = set(range(len(found))), np.zeros(2), list[Contour]()
    while left:
        ready = [i for i in left if not (inside[i] & left)]
        best = min(ready, key=lambda i: (float(np.hypot(*(found[i].ring[0] - at))), i))
        left.discard(best)
        ordered.append(found[best])
        at = found[best].ring[0]
    return tuple(ordered)


def _shape(contour: Contour) -> BaseGeometry:
    return Point(contour.ring[0]) if contour.kind == "drill" else Polygon(contour.ring)


def _held_by(index: int, shapes: list[BaseGeometry]) -> set[int]:
    outer = shapes[index]
    return {
        i
        for i, s in enumerate(shapes)
        if i != index and s.area < outer.area and outer.contains(s.representative_point())
    }


# ── from contours to strokes ─────────────────────────────────────────────────────────────────


def flat_strokes(contours_: Sequence[Contour], passes: int) -> tuple[Stroke, ...]:
    """Strokes for a beam: every contour `passes` times over before the next one."""
    return tuple(
        tuple((float(x), float(y), 0.0) for x, y in c.ring)
        for c in contours_
        for _ in range(passes)
    )


def deep_strokes(contours_: Sequence[Contour], depths: Depths) -> tuple[Stroke, ...]:
    """Strokes for a cutter: each contour down to full depth, ramping in, tabs left outside."""
    return tuple(_drill(c, depths) if c.kind == "drill" else _mill(c, depths) for c in contours_)


def _drill(contour: Contour, depths: Depths) -> Stroke:
    x, y = map(float, contour.ring[0])
    pecks = [((x, y, z), (x, y, 0.5)) for z in depths.passes()]
    return ((x, y, 0.5), *(v for peck in pecks for v in peck))


def _mill(contour: Contour, depths: Depths) -> Stroke:
    ring = Ring(contour.ring)
    tabs = tab_spans(ring, depths) if contour.kind == "outside" else ()
    roof = -depths.thickness_mm + depths.tabs.height_mm
    at, z, stroke = 0.0, 0.0, [(*ring.at(0.0), 0.0)]
    for deeper in depths.passes():
        ramp = _ramp_mm(z - deeper, ring.length_mm, depths)
        slope = _Slope(at, z, at + ramp, deeper)
        # Down the ramp first, then once around at full depth: the ramp itself is cut last.
        for span in ((at, at + ramp), (at + ramp, at + ramp + ring.length_mm)):
            for step in ring.walk(*span, tabs):
                _add(stroke, step, slope, roof)
        at, z = at + ramp, deeper
    return tuple(stroke)


def _ramp_mm(drop_mm: float, length_mm: float, depths: Depths) -> float:
    """Along a long ring a gentle ramp; a ring hardly longer than the tool is plunged into."""
    if length_mm < 2 * depths.tool_mm:
        return 0.0
    return min(drop_mm / math.tan(math.radians(depths.ramp_deg)), length_mm)


@dataclass(frozen=True)
class _Slope:
    """Depth as a function of the way: from z0 at s0 straight to z1 at s1, level from there."""

    s0: float
    z0: float
    s1: float
    z1: float

    def at(self, s: float) -> float:
        if s >= self.s1:
            return self.z1
        return self.z0 + (self.z1 - self.z0) * (s - self.s0) / (self.s1 - self.s0)


@dataclass(frozen=True)
class Step:
    """One straight piece of a ring's path, from way `s0` to `s1`; over a tab or not."""

    s0: float
    s1: float
    end: tuple[float, float]
    tab: bool


def _add(stroke: list[Vertex], step: Step, slope: _Slope, roof: float) -> None:
    floor = roof if step.tab else -math.inf
    first, last = (max(slope.at(s), floor) for s in (step.s0, step.s1))
    x, y, z = stroke[-1]
    if abs(z - first) > 1e-9:
        stroke.append((x, y, first))
    stroke.append((*step.end, last))


class Ring:
    """A closed path, walked by the length of the way, round and round."""

    def __init__(self, points: Array) -> None:
        self.points = points
        self.ways: Array = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        self.length_mm = float(self.ways[-1])

    def at(self, s: float) -> tuple[float, float]:
        s = s % self.length_mm
        x, y = (float(np.interp(s, self.ways, self.points[:, k])) for k in (0, 1))
        return x, y

    def walk(self, start: float, end: float, tabs: Sequence[tuple[float, float]]) -> Iterator[Step]:
        """Straight steps from `start` to `end`, cut at every corner and every tab's edge."""
        edges = [edge for tab in tabs for edge in tab]
        once = np.unique(np.concatenate([self.ways[:-1], np.mod(edges, self.length_mm)]))
        turns = range(int(start // self.length_mm), int(end // self.length_mm) + 1)
        stops = np.concatenate([once + k * self.length_mm for k in turns])
        inner = stops[(stops > start + 1e-6) & (stops < end - 1e-6)]
        for s0, s1 in pairwise([start, *map(float, inner), end] if end > start else []):
            middle = (s0 + s1) / 2 % self.length_mm
            yield Step(s0, s1, self.at(s1), any(_within(middle, t, self.length_mm) for t in tabs))


def _within(s: float, span: tuple[float, float], length_mm: float) -> bool:
    return (s - span[0]) % length_mm < span[1] - span[0]


def tab_spans(ring: Ring, depths: Depths) -> tuple[tuple[float, float], ...]:
    """Spans of way (from, to) that stay up: spread evenly, moved to straight runs near by.

    The cutter's round ends eat into a tab, so a span is a tool's diameter longer than its tab.
    A ring too short for two tabs with room between them gets none.
    """
    width = depths.tabs.width_mm + depths.tool_mm
    count = min(8, 3 + int(ring.length_mm // 400), int(ring.length_mm // (3 * width)))
    if count < 2:
        return ()
    share = ring.length_mm / count
    centres = (
        _straightest(ring, (i + 0.5) * share, share - 2 * width, width) for i in range(count)
    )
    return tuple((c - width / 2, c + width / 2) for c in centres)


def _straightest(ring: Ring, wanted: float, room: float, width: float) -> float:
    """The place within `room` around the wanted one where the path turns least, nearest first."""
    shifts = sorted(np.linspace(-room / 2, room / 2, 21), key=abs)
    return wanted + float(min(shifts, key=lambda d: round(_turn(ring, wanted + d, width), 2)))


def _turn(ring: Ring, centre: float, width: float) -> float:
    """How much (0 to 1) the path between both ends of a tab is longer than the straight line."""
    a, b = ring.at(centre - width / 2), ring.at(centre + width / 2)
    return 1 - math.dist(a, b) / width
