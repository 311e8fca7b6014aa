"""Two versions of a part, one over the other: what goes and what comes are where they are."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from shapely.geometry import box

from designs.geometry.contours import Frame
from designs.geometry.drawing import Drawing
from designs.geometry.overlay import PX, overlay
from designs.inspect import overlaid
from tests.designs.geometry.shapes import block, mesh_of
from tests.orchestrator.catalogue.conftest import SQUARE

GONE, COME = (213, 94, 0), (0, 114, 178)
PLATE = box(0, 0, 60, 40)


def shares(png: bytes | None, colour: tuple[int, int, int]) -> list[float]:
    """By view, the share of pixels of that colour."""
    assert png is not None
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    here = (pixels == colour).all(axis=2)
    rows = np.split(here, here.shape[0] // PX)
    return [float(view.mean()) for row in rows for view in np.split(row, here.shape[1] // PX, 1)]


def test_a_hole_more_is_gone_and_a_tab_more_has_come():
    after = Drawing((PLATE.difference(box(10, 10, 20, 20)).union(box(60, 10, 70, 20)),))
    drawn = overlay(Drawing((PLATE,)), after)
    pixels = np.asarray(Image.open(io.BytesIO(drawn or b"")).convert("RGB"))
    gone, come = (np.argwhere((pixels == colour).all(axis=2)) for colour in (GONE, COME))
    assert gone[:, 1].max() < PX / 2 < come[:, 1].min()
    assert 0.15 < len(gone) / len(come) < 6
    assert shares(overlay(after, Drawing((PLATE,))), GONE)[0] > 0  # the other way round


def test_what_only_lies_elsewhere_on_the_page_has_not_changed_and_what_grew_leftwards_has():
    moved = Drawing((PLATE,), frame=Frame((100.0, 50.0)))
    assert shares(overlay(Drawing((PLATE,)), moved), GONE) == [0]
    grown = Drawing((box(0, 0, 70, 40),), frame=Frame((-10.0, 0.0)))
    drawn = overlay(Drawing((PLATE,)), grown)
    assert shares(drawn, GONE) == [0]
    assert shares(drawn, COME)[0] > 0.01


def test_a_solid_is_shown_from_three_sides_and_a_pocket_below_is_seen():
    plain, taller = mesh_of(block(20, 20, 20)), mesh_of(block(20, 20, 26))
    front, right, above = shares(overlay(plain, taller), COME)
    assert front > 0.02
    assert right > 0.02
    assert 0.005 < above < front  # the top lies nearer to the eye, which is told more quietly
    assert shares(overlay(taller, plain), COME) == [0, 0, 0]
    assert shares(overlay(plain, plain), GONE) == [0, 0, 0]
    deeper = shares(overlay(mesh_of(block(20, 20, 20)), mesh_of(block(20, 26, 20))), COME)
    assert len(deeper) == 6
    assert deeper[0] == 0 < deeper[3]  # it grew at the back: seen from behind, not from the front
    assert overlay(plain, Drawing((PLATE,))) is None


def test_it_is_written_where_the_child_was_told(tmp_path: Path):
    page = SQUARE.partition("<path")[0] + "{}</svg>"
    for name, path in (("a.svg", "M1 1H8V8H1Z"), ("b.svg", "M1 1H8V6H1Z")):
        (tmp_path / name).write_text(page.format(f'<path d="{path}"/>'))
    both = (str(tmp_path / "a.svg"), "svg", str(tmp_path / "b.svg"), "svg")
    assert overlaid(*both, "laser_cutting", str(tmp_path / "out.png"))
    assert shares((tmp_path / "out.png").read_bytes(), GONE)[0] > 0.02
