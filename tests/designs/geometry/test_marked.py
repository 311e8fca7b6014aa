import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import Point, box

from designs.errors import DesignRefused
from designs.geometry.drawing import Drawing, read_drawing
from designs.geometry.makeable import MOST_PICTURES, illustrated
from designs.geometry.marked import Mark, marked, marked_drawing
from designs.geometry.measures import sheet_seen, solid_seen
from designs.geometry.mesh import normals
from designs.geometry.picture import thumbnail
from designs.geometry.remark import note, warning
from designs.inspect import examine, sheet_look
from designs.processes import LASER
from tests.designs.geometry.shapes import block, mesh_of
from tests.designs.geometry.test_picture import soup

CUBE = mesh_of(block(20, 20, 20))
PLATE = Drawing((box(0, 0, 60, 40).difference(Point(20, 20).buffer(8)),))
MARK, INK = (213, 94, 0), (20, 20, 20)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"), dtype=int)


def painted(png: bytes, colour=MARK, near: int = 30) -> np.ndarray:
    """(k, 2) row and column of pixels of that colour."""
    seen = pixels(png)
    return np.argwhere((np.abs(seen[..., :3] - colour).max(axis=2) < near) & (seen[..., 3] > 200))


def faces_towards(mesh, axis: int, sign: int) -> np.ndarray:
    return np.flatnonzero(normals(mesh)[:, axis] * sign > 0.9)


def test_a_marked_face_is_hatched_and_nothing_else():
    assert len(painted(marked(CUBE, Mark(), 128))) == 0
    hatched = painted(marked(CUBE, Mark(faces=faces_towards(CUBE, 2, 1)), 128))
    assert len(hatched) > 500
    assert hatched[:, 0].max() < 90  # the lid is in the upper half of the picture


def test_the_part_is_seen_from_where_the_mark_shows():
    for axis in range(3):
        for sign in (-1, 1):
            mark = Mark(faces=faces_towards(CUBE, axis, sign))
            assert len(painted(marked(CUBE, mark, 128))) > 300, (axis, sign)


def test_a_mark_is_told_by_pattern_without_colour():
    """Stripes: along a row through the hatched lid light and dark change several times."""
    grey = pixels(marked(CUBE, Mark(faces=faces_towards(CUBE, 2, 1)), 256))[..., :3].mean(axis=2)
    row = grey[70, 60:200]
    assert (np.abs(np.diff((row > row.mean()).astype(int)))).sum() >= 6


def test_a_spot_is_dotted_and_ringed_where_it_is():
    corner = np.array([[20.0, 0.0, 20.0]])
    seen = marked(CUBE, Mark(spots=corner), 256)
    dot = painted(seen).mean(axis=0)
    ring = painted(seen, INK, 18)
    assert np.abs((ring.min(axis=0) + ring.max(axis=0)) / 2 - dot).max() < 6


def test_what_is_hidden_is_drawn_hollow():
    inside = np.array([[10.0, 10.0, 10.0]])
    assert len(painted(marked(CUBE, Mark(spots=inside), 256))) < 5
    assert len(painted(marked(CUBE, Mark(spots=inside), 256), INK, 18)) > 50


def test_open_edges_are_drawn_thick():
    edge = np.array([[[0.0, 0, 20], [20, 0, 20]]])
    assert len(painted(marked(CUBE, Mark(lines=edge), 256))) > 30


def test_a_drawing_is_marked_from_above():
    png = marked_drawing(PLATE, Mark(spots=np.array([[50.0, 35.0]])), 256)
    row, column = painted(png).mean(axis=0)
    assert column > 150
    assert row < 128  # y goes up
    ring = np.stack([np.array([[20.0, 12.0], [28.0, 20.0]])])
    assert len(painted(marked_drawing(PLATE, Mark(lines=ring), 256))) > 30


def test_the_hole_of_a_drawing_stays_open():
    seen = pixels(marked_drawing(PLATE, Mark(), 120))
    assert seen[60, 40, 3] == 0
    assert seen[60, 90, 3] == 255


def test_a_large_soup_is_marked_within_the_budget():
    began = time.process_time()
    mesh = soup(300_000)
    assert len(marked(mesh, Mark(faces=np.arange(0, 300_000, 2)), 128)) > 1000
    assert time.process_time() - began < 20


def test_only_so_many_findings_get_a_picture_and_each_names_its_own():
    mark = Mark(spots=np.zeros((1, 3)))
    told = [note("a", "b", "c"), *(warning(f"{i}", "b", "c", mark) for i in range(9))]
    found, pictures = illustrated(solid_seen(CUBE), told, 64)
    assert [f.where for f in found] == [r.finding.where for r in told]
    assert [f.picture for f in found][: MOST_PICTURES + 2] == [
        None, *(f"finding-{i + 1}" for i in range(MOST_PICTURES)), None,
    ]  # fmt: skip
    assert list(pictures) == [f.picture for f in found if f.picture]
    assert "picture" not in found[0].model_dump(mode="json")
    assert found[1].model_dump(mode="json")["picture"] == "finding-1"


def test_drawings_are_illustrated_too():
    found, pictures = illustrated(
        sheet_seen(PLATE), [warning("a", "b", "c", Mark(spots=np.array([[5.0, 5.0]])))], 256
    )
    assert found[0].picture == "finding-1"
    assert len(painted(pictures["finding-1"])) > 0


def test_a_thumbnail_is_not_marked():
    assert len(painted(thumbnail(CUBE, 128))) == 0


# ── drawings as their authors see them

_PAGE = """<svg xmlns="http://www.w3.org/2000/svg" width="200mm" height="100mm"
viewBox="-50 -20 200 100">{}</svg>"""
_NOTCHED = '<path d="M-40-10H140V70H-40Z M-30 0H-20V40H-30Z M-19.6 0H-10V40H-19.6Z"/>'
_GAP = '<path d="M-40-10H140V70H-40V-5"/>'


def test_the_places_of_an_svg_are_its_authors_from_the_upper_left_corner(tmp_path: Path):
    """The web between the holes is 30.2 mm from the left of the page and 20 to 60 from above."""
    file = tmp_path / "panel.svg"
    file.write_text(_PAGE.format(_NOTCHED))
    look = sheet_look(read_drawing(file, "svg"), (LASER, "plywood", 3.0), 3.0)
    [thin] = [each for each in look.remarks if "thinner than" in each.finding.what]
    assert "x 30.2, y 20" in thin.finding.where
    assert thin.finding.where.endswith("…60 mm, counted from the upper left corner of the page")


def test_where_a_refused_drawing_is_open_is_drawn_at_its_place(tmp_path: Path):
    file = tmp_path / "panel.svg"
    file.write_text(_PAGE.format(_GAP))
    with pytest.raises(DesignRefused) as no:
        examine(str(file), "svg", LASER, "plywood", 3.0, str(tmp_path), "panel.svg")
    [finding] = no.value.findings
    assert finding.where.startswith("panel.svg, x 10.00, y 15.00 mm; x 10.00, y 10.00 mm")
    assert finding.picture == "finding-1"
    dots = painted((tmp_path / "finding-1.png").read_bytes())
    assert len(dots) > 20
    assert dots[:, 1].max() < 0.15 * 384  # at the left,
    assert dots[:, 0].max() < 192  # and in the upper half, as the author sees it
