"""Programs for mills and lasers that a reader who trusts words would let through, each small.

Every row says what a person would see happen; what GRBL 1.1 does with the line decides.
"""

import pytest

from firmware_bridge import profiles
from firmware_bridge.guard import Verdict, judge

MILL = profiles.load("generic-cnc-3018")
LASER = profiles.load("generic-laser-400")
LOST = MILL.model_copy(update={"work_zero_mm": None})
MILL_START = "G21\nG90\nG0 Z5\nM3 S8000\nG0 X10 Y10\n"
MILL_END = "G0 Z5\nM5\nG0 X0 Y0\nM2\n"
LASER_START = "G21\nG90\nG0 X10 Y10\n"
LASER_END = "M5\nG0 X0 Y0\nM2\n"


def milled(body: str) -> bytes:
    return f"{MILL_START}{body}\n{MILL_END}".encode()


def burnt(body: str) -> bytes:
    return f"{LASER_START}{body}\n{LASER_END}".encode()


def told(verdict: Verdict) -> set[tuple[str, str]]:
    return {(f.rule, f.severity) for f in verdict.findings}


LASER_ROWS = [
    ("home, where G0 is not in force", "M4\nG1 X50 S500 F1000\nG28", "beam in rapid", "reject"),
    ("home by way of here", "M4\nG1 X50 S500 F1000\nG28 X10", "beam in rapid", "reject"),
    ("the second home", "M4\nG1 X50 S500 F1000\nG30", "beam in rapid", "reject"),
    ("power in a machine move", "M4\nG1 X50 S0 F900\nG53 G0 X9 S500", "beam in rapid", "reject"),
    ("lit where it goes fast", "G0 X50 M3 S500", "beam in rapid", "reject"),
    ("power told in a rapid's second line", "M4\nG0 X30\nX50 S700", "beam in rapid", "reject"),
    ("made constant before a rapid", "M4 S500\nG1 X50 F900\nM3\nG0 X80", "beam at rest", "reject"),
    ("lines that do nothing", "M3\nG1 X20 F900 S800\n" + "G90\n" * 60, "beam at rest", "reject"),
    ("G1 again and again", "M3\nG1 X20 F900 S800\n" + "G1\n" * 60, "beam at rest", "reject"),
    ("F again and again", "M3\nG1 X20 F900 S800\n" + "F900\n" * 60, "beam at rest", "reject"),
    ("waits of nothing", "M3\nG1 X20 F900 S800\n" + "G4 P0\n" * 60, "beam at rest", "reject"),
    ("Z down, hardly across", "G0 Z0\nM4 S900\nG1 X20 F999\nG1 X20.01 Z-9 F99", "beam at rest",
     "reject"),
    ("a crawl in inverse time", "M4 S900\nG93\nG1 X20 F0.1\nG94", "beam at rest", "reject"),
    ("a crawl in inches", "G20\nM4 S900\nG1 X1 F0.3\nG21", "beam at rest", "reject"),
    ("eleven at full power", "M4 S1000\nG1 X20 F11", "slow burn", "review"),
    ("from wherever it is", "G91\nM4 S500\nG1 Z-1 X5 F500\nG90", "start", "review"),
    ("G1 where no feed was told", "G1\nM4 S9\nG1 X20 F100", "feed", "reject"),
    ("a zero taken back that moves", "M4 S5\nG92.1 X500", "words", "reject"),
    ("a centre beside G53", "G53 G0 X20 I5", "words", "reject"),
    ("a centre beside G28", "G28 X0 J5", "words", "reject"),
    ("a radius beside a wait", "G4 P0 R5", "words", "reject"),
    ("home while no motion is chosen", "G80\nG28 X0", "words", "reject"),
    ("the end in a line that waits", "G4 P0.1 M2\nG0 X5", "end", "reject"),
]  # fmt: skip

MILL_ROWS = [
    ("a tool offset taken back with a height", "G1 Z-2 F100\nG49 Z5\nG0 X50", "words", "reject"),
    ("a spindle that hardly turns", "M3 S1\nG1 Z-1 F100", "spindle", "reject"),
    ("rapid back over fresh stock", "G1 Z-1 F100\nG1 X20\nG0 X22", "rapid", "reject"),
    ("rapid through the rib between two slots",
     "G1 Z-1 F99\nX30\nG0 Z5\nG0 Y14\nG1 Z-1\nX10\nG0 X10 Y10", "rapid", "reject"),
    ("rapid below its own slot", "G1 Z-1 F100\nX30\nG1 X31 Z-2\nG0 X20", "rapid", "reject"),
    ("rapid where it cuts later", "G1 Z-1 F100\nG0 X30\nG1 X10", "rapid", "reject"),
    ("rapid in its own slot", "G1 Z-2 F100\nX30\nG0 X12", "rapid", "review"),
    ("rapid in its own ring", "G1 Z-2 F100\nG2 X10 Y10 I9\nG0 X10.2 Y12", "rapid", "review"),
    ("out of the stock to nowhere", "G1 Z-1 F100\nG30", "rapid", "reject"),
    ("rubbing", "G1 Z-1 F0.5", "feed", "review"),
    ("a zero on the table", "G0 Z20\nG1 Z11 F100\nX50", "stock", "review"),
    ("probing nothing", "G38.2 F100", "words", "reject"),
    ("F in inches just after inverse time", "G20\nG93\nG94 G1 Z-0.04 F0.9\nG21", "feed", "review"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "body", "rule", "severity"), LASER_ROWS)
