"""A solid as triangles in millimetres: read strictly, measured, written back as canonical STL.

It never repairs silently: what was changed or looks wrong is in `Mesh.notes`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from designs import kinds, turning
from designs.design import MeshFacts
from designs.errors import Finding, Refused, Severity

REACH_MM = 1e4  # no coordinate may lie further out
MAX_TRIANGLES = 2_000_000
MAX_FILE_BYTES = 256 * 2**20
SMALLEST_SIDE_MM = 0.1  # of the largest extent
SMALLEST_MM3 = 1e-3
_LOOSE_EDGES = 0.25  # share of open edges from which a "solid" is only loose surfaces
_WELD_MM = 1e-4
_AGAIN = "Export the part again"

Points = NDArray[np.float64]
Indices = NDArray[np.int64]

STL_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


@dataclass(frozen=True)
class Thing:
    """An object as the file names it, and how often it is placed."""

    name: str
    quantity: int


@dataclass(frozen=True, eq=False)
class Held:
    """What a reader found: the pieces as (vertices in mm, faces), and what it left out."""

    parts: list[tuple[Points, Indices]]
    notes: tuple[Finding, ...] = ()
    things: tuple[Thing, ...] = ()


@dataclass(frozen=True, eq=False)
class Mesh:
    """`vertices` (n, 3) in mm, `faces` (m, 3) indices, counter-clockwise seen from outside.

    `gaps` counts edges without a neighbour: 0 means the surface closes. `shells` counts connected
    pieces.
    """

    vertices: Points
    faces: Indices
    gaps: int = 0
    shells: int = 1
    notes: tuple[Finding, ...] = ()
    things: tuple[Thing, ...] = ()

    @property
    def triangles(self) -> Points:
        """(m, 3 corners, 3 coordinates)."""
        return self.vertices[self.faces]

    @property
    def bounds_mm(self) -> tuple[Points, Points]:
        return self.vertices.min(axis=0), self.vertices.max(axis=0)

    def turned(self, turn: turning.Degrees) -> "Mesh":
        """About the origin: x, then y, then z."""
        return replace(self, vertices=self.vertices @ np.array(turning.matrix(turn)).T)

    def moved(self, dx_mm: float = 0, dy_mm: float = 0, dz_mm: float = 0) -> "Mesh":
        return replace(self, vertices=self.vertices + np.array([dx_mm, dy_mm, dz_mm]))


def read_mesh(path: str | Path, format: str) -> Mesh:  # noqa: A002 - the word of the records
    """The solid in an STL, 3MF, OBJ or STEP file; raises `Refused`.

    What the file holds decides, not its name: a declared `format` that does not fit is refused.
    """
    from designs.geometry import obj, step, stl, threemf

    path = Path(path)
    if path.stat().st_size > MAX_FILE_BYTES:
        raise Refused(
            f"it is larger than {MAX_FILE_BYTES // 2**20} MiB",
            "the file",
            "Export the part with fewer triangles",
        )
    readers = {"stl": stl.read, "3mf": threemf.read, "obj": obj.read, "step": step.read}
    declared = kinds.called(f".{format.lower().lstrip('.')}")
    if declared not in readers:
        raise Refused(
            f"{declared[:20]!r} is no solid we read", "the file", "Export STL, 3MF, OBJ or STEP"
        )
    refuse_misnamed(path, declared)
    found = readers[declared](path)
    mesh = sound(found.parts)
    return replace(mesh, notes=(*found.notes, *mesh.notes), things=found.things)


def refuse_misnamed(path: Path, declared: str) -> None:
    """A file that is plainly something else than it is called; raises `Refused`."""
    held = kinds.held(path)
    if held in {"", declared}:
        return
    rename = f"Name it .{held} if that is what it is, or export it again"
    raise Refused(
        f"it is called {declared} but is {kinds.TITLES[held]}",
        "the first bytes",
        rename if held in kinds.SOLIDS + kinds.DRAWINGS else "Export the part again",
    )


def sound(parts: Iterable[tuple[Points, Indices]]) -> Mesh:
    """One checked mesh of several (vertices, faces), each welded by itself; raises `Refused`."""
    welded = [_welded(vertices, faces) for vertices, faces in parts]
    offsets = np.cumsum([0, *(len(v) for v, _, _ in welded)])
    if not any(len(f) for _, f, _ in welded):
        raise Refused(
            "there is no triangle with an area in it", "the file", "Export the part again"
        )
    vertices = np.concatenate([v for v, _, _ in welded])
    faces = np.concatenate([f + o for (_, f, _), o in zip(welded, offsets[:-1], strict=True)])
    gaps = sum(open_edges for _, _, open_edges in welded)
    del welded
    refuse_absurd_size(vertices)
    shell = shell_of_each_face(len(vertices), faces)
    each = volumes_mm3(vertices, faces)
    turn = _inside_out(vertices, faces, shell, each, gaps)
    before, turned = float(each.sum()), int(turn.sum())
    volume = before
    if turned:
        faces = np.where(turn[shell][:, None], faces[:, ::-1], faces)
        volume = float(np.where(turn[shell], -each, each).sum())
    _refuse_what_is_no_solid(volume, faces, gaps)
    notes = [gapped(gaps)] if gaps else []
    notes += [_turned(turned, before, volume)] if turned else []
    return Mesh(vertices, faces, gaps, int(shell.max()) + 1, tuple(notes))


def checked(corners: Points) -> Points:
    """The corners of triangles, three by three; raises `Refused` for one no part has."""
    if corners.min() >= -REACH_MM and corners.max() <= REACH_MM:  # false for nan, too
        return corners
    bad = np.flatnonzero(~np.isfinite(corners).all(axis=1))
    if len(bad):
        raise Refused("a corner is not a finite number", f"triangle {bad[0] // 3 + 1}", _AGAIN)
    far = np.flatnonzero((np.abs(corners) > REACH_MM).any(axis=1))
    if len(far):
        raise Refused(
            f"a corner lies more than {REACH_MM / 1000:.0f} m out",
            f"triangle {far[0] // 3 + 1}",
            "Export it in millimetres, near the origin",
        )
    return corners


def mesh_facts(mesh: Mesh) -> MeshFacts:
    low, high = mesh.bounds_mm
    x, y, z = (round(float(v), 3) for v in high - low)
    a, b, c = (mesh.vertices - mesh.vertices.mean(axis=0))[mesh.faces].transpose(1, 0, 2)
    cross = np.cross(b - a, c - a)
    return MeshFacts(
        size_mm=(x, y, z),
        volume_mm3=round(float(np.einsum("ij,ij->i", a, cross).sum()) / 6, 3),
        area_mm2=round(float(np.sqrt(np.einsum("ij,ij->i", cross, cross)).sum()) / 2, 3),
        triangles=len(mesh.faces),
        shells=mesh.shells,
        watertight=mesh.gaps == 0,
    )


def write_stl(mesh: Mesh, path: str | Path) -> None:
    """`stl_bytes` into a file."""
    Path(path).write_bytes(stl_bytes(mesh))


def stl_bytes(mesh: Mesh) -> bytes:
    """Binary STL holding the geometry and nothing else; equal meshes give equal bytes."""
    records = np.zeros(len(mesh.faces), dtype=STL_RECORD)
    records["corners"] = mesh.triangles
    records["normal"] = normals(mesh)
    return (
        b"geometry in mm".ljust(80, b"\0") + len(records).to_bytes(4, "little") + records.tobytes()
    )


def normals(mesh: Mesh) -> Points:
    """(m, 3) unit vectors; zero for triangles without an area."""
    return facing(mesh)[0]


def areas_mm2(mesh: Mesh) -> Points:
    cross = _crossed(mesh)
    return np.sqrt(np.einsum("ij,ij->i", cross, cross)) / 2


def facing(mesh: Mesh) -> tuple[Points, Points]:
    """`normals` and `areas_mm2` at once."""
    cross = _crossed(mesh)
    twice = np.sqrt(np.einsum("ij,ij->i", cross, cross))
    cross *= np.divide(1.0, twice, out=np.zeros_like(twice), where=twice > 0)[:, None]
    return cross, twice / 2


def _crossed(mesh: Mesh) -> Points:
    """(m, 3): along each triangle's normal, twice as long as its area (np.cross is slow)."""
    a, b, c = mesh.faces.T
    x, y, z = mesh.vertices.T.copy()
    (ux, uy, uz), (vx, vy, vz) = ([w[to] - w[a] for w in (x, y, z)] for to in (b, c))
    return np.column_stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx])


