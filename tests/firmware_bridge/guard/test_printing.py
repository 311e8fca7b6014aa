"""The guard of printers against programs that are broken, hostile, or exactly right."""

import math

import pytest

from firmware_bridge import profiles
from firmware_bridge.guard import RULES, Verdict, judge
from firmware_bridge.profiles import MachineProfile

PRINTER = profiles.load("generic-fdm-220")

HEAD = "G21\nG90\nM82\nG28\nM140 S60\nM104 S200\nM190 S60\nM109 S200\nG92 E0\n"
LINE = "G1 Z0.2 F3000\nG1 X20 Y20\nG1 X60 Y20 E2 F1200\n"
TAIL = "M104 S0\nM140 S0\nM107\nG28 X\nM84\n"


def printed(body: str, head: str = HEAD + LINE) -> bytes:
    return (head + body + "\n" + TAIL).encode("latin-1")


def told(verdict: Verdict) -> tuple[str, set[str]]:
    return verdict.decision, {finding.rule for finding in verdict.findings}


def like(profile: MachineProfile, **fdm: object) -> MachineProfile:
    assert profile.fdm is not None
    return profile.model_copy(update={"fdm": profile.fdm.model_copy(update=fdm)})


# name, body, the rules that are broken; any of PERSONAL alone is a review
CASES = [
    # how it is written
    ("lower case", "m104s999", {"spelling"}),
    ("lower case word", "G1 x30", {"spelling"}),
    ("decimal code", "M104.0 S300", {"spelling"}),
    ("leading zero", "M0104 S300", {"spelling"}),
    ("short leading zero", "G01 X30", {"spelling"}),
    ("a point and nothing", "G1. X30", {"spelling"}),
    ("plus sign", "M+104 S300", {"spelling"}),
    ("plus far away", "G1 X+300", {"envelope"}),
    ("two pluses", "G1 X++3", {"spelling"}),
    ("axes in one word", "G28 XY", {"spelling"}),
    ("glued", "M104S300", {"spelling"}),
    ("glued move", "G1X10Y10", {"spelling"}),
    ("apart", "G 1 X30", {"spelling"}),
    ("apart from its number", "G1 X 30", {"spelling"}),
    ("a tab", "G1\tX30", {"ascii"}),
    ("a tab in a message", "M117 a\tb", {"ascii"}),
    ("exponent", "G1 X1e9", {"spelling"}),
    ("small exponent", "G1 X1E1", {"spelling"}),
    ("no number", "G1 XNaN", {"spelling"}),
    ("infinite", "G1 Xinf", {"spelling"}),
    ("two points", "G1 X1.2.3", {"spelling"}),
    ("two signs", "G1 X--3", {"spelling"}),
    ("many digits", "G1 X00000000000000000001", {"spelling"}),
    ("hex", "G1 X0x20", {"spelling"}),
    ("comma", "G1 X30,5", {"spelling"}),
    ("empty words", "G1 X Y", {"words"}),
    ("words first", "X30 G1", {"spelling"}),
    ("a bare number", "30", {"spelling"}),
    ("own number", "N5 M104 S999*97", {"numbered"}),
    ("own small number", "n5 G1 X30", {"numbered"}),
    ("own checksum", "M104 S200*33", {"numbered"}),
    ("long line", "G1 X30 " + "F1200 " * 40 + "Y2", {"length"}),
    ("long message", "M117 " + "a" * 300, {"length"}),
    ("one too long", "M117 " + "a" * 80, {"length"}),
    ("beyond ascii", "M117 caf\u00e9", {"ascii"}),
    ("hard blank", "G1 X30\u00a0", {"ascii"}),
    ("message for the host", "M117 //action:pause", {"host"}),
    ("name for the host", 'M486 A"//action:cancel"', {"host"}),
    ("placeholder", "M104 S{temperature}", {"spelling"}),
    ("bracket placeholder", "M104 S[temperature]", {"spelling"}),
    ("host command", "@pause", {"spelling"}),
    ("host command in a comment", ";@pause", {"host"}),
    ("host command behind a move", "G1 X30 ; @execute rm", {"host"}),
    ("E by nothing", "G92 E", {"offset"}),
    ("many decimals make a long line",
        "G1 X000030.00000000 Y000030.00000000 Z000000.20000000 E000002.00000000 F001200.00000000",
        {"length"}),
    ("both ways to heat", "M109 S200 R210", {"words"}),
    ("open bracket", "G1 X10 (oops", {"spelling"}),
    ("closed bracket", "G1 X10 oops)", {"spelling"}),
    ("a comment that splits a number", "G1 X2(and)0", {"spelling"}),
    ("Klipper macro", "SET_KINEMATIC_POSITION X=0", {"spelling"}),
    ("Klipper restart", "FIRMWARE_RESTART", {"spelling"}),
    ("Klipper words", "SET_HEATER_TEMPERATURE HEATER=extruder TARGET=300", {"spelling"}),
    ("block delete", "/G1 X30", {"spelling"}),
    ("a shell", "$(reboot)", {"spelling"}),
    ("a macro", "M810 M104 S999|G28", {"spelling"}),
    # codes
    ("tool change", "T1", {"code"}),
    ("SD delete", "M30 A", {"code"}),
    ("SD start", "M24", {"code"}),
    ("SD write", "M28 A", {"code"}),
    ("SD write by name", "M28 evil.g", {"spelling"}),
    ("SD other file", "M32 P", {"code"}),
    ("SD log", "M928 A", {"code"}),
    ("steps", "M92 X400", {"code"}),
    ("to EEPROM", "M500", {"code"}),
    ("from EEPROM", "M501", {"code"}),
    ("EEPROM defaults", "M502", {"code"}),
    ("EEPROM check", "M504", {"code"}),
    ("PID", "M301 P1 I1 D1", {"code"}),
    ("PID tuning", "M303 E0 S250 C99", {"code"}),
    ("bed PID", "M304 P1", {"code"}),
    ("home offset", "M206 Z-5", {"code"}),
    ("home offset here", "M428", {"code"}),
    ("probe offset", "M851 Z-5", {"code"}),
    ("endstops off", "M121", {"code"}),
    ("soft endstops off", "M211 S0", {"code"}),
    ("cold by M302", "M302 P1\nG1 E50", {"code", "blob"}),
    ("pin", "M42 P3 S255", {"code"}),
    ("servo", "M280 P0 S90", {"code"}),
    ("motor current", "M906 X2000", {"code"}),
    ("motor current digital", "M907 X2000", {"code"}),
    ("power off", "M81", {"code"}),
    ("power on", "M80", {"code"}),
    ("kill", "M112", {"code"}),
    ("quick stop", "M410", {"code"}),
    ("after a stop", "M999", {"code"}),
    ("firmware update", "M997", {"code"}),
    ("serial speed", "M575 P1 B9600", {"code"}),
    ("network", "M552 S1", {"code"}),
    ("host words", "M118 A1 //action:cancel", {"spelling"}),
    ("host number", "M118 P1", {"code"}),
    ("debug", "M111 S255", {"code"}),
    ("power loss", "M413 S1", {"code"}),
    ("loop", "M808 L0", {"code"}),
    ("delta", "M665 L300", {"code"}),
    ("two carriages", "M605 S2", {"code"}),
    ("inches", "G20", {"code"}),
    ("other plane", "G18", {"code"}),
    ("machine coordinates", "G53", {"code"}),
    ("probing move", "G38.2 Z-5", {"code"}),
    ("curve", "G5 X30 Y30 I1 J1", {"code"}),
    ("another code altogether", "G9999", {"code"}),
    # words
    ("second tool", "M104 T1 S200", {"words"}),
    ("two feeds", "G1 F600 X30 Y30 Z30 F1000000 F5", {"words"}),
    ("two feeds quickly", "G1 F600 X30 F1200", {"words"}),
    ("word twice", "M104 S200 S999", {"words"}),
    ("axis twice", "G1 X30 X40", {"words"}),
    ("second code", "G28 M104 S999", {"words"}),
    ("second code G", "M107 G28", {"words"}),
    ("words at a mode", "G90 X5", {"words"}),
    ("words at a tool", "T0 S1", {"words"}),
    ("homing by a mesh", "G28 X S1", {"words"}),
    ("a fourth axis", "G1 X30 A90", {"words"}),
    ("an arc with a fourth axis", "G2 X50 Y20 I-5 A3", {"words"}),
    ("an arc round and round", "G2 X50 Y20 I-5 P99", {"words"}),
    ("an arc half round", "G2 X50 Y20 I-5 P0.5", {"words"}),
    ("an arc with an empty word", "G2 X50 Y20 I", {"words"}),
    ("heat by other words", "M104 B200 F1", {"words"}),
    ("motors by other words", "M84 P1", {"words"}),
    ("motors on by other words", "M17 S1", {"words"}),
    ("waits by other words", "G4 X1", {"words"}),
    # envelope
    ("below the bed", "G1 Z-1 F600", {"envelope"}),
    ("just below the bed", "G1 Z-0.002 F600", {"envelope"}),
    ("beyond X", "G1 X220.01 F600", {"envelope"}),
    ("before X", "G1 X-0.01 F600", {"envelope"}),
    ("beyond Y", "G1 Y220.01 F600", {"envelope"}),
    ("before Y", "G1 Y-0.01 F600", {"envelope"}),
    ("beyond Z", "G1 Z250.01 F600", {"envelope"}),
    ("by rapid", "G0 X500", {"envelope"}),
    ("hidden from the guard alone", "G1 X60 F600 (Z0.0 Q)", {"spelling"}),
    ("heat hidden from the guard alone", "M104 S200 ( S 260 )", {"spelling"}),
    ("behind what others read on in", "(homes) G28 X", {"spelling"}),
    ("by steps", "G91\nG1 X100 F600\nG1 X100\nG90", {"envelope"}),
    ("by many small steps", "G91\n" + "G1 Y9\n" * 23 + "G90", {"envelope"}),
    ("far away", "G1 X9999999", {"envelope"}),
    ("an arc bulges below X", "G1 X5 Y100 F600\nG2 X5 Y112 I0 J6", {"envelope"}),
    ("an arc bulges beyond Y", "G1 X100 Y215 F600\nG3 X80 Y215 I-10 J0", {"envelope"}),
    ("an arc by radius leaves", "G1 X5 Y100 F600\nG3 X5 Y50 R25", {"envelope"}),
    ("an arc by steps", "G1 X215 Y100 F600\nG91\nG2 X0 Y-20 I0 J-10\nG90", {"envelope"}),
    ("an arc sinks", "G1 X100 Y100 F600\nG2 X110 Y100 Z-1 I5", {"envelope"}),
    ("an arc that does not close", "G1 X0 Y100 F600\nG2 X10 Y100 I500 J0", {"arc"}),
    ("an arc of nothing", "G2 X30 Y30", {"arc"}),
    # zero
    ("shifted zero", "G92 X-500\nG1 X0", {"offset"}),
    ("shifted height", "G92 Z5", {"offset"}),
    ("shifted with E", "G92 E0 Y0", {"offset"}),
    ("bare G92", "G92", {"offset"}),
    # feeds
    ("feed too high", "G1 X30 F1000000", {"feed"}),
    ("feed just too high", "G1 X30 F30001", {"feed"}),
    ("feed zero", "G1 X30 F0", {"feed"}),
    ("feed negative", "G1 X30 F-5", {"feed"}),
    # homing
    ("motors off, then on", "M84\nG1 X50 F600", {"homing"}),
    ("one motor off, then on", "M84 Y\nG1 X50\nG1 Y50", {"homing"}),
    ("home on the part", "G28 Z", {"homing"}),
    ("motors may be off", "M84 S30\nG1 X50", {"homing"}),
    ("motors may be off, twice", "M18 S0\nM84 S30\nG1 X50", {"homing"}),
    ("motors off in the end", "M84 S30\nM84\nG1 X50", {"homing"}),
    ("E after G90", "M83\nG90\nG1 X70 E3", {"E mode"}),
    ("E after G91", "G91\nM82\nG1 X10 E3\nG90\nM82", {"E mode"}),
    # heat
    ("hotend 999", "M104 S999", {"temperature"}),
    ("hotend just too hot", "M104 S260.1", {"temperature"}),
    ("bed 150", "M140 S150", {"temperature"}),
    ("bed just too hot", "M190 S100.1", {"temperature"}),
    ("wait by R", "M109 R300", {"temperature"}),
    ("negative heat", "M104 S-5", {"temperature"}),
    ("cold", "M104 S0\nG1 X70 E3", {"cold"}),
    ("almost warm", "M104 S169\nG1 X70 E3", {"cold"}),
    ("not waited for", "M109 S0\nM104 S200\nG1 X70 E3", {"cold"}),
    ("cold in one place", "M104 S0\nG1 E3", {"cold"}),
    ("sawtooth", "M104 S0\nM104 S250\n" * 8, {"swings"}),
    ("sawtooth of the bed", "M140 S20\nM140 S90\n" * 8, {"swings"}),
    ("small sawtooth", "M104 S190\nM104 S240\n" * 8, {"swings"}),
    # filament
    ("a blob", "G1 E1000 F6000", {"blob"}),
    ("a blob by relative steps", "M83\n" + "G1 E3\n" * 11 + "M82\nG92 E2", {"blob"}),
    ("a blob by bits", "G92 E0\n" + "\n".join(f"G1 E{n}" for n in range(1, 40)), {"blob"}),
    ("a blob on the spot",
        "M83\n" + "G1 X61 E0.19\nG1 X60.99 E0.19\n" * 90 + "M82\nG92 E2", {"blob"}),
    ("a fat line", "G92 E0\nG1 X61 E10", {"blob"}),
    ("by a jump of E", "G92 E-500\nG1 X70 E0", {"blob", "melt"}),
    ("by a smaller jump of E", "G92 E-20\nG1 X70 E0", {"blob"}),
    ("faster than it melts", "M83\n" + "G1 X160 E90 F6000\nG1 X60 E90\n" * 2 + "M82\nG92 E2",
        {"melt"}),
    ("with more flow", "M221 S150\nG92 E0\nG1 X80 E17", {"blob"}),
    ("steps told as sums",
        "G92 E0\n" + "G1 X60 E.02\nG1 X160 E.05\nG1 Y60 E.03\nG1 Y90 E.01\n" * 4, {"thin"}),
    ("to and fro", "M83\n" + "G1 E-5 F2400\nG1 E5\n" * 41 + "M82\nG92 E2", {"retraction"}),
    ("pull out whole", "G92 E0\nG1 E-100\nG1 E-201", {"retraction"}),
    ("pull back", "G92 E0\nG1 E-50.5 F1200", {"retraction"}),
    ("pull back by bits", "M83\n" + "G1 E-2 F1200\n" * 26 + "M82\nG92 E2", {"retraction"}),
    # time
    ("a day of heat", "G4 S86400", {"dwell"}),
    ("hours in ms", "G4 P9999999", {"dwell"}),
    ("just too long", "G4 S60.1", {"dwell"}),
    ("back in time", "G4 S-1", {"dwell"}),
    ("many waits", "\n".join(["G4 S60"] * 31), {"dwell"}),
    ("creeping", "G1 X70 F9", {"dwell"}),
    ("creeping on the spot", "G1 E4 F1", {"dwell"}),
    ("creeping round", "G2 X60 Y20 I4 F9", {"dwell"}),
    ("many short creeps", "G1 F30\n" + "G1 X80\nG1 X60\n" * 25, {"dwell"}),
    ("long music", "M300 S440 P9999\n" * 190, {"dwell"}),
    ("waits for frost", "M140 S0\nM190 R20", {"dwell"}),
    ("waits for a cold nozzle", "M109 R0\nM109 S200", {"dwell"}),
    # settings
    ("a fan it has not", "M106 P1 S0", {"setting"}),
    ("a fan of a tool", "M107 P1", {"setting"}),
    ("a fan above all", "M106 S256", {"setting"}),
    ("a fan below nothing", "M106 S-1", {"setting"}),
    ("a fan by other words", "M106 S1 T1", {"setting"}),
    ("acceleration", "M201 X900000", {"setting"}),
    ("no acceleration", "M201 X0", {"setting"}),
    ("acceleration of prints", "M204 P0", {"setting"}),
    ("no speed", "M203 X0", {"setting"}),
    ("too much speed", "M203 Z2000", {"setting"}),
    ("jerk", "M205 X1000", {"setting"}),
    ("speed", "M220 S900", {"setting"}),
    ("speed over the feed", "G1 F29000\nM220 S110\nM220 S100", {"feed"}),
    ("a feed over the speed", "M220 S200\nG1 X30 F16000\nM220 S100", {"feed"}),
    ("a kept speed", "M220 S200\nM220 B\nM220 S100\nM220 R\nG1 X30 F16000\nM220 S100", {"feed"}),
    ("crawl", "M220 S1", {"setting"}),
    ("flow", "M221 S400", {"setting"}),
    ("flow of another tool", "M221 S100 T1", {"setting"}),
    ("no flow", "M221 S10", {"setting"}),
    ("advance", "M900 K5", {"setting"}),
    ("negative advance", "M900 K-1", {"setting"}),
    ("advance beyond the old scale", "M900 K500", {"setting"}),
    ("advance of another tool", "M900 K0.1 T1", {"setting"}),
    ("advance by other words", "M900 K0.1 S1", {"setting"}),
    ("firmware retraction by words", "G10 S300", {"setting"}),
    ("cancel an object", "M486 P1", {"setting"}),
    ("cancel this object", "M486 C", {"setting"}),
    ("endless beep", "M300 S100 P999999", {"setting"}),
    # a person's
    ("waits for a person", "M0", {"person"}),
    ("maybe waits for a person", "M1", {"person"}),
    ("filament change", "M600", {"person"}),
    ("Prusa's pause", "M601", {"person"}),
    ("a pin's wait", "M226 P5", {"person"}),
    ("levelling", "G29", {"person"}),
    ("mesh", "M420 S1", {"person"}),
    ("low over the part", "G1 X60 Y20 Z1\nG1 X20 E4\nG1 Z0.2\nG1 X60", {"low"}),
]  # fmt: skip
PERSONAL = {"person", "low", "thin", "E mode"}

