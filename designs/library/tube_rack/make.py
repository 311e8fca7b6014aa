"""A rack for conical tubes, laser-cut from acrylic: two decks and a floor between two sides."""

import shapely
from shapely import Polygon
from shapely.geometry import box

from designs.library.assembly import Piece, Step, along, lying
from designs.library.built import Design
from designs.library.parameters import Parameters, count, length
from designs.library.shapes import Shape, disc, plate, polygon, rounded, slot, stroke
from designs.library.written import Stated

EASE = 0.15  # of a slot around the sheet, of a slot's length around its tab
PLAY = 0.6  # of a tube in its hole
WEB = 7.0  # between two holes
RIM = 6.0
DRAIN = 8.0  # in the floor, under each tube: the tips of conical tubes centre themselves in it
LEVELS = (12.0, 42.0, 78.0)  # undersides of the floor and of the two decks
TALL = 96.0
TAB = 14.0


class Wishes(Parameters):
    tube_mm: float = length(16.8, 11, 31, "outer diameter of a tube: 15 ml 16.8, 50 ml 29.2")
    columns: int = count(5, 3, 6, "tubes from side to side")
    rows: int = count(3, 2, 4, "tubes from front to back")
    sheet_mm: float = length(3, 2.7, 3.3, "the sheet's true thickness, by the caliper")


def parts(wish: Wishes) -> dict[str, Shape]:
    return {"deck": tier(wish, hole_mm(wish)), "floor": tier(wish, DRAIN), "side": side(wish)}


def hole_mm(wish: Wishes) -> float:
    return round(wish.tube_mm + PLAY, 2)


def pitch_mm(wish: Wishes) -> float:
    return wish.tube_mm + PLAY + WEB


def depth_mm(wish: Wishes) -> float:
    return round(wish.rows * pitch_mm(wish) - WEB + 2 * RIM, 2)


def between_mm(wish: Wishes) -> float:
    """From the inner face of one side to that of the other."""
    return round(wish.columns * pitch_mm(wish) - WEB + 2 * RIM, 2)


def tabs(wish: Wishes) -> tuple[float, float]:
    """Where the two tabs of an end are, from the front."""
    return depth_mm(wish) * 0.25, depth_mm(wish) * 0.75


def tier(wish: Wishes, hole: float) -> Polygon:
    """Its tabs end flush with the outer faces of the sides."""
    between, depth, sheet = between_mm(wish), depth_mm(wish), wish.sheet_mm
    body = plate(between, depth)
    ends = [box(-sheet, y - TAB / 2, between + sheet, y + TAB / 2) for y in tabs(wish)]
    pitch, first = pitch_mm(wish), RIM + hole_mm(wish) / 2
    holes = [
        disc(hole, first + pitch * i, first + pitch * j)
        for i in range(wish.columns)
        for j in range(wish.rows)
    ]
    return polygon(body.union(shapely.union_all(ends)).difference(shapely.union_all(holes)))


def side(wish: Wishes) -> Polygon:
    """Stands on two feet; a hollow at the top for the fingers."""
    depth = depth_mm(wish)
    shape = plate(depth, TALL, 5.0)
    shape = shape.difference(slot(depth - 24, 10, depth / 2, 0))
    shape = rounded(shape.difference(stroke([(depth / 2 - 8, TALL), (depth / 2 + 8, TALL)], 8)), 2)
    for low in LEVELS:
        for y in tabs(wish):
            middle = low + wish.sheet_mm / 2
            shape = shape.difference(slot(TAB + EASE, slot_mm(wish), y, middle))
    return polygon(shape)


def slot_mm(wish: Wishes) -> float:
    return round(wish.sheet_mm + EASE, 2)


def stated(wish: Wishes) -> Stated:
    long = {"Length over the tabs": round(between_mm(wish) + 2 * wish.sheet_mm, 2)}
    return {
        "deck": {"Hole for a tube": hole_mm(wish), **long},
        "floor": {"Hole under a tube": DRAIN, **long},
        "side": {"Slot, height": slot_mm(wish), "Depth": depth_mm(wish)},
    }


def steps(wish: Wishes) -> tuple[Step, ...]:
    sheet, between = wish.sheet_mm, between_mm(wish)
    deck, floor = tier(wish, hole_mm(wish)), tier(wish, DRAIN)
    wall = side(wish)
    first = Piece("side", along(wall, sheet, -sheet))
    tiers = tuple(
        Piece(name, lying(shape, sheet, low), (40, 0, 0))
        for name, shape, low in zip(
            ("floor", "deck", "deck"), (floor, deck, deck), LEVELS, strict=True
        )
    )
    return (first,), tiers, (Piece("side", along(wall, sheet, between), (40, 0, 0)),)


DESIGN = Design(Wishes, parts, stated, steps)
