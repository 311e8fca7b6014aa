"""Reads the geometry of a 3MF package: every build item, placed, in millimetres.

It takes the model parts that the root relationships name and nothing else: what is taken out
(settings and commands of a slicer, programs, pictures, metadata) is said.
"""

import posixpath
import struct
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from designs.errors import Finding, LimitExceeded, Refused
from designs.geometry import package
from designs.geometry.mesh import MAX_TRIANGLES, REACH_MM, Held, Indices, Points, Thing

MAX_PLACED = 10_000
_MAX_DEPTH = 32
_LARGEST = 1e12  # in a transform
_CHUNK = 2**16
_CORE = "{http://schemas.microsoft.com/3dmanufacturing/core/2015/02}"
_PATH = "{http://schemas.microsoft.com/3dmanufacturing/production/2015/06}path"
_MODEL_TYPE = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
_READABLE_EXTENSIONS = (  # production (parts in several files), materials (ignored)
    "http://schemas.microsoft.com/3dmanufacturing/production/",
    "http://schemas.microsoft.com/3dmanufacturing/material/",
)
_UNIT_MM = {
    "micron": 1e-3,
    "millimeter": 1.0,
    "centimeter": 10.0,
    "inch": 25.4,
    "foot": 304.8,
    "meter": 1000.0,
}
_AGAIN = "Export the 3MF again"

Transform = np.ndarray[tuple[int, int], np.dtype[np.float64]]  # (4, 3): rows x, y, z, move
Key = tuple[str, str]  # (model part, object id)


@dataclass(frozen=True)
class _Placed:
    key: Key
    transform: Transform


@dataclass
class _Object:
    name: str = ""
    printable: bool = True
    numbers: "array[float]" = field(default_factory=lambda: array("d"))
    corners: "array[int]" = field(default_factory=lambda: array("q"))
    components: list[_Placed] = field(default_factory=list[_Placed])


def read(path: Path) -> Held:
    """Each placed mesh, the names of what is built, and what was taken out; raises `Refused`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _Package(archive, path.stat().st_size).held()
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        NotImplementedError,
        EOFError,
        OSError,
        ValueError,
    ) as broken:
        raise Refused("the archive is damaged", "the file", _AGAIN) from broken


class _Package:
    """The objects of one package, gathered part by part as they are named."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        self._names = package.safe_names(archive, size)
        self._left = package.MAX_TOTAL_BYTES
        self._objects: dict[Key, _Object] = {}
        self._build: list[_Placed] = []
        self._metadata: list[str] = []
        self._idle = 0

    def held(self) -> Held:
        root = self._root()
        self._build = self._read_model(root)
        models = {root, *self._read_named_parts(root)}
        if not self._build:
            raise Refused(
                "it builds nothing: "
                + ("no build item is to be printed" if self._idle else "no build items"),
                "<build>",
                _AGAIN,
            )
        _Count(self._objects).refuse_too_many(self._build)
        parts = [self._mesh(p) for item in self._build for p in self._expanded(item)]
        read = {name.casefold() for name in models}
        notes = package.taken_out(self._archive, read, self._metadata)
        return Held(parts, (*self._left_out(), *notes), self._things())

    def _left_out(self) -> Iterator[Finding]:
        aids = sum(not thing.printable for thing in self._objects.values())
        if self._idle:
            yield package.note(
                f"{self._idle} build items", "are marked not to be printed: left out"
            )
        if aids:
            yield package.note(f"{aids} objects", "are supports or no model: they were left out")

    def _things(self) -> tuple[Thing, ...]:
        built = Counter(item.key for item in self._build if self._objects[item.key].printable)
        named = (
            (self._objects[key].name or f"object {key[1][:20]}", n) for key, n in built.items()
        )
        return tuple(Thing(name, count) for name, count in named)

    def _root(self) -> str:
        relations = _Relations()
        self._parse("_rels/.rels", relations)
        if not relations.model:
            raise Refused("it names no 3D model", "_rels/.rels", _AGAIN)
        return posixpath.normpath(relations.model.lstrip("/"))

    def _read_model(self, name: str) -> list[_Placed]:
        model = _Model(name)
        self._parse(name, model)
        self._objects |= {(name, id): thing for id, thing in model.objects.items()}  # noqa: A001
        self._metadata += model.metadata
        self._idle += model.idle
        return model.build

    def _read_named_parts(self, root: str) -> set[str]:
        seen, waiting = {root}, _parts_named(self._build, self._objects)
        while new := waiting - seen:
            for name in sorted(new):
                self._read_model(name)
            seen |= new
            waiting = _parts_named(self._build, self._objects)
        return seen

    def _parse(self, name: str, target: "_Relations | _Model") -> None:
        info = self._names.get(name.casefold())
        if info is None:
            raise Refused(f"it has no {name}", "the archive", _AGAIN)
        parser = DefusedXMLParser(target=target, forbid_dtd=True)
        try:
            with self._archive.open(info) as file:
                for chunk in iter(lambda: file.read(_CHUNK), b""):
                    self._left -= len(chunk)
                    if self._left < 0:
                        raise LimitExceeded("it unpacks to too much", name, "Export a simpler part")
                    parser.feed(chunk)
            parser.close()
        except DefusedXmlException as hostile:
            what = "it defines XML entities or a document type, which no 3MF needs"
            raise Refused(what, name[:80], _AGAIN) from hostile
        except (ParseError, LookupError) as broken:
            raise Refused(f"its XML is broken ({broken})"[:160], name[:80], _AGAIN) from broken

    def _expanded(self, placed: _Placed) -> Iterator[_Placed]:
        thing = self._objects[placed.key]
        if thing.printable and thing.corners:
            yield placed
        for inner in thing.components:
            yield from self._expanded(
                _Placed(inner.key, _then(inner.transform, placed.transform)),
            )

    def _mesh(self, placed: _Placed) -> tuple[Points, Indices]:
        thing = self._objects[placed.key]
        local = np.frombuffer(thing.numbers, dtype=np.float64).reshape(-1, 3)
        faces = np.frombuffer(thing.corners, dtype=np.int64).reshape(-1, 3)
        where = f"{placed.key[0]}, object {placed.key[1]}"
        if faces.min() < 0 or faces.max() >= len(local):
            raise Refused("a triangle names a corner that is not there", where, _AGAIN)
        vertices = local @ placed.transform[:3] + placed.transform[3]
        if not np.isfinite(vertices).all():
            raise Refused("a corner is not a finite number", where, _AGAIN)
        if np.abs(vertices).max() > REACH_MM:
            raise Refused(
                f"it lies more than {REACH_MM / 1000:.0f} m out", where, "Check its units and place"
            )
        mirrored = np.linalg.det(placed.transform[:3]) < 0
        return vertices, faces[:, ::-1] if mirrored else faces


