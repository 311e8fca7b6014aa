"""Tool paths: the right side, the right order, all the way down, and nothing but the tabs left."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LinearRing, LineString, Point, Polygon, box
from shapely.ops import unary_union

from fablab_agents.prepare import cam
from fablab_agents.prepare.recipes import Depths

TOOL = 3.175


def plate() -> Polygon:
    holes = [Point(20, 20).buffer(6).exterior.coords, box(50, 10, 70, 30).exterior.coords]
    return Polygon(box(0, 0, 100, 40).exterior.coords, holes)


def deep(thickness: float = 6.0) -> Depths:
    return Depths(thickness, 0.2, 1.5, TOOL)


def test_inside_before_outside() -> None:
    inner = box(20, 20, 40, 40)
    frame = Polygon(box(0, 0, 60, 60).exterior.coords, [box(10, 10, 50, 50).exterior.coords])
    kinds = [(c.kind, round(c.ring[:, 0].min())) for c in cam.contours([frame, inner], TOOL)]
    assert kinds == [("outside", 18), ("hole", 12), ("outside", -2)]


def test_climb_milling_turns_clockwise_outside_and_the_other_way_inside() -> None:
    for contour in cam.contours([plate()], TOOL):
        assert LinearRing(contour.ring).is_ccw == (contour.kind == "hole")


def test_a_hole_as_wide_as_the_tool_is_drilled_and_returns_to_the_top_between_pecks() -> None:
    part = Polygon(
        box(0, 0, 30, 30).exterior.coords, [Point(15, 15).buffer(TOOL / 2).exterior.coords]
    )
    drill = cam.contours([part], TOOL)[0]
    stroke = cam.deep_strokes([drill], deep())[0]
    assert drill.kind == "drill"
    assert {(round(x, 6), round(y, 6)) for x, y, _ in stroke} == {(15, 15)}
    assert min(z for *_, z in stroke) == pytest.approx(-6.2)
    assert stroke[-1][2] > 0


def test_a_slot_as_wide_as_the_tool_is_still_cut() -> None:
    slot = box(5, 10, 25, 10 + TOOL)
    part = Polygon(box(0, 0, 30, 30).exterior.coords, [slot.exterior.coords])
    assert [c.kind for c in cam.contours([part], TOOL)] == ["hole", "outside"]


def test_every_contour_is_cut_through_all_around_but_the_tabs() -> None:
    depths = deep()
    for contour in cam.contours([plate()], TOOL):
        stroke = cam.deep_strokes([contour], depths)[0]
        low = [
            LinearRing([a[:2], b[:2], a[:2]]) if a[:2] != b[:2] else Point(a[:2])
            for a, b in pairwise(stroke)
            if max(a[2], b[2]) < -6
        ]
        left = LinearRing(contour.ring).difference(unary_union(low).buffer(1e-3))
        tabs = cam.tab_spans(cam.Ring(contour.ring), depths) if contour.kind == "outside" else ()
        assert left.length == pytest.approx(sum(b - a for a, b in tabs), abs=0.1)


def test_tabs_lie_on_straight_runs_where_there_are_any() -> None:
    ring = cam.Ring(cam.contours([box(0, 0, 100, 40)], TOOL)[-1].ring)
    spans = cam.tab_spans(ring, deep())
    assert len(spans) >= 3
    for start, end in spans:
        assert math.dist(ring.at(start), ring.at(end)) == pytest.approx(end - start, abs=0.05)


def test_a_part_too_small_for_tabs_gets_none() -> None:
    ring = cam.Ring(cam.contours([box(0, 0, 5, 5)], TOOL)[-1].ring)
    assert cam.tab_spans(ring, deep()) == ()


def test_no_step_goes_deeper_at_once_than_one_pass() -> None:
    depths = deep()
    for stroke in cam.deep_strokes(cam.contours([plate()], TOOL), depths):
        lowest = 0.0
        for *_, z in stroke:
            assert z >= lowest - depths.stepdown_mm - 1e-9
            lowest = min(lowest, z)


@settings(max_examples=30, deadline=None)
@given(
    corners=st.integers(3, 9),
    radius=st.floats(6, 60),
    wobble=st.lists(st.floats(0.7, 1.0), min_size=9, max_size=9),
)
def test_the_cutter_never_enters_the_part(corners: int, radius: float, wobble: list[float]) -> None:
    angles = np.arange(corners) * 2 * math.pi / corners
    points = [
        (radius * w * math.cos(a), radius * w * math.sin(a))
        for a, w in zip(angles, wobble, strict=False)
    ]
    part = Polygon(points)
    for stroke in cam.deep_strokes(cam.contours([part], TOOL), deep()):
        path = LineString([v[:2] for v in stroke])
        assert path.distance(part) > TOOL / 2 - 0.02
