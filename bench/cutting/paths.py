"""Offsets, pockets, lead-ins and depths of cuts, drawn from a manner; knows no machine code.

It shares nothing with the product's CAM, so that one mistake cannot hide in both.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

Point = tuple[float, float]
Floats = NDArray[np.float64]
Down = Literal["plunge", "ramp", "helix"]


@dataclass(frozen=True)
class Manner:
    """How one CAM and one person would cut: everything that another might do otherwise."""

    laser: bool
    width_mm: float
    thickness_mm: float = 3.0
    through_mm: float = 0.0
    passes: int = 1
    climb: bool = True
    down: Down = "plunge"
    tabs: int = 0
    tab_mm: float = 4.0
    tab_height_mm: float = 1.0
    lead_mm: float = 0.0
    overlap_mm: float = 0.0
    pockets: bool = False
    whole_passes: bool = False  # all contours once, then all again
    perforated: bool = False
    corners: Literal["round", "mitre"] = "round"
    start: float = 0.0  # share of the ring at which it begins
    side: float = 1.0  # -1: compensation on the wrong side, 0: forgotten, 2: doubled
    turn_deg: float = 0.0
    shift_mm: Point = (0.0, 0.0)
    arcs: bool = False
    inches: bool = False
    relative: bool = False
    numbered: bool = False
    terse: bool = True
    beam: str = "M4"
    off_by_m5: bool = False
    power: float = 900.0
    feed_mm_min: float = 600.0
    engraved: bool = False
    raster: bool = False
    decimals: int = 3


@dataclass(frozen=True)
class Stroke:
    """One go of the tool or beam: rows x, y, z; `gaps` are ways along it that stay uncut."""

    points: Floats
    ring_mm: float = 0.0
    power: float = 1.0
    fast: float = 1.0
    gaps: tuple[tuple[float, float], ...] = field(default=())
    outside: bool = False


def contours(region: shapely.Polygon, manner: Manner) -> Iterator[tuple[shapely.Polygon, bool]]:
    """Closed ways of the tool's centre, holes first; True for outsides. Single points: drills."""
    offset = manner.side * manner.width_mm / 2
    for hole in region.interiors:
        yield from ((p, False) for p in _moved(shapely.Polygon(hole), -offset, manner))
    yield from ((p, True) for p in _moved(shapely.Polygon(region.exterior), offset, manner))


def _moved(shape: shapely.Polygon, by_mm: float, manner: Manner) -> list[shapely.Polygon]:
    style = "mitre" if manner.corners == "mitre" and by_mm > 0 else "round"
    grown = shape.buffer(by_mm, quad_segs=24, join_style=style, mitre_limit=2.0)
    parts = [p for p in shapely.get_parts(grown.simplify(0.003)) if p.area > 1e-6]
    if not parts and by_mm < 0 and shape.buffer(by_mm + 0.03).area > 0:
        return [shape.centroid.buffer(1e-4)]  # as wide as the tool: drilled
    return parts


def strokes(region: shapely.Polygon, manner: Manner) -> list[Stroke]:
    """All strokes of one part, in the order in which they are cut."""
    found = [
        _laser(path, manner, outside) if manner.laser else _mill(path, manner, outside)
        for path, outside in contours(region, manner)
    ]
    if manner.laser and manner.whole_passes:
        return found * manner.passes
    if manner.laser:
        return [stroke for stroke in found for _ in range(manner.passes)]
    if manner.pockets:
        room = [s for h in region.interiors for s in _pocket(shapely.Polygon(h), manner)]
        return [*room, *found]
    return found


def ring_of(path: shapely.Polygon, manner: Manner, outside: bool) -> Floats:
    """The closed way, turned the way the manner cuts and begun where it begins."""
    points = np.asarray(path.exterior.coords)[:, :2]
    clockwise = not shapely.LinearRing(points).is_ccw
    if clockwise != (outside == manner.climb):
        points = points[::-1]
    first = int(manner.start * (len(points) - 1))
    return np.vstack([points[first:-1], points[: first + 1]])


def _lead(ring: Floats, outside: bool, manner: Manner) -> Floats:
    """A point beside the start, on the waste's side, if there is room."""
    along = ring[1] - ring[0]
    across = np.array([-along[1], along[0]]) / max(1e-9, math.hypot(*along))
    for side in (1.0, -1.0):
        place = ring[0] + side * across * manner.lead_mm
        waste = shapely.Polygon(ring)
        line = shapely.LineString([place, ring[0] + side * across * 0.05])
        if waste.disjoint(line) if outside else waste.contains(line):
            return place
    return ring[0]


def _laser(path: shapely.Polygon, manner: Manner, outside: bool) -> Stroke:
    ring = ring_of(path, manner, outside)
    length = float(np.hypot(*np.diff(ring, axis=0).T).sum())
    line = _walked(ring, 0.0, length + min(manner.overlap_mm, length / 3))
    gaps = _spread(length, manner.tabs, manner.tab_mm) if outside else ()
    if manner.perforated and outside and length > 60:
        gaps = tuple((s + 2.0, s + 2.5) for s in np.arange(0, length - 4, 2.5))
    if manner.lead_mm and length > 12:
        lead = _lead(ring, outside, manner)
        shift = math.dist(lead, ring[0])
        gaps = tuple((a + shift, b + shift) for a, b in gaps)
        line = np.vstack([lead, line]) if shift else line
    flat = np.column_stack([line, np.zeros(len(line))])
    return Stroke(flat, length, gaps=gaps, outside=outside)


