"""A coat hook for two screws, printed lying on its side, without supports."""

from typing import TYPE_CHECKING

import numpy as np

from designs.library.built import Design
from designs.library.parameters import Parameters, length
from designs.library.shapes import Shape, disc, prism, slab, stroke, teardrop, turned
from designs.library.written import Stated

if TYPE_CHECKING:
    from manifold3d import Manifold

THICK = 5.5  # of the strip
EASE = 0.3
APART = 10.0  # from screw to screw


class Wishes(Parameters):
    width_mm: float = length(12, 12, 25, "how wide the strip is")
    curl_mm: float = length(9.5, 8, 16, "radius of the curl, to the middle of the strip")
    screw_mm: float = length(4, 3, 4.5, "thickness of the screws")


def parts(wish: Wishes) -> dict[str, Shape]:
    curl = wish.curl_mm
    turns = np.radians(np.linspace(180, 360, 48))
    bow = [(curl + curl * float(np.cos(t)), curl + curl * float(np.sin(t))) for t in turns]
    strip = stroke([(0, curl + 24.5), *bow, (2 * curl, curl + 4.5)], THICK)
    knob = disc(7.5, 2 * curl - 0.4, curl + 5)
    hook = slab(strip.union(knob), wish.width_mm)
    for height in (curl + 11.5, curl + 11.5 + APART):
        hook -= _screw_hole(wish).translate((-THICK / 2, height, wish.width_mm / 2))
    return {"coat-hook": hook}


def _screw_hole(wish: Wishes) -> "Manifold":
    """Along +x from the wall, with room for a countersunk head at the front."""
    screw, head = wish.screw_mm + EASE, 2 * wish.screw_mm + 0.4
    through = prism(teardrop(screw), 4 * THICK, -1)
    depth = (head - screw) / 2
    rim = THICK + 0.02
    cone = turned([(0, rim - depth), (screw / 2, rim - depth), (head / 2, rim), (0, rim)])
    return (through + cone).rotate((0, 90, 0)).rotate((90, 0, 0))


def stated(wish: Wishes) -> Stated:
    return {
        "coat-hook": {
            "Width": wish.width_mm,
            "Thickness of the strip": THICK,
            "Screw hole, at the wall": wish.screw_mm + EASE,
        }
    }


DESIGN = Design(Wishes, parts, stated)
