"""Judges a program for a printer: a modal reading of Marlin's codes against one machine's profile.

It believes no comment and no slicer; a code it does not interpret is refused.
"""

import math
import re
from collections.abc import Callable
from typing import Final

from firmware_bridge.guard import arcs
from firmware_bridge.guard.reading import Reader, Words, code
from firmware_bridge.guard.verdict import Box, Facts, Findings
from firmware_bridge.profiles import FilamentLimits, MachineProfile

Number = float | None

_N: Final = rb"(-?(?:\d{1,6}(?:\.\d{0,8})?|\.\d{1,8}))"
# The lines that make up nearly all of a sliced program, read without the general reader.
_MOVE: Final = re.compile(
    rb"G([01])(?: F%b)?(?: X%b)?(?: Y%b)?(?: Z%b)?(?: E%b)?(?: F%b)? *(?:;.*)?\r?"
    % (_N, _N, _N, _N, _N, _N)
)
_AXES: Final = frozenset("XYZ")
_EDGE_MM: Final = 1e-3
# A deposited line thicker than this is a blob, not a line (5 mm² is 12 × a wide 0.4 mm line).
_SECTION_MAX_MM2: Final = 5.0
_SECTION_FROM_MM: Final = 0.2
_RETRACT_REVIEW_MM: Final = 30.0
_SWING_C: Final = 100.0
_SWINGS_MAX: Final = 10
_DWELL_TOTAL_S: Final = 1800.0
_LIFT_BEFORE_HOMING_MM: Final = 20.0

# Settings that slicers write, each word with the most that is sane: mm/s², mm/s, per cent.
_BOUNDS: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "M201": dict.fromkeys("XYZE", (0, 50_000)),
    "M203": dict.fromkeys("XYZE", (0, 1_000)),
    "M204": dict.fromkeys("PRTS", (0, 50_000)),
    "M205": {**dict.fromkeys("XYZE", (0, 100)), "S": (0, 1e3), "T": (0, 1e3), "J": (0, 1)},
    "M220": {"S": (10, 200)},
    "M221": {"S": (50, 150), "T": (0, 0)},
    "M900": {"K": (0, 2), "L": (0, 2), "T": (0, 0)},
    "M106": {"S": (0, 255), "P": (0, 0)},
    "M107": {"P": (0, 0)},
    "M300": {"S": (0, 20_000), "P": (0, 10_000)},
    "M73": {"P": (0, 100), "R": (0, 1e6), "Q": (0, 100), "S": (0, 1e6)},
    "M155": {"S": (0, 60)},
    "G10": {},
    "G11": {},
    "G17": {},
    "G21": {},
}  # fmt: skip
_NO_WORDS: Final = frozenset({"G90", "G91", "M82", "M83", "M105", "M114", "M117", "M400", "T0"})
_MOTION: Final = frozenset({"G0", "G1"})


