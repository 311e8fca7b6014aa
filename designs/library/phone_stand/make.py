"""A phone stand of two sides and two crossbars that slide into each other, laser-cut."""

from shapely import Polygon

from designs.library.assembly import Piece, Step, across, along
from designs.library.built import Design
from designs.library.parameters import Parameters, length
from designs.library.shapes import Shape, across_slots, plate, polygon, rounded, stroke
from designs.library.written import Stated

EASE = 0.1  # how much wider a slot is than the sheet
FOOT = 12.0  # height of base and crossbars; they meet half and half
PAST = 8.0  # how far a crossbar goes past a side
BARS = (14.0, 76.0)  # where the crossbars cross a side


class Wishes(Parameters):
    apart_mm: float = length(62, 50, 180, "from side to side: wider for a tablet")
    sheet_mm: float = length(3, 2.6, 3.3, "the sheet's true thickness, by the caliper")


def parts(wish: Wishes) -> dict[str, Shape]:
    return {"side": side(wish), "crossbar": crossbar(wish)}


def side(wish: Wishes) -> Polygon:
    base = stroke([(6, 6), (88, 6)], FOOT)
    back = stroke([(40, 6), (70, 92)], FOOT)
    rest = stroke([(45, 22), (20.4, 30.6)], 10.0)
    lip = stroke([(20.4, 30.6), (23.4, 39.2)], 8.0)
    brace = stroke([(80, 8), (61, 66)], 7.0)
    shape = rounded(base.union(back).union(rest).union(lip).union(brace), 2.0)
    return polygon(shape.difference(across_slots(BARS, slot_mm(wish), -1, FOOT / 2)))


def crossbar(wish: Wishes) -> Polygon:
    bar = plate(wish.apart_mm + 2 * PAST, FOOT, 3.0)
    at = (PAST, PAST + wish.apart_mm)
    return polygon(bar.difference(across_slots(at, slot_mm(wish), FOOT / 2, FOOT + 1)))


def slot_mm(wish: Wishes) -> float:
    return round(wish.sheet_mm + EASE, 2)


def stated(wish: Wishes) -> Stated:
    return {
        "side": {"Slot": slot_mm(wish)},
        "crossbar": {"Slot": slot_mm(wish), "Length": wish.apart_mm + 2 * PAST},
    }


def steps(wish: Wishes) -> tuple[Step, ...]:
    half = wish.sheet_mm / 2
    bars = [Piece("crossbar", across(crossbar(wish), wish.sheet_mm, y - half)) for y in BARS]
    sides = [
        Piece("side", along(side(wish), wish.sheet_mm, x - half), (0, 0, 26))
        for x in (PAST, PAST + wish.apart_mm)
    ]
    return tuple(bars), tuple(sides)


DESIGN = Design(Wishes, parts, stated, steps)
