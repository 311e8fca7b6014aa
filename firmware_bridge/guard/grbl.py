"""One line of a program as GRBL 1.1's own parser takes it: its codes and values, or why it fails.

It keeps no state and judges nothing. What GRBL would refuse in mid-job is refused here before it
starts; what two readers could understand differently is refused too. Source: gnea/grbl, gcode.c
(modal groups, words, conflicts), nuts_bolts.c (numbers), protocol.c (comments, blanks).
"""

import re
from dataclasses import dataclass
from typing import Final

_GROUPS: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("G4", "G10", "G28", "G28.1", "G30", "G30.1", "G53", "G92", "G92.1"), "actions"
    ),
    **dict.fromkeys(("G0", "G1", "G2", "G3", "G38.2", "G38.3", "G38.4", "G38.5", "G80"), "motions"),
    **dict.fromkeys(("G17", "G18", "G19"), "planes"),
    **dict.fromkeys(("G90", "G91"), "distance modes"),
    "G91.1": "arc modes",
    **dict.fromkeys(("G93", "G94"), "feed modes"),
    **dict.fromkeys(("G20", "G21"), "units"),
    "G40": "cutter compensations",
    **dict.fromkeys(("G43.1", "G49"), "tool offsets"),
    **dict.fromkeys(("G54", "G55", "G56", "G57", "G58", "G59"), "work offsets"),
    "G61": "path modes",
    **dict.fromkeys(("M0", "M1", "M2", "M30"), "stops"),
    **dict.fromkeys(("M3", "M4", "M5"), "spindle states"),
    "M6": "tool changes",
    **dict.fromkeys(("M7", "M8", "M9"), "coolant states"),
}
_UNKNOWN: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("G73", "G81", "G82", "G83", "G84", "G85", "G86", "G88", "G89", "G98", "G99"),
        "GRBL has no drilling cycles; let the CAM system write plain moves",
    ),
    **dict.fromkeys(
        ("G41", "G42"), "GRBL does not offset for the cutter; let the CAM system do it"
    ),
    **dict.fromkeys(
        ("G43", "G44"), "GRBL has no tool table; leave tool lengths out of the program"
    ),
    "G64": "GRBL has no path blending; leave it out",
    "G90.1": "GRBL reads arc centres from the start point only (G91.1)",
}
_NUMBER: Final = r"[+-]?(?:\d{1,7}(?:\.\d*)?|\.\d+)"
_FORM: Final = re.compile(rf"(?:[A-Z]\s*{_NUMBER}\s*)+")
_WORD: Final = re.compile(rf"([A-Z])\s*({_NUMBER})")
_VALUES: Final = frozenset("FIJKLNPRSTXYZ")
_NEVER_NEGATIVE: Final = "FNPST"
_TOOL_MAX: Final = 255
_AXES: Final = frozenset("XYZ")
_MOTIONS: Final = frozenset(name for name, group in _GROUPS.items() if group == "motions")
_OWN_AXES: Final = frozenset({"G10", "G28", "G30", "G92"})
_STILL: Final = frozenset({"G28.1", "G30.1", "G92.1"})


@dataclass(frozen=True, slots=True)
class Block:
    """Codes in their shortest spelling (`G1`, `M3`, `G91.1`) and the values of other letters."""

    codes: frozenset[str]
    values: dict[str, float]


