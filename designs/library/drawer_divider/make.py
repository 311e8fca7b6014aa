"""A grid for a drawer: long and short walls that slide into each other, laser-cut."""

from shapely import Polygon

from designs.library.assembly import Piece, Step, across, along
from designs.library.built import Design
from designs.library.parameters import Parameters, count, length
from designs.library.shapes import Shape, across_slots, plate, polygon, rounded, stroke
from designs.library.written import Stated

SHEET, EASE = 3.0, 0.1


class Wishes(Parameters):
    length_mm: float = length(146, 100, 380, "inner length of the drawer")
    width_mm: float = length(96, 80, 380, "inner width of the drawer")
    height_mm: float = length(36, 24, 120, "height of the walls")
    columns: int = count(4, 2, 7, "compartments along its length")
    rows: int = count(3, 2, 5, "compartments across its width")
    sheet_mm: float = length(SHEET, 2.6, 3.3, "the sheet's true thickness, by the caliper")


def parts(wish: Wishes) -> dict[str, Shape]:
    return {"long-wall": _long(wish), "short-wall": _short(wish)}


def places(length_mm: float, compartments: int) -> list[float]:
    return [length_mm * i / compartments for i in range(1, compartments)]


def _long(wish: Wishes) -> Polygon:
    wall = plate(wish.length_mm, wish.height_mm, 2.0)
    at = places(wish.length_mm, wish.columns)
    high = wish.height_mm + 1
    return polygon(wall.difference(across_slots(at, slot_mm(wish), wish.height_mm / 2, high)))


def _short(wish: Wishes) -> Polygon:
    """With a hollow to lift the grid out by."""
    middle, top = wish.width_mm / 2, wish.height_mm + 2
    grip = stroke([(middle - 9, top), (middle + 9, top)], 16.0)
    wall = rounded(plate(wish.width_mm, wish.height_mm, 2.0).difference(grip), 1.5)
    at = places(wish.width_mm, wish.rows)
    return polygon(wall.difference(across_slots(at, slot_mm(wish), -1, wish.height_mm / 2)))


def slot_mm(wish: Wishes) -> float:
    return round(wish.sheet_mm + EASE, 2)


def stated(wish: Wishes) -> Stated:
    slot = {"Slot": slot_mm(wish), "Height": wish.height_mm}
    return {
        "long-wall": {"quantity": wish.rows - 1, "Length": wish.length_mm, **slot},
        "short-wall": {"quantity": wish.columns - 1, "Length": wish.width_mm, **slot},
    }


def steps(wish: Wishes) -> tuple[Step, ...]:
    half = wish.sheet_mm / 2
    made = {"long-wall": _long(wish), "short-wall": _short(wish)}
    long = [
        Piece("long-wall", across(made["long-wall"], wish.sheet_mm, y - half))
        for y in places(wish.width_mm, wish.rows)
    ]
    up = (0, 0, wish.height_mm * 0.9)
    short = [
        Piece("short-wall", along(made["short-wall"], wish.sheet_mm, x - half), up)
        for x in places(wish.length_mm, wish.columns)
    ]
    return tuple(long), tuple(short)


DESIGN = Design(Wishes, parts, stated, steps)
