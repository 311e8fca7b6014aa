"""A stake that holds an irrigation tube over the roots of a plant; printed lying flat."""

from shapely import Polygon

from designs.library.built import Design
from designs.library.parameters import Parameters, length
from designs.library.shapes import Shape, disc, polygon, rounded, slab, stroke
from designs.library.written import Stated

THICK, WALL = 6.0, 2.8
SHOULDER = 12.0  # from the middle of the tube to the bar that a thumb pushes
GRIP_PCT = 78  # of the tube's width: it snaps in through this


class Wishes(Parameters):
    tube_mm: float = length(6, 4, 20, "outer diameter of the tube")
    length_mm: float = length(140, 90, 165, "from the tip to the thumb bar")


def parts(wish: Wishes) -> dict[str, Shape]:
    return {"stake": slab(outline(wish), THICK, 0.8)}


def outline(wish: Wishes) -> Polygon:
    """Tip at the origin, standing along y; the clip opens upwards."""
    ring, bar = wish.tube_mm / 2 + WALL, wish.length_mm
    middle = bar + SHOULDER + wish.tube_mm / 2
    blade = Polygon([(-0.9, 0), (0.9, 0), (4.5, 40), (4.5, bar), (-4.5, bar), (-4.5, 40)])
    thumb = stroke([(-13, bar), (13, bar)], 7.0)
    neck = stroke([(0, bar), (0, middle - ring)], 9.0)
    lips = [
        stroke([(x, middle + ring * 0.7), (1.5 * x, middle + ring + 2.2)], 2.2)
        for x in (-mouth_mm(wish) / 2 - 1.2, mouth_mm(wish) / 2 + 1.2)
    ]
    whole = blade.union(thumb).union(neck).union(disc(2 * ring, 0, middle))
    for lip in lips:
        whole = whole.union(lip)
    mouth = stroke([(0, middle), (0, middle + 4 * ring)], mouth_mm(wish))
    held = whole.difference(mouth).difference(disc(wish.tube_mm, 0, middle))
    return rounded(polygon(held), 0.8)


def mouth_mm(wish: Wishes) -> float:
    return round(wish.tube_mm * GRIP_PCT / 100, 1)


def stated(wish: Wishes) -> Stated:
    return {
        "stake": {
            "Clip for the tube": wish.tube_mm,
            "Mouth of the clip": mouth_mm(wish),
            "Thickness": THICK,
        }
    }


DESIGN = Design(Wishes, parts, stated)