REVIEWS = {
    "pull back",
    "pull back by bits",
    "home on the part",
    "motors may be off",
    "motors may be off, twice",
}


@pytest.mark.parametrize(("name", "body", "rules"), CASES)
def test_a_printer_refuses(name: str, body: str, rules: set[str]) -> None:
    decision = "review" if rules <= PERSONAL or name in REVIEWS else "reject"
    verdict = judge(printed(body), PRINTER)
    assert told(verdict) == (decision, rules), (name, verdict.findings)
    assert all(finding.rule in RULES for finding in verdict.findings)


ACCEPTED = [
    "",
    "G1 X220.000 Y220 Z250 F3000",
    "G1 X0 Y0 Z0 F30000",
    "M104 S260\nM140 S100\nM109 R200",
    "G1 X30 Y30 ; a comment: $H ! ~ ? \u00e9 M104 S999, of any length " + "x" * 5000,
    "; M112 in a comment",
    ";" + "\u00e9" * 400,
    "M117 Layer 3 * of 20",
    "M117 " + "a" * 79,
    "M117",
    "M73 P50 R3\nM73 Q50 S3\nM105\nM201 X9000 Y9000 Z500 E10000\nM203 X500 Y500 Z12 E120",
    "M204 P1500 R1500 T1500\nM204 S800\nM205 X8.00 Y8.00 Z0.40 E4.50\nM205 S0 T0\nM205 J0.013",
    "M221 S95\nM221 S100 T0\nM220 B\nM220 S80\nM220 R\nM900 K0.05\nM900 K30\nM900 K0 T0",
    "M83\nG1 X70 E.5\nG1 E-.8 F2400\nG1 E.8\nM82\nG92 E0",
    "G2 X60 Y20 I10 J0 E4",
    "G17\nG3 Z.6 I-1.2 J0 P1 F30000",
    "G1 X70 Y100 F1200\nG3 X50 Y100 R10 E2.5\nG2 X50 Y120 R-20",
    "G91\nG2 X-10 Y0 I-5 J0\nG90",
    "G10\nG11\nM400\nG4 P500\nG4 S60\nT0\nM114\nM155 S2\nM300 S440 P200\nM75\nM76\nM77",
    'M486 T2\nM486 S0\nM486 A"a cube (1).stl"\nG1 X70\nM486 S-1\nM486 S1 A"x"',
    "G1 X30 Y30\r",
    "G1  X30  Y30   F1200",
    "G28 X Y\nG28 Y",
    "G28 X0 Y0",
    "M104 S200\nM104 S240\n" * 10,
    "M83\n" + "G1 E-5 F2400\nG1 E5\n" * 40 + "G1 X80 E1\n" + "G1 E-5\nG1 E5\n" * 40 + "M82\nG92 E3",
    "M300 S440 P9999\n" * 90,
    "; @author somebody, mail@example.org\n;@@\n; me @pause",
    "G1 X60.01 E2.15",
    "M17\nM17 X\nM106 S255\nM106 S84.15\nM106\nM107\nM106 P0 S10",
    "M84 X Y E\nG28 X Y",
    "M18 E\nG1 X30",
    "M140 S0\nM190 R30\nM104\nM109 T0 S210",
    "G91\nG1 Z+0.5 E-5 X-20 F9000\nG90",
    "M84 S30\nG28 X Y Z".replace(" Z", ""),
    "M83\nG90\nG92 E0\nG1 X70 E3\nG92 E0\nG1 X60 E1\nM82\nG92 E2",
    "M83\nG90\nM83\nG1 X70 E3\nG1 X60 E3\nG91\nG1 Z1\nG90\nM82\nG92 E2",
    "M220 S200\nG1 X30 F14000\nM220 S100",
    "M220 S80\nG1 X30 F30000\nM220 B\nM220 S50\nM220 R\nM220 S100",
    "M107 T0\nM107 P2\nM106 P2 S0\nM106 P3 S0",
    "M73 C5 D5\nM73 L2\nM200 D0",
    "G92 E0\nG1 E-35 F720",
    "G1 F59\nG1 X80\nG1 F1200",
    "G4",
    "\n".join(["G4 S60"] * 30),
    "G1 X30 F600 (a comment)",
    "M117 Layer (1/20)",
    "G1 X30 F600 ; (Z0)",
    "(G28)",
    "  G1 X30  ",
    "G92 E0\nG1 E30 F300",
    "G92 E0\nG1 E-50 F1200\nG1 E0",
    "M83\n" + "G1 E-2 F1200\nG1 X20\nG1 E2\nG1 X60\n" * 40 + "M82\nG92 E0",
    "G1 X180 E8\nG1 X20 E15\nG1 X180 E22\nG1 X20 E29",
]  # fmt: skip


