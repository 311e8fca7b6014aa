"""Sees that a solid is a flat plate, and gives its outline and thickness.

It answers None for whatever is not a plate all over: no pocket, chamfer or countersink is lost.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from designs.geometry.mesh import Mesh, Points, normals

_FLAT_MM = 1e-3  # corners of a face of the plate lie within this of its plane
_UPRIGHT = 1e-3  # sine of the angle by which an edge may lean
_MOST_FACES = 200_000
THICKEST_MM, SLIMMEST = 100.0, 0.5  # a plate is at most this thick, and thinner than it is wide


@dataclass(frozen=True, eq=False)
class Plate:
    """`regions` in mm, seen from the side that has the larger coordinate along the normal."""

    regions: tuple[Polygon, ...]
    thickness_mm: float


def plate_of(mesh: Mesh) -> Plate | None:
    """The plate that the solid is: every corner in one of two parallel planes, edges upright."""
    if mesh.gaps or len(mesh.faces) > _MOST_FACES:
        return None
    facing = normals(mesh)
    axis = _main_axis(facing, mesh.each.area_mm2)
    height = mesh.vertices @ axis
    low, high = float(height.min()), float(height.max())
    thickness = high - low
    on_low, on_high = height - low < _FLAT_MM, high - height < _FLAT_MM
    if not 2 * _FLAT_MM < thickness <= THICKEST_MM or not (on_low | on_high).all():
        return None
    along = facing @ axis
    upright = (np.abs(along) < _UPRIGHT) | (np.linalg.norm(facing, axis=1) == 0)
    top = on_high[mesh.faces].all(axis=1) & (along > 0)
    bottom = on_low[mesh.faces].all(axis=1) & (along < 0)
    if not (upright | top | bottom).all():
        return None
    try:
        regions = _outline(mesh, np.flatnonzero(top), axis)
    except shapely.errors.GEOSException:  # triangles over each other
        return None
    widest = max(float(np.ptp(np.asarray(r.exterior.coords), axis=0).max()) for r in regions)
    return Plate(regions, round(thickness, 3)) if thickness < SLIMMEST * widest else None


def _main_axis(facing: Points, area: Points) -> Points:
    """The direction, either way, that most of the surface faces; a coordinate axis if near one."""
    rows = np.round(facing, 6)
    one_way = rows * np.where(rows @ np.array([1.0, 1e-3, 1e-7]) < 0, -1.0, 1.0)[:, None] + 0.0
    _, first, which = np.unique(one_way, axis=0, return_index=True, return_inverse=True)
    axis = facing[first[int(np.bincount(which.ravel(), weights=area).argmax())]]
    nearest = int(np.abs(axis).argmax())
    if abs(axis[nearest]) > 1 - 1e-9:
        return np.eye(3)[nearest]
    return axis if axis[nearest] > 0 else -axis


def _outline(mesh: Mesh, top: NDArray[np.integer], axis: Points) -> tuple[Polygon, ...]:
    """The top face without its inner edges, looked at from above, its lower left corner at 0, 0."""
    right = np.roll(np.eye(3)[int(np.abs(axis).argmax())], 1)  # z → x, x → y, y → z
    right = right - axis * (right @ axis)
    right /= np.linalg.norm(right)
    flat = mesh.vertices @ np.column_stack([right, np.cross(axis, right)])
    whole = shapely.coverage_union_all(shapely.polygons(flat[mesh.faces[top]]))
    parts = [p for p in shapely.get_parts(whole) if isinstance(p, Polygon) and p.area > 0]
    low = np.min([p.bounds[:2] for p in parts], axis=0)
    moved = [shapely.transform(p, lambda points: points - low) for p in parts]
    return tuple(shapely.orient_polygons(p) for p in moved)
