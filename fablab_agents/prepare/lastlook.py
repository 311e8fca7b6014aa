"""Holds what a print program would lay down against the solid it should become, layer by layer.

It reads the program's own moves; estimates and the slicer's word count for nothing. What the
program calls support is no part of the comparison, and bounded by itself (`supports`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from designs.errors import Finding, Severity
from fablab_agents.prepare.beads import Beads, read
from fablab_agents.prepare.order import LOST_MM, Looked, Printing, refusal
from fablab_agents.prepare.sections import along, near, section
from fablab_agents.prepare.supports import MOST_LAYERS, bounded

Array = NDArray[np.float64]

WARN_MM = 0.3  # a layer this far off lost an edge thinner than the nozzle
REFUSE_MM = 1.0  # this far off, it lost more than an edge
FAR_MM = 0.7  # an outline further than this from the middle of any bead is bare
SAMPLE_MM = 0.5
NEAR_MM = 0.02
_THIN = (
    "thicken walls thinner than 0.5 mm; if it has none, report this as a fault of the preparation"
)
_WRONG = "do not run it; report this program as a fault of the preparation"


def look(program: str, triangles: Array, want: Printing) -> tuple[tuple[Finding, ...], Looked]:
    """(everything wrong with this program for this placed solid, figures for the record).

    `triangles` (m, 3, 3) in mm as placed on the bed.
    """
    laid = read(program, want.filament_mm)
    beads, support = laid.of(~laid.is_support), laid.of(laid.is_support)
    if not len(beads.top_mm):
        return (refusal("the program", "it lays down nothing", _WRONG),), Looked(0, 0, 0)
    findings = [*_temperatures(beads, want), *_layers(beads, triangles, want)]
    findings += bounded(support, triangles, want)
    layers = _compared(beads, triangles, want)
    findings += [*_outlines(layers), *_amount(beads, triangles)] if layers else []
    lost_mm = max((layer.lost_mm for layer in layers), default=0.0)
    mm3, support_mm3 = (round(float(each.volume_mm3.sum()), 1) for each in (laid, support))
    return tuple(findings), Looked(len(beads.layers_mm), mm3, round(lost_mm, 1), support_mm3)


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
    drawn = [s for d in (-NEAR_MM, NEAR_MM) if len(s := section(triangles, middle + d))]
    half = beads.half_widths_mm(want.layer_mm)[:, None]
    low = (np.minimum(beads.start, beads.end) - half).min(axis=0)
    high = (np.maximum(beads.start, beads.end) + half).max(axis=0)
    if not drawn:
        return _Layer(top, float(np.hypot(*(high - low))), 0.0)
    corners = np.array([[*s.min(axis=(0, 1)), *s.max(axis=(0, 1))] for s in drawn])
    made = np.concatenate([low, high])
    off = np.maximum(corners.min(axis=0) - made, made - corners.max(axis=0)).max()
    return _Layer(top, max(0.0, float(off)), min(_bare_mm(beads, s) for s in drawn))


def _bare_mm(beads: Beads, outline: Array) -> float:
    """Length of outline that has no bead near it."""
    places, _, lengths = along(outline, SAMPLE_MM)
    lines = np.stack([beads.start, beads.end], axis=1)
    return float(lengths[~near(places, lines, FAR_MM)].sum())


def _amount(beads: Beads, triangles: Array) -> Sequence[Finding]:
    """More plastic than the solid holds, or hardly any, is no print of it."""
    a, b, c = triangles.transpose(1, 0, 2)
    solid = abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6)
    laid = float(beads.volume_mm3[beads.top_mm > beads.layers_mm[0] + 1e-3].sum())
    if solid > 0 and 0.05 * solid < laid < 1.15 * solid:
        return ()
    what = f"it lays down {laid / 1000:.2f} cm³ for a part of {solid / 1000:.2f} cm³"
    return (refusal("amount of plastic", what, _WRONG),)
