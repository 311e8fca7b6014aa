"""GRBL 1.1's memory: modes, position, feed and power, carried from line to line into rows of moves.

It follows gcode.c's order of execution and knows nothing of limits: what may be done is judged
elsewhere, from the rows. It starts in the state a reset leaves: G0 G54 G17 G21 G90 G94 M5 M9.
"""

import math
from dataclasses import dataclass, field
from typing import Final

from firmware_bridge.guard import arcs
from firmware_bridge.guard.grbl import Block, LineError
from firmware_bridge.guard.moves import (
    ELSEWHERE,
    HOMING,
    MACHINE,
    NOWHERE,
    STOCK,
    Row,
    Table,
)  # fmt: skip
from firmware_bridge.profiles import MachineProfile

_INCH_MM: Final = 25.4
_SYSTEMS: Final = {f"G{number}": number for number in range(54, 60)}
_MOTIONS: Final = {"G0": 0, "G1": 1, "G2": 2, "G3": 3, "G80": 80} | {
    f"G38.{kind}": 38 for kind in range(2, 6)
}
CUTS: Final = (1, 2, 3)
"""Straight and arcs: with M3 the beam burns while one of these is in force, moving or not."""
# First and second axis of each plane, then the axis that stands on it; GRBL's axis_0, axis_1.
_PLANES: Final = {17: (0, 1, 2), 18: (2, 0, 1), 19: (1, 2, 0)}
_AXES: Final = "XYZ"
_CENTRES: Final = "IJK"
# Codes beside which a line's axes, if it has any, belong to no arc and no probing.
_STANDING: Final = frozenset({"G4", "G28", "G30", "G53", "G92", "G92.1"})
IDLE_MAX: Final = 20
_NO_CENTRE: Final = (math.nan, math.nan)


@dataclass(slots=True)
class State:
    """`at` is in mm from the stock's corner, or from `shift` less where a zero was moved (G92)."""

    motion: int = 0
    plane: int = 17
    scale: float = 1.0
    absolute: bool = True
    inverse: bool = False
    feed: float = 0.0
    spin: int = 5
    power: float = math.nan
    coolant: set[str] = field(default_factory=set[str])
    tool: float | None = None
    system: int = STOCK
    at: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    place: list[int] = field(default_factory=lambda: [NOWHERE] * 3)
    told_by: list[str] = field(default_factory=lambda: [""] * 3)
    shift: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    ended_at: int = 0
    beam: bool = False
    """A laser: what does nothing burns, too, while the beam stands."""
    idled: int = 0
    """How many commands in a row that did nothing."""

    def modes(self) -> tuple[str, ...]:
        """As GRBL's `$G` tells them."""
        motion = "G38.2" if self.motion == 38 else f"G{self.motion}"
        return (
            motion,
            f"G{self.system}",
            f"G{self.plane}",
            "G21" if self.scale == 1 else "G20",
            "G90" if self.absolute else "G91",
            "G93" if self.inverse else "G94",
            f"M{self.spin}",
            *(sorted(self.coolant) or ("M9",)),
        )


