"""What a round tool cannot make is said, with the place; what it can make raises no finding."""

import math
import re

import pytest
from shapely.geometry import Point, Polygon, box

from designs.errors import Severity
from fablab_agents.prepare import reach

TOOL = 3.175


def with_hole(hole: Polygon) -> Polygon:
    return Polygon(box(0, 0, 60, 40).exterior.coords, [hole.exterior.coords])


def test_round_holes_that_fit_say_nothing() -> None:
    assert reach.lost([with_hole(Point(20, 20).buffer(5, 64))], TOOL) == ()


def test_a_hole_smaller_than_the_cutter_is_refused_with_its_place() -> None:
    (finding,) = reach.lost([with_hole(Point(20, 21).buffer(1.5, 64))], TOOL)
    assert finding.severity is Severity.REFUSAL
    assert finding.where == "hole at 20.0, 21.0 mm"
    assert "3.00 mm" in finding.what


def test_a_hole_of_the_cutters_own_width_is_fine() -> None:
    assert reach.lost([with_hole(Point(20, 20).buffer(TOOL / 2, 64))], TOOL) == ()


def test_sharp_inside_corners_warn_with_what_stays() -> None:
    (finding,) = reach.lost([with_hole(box(10, 10, 30, 30))], TOOL)
    assert finding.severity is Severity.WARNING
    stays = float(re.findall(r"to ([0-9.]+) mm", finding.what)[0])
    assert stays == pytest.approx(TOOL / 2 * (math.sqrt(2) - 1), abs=0.02)


def test_a_narrow_notch_in_the_outline_is_refused() -> None:
    notched = box(0, 0, 60, 40).difference(box(30, 20, 32, 40))
    (finding,) = reach.lost([notched], TOOL)
    assert finding.severity is Severity.REFUSAL
    assert "notch" in finding.where


def test_pieces_nearer_than_the_cutter_are_refused() -> None:
    (finding,) = reach.lost([box(0, 0, 10, 10), box(12, 0, 22, 10)], TOOL)
    assert finding.severity is Severity.REFUSAL
    assert "2.00 mm apart" in finding.what
    assert reach.lost([box(0, 0, 10, 10), box(14, 0, 24, 10)], TOOL) == ()
