"""The last look at a print program: the true one passes, each kind of damage is named."""

import re
from itertools import pairwise

import numpy as np
import pytest

from fablab_agents.prepare import beads, lastlook, sections, supports
from fablab_agents.prepare.order import Looked, Printing
from tests.fablab_agents.prepare.tee import tee

WANT = Printing(
    layer_mm=0.2, first_layer_mm=0.2, filament_mm=1.75, temperatures_c=frozenset({60.0, 210.0})
)
SIDE, HEIGHT, WIDTH = 20.0, 4.0, 0.45
AREA_MM2 = 0.2 * (WIDTH - 0.2 * (1 - np.pi / 4))
PER_MM = AREA_MM2 / (np.pi / 4 * 1.75**2)


def box_triangles() -> np.ndarray:
    corners = [[x, y, z] for z in (0, HEIGHT) for y in (0, SIDE) for x in (0, SIDE)]
    faces = [
        (0, 2, 1), (1, 2, 3), (4, 5, 6), (5, 7, 6), (0, 1, 4), (1, 5, 4),
        (2, 6, 3), (3, 6, 7), (0, 4, 2), (2, 4, 6), (1, 3, 5), (3, 7, 5),
    ]  # fmt: skip
    return np.array(corners, dtype=float)[np.array(faces)]


def program(shift: float = 0.0, layers: int = 20) -> str:
    """A box of walls, as a slicer would lay it down."""
    lines = ["M140 S60", "M104 S210", "G28", "M190 S60", "M109 S210", "M83", "G1 Z5 F600"]
    low, high = WIDTH / 2 + shift, SIDE - WIDTH / 2 + shift
    for layer in range(1, layers + 1):
        lines += [
            "G1 E-0.8 F2400",
            f"G1 Z{layer * 0.2:.3f} F600",
            f"G1 X{low} Y{low} F7800",
            "G1 E0.8 F2400",
        ]
        for x, y in ((high, low), (high, high), (low, high), (low, low)):
            lines.append(f"G1 X{x:.3f} Y{y:.3f} E{(high - low) * PER_MM:.5f} F1800")
    return "\n".join([*lines, "M104 S0", "M140 S0", "M84"]) + "\n"


def said(text: str) -> str:
    findings, _ = lastlook.look(text, box_triangles(), WANT)
    return "; ".join(map(str, findings))


def test_a_true_program_passes_and_its_figures_are_right() -> None:
    findings, facts = lastlook.look(program(), box_triangles(), WANT)
    assert findings == ()
    laid = 20 * 4 * (SIDE - WIDTH) * AREA_MM2
    assert facts == Looked(20, pytest.approx(laid, rel=1e-3), 0.0)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (program(shift=2.0), "off the part's outline"),
        (program(layers=17), "it ends at 3.40 mm"),
        (re.sub(r"G1 Z2\.000(.|\n)*?(?=G1 E-0\.8)", "", program()), "a layer is missing"),
        (program().replace("S210", "S260"), "260"),
        (re.sub(r"M10[49] S210\n", "", program()).replace("S60", "S0"), "never heats"),
        (re.sub(r" E[0-9.]+ F1800", " F1800", program()), "lays down nothing"),
        (re.sub(r"(Y[0-9.]+) E[0-9.]+ F1800", r"\1 E12 F1800", program()), "cm³"),
    ],
    ids=["shifted", "cut off", "layer gone", "too hot", "cold", "dry", "flood"],
)
def test_damage_is_named(broken: str, words: str) -> None:
    assert broken != program()
    assert words in said(broken)


def test_a_lost_wall_is_told_with_how_much_of_it() -> None:
    last = f"G1 X{WIDTH / 2} Y{WIDTH / 2} E"
    holed = "\n".join(
        line.replace(" E", " ;") if line.startswith(last) else line
        for line in program().split("\n")
    )
    findings, facts = lastlook.look(holed, box_triangles(), WANT)
    assert facts.lost_mm == pytest.approx(SIDE, abs=2)
    assert "too thin for the nozzle" in str(findings[0])


# ── support


def ring(x: float, y: float, z: float, mark: str = "") -> str:
    """A wall of one bead within the sides ±x, ±y, its top at z."""
    x, y = x - WIDTH / 2, y - WIDTH / 2
    corners = [(-x, -y), (x, -y), (x, y), (-x, y), (-x, -y)]
    return bead(corners, z, mark)


