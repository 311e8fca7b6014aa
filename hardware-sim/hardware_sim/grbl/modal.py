"""Promises GRBL 1.1h's reading of one line: words, modal groups, units, errors in its own order.
Never moves anything; what depends on where the machine stands is left to `moves`.

Source: gnea/grbl `grbl/gcode.c` gc_execute_line steps 1-3 (every number below is the one that
function FAILs with), `grbl/protocol.c` protocol_main_loop (cleaning), `grbl/nuts_bolts.c`
read_float (numbers), `grbl/config.h` (M7 and M56 are not compiled in).
"""

import re
from dataclasses import dataclass, field, replace

LINE_LENGTH = 79  # protocol.h LINE_BUFFER_SIZE 80, one for the terminator
MAX_LINE_NUMBER = 10_000_000
MAX_DIGITS = 8  # read_float: what follows only counts as powers of ten
MM_PER_INCH = 25.4
SYSTEM_COUNT = 6


class GrblError(Exception):
    """The line is refused with this number (`error:N`)."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


GROUPS = {
    **dict.fromkeys(("G4", "G10", "G28", "G30", "G28.1", "G30.1", "G53", "G92", "G92.1"), "once"),
    **dict.fromkeys(("G0", "G1", "G2", "G3", "G80"), "motion"),
    **dict.fromkeys(("G38.2", "G38.3", "G38.4", "G38.5"), "motion"),
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
    **dict.fromkeys(("M8", "M9"), "coolant"),
}
# A fraction after these is an unsupported command (20); after any other code, error 23.
_OWN_FRACTIONS = frozenset((28, 30, 92, 38, 90, 91, 43, 49, 61))
_AXIS_COMMANDS = {
    **dict.fromkeys(("G10", "G28", "G30", "G92"), "once"),
    **dict.fromkeys(("G0", "G1", "G2", "G3", "G38.2", "G38.3", "G38.4", "G38.5"), "motion"),
    **dict.fromkeys(("G43.1", "G49"), "length"),
}
_JOG_GROUPS = frozenset(("distance", "units", "once"))
_PLANES = {"G17": ("XY", "IJ"), "G18": ("ZX", "KI"), "G19": ("YZ", "JK")}
AXES = "XYZ"
PROBES = ("G38.2", "G38.3", "G38.4", "G38.5")
_WORD = re.compile(r"([A-Z])([+-]?(?:\d+\.?\d*|\.\d+))")
_SIMPLE = re.compile(r"[^\x00-\x20/();a-z]*\Z")
_BLANKS = dict.fromkeys((*range(0x21), ord("/")))


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
    length: str = "G49"


@dataclass(frozen=True)
class Line:
    """One parsed line: the commands by group and the value words, millimetres already."""

    commands: dict[str, str] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    serves: str = ""
    """What the axis words are for: `motion`, `once`, `length`, or nothing."""
    unused: bool = False

    def axes(self) -> dict[int, float]:
        """Axis words by axis number."""
        return {AXES.index(k): v for k, v in self.values.items() if k in AXES}

    def refuse_unused(self) -> None:
        """The last of GRBL's checks: words that nothing in the line has use for."""
        if self.unused:
            raise GrblError(36)


def clean(raw: str) -> str:
    """What GRBL's reader leaves of a line: no blanks, no comments, capitals."""
    if _SIMPLE.match(raw):
        return raw
    if raw.isascii() and "(" not in raw and ";" not in raw:
        return raw.translate(_BLANKS).upper()
    out: list[str] = []
    nested = False
    for char in raw:
        if nested:
            nested = char != ")"
        elif char == ";":
            break
        elif char == "(":
            nested = True
        elif char > " " and char != "/":
            out.append(char.upper() if char.isascii() else char)
    return "".join(out)


def parse(text: str, modes: Modes) -> tuple[Line, Modes]:
    """Read a cleaned line; answers what it asks once and the modes it leaves. GrblError."""
    line, after = read(text, modes)
    line.refuse_unused()
    return line, after


