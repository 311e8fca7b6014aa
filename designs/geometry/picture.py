"""Pictures of a part: a shaded thumbnail drawn without any graphics system, and a model to turn.

It works within a budget of faces and pixels, whatever it is given; what is over is thinned out.
"""

import io
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from designs.geometry.drawing import Drawing
from designs.geometry.extrude import solid
from designs.geometry.mesh import Indices, Mesh, Points, corners_of, distinct, normals
from designs.geometry.raster import rastered
from designs.processes import FDM

SHEET_MM = 3.0  # shown thickness of a sheet part that does not say
GLB_BYTES = 1_000_000
_GLB_FACES = 60_000
_SHORT = 65_535  # corners that numbers of two bytes can name; the highest is reserved
_THUMBNAIL_FACES = 200_000
_COARSEST = 60  # cells along the longest side
_LIGHT = np.array([-0.45, 0.55, 0.7]) / np.linalg.norm([-0.45, 0.55, 0.7])  # right, up, to the eye
Colour = tuple[float, float, float]
"""Red, green and blue from 0 to 1."""
PRINTED: Colour = (0.20, 0.56, 0.58)
WOOD: Colour = (0.87, 0.68, 0.43)
_PRINTED = np.array(PRINTED)
_CLEAR: Colour = (0.62, 0.74, 0.82)
_NO_WOOD: dict[str, Colour] = {
    "acrylic": _CLEAR,
    "cardboard": (0.74, 0.60, 0.45),
    "hdpe": (0.90, 0.90, 0.87),
    "aluminium": (0.70, 0.72, 0.74),
}

Tones = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """Where the eye is: turned about z from the front, lifted above the bed (or below it)."""

    turn_deg: float
    lift_deg: float

    def axes(self) -> Points:
        """Rows: right, up, towards the eye."""
        turn, lift = np.radians([self.turn_deg, self.lift_deg])
        eye = np.array([np.cos(lift) * np.sin(turn), -np.cos(lift) * np.cos(turn), np.sin(lift)])
        right = np.array([np.cos(turn), np.sin(turn), 0.0])
        return np.array([right, np.cross(eye, right), eye])


def colour_of(process: str, material: str) -> Colour:
    """By the family of its material; prints are of one colour, whatever the filament."""
    return PRINTED if process == FDM else _NO_WOOD.get(material, WOOD)


def thumbnail(
    thing: Mesh | Drawing,
    px: int = 512,
    thickness_mm: float | None = None,
    over: int = 2,
    colour: Colour | None = None,
) -> bytes:
    """PNG, px by px, transparent around the part; drawn `over` times larger and averaged."""
    flat = isinstance(thing, Drawing)
    mesh = solid(thing, thickness_mm or SHEET_MM) if isinstance(thing, Drawing) else thing
    view = View(turn_deg=28, lift_deg=52 if flat else 32)
    paint = np.array(colour or (WOOD if flat else PRINTED))
    image = scene(coarsened(mesh, _THUMBNAIL_FACES), view, px * over, paint)
    return png(image.image.resize((px, px), Image.Resampling.BOX))


@dataclass(frozen=True, eq=False)
class Coloured:
    """A solid in its place."""

    mesh: Mesh
    colour: Colour


def group(pieces: Sequence[Coloured], px: int = 512, lift_deg: float = 32, over: int = 2) -> bytes:
    """PNG, px by px, of several solids as they stand together; otherwise as `thumbnail`."""
    offsets = np.cumsum([0, *(len(piece.mesh.vertices) for piece in pieces)])
    faces = [piece.mesh.faces + o for piece, o in zip(pieces, offsets[:-1], strict=True)]
    whole = Mesh(np.concatenate([piece.mesh.vertices for piece in pieces]), np.concatenate(faces))
    colours = np.repeat([p.colour for p in pieces], [len(p.mesh.faces) for p in pieces], axis=0)
    drawn = scene(whole, View(turn_deg=28, lift_deg=lift_deg), px * over, colours)
    return png(drawn.image.resize((px, px), Image.Resampling.BOX))


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=6)
    return out.getvalue()


