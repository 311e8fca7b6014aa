"""Two versions of a part in one picture: what goes is orange and hatched, what comes is blue and
dotted, what stays is grey.

Solids are compared by how deep they reach from six sides, shown as three views; drawings from
above. It works within a budget of faces and pixels and needs no graphics system.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely import LinearRing

from designs.geometry.drawing import Drawing
from designs.geometry.mesh import Mesh, Points
from designs.geometry.picture import coarsened, png
from designs.geometry.raster import rastered

PX = 320
_FACES = 60_000
_MARGIN = 0.06  # of a view, left free around the part
_GREY, _EDGE, _PAPER = (196, 200, 204), (70, 74, 78), (255, 255, 255)
_GONE, _COME = (213, 94, 0), (0, 114, 178)  # vermilion and blue of Okabe and Ito
_GONE_PALE, _COME_PALE = (250, 222, 196), (206, 228, 245)
_SAME_BOX_MM = 0.01
_VIEWS = ((0, 2, 1), (1, 2, 0), (0, 1, 2))  # across, up, into the picture: front, right, above

Pixels = NDArray[np.bool_]


def overlay(before: Mesh | Drawing, after: Mesh | Drawing, px: int = PX) -> bytes | None:
    """PNG, px high: three views beside each other of solids, one of drawings; None of one each.

    Each lies where its file has it; where the boxes are of one size, one over the other.
    """
    if isinstance(before, Drawing) and isinstance(after, Drawing):
        return png(_painted(*_of_drawings(before, after, px)))
    if isinstance(before, Drawing) or isinstance(after, Drawing):
        return None
    views = [_painted(*changed) for changed in _of_meshes(before, after, px)]
    sheet = Image.new("RGB", (px * len(views), px), _PAPER)
    for number, view in enumerate(views):
        sheet.paste(view, (number * px, 0))
    return png(sheet)


def _of_drawings(before: Drawing, after: Drawing, px: int) -> tuple[Pixels, Pixels, Pixels]:
    sizes = [np.array(each.size_mm) for each in (before, after)]
    corners = [np.array(each.frame.corner_mm) for each in (before, after)]
    if np.allclose(*sizes, atol=_SAME_BOX_MM):
        corners = [np.zeros(2), np.zeros(2)]
    low = np.min(corners, axis=0)
    high = np.max([c + s for c, s in zip(corners, sizes, strict=True)], axis=0)
    scale, off = _fit(low, high, px)

    def covered(drawing: Drawing, corner: Points) -> Pixels:
        image = Image.new("1", (px, px))
        pen = ImageDraw.Draw(image)

        def seen(ring: LinearRing) -> list[tuple[float, float]]:
            at = (np.asarray(ring.coords)[:, :2] + corner) * scale + off
            return [(float(x), float(px - y)) for x, y in at]

        for region in drawing.regions:
            pen.polygon(seen(region.exterior), fill=1)
            for hole in region.interiors:
                pen.polygon(seen(hole), fill=0)
        return np.array(image)

    one, other = (covered(d, c) for d, c in zip((before, after), corners, strict=True))
    return one & ~other, other & ~one, one & other


def _of_meshes(before: Mesh, after: Mesh, px: int) -> list[tuple[Pixels, Pixels, Pixels]]:
    """Of each view: what goes, what comes, what stays."""
    shapes = [coarsened(each, _FACES).triangles for each in (before, after)]
    boxes = [(t.min(axis=(0, 1)), t.max(axis=(0, 1))) for t in shapes]
    if np.allclose(boxes[0][1] - boxes[0][0], boxes[1][1] - boxes[1][0], atol=_SAME_BOX_MM):
        shapes = [t - low for t, (low, _) in zip(shapes, boxes, strict=True)]
    every = np.concatenate(shapes).reshape(-1, 3)
    return [_view(shapes, every.min(axis=0), every.max(axis=0), axes, px) for axes in _VIEWS]


def _view(
    shapes: list[Points], low: Points, high: Points, axes: tuple[int, int, int], px: int
) -> tuple[Pixels, Pixels, Pixels]:
    across, up, into = axes
    plane = [across, up]
    scale, off = _fit(low[plane], high[plane], px)
    gone = come = np.zeros((px, px), np.bool_)
    inside: list[Pixels] = []
    for side in (1.0, -1.0):  # from here, and from behind
        depths: list[Points] = []
        for triangles in shapes:
            at = triangles[:, :, plane] * scale + off
            deep = triangles[:, :, into] * scale * side
            screen = np.stack([at[:, :, 0], px - at[:, :, 1], deep], axis=2)
            depths.append(rastered(screen, px)[0])
        one, other = depths
        gone, come = gone | (other < one - 1.0), come | (one < other - 1.0)
        inside = [np.isfinite(one), np.isfinite(other)]
    return gone & inside[0], come & inside[1] & ~(gone & inside[0]), inside[0] & inside[1]


def _fit(low: Points, high: Points, px: int) -> tuple[float, Points]:
    """Scale and offset that put this box into the middle of a view."""
    scale = (1 - 2 * _MARGIN) * px / max(float((high - low).max()), 1e-9)
    return scale, px / 2 - (low + high) / 2 * scale


def _painted(gone: Pixels, come: Pixels, stays: Pixels) -> Image.Image:
    row, column = np.indices(gone.shape)
    picture = np.full((*gone.shape, 3), _PAPER, dtype=np.uint8)
    picture[stays] = _GREY
    picture[gone], picture[come] = _GONE_PALE, _COME_PALE
    picture[gone & ((row + column) % 8 < 3)] = _GONE
    picture[come & (row % 6 < 3) & (column % 6 < 3)] = _COME
    picture[_rim(stays | gone | come)] = _EDGE
    picture[_rim(gone) & gone] = _GONE
    picture[_rim(come) & come] = _COME
    return Image.fromarray(picture, "RGB")


def _rim(area: Pixels) -> Pixels:
    """Its pixels that have a neighbour outside of it."""
    framed = np.pad(area, 1)
    within = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    return area & ~within
