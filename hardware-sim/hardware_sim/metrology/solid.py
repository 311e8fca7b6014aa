"""Promises the exact cross-sections of a mesh at given heights, and its volume.
Never repairs a mesh: what does not close is closed by a straight chord.
"""

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
import shapely
import trimesh
from defusedxml import ElementTree as SafeXml
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_3MF = "{http://schemas.microsoft.com/3dmanufacturing/core/2015/02}"
_PART = "{http://schemas.microsoft.com/3dmanufacturing/production/2015/06}path"
_UNITS = {"micron": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "inch": 25.4, "foot": 304.8}
BIGGEST_PART_BYTES = 256 << 20
BIGGEST_MM = 10_000.0
MOST_ITEMS = 500
OFF_CORNERS_MM = 1e-4
STRAIGHT_MM = 1e-5


class UnreadableDesign(ValueError):
    """The design file cannot be measured against; the message says why."""


@dataclass(frozen=True)
class Solid:
    """A triangle mesh in mm, standing on z = 0; `shells` is (f,) the connected piece of a face."""

    points: Floats
    faces: Ints
    shells: Ints
    inside_out: bool = False  # as it was read; here its faces look outwards

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        return self.points.min(axis=0), self.points.max(axis=0)

    @property
    def volume_mm3(self) -> float:
        """Signed volume by the divergence theorem; overlapping shells count twice."""
        return float(_volumes(self.points, self.faces).sum())


def read(path: Path) -> tuple[Solid, ...]:
    """The bodies of an STL (one) or 3MF file (one for each build item); raises UnreadableDesign."""
    kind = path.suffix.lower()
    try:
        if path.stat().st_size > BIGGEST_PART_BYTES:
            raise UnreadableDesign(f"{path.name}: larger than {BIGGEST_PART_BYTES >> 20} MiB")
        if kind == ".3mf":
            pieces = _read_3mf(path)
        elif kind in (".stl", ".obj", ".ply"):
            pieces = [_read_mesh(path)]
        else:
            raise UnreadableDesign(
                f"{path.name}: {kind or 'no suffix'} is not a mesh that is read here"
            )
    except OSError as error:
        raise UnreadableDesign(f"{path.name}: {error.strerror}") from error
    return tuple(_checked(path.name, *piece) for piece in pieces)


def _checked(name: str, points: Floats, faces: Ints) -> Solid:
    if not len(faces) or not np.isfinite(points).all():
        raise UnreadableDesign(f"{name}: no finite triangles in it")
    if faces.min() < 0 or faces.max() >= len(points):
        raise UnreadableDesign(f"{name}: a triangle names a corner that is not there")
    if not 0 < float(np.ptp(points, axis=0).max()) < BIGGEST_MM:
        raise UnreadableDesign(f"{name}: no part is that large or that small")
    solid = _merged(points, faces)
    if not len(solid.faces):
        raise UnreadableDesign(f"{name}: all its triangles are degenerate")
    if solid.volume_mm3 < 0:
        return replace(solid, faces=np.ascontiguousarray(solid.faces[:, ::-1]), inside_out=True)
    return solid


def together(bodies: tuple[Solid, ...]) -> Solid:
    """All bodies as one, where the file puts them."""
    if len(bodies) == 1:
        return bodies[0]
    points, faces = _joined([(b.points, b.faces) for b in bodies])
    return _merged(points, faces)


def _read_mesh(path: Path) -> tuple[Floats, Ints]:
    try:
        kind = path.suffix.lower()[1:]
        mesh = trimesh.load_mesh(io.BytesIO(path.read_bytes()), file_type=kind, process=False)
        return np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int64)
    except (ValueError, IndexError, KeyError, OSError, AttributeError) as error:
        raise UnreadableDesign(f"{path.name}: {error}") from error


def _read_3mf(path: Path) -> list[tuple[Floats, Ints]]:
    """Every build item of a 3MF, placed."""
    try:
        with zipfile.ZipFile(path) as package:
            pieces = _Book(package).build()
    except (zipfile.BadZipFile, KeyError, ParseError, ValueError, NotImplementedError) as error:
        raise UnreadableDesign(f"{path.name}: {error}") from error
    if not pieces:
        raise UnreadableDesign(f"{path.name}: the package builds nothing")
    return pieces


