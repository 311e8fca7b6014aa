"""Promises the beads that a printer's program lays down, layer by layer, as arrays.
Never reads comments: position, extrusion and the machine's filament are all it goes by.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hardware_sim.gcode import arc_centre, arc_chords
from hardware_sim.metrology.report import Unmeasurable

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Z_STEP_MM = 0.005  # beads whose heights differ by less are one layer
MOST_BEADS = 4_000_000
ONE_FLOW = 0.95
FEW = 0.3  # of the usual number of beads of a level
FARTHEST_MM = 10_000.0
_WORD = re.compile(r"([A-Z])([-+]?[0-9.]*)")
_MOVES = frozenset(("G0", "G1", "G2", "G3", "G92"))
_COMMENT = re.compile(r"\([^)]*\)")


@dataclass(frozen=True)
class Layer:
    """Beads on one level: `ends` is (n, 4) x0 y0 x1 y1 in mm, `section_mm2` their cross-section."""

    z_mm: float
    height_mm: float
    ends: Floats
    section_mm2: Floats
    hanging: NDArray[np.bool_] | None = None  # beads with nothing of the design under them

    @property
    def widths_mm(self) -> Floats:
        """Width of a bead with rounded sides: A = (w - h)·h + π·h²/4, solved for w.

        A bead that hangs in the air is not pressed flat: it is no wider than a round thread.
        """
        pressed = self.section_mm2 / self.height_mm + self.height_mm * (1 - math.pi / 4)
        if self.hanging is None:
            return pressed
        thread = np.sqrt(4 * self.section_mm2 / math.pi)
        return np.where(self.hanging, np.minimum(pressed, thread), pressed)

    @property
    def lengths_mm(self) -> Floats:
        return np.hypot(*(self.ends[:, 2:] - self.ends[:, :2]).T)

    @property
    def volume_mm3(self) -> float:
        return float(self.section_mm2 @ self.lengths_mm)


@dataclass(frozen=True)
class Deposit:
    """All beads of a program as rows x0 y0 x1 y1 z section."""

    beads: Floats
    rising_mm: float  # length of beads that climb while they extrude
    pushed_mm3: float  # plastic that left the nozzle, retractions netted
    flow_set: float = 1.0  # the M221 that holds for nearly all of it

    @property
    def lengths_mm(self) -> Floats:
        return np.hypot(*(self.beads[:, 2:4] - self.beads[:, :2]).T)

    def volume_mm3(self, which: NDArray[np.bool_]) -> float:
        """Plastic of some of the beads."""
        return float(self.lengths_mm[which] @ self.beads[which, 5])


def levels(beads: Floats) -> list[Rows]:
    """Rows of equal height, lowest first; what is pushed out on the bed itself is no level."""
    order = np.argsort(beads[:, 4], kind="stable")
    order = order[beads[order, 4] > Z_STEP_MM]
    steps = np.flatnonzero(np.diff(beads[order, 4]) > Z_STEP_MM) + 1
    return np.split(order, steps) if len(order) else []


def step_mm(beads: Floats, rows: list[Rows]) -> float:
    """The usual height of a layer: levels of a stray line or two say nothing of it."""
    count = np.array([len(some) for some in rows])
    z_mm = np.array([float(np.median(beads[some, 4])) for some in rows])
    return float(np.median(np.diff(z_mm[count > FEW * np.median(count)], prepend=0.0)))


def layers(beads: Floats) -> list[Layer]:
    """Beads by level, lowest first; each layer's height is its step from the one below."""
    found: list[Layer] = []
    below = 0.0
    for rows in levels(beads):
        z_mm = float(np.median(beads[rows, 4]))
        found.append(Layer(z_mm, z_mm - below, beads[rows, :4], beads[rows, 5]))
        below = z_mm
    return found


