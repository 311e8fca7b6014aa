"""Reads the solids of a STEP file (AP203, AP214, AP242) as triangles in millimetres.

OpenCASCADE does the reading, through cascadio; it is only given files that are whole, of a schema
for parts, and that name no other file.
"""

import json
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from designs.errors import LimitExceeded, Refused
from designs.geometry.mesh import MAX_TRIANGLES, Held, Indices, Points, Thing, checked

STRAYS_MM = 0.01  # triangles lie at most this far from the surface
_TURNS_RAD = 0.2  # and turn at most this much from one to the next
MAX_FILE_BYTES = 64 * 2**20
MAX_ENTITIES = 1_000_000
_MOST_PLACED = 10_000
_AGAIN = "Export the STEP again"
_MM = 1000.0  # cascadio answers in metres, as glTF is
_SCHEMAS = ("CONFIG_CONTROL_DESIGN", "AUTOMOTIVE_DESIGN", "AP203", "AP214", "AP242")
_SCHEMA = re.compile(rb"FILE_SCHEMA\s*\(\s*\(\s*'([^']{0,200})'", re.IGNORECASE)
_ELSEWHERE = re.compile(rb"=\s*(DOCUMENT_FILE|EXTERNALLY_DEFINED_\w+)\s*\(", re.IGNORECASE)
_UNREAD = re.compile(rb"'[^']*'|/\*(?>[^*]++|\*(?!/))*+\*/")  # strings and comments
_ENDLESS = re.compile(rb"[^;]{262144}")
_NO_SIZE = re.compile(rb"\b(nan|inf(inity)?)\b|[\d.]e\+?\d{3}", re.IGNORECASE)
_DEFINED = re.compile(rb"#(\d{1,18})\s*=")
_NAMED = re.compile(rb"#(\d{1,18})")
_USED = re.compile(
    rb"NEXT_ASSEMBLY_USAGE_OCCURRENCE\s*\([^#;]*#(\d{1,18})\s*,\s*#(\d{1,18})", re.IGNORECASE
)
_MOST_DEEP = 64

Glb = Mapping[str, Any]


def read(path: Path, strays_mm: float = STRAYS_MM) -> Held:
    """Each placed solid, with the names the file gives; raises `Refused`."""
    data = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None
    if data is None:
        what = f"it is larger than {MAX_FILE_BYTES // 2**20} MiB"
        raise LimitExceeded(what, "the file", "Export a simpler part, or an STL")
    _refuse_unfit(data)
    scene, binary = _unpacked(_converted(data, strays_mm))
    names: Counter[str] = Counter()
    parts: list[tuple[Points, Indices]] = []
    left = MAX_TRIANGLES
    for name, mesh, matrix in _placed(scene):
        names[name] += 1
        for points, faces in _primitives(scene, binary, mesh):
            left -= len(faces)
            if left < 0 or len(parts) >= _MOST_PLACED:
                raise LimitExceeded("it has too many faces", "its solids", "Export a simpler part")
            parts.append((_in_mm(points, matrix), faces))
    if not parts:
        raise Refused("it holds no solid or surface", "the file", "Export the solid itself")
    for points, faces in parts:
        checked(points[faces.ravel()])
    return Held(parts, (), tuple(Thing(name, count) for name, count in names.items()))


def _refuse_unfit(data: bytes) -> None:
    if not data.rstrip().endswith(b"END-ISO-10303-21;"):
        raise Refused("it has no end mark: cut off", "the last line", _AGAIN)
    found = _SCHEMA.search(data[: 2**16])
    schema = found[1].decode("ascii", "replace").upper() if found else ""
    if not schema.startswith(_SCHEMAS):
        what = f"its schema is {schema[:40]!r}: not one for parts" if found else "it has no schema"
        raise Refused(what, "FILE_SCHEMA", "Export it as STEP AP214 or AP242")
    elsewhere = _ELSEWHERE.search(data)
    if elsewhere:
        kind = elsewhere[1].decode("ascii").upper()
        what = f"parts of it lie in other files ({kind})"
        raise Refused(what, "the assembly", "Export all of it into one STEP file")
    if data.count(b"=") > MAX_ENTITIES:
        raise LimitExceeded("it has too many entities", "DATA", "Export a simpler part")
    if _ENDLESS.search(data):
        raise LimitExceeded("one of its entities is very long", "DATA", "Export a simpler part")
    bare = _UNREAD.sub(_emptied, data)
    if _NO_SIZE.search(bare):
        raise Refused("it holds a number that no part has", "DATA", _AGAIN)
    if _deepest(bare) > _MOST_DEEP:
        raise Refused("its lists are nested too deep", "DATA", _AGAIN)
    _refuse_loose_ends(bare)
    _refuse_explosion(bare)


def _emptied(unread: re.Match[bytes]) -> bytes:
    return b"''" if unread[0].startswith(b"'") else b" "


