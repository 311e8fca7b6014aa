"""Two versions of a part in one picture: what goes is orange and hatched, what comes is blue and
dotted, what stays is grey; pale where only the surface moves towards the eye or away from it.

Solids are seen from the front, the right and above, and from the other sides where something moves
there. It works within a budget of faces and pixels and needs no graphics system.
"""

from dataclasses import dataclass

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
_DEEPER_PX = 1.0  # by less a surface has not moved
_VIEWS = ((0, 2, 1), (1, 2, 0), (0, 1, 2))  # across, up, into the picture: front, right, above

Pixels = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Change:
    """By pixel: `gone` and `come` of the outline, `deeper` and `nearer` within it, `stays`."""

    gone: Pixels
    come: Pixels
    deeper: Pixels
    nearer: Pixels
    stays: Pixels


def overlay(before: Mesh | Drawing, after: Mesh | Drawing, px: int = PX) -> bytes | None:
    """PNG: one or two rows of three views of solids, one view of drawings; None of one each.

    Each lies where its file has it; where the boxes are of one size, one over the other.
    """
    if isinstance(before, Drawing) and isinstance(after, Drawing):
        return png(_painted(_of_drawings(before, after, px)))
    if isinstance(before, Drawing) or isinstance(after, Drawing):
        return None
    near, far = _of_meshes(before, after, px)
    rows = [near, far] if any((view.deeper | view.nearer).any() for view in far) else [near]
    sheet = Image.new("RGB", (px * len(near), px * len(rows)), _PAPER)
    for row, views in enumerate(rows):
        for column, view in enumerate(views):
            sheet.paste(_painted(view), (column * px, row * px))
    return png(sheet)


def _of_drawings(before: Drawing, after: Drawing, px: int) -> Change:
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
    none = np.zeros((px, px), np.bool_)
    return Change(one & ~other, other & ~one, none, none, one & other)


def _of_meshes(before: Mesh, after: Mesh, px: int) -> tuple[list[Change], list[Change]]:
    """From the three sides, and from the other three."""
    shapes = [coarsened(each, _FACES).triangles for each in (before, after)]
    boxes = [(t.min(axis=(0, 1)), t.max(axis=(0, 1))) for t in shapes]
    if np.allclose(boxes[0][1] - boxes[0][0], boxes[1][1] - boxes[1][0], atol=_SAME_BOX_MM):
        shapes = [t - low for t, (low, _) in zip(shapes, boxes, strict=True)]
    every = np.concatenate(shapes).reshape(-1, 3)
    near, far = (
        [_view([t * flip for t in shapes], every * flip, axes, px) for axes in _VIEWS]
        for flip in (np.ones(3), np.array([-1.0, -1.0, 1.0]))
    )
    below = _view([t * (1, -1, -1) for t in shapes], every * (1, -1, -1), _VIEWS[2], px)
    return near, [*far[:2], below]


def _view(shapes: list[Points], every: Points, axes: tuple[int, int, int], px: int) -> Change:
    """What the eye sees that looks along the third axis; from the front that is along y."""
    plane, into = list(axes[:2]), axes[2]
    scale, off = _fit(every[:, plane].min(axis=0), every[:, plane].max(axis=0), px)
    towards = -1.0 if into == 1 else 1.0

    def depth(triangles: Points) -> Points:
        at = triangles[:, :, plane] * scale + off
        deep = triangles[:, :, into] * scale * towards
        return rastered(np.stack([at[:, :, 0].T, px - at[:, :, 1].T, deep.T]), px)[0]

    one, other = (depth(triangles) for triangles in shapes)
    was, now = np.isfinite(one), np.isfinite(other)
    both = was & now
    with np.errstate(invalid="ignore"):
        moved = np.where(both, other - one, 0.0)
    deeper, nearer = moved < -_DEEPER_PX, moved > _DEEPER_PX
    return Change(was & ~now, now & ~was, deeper, nearer, both)


def _fit(low: Points, high: Points, px: int) -> tuple[float, Points]:
    """Scale and offset that put this box into the middle of a view."""
    scale = (1 - 2 * _MARGIN) * px / max(float((high - low).max()), 1e-9)
    return scale, px / 2 - (low + high) / 2 * scale


def _painted(seen: Change) -> Image.Image:
    row, column = np.indices(seen.stays.shape)
    picture = np.full((*seen.stays.shape, 3), _PAPER, dtype=np.uint8)
    picture[seen.stays] = _GREY
    picture[seen.gone | seen.deeper] = _GONE_PALE
    picture[seen.come | seen.nearer] = _COME_PALE
    for strong, pale, colour, hatch, thin in (
        (seen.gone, seen.deeper, _GONE, (row + column) % 8 < 3, (row + column) % 16 < 1),
        (
            seen.come,
            seen.nearer,
            _COME,
            (row % 6 < 3) & (column % 6 < 3),
            (row % 12 < 2) & (column % 12 < 2),
        ),
    ):
        picture[(strong & hatch) | (pale & thin) | _rim(strong)] = colour
    picture[_rim(seen.stays) & ~seen.deeper & ~seen.nearer] = _EDGE
    return Image.fromarray(picture, "RGB")


def _rim(area: Pixels) -> Pixels:
    """Its pixels that have a neighbour outside of it."""
    framed = np.pad(area, 1)
    within = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    return area & ~within
