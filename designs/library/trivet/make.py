"""A trivet for hot pots: a hexagon of hexagons, milled from plywood."""

import numpy as np

from designs.library.built import Design
from designs.library.parameters import Parameters, count, length
from designs.library.shapes import Shape, hexagon, polygon, rounded
from designs.library.written import Stated

RIM = 9.5
CORNER = 2.4  # wider than a 3.175 mm cutter


class Wishes(Parameters):
    rings: int = count(2, 1, 2, "rings of cells around the middle one")
    cell_mm: float = length(15, 12, 17, "width of a cell")
    web_mm: float = length(6, 5, 7, "width of the wood between two cells")


def parts(wish: Wishes) -> dict[str, Shape]:
    whole = rounded(hexagon(across_mm(wish)), 8.0)
    pitch, reach = wish.cell_mm + wish.web_mm, wish.rings
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            if abs(row + column) <= reach:
                x, y = pitch * (column + row / 2), pitch * row * float(np.sqrt(3)) / 2
                whole = whole.difference(rounded(hexagon(wish.cell_mm, x, y), CORNER))
    return {"trivet": polygon(whole)}


def across_mm(wish: Wishes) -> float:
    cells = 2 * wish.rings + 1
    return cells * (wish.cell_mm + wish.web_mm) - wish.web_mm + 2 * RIM


def stated(wish: Wishes) -> Stated:
    return {"trivet": {"Across flats": across_mm(wish), "Width of a cell": wish.cell_mm}}


DESIGN = Design(Wishes, parts, stated)
