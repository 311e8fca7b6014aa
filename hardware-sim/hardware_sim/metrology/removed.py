"""Promises what a mill's or laser's program removes: the sweep of its round tool or beam.
Never reads comments: the tool's diameter and the beam's width are told, not found.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology.edges import Floats
from hardware_sim.metrology.report import Unmeasurable
from hardware_sim.metrology.toolpath import Toolpath

THROUGH_MM = 0.05
TOP_MM = 0.02  # a tool lower than this touches the stock
SAME_MM = 1e-3
PIECE_MM = 2.0  # a beam's moves are looked at in pieces no longer than this
MOST_PIECES = 200_000
CUTS = 0.4  # of what the strongest cuts get: less than this follows no contour, it engraves
WEAK = 0.78  # of what the strongest cuts get: less than this does not cut through (3 passes of 4)
ENOUGH = 0.97  # of what the machine is said to need to cut through
CHUNK = 50_000
RUN = 200  # moves in one line; longer ones take longer to widen than they save
DEEP_SHARE = 0.25  # the deepest level that so much of the cuts reach is the stock's thickness


@dataclass(frozen=True)
class Beam:
    """Pieces of a beam's moves (rows x0 y0 x1 y1) and what each place gets, passes added up."""

    pieces: Floats
    dose: Floats
    enough: float | None
    """The dose that cuts through, where the machine's description says so."""


@dataclass(frozen=True)
class Removed:
    """`outline` decides the shape, `bottom` is cut through, `touched` marks the part."""

    outline: BaseGeometry
    bottom: BaseGeometry
    touched: BaseGeometry
    radius_mm: float
    paths: Floats  # of the tool's centre, rows x0 y0 x1 y1
    depth_mm: float | None = None
    thickness_mm: float | None = None
    beam: Beam | None = None
    engraved_mm: float = 0.0


def milled(path: Toolpath, tool_mm: float, thickness_mm: float | None) -> Removed:
    """Sweep of a round tool; stock lies between z 0 and -thickness (else as deep as it cuts)."""
    if not len(path.moves) or path.moves[:, [2, 5]].min() >= 0:
        raise Unmeasurable("the tool never goes below the top of the stock (Z 0)")
    deepest = -float(path.moves[:, [2, 5]].min())
    thick = thickness_mm or _own_depth(path)
    paths, radius = path.below(-thick / 4), tool_mm / 2
    return Removed(
        outline=swept(paths, radius),
        bottom=swept(path.below(THROUGH_MM - thick), radius),
        touched=swept(path.below(-TOP_MM), radius),
        radius_mm=radius,
        paths=paths,
        depth_mm=round(deepest, 3),
        thickness_mm=round(thick, 3),
    )


def _own_depth(path: Toolpath) -> float:
    """The level that a quarter of all that is cut reaches: a few deeper drills do not set it."""
    depth = -np.minimum(path.moves[:, 2], path.moves[:, 5])
    way = np.hypot(*(path.moves[:, 3:5] - path.moves[:, :2]).T)
    cuts = (depth > TOP_MM) & (way > 0)
    if not cuts.any():
        return float(depth.max())
    order = np.argsort(-depth[cuts])
    ways = np.cumsum(way[cuts][order])
    reached = int(np.searchsorted(ways, DEEP_SHARE / _levels(depth[cuts]) * ways[-1]))
    return float(depth[cuts][order][min(reached, len(order) - 1)])


def _levels(depths: Floats) -> int:
    """How many passes there are: levels that differ by a tenth of a millimetre."""
    return max(1, len(np.unique(np.round(depths, 1))))


def burned(path: Toolpath, kerf_mm: float, cuts_at: tuple[float, float] | None) -> Removed:
    """Sweep of a beam where it cuts; `cuts_at`: S and mm/min that just cut through, if known."""
    rows, dose = path.burning()
    if not len(rows):
        raise Unmeasurable("the beam is never on in a feed move")
    pieces, dose = _pieces(rows, dose)
    dose = _added_up(pieces, dose, max(kerf_mm / 2, 0.04))
    enough = None if cuts_at is None else ENOUGH * cuts_at[0] / cuts_at[1]
    lengths = np.hypot(*(pieces[:, 2:] - pieces[:, :2]).T)
    whole = enough or _strongest(lengths, dose, pieces)
    strong = dose >= CUTS * whole
    if not strong.any():
        raise Unmeasurable("the beam is nowhere strong enough to cut through")
    full = swept(pieces[strong], kerf_mm / 2)
    return Removed(
        outline=full,
        bottom=full,
        touched=swept(pieces[dose >= (enough or WEAK * whole)], kerf_mm / 2),
        radius_mm=kerf_mm / 2,
        paths=pieces[strong],
        beam=Beam(pieces[strong], dose[strong], enough),
        engraved_mm=round(float(lengths[~strong].sum()), 1),
    )


