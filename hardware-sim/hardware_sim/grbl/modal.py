"""Promises GRBL 1.1's reading of one line: modal groups, words, units, errors by number.
Never moves anything; it says what the line asks for. No probe is fitted: G38 is refused.

Source: GRBL 1.1 `gcode.c` and `doc/markdown/interface.md`, error codes as in its CSV tables.
"""

import re
from dataclasses import dataclass, field, replace

LINE_LENGTH = 79


class GrblError(Exception):
    """The line is refused with this number (`error:N`)."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


GROUPS = {
    **dict.fromkeys(("G4", "G10", "G28", "G30", "G28.1", "G30.1", "G53", "G92", "G92.1"), "once"),
    **dict.fromkeys(("G0", "G1", "G2", "G3", "G80"), "motion"),
    **dict.fromkeys(("G17", "G18", "G19"), "plane"),
    **dict.fromkeys(("G90", "G91"), "distance"),
    "G91.1": "arc distance",
    **dict.fromkeys(("G93", "G94"), "feed"),
    **dict.fromkeys(("G20", "G21"), "units"),
    "G40": "cutter",
    **dict.fromkeys(("G43.1", "G49"), "tool length"),
    **dict.fromkeys(("G54", "G55", "G56", "G57", "G58", "G59"), "system"),
    "G61": "path",
    **dict.fromkeys(("M0", "M1", "M2", "M30"), "stopping"),
    **dict.fromkeys(("M3", "M4", "M5"), "spindle"),
    **dict.fromkeys(("M7", "M8", "M9"), "coolant"),
}
AXES = "XYZ"
_WORD = re.compile(r"([A-Z])([+-]?(?:\d+\.?\d*|\.\d+))")


@dataclass(frozen=True)
class Modes:
    """What stays from line to line."""

    motion: str = "G0"
    plane: str = "G17"
    distance: str = "G90"
    feed: str = "G94"
    units: str = "G21"
    system: str = "G54"
    spindle: str = "M5"
    coolant: str = "M9"
    feed_mm_min: float = 0.0
    speed: float = 0.0
    tool: int = 0

    def words(self) -> str:
        """As `$G` reports it."""
        parts = [self.motion, self.system, self.plane, self.units, self.distance, self.feed]
        parts += [self.spindle, self.coolant, f"T{self.tool}"]
        return " ".join([*parts, f"F{self.feed_mm_min:.0f}", f"S{self.speed:.0f}"])


@dataclass(frozen=True)
class Line:
    """One parsed line: the commands by group and the value words, millimetres already."""

    commands: dict[str, str] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)

    def axes(self) -> dict[int, float]:
        """Axis words by axis number."""
        return {AXES.index(k): v for k, v in self.values.items() if k in AXES}


def clean(raw: str) -> str:
    """What GRBL's reader leaves of a line: no blanks, no comments, capitals."""
    out: list[str] = []
    nested = False
    for char in raw:
        if char == ";":
            break
        if char == "(":
            nested = True
        elif char == ")" and nested:
            nested = False
        elif not nested and char > " " and char != "/":
            out.append(char.upper())
    return "".join(out)


def parse(text: str, modes: Modes) -> tuple[Line, Modes]:
    """Read a cleaned line; answers what it asks once and the modes it leaves. GrblError."""
    commands, values = _words(text)
    units = commands.get("units", modes.units)
    scale = 25.4 if units == "G20" else 1.0
    for letter in "XYZIJKRF":
        if letter in values:
            values[letter] *= scale
    after = replace(
        modes,
        units=units,
        plane=commands.get("plane", modes.plane),
        distance=commands.get("distance", modes.distance),
        feed=commands.get("feed", modes.feed),
        system=commands.get("system", modes.system),
        spindle=commands.get("spindle", modes.spindle),
        coolant=commands.get("coolant", modes.coolant),
        motion=commands.get("motion", modes.motion),
        feed_mm_min=values.get("F", modes.feed_mm_min),
        speed=values.get("S", modes.speed),
        tool=int(values.get("T", modes.tool)),
    )
    line = Line(commands, values)
    _check(line, after)
    return line, after


def _words(text: str) -> tuple[dict[str, str], dict[str, float]]:
    commands: dict[str, str] = {}
    values: dict[str, float] = {}
    place = 0
    while place < len(text):
        found = _WORD.match(text, place)
        if found is None:
            raise GrblError(1 if not text[place].isalpha() else 2)
        letter, number = found[1], float(found[2])
        place = found.end()
        if letter in "GM":
            _command(commands, letter, number)
        elif letter in "FIJKLNPRSTXYZ":
            _value(values, letter, number)
        else:
            raise GrblError(20)
    return commands, values


def _command(commands: dict[str, str], letter: str, number: float) -> None:
    code = f"{letter}{number:.1f}".removesuffix(".0")
    if letter == "M" and number != int(number):
        raise GrblError(23)
    group = GROUPS.get(code)
    if group is None:
        raise GrblError(20)
    if group in commands:
        raise GrblError(21)
    commands[group] = code


def _value(values: dict[str, float], letter: str, number: float) -> None:
    if letter in values:
        raise GrblError(25)
    if letter in "FNPST" and number < 0:
        raise GrblError(4)
    if letter == "T" and number > 255:
        raise GrblError(38)
    values[letter] = number


def _check(line: Line, after: Modes) -> None:
    once, axes = line.commands.get("once"), line.axes()
    if "motion" in line.commands and once not in (None, "G53") and once != "G4" and axes:
        raise GrblError(24)
    if once == "G4" and "P" not in line.values:
        raise GrblError(28)
    if once == "G53" and after.motion not in ("G0", "G1"):
        raise GrblError(30)
    if once in (None, "G53"):
        _check_motion(line, after)


def _check_motion(line: Line, after: Modes) -> None:
    axes = line.axes()
    if after.motion == "G80":
        if axes:
            raise GrblError(31)
        return
    cuts = after.motion in ("G1", "G2", "G3")
    if axes and cuts and after.feed_mm_min <= 0:
        raise GrblError(22)
    arc = after.motion in ("G2", "G3") and (axes or "motion" in line.commands)
    if arc:
        _check_arc(line, after)


def _check_arc(line: Line, after: Modes) -> None:
    across = {"G17": "XY", "G18": "ZX", "G19": "YZ"}[after.plane]
    offsets = {"G17": "IJ", "G18": "KI", "G19": "JK"}[after.plane]
    if not line.axes():
        raise GrblError(26)
    if not set(across) & set(line.values):
        raise GrblError(32)
    if "R" not in line.values and not set(offsets) & set(line.values):
        raise GrblError(35)
