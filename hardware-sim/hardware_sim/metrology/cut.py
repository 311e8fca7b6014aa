"""Promises how the pieces that a mill's or laser's program would free differ from a drawing.
Never reads comments: the swept width of tool or beam is set against the drawing's contours.

What the figures mean
- *removed*: everything the tool (its diameter) or beam (its kerf) sweeps; for a mill at a plane
  a quarter of the thickness down, above any tabs. What remains falls into pieces; those that lie
  mostly in the design's material are the part.
- *outline deviation*: the largest distance between the part's edge and the design's, both ways,
  that lasts over STRETCH_MM. The design is taken as this tool can make it: inside corners
  rounded by its radius; what that leaves in the corners is told apart (`corners_left_mm`).
- *missing*: contours of the design without a cut along at least half of them, or not cut
  through; holes smaller than the tool. *extra*: cuts through or into the part that follow no
  contour of the design, rapids through it included. Uncut bridges at the bottom are tabs.
Blind spots: cuts that only touch waste; the surface finish and exact depth below "through".
"""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology.drawing import Drawing
from hardware_sim.metrology.edges import Edges, Floats, lasting, polygons, rings, samples
from hardware_sim.metrology.placement import Placement
from hardware_sim.metrology.report import Deviations, Unmeasurable
from hardware_sim.metrology.toolpath import Toolpath

STRETCH_MM = 0.5
STEP_MM = 0.2
FAR_MM = 1.0  # a cut farther than this from a contour does not follow it
GRAZE_MM = 0.1
GOUGE_MM2 = 0.2
THROUGH_MM = 0.05
FULL_BEAM = 0.5  # of the program's highest power: weaker beams engrave
SAME_SIZE = 0.02


@dataclass(frozen=True)
class Cut:
    """What a program removes: `outline` decides the shape, `bottom` is cut through."""

    outline: BaseGeometry
    bottom: BaseGeometry
    touched: BaseGeometry
    radius_mm: float
    depth_mm: float | None


def milled(path: Toolpath, tool_mm: float, thickness_mm: float | None) -> Cut:
    """Sweep of a round tool; stock lies between z 0 and -thickness (else the deepest move)."""
    if not len(path.moves) or path.moves[:, [2, 5]].min() >= 0:
        raise Unmeasurable("the tool never goes below the top of the stock")
    deepest = -float(path.moves[:, [2, 5]].min())
    thick = thickness_mm or deepest
    radius = tool_mm / 2
    outline = _swept(path.below(-thick / 4), radius)
    bottom = _swept(path.below(-min(thick, deepest) + THROUGH_MM), radius)
    if deepest < thick - THROUGH_MM:
        bottom = shapely.Polygon()
    return Cut(outline, bottom, _swept(path.below(-0.02), radius), radius, deepest)


def burned(path: Toolpath, kerf_mm: float) -> Cut:
    """Sweep of a beam at cutting power."""
    if not len(path.power) or not path.power.max() > 0:
        raise Unmeasurable("the beam is never on in a feed move")
    full = _swept(path.burning(FULL_BEAM * float(path.power.max())), kerf_mm / 2)
    return Cut(full, full, _swept(path.burning(0.0), kerf_mm / 2), kerf_mm / 2, None)


def _swept(rows: Floats, radius: float) -> BaseGeometry:
    """Union of the moves, each as wide as the tool; plunges are points."""
    if not len(rows):
        return shapely.Polygon()
    joined = np.abs(rows[1:, :2] - rows[:-1, 2:]).max(axis=1) < 1e-6
    starts = np.flatnonzero(np.concatenate([[True], ~joined]))
    run = np.cumsum(np.concatenate([[True], ~joined])) - 1
    order = np.concatenate([starts * 2, np.arange(len(rows)) * 2 + 1])
    place = np.argsort(order, kind="stable")
    points = np.concatenate([rows[starts, :2], rows[:, 2:]])[place]
    owner = np.concatenate([np.arange(len(starts)), run])[place]
    lines = shapely.linestrings(points, indices=owner)
    return shapely.union_all(shapely.buffer(lines, radius, quad_segs=32))


