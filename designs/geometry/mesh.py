"""A solid as triangles in millimetres: read strictly, measured, written back as canonical STL.

It never repairs silently: what was changed or looks wrong is in `Mesh.notes`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
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
_AT_ONCE = 32_768  # triangles whose numbers stay near the processor

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
class Triangles:
    """Of each of m triangles: `normal` (3, m) of length 1, or 0 where there is no area; `area_mm2`;

    `volume_mm3`, signed, between it and the middle of the corners: they sum to the volume of a
    closed mesh; `low` and `high` (3, m) of its box.
    """

    normal: Points
    area_mm2: Points
    volume_mm3: Points
    low: Points
    high: Points


@dataclass(frozen=True, eq=False)
class Odd:
    """The k edges that do not join exactly two triangles running against each other.

    `ends` (k, 2) corners, the lower number first; `many` triangles meet there, `onward` of them run
    from the lower to the higher.
    """

    ends: Indices
    many: Indices
    onward: Indices

    @property
    def gaps(self) -> int:
        """How often an edge runs one way and not back."""
        return int(np.abs(2 * self.onward - self.many).sum())

    @property
    def loose(self) -> int:
        """At how many edges a triangle has no neighbour, whichever way it faces."""
        return int((self.many % 2).sum())


@dataclass(frozen=True, eq=False)
class Mesh:
    """`vertices` (n, 3) in mm, `faces` (m, 3) indices, counter-clockwise seen from outside.

    `gaps` counts edges without a neighbour: 0 means the surface closes. `shells` counts connected
    pieces. What many ask of it is found out once and kept.
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

    @cached_property
    def bounds_mm(self) -> tuple[Points, Points]:
        along = self.vertices.T
        return np.array([w.min() for w in along]), np.array([w.max() for w in along])

    @cached_property
    def each(self) -> Triangles:
        return _each(self.vertices, self.faces)

    @cached_property
    def odd(self) -> Odd:
        return odd_edges(len(self.vertices), self.faces)

    @cached_property
    def shell_of_face(self) -> Indices:
        """Numbers 0… of the connected piece that each face belongs to."""
        return shell_of_each_face(len(self.vertices), self.faces)

    def told(
        self, gaps: int, shells: int, notes: tuple[Finding, ...], things: tuple[Thing, ...]
    ) -> "Mesh":
        """The same surface, with what was found of it; what is known of it stays known."""
        same = replace(self, gaps=gaps, shells=shells, notes=notes, things=things)
        vars(same).update({**vars(self), **vars(same)})
        return same

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
    return sound(found.parts, found.notes, found.things)


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


def sound(
    parts: Iterable[tuple[Points, Indices]],
    notes: tuple[Finding, ...] = (),
    things: tuple[Thing, ...] = (),
) -> Mesh:
    """One checked mesh of several (vertices, faces), each welded by itself; raises `Refused`."""
    mesh = _joined([_welded(vertices, faces) for vertices, faces in parts])
    refuse_absurd_size(*mesh.bounds_mm)
    before, turn = float(mesh.each.volume_mm3.sum()), _inside_out(mesh)
    if turn.any():
        turned = turn[mesh.shell_of_face][:, None]
        mesh = Mesh(mesh.vertices, np.where(turned, mesh.faces[:, ::-1], mesh.faces))
    volume = float(mesh.each.volume_mm3.sum())
    gaps, shells = mesh.odd.gaps, int(mesh.shell_of_face.max()) + 1
    _refuse_what_is_no_solid(volume, mesh.faces, mesh.odd.loose)
    own = [gapped(mesh.odd)] if gaps else []
    own += [_turned(int(turn.sum()), len(turn), before, volume)] if turn.any() else []
    return mesh.told(gaps, shells, (*notes, *own), things)


