import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon, affinity
from shapely.geometry import Point, box

from designs.geometry.webs import inside_corners, necks, outline, widths

angles = st.floats(0, 180)


def webs(*regions: Polygon):
    return widths(outline(regions), outside=False)


def slots(*regions: Polygon):
    return widths(outline(regions), outside=True)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 9), angles)
def test_a_strip_is_as_wide_as_it_is(wide, angle):
    strip = affinity.rotate(box(0, 0, 60, wide), angle)
    assert webs(strip).narrowest_mm() == pytest.approx(wide, abs=1e-6)
    assert slots(strip).narrowest_mm() is None


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 9), angles)
def test_a_slot_is_as_wide_as_it_is_and_so_is_a_gap_between_pieces(wide, angle):
    slotted = affinity.rotate(box(0, 0, 60, 60).difference(box(20, 20, 50, 20 + wide)), angle)
    assert slots(slotted).narrowest_mm() == pytest.approx(wide, abs=1e-6)
    one, other = (
        affinity.rotate(b, angle, origin=(0, 0))
        for b in (box(0, 0, 30, 30), box(30 + wide, 0, 60, 30))
    )
    assert slots(one, other).narrowest_mm() == pytest.approx(wide, abs=1e-6)


@given(st.floats(0.3, 4))
def test_a_round_hole_is_as_wide_as_its_diameter(radius):
    plate = box(0, 0, 40, 40).difference(Point(20, 20).buffer(radius, quad_segs=24))
    assert slots(plate).narrowest_mm() == pytest.approx(2 * radius, rel=0.01)
    assert inside_corners(outline((plate,))).smallest_radius_mm == pytest.approx(radius, rel=0.03)
    assert len(inside_corners(outline((plate,))).sharp) == 0


def test_where_a_web_is_thin():
    dumbbell = box(0, 0, 20, 20).union(box(30, 0, 50, 20)).union(box(19, 9.6, 31, 10.4))
    thin = webs(Polygon(dumbbell.exterior)).under(1)
    assert thin.width_mm == pytest.approx(0.8)
    assert thin.middle[:, 1] == pytest.approx(10)
    assert (thin.middle[:, 0].min(), thin.middle[:, 0].max()) == pytest.approx((20, 30), abs=0.3)
    assert thin.along_mm.sum() == pytest.approx(20)  # both sides of ten millimetres


@given(angles)
def test_inside_corners_are_those_of_holes_and_notches(angle):
    frame = affinity.rotate(box(0, 0, 60, 60).difference(box(20, 20, 40, 40)), angle)
    found = inside_corners(outline((frame,)))
    assert len(found.sharp) == 4
    hole = np.asarray(frame.interiors[0].coords)[:4]
    assert np.abs(found.sharp[:, None] - hole[None]).sum(axis=2).min(axis=1) == pytest.approx(0)
    assert found.smallest_radius_mm is None
    assert len(inside_corners(outline((box(0, 0, 9, 9),))).sharp) == 0


def test_a_rounded_notch_has_its_radius():
    notch = box(20, 20, 40, 70).buffer(-3).buffer(3, quad_segs=16)
    found = inside_corners(outline((box(0, 0, 60, 60).difference(notch),)))
    assert found.smallest_radius_mm == pytest.approx(3, rel=0.03)


@settings(max_examples=20, deadline=None)
@given(angles, st.floats(20, 36))
def test_a_tip_is_no_web_and_a_notch_no_slot(angle, opens_deg):
    half = 20 * np.tan(np.radians(opens_deg / 2))
    wedge = affinity.rotate(Polygon([(0, 0), (20, -half), (20, half)]), angle, origin=(0, 0))
    assert webs(wedge).under(2).along_mm.sum() == 0
    assert slots(Point(0, 0).buffer(60).difference(wedge)).under(2).along_mm.sum() == 0


def test_a_thin_finger_is_a_web_though_it_ends():
    finger = box(0, 0, 20, 20).union(box(20, 9.6, 26, 10.4))
    assert webs(finger).narrowest_mm() == pytest.approx(0.8)


@settings(max_examples=20, deadline=None)
@given(angles, st.floats(0.2, 2.4))
def test_what_is_left_between_two_points_is_a_neck(angle, wide):
    half = wide / 2
    glass = [(-30, -40), (30, -40), (half, 0), (30, 40), (-30, 40), (-half, 0)]
    found = necks(outline((affinity.rotate(Polygon(glass), angle),)))
    assert found.width_mm.min() == pytest.approx(wide)
    diamond = affinity.rotate(box(-5, -5, 5, 5), 45)
    apart = affinity.translate(diamond, 2 * 5 * 2**0.5 + wide, 0)
    plate = box(-40, -40, 60, 40).difference(diamond).difference(apart)
    assert necks(outline((affinity.rotate(plate, angle),))).width_mm.min() == pytest.approx(wide)


def test_corners_of_windows_and_notches_alone_are_no_necks():
    frame = box(0, 0, 60, 60).difference(box(20, 20, 40, 40))
    assert not len(necks(outline((frame,))).width_mm)
    notched = box(0, 0, 60, 60).difference(Polygon([(20, 60), (30, 30), (40, 60)]))
    assert not len(necks(outline((notched, box(61, 0, 90, 60)))).width_mm)
