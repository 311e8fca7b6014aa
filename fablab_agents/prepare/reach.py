"""Says what a round tool of a given width cannot make of a shape, and where.

It never changes the shape: what does not fit is told or refused, not rounded off in silence.
"""

from collections.abc import Iterator, Sequence

from shapely import STRtree
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry

from designs.errors import Finding, Severity
from fablab_agents.prepare.cam import ARC_STEPS, FIT_SLACK_MM, is_drilled, polygons

WORTH_TELLING_MM = 0.1
CORNER = 1.05  # in tool radii: what stays in a 60-degree corner; more is a slot, not a corner


def lost(regions: Sequence[Polygon], tool_mm: float) -> tuple[Finding, ...]:
    """Small holes, narrow slots and gaps refuse; sharp inside corners warn, with what stays."""
    findings = [f for r in regions for f in _lost_holes(r, tool_mm)]
    findings += _lost_gaps(regions, tool_mm)
    rests = [rest for r in regions for rest in _rests(r, tool_mm)]
    findings += [_slot(p, tool_mm) for stays, p in rests if stays > CORNER * tool_mm / 2]
    corners = max((stays for stays, _ in rests if stays <= CORNER * tool_mm / 2), default=0.0)
    if corners > WORTH_TELLING_MM:
        findings.append(_corner(corners, tool_mm))
    return tuple(findings)


def _fits(hole: Polygon, tool_mm: float) -> bool:
    return not hole.buffer(FIT_SLACK_MM - tool_mm / 2).is_empty


def _lost_holes(region: Polygon, tool_mm: float) -> Iterator[Finding]:
    for hole in map(Polygon, region.interiors):
        if not is_drilled(hole, tool_mm) and not _fits(hole, tool_mm):
            x, y = hole.centroid.coords[0]
            yield Finding(
                severity=Severity.REFUSAL,
                where=f"hole at {x:.1f}, {y:.1f} mm",
                what=f"it is {_width(hole):.2f} mm wide, too small for the {tool_mm:g} mm cutter",
                do="use a thinner cutter, or leave the hole out and drill it by hand",
            )


def _width(shape: Polygon) -> float:
    low_x, low_y, high_x, high_y = shape.bounds
    return min(high_x - low_x, high_y - low_y)


def _lost_gaps(regions: Sequence[Polygon], tool_mm: float) -> list[Finding]:
    if len(regions) < 2:
        return []
    near = STRtree(regions).query(regions, predicate="dwithin", distance=tool_mm - 0.02)
    pairs = [(int(a), int(b)) for a, b in near.T if a < b]
    return [_too_close(regions[a], regions[b], tool_mm) for a, b in pairs]


def _too_close(one: Polygon, other: Polygon, tool_mm: float) -> Finding:
    x, y = one.centroid.coords[0]
    u, v = other.centroid.coords[0]
    return Finding(
        severity=Severity.REFUSAL,
        where=f"pieces around {x:.0f}, {y:.0f} and {u:.0f}, {v:.0f} mm",
        what=f"they are {one.distance(other):.2f} mm apart, the tool is {tool_mm:g} mm wide",
        do="draw them further apart, or publish them as separate parts",
    )


def _rests(region: Polygon, tool_mm: float) -> Iterator[tuple[float, Polygon]]:
    """(how far the tool stays away in mm, the piece that stays) for each place it cannot reach."""
    holes = [Polygon(ring) for ring in region.interiors]
    kept = [h.exterior for h in holes if _fits(h, tool_mm) and not is_drilled(h, tool_mm)]
    shape = Polygon(region.exterior, kept)
    closed = shape.buffer(tool_mm / 2, ARC_STEPS).buffer(-tool_mm / 2, ARC_STEPS)
    for piece in polygons(closed.difference(shape.buffer(0.01))):
        yield _furthest(piece, closed.boundary), piece


def _furthest(piece: Polygon, edge: BaseGeometry) -> float:
    return max(edge.distance(Point(corner)) for corner in piece.exterior.coords)


def _slot(piece: Polygon, tool_mm: float) -> Finding:
    x, y = piece.representative_point().coords[0]
    return Finding(
        severity=Severity.REFUSAL,
        where=f"slot or notch at {x:.1f}, {y:.1f} mm",
        what=f"the {tool_mm:g} mm cutter does not fit into it",
        do="use a thinner cutter, or widen it in the drawing",
    )


def _corner(stays_mm: float, tool_mm: float) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        where="inside corners",
        what=f"the {tool_mm:g} mm cutter leaves them round: up to {stays_mm:.2f} mm stays",
        do="use a thinner cutter, or draw the corners with its radius or as dog-bones",
    )
