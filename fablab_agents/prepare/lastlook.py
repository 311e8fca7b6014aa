"""Holds what a print program would lay down against the solid it should become, layer by layer.

It reads only the program's own moves: comments, estimates and the slicer's word count for nothing.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from designs.errors import Finding, Severity
from fablab_agents.prepare.order import Printing, refusal
from firmware_bridge import gcode

Array = NDArray[np.float64]
Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in mm

WARN_MM = 0.3  # a layer this far off lost an edge thinner than the nozzle
LOST_MM = 1.0  # this far off, it lost a wall
NEAR_MM = 0.02
MOST_LAYERS = 80  # as many sections of the solid are looked at
HEATS = frozenset({"M104", "M109", "M140", "M190"})
_THIN = (
    "thicken walls thinner than 0.5 mm; if it has none, report this as a fault of the preparation"
)
_WRONG = "do not run it; report this program as a fault of the preparation"


@dataclass(frozen=True)
class Beads:
    """Every straight bead (n): start and end in the plane, its top height, its volume in mm³."""

    start: Array
    end: Array
    top_mm: Array
    volume_mm3: Array
    temperatures_c: frozenset[float]

    @property
    def layers_mm(self) -> Array:
        return np.unique(np.round(self.top_mm, 3))


def look(
    program: str, triangles: Array, want: Printing
) -> tuple[tuple[Finding, ...], dict[str, float]]:
    """(everything wrong with this program for this placed solid, figures for the record).

    `triangles` (m, 3, 3) in mm as placed on the bed.
    """
    beads = read(program, want.filament_mm)
    facts = {"deposited_mm3": round(float(beads.volume_mm3.sum()), 1)}
    if not len(beads.top_mm):
        return (refusal("the program", "it lays down nothing", _WRONG),), facts
    findings = [*_temperatures(beads, want), *_layers(beads, triangles, want)]
    findings += _outlines(beads, triangles, want)
    findings += _amount(beads, triangles)
    facts["layers"] = float(len(beads.layers_mm))
    return tuple(findings), facts


# ── reading ──────────────────────────────────────────────────────────────────────────────────


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


# ── judging ──────────────────────────────────────────────────────────────────────────────────


def _temperatures(beads: Beads, want: Printing) -> Iterator[Finding]:
    strange = sorted(beads.temperatures_c - want.temperatures_c - {0.0})
    if strange:
        yield refusal(
            "temperatures", f"it asks for {strange[0]:g} °C, which nobody ordered", _WRONG
        )
    if not beads.temperatures_c & want.temperatures_c - {0.0}:
        yield refusal("temperatures", "it never heats the nozzle", _WRONG)


def _layers(beads: Beads, triangles: Array, want: Printing) -> Iterator[Finding]:
    tops, height = beads.layers_mm, float(triangles[:, :, 2].max())
    gaps = np.diff(tops, prepend=0.0)
    most = max(want.layer_mm, want.first_layer_mm) * 1.5
    for top, gap in zip(tops[gaps > most], gaps[gaps > most], strict=True):
        yield refusal(f"height {top:g} mm", f"a layer is missing below it ({gap:.2f} mm)", _WRONG)
        return
    if abs(float(tops[-1]) - height) > want.layer_mm:
        what = f"it ends at {tops[-1]:.2f} mm, the part at {height:.2f} mm"
        yield refusal("height", what, _THIN)


def _outlines(beads: Beads, triangles: Array, want: Printing) -> list[Finding]:
    """The box of each layer's beads, half a bead wider, against the solid's box at that height."""
    tops = beads.layers_mm[1:]  # the first layer also carries the line around the part
    tops = (
        tops[np.unique(np.linspace(0, len(tops) - 1, MOST_LAYERS).astype(int))]
        if len(tops)
        else tops
    )
    off = [(float(top), _off(beads, triangles, float(top), want)) for top in tops]
    worst = max(off, key=lambda pair: pair[1], default=(0.0, 0.0))
    if worst[1] > LOST_MM:
        what = f"the layer is {worst[1]:.2f} mm off the part's outline"
        return [refusal(f"height {worst[0]:g} mm", what, _THIN)]
    if worst[1] > WARN_MM:
        return [
            Finding(
                severity=Severity.WARNING,
                where=f"height {worst[0]:g} mm",
                what=f"an edge too thin for the nozzle is lost there ({worst[1]:.2f} mm)",
                do="thicken it if it matters",
            )
        ]
    return []


def _off(beads: Beads, triangles: Array, top: float, want: Printing) -> float:
    """How far the layer's box lies outside what the solid shows around the layer's middle."""
    made = _made_box(beads, top, want)
    middle = top - want.layer_mm / 2
    # Two sections: a slicer may take either side where a face of the solid lies at this height.
    drawn = [box for d in (-NEAR_MM, NEAR_MM) if (box := _section_box(triangles, middle + d))]
    if not drawn:
        return math.hypot(made[2] - made[0], made[3] - made[1])
    spans = zip(
        made, map(min, zip(*drawn, strict=True)), map(max, zip(*drawn, strict=True)), strict=True
    )
    return max(max(low - value, value - high, 0.0) for value, low, high in spans)


def _made_box(beads: Beads, top: float, want: Printing) -> Box:
    mine = np.abs(beads.top_mm - top) < 5e-4
    a, b, h = beads.start[mine], beads.end[mine], want.layer_mm
    # A bead is a rectangle with round sides: area = (w - h) h + pi h² / 4.
    length = np.hypot(*(b - a).T)
    width = beads.volume_mm3[mine] / length / h + h * (1 - math.pi / 4)
    half = np.clip(width, 0, 4 * h)[:, None] / 2
    low = np.minimum(a, b) - half
    high = np.maximum(a, b) + half
    return (*map(float, low.min(axis=0)), *map(float, high.max(axis=0)))  # type: ignore[return-value]


def _section_box(triangles: Array, z: float) -> Box | None:
    heights = triangles[:, :, 2]
    cut = triangles[(heights.min(axis=1) < z) & (heights.max(axis=1) > z)]
    if not len(cut):
        return None
    a, b = cut, np.roll(cut, -1, axis=1)
    crossing = (a[:, :, 2] < z) != (b[:, :, 2] < z)
    a, b = a[crossing], b[crossing]
    share = (z - a[:, 2]) / (b[:, 2] - a[:, 2])
    points = a[:, :2] + share[:, None] * (b[:, :2] - a[:, :2])
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _amount(beads: Beads, triangles: Array) -> Sequence[Finding]:
    """More plastic than the solid holds, or hardly any, is no print of it."""
    a, b, c = triangles.transpose(1, 0, 2)
    solid = abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6)
    laid = float(beads.volume_mm3[beads.top_mm > beads.layers_mm[0] + 1e-3].sum())
    if solid > 0 and 0.05 * solid < laid < 1.15 * solid:
        return ()
    what = f"it lays down {laid / 1000:.2f} cm³ for a part of {solid / 1000:.2f} cm³"
    return (refusal("amount of plastic", what, _WRONG),)
