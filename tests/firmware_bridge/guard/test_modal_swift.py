"""Many lines at once are judged as one by one: the same decision, findings and facts."""

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge import profiles
from firmware_bridge.guard import Facts, Finding, judge
from firmware_bridge.profiles import MachineProfile

MILL = profiles.load("generic-cnc-3018")
LASER = profiles.load("generic-laser-400")
START = {
    MILL.name: "G21 G90\nG0 Z5\nM3 S9000\nG0 X100 Y100\nF500\n",
    LASER.name: "G21 G90\nG0 X100 Y100\nM4\nF500\n",
}


def slowly(program: str) -> bytes:
    """The same program in a form that is always read line by line."""
    return "".join(f"(a)(b){line}\n" for line in program.splitlines()).encode()


def rounded(facts: Facts) -> object:
    def near(value: object) -> object:
        if isinstance(value, tuple):
            return tuple(map(near, value))
        return round(value, 6) + 0.0 if isinstance(value, float) else value

    return near(dataclasses.astuple(facts))


def found(findings: tuple[Finding, ...]) -> list[tuple[str, int, str]]:
    return sorted((f.rule, f.line, f.severity) for f in findings)


def alike(program: str, profile: MachineProfile) -> None:
    swift, slow = judge(program.encode(), profile), judge(slowly(program), profile)
    assert swift.decision == slow.decision
    assert found(swift.findings) == found(slow.findings)
    assert rounded(swift.facts) == rounded(slow.facts)


def line(chance: random.Random, laser: bool) -> str:
    """One plain line; mostly harmless, sometimes far out, deep, fast or strong."""
    pick = chance.random
    words = [chance.choice(["G0", "G00", "G1", "G01", "", "", "", ""])]
    for axis, at, wide in (("X", 100, 30), ("Y", 100, 30), ("Z", 1, 4 if not laser else 1)):
        if pick() < (0.5 if axis != "Z" else 0.1):
            far = 8 if pick() < 0.01 else 1
            words.append(f"{axis}{chance.gauss(at, wide * far):.3f}")
    if pick() < 0.1:
        words.append(f"F{chance.choice([0, 200, 500, 900, 40000]) if pick() < 0.2 else 300}")
    if pick() < 0.3:
        words.append(f"S{chance.choice([0, 1, 400, 900, 1000, 13000])}")
    if pick() < 0.05:
        words.append(f"F{chance.randrange(1, 999)}")
    if pick() < 0.06:
        spin = chance.choice(["M3", "M03", "M4", "M5", "M05"])
        words.insert(chance.choice([0, len(words)]), spin)
    if pick() < 0.05:
        words = [chance.choice(["G4 P0", "G04P0", "G4 P0 X5", "G4 P0.5", "M30", "G1", "F300"])]
    between = chance.choice(["", " "])
    return between.join(word for word in words if word) + chance.choice(
        ["", "", "", " ;x", "(y)", " (;) ", "\r"]
    )


def arc(chance: random.Random) -> str:
    """An arc that closes, most of the time, from wherever the last one ended."""
    wrong = chance.choice([0] * 30 + [0.004, 0.1])
    code = chance.choice(["G2", "G03"])
    return f"{code} X100 Y{100 + wrong} I{chance.randrange(-30, 30)} J{chance.randrange(1, 20)} K0"


@given(seed=st.integers(0, 2**32), profile=st.sampled_from([MILL, LASER]))
@settings(max_examples=60, deadline=None)
def test_plain_lines(seed: int, profile: MachineProfile) -> None:
    chance = random.Random(seed)
    lines = [line(chance, profile is LASER) for _ in range(chance.randrange(30, 400))]
    if chance.random() < 0.3:
        spots = [chance.randrange(len(lines)) for _ in range(5)]
        odd = ["G91", "G20", "M5", "G4 P0.5", "G21", "G90", "(x)", "", "M3", "G92 X5", "G93", "G80"]
        for spot in spots:
            lines[spot] = chance.choice(odd)
    alike(START[profile.name] + "\n".join(lines) + "\nM5\nG0 Z5\nM2\n", profile)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_plain_arcs(seed: int) -> None:
    chance = random.Random(seed)
    cuts = [arc(chance) if chance.random() < 0.8 else "G1 X100 Y100" for _ in range(60)]
    alike("\n".join([START[MILL.name] + "G1 Z-1 F300", *cuts, "G0 Z5", "M2"]) + "\n", MILL)


@pytest.mark.parametrize("code", ["G91", "G20", "G18", "G93", "G55", "M5", "G92 X0", "G80", "M2"])
def test_every_mode_reaches_into_the_plain_lines(code: str) -> None:
    rows = "\n".join(f"X{n / 10} Y{n / 10}" for n in range(80))
    for profile in (MILL, LASER, LASER.model_copy(update={"codes": LASER.codes - {"M3", "M4"}})):
        for motion in ("G1", "G0", "G2"):
            alike(f"{START[profile.name]}{motion} X1 Y1 I5\n{code}\n{rows}\nG0 Z5\nM2\n", profile)


def test_arcs_that_a_profile_does_not_list_stay_refused() -> None:
    straight = LASER.model_copy(update={"codes": LASER.codes - {"G2", "G3"}})
    rows = "G1 X100 Y100 S500\n" + "G2 X100 Y100 I5\n" * 60
    verdict = judge((START[LASER.name] + rows + "M5\nM2\n").encode(), straight)
    assert {f.rule for f in verdict.findings} == {"code"}


def test_a_spindle_that_a_profile_does_not_list_stays_refused() -> None:
    for code, rest in (("M3", LASER.codes), ("M4", LASER.codes), ("G4", MILL.codes)):
        profile = LASER.model_copy(update={"codes": rest - {code}, "review": frozenset()})
        line = f"{code} P0" if code == "G4" else f"{code} S5"
        rows = "G1 X100 Y100 F500\n" + f"{line}\n" * 60
        verdict = judge(("G21 G90\nG0 X100 Y100\n" + rows + "G0 X5\nM5\nM2\n").encode(), profile)
        assert ("code", 4) in {(f.rule, f.line) for f in verdict.findings}, code


def test_a_long_plain_line_is_still_too_long() -> None:
    short = MILL.model_copy(update={"line_max_bytes": 20})
    rows = "".join(f"G1 X100.{n:05d} Y100\n" for n in range(80))
    verdict = judge(
        (START[MILL.name] + rows + "G1 X100.000000 Y100.0\n" + rows + "M2\n").encode(), short
    )
    assert [f.line for f in verdict.findings if f.rule == "length"] == [86]


def test_long_programs_are_read_in_stretches_without_a_seam() -> None:
    steps = "".join(f"X{100 + n % 7}Y{100 + n % 11}S{n % 900}\n" for n in range(60_000))
    program = START[LASER.name] + "G1 F900\n" + steps + "X401\n" + steps + "M5\nM2\n"
    verdict = judge(program.encode(), LASER)
    assert ("envelope", START[LASER.name].count("\n") + 1 + 60_000 + 1) in {
        (f.rule, f.line) for f in verdict.findings
    }
    half = judge((START[LASER.name] + "G1 F900\n" + steps + "M5\nM2\n").encode(), LASER).facts
    assert verdict.facts.cut_length_mm == pytest.approx(2 * half.cut_length_mm, abs=700)
