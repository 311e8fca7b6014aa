"""What goes down the line to GRBL: short ASCII lines, a clean header, nothing that stays behind."""

from hypothesis import given
from hypothesis import strategies as st

from fablab_agents.prepare import post
from fablab_agents.prepare.recipes import Burning, Milling

STROKE = ((1.0, 2.0, 0.0), (1.0, 2.0, -1.0), (5.0004, 2.0, -1.0), (5.0, 2.0, -1.0))


def test_a_mill_program_word_for_word() -> None:
    text = post.mill_program("a part", [STROKE], Milling(800, 250, 10_000, 5))
    assert text.splitlines() == [
        "(a part)", "G21", "G90", "G17", "G94", "M5", "G0 Z5", "M3 S10000", "G4 P3",
        "G0 X1 Y2", "G1 Z0.5 F800", "G1 Z0 F250", "G1 Z-1", "G1 X5 F800", "G0 Z5",
        "M5", "G0 X0 Y0", "M2",
    ]  # fmt: skip


def test_a_laser_program_word_for_word() -> None:
    text = post.laser_program("a part", [STROKE], Burning(300, 900))
    assert text.splitlines() == [
        "(a part)", "G21", "G90", "G17", "G94", "M5 S0", "M4 S0",
        "G0 X1 Y2 S0", "G1 X5 Y2 F300 S900", "M5 S0", "G0 X0 Y0", "M2",
    ]  # fmt: skip


@given(st.text(max_size=300))
def test_no_title_breaks_out_of_its_comment(title: str) -> None:
    text = post.mill_program(title, [], Milling(800, 250, 10_000, 5))
    header = f"\n{text}".partition("\nG21\n")[0]
    assert text.isascii()
    assert all(len(line) <= 79 for line in text.split("\n"))
    assert all(line[0] == "(" and line[-1] == ")" for line in header.split("\n") if line)
    assert header.count("(") == header.count(")") == len(title.splitlines())


@given(st.floats(-1e4, 1e4))
def test_numbers_are_plain_and_near(value: float) -> None:
    text = post.number(value)
    assert abs(float(text) - value) <= 5.001e-4
    assert "e" not in text
    assert text != "-0"
