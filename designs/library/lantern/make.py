"""A table lantern for an LED tea light: milled base, laser-cut screens, printed corner posts.

The posts' pegs go into the base; the screens slide down into the posts' grooves.
"""

from pathlib import Path

from manifold3d import Manifold
from shapely import Polygon, affinity
from shapely.geometry import box

from designs.library.shapes import disc, plate, polygon, prism, save_dxf, save_stl, slab

BASE, CORNER = 104.0, 12.0
POST, POST_TALL, FLOOR = 16.0, 19.0, 3.0
PEG, PEG_TALL, PEG_EASE = 8.0, 5.0, 0.25
APART = 76.0  # from peg to peg
SHEET, EASE = 3.0, 0.3
GROOVE_FROM = 2.2  # groove bottom, from the middle of the post
LIGHT = 39.0  # a tea light is 38 mm wide
SCREEN_TALL = 66.0
SCREEN_WIDE = APART - 2 * GROOVE_FROM - 0.6


def build(out_dir: Path) -> None:
    save_dxf([_base()], out_dir / "base.dxf")
    save_dxf([_screen()], out_dir / "screen.dxf")
    save_stl(_post(), out_dir / "post.stl")


def _base() -> Polygon:
    base = plate(BASE, BASE, CORNER).difference(disc(LIGHT, BASE / 2, BASE / 2))
    near, far = (BASE - APART) / 2, (BASE + APART) / 2
    for x in (near, far):
        for y in (near, far):
            base = base.difference(disc(PEG, x, y))
    return polygon(base)


def _screen() -> Polygon:
    """Leaves in two directions, leaving a rim for the grooves."""
    screen = plate(SCREEN_WIDE, SCREEN_TALL)
    columns, rows, rim = 4, 3, 8.0
    step_x = (SCREEN_WIDE - 2 * rim) / columns
    step_y = (SCREEN_TALL - rim - FLOOR - 6) / rows
    for i in range(columns):
        for j in range(rows):
            x, y = rim + step_x * (i + 0.5), FLOOR + 6 + step_y * (j + 0.5)
            leaf = _leaf(x, y, 1.22 * step_x, 45 if (i + j) % 2 else -45)
            screen = screen.difference(leaf)
    return polygon(screen)


def _leaf(x: float, y: float, long: float, turn: float) -> Polygon:
    """Where two circles overlap, `long` from tip to tip."""
    half = long / 2
    lens = disc(long * 1.25, 0, 0.375 * long).intersection(disc(long * 1.25, 0, -0.375 * long))
    assert abs(lens.bounds[2] - half) < 0.1 * half
    return polygon(affinity.translate(affinity.rotate(lens, turn, origin=(0, 0)), x, y))


def _post() -> Manifold:
    """Printed upside down: the peg points up, the grooves start at the bed."""
    half = POST / 2
    body = slab(plate(POST, POST, 3.0), POST_TALL).translate((-half, -half, 0))
    peg = slab(disc(PEG - PEG_EASE), PEG_TALL + 1).translate((0, 0, POST_TALL - 1))
    gap = (SHEET + EASE) / 2
    deep = POST_TALL - FLOOR + 1
    along_x = prism(box(GROOVE_FROM, -gap, POST, gap), deep, -1)
    along_y = prism(box(-gap, GROOVE_FROM, gap, POST), deep, -1)
    return body + peg - along_x - along_y
