"""A furniture knob for an M4 screw with its nut inside, printed face down."""

from pathlib import Path

import numpy as np

from designs.library.shapes import disc, hexagon, prism, save_stl, turned

FACE, NECK, TALL = 28.0, 14.0, 20.0
SCREW, NUT, NUT_DEEP = 4.4, 7.3, 3.6
FLUTES, FLUTE = 10, 5.0


def build(out_dir: Path) -> None:
    half, neck = FACE / 2, NECK / 2
    waist = [(neck + (half - neck) * (1 - np.sin(t)) ** 2, z) for t, z in _slope()]
    outline = [
        (0, 0),
        (half - 1.2, 0),
        (half, 1.2),
        (half, 7.5),
        *waist,
        (neck + 1, TALL),
        (0, TALL),
    ]
    knob = turned(outline)
    for angle in np.arange(FLUTES) * 360 / FLUTES:
        groove = prism(disc(FLUTE, half + 1.4), 40, -1)
        knob -= groove.rotate((0, 0, float(angle)))
    knob -= prism(disc(SCREW), 14, TALL - 13)
    knob -= prism(hexagon(NUT), 2 * NUT_DEEP, TALL - NUT_DEEP)
    save_stl(knob, out_dir / "knob.stl")


def _slope() -> list[tuple[float, float]]:
    """From the face to the neck: (turn, height); never flatter than it can be printed."""
    return [(t, 7.5 + 10.0 * t / (np.pi / 2)) for t in np.linspace(0.12, np.pi / 2, 24)]
