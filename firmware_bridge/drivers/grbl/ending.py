"""What a program leaves behind when every line of it was carried out as it was written.

GRBL neither numbers nor checks its lines, so a line altered on the wire into another valid one is
executed. Where the machine stands and its modes afterwards are compared with what is computed here;
a difference proves that something else than the program was made. The reverse it cannot prove.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import nan
from typing import Final

from firmware_bridge import gcode
from firmware_bridge.drivers.grbl import codec, quirks
from firmware_bridge.gcode import Place

_MOTION: Final = {0.0: "G0", 1.0: "G1", 2.0: "G2", 3.0: "G3", 80.0: "G80"}
_GROUPS: Final[dict[float, tuple[str, str]]] = {
    **{code: ("motion", word) for code, word in _MOTION.items()},
    **{float(code): ("system", f"G{code}") for code in range(54, 60)},
    **{float(code): ("plane", f"G{code}") for code in (17, 18, 19)},
    **{float(code): ("unit", f"G{code}") for code in (20, 21)},
    **{float(code): ("distance", f"G{code}") for code in (90, 91)},
    **{float(code): ("feed", f"G{code}") for code in (93, 94)},
}
_SPINDLE: Final = {3.0: "M3", 4.0: "M4", 5.0: "M5"}
# gcode.c, program flow: what M2 and M30 set back; units, F, S and T stay.
_PROGRAM_END: Final = {
    "motion": "G1", "plane": "G17", "distance": "G90", "feed": "G94",
    "system": "G54", "spindle": "M5", "coolant": "M9",
}  # fmt: skip
_PROBE: Final = {38.2, 38.3, 38.4, 38.5}


@dataclass(frozen=True)
class Modes:
    """One word for each modal group that is known; coolant mist and flood as one word.

    `feed` in mm/min and `speed` are None where nobody said them, NaN where nobody can tell.
    """

    words: dict[str, str]
    feed: float | None = None
    speed: float | None = None

    def over(self, before: "Modes") -> "Modes":
        """These, and of the modes before those that nothing has changed."""
        feed = before.feed if self.feed is None else self.feed
        speed = before.speed if self.speed is None else self.speed
        return Modes({**before.words, **self.words}, feed, speed)

    @staticmethod
    def of(said: frozenset[str]) -> "Modes":
        """From `$G`: its F in mm/min, or in inches where the machine reports so ($13)."""
        words: dict[str, str] = {}
        numbers: dict[str, float] = {}
        coolant = sorted(said & {"M7", "M8", "M9"})
        for word in said - set(coolant):
            group = _group(word)
            if group is not None:
                words[group] = word
            elif word[:1] in ("F", "S"):
                numbers[word[0]] = float(word[1:])
        words["coolant"] = "".join(coolant)
        return Modes(words, numbers.get("F"), numbers.get("S"))


def _group(word: str) -> str | None:
    try:
        value = float(word[1:])
    except ValueError:
        return None
    if word[0] == "G":
        return _GROUPS.get(value, (None, ""))[0]
    return "spindle" if word in _SPINDLE.values() else None


def modes_after(program: Iterable[tuple[int, bytes]]) -> Modes:
    """The modes that `$G` should tell when `program` has run, as far as it says them itself.

    It starts in those that the driver sets before each job.
    """
    now = Modes.of(frozenset(quirks.WANTED_MODES))
    for _, command in program:
        now = _after(now, gcode.words(command.decode("ascii", "replace")) or ())
    return now


def _after(now: Modes, found: tuple[gcode.Word, ...]) -> Modes:
    for letter, value in found:
        if value is None:
            continue
        if letter == "G":
            now = _after_g(now, value)
        elif letter == "M":
            _after_m(now.words, value)
        elif letter == "S":
            now = replace(now, speed=value)
    feeds = [value for letter, value in found if letter == "F" and value is not None]
    return replace(now, feed=_feed(now, feeds[-1])) if feeds else now


def _after_g(now: Modes, value: float) -> Modes:
    if value in _GROUPS:
        group, word = _GROUPS[value]
        now.words[group] = word
        if group == "feed":  # F is forgotten when its meaning changes
            return replace(now, feed=nan)
    elif value in _PROBE:
        now.words["motion"] = f"G{value:g}"
    return now


def _after_m(words: dict[str, str], value: float) -> None:
    if value in _SPINDLE:
        words["spindle"] = _SPINDLE[value]
    elif value in (2.0, 30.0):
        words.update(_PROGRAM_END)
    elif value == 9.0 or (words.get("coolant") == "M9" and value in (7.0, 8.0)):
        words["coolant"] = f"M{value:.0f}"
    elif value in (7.0, 8.0):
        known = {words.get("coolant", ""), f"M{value:.0f}"}
        words["coolant"] = "M7M8" if len(known) > 1 else known.pop()


def _feed(now: Modes, value: float) -> float:
    if now.words.get("feed") == "G93":
        return nan
    return value * 25.4 if now.words.get("unit") == "G20" else value


def modes_differ(wanted: Modes, found: Modes) -> str:
    """In words, the first mode that is not as it should be; "" when all are."""
    for group, word in wanted.words.items():
        told = found.words.get(group)
        if told is not None and told != word:
            return f"it ended in {told}, the program ends in {word}"
    if _apart(wanted.feed, found.feed, (1.0, 25.4)):
        return f"it ended with F{found.feed:g}, the program ends with F{wanted.feed:g}"
    if _apart(wanted.speed, found.speed, (1.0,)):
        return f"it ended with S{found.speed:g}, the program ends with S{wanted.speed:g}"
    return ""


def _apart(wanted: float | None, found: float | None, scales: tuple[float, ...]) -> bool:
    if wanted is None or found is None:
        return False
    return all(abs(wanted - found * scale) > 0.5 + 0.01 * abs(wanted) for scale in scales)


def place_differs(
    wanted: dict[str, Place], report: codec.Report, offset_mm: codec.Vector | None
) -> str:
    """In words, the first axis that is not where the program ends; "" when all are."""
    for index, axis in enumerate("XYZ"):
        if axis not in wanted:
            continue
        frame, place_mm = wanted[axis]
        found = _where(index, frame, report, offset_mm)
        if found is None:
            return f"it does not say where {axis} is"
        if abs(found - place_mm) > quirks.END_TOLERANCE_MM:
            return f"{axis} ended at {found:.3f} mm, the program ends at {place_mm:.3f} mm"
    return ""


def _where(
    index: int, frame: str, report: codec.Report, offset: codec.Vector | None
) -> float | None:
    machine, work = report.machine_mm, report.work_mm
    told, other = (work, machine) if frame == "work" else (machine, work)
    if told is not None and index < len(told):
        return told[index]
    if other is None or offset is None or index >= min(len(other), len(offset)):
        return None
    return other[index] + (-offset[index] if frame == "work" else offset[index])
