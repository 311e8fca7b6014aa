"""A coat hook for two 4 mm screws, printed lying on its side, without supports."""

from pathlib import Path

import numpy as np
from manifold3d import Manifold

from designs.library.shapes import disc, prism, save_stl, slab, stroke, teardrop, turned

THICK, WIDE = 5.5, 12.0  # of the strip; WIDE is the printed height
CURL = 9.5  # radius of the curl, to the middle of the strip
SCREW, HEAD = 4.3, 8.4


def build(out_dir: Path) -> None:
    turns = np.radians(np.linspace(180, 360, 48))
    curl = [(CURL + CURL * np.cos(t), CURL + CURL * np.sin(t)) for t in turns]
    strip = stroke([(0, 34.0), *curl, (2 * CURL, 14.0)], THICK)
    knob = disc(7.5, 2 * CURL - 0.4, 14.5)
    hook = slab(strip.union(knob), WIDE)
    for height in (21.0, 31.0):
        hook -= _screw_hole().translate((-THICK / 2, height, WIDE / 2))
    save_stl(hook, out_dir / "coat-hook.stl")


def _screw_hole() -> Manifold:
    """Along +x from the wall, with room for a countersunk head at the front."""
    through = prism(teardrop(SCREW), 4 * THICK, -1)
    depth = (HEAD - SCREW) / 2
    rim = THICK + 0.02
    cone = turned([(0, rim - depth), (SCREW / 2, rim - depth), (HEAD / 2, rim), (0, rim)])
    return (through + cone).rotate((0, 90, 0)).rotate((90, 0, 0))
