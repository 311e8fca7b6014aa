"""The guard before a laser: power at rest, in rapids, beyond its limit, and again and again."""

import random

import pytest

from firmware_bridge import profiles
from firmware_bridge.guard import Verdict, judge

LASER = profiles.load("generic-laser-400")
HEAD = "G21\nG90\nG0 X10 Y10\nM4 S0\n"
TAIL = "M5\nG0 X0 Y0\nM2\n"
FIRST = HEAD.count("\n") + 1


def burnt(body: str) -> bytes:
    return (HEAD + body + "\n" + TAIL).encode()


def told(verdict: Verdict) -> set[tuple[str, str]]:
    return {(finding.rule, finding.severity) for finding in verdict.findings}


REJECTED = [
    ("constant power in a rapid", "M3 S500\nG1 X20 F1000\nG0 X50", "beam in rapid", 3),
    ("power in a rapid's line", "G0 X50 S500", "beam in rapid", 1),
    ("constant power home", "M3 S500\nG1 X20 F1000\nG28", "beam in rapid", 3),
    ("constant power to the corner", "M3 S500\nG1 X20 F1000\nG53 G0 X0", "beam in rapid", 3),
    ("the beam at rest", "M3\nG1 X20 S500 F1000\nG4 P2", "beam at rest", 3),
    ("the beam at rest, before a move", "M3 S500\nG4 P0.1\nG1 X20 F1000", "beam at rest", 2),
    ("the beam while a person comes", "M3\nG1 X20 S500 F1000\nM0", "beam at rest", 3),
    ("power set at rest", "M3\nG1 X20 S0 F1000\nS500", "beam at rest", 3),
    ("the beam lit at rest", "G1 X20 S0 F1000\nM3 S500\nM5", "beam at rest", 2),
    ("as good as standing", "G1 X20 S500 F9.9", "beam at rest", 1),
    ("one spot while Z moves", "G1 X20 S500 F1000\nG1 Z-1", "beam at rest", 2),
    ("lit by a change to G1", "G0 X20\nM3 S500\nG1 F1000\nM5", "beam at rest", 3),
    ("many steps of nothing", "M3\nG1 X20 S500 F1000\n" + "X20\n" * 30, "beam at rest", 23),
    ("over power in a line that moves a zero", "G92 X0 S1001", "power", 1),
    ("over power", "G1 X20 S1001 F1000", "power", 1),
    ("over power while off", "M5 S1001", "power", 1),
    ("negative power", "G1 X20 S-1 F1000", "words", 1),
    ("beyond X", "G1 X400.01 S500 F1000", "envelope", 1),
    ("beyond Y", "G1 Y400.01 S500 F1000", "envelope", 1),
    ("below X", "G1 X-0.01 S500 F1000", "envelope", 1),
    ("beyond by steps", "G91\nG1 X195 S500 F1000\nX196\nG90", "envelope", 3),
    ("no feed", "G1 X20 S500", "feed", 1),
    ("feed too high", "G1 X20 S500 F30001", "feed", 1),
    ("a setting", "$32=0", "system", 1),
    ("no power told in a dwell's S", "G4 S1", "words", 1),
]  # fmt: skip


@pytest.mark.parametrize(("what", "body", "rule", "line"), REJECTED)
def test_rejects(what: str, body: str, rule: str, line: int) -> None:
    verdict = judge(burnt(body), LASER)
    lines = [finding.line for finding in verdict.findings if finding.rule == rule]
    assert verdict.decision == "reject", (what, verdict.findings)
    assert FIRST + line - 1 in lines, (what, verdict.findings)


def test_an_arc_bulges_out_on_the_side_it_turns_to() -> None:
    start = "G1 X395 Y60 S500 F1000\n"
    assert judge(burnt(start + "G2 Y40 X395 J-10"), LASER).decision == "reject"
    assert judge(burnt(start + "G3 Y40 X395 J-10"), LASER).decision == "accept"


