"""Joins loose lines into closed contours and nests them into regions, even inside odd.

It never closes a gap wider than the tolerance and never drops a line that belongs to the shape:
what does not close is refused with the place.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LinearRing, LineString, MultiLineString, Point, Polygon, STRtree
from shapely.geometry.base import BaseGeometry as Geometry

from designs.errors import Finding, LimitExceeded, Refused, Severity

JOIN_MM = 0.05  # ends closer than this meet
MAX_CONTOURS = 20_000
_MOST_UNCLEAR = 500  # places where lines end or fork, beyond which they are not joined
_MOST_MENDED = 20_000  # points of an outline that a hair's overlap is looked for in
_SPECK_MM2 = 0.01
_TOGETHER_MM = 0.5  # of line that two outlines may share: at corners, or by rounding
_ALONG_MM = 0.1  # a line this close to an outline is a second drawing of it,
_STUB_MM = 1.0  # even if it runs this far beyond
_UNTANGLE = "Untangle it and export again"
_AGAIN = "Close the outline in the drawing program and export it again"
_CLOSE = f"{_AGAIN}; leave out lines that are only to be engraved"

Line = NDArray[np.float64]  # (n, 2) in mm


@dataclass(frozen=True)
class Frame:
    """How a file counts places, y upwards in ours: from `corner_mm`, and downwards if `y_down`.

    What is counted downwards is counted from the upper left corner of the page, as people see it.
    """

    corner_mm: tuple[float, float] = (0.0, 0.0)
    y_down: bool = False

    def counted(self, places: Line) -> Line:
        """Places (n, 2 or more) as the file's author reads them in the drawing program."""
        at = places[:, :2] + np.array(self.corner_mm)
        return at * np.array([1.0, -1.0]) + 0.0 if self.y_down else at

    @property
    def said(self) -> str:
        return ", counted from the upper left corner of the page" if self.y_down else ""


@dataclass(frozen=True, eq=False)
class Joined:
    """`regions` in mm with their lower left corner at (0, 0), which in the lines is `corner_mm`."""

    regions: tuple[Polygon, ...]
    notes: tuple[Finding, ...]
    corner_mm: tuple[float, float]


class Misdrawn(Refused):
    """Outlines that cannot be told: `spots` (k, 2) says where, `lines` is all that was drawn."""

    def __init__(
        self,
        what: str,
        spots: Line,
        do: str,
        lines: Sequence[Line] = (),
        frame: Frame | None = None,
    ) -> None:
        frame = frame or Frame()
        places = "; ".join(f"x {x:.2f}, y {y:.2f} mm" for x, y in frame.counted(spots[:3]))
        more = f" and {len(spots) - 3} more" if len(spots) > 3 else ""
        super().__init__(what, places + more + frame.said, do)
        self.spots, self.lines = spots, lines


def regions(lines: Sequence[Line], frame: Frame | None = None) -> Joined:
    """What the lines enclose; raises `Refused` for open, crossing or missing outlines.

    `frame` is how the places of a refusal are counted.
    """
    try:
        joined = _joined(lines)
        together = _run_together(joined, frame or Frame())
        return replace(joined, notes=(*joined.notes, *together))
    except Misdrawn as no:
        raise Misdrawn(no.what, no.spots, no.do, lines, frame) from None


def _joined(lines: Sequence[Line]) -> Joined:
    closed = [line for line in lines if _closes(line)]
    loose = [line for line in lines if not _closes(line) and _length(line) > JOIN_MM]
    drawn = [_ring(line) for line in closed]
    single_loose = _off(drawn, loose)
    chains, stray = _parted(_chained(single_loose), drawn)
    _refuse_open(chains)
    rings = [*drawn, *(_ring(line) for line in chains)]
    polygons = [p for p in rings if p.area > _SPECK_MM2]
    if not polygons:
        raise Refused("it holds no closed outline", "the drawing", _AGAIN)
    if len(polygons) > MAX_CONTOURS:
        raise LimitExceeded(f"it has {len(polygons)} outlines", "the drawing", "Split it up")
    single = _without_doubles(polygons)
    notes = [
        _note(len(rings) - len(polygons), "specks smaller than 0.01 mm² were left out"),
        _note(
            len(polygons) - len(single) + len(loose) - len(single_loose),
            "outlines or lines drawn twice were taken once",
        ),
        _STRAY if stray else None,
    ]
    nested = _nested(single)
    left, low, _, _ = shapely.total_bounds(nested)
    at_origin = tuple(shapely.transform(p, lambda points: points - (left, low)) for p in nested)
    return Joined(at_origin, tuple(note for note in notes if note), (float(left), float(low)))


