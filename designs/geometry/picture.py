"""Pictures of a part: a shaded thumbnail drawn without any graphics system, and a model to turn.

It works within a budget of faces and pixels, whatever it is given; what is over is thinned out.
"""

import io
import itertools
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from designs.geometry.drawing import Drawing
from designs.geometry.extrude import solid
from designs.geometry.mesh import Indices, Mesh, Points, normals

SHEET_MM = 3.0  # shown thickness of a sheet part that does not say
_FRAGMENTS = 16_000_000  # pixels of all triangles, hidden ones included
_AT_ONCE = 500_000  # rows or pixels held in memory
_GLB_FACES = 60_000
_LIGHT = np.array([-0.45, 0.55, 0.7]) / np.linalg.norm([-0.45, 0.55, 0.7])  # right, up, to the eye
_PRINTED = np.array([0.20, 0.56, 0.58])
_SHEET = np.array([0.87, 0.68, 0.43])

Image3 = NDArray[np.float64]


@dataclass(frozen=True)
class _View:
    turn_deg: float
    lift_deg: float

    def axes(self) -> Points:
        """Rows: right, up, towards the eye."""
        turn, lift = np.radians([self.turn_deg, self.lift_deg])
        eye = np.array([np.cos(lift) * np.sin(turn), -np.cos(lift) * np.cos(turn), np.sin(lift)])
        right = np.array([np.cos(turn), np.sin(turn), 0.0])
        return np.array([right, np.cross(eye, right), eye])


def thumbnail(
    thing: Mesh | Drawing, px: int = 512, thickness_mm: float | None = None, over: int = 2
) -> bytes:
    """PNG, px by px, transparent around the part; drawn `over` times larger and averaged."""
    flat = isinstance(thing, Drawing)
    mesh = solid(thing, thickness_mm or SHEET_MM) if isinstance(thing, Drawing) else thing
    view = _View(turn_deg=28, lift_deg=52 if flat else 32)
    return _png(_drawn(mesh, view, px * over, _SHEET if flat else _PRINTED), px)


@dataclass(frozen=True, eq=False)
class Coloured:
    """A solid in its place; the colour's red, green and blue from 0 to 1."""

    mesh: Mesh
    colour: tuple[float, float, float]


def scene(
    pieces: Sequence[Coloured],
    px: int = 512,
    turn_deg: float = 28,
    lift_deg: float = 32,
    over: int = 2,
) -> bytes:
    """PNG, px by px, of several solids as they stand together; otherwise as `thumbnail`."""
    offsets = np.cumsum([0, *(len(piece.mesh.vertices) for piece in pieces)])
    faces = [piece.mesh.faces + o for piece, o in zip(pieces, offsets[:-1], strict=True)]
    whole = Mesh(np.concatenate([piece.mesh.vertices for piece in pieces]), np.concatenate(faces))
    colours = np.repeat([p.colour for p in pieces], [len(p.mesh.faces) for p in pieces], axis=0)
    return _png(_drawn(whole, _View(turn_deg, lift_deg), px * over, colours), px)


def glb(mesh: Mesh, colour: tuple[float, ...] | None = None) -> bytes:
    """A glTF binary in metres, y up, at most about 1.5 MB; large meshes are coarsened.

    Layout: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, section 4. Without normals
    a viewer shades each face flat, as printed and cut parts look.
    """
    small = _coarsened(mesh, _GLB_FACES)
    x, y, z = (small.vertices - small.vertices.mean(axis=0)).T / 1000
    points = np.column_stack([x, z, -y]).astype("<f4")
    corners, places = small.faces.astype("<u4").tobytes(), points.tobytes()
    scene = _scene(points, len(corners), small.faces.size, colour or tuple(_PRINTED))
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = _chunk(b"JSON", text) + _chunk(b"BIN\0", corners + places)
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def _scene(
    points: NDArray[np.float32], corner_bytes: int, corners: int, colour: tuple[float, ...]
) -> dict[str, object]:
    """The scene's description: corner numbers first in the buffer, then places."""
    matt = {"baseColorFactor": [*colour, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.6}
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 1}, "indices": 0, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": matt}],
        "buffers": [{"byteLength": corner_bytes + points.nbytes}],
        "bufferViews": [
            {"buffer": 0, "byteLength": corner_bytes, "target": 34963},
            {"buffer": 0, "byteOffset": corner_bytes, "byteLength": points.nbytes, "target": 34962},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5125, "count": corners, "type": "SCALAR"},
            {
                "bufferView": 1,
                "componentType": 5126,
                "count": len(points),
                "type": "VEC3",
                "min": [float(v) for v in points.min(axis=0)],
                "max": [float(v) for v in points.max(axis=0)],
            },
        ],
    }


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<I4s", len(data), kind) + data


