"""A strainer for the drain of a sink: a cone fits many drains; printed standing, without supports."""

import numpy as np

from designs.library.built import Design
from designs.library.parameters import Parameters, length
from designs.library.shapes import Shape, disc, prism, stroke, turned
from designs.library.written import Stated

WALL, FLOOR = 2.4, 2.0
LEDGE = 7.0  # how far the cone goes past the drain's edge
DROP = 11.0  # how deep it hangs in the drain
HOLE, HOLE_PITCH = 3.0, 5.2
SLIT = 2.6
KNOB, KNOB_TALL = 9.0, 16.0


class Wishes(Parameters):
    drain_mm: float = length(42, 38, 85, "inner diameter of the drain")


def parts(wish: Wishes) -> dict[str, Shape]:
    """The outside leans out at 45 degrees, which prints in the air."""
    low = wish.drain_mm / 2 - DROP
    top = wish.drain_mm / 2 + LEDGE
    height = top - low
    inner = WALL * np.sqrt(2)
    bowl = turned(
        [
            (0, 0),
            (low, 0),
            (top, height),
            (top - inner, height),
            (low + FLOOR - inner, FLOOR),
            (0, FLOOR),
        ]
    )
    knob = turned(
        [
            (0, 0),
            (KNOB / 2, 0),
            (KNOB / 2, KNOB_TALL - 1.5),
            (KNOB / 2 - 1.5, KNOB_TALL),
            (0, KNOB_TALL),
        ]
    )
    return {"strainer": _pierced(bowl, low, wish) + knob}


def _pierced(bowl, low: float, wish: Wishes):
    slits = int(2 * np.pi * low / (2 * SLIT))
    for turn in np.arange(slits) * 360 / slits:
        cut = prism(stroke([(low + 1.5, 0), (wish.drain_mm / 2 - 2, 0)], SLIT), 60, -1)
        bowl -= cut.rotate((0, 0, float(turn)))
    rings = int((low - HOLE / 2 - 1.5 - KNOB / 2 - HOLE / 2 - 1.0) // HOLE_PITCH) + 1
    for ring in range(rings):
        radius = low - HOLE / 2 - 1.5 - HOLE_PITCH * ring
        around = int(2 * np.pi * radius / HOLE_PITCH)
        for turn in np.arange(around) * 360 / around:
            bowl -= prism(disc(HOLE, radius), 2 * FLOOR, -1).rotate((0, 0, float(turn)))
    return bowl


def stated(wish: Wishes) -> Stated:
    return {
        "strainer": {
            "Outer diameter": wish.drain_mm + 2 * LEDGE,
            "Diameter of the floor": wish.drain_mm - 2 * DROP,
            "Hole in the floor": HOLE,
        }
    }


DESIGN = Design(Wishes, parts, stated)