class Interpreter:
    """Runs blocks; each that moves, waits or switches power leaves rows in the table."""

    def __init__(self, profile: MachineProfile, table: Table) -> None:
        self._zero = profile.work_zero_mm
        self._stored = profile.g28_mm
        self._table = table
        self.state = State(beam=profile.laser is not None)

    def run(self, number: int, block: Block) -> None:
        """Raises `LineError` where GRBL would refuse the line: the program is broken there."""
        codes, values = block.codes, block.values
        before, rows = self.state.motion, len(self._table)
        self._set_modes(codes, values)
        self._check(codes, values)
        self._set_power(number, codes, values, to_cut=before not in CUTS and "G1" in codes)
        if "G4" in codes:
            self._wait(number, values["P"])
        elif not self._special(number, codes, values):
            self._move(number, values)
        self._idle(number, len(self._table) > rows)
        if codes & {"M0", "M1"}:
            self._still(number, stops=True)
        if codes & {"M2", "M30"}:
            self._end(number)

    # ------------------------------------------------------------------ modes

    def _set_modes(self, codes: frozenset[str], values: dict[str, float]) -> None:
        state = self.state
        inverse = state.inverse
        for code in codes:
            if code in _MOTIONS:
                state.motion = _MOTIONS[code]
            elif code in _SYSTEMS:
                self._select(_SYSTEMS[code])
            elif code in ("G20", "G21"):
                state.scale = _INCH_MM if code == "G20" else 1.0
            elif code in ("G90", "G91"):
                state.absolute = code == "G90"
            elif code in ("G17", "G18", "G19"):
                state.plane = int(code[1:])
            elif code in ("G93", "G94"):
                self._set_feed_mode(code == "G93")
            elif code in ("M7", "M8", "M9"):
                state.coolant = set() if code == "M9" else state.coolant | {code}
        self._set_feed(values, inverse_before=inverse)

    def _set_feed_mode(self, inverse: bool) -> None:
        if self.state.inverse != inverse:
            self.state.feed = 0.0
        self.state.inverse = inverse

    def _select(self, system: int) -> None:
        state = self.state
        if system != state.system:
            state.system = system
            state.place = [NOWHERE if place == NOWHERE else ELSEWHERE for place in state.place]
            state.told_by = [""] * 3

    def _set_feed(self, values: dict[str, float], *, inverse_before: bool) -> None:
        """GRBL reads F as mm even in G20 while it counts in inverse time or has just left it."""
        plain = self.state.inverse or inverse_before
        if "F" in values:
            self.state.feed = values["F"] * (1.0 if plain else self.state.scale)
        elif self.state.inverse:
            self.state.feed = 0.0

    def _check(self, codes: frozenset[str], values: dict[str, float]) -> None:
        """What steps 19 and 20 refuse whatever the line's own code does with its words."""
        motion = self.state.motion
        axes = any(axis in values for axis in _AXES)
        mover = not codes & _STANDING and (axes or codes & _MOTIONS.keys())
        if axes and motion == 80:
            raise LineError("words", "X, Y or Z while no motion is chosen (G80)")
        if any(letter in values for letter in "IJKR") and not (mover and motion in (2, 3)):
            raise LineError("words", "I, J, K or R without an arc: words left over")
        if mover and motion == 1 and not axes and self.state.feed == 0:
            raise LineError("feed", "G1 before any feed (F) was told: GRBL stops there")
        if mover and motion in (2, 3, 38) and not axes:
            raise LineError("arc" if motion < 4 else "words", f"G{motion} without X, Y or Z")

    def _set_power(
        self, number: int, codes: frozenset[str], values: dict[str, float], *, to_cut: bool
    ) -> None:
        """A line that does not move leaves a row where it changes the beam, as `G1` alone may."""
        state = self.state
        state.power = values.get("S", state.power)
        turned = codes & {"M3", "M4", "M5"}
        if turned:
            state.spin = int(next(iter(turned))[1:])
        moves = "G92" not in codes and any(axis in values for axis in _AXES)
        if (turned or "S" in values or to_cut) and not moves:
            self._still(number, told_s="S" in values)
        state.tool = values.get("T", state.tool)

    def _wait(self, number: int, seconds: float) -> None:
        if seconds > 0:
            self._still(number, dwell=seconds)

    def _idle(self, number: int, did: bool) -> None:
        """Rows for many lines in a row that do nothing, too: a beam stands meanwhile."""
        self.state.idled = 0 if did else self.state.idled + 1
        if self.state.beam and self.state.idled > IDLE_MAX:
            self._still(number)

    def _still(
        self, number: int, *, dwell: float = 0.0, stops: bool = False, told_s: bool = False
    ) -> None:
        state, at = self.state, self.state.at
        still = (number, state.motion, 0.0, *at, *at, *at, *at, 0.0, state.feed)
        rest = (state.spin, state.power, told_s, dwell, *state.place, 0.0, 0.0, stops)
        self._table.add((*still, *rest, *_NO_CENTRE))

    def _end(self, number: int) -> None:
        """Step 21: what M2 and M30 reset, and what they leave (units, feed, power)."""
        state = self.state
        state.motion, state.plane, state.absolute, state.spin = 1, 17, True, 5
        state.coolant, state.ended_at = set(), number
        self._set_feed_mode(inverse=False)
        self._select(STOCK)

    # ------------------------------------------------------------------ zeros and stored places

    def _special(self, number: int, codes: frozenset[str], values: dict[str, float]) -> bool:
        """G28, G30, G53, G92 and G92.1, each of which claims the line's axes for itself."""
        if codes & {"G28", "G30"}:
            self._go_home(number, "G28" in codes, values)
        elif "G92" in codes:
            self._move_zero(values)
        elif "G92.1" in codes:
            self._restore_zero()
        elif "G53" in codes:
            self._go_to_machine(number, values)
        else:
            return False
        return True

    def _go_home(self, number: int, first: bool, values: dict[str, float]) -> None:
        """By way of the told point to the stored one, in the axes that were told (all, if none)."""
        told = [axis for axis in range(3) if _AXES[axis] in values]
        way = HOMING if self.state.motion in CUTS else 0
        if told:
            self._travel(number, way, self._targets(values), self._places(values), values)
        stored = self._stored if first and self._zero else None
        ends, places = list(self.state.at), list(self.state.place)
        for axis in told or range(3):
            places[axis] = ELSEWHERE
            if stored and self._zero:
                ends[axis], places[axis] = stored[axis] - self._zero[axis], STOCK
            self.state.told_by[axis] = "machine" if stored else ""
        by = list(self.state.told_by)
        self._travel(number, way, ends, places, {})
        self.state.told_by = by

    def _move_zero(self, values: dict[str, float]) -> None:
        state = self.state
        if not any(axis in values for axis in _AXES):
            raise LineError("words", "G92 without X, Y or Z")
        for axis, letter in enumerate(_AXES):
            if letter not in values:
                continue
            value = values[letter] * state.scale
            if state.place[axis] in (NOWHERE, ELSEWHERE, MACHINE):
                state.at[axis], state.place[axis] = value, state.system
            state.shift[axis] = state.at[axis] - value
            state.told_by[axis] = "work"

    def _restore_zero(self) -> None:
        self.state.shift = [0.0, 0.0, 0.0]

    def _go_to_machine(self, number: int, values: dict[str, float]) -> None:
        state = self.state
        if state.motion not in (0, 1):
            raise LineError("words", "G53 goes with G0 or G1")
        ends, places = list(state.at), list(state.place)
        for axis, letter in enumerate(_AXES):
            if letter in values:
                place = values[letter] * state.scale
                ends[axis] = place - self._zero[axis] if self._zero else place
                places[axis] = STOCK if self._zero else MACHINE
        self._travel(number, state.motion, ends, places, values)
        for axis, letter in enumerate(_AXES):
            if letter in values:
                state.told_by[axis] = "machine"

    # ------------------------------------------------------------------ motion

    def _move(self, number: int, values: dict[str, float]) -> None:
        state = self.state
        if any(axis in values for axis in _AXES):
            motion = state.motion
            self._travel(number, motion, self._targets(values), self._places(values), values)

    def _targets(self, values: dict[str, float]) -> list[float]:
        state = self.state
        ends = list(state.at)
        for axis, letter in enumerate(_AXES):
            if letter in values:
                start = state.shift[axis] if state.absolute else state.at[axis]
                ends[axis] = start + values[letter] * state.scale
        return ends

    def _places(self, values: dict[str, float]) -> list[int]:
        state = self.state
        places = list(state.place)
        for axis, letter in enumerate(_AXES):
            if letter in values and state.absolute:
                places[axis] = state.system
                state.told_by[axis] = "work"
            elif letter == "Z" and places[2] == NOWHERE and values.get("Z", 0.0) > 0:
                places[2] = ELSEWHERE  # lifted from wherever it was
        return places

    def _travel(
        self,
        number: int,
        motion: int,
        end: list[float],
        places: list[int],
        values: dict[str, float],
    ) -> None:
        """One row from here to `end`; an axis that was not known here is taken to be there."""
        state = self.state
        fresh = [before != after for before, after in zip(state.place, places, strict=True)]
        start = [e if new else s for s, e, new in zip(state.at, end, fresh, strict=True)]
        low = [min(pair) for pair in zip(start, end, strict=True)]
        high = [max(pair) for pair in zip(start, end, strict=True)]
        length, centre = math.dist(start, end), _NO_CENTRE
        if motion in (2, 3):
            length, centre = self._bend(motion, start, end, fresh, low, high, values)
        feed = state.feed * (length or 1.0) if state.inverse else state.feed
        told = sum(1 << axis for axis in range(3) if self._is_told(_AXES[axis], values))
        bits = sum(new << axis for axis, new in enumerate(fresh))
        path = (number, motion, 1.0, *start, *end, *low, *high, length, feed)
        rest = (state.spin, state.power, "S" in values, 0.0, *places, bits, told, 0.0)
        row: Row = (*path, *rest, *centre)
        self._table.add(row)
        state.at, state.place = end, places

    def _is_told(self, letter: str, values: dict[str, float]) -> bool:
        """A step of nothing (`G28 G91 Z0`) tells no place and goes nowhere."""
        return letter in values and (self.state.absolute or values[letter] != 0)

    def _bend(
        self,
        motion: int,
        start: list[float],
        end: list[float],
        fresh: list[bool],
        low: list[float],
        high: list[float],
        values: dict[str, float],
    ) -> tuple[float, arcs.Point]:
        """Length and centre of an arc; widens `low` and `high` to where it bulges."""
        first, second, along = _PLANES[self.state.plane]
        if fresh[first] or fresh[second]:
            raise LineError("arc", "an arc from a place that the program never told")
        if not {_AXES[first], _AXES[second]} & set(values):
            raise LineError("arc", f"an arc without {_AXES[first]} or {_AXES[second]}")
        ends = ((start[first], start[second]), (end[first], end[second]))
        try:
            arc = self._arc(ends, (_CENTRES[first], _CENTRES[second]), motion == 2, values)
        except arcs.NoArcError as error:
            raise LineError("arc", str(error)) from None
        (low[first], low[second]), (high[first], high[second]) = arc.low, arc.high
        centre = arc.centre if self.state.plane == 17 else _NO_CENTRE
        return math.hypot(arc.length, end[along] - start[along]), centre

    def _arc(
        self,
        ends: tuple[arcs.Point, arcs.Point],
        letters: tuple[str, str],
        clockwise: bool,
        values: dict[str, float],
    ) -> arcs.Arc:
        scale = self.state.scale
        centre = set(letters) & set(values)
        if "R" in values:
            if {"I", "J", "K"} & set(values):
                raise LineError("arc", "an arc with both a radius and a centre")
            return arcs.by_radius(*ends, values["R"] * scale, clockwise=clockwise)
        if not centre:
            raise LineError("arc", f"an arc without {letters[0]}, {letters[1]} or R")
        offset = (values.get(letters[0], 0.0) * scale, values.get(letters[1], 0.0) * scale)
        return arcs.by_centre(*ends, offset, clockwise=clockwise)