def _deepest(bare: bytes) -> int:
    deepest = depth = 0
    for start in range(0, len(bare), 2**22):
        letters = np.frombuffer(bare[start : start + 2**22], dtype=np.uint8)
        levels = depth + np.cumsum((letters == ord("(")).astype(np.int32) - (letters == ord(")")))
        deepest, depth = max(deepest, int(levels.max())), int(levels[-1])
    return deepest


def _refuse_loose_ends(bare: bytes) -> None:
    """Every entity that is named is there, once."""
    defined = _DEFINED.findall(bare)
    numbers = set(map(int, defined))
    if len(numbers) != len(defined):
        raise Refused("an entity is there twice", "DATA", _AGAIN)
    missing = min(set(map(int, _NAMED.findall(bare))) - numbers, default=None)
    if missing is not None:
        raise Refused(f"it names #{missing}, which is not there: damaged", "DATA", _AGAIN)


def _refuse_explosion(bare: bytes) -> None:
    """Counts how many parts the assembly places, before it is expanded."""
    inner: dict[bytes, list[bytes]] = {}
    for outer, used in _USED.findall(bare):
        inner.setdefault(outer, []).append(used)
    known: dict[bytes, int] = {}

    def count(product: bytes, within: tuple[bytes, ...]) -> int:
        if product in within:
            raise Refused("an assembly contains itself", f"#{product.decode()}", _AGAIN)
        if len(within) > _MOST_DEEP:
            what = "its assemblies are nested too deep"
            raise LimitExceeded(what, f"#{product.decode()}", "Export a simpler assembly")
        if product not in known:
            uses = inner.get(product, ())
            known[product] = 1 + sum(count(used, (*within, product)) for used in uses)
        return known[product]

    most = max((count(product, ()) for product in inner), default=0)
    if most > _MOST_PLACED:
        what = f"its assembly places {most:,} parts"
        raise LimitExceeded(what, "the assembly", "Export a simpler assembly")


def _converted(data: bytes, strays_mm: float) -> bytes:
    try:
        import cascadio
    except ImportError:
        raise Refused(
            "reading STEP needs cascadio, which is not installed here",
            "the file",
            "Install cosmolocal[orchestrator], or export an STL",
        ) from None
    glb = cascadio.load(
        data,
        file_type="step",
        tol_linear=strays_mm,
        tol_angular=_TURNS_RAD,
        use_parallel=False,  # the same bytes every time
    )
    if not glb:
        raise Refused("it is damaged, or holds no shape", "DATA", _AGAIN)
    return glb


def _unpacked(glb: bytes) -> tuple[Glb, bytes]:
    """The scene and the numbers of a glTF binary: glTF 2.0, section 4.4."""
    (length,) = struct.unpack_from("<I", glb, 12)
    return json.loads(glb[20 : 20 + length]), glb[28 + length :]


def _placed(scene: Glb) -> Iterator[tuple[str, int, Points]]:
    """(name, number of the mesh, 4 x 4 matrix) of each node with a shape."""
    nodes = cast(Sequence[Glb], scene.get("nodes", ()))
    waiting = [(int(root), np.eye(4)) for s in scene.get("scenes", ()) for root in s["nodes"]]
    while waiting:
        number, outer = waiting.pop()
        node = nodes[number]
        matrix = outer @ _matrix(node)
        if "mesh" in node:
            name = scene["meshes"][node["mesh"]].get("name") or node.get("name") or ""
            yield str(name)[:80], int(node["mesh"]), matrix
        waiting += [(int(inner), matrix) for inner in reversed(node.get("children", ()))]


def _matrix(node: Glb) -> Points:
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix[:3, :3] = turn * np.array(node.get("scale", (1.0, 1.0, 1.0)))
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix


def _primitives(scene: Glb, binary: bytes, mesh: int) -> Iterator[tuple[Points, Indices]]:
    for primitive in scene["meshes"][mesh]["primitives"]:
        if primitive.get("mode", 4) != 4:  # triangles
            continue
        points = _numbers(scene, binary, primitive["attributes"]["POSITION"], 3)
        corners = _numbers(scene, binary, primitive["indices"], 1)
        yield points.astype(np.float64), corners.astype(np.int64).reshape(-1, 3)


_DTYPES = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}


def _numbers(scene: Glb, binary: bytes, accessor: int, width: int) -> Points:
    what = scene["accessors"][accessor]
    view = scene["bufferViews"][what["bufferView"]]
    start = view.get("byteOffset", 0) + what.get("byteOffset", 0)
    count = what["count"] * width
    found = np.frombuffer(binary, _DTYPES[what["componentType"]], count, start)
    return found.reshape(-1, width)


def _in_mm(points: Points, matrix: Points) -> Points:
    """Cascadio keeps the axes of the STEP file; only the metres are glTF's."""
    return (points @ matrix[:3, :3].T + matrix[:3, 3]) * _MM