def glb(mesh: Mesh, colour: Colour = PRINTED) -> bytes:
    """A glTF binary in metres, y up, of at most `GLB_BYTES`; what is larger is coarsened.

    Layout: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, section 4. Without normals
    a viewer shades each face flat, as printed and cut parts look.
    """
    most, small = _GLB_FACES, coarsened(mesh, _GLB_FACES)
    while _data_bytes(small) > GLB_BYTES - 4096:
        most = most * 3 // 4
        small = coarsened(small, most)
    x, y, z = (small.vertices - small.vertices.mean(axis=0)).T / 1000
    points = np.column_stack([x, z, -y]).astype("<f4")
    corners = small.faces.astype("<u2" if len(points) <= _SHORT else "<u4").tobytes()
    scene = _scene(points, len(corners), small.faces.size, colour)
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    data = corners + b"\0" * (-len(corners) % 4) + points.tobytes()
    chunks = _chunk(b"JSON", text) + _chunk(b"BIN\0", data)
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def _data_bytes(mesh: Mesh) -> int:
    return mesh.faces.size * (2 if len(mesh.vertices) <= _SHORT else 4) + 12 * len(mesh.vertices)


def _scene(
    points: NDArray[np.float32], corner_bytes: int, corners: int, colour: Colour
) -> dict[str, object]:
    """The scene's description: corner numbers first in the buffer, then places."""
    begins = corner_bytes + -corner_bytes % 4
    short = corner_bytes == 2 * corners
    matt = {"baseColorFactor": [*colour, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.6}
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 1}, "indices": 0, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": matt}],
        "buffers": [{"byteLength": begins + points.nbytes}],
        "bufferViews": [
            {"buffer": 0, "byteLength": corner_bytes, "target": 34963},
            {"buffer": 0, "byteOffset": begins, "byteLength": points.nbytes, "target": 34962},
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5123 if short else 5125,
                "count": corners,
                "type": "SCALAR",
            },
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


def sheet_glb(drawing: Drawing, thickness_mm: float | None = None, colour: Colour = WOOD) -> bytes:
    return glb(solid(drawing, thickness_mm or SHEET_MM), colour)


