"""A phone stand of two sides and two crossbars that slide into each other, laser-cut."""

from pathlib import Path

from shapely import Polygon
from shapely.geometry import box

from designs.library.shapes import plate, polygon, rounded, save_dxf, stroke

SHEET, EASE = 3.0, 0.1  # plywood, and how much wider its slots are
APART, BAR = 62.0, 78.0
FOOT = 12.0  # height of base and crossbars; they meet half and half


def build(out_dir: Path) -> None:
    save_dxf([_side()], out_dir / "side.dxf")
    save_dxf([_crossbar()], out_dir / "crossbar.dxf")


def _side() -> Polygon:
    base = stroke([(6, 6), (88, 6)], FOOT)
    back = stroke([(40, 6), (70, 92)], FOOT)
    rest = stroke([(45, 22), (20.4, 30.6)], 10.0)
    lip = stroke([(20.4, 30.6), (23.4, 39.2)], 8.0)
    brace = stroke([(80, 8), (61, 66)], 7.0)
    side = base.union(back).union(rest).union(lip).union(brace)
    side = rounded(side, 2.0)
    for x in (14.0, 76.0):
        side = side.difference(_slot(x, -1, FOOT / 2))
    return polygon(side)


def _crossbar() -> Polygon:
    bar = plate(BAR, FOOT, 3.0)
    for x in ((BAR - APART) / 2, (BAR + APART) / 2):
        bar = bar.difference(_slot(x, FOOT / 2, FOOT + 1))
    return polygon(bar)


def _slot(x: float, low: float, high: float) -> Polygon:
    half = (SHEET + EASE) / 2
    return box(x - half, low, x + half, high)
