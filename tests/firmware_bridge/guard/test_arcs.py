"""Arcs: boxes, lengths and what is no arc; many at once are the same as one by one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.guard import arcs

coordinates = st.floats(-200, 200)
points = st.tuples(coordinates, coordinates)


def test_quarter_half_and_full() -> None:
    quarter = arcs.by_centre((10, 0), (0, 10), (-10, 0), clockwise=False)
    assert (quarter.low, quarter.high) == ((0, 0), (10, 10))
    assert quarter.length == pytest.approx(5 * math.pi)
    long = arcs.by_centre((10, 0), (0, 10), (-10, 0), clockwise=True)
    assert (long.low, long.high) == ((-10, -10), (10, 10))
    assert long.length == pytest.approx(15 * math.pi)
    circle = arcs.by_centre((10, 0), (10, 0), (-10, 0), clockwise=True)
    assert (circle.low, circle.high) == ((-10, -10), (10, 10))
    assert circle.length == pytest.approx(20 * math.pi)


def test_a_turn_too_small_for_grbl_is_a_full_circle() -> None:
    tiny = arcs.by_centre((4e4, 0), (4e4, 1.9e-2), (-4e4, 0), clockwise=False)
    assert tiny.length == pytest.approx(8e4 * math.pi)
    small = arcs.by_centre((4e4, 0), (4e4, 2.1e-2), (-4e4, 0), clockwise=False)
    assert small.length == pytest.approx(2.1e-2, rel=1e-3)


def test_ends_that_single_precision_cannot_tell_apart_are_a_full_circle() -> None:
    same = arcs.by_centre((295, 90), (295.00009, 90), (5, 0), clockwise=True)
    assert same.high[0] == pytest.approx(305)
    apart = arcs.by_centre((295, 90), (295, 90.0002), (5, 0), clockwise=True)
    assert apart.high[0] == pytest.approx(295)


def test_by_radius_takes_the_short_way_and_with_a_negative_radius_the_long_one() -> None:
    short = arcs.by_radius((0, 0), (10, 0), 10, clockwise=True)
    assert short.high[1] == pytest.approx(10 - math.sqrt(75))
    assert short.low[1] == 0
    long = arcs.by_radius((0, 0), (10, 0), -10, clockwise=True)
    assert long.high[1] == pytest.approx(10 + math.sqrt(75))
    half = arcs.by_radius((0, 0), (20, 0), 10, clockwise=False)
    assert half.length == pytest.approx(10 * math.pi)
    assert half.low[1] == pytest.approx(-10)


@pytest.mark.parametrize(
    ("start", "end", "fine"),
    [
        ((2, 0), (0, 2.0049), True),  # 0.005 mm are always free
        ((2, 0), (0, 2.0051), False),
        ((10, 0), (0, 10.0099), True),  # and 0.1 % of the radius
        ((10, 0), (0, 10.0101), False),
        ((0, 0), (0, 0), False),
    ],
)
def test_grbl_error_33(start: arcs.Point, end: arcs.Point, fine: bool) -> None:
    offset = (-start[0], 0.0)
    if fine:
        assert arcs.by_centre(start, end, offset, clockwise=False).length > 0
    else:
        with pytest.raises(arcs.NoArcError, match=r"centre|radius"):
            arcs.by_centre(start, end, offset, clockwise=False)


def test_half_a_millimetre_is_never_an_arc() -> None:
    arcs.by_centre((1000, 0), (0, 1000.49), (-1000, 0), clockwise=False)
    with pytest.raises(arcs.NoArcError, match="centre"):
        arcs.by_centre((1000, 0), (0, 1000.51), (-1000, 0), clockwise=False)


def test_grbl_error_34_and_an_arc_by_radius_to_itself() -> None:
    with pytest.raises(arcs.NoArcError, match="reach"):
        arcs.by_radius((0, 0), (20.001, 0), 10, clockwise=False)
    with pytest.raises(arcs.NoArcError, match="ends where"):
        arcs.by_radius((5, 5), (5, 5), 10, clockwise=False)


@given(start=points, centre=points, turn=st.floats(0.01, 6.27), clockwise=st.booleans())
def test_an_arc_and_its_pieces_have_the_same_box(
    start: arcs.Point, centre: arcs.Point, turn: float, clockwise: bool
) -> None:
    radius = math.dist(start, centre)
    if radius < 0.1:
        return
    begin = math.atan2(start[1] - centre[1], start[0] - centre[0])
    way = -turn if clockwise else turn
    steps = [begin + way * k / 2000 for k in range(2001)]
    walked = [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in steps]
    offset = (centre[0] - start[0], centre[1] - start[1])
    arc = arcs.by_centre(start, walked[-1], offset, clockwise=clockwise)
    slack = radius * 1e-5 + 1e-6
    for axis in (0, 1):
        values = [point[axis] for point in walked]
        assert arc.low[axis] == pytest.approx(min(values), abs=slack)
        assert arc.high[axis] == pytest.approx(max(values), abs=slack)
    assert arc.length == pytest.approx(radius * turn, rel=1e-6)
    assert set(arc.points) >= {start}
    assert min(x for x, _ in arc.points) == arc.low[0]


@given(
    start=points,
    offset=points,
    turn=st.floats(0, 6.28),
    clockwise=st.booleans(),
    wrong=st.sampled_from([0.0, 0.0, 0.003, 0.4, 0.6]),
)
def test_many_at_once_are_the_same_as_one_by_one(
    start: arcs.Point, offset: arcs.Point, turn: float, clockwise: bool, wrong: float
) -> None:
    radius = math.hypot(*offset) + wrong
    begin = math.atan2(-offset[1], -offset[0])
    angle = begin - turn if clockwise else begin + turn
    end = (
        start[0] + offset[0] + radius * math.cos(angle),
        start[1] + offset[1] + radius * math.sin(angle),
    )
    many = arcs.many_by_centre(
        np.array([start]), np.array([end]), np.array([offset]), np.array([clockwise])
    )
    try:
        one = arcs.by_centre(start, end, offset, clockwise=clockwise)
    except arcs.NoArcError:
        assert many is None
        return
    assert many is not None
    low, high, length = many
    if min(one.length, 2 * math.pi * math.hypot(*offset) - one.length) < 1e-5 * radius:
        return  # at the edge between nothing and a full circle, rounding decides
    assert low[0].tolist() == pytest.approx(list(one.low), abs=1e-9)
    assert high[0].tolist() == pytest.approx(list(one.high), abs=1e-9)
    assert float(length[0]) == pytest.approx(one.length, rel=1e-9)