class LineError(ValueError):
    """A line that is not run, with the rule it breaks."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def _spellings() -> dict[str, str]:
    short = {name: name for name in (*_GROUPS, *_UNKNOWN)}
    return short | {f"{name[0]}0{name[1:]}": name for name in short if len(name) == 2}


_SPELLED: Final = _spellings()


def block(command: bytes, longest: int) -> Block:
    """The words of one command (no comments); raises `LineError`."""
    text = _readable(command, longest)
    codes: dict[str, str] = {}
    values: dict[str, float] = {}
    for letter, number in _WORD.findall(text):
        if letter in "GM":
            _add_code(codes, letter + number)
        elif letter in values:
            raise LineError("words", f"{letter} stands twice in the line")
        elif letter not in _VALUES:
            rule = "macro" if letter == "O" else "words"
            raise LineError(rule, f"{letter}: GRBL does not know this word")
        else:
            values[letter] = float(number)
    found = Block(frozenset(codes.values()), values)
    _check_values(found)
    _check_conflicts(found)
    return found


def _readable(command: bytes, longest: int) -> str:
    shown = command[:40].decode("ascii", "backslashreplace")
    if len(command) > longest:
        raise LineError("length", f"{len(command)} characters; the machine reads {longest}")
    if not command.isascii():
        raise LineError("ascii", f"a character that machines do not read: {shown}")
    text = command.decode("ascii").upper()
    if _FORM.fullmatch(text):
        return text
    for marks, rule, why in _HOSTILE:
        if any(mark in text for mark in marks):
            raise LineError(rule, f"{why}: {shown}")
    if text[0] == "O":
        raise LineError("macro", f"a subprogram, which GRBL does not know: {shown}")
    raise LineError("spelling", f"not made of letters with numbers: {shown}")


_HOSTILE: Final = (
    ("$", "system", "a setting or system command of the controller"),
    ("!~?", "realtime", "a character that the controller obeys at once"),
    ("#[]=%{}@", "macro", "a variable or macro that only some other program understands"),
    ("*", "numbered", "a checksum, which GRBL does not know"),
    ("/", "spelling", "a line that some controllers leave out and GRBL runs"),
    ("()", "spelling", "a comment that does not open or does not end"),
)


def _add_code(codes: dict[str, str], spelled: str) -> None:
    name = _SPELLED.get(spelled)
    if name is None or name in _UNKNOWN:
        raise _unknown(name or spelled)
    group = _GROUPS[name]
    if group in codes:
        raise LineError("words", f"{codes[group]} and {name} in one line: two {group}")
    codes[group] = name


def _unknown(spelled: str) -> LineError:
    plain = f"{spelled[0]}{float(spelled[1:]):g}"
    if spelled not in _UNKNOWN and plain in _SPELLED:
        return LineError("spelling", f"{spelled}: not the usual spelling of {plain}")
    return LineError("code", f"{spelled}: {_UNKNOWN.get(spelled, 'GRBL does not know it')}")


def _check_values(found: Block) -> None:
    """A tool beyond GRBL's counting passes beside M6: there it stops, and a person comes anyway."""
    values = found.values
    for letter in _NEVER_NEGATIVE:
        if values.get(letter, 0.0) < 0:
            raise LineError("words", f"{letter}{values[letter]:g} must not be negative")
    if values.get("T", 0.0) > _TOOL_MAX and "M6" not in found.codes:
        raise LineError("words", f"tool numbers end at T{_TOOL_MAX}")


def _check_conflicts(found: Block) -> None:
    codes, values = found.codes, found.values
    axes = _AXES.intersection(values)
    offset = codes & {"G49", "G43.1"}
    if codes & _OWN_AXES and codes & _MOTIONS - {"G80"}:
        raise LineError("words", "two codes in one line that both claim X, Y and Z")
    claimed = codes & (_OWN_AXES | _MOTIONS - {"G80"})
    if offset and (claimed or axes - {"Z"} or ("G49" in codes and axes)):
        raise LineError("words", "a tool offset does not share its line with a motion")
    if "G4" in codes and "P" not in values:
        raise LineError("words", "G4 without P: GRBL takes its seconds from P")
    if "G4" in codes and axes:
        raise LineError("words", "G4 with X, Y or Z: it waits and does not move")
    if axes and codes & _STILL:
        name = min(codes & _STILL)
        raise LineError("words", f"{name} with X, Y or Z: GRBL would move there, too")
    if "P" in values and not codes & {"G4", "G10"}:
        raise LineError("words", "P without G4: a word left over")
    if "L" in values and "G10" not in codes:
        raise LineError("words", "L without G10: a word left over")
