"""Promises how the part that a printer's program would build differs from a mesh.
Never reads comments or trusts a layer count: beads are set against sections of the design.

What the figures mean
- *made outline* of a layer: the union of its beads (width from the plastic pushed, rounded
  sides), with every void filled that lies mostly in the design's material (infill is no hole).
- *outline deviation*: the largest distance between made outline and design outline, both ways,
  that lasts over STRETCH_MM of edge. Design details that no bead can make (thinner than 2 x
  THIN_MM, gaps narrower than 2 x GAP_MM) are left out; slits under SLIT_MM close. Where a flat
  face of the design lies in the very plane of the section, the plane itself and either side of it
  are right. The difference between the overall sizes of what was made and of the design counts
  too, and so does the drift of layers against each other.
- *flow* of a layer: plastic of the outermost beads against what their distance from the design's
  edge asks for, relative to the program's usual; of the program: plastic of the two outermost
  beads of straight walls against the space between their centres. M221, where it stays as it is
  set, and up to CALIBRATION_PCT all through are a filament's calibration: told in `flow_pct`, not
  counted.
- *volume deviation*: the worst of the enclosed volume (made outlines x layer heights against the
  design's sections; beads with upright sides and with round ones are both right), the median flow
  over any WINDOW layers, and the program's flow. How much infill there is does not count: a shell
  is compared with a shell.
Blind spots: faults shorter than STRETCH_MM of edge; infill and everything inside the second
bead; a flow that is wrong all the way through a program without straight double walls.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology import beside, deposit, standing
from hardware_sim.metrology.body import FLAT_MM, STEP_MM, THIN_MM, Body, Plane, Standing
from hardware_sim.metrology.deposit import Deposit, Layer
from hardware_sim.metrology.edges import Edges, Floats, lasting, polygons, rings, samples
from hardware_sim.metrology.placement import Placement
from hardware_sim.metrology.report import Deviations, Unmeasurable
from hardware_sim.metrology.solid import Solid

STRETCH_MM = 1.2
ON_EDGE_MM = 0.03
WINDOW = 10
ISLAND_MM2 = 1.0
LOW_FLOW = 0.8
SPARSE = 0.2
SMOOTH_MM = 0.004
DEEP = 2.2  # bead widths
RIM = 1.9  # bead widths
SLIT_MM = 0.14
DRIFT_LAYERS = 3
TWICE = 0.3
SAME_PLACE_MM = 0.02
USUAL = (0.3, 0.7)  # of the layers in order of flow: one of them is as it should be
STRAIGHT_MM = 0.004
CALIBRATION_PCT = 4.5
MOST_NAMED = 40


@dataclass(frozen=True)
class _LayerFindings:
    z_mm: float
    height_mm: float
    outline_mm: float
    where: tuple[float, float]
    made_mm2: tuple[float, float]
    design_mm2: float
    walls: "_Walls"
    size_off_mm: Floats
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Piece:
    """What is found of one standing."""

    standing: Standing
    found: list[_LayerFindings]
    missing: list[str]
    extra: list[str]
    size_off_mm: float
    drift_mm: float
    window_pct: float

    @property
    def worst(self) -> _LayerFindings:
        return max(self.found, key=lambda f: f.outline_mm)

    @property
    def outline_mm(self) -> float:
        return max(self.worst.outline_mm, self.size_off_mm, self.drift_mm)


def compare(
    made: Deposit, bodies: tuple[Solid, ...], placement: Placement
) -> tuple[Deviations, dict[str, object]]:
    """Set a program's beads against the bodies of a design; raises Unmeasurable."""
    if not len(made.beads):
        raise Unmeasurable("the program lays down no bead of plastic")
    if made.rising_mm > 0.2 * float(made.lengths_mm.sum()):
        raise Unmeasurable("the beads climb in a spiral: there are no layers to compare")
    standings = standing.find(made.beads, bodies, placement)
    ordered = beside.sort(made, standings)
    pieces: list[_Piece] = []
    lost: list[str] = []
    for number, one in enumerate(standings):
        beads = made.beads[ordered.owner == number]
        if len(beads):
            pieces.append(_piece(one, beads))
        else:
            lost.append(f"{one.name}: no bead lies where it would be")
    if not pieces:
        raise Unmeasurable("no bead lies where the design would be")
    missing = lost + [m for p in pieces for m in p.missing]
    extra = [e for p in pieces for e in p.extra] + ordered.apart.extra
    volume_pct, told = _volumes(pieces, made.flow_set)
    worst = max(pieces, key=lambda p: p.outline_mm)
    deviations = Deviations(
        outline_mm=round(worst.outline_mm, 3),
        volume_pct=round(volume_pct, 2),
        missing=_named(missing),
        extra=_named(extra),
    )
    volumes = ordered.apart.volume_mm3
    return deviations, {
        "design_inside_out": any(body.inside_out for body in bodies),
        "compared": "bead outlines of every layer with the design's section at its middle; walls' "
        "plastic with their distances; enclosed volume with the design's (infill counts as solid)",
        **_stood(pieces),
        "worst_outline": {"z_mm": round(worst.worst.z_mm, 3), "at_mm": worst.worst.where},
        "size_deviation_mm": round(max(p.size_off_mm for p in pieces), 3),
        "drift_mm": round(max(p.drift_mm for p in pieces), 3),
        **told,
        "deposited_mm3": round(float(made.lengths_mm @ made.beads[:, 5]), 1),
        "apart_mm3": round(sum(volumes.values()), 1),
        "apart": {kind: round(volume, 1) for kind, volume in sorted(volumes.items())},
    }


