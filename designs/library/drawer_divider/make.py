"""A grid for a drawer: long and short walls that slide into each other, laser-cut."""

from pathlib import Path

from shapely import Polygon
from shapely.geometry import box

from designs.library.shapes import plate, polygon, rounded, save_svg, stroke

SHEET, EASE = 3.0, 0.1
LONG, SHORT, TALL = 146.0, 96.0, 36.0
LONG_AT, SHORT_AT = (37.0, 73.0, 109.0), (32.0, 64.0)


def build(out_dir: Path) -> None:
    save_svg([_wall(LONG, LONG_AT, from_top=True)], out_dir / "long-wall.svg")
    save_svg([_wall(SHORT, SHORT_AT, from_top=False)], out_dir / "short-wall.svg")


def _wall(long: float, at: tuple[float, ...], *, from_top: bool) -> Polygon:
    wall = plate(long, TALL, 2.0)
    if not from_top:
        grip = stroke([(long / 2 - 9, TALL + 2), (long / 2 + 9, TALL + 2)], 16.0)
        wall = rounded(wall.difference(grip), 1.5)
    low, high = (TALL / 2, TALL + 1) if from_top else (-1, TALL / 2)
    half = (SHEET + EASE) / 2
    for x in at:
        wall = wall.difference(box(x - half, low, x + half, high))
    return polygon(wall)