def _joined(welded: list[Mesh]) -> Mesh:
    if not any(len(mesh.faces) for mesh in welded):
        raise Refused(
            "there is no triangle with an area in it", "the file", "Export the part again"
        )
    if len(welded) == 1:
        return welded[0]
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in welded)])
    faces = [mesh.faces + o for mesh, o in zip(welded, offsets[:-1], strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in welded]), np.concatenate(faces))


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
    return MeshFacts(
        size_mm=(x, y, z),
        volume_mm3=round(float(mesh.each.volume_mm3.sum()), 3),
        area_mm2=round(float(mesh.each.area_mm2.sum()), 3),
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
    return mesh.each.normal.T


def corners_of(points: Points, faces: Indices) -> Points:
    """(coordinates, 3 corners, m): each coordinate of each corner lies in one row."""
    return np.ascontiguousarray(points.T)[:, faces.T]


def _each(vertices: Points, faces: Indices) -> Triangles:
    """Some at a time, so that what is between stays near the processor (np.cross is slow, too).

    Divergence theorem: a tetrahedron between a triangle and the middle holds a·(u x v) / 6.
    """
    m = len(faces)
    along, middle = np.ascontiguousarray(vertices.T), vertices.mean(axis=0)
    normal, low, high = np.empty((3, m)), np.empty((3, m)), np.empty((3, m))
    area, volume = np.empty(m), np.empty(m)
    for begin in range(0, m, _AT_ONCE):
        at = slice(begin, begin + _AT_ONCE)
        a, b, c = (along[:, corner] for corner in np.ascontiguousarray(faces[at].T))
        np.minimum(np.minimum(a, b), c, out=low[:, at])
        np.maximum(np.maximum(a, b), c, out=high[:, at])
        (ux, uy, uz), (vx, vy, vz) = b - a, c - a
        cross = np.array([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx])
        volume[at] = ((a - middle[:, None]) * cross).sum(axis=0) / 6
        twice = np.sqrt((cross * cross).sum(axis=0))
        shrunk = np.divide(1.0, twice, out=np.zeros_like(twice), where=twice > 0)
        np.multiply(cross, shrunk, out=normal[:, at])
        area[at] = twice / 2
    return Triangles(normal, area, volume, low, high)


def odd_edges(vertex_count: int, faces: Indices) -> Odd:
    """All edges are sorted once, each with the way that its triangle runs in the lowest bit."""
    n = np.int64(vertex_count)
    one = np.ascontiguousarray(faces.T)
    other = np.roll(one, -1, axis=0)
    ordered = np.minimum(one, other)
    ordered *= n
    ordered += np.maximum(one, other)
    ordered *= 2
    ordered += one < other
    ordered = ordered.reshape(-1)
    ordered.sort()
    if _all_in_pairs(ordered):
        none = np.zeros(0, dtype=np.int64)
        return Odd(none.reshape(0, 2), none, none)
    edge = ordered >> 1
    first = np.flatnonzero(np.append(True, edge[1:] != edge[:-1]))
    many = np.diff(np.append(first, len(edge)))
    onward = np.add.reduceat(ordered & 1, first)
    odd = (many != 2) | (onward != 1)
    at = edge[first[odd]]
    return Odd(np.column_stack([at // n, at % n]), many[odd], onward[odd])


def _all_in_pairs(ordered: Indices) -> bool:
    """Whether each edge is there exactly twice, once each way."""
    return not len(ordered) % 2 and bool((ordered[::2] ^ 1 == ordered[1::2]).all())


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


def _welded(vertices: Points, faces: Indices) -> Mesh:
    """Equal corners become one vertex; if that leaves gaps, corners closer than 0.1 µm do too."""
    exact = _merged(vertices, faces, vertices + 0.0)  # -0.0 is 0.0
    if exact.odd.gaps:
        rounded = _merged(exact.vertices, exact.faces, np.round(exact.vertices / _WELD_MM) + 0.0)
        if len(rounded.faces) and not rounded.odd.gaps:
            return rounded
    return exact


def _merged(vertices: Points, faces: Indices, keys: Points) -> Mesh:
    """Corners are numbered as the faces come, so that what lies together is stored together."""
    first, where = distinct(_mixed(keys))
    comes = np.zeros(len(vertices), dtype=bool)
    comes[first] = True
    number = (np.cumsum(comes) - 1)[first]
    a, b, c = corners = number[where[faces.T]]
    whole = (a != b) & (b != c) & (c != a)
    kept = corners if whole.all() else corners[:, whole]
    return Mesh(vertices[comes], np.ascontiguousarray(kept.T))


def distinct(keys: NDArray[np.uint64]) -> tuple[Indices, Indices]:
    """(one place of each distinct key, for each key which of them), as np.unique would tell.

    Sorting numbers is ten times faster than sorting places by them, so the place rides in the low
    bits of what is sorted. Keys that are alike in all other bits are so rare that np.unique, which
    needs no such bits, does it then.
    """
    bits = np.uint64(max(len(keys) - 1, 1).bit_length())
    low = (np.uint64(1) << bits) - np.uint64(1)
    riding = keys & ~low
    riding |= np.arange(len(keys), dtype=np.uint64)
    riding.sort()
    new = np.ones(len(keys), dtype=bool)
    np.greater(riding[1:] ^ riding[:-1], low, out=new[1:])
    riding &= low
    place = riding.view(np.int64)
    begins = np.flatnonzero(new)
    first = place[begins]
    where = np.empty(len(keys), dtype=np.int64)
    where[place] = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(keys)))
    if not np.array_equal(keys[first][where], keys):
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        return first, inverse.ravel()
    return first, where


_ODD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


def _mixed(keys: Points) -> NDArray[np.uint64]:
    """One number for each row, practically never the same for two; sorting these is fast."""
    bits = np.ascontiguousarray(keys).view(np.uint64)
    mixed = np.zeros(len(keys), dtype=np.uint64)
    for begin in range(0, len(keys), _AT_ONCE):
        part = mixed[begin : begin + _AT_ONCE]
        for row, odd in zip(bits[begin : begin + _AT_ONCE].T, _ODD, strict=True):
            part ^= row
            part *= np.uint64(odd)
            part ^= part >> np.uint64(29)
    return mixed


def refuse_absurd_size(low: Points, high: Points) -> None:
    size = float((high - low).max())
    if size < SMALLEST_SIDE_MM:
        raise Refused(
            f"the part is only {size:.3g} mm large",
            "its bounding box",
            "Export it in millimetres (it may be drawn in metres or inches)",
        )


def _inside_out(mesh: Mesh) -> NDArray[np.bool_]:
    """Which shells are drawn inside out; a hollow inside another shell is none of them.

    Where all are right once the whole is turned, hollows and all, the whole is inside out.
    """
    shell, each = mesh.shell_of_face, mesh.each
    volume: Points = np.bincount(shell, weights=each.volume_mm3).astype(np.float64)
    if (volume >= 0).all():
        return np.zeros(len(volume), dtype=bool)
    if len(volume) > 10_000 or mesh.odd.gaps:
        return np.full(len(volume), volume.sum() < 0)
    turn = _not_held(volume, shell, each)
    if volume.sum() < 0 and not _not_held(-volume, shell, each).any():
        return np.full(len(volume), fill_value=True)
    return turn


def _not_held(volume: Points, shell: Indices, each: Triangles) -> NDArray[np.bool_]:
    """Which shells face inwards although no other that faces outwards holds them."""
    low = np.full((len(volume), 3), np.inf)
    high = -low
    np.minimum.at(low, shell, each.low.T)
    np.maximum.at(high, shell, each.high.T)
    solid = volume > 0
    turn = np.zeros(len(volume), dtype=bool)
    for i in np.flatnonzero(volume < 0):
        holds = (low[solid] < low[i]).all(axis=1) & (high[solid] > high[i]).all(axis=1)
        turn[i] = not holds.any()
    return turn


def _refuse_what_is_no_solid(volume: float, faces: Indices, loose: int) -> None:
    if loose > _LOOSE_EDGES * 3 * len(faces):
        raise Refused(
            f"{loose} of its {3 * len(faces)} edges are open: "
            "these are loose surfaces, not a solid",
            "the surface",
            "Close the solid in the design program and export it again",
        )
    if volume < SMALLEST_MM3:
        raise Refused(
            "it encloses no volume", "the surface", "Give the surface a thickness, export a solid"
        )


def gapped(odd: Odd) -> Finding:
    if not odd.loose:
        return Finding(
            severity=Severity.WARNING,
            where=f"{len(odd.ends)} edges",
            what="triangles beside each other face opposite ways, so its volume is a guess",
            do="Turn all its normals outwards in the design program",
        )
    return Finding(
        severity=Severity.WARNING,
        where=f"{odd.gaps} open edges",
        what="the surface has gaps, so its volume is a guess",
        do="Close it in the design program; the slicer will otherwise close it its own way",
    )


def _turned(shells: int, of: int, before: float, after: float) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        where="the surface" if of == 1 else f"{shells} of {of} pieces",
        what="it is inside out: its faces look inwards; what is made of it is turned, "
        f"{after:.0f} mm³ instead of {before:.0f} mm³",
        do="If that is not what you meant, turn its normals in the design program",
    )
