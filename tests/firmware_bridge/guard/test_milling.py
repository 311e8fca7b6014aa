"""The guard before a mill: what is dangerous, what a person decides, and just inside each limit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge import profiles
from firmware_bridge.guard import Stock, Verdict, judge

MILL = profiles.load("generic-cnc-3018")
HEAD = "G21\nG90\nG0 Z5\nM3 S8000\nG0 X10 Y10\n"
TAIL = "G0 Z5\nM5\nG0 X0 Y0\nM2\n"
FIRST = HEAD.count("\n") + 1


def milled(body: str) -> bytes:
    return (HEAD + body + "\n" + TAIL).encode("utf-8", "surrogateescape")


def told(verdict: Verdict) -> set[tuple[str, str]]:
    return {(finding.rule, finding.severity) for finding in verdict.findings}


# what, body, rule, line of the body (from 1) where it is
REJECTED = [
    ("a real-time hold", "G1 X20 F100!", "realtime", 1),
    ("a real-time go", "~", "realtime", 1),
    ("a status query", "G1 X20 ? F100", "realtime", 1),
    ("a byte that opens the door", "G1 X20\udc84 F100", "ascii", 1),
    ("a setting", "$100=10", "system", 1),
    ("homing in mid-program", "$H", "system", 1),
    ("unlocking", "$X", "system", 1),
    ("sleep", "$SLP", "system", 1),
    ("a jog", "$J=G91 X10 F1000", "system", 1),
    ("a host's macro", "%wait", "macro", 1),
    ("a host's variable", "%x = 5", "macro", 1),
    ("an O word", "o100 sub", "macro", 1),
    ("a call", "O100", "macro", 1),
    ("a variable", "#1=5", "macro", 1),
    ("a variable used", "G1 X#1 F100", "macro", 1),
    ("an expression", "G1 X[5+5] F100", "macro", 1),
    ("a placeholder", "G1 X{width} F100", "macro", 1),
    ("a block that some leave out", "/G1 X5 F100", "spelling", 1),
    ("a checksum", "G1 X5 F100*33", "numbered", 1),
    ("a huge line number", "N10000000 G1 X5 F100", "spelling", 1),
    ("an open comment", "G1 X5 F100 (oops", "spelling", 1),
    ("a comment's end", "G1 X5) F100", "spelling", 1),
    ("no number", "G1 X F100", "spelling", 1),
    ("two numbers", "G1 X1 0 F100", "spelling", 1),
    ("an exponent", "G1 X1e1 F100", "words", 1),
    ("hexadecimal", "G1 X0x10 F100", "words", 1),
    ("digits that GRBL drops", "G1 X0000000012 F100", "spelling", 1),
    ("a code like another", "G1.0 X20 F100", "spelling", 1),
    ("a code with zeros", "G001 X20 F100", "spelling", 1),
    ("a code that GRBL rounds", "G1.004 X20 F100", "code", 1),
    ("a code beyond 255", "G257 X20 F100", "code", 1),
    ("a long line", "G1 X20 F100" + " " * 63 + "Y10.11", "length", 1),
    ("no spindle", "M5\nG1 Z-1 F100\nG1 X50", "spindle", 2),
    ("spindle never on at all", "M5\nG1 X50 Z-1 F100", "spindle", 2),
    ("spindle at zero", "M3 S0\nG1 Z-1 F100\nG1 X50", "spindle", 2),
    ("spindle off in the cut", "G1 Z-1 F100\nM5\nG1 X50", "spindle", 3),
    ("an arc with a standing spindle", "G1 Z0.0 F100\nM5\nG2 X20 Y10 Z-1 I5 J0", "spindle", 3),
    ("spindle too fast", "M3 S12001", "power", 1),
    ("speed told before", "S30000\nM3", "power", 1),
    ("speed below nothing", "M3 S-5", "words", 1),
    ("offset write", "G10 L2 P1 X100", "offset", 1),
    ("offset write here", "G10 L20 P1 Z0", "offset", 1),
    ("home here", "G28.1", "offset", 1),
    ("second home here", "G30.1", "offset", 1),
    ("tool length", "G43.1 Z5", "offset", 1),
    ("tool length by table", "G43 H1", "code", 1),
    ("tool length by table, moving", "G0 G43 Z15 H1", "code", 1),
    ("a drilling cycle", "G81 X10 Y10 Z-5 R2 F100", "code", 1),
    ("a peck cycle", "G83 Z-5 R2 Q1 F100", "code", 1),
    ("retract level", "G98", "code", 1),
    ("cutter compensation", "G41 D1", "code", 1),
    ("path blending", "G64 P0.01", "code", 1),
    ("arc centres absolute", "G90.1", "code", 1),
    ("far work offset", "G59.1", "code", 1),
    ("rotation", "G68 R45", "code", 1),
    ("override switch", "M48", "code", 1),
    ("pins", "M64 P0", "code", 1),
    ("a printer's code", "M104 S200", "code", 1),
    ("a subprogram call", "M98 P1000", "code", 1),
    ("flood coolant", "M8", "coolant", 1),
    ("mist coolant", "M7", "coolant", 1),
    ("coolant beside the spindle", "M3 M8", "coolant", 1),
    ("too deep", "G1 Z-12.3 F100", "depth", 1),
    ("an arc too deep", "G1 Z-5 F100\nG18 G2 X26 Z-5 I8 K0", "depth", 2),
    ("too deep in machine coordinates", "G53 G1 Z-58 F100", "depth", 1),
    ("below the machine", "G53 G0 Z-61", "envelope", 1),
    ("beyond X", "G1 Z-1 F100\nG1 X300.01", "envelope", 2),
    ("beyond Y", "G1 Z-1 F100\nG1 Y180.01", "envelope", 2),
    ("below X", "G0 X-0.01", "envelope", 1),
    ("below Y", "G0 Y-0.01", "envelope", 1),
    ("above Z", "G0 Z45.01", "envelope", 1),
    ("beyond by inches", "G20\nG0 X12\nG21", "envelope", 2),
    ("beyond by steps", "G91\nG0 X200\nG0 X95\nG90", "envelope", 3),
    ("beyond by a moved zero", "G92 X0 Y0\nG0 X295\nG92.1", "envelope", 2),
    ("machine coordinates", "G53 G0 X1", "envelope", 1),
    ("machine coordinates in inches", "G20\nG53 G0 X-12\nG21", "envelope", 2),
    ("by way of nowhere", "G28 X400 Y0", "envelope", 1),
    ("another zero, too wide", "G55\nG0 X-200\nG0 X200", "envelope", 0),
    ("an arc's belly", "G1 Z-1 F100\nG1 X290 Y100\nG2 X290 Y60 J-20", "envelope", 3),
    ("a full circle's far side", "G1 Z-1 F100\nG1 X290 Y100\nG2 X290 Y100 I6", "envelope", 3),
    ("a circle on end", "G0 X20\nG1 Z-1 F100\nG18 G2 X20 Z-1 I0 K-12", "depth", 3),
    ("an arc that does not close", "G1 Z-1 F100\nG2 X50 Y10 I5 J0", "arc", 2),
    ("an arc without centre", "G1 Z-1 F100\nG2 X50 Y10", "arc", 2),
    ("an arc without end", "G1 Z-1 F100\nG2 I5 J0", "arc", 2),
    ("an arc along Z only", "G1 Z-1 F100\nG2 Z-2 I5 J0", "arc", 2),
    ("an arc by both", "G1 Z-1 F100\nG2 X50 Y10 I20 R20", "arc", 2),
    ("an arc of too small a radius", "G1 Z-1 F100\nG2 X50 Y10 R19", "arc", 2),
    ("an arc with its centre in another plane", "G1 Z-1 F100\nG2 X50 Y10 K20", "arc", 2),
    ("rapid through the stock", "G1 Z-1 F100\nG0 X50", "rapid", 2),
    ("rapid slantwise out of it", "G1 Z-1 F100\nG0 X50 Z5", "rapid", 2),
    ("rapid slantwise into it", "G0 X50 Z-1", "rapid", 1),
    ("rapid plunge", "G0 Z-5", "rapid", 1),
    ("rapid plunge beyond the hole", "G1 Z-2 F100\nG0 Z5\nG0 Z-2.01", "rapid", 3),
    ("rapid plunge beside the hole", "G1 Z-2 F100\nG0 Z5\nG0 X11\nG0 Z-1", "rapid", 4),
    ("rapid plunge before the hole", "G0 Z-1\nG1 Z-2 F100", "rapid", 1),
    ("spindle off under another zero", "M5\nG55\nG0 Z5\nG1 Z-1 F100", "spindle", 4),
    ("rapid under another zero", "G55\nG0 Z5\nG1 Z-1 F100\nG0 X20", "rapid", 4),
    ("rapid home through the stock", "G1 Z-1 F100\nG28 X0 Y0", "rapid", 2),
    ("rapid in machine coordinates", "G1 Z-1 F100\nG53 G0 X-150", "rapid", 2),
    ("no feed", "G1 Z-1", "feed", 1),
    ("no feed any more", "F0\nG1 Z-1", "feed", 2),
    ("feed too high", "G1 Z-1 F3001", "feed", 1),
    ("feed below nothing", "G1 Z-1 F-100", "words", 1),
    ("feed too high in inches", "G20\nG1 Z-0.04 F119\nG21", "feed", 2),
    ("inverse time without F", "G93\nG1 X20 F30\nG1 X30\nG94", "feed", 3),
    ("inverse time too fast", "G93\nG1 X110 F31\nG94", "feed", 2),
    ("feed from before inverse time", "G1 X20 F100\nG93\nG94\nG1 X30", "feed", 4),
    ("two motions", "G0 G1 X5 F100", "words", 1),
    ("two units", "G20 G21", "words", 1),
    ("two spindle states", "M3 M5 S100", "words", 1),
    ("two actions", "G53 G28 X0", "words", 1),
    ("two that claim the axes", "G0 G28 Z0", "words", 1),
    ("tool offset with a motion", "G0 G49 Z5", "words", 1),
    ("tool offset with a way home", "G28 G49", "words", 1),
    ("word twice", "G1 X5 X290 F100", "words", 1),
    ("a fourth axis", "G1 X5 A90 F100", "words", 1),
    ("a centre left over", "G1 X5 I4 F100", "words", 1),
    ("a dwell's word left over", "G1 X5 P4 F100", "words", 1),
    ("axes while no motion is chosen", "G80\nX20", "words", 2),
    ("a tool beyond counting", "T256", "words", 1),
    ("an offset's word left over", "L2", "words", 1),
    ("a moved zero that says nothing", "G92", "words", 1),
    ("G53 with an arc", "G1 Z0 F100\nG2 X20 Y10 I5\nG53 X-100", "words", 3),
    ("dwell in S", "G4 S2", "words", 1),
    ("dwell that moves", "G4 P1 X5", "words", 1),
    ("dwell in milliseconds", "G4 P2000", "dwell", 1),
    ("a long dwell", "G4 P60.1", "dwell", 1),
    ("many dwells", "\n".join(["G4 P59"] * 11), "dwell", 11),
    ("after the end", "M2\nG0 X5", "end", 2),
    ("after the tape's end", "%\nG0 X5", "end", 2),
]  # fmt: skip


@pytest.mark.parametrize(("what", "body", "rule", "line"), REJECTED)
def test_rejects(what: str, body: str, rule: str, line: int) -> None:
    verdict = judge(milled(body), MILL)
    lines = [finding.line for finding in verdict.findings if finding.rule == rule]
    assert verdict.decision == "reject", (what, verdict.findings)
    assert (FIRST + line - 1 if line else 0) in lines, (what, verdict.findings)


REVIEWED = [
    ("a tool change", "M6 T2", "person"),
    ("a tool change beyond counting", "M6T302", "person"),
    ("another tool, silently", "T1\nG1 Z-1 F100\nT2", "person"),
    ("a stop", "M0", "person"),
    ("an optional stop", "M1", "person"),
    ("the spindle backwards", "M4 S8000", "person"),
    ("another zero", "G55", "offset"),
    ("the last zero", "G59", "offset"),
    ("probing", "G38.2 Z-5 F50", "person"),
    ("probing quietly", "G38.3 Z-5 F50", "person"),
    ("a moved zero", "G92 X10 Y10", "offset"),
    ("the zero taken back", "G92.1", "offset"),
    ("the second stored place", "G30", "person"),
]


@pytest.mark.parametrize(("what", "body", "rule"), REVIEWED)
def test_leaves_to_a_person(what: str, body: str, rule: str) -> None:
    verdict = judge(milled(body), MILL)
    assert (verdict.decision, told(verdict)) == ("review", {(rule, "review")}), what


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("two digits", "G00 X5 Y5\nG01 Z-1 F100\nX50\nG02 X60 Y15 I10 J0\nM05\nM03 S100\nM5"),
        ("no blanks", "G1Z-1F100\nG1X50Y20F300"),
        ("lower case", "g1 z-1 f100\ng1 x50"),
        ("many blanks and tabs", "G1  Z-1\tF100 \r\nG 1 X 50"),
        ("signs and bare points", "G1 Z-.5 F+100.\nX+20. Y.5"),
        ("seventeen digits", "G1 Z-1.00000000000000005 F100"),
        ("the longest line", "G1 Z-1 F100" + " " * 62 + "Y10.11"),
        ("line numbers", "N10 G1 Z-1 F100\nN20 X50"),
        ("machine coordinates at the top", "G53 G0 Z0\nG0 X10 Y10"),
        ("machine coordinates at the corner", "G53 G0 Z-1\nG53 G0 X0 Y0"),
        ("home by way of here", "G28 G91 Z0\nG90\nG28 G91 X0 Y0\nG90"),
        ("home at once", "G28"),
        ("modes", "G40 G49 G17 G94 G54 G80 G91.1 G61\nG0\nM9\nG4 P1.5"),
        ("G80 and on", "G80\nG1 Z-1 F100"),
        ("comments", "(with $ and !) G1 Z-1 F100 ; and ~ another, of any length " + "x" * 300),
        ("comments in UTF-8", "(Fräser Ø6) G1 Z-1 F100 ; größer"),
        ("a comment in a comment", "(Pocket (copy)) G1 Z-1 F100"),
        ("a semicolon in a comment", "(6 mm; 2 flutes) G1 Z-1 F100"),
        ("the lowest cut", "G1 Z-12.2 F100"),
        ("the corners", "G0 X300 Y180 Z45\nG0 X0 Y0"),
        ("the fastest spindle", "M3 S12000"),
        ("the highest feed", "G1 Z-1 F3000"),
        ("inches", "G20\nG1 Z-0.04 F4\nG1 X1 F118\nG21"),
        ("steps", "G91\nG1 Z-6 F100\nG1 X5\nG90"),
        ("waits", "G4 P60\nG4 P60\n" * 5),
        ("inverse time", "G1 Z-1 F100\nG93\nG1 X110 F30\nG94"),
        ("arcs by centre", "G1 Z-1 F100\nG2 X50 Y10 I20 J0\nG3 X10 Y10 I-20"),
        ("arcs by radius", "G1 Z-1 F100\nG2 X50 Y10 R20\nG3 X10 Y10 R-25"),
        ("a useless K", "G1 Z-1 F100\nG2 X50 Y10 Z-1 I20 J0 K0"),
        ("a helix", "G1 Z0 F100\nG2 X10 Y10 Z-2 I5 J0"),
        ("an arc on end", "G0 Z1\nG0 X20\nG1 Z0 F100\nG18 G2 X30 Z0 I5 K0\nG17"),
        ("an arc on the other end", "G0 Z1\nG1 Z0 F100\nG19 G3 Y20 Z0 J5 K0\nG17"),
        ("up at feed with the spindle off", "G1 Z-1 F100\nM5\nG1 Z5"),
        ("across above the stock with the spindle off", "M5\nG1 X50 F100"),
        ("pecks", "G1 Z-2 F100\nG0 Z5\nG0 Z-1.9\nG1 Z-4\nG0 Z5\nG0 Z-3.9\nG1 Z-5"),
        ("back into a pass", "G1 Z-2 F100\nG1 X40\nG0 Z5\nG0 X10\nG0 X40\nG0 Z-2\nG1 Z-3"),
        ("rapid at the surface", "G0 Z0\nG0 X50"),
        ("one tool named", "T5\nG1 Z-1 F100\nT5"),
        ("the speed before", "M5\nS9000\nM3\nG1 Z-1 F100"),
        ("a rapid's feed, never used", "G0 X20 F15000\nG1 Z-1 F100"),
    ],
)
def test_accepts(what: str, body: str) -> None:
    verdict = judge(milled(body), MILL)
    assert verdict.decision == "accept", (what, verdict.findings)


def test_tape_marks_frame_a_program() -> None:
    inner = milled("G1 Z-1 F100").decode()
    assert judge(f"%\n{inner}%\n".encode(), MILL).decision == "accept"
    assert judge(f"(name)\n%\n{inner}\n%\n".encode(), MILL).decision == "accept"
    assert judge(f"%\n{inner}".encode(), MILL).decision == "accept"


def test_depth_follows_the_stock() -> None:
    program = milled("G1 Z-6 F100\nG1 X50")
    assert judge(program, MILL, Stock(100, 100, 6)).decision == "accept"
    shallow = judge(program, MILL, Stock(100, 100, 5.7))
    assert told(shallow) == {("depth", "reject")}
    thick = milled("G1 Z-15 F100\nG1 X50")
    assert judge(thick, MILL, Stock(100, 100, 20)).decision == "accept"  # and no deeper: travel
    below = judge(milled("G1 Z-15.1 F100\nG1 X50"), MILL, Stock(100, 100, 20))
    assert told(below) == {("envelope", "reject")}


def test_a_cut_beside_the_stock_is_asked_about() -> None:
    program = milled("G1 Z-2 F100\nG1 X115")
    assert judge(program, MILL, Stock(100, 100, 12)).decision == "accept"
    beside = judge(milled("G1 Z-2 F100\nG1 X115.1"), MILL, Stock(100, 100, 12))
    assert told(beside) == {("stock", "review")}
    above = judge(milled("G1 Z0 F100\nG1 X200"), MILL, Stock(100, 100, 12))
    assert above.decision == "accept"


def test_beside_the_stock_is_also_before_it() -> None:
    profile = MILL.model_copy(update={"work_zero_mm": (-250.0, -130.0, -45.0)})
    stock = Stock(100, 100, 12)
    for axis in "XY":
        near = judge(milled(f"G1 Z-2 F100\nG1 {axis}-15"), profile, stock)
        assert near.decision == "accept", near.findings
        far = judge(milled(f"G1 Z-2 F100\nG1 {axis}-15.1"), profile, stock)
        assert [(f.rule, f.line) for f in far.findings] == [("stock", FIRST + 1)]
    elsewhere = judge(milled("G55\nG0 X200 Z5\nG1 Z-2 F100"), profile, stock)
    assert told(elsewhere) == {("offset", "review")}


def test_a_mill_lifts_its_tool_first() -> None:
    assert told(judge(b"G21\nG90\nG0 X10 Y10\nG0 Z5\nM2\n", MILL)) == {("start", "review")}
    assert told(judge(b"G21\nG90\nG0 Y10\nG0 Z5\nM2\n", MILL)) == {("start", "review")}
    once = judge(b"G21\nG90\nG0 X10\nG0 X20\nG0 Z5\nM2\n", MILL)
    assert [(f.rule, f.line) for f in once.findings] == [("start", 3)]
    assert judge(b"G21\nG90\nG0 X10 Y10 Z5\nM2\n", MILL).decision == "accept"
    assert judge(b"G28 G91 Z0\nG90\nG0 X10 Y10\nG0 Z5\nM2\n", MILL).decision == "accept"
    assert judge(b"G53 G0 Z-1\nG0 X10 Y10\nG0 Z5\nM2\n", MILL).decision == "accept"
    assert judge(b"G91\nG0 Z5\nG90\nG0 X10 Y10\nG0 Z5\nM2\n", MILL).decision == "accept"
    unsure = judge(b"G91\nG0 X5\nG90\nG0 Z5\nM2\n", MILL)
    assert ("start", "review") in told(unsure)


def test_an_unknown_start_hides_nothing() -> None:
    assert ("rapid", "reject") in told(judge(b"G0 Z-5\nG0 Z5\nM2\n", MILL))
    for words in ("R10", "I5"):
        arc = judge(f"G0 Z5\nM3 S1000\nG2 X20 Y20 {words} F100\nM2\n".encode(), MILL)
        assert "never told" in next(f.message for f in arc.findings if f.rule == "arc")


def test_messages_say_what_is_missing() -> None:
    arc = judge(milled("G2 X50 Y10 F100"), MILL)
    assert "without I, J or R" in arc.findings[0].message
    far = judge(milled("G0 X310"), MILL)
    assert far.findings[0].message == "X310 mm lies outside 0 to 300"


def test_what_is_left_on_or_low_is_said() -> None:
    cut = "G21\nG90\nG0 Z5\nM3 S8000\nG0 X10 Y10\nG1 Z-1 F100\n"
    assert told(judge((cut + "G0 Z5\n").encode(), MILL)) == {("left on", "review")}
    assert told(judge((cut + "M5\n").encode(), MILL)) == {("left low", "review")}
    assert told(judge((cut + "G0 Z0.9\nM30\n").encode(), MILL)) == {("left low", "review")}
    assert judge((cut + "G0 Z1\nM30\n").encode(), MILL).decision == "accept"
    assert judge((cut + "G0 Z5\nS0\n").encode(), MILL).decision == "accept"
    assert told(judge(b"G0 X10\nM2\n", MILL)) == {("start", "review")}
    assert judge((cut + "G28 G91 Z0\nM30\n").encode(), MILL).decision == "accept"


def test_facts() -> None:
    body = "G1 Z-1 F60\nG1 X50 F600\nG3 X50 Y30 I0 J10\nG4 P3"
    facts = judge(milled(body), MILL).facts
    assert facts.bbox_mm is not None
    assert facts.travel_mm is not None
    assert facts.bbox_mm[0] == pytest.approx((10, 10, -1))
    assert facts.bbox_mm[1] == pytest.approx((60, 30, 5))
    assert facts.travel_mm[0] == pytest.approx((0, 0, -1))
    assert facts.depth_mm == 1
    assert facts.power_max == 8000
    assert {(10, 10), (60, 20), (50, 30)} <= {
        (round(x, 6), round(y, 6)) for x, y in facts.outline_mm
    }
    cut = 6 + 40 + 10 * 3.14159265
    assert facts.cut_length_mm == pytest.approx(cut)
    rapid = 6 + (50**2 + 30**2) ** 0.5
    told_s = 6 + 40 * 60 / 600 + 10 * 3.14159265 * 60 / 600 + rapid * 60 / 1500 + 3
    assert facts.seconds == pytest.approx(told_s)
    assert (facts.end_mm, facts.end_machine_mm) == ((0, 0, 5), (None, None, None))
    assert facts.end_modes == ("G1", "G54", "G17", "G21", "G90", "G94", "M5", "M9")


def test_the_outline_of_arcs_is_theirs() -> None:
    for words in ("G2 X40 Y50 I20 J0", "G2 X80 Y50 R20\nG2 X40 Y50 R20"):
        corners = judge(milled(f"G0 X40 Y50\nG1 Z-1 F300\n{words}"), MILL).facts.outline_mm
        assert len(corners) > 60
        for x, y in corners:
            assert (x - 60) ** 2 + (y - 50) ** 2 == pytest.approx(400)


def test_the_end_is_told_in_the_frame_that_told_it() -> None:
    facts = judge(b"G20\nG0 Z1\nG91\nG0 X1 Z-0.5\nG90\nG0 Y1\nG53 G0 Z0\nG93 G18\n", MILL).facts
    assert facts.end_mm == (None, 25.4, None)
    assert facts.end_machine_mm == (None, None, 0)
    assert facts.end_modes == ("G0", "G54", "G18", "G20", "G90", "G93", "M5", "M9")
    shifted = judge(milled("G92 X0\nG0 X5 Y5\nG92.1\nG92 X7"), MILL).facts
    assert shifted.end_mm == (0, 0, 5)


def test_unknown_zero_holds_the_extent_against_the_travel() -> None:
    lost = MILL.model_copy(update={"work_zero_mm": None})
    shifted = milled("G1 Z-1 F100\nG1 X-100 F600\nG1 X190")
    assert judge(shifted, MILL).decision == "reject"
    assert judge(shifted, lost).decision == "accept"
    wide = judge(milled("G1 Z-1 F100\nG1 X-110 F600\nG1 X190.1"), lost)
    assert told(wide) == {("envelope", "reject")}
    deep = judge(milled("G1 Z-12.3 F100"), lost)
    assert told(deep) == {("depth", "reject")}
    machine = judge(milled("M5\nG53 G0 Z-2\nG53 G0 X-5\nG53 G1 Z-1 F100\nG0 Z5"), lost)
    assert machine.decision == "accept", machine.findings


def test_an_own_mill_has_its_own_limits() -> None:
    profile = MILL.model_copy(update={"codes": MILL.codes | {"M8"}})
    assert judge(milled("M8\nG1 Z-1 F100\nM9"), profile).decision == "accept"
    assert MILL.mill is not None
    high = MILL.model_copy(update={"mill": MILL.mill.model_copy(update={"safe_z_mm": 10})})
    assert told(judge(milled("G1 Z-1 F100"), high)) == {("left low", "review")}
    wood = MILL.model_copy(update={"mill": MILL.mill.model_copy(update={"materials": ("mdf",)})})
    assert judge(milled("G1 Z-1 F100"), wood, material="MDF").decision == "accept"
    steel = judge(milled("G1 Z-1 F100"), wood, material="steel")
    assert told(steel) == {("material", "review")}


# ── properties ───────────────────────────────────────────────────────────────────────────────

numbers = st.decimals(0, 100, places=3).map(float)
steps = st.lists(
    st.tuples(st.sampled_from(["G0", "G1"]), numbers, numbers, st.floats(0.5, 10)), min_size=1
)


def path(points: list[tuple[str, float, float, float]], dx: float = 0, dy: float = 0) -> str:
    moves = (f"{g} X{x + dx:.3f} Y{y + dy:.3f} Z{z:.3f} F500" for g, x, y, z in points)
    return "\n".join(["G1 Z-0.1 F500", "G0 Z5", *moves])


@given(points=steps, along_x=st.booleans(), far=st.floats(301, 2000))
@settings(max_examples=40)
def test_a_shift_out_of_the_travel_is_always_rejected(
    points: list[tuple[str, float, float, float]], along_x: bool, far: float
) -> None:
    assert judge(milled(path(points)), MILL).decision == "accept"
    for sign in (-1, 1):
        dx, dy = (sign * far, 0.0) if along_x else (0.0, sign * far)
        verdict = judge(milled(path(points, dx, dy)), MILL)
        assert ("envelope", "reject") in told(verdict)


@given(points=steps)
@settings(max_examples=40)
def test_the_same_way_in_other_words_gets_the_same_facts(
    points: list[tuple[str, float, float, float]],
) -> None:
    plain = judge(milled(path(points)), MILL)
    inches = "G1 Z-0.1 F500\nG0 Z5\nG20\n" + "\n".join(
        f"{g} X{x / 25.4:.8f} Y{y / 25.4:.8f} Z{z / 25.4:.8f} F{500 / 25.4:.6f}"
        for g, x, y, z in [(g, round(x, 3), round(y, 3), round(z, 3)) for g, x, y, z in points]
    )
    at, relative = (10.0, 10.0, 5.0), ["G91", "G1 Z-5.1 F500", "G0 Z5.1"]
    for g, *to in points:
        here = (round(to[0], 3), round(to[1], 3), round(to[2], 3))
        dx, dy, dz = (b - a for a, b in zip(at, here, strict=True))
        relative.append(f"{g} X{dx:.3f} Y{dy:.3f} Z{dz:.3f} F500")
        at = here
    for other in (f"{inches}\nG21", "\n".join([*relative, "G90"])):
        verdict = judge(milled(other), MILL)
        assert verdict.decision == plain.decision == "accept", verdict.findings
        assert verdict.facts.seconds == pytest.approx(plain.facts.seconds, rel=1e-4)
        assert verdict.facts.travel_mm is not None
        assert plain.facts.travel_mm is not None
        for one, same in zip(verdict.facts.travel_mm, plain.facts.travel_mm, strict=True):
            assert one == pytest.approx(same, abs=1e-3)


@given(data=st.binary(max_size=120))
@settings(max_examples=150)
def test_no_bytes_make_it_raise(data: bytes) -> None:
    assert judge(data, MILL).decision in ("accept", "review", "reject")
    assert judge(milled("") + data, MILL).decision in ("accept", "review", "reject")


@pytest.mark.parametrize("down", ["G0 Z-40", "G1 Z-40 F100"])
def test_going_down_from_a_height_that_nobody_told_wants_a_person(down: str) -> None:
    lifted = "G21\nG91\nG0 Z1\nG90\nG0 X10 Y10\nG91\n"
    verdict = judge(f"{lifted}{down}\nG0 X50\nM5\n".encode(), MILL)
    assert verdict.decision == "review"
    assert ("start", 7) in {(finding.rule, finding.line) for finding in verdict.findings}


def test_lifting_from_a_height_that_nobody_told_is_fine() -> None:
    assert judge(b"G21\nG91\nG0 Z1\nG90\nG0 X10 Y10\nG0 Z5\nG0 Z1\nM5\n", MILL).decision == "accept"