def volumes_mm3(vertices: Points, faces: Indices) -> Points:
    """Signed volume between each triangle and the middle; they sum to the volume of a closed mesh.

    Divergence theorem: a tetrahedron holds a·(b x c) / 6.
    """
    x, y, z = (vertices - vertices.mean(axis=0)).T.copy()
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = ([w[at] for w in (x, y, z)] for at in faces.T)
    six = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    return six / 6


def open_edges(vertex_count: int, faces: Indices) -> int:
    """How many directed edges have no opposite: 0 means the surface closes."""
    n = np.int64(vertex_count)
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    forward, backward = np.sort(start * n + end), np.sort(end * n + start)
    if np.array_equal(forward, backward):
        return 0
    edges, count = np.unique(forward, return_counts=True)
    opposite = np.searchsorted(backward, edges, "right") - np.searchsorted(backward, edges, "left")
    return int(np.maximum(count - opposite, 0).sum())


def shell_of_each_face(vertex_count: int, faces: Indices) -> Indices:
    """Numbers 0… of the connected piece that each face belongs to (joined by shared vertices).

    Each round hooks the higher of two joined roots to the lower one and flattens the trees.
    """
    root = np.arange(vertex_count)
    one, other = faces[:, :2].ravel(), faces[:, 1:].ravel()
    while True:
        one, other = root[one], root[other]
        apart = one != other
        if not apart.any():
            return np.unique(root[faces[:, 0]], return_inverse=True)[1]
        one, other = one[apart], other[apart]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(flatter := root[root], root):
            root = flatter


