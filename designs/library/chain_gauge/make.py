"""A go and no-go gauge for the wear of a bicycle chain, laser-cut from thin acrylic.

Two teeth drop between the rollers when the chain has grown. Between the inner sides of two rollers,
n links of pitch p apart, lies n p (1 + e) - d for wear e and rollers of diameter d. The pitch of
every bicycle chain is half an inch, 12.7 mm (ISO 9633).
"""

import shapely
from shapely import Polygon
from shapely.geometry import box

from designs.library.built import Design
from designs.library.parameters import Parameters, count, length, share
from designs.library.shapes import Shape, disc, plate, polygon, rounded
from designs.library.written import Stated

PITCH = 12.7
TOOTH, DEEP = 3.8, 6.5  # a tooth between two rollers: the gap is 4.95 mm wide in a new chain
BODY = 20.0
END = 9.0


class Wishes(Parameters):
    links: int = count(10, 8, 14, "half-inch links between its teeth")
    roller_mm: float = length(7.75, 7.6, 8.0, "diameter of a roller")
    soon_pct: float = share(0.5, 0.3, 0.6, "wear at which its first side drops in")
    now_pct: float = share(0.75, 0.65, 1.0, "wear at which its second side drops in")


def parts(wish: Wishes) -> dict[str, Shape]:
    return {"gauge": gauge(wish)}


def over_teeth_mm(wish: Wishes, wear_pct: float) -> float:
    return round(wish.links * PITCH * (1 + wear_pct / 100) - wish.roller_mm, 2)


def gauge(wish: Wishes) -> Polygon:
    """Teeth up for wear soon, marked by one notch; teeth down for wear now, marked by two."""
    soon, now = over_teeth_mm(wish, wish.soon_pct), over_teeth_mm(wish, wish.now_pct)
    long = now + 2 * END
    body = plate(long, BODY, 5.0)
    teeth = [
        *_teeth(END, soon, BODY - 1, BODY + DEEP),
        *_teeth(END, now, -DEEP, 1.0),
    ]
    marks = [disc(4.0, long / 2, BODY), disc(4.0, long / 2 - 5, 0), disc(4.0, long / 2 + 5, 0)]
    hang = disc(7.0, 12.0, BODY / 2)
    solid = body.union(shapely.union_all(teeth))
    return polygon(rounded(solid, 0.6).difference(shapely.union_all([*marks, hang])))


def _teeth(left: float, over: float, low: float, high: float) -> list[Polygon]:
    return [
        box(left, low, left + TOOTH, high),
        box(left + over - TOOTH, low, left + over, high),
    ]


def stated(wish: Wishes) -> Stated:
    return {
        "gauge": {
            "Over the teeth, one notch": over_teeth_mm(wish, wish.soon_pct),
            "Over the teeth, two notches": over_teeth_mm(wish, wish.now_pct),
            "Width of a tooth": TOOTH,
        }
    }


DESIGN = Design(Wishes, parts, stated)
