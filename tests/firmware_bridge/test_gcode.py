"""Lines into commands and words; where a program ends."""

import pytest

from firmware_bridge import gcode


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("G1 X5 ; say (this)", "G1 X5"),
        ("(move) G1 X5 (there) Y6", "G1 X5   Y6"),
        ("; only words", ""),
        ("  G28\r\n", "G28"),
        ("(a ; b) G1", "G1"),
        ("(Pocket (copy)) G1", "G1"),
        ("; (a) G1", ""),
        ("%", ""),
        ("%wait", "%wait"),
        ("G1 (open", "G1 (open"),
    ],
)
def test_a_line_is_stripped_to_its_command(line: str, command: str) -> None:
    assert gcode.strip(line) == command
    told = list(gcode.commands(line.encode()))
    assert told == ([(1, command.encode())] if command else [])


def test_commands_count_lines_and_refuse_what_no_machine_reads() -> None:
    program = b"; caf\xc3\xa9\nG28\r\n\n(caf\xc3\xa9) G1 X1\nM5"
    assert list(gcode.commands(program)) == [(2, b"G28"), (4, b"G1 X1"), (5, b"M5")]
    with pytest.raises(ValueError, match="line 2"):
        list(gcode.commands("G28\nM117 café\n".encode()))


def test_words() -> None:
    assert gcode.words("g1x-.5 Y+2. f1500") == (("G", 1), ("X", -0.5), ("Y", 2), ("F", 1500))
    assert gcode.words("G28 X") == (("G", 28), ("X", None))
    assert gcode.words("M104 S{t}") is None


@pytest.mark.parametrize(
    ("program", "place"),
    [
        ("G0 X1 Y2 Z3\nG1 X5", {"X": ("work", 5), "Y": ("work", 2), "Z": ("work", 3)}),
        ("G20\nG0 X1\nG21\nG91\nG1 X0.6", {"X": ("work", 26)}),
        ("G91\nG1 X5", {}),
        ("G0 X5 Z1\nG53 G0 Z0", {"X": ("work", 5), "Z": ("machine", 0)}),
        ("G0 X5\nG92 X0\nG0 Y1", {"Y": ("work", 1)}),
        ("G0 X5\nG28\n", {}),
        ("G0 X5 Y5\nG2 X9 Y9 I2 J2", {"X": ("work", 9), "Y": ("work", 9)}),
        ("G0 X5\nG4 P1\nG91.1\nG1 X7", {"X": ("work", 7)}),
    ],
)
def test_where_a_program_ends(program: str, place: dict[str, gcode.Place]) -> None:
    found = gcode.end_position(gcode.commands(program.encode()))
    assert {axis: (frame, round(at, 6)) for axis, (frame, at) in found.items()} == place
