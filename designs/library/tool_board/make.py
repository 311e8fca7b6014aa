"""A board for bicycle tools: milled board, laser-cut labels, printed hooks, key block and spacers.

A hook's tongue goes through its label into the board's slot, one M4 screw holds all three: the
label shows what hangs there and keeps the hook from turning.
"""

from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely import Polygon, affinity
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from designs.library.assembly import Piece, Step, across, along
from designs.library.built import Design
from designs.library.parameters import Parameters, length
from designs.library.shapes import (
    Shape,
    disc,
    hexagon,
    plate,
    polygon,
    prism,
    rounded,
    slab,
    slot,
    stroke,
    teardrop,
    turned,
)
from designs.library.written import Stated

if TYPE_CHECKING:
    from manifold3d import Manifold

LONG, TALL, CORNER = 276.0, 100.0, 8.0
HOOKS = {"wheel": 28.0, "drop": 84.0, "spanner": 192.0, "spanner-2": 248.0}  # middle, from the left
KEYS = 138.0
FOOT = 10.0  # of hooks and labels, above the board's lower edge
WALL = ((56.0, 12.0), (56.0, 88.0), (220.0, 12.0), (220.0, 88.0))  # screws into the wall
SCREW, PLATE, PLATE_TALL, WIDE = 4.5, 5.0, 44.0, 12.0
SCREW_AT, TONGUE_AT, TONGUE = 22.0, 37.0, 5.8
EASE = 0.4  # of a slot around the tongue
LABEL_TALL, PICTURE_AT = 80.0, 61.0
BLOCK, SHELF_DEEP, SHELF = 60.0, 30.0, 12.0
BLOCK_SCREWS = (-20.0, 20.0)
KEY_PLAY = 0.5
KEYS_IN = {  # width across flats of a hex key: middle from the block's middle and from the label
    2.0: (-22.0, 23.0),
    2.5: (-9.0, 23.0),
    3.0: (5.0, 23.0),
    4.0: (20.0, 23.0),
    5.0: (-19.0, 13.0),
    6.0: (-2.0, 13.0),
    8.0: (17.0, 13.0),
}
SPACER, SPACER_TALL = 16.0, 12.0


class Wishes(Parameters):
    reach_mm: float = length(34, 26, 45, "how far the hooks stand out from the label")
    board_mm: float = length(6, 5.6, 6.4, "the board's true thickness, by the caliper")
    sheet_mm: float = length(3, 2.6, 3.3, "the labels' true thickness, by the caliper")


def parts(wish: Wishes) -> dict[str, Shape]:
    return {
        "board": board(),
        "hook": hook(wish),
        "key-block": key_block(),
        "spacer": spacer(),
        "label-wheel": label(_wheel()),
        "label-drop": label(_drop()),
        "label-spanner": label(_spanner()),
        "label-key": key_label(),
    }


# ── milled ──────────────────────────────────────────────────────────────────────────────────


def board() -> Polygon:
    holes = [disc(SCREW, x, y) for x, y in WALL]
    holes += [disc(SCREW, KEYS + x, FOOT + PLATE_TALL - 12) for x in BLOCK_SCREWS]
    for x in HOOKS.values():
        holes.append(disc(SCREW, x, FOOT + SCREW_AT))
        holes.append(stroke([(x - 5, FOOT + TONGUE_AT), (x + 5, FOOT + TONGUE_AT)], TONGUE + 0.6))
    return polygon(plate(LONG, TALL, CORNER).difference(shapely.union_all(holes)))


# ── laser-cut ───────────────────────────────────────────────────────────────────────────────


def label(picture: BaseGeometry) -> Polygon:
    """Its lower edge in the middle at the origin."""
    sheet = affinity.translate(plate(44, LABEL_TALL, 4.0), -22, 0)
    holes = [
        disc(SCREW, 0, SCREW_AT),
        slot(WIDE + EASE, TONGUE + EASE, 0, TONGUE_AT),
        affinity.translate(picture, 0, PICTURE_AT),
    ]
    return polygon(sheet.difference(shapely.union_all(holes)))


def key_label() -> Polygon:
    sheet = affinity.translate(plate(BLOCK, LABEL_TALL, 4.0), -BLOCK / 2, 0)
    holes = [disc(SCREW, x, PLATE_TALL - 12) for x in BLOCK_SCREWS]
    keys = [hexagon(size, x, PICTURE_AT) for size, x in ((6, -19.0), (9, -6.5), (13, 11.0))]
    return polygon(sheet.difference(shapely.union_all([*holes, *keys])))


def _wheel() -> BaseGeometry:
    """Cut out between rim, hub and six spokes; drawn as one outline: the spokes hold the hub."""
    ring = disc(26).difference(disc(8))
    spokes = [
        affinity.rotate(box(-1.1, 0, 1.1, 15), float(turn), origin=(0, 0))
        for turn in np.arange(6) * 60
    ]
    return ring.difference(shapely.union_all(spokes))


def _drop() -> Polygon:
    round_end = disc(17, 0, -4)
    return rounded(round_end.union(Polygon([(-7.6, -0.2), (0, 15), (7.6, -0.2)])), 0.8)


