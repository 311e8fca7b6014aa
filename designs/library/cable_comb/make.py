"""A comb that keeps cables at the edge of a desk; glue it on with adhesive tape."""

from designs.library.built import Design
from designs.library.parameters import Parameters, count, length
from designs.library.shapes import Shape, disc, plate, polygon, rounded, slab, stroke
from designs.library.written import Stated

WEB = 4.1  # between two cables
TALL = 7.0


class Wishes(Parameters):
    cables: int = count(4, 2, 8, "how many cables it holds")
    cable_mm: float = length(5.4, 3.5, 8, "how thick a cable is")


def parts(wish: Wishes) -> dict[str, Shape]:
    pitch, mouth, deep = wish.cable_mm + WEB, mouth_mm(wish), wish.cable_mm + 9.6
    comb = plate(wish.cables * pitch + 1.6, deep, 3.0)
    for i in range(wish.cables):
        x, y = 0.8 + pitch * (i + 0.5), deep - wish.cable_mm / 2 - 3.5
        comb = comb.difference(disc(wish.cable_mm, x, y))
        comb = comb.difference(stroke([(x, y), (x, deep + 9)], mouth))
    return {"cable-comb": slab(rounded(polygon(comb), 0.8), TALL, 0.5)}


def mouth_mm(wish: Wishes) -> float:
    """A cable is pushed through it and stays."""
    return round(wish.cable_mm * 0.63, 1)


def stated(wish: Wishes) -> Stated:
    return {
        "cable-comb": {
            "Hole for a cable": wish.cable_mm,
            "Mouth of a hole": mouth_mm(wish),
            "Height": TALL,
        }
    }


DESIGN = Design(Wishes, parts, stated)