def _run_together(joined: Joined, frame: Frame) -> Iterator[Finding]:
    """Outlines that share a stretch of line: a hole open to the edge, pieces without a gap."""
    shapes = [ring for p in joined.regions for ring in (p.exterior, *p.interiors)]
    rings = np.array(sorted(shapes, key=lambda ring: -ring.length), dtype=object)
    shapely.prepare(rings)
    one, other = STRtree(rings).query(rings)
    one, other = one[one < other], other[one < other]
    meet = shapely.intersects(rings[one], rings[other])
    shared = shapely.intersection(rings[one[meet]], rings[other[meet]])
    shared = shared[shapely.length(shared) > _TOGETHER_MM]
    if len(shared):
        middle = shapely.line_interpolate_point(_longest(shared[0]), 0.5, normalized=True)
        [(x, y)] = frame.counted(shapely.get_coordinates(middle) + np.array(joined.corner_mm))
        many = f"{len(shared)} place{'s' * (len(shared) > 1)}"
        yield Finding(
            severity=Severity.WARNING,
            where=f"{many}, one around x {x:.2f}, y {y:.2f} mm{frame.said}",
            what=f"two outlines share {shapely.length(shared).max():.1f} mm of line, which is cut "
            "twice, and leaves nothing between them",
            do="Leave a gap, or draw as one outline what belongs together",
        )


def _longest(shared: Geometry) -> LineString:
    """The longest of the lines that two outlines share; points where they touch are none."""
    merged = shapely.line_merge(shared) if isinstance(shared, MultiLineString) else shared
    lines = [part for part in shapely.get_parts(merged) if isinstance(part, LineString)]
    return max(lines, key=lambda line: line.length)


def _note(count: int, what: str) -> Finding | None:
    if not count:
        return None
    return Finding(severity=Severity.NOTE, where=f"{count} of them", what=what, do="Nothing to do")


_STRAY = Finding(
    severity=Severity.WARNING,
    where="one straight line outside every outline",
    what="it was left out, as a scale mark",
    do="Check that no part is missing",
)


def _closes(line: Line) -> bool:
    return len(line) > 3 and bool(np.hypot(*(line[0] - line[-1])) <= JOIN_MM)


def _length(line: Line) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def _ring(line: Line) -> Polygon:
    polygon = Polygon(LinearRing(np.vstack([line[:-1], line[:1]])))
    if polygon.is_valid:
        return polygon
    place = shapely.is_valid_reason(polygon).rpartition("[")[2].rstrip("]").split()
    spot = np.array([[float(v) for v in place]])
    crossing = Misdrawn("an outline crosses itself", spot, _UNTANGLE)
    if len(line) > _MOST_MENDED:
        raise crossing
    mended = shapely.make_valid(polygon)
    pieces = [p for p in shapely.get_parts(mended) if isinstance(p, Polygon)]
    biggest = max(pieces, key=lambda p: p.area, default=Polygon())
    # A hair's overlap at a joint is no crossing; anything larger is.
    if sum(p.area for p in pieces) - biggest.area <= _SPECK_MM2:
        return Polygon(biggest.exterior)
    raise crossing


def _off(rings: list[Polygon], loose: list[Line]) -> list[Line]:
    """The loose lines that do not just run along a closed contour (and a stub beyond it)."""
    if not rings or not loose:
        return loose
    edges = [ring.exterior for ring in rings]
    tree = STRtree(edges)

    def doubles(line: LineString) -> bool:
        close = tree.query(line, predicate="dwithin", distance=_ALONG_MM)
        near = [edges[int(i)].buffer(_ALONG_MM) for i in close]
        beyond = min((line.difference(edge).length for edge in near), default=line.length)
        return beyond <= min(_STUB_MM, line.length / 5)

    return [line for line in loose if not doubles(LineString(line))]


def _chained(loose: list[Line]) -> list[Line]:
    """The loose pieces strung together where their ends meet, as far as that is unambiguous."""
    if not loose:
        return []
    joined = _ends_joined(loose)
    _refuse_tangle(joined)
    whole = shapely.union_all([LineString(line) for line in joined])
    merged = shapely.line_merge(whole) if isinstance(whole, MultiLineString) else whole
    chains = [np.asarray(part.coords) for part in shapely.get_parts(merged)]
    _refuse_crossing(joined, chains)
    return chains


def _refuse_crossing(lines: list[Line], chains: list[Line]) -> None:
    """Loops that meet where no line has a point are one outline that crosses itself there."""
    drawn = {tuple(point) for line in lines for point in line}
    met = Counter(tuple(c[0]) for c in chains if np.array_equal(c[0], c[-1]))
    spots = [spot for spot, loops in met.items() if loops > 1 and spot not in drawn]
    if spots:
        raise Misdrawn("an outline crosses itself", np.array(spots), _UNTANGLE)