def sheet_glb(drawing: Drawing, thickness_mm: float | None = None) -> bytes:
    return glb(solid(drawing, thickness_mm or SHEET_MM), tuple(_SHEET))


def _coarsened(mesh: Mesh, most: int) -> Mesh:
    """Vertices in the same cell of an ever coarser grid become one, until few faces are left."""
    cell = float(np.ptp(mesh.vertices, axis=0).max()) / 400
    while len(mesh.faces) > most:
        keys = np.round(mesh.vertices / cell).astype(np.int64)
        _, first, where = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        a, b, c = faces = where.ravel()[mesh.faces].T
        kept = faces.T[(a != b) & (b != c) & (c != a)]
        mesh = Mesh(mesh.vertices[first], kept)
        cell *= 1.3
    return mesh


def _png(image: Image.Image, px: int) -> bytes:
    small = image.resize((px, px), Image.Resampling.BOX)
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True)
    return out.getvalue()


def _drawn(mesh: Mesh, view: _View, px: int, colour: Points) -> Image.Image:
    """`colour` (3,) of all, or (m, 3) of each face."""
    axes = view.axes()
    seen = mesh.vertices @ axes.T
    facing = (normals(mesh) @ axes.T)[:, 2] > 0
    faces = mesh.faces[facing]
    shadow = _shadow(mesh.vertices, axes)
    to_pixels, scale = _fit(np.vstack([seen[:, :2], shadow]), px)
    screen = np.column_stack([to_pixels(seen[:, :2]), seen[:, 2] * scale])
    depth, owner = _rastered(screen[faces], px)
    ground = _rastered(np.dstack([to_pixels(shadow)[faces], np.zeros((len(faces), 3))]), px)[1]
    of_face = np.broadcast_to(colour, (len(mesh.faces), 3))[facing]
    shade = _shaded(normals(mesh)[facing] @ axes.T, depth, owner, of_face)
    return _composed(shade, owner >= 0, ground >= 0, px)


def _shadow(vertices: Points, axes: Points) -> Points:
    """Where the ground under the part is dark: each corner dropped along a steep light."""
    height = vertices[:, 2] - vertices[:, 2].min()
    dropped = vertices + height[:, None] * np.array([0.35, 0.2, -1.0])
    return (dropped @ axes.T)[:, :2]


def _fit(points: Points, px: int):  # noqa: ANN202 - (function, scale)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = 0.9 * px / max(float((high - low).max()), 1e-9)
    middle = (low + high) / 2

    def to_pixels(at: Points) -> Points:
        return (at - middle) * np.array([scale, -scale]) + px / 2

    return to_pixels, scale


def _rastered(corners: Points, px: int) -> tuple[Points, Indices]:
    """Depth and number of the nearest of (m, 3 corners, x y depth) triangles; -1 for none."""
    boxes = np.prod(np.ptp(corners[:, :, :2], axis=1) + 1, axis=1)
    step = int(np.ceil(boxes.sum() / 2 / _FRAGMENTS)) or 1
    chosen = np.arange(0, len(corners), step)
    depth = np.full(px * px, -np.inf)
    owner = np.full(px * px, -1, dtype=np.int64)
    for low, high in _portions(np.ptp(corners[chosen, :, 1], axis=1) + 2):
        part = chosen[low:high]
        for pixel, z, face in _fragments(corners[part], px):
            np.maximum.at(depth, pixel, z)
            won = z >= depth[pixel]
            owner[pixel[won]] = part[face[won]]
    return depth.reshape(px, px), owner.reshape(px, px)


def _fragments(corners: Points, px: int):  # noqa: ANN202 - yields (pixel, depth, face)
    """Pixels whose middle a triangle covers: triangles to rows, rows to pixels, all at once."""
    top = np.clip(np.ceil(corners[:, :, 1].min(axis=1) - 0.5), 0, px).astype(int)
    bottom = np.clip(np.floor(corners[:, :, 1].max(axis=1) - 0.5), -1, px - 1).astype(int)
    face, row = _counted(top, bottom - top + 1)
    left, right = _span(corners[face], (row + 0.5).astype(np.float64))
    first = np.clip(np.ceil(left - 0.5), 0, px).astype(int)
    last = np.clip(np.floor(right - 0.5), -1, px - 1).astype(int)
    width = np.maximum(last - first + 1, 0)
    slope = _plane(corners)
    for low, high in _portions(width):
        which, column = _counted(first[low:high], width[low:high])
        span = which + low
        owner, y = face[span], row[span]
        flat = slope[owner]
        z = flat[:, 0] * (column + 0.5) + flat[:, 1] * (y + 0.5) + flat[:, 2]
        yield y * px + column, z, owner