@pytest.mark.parametrize("body", ACCEPTED)
def test_a_printer_accepts(body: str) -> None:
    verdict = judge(printed(body), PRINTER)
    assert told(verdict) == ("accept", set()), verdict.findings


def test_windows_line_ends_change_nothing() -> None:
    program = printed("M117 Layer 3\nG1 X70 E3 ; out\nG2 X60 Y20 I-5 E4")
    plain, windows = judge(program, PRINTER), judge(program.replace(b"\n", b"\r\n"), PRINTER)
    assert told(windows) == ("accept", set())
    assert windows.facts == plain.facts


def test_homing_comes_first() -> None:
    assert told(judge(b"G21\nG90\nG1 X10 F600\n", PRINTER)) == ("reject", {"homing"})
    half = judge(b"G28 X Y\nG1 X10 F600\nG1 Z5\n", PRINTER)
    assert [finding.line for finding in half.findings] == [3]


@pytest.mark.parametrize(
    ("lift", "fine"),
    [
        ("G91\nG1 Z5 F600\nG90", True),
        ("G91\nG1 Z20 F600\nG90", True),
        ("G91\nG1 Z5 F600\nG1 Z15\nG90", True),
        ("G91\nG1 Z0.5 F600\nG28 X\nG1 Z5 F600\nG28\nG90", True),
        ("G91\nG1 Z21 F600\nG90", False),
        ("G91\n" + "G1 Z5 F600\n" * 5 + "G90", False),
        ("G91\nG1 Z-1 F600\nG90", False),
        ("G91\nG1 X1 F600\nG90", False),
        ("G91\nG1 X1 Z1 F600\nG90", False),
        ("G1 Z5 F600", False),
    ],
)
def test_before_homing_only_a_short_lift(lift: str, fine: bool) -> None:
    verdict = judge(f"{lift}\nG28\nG1 X10 F3000\n".encode(), PRINTER)
    assert (verdict.decision == "accept") == fine, verdict.findings
    assert fine or "homing" in told(verdict)[1]