def compare(
    cut: Cut, drawing: Drawing, placement: Placement
) -> tuple[Deviations, dict[str, object]]:
    """Set what a program removes against a drawing; raises Unmeasurable."""
    if cut.outline.is_empty:
        raise Unmeasurable("nothing is cut deep or strongly enough to free a part")
    pieces = _pieces(cut)
    drawing, design, turn = _laid(cut, pieces, drawing, placement)
    reach = _reachable(design, cut.radius_mm)
    part = _part(pieces, design)
    missing = _uncut(design, reach, part, cut)
    outline, where = _outline(reach, part)
    stray = _stray(cut.touched, design, part)
    bounds = part.bounds if not part.is_empty else (0.0, 0.0, 0.0, 0.0)
    return Deviations(round(outline, 3), None, missing, stray), {
        "parts": len(polygons(part)),
        "design_parts": len(polygons(design)),
        "size_mm": [round(bounds[2] - bounds[0], 3), round(bounds[3] - bounds[1], 3)],
        "design_size_mm": [round(v, 3) for v in _size(design)],
        "design_units": drawing.units,
        "turned_deg": turn,
        "area_mm2": round(part.area, 2),
        "design_area_mm2": round(design.area, 2),
        "worst_outline": {"at_mm": where},
        "corners_left_mm": round(_farthest(reach.difference(design), design), 3),
        "gouged_mm2": round(_gouged(cut.touched, design).area, 3),
        "depth_mm": cut.depth_mm,
        **_tabs(cut),
    }


# --- pieces and registration -------------------------------------------------------------------


def _pieces(cut: Cut) -> list[shapely.Polygon]:
    """What the cuts leave of a stock that is larger than all of them."""
    low_x, low_y, high_x, high_y = cut.outline.bounds
    stock = shapely.box(low_x - 5, low_y - 5, high_x + 5, high_y + 5)
    return polygons(stock.difference(cut.outline))


def _laid(
    cut: Cut, pieces: list[shapely.Polygon], drawing: Drawing, placement: Placement
) -> tuple[Drawing, BaseGeometry, float]:
    """The design on what was cut: as placed, or in the quarter turn that fits best."""
    best: tuple[Drawing, BaseGeometry, float] | None = None
    least = math.inf
    for choice in placement.choices():
        scaled, shift = _register(cut, pieces, drawing, choice)
        design = affinity.translate(choice.of(scaled.material), *shift)
        off = design.symmetric_difference(_part(pieces, design)).area / design.area
        if off < least:
            best, least = (scaled, design, choice.copies[0].rotation_deg), off
        if off < SAME_SIZE:
            break
    assert best is not None
    return best


def _register(
    cut: Cut, pieces: list[shapely.Polygon], drawing: Drawing, placement: Placement
) -> tuple[Drawing, tuple[float, float]]:
    """Lay the design on the freed pieces by their common box, in the units that fit.

    Without any freed piece the box of the cuts, less a tool radius each side, is taken.
    """
    low_x, low_y, high_x, high_y = cut.outline.bounds
    rim = shapely.box(low_x - 5, low_y - 5, high_x + 5, high_y + 5).exterior
    free = [p for p in pieces if not p.intersects(rim)]
    box = shapely.union_all(free).bounds
    if not free:
        width = 2 * cut.radius_mm
        box = (low_x + width, low_y + width, high_x - width, high_y - width)
    drawing = _fitting(drawing, placement, (box[2] - box[0], box[3] - box[1]))
    placed = placement.of(drawing.material).bounds
    return drawing, (
        (box[0] + box[2] - placed[0] - placed[2]) / 2,
        (box[1] + box[3] - placed[1] - placed[3]) / 2,
    )


def _fitting(drawing: Drawing, placement: Placement, size: tuple[float, float]) -> Drawing:
    for units in drawing.unit_choices:
        tried = drawing.in_units(units)
        ratios = [m / d for m, d in zip(size, _size(placement.of(tried.material)), strict=True)]
        if all(abs(ratio - 1) < SAME_SIZE for ratio in ratios):
            return tried
    return drawing


def _size(region: BaseGeometry) -> tuple[float, float]:
    low_x, low_y, high_x, high_y = region.bounds
    return high_x - low_x, high_y - low_y


