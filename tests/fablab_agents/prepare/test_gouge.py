"""The gate on the finished text: right programs pass, each kind of sabotage is caught and named."""

import re

import pytest
from shapely.affinity import translate
from shapely.geometry import Point, Polygon, box

from fablab_agents.prepare import cam, gouge, post
from fablab_agents.prepare.recipes import Burning, Depths, Milling

TOOL = 3.175
HOW = Milling(feed=800, plunge=250, rpm=10_000, safe_z_mm=5)
RULE = gouge.Rule(TOOL, 6, 6.2, 5, beam=False, tab_mm=4.0)
BEAM = gouge.Rule(0.15, 3, 0, 0, beam=True)


def part() -> Polygon:
    holes = [Point(30, 30).buffer(6).exterior.coords, box(60, 20, 80, 40).exterior.coords]
    return Polygon(box(10, 10, 110, 50).exterior.coords, holes)


def milled(shape: Polygon) -> str:
    strokes = cam.deep_strokes(cam.contours([shape], TOOL), Depths(6, 0.2, 1.5, TOOL))
    return post.mill_program("part", strokes, HOW)


def burned(shape: Polygon) -> str:
    return post.laser_program(
        "part", cam.flat_strokes(cam.contours([shape], 0.15), 2), Burning(feed=300, power=900)
    )


def words(program: str, rule: gouge.Rule = RULE) -> str:
    return "; ".join(str(f) for f in gouge.look(program, [part()], rule))


def test_right_programs_pass() -> None:
    assert words(milled(part())) == ""
    assert words(burned(part()), BEAM) == ""


def test_a_shifted_program_cuts_into_the_part() -> None:
    assert "out of the part" in words(milled(translate(part(), 0.3, 0)))
    assert "out of the part" in words(burned(translate(part(), 0.3, 0)), BEAM)


def test_a_jump_at_full_depth_across_the_part_is_caught() -> None:
    lines = milled(part()).splitlines()
    at = max(i for i, line in enumerate(lines) if line.startswith("G1"))
    assert "out of the part" in words("\n".join([*lines[:at], "G1 X40 Y25", *lines[at:]]))


def test_a_program_without_tool_compensation_is_caught() -> None:
    ring = [(x, y, z) for x, y in part().exterior.coords for z in (-6.2,)]
    assert "out of the part" in words(post.mill_program("part", [tuple(ring)], HOW))


def test_a_forgotten_hole_is_caught() -> None:
    whole = Polygon(part().exterior, [part().interiors[0]])
    assert "not cut through" in words(milled(whole))
    assert "not cut through" in words(burned(whole), BEAM)


def test_a_program_that_stops_short_of_the_bottom_is_caught() -> None:
    shallow = cam.deep_strokes(cam.contours([part()], TOOL), Depths(5, 0.2, 1.5, TOOL))
    assert "nothing is cut through" in words(post.mill_program("part", shallow, HOW))


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        (r"M3 S10000\n", "", "spindle standing still"),
        (r"G1 Z-6\.2", "G1 Z-9", "deeper than"),
        (r"\nG0 Z5\nG0 X", "\nG0 X", "below the safe height"),
        (r"\nG1 Z0\.5 F800", "\nG0 Z-1", "down into the stock"),
        (r"\nM5\nG0 X0 Y0", "\nG0 X0 Y0", "left running"),
        (r"\nG21\n", "\nG20\n", "does not belong"),
        (r"\nG21\n", "\nG92 X0\n", "does not belong"),
        (r"\nG21\n", "\nG1 X10 Y\n", "does not belong"),
        (r"\nG21\n", "\n$X\n", "does not belong"),
    ],
)
def test_sabotage_is_named(change: str, to: str, said: str) -> None:
    program = milled(part())
    broken = re.sub(change, to, program)
    assert broken != program
    assert said in words(broken)


def test_a_beam_that_burns_on_the_way_is_caught() -> None:
    broken = burned(part()).replace("G0 X", "G1 X").replace(" S0\nG1", " S900\nG1")
    assert "out of the part" in words(broken, BEAM)


def test_constant_power_is_not_ours() -> None:
    assert "does not belong" in words(burned(part()).replace("M4 S0", "M3 S0"), BEAM)