@dataclass
class _Head:
    """Modal state of the reader, in mm."""

    section_mm2: float  # of the filament
    at: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])
    relative: bool = False
    relative_e: bool = False
    unit: float = 1.0
    flow: float = 1.0
    pushed: float = 0.0
    owed: float = 0.0  # filament drawn back, to be given back before plastic flows
    rising_mm: float = 0.0
    flow_mm: dict[float, float] = field(default_factory=dict)  # length of beads by M221
    rows: list[tuple[float, float, float, float, float, float]] = field(default_factory=list)

    def target(self, words: dict[str, float]) -> list[float]:
        goal = list(self.at)
        for axis, letter in enumerate("XYZE"):
            value = words.get(letter)
            if value is None:
                continue
            value *= self.unit
            relative = self.relative_e if axis == 3 else self.relative
            goal[axis] = goal[axis] + value if relative else value - self.offset[axis]
        return goal

    def move(self, goal: list[float]) -> None:
        x, y, z, e = self.at
        pushed = (goal[3] - e) * self.flow
        self.at = goal
        self.pushed += pushed
        back = min(self.owed, max(0.0, pushed))
        self.owed += max(0.0, -pushed) - back
        pushed -= back
        length = math.hypot(goal[0] - x, goal[1] - y)
        if pushed <= 1e-9 or length < 1e-6:
            return
        if abs(goal[2] - z) > Z_STEP_MM:
            self.rising_mm += length
        self.flow_mm[self.flow] = self.flow_mm.get(self.flow, 0.0) + length
        self.rows.append((x, y, goal[0], goal[1], goal[2], pushed * self.section_mm2 / length))

    def arc(self, words: dict[str, float], *, clockwise: bool) -> None:
        begin, goal = list(self.at), self.target(words)
        start, end = (begin[0], begin[1]), (goal[0], goal[1])
        if "R" in words:
            centre = arc_centre(start, end, words["R"] * self.unit, clockwise=clockwise)
        else:
            i, j = words.get("I", 0.0) * self.unit, words.get("J", 0.0) * self.unit
            centre = (start[0] + i, start[1] + j)
        if centre is None:
            return
        for share, x, y in arc_chords(start, end, centre, clockwise=clockwise):
            z, e = (begin[k] + (goal[k] - begin[k]) * share for k in (2, 3))
            self.move([x, y, z, e])

    def rename(self, words: dict[str, float]) -> None:
        for axis, letter in enumerate("XYZE"):
            if letter in words:
                self.offset[axis] = words[letter] * self.unit - self.at[axis]


def read(lines: Iterable[str], filament_mm: float) -> Deposit:
    """Follow a program from a cold start (homed at 0, millimetres, absolute).

    Raises Unmeasurable where a number is none, or goes beyond what any machine could follow.
    """
    head = _Head(math.pi * filament_mm**2 / 4)
    for number, raw in enumerate(lines, 1):
        code, words = _parsed(raw)
        if code:
            _follow(head, code, words)
        if not all(abs(v) < FARTHEST_MM * 100 for v in head.at) or len(head.rows) > MOST_BEADS:
            raise Unmeasurable(f"line {number}: no machine could follow this: {raw.strip()[:60]}")
    rows = np.array(head.rows, dtype=np.float64).reshape(-1, 6)
    if len(rows) and not np.abs(rows[:, :5]).max() < FARTHEST_MM:
        raise Unmeasurable("the program prints farther than 10 m from its zero")
    return Deposit(rows, head.rising_mm, head.pushed * head.section_mm2, _flow_set(head.flow_mm))


def _flow_set(flow_mm: dict[float, float]) -> float:
    """The M221 of nearly all the length; 1 where the program changes it as it goes."""
    whole = sum(flow_mm.values())
    return next((flow for flow, mm in flow_mm.items() if flow > 0 and mm > ONE_FLOW * whole), 1.0)


def _parsed(raw: str) -> tuple[str, dict[str, float]]:
    """The command (`G1`) and the words after it; a line number and a checksum are passed over."""
    text = raw.partition(";")[0].partition("*")[0].upper()
    if "(" in text:
        text = _COMMENT.sub(" ", text)
    found = _WORD.findall(text.replace(" ", ""))
    if found and found[0][0] == "N":
        found = found[1:]
    if not found or found[0][0] not in "GM":
        return "", {}
    code = found[0][0] + (found[0][1].lstrip("0") or "0")
    if code in _MOVES and ("NAN" in text or "INF" in text):
        return code, {"X": math.nan}
    words: dict[str, float] = {}
    for letter, digits in found[1:]:
        try:
            words[letter] = float(digits or 0)
        except ValueError:
            continue
    return code, words


def _follow(head: _Head, code: str, words: dict[str, float]) -> None:
    match code:
        case "G1" | "G0":
            head.move(head.target(words))
        case "G2" | "G3":
            head.arc(words, clockwise=code == "G2")
        case "G28":
            axes = [i for i, letter in enumerate("XYZ") if letter in words] or [0, 1, 2]
            for axis in axes:
                head.at[axis], head.offset[axis] = 0.0, 0.0
        case "G92":
            head.rename(words)
        case _:
            _switch(head, code, words)


def _switch(head: _Head, code: str, words: dict[str, float]) -> None:
    """Commands that change how later ones are read."""
    match code:
        case "G90" | "G91":
            head.relative = head.relative_e = code == "G91"
        case "M82" | "M83":
            head.relative_e = code == "M83"
        case "M200" if words.get("D", 1.75) > 0 and words.get("S", 1) > 0:
            head.section_mm2 = 1.0  # E counts mm³ from here on
        case "G20" | "G21":
            head.unit = 25.4 if code == "G20" else 1.0
        case "M221":
            head.flow = words.get("S", 100.0) / 100
        case _:
            pass