def test_a_laser(what: str, body: str, rule: str, severity: str) -> None:
    verdict = judge(burnt(body), LASER)
    assert verdict.decision == severity, (what, verdict.findings)
    assert (rule, severity) in told(verdict), (what, verdict.findings)


@pytest.mark.parametrize(("what", "body", "rule", "severity"), MILL_ROWS)
def test_a_mill(what: str, body: str, rule: str, severity: str) -> None:
    verdict = judge(milled(body), MILL)
    assert verdict.decision == severity, (what, verdict.findings)
    assert (rule, severity) in told(verdict), (what, verdict.findings)


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("home in the dark", "M4\nG1 X50 S500 F1000\nG1 S0\nG28"),
        ("home where G0 is in force", "M4\nG1 X50 S500 F1000\nG0\nG28"),
        ("idle lines in the dark", "M4 S0\nG1 X20 F900 S800\n" + "G90\n" * 60),
        ("Z and across in step", "G0 Z0\nM4 S900\nG1 X20 F999\nG1 X30 Z-1"),
        ("a slow zero-length step in inverse time", "M4 S9\nG93\nG1 X10 F30\nG1 X20 F30\nG94"),
        ("a small drawing", "M4 S900\nG1 F300\n" + "X10.2\nY10.2\nX10\nY10\n" * 8),
    ],
)
def test_a_laser_may(what: str, body: str) -> None:
    assert judge(burnt(body), LASER).decision == "accept", what


def test_small_moves_that_never_leave_the_spot() -> None:
    """Whichever way it wriggles and wherever the grid lies; M3 burns on while lines are read."""
    for corner in (10.0, 10.25, 10.5):
        wriggle = "".join(
            f"X{corner + n % 7 * 0.01 + n * 1e-6:.6f}Y{corner - n % 5 * 0.01:.4f}\n"
            for n in range(5000)
        )
        still = "".join(f"X{corner + n * 1e-5:.5f}\n" for n in range(6000))
        for body in (f"M4 S900\nG1 F200\n{wriggle}", f"M3 S900\nG1 X{corner} F900\n{still}"):
            verdict = judge(burnt(f"G0 X{corner} Y{corner}\n{body}"), LASER)
            assert ("beam at rest", "reject") in told(verdict), corner
            assert any("one spot" in f.message for f in verdict.findings)


def test_a_laser_that_starts_nowhere() -> None:
    for start in ("", "G0 X10\n", "G0 Y10\n"):
        program = f"G21\nG90\n{start}M4 S500\nG1 X50 Y50 F900\nM5\nM2\n"
        assert told(judge(program.encode(), LASER)) == {("start", "review")}, start


def test_a_mill_that_starts_nowhere() -> None:
    for start in ("", "G0 X10\n", "G0 Y10\n"):
        program = f"G21\nG90\nG0 Z5\nM3 S900\n{start}G1 Z-1 F100\nG0 Z5\nM5\nM2\n"
        assert told(judge(program.encode(), MILL)) == {("start", "review")}, start


def test_a_spindle_speed_that_nobody_told() -> None:
    program = b"G21\nM3\nG0 Z5\nG0 X10 Y10\nG1 Z-1 F100\nX20\nG0 Z5\nM5\nM2\n"
    verdict = judge(program, MILL)
    assert [(f.rule, f.line, f.severity) for f in verdict.findings] == [("spindle", 5, "review")]


def test_machine_heights_where_nobody_knows_the_stock() -> None:
    body = "G21\nG90\nG53 G0 Z{0}\nM3 S8000\nG0 X10 Y10\nG0 Z5\nG1 Z-1 F100\nG0 Z5\nM5\nM2\n"
    for high in ("-1", "-14.9"):
        assert judge(body.format(high).encode(), LOST).decision == "accept"
    for low in ("-15.1", "-58"):
        assert told(judge(body.format(low).encode(), LOST)) == {("start", "review")}
    assert told(judge(body.format("-61").encode(), LOST)) >= {("envelope", "reject")}
    later = "G0 Z5\nG0 X10 Y10\nM3 S9000\nG1 Z-1 F100\nG0 Z5\nG53 G0 Z-50\nM5\nM2\n"
    assert told(judge(later.encode(), LOST)) == {("start", "review")}
    aside = judge(b"G53 G0 Z-1\nG53 G0 X-301\nG0 X10 Y10\nM5\nM2\n", LOST)
    assert ("envelope", "reject") in told(aside)