def _strongest(lengths: Floats, dose: Floats, pieces: Floats) -> float:
    """What the strongest cuts get that together are as long as a part of the outline."""
    order = np.argsort(-dose)
    far = shapely.MultiPoint(pieces.reshape(-1, 2)).convex_hull.length / 4
    reached = int(np.searchsorted(np.cumsum(lengths[order]), min(far, lengths.sum() / 2)))
    return float(dose[order][min(reached, len(order) - 1)])


def _pieces(rows: Floats, dose: Floats) -> tuple[Floats, Floats]:
    """The same moves in short pieces; what is burned again along the very same piece adds up."""
    rows, inverse = once(rows)
    dose = np.asarray(np.bincount(inverse, weights=dose, minlength=len(rows)), dtype=np.float64)
    lengths = np.hypot(*(rows[:, 2:] - rows[:, :2]).T)
    longest = max(PIECE_MM, float(lengths.sum()) / MOST_PIECES)
    count = np.maximum(1, np.ceil(lengths / longest)).astype(np.int64)
    owner = np.repeat(np.arange(len(rows)), count)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    start, along = rows[owner, :2], rows[owner, 2:] - rows[owner, :2]
    first, last = (step / count[owner])[:, None], ((step + 1) / count[owner])[:, None]
    return np.hstack([start + first * along, start + last * along]), dose[owner]


def once(rows: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Moves that differ, in the order in which they first come, and which one each move is."""
    turned = (rows[:, 0] > rows[:, 2]) | ((rows[:, 0] == rows[:, 2]) & (rows[:, 1] > rows[:, 3]))
    key = np.round(np.where(turned[:, None], rows[:, [2, 3, 0, 1]], rows) / SAME_MM)
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return rows[first[order]], place[inverse.ravel()]


def _added_up(pieces: Floats, dose: Floats, reach_mm: float) -> Floats:
    """What each piece's middle gets from all pieces: along the way within reach, per millimetre."""
    middle = (pieces[:, :2] + pieces[:, 2:]) / 2
    tree = shapely.STRtree(np.asarray(shapely.linestrings(pieces.reshape(-1, 2, 2)), dtype=object))
    total = np.zeros(len(pieces))
    for begin in range(0, len(pieces), CHUNK):
        points = shapely.points(middle[begin : begin + CHUNK])
        here, there = tree.query(points, predicate="dwithin", distance=reach_mm)
        chord = _chord(middle[here + begin], pieces[there], reach_mm)
        total += np.bincount(here + begin, weights=chord * dose[there], minlength=len(pieces))
    return total / (2 * reach_mm)


def _chord(middle: Floats, rows: Floats, reach_mm: float) -> Floats:
    """How much of each piece lies in a disc about each point."""
    along = rows[:, 2:] - rows[:, :2]
    length = np.maximum(np.hypot(*along.T), 1e-12)
    off = middle - rows[:, :2]
    at = (off * along).sum(axis=1) / length
    away = np.abs(off[:, 0] * along[:, 1] - off[:, 1] * along[:, 0]) / length
    half = np.sqrt(np.maximum(0.0, reach_mm**2 - away**2))
    return np.maximum(0.0, np.minimum(at + half, length) - np.maximum(at - half, 0.0))


def swept(rows: Floats, radius: float) -> BaseGeometry:
    """Union of the moves, each as wide as the tool; plunges are points."""
    if not len(rows):
        return shapely.Polygon()
    rows, _ = once(rows)
    joined = np.abs(rows[1:, :2] - rows[:-1, 2:]).max(axis=1) < 1e-6
    joined &= np.arange(1, len(rows)) % RUN != 0
    starts = np.flatnonzero(np.concatenate([[True], ~joined]))
    run = np.cumsum(np.concatenate([[True], ~joined])) - 1
    order = np.concatenate([starts * 2, np.arange(len(rows)) * 2 + 1])
    place = np.argsort(order, kind="stable")
    points = np.concatenate([rows[starts, :2], rows[:, 2:]])[place]
    owner = np.concatenate([np.arange(len(starts)), run])[place]
    lines = shapely.linestrings(points, indices=owner)
    return shapely.union_all(shapely.buffer(lines, radius, quad_segs=32))
