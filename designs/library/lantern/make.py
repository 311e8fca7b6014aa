"""A table lantern for an LED tea light: milled base, laser-cut screens, printed corner posts.

The posts' pegs go into the base; the screens slide down into the posts' grooves.
"""

from typing import TYPE_CHECKING

import numpy as np
from shapely import Polygon, affinity

from designs.library.assembly import Piece, Step, along, lying
from designs.library.built import Design
from designs.library.parameters import Parameters, length
from designs.library.shapes import Shape, disc, plate, polygon, slab
from designs.library.written import Stated

if TYPE_CHECKING:
    from manifold3d import Manifold

BASE_SHEET, CORNER, RIM = 6.0, 12.0, 14.0
POST, POST_TALL, FLOOR = 16.0, 19.0, 3.0
PEG, PEG_TALL, PEG_EASE = 8.0, 5.0, 0.25
EASE = 0.3  # of a groove around its screen
GROOVE_FROM = 2.2  # groove bottom, from the middle of the post
LIGHT = 39.0  # a tea light is 38 mm wide


class Wishes(Parameters):
    apart_mm: float = length(76, 70, 120, "from the middle of one post to that of the next")
    screen_mm: float = length(66, 50, 150, "height of the screens")
    sheet_mm: float = length(3, 2.6, 3.3, "the screens' true thickness, by the caliper")


def parts(wish: Wishes) -> dict[str, Shape]:
    return {"base": base(wish), "screen": screen(wish), "post": post(wish)}


def base(wish: Wishes) -> Polygon:
    side = base_mm(wish)
    board = plate(side, side, CORNER).difference(disc(LIGHT, side / 2, side / 2))
    for x in (RIM, side - RIM):
        for y in (RIM, side - RIM):
            board = board.difference(disc(PEG, x, y))
    return polygon(board)


def base_mm(wish: Wishes) -> float:
    return wish.apart_mm + 2 * RIM


def screen_mm(wish: Wishes) -> float:
    """Width of a screen: from groove bottom to groove bottom, and a little play."""
    return round(wish.apart_mm - 2 * GROOVE_FROM - 0.6, 2)


def screen(wish: Wishes) -> Polygon:
    """Leaves in two directions, leaving a rim for the grooves."""
    panel = plate(screen_mm(wish), wish.screen_mm)
    rim, low = 8.0, FLOOR + 6
    columns = int((screen_mm(wish) - 2 * rim) // 13)
    rows = int((wish.screen_mm - rim - low) // 14)
    step_x = (screen_mm(wish) - 2 * rim) / columns
    step_y = (wish.screen_mm - rim - low) / rows
    for i in range(columns):
        for j in range(rows):
            x, y = rim + step_x * (i + 0.5), low + step_y * (j + 0.5)
            turn = 45 if (i + j) % 2 else -45
            panel = panel.difference(_leaf(x, y, 1.22 * min(step_x, step_y), turn))
    return polygon(panel)


def _leaf(x: float, y: float, long: float, turn: float) -> Polygon:
    """Where two circles overlap, `long` from tip to tip."""
    lens = disc(long * 1.25, 0, 0.375 * long).intersection(disc(long * 1.25, 0, -0.375 * long))
    return polygon(affinity.translate(affinity.rotate(lens, turn, origin=(0, 0)), x, y))


def post(wish: Wishes) -> "Manifold":
    """Printed upside down: the peg points up, the grooves start at the bed, pointed like a roof."""
    half = POST / 2
    body = slab(plate(POST, POST, 3.0), POST_TALL).translate((-half, -half, 0))
    peg = slab(disc(PEG - PEG_EASE), PEG_TALL + 1).translate((0, 0, POST_TALL - 1))
    gap = groove_mm(wish) / 2
    deep = POST_TALL - FLOOR
    section = Polygon([(-gap, -1), (gap, -1), (gap, deep), (0, deep + gap), (-gap, deep)])
    groove = along(section, POST, GROOVE_FROM)
    return body + peg - groove - groove.rotate((0, 0, 90))


def groove_mm(wish: Wishes) -> float:
    return round(wish.sheet_mm + EASE, 2)


def stated(wish: Wishes) -> Stated:
    return {
        "base": {"Side": base_mm(wish), "Hole for a peg": PEG, "Hole for the light": LIGHT},
        "screen": {"Width": screen_mm(wish), "Height": wish.screen_mm},
        "post": {"Peg": PEG - PEG_EASE, "Groove": groove_mm(wish)},
    }


def steps(wish: Wishes) -> tuple[Step, ...]:
    side, middle = base_mm(wish), base_mm(wish) / 2
    upright = post(wish).rotate((180, 0, 0))
    posts = [
        Piece(
            "post",
            upright.rotate((0, 0, turn)).translate((x, y, BASE_SHEET + POST_TALL)),
            (0, 0, 30),
        )
        for turn, x, y in (
            (90, RIM, RIM),
            (180, side - RIM, RIM),
            (270, side - RIM, side - RIM),
            (0, RIM, side - RIM),
        )
    ]
    flat = lying(screen(wish), wish.sheet_mm, -wish.sheet_mm / 2)
    stood = flat.translate((-screen_mm(wish) / 2, 0, 0)).rotate((90, 0, 0))
    half = wish.apart_mm / 2
    screens = [
        Piece(
            "screen",
            stood.translate((0, half, BASE_SHEET + FLOOR))
            .rotate((0, 0, float(turn)))
            .translate((middle, middle, 0)),
            (0, 0, wish.screen_mm * 0.7),
        )
        for turn in np.arange(4) * 90
    ]
    return (Piece("base", lying(base(wish), BASE_SHEET)),), tuple(posts), tuple(screens)


DESIGN = Design(Wishes, parts, stated, steps)