@pytest.mark.parametrize(
    ("what", "body", "rule"),
    [
        ("constant power", "M3 S500\nG1 X20 F1000\nM5", "constant power"),
        ("constant power, line by line", "M3\nG1 X20 S500 F1000\nG1 S0\nM5", "constant power"),
        ("a wait with power told", "G1 X20 S500 F1000\nG4 P1", "beam at rest"),
        ("many passes", "G1 X20 S500 F1000\n" + "X10\nX20\n" * 4 + "X10", "many passes"),
        ("a wiggle on one spot", "G1 X20 S500 F100\n" + "X20.01\nX20\n" * 5, "many passes"),
        ("many rounds", "G1 X20 S500 F900\n" + "Y30\nX10\nY10\nX20\n" * 9, "many passes"),
        ("many circles", "S500\nG1 X20 F900\n" + "G2 X20 Y10 I5\n" * 9, "many passes"),
        ("another zero", "G55", "offset"),
        ("a moved zero", "G92 X0 Y0", "offset"),
        ("a stop", "M0", "person"),
        ("mist", "M7", "person"),
    ],
)
def test_leaves_to_a_person(what: str, body: str, rule: str) -> None:
    verdict = judge(burnt(body), LASER)
    assert (verdict.decision, told(verdict)) == ("review", {(rule, "review")}), what


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("full power", "G1 X20 S1000 F1000"),
        ("the corners", "G1 X400 Y400 S500 F1000\nX0\nY0"),
        ("modal power over rapids", "G1 X20 S500 F1000\nG0 X50\nG1 X60\nG0 X0"),
        ("no power in a rapid's line", "G1 X20 S500 F1000\nG0 X50 S0\nG1 X60 S500"),
        ("constant power at nothing", "M3 S0\nG1 X20 F1000\nG0 X50\nG4 P1"),
        ("a wait in the dark", "G1 X20 S0 F1000\nG4 P1\nS500\nG1 X30"),
        ("a wait of nothing", "G1 X20 S500 F1000\nG4 P0"),
        ("a pointer too weak to mark", "M3 S2\nG0 X50\nG1 X20 F1000"),
        ("power while off", "M5 S1000\nG0 X50"),
        ("power while off, at a crawl", "M5 S1000\nG1 X50 F5"),
        ("slow in the dark", "G1 X20 S0 F5\nG0 X50\nG1 X60 S500 F1000\nF5\nG0 X70"),
        ("armed where no motion is chosen", "G1 X20 S0 F900\nG80\nM3 S500\nM5"),
        ("armed in G0 and never lit", "M3 S500\nM5"),
        ("air", "M8\nG1 X20 S500 F1000\nM9"),
        ("some passes", "G1 X20 S500 F1000\nX10\nX20\nX10\nX20\nX10\nX20\nX10"),
        ("as slow as it may", "G1 X20 S1000 F50"),
        ("weak and as slow as it may", "G1 X20 S200 F10"),
        ("the beam lit by M4 at rest", "G1 X20 S0 F1000\nM4 S500\nM5"),
        ("arcs", "G1 X20 S500 F1000\nG2 X30 Y10 I5 J0\nG3 X20 Y10 R5"),
        ("up and down", "G0 Z-2\nG1 X20 S500 F1000\nG1 Z-3 S0\nG1 X30 Z-2 S500"),
        ("very short lines", "G1 S500 F900\n" + "\n".join(f"X{20 + n / 500}" for n in range(99))),
        ("close lines", "\n".join(f"G1 X{20 + n % 2} Y{10 + n / 10} S500 F999" for n in range(99))),
    ],
)
def test_accepts(what: str, body: str) -> None:
    verdict = judge(burnt(body), LASER)
    assert verdict.decision == "accept", (what, verdict.findings)


def test_m3_before_its_move_waits_for_no_reject() -> None:
    """Many hobby writers light the beam in a line of its own; that is constant power, no spot."""
    twice = "G1 X20 S0 F1000\nM3 S300\nS500\nG1 X30"
    for body in (twice, "M3 S500\nG1 X20 F1000", "G1 X20 S0 F1000\nM3 S500\nG4 P0\nF900\nG1 X30"):
        verdict = judge(burnt(body), LASER)
        assert told(verdict) == {("constant power", "review")}, verdict.findings


def test_the_beam_lit_where_one_stretch_of_reading_ends() -> None:
    """A stretch ends with the line that holds byte 262,144, when it has rows enough."""
    start = HEAD + "M3 S1\nG1 F1000\n" + "X11\nX12\n" * 20_000
    start += ";" + "x" * (262_144 - len(start) - 4) + "\n"
    for after, rejected in (("M5", True), ("X12", False)):
        program = f"{start}S900\n{after}\n{TAIL}"
        assert program.encode()[262_140:262_147].startswith(b"x\nS900\n")
        verdict = judge(program.encode(), LASER)
        assert (("beam at rest", "reject") in told(verdict)) == rejected


def test_the_first_of_many_stretches_is_remembered() -> None:
    rest = "G0 X5\nM4 S1\n" + "G1 X11 Y11\nX12\n" * 60_000
    start = "G21\nG90\nG0 X10 Y10\n"
    constant = judge(f"{start}M3 S500\nG1 X20 F900\nM5\n{rest}{TAIL}".encode(), LASER)
    assert [(f.rule, f.line) for f in constant.findings] == [("constant power", 5)]
    untold_ = judge(f"{start}M4\nG1 X20 F900\nM5\n{rest}{TAIL}".encode(), LASER)
    assert [(f.rule, f.line) for f in untold_.findings] == [("power untold", 5)]


