"""Promises which standing each bead belongs to, and what the beads of none of them are.
Never drops a bead unsaid: what is not the part's is told by kind, or as extra.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology import apart, deposit
from hardware_sim.metrology.apart import BLOB_MM2, Apart, Bools
from hardware_sim.metrology.body import Plane, Standing, footprint
from hardware_sim.metrology.edges import Floats

SURELY_MM = 0.02  # the middle of an honest bead lies half its width inside the design
NEAR_MM = 0.35  # a bead so near is the part's own, printed wrong
FIRST_SHARE = 0.2  # of the bead's width: the margin on the first level, where a brim may follow
BED_RISE_MM = 0.15
TOP_MM = 0.05
ALL_OF_IT = 0.97
WEAK = 0.3  # of the neighbours: a level with so little of the part may be support's own
MOSTLY = 0.3
NONE = -1


@dataclass(frozen=True)
class Sorted:
    """For each bead the standing that it belongs to (NONE: beside them all)."""

    owner: NDArray[np.int64]
    apart: Apart


def sort(made: deposit.Deposit, standings: Sequence[Standing]) -> Sorted:
    """Give every bead to a standing, or to what is apart."""
    beads = made.beads
    owner = np.full(len(beads), NONE, dtype=np.int64)
    carried = np.zeros(len(beads), dtype=bool)
    levels = deposit.levels(beads)
    for number, standing in enumerate(standings):
        _claim(number, standing, beads, levels, owner, carried)
    _between_layers(made, levels, owner, carried)
    beside = Apart()
    lift_mm = min(s.pose.dz_mm for s in standings)
    foreign = owner == NONE
    raft = foreign & (beads[:, 4] <= lift_mm + deposit.Z_STEP_MM)
    if raft.any() and lift_mm > 0:
        beside.add("raft", made.volume_mm3(raft))
    part = footprint(standings)
    first_mm = _first_mm(beads, owner, lift_mm)
    for rows in levels:
        rest = rows[foreign[rows] & ~raft[rows]] if lift_mm > 0 else rows[foreign[rows]]
        if len(rest):
            _explain(made, rest, carried[rest], part, first_mm, beside)
    return Sorted(owner, beside)


def _between_layers(
    made: deposit.Deposit, levels: list[deposit.Rows], owner: NDArray[np.int64], carried: Bools
) -> None:
    """Support has levels of its own: what of it reaches into the design there is not the part's."""
    z_mm = np.array([float(np.median(made.beads[rows, 4])) for rows in levels])
    lengths = made.lengths_mm
    own = np.array([float(lengths[rows[owner[rows] != NONE]].sum()) for rows in levels])
    held = np.array([bool(carried[rows].any()) for rows in levels])
    around = np.maximum(np.append(own[1:], 0.0), np.append(0.0, own[:-1]))
    weak = held & (own > 0) & (own < WEAK * around)
    strong = np.flatnonzero(~weak & (own > 0))
    if not weak.any() or len(strong) < 3:
        return
    step_mm = float(np.median(np.diff(z_mm[strong])))
    for level in np.flatnonzero(weak):
        place = int(np.searchsorted(strong, level))
        if not 0 < place < len(strong):
            continue
        if z_mm[strong[place]] - z_mm[strong[place - 1]] < 1.5 * step_mm:
            rows = levels[level]
            rows = rows[owner[rows] != NONE]
            owner[rows], carried[rows] = NONE, True


def _first_mm(beads: Floats, owner: NDArray[np.int64], lift_mm: float) -> float:
    """Up to what height beads lie on the bed."""
    if lift_mm > 0 or not (owner != NONE).any():
        return float(beads[:, 4].min()) + BED_RISE_MM
    return float(beads[owner != NONE, 4].min()) + BED_RISE_MM


