"""A tyre lever that hooks into a spoke; printed on its edge, so that no layer is bent open."""

import numpy as np
import shapely
from shapely import Polygon

from designs.library.built import Design
from designs.library.parameters import Parameters, length
from designs.library.shapes import Shape, disc, polygon, rounded, slab, stroke
from designs.library.written import Stated

SPOKE = 4.5  # mouth of the hook: a spoke and room to swing
TIP = 2.6  # thickness of the spoon's tip


class Wishes(Parameters):
    length_mm: float = length(118, 105, 150, "length of the lever")
    width_mm: float = length(15, 12, 18, "width of its spoon")
    spine_mm: float = length(9, 8, 12, "thickness of its middle")


def parts(wish: Wishes) -> dict[str, Shape]:
    return {"lever": slab(outline(wish), wish.width_mm, 1.0)}


def outline(wish: Wishes) -> Polygon:
    """Seen from its edge: spoon at the left, curved up, hook for the spoke at the right."""
    long, spine = wish.length_mm, wish.spine_mm
    along = np.linspace(0, 1, 40)
    middle = 7.0 * (1 - np.clip(along / 0.28, 0, 1)) ** 2
    thick = TIP + (spine - TIP) * np.sin(np.pi / 2 * np.clip(along / 0.45, 0, 1)) ** 1.5
    x = TIP / 2 + along * (long - 14 - TIP / 2)
    upper = np.column_stack([x, middle + thick / 2])
    lower = np.column_stack([x, middle - thick / 2])[::-1]
    blade = Polygon(np.vstack([upper, lower])).union(disc(TIP, TIP / 2, 7.0))
    bead = disc(3.4, 2.5, 7.9)  # catches under the edge of the tyre
    end = stroke([(long - 15, 0), (long - spine / 2, 0)], spine)
    whole = shapely.union_all([blade, bead, end])
    hook = stroke([(long - 20, -spine), (long - 17, -spine / 2 + SPOKE / 2 - 0.5)], SPOKE)
    return rounded(polygon(whole.difference(hook)), 0.9)


def stated(wish: Wishes) -> Stated:
    return {
        "lever": {
            "Length": wish.length_mm,
            "Width": wish.width_mm,
            "Thickness of the middle": wish.spine_mm,
        }
    }


DESIGN = Design(Wishes, parts, stated)