def bead(corners: list[tuple[float, float]], z: float, mark: str = "", much: float = 1) -> str:
    """A bead along the corners, its top at z; called by that mark."""
    lines = [mark or ";TYPE:Part", f"G1 Z{z:.3f} F600", "G1 X{} Y{}".format(*corners[0])]
    for a, b in pairwise(corners):
        lines.append(f"G1 X{b[0]} Y{b[1]} E{much * np.hypot(b[0] - a[0], b[1] - a[1]) * PER_MM}")
    return "\n".join(lines)


def printed(*more: str, mark: str = beads.SUPPORT) -> str:
    """A T whose arms stand on support that is called by that mark, and more."""
    tops = [round(0.2 * layer, 3) for layer in range(1, 71)]
    part = [ring(4 if z <= 10 else 12, 5, z) for z in tops]
    below = [bead([(5, -4), (5, 4), (11, 4)], z, mark) for z in tops if z < 9.9]
    return "\n".join(["M104 S210", "M83", *part, *below, *more])


def looked(text: str, standing: str = "anywhere") -> tuple[str, Looked]:
    corners, faces = tee()
    want = WANT.model_copy(update={"supports": standing})
    findings, figures = lastlook.look(text, corners[faces], want)
    return "; ".join(map(str, findings)), figures


def test_support_below_what_hangs_over_is_no_part_and_counted() -> None:
    for mark in (beads.SUPPORT, ";TYPE:Support material interface"):
        findings, figures = looked(printed(mark=mark))
        assert findings == ""
        assert figures.support_mm3 == pytest.approx(49 * 14 * AREA_MM2, rel=1e-3)
        assert figures.layers == 70


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (printed(bead([(13.5, 0), (16, 0)], 0.2, beads.SUPPORT)), "X 13.8 Y 0.0, height 0.2 mm"),
        (printed(bead([(8, 0), (300, 0)], 3.0, beads.SUPPORT)), "X 13.2 Y 0.0, height 3 mm"),
        (printed(bead([(8, 0), (10, 0)], 14.0, beads.SUPPORT)), "below nothing that hangs over"),
        (printed(bead([(0, -3), (0, 3)], 10.4, beads.SUPPORT)), "below nothing that hangs over"),
        (printed(bead([(-2, -3), (-2, 3)], 5.0, beads.SUPPORT)), "below nothing that hangs over"),
        (printed(bead([(3.3, -3), (3.3, 3)], 5.0, beads.SUPPORT)), "lies inside the part"),
        (printed(bead([(5, -4), (5, 4)], 5.0, beads.SUPPORT, 9999)), "have no room"),
        (printed(mark=";TYPE:Skirt"), "off the part's outline"),
        (printed().replace(";TYPE:Part", beads.SUPPORT), "lays down nothing"),
    ],
    ids=["beside", "far", "in the arm", "above the stem", "in the stem", "in its wall", "flood",
         "unmarked", "all of it"],
)  # fmt: skip
def test_what_is_called_support_where_none_is_needed_is_refused(text: str, words: str) -> None:
    assert words in looked(text)[0]


def test_support_that_nobody_ordered_is_refused() -> None:
    assert "support that nobody ordered" in looked(printed(), "none")[0]


def test_support_from_the_bed_does_not_stand_on_the_part() -> None:
    corners, faces = tee()
    upside_down = (corners * (1, -1, -1) + (0, 0, 14))[faces]
    upper, want = corners[faces] + (0, 0, 20), WANT.model_copy(update={"supports": "from_bed"})
    for x, says in ((8, "stands on the part"), (12.8, "")):
        laid = beads.read(bead([(x, -3), (x, 3)], 6.0, beads.SUPPORT), 1.75)
        both = np.concatenate([upside_down, upper])
        found = [str(each) for each in supports.bounded(laid, both, want)]
        assert (says in found[0]) if says else not found
    assert looked(printed(), "from_bed")[0] == ""


def test_what_an_outline_encloses() -> None:
    corners, faces = tee()
    arms = sections.section(corners[faces], 12.0)
    places = np.array([(0, 0), (11.9, 4.9), (12.1, 0), (0, 5), (-30, 0), (0, -5.01)], dtype=float)
    assert sections.inside(places, arms).tolist()[:3] == [True, True, False]
    assert sections.inside(places, arms).tolist()[4:] == [False, False]


def test_what_was_drawn_back_is_no_bead() -> None:
    found = beads.read("G1 Z0.2\nG1 X0 Y0 E-5\nG1 X10 Y0 E5\nG1 X20 Y0 E1", 1.75)
    assert found.volume_mm3.tolist() == [pytest.approx(np.pi / 4 * 1.75**2)]