def _portions(sizes: NDArray[np.floating | np.integer]) -> Iterator[tuple[int, int]]:
    """Consecutive (from, to) that hold about `_AT_ONCE` together, each at least one."""
    number = np.cumsum(sizes) // _AT_ONCE
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1), len(sizes)]
    return ((int(a), int(b)) for a, b in itertools.pairwise(cuts) if b > a)


def _counted(start: Indices, count: Indices) -> tuple[Indices, Indices]:
    """For each i, i and start[i], start[i]+1, … count[i] times."""
    count = np.maximum(count, 0)
    which = np.repeat(np.arange(len(count)), count)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    return which, start[which] + offset


def _span(corners: Points, y: Points) -> tuple[Points, Points]:
    """Leftmost and rightmost x where the row at height y crosses the triangle."""
    left, right = np.full(len(y), np.inf), np.full(len(y), -np.inf)
    for i in range(3):
        a, b = corners[:, i], corners[:, (i + 1) % 3]
        rise = b[:, 1] - a[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            along = (y - a[:, 1]) / rise
        hit = (rise != 0) & (along >= 0) & (along <= 1)
        x = a[:, 0] + np.where(hit, along, 0) * (b[:, 0] - a[:, 0])
        left = np.where(hit, np.minimum(left, x), left)
        right = np.where(hit, np.maximum(right, x), right)
    empty = left > right
    return np.where(empty, 1.0, left), np.where(empty, 0.0, right)


def _plane(corners: Points) -> Points:
    """(m, 3): depth = p x + q y + r over each triangle; flat where it is seen edge-on."""
    a, b, c = corners.transpose(1, 0, 2)
    n = np.cross(b - a, c - a)
    upright = np.abs(n[:, 2]) > 1e-9
    pq = np.where(upright[:, None], -n[:, :2] / np.where(upright, n[:, 2], 1)[:, None], 0)
    return np.column_stack([pq, a[:, 2] - (pq * a[:, :2]).sum(axis=1)])


def _shaded(facing: Points, depth: Points, owner: Indices, colour: Points) -> Image3:
    """Lambert light from the upper left, a little from the eye, and darker lines at edges."""
    lit = np.clip(facing @ _LIGHT, 0, 1)
    tone = (0.42 + 0.62 * lit + 0.08 * facing[:, 2])[np.maximum(owner, 0)]
    picture = np.clip(tone[..., None] * colour[np.maximum(owner, 0)], 0, 1)
    return picture * (1 - 0.45 * _edges(facing, depth, owner))[..., None]


def _edges(facing: Points, depth: Points, owner: Indices) -> Points:
    """1 where a pixel's neighbour faces elsewhere or lies far behind."""
    edge = np.zeros(owner.shape)
    normal = facing[np.maximum(owner, 0)]
    jump = 0.012 * owner.shape[0]
    for axis in (0, 1):
        near, far = (np.delete(owner, i, axis) >= 0 for i in (-1, 0))
        bend = (np.delete(normal, -1, axis) * np.delete(normal, 0, axis)).sum(axis=-1) < 0.8
        both = near & far
        with np.errstate(invalid="ignore"):
            step = np.abs(np.diff(depth, axis=axis)) > jump
        found = both & (bend | step) | (near ^ far)
        for cut in (slice(0, -1), slice(1, None)):
            place = (cut, slice(None)) if axis == 0 else (slice(None), cut)
            edge[place] = np.maximum(edge[place], found)
    return edge


def _composed(
    picture: Image3, covered: NDArray[np.bool_], dark: NDArray[np.bool_], px: int
) -> Image.Image:
    """The part over its blurred shadow, on nothing."""
    blur = ImageFilter.GaussianBlur(px / 60)
    shadow = np.asarray(Image.fromarray((dark * 70).astype(np.uint8)).filter(blur), dtype=float)
    alpha = np.where(covered, 255, shadow)
    rgb = np.where(covered[..., None], picture * 255, 30)
    return Image.fromarray(np.dstack([rgb, alpha]).astype(np.uint8), "RGBA")
