"""Promises the chords that GRBL makes of an arc, and whether an arc closes.
Never knows about planes, units or machines: two coordinates and a centre come in.

Source: gnea/grbl `grbl/motion_control.c` mc_arc, `grbl/gcode.c` (the arc definition error).
"""

import math
from collections.abc import Iterator

Point = tuple[float, float]
NEEDLE = 5e-7  # config.h ARC_ANGULAR_TRAVEL_EPSILON
CLOSE_MM, FAR_MM, SHARE = 0.005, 0.5, 0.001


def fits(at_start_mm: float, at_end_mm: float) -> bool:
    """Both radii agree to 5 µm, or to 0.1 % as long as that is below 0.5 mm."""
    off = abs(at_start_mm - at_end_mm)
    return off <= CLOSE_MM or (off <= FAR_MM and off <= SHARE * at_start_mm)


def chords(
    start: Point, end: Point, centre: Point, tolerance_mm: float, *, clockwise: bool
) -> Iterator[tuple[float, float, float]]:
    """Points between the ends as (share 0..1, u, v); floor(|θ·r/2| / sqrt(δ·(2r - δ))) chords."""
    radius, sweep = math.dist(start, centre), angle(start, end, centre, clockwise=clockwise)
    sagitta = tolerance_mm * (2 * radius - tolerance_mm)
    count = int(abs(0.5 * sweep * radius) / math.sqrt(sagitta)) if sagitta > 0 else 0
    begin = math.atan2(start[1] - centre[1], start[0] - centre[0])
    for step in range(1, count):
        turn = begin + sweep * step / count
        u = centre[0] + radius * math.cos(turn)
        yield step / count, u, centre[1] + radius * math.sin(turn)


def angle(start: Point, end: Point, centre: Point, *, clockwise: bool) -> float:
    """From start to end, signed; equal ends make a full circle."""
    ax, ay = start[0] - centre[0], start[1] - centre[1]
    bx, by = end[0] - centre[0], end[1] - centre[1]
    turn = math.atan2(ax * by - ay * bx, ax * bx + ay * by)
    if clockwise:
        return turn - 2 * math.pi if turn >= -NEEDLE else turn
    return turn + 2 * math.pi if turn <= NEEDLE else turn
