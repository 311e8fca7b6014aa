"""Judges a program for a mill or a laser: GRBL's reading of each line, held against one profile.

It believes no comment and no CAM system; a code it does not interpret is refused.
"""

import math
import re
from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np

from firmware_bridge import gcode
from firmware_bridge.guard import arcs, grbl, swift
from firmware_bridge.guard.laser import LaserRules
from firmware_bridge.guard.milling import EDGE_MM, MillRules
from firmware_bridge.guard.modal import Interpreter, State
from firmware_bridge.guard.moves import MACHINE, NOWHERE, STOCK, Bools, Col, Floats, Moves, Table
from firmware_bridge.guard.outline import Hull
from firmware_bridge.guard.verdict import Box, Facts, Findings, Stock
from firmware_bridge.profiles import MachineProfile

_CHUNK_BYTES: Final = 1 << 18
_ROWS: Final = 1 << 15
_RETRY: Final = 64
_DWELL_TOTAL_S: Final = 600.0
_AXES: Final = "XYZ"
_DIRECTIONS: Final = 64


class _Rules(Protocol):
    def cuts(self, moves: Moves) -> Bools: ...
    def look(self, moves: Moves) -> None: ...
    def close(self, state: State, lines: int) -> None: ...


def judge(
    data: bytes,
    profile: MachineProfile,
    findings: Findings,
    stock: Stock | None = None,
    material: str | None = None,
) -> Facts | None:
    """The facts of a program, its faults told to `findings`; None where nothing moves."""
    _check_material(profile, findings, material)
    rules = _rules(profile, findings, stock)
    limits, tally = _Limits(profile, findings, stock), _Tally(profile)
    reading = _Reading(data, profile, findings)
    for moves in reading.moves():
        limits.look(moves)
        rules.look(moves)
        tally.add(moves, rules.cuts(moves))
    limits.close()
    rules.close(reading.state, reading.lines)
    return tally.facts(reading.state, reading.lines) if tally.moved else None


def _rules(profile: MachineProfile, findings: Findings, stock: Stock | None) -> _Rules:
    if profile.laser is not None:
        return LaserRules(profile.laser, findings)
    if profile.mill is not None:
        return MillRules(profile, findings, stock)
    msg = "only mills and lasers are judged here"
    raise ValueError(msg)


def _check_material(profile: MachineProfile, findings: Findings, material: str | None) -> None:
    laser, known = profile.laser, (profile.laser or profile.mill)
    if material is None or known is None:
        return
    words = set(re.split(r"[^a-z]+", material.lower()))
    name = "_".join(re.findall(r"[a-z0-9]+", material.lower()))
    bad = laser.forbidden_materials if laser is not None else ()
    if any(word == name or word in words for word in bad):
        findings.reject("material", 0, f"{material} must never meet a laser: toxic or on fire")
    elif known.materials and name not in {word.replace("-", "_") for word in known.materials}:
        findings.review("material", 0, f"{material} is not among those this machine works")


# ── from text to moves ───────────────────────────────────────────────────────────────────────


