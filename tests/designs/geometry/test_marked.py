import io
import time

import numpy as np
from PIL import Image
from shapely.geometry import Point, box

from designs.geometry.drawing import Drawing
from designs.geometry.makeable import MOST_PICTURES, illustrated
from designs.geometry.marked import Mark, marked, marked_drawing
from designs.geometry.measures import sheet_seen, solid_seen
from designs.geometry.mesh import normals
from designs.geometry.picture import thumbnail
from designs.geometry.remark import note, warning
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
