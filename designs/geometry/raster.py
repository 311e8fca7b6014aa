"""Which pixels a triangle covers and how deep it lies there, for pictures and for rays.

It holds a bounded number of rows and pixels in memory, however many triangles there are.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from designs.geometry.mesh import Indices, Points

_FRAGMENTS = 16_000_000  # pixels of all triangles, hidden ones included
_AT_ONCE = 60_000  # rows or pixels in hand, so that they stay near the processor


def rastered(corners: Points, px: int) -> tuple[Points, Indices]:
    """Depth and number of the nearest of the m triangles; -1 for none. `corners` (3, 3, m) as
    `mesh.corners_of` has them: x, y and depth.
    """
    boxes = np.prod(np.ptp(corners[:2], axis=1) + 1, axis=0)
    step = int(np.ceil(boxes.sum() / 2 / _FRAGMENTS)) or 1
    corners = corners[:, :, ::step]
    depth = np.full(px * px, -np.inf)
    owner = np.full(px * px, -1, dtype=np.int64)
    for low, high in portions(np.ptp(corners[1], axis=0) + 2):
        for pixel, z, face in fragments(corners[:, :, low:high], px):
            np.maximum.at(depth, pixel, z)
            won = z >= depth[pixel]
            owner[pixel[won]] = (low + face[won]) * step
    return depth.reshape(px, px), owner.reshape(px, px)


def fragments(corners: Points, px: int) -> Iterator[tuple[Indices, Points, Indices]]:
    """(pixel, depth, triangle) for each pixel whose middle a triangle covers.

    Triangles become rows, rows become pixels, all at once; a pixel's number is row x px + column.
    """
    x, y, _ = corners
    top = np.clip(np.ceil(y.min(axis=0) - 0.5), 0, px).astype(int)
    bottom = np.clip(np.floor(y.max(axis=0) - 0.5), -1, px - 1).astype(int)
    face, row = _counted(top, bottom - top + 1)
    left, right = _span(x[:, face], y[:, face], (row + 0.5).astype(np.float64))
    first = np.clip(np.ceil(left - 0.5), 0, px).astype(int)
    last = np.clip(np.floor(right - 0.5), -1, px - 1).astype(int)
    width = np.maximum(last - first + 1, 0)
    p, q, r = _plane(corners)
    for low, high in portions(width):
        which, column = _counted(first[low:high], width[low:high])
        span = which + low
        owner, line = face[span], row[span]
        z = p[owner] * (column + 0.5) + q[owner] * (line + 0.5) + r[owner]
        yield line * px + column, z, owner


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


def _span(x: Points, y: Points, row: Points) -> tuple[Points, Points]:
    """Leftmost and rightmost x where the row at that height crosses the triangle."""
    left, right = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for i in range(3):
        j = (i + 1) % 3
        rise = y[j] - y[i]
        with np.errstate(divide="ignore", invalid="ignore"):
            along = (row - y[i]) / rise
        hit = (rise != 0) & (along >= 0) & (along <= 1)
        at = x[i] + np.where(hit, along, 0) * (x[j] - x[i])
        left = np.where(hit, np.minimum(left, at), left)
        right = np.where(hit, np.maximum(right, at), right)
    empty = left > right
    return np.where(empty, 1.0, left), np.where(empty, 0.0, right)


def _plane(corners: Points) -> Points:
    """(3, m): depth = p x + q y + r over each triangle; flat where it is seen edge-on."""
    a, b, c = corners.transpose(1, 0, 2)
    (ux, uy, uz), (vx, vy, vz) = b - a, c - a
    nz = ux * vy - uy * vx
    upright = np.abs(nz) > 1e-9
    nz = np.where(upright, nz, 1)
    p = np.where(upright, -(uy * vz - uz * vy) / nz, 0)
    q = np.where(upright, -(uz * vx - ux * vz) / nz, 0)
    return np.stack([p, q, a[2] - (p * a[0] + q * a[1])])
