"""Promises how the part that a mill's or laser's program would free differs from a drawing.
Never reads comments: the swept width of tool or beam is set against the drawing's contours.

What the figures mean
- *removed*: everything the tool (its diameter) or beam (its kerf) sweeps; for a mill at a plane
  a quarter of the thickness down, above any tabs; for a beam where it gets, in all its passes,
  what cuts: weaker lines and fills engrave.
- *outline deviation*: the largest distance of the design's contours from the edge of a cut, as
  far as it lasts over STRETCH_MM. The design is taken as this tool can make it: inside corners
  rounded by its radius; what that leaves in the corners is told apart (`corners_left_mm`).
- *missing*: contours without a cut along them, or along a part of them, or not cut through; holes
  and slots narrower than the tool. Short bridges at the bottom, or of a beam, are tabs.
- *extra*: cuts into the part, rapids included.
Blind spots: cuts that only touch waste; the surface finish and exact depth below "through".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology.drawing import Drawing
from hardware_sim.metrology.edges import Edges, Floats, lasting, polygons, rings, samples
from hardware_sim.metrology.laid import laid
from hardware_sim.metrology.placement import Placement
from hardware_sim.metrology.removed import ENOUGH, WEAK, Removed
from hardware_sim.metrology.report import Deviations, Unmeasurable

Bools = NDArray[np.bool_]
STRETCH_MM = 0.5
STEP_MM = 0.2
MOST_SAMPLES = 200_000
INSIDE_MM, OUTSIDE_MM = 0.6, 1.2  # a cut so near across a contour follows it
SLACK_MM = 0.02  # a slot so much narrower than the tool is as wide
DRILL_MM = 0.1  # a hole so much narrower than the tool is made by it, within tolerance
GRAZE_MM = 0.1
GOUGE_MM2 = 0.2
GAP_MM = 0.25  # a contour open for no more than this is closed
BEAM_TAB_MM = 1.5
MILL_TAB_MM = 15.0
HELD = 0.5  # a contour with more tabs than this is not cut
SLOT_RADII = 4.0  # waste of more square radii than this is no corner but a slot not cut
WEAK_MM = 3.0
SHORTEST_MM = 8.0  # round shorter contours a beam overlaps itself too much to compare
AT_ONCE = 20_000


def compare(
    cut: Removed, drawing: Drawing, placement: Placement
) -> tuple[Deviations, dict[str, object]]:
    """Set what a program removes against a drawing; raises Unmeasurable."""
    if cut.outline.is_empty or not len(cut.paths):
        raise Unmeasurable("nothing is cut deep or strongly enough to free a part")
    lay = laid(cut, drawing, placement)
    design = lay.design
    reach = reachable(design, cut.radius_mm)
    followed = [_Followed(ring, cut) for ring in _contours(reach)]
    judged = _Judged(followed, cut)
    missing = [*_too_narrow(design, reach, cut.radius_mm), *judged.missing()]
    gouges = cut.touched.intersection(design.buffer(-GRAZE_MM))
    outline, where = judged.outline()
    size = [round(high - low, 3) for low, high in np.reshape(design.bounds, (2, 2)).T]
    return Deviations(round(outline, 3), None, missing, _stray(gouges, cut)), {
        "design_parts": len(polygons(design)),
        "design_size_mm": size,
        "design_area_mm2": round(design.area, 2),
        "design_units": lay.drawing.units,
        "compared": "the edges that the swept tool or beam leaves with the drawing's contours",
        "turned_deg": lay.pose.turned_deg,
        "fit": round(lay.fit, 3),
        "worst_outline": {"at_mm": where},
        "corners_left_mm": round(_farthest(reach.difference(design), design), 3),
        "gouged_mm2": round(gouges.area, 3),
        "width_mm": round(2 * cut.radius_mm, 4),
        "depth_mm": cut.depth_mm,
        "thickness_mm": cut.thickness_mm,
        "engraved_mm": cut.engraved_mm,
        "tabs": sum(len(f.tabs) for f in followed),
        "tab_length_mm": round(sum(sum(f.tabs) for f in followed), 1),
    }


# --- what the tool can do ------------------------------------------------------------------------


def reachable(design: BaseGeometry, radius: float) -> BaseGeometry:
    """The design with inside corners as a round tool leaves them, holes that it just fits kept."""
    least = max(radius - SLACK_MM, 0.5 * radius)
    round_ = design.buffer(least, quad_segs=32).buffer(-least, quad_segs=32)
    drill = max(radius - DRILL_MM, 0.5 * radius)
    lost = [h for h in _holes(design) if round_.contains(h.representative_point())]
    kept = [h for h in lost if not h.buffer(-drill).is_empty]
    return round_.difference(shapely.union_all(kept)) if kept else round_


def _holes(region: BaseGeometry) -> list[shapely.Polygon]:
    return [shapely.Polygon(ring) for piece in polygons(region) for ring in piece.interiors]


def _too_narrow(design: BaseGeometry, reach: BaseGeometry, radius: float) -> list[str]:
    """Holes and slots that the tool does not fit into: what is left is no mere corner."""
    holes = shapely.union_all([h for h in _holes(design) if _closed_up(h, reach)])
    left = [p for p in polygons(reach.difference(design)) if p.area > 0.01]
    slots = [p for p in left if p.area > SLOT_RADII * radius**2 and not p.intersects(holes)]
    return [
        *(f"hole of {p.area:.1f} mm² {_at(p)}: too small for the tool" for p in polygons(holes)),
        *(f"slot of {p.area:.1f} mm² {_at(p)}: too small for the tool" for p in slots),
    ]


def _closed_up(hole: shapely.Polygon, reach: BaseGeometry) -> bool:
    return hole.difference(reach).area < 0.05 * hole.area


def _farthest(bits: BaseGeometry, design: BaseGeometry) -> float:
    """How far leftover bits reach from the design's edge into the waste."""
    points = shapely.get_coordinates(bits)
    return float(Edges(design).distance(points).max()) if len(points) else 0.0