def read(text: str, modes: Modes, *, jog: bool = False) -> tuple[Line, Modes]:
    """As `parse`, but words without use are only noted; `jog`: what stands after `$J=`."""
    commands, values, serves = _words(text)
    axes = any(letter in values for letter in AXES)
    if axes and not serves:
        serves = "motion"
    if values.get("N", 0.0) > MAX_LINE_NUMBER:
        raise GrblError(27)
    if jog:
        modes = replace(modes, motion="G1", feed="G94")
    after = (
        _after(commands, values, modes, jog=jog)
        if commands or _TELLING & values.keys()
        else (_plain(modes))
    )
    _to_mm(values, after.units)
    feed_mm_min = _feed(values, modes, after, serves, jog=jog)
    if feed_mm_min != after.feed_mm_min:
        after = replace(after, feed_mm_min=feed_mm_min)
    serves = _check(commands, values, serves, after, axes=axes)
    unused = _unused(commands, values, serves, after, jog=jog)
    if jog:
        _check_jog(commands, unused=unused)
    return Line(commands, values, serves, unused), after


_TELLING = frozenset("ST")


def _plain(modes: Modes) -> Modes:
    """T is not kept from line to line (gc_state.tool = gc_block.values.t)."""
    return replace(modes, tool=0) if modes.tool else modes


def _after(commands: dict[str, str], values: dict[str, float], modes: Modes, *, jog: bool) -> Modes:
    if len(commands) == 1 and commands.get("motion") == modes.motion and "S" not in values:
        return _plain(modes) if "T" not in values else replace(modes, tool=int(values["T"]))
    return replace(
        modes,
        units=commands.get("units", modes.units),
        plane=commands.get("plane", modes.plane),
        distance=commands.get("distance", modes.distance),
        feed=commands.get("feed", modes.feed),
        system=commands.get("system", modes.system),
        spindle=commands.get("spindle", modes.spindle),
        coolant=commands.get("coolant", modes.coolant),
        motion=commands.get("motion", "G1" if jog else modes.motion),
        length=commands.get("tool length", modes.length),
        speed=values.get("S", modes.speed),
        tool=int(values.get("T", 0)),
    )


def _to_mm(values: dict[str, float], units: str) -> None:
    if units == "G20":
        for letter in "XYZIJKR":
            if letter in values:
                values[letter] *= MM_PER_INCH


def _feed(
    values: dict[str, float], before: Modes, after: Modes, serves: str, *, jog: bool
) -> float:
    """The feed this line leaves; 22 where its mode wants the word on the line itself.

    Inches are converted only while G94 holds before and after the line, and for a jog.
    """
    told = values.get("F")
    mm = MM_PER_INCH if after.units == "G20" else 1.0
    if jog:
        if told is None:
            raise GrblError(22)
        return told * mm
    if after.feed == "G93":
        if serves == "motion" and after.motion not in ("G0", "G80") and told is None:
            raise GrblError(22)
        return told or 0.0
    if before.feed == "G94":
        return before.feed_mm_min if told is None else told * mm
    return told or 0.0


def _words(text: str) -> tuple[dict[str, str], dict[str, float], str]:
    commands: dict[str, str] = {}
    values: dict[str, float] = {}
    serves = ""
    place = 0
    while place < len(text):
        found = _WORD.match(text, place)
        if found is None:
            raise GrblError(2 if "A" <= text[place] <= "Z" else 1)
        letter, digits = found.groups()
        number = float(digits) if len(digits) <= MAX_DIGITS else _long_number(digits)
        place = found.end()
        if letter in "GM":
            serves = _command(commands, letter, number, serves)
        else:
            _value(values, letter, number)
    return commands, values, serves


def _long_number(digits: str) -> float:
    """read_float keeps eight digits, leading zeros counted, and drops the rest."""
    whole, _, part = digits.lstrip("+-").partition(".")
    kept = whole[:MAX_DIGITS] + "0" * max(0, len(whole) - MAX_DIGITS)
    rest = part[: max(0, MAX_DIGITS - len(whole))]
    number = float(f"{kept or '0'}.{rest or '0'}")
    return -number if digits[0] == "-" else number