def _named(faults: list[str]) -> list[str]:
    """The first of them, and how many more there are."""
    more = len(faults) - MOST_NAMED
    return [*faults[:MOST_NAMED], f"and {more} more"] if more > 0 else faults


def _stood(pieces: list[_Piece]) -> dict[str, object]:
    main = max(pieces, key=lambda p: len(p.found))
    return {
        "layers": len(main.found),
        "height_mm": round(main.found[-1].z_mm, 3),
        "design_height_mm": round(main.standing.body.height_mm, 3),
        "copies": len(pieces),
        "turned_deg": main.standing.pose.turned_deg,
        "lifted_mm": round(main.standing.pose.dz_mm, 3),
        "fit": round(min(p.standing.fit for p in pieces), 3),
    }


def _volumes(pieces: list[_Piece], flow_set: float) -> tuple[float, dict[str, object]]:
    found = [f for p in pieces for f in p.found]
    least_mm3, made_mm3 = (sum(f.made_mm2[k] * f.height_mm for f in found) for k in (0, 1))
    design_mm3 = sum(f.design_mm2 * f.height_mm for f in found)
    made_mm3 = min(max(design_mm3, least_mm3), made_mm3)
    enclosed = 100 * (made_mm3 / design_mm3 - 1) if design_mm3 else math.inf
    window = max((p.window_pct for p in pieces), key=abs)
    program = _program_flow_pct(found, flow_set)
    counted = program if program is not None and abs(program) >= CALIBRATION_PCT else 0.0
    worst = max(enclosed, window, counted, key=abs)
    return worst, {
        "enclosed_mm3": round(made_mm3, 1),
        "design_mm3": round(design_mm3, 1),
        "enclosed_pct": round(enclosed, 2),
        "flow_pct": {
            "window": round(window, 2),
            "program": None if program is None else round(program, 2),
            "set": round(100 * flow_set, 2),
        },
    }


# --- one standing ----------------------------------------------------------------------------


def _piece(one: Standing, beads: Floats) -> _Piece:
    pose, body = one.pose, one.body
    own = beads.copy()
    own[:, :2], own[:, 2:4] = pose.to_design(beads[:, :2]), pose.to_design(beads[:, 2:4])
    own[:, 4] -= pose.dz_mm
    layers = deposit.layers(own)
    # one after the other: prepared geometries may not be asked from two threads
    found = [_inspect(layer, body, first=not i) for i, layer in enumerate(layers)]
    missing = [m for f in found for m in f.missing] + _gaps(found) + _top(found[-1], body)
    return _Piece(
        one,
        found,
        missing,
        [e for f in found for e in f.extra],
        _size_off_mm(found),
        _drift_mm(found),
        _window_flow_pct(found),
    )


