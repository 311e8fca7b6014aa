"""Promises how the part that a printer's program would build differs from a mesh.
Never reads comments or trusts a layer count: beads are set against sections of the design.

What the figures mean
- *made outline* of a layer: the union of its beads (width from the plastic pushed, rounded
  sides), with every void filled that lies mostly in the design's material (infill is no hole).
- *outline deviation*: the largest distance between made outline and design outline, both
  ways, that lasts over STRETCH_MM of edge. Design details that no bead can make (thinner than
  2 x THIN_MM, gaps narrower than 2 x GAP_MM) are left out. Where a flat face of the design lies
  in the very plane of the section, the plane itself and either side of it are right. The
  difference between the overall sizes of what was made and of the design counts too.
- *flow* of a layer: plastic of the outermost beads against what their distance from the
  design's edge asks for, relative to the program's usual; of the program: plastic of the two
  outermost beads of straight walls against the space between their centres.
- *volume deviation*: the worst of the enclosed volume (made outlines x layer heights against
  the design's sections), the median flow over any WINDOW layers, and the program's flow.
Blind spots: faults shorter than STRETCH_MM of edge; infill and everything inside the second
bead; a flow that is wrong all the way through a program without straight double walls.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology.deposit import Deposit, Layer
from hardware_sim.metrology.edges import Edges, Floats, lasting, polygons, rings, samples
from hardware_sim.metrology.placement import Placement
from hardware_sim.metrology.report import Deviations, Unmeasurable
from hardware_sim.metrology.solid import Slicer, Solid

STRETCH_MM = 1.2
STEP_MM = 0.4
THIN_MM = 0.2
GAP_MM = 0.06
ON_EDGE_MM = 0.03
FLAT_MM = 0.006
APART_MM = 2.0
WINDOW = 10
ISLAND_MM2 = 1.0
LOW_FLOW = 0.8
SPARSE = 0.2
DEEP = 3.0  # bead widths
Section = Callable[[float], BaseGeometry]


@dataclass(frozen=True)
class _LayerFindings:
    z_mm: float
    height_mm: float
    outline_mm: float
    where: tuple[float, float]
    made_mm2: float
    design_mm2: float
    walls: "_Walls"
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)


def compare(
    deposit: Deposit, solid: Solid, placement: Placement
) -> tuple[Deviations, dict[str, object]]:
    """Set a program's beads against a mesh; raises Unmeasurable."""
    if not len(deposit.beads):
        raise Unmeasurable("the program lays down no bead of plastic")
    total_mm = float(np.hypot(*(deposit.beads[:, 2:4] - deposit.beads[:, :2]).T).sum())
    if deposit.rising_mm > 0.2 * total_mm:
        raise Unmeasurable("the beads climb in a spiral: there are no layers to compare")
    slicer = Slicer(solid)
    shift, size_off = _register(deposit.layers(), slicer, placement)

    def section(z_mm: float) -> BaseGeometry:
        return affinity.translate(placement.of(slicer.at(z_mm)), *shift)

    near = _near(deposit, placement, solid, shift)
    layers = deposit.layers(near)
    if not layers:
        raise Unmeasurable("no bead lies where the design would be")
    faces = np.unique(solid.points[:, 2])
    found = [_inspect(layer, section, faces, first=not i) for i, layer in enumerate(layers)]
    flows = _flows(found)
    missing = [m for f in found for m in f.missing] + _gaps(found, flows)
    missing += _top(found[-1], section, solid)
    made_mm3 = sum(f.made_mm2 * f.height_mm for f in found)
    design_mm3 = sum(f.design_mm2 * f.height_mm for f in found)
    figures = {"window": _window_flow_pct(flows), "program": _program_flow_pct(found)}
    volume_pct = 100 * (made_mm3 / design_mm3 - 1) if design_mm3 else math.inf
    worst = max(found, key=lambda f: f.outline_mm)
    deviations = Deviations(
        outline_mm=round(max(worst.outline_mm, size_off), 3),
        volume_pct=round(max(volume_pct, *(f or 0.0 for f in figures.values()), key=abs), 2),
        missing=missing,
        extra=[e for f in found for e in f.extra],
    )
    return deviations, {
        "layers": len(found),
        "height_mm": round(found[-1].z_mm, 3),
        "design_height_mm": round(float(solid.bounds[1][2]), 3),
        "worst_outline": {"z_mm": round(worst.z_mm, 3), "at_mm": worst.where},
        "size_deviation_mm": round(size_off, 3),
        "enclosed_mm3": round(made_mm3, 1),
        "design_mm3": round(design_mm3, 1),
        "enclosed_pct": round(volume_pct, 2),
        "flow_pct": {name: None if f is None else round(f, 2) for name, f in figures.items()},
        "deposited_mm3": round(deposit.pushed_mm3, 1),
        "apart_mm3": round(_volume_mm3(deposit.beads[~near]), 1),
    }