def _reachable(design: BaseGeometry, radius: float) -> BaseGeometry:
    """The design with inside corners as a round tool leaves them."""
    return design.buffer(radius, quad_segs=32).buffer(-radius, quad_segs=32)


def _part(pieces: list[shapely.Polygon], design: BaseGeometry) -> BaseGeometry:
    """Pieces that lie mostly in the design's material."""
    shares = shapely.area(shapely.intersection(np.array(pieces, dtype=object), design))
    return shapely.union_all(
        [p for p, share in zip(pieces, shares, strict=True) if share > 0.5 * p.area]
    )


# --- figures -----------------------------------------------------------------------------------


def _outline(reach: BaseGeometry, part: BaseGeometry) -> tuple[float, tuple[float, float]]:
    """Largest lasting distance between edges that follow each other, and where."""
    worst, where = 0.0, (0.0, 0.0)
    for region, other in ((reach, Edges(part)), (part, Edges(reach))):
        for ring in rings(region):
            points = samples(ring, STEP_MM)
            away = other.distance(points)
            if np.median(away) > FAR_MM:
                continue  # no deviation but a contour of its own: told as missing or extra
            lasts = lasting(away, ring.length, STRETCH_MM)
            if lasts.max() > worst:
                x, y = points[int(lasts.argmax())].tolist()
                worst, where = float(lasts.max()), (round(x, 2), round(y, 2))
    return worst, where


def _uncut(design: BaseGeometry, reach: BaseGeometry, part: BaseGeometry, cut: Cut) -> list[str]:
    """Contours of the design that no cut follows, or that stay closed at the bottom."""
    edges, reached, through = Edges(part), Edges(reach), cut.bottom.buffer(FAR_MM)
    shapely.prepare(through)
    missing: list[str] = []
    for ring in rings(design):
        points = samples(ring, STEP_MM)
        name = f"contour of {ring.length:.1f} mm around {_at(ring)}"
        if np.median(reached.distance(points)) > FAR_MM / 10:
            missing.append(f"{name}: too small for the tool")
        elif np.median(edges.distance(points)) > FAR_MM:
            missing.append(f"{name}: not cut")
        elif shapely.intersects_xy(through, points).mean() < 0.5:
            missing.append(f"{name}: not cut through")
    return missing


def _stray(touched: BaseGeometry, design: BaseGeometry, part: BaseGeometry) -> list[str]:
    """Cuts into the part that follow no contour."""
    edges = Edges(design)
    stray = [
        f"cut of {p.area:.2f} mm² into the part at {_at(p)}"
        for p in polygons(_gouged(touched, design))
        if p.area > GOUGE_MM2
    ]
    holes = [ring for piece in polygons(part) for ring in piece.interiors]
    return stray + [
        f"hole of {shapely.Polygon(ring).area:.2f} mm² at {_at(ring)}"
        for ring in holes
        if np.median(edges.distance(samples(ring, STEP_MM))) > FAR_MM
    ]


def _gouged(touched: BaseGeometry, design: BaseGeometry) -> BaseGeometry:
    """Where the tool or beam was in the part, deeper than a graze along its edge."""
    return touched.intersection(design.buffer(-GRAZE_MM))


def _farthest(bits: BaseGeometry, design: BaseGeometry) -> float:
    """How far leftover bits reach from the design's edge into the waste."""
    points = shapely.get_coordinates(bits)
    return float(Edges(design).distance(points).max()) if len(points) else 0.0


def _tabs(cut: Cut) -> dict[str, object]:
    """Bridges that are cut at the outline's plane but not at the bottom."""
    if cut.bottom.is_empty:
        return {"tabs": 0, "tab_length_mm": 0.0}
    bridges = cut.outline.difference(cut.bottom.buffer(0.02))
    lengths = [p.area / (2 * cut.radius_mm) for p in polygons(bridges)]
    tabs = [length for length in lengths if length > 0.2]
    return {"tabs": len(tabs), "tab_length_mm": round(sum(tabs), 1)}


def _at(shape: BaseGeometry) -> str:
    return f"X {shape.centroid.x:.1f} Y {shape.centroid.y:.1f}"
