"""A small tool rack: a milled board with holes and slots on two printed brackets."""

from typing import TYPE_CHECKING

from shapely import Polygon

from designs.library.assembly import Piece, Step, lying
from designs.library.built import Design
from designs.library.parameters import Parameters, length
from designs.library.shapes import (
    Shape,
    disc,
    plate,
    polygon,
    prism,
    rounded,
    slab,
    stroke,
    teardrop,
)
from designs.library.written import Stated

if TYPE_CHECKING:
    from manifold3d import Manifold

SHEET, DEEP = 6.0, 46.0
HOLES = (5.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0)
SCREW = 4.3
ARM, WIDE, THICK, GUSSET = 34.0, 14.0, 5.0, 21.0  # of a bracket
SCREW_AT = 27.5  # from the corner, along both arms
END = 14.0  # from a bracket to the end of the board


class Wishes(Parameters):
    length_mm: float = length(146, 120, 280, "length of the board; longer takes more tools")


def parts(wish: Wishes) -> dict[str, Shape]:
    return {"board": board(wish), "bracket": bracket()}


def board(wish: Wishes) -> Polygon:
    """As many holes and slots as fit between the brackets."""
    last = wish.length_mm - 30.0
    shape = plate(wish.length_mm, DEEP, 6.0)
    x = 30.0
    for diameter in HOLES:
        if x + diameter <= last:
            shape = shape.difference(disc(diameter, x + diameter / 2, DEEP / 2 + 9))
        x += diameter + 9.0
    for number in range(int((last - 30.0 + 4.0) // 28.0)):
        left = 30.0 + 28.0 * number
        shape = shape.difference(stroke([(left + 3, 12), (left + 21, 12)], 5.0))
    for x in (END, wish.length_mm - END):
        shape = shape.difference(disc(SCREW, x, DEEP - SCREW_AT))
    return polygon(shape)


def bracket() -> "Manifold":
    """Printed on its side: one arm lies along the wall, the other carries the board."""
    arms = [
        (0, 0),
        (ARM, 0),
        (ARM, THICK),
        (GUSSET, THICK),
        (THICK, GUSSET),
        (THICK, ARM),
        (0, ARM),
    ]
    shape = slab(rounded(Polygon(arms), 1.4), WIDE)
    hole = prism(teardrop(SCREW), 3 * THICK, -THICK)
    into_wall = hole.rotate((0, 90, 0)).rotate((90, 0, 0)).translate((0, SCREW_AT, WIDE / 2))
    into_board = hole.rotate((90, 0, 0)).translate((SCREW_AT, 0, WIDE / 2))
    return shape - into_wall - into_board


def stated(wish: Wishes) -> Stated:
    return {
        "board": {"Length": wish.length_mm, "Depth": DEEP, "Screw hole": SCREW},
        "bracket": {"Width": WIDE, "Thickness of an arm": THICK, "Screw hole, upright": SCREW},
    }


def steps(wish: Wishes) -> tuple[Step, ...]:
    """The wall is at the back; the brackets hang below the board."""
    stood = bracket().rotate((-90, 0, -90))
    brackets = [
        Piece("bracket", stood.translate((x - WIDE / 2, DEEP, 0)))
        for x in (END, wish.length_mm - END)
    ]
    return tuple(brackets), (Piece("board", lying(board(wish), SHEET), (0, 0, 30)),)


DESIGN = Design(Wishes, parts, stated, steps)