def _spanner() -> Polygon:
    shaft = stroke([(0, -8), (0, 8)], 5.0)
    ends = shaft.union(disc(13, 0, -9)).union(disc(13, 0, 9))
    mouths = [slot(5.5, 9, 0, 13.5), slot(5.5, 9, 0, -13.5)]
    cut = polygon(ends.difference(shapely.union_all(mouths)))
    return polygon(affinity.rotate(cut, -40, origin=(0, 0)))


# ── printed ─────────────────────────────────────────────────────────────────────────────────


def hook(wish: Wishes) -> "Manifold":
    """Printed on its side: x is out from the label, y up, the tongue behind."""
    deep = wish.board_mm + wish.sheet_mm - 0.5
    back = plate(PLATE, PLATE_TALL, 1.2)
    tongue = box(-deep, TONGUE_AT - TONGUE / 2, PLATE / 2, TONGUE_AT + TONGUE / 2)
    arm = stroke([(3.6, 4), (wish.reach_mm - 3, 4), (wish.reach_mm, 14)], 7.0)
    gusset = Polygon([(2, 4), (14, 6), (PLATE - 0.5, 15), (2, 15)])
    body = rounded(back.union(arm).union(gusset), 1.1).union(tongue)
    hole = prism(teardrop(SCREW), 4 * PLATE, -PLATE).rotate((0, 90, 0)).rotate((90, 0, 0))
    return slab(body, WIDE, 0.5) - hole.translate((0, SCREW_AT, WIDE / 2))


def key_block() -> "Manifold":
    """Printed as it hangs: x to the right, y out from the label, z up."""
    shelf = slab(plate(BLOCK, SHELF_DEEP, 3.0), SHELF).translate((-BLOCK / 2, 0, 0))
    upright = affinity.translate(plate(BLOCK, PLATE_TALL, 3.0), -BLOCK / 2, 0)
    back = slab(upright, PLATE).rotate((90, 0, 0)).translate((0, PLATE, 0))
    corner = Polygon([(PLATE - 1, SHELF - 1), (PLATE + 3, SHELF - 1), (PLATE - 1, SHELF + 3)])
    block = shelf + back + along(corner, BLOCK - 2, 1 - BLOCK / 2)
    for size, (x, y) in KEYS_IN.items():
        block -= prism(disc(key_hole_mm(size), x, y), 2 * SHELF, -1)
    hole = prism(teardrop(SCREW), 4 * PLATE, -PLATE).rotate((90, 0, 0))
    for x in BLOCK_SCREWS:
        block -= hole.translate((x, 0, PLATE_TALL - 12))
    return block


def key_hole_mm(across_flats_mm: float) -> float:
    """A hex key is 2/√3 as wide from corner to corner as across its flats."""
    return round(across_flats_mm * 2 / np.sqrt(3) + KEY_PLAY, 2)


def spacer() -> "Manifold":
    wide, high = SPACER / 2, SPACER_TALL
    rim = [(wide - 0.6, 0), (wide, 0.6), (wide, high - 0.6), (wide - 0.6, high)]
    return turned([(SCREW / 2 + 0.1, 0), *rim, (SCREW / 2 + 0.1, high)])


# ── the whole ───────────────────────────────────────────────────────────────────────────────


def stated(_: Wishes) -> Stated:
    return {
        "board": {"Length": LONG, "Width of a slot": TONGUE + 0.6, "Screw hole": SCREW},
        "hook": {"Tongue, height": TONGUE, "Width": WIDE, "Thickness of the plate": PLATE},
        "key-block": {"Hole for the 5 mm key": key_hole_mm(5), "Thickness of the plate": PLATE},
        "spacer": {"Height": SPACER_TALL},
        "label-wheel": {"Slot, height": TONGUE + EASE},
        "label-drop": {"Slot, height": TONGUE + EASE},
        "label-spanner": {"Slot, height": TONGUE + EASE},
        "label-key": {"Screw hole": SCREW},
    }


def steps(wish: Wishes) -> tuple[Step, ...]:
    """The board stands at y 0, its front towards the eye."""
    made = parts(wish)
    named = {name: value for name, value in made.items() if isinstance(value, Polygon)}
    sheet, out = wish.sheet_mm, (0.0, -45.0, 0.0)
    upright = spacer().rotate((-90, 0, 0))
    spacers = [
        Piece("spacer", upright.translate((x, wish.board_mm, z)), (0, 30, 0)) for x, z in WALL
    ]
    first = (Piece("board", across(named["board"], wish.board_mm)), *spacers)
    at = {f"label-{name.removesuffix('-2')}": [] for name in HOOKS} | {"label-key": [KEYS]}
    for name, x in HOOKS.items():
        at[f"label-{name.removesuffix('-2')}"].append(x)
    labels = tuple(
        Piece(name, across(named[name], sheet, -sheet).translate((x, 0, FOOT)), out)
        for name, middles in at.items()
        for x in middles
    )
    stood = hook(wish).rotate((90, 0, 90)).rotate((0, 0, 180))
    hooks = [
        Piece("hook", stood.translate((x + WIDE / 2, -sheet, FOOT)), out) for x in HOOKS.values()
    ]
    block = key_block().rotate((0, 0, 180)).translate((KEYS, -sheet, FOOT))
    return first, labels, (*hooks, Piece("key-block", block, out))


DESIGN = Design(Wishes, parts, stated, steps)
