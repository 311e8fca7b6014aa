"""Promises the words of a G-code line and the chords of its arcs, as firmware reads them.
Never judges whether a line makes sense.
"""

import math
from collections.abc import Iterator

CHORD_MM = 0.01


def arc_chords(
    start: tuple[float, float],
    end: tuple[float, float],
    centre: tuple[float, float],
    *,
    clockwise: bool,
    chord_mm: float = CHORD_MM,
) -> Iterator[tuple[float, float, float]]:
    """Points along an arc as (share 0..1, x, y), the end included; sagitta at most `chord_mm`.

    Equal start and end make a full circle, as Marlin and GRBL take it.
    """
    radius = math.dist(start, centre)
    begin = math.atan2(start[1] - centre[1], start[0] - centre[0])
    sweep = math.atan2(end[1] - centre[1], end[0] - centre[0]) - begin
    if clockwise:
        sweep = sweep - 2 * math.pi if sweep >= -1e-9 else sweep
    else:
        sweep = sweep + 2 * math.pi if sweep <= 1e-9 else sweep
    while clockwise and sweep < -2 * math.pi - 1e-9:
        sweep += 2 * math.pi
    while not clockwise and sweep > 2 * math.pi + 1e-9:
        sweep -= 2 * math.pi
    step = 2 * math.acos(max(0.0, 1 - min(1.0, chord_mm / radius))) if radius > 0 else math.pi
    count = max(1, math.ceil(abs(sweep) / max(step, 1e-3)))
    for index in range(1, count):
        angle = begin + sweep * index / count
        yield (
            index / count,
            centre[0] + radius * math.cos(angle),
            centre[1] + radius * math.sin(angle),
        )
    yield 1.0, end[0], end[1]


def arc_centre(
    start: tuple[float, float], end: tuple[float, float], radius: float, *, clockwise: bool
) -> tuple[float, float] | None:
    """Centre of an R-form arc (negative radius = the long way round); None if out of reach."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    span = math.hypot(dx, dy)
    if span == 0 or span > 2 * abs(radius) * (1 + 1e-6):
        return None
    height = math.sqrt(max(0.0, radius * radius - span * span / 4))
    side = -1.0 if clockwise == (radius > 0) else 1.0
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    return middle[0] - side * height * dy / span, middle[1] + side * height * dx / span
