"""The guard against programs that are broken, hostile, or exactly right."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware_bridge import profiles
from firmware_bridge.guard import Stock, Verdict, judge

PRINTER = profiles.load("generic-fdm-220")
MILL = profiles.load("generic-cnc-3018")
LASER = profiles.load("generic-laser-400")

PRINT_HEAD = "G21\nG90\nM82\nG28\nM140 S60\nM104 S200\nM190 S60\nM109 S200\nG92 E0\n"
PRINT_LINE = "G1 Z0.2 F3000\nG1 X20 Y20\nG1 X60 Y20 E2 F1200\n"
PRINT_TAIL = "M104 S0\nM140 S0\nM107\nG28 X\nM84\n"
MILL_HEAD = "G21\nG90\nG0 Z5\nM3 S8000\nG0 X10 Y10\n"
MILL_TAIL = "G0 Z5\nM5\nG0 X0 Y0\nM2\n"
LASER_HEAD = "G21\nG90\nG0 X10 Y10\nM4 S0\n"
LASER_TAIL = "M5\nG0 X0 Y0\nM2\n"


def printed(body: str) -> bytes:
    return (PRINT_HEAD + PRINT_LINE + body + "\n" + PRINT_TAIL).encode("latin-1")


def milled(body: str) -> bytes:
    return (MILL_HEAD + body + "\n" + MILL_TAIL).encode("latin-1")


def burnt(body: str) -> bytes:
    return (LASER_HEAD + body + "\n" + LASER_TAIL).encode("latin-1")


def rules(verdict: Verdict) -> set[str]:
    return {finding.rule for finding in verdict.findings}


# name, body, decision, rule
PRINTER_CASES = [
    ("hotend 999", "M104 S999", "reject", "temperature"),
    ("bed 140", "M140 S140", "reject", "temperature"),
    ("wait by R", "M109 R300", "reject", "temperature"),
    ("negative heat", "M104 S-5", "reject", "temperature"),
    ("second tool", "M104 T1 S200", "reject", "words"),
    ("lower case", "m104s999", "reject", "spelling"),
    ("decimal code", "M104.0 S300", "reject", "spelling"),
    ("leading zero", "M0104 S300", "reject", "spelling"),
    ("plus sign", "M+104 S300", "reject", "spelling"),
    ("unspaced", "M104S300", "reject", "spelling"),
    ("exponent", "G1 X1e9", "reject", "spelling"),
    ("own number", "N5 M104 S999*97", "reject", "numbered"),
    ("own checksum", "M104 S200*33", "reject", "numbered"),
    ("nul byte", "M104 S200\0M104 S999", "reject", "control"),
    ("hidden by return", "G1 X20\rM104 S999", "reject", "control"),
    ("long line", "G1 X" + "1" * 300, "reject", "length"),
    ("long message", "M117 " + "a" * 300, "reject", "length"),
    ("beyond ascii", "M117 caf\u00e9", "reject", "ascii"),
    ("cold by M302", "M302 P1\nG1 E50", "reject", "code"),
    ("cold", "M104 S0\nG1 X70 E3", "reject", "cold"),
    ("not waited for", "M109 S0\nM104 S200\nG1 X70 E3", "reject", "cold"),
    ("steps and eeprom", "M92 X400\nM500", "reject", "code"),
    ("eeprom defaults", "M502", "reject", "code"),
    ("pid tuning", "M303 E0 S250 C99", "reject", "code"),
    ("probe offset", "M851 Z-5", "reject", "code"),
    ("sd write", "M28 evil.g", "reject", "spelling"),
    ("sd start", "M24", "reject", "code"),
    ("macro", "M810 M104 S999|G28", "reject", "spelling"),
    ("power off", "M81", "reject", "code"),
    ("kill", "M112", "reject", "code"),
    ("firmware update", "M997", "reject", "code"),
    ("below the bed", "G1 Z-1 F600", "reject", "envelope"),
    ("beyond X", "G1 X220.01 F600", "reject", "envelope"),
    ("beyond by steps", "G91\nG1 X200 F600\nG90", "reject", "envelope"),
    ("shifted zero", "G92 X-500\nG1 X0", "reject", "offset"),
    ("bare G92", "G92", "reject", "offset"),
    ("arc bulges out", "G1 X0 Y100 F600\nG2 X10 Y100 I500 J0", "reject", "arc"),
    ("arc leaves", "G1 X10 Y100 F600\nG3 X10 Y20 I0 J-40", "reject", "envelope"),
    ("feed too high", "G1 X30 F1000000", "reject", "feed"),
    ("feed zero", "G1 X30 F0", "reject", "feed"),
    ("feed negative", "G1 X30 F-5", "reject", "feed"),
    ("two feeds", "G1 F600 X30 F1000000", "reject", "words"),
    ("word twice", "M104 S200 S999", "reject", "words"),
    ("second code", "G28 M104 S999", "reject", "words"),
    ("words at a mode", "G90 X5", "reject", "words"),
    ("home on the part", "G1 X100 E40 F1200\nG28 Z", "review", "homing"),
    ("motors off, then on", "M84\nG1 X50 F600", "reject", "homing"),
    ("a blob", "G1 E1000 F6000", "reject", "blob"),
    ("a blob by bits", "G92 E0\n" + "\n".join(f"G1 E{n}" for n in range(1, 40)), "reject", "blob"),
    ("a fat line", "G92 E0\nG1 X61 E10", "reject", "blob"),
    ("a day of heat", "G4 S86400", "reject", "dwell"),
    ("many waits", "\n".join(["G4 S59"] * 40), "reject", "dwell"),
    ("a hot-end fan", "M106 P1 S0", "reject", "setting"),
    ("fan of a tool", "M107 P1", "reject", "setting"),
    ("waits for a person", "M0", "review", "person"),
    ("filament change", "M600", "review", "person"),
    ("sawtooth", "M104 S0\nM104 S250\n" * 8, "reject", "swings"),
    ("acceleration", "M201 X900000", "reject", "setting"),
    ("flow", "M221 S400", "reject", "setting"),
    ("speed", "M220 S900", "reject", "setting"),
    ("pull back", "G92 E0\nG1 E-80 F1200", "review", "retraction"),
    ("inches", "G20", "reject", "code"),
    ("placeholder", "M104 S{temperature}", "reject", "spelling"),
    ("host command", "@pause", "reject", "spelling"),
    ("open bracket", "G1 X10 (oops", "reject", "spelling"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "decision", "rule"), PRINTER_CASES)
def test_a_printer_refuses(name: str, body: str, decision: str, rule: str) -> None:
    verdict = judge(printed(body), PRINTER)
    assert (verdict.decision, rule in rules(verdict)) == (decision, True), verdict.findings


def test_the_frame_of_these_cases_is_itself_accepted() -> None:
    for program, profile in (
        (printed(""), PRINTER),
        (milled("G1 Z-1 F100\nG1 X50 F300"), MILL),
        (burnt("G1 X50 S500 F1000"), LASER),
    ):
        verdict = judge(program, profile)
        assert verdict.decision == "accept", verdict.findings


@pytest.mark.parametrize(
    "body",
    [
        "G1 X220.000 Y220 Z250 F3000",
        "M104 S260\nM140 S100",
        "G1 X30 Y30 ; a comment: $H ! ~ ? \u00e9 M104 S999, of any length " + "x" * 500,
        "; M112 in a comment",
        "M117 Layer 3 * of 20",
        "M73 P50 R3\nM105\nM201 X9000 Y9000 Z500 E10000\nM203 X500 Y500 Z12 E120",
        "M204 P1500 R1500 T1500\nM205 X8.00 Y8.00 Z0.40 E4.50\nM221 S95\nM900 K0.05",
        "M83\nG1 X70 E.5\nG1 E-.8 F2400\nG1 E.8\nM82\nG92 E0",
        "G2 X60 Y20 I10 J0 E4",
        "G10\nG11\nM400\nG4 P500\nT0",
        "G1 X30 Y30\r",
    ],
)  # fmt: skip
def test_a_printer_accepts(body: str) -> None:
    verdict = judge(printed(body), PRINTER)
    assert verdict.decision == "accept", verdict.findings


def test_a_printer_wants_homing_first_and_heat_off_at_the_end() -> None:
    unhomed = judge(b"G21\nG90\nG1 X10 F600\n", PRINTER)
    assert rules(unhomed) == {"homing"}
    lifted = judge(b"G91\nG1 Z5 F600\nG90\nG28\nG1 X10 F3000\n", PRINTER)
    assert lifted.decision == "accept", lifted.findings
    half = judge(b"G28 X Y\nG1 X10 F600\nG1 Z5\n", PRINTER)
    assert [f.line for f in half.findings] == [3]
    hot = judge((PRINT_HEAD + PRINT_LINE).encode(), PRINTER)
    assert (hot.decision, rules(hot)) == ("accept", {"left on"})
    assert hot.footer.startswith(b"M104 S0\nM140 S0\n")


def test_a_material_narrows_the_temperatures() -> None:
    program = printed("M104 S255")
    assert judge(program, PRINTER).decision == "accept"
    assert rules(judge(program, PRINTER, material="pla")) == {"temperature"}
    assert rules(judge(printed("G1 X70 E3"), PRINTER, material="abs")) == {"cold"}
    assert rules(judge(printed(""), PRINTER, material="unobtainium")) == {"material"}


def test_facts_of_a_print() -> None:
    facts = judge(printed("G1 X60 Y60 E4\nG1 E2 F2400\nG1 E4"), PRINTER).facts
    assert facts.bbox_mm == ((20, 20, 0.2), (60, 60, 0.2))
    assert facts.extruded_mm3 == pytest.approx(4 * 2.40528, rel=1e-4)
    # 0.2 mm up, 28.284 mm over, two lines of 40 mm and two pulls of 2 mm; homing X takes no path
    expected = (0.2 + 800**0.5) * 60 / 3000 + 80 * 60 / 1200 + 4 * 60 / 2400
    assert facts.seconds == pytest.approx(expected, rel=1e-3)


MILL_CASES = [
    ("reset byte", "G1 X10\x18", "reject", "control"),
    ("real-time hold", "G1 X20!", "reject", "realtime"),
    ("real-time go", "~", "reject", "realtime"),
    ("status", "G1 X20 ?", "reject", "realtime"),
    ("door byte", "G1 X20\x84", "reject", "ascii"),
    ("a setting", "$100=10", "reject", "realtime"),
    ("homing", "$H", "reject", "realtime"),
    ("program mark", "%", "reject", "realtime"),
    ("an O word", "o100 sub", "reject", "spelling"),
    ("a variable", "#1=5", "reject", "spelling"),
    ("block delete", "/G1 X5", "reject", "spelling"),
    ("no spindle", "M5\nG1 Z-1 F100\nG1 X50", "reject", "spindle"),
    ("spindle at zero", "M3 S0\nG1 Z-1 F100\nG1 X50", "reject", "spindle"),
    ("spindle too fast", "M3 S30000", "reject", "power"),
    ("offset write", "G10 L2 P1 X100", "reject", "code"),
    ("home here", "G28.1", "reject", "code"),
    ("offsets off", "G92.1", "reject", "code"),
    ("shift", "G92 X-50", "reject", "code"),
    ("tool length", "G43.1 Z5", "reject", "code"),
    ("tool change", "M6 T1", "review", "person"),
    ("stop", "M0", "review", "person"),
    ("reverse spindle", "M4 S8000", "review", "person"),
    ("other zero", "G55", "review", "person"),
    ("probing", "G38.2 Z-5 F50", "review", "person"),
    ("coolant", "M8", "reject", "code"),
    ("too deep", "G1 Z-12.3 F100", "reject", "depth"),
    ("beyond Y", "G1 Z-1 F100\nG1 Y181", "reject", "envelope"),
    ("beyond by inches", "G20\nG0 X12\nG21", "reject", "envelope"),
    ("beyond by steps", "G91\nG0 X295\nG90", "reject", "envelope"),
    ("machine coordinates", "G53 G0 X999", "reject", "envelope"),
    ("arc out of reach", "G1 Z-1 F100\nG1 X290 Y100\nG2 X290 Y60 J-20", "reject", "envelope"),
    ("arc that does not close", "G1 Z-1 F100\nG2 X50 Y10 I5 J0", "reject", "arc"),
    ("arc without radius", "G1 Z-1 F100\nG2 X50 Y10", "reject", "arc"),
    ("rapid through the stock", "G1 Z-1 F100\nG0 X50", "reject", "rapid"),
    ("rapid plunge", "G0 Z-5", "review", "rapid"),
    ("no feed", "G1 Z-1", "reject", "feed"),
    ("decimal code", "G1.0 X5 F100", "reject", "spelling"),
    ("two motions", "G0 G1 X5 F100", "reject", "words"),
    ("word twice", "G1 X5 X290 F100", "reject", "words"),
    ("a fourth axis", "G1 X5 A90 F100", "reject", "words"),
    ("own number", "N10 G1 X5 F100", "reject", "numbered"),
    ("dwell", "G4 P3600", "reject", "dwell"),
    ("long line", "G1 X5" + " " * 10 + "Y5" * 60, "reject", "length"),
    ("after the end", "M2\nG0 X5", "reject", "end"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "decision", "rule"), MILL_CASES)
def test_a_mill_refuses(name: str, body: str, decision: str, rule: str) -> None:
    verdict = judge(milled(body), MILL)
    assert (verdict.decision, rule in rules(verdict)) == (decision, True), verdict.findings


@pytest.mark.parametrize(
    "body",
    [
        "G00 X5 Y5\nG01 Z-1 F100\nX50\nG02 X60 Y15 I10 J0\nM05\nM03 S100\nM5",
        "G1Z-1F100\nG1X50Y20F300",
        "G53 G0 Z0\nG0 X10 Y10",
        "G40 G49 G17 G94 G54\nM9\nG4 P1.5",
        "(a comment with $ and !) G1 Z-1 F100 ; and ~ another",
        "G1 Z-12.2 F100",
        "G20\nG1 Z-0.04 F4\nG1 X1 F12\nG21",
        "G91\nG1 Z-6 F100\nG1 X5\nG90",
    ],
)
def test_a_mill_accepts(body: str) -> None:
    verdict = judge(milled(body), MILL)
    assert verdict.decision == "accept", verdict.findings


def test_depth_follows_the_stock() -> None:
    program = milled("G1 Z-6 F100\nG1 X50")
    assert judge(program, MILL, Stock(100, 100, 6)).decision == "accept"
    assert rules(judge(program, MILL, Stock(100, 100, 4))) == {"depth"}


def test_a_mill_lifts_its_tool_first() -> None:
    verdict = judge(b"G21\nG90\nG0 X10 Y10\nG0 Z5\nM2\n", MILL)
    assert rules(verdict) == {"start"}


def test_facts_of_a_milling() -> None:
    facts = judge(milled("G1 Z-1 F60\nG1 X50 F600\nG3 X50 Y30 I0 J10"), MILL).facts
    assert facts.bbox_mm is not None
    assert facts.bbox_mm[1] == pytest.approx((60, 30, 5))
    assert facts.cut_length_mm == pytest.approx(6 + 40 + 10 * 3.14159265)
    assert facts.end_mm == (0, 0, 5)


LASER_CASES = [
    ("beam in rapid", "M3 S500\nG1 X20 F1000\nG0 X50", "reject", "beam in rapid"),
    ("power in a rapid's line", "G0 X50 S500", "reject", "beam in rapid"),
    ("beam at rest", "M3\nG1 X20 S500 F1000\nG4 P2", "reject", "beam at rest"),
    ("power set at rest", "M3\nG1 X20 S0 F1000\nS500", "reject", "beam at rest"),
    ("constant power", "M3 S500\nG1 X20 F1000\nM5", "review", "constant power"),
    ("over power", "G1 X20 S1500 F1000", "reject", "power"),
    ("negative power", "G1 X20 S-1 F1000", "reject", "power"),
    ("air assist unasked", "M7", "reject", "code"),
    ("beyond", "G1 X401 S500 F1000", "reject", "envelope"),
]


@pytest.mark.parametrize(("name", "body", "decision", "rule"), LASER_CASES)
def test_a_laser_refuses(name: str, body: str, decision: str, rule: str) -> None:
    verdict = judge(burnt(body), LASER)
    assert (verdict.decision, rule in rules(verdict)) == (decision, True), verdict.findings


def test_a_laser_accepts_a_raster_and_modal_power_over_rapids() -> None:
    raster = "\n".join(
        f"G0 X10 Y{10 + row * 0.1:.1f}\n"
        + "\n".join(f"G1 X{10 + col} S{(col * 37 + row) % 1000} F3000" for col in range(1, 40))
        for row in range(20)
    )
    verdict = judge(burnt(raster), LASER)
    assert verdict.decision == "accept", verdict.findings


def test_a_laser_never_takes_pvc_and_ends_dark() -> None:
    program = burnt("G1 X50 S500 F1000")
    assert rules(judge(program, LASER, material="pvc")) == {"material"}
    assert judge(program, LASER, material="plywood").decision == "accept"
    on = judge(b"G21\nG90\nG0 X1 Y1\nM4 S500\nG1 X50 F1000\n", LASER)
    assert (on.decision, rules(on)) == ("review", {"left on"})


def test_unknown_zero_holds_the_extent_against_the_travel() -> None:
    lost = MILL.model_copy(update={"work_zero_mm": None})
    shifted = milled("G1 Z-1 F100\nG1 X-100 F600\nG1 X190")
    assert judge(shifted, MILL).decision == "reject"
    assert judge(shifted, lost).decision == "accept"
    assert rules(judge(milled("G1 Z-1 F100\nG1 X-200\nG1 X190"), lost)) == {"envelope"}


def test_empty_unreadable_and_endless_files(tmp_path: Path) -> None:
    assert rules(judge(b"", PRINTER)) == {"empty"}
    assert "file" in rules(judge(tmp_path / "missing.gcode", PRINTER))
    small = PRINTER.model_copy(update={"lines_max": 5, "bytes_max": 100})
    assert rules(judge(printed(""), small)) == {"size"}
    assert judge(bytes(range(256)) * 50, MILL).decision == "reject"


def test_no_single_byte_makes_the_guard_raise() -> None:
    chance = random.Random(7)
    program = bytearray(printed("G2 X60 Y20 I10 J0 E4\nG92 E0\nM106 S128"))
    for _ in range(3000):
        bad = bytearray(program)
        bad[chance.randrange(len(bad))] = chance.randrange(256)
        assert judge(bytes(bad), PRINTER).decision in ("accept", "review", "reject")


@pytest.mark.skipif(shutil.which("prusa-slicer") is None, reason="PrusaSlicer is not installed")
def test_untouched_slicer_output_is_accepted(tmp_path: Path) -> None:
    stl = tmp_path / "wedge.stl"
    stl.write_text(_wedge(20, 15, 8))
    for flavour in ("marlin", "marlin2"):
        out = tmp_path / f"{flavour}.gcode"
        command = ["prusa-slicer", "--export-gcode", "--gcode-flavor", flavour]
        fit = ["--center", "110,110", "--bed-temperature", "0", "--filament-diameter", "1.75"]
        subprocess.run([*command, *fit, "-o", str(out), str(stl)], check=True, capture_output=True)
        verdict = judge(out, PRINTER, material="pla")
        assert verdict.decision == "accept", verdict.findings
        assert verdict.facts.bbox_mm is not None
        width = verdict.facts.bbox_mm[1][0] - verdict.facts.bbox_mm[0][0]
        assert 19 < width < 40  # the part and its skirt


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