def test_homing_z_is_only_dangerous_over_a_part() -> None:
    before = HEAD + "G1 Z5 F600\nG1 E25 F300\nG92 E0\nG28 Z\n" + LINE + TAIL
    assert told(judge(before.encode(), PRINTER)) == ("accept", set())
    assert told(judge(printed("G28 Z"), PRINTER)) == ("review", {"homing"})
    assert told(judge(printed("G28"), PRINTER)) == ("review", {"homing"})
    assert told(judge(printed("G28 X Y"), PRINTER)) == ("accept", set())


@pytest.mark.parametrize("homing", ["G28 W", "G28 O", "G28 X Y\nG28 Z", "G28\nM84 S0\nG28"])
def test_ways_to_home_all(homing: str) -> None:
    program = HEAD.replace("G28", homing) + LINE + TAIL
    assert told(judge(program.encode(), PRINTER)) == ("accept", set())


def test_steps_behind_a_homing_that_may_not_happen_are_asked_about() -> None:
    step = "G91\nG1 X50 F3000\nG90\n"
    doubt = HEAD.replace("G28", "G28 O\nG91\nG1 Z5 F300\nG90") + LINE + TAIL
    assert told(judge(doubt.encode(), PRINTER)) == ("accept", set())
    assert told(judge(f"G28\n{step}G28 O\n{step}".encode(), PRINTER)) == ("review", {"homing"})
    assert told(judge(f"G28 O\n{step}".encode(), PRINTER)) == ("review", {"homing"})
    found = f"G28 O\nG1 Y5 Z5 F300\nG1 X5\n{step}"
    assert told(judge(found.encode(), PRINTER)) == ("accept", set())
    assert told(judge(f"G28 O\nG28\n{step}".encode(), PRINTER)) == ("accept", set())


