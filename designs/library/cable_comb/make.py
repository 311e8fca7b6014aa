"""A comb that keeps four cables at the edge of a desk; glue it on with adhesive tape."""

from pathlib import Path

from designs.library.shapes import disc, plate, polygon, rounded, save_stl, slab, stroke

CABLES, PITCH = 4, 9.5
CABLE, MOUTH = 5.4, 3.4  # a cable is pushed through the mouth and stays
DEEP, TALL = 15.0, 7.0


def build(out_dir: Path) -> None:
    width = CABLES * PITCH + 1.6
    comb = plate(width, DEEP, 3.0)
    for i in range(CABLES):
        x = 0.8 + PITCH * (i + 0.5)
        comb = comb.difference(disc(CABLE, x, DEEP - 6.2))
        comb = comb.difference(stroke([(x, DEEP - 6.2), (x, DEEP + 9)], MOUTH))
    save_stl(slab(rounded(polygon(comb), 0.8), TALL, 0.5), out_dir / "cable-comb.stl")
