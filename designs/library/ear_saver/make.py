"""A strap that carries the loops of a face mask behind the head; printed flat."""

import shapely

from designs.library.built import Design
from designs.library.parameters import Parameters, count, length
from designs.library.shapes import Shape, rounded, slab, stroke
from designs.library.written import Stated

THICK = 2.0
BODY, BARB, REACH = 14.0, 4.2, 13.0
STEP = 16.0  # from barb to barb


class Wishes(Parameters):
    length_mm: float = length(150, 130, 200, "length of the strap")
    barbs: int = count(3, 2, 3, "places for a loop at each end")


def parts(wish: Wishes) -> dict[str, Shape]:
    half = wish.length_mm / 2
    strap = stroke([(-half + BODY / 2, 0), (half - BODY / 2, 0)], BODY)
    barbs = [
        stroke([(end * (x - 2), side * 4), (end * (x - 11), side * REACH)], BARB)
        for x in (half - 5 - STEP * i for i in range(wish.barbs))
        for end in (-1, 1)
        for side in (-1, 1)
    ]
    openings = [stroke([(x - 7, 0), (x + 7, 0)], 6.0) for x in (-22, 0, 22)]
    whole = strap.union(shapely.union_all(barbs))
    whole = rounded(whole, 1.0).difference(shapely.union_all(openings))
    return {"strap": slab(whole, THICK, 0.5)}


def stated(wish: Wishes) -> Stated:
    return {"strap": {"Length": wish.length_mm, "Thickness": THICK, "Width of an opening": 6.0}}


DESIGN = Design(Wishes, parts, stated)
