import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from designs.geometry.mesh import Mesh
from designs.geometry.rays import probed
from tests.designs.geometry import solids
from tests.designs.geometry.shapes import block, mesh_of, tube, turned

sides = st.floats(0.3, 12)
angles = st.floats(-80, 80)


@settings(max_examples=25, deadline=None)
@given(sides, sides, sides, angles, angles)
def test_the_thinnest_wall_of_a_box_is_its_shortest_side_however_it_lies(x, y, z, over_x, over_z):
    short, middle, _ = sorted((x, y, z))
    assume(middle > 2 * short or max(abs(over_x), abs(over_z)) < 30)  # rays meet its opposite sides
    found = probed(mesh_of(turned(block(x, y, z), over_x, over_z)), crossings=40_000)
    thinnest = found.walls.narrowest_mm(0.2 * sorted((x, y, z))[1] * max(x, y, z))
    assert thinnest == pytest.approx(min(x, y, z), rel=1e-6)
    assert found.doubled_mm3 == 0
    assert found.lost < 0.03  # at 45 degrees many rays meet an edge


@pytest.mark.parametrize("over_z", [45, -45])
def test_a_wall_that_faces_two_axes_alike_is_measured_once(over_z):
    found = probed(mesh_of(turned(block(0.5, 12, 11), 0, over_z)), crossings=40_000)
    assert found.walls.narrowest_mm(20) == pytest.approx(0.5)
    assert found.walls.area_mm2.sum() == pytest.approx(12 * 11, rel=0.03)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.4, 3), angles, angles)
def test_a_tube_comes_out_as_thin_as_it_is(wall, over_x, over_z):
    mesh = mesh_of(turned(tube(10, 10 - wall, 25), over_x, over_z))
    found = probed(mesh, crossings=60_000)
    assert found.walls.narrowest_mm(2) == pytest.approx(wall * np.cos(np.pi / 96), rel=1e-3)
    assert found.walls.narrowest_mm(40) == pytest.approx(wall, rel=2e-3)


def test_a_round_rod_comes_out_up_to_six_per_cent_too_thin():
    rod = probed(mesh_of(tube(4, 0.01, 30)[: 2 * 96], *_lids(4, 30)))
    assert 0.94 * 8 <= rod.walls.narrowest_mm(2.0) <= 8.0


def _lids(radius: float, high: float) -> list[np.ndarray]:
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(96)])
    after, middle = np.roll(ring, -1, 0), np.zeros((96, 3))
    up = np.array([0, 0, high])
    return [np.stack([middle, after, ring], 1), np.stack([middle, ring, after], 1) + up]


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 3), st.sampled_from([0, 1, 2]), angles)
def test_the_gap_between_two_blocks_is_found(gap, axis, over_z):
    at = [0.0, 0.0, 0.0]
    at[axis] = 10 + gap
    both = np.concatenate([block(10, 10, 10), block(10, 10, 10, at=tuple(at))])
    found = probed(mesh_of(turned(both, 0, over_z)), crossings=40_000)
    assert found.gaps.narrowest_mm(50) == pytest.approx(gap, rel=1e-6)
    assert found.walls.narrowest_mm(50) == pytest.approx(10, rel=1e-6)


def test_where_the_thin_wall_is():
    plate_with_fin = np.concatenate([block(40, 40, 5), block(0.3, 20, 10, at=(20, 10, 4))])
    thin = probed(mesh_of(plate_with_fin)).walls.under(0.4)
    assert thin.middle[:, 0] == pytest.approx(20.15)
    assert thin.middle[:, 1].min() > 10
    assert thin.middle[:, 2].max() < 14
    assert thin.area_mm2.sum() == pytest.approx(20 * 9, rel=0.05)  # of one side, above the plate


def test_solids_that_stand_apart_do_not_overlap():
    apart = mesh_of(*(block(10, 10, 10, at=(15 * i, 0, 0)) for i in range(3)))
    assert probed(apart).doubled_mm3 == 0  # rays ran along the diagonals of their faces


def test_overlapping_solids_and_hollows_are_told_apart():
    both = mesh_of(block(10, 10, 10), block(10, 10, 10, at=(5, 0, 0)))
    assert probed(both).doubled_mm3 == pytest.approx(500, rel=0.02)
    hollow = mesh_of(block(10, 10, 10), block(6, 6, 6, at=(2, 2, 2))[:, ::-1])
    found = probed(hollow)
    assert found.doubled_mm3 == 0
    assert found.walls.narrowest_mm(2) == pytest.approx(2, rel=1e-6)


def test_an_inside_out_piece_shows():
    triangles = np.concatenate([block(10, 10, 10), block(5, 5, 5, at=(20, 0, 0))[:, ::-1]])
    mesh = Mesh(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3))
    assert probed(mesh).inside_out_mm3 == pytest.approx(125, rel=0.02)


def test_the_same_mesh_gives_the_same_answer():
    one, other = (probed(mesh_of(tube(9, 7, 12))) for _ in range(2))
    assert np.array_equal(one.walls.width_mm, other.walls.width_mm)


@pytest.mark.parametrize("count", [1, 300_000])
def test_a_soup_of_triangles_stays_within_time_and_memory(count):
    corners = np.random.default_rng(1).uniform(0, 100, (3 * count, 3))
    began = time.process_time()
    found = probed(Mesh(corners, np.arange(3 * count).reshape(-1, 3)))
    assert time.process_time() - began < 10
    assert found.lost > 0.5


def test_needles_and_flat_things_are_measured_too():
    for triangles in (block(0.2, 0.2, 200), block(200, 0.05, 200), solids.cube(1e3)):
        assert probed(mesh_of(triangles)).walls.narrowest_mm(1) == pytest.approx(
            float(np.ptp(triangles.reshape(-1, 3), axis=0).min()), rel=1e-6
        )
