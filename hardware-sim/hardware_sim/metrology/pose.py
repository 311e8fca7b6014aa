"""Promises where on the plate a body stands: any turn about Z, any translation, found or given.
Never scales and never mirrors: a part that fits no rigid pose fits none.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology.edges import Edges, Floats, rings, samples

TURNS = 720  # directions in which hulls are compared
ALIKE_MM = 0.4  # turns whose hulls fit nearly as well as the best are tried too
MOST_TURNS = 10
CERTAIN = 0.996  # the first turn that explains so much is taken
SURE = 0.985
BANDS_MM = (3.0, 1.5, 0.8, 0.4, 0.25, 0.15, 0.1)
WIDE_MM = 0.6
MOST_POINTS = 500
TOPS = 2
SCANS = 3  # each about the place that the last one found
FEW_POINTS = 250
FINE = 4  # bands in which the pose that was found is refined with every point
SNAP_DEG = 0.6
SNAP_MM = 0.01


@dataclass(frozen=True)
class Pose:
    """Turned about the design's origin, then moved, then lifted."""

    turn_rad: float = 0.0
    dx_mm: float = 0.0
    dy_mm: float = 0.0
    dz_mm: float = 0.0

    def to_plate(self, points: Floats) -> Floats:
        """(n, 2) points of the design, where they stand."""
        cos, sin = math.cos(self.turn_rad), math.sin(self.turn_rad)
        return points @ np.array([[cos, sin], [-sin, cos]]) + (self.dx_mm, self.dy_mm)

    def to_design(self, points: Floats) -> Floats:
        """(n, 2) points of the plate, in the design's own coordinates."""
        cos, sin = math.cos(self.turn_rad), math.sin(self.turn_rad)
        return (points - (self.dx_mm, self.dy_mm)) @ np.array([[cos, -sin], [sin, cos]])

    def of(self, region: BaseGeometry) -> BaseGeometry:
        """The region where it stands."""
        cos, sin = math.cos(self.turn_rad), math.sin(self.turn_rad)
        return affinity.affine_transform(region, [cos, -sin, sin, cos, self.dx_mm, self.dy_mm])

    @property
    def turned_deg(self) -> float:
        return round(math.degrees(self.turn_rad) % 360, 2) % 360


@dataclass(frozen=True)
class Trace:
    """One level of what was made, to be laid on one section of the design.

    `points` (n, 2) lie on centre lines, `inset_mm` inside the edge that they follow; `lines` are
    the same centre lines as geometry.
    """

    points: Floats
    lines: NDArray[np.object_]
    inset_mm: float
    section: Callable[[Pose], BaseGeometry]

    @cached_property
    def tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.lines)

    @cached_property
    def _known(self) -> dict[int, tuple[BaseGeometry, Edges]]:
        return {}

    def edges(self, pose: Pose) -> tuple[BaseGeometry, Edges]:
        """The section of the design at a pose, and its edges: equal sections are one object."""
        region = self.section(pose)
        if id(region) not in self._known:
            self._known[id(region)] = (region, Edges(region))
        return self._known[id(region)]


@dataclass(frozen=True)
class Fit:
    """A pose and how well it explains the traces: 1 is all points inside, all edges followed."""

    pose: Pose
    inside: float
    followed: float

    @property
    def share(self) -> float:
        return min(self.inside, self.followed)


def best(traces: list[Trace], made_hull: Floats, design_hull: Floats, start: Pose) -> Fit:
    """The rigid pose that explains the traces best; `start` gives the lift and a first turn."""
    fits: list[Fit] = []
    whole, traces = traces, [_thinned(trace) for trace in traces]
    for pose in starts(made_hull, design_hull, start):
        fits.append(grade(traces, snapped(traces, refined(traces, pose))))
        if fits[0].share > CERTAIN or (len(fits) >= 4 and max(f.share for f in fits) > SURE):
            break
    if max(f.share for f in fits) <= SURE:
        tops = [refined(traces, pose) for pose in _by_tops(traces, fits)]
        fits += [grade(traces, snapped(traces, pose)) for pose in tops]
    for _ in range(SCANS):
        if max(f.share for f in fits) > SURE:
            break
        scanned = [snapped(traces, refined(traces, pose)) for pose in _scan(traces, fits)]
        fits += [grade(traces, pose) for pose in scanned]
    top = max(f.inside + f.followed for f in fits)
    found = next(f.pose for f in fits if f.inside + f.followed > top - 0.004)
    return grade(whole, snapped(whole, refined(whole, found, bands_mm=BANDS_MM[-FINE:])))


