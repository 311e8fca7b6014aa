import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designs.geometry.mesh import Mesh, mesh_facts, odd_edges
from designs.geometry.repair import propose
from designs.geometry.where import seams
from tests.designs.geometry.shapes import block, mesh_of, tube


def ball(n: int = 24, radius: float = 20) -> Mesh:
    """Of many small triangles, so that one of them is a small hole."""
    up = np.linspace(0, np.pi, n)
    around = np.linspace(0, 2 * np.pi, 2 * n, endpoint=False)
    grid = radius * np.stack(
        [
            np.sin(up)[:, None] * np.cos(around),
            np.sin(up)[:, None] * np.sin(around),
            np.cos(up)[:, None] + 0 * around,
        ],
        -1,
    )
    a, b = grid[:-1], grid[1:]
    c, d = np.roll(b, -1, 1), np.roll(a, -1, 1)
    quads = [np.stack([a, b, c], 2).reshape(-1, 3, 3), np.stack([a, c, d], 2).reshape(-1, 3, 3)]
    return mesh_of(np.concatenate(quads))


BALL = ball()


def with_faces(faces: np.ndarray, vertices: np.ndarray | None = None) -> Mesh:
    vertices = BALL.vertices if vertices is None else vertices
    return Mesh(vertices, faces, odd_edges(len(vertices), faces).gaps)


def test_what_is_closed_needs_no_repair():
    assert propose(BALL) is None
    assert propose(mesh_of(block(3, 4, 5), tube(9, 8, 10))) is None


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, len(BALL.faces) - 1), min_size=1, max_size=6))
def test_small_holes_are_closed_and_the_volume_stays(missing):
    mesh = with_faces(np.delete(BALL.faces, list(missing), axis=0))
    found = propose(mesh)
    if found is None:  # rims that meet in a corner, or a triangle cut off: for a person to mend
        assert len(missing) > 1
        return
    assert found.after.watertight
    assert seams(found.mesh).open.size == seams(found.mesh).twisted.size == 0
    assert found.after.volume_mm3 == pytest.approx(mesh_facts(BALL).volume_mm3, rel=0.01)
    assert found.after.shells == 1
    assert "small hole" in found.statement
    assert f"triangles {len(mesh.faces)} → {len(found.mesh.faces)}" in found.statement


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, len(BALL.faces) - 1), min_size=1, max_size=40))
def test_turned_triangles_are_turned_back(which):
    faces = BALL.faces.copy()
    faces[list(which)] = faces[list(which), ::-1]
    found = propose(with_faces(faces))
    assert found is not None
    assert mesh_facts(found.mesh).volume_mm3 == pytest.approx(mesh_facts(BALL).volume_mm3)
    assert found.steps == (f"{len(which)} × triangle turned the other way",)


def test_a_triangle_drawn_twice_is_kept_once():
    found = propose(with_faces(np.vstack([BALL.faces, BALL.faces[5:6, [1, 2, 0]]])))
    assert found is not None
    assert found.after.triangles == len(BALL.faces)


def test_a_seam_that_nearly_meets_is_welded():
    split = BALL.vertices[:, 2] > 0
    upper = split[BALL.faces].all(axis=1)
    vertices = np.vstack([BALL.vertices, BALL.vertices + np.array([0.0003, 0.0, 0.0])])
    faces = np.where(upper[:, None], BALL.faces + len(BALL.vertices), BALL.faces)
    mesh = with_faces(faces, vertices)
    assert mesh.gaps > 0
    found = propose(mesh)
    assert found is not None
    assert found.after.watertight
    assert (mesh.shells, found.after.shells) == (1, 1)


@pytest.mark.parametrize(
    "mesh",
    [
        with_faces(BALL.faces[: len(BALL.faces) // 2]),
        mesh_of(block(20, 20, 20)[1:], block(5, 5, 5, at=(30, 0, 0))),
    ],
    ids=["half of it is missing", "a hole as large as the part"],
)
def test_what_is_no_small_defect_is_not_proposed(mesh):
    assert propose(mesh) is None


@pytest.mark.parametrize(
    ("extra", "turned", "volume_mm3"),
    [(block(30, 20, 10)[:3], 0, 6000), (block(30, 20, 10), 0, 6000), (None, 1, 6000)],
    ids=["three triangles twice", "all of them twice", "one turned"],
)
def test_what_only_counted_wrongly_is_proposed_whatever_the_volume_was(extra, turned, volume_mm3):
    triangles = block(30, 20, 10)
    triangles[:turned] = triangles[:turned, ::-1]
    mesh = mesh_of(triangles if extra is None else np.concatenate([triangles, extra]))
    found = propose(mesh)
    assert found is not None
    assert abs(found.before.volume_mm3 / volume_mm3 - 1) > 0.1
    assert found.after.volume_mm3 == pytest.approx(volume_mm3)
    assert found.after.triangles == 12
    assert not len(found.mesh.odd.ends)


def test_a_triangle_without_an_area_is_left_out():
    triangles = block(30, 20, 10)
    a, b = triangles[0, 0], triangles[0, 1]
    found = propose(mesh_of(np.concatenate([triangles, [[a, b, (a + b) / 2]]])))
    assert found is not None
    assert found.steps == ("1 × triangle without an area left out",)
    assert found.after.watertight


def test_corners_on_both_sides_of_a_round_number_are_welded_too():
    triangles = block(30, 20, 10)
    triangles[0] += 0.005
    found = propose(mesh_of(triangles))
    assert found is not None
    assert found.after.watertight
    assert found.after.triangles == 12