def _claim(
    number: int,
    standing: Standing,
    beads: Floats,
    levels: list[deposit.Rows],
    owner: NDArray[np.int64],
    carried: Bools,
) -> None:
    """The beads of one standing, level by level; `carried` are those that its overhangs explain."""
    pose, body = standing.pose, standing.body
    step_mm = deposit.step_mm(beads, levels)
    room = pose.of(shapely.Polygon(body.hull)).buffer(3.0)
    shapely.prepare(room)
    middle = (beads[:, :2] + beads[:, 2:4]) / 2
    about = np.asarray(shapely.contains_xy(room, middle), dtype=bool)
    free = about & (owner == NONE) & (beads[:, 4] > pose.dz_mm + deposit.Z_STEP_MM)
    first = True
    for rows in levels:
        some = rows[free[rows]]
        z_mm = float(np.median(beads[rows, 4])) - pose.dz_mm
        if not len(some):
            continue
        places = pose.to_design(middle[some])
        height_mm = z_mm if first else step_mm
        width = float(np.median(beads[some, 5])) / max(height_mm, 0.02)
        margin = FIRST_SHARE * min(width, 1.0) if first else NEAR_MM
        planes = body.planes(z_mm - height_mm / 2)
        if first and len(planes) > 1:
            planes = [_followed(planes, pose.to_design(beads[some, :4].reshape(-1, 2)), width / 2)]
        surely = _in(planes, places, SURELY_MM)
        if not first and not surely.all():
            planes = [body.plane(z_mm - TOP_MM), *planes]
            surely = _in(planes, places, SURELY_MM)
        near = _in(planes, places, margin)
        outside = ~surely
        shaded = np.zeros(len(some), dtype=bool)
        shaded[outside] = body.overhangs.above(places[outside], np.full(outside.sum(), z_mm))
        owner[some[surely | (near & ~shaded)]] = number
        carried[some[shaded]] = True
        first = first and not near.any()


def _followed(planes: list[Plane], ends: Floats, inset_mm: float) -> Plane:
    """The section that the slicer took where a flat face lies in it: beads run along its edges."""
    beads = np.asarray(shapely.linestrings(ends.reshape(-1, 2, 2)), dtype=object)
    lines = shapely.STRtree(beads)

    def off_mm(plane: Plane) -> float:
        points = [points for _, points in plane.outline]
        if not points:
            return math.inf
        _, away = lines.query_nearest(
            shapely.points(np.vstack(points)), return_distance=True, all_matches=False
        )
        return float(np.minimum(np.abs(away - inset_mm), 1.0).mean())

    return min(planes, key=off_mm)


def _in(planes: list[Plane], places: Floats, by_mm: float) -> Bools:
    return np.any([plane.holds(places, by_mm) for plane in planes], axis=0)


def _explain(
    made: deposit.Deposit,
    rows: deposit.Rows,
    carried: Bools,
    part: BaseGeometry,
    first_mm: float,
    beside: Apart,
) -> None:
    """Say what the foreign beads of one level are."""
    beads = made.beads[rows]
    lengths = np.hypot(*(beads[:, 2:4] - beads[:, :2]).T)
    volume = lengths * beads[:, 5]
    if carried @ lengths >= ALL_OF_IT * lengths.sum():
        beside.add("support", float(volume.sum()))
        return
    z_mm = float(np.median(beads[:, 4]))
    middle = (beads[:, :2] + beads[:, 2:4]) / 2
    for patch in apart.patches(beads):
        held = np.asarray(shapely.intersects_xy(patch, middle), dtype=bool)
        kind = _kind(patch, carried[held], lengths[held], part, low=z_mm <= first_mm)
        if kind is None and patch.area > BLOB_MM2:
            beside.extra.append(apart.told(patch, z_mm))
        beside.add(kind or "extra", float(volume[held].sum()))


def _kind(
    patch: shapely.Polygon, carried: Bools, lengths: Floats, part: BaseGeometry, *, low: bool
) -> str | None:
    if lengths.sum() > 0 and carried @ lengths >= MOSTLY * lengths.sum():
        return "support"
    return apart.on_the_bed(patch, part) if low else apart.above_the_bed(patch, part)