# --- registration ----------------------------------------------------------------------------


def _register(
    layers: list[Layer], slicer: Slicer, placement: Placement
) -> tuple[tuple[float, float], float]:
    """The translation that lays the design on what was made, and by how much sizes differ.

    Median over layers of the distance between bounding boxes, so that a purge line on one
    layer moves nothing; the size is the largest difference that a twentieth of the layers
    (and at least three) show.
    """
    low: list[Floats] = []
    high: list[Floats] = []
    for layer in layers:
        region = _printable(placement.of(slicer.at(layer.z_mm - layer.height_mm / 2)))
        if region.is_empty:
            continue
        box = np.array(region.bounds)
        corners = layer.ends.reshape(-1, 2)
        half = float(np.median(layer.widths_mm)) / 2
        low.append(corners.min(axis=0) - half - box[:2])
        high.append(corners.max(axis=0) + half - box[2:])
    if not low:
        raise Unmeasurable("the program's layers and the design share no height")
    near, far = np.median(low, axis=0), np.median(high, axis=0)
    shift = (near + far) / 2
    rank = min(len(low) - 1, max(3, len(low) // 20))
    sizes = np.sort(np.abs(np.array(high) - np.array(low)), axis=0)[::-1]
    alike = np.abs(np.array(low) - near).max(axis=1) < APART_MM  # layers with a skirt do not count
    kept = np.sort(np.abs(np.array(high) - np.array(low))[alike], axis=0)[::-1]
    sizes = kept if len(kept) > rank else sizes
    return (float(shift[0]), float(shift[1])), float(sizes[rank].max())


def _near(
    deposit: Deposit, placement: Placement, solid: Solid, shift: tuple[float, float]
) -> NDArray[np.bool_]:
    """Beads that belong to the part; skirts and purge lines lie apart from its box."""
    low, high = solid.bounds
    copies = [c.of(shapely.box(low[0], low[1], high[0], high[1])) for c in placement.copies]
    room = affinity.translate(shapely.union_all(copies), *shift).buffer(APART_MM)
    shapely.prepare(room)
    middle = (deposit.beads[:, :2] + deposit.beads[:, 2:4]) / 2
    return shapely.contains_xy(room, middle)


def _volume_mm3(beads: Floats) -> float:
    return float(np.hypot(*(beads[:, 2:4] - beads[:, :2]).T) @ beads[:, 5])


# --- one layer -------------------------------------------------------------------------------


def _printable(region: BaseGeometry) -> BaseGeometry:
    """What beads can make of a region: slits closed, slivers gone."""
    return region.buffer(GAP_MM).buffer(-GAP_MM - THIN_MM).buffer(THIN_MM)


def _beads(layer: Layer) -> BaseGeometry:
    """The union of all beads: runs of equal width are swept as one line."""
    ends, widths = layer.ends, np.maximum(0.02, np.round(layer.widths_mm, 2))
    joined = (np.abs(ends[1:, :2] - ends[:-1, 2:]).max(axis=1) < 1e-4) & (widths[1:] == widths[:-1])
    starts = np.flatnonzero(np.concatenate([[True], ~joined]))
    run = np.cumsum(np.concatenate([[True], ~joined])) - 1
    order = np.concatenate([starts * 2, np.arange(len(ends)) * 2 + 1])
    place = np.argsort(order, kind="stable")
    points = np.concatenate([ends[starts, :2], ends[:, 2:]])[place]
    owner = np.concatenate([np.arange(len(starts)), run])[place]
    lines = shapely.linestrings(points, indices=owner)
    return shapely.union_all(shapely.buffer(lines, widths[starts] / 2, quad_segs=4))


def _skin(layer: Layer, design: BaseGeometry) -> Layer:
    """Without the beads that lie so deep in the material that no outline depends on them."""
    depth = DEEP * float(np.median(layer.widths_mm))
    deep = design.buffer(-depth, quad_segs=2)
    shapely.prepare(deep)
    lines = shapely.linestrings(layer.ends.reshape(-1, 2, 2))
    kept = ~np.asarray(shapely.contains(deep, lines), dtype=bool)
    if not kept.any():
        return layer
    return replace(layer, ends=layer.ends[kept], section_mm2=layer.section_mm2[kept])


def _voids(beads: BaseGeometry) -> NDArray[np.object_]:
    low_x, low_y, high_x, high_y = beads.bounds
    around = shapely.box(low_x - 1, low_y - 1, high_x + 1, high_y + 1)
    return np.array(polygons(shapely.difference(around, beads)), dtype=object)


def _in_material(voids: NDArray[np.object_], design: BaseGeometry) -> NDArray[np.bool_]:
    """Which voids lie mostly in the design's material."""
    shapely.prepare(design)
    inside = np.asarray(shapely.contains(design, voids), dtype=bool)
    open_ones = np.flatnonzero(~inside)
    shared = shapely.area(shapely.intersection(voids[open_ones], design))
    inside[open_ones] = shared > 0.5 * shapely.area(voids[open_ones])
    return inside


def _inspect(layer: Layer, section: Section, faces: Floats, *, first: bool) -> _LayerFindings:
    middle = layer.z_mm - layer.height_mm / 2
    flat = bool((np.abs(faces - middle) < FLAT_MM).any())
    heights = [middle, middle - FLAT_MM, middle + FLAT_MM] if flat else [middle]
    designs = [section(z) for z in heights]
    sure = shapely.intersection_all(designs) if flat else designs[0]
    possible = shapely.union_all(designs) if flat else designs[0]
    beads = _beads(layer if first else _skin(layer, sure))
    voids = _voids(beads)
    filled = _in_material(voids, possible)
    made = shapely.union_all([beads, *voids[filled]])
    design = designs[0]
    if flat:
        design = min(designs, key=lambda d: shapely.area(d.symmetric_difference(made)))
    edges = [Edges(d) for d in designs]
    outline, where = _outline(made, designs, edges)
    walls = _walls(layer, edges[designs.index(design)])
    missing, extra = _islands(made, sure, possible, layer.z_mm)
    if first:
        extra += _holes(voids[filled], design)
    return _LayerFindings(
        layer.z_mm, layer.height_mm, outline, where, made.area, design.area,
        walls, missing, extra,
    )  # fmt: skip


def _outline(
    made: BaseGeometry, designs: list[BaseGeometry], edges: list[Edges]
) -> tuple[float, tuple[float, float]]:
    """Largest lasting distance between made and design outline, and where."""
    worst, where = 0.0, (0.0, 0.0)
    made_edges = Edges(made)
    for ring in rings(_printable(designs[0])):
        points = samples(ring, STEP_MM)
        certain = np.all([e.distance(points) < ON_EDGE_MM for e in edges], axis=0)
        away = np.where(certain, made_edges.distance(points), 0.0)
        worst, where = _worse(worst, where, away, ring, points)
    for ring in rings(made):
        points = samples(ring, STEP_MM)
        away = np.min([e.distance(points) for e in edges], axis=0)
        worst, where = _worse(worst, where, away, ring, points)
    return worst, where


def _worse(
    worst: float,
    where: tuple[float, float],
    away: Floats,
    ring: shapely.LinearRing,
    points: Floats,
) -> tuple[float, tuple[float, float]]:
    if ring.length < STRETCH_MM:
        return worst, where
    lasts = lasting(away, ring.length, STRETCH_MM)
    place = int(lasts.argmax())
    if not math.isfinite(lasts[place]) or lasts[place] <= worst:
        return worst, where
    x, y = points[place].tolist()
    return float(lasts[place]), (round(x, 2), round(y, 2))


def _islands(
    made: BaseGeometry, sure: BaseGeometry, possible: BaseGeometry, z_mm: float
) -> tuple[list[str], list[str]]:
    """Whole pieces of a layer that were not made, or made where there is no design."""
    missing = _alone(_printable(sure), made)
    extra = _alone(made, possible)
    return (
        [f"island of {p.area:.1f} mm² at {_at(p)}, z {z_mm:.2f}" for p in missing],
        [f"island of {p.area:.1f} mm² at {_at(p)}, z {z_mm:.2f}" for p in extra],
    )


def _alone(region: BaseGeometry, other: BaseGeometry) -> list[shapely.Polygon]:
    parts = [p for p in polygons(region) if p.area > ISLAND_MM2]
    if not parts:
        return []
    shared = shapely.area(shapely.intersection(np.array(parts, dtype=object), other))
    return [p for p, both in zip(parts, shared, strict=True) if both < 0.5 * p.area]


def _holes(voids: NDArray[np.object_], design: BaseGeometry) -> list[str]:
    """Voids in a first layer that is laid solid: holes that the design does not have."""
    wide = [v for v in voids if v.buffer(-THIN_MM).area > ISLAND_MM2]
    if sum(v.area for v in wide) > SPARSE * design.area:
        return []
    return [f"hole of {v.area:.1f} mm² at {_at(v)} in the first layer" for v in wide]


def _at(region: BaseGeometry) -> str:
    point = region.representative_point()
    return f"X {point.x:.1f} Y {point.y:.1f}"


# --- flow ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Walls:
    """Beads along the design's edge on one layer; sections are divided by the layer height."""

    outer_share: float | None  # plastic given / due on the outermost beads, median
    straight: bool
    outer: Floats  # rows distance, section/height, length of straight outermost beads
    second: Floats  # the same for straight beads beside those


def _walls(layer: Layer, edges: Edges) -> _Walls:
    height, width = layer.height_mm, float(np.median(layer.widths_mm))
    middle = edges.distance((layer.ends[:, :2] + layer.ends[:, 2:]) / 2)
    close = middle < 1.9 * width
    ends, lengths, middle = layer.ends[close], layer.lengths_mm[close], middle[close]
    start, end = edges.distance(ends[:, :2]), edges.distance(ends[:, 2:])
    along = np.maximum(np.abs(start - middle), np.abs(end - middle))
    given = layer.section_mm2[close] / height
    # The ends of a bead lie on the wall's true line; its middle cuts the corner of a curve.
    due = start + end - height * (1 - math.pi / 4)
    outermost = (middle > 0.3 * width) & (middle < 0.8 * width) & (due > 0)
    beside = middle > 1.1 * width
    straight = (along < 0.003) & (lengths > 1.0)
    rows = np.column_stack([middle, given, lengths])
    shares = np.column_stack([given / np.where(due > 0, due, 1.0), lengths])
    share = _weighted_median(shares[outermost & straight], 5.0)
    curved = _weighted_median(shares[outermost & (along < 0.015)], 3.0)
    return _Walls(
        share if share is not None else curved,
        share is not None,
        rows[outermost & straight],
        rows[beside & straight],
    )


def _weighted_median(rows: Floats, least_mm: float) -> float | None:
    """Median of the first column weighted by the last (lengths); None below `least_mm`."""
    if not len(rows) or rows[:, -1].sum() < least_mm:
        return None
    order = rows[np.argsort(rows[:, 0])]
    heap = np.cumsum(order[:, -1])
    return float(order[np.searchsorted(heap, heap[-1] / 2), 0])


def _flows(found: list[_LayerFindings]) -> list[float | None]:
    """Flow of each layer against the program's usual: straight and curved walls apart."""
    usual: dict[bool, float] = {}
    for straight in (True, False):
        same = [f.walls.outer_share for f in found if f.walls.straight is straight]
        known = [share for share in same if share is not None]
        usual[straight] = float(np.median(known)) if known else 1.0
    shares = [(f.walls.outer_share, usual[f.walls.straight]) for f in found]
    return [None if share is None else share / norm for share, norm in shares]


def _window_flow_pct(flows: list[float | None]) -> float:
    known = np.array([f for f in flows if f is not None])
    if not len(known):
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(known, min(WINDOW, len(known)))
    medians = 100 * (np.median(windows, axis=1) - 1)
    return float(medians[np.abs(medians).argmax()])


def _program_flow_pct(found: list[_LayerFindings]) -> float | None:
    """Plastic on neighbouring wall beads against the space between their centres."""
    outer = np.vstack([f.walls.outer for f in found])
    second = np.vstack([f.walls.second for f in found])
    middles = [_weighted_median(rows, 20.0) for rows in (outer, second)]
    sections = [_weighted_median(rows[:, 1:], 20.0) for rows in (outer, second)]
    if None in (*middles, *sections):
        return None
    near, far = (m or 0.0 for m in middles)
    return 100 * (sum(s or 0.0 for s in sections) / (2 * (far - near)) - 1)


# --- layers that are not there ---------------------------------------------------------------


def _gaps(found: list[_LayerFindings], flows: list[float | None]) -> list[str]:
    """Steps in height that the plastic laid on them does not fill."""
    usual = float(np.median([f.height_mm for f in found]))
    gaps: list[str] = []
    for layer, flow in zip(found, flows, strict=True):
        high = layer.height_mm > (1.3 if flow is not None else 1.8) * usual
        if high and (flow is None or flow < LOW_FLOW):
            below = layer.z_mm - layer.height_mm
            gaps.append(f"layer between z {below:.2f} and {layer.z_mm:.2f}")
    return gaps


def _top(last: _LayerFindings, section: Section, solid: Solid) -> list[str]:
    """Design above the last layer that another layer would have had to make."""
    above = last.z_mm + last.height_mm / 2 + FLAT_MM
    top = float(solid.bounds[1][2])
    if above >= top or _printable(section(above)).area < ISLAND_MM2:
        return []
    return [f"everything between z {last.z_mm:.2f} and {top:.2f}"]