def _command(commands: dict[str, str], letter: str, number: float, serves: str) -> str:
    whole = int(number) & 0xFF  # gcode.c: uint8_t int_value
    part = round(100 * (number - whole)) & 0xFFFF
    if letter == "M" and part:
        raise GrblError(23)
    code = f"{letter}{whole}" if not part else f"{letter}{whole}.{part / 10:g}"
    aim = _AXIS_COMMANDS.get(code, "")
    if aim and serves:
        raise GrblError(24)
    group = GROUPS.get(code)
    if group is None:
        known = f"{letter}{whole}" in GROUPS and whole not in _OWN_FRACTIONS
        if part and known and serves and f"{letter}{whole}" in _AXIS_COMMANDS:
            raise GrblError(24)
        raise GrblError(23 if part and known else 20)
    if group in commands:
        raise GrblError(21)
    commands[group] = code
    return aim or serves


def _value(values: dict[str, float], letter: str, number: float) -> None:
    if letter not in "FIJKLNPRSTXYZ":
        raise GrblError(20)
    if letter == "T" and number > 255:
        raise GrblError(38)
    if letter in values:
        raise GrblError(25)
    if number < 0 and letter in "FNPST":
        raise GrblError(4)
    values[letter] = number


def _check(
    commands: dict[str, str], values: dict[str, float], serves: str, after: Modes, *, axes: bool
) -> str:
    """Step 3, from [10] on, in the source's order; answers what the axis words really serve."""
    once = commands.get("once")
    if once == "G4" and "P" not in values:
        raise GrblError(28)
    if serves == "length" and after.length == "G43.1" and [k for k in AXES if k in values] != ["Z"]:
        raise GrblError(37)
    _check_once(once, values, after, axes=axes)
    if once in ("G28", "G30") and not axes:
        serves = ""
    if after.motion == "G80":
        if axes:
            raise GrblError(31)
    elif serves == "motion":
        serves = _check_motion(values, after, axes=axes)
    return serves


def _check_once(once: str | None, values: dict[str, float], after: Modes, *, axes: bool) -> None:
    if once in ("G10", "G92") and not axes:
        raise GrblError(26)
    if once == "G10":
        if "P" not in values and "L" not in values:
            raise GrblError(28)
        if int(values.get("P", 0)) > SYSTEM_COUNT:
            raise GrblError(29)
        which = int(values.get("L", 0))
        if which not in (2, 20) or (which == 2 and "R" in values):
            raise GrblError(20)
    if once == "G53" and after.motion not in ("G0", "G1"):
        raise GrblError(30)


def _check_motion(values: dict[str, float], after: Modes, *, axes: bool) -> str:
    if after.motion == "G0":
        return "motion" if axes else ""
    if after.feed_mm_min == 0:
        raise GrblError(22)
    if after.motion == "G1":
        return "motion" if axes else ""
    if not axes:
        raise GrblError(26)
    if after.motion in ("G2", "G3"):
        across, offsets = _PLANES[after.plane]
        if not any(letter in values for letter in across):
            raise GrblError(32)
        if "R" not in values and not any(letter in values for letter in offsets):
            raise GrblError(35)
    return "motion"


def _unused(
    commands: dict[str, str], values: dict[str, float], serves: str, after: Modes, *, jog: bool
) -> bool:
    used = set("NF" if jog else "NFST")
    if serves:
        used |= set(AXES)
    once = commands.get("once")
    if once == "G4":
        used.add("P")
    elif once == "G10":
        used |= set("LP")
    if serves == "motion" and after.motion in ("G2", "G3"):
        used |= set("R" if "R" in values else "IJK")
    return not values.keys() <= used


def _check_jog(commands: dict[str, str], *, unused: bool) -> None:
    """A jog knows distance, units and G53 only; unused words are looked at before that."""
    if unused:
        raise GrblError(36)
    if not commands.keys() <= _JOG_GROUPS or commands.get("once") not in (None, "G53"):
        raise GrblError(16)