class _Book:
    """Models of a 3MF package, read as they are asked for."""

    def __init__(self, package: zipfile.ZipFile) -> None:
        self._package = package
        self._models: dict[str, Element] = {}
        names = [n for n in package.namelist() if n.lower().endswith(".model")]
        main = [n for n in names if n.lower() == "3d/3dmodel.model"] or names
        if not main:
            raise ValueError("no 3D model in the package")
        self._main = main[0]

    def _model(self, name: str) -> Element:
        if name not in self._models:
            with self._package.open(name) as packed:
                text = packed.read(BIGGEST_PART_BYTES + 1)
            if len(text) > BIGGEST_PART_BYTES:
                raise ValueError(f"{name} unpacks to more than {BIGGEST_PART_BYTES >> 20} MiB")
            self._models[name] = SafeXml.fromstring(text)
        return self._models[name]

    def build(self) -> list[tuple[Floats, Ints]]:
        root = self._model(self._main)
        unit = _UNITS.get(root.get("unit", "millimeter"), 1.0)
        pieces: list[tuple[Floats, Ints]] = []
        for item in root.iterfind(f"{_3MF}build/{_3MF}item"):
            if len(pieces) >= MOST_ITEMS:
                raise ValueError(f"it builds more than {MOST_ITEMS} items")
            name = item.get(_PART, "/" + self._main).lstrip("/")
            parts = self._object(name, item.attrib["objectid"], 0)
            if parts and item.get("printable") != "0":
                points, faces = _joined(parts)
                pieces.append((_place(points, item.get("transform")) * unit, faces))
        return pieces

    def _object(self, name: str, number: str, depth: int) -> list[tuple[Floats, Ints]]:
        if depth > 8:
            raise ValueError("components nest too deeply")
        found = self._model(name).iterfind(f"{_3MF}resources/{_3MF}object")
        node = next((o for o in found if o.get("id") == number), None)
        if node is None or node.get("type") == "support":
            return []
        pieces = [_mesh(m) for m in node.iterfind(f"{_3MF}mesh")]
        for part in node.iterfind(f"{_3MF}components/{_3MF}component"):
            inner = part.get(_PART, "/" + name).lstrip("/")
            for points, faces in self._object(inner, part.attrib["objectid"], depth + 1):
                pieces.append((_place(points, part.get("transform")), faces))
        return pieces


def _mesh(node: Element) -> tuple[Floats, Ints]:
    corners = [[float(v.attrib[k]) for k in "xyz"] for v in node.iter(f"{_3MF}vertex")]
    keys = ("v1", "v2", "v3")
    faces = [[int(t.attrib[k]) for k in keys] for t in node.iter(f"{_3MF}triangle")]
    return np.array(corners, float).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3)


def _place(points: Floats, transform: str | None) -> Floats:
    if not transform:
        return points
    matrix = np.array([float(v) for v in transform.split()]).reshape(4, 3)
    return points @ matrix[:3] + matrix[3]


def _joined(pieces: list[tuple[Floats, Ints]]) -> tuple[Floats, Ints]:
    points: list[Floats] = []
    faces: list[Ints] = []
    count = 0
    for some_points, some_faces in pieces:
        points.append(some_points)
        faces.append(some_faces + count)
        count += len(some_points)
    return np.vstack(points), np.vstack(faces)


def _merged(points: Floats, faces: Ints) -> Solid:
    """Weld equal corners (exact to 1e-5 mm), drop degenerate faces, stand it on z = 0."""
    keys = np.round(points * 1e5).astype(np.int64)
    _, first, back = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = back.reshape(-1)[faces]
    good = (
        (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    )
    faces = faces[good]
    welded = points[first].copy()
    welded[:, 2] -= welded[np.unique(faces), 2].min() if len(faces) else 0.0
    return Solid(welded, faces, _shells(len(welded), faces))


def _shells(count: int, faces: Ints) -> Ints:
    """Connected pieces, by letting the smallest label flow along edges."""
    label = np.arange(count)
    while True:
        least = label[faces].min(axis=1)
        before = label.copy()
        for corner in range(3):
            np.minimum.at(label, faces[:, corner], least)
        label = label[label]
        if (label == before).all():
            return label[faces[:, 0]]


def _volumes(points: Floats, faces: Ints) -> Floats:
    a, b, c = (points[faces[:, k]] for k in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)) / 6


