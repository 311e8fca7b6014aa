"""A furniture knob for an M4 screw with its nut inside, printed face down."""

import numpy as np

from designs.library.built import Design
from designs.library.parameters import Parameters, count, length
from designs.library.shapes import Shape, disc, hexagon, prism, turned
from designs.library.written import Stated

NECK, RIM = 14.0, 7.5
SCREW, NUT, NUT_DEEP = 4.4, 7.3, 3.6
FLUTE = 5.0


class Wishes(Parameters):
    face_mm: float = length(28, 22, 50, "diameter of its face")
    height_mm: float = length(20, 18, 32, "how far it stands out")
    flutes: int = count(10, 5, 12, "how many hollows for the fingers")


def parts(wish: Wishes) -> dict[str, Shape]:
    half, neck = wish.face_mm / 2, NECK / 2
    waist = [
        (float(neck + (half - neck) * (1 - np.sin(t)) ** 2), float(z)) for t, z in _slope(wish)
    ]
    outline = [
        (0, 0),
        (half - 1.2, 0),
        (half, 1.2),
        (half, RIM),
        *waist,
        (neck + 1, wish.height_mm),
        (0, wish.height_mm),
    ]
    knob = turned(outline)
    for angle in np.arange(wish.flutes) * 360 / wish.flutes:
        groove = prism(disc(FLUTE, half + 1.4), 2 * wish.height_mm, -1)
        knob -= groove.rotate((0, 0, float(angle)))
    knob -= prism(disc(SCREW), 14, wish.height_mm - 13)
    knob -= prism(hexagon(NUT), 2 * NUT_DEEP, wish.height_mm - NUT_DEEP)
    return {"knob": knob}


def _slope(wish: Wishes) -> list[tuple[float, float]]:
    """From the face to the neck: (turn, height); narrower the higher, so it never hangs over."""
    tall = wish.height_mm - RIM - 2.5
    turns = np.linspace(0.12, np.pi / 2, 24)
    return [(float(t), float(RIM + tall * t / (np.pi / 2))) for t in turns]


def stated(wish: Wishes) -> Stated:
    return {
        "knob": {
            "Diameter of the face": wish.face_mm,
            "Height": wish.height_mm,
            "Pocket for the nut, across flats": NUT,
            "Screw hole": SCREW,
        }
    }


DESIGN = Design(Wishes, parts, stated)