class _Count:
    """Counts what the components would expand to, before anything is expanded."""

    def __init__(self, objects: dict[Key, _Object]) -> None:
        self._objects = objects
        self._known: dict[Key, tuple[int, int]] = {}
        self._open: set[Key] = set()

    def refuse_too_many(self, build: list[_Placed]) -> None:
        counts = [self._of(item.key) for item in build]
        placed, triangles = (sum(column) for column in zip(*counts, strict=True))
        if placed > MAX_PLACED or triangles > MAX_TRIANGLES:
            raise LimitExceeded(
                f"its components expand to {placed:,} objects with {triangles:,} triangles",
                "<build>",
                "Export fewer copies, or coarser ones",
            )
        if not triangles:
            raise Refused("it builds no triangles", "<build>", _AGAIN)

    def _of(self, key: Key) -> tuple[int, int]:
        """(objects placed, triangles) of one object with all its components."""
        if key in self._known:
            return self._known[key]
        where = f"{key[0]}, object {key[1]}"
        if key not in self._objects:
            raise Refused("it is used but not there", where, _AGAIN)
        if key in self._open:
            raise Refused("it contains itself", where, _AGAIN)
        if len(self._open) > _MAX_DEPTH:
            raise LimitExceeded("its components are nested too deep", where, _AGAIN)
        self._open.add(key)
        thing = self._objects[key]
        inner = [self._of(c.key) for c in thing.components]
        self._open.discard(key)
        own = len(thing.corners) // 3 if thing.printable else 0
        self._known[key] = (
            1 + sum(placed for placed, _ in inner),
            own + sum(triangles for _, triangles in inner),
        )
        return self._known[key]


class _Relations:
    """Parser target: which part is the model."""

    def __init__(self) -> None:
        self.model = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag.endswith("}Relationship") and attributes.get("Type") == _MODEL_TYPE:
            self.model = self.model or attributes.get("Target", "")

    def end(self, _tag: str) -> None: ...
    def data(self, data: str) -> None: ...
    def close(self) -> None: ...


