"""Judges a program for a mill or a laser: a modal reading of GRBL's codes against one profile.

It believes no comment and no CAM system; a code it does not interpret is refused.
"""

import math
from collections.abc import Iterator
from typing import Final

from firmware_bridge.guard import arcs
from firmware_bridge.guard.reading import Reader, Words, code
from firmware_bridge.guard.verdict import Box, Facts, Findings, Stock
from firmware_bridge.profiles import MachineProfile, Vector

_EDGE_MM: Final = 1e-3
_INCH_MM: Final = 25.4
_DWELL_TOTAL_S: Final = 600.0
# Groups of GRBL (gcode.c): two words of one group in a line are an error.
_GROUPS: Final = {
    "motion": frozenset({"G0", "G1", "G2", "G3", "G38.2", "G80"}),
    "units": frozenset({"G20", "G21"}),
    "distance": frozenset({"G90", "G91"}),
    "system": frozenset(f"G{number}" for number in range(54, 60)),
    "spindle": frozenset({"M3", "M4", "M5"}),
    "stop": frozenset({"M0", "M1", "M2", "M30"}),
}
_INTERPRETED: Final = frozenset().union(*_GROUPS.values()) | {
    *("G4", "G17", "G40", "G49", "G53", "G91.1", "G94"),
    *("M6", "M7", "M8", "M9"),
    *(f"T{number}" for number in range(10)),
}
_VALUES: Final = frozenset("XYZIJRFSP")
_MOVING: Final = ("G0", "G1", "G2", "G3")


