"""Holds what a print program would lay down against the solid it should become, layer by layer.

It reads only the program's own moves: comments, estimates and the slicer's word count for nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from designs.errors import Finding, Severity
from fablab_agents.prepare.beads import Beads, read
from fablab_agents.prepare.order import LOST_MM, Looked, Printing, refusal

Array = NDArray[np.float64]

WARN_MM = 0.3  # a layer this far off lost an edge thinner than the nozzle
REFUSE_MM = 1.0  # this far off, it lost more than an edge
FAR_MM = 0.7  # an outline further than this from the middle of any bead is bare
SAMPLE_MM = 0.5
NEAR_MM = 0.02
MOST_LAYERS = 500  # as many sections of the solid are looked at
_THIN = (
    "thicken walls thinner than 0.5 mm; if it has none, report this as a fault of the preparation"
)
_WRONG = "do not run it; report this program as a fault of the preparation"


def look(program: str, triangles: Array, want: Printing) -> tuple[tuple[Finding, ...], Looked]:
    """(everything wrong with this program for this placed solid, figures for the record).

    `triangles` (m, 3, 3) in mm as placed on the bed.
    """
    beads = read(program, want.filament_mm)
    if not len(beads.top_mm):
        return (refusal("the program", "it lays down nothing", _WRONG),), Looked(0, 0, 0)
    findings = [*_temperatures(beads, want), *_layers(beads, triangles, want)]
    layers = _compared(beads, triangles, want)
    findings += [*_outlines(layers), *_amount(beads, triangles)] if layers else []
    lost_mm = max((layer.lost_mm for layer in layers), default=0.0)
    laid_mm3 = float(beads.volume_mm3.sum())
    return tuple(findings), Looked(len(beads.layers_mm), round(laid_mm3, 1), round(lost_mm, 1))


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


@dataclass(frozen=True)
class _Layer:
    """How one layer differs: its box, in mm off; its outline, in mm of length without a bead."""

    top_mm: float
    off_mm: float
    lost_mm: float


def _outlines(layers: Sequence[_Layer]) -> Iterator[Finding]:
    off = max(layers, key=lambda layer: layer.off_mm)
    lost = max(layers, key=lambda layer: layer.lost_mm)
    if off.off_mm > REFUSE_MM:
        what = f"the layer is {off.off_mm:.2f} mm off the part's outline"
        yield refusal(f"height {off.top_mm:g} mm", what, _THIN)
    elif off.off_mm > WARN_MM or lost.lost_mm > LOST_MM:
        worst = lost if lost.lost_mm > LOST_MM else off
        yield Finding(
            severity=Severity.WARNING,
            where=f"height {worst.top_mm:g} mm",
            what="a wall or edge there is too thin for the nozzle and is partly lost",
            do="thicken it if it matters",
        )


def _compared(beads: Beads, triangles: Array, want: Printing) -> list[_Layer]:
    tops = beads.layers_mm[1:]  # the first layer also carries the line that fills the nozzle
    if len(tops) > MOST_LAYERS:
        tops = tops[np.linspace(0, len(tops) - 1, MOST_LAYERS).astype(int)]
    return [_layer(beads.on(float(top)), triangles, float(top), want) for top in tops]


def _layer(beads: Beads, triangles: Array, top: float, want: Printing) -> _Layer:
    """One layer's beads against the solid around the middle of the layer."""
    # Two sections: a slicer may take either side where a face of the solid lies at this height.
    middle = top - want.layer_mm / 2
    drawn = [s for d in (-NEAR_MM, NEAR_MM) if len(s := _section(triangles, middle + d))]
    half = beads.half_widths_mm(want.layer_mm)[:, None]
    low = (np.minimum(beads.start, beads.end) - half).min(axis=0)
    high = (np.maximum(beads.start, beads.end) + half).max(axis=0)
    if not drawn:
        return _Layer(top, float(np.hypot(*(high - low))), 0.0)
    corners = np.array([[*s.min(axis=(0, 1)), *s.max(axis=(0, 1))] for s in drawn])
    made = np.concatenate([low, high])
    off = np.maximum(corners.min(axis=0) - made, made - corners.max(axis=0)).max()
    return _Layer(top, max(0.0, float(off)), min(_bare_mm(beads, s) for s in drawn))


def _section(triangles: Array, z: float) -> Array:
    """(k, 2 ends, 2) lines where the plane at that height cuts the solid's surface."""
    heights = triangles[:, :, 2]
    a = triangles[(heights.min(axis=1) < z) & (heights.max(axis=1) > z)]
    b = np.roll(a, -1, axis=1)
    crossing = (a[:, :, 2] < z) != (b[:, :, 2] < z)
    a, b = a[crossing], b[crossing]
    share = (z - a[:, 2]) / (b[:, 2] - a[:, 2])
    points = a[:, :2] + share[:, None] * (b[:, :2] - a[:, :2])
    return points.reshape(-1, 2, 2)


def _bare_mm(beads: Beads, section: Array) -> float:
    """Length of outline that has no bead near it."""
    lengths = np.hypot(*(section[:, 1] - section[:, 0]).T)
    pieces = np.maximum(1, np.ceil(lengths / SAMPLE_MM)).astype(int)
    row = np.repeat(np.arange(len(section)), pieces)
    first = np.repeat(np.cumsum(pieces) - pieces, pieces)
    share = (np.arange(len(row)) - first + 0.5) / pieces[row]
    points = section[row, 0] + share[:, None] * (section[row, 1] - section[row, 0])
    ends = np.stack([beads.start, beads.end], axis=1)
    lines: NDArray[np.object_] = np.array(shapely.linestrings(ends), dtype=object)
    near = shapely.STRtree(lines).query(shapely.points(points), "dwithin", distance=FAR_MM)[0]
    bare = np.ones(len(points), dtype=bool)
    bare[near] = False
    return float((lengths / pieces)[row][bare].sum())


def _amount(beads: Beads, triangles: Array) -> Sequence[Finding]:
    """More plastic than the solid holds, or hardly any, is no print of it."""
    a, b, c = triangles.transpose(1, 0, 2)
    solid = abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6)
    laid = float(beads.volume_mm3[beads.top_mm > beads.layers_mm[0] + 1e-3].sum())
    if solid > 0 and 0.05 * solid < laid < 1.15 * solid:
        return ()
    what = f"it lays down {laid / 1000:.2f} cm³ for a part of {solid / 1000:.2f} cm³"
    return (refusal("amount of plastic", what, _WRONG),)