class _Model:
    """Parser target: objects and build items of one model part, with the unit applied."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._scale = 1.0
        self._depth = 0
        self._now = _Object()
        self._triangles = 0
        self._spaces: dict[str, str] = {}
        self.objects: dict[str, _Object] = {}
        self.build: list[_Placed] = []
        self.idle = 0  # build items that a slicer keeps and does not print
        self.metadata: list[str] = []
        self._starts = {
            f"{_CORE}model": self._model,
            f"{_CORE}object": self._object,
            f"{_CORE}vertex": self._vertex,
            f"{_CORE}triangle": self._triangle,
            f"{_CORE}component": self._component,
            f"{_CORE}item": self._item,
            f"{_CORE}metadata": self._names_metadata,
        }

    def start_ns(self, prefix: str, uri: str) -> None:
        self._spaces[prefix] = uri

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise LimitExceeded("its XML is nested too deep", self._name, _AGAIN)
        begin = self._starts.get(tag)
        if begin is None:
            return
        try:
            begin(attributes)
        except (KeyError, ValueError, OverflowError):
            what = f"<{tag.removeprefix(_CORE)}> lacks a number or has a bad one"
            raise Refused(what, self._name, _AGAIN) from None

    def end(self, _tag: str) -> None:
        self._depth -= 1

    def data(self, data: str) -> None: ...
    def close(self) -> None: ...

    def _model(self, attributes: dict[str, str]) -> None:
        unit = attributes.get("unit", "millimeter")
        if unit not in _UNIT_MM:
            raise Refused(f"the unit {unit[:20]!r} is unknown", self._name, "Export millimetres")
        self._scale = _UNIT_MM[unit]
        needed = attributes.get("requiredextensions", "").split()
        missing = [
            p for p in needed if not self._spaces.get(p, "").startswith(_READABLE_EXTENSIONS)
        ]
        if missing:
            raise Refused(
                f"it needs 3MF extensions we do not read: {', '.join(sorted(missing))[:60]}",
                self._name,
                "Export a plain 3MF or STL",
            )

    def _object(self, attributes: dict[str, str]) -> None:
        if attributes["id"] in self.objects:
            raise Refused(f"object {attributes['id'][:20]} is there twice", self._name, _AGAIN)
        kind = attributes.get("type", "model")
        printable = kind not in {"support", "solidsupport", "other"}
        self._now = _Object(attributes.get("name", "")[:80], printable)
        self.objects[attributes["id"]] = self._now

    def _vertex(self, attributes: dict[str, str]) -> None:
        scale = self._scale
        self._now.numbers.extend(_number(attributes[axis]) * scale for axis in "xyz")
        if len(self._now.numbers) > 9 * MAX_TRIANGLES:
            raise LimitExceeded("it has too many corners", self._name, "Export it coarser")

    def _triangle(self, attributes: dict[str, str]) -> None:
        self._triangles += 1
        if self._triangles > MAX_TRIANGLES:
            raise LimitExceeded("it has too many triangles", self._name, "Export it coarser")
        self._now.corners.extend(int(attributes[v]) for v in ("v1", "v2", "v3"))

    def _component(self, attributes: dict[str, str]) -> None:
        self._now.components.append(self._placed(attributes))

    def _names_metadata(self, attributes: dict[str, str]) -> None:
        if len(self.metadata) < 100:
            self.metadata.append(attributes.get("name", "")[:40])

    def _item(self, attributes: dict[str, str]) -> None:
        if attributes.get("printable") in {"0", "false"}:
            self.idle += 1
            return
        self.build.append(self._placed(attributes))
        if len(self.build) > MAX_PLACED:
            raise LimitExceeded("it has too many build items", self._name, "Export fewer copies")

    def _placed(self, attributes: dict[str, str]) -> _Placed:
        part = posixpath.normpath(attributes.get(_PATH, self._name).lstrip("/"))
        return _Placed(
            (part, attributes["objectid"]),
            _transform(attributes.get("transform"), self._scale),
        )


def _parts_named(build: list[_Placed], objects: dict[Key, _Object]) -> set[str]:
    inner = (c.key[0] for thing in objects.values() for c in thing.components)
    return {item.key[0] for item in build} | set(inner)


def _number(text: str) -> float:
    if "_" in text or not text.isascii():
        raise ValueError("no number of XML")
    return float(text)


def _transform(text: str | None, scale: float) -> Transform:
    """Twelve numbers, row by row, as (4, 3); the move in the model's unit."""
    if text is None:
        return np.vstack([np.eye(3), np.zeros(3)])
    matrix = np.array([_number(word) for word in text.split()]).reshape(4, 3)
    if not (np.abs(matrix) < _LARGEST).all() or not np.linalg.det(matrix[:3]):
        raise ValueError("a transform that flattens, or goes too far")
    matrix[3] *= scale
    return matrix


def _then(inner: Transform, outer: Transform) -> Transform:
    moved = inner[3] @ outer[:3] + outer[3]
    return np.vstack([inner[:3] @ outer[:3], moved])