class CutJudge:
    """State carries millimetres of the program's coordinates; an axis is None until it is told."""

    def __init__(self, profile: MachineProfile, findings: Findings, stock: Stock | None) -> None:
        self._profile, self._findings = profile, findings
        self._reader = Reader(profile, findings)
        self._low, self._high = profile.envelope_mm
        self._floor = self._deepest(stock)
        self._laser = profile.laser is not None
        self._at: list[float | None] = [None, None, None]
        self._motion = "G0"
        self._scale = 1.0
        self._absolute = True
        self._feed = 0.0
        self._spin = "M5"
        self._power = 0.0
        self._power_asked = 0
        self._constant_at = 0
        self._dwelt_s = 0.0
        self._seconds = 0.0
        self._cut_mm = 0.0
        self._box_low = [math.inf] * 3
        self._box_high = [-math.inf] * 3
        self._seen_low = [math.inf] * 3
        self._seen_high = [-math.inf] * 3
        self._ended_at = 0

    def _deepest(self, stock: Stock | None) -> float:
        mill = self._profile.mill
        if mill is None:
            return self._low[2]
        thickness = mill.stock_mm if stock is None else stock.z_mm
        return -thickness - mill.spoilboard_mm

    # ------------------------------------------------------------------ lines

    def line(self, number: int, raw: bytes) -> None:
        words = self._reader.words(number, raw)
        if not words:
            return
        if self._ended_at:
            self._findings.reject("end", number, f"goes on after its end in line {self._ended_at}")
            self._ended_at = 0
        codes = [code(letter, value) for letter, value in words if letter in "GMT"]
        values = {letter: value for letter, value in words if letter not in "GMT"}
        if self._understood(number, words, codes, values):
            self._apply(number, set(codes), {k: v for k, v in values.items() if v is not None})

    def _understood(
        self, number: int, words: Words, codes: list[str], values: dict[str, float | None]
    ) -> bool:
        for rule, message in self._misunderstandings(words, codes, values):
            self._findings.reject(rule, number, message)
            return False
        for name in codes:
            if name in self._profile.review:
                self._findings.review("person", number, f"{name} waits for a person or set-up")
        return True

    def _misunderstandings(
        self, words: Words, codes: list[str], values: dict[str, float | None]
    ) -> Iterator[tuple[str, str]]:
        allowed = self._profile.codes | self._profile.review
        for name in codes:
            if name not in allowed:
                yield "code", f"{name} is not allowed on this machine"
            elif name not in _INTERPRETED:
                yield "code", f"{name}: the guard does not know its effect"
        if len(codes) + len(values) != len(words):
            yield "words", "a word that stands twice in the line"
        strange = sorted(set(values) - _VALUES)
        if strange:
            yield "words", f"{', '.join(strange)}: words this machine does not take"
        for group, members in _GROUPS.items():
            if len(members.intersection(codes)) > 1:
                yield "words", f"two codes for {group} in one line"

    # ------------------------------------------------------------------ one line's effect

    def _apply(self, number: int, codes: set[str], values: dict[str, float]) -> None:
        self._set_modes(codes)
        if "F" in values:
            self._set_feed(number, values["F"] * self._scale)
        self._set_power(number, codes, values)
        if "G4" in codes:
            self._dwell(number, values)
            return
        motion = codes & _GROUPS["motion"]
        self._motion = motion.pop() if motion else self._motion
        axes = {axis: values[axis] for axis in "XYZ" if axis in values}
        if "G53" in codes:
            self._machine_move(number, axes)
        elif axes or {"I", "J", "R"} & set(values):
            self._work_move(number, axes, values)
        elif self._laser and self._burns and "S" in values and self._motion != "G0":
            self._rest(number)
        if codes & {"M2", "M30"}:
            self._spin, self._power, self._ended_at = "M5", 0.0, number

    def _set_modes(self, codes: set[str]) -> None:
        if codes & _GROUPS["units"]:
            self._scale = _INCH_MM if "G20" in codes else 1.0
        if codes & _GROUPS["distance"]:
            self._absolute = "G90" in codes
        if codes & (_GROUPS["system"] - {"G54"}):
            self._at = [None, None, None]

    def _set_feed(self, number: int, feed: float) -> None:
        self._feed = feed
        top = self._profile.feed_max_mm_min
        if not 0 < feed <= top:
            self._findings.reject(
                "feed", number, f"F{feed:g}: above 0 up to {top:g} mm/min allowed"
            )

    def _set_power(self, number: int, codes: set[str], values: dict[str, float]) -> None:
        limit = self._profile.laser.power_max if self._profile.laser else self._rpm_max
        if "S" in values:
            self._power, self._power_asked = values["S"], number
            if not 0 <= self._power <= limit:
                what = "laser power" if self._laser else "spindle speed"
                self._findings.reject(
                    "power", number, f"{what} S{self._power:g}; 0 to {limit:g} allowed"
                )
        turned = codes & _GROUPS["spindle"]
        self._spin = turned.pop() if turned else self._spin

    @property
    def _rpm_max(self) -> float:
        return self._profile.mill.spindle_max_rpm if self._profile.mill else 0.0

    @property
    def _burns(self) -> bool:
        """Beam or spindle: on, and not at zero."""
        return self._spin != "M5" and self._power > 0

    def _dwell(self, number: int, values: dict[str, float]) -> None:
        seconds = values.get("P", 0.0)
        self._seconds += max(seconds, 0.0)
        self._dwelt_s += seconds
        if not 0 <= seconds <= self._profile.dwell_max_s or self._dwelt_s > _DWELL_TOTAL_S:
            self._findings.reject("dwell", number, f"waits {seconds:g} s")
        if self._laser and self._burns and seconds > 0:
            self._rest(number)

    def _rest(self, number: int) -> None:
        if self._spin == "M3":
            self._findings.reject("beam at rest", number, "the beam burns while nothing moves")

    # ------------------------------------------------------------------ motion

    def _machine_move(self, number: int, axes: dict[str, float]) -> None:
        low, high = self._profile.machine
        if self._motion not in ("G0", "G1"):
            self._findings.reject("words", number, "G53 goes with G0 or G1")
        for index, axis in enumerate("XYZ"):
            if axis not in axes:
                continue
            place = axes[axis] * self._scale
            if not low[index] - _EDGE_MM <= place <= high[index] + _EDGE_MM:
                self._findings.reject(
                    "envelope", number, f"machine {axis}{place:g} lies outside its travel"
                )
            zero = self._profile.work_zero_mm
            self._at[index] = None if zero is None else place - zero[index]

    def _work_move(self, number: int, axes: dict[str, float], values: dict[str, float]) -> None:
        start = (self._at[0], self._at[1], self._at[2])
        end = [self._target(number, index, axis, axes) for index, axis in enumerate("XYZ")]
        self._at = list(end)
        if self._motion not in _MOVING:
            if self._motion == "G80":
                self._findings.reject("words", number, "axis words without a motion code")
            return
        if self._motion != "G0" and not self._feed:
            self._findings.reject("feed", number, "cuts without a feed (F)")
        here = [(s if s is not None else (e or 0.0)) for s, e in zip(start, end, strict=True)]
        there = [e if e is not None else h for e, h in zip(end, here, strict=True)]
        low, high, length = self._path(number, here, there, values)
        self._check_box(number, low, high, [value is not None for value in end])
        self._judge_motion(number, start, there, set(axes))
        self._account(low, high, length, here[2], there[2])

    def _target(self, number: int, index: int, axis: str, axes: dict[str, float]) -> float | None:
        before = self._at[index]
        if axis not in axes:
            return before
        value = axes[axis] * self._scale
        if self._absolute:
            return value
        if before is None:
            self._findings.review(
                "start", number, f"moves {axis} from where the machine happens to be"
            )
        return (before or 0.0) + value

    def _path(
        self, number: int, here: list[float], there: list[float], values: dict[str, float]
    ) -> tuple[Vector, Vector, float]:
        low = (min(here[0], there[0]), min(here[1], there[1]), min(here[2], there[2]))
        high = (max(here[0], there[0]), max(here[1], there[1]), max(here[2], there[2]))
        if self._motion not in ("G2", "G3"):
            return low, high, math.dist(here, there)
        arc = self._arc(number, here, there, values)
        if arc is None:
            return low, high, 0.0
        length = math.hypot(arc.length, there[2] - here[2])
        return (*arc.low, low[2]), (*arc.high, high[2]), length

    def _arc(
        self, number: int, here: list[float], there: list[float], values: dict[str, float]
    ) -> arcs.Arc | None:
        start, end = (here[0], here[1]), (there[0], there[1])
        clockwise = self._motion == "G2"
        try:
            if "R" in values:
                radius = values["R"] * self._scale
                return arcs.by_radius(start, end, radius, clockwise=clockwise)
            offset = (values.get("I", 0.0) * self._scale, values.get("J", 0.0) * self._scale)
            return arcs.by_centre(start, end, offset, clockwise=clockwise)
        except arcs.NoArcError as error:
            self._findings.reject("arc", number, str(error))
            return None

    def _check_box(self, number: int, low: Vector, high: Vector, told: list[bool]) -> None:
        for index, axis in enumerate("XYZ"):
            if not told[index]:
                continue
            self._seen_low[index] = min(self._seen_low[index], low[index])
            self._seen_high[index] = max(self._seen_high[index], high[index])
            if self._profile.work_zero_mm is None:
                continue
            bottom = max(self._low[index], self._floor) if index == 2 else self._low[index]
            top = self._high[index]
            if low[index] < bottom - _EDGE_MM or high[index] > top + _EDGE_MM:
                out = low[index] if low[index] < bottom - _EDGE_MM else high[index]
                rule = "depth" if index == 2 and out < bottom else "envelope"
                self._findings.reject(
                    rule, number, f"{axis}{out:g} mm; {bottom:g} to {top:g} is allowed"
                )

    def _judge_motion(
        self,
        number: int,
        start: tuple[float | None, float | None, float | None],
        there: list[float],
        axes: set[str],
    ) -> None:
        if self._laser:
            self._judge_beam(number)
            return
        if start[2] is None and axes & {"X", "Y"} and "Z" not in axes:
            self._findings.review("start", number, "moves across before it lifts the tool (Z)")
        if self._motion == "G0":
            self._judge_rapid(number, start[2], there[2], axes)
        elif there[2] < -_EDGE_MM and not self._burns:
            self._findings.reject("spindle", number, "cuts with the spindle standing still")

    def _judge_rapid(self, number: int, from_z: float | None, to_z: float, axes: set[str]) -> None:
        inside = (from_z if from_z is not None else to_z) < -_EDGE_MM
        if inside and axes & {"X", "Y"}:
            self._findings.reject("rapid", number, "crosses the stock at rapid speed (G0)")
        elif to_z < -_EDGE_MM and (from_z is None or to_z < from_z - _EDGE_MM):
            self._findings.review("rapid", number, "plunges into the stock at rapid speed (G0)")

    def _judge_beam(self, number: int) -> None:
        """G0 blanks the beam in laser mode; a program may not lean on that with M3, nor ask for
        power in the very line of a rapid. Constant power marks where it turns: a shop may mind.
        """
        if not self._burns:
            return
        if self._motion == "G0":
            if self._spin == "M3" or self._power_asked == number:
                self._findings.reject("beam in rapid", number, "moves at rapid with the beam on")
        elif self._spin == "M3" and not self._constant_at:
            self._constant_at = number

    def _account(self, low: Vector, high: Vector, length: float, z0: float, z1: float) -> None:
        rate = self._profile.rapid_mm_min if self._motion == "G0" else self._feed
        if rate:
            self._seconds += length * 60 / rate
        cuts = self._burns if self._laser else min(z0, z1) < -_EDGE_MM
        if self._motion == "G0" or not cuts:
            return
        self._cut_mm += length
        for index in range(3):
            self._box_low[index] = min(self._box_low[index], low[index])
            self._box_high[index] = max(self._box_high[index], high[index])

    # ------------------------------------------------------------------ the end

    @property
    def moved(self) -> bool:
        return any(low <= high for low, high in zip(self._seen_low, self._seen_high, strict=True))

    def facts(self, lines: int) -> Facts:
        box: Box | None = None
        if self._box_low[0] <= self._box_high[0]:
            low, high = self._box_low, self._box_high
            box = ((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        end = (self._at[0], self._at[1], self._at[2])
        return Facts(lines, self._seconds, box, 0.0, self._cut_mm, end)

    def close(self, lines: int) -> None:
        if self._burns:
            what = "the laser" if self._laser else "the spindle"
            self._findings.review("left on", lines, f"ends with {what} on; M5 belongs at its end")
        if self._constant_at:
            self._constant_power()
        if self._profile.work_zero_mm is None:
            self._check_extent()

    def _constant_power(self) -> None:
        laser = self._profile.laser
        message = "burns with constant power (M3); M4 fades it where the head slows"
        if laser is not None and laser.constant_power == "reject":
            self._findings.reject("constant power", self._constant_at, message)
        elif laser is not None and laser.constant_power == "review":
            self._findings.review("constant power", self._constant_at, message)

    def _check_extent(self) -> None:
        """Nobody knows where the work lies: at least it must fit into the travel."""
        for index, axis in enumerate("XYZ"):
            extent = self._seen_high[index] - self._seen_low[index]
            travel = self._high[index] - self._low[index]
            if extent > travel + _EDGE_MM:
                self._findings.reject(
                    "envelope", 0, f"{axis} needs {extent:g} mm, the travel is {travel:g}"
                )
