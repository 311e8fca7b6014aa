"""A picture of a part with the places of one finding marked: hatched faces, dots, thick lines, and
a ring around the worst of them.

Marks differ from the part by pattern and outline, not by colour alone. It never draws more than
`MARKS` of each kind, and meshes are coarsened first where they are large.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely import LinearRing, Polygon

from designs.geometry.drawing import Drawing
from designs.geometry.mesh import Indices, Mesh, Points, normals
from designs.geometry.picture import Scene, View, coarsened, png, scene

_Kind = TypeVar("_Kind", bound=np.generic)
MARKS = 400
_POINTS = 100_000  # of lines that are drawn
_OVER = 2  # drawn so many times larger, then averaged
_FACES = 60_000
_WIDE = 0.35  # of the picture
_PART = np.array([0.72, 0.76, 0.80])
_INK, _HALO, _MARK = (20, 20, 20), (255, 255, 255), (213, 94, 0)  # vermilion of Okabe and Ito
_WOOD, _LINE = (226, 205, 170), (90, 74, 50)
_VIEWS = [View(turn, lift) for lift in (32, -32) for turn in (28, 118, 208, 298)]


def _none() -> Points:
    return np.zeros((0, 3))


@dataclass(frozen=True, eq=False)
class Mark:
    """`faces` numbers of triangles to hatch, `spots` (k, 2 or 3) to dot, `lines` (j, 2 ends, 2 or
    3); `ring` (i, 2 or 3) points that the ring goes around, the spots and ends where there is none.
    """

    faces: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    spots: Points = field(default_factory=_none)
    lines: Points = field(default_factory=lambda: np.zeros((0, 2, 3)))
    ring: Points = field(default_factory=_none)


def marked(mesh: Mesh, mark: Mark, px: int = 384) -> bytes:
    """PNG, px by px, from the side that shows most of what is marked."""
    spots, faces = _thinned(mark.spots), mark.faces
    small = coarsened(mesh, _FACES)
    if small is not mesh and len(faces):
        spots = np.vstack([spots, mesh.triangles[_thinned(faces)].mean(axis=1)])
        faces = np.zeros(0, dtype=np.int64)
    places = np.vstack([spots, mark.lines.reshape(-1, 3)])
    drawn = scene(small, _best_view(small, faces, places), px * _OVER, _PART)
    image = _hatched(drawn, faces)
    pen = ImageDraw.Draw(image)
    for line in _thinned(mark.lines):
        ends = [(float(x), float(y)) for x, y, _ in drawn.seen(line)]
        pen.line(ends, fill=_INK, width=7 * _OVER // 2)
        pen.line(ends, fill=_MARK, width=3 * _OVER // 2)
    if len(spots):
        at = drawn.seen(spots)
        for (x, y, _), hidden in zip(at, _hidden(drawn, at), strict=True):
            _dot(pen, float(x), float(y), filled=not hidden)
    around = next((p for p in (mark.ring, places) if len(p)), mesh.triangles[mark.faces].mean(1))
    if len(around):
        _ring(pen, drawn.seen(around)[:, :2], px * _OVER)
    return png(image.resize((px, px), Image.Resampling.BOX))


_Seen = Callable[[Points], Points]


def marked_drawing(drawing: Drawing, mark: Mark, px: int = 384) -> bytes:
    """PNG, px by px, from above."""
    image, seen = from_above(np.zeros(2), np.array(drawing.size_mm), px * _OVER)
    pen = ImageDraw.Draw(image)
    for region in drawing.regions:
        _sheet(pen, region, seen)
    return _marked_flat(image, mark, seen, px)


def marked_lines(lines: Sequence[Points], mark: Mark, px: int = 384) -> bytes:
    """PNG, px by px, of lines (n, 2) in mm that enclose nothing."""
    every = np.vstack(lines)
    image, seen = from_above(every.min(axis=0), every.max(axis=0), px * _OVER)
    pen = ImageDraw.Draw(image)
    step = 1 + len(every) // _POINTS
    for line in lines:
        shown = np.vstack([line[:-1:step], line[-1:]])
        pen.line([(float(x), float(y)) for x, y in seen(shown)], fill=_LINE, width=_OVER)
    return _marked_flat(image, mark, seen, px)


def from_above(low: Points, high: Points, size: int) -> tuple[Image.Image, _Seen]:
    """An empty picture, size by size, that holds this box (mm); and where a place is in it."""
    scale = 0.86 * size / max(float((high - low).max()), 1e-9)
    off = (np.array([size, size]) - (high - low) * scale) / 2

    def seen(points: Points) -> Points:
        at = (points[:, :2] - low) * scale + off
        return np.column_stack([at[:, 0], size - at[:, 1]])

    return Image.new("RGBA", (size, size), (0, 0, 0, 0)), seen


def _marked_flat(image: Image.Image, mark: Mark, seen: _Seen, px: int) -> bytes:
    pen, size = ImageDraw.Draw(image), px * _OVER
    for line in _thinned(mark.lines):
        ends = [(float(x), float(y)) for x, y in seen(line)]
        pen.line(ends, fill=_INK, width=7 * _OVER // 2)
        pen.line(ends, fill=_MARK, width=3 * _OVER // 2)
    places = [p[:, :2] for p in (mark.spots, mark.lines.reshape(-1, mark.lines.shape[2])) if len(p)]
    for x, y in seen(_thinned(mark.spots)) if len(mark.spots) else ():
        _dot(pen, float(x), float(y), filled=True)
    around = mark.ring if len(mark.ring) else (np.vstack(places) if places else _none())
    if len(around):
        _ring(pen, seen(around), size)
    return png(image.resize((px, px), Image.Resampling.BOX))


def _sheet(pen: ImageDraw.ImageDraw, region: Polygon, seen: _Seen) -> None:
    def corners(ring: LinearRing) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in seen(np.asarray(ring.coords))]

    pen.polygon(corners(region.exterior), fill=_WOOD, outline=_LINE)
    for hole in region.interiors:
        pen.polygon(corners(hole), fill=(0, 0, 0, 0), outline=_LINE)


def _thinned(things: NDArray[_Kind]) -> NDArray[_Kind]:
    """Every so many of the rows, so that at most `MARKS` are left."""
    return things[:: max(1, -(-len(things) // MARKS))]


def _best_view(mesh: Mesh, faces: Indices, places: Points) -> View:
    """The view whose small picture shows most marked pixels and unhidden places."""
    if len(mesh.faces) > _FACES // 3:  # by what is turned to the eye, hidden or not
        wanted = normals(mesh)[faces] * mesh.each.area_mm2[faces, None]
        return max(_VIEWS, key=lambda v: float(np.maximum(wanted @ v.axes()[2], 0).sum()))

    def shows(view: View) -> float:
        small = scene(mesh, view, 64, _PART)
        here = float(np.isin(small.owner, faces).sum()) if len(faces) else 0.0
        return here + (~_hidden(small, small.seen(places))).sum() if len(places) else here

    return max(_VIEWS, key=shows)


def _hidden(drawn: Scene, at: Points) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    size = drawn.depth.shape[0]
    column, row = (np.clip(at[:, i].astype(int), 0, size - 1) for i in (0, 1))
    return drawn.depth[row, column] > at[:, 2] + 0.01 * size


def _hatched(drawn: Scene, faces: Indices) -> Image.Image:
    if not len(faces):
        return drawn.image
    pixels = np.array(drawn.image)
    here = np.isin(drawn.owner, faces)
    row, column = np.indices(here.shape)
    stripe = (row + column) // (5 * _OVER) % 2 == 0
    pixels[here & stripe, :3] = _MARK
    edge = here & ~(
        np.roll(here, 1, 0) & np.roll(here, -1, 0) & np.roll(here, 1, 1) & np.roll(here, -1, 1)
    )
    pixels[edge, :3] = _INK
    return Image.fromarray(pixels, "RGBA")


def _dot(pen: ImageDraw.ImageDraw, x: float, y: float, *, filled: bool) -> None:
    r = 3 * _OVER
    fill = _MARK if filled else None
    pen.ellipse([x - r, y - r, x + r, y + r], fill=fill, outline=_INK, width=_OVER)


def _ring(pen: ImageDraw.ImageDraw, at: Points, size: int) -> None:
    middle = (at.min(axis=0) + at.max(axis=0)) / 2
    reach = float(np.hypot(*(at - middle).T).max()) + 0.03 * size
    if reach > _WIDE * size:  # a ring around everything shows nothing
        return
    r = max(reach, 0.05 * size)
    for wide, colour in ((5, _HALO), (2, _INK)):
        pen.ellipse(
            [middle[0] - r, middle[1] - r, middle[0] + r, middle[1] + r],
            outline=colour,
            width=wide * _OVER,
        )
