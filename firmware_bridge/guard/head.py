"""Where a printer's head goes: homing, the travel it has, what it may hit, and how long it takes.

It knows positions and feeds; of heat and filament it only asks.
"""

import math
from itertools import pairwise
from typing import Final

from firmware_bridge.guard import arcs
from firmware_bridge.guard.hotend import Filament, Number
from firmware_bridge.guard.outline import Layers, Point, in_its_way
from firmware_bridge.guard.verdict import Findings
from firmware_bridge.profiles import MachineProfile

AXES: Final = frozenset("XYZ")
_EDGE_MM: Final = 1e-3
_DWELL_TOTAL_S: Final = 1800.0
# Cura lets a small layer cool by waiting beside it, layer after layer.
_DWELL_LAYER_S: Final = 15.0
# Slower than 1 mm/s a heated nozzle does not print, it waits.
_CRAWL_MM_MIN: Final = 60.0
_LONG_S: Final = 7 * 86_400.0
_LIFT_BEFORE_HOMING_MM: Final = 20.0
# Lower than the highest layer by more than this, a nozzle may hit what stands there already.
_LOW_MM: Final = 0.3
_CIRCLES: Final = range(10)
_FULL: Final = 100.0


class Head:
    """Follows the head through a program, in the program's coordinates."""

    def __init__(self, profile: MachineProfile, filament: Filament, findings: Findings) -> None:
        assert profile.fdm is not None
        self._profile, self._findings, self._filament = profile, findings, filament
        self._low, self._high = profile.envelope_mm
        self._after_homing = profile.home_in_work_mm
        self._x, self._y, self._z = self._after_homing
        self._margin = max(_LOW_MM, profile.fdm.nozzle_mm)
        self.homed: frozenset[str] = frozenset()
        self._dozes = False  # M84 S: off at once on one firmware, after a rest on another
        self._adrift: frozenset[str] = frozenset()  # homed, and perhaps somewhere else than there
        self._lifted = 0.0
        self.absolute = True
        self._feed = 0.0  # as the program says it
        self._rate = profile.rapid_mm_min  # with what M220 makes of it
        self._speed = self._kept_speed = _FULL
        self._dwelt_s = 0.0
        self.seconds = 0.0
        self.moves = 0
        self.layers = Layers()
        self._laid = False  # the last move laid material down

    @property
    def end(self) -> tuple[Number, Number, Number]:
        """Where it stands, as far as that is known."""
        homed = self.homed
        return (
            self._x if "X" in homed else None,
            self._y if "Y" in homed else None,
            self._z if "Z" in homed else None,
        )

    # ------------------------------------------------------------------ moves

    def linear(self, number: int, name: str, given: dict[str, Number]) -> None:
        del name
        if set(given) - set("XYZEF") or None in given.values():
            self._findings.reject("words", number, "a move with words that it does not take")
            return
        get = given.get
        self.move(number, get("X"), get("Y"), get("Z"), get("E"), get("F"))

    def move(self, number: int, x: Number, y: Number, z: Number, e: Number, f: Number) -> None:
        if f is not None:
            self._set_feed(number, f)
        if x is None and y is None and z is None:
            if e is not None:
                self._in_place(number, e)
            return
        if self.homed is not AXES:
            self._check_homed(number, x, y, z)
        px, py, pz = self._x, self._y, self._z
        if self.absolute:
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
        bottom = self.layers.top - self._margin
        if nz < bottom or pz < bottom:
            self._travel_low(number, min(pz, nz), (px, py), (nx, ny))
        distance = math.dist((px, py, pz), (nx, ny, nz))
        rate = self._rate
        self.seconds += distance * 60 / rate
        if rate < _CRAWL_MM_MIN:
            self._crawl(number, distance * 60 / rate)
        self.moves += 1
        if e is not None and self._filament.push(number, e, distance, rate) and distance:
            self._lay((px, py), (nx, ny), nz)
        else:
            self._laid = False

    def _lay(self, start: Point, end: Point, z: float) -> None:
        if not self._laid:
            self.layers.deposit(*start, z)
        self.layers.deposit(*end, z)
        self._laid = True

    def arc(self, number: int, name: str, given: dict[str, Number]) -> None:
        strange = set(given) - set("XYZEFIJRP") or None in given.values()
        if strange or (given.get("P") or 0) not in _CIRCLES:
            self._findings.reject("words", number, f"{name} with words that it does not take")
            return
        get = given.get
        base = (0.0, 0.0) if self.absolute else (self._x, self._y)
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

    def _along(self, number: int, arc: arcs.Arc, end: Point, given: dict[str, Number]) -> None:
        """The ends as a move, then the arc's bulges; its time replaces that of the chord."""
        before, chord = self.seconds, math.dist((self._x, self._y), end)
        absolute, self.absolute = self.absolute, True
        self.move(number, end[0], end[1], None, None, given.get("F"))
        self.absolute = absolute
        if given.get("Z") is not None:
            self.move(number, None, None, given["Z"], None, None)
        length = arc.length * (1 + (given.get("P") or 0))
        extra = (length - chord) * 60 / self._rate
        self.seconds = max(before, self.seconds + extra)
        if self._rate < _CRAWL_MM_MIN:
            self._crawl(number, extra)
        for x, y in (arc.low, arc.high):
            inside = all(
                low - _EDGE_MM <= at <= high + _EDGE_MM
                for low, at, high in zip(self._low, (x, y, self._z), self._high, strict=True)
            )
            if not inside:
                self._outside(number, x, y, self._z)
        if self._z < self.layers.top - self._margin:
            self._swing_low(number, arc)
        e = given.get("E")
        if e is not None and self._filament.push(number, e, length, self._rate):
            for x, y in arc.points:
                self.layers.deposit(x, y, self._z)

    def _in_place(self, number: int, e: float) -> None:
        before = self._filament.fed
        self._filament.push(number, e, 0.0, self._rate)
        if self._feed:
            taken = abs(self._filament.fed - before) * 60 / self._rate
            self.seconds += taken
            if self._rate < _CRAWL_MM_MIN:
                self._crawl(number, taken)

    def _travel_low(self, number: int, z: float, start: Point, end: Point) -> None:
        standing = self.layers.in_the_way(z + self._margin)
        if any(in_its_way(obstacle, start, end) for obstacle in standing):
            top = self.layers.top
            self._findings.review(
                "low", number, f"goes at Z{z:g} through what is printed up to {top:g}"
            )

    def _swing_low(self, number: int, arc: arcs.Arc) -> None:
        """Along the sides of the box that the arc touches, and through its middle."""
        (left, front), (right, back) = arc.low, arc.high
        corners = ((left, front), (right, front), (right, back), (left, back), (left, front))
        for start, end in pairwise((*corners, (right, back))):
            self._travel_low(number, self._z, start, end)

    def _outside(self, number: int, x: float, y: float, z: float) -> None:
        size = " × ".join(f"{lo:g}…{hi:g}" for lo, hi in zip(self._low, self._high, strict=True))
        where = f"X{x:g} Y{y:g} Z{z:g}"
        self._findings.reject("envelope", number, f"goes to {where}, the machine has {size} mm")

    # ------------------------------------------------------------------ feeds and waits

    def _set_feed(self, number: int, feed: float) -> None:
        top = self._profile.feed_max_mm_min
        if feed > 0 and feed * self._speed <= top * _FULL:
            self._feed, self._rate = feed, feed * self._speed / _FULL
            return
        self._feed, self._rate = 0.0, self._profile.rapid_mm_min
        at = "" if self._speed == _FULL else f" at M220 S{self._speed:g}"
        self._findings.reject(
            "feed", number, f"F{feed:g}{at}: feeds are above 0 up to {top:g} mm/min"
        )

    def speed(self, number: int, given: dict[str, Number]) -> None:
        """M220: what becomes of every feed from here on, in per cent; B keeps it, R restores it."""
        before = self._speed
        if "R" in given:
            self._speed = self._kept_speed
        if "B" in given:
            self._kept_speed = before
        self._speed = given.get("S") or self._speed
        if self._feed:
            self._set_feed(number, self._feed)

    def dwell(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) - set("SP"):
            self._findings.reject("words", number, f"{name} takes S or P")
        seconds = (given.get("S") or 0.0) + (given.get("P") or 0.0) / 1000
        self.seconds += max(seconds, 0.0)
        self._linger(number, seconds, "waits")

    def _crawl(self, number: int, seconds: float) -> None:
        self._linger(number, max(seconds, 0.0), "creeps for")

    def _linger(self, number: int, seconds: float, how: str) -> None:
        self._dwelt_s += seconds
        total = _DWELL_TOTAL_S + _DWELL_LAYER_S * len(self.layers.heights)
        if not 0 <= seconds <= self._profile.dwell_max_s or self._dwelt_s > total:
            self._findings.reject("dwell", number, f"{how} {seconds:.0f} s with its heaters on")

    def close(self) -> None:
        if self.seconds > _LONG_S:
            days = self.seconds / 86_400
            self._findings.review("long", 0, f"runs for {days:.0f} days with its heaters on")

    # ------------------------------------------------------------------ homing

    def home(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) - set("XYZWO"):
            self._findings.reject("words", number, f"{name} takes only axes, O and W")
        axes = frozenset(given) & AXES or AXES
        if "Z" in axes and self.layers.top > -math.inf:
            self._findings.review("homing", number, "homes Z over a part that is being printed")
        before, at = (self._x, self._y), self._after_homing
        self._x = at[0] if "X" in axes else self._x
        self._y = at[1] if "Y" in axes else self._y
        if self._z < self.layers.top - self._margin:
            self._travel_low(number, self._z, before, (self._x, self._y))
        self._z = at[2] if "Z" in axes else self._z
        self.knows(self.homed | axes)
        self._adrift = self._adrift - axes
        if "O" in given:  # homes only where it does not know its place
            self._adrift, self.homed = axes, frozenset(set(self.homed))
        self._lifted = 0.0

    def knows(self, axes: frozenset[str]) -> None:
        """These axes are homed."""
        self.homed = AXES if axes == AXES else axes
        self._dozes = self._dozes and axes != AXES

    def motors_off(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) - set("XYZES"):
            self._findings.reject("words", number, f"{name} takes only axes and S")
        self._dozes = "S" in given and (self._dozes or self.homed is AXES)
        self.homed = self.homed - (AXES if "S" in given else set(given) or AXES)

    def _check_homed(self, number: int, x: Number, y: Number, z: Number) -> None:
        if self._dozes:
            self._findings.review(
                "homing", number, "moves after M84 S: where that turns the motors off at once, the"
                " head has lost its place",
            )  # fmt: skip
            self.knows(AXES)
            return
        moved = {axis for axis, value in zip("XYZ", (x, y, z), strict=True) if value is not None}
        lift = not self.absolute and moved == {"Z"} and (z or 0) >= 0
        if lift and "Z" not in self.homed:
            self._lifted += z or 0
        if not moved <= self.homed and not (lift and self._lifted <= _LIFT_BEFORE_HOMING_MM):
            self._findings.reject("homing", number, "moves before homing (G28)")
            self.homed = AXES
        if self._adrift and not lift:
            self._find_place(number, moved)

    def _find_place(self, number: int, moved: set[str]) -> None:
        """A place that is told ends the doubt; a step from nobody knows where leaves the travel."""
        if not self.absolute:
            said = "a step behind G28 O, which leaves a printer that was homed where it stands"
            self._findings.review("homing", number, said)
        self._adrift = self._adrift - moved if self.absolute else frozenset()
        if not self._adrift:
            self.knows(self.homed)