def test_a_wide_nozzle_lays_thicker_lines() -> None:
    thick = printed("G92 E0\nG1 X80 E40")  # 4.8 mm² over 20 mm
    assert told(judge(thick, PRINTER)) == ("reject", {"blob"})
    assert told(judge(thick, like(PRINTER, nozzle_mm=0.8))) == ("accept", set())
    thin = printed("G92 E0\nG1 X80 E20")
    assert told(judge(thin, PRINTER)) == ("accept", set())
    assert told(judge(thin, like(PRINTER, nozzle_mm=0.25))) == ("accept", set())


def test_what_ends_hot_is_tamed_by_a_footer() -> None:
    hot = judge((HEAD + LINE).encode(), PRINTER)
    assert told(hot) == ("accept", {"left on"})
    assert {finding.severity for finding in hot.findings} == {"note"}
    assert [finding.line for finding in hot.findings] == [12, 12]
    assert hot.footer == b"M104 S0\nM140 S0\nM107\n"
    bed = judge((HEAD + LINE + "M104 S0\n").encode(), PRINTER)
    assert [finding.message for finding in bed.findings] == ["ends with the bed at 60 °C"]
    again = judge((HEAD + LINE).encode() + hot.footer, PRINTER)
    assert (told(again), again.footer) == (("accept", set()), b"")


