"""A trivet for hot pots: a hexagon of hexagons, milled from plywood."""

from pathlib import Path

import numpy as np

from designs.library.shapes import hexagon, polygon, rounded, save_dxf

ACROSS = 118.0
CELL, WEB = 15.0, 6.0
CORNER = 2.4  # wider than a 3.175 mm cutter


def build(out_dir: Path) -> None:
    whole = rounded(hexagon(ACROSS), 8.0)
    pitch = CELL + WEB
    for row in range(-2, 3):
        for column in range(-2, 3):
            if abs(row + column) <= 2:
                x, y = pitch * (column + row / 2), pitch * row * np.sqrt(3) / 2
                whole = whole.difference(rounded(hexagon(CELL, x, float(y)), CORNER))
    save_dxf([polygon(whole)], out_dir / "trivet.dxf")
