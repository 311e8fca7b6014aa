"""A strainer for the drain of a sink: a cone, printed standing, without supports."""

from typing import TYPE_CHECKING

import numpy as np
from shapely import Polygon

from designs.library.assembly import along
from designs.library.built import Design
from designs.library.parameters import Parameters, length
from designs.library.shapes import Shape, disc, prism, turned
from designs.library.written import Stated

if TYPE_CHECKING:
    from manifold3d import Manifold

WALL, FLOOR = 2.4, 2.0
LEDGE = 7.0  # how far the cone goes past the drain's edge
DROP = 11.0  # how deep it hangs in the drain
HOLE, HOLE_PITCH = 3.0, 5.2
SLIT = 2.6
KNOB, KNOB_TALL = 9.0, 16.0


class Wishes(Parameters):
    drain_mm: float = length(45, 42, 85, "inner diameter of the drain")


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
    return {"strainer": _pierced(bowl, low) + knob}


def _pierced(bowl: "Manifold", low: float) -> "Manifold":
    """Slits, pointed at the top so that they print in the air, and holes in the floor."""
    half, foot, head = SLIT / 2, FLOOR + 0.6, DROP - 3.0
    section = Polygon([(-half, foot), (half, foot), (half, head), (0, head + half), (-half, head)])
    slits = int(2 * np.pi * low / (2 * SLIT))
    for turn in np.arange(slits) * 360 / slits:
        bowl -= along(section, 3 * DROP, low - 2.0).rotate((0, 0, float(turn)))
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