def test_what_constant_power_means_is_the_shops() -> None:
    assert LASER.laser is not None
    program = burnt("M3 S500\nG1 X20 F1000\nM5")
    decisions = []
    for choice in ("accept", "review", "reject"):
        laser = LASER.laser.model_copy(update={"constant_power": choice})
        decisions.append(judge(program, LASER.model_copy(update={"laser": laser})).decision)
    assert decisions == ["accept", "review", "reject"]


def test_power_that_was_never_told() -> None:
    untold = judge(b"G21\nG90\nG0 X1 Y1\nM4\nG1 X50 F1000\nM5\nM2\n", LASER)
    assert told(untold) == {("power untold", "review")}
    dark = judge(b"G21\nG90\nG1 X9 Y9 F900\nM4 S500\nG1 X50\nM5\nM2\n", LASER)
    assert dark.decision == "accept"
    late = judge(b"G21\nG90\nG0 X1 Y1\nM4\nG1 X50 S500 F1000\nM5\nM2\n", LASER)
    assert late.decision == "accept"


def test_a_start_that_nobody_told() -> None:
    here = "G21\nG91\nM4 S0\nG1 X{0} S500 F1000\nM5\nM2\n"
    assert told(judge(here.format(400).encode(), LASER)) == {("start", "review")}
    wide = judge(here.format("401").encode(), LASER)
    assert told(wide) == {("start", "review"), ("envelope", "reject")}


def test_what_is_left_on_is_said() -> None:
    start = b"G21\nG90\nG0 X1 Y1\nM4 S500\nG1 X50 F1000\n"
    assert told(judge(start, LASER)) == {("left on", "review")}
    for end in (b"M5\n", b"M2\n", b"M30\n", b"G1 S0\n"):
        assert judge(start + end, LASER).decision == "accept"


def test_the_same_line_is_counted_over_all_of_the_program() -> None:
    rows = "\n".join(f"G1 X{20 + n / 10:.1f} S{n % 900}" for n in range(3000))
    again = "\n".join(f"G0 X5 Y5\nG1 X6 S500\n{rows}" for _ in range(9))
    program = burnt(f"G1 X20 F1000\n{again}".replace("X320", "X3"))
    assert told(judge(program, LASER)) >= {("many passes", "review")}


@pytest.mark.parametrize(
    "material",
    ["pvc", "PVC", "PVC foam 3 mm", "vinyl-sticker", "ABS", "carbon fibre", "Carbon-Fibre"],
)
def test_what_must_never_meet_a_laser(material: str) -> None:
    program = burnt("G1 X50 S500 F1000")
    assert told(judge(program, LASER, material=material)) == {("material", "reject")}


@pytest.mark.parametrize("material", ["plywood", "acrylic", "absorbent paper", "mdf-3mm"])
def test_what_may(material: str) -> None:
    assert judge(burnt("G1 X50 S500 F1000"), LASER, material=material).decision == "accept"


def test_facts() -> None:
    facts = judge(burnt("G1 X50 S500 F1000\nG0 X60\nG1 Y20 S0\nG1 X70 S800"), LASER).facts
    assert facts.bbox_mm == ((10, 10, 0), (70, 20, 0))
    assert facts.cut_length_mm == pytest.approx(50)
    assert facts.power_max == 800
    assert facts.depth_mm == 0
    assert facts.end_mm == (0, 0, None)
    assert facts.end_modes[-2:] == ("M5", "M9")


def raster(chance: random.Random, rows: int, columns: int) -> list[str]:
    lines = ["G1 F3000"]
    for row in range(rows):
        order = range(columns) if row % 2 == 0 else range(columns - 1, -1, -1)
        lines.append(f"G0 X{order[0] * 0.1:.1f} Y{20 + row * 0.1:.1f}")
        for n, column in enumerate(order[1:]):
            start = "" if n else "G1 "
            lines.append(f"{start}X{column * 0.1:.1f}S{chance.randrange(1000)}")
    return lines


def test_a_picture_is_accepted_and_one_bad_pixel_in_it_is_found() -> None:
    lines = raster(random.Random(5), 60, 700)
    whole = judge(burnt("\n".join(lines)), LASER)
    assert whole.decision == "accept", whole.findings
    assert whole.facts.bbox_mm == ((0, 20, 0), (pytest.approx(69.9), pytest.approx(25.9), 0))
    for bad, rule in (("X5.0S1001", "power"), ("X401S5", "envelope"), ("X1E3S5", "words")):
        lines[30_000] = bad
        verdict = judge(burnt("\n".join(lines)), LASER)
        assert (rule, FIRST + 30_000) in {(f.rule, f.line) for f in verdict.findings}
