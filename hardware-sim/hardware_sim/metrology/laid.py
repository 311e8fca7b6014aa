"""Promises where on the sheet a drawing was cut: any turn, any shift, in units that fit.
Never mirrors and never scales: of all poses the one is taken in which most contours were cut.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology import pose
from hardware_sim.metrology.drawing import Drawing
from hardware_sim.metrology.edges import Edges, Floats, polygons, rings, samples
from hardware_sim.metrology.placement import Placement
from hardware_sim.metrology.pose import Pose, Trace
from hardware_sim.metrology.removed import Removed

MOST_POINTS = 4000
FAR_MM = 0.5
OFF_MM = 0.06  # a contour whose edge is nearer than this was cut there
STEP_MM = 0.5
MOST_SAMPLES = 8000
MOST_TRIED = 24
ALIKE = 0.05  # pieces of an area so near to the part's may be it
LOST = 0.3  # so much of all contours not cut: look at every turn
FINE_BANDS_MM = (0.4, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Laid:
    """The design where it was cut."""

    design: BaseGeometry
    drawing: Drawing
    pose: Pose
    fit: float


@dataclass(frozen=True)
class _Found:
    """A pose with the share of contours cut elsewhere, and how far edges are on average."""

    pose: Pose
    lost: float
    off_mm: float

    @property
    def rank(self) -> tuple[float, float]:
        return round(self.lost, 4), round(self.off_mm, 4)


def laid(cut: Removed, drawing: Drawing, placement: Placement) -> Laid:
    """The design on what was cut, as placed or in the pose that fits best, in units that fit."""
    pieces = _freed(cut)
    drawing = drawing if placement.given else _fitting(drawing, cut)
    design = drawing.material
    if placement.given:
        design = shapely.union_all([copy.pose.of(design) for copy in placement.copies])
    looked = _Look(cut, design)
    found = _moved(looked) if placement.given else _registered(looked, pieces)
    return Laid(found.pose.of(design), drawing, found.pose, 1 - found.lost)


class _Look:
    """What is asked of every pose: do the edges of the cuts lie on the design's contours?"""

    def __init__(self, cut: Removed, design: BaseGeometry) -> None:
        lines = np.asarray(shapely.linestrings(cut.paths.reshape(-1, 2, 2)), dtype=object)
        # The tool's centre goes a radius outside: a radius inside the part grown by its width.
        grown = design.buffer(2 * cut.radius_mm, quad_segs=16)
        points = pose.spread(cut.paths, MOST_POINTS)
        self.design = design
        self.trace = Trace(points, lines, cut.radius_mm, lambda _: grown)
        few = points[:: max(1, len(points) // pose.FEW_POINTS)]
        self.rough = Trace(few, lines, cut.radius_mm, lambda _: grown)
        self.edges = Edges(cut.outline)
        contours = list(rings(design))
        step = max(STEP_MM, sum(r.length for r in contours) / MOST_SAMPLES)
        self._samples = [samples(ring, step) for ring in contours]
        self._weight = np.array([ring.length for ring in contours])

    def seen(self, at: Pose) -> _Found:
        away = self.edges.distance(at.to_plate(np.vstack(self._samples)))
        ends = np.cumsum([len(s) for s in self._samples])[:-1]
        each = np.split(np.minimum(away, FAR_MM), ends)
        lost = np.array([np.median(part) > OFF_MM for part in each])
        total = self._weight.sum()
        off = sum(w * part.mean() for w, part in zip(self._weight, each, strict=True)) / total
        return _Found(at, float(self._weight[lost].sum() / total), float(off))

    def tried(self, start: Pose, *, turn: bool = True) -> _Found:
        near = pose.refined([self.rough], start, turn=turn)
        return self.seen(pose.snapped([self.rough], near) if turn else near)

    def settled(self, found: _Found, *, turn: bool = True) -> _Found:
        """The same pose by every point, if that is no worse."""
        fine = pose.refined([self.trace], found.pose, turn=turn, bands_mm=FINE_BANDS_MM)
        fine = pose.snapped([self.trace], fine) if turn else fine
        better = self.seen(fine)
        return min(better, found, key=lambda f: f.rank)


def _registered(look: _Look, pieces: list[shapely.Polygon]) -> _Found:
    best: _Found | None = None
    for start in islice(_starts(look, pieces), MOST_TRIED):
        found = look.tried(start)
        if best is None or found.rank < best.rank:
            best = found
        if best.lost == 0 and best.off_mm < OFF_MM:
            break
    assert best is not None
    if best.lost > LOST:
        hull = shapely.MultiPoint(look.trace.points).convex_hull
        fit = pose.best([look.rough], _corners(hull), _corners(look.design), Pose())
        best = min(best, look.seen(fit.pose), key=lambda f: f.rank)
    return look.settled(best)


def _starts(look: _Look, pieces: list[shapely.Polygon]) -> Iterator[Pose]:
    """By the piece that is as large as the design's largest, then by all that was cut."""
    largest = max(polygons(look.design), key=lambda p: p.area)
    area = shapely.Polygon(largest.exterior).area
    alike = [p for p in pieces if abs(shapely.Polygon(p.exterior).area / area - 1) < ALIKE]
    alike.sort(key=lambda p: abs(shapely.Polygon(p.exterior).area / area - 1))
    for piece in alike[:2]:
        yield from islice(pose.starts(_corners(piece), _corners(largest), Pose()), MOST_TRIED // 3)
    hull = shapely.MultiPoint(look.trace.points).convex_hull
    yield from pose.starts(_corners(hull), _corners(look.design), Pose())


def _corners(shape: BaseGeometry) -> Floats:
    return shapely.get_coordinates(shape.convex_hull)


def _freed(cut: Removed) -> list[shapely.Polygon]:
    """Pieces that the cuts separate from a stock that is larger than all of them."""
    rest = shapely.box(*cut.outline.buffer(5).bounds).difference(cut.outline)
    low_x, low_y, _, _ = rest.bounds
    return [p for p in polygons(rest) if p.bounds[0] > low_x or p.bounds[1] > low_y]


def _moved(look: _Look) -> _Found:
    """All copies together: as placed, or moved to where the cuts are."""
    exact = look.settled(look.tried(Pose(), turn=False), turn=False)
    ours, theirs = look.trace.points, shapely.get_coordinates(look.design)
    shift = (ours.min(axis=0) + ours.max(axis=0) - theirs.min(axis=0) - theirs.max(axis=0)) / 2
    there = Pose(dx_mm=float(shift[0]), dy_mm=float(shift[1]))
    found = look.settled(look.tried(there, turn=False), turn=False)
    return min(exact, found, key=lambda f: f.rank)


def _fitting(drawing: Drawing, cut: Removed) -> Drawing:
    """The drawing in that one of its possible units that comes nearest to the size cut."""
    hull = shapely.MultiPoint(cut.paths.reshape(-1, 2)).convex_hull
    reach = max(float(shapely.minimum_bounding_radius(hull)) - cut.radius_mm, 1e-6)

    def off(units: str) -> float:
        radius = float(shapely.minimum_bounding_radius(drawing.in_units(units).material))
        return abs(math.log(radius / reach))

    return drawing.in_units(min(drawing.unit_choices, key=off))
