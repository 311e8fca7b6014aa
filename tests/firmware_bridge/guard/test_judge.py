"""The guard's door: files, bytes, sizes; and what holds for any bytes whatever."""

import ast
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge import gcode, guard, profiles
from firmware_bridge.guard import RULES, Verdict, judge

PRINTER = profiles.load("generic-fdm-220")
MILL = profiles.load("generic-cnc-3018")
LASER = profiles.load("generic-laser-400")
GOOD = (
    b"G21\nG90\nM82\nG28\nM140 S60\nM104 S200\nM190 S60\nM109 S200\nG92 E0\n; \xc3\xa9\n"
    b"G1 Z0.2 F3000\nG1 X20 Y20\nG1 X60 Y20 E2 F1200\nG2 X60 Y20 I10 J0 E4\nM106 S128\n"
    b"M104 S0\nM140 S0\nM107\nG28 X\nM84\n"
)


def told(verdict: Verdict) -> tuple[str, set[str]]:
    return verdict.decision, {finding.rule for finding in verdict.findings}


def test_the_good_program_is_good() -> None:
    assert told(judge(GOOD, PRINTER)) == ("accept", set())


def test_a_file_and_its_bytes_are_judged_alike(tmp_path: Path) -> None:
    path = tmp_path / "good.gcode"
    path.write_bytes(GOOD)
    assert judge(path, PRINTER) == judge(GOOD, PRINTER)


def test_what_is_no_readable_file_is_rejected(tmp_path: Path) -> None:
    assert told(judge(tmp_path / "missing.gcode", PRINTER)) == ("reject", {"file"})
    assert told(judge(tmp_path, PRINTER)) == ("reject", {"file"})
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert told(judge(pipe, PRINTER)) == ("reject", {"file"})
    assert told(judge(Path("/dev/zero"), PRINTER)) == ("reject", {"file"})
    assert told(judge(tmp_path / ("x" * 400), PRINTER)) == ("reject", {"file"})
    assert told(judge(Path("a\0b"), PRINTER)) == ("reject", {"file"})


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "mine.gcode"
    path.write_bytes(GOOD)
    path.chmod(0)
    assert told(judge(path, PRINTER)) == ("reject", {"file"})


def test_size_is_limited_before_and_after_reading(tmp_path: Path) -> None:
    path = tmp_path / "good.gcode"
    path.write_bytes(GOOD)
    lines, size = GOOD.count(b"\n"), len(GOOD)
    for limits, fine in (
        ({"lines_max": lines, "bytes_max": size}, True),
        ({"lines_max": lines - 1}, False),
        ({"bytes_max": size - 1}, False),
    ):
        small = PRINTER.model_copy(update=limits)
        expected = ("accept", set[str]()) if fine else ("reject", {"size"})
        assert told(judge(GOOD, small)) == expected
        assert told(judge(path, small)) == expected
    # the last line counts whether or not it is ended
    assert (
        told(judge(GOOD + b"M84", PRINTER.model_copy(update={"lines_max": lines})))[0] == "reject"
    )


def test_a_file_too_large_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "endless.gcode"
    with path.open("wb") as file:
        file.truncate(PRINTER.bytes_max + 1)
    verdict = judge(path, PRINTER)
    assert told(verdict) == ("reject", {"size"})
    assert verdict.facts.lines == 0


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"GCDE\1\0\0\0", "binary G-code"),
        (b"PK\3\4" + GOOD, "packed"),
        (b"\xef\xbb\xbf" + GOOD, "byte order mark"),
        (GOOD.decode().encode("utf-16"), "UTF-16"),
        (b"\xfe\xff" + GOOD, "UTF-16"),
    ],
)
def test_what_only_looks_like_a_program_is_named(data: bytes, word: str) -> None:
    verdict = judge(data, PRINTER)
    assert verdict.decision == "reject"
    assert verdict.findings[0].rule == "file"
    assert word in verdict.findings[0].message


@pytest.mark.parametrize("profile", [PRINTER, LASER, MILL], ids=lambda profile: profile.name)
@pytest.mark.parametrize("bad", [b"\0", b"\x18", b"\x1b", b"\x0b", b"\x0c", b"\x7f", b"\x01"])
def test_control_characters_outside_comments(profile: profiles.MachineProfile, bad: bytes) -> None:
    assert judge(b"G21\nG90\nG1 X20" + bad + b" F600\n", profile).decision == "reject"


def test_a_control_character_and_its_line_are_told() -> None:
    verdict = judge(GOOD + b"M107\0M104 S999\n", PRINTER)
    assert next((f.rule, f.line) for f in verdict.findings) == ("control", 21)
    assert "0x00" in verdict.findings[0].message
    hidden = judge(GOOD + b"G28 X\rM104 S999\n", PRINTER)
    assert next((f.rule, f.line) for f in hidden.findings) == ("control", 21)
    assert judge(GOOD + b"G28 X\r", PRINTER).decision == "accept"
    assert judge(GOOD + b"; G28 X\rM104 S999\n", PRINTER).decision == "reject"


def test_materials_that_must_not_meet_a_laser() -> None:
    program = b"G21\nG90\nG0 X10 Y10\nM4 S0\nG1 X50 S500 F1000\nM5\nG0 X0 Y0\nM2\n"
    assert judge(program, LASER).decision == "accept"
    assert told(judge(program, LASER, material="pvc")) == ("reject", {"material"})


def test_the_footer_of_each_kind_of_machine() -> None:
    assert guard.footer(PRINTER) == b"M104 S0\nM140 S0\nM107\n"
    assert guard.footer(LASER) == guard.footer(MILL) == b"M5\n"