@lru_cache(maxsize=2)  # each picture of a part asks for the same
def coarsened(mesh: Mesh, most: int) -> Mesh:
    """Vertices in the same cell of an ever coarser grid become one, until few faces are left.

    Where a grid of `_COARSEST` cells does not do, every so many of the faces are kept.
    """
    low = mesh.vertices.min(axis=0)
    largest = float(np.ptp(mesh.vertices, axis=0).max())
    cells = 1000.0
    while len(mesh.faces) > most and cells >= _COARSEST:
        x, y, z = np.round((mesh.vertices - low) * (cells / largest)).astype(np.uint64).T
        first, where = distinct((x << np.uint64(40)) | (y << np.uint64(20)) | z)
        a, b, c = faces = where[mesh.faces].T
        left = faces.T[(a != b) & (b != c) & (c != a)]
        mesh = Mesh(mesh.vertices[first], left) if len(left) else mesh
        cells /= min(2.0, max(1.15, 0.9 * (len(mesh.faces) / most) ** 0.5))
    if len(mesh.faces) > most:
        used, faces = np.unique(mesh.faces[:: -(-len(mesh.faces) // most)], return_inverse=True)
        mesh = Mesh(mesh.vertices[used], faces.reshape(-1, 3))
    return mesh


@dataclass(frozen=True, eq=False)
class Scene:
    """A part as drawn: `owner` is the number of the face at each pixel, -1 for none."""

    image: Image.Image
    depth: Points
    owner: Indices
    seen: Callable[[Points], Points]  # places in mm become column, row, depth


def scene(mesh: Mesh, view: View, px: int, colour: Points = _PRINTED) -> Scene:
    """`colour` is one of all, or (faces, 3) one of each: red, green and blue from 0 to 1."""
    axes = view.axes()
    at = mesh.vertices @ axes.T
    facing = (normals(mesh) @ axes.T).astype(np.float32)  # tones: a pixel has 256
    towards = np.flatnonzero(facing[:, 2] > 0)
    shadow = _shadow(mesh.vertices, axes)
    to_pixels, scale = _fit(np.vstack([at[:, :2], shadow]), px)

    def seen(places: Points) -> Points:
        turned = places @ axes.T
        return np.column_stack([to_pixels(turned[:, :2]), turned[:, 2] * scale])

    screen = np.column_stack([to_pixels(at[:, :2]), at[:, 2] * scale])
    depth, owner = rastered(corners_of(screen, mesh.faces[towards]), px)
    dropped = np.column_stack([to_pixels(shadow), np.zeros(len(shadow))])
    ground = rastered(corners_of(dropped, mesh.faces[towards]), px)[1]
    owner = np.append(towards, -1)[owner]  # -1 stays -1
    image = _composed(_shaded(facing, depth, owner, colour), owner >= 0, ground >= 0, px)
    return Scene(image, depth, owner, seen)


def _shadow(vertices: Points, axes: Points) -> Points:
    """Where the ground under the part is dark: each corner dropped along a steep light."""
    height = vertices[:, 2] - vertices[:, 2].min()
    dropped = vertices + height[:, None] * np.array([0.35, 0.2, -1.0])
    return (dropped @ axes.T)[:, :2]


def _fit(points: Points, px: int) -> tuple[Callable[[Points], Points], float]:
    low, high = points.min(axis=0), points.max(axis=0)
    scale = 0.9 * px / max(float((high - low).max()), 1e-9)
    middle = (low + high) / 2

    def to_pixels(at: Points) -> Points:
        return (at - middle) * np.array([scale, -scale]) + px / 2

    return to_pixels, scale


def _shaded(facing: Tones, depth: Points, owner: Indices, colour: Points) -> Tones:
    """Lambert light from the upper left, a little from the eye, and darker lines at edges."""
    lit = np.clip(facing @ _LIGHT.astype(np.float32), 0, 1)
    tone = 0.42 + 0.62 * lit + 0.08 * facing[:, 2]
    of_face = np.clip(tone[:, None] * np.broadcast_to(colour, facing.shape), 0, 1)
    dimmed = np.concatenate([of_face, 0.55 * of_face]).astype(np.float32)
    # One look-up a pixel: what lies at an edge takes the darker half.
    return dimmed[np.maximum(owner, 0) + len(of_face) * _edges(facing, depth, owner)]


def _edges(facing: Tones, depth: Points, owner: Indices) -> NDArray[np.bool_]:
    """Where a pixel's neighbour faces elsewhere or lies far behind."""
    edge = np.zeros(owner.shape, np.bool_)
    covered = owner >= 0
    jump = 0.012 * owner.shape[0]
    for axis in (0, 1):
        first, last = (
            (cut, slice(None)) if axis == 0 else (slice(None), cut)
            for cut in (slice(None, -1), slice(1, None))
        )
        found = covered[first] ^ covered[last]
        # Two pixels of one face differ in nothing.
        place = np.nonzero(covered[first] & covered[last] & (owner[first] != owner[last]))
        one, other = owner[first][place], owner[last][place]
        bend = np.einsum("ij,ij->i", facing[one], facing[other]) < 0.8
        step = np.abs(depth[last][place] - depth[first][place]) > jump
        found[place] |= bend | step
        edge[first] |= found
        edge[last] |= found
    return edge


def _composed(
    picture: Tones, covered: NDArray[np.bool_], dark: NDArray[np.bool_], px: int
) -> Image.Image:
    """The part over its blurred shadow, on nothing."""
    blur = ImageFilter.GaussianBlur(px / 60)
    shadow = np.asarray(Image.fromarray((dark * 70).astype(np.uint8)).filter(blur), dtype=float)
    alpha = np.where(covered, 255, shadow)
    rgb = np.where(covered[..., None], picture * 255, 30)
    return Image.fromarray(np.dstack([rgb, alpha]).astype(np.uint8), "RGBA")
