"""Flat shapes made solid: triangles of a profile raised to a height, edges chamfered if asked.

It never moves a corner of the profile: walls, floor and lid meet exactly.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from designs.geometry.drawing import Drawing
from designs.geometry.mesh import Mesh, Points, sound

Point2 = tuple[float, float]


def solid(drawing: Drawing, thickness_mm: float) -> Mesh:
    """All regions of the drawing as plates of that thickness, standing on z 0."""
    plates = (extruded(shapely.simplify(r, 0.01), thickness_mm) for r in drawing.regions)
    return sound(as_mesh(triangles) for triangles in plates)


def as_mesh(triangles: Points) -> tuple[Points, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """(vertices, faces) of triangles (m, 3, 3) that do not share corners yet."""
    return triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3)


def extruded(profile: Polygon, height_mm: float, chamfer_mm: float = 0.0) -> Points:
    """Triangles (m, 3, 3) of the profile from z 0 to its height, seen counter-clockwise.

    The chamfer is 45 degrees at both ends: the area between the profile and its inward offset is
    triangulated with only their own corners, and the offset's corners are pushed out.
    """
    outer = shapely.orient_polygons(profile)
    inner = outer.buffer(-chamfer_mm, quad_segs=8).simplify(0.004) if chamfer_mm else outer
    flat = triangulated(inner) + (triangulated(outer.difference(inner)) if chamfer_mm else [])
    edge = {_key(p) for ring in rings(outer) for p in ring}
    sunk = np.array([[chamfer_mm * (_key(p) in edge) for p in t] for t in flat])
    corners = np.array(flat)
    lid = np.dstack([corners, height_mm - sunk])
    floor = np.dstack([corners, sunk])[:, ::-1]
    return np.concatenate([lid, floor, _walls(outer, chamfer_mm, height_mm - chamfer_mm)])


def rings(shape: Polygon) -> list[list[Point2]]:
    """Outline and holes as open lists of corners."""
    found = (shape.exterior, *shape.interiors)
    return [[(float(x), float(y)) for x, y in ring.coords[:-1]] for ring in found]


def triangulated(area: BaseGeometry) -> list[list[Point2]]:
    """Counter-clockwise triangles that use only the corners of the area."""
    cut = shapely.orient_polygons(shapely.constrained_delaunay_triangles(area))
    return [[(float(x), float(y)) for x, y in t.exterior.coords[:3]] for t in _parts(cut)]


def _parts(shape: BaseGeometry) -> Iterable[Polygon]:
    return (part for part in shapely.get_parts(shape) if isinstance(part, Polygon))


def _key(point: Sequence[float]) -> tuple[int, int]:
    return round(point[0] * 1e6), round(point[1] * 1e6)


def _walls(profile: Polygon, low: float, high: float) -> Points:
    walls: list[list[tuple[float, float, float]]] = []
    for ring in rings(profile):
        for (ax, ay), (bx, by) in zip(ring, [*ring[1:], ring[0]], strict=True):
            walls.append([(ax, ay, low), (bx, by, low), (bx, by, high)])
            walls.append([(ax, ay, low), (bx, by, high), (ax, ay, high)])
    return np.array(walls)
