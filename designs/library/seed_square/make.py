"""A square that shows where seeds go, and a dibber that shows how deep; laser-cut plywood.

Round holes are for 16 plants in the square, hexagons for 9, squares for 4; the middle hexagon is
also the place of a single one.
"""

import shapely
from shapely import Polygon

from designs.library.assembly import Piece, Step, across, lying
from designs.library.built import Design
from designs.library.parameters import Parameters, length
from designs.library.shapes import Shape, disc, hexagon, plate, polygon, rounded, slot, stroke
from designs.library.written import Stated

HOLE = 0.042  # of the side: what a finger or the dibber goes through
SHEET = 3.0
DIBBER, DIBBER_LONG, TIP, HEAD = 9.0, 150.0, 12.0, 22.0
DEPTHS = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0)  # below the square, which lies on the soil
NOTCH = 2.0


class Wishes(Parameters):
    side_mm: float = length(300, 240, 380, "side of the square: a third of a metre, or a foot")


def parts(wish: Wishes) -> dict[str, Shape]:
    return {"square": square(wish), "dibber": dibber()}


def hole_mm(wish: Wishes) -> float:
    return round(HOLE * wish.side_mm, 1)


def square(wish: Wishes) -> Polygon:
    side, hole = wish.side_mm, hole_mm(wish)
    holes = [
        *(disc(hole, x, y) for x, y in _grid(side, 4)),
        *(rounded(hexagon(1.08 * hole, x, y), 1.5) for x, y in _grid(side, 3)),
        *(rounded(slot(0.95 * hole, 0.95 * hole, x, y), 1.5) for x, y in _grid(side, 2)),
    ]
    grip = stroke([(side / 2 - 32, side * 0.945), (side / 2 + 32, side * 0.945)], 16.0)
    board = plate(side, side, 8.0).difference(shapely.union_all(holes))
    return polygon(board.difference(grip))


def _grid(side: float, plants: int) -> list[tuple[float, float]]:
    places = [side * (i + 0.5) / plants for i in range(plants)]
    return [(x, y) for x in places for y in places]


def dibber() -> Polygon:
    """Notches on both edges, so that a depth can be felt."""
    half = DIBBER / 2
    blade = Polygon([(0, 0), (half, TIP), (half, DIBBER_LONG), (-half, DIBBER_LONG), (-half, TIP)])
    head = stroke([(-14, DIBBER_LONG - 8), (14, DIBBER_LONG - 8)], HEAD)
    shape = rounded(blade.union(head), 1.4)
    tip = shape.bounds[1]
    notches = [disc(NOTCH, x, tip + SHEET + at) for at in DEPTHS for x in (-half, half)]
    return polygon(shape.difference(shapely.union_all(notches)))


def stated(wish: Wishes) -> Stated:
    return {
        "square": {"Side": wish.side_mm, "Round hole": hole_mm(wish)},
        "dibber": {
            "From the tip to the notch for 50 mm": 50.0 + SHEET,
            "Width of the blade": DIBBER,
        },
    }


def steps(wish: Wishes) -> tuple[Step, ...]:
    """The square on the soil, and the dibber 50 mm deep in one of its holes."""
    x, y = _grid(wish.side_mm, 4)[5]
    down = across(dibber(), SHEET, -SHEET / 2).translate((x, y, -50.0))
    return (Piece("square", lying(square(wish), SHEET)),), (Piece("dibber", down, (0, 0, 80)),)


DESIGN = Design(Wishes, parts, stated, steps)