class Slicer:
    """Sections of one solid at any height."""

    def __init__(self, solid: Solid) -> None:
        self.solid = solid
        heights = solid.points[solid.faces][:, :, 2]
        self._low, self._high = heights.min(axis=1), heights.max(axis=1)
        self._levels = np.unique(solid.points[:, 2])
        volumes = _volumes(solid.points, solid.faces)
        self._hollow = {
            int(s) for s in np.unique(solid.shells) if volumes[solid.shells == s].sum() < 0
        }
        self._known: dict[float, BaseGeometry] = {}
        self._alike: dict[bytes, BaseGeometry] = {}
        self.flats = np.unique(self._high[self._high - self._low < OFF_CORNERS_MM])

    def at(self, z_mm: float) -> BaseGeometry:
        """The region of material at a height: per shell even-odd, shells united, cavities cut.

        Equal sections are one and the same object.
        """
        if z_mm not in self._known:
            region = self._cut(z_mm)
            self._known[z_mm] = self._alike.setdefault(_likeness(region), region)
        return self._known[z_mm]

    def _cut(self, z_mm: float) -> BaseGeometry:
        # A plane through corners of the mesh has no clean section: it steps off them, upwards.
        if len(self._levels) and np.abs(self._levels - z_mm).min() < OFF_CORNERS_MM / 2:
            z_mm += OFF_CORNERS_MM
        crossing = np.flatnonzero((self._low < z_mm) & (self._high > z_mm))
        solid = self.solid
        filled: list[BaseGeometry] = []
        hollow: list[BaseGeometry] = []
        for shell in np.unique(solid.shells[crossing]):
            faces = solid.faces[crossing[solid.shells[crossing] == shell]]
            region = self._region(faces, z_mm)
            (hollow if int(shell) in self._hollow else filled).append(region)
        material = shapely.union_all(filled)
        return shapely.difference(material, shapely.union_all(hollow)) if hollow else material

    def _region(self, faces: Ints, z_mm: float) -> BaseGeometry:
        rings = [_ring(loop) for loop in self._loops(faces, z_mm) if len(loop) >= 3]
        region: BaseGeometry = shapely.Polygon()
        for ring in sorted(rings, key=shapely.area, reverse=True):
            region = shapely.symmetric_difference(region, ring)
        return region

    def _loops(self, faces: Ints, z_mm: float) -> list[Floats]:
        """Closed loops of crossing points, linked through the mesh edges they lie on."""
        points = self.solid.points
        above = points[faces][:, :, 2] > z_mm
        alone = np.where(above.sum(axis=1) == 1, above.argmax(axis=1), (~above).argmax(axis=1))
        row = np.arange(len(faces))
        tip, left, right = (faces[row, (alone + k) % 3] for k in range(3))
        size = len(points)
        keys = [np.minimum(tip, o) * size + np.maximum(tip, o) for o in (left, right)]
        share = [(z_mm - points[tip, 2]) / (points[o, 2] - points[tip, 2]) for o in (left, right)]
        places = [
            points[tip, :2] + s[:, None] * (points[o, :2] - points[tip, :2])
            for s, o in zip(share, (left, right), strict=True)
        ]
        return self._link(keys, places)

    def _link(self, keys: list[Ints], places: list[Floats]) -> list[Floats]:
        at: dict[int, Floats] = {}
        touching: dict[int, list[int]] = {}
        for index, (a, b) in enumerate(zip(keys[0].tolist(), keys[1].tolist(), strict=True)):
            at[a], at[b] = places[0][index], places[1][index]
            touching.setdefault(a, []).append(index)
            touching.setdefault(b, []).append(index)
        ends = list(zip(keys[0].tolist(), keys[1].tolist(), strict=True))
        used = [False] * len(ends)
        loops: list[Floats] = []
        starts = [k for k, faces in touching.items() if len(faces) == 1]  # open ends first
        for key in [*starts, *touching]:
            chain = _walk(key, touching, ends, used)
            if len(chain) > 2:
                loops.append(np.array([at[k] for k in chain]))
        return loops


def _likeness(region: BaseGeometry) -> bytes:
    """The same for regions with the same rings, corner by corner to a micrometre."""
    rounded = shapely.transform(region, lambda corners: np.round(corners, 3) + 0.0)
    return shapely.to_wkb(shapely.normalize(rounded))


def _ring(loop: Floats) -> BaseGeometry:
    """A closed loop as a region, without the points that lie straight between their neighbours.

    It begins at its lowest left corner, so that equal loops become equal regions.
    """
    first = int(np.lexsort((loop[:, 1], loop[:, 0]))[0])
    loop = loop[:-1] if (loop[0] == loop[-1]).all() and len(loop) > 3 else loop
    ring = shapely.Polygon(np.roll(loop, -first, axis=0))
    return shapely.make_valid(shapely.simplify(ring, STRAIGHT_MM))


def _walk(
    key: int, touching: dict[int, list[int]], ends: list[tuple[int, int]], used: list[bool]
) -> list[int]:
    chain = [key]
    while True:
        face = next((f for f in touching[key] if not used[f]), None)
        if face is None:
            return chain
        used[face] = True
        a, b = ends[face]
        key = b if key == a else a
        chain.append(key)
        if key == chain[0]:
            return chain
