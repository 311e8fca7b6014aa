import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designs.geometry.overhang import underside
from tests.designs.geometry.shapes import block, mesh_of, wedge


def of(*triangles: np.ndarray):
    return underside(mesh_of(*triangles))


@settings(max_examples=60, deadline=None)
@given(st.floats(1, 85))
def test_a_wedge_leans_over_by_its_angle(angle):
    found = of(wedge(angle))
    assert found.steepest_deg == pytest.approx(angle, abs=1e-6)
    assert found.hangs_mm2 == pytest.approx(600 if angle > 46 else 0)  # rounded corners
    assert found.stands_mm2 == pytest.approx(200)


def test_what_stands_does_not_hang():
    found = of(block(10, 20, 5))
    assert (found.hangs_mm2, found.steepest_deg) == (0, 0)
    assert found.stands_mm2 == pytest.approx(200)


def test_a_table_top_hangs_flat():
    found = of(block(10, 10, 10), block(30, 30, 5, at=(-10, -10, 10)))
    assert found.hangs_mm2 == pytest.approx(900)
    assert found.steepest_deg == pytest.approx(90)
    assert len(found.faces) == 2
