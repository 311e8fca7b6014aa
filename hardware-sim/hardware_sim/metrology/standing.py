"""Promises where the bodies of a design were printed: as placed, or found among the beads.
Never takes a placement's last tenth of a millimetre for granted: translations are refined.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology import deposit
from hardware_sim.metrology.body import Body, Standing
from hardware_sim.metrology.edges import Floats, polygons
from hardware_sim.metrology.placement import Placement
from hardware_sim.metrology.pose import Fit, Pose, Trace, best, grade, refined, spread, starts
from hardware_sim.metrology.report import Unmeasurable
from hardware_sim.metrology.solid import Solid, together

LEVELS = 6
POINTS = 1000
GOOD = 0.9
AS_GOOD = 0.01
BED_MM = 1.0  # skirts and brims mostly end below this
CLUSTER_MM = 1.5
ALIKE_MM = 0.5
STRAY = 0.05  # of the usual number of beads of a level
MOST_CLUSTERS = 64
MOST_IN_A_LEVEL = 250_000
FEWEST_BEADS = 20
RAFT_MM = 4.0
RAFT_RIM_MM = 0.8


@dataclass(frozen=True)
class _Made:
    """Beads with their levels, lowest first."""

    beads: Floats
    levels: list[deposit.Rows]

    @property
    def z_mm(self) -> Floats:
        return np.array([float(np.median(self.beads[rows, 4])) for rows in self.levels])

    @property
    def step_mm(self) -> float:
        return deposit.step_mm(self.beads, self.levels)

    def picked(self, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> "_Made":
        beads = self.beads[keep]
        return _Made(beads, deposit.levels(beads))


def find(beads: Floats, bodies: tuple[Solid, ...], placement: Placement) -> list[Standing]:
    """Every body where it stands; raises Unmeasurable when nothing can be laid on anything."""
    made = _Made(beads, deposit.levels(beads))
    if not made.levels:
        raise Unmeasurable("every bead lies on the bed itself: there are no layers to compare")
    if max(map(len, made.levels)) > MOST_IN_A_LEVEL:
        raise Unmeasurable(f"more than {MOST_IN_A_LEVEL} beads on one level")
    whole = Body(together(bodies))
    if placement.given:
        return _placed(made, whole, [copy.pose for copy in placement.copies])
    fit = _lifted(made, whole) if len(bodies) == 1 else _untouched(made, whole)
    if fit.share < GOOD:
        apart = _one_by_one(made, bodies)
        if apart and _mean(apart) > fit.share:
            return apart
        if len(bodies) > 1:
            fit = max(fit, _lifted(made, whole), key=lambda f: f.share)
    return [Standing(whole, fit.pose, fit.share)]


def _mean(standings: list[Standing]) -> float:
    return sum(s.fit for s in standings) / len(standings)


def _placed(made: _Made, body: Body, poses: list[Pose]) -> list[Standing]:
    """As the placement says, or all of it moved to where the beads are."""
    exact = [_as_placed(made, body, pose) for pose in poses]
    if min(s.fit for s in exact) > GOOD:
        return exact
    placed = np.vstack([pose.to_plate(body.hull) for pose in poses])
    box = _reach(made)
    shift = (box.min(axis=0) + box.max(axis=0) - placed.min(axis=0) - placed.max(axis=0)) / 2
    moved = [
        replace(p, dx_mm=p.dx_mm + float(shift[0]), dy_mm=p.dy_mm + float(shift[1])) for p in poses
    ]
    found = [_as_placed(made, body, pose) for pose in moved]
    return max(exact, found, key=_mean)


def _as_placed(made: _Made, body: Body, pose: Pose) -> Standing:
    low, high = body.solid.bounds
    box = pose.of(shapely.box(low[0], low[1], high[0], high[1])).buffer(CLUSTER_MM)
    traces = _traces(made, body, 0.0, box)
    if not traces:
        return Standing(body, pose, 0.0)
    fit = grade(traces, refined(traces, pose, turn=False))
    return Standing(body, fit.pose, fit.share)


# --- one body, or all as one -------------------------------------------------------------------


def _fitted(made: _Made, body: Body, lift_mm: float = 0.0) -> Fit:
    traces = _traces(made, body, lift_mm)
    if not traces:
        return Fit(Pose(dz_mm=lift_mm), 0.0, 0.0)
    return best(traces, _reach(made), body.hull, Pose(dz_mm=lift_mm))


def _untouched(made: _Made, body: Body) -> Fit:
    """All bodies as the file arranges them, moved but not turned."""
    traces = _traces(made, body, 0.0)
    if not traces:
        return Fit(Pose(), 0.0, 0.0)
    start = next(starts(_reach(made), body.hull, Pose()))
    return grade(traces, refined(traces, start, turn=False))


def _reach(made: _Made) -> Floats:
    """Corners of the hull of the beads, without those near the bed and levels of a stray line."""
    count = np.array([len(rows) for rows in made.levels])
    high = (made.z_mm > min(BED_MM, 0.3 * made.z_mm[-1])) & (count > STRAY * np.median(count))
    levels = [made.levels[k] for k in np.flatnonzero(high)] or made.levels
    return shapely.get_coordinates(_hull(made.beads[np.concatenate(levels)]))


def _lifted(made: _Made, body: Body) -> Fit:
    """The best fit, on a raft if there is one."""
    flat = _fitted(made, body)
    lift_mm = _raft_mm(made, body)
    if lift_mm is None:
        return flat
    lifted = _fitted(made, body, lift_mm)
    return lifted if lifted.share > flat.share - AS_GOOD else flat


def _raft_mm(made: _Made, body: Body) -> float | None:
    """How high a raft lifts the body: its lowest level reaches beyond all above it."""
    z_mm, step_mm = made.z_mm, made.step_mm
    lifts = z_mm[: min(14, len(z_mm))] - step_mm
    off = np.abs(z_mm[-1] - lifts - body.height_mm)
    choice = int(off.argmin())
    lift_mm = float(lifts[choice])
    if not 1.5 * step_mm < lift_mm < RAFT_MM or off[choice] > 0.75 * step_mm:
        return None
    base = _hull(made.beads[made.levels[0]])
    first = _hull(made.beads[made.levels[choice]])
    return lift_mm if base.contains(first.buffer(RAFT_RIM_MM)) else None


def _hull(beads: Floats) -> BaseGeometry:
    return shapely.MultiPoint(beads[:, :4].reshape(-1, 2)).convex_hull


def _traces(
    made: _Made, body: Body, lift_mm: float, room: BaseGeometry | None = None
) -> list[Trace]:
    z_mm, step_mm = made.z_mm, made.step_mm
    count = np.array([len(rows) for rows in made.levels])
    top = body.height_mm + lift_mm
    good = (z_mm > lift_mm + 0.5 * step_mm) & (z_mm < top) & (count > 0.3 * np.median(count))
    high = good & (z_mm > lift_mm + min(BED_MM, 0.2 * body.height_mm))
    choice = np.flatnonzero(high if high.any() else good)
    if not len(choice):
        return []
    picked = choice[np.unique(np.linspace(0, len(choice) - 1, LEVELS).round().astype(int))]
    found = [_trace(made, body, level, lift_mm, room) for level in picked.tolist()]
    return [trace for trace in found if trace is not None]


def _trace(
    made: _Made, body: Body, level: int, lift_mm: float, room: BaseGeometry | None
) -> Trace | None:
    z_mm, step_mm = float(made.z_mm[level]), made.step_mm
    rows = made.beads[made.levels[level]]
    if room is not None:
        rows = rows[shapely.contains_xy(room, (rows[:, :2] + rows[:, 2:4]) / 2)]
    if len(rows) < 3:
        return None
    layer = deposit.Layer(z_mm, step_mm, rows[:, :4], rows[:, 5])
    points = spread(rows[:, :4], POINTS)
    lines = np.asarray(shapely.linestrings(rows[:, :4].reshape(-1, 2, 2)), dtype=object)
    section = partial(_section, body, z_mm - step_mm / 2 - lift_mm)
    return Trace(points, lines, float(np.median(layer.widths_mm)) / 2, section)


def _section(body: Body, z_mm: float, _: Pose) -> BaseGeometry:
    return body.plane(z_mm).region


# --- several bodies, moved about the plate ------------------------------------------------------


def _one_by_one(made: _Made, bodies: tuple[Solid, ...]) -> list[Standing]:
    """Clusters of beads, each with the body that fits it best; a lone body may stand many times."""
    rooms = _clusters(made)
    if not 2 <= len(rooms) <= MOST_CLUSTERS:
        return []
    shapes = _shapes(bodies)
    left = list(range(len(shapes)))
    standings: list[Standing] = []
    for room in rooms:
        cluster = made.picked(_within(made.beads, room))
        if len(cluster.beads) < FEWEST_BEADS or not cluster.levels:
            continue
        tries = {k: _fitted(cluster, shapes[k]) for k in _alike(shapes, left, cluster)}
        chosen = max(tries, key=lambda k: tries[k].share, default=None)
        if chosen is None or tries[chosen].share < GOOD:
            continue
        fit = tries[chosen]
        standings.append(Standing(shapes[chosen], fit.pose, fit.share, f"body {chosen + 1}"))
        if len(shapes) > 1:
            left.remove(chosen)
    if len(shapes) > 1:
        standings += [Standing(shapes[k], Pose(), 0.0, f"body {k + 1}") for k in left]
    return standings


def _shapes(bodies: tuple[Solid, ...]) -> list[Body]:
    """A body for each solid; solids that differ by a translation share one."""
    known: dict[bytes, Body] = {}
    return [
        known.setdefault(
            np.round(solid.points - solid.bounds[0], 3).tobytes() + solid.faces.tobytes(),
            Body(solid),
        )
        for solid in bodies
    ]


def _alike(shapes: list[Body], left: list[int], cluster: _Made) -> list[int]:
    """Bodies of about the cluster's height and size; of equal ones only the first."""
    size = float(shapely.minimum_bounding_radius(_hull(cluster.beads)))
    seen: set[tuple[int, ...]] = set()
    found: list[int] = []
    for k in left:
        body = shapes[k]
        radius = float(shapely.minimum_bounding_radius(shapely.MultiPoint(body.hull)))
        key = tuple(round(v * 100) for v in (radius, body.height_mm, body.solid.volume_mm3))
        fits = abs(radius - size) < 0.1 * radius + 2 and key not in seen
        if fits and abs(body.height_mm - cluster.z_mm[-1]) < 1.0:
            found.append(k)
            seen.add(key)
    return found


def _clusters(made: _Made) -> list[BaseGeometry]:
    high = made.beads[made.beads[:, 4] > min(BED_MM, 0.5 * made.z_mm[-1])]
    few = np.unique(np.round(high[:, :4] / ALIKE_MM), axis=0) * ALIKE_MM  # layers repeat
    lines = shapely.linestrings(few.reshape(-1, 2, 2))
    wide = shapely.union_all(shapely.buffer(lines, CLUSTER_MM, quad_segs=1))
    return [shapely.Polygon(p.exterior) for p in polygons(wide)]


def _within(beads: Floats, room: BaseGeometry) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    shapely.prepare(room)
    middle = (beads[:, :2] + beads[:, 2:4]) / 2
    return np.asarray(shapely.contains_xy(room, middle), dtype=bool)