def _spread(length: float, count: int, wide: float) -> tuple[tuple[float, float], ...]:
    if length < 4 * count * wide:
        return ()
    middles = (np.arange(count) + 0.5) * length / max(1, count)
    return tuple((m - wide / 2, m + wide / 2) for m in middles.tolist())


def _mill(path: shapely.Polygon, manner: Manner, outside: bool) -> Stroke:
    depth = manner.thickness_mm + manner.through_mm
    levels = [-depth * (i + 1) / manner.passes for i in range(manner.passes)]
    if path.area < 1e-4:
        x, y = path.centroid.coords[0]
        pecks = [row for z in levels for row in ((x, y, z), (x, y, 0.5))]
        return Stroke(np.array([(x, y, 0.5), *pecks]), outside=outside)
    ring = ring_of(path, manner, outside)
    length = float(np.hypot(*np.diff(ring, axis=0).T).sum())
    tabs = _spread(length, manner.tabs, manner.tab_mm + manner.width_mm) if outside else ()
    way = list(_descent(ring, length, levels, manner))
    roof = -manner.thickness_mm + manner.tab_height_mm
    rows = _with_tabs(way, tabs, length, roof) if tabs else [(*xy, z) for xy, z, _ in way]
    if manner.lead_mm:
        lead = _lead(ring, outside, manner)
        rows = [(*lead, 0.0), *rows]
    return Stroke(np.array(rows), length, outside=outside)


Step = tuple[tuple[float, float], float, float]  # place, depth, way along the ring


def _descent(ring: Floats, length: float, levels: list[float], manner: Manner) -> Iterator[Step]:
    """Down to each level and around it; a helix goes down all the way round."""
    at, z = 0.0, 0.0
    slope = {"plunge": 0.0, "ramp": min(length, 25.0), "helix": length}[manner.down]
    yield _place(ring, 0.0), 0.0, 0.0
    for level in levels:
        if slope and length > 15:
            yield from _along(ring, at, at + slope, z, level)
            at += slope
        else:
            yield _place(ring, at), level, at
        last = level == levels[-1]
        if manner.down != "helix" or last or length <= 15:
            more = manner.overlap_mm if last else 0.0
            yield from _along(ring, at, at + length + more, level, level)
            at += length
        z = level


def _place(ring: Floats, s: float) -> Point:
    x, y = _walked(ring, s, s)[0].tolist()
    return x, y


def _along(ring: Floats, s0: float, s1: float, z0: float, z1: float) -> Iterator[Step]:
    points = _walked(ring, s0, s1)
    ways = s0 + np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    for (x, y), s in zip(points[1:].tolist(), ways[1:].tolist(), strict=True):
        yield (x, y), z0 + (z1 - z0) * (s - s0) / (s1 - s0), s


def _walked(ring: Floats, s0: float, s1: float) -> Floats:
    """The piece of a closed way between two lengths along it, round and round."""
    ways = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(ring, axis=0).T))])
    turns = np.arange(math.floor(s0 / ways[-1]), math.floor(s1 / ways[-1]) + 1)
    stops = (ways[None, :-1] + turns[:, None] * ways[-1]).ravel()
    stops = np.concatenate([[s0], stops[(stops > s0 + 1e-6) & (stops < s1 - 1e-6)], [s1]])
    inside = np.mod(stops, ways[-1])
    return np.column_stack([np.interp(inside, ways, ring[:, k]) for k in (0, 1)])


def _with_tabs(
    way: list[Step], tabs: tuple[tuple[float, float], ...], length: float, roof: float
) -> list[tuple[float, float, float]]:
    """The same way, lifted to the tabs' roof wherever it would cut them lower."""
    rows = [(*way[0][0], way[0][1])]
    edges = sorted(edge for tab in tabs for edge in tab)
    for (a, za, sa), (b, zb, sb) in pairwise(way):
        if sb <= sa:
            rows.append((*b, zb))
            continue
        turns = range(int(sa // length), int(sb // length) + 1)
        cuts = [e + t * length for t in turns for e in edges if sa < e + t * length < sb]
        for s0, s1 in pairwise([sa, *cuts, sb]):
            middle = (s0 + s1) / 2 % length
            low = any(t0 <= middle <= t1 for t0, t1 in tabs)
            for s in (s0, s1):
                share = (s - sa) / (sb - sa)
                x, y = (a[k] + (b[k] - a[k]) * share for k in (0, 1))
                z = za + (zb - za) * share
                rows.append((x, y, max(z, roof) if low else z))
    return rows


def _pocket(hole: shapely.Polygon, manner: Manner) -> Iterator[Stroke]:
    """Rings from the middle of a hole to near its edge, cleared at each level."""
    rings: list[shapely.Polygon] = []
    inset = manner.width_mm / 2 + 0.4 * manner.width_mm
    while inset < 80:
        parts = [p for p in shapely.get_parts(hole.buffer(-inset)) if p.area > 0.01]
        if not parts:
            break
        rings += parts
        inset += 0.4 * manner.width_mm
    plain = _plain(manner)
    yield from (_mill(ring, plain, outside=False) for ring in reversed(rings))


def _plain(manner: Manner) -> Manner:
    from dataclasses import replace

    return replace(manner, down="plunge", tabs=0, lead_mm=0.0, overlap_mm=0.0)
