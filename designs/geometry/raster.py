"""Which pixels a triangle covers and how deep it lies there, for pictures and for rays.

It holds a bounded number of rows and pixels in memory, however many triangles there are.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from designs.geometry.mesh import Indices, Points

_FRAGMENTS = 16_000_000  # pixels of all triangles, hidden ones included
_AT_ONCE = 500_000  # rows or pixels held in memory


def rastered(corners: Points, px: int) -> tuple[Points, Indices]:
    """Depth and number of the nearest of (m, 3 corners, x y depth) triangles; -1 for none."""
    boxes = np.prod(np.ptp(corners[:, :, :2], axis=1) + 1, axis=1)
    step = int(np.ceil(boxes.sum() / 2 / _FRAGMENTS)) or 1
    chosen = np.arange(0, len(corners), step)
    depth = np.full(px * px, -np.inf)
    owner = np.full(px * px, -1, dtype=np.int64)
    for low, high in portions(np.ptp(corners[chosen, :, 1], axis=1) + 2):
        part = chosen[low:high]
        for pixel, z, face in fragments(corners[part], px):
            np.maximum.at(depth, pixel, z)
            won = z >= depth[pixel]
            owner[pixel[won]] = part[face[won]]
    return depth.reshape(px, px), owner.reshape(px, px)


def fragments(corners: Points, px: int) -> Iterator[tuple[Indices, Points, Indices]]:
    """(pixel, depth, triangle) for each pixel whose middle a triangle covers.

    Triangles become rows, rows become pixels, all at once; a pixel's number is row x px + column.
    """
    top = np.clip(np.ceil(corners[:, :, 1].min(axis=1) - 0.5), 0, px).astype(int)
    bottom = np.clip(np.floor(corners[:, :, 1].max(axis=1) - 0.5), -1, px - 1).astype(int)
    face, row = _counted(top, bottom - top + 1)
    left, right = _span(corners[face], (row + 0.5).astype(np.float64))
    first = np.clip(np.ceil(left - 0.5), 0, px).astype(int)
    last = np.clip(np.floor(right - 0.5), -1, px - 1).astype(int)
    width = np.maximum(last - first + 1, 0)
    slope = _plane(corners)
    for low, high in portions(width):
        which, column = _counted(first[low:high], width[low:high])
        span = which + low
        owner, y = face[span], row[span]
        flat = slope[owner]
        z = flat[:, 0] * (column + 0.5) + flat[:, 1] * (y + 0.5) + flat[:, 2]
        yield y * px + column, z, owner


def portions(sizes: NDArray[np.floating | np.integer]) -> Iterator[tuple[int, int]]:
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
