"""Judges a program for a printer: a modal reading of Marlin's codes against one machine's profile.

It believes no comment and no slicer; a code it does not interpret is refused.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Final, Literal

from firmware_bridge.guard import arcs, blocks
from firmware_bridge.guard.outline import Layers, Point, Rectangle, crosses
from firmware_bridge.guard.reading import Reader, Words, check_parentheses, code
from firmware_bridge.guard.verdict import Facts, Findings
from firmware_bridge.profiles import Blocks, FilamentLimits, MachineProfile
from firmware_bridge.profiles.blocks import Hole

Number = float | None

_N: Final = rb"(-?(?:\d{1,6}(?:\.\d{0,8})?|\.\d{1,8}))"
# The lines that make up nearly all of a sliced program, read without the general reader.
_MOVE: Final = re.compile(
    rb"G([01])(?: F%b)?(?: X%b)?(?: Y%b)?(?: Z%b)?(?: E%b)?(?: F%b)? *(?:;.*)?\r?"
    % (_N, _N, _N, _N, _N, _N)
)
_AXES: Final = frozenset("XYZ")
_EDGE_MM: Final = 1e-3
# A deposited line thicker than this is a blob, not a line: 2.5 mm² is eight wide 0.4 mm lines.
_SECTION_MAX_MM2: Final = 2.5
_SECTION_OF_NOZZLE: Final = 8.0
_SECTION_FROM_MM: Final = 0.2
_RETRACT_REVIEW_MM: Final = 30.0
_SWING_C: Final = 100.0
_SWINGS_MAX: Final = 10
_DWELL_TOTAL_S: Final = 1800.0
_LIFT_BEFORE_HOMING_MM: Final = 20.0
# Lower than the highest layer by more than this, a nozzle may hit what stands there already.
_LOW_MM: Final = 0.3

# Settings that slicers write, each word with the most that is sane: mm/s², mm/s, per cent.
_BOUNDS: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "M200": {"D": (0, 0)},
    "M201": dict.fromkeys("XYZE", (10, 50_000)),
    "M203": dict.fromkeys("XYZE", (0.1, 1_000)),
    "M204": dict.fromkeys("PRTS", (10, 50_000)),
    "M205": {
        **dict.fromkeys("XYZE", (0, 100)), **dict.fromkeys("ST", (0, 100)),
        "B": (0, 100_000), "J": (0, 1),
    },
    "M220": {"S": (10, 200), "B": (0, 0), "R": (0, 0)},
    "M221": {"S": (50, 150), "T": (0, 0)},
    "M300": {"S": (0, 20_000), "P": (0, 10_000)},
    "M73": {"P": (0, 100), "R": (0, 1e6), "Q": (0, 100), "S": (0, 1e6)},
    "M155": {"S": (0, 60)},
    "M486": {"S": (-1, 10_000), "T": (0, 10_000)},
    "M572": {"S": (0, 2), "D": (0, 0)},
    "M74": {"W": (0, 100_000)},
    "G10": {},
    "G11": {},
    "G17": {},
    "G21": {},
}  # fmt: skip
_NO_WORDS: Final = frozenset(
    {"G90", "G91", "M82", "M83", "M105", "M114", "M117", "M400", "M75", "M76", "M77", "T0"}
)
# What holds in an approved block all the same, where a program filled in the numbers.
_HELD: Final = frozenset({"arc", "blob", "dwell", "envelope", "feed", "setting", "temperature"})
_TIMELESS: Final = _BOUNDS.keys() - {"M73"} | {"M106", "M107", "M900"}
_CIRCLES: Final = range(10)
_ADVANCE_MAX_S: Final = 2.0
_ADVANCE_OLD: Final = range(10, 201)
_COMMENT: Final = ord(";")
_MOTION: Final = frozenset({"G0", "G1"})


_APPROVE: Final = (
    "Nobody has approved it as it stands now: look at it with"
    " `cosmolocal-agent guard --machine FILE.toml --approve`"
)
Framed = dict[int, tuple[blocks.Filled, blocks.Place]]


def judge(
    lines: Sequence[bytes], profile: MachineProfile, findings: Findings, material: str | None
) -> Facts | None:
    """The facts of a program, its faults told to `findings`; None where nothing moves."""
    who = _Judge(profile, findings, material)
    check_parentheses(lines, findings)
    framed = _framed(lines, profile.blocks, findings)
    tell = who.line
    for number, raw in enumerate(lines, 1):
        if raw and raw[0] != _COMMENT:
            if number in framed:
                who.block_line(*framed[number])
            else:
                tell(number, raw)
    count = len(lines) - (not lines[-1])
    who.close(count)
    return who.facts(count) if who.moved else None


def _framed(lines: Sequence[bytes], shop: Blocks | None, findings: Findings) -> Framed:
    """The lines of the shop's start and end blocks by their number."""
    if shop is None:
        return {}
    found: Framed = {}
    if shop.start:
        found |= _placed(blocks.find(shop.start, blocks.head(lines)), "start", shop, findings)
    if shop.end:
        found |= _placed(blocks.find(shop.end, blocks.tail(lines)), "end", shop, findings)
    return found