def test_what_ends_in_mid_line_and_hot_may_be_cut_off() -> None:
    whole = (HEAD + LINE).encode()
    cut = judge(whole + b"G1 X100 Y3", PRINTER)
    assert told(cut) == ("review", {"cut off", "left on"})
    assert cut.footer.startswith(b"\nM104 S0")
    assert judge(whole, PRINTER).footer.startswith(b"M104 S0")
    cold = judge(printed("").rstrip(), PRINTER)
    assert told(cold) == ("accept", set())
    assert told(judge(whole + b"; the end", PRINTER)) == ("accept", {"left on"})


def test_a_printer_that_homes_to_its_far_end() -> None:
    far = PRINTER.model_copy(update={"home_mm": (220.0, 220.0, 0.0)})
    program = HEAD + "G91\nG1 X{step} F3000\nG90\n" + LINE + TAIL
    assert told(judge(program.format(step=-20).encode(), far)) == ("accept", set())
    assert told(judge(program.format(step=20).encode(), far)) == ("reject", {"envelope"})
    assert told(judge(program.format(step=-20).encode(), PRINTER)) == ("reject", {"envelope"})
    shifted = far.model_copy(update={"work_zero_mm": (110.0, 110.0, 0.0)})
    assert judge(b"G28\nG91\nG1 X-1\nG90\n", shifted).facts.end_mm == (109, 110, 0)


