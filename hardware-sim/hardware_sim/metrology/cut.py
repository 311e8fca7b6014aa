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

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology.drawing import Drawing
from hardware_sim.metrology.edges import Edges, Floats, lasting, polygons, rings, samples
from hardware_sim.metrology.placement import Placement
from hardware_sim.metrology.pose import Fit, Pose, Trace, best, grade, refined, spread
from hardware_sim.metrology.report import Deviations, Unmeasurable
from hardware_sim.metrology.toolpath import Toolpath

STRETCH_MM = 0.5
STEP_MM = 0.2
FAR_MM = 1.0  # a cut farther than this from a contour does not follow it
GRAZE_MM = 0.1
GOUGE_MM2 = 0.2
THROUGH_MM = 0.05
WEAK = 0.6  # power times passes: what is enough for one contour is for all
FULL_BEAM = 0.5  # of the program's highest power: weaker beams engrave
SAME_SIZE = 0.02
MOST_POINTS = 4000


@dataclass(frozen=True)
class Cut:
    """What a program removes: `outline` decides the shape, `bottom` is cut through."""

    outline: BaseGeometry
    bottom: BaseGeometry
    touched: BaseGeometry
    radius_mm: float
    depth_mm: float | None
    paths: Floats  # of the tool's centre, rows x0 y0 x1 y1
    power: Floats | None = None  # of a beam, along each of the paths


def milled(path: Toolpath, tool_mm: float, thickness_mm: float | None) -> Cut:
    """Sweep of a round tool; stock lies between z 0 and -thickness (else the deepest move)."""
    if not len(path.moves) or path.moves[:, [2, 5]].min() >= 0:
        raise Unmeasurable("the tool never goes below the top of the stock")
    deepest = -float(path.moves[:, [2, 5]].min())
    thick = thickness_mm or deepest
    radius = tool_mm / 2
    paths = path.below(-thick / 4)
    outline = _swept(paths, radius)
    bottom = _swept(path.below(-min(thick, deepest) + THROUGH_MM), radius)
    if deepest < thick - THROUGH_MM:
        bottom = shapely.Polygon()
    return Cut(outline, bottom, _swept(path.below(-0.02), radius), radius, deepest, paths)


def burned(path: Toolpath, kerf_mm: float) -> Cut:
    """Sweep of a beam at cutting power."""
    if not len(path.power) or not path.power.max() > 0:
        raise Unmeasurable("the beam is never on in a feed move")
    least = FULL_BEAM * float(path.power.max())
    paths = path.burning(least)
    full = _swept(paths, kerf_mm / 2)
    return Cut(
        full,
        full,
        _swept(path.burning(0.0), kerf_mm / 2),
        kerf_mm / 2,
        None,
        paths,
        path.burning_power(least),
    )


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
    if cut.outline.is_empty or not len(cut.paths):
        raise Unmeasurable("nothing is cut deep or strongly enough to free a part")
    pieces = _pieces(cut)
    laid = _laid(cut, drawing, placement)
    design = laid.design
    reach = _reachable(design, cut.radius_mm)
    part = _part(pieces, design)
    missing = _uncut(design, reach, part, cut) + _weak(design, cut)
    outline, where = _outline(reach, part)
    stray = _stray(cut.touched, design, part)
    bounds = part.bounds if not part.is_empty else (0.0, 0.0, 0.0, 0.0)
    return Deviations(round(outline, 3), None, missing, stray), {
        "parts": len(polygons(part)),
        "design_parts": len(polygons(design)),
        "size_mm": [round(bounds[2] - bounds[0], 3), round(bounds[3] - bounds[1], 3)],
        "design_size_mm": [round(v, 3) for v in _size(design)],
        "compared": "the edges that the swept tool or beam leaves with the drawing's contours",
        "design_units": laid.drawing.units,
        "turned_deg": laid.pose.turned_deg,
        "fit": round(laid.fit, 3),
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


@dataclass(frozen=True)
class _Laid:
    """The design where it was cut."""

    design: BaseGeometry
    drawing: Drawing
    pose: Pose
    fit: float


def _laid(cut: Cut, drawing: Drawing, placement: Placement) -> _Laid:
    """The design on what was cut, as placed or in the pose that fits best, in units that fit."""
    corners = np.vstack([cut.paths[:, :2], cut.paths[:, 2:]])
    hull = shapely.MultiPoint(corners).convex_hull
    reach = float(shapely.minimum_bounding_radius(hull)) - cut.radius_mm
    drawing = drawing if placement.given else _fitting(drawing, reach)
    design = drawing.material
    if placement.given:
        design = shapely.union_all([copy.pose.of(design) for copy in placement.copies])
    lines = np.asarray(shapely.linestrings(cut.paths.reshape(-1, 2, 2)), dtype=object)
    # The tool's centre goes a radius outside the part: a radius inside the part grown by its width.
    grown = design.buffer(2 * cut.radius_mm, quad_segs=16)
    trace = Trace(spread(cut.paths, MOST_POINTS), lines, cut.radius_mm, lambda _: grown)
    if placement.given:
        fit = _moved(trace, hull, design)
    else:
        shadow = shapely.get_coordinates(grown.convex_hull)
        fit = best([trace], shapely.get_coordinates(hull), shadow, Pose())
    return _Laid(fit.pose.of(design), drawing, fit.pose, fit.share)


def _moved(trace: Trace, hull: BaseGeometry, design: BaseGeometry) -> Fit:
    """All copies together: as placed, or moved to where the cuts are."""
    exact = grade([trace], refined([trace], Pose(), turn=False))
    ours, theirs = np.array(hull.bounds), np.array(design.bounds)
    shift = (ours[:2] + ours[2:] - theirs[:2] - theirs[2:]) / 2
    there = Pose(dx_mm=float(shift[0]), dy_mm=float(shift[1]))
    found = grade([trace], refined([trace], there, turn=False))
    return found if found.share > exact.share + SAME_SIZE else exact


def _fitting(drawing: Drawing, reach_mm: float) -> Drawing:
    """The drawing in those of its possible units that give the size of what was cut."""
    for units in drawing.unit_choices:
        tried = drawing.in_units(units)
        if abs(shapely.minimum_bounding_radius(tried.material) / reach_mm - 1) < SAME_SIZE:
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


def _weak(design: BaseGeometry, cut: Cut) -> list[str]:
    """Contours that the beam follows with much less than it gives to the others."""
    if cut.power is None:
        return []
    lengths = np.hypot(*(cut.paths[:, 2:] - cut.paths[:, :2]).T)
    middles = shapely.points((cut.paths[:, :2] + cut.paths[:, 2:]) / 2)
    contours = list(rings(design))
    given: list[float] = []
    for ring in contours:
        near = shapely.dwithin(ring, middles, cut.radius_mm + 2 * GRAZE_MM)
        given.append(float(lengths[near] @ cut.power[near]) / ring.length)
    most = max(given, default=0.0)
    return [
        f"contour of {ring.length:.1f} mm around {_at(ring)}: cut with {100 * dose / most:.0f} % "
        "of what other contours get"
        for ring, dose in zip(contours, given, strict=True)
        if 0 < dose < WEAK * most
    ]


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