# --- along the contours --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Contour:
    """A ring of the reachable design: evenly spaced places, and short lines across it there."""

    length_mm: float
    places: Floats
    probes: NDArray[np.object_]
    name: str


def _contours(reach: BaseGeometry) -> Iterator[_Contour]:
    total = sum(ring.length for ring in rings(reach))
    step = max(STEP_MM, total / MOST_SAMPLES)
    for polygon in polygons(shapely.orient_polygons(reach)):
        for ring in (polygon.exterior, *polygon.interiors):
            hole = ring is not polygon.exterior
            across = min(
                OUTSIDE_MM, 0.3 * shapely.Polygon(ring).area ** 0.5 if hole else OUTSIDE_MM
            )
            places = samples(ring, step)
            along = np.roll(places, -1, axis=0) - np.roll(places, 1, axis=0)
            along /= np.maximum(np.hypot(*along.T), 1e-12)[:, None]
            waste = np.column_stack([along[:, 1], -along[:, 0]])
            ends = np.stack([places - INSIDE_MM * waste, places + across * waste], axis=1)
            probes = np.asarray(shapely.linestrings(ends), dtype=object)
            name = f"contour of {ring.length:.1f} mm {_at(ring)}"
            yield _Contour(ring.length, places, probes, name)


class _Followed:
    """What the cuts do along one contour."""

    def __init__(self, contour: _Contour, cut: Removed) -> None:
        self.contour, self._cut = contour, cut
        self.open = ~_meets(cut.outline, contour.probes)
        self.held = self.open if cut.bottom is cut.outline else ~_meets(cut.bottom, contour.probes)

    @cached_property
    def gaps(self) -> list[float]:
        """Lengths of the stretches without any cut."""
        return self.runs(self.open)

    @cached_property
    def bridges(self) -> list[float]:
        """Lengths of the stretches that are not cut through."""
        return [mm for mm in self.runs(self.held) if mm > GAP_MM]

    @property
    def tabs(self) -> list[float]:
        return [] if self.complaint else self.bridges

    @cached_property
    def complaint(self) -> str:
        """What of this contour is not cut, or nothing."""
        length, beam = self.contour.length_mm, self._cut.beam is not None
        if self.open.mean() > HELD:
            return "not cut"
        if max(self.gaps, default=0.0) > GAP_MM and not (beam and _are_tabs(self.gaps)):
            return f"open for {max(self.gaps):.1f} mm"
        longest = BEAM_TAB_MM if beam else MILL_TAB_MM
        if self.held.mean() > HELD:
            return "not cut through"
        if max(self.bridges, default=0.0) > min(longest, length / 2):
            return f"not cut through for {max(self.bridges):.1f} mm"
        return ""

    def runs(self, marks: Bools) -> list[float]:
        step = self.contour.length_mm / len(marks)
        if marks.all():
            return [self.contour.length_mm]
        turned = np.roll(marks, -int(np.argmin(marks))).astype(np.int8)
        edges = np.flatnonzero(np.diff(np.concatenate([turned, [0]])))
        return [float(b - a) * step for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _are_tabs(gaps: list[float]) -> bool:
    """A beam's bridges are short and more than one; a lone gap was forgotten."""
    return len(gaps) > 1 and max(gaps) <= BEAM_TAB_MM


def _meets(region: BaseGeometry, probes: NDArray[np.object_]) -> Bools:
    shapely.prepare(region)
    return np.asarray(shapely.intersects(region, probes), dtype=bool)


class _Judged:
    """All contours of one part together."""

    def __init__(self, followed: list[_Followed], cut: Removed) -> None:
        self._followed, self._cut = followed, cut

    def outline(self) -> tuple[float, tuple[float, float]]:
        """Largest lasting distance of a contour from the edge of the cut along it, and where."""
        edges, worst, where = Edges(self._cut.outline), 0.0, (0.0, 0.0)
        for one in self._followed:
            if one.complaint == "not cut":
                continue
            away = np.where(one.open, 0.0, edges.distance(one.contour.places))
            lasts = lasting(away, one.contour.length_mm, STRETCH_MM)
            if lasts.max() > worst:
                x, y = one.contour.places[int(lasts.argmax())].tolist()
                worst, where = float(lasts.max()), (round(x, 2), round(y, 2))
        return worst, where

    def missing(self) -> Iterator[str]:
        weak = self._weak()
        for one in self._followed:
            said = one.complaint or weak.get(id(one), "")
            if said:
                yield f"{one.contour.name}: {said}"

    def _weak(self) -> dict[int, str]:
        """Contours that a beam follows with less than it gives to others, or than cuts."""
        beam = self._cut.beam
        if beam is None:
            return {}
        doses = {id(one): self._dose(one) for one in self._followed if not one.complaint}
        long = [one for one in self._followed if one.contour.length_mm > SHORTEST_MM]
        usual = [float(np.quantile(doses[id(o)], 0.3)) for o in long if id(o) in doses]
        usual = usual or [float(np.quantile(dose, 0.3)) for dose in doses.values()]
        need = beam.enough or WEAK * max(usual, default=0.0)
        whole = (beam.enough or 0.0) / ENOUGH or max(usual, default=0.0)
        what = "cuts through here" if beam.enough else "other contours get"
        said: dict[int, str] = {}
        for one in self._followed:
            dose = doses.get(id(one))
            if dose is None:
                continue
            low = dose < need
            if max(one.runs(low & ~one.open), default=0.0) > min(
                WEAK_MM, 0.5 * one.contour.length_mm
            ):
                share = 100 * float(np.median(dose[low])) / whole
                said[id(one)] = f"cut with {share:.0f} % of what {what}"
        return said

    @cached_property
    def _tree(self) -> shapely.STRtree:
        beam = self._cut.beam
        assert beam is not None
        lines = shapely.linestrings(beam.pieces.reshape(-1, 2, 2))
        return shapely.STRtree(np.asarray(lines, dtype=object))

    def _dose(self, one: _Followed) -> Floats:
        beam = self._cut.beam
        assert beam is not None
        nearest = self._tree.query_nearest(shapely.points(one.contour.places), all_matches=False)
        return beam.dose[nearest[1]]


# --- what should not be there --------------------------------------------------------------------


def _stray(gouges: BaseGeometry, cut: Removed) -> list[str]:
    """Cuts into the part that follow no contour."""
    least = min(GOUGE_MM2, 2 * cut.radius_mm)
    return [
        f"cut of {p.area:.2f} mm² into the part {_at(p)}"
        for p in polygons(gouges)
        if p.area > least
    ]


def _at(shape: BaseGeometry) -> str:
    return f"at X {shape.centroid.x:.1f} Y {shape.centroid.y:.1f}"