def test_days_of_heat_are_for_a_person() -> None:
    slow = printed("G1 F120\n" + "G1 X200\nG1 X20\n" * 3400)
    assert told(judge(slow, PRINTER)) == ("review", {"long"})
    assert told(judge(printed("G1 F120\n" + "G1 X200\nG1 X20\n" * 3300), PRINTER))[0] == "accept"


def test_small_layers_may_wait_to_cool() -> None:
    layers = "".join(f"{square(50, 0.2 * n, 4 * n - 4)}G4 S15\n" for n in range(1, 200))
    assert told(judge(printed(f"G92 E0\n{layers}"), PRINTER)) == ("accept", set())
    waits = layers.replace("S15", "S40")
    assert told(judge(printed(f"G92 E0\n{waits}"), PRINTER)) == ("reject", {"dwell"})


def test_a_chamber_only_where_there_is_one() -> None:
    assert told(judge(printed("M141 S40"), PRINTER)) == ("reject", {"code"})
    closed = like(
        PRINTER.model_copy(update={"codes": PRINTER.codes | {"M141", "M191"}}), chamber_max_c=50
    )
    assert told(judge(printed("M141 S50\nM191 S50\nM141 S0"), closed)) == ("accept", set())
    assert told(judge(printed("M141 S51\nM141 S0"), closed)) == ("reject", {"temperature"})
    warm = judge(printed("M141 S40"), closed)
    assert (told(warm), b"M141 S0\n" in warm.footer) == (("accept", {"left on"}), True)


def test_more_fans_where_the_profile_has_them() -> None:
    assert told(judge(printed("M106 P1 S9"), like(PRINTER, fans=2))) == ("accept", set())
    assert told(judge(printed("M106 P2 S9"), like(PRINTER, fans=2))) == ("reject", {"setting"})
    assert told(judge(printed("M106 S9"), like(PRINTER, fans=0)))[0] == "reject"


def test_a_profile_may_list_a_code_only_if_the_guard_knows_its_effect() -> None:
    wide = PRINTER.model_copy(update={"codes": PRINTER.codes | {"M42", "M572", "M74", "M200"}})
    assert told(judge(printed("M42 P3 S255"), wide)) == ("reject", {"code"})
    assert told(judge(printed("M572 S0.03\nM74 W12\nM200 D0"), wide)) == ("accept", set())
    assert told(judge(printed("M200 D1.75"), wide)) == ("reject", {"setting"})


def test_a_material_narrows_the_temperatures() -> None:
    program = printed("M104 S255")
    assert judge(program, PRINTER).decision == "accept"
    assert told(judge(program, PRINTER, material="pla")) == ("reject", {"temperature"})
    assert told(judge(printed("M140 S80"), PRINTER, material="pla")) == ("reject", {"temperature"})
    assert told(judge(printed("M140 S75"), PRINTER, material="pla")) == ("accept", set())
    assert told(judge(printed("G1 X70 E3"), PRINTER, material="abs")) == ("reject", {"cold"})
    assert told(judge(printed(""), PRINTER, material="unobtainium")) == ("reject", {"material"})


def square(x: float, z: float, e: float) -> str:
    corners = ((x + 20, 50), (x + 20, 70), (x, 70), (x, 50))
    sides = [f"G1 X{a} Y{b} E{e + n}" for n, (a, b) in enumerate(corners, 1)]
    return "\n".join([f"G1 Z{z:g} F600", *sides, ""])


def tower(x: float, layers: int, e: float) -> str:
    return "".join(square(x, 0.2 * n, e + 4 * n) for n in range(1, layers + 1))


def test_one_piece_after_the_other_is_no_low_travel() -> None:
    first = f"G1 Z2 F600\nG1 X50 Y50\nG92 E0\n{tower(50, 20, 0)}"
    second = f"G1 Z6\nG1 X120 Y50\nG92 E0\n{tower(120, 20, 0)}G1 Z10"
    assert told(judge(printed(first + second), PRINTER)) == ("accept", set())
    through = printed(first + "G1 Z6\nG1 X120 Y50\nG1 Z0.2\nG1 X30 Y60\nG1 Z9\nG1 X20")
    assert told(judge(through, PRINTER)) == ("review", {"low"})
    beside = printed(first + "G1 Z6\nG1 X120 Y50\nG1 Z0.2\nG1 X120 Y120\nG1 X30\nG1 Z9")
    assert told(judge(beside, PRINTER)) == ("accept", set())
    onto = printed(first + "G1 Z6\nG1 X60 Y60\nG1 Z2\nG1 Z9")
    assert told(judge(onto, PRINTER)) == ("review", {"low"})
    on_top = printed(first + "G1 Z3.75\nG1 X60 Y60\nG1 Z9")
    assert told(judge(on_top, PRINTER)) == ("accept", set())


def test_homing_may_sweep_through_a_part() -> None:
    first = f"G1 Z2 F600\nG1 X50 Y50\nG92 E0\n{tower(50, 20, 0)}G1 Z6\nG1 X100 Y60\n"
    assert told(judge(printed(f"{first}G28 X"), PRINTER)) == ("accept", set())
    assert told(judge(printed(f"{first}G1 Z1\nG28 Y"), PRINTER)) == ("accept", set())
    swept = judge(printed(f"{first}G1 Z1\nG28 X\nG1 Z9"), PRINTER)
    assert told(swept) == ("review", {"low"})