class _Reading:
    """The program's lines, run one by one or, where they are plain, many at once."""

    def __init__(self, data: bytes, profile: MachineProfile, findings: Findings) -> None:
        self._data, self._profile, self._findings = data, profile, findings
        self._table = Table()
        self._machine = Interpreter(profile, self._table)
        self._tool: float | None = None
        self._mark_at = 0
        self._begun = False
        self.lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))

    @property
    def state(self) -> State:
        return self._machine.state

    def moves(self) -> Iterator[Moves]:
        """All that the program does, stretch by stretch."""
        number = 1
        for chunk in self._chunks():
            number = self._run(number, chunk)
            if len(self._table) >= _ROWS:
                yield self._table.take()
        yield self._table.take()

    def _chunks(self) -> Iterator[bytes]:
        data, start = self._data, 0
        while start < len(data):
            end = data.find(b"\n", start + _CHUNK_BYTES)
            if end < 0:
                tail = data[start:]
                yield tail if tail.endswith(b"\n") else tail + b"\n"
                return
            yield data[start : end + 1]
            start = end + 1

    def _run(self, number: int, chunk: bytes) -> int:
        rows = swift.split(chunk, self._profile.line_max_bytes, self._profile.codes)
        raw: list[bytes] = []
        for start, end, plain in swift.runs(rows):
            at, step = start, _RETRY if plain else end
            while at < end and not (plain and self._run_plain(number + at, rows[at:end])):
                raw = raw or chunk.split(b"\n")
                self._run_lines(number, raw, at, min(end, at + step))
                at, step = at + step, 2 * step
        return number + len(rows)

    def _run_lines(self, number: int, raw: list[bytes], start: int, end: int) -> None:
        for index in range(start, end):
            if raw[index]:
                self._line(number + index, raw[index])

    def _run_plain(self, number: int, rows: list[swift.Words]) -> bool:
        state = self.state
        if state.ended_at or self._mark_at:
            return False
        made = swift.run(number, rows, state)
        if made is None:
            return False
        self._begun = True
        self._table.extend(made)
        return True

    def _line(self, number: int, raw: bytes) -> None:
        command = gcode.command(raw)
        if not command:
            self._see_mark(number, raw)
            return
        self._check_end(number)
        try:
            block = grbl.block(command, self._profile.line_max_bytes)
            self._allow(number, block)
            self._machine.run(number, block)
        except grbl.LineError as error:
            self._findings.reject(error.rule, number, str(error))

    def _see_mark(self, number: int, raw: bytes) -> None:
        """A lone % opens or closes a program on paper tape; it never reaches the wire."""
        if raw.lstrip().startswith(b"%"):
            self._mark_at = number if self._begun else 0
            self._begun = True

    def _check_end(self, number: int) -> None:
        state, self._begun = self._machine.state, True
        at = state.ended_at or self._mark_at
        if at:
            self._findings.reject("end", number, f"goes on after its end in line {at}")
        state.ended_at = self._mark_at = 0

    def _allow(self, number: int, block: grbl.Block) -> None:
        profile = self._profile
        for name in sorted(block.codes - profile.codes):
            if name in profile.review:
                rule = "offset" if name in _ZEROS else "person"
                self._findings.review(
                    rule, number, f"{name}: {_PERSON.get(name, 'changes the set-up')}"
                )
            elif name in ("M7", "M8"):
                raise grbl.LineError("coolant", f"{name}: this machine has no coolant or air")
            else:
                said = _NEVER.get(name, "not allowed on this machine")
                raise grbl.LineError("offset" if name in _ZEROS else "code", f"{name}: {said}")
        tool = block.values.get("T", self._tool)
        if self._tool is not None and tool != self._tool and "M6" not in block.codes:
            self._findings.review("person", number, f"T{tool:g}: wants another tool")
        self._tool = tool


_PERSON: Final[dict[str, str]] = {
    "M0": "stops and waits for a person",
    "M1": "a stop for a person, which GRBL runs past",
    "M4": "turns the spindle backwards",
    "M6": "a tool change: GRBL has none and stops there; a person has to split the program",
    "G92": "moves the program's zero, for the next program too",
    "G92.1": "takes back the zero that somebody set",
    "G30": "goes to a place that only the controller knows",
    "M7": "mist or air, which most controllers do not have",
    **dict.fromkeys(("G55", "G56", "G57", "G58", "G59"), "another work zero, unknown here"),
    **dict.fromkeys(("G38.2", "G38.3", "G38.4", "G38.5"), "feels for a probe that a person sets"),
}
_NEVER: Final[dict[str, str]] = {
    "G10": "changes a work zero in the controller's memory for ever",
    "G28.1": "changes a place in the controller's memory for ever",
    "G30.1": "changes a place in the controller's memory for ever",
    "G43.1": "shifts Z by a tool length that nobody measured here",
}
_ZEROS: Final = frozenset(
    {"G10", "G28.1", "G30.1", "G43.1", "G92", "G92.1", "G55", "G56", "G57", "G58", "G59"}
)


# ── limits that mill and laser share ─────────────────────────────────────────────────────────