def _welded(vertices: Points, faces: Indices) -> tuple[Points, Indices, int]:
    """Equal corners become one vertex; if that leaves gaps, corners closer than 0.1 µm do too."""
    exact, exact_faces = _merged(vertices, faces, vertices + 0.0)  # -0.0 is 0.0
    gaps = open_edges(len(exact), exact_faces)
    if gaps:
        rounded, rounded_faces = _merged(exact, exact_faces, np.round(exact / _WELD_MM) + 0.0)
        if len(rounded_faces) and open_edges(len(rounded), rounded_faces) == 0:
            return rounded, rounded_faces, 0
    return exact, exact_faces, gaps


def _merged(vertices: Points, faces: Indices, keys: Points) -> tuple[Points, Indices]:
    first, where = distinct(_mixed(keys))
    faces = where[faces]
    a, b, c = faces.T
    return vertices[first], faces[(a != b) & (b != c) & (c != a)]


def distinct(keys: NDArray[np.uint64]) -> tuple[Indices, Indices]:
    """(one place of each distinct key, for each key which of them), as np.unique would tell.

    Sorting numbers is ten times faster than sorting places by them, so the place rides in the low
    bits of what is sorted. Keys that are alike in all other bits are so rare that np.unique, which
    needs no such bits, does it then.
    """
    bits = np.uint64(max(len(keys) - 1, 1).bit_length())
    low = (np.uint64(1) << bits) - np.uint64(1)
    riding = np.sort((keys & ~low) | np.arange(len(keys), dtype=np.uint64))
    place = (riding & low).astype(np.int64)
    ordered = keys[place]
    new = np.ones(len(keys), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    if (new[1:] & (((riding[1:] ^ riding[:-1]) & ~low) == 0)).any():
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        return first, inverse.ravel()
    where = np.empty(len(keys), dtype=np.int64)
    where[place] = np.cumsum(new) - 1
    return place[new], where


def _mixed(keys: Points) -> NDArray[np.uint64]:
    """One number for each row, practically never the same for two; sorting these is fast."""
    bits = np.ascontiguousarray(keys).view(np.uint64)
    mixed = np.zeros(len(keys), dtype=np.uint64)
    for axis, odd in enumerate((0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)):
        mixed = (mixed ^ bits[:, axis]) * np.uint64(odd)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def refuse_absurd_size(vertices: Points) -> None:
    size = float(np.ptp(vertices, axis=0).max())
    if size < SMALLEST_SIDE_MM:
        raise Refused(
            f"the part is only {size:.3g} mm large",
            "its bounding box",
            "Export it in millimetres (it may be drawn in metres or inches)",
        )


def _inside_out(
    vertices: Points, faces: Indices, shell: Indices, volumes: Points, gaps: int
) -> NDArray[np.bool_]:
    """Which shells are drawn inside out; a hollow inside another shell is none of them."""
    volume: Points = np.bincount(shell, weights=volumes).astype(np.float64)
    if (volume >= 0).all():
        return np.zeros(len(volume), dtype=bool)
    if len(volume) > 10_000 or gaps:
        return np.full(len(volume), volume.sum() < 0)
    corners = vertices[faces]
    low = np.full((len(volume), 3), np.inf)
    high = -low
    np.minimum.at(low, shell, corners.min(axis=1))
    np.maximum.at(high, shell, corners.max(axis=1))
    solid = volume > 0
    turn = np.zeros(len(volume), dtype=bool)
    for i in np.flatnonzero(volume < 0):
        holds = (low[solid] < low[i]).all(axis=1) & (high[solid] > high[i]).all(axis=1)
        turn[i] = not holds.any()
    return turn


def _refuse_what_is_no_solid(volume: float, faces: Indices, gaps: int) -> None:
    if gaps > _LOOSE_EDGES * 3 * len(faces):
        raise Refused(
            f"{gaps} of its {3 * len(faces)} edges are open: these are loose surfaces, not a solid",
            "the surface",
            "Close the solid in the design program and export it again",
        )
    if volume < SMALLEST_MM3:
        raise Refused(
            "it encloses no volume", "the surface", "Give the surface a thickness, export a solid"
        )


def gapped(gaps: int) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        where=f"{gaps} open edges",
        what="the surface has gaps, so its volume is a guess",
        do="Close it in the design program; the slicer will otherwise close it its own way",
    )


def _turned(shells: int, before: float, after: float) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        where="the surface" if shells == 1 else f"{shells} shells",
        what="it is inside out: its faces look inwards; what is made of it is turned, "
        f"{after:.0f} mm³ instead of {before:.0f} mm³",
        do="If that is not what you meant, turn its normals in the design program",
    )
