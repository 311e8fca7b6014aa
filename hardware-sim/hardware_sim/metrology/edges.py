"""Promises distances from points to the edges of a region, and how long a deviation lasts.
Never looks inside the region.
"""

import math
from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Floats = NDArray[np.float64]


class Edges:
    """The boundary of a region as an index of short pieces."""

    def __init__(self, region: BaseGeometry) -> None:
        pieces = [_pieces(np.asarray(ring.coords)) for ring in rings(region)]
        self._segments = np.concatenate(pieces) if pieces else np.empty((0, 4))
        lines = np.asarray(shapely.linestrings(self._segments.reshape(-1, 2, 2)), dtype=object)
        self._tree = shapely.STRtree(lines)

    def distance(self, points: Floats) -> Floats:
        """Distance of each (n, 2) point to the nearest edge; infinite without edges."""
        if not len(self._segments) or not len(points):
            return np.full(len(points), math.inf)
        _, found = self._tree.query_nearest(
            shapely.points(points), return_distance=True, all_matches=False
        )
        return found

    def feet(self, points: Floats) -> Floats:
        """The place on an edge that is nearest to each (n, 2) point; needs edges."""
        _, index = self._tree.query_nearest(shapely.points(points), all_matches=False)
        start, end = self._segments[index, :2], self._segments[index, 2:]
        along = end - start
        square = np.maximum((along * along).sum(axis=1), 1e-18)
        share = np.clip(((points - start) * along).sum(axis=1) / square, 0.0, 1.0)
        return start + share[:, None] * along

    @property
    def none(self) -> bool:
        """Whether the region has no edge at all."""
        return not len(self._segments)


def _pieces(ring: Floats) -> Floats:
    return np.hstack([ring[:-1, :2], ring[1:, :2]])


def polygons(region: BaseGeometry) -> list[shapely.Polygon]:
    """The polygons of a region, without lines and points."""
    parts = shapely.get_parts(shapely.get_parts(region))
    return [p for p in parts if isinstance(p, shapely.Polygon) and not p.is_empty]


def rings(region: BaseGeometry) -> Iterator[shapely.LinearRing]:
    """Outer rings and holes."""
    for polygon in polygons(region):
        yield polygon.exterior
        yield from polygon.interiors


def samples(ring: shapely.LinearRing, step_mm: float) -> Floats:
    """Points evenly along a ring, at most `step_mm` apart and at least eight."""
    count = max(8, math.ceil(ring.length / step_mm))
    corners = shapely.get_coordinates(ring)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    places = np.arange(count) * (along[-1] / count)
    return np.column_stack([np.interp(places, along, corners[:, axis]) for axis in (0, 1)])


def lasting(values: Floats, ring_mm: float, stretch_mm: float) -> Floats:
    """For each sample of a ring, the least value over the stretch that begins there."""
    span = max(1, round(stretch_mm * len(values) / ring_mm) + 1)
    if span >= len(values):
        return np.full(len(values), values.min())
    around = np.concatenate([values, values[: span - 1]])
    return np.lib.stride_tricks.sliding_window_view(around, span).min(axis=1)