def test_every_rule_is_explained_and_every_explanation_is_used() -> None:
    used = {"left low"} & RULES.keys()
    for path in Path(guard.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in RULES and path.name != "rules.py":
                used.add(str(node.value))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                first = node.args[0] if node.args else None
                if node.func.attr in ("reject", "review", "note") and isinstance(
                    first, ast.Constant
                ):
                    assert first.value in RULES, f"{path.name}:{node.lineno} {first.value}"
    assert used == RULES.keys()


def test_no_single_byte_makes_the_guard_raise() -> None:
    chance = random.Random(7)
    for _ in range(2000):
        bad = bytearray(GOOD)
        bad[chance.randrange(len(bad))] = chance.randrange(256)
        assert judge(bytes(bad), PRINTER).decision in ("accept", "review", "reject")


LINES = GOOD.split(b"\n")
WORDS = st.sampled_from(
    [*b"G0 G1 G2 G28 G4 G90 G91 G92 M82 M83 M104 M109 M140 M117 T0".split(),
     *b"X10 Y-5 Z.3 E5 F900 I4 J0".split(),
     b"(", b")", b";", b"*", b"\r", b"\t", b"//", b"\xa0", b"\xc2\x85", b"S", b"R9", b"P1"]
)  # fmt: skip
BODY = st.lists(st.lists(WORDS, max_size=5).map(b" ".join) | st.binary(max_size=30), max_size=12)


@settings(max_examples=400, deadline=None)
@given(BODY, st.integers(0, len(LINES)), st.sampled_from([PRINTER, MILL, LASER]))
def test_any_bytes_are_judged_and_what_is_accepted_can_be_sent(
    body: list[bytes], at: int, profile: profiles.MachineProfile
) -> None:
    data = b"\n".join([*LINES[:at], *body, *LINES[at:]])
    verdict = judge(data, profile)
    if verdict.decision == "reject":
        return
    for _, command in gcode.commands(data):  # raises where a byte must not reach the wire
        assert len(command) <= profile.line_max_bytes
        assert b"\r" not in command
        assert not any(byte < 32 or byte > 126 for byte in command)


PLACES = st.floats(-50, 300, allow_nan=False).map(lambda at: round(at, 3))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), PLACES, PLACES, PLACES), min_size=1, max_size=8))
def test_a_printer_never_leaves_its_envelope(moves: list[tuple[bool, float, float, float]]) -> None:
    """An independent reading of the same moves: outside on any of them, and only then, is told."""
    lines, at, outside = ["G28"], [0.0, 0.0, 0.0], False
    for relative, *place in moves:
        lines += ["G91" if relative else "G90", "G1 X{:.3f} Y{:.3f} Z{:.3f}".format(*place)]
        at = [a + p for a, p in zip(at, place, strict=True)] if relative else list(place)
        edges = zip(at, PRINTER.machine_max_mm, strict=True)
        outside |= any(not -1e-3 <= value <= top + 1e-3 for value, top in edges)
    verdict = judge("\n".join(lines).encode(), PRINTER)
    assert ("envelope" in told(verdict)[1]) == outside


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 400).map(lambda c: round(c, 2)), st.sampled_from(["M104", "M109", "M140"]))
def test_no_heat_beyond_the_limit(target: float, code: str) -> None:
    top = 100 if code == "M140" else 260
    verdict = judge(GOOD + f"{code} S{target:.2f}\n".encode(), PRINTER)
    assert (verdict.decision == "reject") == (target > top)
    assert bool(verdict.footer) == (target > 0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-3, 9).map(lambda e: round(e, 3)), min_size=1, max_size=25))
def test_no_pile_of_filament_in_one_place(pushes: list[float]) -> None:
    fed = most = 0.0
    for push in pushes:
        fed += push
        most = max(most, fed)
    body = "M83\n" + "".join(f"G1 E{push:.3f} F300\n" for push in pushes)
    verdict = judge(GOOD.replace(b"G92 E0\n", b"G92 E0\n" + body.encode() + b"M82\n"), PRINTER)
    assert ("blob" in told(verdict)[1]) == (most > 30) or most == pytest.approx(30, abs=0.01)


@pytest.mark.skipif(shutil.which("prusa-slicer") is None, reason="PrusaSlicer is not installed")
@pytest.mark.parametrize("flavour", ["marlin", "marlin2"])
def test_untouched_slicer_output_is_accepted(flavour: str, tmp_path: Path) -> None:
    stl, out = tmp_path / "wedge.stl", tmp_path / "wedge.gcode"
    stl.write_text(_wedge(20, 15, 8))
    command = ["prusa-slicer", "--export-gcode", "--gcode-flavor", flavour, "--center", "110,110"]
    rest = ["--filament-diameter", "1.75", "--bed-temperature", "60", "-o", str(out), str(stl)]
    subprocess.run([*command, *rest], check=True, capture_output=True)
    verdict = judge(out, PRINTER, material="pla")
    assert told(verdict) == ("accept", {"left on"}), verdict.findings
    assert verdict.facts.bbox_mm is not None
    assert 19 < verdict.facts.bbox_mm[1][0] - verdict.facts.bbox_mm[0][0] < 40  # and its skirt
    assert 20 < verdict.facts.layers < 30


def _wedge(x: float, y: float, z: float) -> str:
    a, b, c = (0, 0, 0), (x, 0, 0), (0, y, 0)
    d, e, f = (0, 0, z), (x, 0, z), (0, y, z)
    faces = ((a, c, b), (d, e, f), (a, b, e), (a, e, d), (b, c, f), (b, f, e), (c, a, d), (c, d, f))
    text = "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join(f"vertex {p[0]} {p[1]} {p[2]}\n" for p in face)
        + "endloop\nendfacet\n"
        for face in faces
    )
    return f"solid wedge\n{text}endsolid wedge\n"