class PrintJudge:
    def __init__(self, profile: MachineProfile, findings: Findings, material: str | None) -> None:
        assert profile.fdm is not None
        self._profile, self._fdm, self._findings = profile, profile.fdm, findings
        self._reader = Reader(profile, findings)
        self._material = self._limits(material)
        self._low, self._high = profile.envelope_mm
        self._x, self._y, self._z = self._low
        self._homed: frozenset[str] = frozenset()
        self._absolute = self._absolute_e = True
        self._feed = 0.0
        self._e = 0.0  # the firmware's number
        self._fed = self._fed_most = 0.0  # filament since the start; its high-water mark
        self._still_e = 0.0
        self._hotend = self._bed = self._waited = 0.0
        self._swings = 0
        self._dwelt_s = 0.0
        self._seconds = 0.0
        self._box_low = [math.inf] * 3
        self._box_high = [-math.inf] * 3
        self._handlers: dict[str, Callable[[int, str, dict[str, Number]], None]] = {
            **dict.fromkeys(("G2", "G3"), self._arc),
            "G4": self._dwell,
            "G28": self._home,
            "G92": self._set_position,
            **dict.fromkeys(("G90", "G91", "M82", "M83"), self._mode),
            **dict.fromkeys(("M104", "M109"), self._heat_hotend),
            **dict.fromkeys(("M140", "M190"), self._heat_bed),
            **dict.fromkeys(("M84", "M18"), self._motors_off),
            "M17": self._nothing,
        }

    # ------------------------------------------------------------------ lines

    def line(self, number: int, raw: bytes) -> None:
        match = _MOVE.fullmatch(raw)
        if match is None:
            words = self._reader.words(number, raw)
            if words:
                self._command(number, words)
            return
        _, f1, x, y, z, e, f2 = match.groups()
        if f1 and f2:
            self._findings.reject("words", number, "a move with two feeds")
        self._move(
            number,
            None if x is None else float(x),
            None if y is None else float(y),
            None if z is None else float(z),
            None if e is None else float(e),
            float(f1 or f2) if f1 or f2 else None,
        )

    def _command(self, number: int, words: Words) -> None:
        name = code(*words[0])
        if name in self._profile.review:
            self._findings.review("person", number, f"{name} waits for a person or changes set-up")
        elif name not in self._profile.codes:
            self._findings.reject("code", number, f"{name} is not allowed on this machine")
        elif name not in _NO_WORDS or len(words) == 1:
            self._known(number, name, words[1:])
        else:
            self._mode(number, name, {})
            self._findings.reject("words", number, f"{name} takes no words here")

    def _known(self, number: int, name: str, rest: Words) -> None:
        given: dict[str, Number] = dict(rest)
        if len(given) != len(rest) or any(letter in "GMN" for letter in given):
            self._findings.reject("words", number, f"{name} with a word twice or a second code")
        elif name in _MOTION:
            self._linear(number, given)
        elif name in self._handlers:
            self._handlers[name](number, name, given)
        elif name in _BOUNDS:
            self._bounded(number, name, given)
        elif name not in _NO_WORDS:
            self._findings.reject("code", number, f"{name}: the guard does not know its effect")

    def _bounded(self, number: int, name: str, given: dict[str, Number]) -> None:
        for letter, value in given.items():
            low, high = _BOUNDS[name].get(letter, (1.0, 0.0))
            if not low <= (value or 0.0) <= high:
                self._findings.reject(
                    "setting", number, f"{name} {letter}{value or 0:g} is beyond reason"
                )

    def _nothing(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) - set("XYZE"):
            self._findings.reject("words", number, f"{name} takes only axes")

    def _mode(self, number: int, name: str, given: dict[str, Number]) -> None:
        del number, given
        if name in ("G90", "G91"):
            self._absolute = self._absolute_e = name == "G90"
        elif name in ("M82", "M83"):
            self._absolute_e = name == "M82"

    # ------------------------------------------------------------------ motion

    def _linear(self, number: int, given: dict[str, Number]) -> None:
        if set(given) - set("XYZEF") or None in given.values():
            self._findings.reject("words", number, "a move with words that it does not take")
            return
        get = given.get
        self._move(number, get("X"), get("Y"), get("Z"), get("E"), get("F"))

    def _move(self, number: int, x: Number, y: Number, z: Number, e: Number, f: Number) -> None:
        if f is not None:
            self._set_feed(number, f)
        if x is None and y is None and z is None:
            if e is not None:
                self._extrude(number, e, 0.0)
            return
        if self._homed is not _AXES:
            self._check_homed(number, x, y, z)
        px, py, pz = self._x, self._y, self._z
        if self._absolute:
            nx = px if x is None else x
            ny = py if y is None else y
            nz = pz if z is None else z
        else:
            nx, ny, nz = px + (x or 0.0), py + (y or 0.0), pz + (z or 0.0)
        self._x, self._y, self._z = nx, ny, nz
        low, high = self._low, self._high
        if not (
            low[0] - _EDGE_MM <= nx <= high[0] + _EDGE_MM
            and low[1] - _EDGE_MM <= ny <= high[1] + _EDGE_MM
            and low[2] - _EDGE_MM <= nz <= high[2] + _EDGE_MM
        ):
            self._outside(number, nx, ny, nz)
        distance = math.dist((px, py, pz), (nx, ny, nz))
        if distance and self._feed:
            self._seconds += distance * 60 / self._feed
        if e is not None and self._extrude(number, e, distance) and distance:
            self._include(px, py, pz)
            self._include(nx, ny, nz)

    def _include(self, x: float, y: float, z: float) -> None:
        low, high = self._box_low, self._box_high
        low[0] = min(low[0], x)
        high[0] = max(high[0], x)
        low[1] = min(low[1], y)
        high[1] = max(high[1], y)
        low[2] = min(low[2], z)
        high[2] = max(high[2], z)

    def _outside(self, number: int, x: float, y: float, z: float) -> None:
        size = " × ".join(f"{lo:g}…{hi:g}" for lo, hi in zip(self._low, self._high, strict=True))
        where = f"X{x:g} Y{y:g} Z{z:g}"
        self._findings.reject("envelope", number, f"goes to {where}, the machine has {size} mm")

    def _check_homed(self, number: int, x: Number, y: Number, z: Number) -> None:
        moved = {axis for axis, value in zip("XYZ", (x, y, z), strict=True) if value is not None}
        lift = not self._absolute and moved == {"Z"} and 0 <= (z or 0) <= _LIFT_BEFORE_HOMING_MM
        if not moved <= self._homed and not lift:
            self._findings.reject("homing", number, "moves before homing (G28)")
            self._homed = _AXES

    def _set_feed(self, number: int, feed: float) -> None:
        self._feed = feed
        if not 0 < feed <= self._profile.feed_max_mm_min:
            top = self._profile.feed_max_mm_min
            self._findings.reject(
                "feed", number, f"F{feed:g}: feeds are above 0 up to {top:g} mm/min"
            )

    def _arc(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) - set("XYZEFIJR") or None in given.values():
            self._findings.reject("words", number, f"{name} with words that it does not take")
            return
        get = given.get
        base = (0.0, 0.0) if self._absolute else (self._x, self._y)
        end = (
            self._x if get("X") is None else base[0] + (get("X") or 0.0),
            self._y if get("Y") is None else base[1] + (get("Y") or 0.0),
        )
        start = (self._x, self._y)
        clockwise = name == "G2"
        try:
            radius = get("R")
            if radius is not None:
                arc = arcs.by_radius(start, end, radius, clockwise=clockwise)
            else:
                offset = (get("I") or 0.0, get("J") or 0.0)
                arc = arcs.by_centre(start, end, offset, clockwise=clockwise)
        except arcs.NoArcError as error:
            self._findings.reject("arc", number, str(error))
            return
        self._along(number, arc, end, given)

    def _along(self, number: int, arc: arcs.Arc, end: arcs.Point, given: dict[str, Number]) -> None:
        """The ends as a move, then the arc's bulges; its time replaces that of the chord."""
        before, chord = self._seconds, math.dist((self._x, self._y), end)
        absolute, self._absolute = self._absolute, True
        self._move(number, end[0], end[1], None, None, given.get("F"))
        self._absolute = absolute
        if given.get("Z") is not None:
            self._move(number, None, None, given["Z"], None, None)
        if self._feed:
            self._seconds = max(before, self._seconds - chord * 60 / self._feed)
            self._seconds += arc.length * 60 / self._feed
        z = self._z
        extruding = given.get("E") is not None and self._extrude(
            number, given["E"] or 0.0, arc.length
        )
        for x, y in (arc.low, arc.high):
            inside = all(
                low - _EDGE_MM <= at <= high + _EDGE_MM
                for low, at, high in zip(self._low, (x, y, z), self._high, strict=True)
            )
            if not inside:
                self._outside(number, x, y, z)
            if extruding:
                self._include(x, y, z)

    def _home(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) - set("XYZ"):
            self._findings.reject("words", number, f"{name} takes only axes")
        axes = frozenset(given) or _AXES
        if "Z" in axes and self._fed_most > self._fdm.blob_max_mm:
            self._findings.review("homing", number, "homes Z over a part that is being printed")
        low = self._low
        self._x = low[0] if "X" in axes else self._x
        self._y = low[1] if "Y" in axes else self._y
        self._z = low[2] if "Z" in axes else self._z
        self._homed = _AXES if self._homed | axes == _AXES else self._homed | axes

    def _set_position(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) != {"E"}:
            self._findings.reject(
                "offset", number, f"{name} may only set E; it would shift the envelope"
            )
            return
        self._e = given["E"] or 0.0

    def _motors_off(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) - set("XYZES"):
            self._findings.reject("words", number, f"{name} takes only axes and S")
        self._homed = self._homed - (set(given) or _AXES)

    def _dwell(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) - set("SP"):
            self._findings.reject("words", number, f"{name} takes S or P")
        seconds = (given.get("S") or 0.0) + (given.get("P") or 0.0) / 1000
        self._seconds += max(seconds, 0.0)
        self._dwelt_s += seconds
        if not 0 <= seconds <= self._profile.dwell_max_s or self._dwelt_s > _DWELL_TOTAL_S:
            self._findings.reject("dwell", number, f"waits {seconds:g} s with its heaters on")

    # ------------------------------------------------------------------ heat and filament

    def _extrude(self, number: int, e: float, distance: float) -> bool:
        """Account for an E word; True when it deposits."""
        if self._absolute_e:
            delta, self._e = e - self._e, e
        else:
            delta = e
            self._e += e
        if not delta:
            return False
        fed = self._fed + delta
        self._fed = fed
        if not distance and self._feed:
            self._seconds += abs(delta) * 60 / self._feed
        if delta < 0:
            self._retract(number, fed)
            return False
        self._still_e = 0.0 if distance else self._still_e + delta
        if self._hotend < self._coldest or self._waited < self._coldest:
            self._cold(number)
        if self._still_e > self._fdm.blob_max_mm:
            self._findings.reject(
                "blob", number, f"pushes {self._still_e:.0f} mm of filament in one place"
            )
            self._still_e = 0.0
        elif (
            delta > _SECTION_FROM_MM
            and distance
            and delta * self._area > _SECTION_MAX_MM2 * distance
        ):
            self._findings.reject(
                "blob", number, f"{delta:.1f} mm of filament over {distance:.2f} mm"
            )
        if fed > self._fed_most:
            self._fed_most = fed
            return True
        return False

    @property
    def _area(self) -> float:
        return math.pi * self._fdm.filament_mm**2 / 4

    def _retract(self, number: int, fed: float) -> None:
        if self._fed_most - fed > _RETRACT_REVIEW_MM:
            self._findings.review("retraction", number, f"pulls {self._fed_most - fed:.0f} mm back")

    def _cold(self, number: int) -> None:
        reached = min(self._hotend, self._waited)
        self._findings.reject(
            "cold", number, f"pushes filament at {reached:g} °C, at least {self._coldest:g} °C"
        )

    def _limits(self, material: str | None) -> FilamentLimits | None:
        self._coldest = self._fdm.cold_below_c
        if material is None:
            return None
        limits = self._fdm.materials.get(material)
        if limits is None:
            known = ", ".join(sorted(self._fdm.materials))
            self._findings.reject("material", 0, f"{material} is not worked here; {known} are")
            return None
        self._coldest = max(self._coldest, limits.hotend_c[0])
        return limits

    def _heat_hotend(self, number: int, name: str, given: dict[str, Number]) -> None:
        top = self._fdm.hotend_max_c
        if self._material is not None:
            top = min(top, self._material.hotend_c[1])
        target = self._target(number, name, given, top)
        if target is None:
            return
        if abs(target - self._hotend) >= _SWING_C:
            self._swings += 1
        if self._swings > _SWINGS_MAX:
            self._findings.reject("swings", number, "heats and cools the nozzle again and again")
        self._hotend = target
        self._waited = target if name == "M109" else min(self._waited, target)

    def _heat_bed(self, number: int, name: str, given: dict[str, Number]) -> None:
        top = self._fdm.bed_max_c
        if self._material is not None:
            top = min(top, self._material.bed_c[1])
        target = self._target(number, name, given, top)
        if target is not None:
            self._bed = target

    def _target(self, number: int, name: str, given: dict[str, Number], top: float) -> Number:
        if set(given) - set("SRT") or given.get("T") not in (None, 0.0):
            self._findings.reject("words", number, f"{name} takes S or R, and one tool")
            return None
        target = given.get("S", given.get("R"))
        if target is None:
            return None
        if not 0 <= target <= top:
            self._findings.reject(
                "temperature", number, f"{name} to {target:g} °C; 0 to {top:g} allowed"
            )
        return target

    # ------------------------------------------------------------------ the end

    @property
    def moved(self) -> bool:
        return self._seconds > 0

    def facts(self, lines: int) -> Facts:
        box: Box | None = None
        if self._box_low[0] <= self._box_high[0]:
            low, high = self._box_low, self._box_high
            box = ((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        end = (
            self._x if "X" in self._homed else None,
            self._y if "Y" in self._homed else None,
            self._z if "Z" in self._homed else None,
        )
        return Facts(lines, self._seconds, box, self._fed_most * self._area, 0.0, end)

    def close(self, lines: int) -> None:
        if self._hotend > 0:
            self._findings.review("left on", lines, f"ends with the nozzle at {self._hotend:g} °C")
        if self._bed > 0:
            self._findings.review("left on", lines, f"ends with the bed at {self._bed:g} °C")
