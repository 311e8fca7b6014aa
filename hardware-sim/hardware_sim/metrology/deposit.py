"""Promises the beads that a printer's program lays down, layer by layer, as arrays.
Never reads comments: position, extrusion and the machine's filament are all it goes by.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hardware_sim.gcode import arc_centre, arc_chords

Floats = NDArray[np.float64]
Z_STEP_MM = 0.005  # beads whose heights differ by less are one layer


@dataclass(frozen=True)
class Layer:
    """Beads on one level: `ends` is (n, 4) x0 y0 x1 y1 in mm, `section_mm2` their cross-section."""

    z_mm: float
    height_mm: float
    ends: Floats
    section_mm2: Floats

    @property
    def widths_mm(self) -> Floats:
        """Width of a bead with rounded sides: A = (w - h)·h + π·h²/4, solved for w."""
        return self.section_mm2 / self.height_mm + self.height_mm * (1 - math.pi / 4)

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

    def layers(self, keep: NDArray[np.bool_] | None = None) -> list[Layer]:
        """Beads by level, lowest first; each layer's height is its step from the one below."""
        beads = self.beads if keep is None else self.beads[keep]
        beads = beads[beads[:, 4] > Z_STEP_MM]  # what is pushed out on the bed itself is no layer
        beads = beads[np.argsort(beads[:, 4], kind="stable")]
        steps = np.flatnonzero(np.diff(beads[:, 4]) > Z_STEP_MM) + 1
        layers: list[Layer] = []
        below = 0.0
        for group in np.split(beads, steps) if len(beads) else []:
            z_mm = float(np.median(group[:, 4]))
            layers.append(Layer(z_mm, z_mm - below, group[:, :4], group[:, 5]))
            below = z_mm
        return layers


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
    rising_mm: float = 0.0
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
        length = math.hypot(goal[0] - x, goal[1] - y)
        if pushed <= 0 or length < 1e-6:
            return
        if abs(goal[2] - z) > Z_STEP_MM:
            self.rising_mm += length
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
    """Follow a program from a cold start (homed at 0, millimetres, absolute)."""
    head = _Head(math.pi * filament_mm**2 / 4)
    for raw in lines:
        parts = raw.partition(";")[0].split()
        if parts and parts[0][0] in "GM":
            _follow(head, parts[0], _words(parts[1:]))
    rows = np.array(head.rows, dtype=np.float64).reshape(-1, 6)
    return Deposit(rows, head.rising_mm, head.pushed * head.section_mm2)


def _words(parts: list[str]) -> dict[str, float]:
    words: dict[str, float] = {}
    for part in parts:
        try:
            words[part[0]] = float(part[1:] or 0)
        except ValueError:
            continue
    return words


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
        case "G90" | "G91":
            head.relative = head.relative_e = code == "G91"
        case "M82" | "M83":
            head.relative_e = code == "M83"
        case "G92":
            head.rename(words)
        case "G20" | "G21":
            head.unit = 25.4 if code == "G20" else 1.0
        case "M221":
            head.flow = words.get("S", 100.0) / 100
        case _:
            pass
