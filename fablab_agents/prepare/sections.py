"""Where level planes cut a solid, and how places in the plane lie to the cut."""

import numpy as np
import shapely
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

_ASIDE_MM = 1.4142e-5  # no ray may run through a corner


def section(triangles: Array, z: float) -> Array:
    """(k, 2 ends, 2) lines where the plane at that height cuts the solid's surface."""
    heights = triangles[:, :, 2]
    a = triangles[(heights.min(axis=1) < z) & (heights.max(axis=1) > z)]
    b = np.roll(a, -1, axis=1)
    crossing = (a[:, :, 2] < z) != (b[:, :, 2] < z)
    a, b = a[crossing], b[crossing]
    share = (z - a[:, 2]) / (b[:, 2] - a[:, 2])
    points = a[:, :2] + share[:, None] * (b[:, :2] - a[:, :2])
    return points.reshape(-1, 2, 2)


def along(lines: Array, step_mm: float) -> tuple[Array, Rows, Array]:
    """Places at most a step apart on lines (k, 2 ends, 2): (n, 2), whose they are, how long each
    stands for in mm.
    """
    lengths = np.hypot(*(lines[:, 1] - lines[:, 0]).T)
    pieces = np.maximum(1, np.ceil(lengths / step_mm)).astype(int)
    row = np.repeat(np.arange(len(lines)), pieces)
    first = np.repeat(np.cumsum(pieces) - pieces, pieces)
    share = (np.arange(len(row)) - first + 0.5) / pieces[row]
    places = lines[row, 0] + share[:, None] * (lines[row, 1] - lines[row, 0])
    return places, row, (lengths / pieces)[row]


def near(places: Array, lines: Array, distance_mm: float) -> Bools:
    """Which places (n, 2) have one of the lines (k, 2 ends, 2) so near."""
    drawn: NDArray[np.object_] = np.array(shapely.linestrings(lines), dtype=object)
    found = np.zeros(len(places), dtype=bool)
    found[
        shapely.STRtree(drawn).query(shapely.points(places), "dwithin", distance=distance_mm)[0]
    ] = True
    return found


def inside(places: Array, outline: Array) -> Bools:
    """Which places (n, 2) an outline (k, 2 ends, 2) of closed rings encloses, by even and odd."""
    a, b = outline.round(6).transpose(1, 0, 2)
    x, y = (places + _ASIDE_MM).T
    right = np.full(len(places), max(float(outline[:, :, 0].max()), float(x.max())) + 1)
    rays = shapely.linestrings(np.stack([np.stack([x, y], 1), np.stack([right, y], 1)], axis=1))
    boxes: NDArray[np.object_] = np.array(shapely.linestrings(outline), dtype=object)
    ray, line = shapely.STRtree(boxes).query(rays)
    a, b, x, y = a[line], b[line], x[ray], y[ray]
    passed = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(passed, b[:, 1] - a[:, 1], 1.0)
    passed &= a[:, 0] + (y - a[:, 1]) / rise * (b[:, 0] - a[:, 0]) > x
    return np.bincount(ray[passed], minlength=len(places)) % 2 == 1
