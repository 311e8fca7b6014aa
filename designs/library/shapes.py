"""The few shapes that our designs are made of, and how they are written to files.

All lengths are millimetres; it never rounds a size to what a machine likes: that is the workshop's.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import shapely
from shapely import LineString, Polygon, affinity
from shapely.geometry import Point, box
from shapely.geometry.base import BaseGeometry

from designs.geometry.drawing import as_svg
from designs.geometry.extrude import as_mesh, extruded, rings
from designs.geometry.mesh import Indices, Mesh, Points, sound, write_stl

if TYPE_CHECKING:
    from manifold3d import Manifold

Shape: TypeAlias = "Manifold | Polygon"
"""A printed part as a solid as it lies on the bed, a sheet part as its outline."""

_ROUND = 32  # chords in a quarter of a circle, for sheets
_COARSE_MM = 0.02  # what printing does not show: fewer facets make shorter programs


def disc(diameter_mm: float, x: float = 0, y: float = 0) -> Polygon:
    return Point(x, y).buffer(diameter_mm / 2, quad_segs=_ROUND)


def stroke(points: Sequence[tuple[float, float]], width_mm: float) -> Polygon:
    """A line with round ends and corners: a slot, a bar."""
    return polygon(LineString(points).buffer(width_mm / 2, quad_segs=_ROUND))


def plate(width_mm: float, height_mm: float, corner_mm: float = 0) -> Polygon:
    """A rectangle from (0, 0) with rounded corners."""
    core = box(corner_mm, corner_mm, width_mm - corner_mm, height_mm - corner_mm)
    return polygon(core.buffer(corner_mm, quad_segs=_ROUND)) if corner_mm else core


def hexagon(across_flats_mm: float, x: float = 0, y: float = 0) -> Polygon:
    """A hexagon with flats left and right."""
    radius = across_flats_mm / np.sqrt(3)
    turns = np.radians(np.arange(30, 390, 60))
    return Polygon(np.column_stack([x + radius * np.cos(turns), y + radius * np.sin(turns)]))


def rounded(shape: BaseGeometry, radius_mm: float) -> Polygon:
    """The same shape with every corner, inside and outside, rounded."""
    opened = shape.buffer(-radius_mm, quad_segs=_ROUND).buffer(radius_mm, quad_segs=_ROUND)
    closed = opened.buffer(radius_mm, quad_segs=_ROUND).buffer(-radius_mm, quad_segs=_ROUND)
    return polygon(closed)


def polygon(shape: BaseGeometry) -> Polygon:
    if not isinstance(shape, Polygon) or shape.is_empty:
        raise TypeError(f"this should be one piece, but is {shape.geom_type}")
    return shape


def slab(profile: BaseGeometry, height_mm: float, chamfer_mm: float = 0.6) -> "Manifold":
    """The profile as a solid from z 0 up, its upper and lower edges chamfered at 45 degrees."""
    from manifold3d import Manifold, Mesh64

    triangles = extruded(polygon(shapely.simplify(profile, _COARSE_MM)), height_mm, chamfer_mm)
    mesh = sound([as_mesh(triangles)])
    return Manifold(Mesh64(mesh.vertices, mesh.faces.astype(np.uint64)))


def turned(profile: Sequence[tuple[float, float]]) -> "Manifold":
    """A profile of (radius, height) turned about the z axis."""
    from manifold3d import CrossSection, FillRule, Manifold

    return Manifold.revolve(CrossSection([np.array(profile)], FillRule.EvenOdd), 2 * _ROUND)


def prism(profile: Polygon, height_mm: float, z_mm: float = 0) -> "Manifold":
    """A plain upright body, mostly to cut away."""
    from manifold3d import CrossSection, FillRule, Manifold

    coarse = polygon(shapely.simplify(profile, _COARSE_MM))
    outlines = [np.array(ring) for ring in rings(coarse)]
    body = Manifold.extrude(CrossSection(outlines, FillRule.EvenOdd), height_mm)
    return body.translate((0, 0, z_mm))


def teardrop(diameter_mm: float) -> Polygon:
    """A hole that prints lying down: a circle with a 45 degree roof towards +y."""
    radius = diameter_mm / 2
    tip = [(-radius / np.sqrt(2), radius / np.sqrt(2)), (0, radius * np.sqrt(2))]
    roof = Polygon([*tip, (radius / np.sqrt(2), radius / np.sqrt(2))])
    return polygon(disc(diameter_mm).union(roof))


def slot(length_mm: float, width_mm: float, x: float = 0, y: float = 0) -> Polygon:
    """A rectangle in the middle of (x, y), `length_mm` along x."""
    return box(x - length_mm / 2, y - width_mm / 2, x + length_mm / 2, y + width_mm / 2)


def dog_boned(hole: Polygon, cutter_mm: float) -> Polygon:
    """An upright rectangle whose corners a round cutter can reach; each disc touches its corner."""
    left, low, right, high = hole.bounds
    inset = cutter_mm / 2 / np.sqrt(2)
    corners = [(x, y) for x in (left + inset, right - inset) for y in (low + inset, high - inset)]
    return polygon(shapely.union_all([hole, *(disc(cutter_mm, x, y) for x, y in corners)]))


def across_slots(at: Iterable[float], width_mm: float, low: float, high: float) -> BaseGeometry:
    """Upright slots of that width at each x, from y `low` to `high`: for crossing sheets."""
    half = width_mm / 2
    return shapely.union_all([box(x - half, low, x + half, high) for x in at])


def save(shape: Shape, path: Path) -> None:
    """As the name's ending says: a solid as STL, an outline as DXF or SVG."""
    if isinstance(shape, Polygon):
        kept = {".dxf": save_dxf, ".svg": save_svg}[path.suffix]
        kept([shape], path)
    else:
        save_stl(shape, path)


