"""A small tool rack: a milled board with holes and slots on two printed brackets."""

from pathlib import Path

from manifold3d import Manifold
from shapely import Polygon

from designs.library.shapes import (
    disc,
    plate,
    polygon,
    prism,
    rounded,
    save_dxf,
    save_stl,
    slab,
    stroke,
    teardrop,
)

LONG, DEEP = 146.0, 46.0
HOLES = (5.0, 6.0, 8.0, 10.0, 12.0)
SCREW = 4.3
ARM, WIDE, THICK, GUSSET = 34.0, 14.0, 5.0, 21.0  # of a bracket
SCREW_AT = 27.5  # from the corner, along both arms
BRACKET_AT = (14.0, LONG - 14.0)  # where the brackets carry the board


def build(out_dir: Path) -> None:
    save_dxf([_board()], out_dir / "board.dxf")
    save_stl(_bracket(), out_dir / "bracket.stl")


def _board() -> Polygon:
    board = plate(LONG, DEEP, 6.0)
    x = 30.0
    for diameter in HOLES:
        board = board.difference(disc(diameter, x + diameter / 2, DEEP / 2 + 9))
        x += diameter + 9.0
    for left in (30.0, 58.0, 86.0):
        board = board.difference(stroke([(left + 3, 12), (left + 21, 12)], 5.0))
    for x in BRACKET_AT:
        board = board.difference(disc(SCREW, x, DEEP - SCREW_AT))
    return polygon(board)


def _bracket() -> Manifold:
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
    bracket = slab(rounded(Polygon(arms), 1.4), WIDE)
    hole = prism(teardrop(SCREW), 3 * THICK, -THICK)
    into_wall = hole.rotate((0, 90, 0)).rotate((90, 0, 0)).translate((0, SCREW_AT, WIDE / 2))
    into_board = hole.rotate((90, 0, 0)).translate((SCREW_AT, 0, WIDE / 2))
    return bracket - into_wall - into_board