def _refuse_tangle(lines: list[Line]) -> None:
    """Joining lines that end nowhere or fork everywhere would take hours, to be refused then."""
    if len(lines) <= _MOST_UNCLEAR:
        return
    single = {
        line.tobytes() if tuple(line[0]) < tuple(line[-1]) else line[::-1].tobytes(): line
        for line in lines
    }
    ends = np.array([end for line in single.values() for end in (line[0], line[-1])])
    points, count = np.unique(ends, axis=0, return_counts=True)
    unclear = points[count != 2]
    if len(unclear) > _MOST_UNCLEAR:
        what = f"at {len(unclear)} places lines end or fork, so there are no outlines"
        raise Misdrawn(what, unclear, _AGAIN)


def _parted(chains: list[Line], drawn: list[Polygon]) -> tuple[list[Line], list[Line]]:
    """(chains, stray): a lone straight line outside everything encloses nothing, so it may go."""
    closed = [c for c in chains if np.array_equal(c[0], c[-1])]
    opened = [LineString(c) for c in chains if not np.array_equal(c[0], c[-1])]
    others = [*drawn, *(Polygon(c) for c in closed)]
    lone = len(opened) == 1 and len(opened[0].coords) == 2 and bool(others)
    if lone and min(opened[0].distance(p) for p in others) > 1:
        return closed, [c for c in chains if not np.array_equal(c[0], c[-1])]
    return chains, []


def _ends_joined(loose: list[Line]) -> list[Line]:
    """The same lines, ends closer than `JOIN_MM` moved to one common point."""
    ends = np.array([end for line in loose for end in (line[0], line[-1])])
    points = [Point(end) for end in ends]
    first, second = STRtree(points).query(points, predicate="dwithin", distance=JOIN_MM)
    common = np.arange(len(ends))
    np.minimum.at(common, first, second)
    snapped = ends[common[common]].reshape(-1, 2, 2)
    return [
        np.vstack([start, line[1:-1], end])
        for line, (start, end) in zip(loose, snapped, strict=True)
        if len(line) > 2 or not np.array_equal(start, end)
    ]


def _refuse_open(chains: list[Line]) -> None:
    open_ends = [end for c in chains if not np.array_equal(c[0], c[-1]) for end in (c[0], c[-1])]
    if not open_ends:
        return
    points, count = np.unique(np.array(open_ends), axis=0, return_counts=True)
    forks, dangles = points[count > 1], points[count == 1]
    if len(dangles):
        what = f"{len(dangles)} line ends meet nothing, so the outline is open"
        raise Misdrawn(what, np.vstack([dangles, forks]), _CLOSE)
    what = "more than two lines meet, so inside and outside cannot be told"
    raise Misdrawn(what, forks, _AGAIN)


def _without_doubles(polygons: list[Polygon]) -> list[Polygon]:
    tree = STRtree(polygons)
    kept: list[Polygon] = []
    dropped: set[int] = set()
    for i, polygon in enumerate(polygons):
        if i in dropped:
            continue
        kept.append(polygon)
        near = (int(j) for j in tree.query(polygon) if j > i)
        dropped |= {j for j in near if _same(polygon, polygons[j])}
    return kept


def _same(one: Polygon, other: Polygon) -> bool:
    if not np.allclose(one.bounds, other.bounds, rtol=0, atol=2 * JOIN_MM):
        return False
    return one.symmetric_difference(other).area <= JOIN_MM * one.length


def _nested(polygons: list[Polygon]) -> list[Polygon]:
    """Even-odd: a contour in an even number of others is an outline, in an odd number a hole."""
    polygons = sorted(polygons, key=lambda p: p.area, reverse=True)
    tree = STRtree(polygons)
    holders: list[list[int]] = []
    for i, polygon in enumerate(polygons):
        larger = sorted(int(j) for j in tree.query(polygon) if j < i)
        holders.append([j for j in larger if _holds(polygons[j], polygon)])
    holes: dict[int, list[Polygon]] = {i: [] for i, h in enumerate(holders) if len(h) % 2 == 0}
    for i, held in enumerate(holders):
        if len(held) % 2:
            holes[max(h for h in held if len(holders[h]) == len(held) - 1)].append(polygons[i])
    return [
        shapely.orient_polygons(Polygon(polygons[i].exterior, [h.exterior for h in inner]))
        for i, inner in holes.items()
    ]


def _holds(outer: Polygon, inner: Polygon) -> bool:
    shared = shapely.intersection(outer, inner)
    if inner.area - shared.area <= _SPECK_MM2:
        return True
    if shared.area <= _SPECK_MM2:
        return False
    cross = shapely.intersection(outer.exterior, inner.exterior)
    place = cross if not cross.is_empty else shared
    spot = np.asarray(place.representative_point().coords)
    raise Misdrawn("two outlines cross each other", spot, "Cut one out of the other, export again")
