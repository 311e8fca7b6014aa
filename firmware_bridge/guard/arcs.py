"""The geometry of G2 and G3 in a plane: where an arc goes at most, and how long it is.

Pure arithmetic in mm; it knows no machine. The sums and limits are those of GRBL 1.1's gcode.c
(steps 3 and 20) and motion_control.c, so that an arc which passes here passes there.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Floats = NDArray[np.float64]

# GRBL gcode.c: the radii at both ends may differ by 0.005 mm, and above that by 0.5 mm and 0.1 %.
_RADIUS_MM = 0.005
_RADIUS_MAX_MM = 0.5
_RADIUS_SHARE = 0.001
# GRBL config.h, ARC_ANGULAR_TRAVEL_EPSILON: a smaller turn is a full circle.
_FULL_RAD = 5e-7
# To GRBL's single precision ends this near may be the same, and then the arc is a full circle.
_SAME_MM = 1e-4
# GRBL counts in single precision: a chord this share longer than the diameter may still pass.
_CHORD_SHARE = 1e-6
_TURN = 2 * math.pi
_QUARTERS: tuple[tuple[float, Point], ...] = (
    (0.0, (1, 0)),
    (0.5 * math.pi, (0, 1)),
    (math.pi, (-1, 0)),
    (1.5 * math.pi, (0, -1)),
)


@dataclass(frozen=True, slots=True)
class Arc:
    """The box the arc touches, its length, ends and outermost points, and its centre; in mm."""

    low: Point
    high: Point
    length: float
    points: tuple[Point, ...]
    centre: Point


class NoArcError(ValueError):
    """These words describe no arc; the message says why."""


def by_centre(start: Point, end: Point, offset: Point, *, clockwise: bool) -> Arc:
    """From start to end around start + offset (I, J); equal ends mean a full circle."""
    centre = (start[0] + offset[0], start[1] + offset[1])
    radius = math.hypot(*offset)
    other = math.dist(end, centre)
    apart = abs(radius - other)
    if radius == 0:
        raise NoArcError("an arc of no radius")
    if apart > _RADIUS_MAX_MM or (apart > _RADIUS_MM and apart > _RADIUS_SHARE * radius):
        raise NoArcError(f"an arc whose ends lie {radius:.3f} and {other:.3f} mm from its centre")
    return _around(start, end, centre, radius, clockwise)


def by_radius(start: Point, end: Point, radius: float, *, clockwise: bool) -> Arc:
    """From start to end with radius R; a negative R takes the longer way round."""
    chord = math.dist(start, end)
    if chord == 0:
        raise NoArcError("an arc by radius that ends where it starts")
    if chord > 2 * abs(radius) * (1 + _CHORD_SHARE):
        raise NoArcError(f"a radius of {radius:.3f} mm does not reach over {chord:.3f} mm")
    height = math.sqrt(max(radius * radius - chord * chord / 4, 0.0))
    if clockwise == (radius > 0):
        height = -height
    across = ((end[0] - start[0]) / chord, (end[1] - start[1]) / chord)
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    centre = (middle[0] - across[1] * height, middle[1] + across[0] * height)
    return _around(start, end, centre, abs(radius), clockwise)


def _around(start: Point, end: Point, centre: Point, radius: float, clockwise: bool) -> Arc:
    first, last = (end, start) if clockwise else (start, end)
    begin = math.atan2(first[1] - centre[1], first[0] - centre[0])
    sweep = (math.atan2(last[1] - centre[1], last[0] - centre[0]) - begin) % _TURN
    same = math.dist(start, end) < _SAME_MM
    if same or sweep < _FULL_RAD or sweep > _TURN - _FULL_RAD:
        sweep = _TURN
    points = [start, end]
    for angle, (dx, dy) in _QUARTERS:
        if (angle - begin) % _TURN <= sweep:
            points.append((centre[0] + dx * radius, centre[1] + dy * radius))
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return Arc((min(xs), min(ys)), (max(xs), max(ys)), radius * sweep, tuple(points), centre)


def many_by_centre(
    start: Floats, end: Floats, offset: Floats, clockwise: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats] | None:
    """`by_centre` for n arcs, each array (n, 2): low, high (n, 2) and lengths (n); None where one
    of them is no arc.
    """
    centre = start + offset
    radius = np.hypot(offset[:, 0], offset[:, 1])
    away = end - centre
    apart = np.abs(radius - np.hypot(away[:, 0], away[:, 1]))
    wrong = (apart > _RADIUS_MAX_MM) | ((apart > _RADIUS_MM) & (apart > _RADIUS_SHARE * radius))
    if (wrong | (radius == 0)).any():
        return None
    begin, sweep = _turns(-offset, away, clockwise)
    low, high = np.minimum(start, end), np.maximum(start, end)
    for angle, step in _QUARTERS:
        passed = ((angle - begin) % _TURN <= sweep)[:, None]
        outermost = centre + np.array(step) * radius[:, None]
        low = np.where(passed, np.minimum(low, outermost), low)
        high = np.where(passed, np.maximum(high, outermost), high)
    return low, high, radius * sweep


def _turns(first: Floats, last: Floats, clockwise: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Where n arcs begin and how far they go, counter-clockwise, in radians."""
    turned = clockwise[:, None]
    first, last = np.where(turned, last, first), np.where(turned, first, last)
    begin = np.arctan2(first[:, 1], first[:, 0])
    sweep = (np.arctan2(last[:, 1], last[:, 0]) - begin) % _TURN
    same = np.hypot(first[:, 0] - last[:, 0], first[:, 1] - last[:, 1]) < _SAME_MM
    full = same | (sweep < _FULL_RAD) | (sweep > _TURN - _FULL_RAD)
    return begin, np.where(full, _TURN, sweep)


def outermost(
    start: Floats, end: Floats, centre: Floats, clockwise: NDArray[np.bool_], angles: Floats
) -> Floats:
    """Of n arcs, for each direction the point that lies farthest out where some arc passes it,
    (k, 2); the arcs' own ends are not among them.
    """
    begin, sweep = _turns(start - centre, end - centre, clockwise)
    radius = np.hypot(*(start - centre).T)
    found: list[tuple[float, float]] = []
    for angle in angles:
        way = np.array([math.cos(angle), math.sin(angle)])
        reach = np.where((angle - begin) % _TURN <= sweep, centre @ way + radius, -math.inf)
        best = int(np.argmax(reach))
        if reach[best] > -math.inf:
            x, y = centre[best] + radius[best] * way
            found.append((float(x), float(y)))
    return np.array(found).reshape(-1, 2)