def _placed(
    found: Sequence[blocks.Filled], which: Literal["start", "end"], shop: Blocks, findings: Findings
) -> Framed:
    if not found:
        findings.note(
            "block", 0, f"the shop's {which} block is not in it: every line is judged strictly"
        )
    elif not shop.are_approved:
        findings.review("block", found[0].number, f"this is the shop's {which} block. {_APPROVE}")
    last = len(found) - 1
    return {
        filled.number: (filled, blocks.Place(which, at == last)) for at, filled in enumerate(found)
    }


class _Judge:
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
        self._heap = 0.0  # filament in one place: what lines carry away is taken off
        self._area = math.pi * self._fdm.filament_mm**2 / 4
        thickest = max(_SECTION_MAX_MM2, _SECTION_OF_NOZZLE * self._fdm.nozzle_mm**2)
        self._drain = thickest / self._area
        self._hotend = self._bed = self._chamber = self._waited = 0.0
        self._swings = 0
        self._dwelt_s = 0.0
        self._seconds = 0.0
        self._moves = 0
        self._layers = Layers()
        self._laid = False  # the last move laid material down
        self._obstacles: tuple[float, list[Rectangle]] | None = None
        self._hottest = (0.0, 0.0)
        self._lifted = 0.0
        self._shop = profile.blocks
        self._harmless: set[bytes] = set()
        self._handlers: dict[str, Callable[[int, str, dict[str, Number]], None]] = {
            **dict.fromkeys(("G2", "G3"), self._arc),
            "G4": self._dwell,
            "G28": self._home,
            "G92": self._set_position,
            **dict.fromkeys(("G90", "G91", "M82", "M83"), self._mode),
            **dict.fromkeys(("M104", "M109"), self._heat_hotend),
            **dict.fromkeys(("M140", "M190"), self._heat_bed),
            **dict.fromkeys(("M141", "M191"), self._heat_chamber),
            **dict.fromkeys(("M84", "M18"), self._motors_off),
            **dict.fromkeys(("M106", "M107"), self._fan),
            "M900": self._advance,
            "M17": self._nothing,
        }

    # ------------------------------------------------------------------ lines

    def line(self, number: int, raw: bytes) -> None:
        match = _MOVE.fullmatch(raw)
        if match is None:
            if raw not in self._harmless and not self._approved_line(number, raw):
                self._strictly(number, raw)
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

    def _strictly(self, number: int, raw: bytes) -> None:
        """Read it, and remember it if it says the same, and nothing bad, wherever it stands."""
        told = self._findings.told
        name = self._read(number, raw)
        if name in _TIMELESS and told == self._findings.told:
            self._harmless.add(raw)

    def _read(self, number: int, raw: bytes) -> str | None:
        words = self._reader.words(number, raw)
        return self._command(number, words) if words else None

    # ------------------------------------------------------------------ the shop's own lines

    def block_line(self, filled: blocks.Filled, place: blocks.Place) -> None:
        """A line of a block: its effect counts, its words are the shop's, not so its numbers."""
        shop = self._shop
        assert shop is not None
        self._findings.heard = _HELD if filled.values else frozenset()
        self._read(filled.number, filled.raw)
        self._findings.heard = None
        for hole, value in filled.values:
            self._fill(filled.number, hole, value)
        if place.last and place.block == "start":
            self._homed = _AXES if shop.after.homed else self._homed
            if shop.after.hot:
                self._hotend = self._waited = max(self._hotend, self._coldest)
        elif place.last and shop.end_is_off:
            self._hotend = self._bed = self._chamber = 0.0

    def _fill(self, number: int, hole: Hole, value: str) -> None:
        if hole.kind in ("word", "quoted"):
            return
        given = float(value)
        tops = {
            "hotend": self._hotend_top,
            "bed": self._bed_top,
            "chamber": self._fdm.chamber_max_c,
        }
        low, high = (0.0, tops[hole.kind]) if hole.kind in tops else (hole.low, hole.high)
        if not low <= given <= high:
            rule = "temperature" if hole.kind in tops else "block"
            self._findings.reject(
                rule, number, f"{hole.shown} is {given:g} here; {low:g} to {high:g} allowed"
            )
        if hole.kind == "hotend":
            self._hotend = given
        elif hole.kind == "bed":
            self._bed = given
        elif hole.kind == "chamber":
            self._chamber = given

    def _approved_line(self, number: int, raw: bytes) -> bool:
        """One of the lines that the shop lets stand anywhere; True when it was one."""
        filled = blocks.line_of(self._shop.lines, number, raw) if self._shop else None
        if filled is None or self._shop is None:
            return False
        if not self._shop.are_approved:
            self._findings.review("block", number, "one of the shop's own lines, not approved yet")
        self.block_line(filled, blocks.Place("body", last=False))
        return True

    def _command(self, number: int, words: Words) -> str:
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
        return name

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

    def _advance(self, number: int, name: str, given: dict[str, Number]) -> None:
        """Linear advance: K of today's firmware in s, or in whole numbers as of before 2018."""
        new = all(0 <= (given.get(letter) or 0) <= _ADVANCE_MAX_S for letter in "KL")
        old = given.get("K") in _ADVANCE_OLD
        if set(given) - set("KLT") or given.get("T") not in (None, 0.0) or not (new or old):
            self._findings.reject("setting", number, f"{name} is beyond reason")

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
        bottom = self._layers.top - _LOW_MM
        if nz < bottom or pz < bottom:
            self._travel_low(number, min(pz, nz), (px, py), (nx, ny))
        distance = math.dist((px, py, pz), (nx, ny, nz))
        self._seconds += distance * 60 / (self._feed or self._profile.rapid_mm_min)
        self._moves += 1
        if e is not None and self._extrude(number, e, distance) and distance:
            if not self._laid:
                self._layers.deposit(px, py, nz)
            self._layers.deposit(nx, ny, nz)
            self._laid = True
        else:
            self._laid = False

    def _travel_low(self, number: int, z: float, start: Point, end: Point) -> None:
        if self._obstacles is None or self._obstacles[0] != z:
            self._obstacles = (z, self._layers.in_the_way(z + _LOW_MM))
        if any(crosses(box, start, end) for box in self._obstacles[1]):
            self._findings.review(
                "low", number, f"goes at Z{z:g} through what is printed up to {self._layers.top:g}"
            )

    def _outside(self, number: int, x: float, y: float, z: float) -> None:
        size = " × ".join(f"{lo:g}…{hi:g}" for lo, hi in zip(self._low, self._high, strict=True))
        where = f"X{x:g} Y{y:g} Z{z:g}"
        self._findings.reject("envelope", number, f"goes to {where}, the machine has {size} mm")

    def _check_homed(self, number: int, x: Number, y: Number, z: Number) -> None:
        moved = {axis for axis, value in zip("XYZ", (x, y, z), strict=True) if value is not None}
        lift = not self._absolute and moved == {"Z"} and (z or 0) >= 0
        if lift and "Z" not in self._homed:
            self._lifted += z or 0
        if not moved <= self._homed and not (lift and self._lifted <= _LIFT_BEFORE_HOMING_MM):
            self._findings.reject("homing", number, "moves before homing (G28)")
            self._homed = _AXES

    def _set_feed(self, number: int, feed: float) -> None:
        self._feed = feed
        if not 0 < feed <= self._profile.feed_max_mm_min:
            self._feed = 0.0
            top = self._profile.feed_max_mm_min
            self._findings.reject(
                "feed", number, f"F{feed:g}: feeds are above 0 up to {top:g} mm/min"
            )

    def _arc(self, number: int, name: str, given: dict[str, Number]) -> None:
        strange = set(given) - set("XYZEFIJRP") or None in given.values()
        if strange or (given.get("P") or 0) not in _CIRCLES:
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
        rate = self._feed or self._profile.rapid_mm_min
        self._seconds = max(before, self._seconds - chord * 60 / rate) + arc.length * 60 / rate
        z = self._z
        length = arc.length * (1 + (given.get("P") or 0))
        self._seconds += (length - arc.length) * 60 / (self._feed or self._profile.rapid_mm_min)
        extruding = given.get("E") is not None and self._extrude(number, given["E"] or 0.0, length)
        for x, y in (arc.low, arc.high):
            inside = all(
                low - _EDGE_MM <= at <= high + _EDGE_MM
                for low, at, high in zip(self._low, (x, y, z), self._high, strict=True)
            )
            if not inside:
                self._outside(number, x, y, z)
        if extruding:
            for x, y in arc.points:
                self._layers.deposit(x, y, z)

    def _home(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) - set("XYZWO"):
            self._findings.reject("words", number, f"{name} takes only axes, O and W")
        axes = frozenset(given) & _AXES or _AXES
        if "Z" in axes and self._layers.top > -math.inf:
            self._findings.review("homing", number, "homes Z over a part that is being printed")
        low = self._low
        self._x = low[0] if "X" in axes else self._x
        self._y = low[1] if "Y" in axes else self._y
        self._z = low[2] if "Z" in axes else self._z
        self._homed = _AXES if self._homed | axes == _AXES else self._homed | axes
        self._lifted = 0.0

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
        if self._hotend < self._coldest or self._waited < self._coldest:
            self._cold(number)
        drained = self._drain * distance
        if delta > _SECTION_FROM_MM and distance and delta > drained:
            self._findings.reject(
                "blob", number, f"{delta:.1f} mm of filament over {distance:.2f} mm"
            )
        fresh = fed - self._fed_most
        self._heap = max(0.0, self._heap + max(fresh, 0.0) - drained)
        if self._heap > self._fdm.blob_max_mm:
            self._findings.reject(
                "blob", number, f"pushes {self._heap:.0f} mm of filament in one place"
            )
            self._heap = 0.0
        if fresh > 0:
            self._fed_most = fed
            return True
        return False

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

    @property
    def _hotend_top(self) -> float:
        top = self._fdm.hotend_max_c
        return top if self._material is None else min(top, self._material.hotend_c[1])

    @property
    def _bed_top(self) -> float:
        top = self._fdm.bed_max_c
        return top if self._material is None else min(top, self._material.bed_c[1])

    def _heat_hotend(self, number: int, name: str, given: dict[str, Number]) -> None:
        target = self._target(number, name, given, self._hotend_top)
        if target is None:
            return
        if abs(target - self._hotend) >= _SWING_C:
            self._swings += 1
        if self._swings > _SWINGS_MAX:
            self._findings.reject("swings", number, "heats and cools the nozzle again and again")
        self._hotend = target
        self._hottest = (max(self._hottest[0], target), self._hottest[1])
        self._waited = target if name == "M109" else min(self._waited, target)

    def _heat_bed(self, number: int, name: str, given: dict[str, Number]) -> None:
        target = self._target(number, name, given, self._bed_top)
        if target is not None:
            self._bed = target
            self._hottest = (self._hottest[0], max(self._hottest[1], target))

    def _heat_chamber(self, number: int, name: str, given: dict[str, Number]) -> None:
        target = self._target(number, name, given, self._fdm.chamber_max_c)
        if target is not None:
            self._chamber = target

    def _fan(self, number: int, name: str, given: dict[str, Number]) -> None:
        speed, which = given.get("S") or 0.0, given.get("P") or 0.0
        if set(given) - {"S", "P"} or not 0 <= speed <= 255 or which not in range(self._fdm.fans):
            self._findings.reject("setting", number, f"{name}: no such fan, or beyond S0 to S255")

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
        return self._moves > 0

    def facts(self, lines: int) -> Facts:
        layers = self._layers
        layers.close()
        box = None if layers.low is None or layers.high is None else (layers.low, layers.high)
        homed = self._homed
        end = (
            self._x if "X" in homed else None,
            self._y if "Y" in homed else None,
            self._z if "Z" in homed else None,
        )
        return Facts(
            lines, self._seconds, box, self._fed_most * self._area, 0.0, end,
            filament_mm=self._fed_most, layers=len(layers.heights),
            outline_mm=layers.hull.corners(), hottest_c=self._hottest,
        )  # fmt: skip

    def close(self, lines: int) -> None:
        for what, target in (
            ("nozzle", self._hotend), ("bed", self._bed), ("chamber", self._chamber)
        ):  # fmt: skip
            if target > 0:
                self._findings.note("left on", lines, f"ends with the {what} at {target:g} °C")