class _Limits:
    """Travel, depth, feed, power, waits, and moves from a place that nobody told."""

    def __init__(self, profile: MachineProfile, findings: Findings, stock: Stock | None) -> None:
        self._profile, self._findings = profile, findings
        low, high = profile.envelope_mm
        self._low, self._high = list(low), list(high)
        self._depth = _deepest(profile, stock)
        self._extents: dict[tuple[int, int], tuple[float, float]] = {}
        self._dwelt_s = 0.0

    def look(self, moves: Moves) -> None:
        self._look_feed(moves)
        self._look_power(moves)
        self._look_dwell(moves)
        for axis in range(3):
            self._look_start(moves, axis)
            self._look_box(moves, axis, self._low[axis], self._high[axis])
            self._look_depth(moves, axis)
            self._look_extent(moves, axis)

    def _look_feed(self, moves: Moves) -> None:
        top, feed = self._profile.feed_max_mm_min, moves[Col.FEED]
        findings = self._findings
        findings.each("feed", moves.lines(moves.fed & (feed <= 0)), "cuts without a feed (F)")
        said = f"a feed above the machine's {top:g} mm/min"
        findings.each("feed", moves.lines(moves.fed & (feed > top)), said)

    def _look_power(self, moves: Moves) -> None:
        laser, mill = self._profile.laser, self._profile.mill
        top = laser.power_max if laser else mill.spindle_max_rpm if mill else 0.0
        what = "laser power" if laser else "spindle speed"
        over = (moves[Col.TOLD_S] > 0) & (moves[Col.POWER] > top)
        self._findings.each("power", moves.lines(over), f"{what} above S{top:g}")

    def _look_dwell(self, moves: Moves) -> None:
        waits, top = moves[Col.DWELL], self._profile.dwell_max_s
        said = f"waits longer than {top:g} s (GRBL counts P in seconds)"
        self._findings.each("dwell", moves.lines(waits > top), said)
        before, self._dwelt_s = self._dwelt_s, self._dwelt_s + float(waits.sum())
        if before <= _DWELL_TOTAL_S < self._dwelt_s:
            line = moves.line(int(np.argmax(before + np.cumsum(waits) > _DWELL_TOTAL_S)))
            self._findings.reject("dwell", line, f"waits {_DWELL_TOTAL_S:g} s in all, and longer")

    def _look_start(self, moves: Moves, axis: int) -> None:
        lost = moves.moving & moves.told(axis) & (moves[Col.PLACE + axis] == NOWHERE)
        for index in np.flatnonzero(lost)[:1]:
            said = f"moves {_AXES[axis]} from where the machine happens to be"
            self._findings.review("start", moves.line(int(index)), said)

    def _look_box(self, moves: Moves, axis: int, low: float, high: float) -> None:
        known = MACHINE if self._profile.work_zero_mm is None else STOCK
        held = moves.moving & (moves[Col.PLACE + axis] == known)
        top, bottom = moves[Col.HIGH + axis], moves[Col.LOW + axis]
        for out, at in ((top > high + EDGE_MM, top), (bottom < low - EDGE_MM, bottom)):
            for index in np.flatnonzero(held & out):
                said = f"{_AXES[axis]}{at[index]:g} mm lies outside {low:g} to {high:g}"
                self._findings.reject("envelope", moves.line(int(index)), said)

    def _look_depth(self, moves: Moves, axis: int) -> None:
        if axis == 2 and self._profile.mill is not None:
            floor = self._depth
            deep = moves.moving & moves.known(2) & (moves[Col.LOW + 2] < floor - EDGE_MM)
            said = f"deeper than the stock and what may be cut into the table (Z{floor:g})"
            self._findings.each("depth", moves.lines(deep), said)

    def _look_extent(self, moves: Moves, axis: int) -> None:
        """Where nobody knows how the zero lies, at least the way must fit into the travel."""
        places = np.where(moves.moving, moves[Col.PLACE + axis], -1)
        for place in np.unique(places[places >= 0]).astype(int):
            if place == STOCK and self._profile.work_zero_mm is not None:
                continue
            there = places == place
            low = float(moves[Col.LOW + axis][there].min())
            high = float(moves[Col.HIGH + axis][there].max())
            before = self._extents.get((place, axis), (math.inf, -math.inf))
            self._extents[place, axis] = (min(low, before[0]), max(high, before[1]))

    def close(self) -> None:
        for (_, axis), (low, high) in self._extents.items():
            travel = self._high[axis] - self._low[axis]
            if high - low > travel + 2 * EDGE_MM:
                said = f"{_AXES[axis]} needs {high - low:g} mm, the travel is {travel:g}"
                self._findings.reject("envelope", 0, said)


def _deepest(profile: MachineProfile, stock: Stock | None) -> float:
    mill = profile.mill
    if mill is None:
        return -math.inf
    return -(mill.stock_mm if stock is None else stock.z_mm) - mill.spoilboard_mm