def test_an_arc_may_bulge_into_a_part() -> None:
    first = f"G1 Z2 F600\nG1 X50 Y50\nG92 E0\n{tower(50, 20, 0)}G1 Z6\nG1 X80 Y40\nG1 Z1\n"
    into = "G3 X80 Y80 I0 J20 F600\nG1 Z9"
    assert told(judge(printed(first + into.replace("G3", "G2")), PRINTER)) == ("review", {"low"})
    assert told(judge(printed(first + into), PRINTER)) == ("accept", set())


def test_a_purge_line_is_no_wall() -> None:
    purge = "G1 Z0.8 F600\nG1 X2 Y20\nG1 X2 Y140 E15 F1200\nG92 E0\nG1 X100 Y30 Z0.2 F6000\n"
    body = purge + "G1 X2 Y80\nG1 X60 E4 F1200"
    assert told(judge(printed(body, HEAD), PRINTER)) == ("accept", set())


def test_a_round_move_goes_low_too() -> None:
    first = f"G1 Z2 F600\nG1 X50 Y50\nG92 E0\n{tower(50, 20, 0)}"
    around = printed(first + "G1 Z6\nG1 X80 Y60\nG1 Z1\nG3 X40 Y60 I-20 J0\nG1 Z9")
    assert told(judge(around, PRINTER)) == ("review", {"low"})


def test_facts_of_a_print() -> None:
    facts = judge(printed("G1 X60 Y60 E4\nG1 E2 F2400\nG1 E4"), PRINTER).facts
    assert facts.bbox_mm == ((20, 20, 0.2), (60, 60, 0.2))
    assert facts.outline_mm == ((20, 20), (60, 20), (60, 60))
    assert facts.filament_mm == pytest.approx(4)
    assert facts.extruded_mm3 == pytest.approx(4 * 2.40528, rel=1e-4)
    assert (facts.layers, facts.hottest_c, facts.lines) == (1, (200, 60), 20)
    # 0.2 mm up, 28.284 mm over, two lines of 40 mm and two pulls of 2 mm; homing X takes no path
    expected = (0.2 + 800**0.5) * 60 / 3000 + 80 * 60 / 1200 + 4 * 60 / 2400
    assert facts.seconds == pytest.approx(expected, rel=1e-3)
    assert facts.end_mm == (None, None, None)  # its motors are off
    assert judge((HEAD + LINE).encode(), PRINTER).facts.end_mm == (60, 20, 0.2)


def test_facts_of_arcs() -> None:
    body = "G1 X60 Y50 Z0.4 F600\nG1 X70 E3\nG3 X70 Y50 I-10 J0 E8\nG1 Z9\nG4 S3"
    facts = judge(printed(body), PRINTER).facts
    assert facts.bbox_mm is not None
    assert facts.bbox_mm[0] == pytest.approx((20, 20, 0.2))
    assert facts.bbox_mm[1] == pytest.approx((70, 60, 0.4))
    assert (60, 60) in [(round(x), round(y)) for x, y in facts.outline_mm]
    assert facts.layers == 2
    straight = math.dist((60, 20, 0.2), (60, 50, 0.4)) + 10 + 20 * math.pi + 8.6
    expected = (0.2 + 800**0.5) * 0.02 + 40 * 0.05 + straight * 0.1 + 3
    assert facts.seconds == pytest.approx(expected, rel=1e-3)


def test_moves_without_a_feed_count_at_the_machines_own() -> None:
    facts = judge(b"G28\nG1 X90\nG2 X90 Y0 I-10 P1\n", PRINTER).facts
    expected = (90 + 2 * 20 * math.pi) * 60 / PRINTER.rapid_mm_min
    assert facts.seconds == pytest.approx(expected)


@pytest.mark.parametrize(
    "program", [b"", b"\n\n", b"; only words\n", b"G28\nM104 S200\nG4 S5\nM104 S0\n", b"M117 hello"]
)
def test_what_moves_nothing_is_no_program(program: bytes) -> None:
    assert told(judge(program, PRINTER)) == ("reject", {"empty"})


def test_a_rule_broken_on_every_line_is_told_a_few_times_and_counted() -> None:
    verdict = judge(printed("G1 X500\n" * 40), PRINTER)
    assert [finding.line for finding in verdict.findings] == [13, 14, 15, 16, 17, 0]
    assert verdict.findings[-1].message == "… and 35 more like these"


def test_a_bad_setting_is_told_each_time_it_stands_there() -> None:
    verdict = judge(
        printed("M204 P0\nM204 P900\nM204 P0\nM106 S999\nM204 P900\nM106 S999"), PRINTER
    )
    assert [finding.line for finding in verdict.findings] == [13, 15, 16, 18]
