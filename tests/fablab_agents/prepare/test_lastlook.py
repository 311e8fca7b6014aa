"""The last look at a print program: the true one passes, each kind of damage is named."""

import re

import numpy as np
import pytest

from fablab_agents.prepare import beads, lastlook
from fablab_agents.prepare.order import Looked, Printing

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


def test_what_was_drawn_back_is_no_bead() -> None:
    found = beads.read("G1 Z0.2\nG1 X0 Y0 E-5\nG1 X10 Y0 E5\nG1 X20 Y0 E1", 1.75)
    assert found.volume_mm3.tolist() == [pytest.approx(np.pi / 4 * 1.75**2)]