def moved_to_corner(shape: Polygon) -> Polygon:
    """Its lower left corner at (0, 0), as a drawing is read."""
    left, low, _, _ = shape.bounds
    return polygon(affinity.translate(shape, -left, -low))


def save_stl(body: "Manifold", path: Path) -> None:
    """Standing on z 0, in the first quadrant, triangles in a fixed order."""
    vertices, faces = _corners(body)
    vertices = np.round(vertices - vertices.min(axis=0), 4)
    write_stl(sound([(vertices, _in_order(vertices, faces))]), path)


def mesh_of(body: "Manifold") -> Mesh:
    """The solid where it is, triangles in a fixed order."""
    vertices, faces = _corners(body)
    vertices = np.round(vertices, 4)
    return sound([(vertices, _in_order(vertices, faces))])


def _corners(body: "Manifold") -> tuple[Points, Indices]:
    mesh = body.to_mesh64()
    vertices = np.asarray(mesh.vert_properties, dtype=np.float64)[:, :3]
    return vertices, np.asarray(mesh.tri_verts).astype(np.int64)


def save_dxf(regions: Iterable[Polygon], path: Path) -> None:
    """AutoCAD R12 polylines in millimetres, which everything reads."""
    head = ["0", "SECTION", "2", "HEADER", "9", "$ACADVER", "1", "AC1009"]
    head += ["9", "$INSUNITS", "70", "4", "0", "ENDSEC", "0", "SECTION", "2", "ENTITIES"]
    body = [word for region in regions for ring in rings(region) for word in _polyline(ring)]
    path.write_text("\n".join([*head, *body, "0", "ENDSEC", "0", "EOF", ""]), encoding="ascii")


def save_svg(regions: Sequence[Polygon], path: Path) -> None:
    """At true size, lower left corner in the page's corner."""
    path.write_text(as_svg(regions), encoding="ascii")


def _polyline(ring: list[tuple[float, float]]) -> list[str]:
    start = ["0", "POLYLINE", "8", "cut", "66", "1", "70", "1"]
    corners = (["0", "VERTEX", "8", "cut", "10", f"{x:.4f}", "20", f"{y:.4f}"] for x, y in ring)
    return [*start, *(word for corner in corners for word in corner), "0", "SEQEND", "8", "cut"]


def _in_order(vertices: Points, faces: Indices) -> Indices:
    """Each triangle from its lowest corner, and the triangles sorted, whatever made them.

    Two in one place lie back to back and enclose nothing (rounded slivers): they are left out.
    """
    _, at = np.unique(vertices, axis=0, return_inverse=True)
    places = np.sort(at.ravel()[faces], axis=1)
    _, at, times = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    faces = faces[times[at.ravel()] == 1]
    rank = np.empty(len(vertices), dtype=np.int64)
    rank[np.lexsort(vertices.T)] = np.arange(len(vertices))
    first = rank[faces].argmin(axis=1)
    turned = np.take_along_axis(faces, (first[:, None] + np.arange(3)) % 3, axis=1)
    return turned[np.lexsort(rank[turned].T[::-1])]
