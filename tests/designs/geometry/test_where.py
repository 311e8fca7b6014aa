import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designs.geometry.mesh import Mesh
from designs.geometry.where import holes, near_each_other, pieces, place, seams
from tests.designs.geometry import solids
from tests.designs.geometry.shapes import block, mesh_of, tube

CUBE = solids.CORNERS * 20


def cube(faces: np.ndarray = solids.FACES) -> Mesh:
    return Mesh(CUBE, faces)


def test_a_closed_solid_has_no_seams():
    found = seams(cube())
    assert (len(found.open), len(found.crowded), len(found.twisted)) == (0, 0, 0)


def test_a_missing_side_is_one_hole_with_its_box_and_length():
    mesh = cube(solids.FACES[2:])
    (hole,) = holes(mesh, seams(mesh).open)
    assert hole.length_mm == pytest.approx(80)
    assert hole.count == 4
    assert str(hole) == "x 0, y 0…20, z 0…20 mm"


@given(st.sets(st.integers(0, 11), min_size=1, max_size=5))
def test_open_edges_run_as_their_triangles_do(missing):
    mesh = cube(solids.FACES[[i for i in range(12) if i not in missing]])
    found = seams(mesh)
    directed = {(int(f[i]), int(f[(i + 1) % 3])) for f in mesh.faces for i in range(3)}
    alone = {(a, b) for a, b in directed if (b, a) not in directed}
    assert {(int(a), int(b)) for a, b in found.open} == alone
    assert sum(hole.count for hole in holes(mesh, found.open)) == len(alone)


@given(st.integers(0, 11))
def test_one_turned_triangle_has_three_twisted_edges(which):
    faces = solids.FACES.copy()
    faces[which] = faces[which, ::-1]
    found = seams(cube(faces))
    assert (len(found.open), len(found.twisted)) == (0, 3)
    assert {int(i) for i in found.twisted.ravel()} == set(solids.FACES[which])


def test_two_cubes_that_share_one_edge_meet_there():
    both = np.concatenate([block(10, 10, 10), block(10, 10, 10, at=(10, 10, 0))])
    mesh = mesh_of(both)
    found = seams(mesh)
    assert len(found.open) == 0
    (edge,) = holes(mesh, found.crowded)
    assert str(edge) == "x 10, y 10, z 0…10 mm"


def test_loose_pieces_float_and_stacked_ones_do_not():
    floating = pieces(mesh_of(block(10, 10, 10), block(5, 5, 5, at=(30, 0, 20))))
    assert [floating.low[i].tolist() for i in floating.floating()] == [[30, 0, 20]]
    stacked = pieces(mesh_of(block(10, 10, 10), block(5, 5, 5, at=(2, 2, 10))))
    assert len(stacked.floating()) == 0
    beside = pieces(mesh_of(block(10, 10, 10), block(5, 5, 5, at=(30, 0, 0))))
    assert len(beside.floating()) == 0


def test_specks_are_small_beside_the_rest_and_a_hollow_is_none():
    both = mesh_of(block(20, 20, 20), block(0.3, 0.3, 0.3, at=(25, 0, 0)))
    found = pieces(both)
    assert found.volume_mm3[found.specks()] == pytest.approx([0.027])
    hollow = pieces(mesh_of(block(20, 20, 20), block(5, 5, 5, at=(5, 5, 5))[:, ::-1]))
    assert sorted(hollow.volume_mm3) == pytest.approx([-125, 8000])
    assert len(hollow.specks()) == 0
    assert len(pieces(mesh_of(tube(5, 4, 10))).volume_mm3) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=40),
    st.floats(0.01, 30),
)
def test_points_are_grouped_so_that_groups_are_apart(points, reach):
    at = np.array(points)
    groups = near_each_other(at, reach)
    members = np.concatenate([g.members for g in groups])
    assert sorted(members) == list(range(len(at)))
    for i, one in enumerate(groups):
        for other in groups[i + 1 :]:
            apart = at[one.members][:, None] - at[other.members][None]
            assert np.abs(apart).max(axis=2).min() >= reach * 0.999


def test_places_read_like_a_drawing():
    assert place(np.array([0.04, -3.26, 7]), np.array([0.06, 5, 7.05])) == "x 0, y -3.3…5, z 7 mm"