# ── what it comes to ─────────────────────────────────────────────────────────────────────────


class _Bounds:
    def __init__(self) -> None:
        self._low, self._high = np.full(3, math.inf), np.full(3, -math.inf)

    def add(self, moves: Moves, which: Bools) -> None:
        for axis in range(3) if which.any() else ():
            known = which & (moves[Col.PLACE + axis] != NOWHERE)
            if known.any():
                self._low[axis] = min(self._low[axis], moves[Col.LOW + axis][known].min())
                self._high[axis] = max(self._high[axis], moves[Col.HIGH + axis][known].max())

    def box(self) -> Box | None:
        if not np.isfinite(self._low[:2]).all():
            return None
        flat = np.isfinite(self._low)
        low, high = np.where(flat, self._low, 0.0), np.where(flat, self._high, 0.0)
        x0, y0, z0 = map(float, low)
        x1, y1, z1 = map(float, high)
        return ((x0, y0, z0), (x1, y1, z1))


class _Outline:
    """The hull around all that is cut: of many points, those that lie outermost in some direction.

    With 64 directions it lies within 0.12 % of its half width inside the true hull.
    """

    def __init__(self) -> None:
        self._hull = Hull()
        self._angles: Floats = np.linspace(0, 2 * math.pi, _DIRECTIONS, endpoint=False)

    def add(self, moves: Moves, cuts: Bools) -> None:
        if not cuts.any():
            return
        starts, ends, centre = (
            np.column_stack([moves[column][cuts], moves[column + 1][cuts]])
            for column in (Col.X0, Col.X1, Col.CENTRE)
        )
        for points in (starts, ends):
            for angle in self._angles:
                best = int(np.argmax(points @ (math.cos(angle), math.sin(angle))))
                self._hull.add(float(points[best, 0]), float(points[best, 1]))
        bent = ~np.isnan(centre[:, 0])
        if bent.any():
            turned = moves[Col.MOTION][cuts][bent] == 2
            bulges = (starts[bent], ends[bent], centre[bent], turned)
            for x, y in arcs.outermost(*bulges, self._angles):
                self._hull.add(float(x), float(y))

    def corners(self) -> tuple[arcs.Point, ...]:
        return self._hull.corners()


class _Tally:
    def __init__(self, profile: MachineProfile) -> None:
        self._rapid, self._zero = profile.rapid_mm_min, profile.work_zero_mm
        self._seconds = 0.0
        self._cut_mm = 0.0
        self._power = 0.0
        self._cut, self._travelled, self._outline = _Bounds(), _Bounds(), _Outline()
        self.moved = False

    def add(self, moves: Moves, cuts: Bools) -> None:
        rate = np.where(moves.rapid, self._rapid, moves[Col.FEED])
        timed = moves.moving & (rate > 0)
        length = moves[Col.LENGTH]
        self._seconds += float((length[timed] * 60 / rate[timed]).sum() + moves[Col.DWELL].sum())
        self._cut_mm += float(length[cuts].sum())
        on = (moves[Col.SPIN] != 5) & (moves[Col.POWER] > self._power)
        self._power = float(moves[Col.POWER][on].max()) if on.any() else self._power
        self._cut.add(moves, cuts)
        self._outline.add(moves, cuts)
        self._travelled.add(moves, moves.moving)
        self.moved = self.moved or bool(moves.moving.any())

    def facts(self, state: State, lines: int) -> Facts:
        cut = self._cut.box()
        return Facts(
            lines,
            self._seconds,
            cut,
            0.0,
            self._cut_mm,
            _told(state, "work", [a - s for a, s in zip(state.at, state.shift, strict=True)]),
            outline_mm=self._outline.corners(),
            travel_mm=self._travelled.box(),
            depth_mm=max(0.0, -cut[0][2]) if cut else 0.0,
            power_max=self._power,
            end_machine_mm=_told(state, "machine", self._machine(state)),
            end_modes=state.modes(),
        )

    def _machine(self, state: State) -> list[float]:
        zero = self._zero or (0.0, 0.0, 0.0)
        return [a + z for a, z in zip(state.at, zero, strict=True)]


def _told(
    state: State, frame: str, at: list[float]
) -> tuple[float | None, float | None, float | None]:
    x, y, z = (a if by == frame else None for a, by in zip(at, state.told_by, strict=True))
    return (x, y, z)
