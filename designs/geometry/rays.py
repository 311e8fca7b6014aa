"""Straight rays through a part along x, y and z: where they are inside of it, and where between.

What one would do with calipers and a feeler gauge, some hundred thousand times. It never takes more
than a bounded number of rays, and says how far apart they are.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from designs.geometry.mesh import Indices, Mesh, Points, corners_of
from designs.geometry.raster import fragments, portions

CROSSINGS = 300_000  # along each axis, about
_MANY = 200_000  # triangles; of a mesh of more, fewer rays are taken
_ROWS = 1_000_000  # of all triangles along each axis, about
_FINEST = 400  # rays along the longer side of the part
_TOUCH_MM = 0.01  # pieces closer than this are one
_FACING = -0.9  # cosine between the normals of both sides of a wall: 26 degrees off parallel
_TIE = 1e-5  # two axes are faced alike at 45 degrees, whatever a file's rounding says
# So that rays seldom meet an edge of round numbers: neither each, nor their sum or difference.
_OFF_GRID = (0.3819660113, 0.7320508076)


@dataclass(frozen=True, eq=False)
class Stretches:
    """What lies between two facing surfaces: material (a wall) or air (a gap).

    `width_mm` (n,) across; `middle` (n, 3); `area_mm2` (n,) of the first surface that each stands
    for; `faces` (n, 2) numbers of both triangles.
    """

    width_mm: Points
    middle: Points
    area_mm2: Points
    faces: Indices

    def narrowest_mm(self, least_mm2: float) -> float | None:
        """The width below which `least_mm2` of surface lie; None where there is less in all."""
        order = np.argsort(self.width_mm, kind="stable")
        up_to = np.searchsorted(np.cumsum(self.area_mm2[order]), least_mm2)
        return float(self.width_mm[order[up_to]]) if up_to < len(order) else None

    def under(self, width_mm: float) -> "Stretches":
        return self.only(self.width_mm < width_mm)

    def only(self, chosen: NDArray[np.bool_]) -> "Stretches":
        return Stretches(
            self.width_mm[chosen], self.middle[chosen], self.area_mm2[chosen], self.faces[chosen]
        )


@dataclass(frozen=True, eq=False)
class Probed:
    """`apart_mm`: between two rays at worst; what is narrower across than that can be missed.

    `doubled_mm3` is where shells overlap, `inside_out_mm3` where a surface is turned the wrong way,
    both by the rays along z. `lost` is the share of rays that met a gap in the surface.
    """

    walls: Stretches
    gaps: Stretches
    apart_mm: float
    doubled_mm3: float
    inside_out_mm3: float
    lost: float


def probed(mesh: Mesh, crossings: int = CROSSINGS) -> Probed:
    """The part measured along all three axes; the same mesh gives the same answer.

    Each spot of the surface is measured along the axis it faces most, so under 55 degrees. A wall
    with parallel sides comes out exactly, whatever its direction; one with curved or tapered sides
    square to the side that faces the axis more: a tube exactly, a round rod up to 6 % too thin.
    What is as thick as wide and lies at some 45 degrees is not measured: no ray meets two opposite
    sides of it.
    """
    crossings = min(crossings, CROSSINGS * _MANY // max(len(mesh.faces), _MANY))
    _ = mesh.each, mesh.bounds_mm  # once, before threads ask for them
    with ThreadPoolExecutor(2) as pool:  # numpy computes without Python's lock
        found = list(pool.map(lambda axis: _along(mesh, axis, crossings), range(3)))
    return Probed(
        walls=_together([f.walls for f in found]),
        gaps=_together([f.gaps for f in found]),
        apart_mm=max(f.apart_mm for f in found),
        doubled_mm3=found[2].doubled_mm3,
        inside_out_mm3=found[2].inside_out_mm3,
        lost=max(f.lost for f in found),
    )


def _together(parts: list[Stretches]) -> Stretches:
    return Stretches(
        np.concatenate([p.width_mm for p in parts]),
        np.concatenate([p.middle for p in parts]),
        np.concatenate([p.area_mm2 for p in parts]),
        np.concatenate([p.faces for p in parts]),
    )


@dataclass(frozen=True, eq=False)
class _Hits:
    """Where rays meet the surface, ray by ray from low to high; `step` is +1 where one goes in."""

    ray: Indices
    depth: Points
    face: Indices
    step: Indices
    turn: Indices  # how often the part lies around the ray beyond this place


def _along(mesh: Mesh, axis: int, crossings: int) -> Probed:
    flat = [(axis + 1) % 3, (axis + 2) % 3]
    each, low = mesh.each, mesh.bounds_mm[0]
    reaches = [(each.low[i] - low[i], each.high[i] - low[i]) for i in flat]
    towards, lean = each.normal, each.normal[axis]
    pitch = _pitch(float(np.abs(lean) @ each.area_mm2), reaches, crossings)
    px = int(max(float(high.max()) for _, high in reaches) / pitch) + 2
    u, v = (
        (mesh.vertices[:, i] - low[i]) / pitch + off for i, off in zip(flat, _OFF_GRID, strict=True)
    )
    seen = np.column_stack([u, v, mesh.vertices[:, axis]])
    hits, lost = _hits(seen, mesh.faces, _meeting(reaches, pitch), lean, px)

    def stretches(first: NDArray[np.bool_]) -> Stretches:
        at = np.flatnonzero(first)
        one, other = hits.face[at], hits.face[at + 1]
        middle = np.empty((len(at), 3))
        column, row = hits.ray[at] % px, hits.ray[at] // px
        for place, cell, off in ((flat[0], column, 0), (flat[1], row, 1)):
            middle[:, place] = (cell + 0.5 - _OFF_GRID[off]) * pitch + low[place]
        middle[:, axis] = (hits.depth[at] + hits.depth[at + 1]) / 2
        steeper = np.maximum(np.abs(lean[one]), np.abs(lean[other]))
        width = (hits.depth[at + 1] - hits.depth[at]) * steeper
        faces = np.column_stack([one, other])
        # Each spot belongs to the axis that both its sides face most, of equal ones to the first,
        # and a wall or gap has two facing sides.
        faced = np.abs(towards[:, one] - towards[:, other])
        most = np.argmax(faced >= faced.max(axis=0) * (1 - _TIE), axis=0)
        mine = (most == axis) & ((towards[:, one] * towards[:, other]).sum(axis=0) < _FACING)
        area = pitch**2 / np.maximum(np.abs(lean[one]), 1e-9)
        return Stretches(width[mine], middle[mine], area[mine], faces[mine])

    same = hits.ray[1:] == hits.ray[:-1]
    longer = np.diff(hits.depth)
    into, out_of = hits.step[:-1] > 0, hits.step[:-1] < 0
    inside = same & into & (hits.turn[:-1] == 1) & (hits.turn[1:] == 0)
    between = same & out_of & (hits.turn[:-1] == 0) & (hits.turn[1:] == 1)
    doubled, turned = (same & (hits.turn[:-1] > 1)), (same & (hits.turn[:-1] < 0))
    return Probed(
        walls=stretches(np.append(inside & (longer > 0), False)),
        gaps=stretches(np.append(between & (longer > _TOUCH_MM), False)),
        apart_mm=pitch,
        doubled_mm3=float(longer[doubled].sum()) * pitch**2,
        inside_out_mm3=float(longer[turned].sum()) * pitch**2,
        lost=lost,
    )


_Reach = tuple[Points, Points]  # of each triangle along one axis: lowest, highest


def _pitch(flat_mm2: float, reaches: list[_Reach], crossings: int) -> float:
    """Distance between rays so that neither crossings nor rows of triangles get too many."""
    largest = max(float(high.max() - low.min()) for low, high in reaches)
    tall = float((reaches[1][1] - reaches[1][0]).sum())
    return max(largest / _FINEST, math.sqrt(flat_mm2 / crossings), tall / _ROWS, 1e-6)


def _meeting(reaches: list[_Reach], pitch: float) -> Indices:
    """The triangles that do not lie between two rows or two columns of rays."""
    chosen: Indices | None = None
    for reach, off in zip(reaches, _OFF_GRID, strict=True):
        low, high = reach if chosen is None else (w[chosen] for w in reach)
        met = np.floor(high / pitch + off - 0.5) >= np.ceil(low / pitch + off - 0.5)
        chosen = np.flatnonzero(met) if chosen is None else chosen[met]
    assert chosen is not None
    return chosen


def _hits(
    seen: Points, faces: Indices, chosen: Indices, lean: Points, px: int
) -> tuple[_Hits, float]:
    """All crossings in order, and the share of rays that do not go out as often as in."""
    corners = corners_of(seen, faces[chosen])
    parts: list[tuple[Indices, Points, Indices]] = []
    for low, high in portions(np.ptp(corners[1], axis=0) + 2):
        parts += [
            (ray, depth, chosen[low + face])
            for ray, depth, face in fragments(corners[:, :, low:high], px)
        ]
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return _Hits(none, np.zeros(0), none, none, none), 0.0
    ray = np.concatenate([part[0] for part in parts])
    depth = np.concatenate([part[1] for part in parts])
    face = np.concatenate([part[2] for part in parts])
    order = np.lexsort((depth, ray))
    ray, depth, face = ray[order], depth[order], face[order]
    step = np.where(lean[face] < 0, 1, -1)
    total = np.bincount(ray, weights=step)
    whole = total[ray] == 0
    used = np.bincount(ray) > 0
    lost = float((total[used] != 0).mean())
    ray, depth, face, step = ray[whole], depth[whole], face[whole], step[whole]
    return _Hits(ray, depth, face, step, np.cumsum(step)), lost
