"""Reads the beads of plastic that a print program lays down, from its moves alone.

It follows programs as ours are written: millimetres, absolute places, relative extrusion.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firmware_bridge import gcode

Array = NDArray[np.float64]

HEATS = frozenset({"M104", "M109", "M140", "M190"})


@dataclass(frozen=True)
class Beads:
    """Every straight bead (n): start and end in the plane, its top height, its volume in mm³."""

    start: Array
    end: Array
    top_mm: Array
    volume_mm3: Array
    temperatures_c: frozenset[float]

    def on(self, top_mm: float) -> "Beads":
        """The beads of one layer."""
        mine = np.abs(self.top_mm - top_mm) < 5e-4
        return replace(
            self,
            start=self.start[mine],
            end=self.end[mine],
            top_mm=self.top_mm[mine],
            volume_mm3=self.volume_mm3[mine],
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
    for words in filter(None, (gcode.words(line) for line in program.splitlines())):
        code, values = f"{words[0][0]}{words[0][1]:g}", {k: float(v or 0) for k, v in words[1:]}
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
            rows.append((*start[:2], *at, laid * section))
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Beads(table[:, :2], table[:, 2:4], table[:, 4], table[:, 5], frozenset(heats))


def _owed(owed: float, pushed: float) -> tuple[float, float]:
    """(still owed, truly laid) after pushing so much filament, in mm of filament."""
    free = pushed - owed
    return (0.0, free) if free >= 0 else (-free, 0.0)
