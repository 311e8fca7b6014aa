"""Reads the beads of plastic that a print program lays down, from its moves.

Of its comments only those count that say which beads are support.

It follows programs as ours are written: millimetres, absolute places, relative extrusion.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fablab_agents.prepare.slicing import SUPPORT, TYPE
from firmware_bridge import gcode

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
HEATS = frozenset({"M104", "M109", "M140", "M190"})


@dataclass(frozen=True)
class Beads:
    """Every straight bead (n): start and end in the plane, its top height, its volume in mm³,
    whether the program calls it support.
    """

    start: Array
    end: Array
    top_mm: Array
    volume_mm3: Array
    is_support: Bools
    temperatures_c: frozenset[float]

    def on(self, top_mm: float) -> "Beads":
        """The beads of one layer."""
        return self.of(np.abs(self.top_mm - top_mm) < 5e-4)

    def of(self, mine: Bools) -> "Beads":
        """Some of the beads."""
        return replace(
            self,
            start=self.start[mine],
            end=self.end[mine],
            top_mm=self.top_mm[mine],
            volume_mm3=self.volume_mm3[mine],
            is_support=self.is_support[mine],
        )

    def half_widths_mm(self, height_mm: float) -> Array:
        """A bead is a rectangle with round sides: area = (w - h) h + pi h² / 4."""
        length = np.hypot(*(self.end - self.start).T)
        width = self.volume_mm3 / length / height_mm + height_mm * (1 - math.pi / 4)
        return np.clip(width, 0, 4 * height_mm) / 2

    @property
    def layers_mm(self) -> Array:
        return np.unique(np.round(self.top_mm, 3))


def read(program: str, filament_mm: float) -> Beads:
    """The beads of a program in relative extrusion and absolute places, as ours are written."""
    section = math.pi / 4 * filament_mm**2
    at, owed, rows, heats = [0.0, 0.0, 0.0], 0.0, list[tuple[float, ...]](), set[float]()
    for code, values, is_support in _commands(program):
        if code in HEATS:
            heats.add(values.get("S", 0.0))
        if code not in ("G0", "G1"):
            continue
        start = at.copy()
        at = [values.get(axis, old) for axis, old in zip("XYZ", at, strict=True)]
        # Drawn back filament is owed first; what is pushed while standing still is no bead.
        pushed = values.get("E", 0.0)
        owed, laid = _owed(owed, pushed)
        if laid > 0 and start[:2] != at[:2]:
            rows.append((*start[:2], *at, laid * section, is_support))
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    start, end, top, mm3, kind = np.split(table, (2, 4, 5, 6), axis=1)
    return Beads(start, end, top[:, 0], mm3[:, 0], kind[:, 0] > 0, frozenset(heats))


def _commands(program: str) -> Iterator[tuple[str, dict[str, float], bool]]:
    """(command, its words, whether the program calls support what it lays down)."""
    is_support = False
    for line in program.splitlines():
        if line.startswith(TYPE):
            is_support = line.startswith(SUPPORT)
        if words := gcode.words(line):
            values = {letter: float(value or 0) for letter, value in words[1:]}
            yield f"{words[0][0]}{words[0][1]:g}", values, is_support


def _owed(owed: float, pushed: float) -> tuple[float, float]:
    """(still owed, truly laid) after pushing so much filament, in mm of filament."""
    free = pushed - owed
    return (0.0, free) if free >= 0 else (-free, 0.0)