def _thinned(trace: Trace) -> Trace:
    """With as many points as it takes to tell one pose from another."""
    return replace(trace, points=trace.points[:: max(1, len(trace.points) // FEW_POINTS)])


def spread(paths: Floats, most: int) -> Floats:
    """Points evenly along straight moves (rows x0 y0 x1 y1), about a millimetre apart."""
    ends = np.cumsum(np.hypot(*(paths[:, 2:4] - paths[:, :2]).T))
    count = max(1, min(most, int(ends[-1])))
    places = (np.arange(count) + 0.5) * ends[-1] / count
    row = np.searchsorted(ends, places).clip(0, len(paths) - 1)
    before = np.concatenate([[0.0], ends[:-1]])
    share = (places - before[row]) / np.maximum(ends[row] - before[row], 1e-12)
    return paths[row, :2] + share[:, None] * (paths[row, 2:4] - paths[row, :2])


# --- where to begin --------------------------------------------------------------------------


def starts(made: Floats, design: Floats, start: Pose) -> Iterator[Pose]:
    """The quarter turns, then the turns at which the hulls have the same widths all round."""
    reach_made, centre_made = _reach(made)
    reach, centre = _reach(design)
    quarters = [round(TURNS * k / 4 + TURNS * start.turn_rad / math.tau) % TURNS for k in range(4)]
    errors = np.array([np.std(reach_made - np.roll(reach, turn)) for turn in range(TURNS)])
    low = (errors <= np.roll(errors, 1)) & (errors <= np.roll(errors, -1))
    near = np.flatnonzero(low & (errors < errors.min() + ALIKE_MM))
    near = near[np.argsort(errors[near])][:MOST_TURNS]
    quarters = [quarters[0], *sorted(quarters[1:], key=lambda turn: errors[turn])]
    for turn in dict.fromkeys([*quarters, *near.tolist()]):
        pose = replace(start, turn_rad=math.tau * turn / TURNS, dx_mm=0.0, dy_mm=0.0)
        for shift in _shifts(centre_made - pose.to_plate(centre[None])[0], made, design, pose):
            yield replace(pose, dx_mm=float(shift[0]), dy_mm=float(shift[1]))


def _shifts(by_hull: Floats, made: Floats, design: Floats, pose: Pose) -> Iterable[Floats]:
    """By the centres of the boxes; also by those of the hulls if these differ."""
    placed = pose.to_plate(design)
    by_box = (made.min(axis=0) + made.max(axis=0) - placed.min(axis=0) - placed.max(axis=0)) / 2
    return (by_box,) if math.dist(by_hull, by_box) < 1.0 else (by_box, by_hull)


def _reach(points: Floats) -> tuple[Floats, Floats]:
    """How far a hull reaches from its centre in each direction, and that centre."""
    hull = shapely.MultiPoint(points).convex_hull
    centre = shapely.get_coordinates(hull.centroid)[0]
    angle = math.tau * np.arange(TURNS) / TURNS
    corners = shapely.get_coordinates(hull) - centre
    return (corners @ np.array([np.cos(angle), np.sin(angle)])).max(axis=0), centre


def _by_tops(traces: list[Trace], fits: list[Fit]) -> Iterator[Pose]:
    """The turns tried so far, with the boxes of the highest levels laid on each other.

    Support and brim widen the box of the whole, hardly ever that of the uppermost level.
    """
    for pose in dict.fromkeys(replace(f.pose, dx_mm=0.0, dy_mm=0.0) for f in fits):
        for trace in traces[-TOPS:]:
            section = trace.section(pose)
            if section.is_empty:
                continue
            low_x, low_y, high_x, high_y = pose.of(section).bounds
            middle = (trace.points.min(axis=0) + trace.points.max(axis=0)) / 2
            x, y = middle - ((low_x + high_x) / 2, (low_y + high_y) / 2)
            yield replace(pose, dx_mm=float(x), dy_mm=float(y))


def _scan(traces: list[Trace], fits: list[Fit]) -> Iterator[Pose]:
    """All turns about the best fit's centre, for parts whose hull is as good as round."""
    pose = max(fits, key=lambda f: f.inside + f.followed).pose
    few = [replace(t, points=t.points[:: max(1, len(t.points) // 60)]) for t in traces]
    points = np.vstack([t.points for t in few])
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    pivot = pose.to_design(centre[None])[0]
    scored: list[tuple[float, Pose]] = []
    for degree in range(360):
        turned = replace(pose, turn_rad=math.radians(degree), dx_mm=0.0, dy_mm=0.0)
        shift = centre - turned.to_plate(pivot[None])[0]
        turned = replace(turned, dx_mm=float(shift[0]), dy_mm=float(shift[1]))
        scored.append((_inside(few, turned), turned))
    scored.sort(key=lambda pair: -pair[0])
    return (found for _, found in scored[:4])


# --- refinement ------------------------------------------------------------------------------


def refined(
    traces: list[Trace],
    pose: Pose,
    *,
    turn: bool = True,
    bands_mm: tuple[float, ...] = BANDS_MM,
) -> Pose:
    """Lay centre lines `inset_mm` inside the edges, by least squares on ever nearer points."""
    for band_mm in bands_mm:
        rows, off = _equations(traces, pose, band_mm)
        if len(off) < 12:
            continue
        if not turn:
            rows = rows[:, :2]
        weight = 1 / np.maximum(np.abs(off), 0.03)  # near to the least sum of distances
        left = rows.T @ (rows * weight[:, None]) + 1e-9 * np.eye(rows.shape[1])
        step = np.asarray(np.linalg.solve(left, rows.T @ (off * weight)), dtype=np.float64)
        step = np.append(step, 0.0) if not turn else step
        pose = _stepped(pose, step, traces)
    return pose


def snapped(traces: list[Trace], pose: Pose) -> Pose:
    """The exact quarter turn, where that explains the beads as well."""
    quarter = math.pi / 2 * round(pose.turn_rad / (math.pi / 2))
    if not 0 < abs(pose.turn_rad - quarter) < math.radians(SNAP_DEG):
        return pose
    centre = _centre(traces)
    pivot = pose.to_design(centre[None])[0]
    exact = replace(pose, turn_rad=quarter, dx_mm=0.0, dy_mm=0.0)
    shift = centre - exact.to_plate(pivot[None])[0]
    exact = replace(exact, dx_mm=float(shift[0]), dy_mm=float(shift[1]))
    exact = refined(traces, exact, turn=False)
    return exact if _off_mm(traces, exact) < _off_mm(traces, pose) + SNAP_MM else pose


def _off_mm(traces: list[Trace], pose: Pose) -> float:
    _, off = _equations(traces, pose, 0.3)
    return float(np.abs(off).mean()) if len(off) else math.inf


def _equations(traces: list[Trace], pose: Pose, band_mm: float) -> tuple[Floats, Floats]:
    """Rows (n_x, n_y, lever) and how far the design has to go along n, in plate axes.

    From afar each edge of the design asks for the nearest centre line; from near each centre
    line asks for its edge, which is surer but lets infill pull.
    """
    match = _by_edges if band_mm > WIDE_MM else _by_lines
    rows: list[Floats] = []
    offs: list[Floats] = []
    centre = _centre(traces)
    cos, sin = math.cos(pose.turn_rad), math.sin(pose.turn_rad)
    for trace in traces:
        region, edges = trace.edges(pose)
        if edges.none:
            continue
        local, feet = match(trace, pose, region, edges)
        gap = local - feet
        length = np.hypot(*gap.T)
        sign = np.where(shapely.contains_xy(region, local), 1.0, -1.0)
        off = sign * length - trace.inset_mm
        near = (np.abs(off) < band_mm) & (length > 1e-9)
        inward = gap[near] * (sign[near] / length[near])[:, None]
        normal = inward @ np.array([[cos, sin], [-sin, cos]])
        arm = pose.to_plate(local[near]) - centre
        rows.append(np.column_stack([normal, arm[:, 0] * normal[:, 1] - arm[:, 1] * normal[:, 0]]))
        offs.append(off[near])
    return (np.vstack(rows), np.concatenate(offs)) if rows else (np.empty((0, 3)), np.empty(0))


def _by_lines(trace: Trace, pose: Pose, _: BaseGeometry, edges: Edges) -> tuple[Floats, Floats]:
    """Points of centre lines and their places on the nearest edge, in the design's axes."""
    local = pose.to_design(trace.points)
    return local, edges.feet(local)


def _by_edges(trace: Trace, pose: Pose, region: BaseGeometry, _: Edges) -> tuple[Floats, Floats]:
    """The places on centre lines nearest to points of edges, and those points."""
    points = np.vstack([samples(ring, 1.0) for ring in rings(region)])
    points = points[:: max(1, len(points) // MOST_POINTS)]
    plate = shapely.points(pose.to_plate(points))
    _, line = trace.tree.query_nearest(plate, all_matches=False)
    meet = shapely.get_coordinates(shapely.shortest_line(trace.lines[line], plate))[::2]
    return pose.to_design(meet), points


def _centre(traces: list[Trace]) -> Floats:
    return np.vstack([t.points for t in traces]).mean(axis=0)


def _stepped(pose: Pose, step: Floats, traces: list[Trace]) -> Pose:
    """The design moves after the points: by the shift, and by the turn about the points' centre."""
    turn = float(np.clip(step[2], -0.05, 0.05))
    centre = _centre(traces)
    pivot = pose.to_design(centre[None])[0]
    turned = replace(pose, turn_rad=pose.turn_rad + turn, dx_mm=0.0, dy_mm=0.0)
    shift = centre + step[:2] - turned.to_plate(pivot[None])[0]
    return replace(turned, dx_mm=float(shift[0]), dy_mm=float(shift[1]))


# --- grading ---------------------------------------------------------------------------------


def _inside(traces: list[Trace], pose: Pose) -> float:
    hits, count = 0, 0
    for trace in traces:
        region = trace.section(pose)
        shapely.prepare(region)
        hits += int(shapely.contains_xy(region, pose.to_design(trace.points)).sum())
        count += len(trace.points)
    return hits / max(1, count)


def grade(traces: list[Trace], pose: Pose) -> Fit:
    """How much of the centre lines lies in the design, how much of its edges they follow."""
    followed, count = 0, 0
    for trace in traces:
        points = [samples(ring, 1.0) for ring in rings(trace.section(pose))]
        if not points:
            continue
        plate = pose.to_plate(np.vstack(points))
        near = trace.tree.query(
            shapely.points(plate), predicate="dwithin", distance=2.2 * trace.inset_mm + 0.15
        )
        followed += len(np.unique(near[0]))
        count += len(plate)
    return Fit(pose, _inside(traces, pose), followed / max(1, count))