def _size_off_mm(found: list[_LayerFindings]) -> float:
    """The largest difference of sizes that a twentieth of the layers (at least three) show."""
    off = np.sort(np.array([f.size_off_mm for f in found]), axis=0)[::-1]
    rank = min(len(off) - 1, max(3, len(off) // 20))
    return float(off[rank].max())


def _drift_mm(found: list[_LayerFindings]) -> float:
    """How far layers are shifted against each other, each taken with its neighbours."""
    shifts = np.array([f.walls.shift_mm for f in found if f.walls.shift_mm is not None])
    if len(shifts) < 2 * DRIFT_LAYERS:
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(shifts, DRIFT_LAYERS, axis=0)
    return float(np.ptp(np.median(windows, axis=2), axis=0).max())


# --- one layer -------------------------------------------------------------------------------


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
    lines = shapely.simplify(shapely.linestrings(points, indices=owner), SMOOTH_MM)
    return shapely.union_all(shapely.buffer(lines, widths[starts] / 2, quad_segs=4))


def _skin(layer: Layer, planes: list[Plane]) -> Layer:
    """Without the beads that lie so deep in the material that no outline depends on them."""
    depth = DEEP * float(np.median(layer.widths_mm))
    kept = np.zeros(len(layer.ends), dtype=bool)
    for plane in planes:
        deep = plane.grown(-depth)
        if deep.is_empty:
            return layer
        for ends in (layer.ends[:, :2], (layer.ends[:, :2] + layer.ends[:, 2:]) / 2):
            kept |= ~np.asarray(shapely.contains_xy(deep, ends), dtype=bool)
        kept |= ~np.asarray(shapely.contains_xy(deep, layer.ends[:, 2:]), dtype=bool)
    return _only(layer, kept) if kept.any() else layer


def _only(layer: Layer, kept: NDArray[np.bool_]) -> Layer:
    hanging = None if layer.hanging is None else layer.hanging[kept]
    return replace(
        layer, ends=layer.ends[kept], section_mm2=layer.section_mm2[kept], hanging=hanging
    )


def _hung(layer: Layer, body: Body) -> Layer:
    """The layer with word of the beads that have nothing of the design below them."""
    below = layer.z_mm - 1.5 * layer.height_mm
    if below <= 0:
        return layer
    reach = 0.4 * float(np.median(layer.widths_mm))
    middle = (layer.ends[:, :2] + layer.ends[:, 2:]) / 2
    return replace(layer, hanging=~body.plane(below).holds(middle, reach))


def _voids(beads: BaseGeometry) -> NDArray[np.object_]:
    """What the beads enclose."""
    around = shapely.box(*beads.bounds).buffer(1.0, join_style="mitre")
    found = polygons(shapely.difference(around, beads))
    edge = around.bounds[0]
    return np.array([void for void in found if void.bounds[0] > edge], dtype=object)


def _in_material(voids: NDArray[np.object_], design: BaseGeometry) -> NDArray[np.bool_]:
    """Which voids lie mostly in the design's material."""
    shapely.prepare(design)
    inside = np.asarray(shapely.contains(design, voids), dtype=bool)
    open_ones = np.flatnonzero(~inside)
    shared = shapely.area(shapely.intersection(voids[open_ones], design))
    inside[open_ones] = shared > 0.5 * shapely.area(voids[open_ones])
    return inside


def _inspect(layer: Layer, body: Body, *, first: bool) -> _LayerFindings:
    planes = body.planes(layer.z_mm - layer.height_mm / 2)
    sure, possible = planes[0].region, planes[0].region
    if len(planes) > 1:
        sure = shapely.intersection_all([p.region for p in planes])
        possible = shapely.union_all([p.region for p in planes])
    layer = layer if first else _hung(layer, body)
    beads = _beads(layer if first else _skin(layer, planes))
    voids = _voids(beads)
    filled = _in_material(voids, possible)
    made = _closed(shapely.union_all([beads, *voids[filled]]))
    plane = planes[0]
    if len(planes) > 1:
        plane = min(planes, key=lambda p: shapely.area(p.region.symmetric_difference(made)))
    outline, where = _outline(made, planes)
    missing, extra = _islands(made, sure, possible, layer.z_mm)
    if _repeated_share(_rim(layer, plane)) > TWICE:
        extra.append(f"layer at z {layer.z_mm:.2f} is laid more than once")
    if first:
        extra += _holes(voids[filled], plane.region)
    return _LayerFindings(
        layer.z_mm, layer.height_mm, outline, where, _made_mm2(made, layer.height_mm),
        plane.region.area, _walls(layer, plane), _size_off(made, plane), missing, extra,
    )  # fmt: skip


def _closed(made: BaseGeometry) -> BaseGeometry:
    """Without slits that the plastic on either side would close."""
    return made.buffer(SLIT_MM / 2, quad_segs=4).buffer(-SLIT_MM / 2, quad_segs=4)


def _made_mm2(made: BaseGeometry, height_mm: float) -> tuple[float, float]:
    """With beads whose sides stand upright (Cura's), and with round ones (Slic3r's)."""
    return made.area - made.length * height_mm * (1 - math.pi / 4) / 2, made.area


def _rim(layer: Layer, plane: Plane) -> Layer:
    """The beads beside the design's edge."""
    depth = RIM * float(np.median(layer.widths_mm))
    return _only(layer, ~plane.holds((layer.ends[:, :2] + layer.ends[:, 2:]) / 2, -depth))


def _repeated_share(layer: Layer) -> float:
    """How much of the length of the beads lies exactly on other beads of the layer."""
    if not len(layer.ends):
        return 0.0
    middles = (layer.ends[:, :2] + layer.ends[:, 2:]) / 2
    lengths = layer.lengths_mm
    keys = np.round(np.column_stack([middles, lengths]) / SAME_PLACE_MM).astype(np.int64)
    _, first = np.unique(keys, axis=0, return_index=True)
    return 1 - float(lengths[first].sum() / max(lengths.sum(), 1e-9))


def _size_off(made: BaseGeometry, plane: Plane) -> Floats:
    """By how much the sizes in X and Y differ from what is printable of the design."""
    if plane.printable.is_empty or made.is_empty:
        return np.zeros(2)
    ours, theirs = np.array(made.bounds), np.array(plane.printable.bounds)
    return np.abs((ours[2:] - ours[:2]) - (theirs[2:] - theirs[:2]))


def _outline(made: BaseGeometry, planes: list[Plane]) -> tuple[float, tuple[float, float]]:
    """Largest lasting distance between made and design outline, and where."""
    worst, where = 0.0, (0.0, 0.0)
    made_edges = Edges(made)
    for ring, points in planes[0].outline:
        away = made_edges.distance(points)
        if len(planes) > 1:
            near = [p.edges.distance(points) < ON_EDGE_MM for p in planes]
            away = np.where(np.all(near, axis=0), away, 0.0)
        worst, where = _worse(worst, where, away, ring, points)
    for ring in rings(made):
        points = samples(ring, STEP_MM)
        away = np.min([p.edges.distance(points) for p in planes], axis=0)
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
    missing = _alone(sure.buffer(-THIN_MM), made)
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
    breadth_mm: float  # of the beads along the edge, median
    shift_mm: Floats | None  # how far the outermost beads lie to one side


def _walls(layer: Layer, plane: Plane) -> _Walls:
    edges = plane.edges
    height, width = layer.height_mm, float(np.median(layer.widths_mm))
    middles = (layer.ends[:, :2] + layer.ends[:, 2:]) / 2
    close = ~plane.holds(middles, -RIM * width)
    if layer.hanging is not None:
        close &= ~layer.hanging
    layer, middles = _only(layer, close), middles[close]
    ends, lengths, middle = layer.ends, layer.lengths_mm, edges.distance(middles)
    start, end = edges.distance(ends[:, :2]), edges.distance(ends[:, 2:])
    along = np.maximum(np.abs(start - middle), np.abs(end - middle))
    given = layer.section_mm2 / height
    # The ends of a bead lie on the wall's true line; its middle cuts the corner of a curve.
    due = start + end - height * (1 - math.pi / 4)
    outermost = (middle > 0.3 * width) & (middle < 0.8 * width) & (due > 0)
    beside_it = (middle > 1.1 * width) & (middle < 1.9 * width)
    straight = (along < STRAIGHT_MM) & (lengths > 1.0)
    rows = np.column_stack([middle, given, lengths])
    shares = np.column_stack([given / np.where(due > 0, due, 1.0), lengths])
    share = _weighted_median(shares[outermost & straight], 5.0)
    curved = _weighted_median(shares[outermost & (along < 0.015)], 3.0)
    follows = outermost & (along < 0.2 * width)
    return _Walls(
        share if share is not None else curved,
        share is not None,
        rows[outermost & straight],
        rows[beside_it & straight],
        float(np.median(given)) if len(given) else width,
        _shift_mm(middles[follows], lengths[follows], edges, width),
    )


def _shift_mm(middles: Floats, lengths: Floats, edges: Edges, width: float) -> Floats | None:
    """The translation that explains best how far the outermost beads lie off their line."""
    if lengths.sum() < 10:
        return None
    gap = middles - edges.feet(middles)
    off = np.hypot(*gap.T)
    inward = gap / np.maximum(off, 1e-9)[:, None]
    left = inward.T @ (inward * lengths[:, None])
    if np.linalg.eigvalsh(left)[0] < 0.1 * lengths.sum():
        return None
    return np.linalg.solve(left, inward.T @ (lengths * (off - width / 2)))


def _weighted_median(rows: Floats, least_mm: float) -> float | None:
    """Median of the first column weighted by the last (lengths); None below `least_mm`."""
    if not len(rows) or rows[:, -1].sum() < least_mm:
        return None
    order = rows[np.argsort(rows[:, 0])]
    heap = np.cumsum(order[:, -1])
    return float(order[np.searchsorted(heap, heap[-1] / 2), 0])


def _flows(found: list[_LayerFindings], usual_share: float) -> list[float | None]:
    """Flow of each layer against the program's usual: straight and curved walls apart."""
    usual: dict[bool, float] = {}
    for straight in (True, False):
        same = [f.walls.outer_share for f in found if f.walls.straight is straight]
        known = [share for share in same if share is not None]
        usual[straight] = float(np.quantile(known, usual_share, method="nearest")) if known else 1.0
    shares = [(f.walls.outer_share, usual[f.walls.straight]) for f in found]
    return [None if share is None else share / norm for share, norm in shares]


def _window_flow_pct(found: list[_LayerFindings]) -> float:
    """The worst median over WINDOW layers; with half of them wrong, the median is neither."""
    worst = 0.0
    for usual_share in USUAL:
        known = np.array([f for f in _flows(found, usual_share) if f is not None])
        if not len(known):
            return 0.0
        windows = np.lib.stride_tricks.sliding_window_view(known, min(WINDOW, len(known)))
        medians = 100 * (np.median(windows, axis=1) - 1)
        worst = max(worst, float(medians[np.abs(medians).argmax()]), key=abs)
    return worst


def _program_flow_pct(found: list[_LayerFindings], flow_set: float) -> float | None:
    """Plastic on neighbouring wall beads against the space between their centres."""
    outer = np.vstack([f.walls.outer for f in found])
    second = np.vstack([f.walls.second for f in found])
    middles = [_weighted_median(rows, 20.0) for rows in (outer, second)]
    sections = [_weighted_median(rows[:, 1:], 20.0) for rows in (outer, second)]
    if None in (*middles, *sections):
        return None
    near, far = (m or 0.0 for m in middles)
    return 100 * (sum(s or 0.0 for s in sections) / (2 * (far - near) * flow_set) - 1)


# --- layers that are not there ---------------------------------------------------------------


def _gaps(found: list[_LayerFindings]) -> list[str]:
    """Steps in height that the plastic laid on them does not fill."""
    usual = float(np.median([f.height_mm for f in found]))
    broad = float(np.median([f.walls.breadth_mm for f in found]))
    flows = _flows(found, 0.5)
    flows[0] = found[0].walls.breadth_mm / broad  # a shrunken first layer says nothing by its walls
    gaps: list[str] = []
    for layer, flow in zip(found, flows, strict=True):
        high = layer.height_mm > (1.3 if flow is not None else 1.8) * usual
        if high and (flow is None or flow < LOW_FLOW):
            below = layer.z_mm - layer.height_mm
            gaps.append(f"layer between z {below:.2f} and {layer.z_mm:.2f}")
    return gaps


def _top(last: _LayerFindings, body: Body) -> list[str]:
    """Design above the last layer that another layer would have had to make."""
    above = last.z_mm + last.height_mm / 2 + FLAT_MM
    if above >= body.height_mm or body.plane(above).printable.area < ISLAND_MM2:
        return []
    return [f"everything between z {last.z_mm:.2f} and {body.height_mm:.2f}"]
