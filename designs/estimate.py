"""How long a machine needs for a part and what it takes of material, from the part's facts alone.

Every figure is an estimate with a spread and is never called measured: programs, and then finished
jobs, know better. Heating, clamping and clearing are the workshop's set-up and not in it.

Rates and spreads are fitted to programs (`bench/estimate.py`, docs/estimates.md): a spread is what
programs needed of designs that the rates had not seen. No machine was measured. A machine of no
class named here is taken for the one that does its process, with the spread `_STRANGER`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from designs import turning
from designs.design import DrawingFacts, Facts, MeshFacts, Recipe, Supports
from designs.errors import Refused
from designs.processes import FDM, LASER, MILL, Material, find_material


class Estimate(BaseModel):
    """One piece: minutes of the running machine, grams of material in it or cut out for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes_p10: float
    minutes_p50: float
    minutes_p90: float
    grams_p10: float
    grams_p50: float
    grams_p90: float


class Laid(NamedTuple):
    """Plastic by what it is laid for: outer and inner walls, floors and roofs, infill."""

    outer: float
    inner: float
    solid: float
    infill: float


_NORMAL_MM3_S = Laid(1.63, 3.52, 2.85, 4.25)


@dataclass(frozen=True)
class Printer:
    """A 0.4 mm nozzle: walls and `solid_layers` of floor and roof, the rest filled to `infill`.

    `mm3_s` is what the extruder gives for each at `at_layer_mm`, accelerations included; `layer_s`
    is what each layer costs beyond (travel, retraction, change of height).
    """

    layer_mm: float = 0.2
    walls: int = 2
    solid_layers: int = 4
    infill: float = 0.15
    mm3_s: Laid = _NORMAL_MM3_S
    at_layer_mm: float = 0.2
    layer_s: float = 1.57


@dataclass(frozen=True)
class Mill:
    cutter_mm: float = 3.175
    breakthrough_mm: float = 0.2
    contour_s: float = 2.0  # to lift, travel and plunge, for each pass of each contour


@dataclass(frozen=True)
class Laser:
    contour_s: float = 0.2  # to travel and pierce


class _Cut(NamedTuple):
    feed_mm_min: float
    pass_mm: float  # depth of one pass


class _Beam(NamedTuple):
    upto_mm: float
    feed_mm_min: float
    passes: int


MACHINES: Mapping[str, Printer | Mill | Laser] = {
    "fdm-220": Printer(),
    "cnc-3018": Mill(),
    "laser-400": Laser(),
}
_DOES: Mapping[str, Printer | Mill | Laser] = {FDM: Printer(), MILL: Mill(), LASER: Laser()}
_STRANGER = (0.6, 1.6)  # of a machine whose class nobody has fitted: slower or faster by as much
_DRAFT = Printer(
    layer_mm=0.28,
    solid_layers=3,
    infill=0.1,
    mm3_s=Laid(2.45, 5.3, 4.3, 6.4),
    at_layer_mm=0.28,
)
_FLOWS_MM3_S = {"tpu": 3.0}  # what a filament's melt allows
CUTTERS = {
    "plywood": _Cut(800, 1.59),
    "birch_plywood": _Cut(700, 1.27),
    "mdf": _Cut(900, 1.59),
    "beech": _Cut(600, 0.95),
    "acrylic": _Cut(630, 0.79),
    "hdpe": _Cut(900, 1.59),
    "aluminium": _Cut(240, 0.25),
}
BEAMS = {
    "plywood": (_Beam(3.2, 300, 2), _Beam(5.2, 220, 4)),
    "birch_plywood": (_Beam(3.2, 260, 2), _Beam(5.2, 200, 4)),
    "mdf": (_Beam(3.2, 240, 2), _Beam(5.2, 180, 5)),
    "acrylic": (_Beam(3.2, 180, 3), _Beam(5.2, 140, 6)),
    "cardboard": (_Beam(2.1, 1500, 1), _Beam(5.2, 900, 1)),
}
_WALL_MM = 0.45
_SUPPORT_SHARES = (0.0, 0.04, 0.13)
"""Of what the part leaves of its box: p10, p50, p90. No fact says how much of it hangs over."""
_SUPPORT_MM3_S = 2.5
_LAID = 1.2
"""Infill laid over infill asked for: crossing lines and their ends are extra."""
_TIME: Mapping[type, tuple[float, float]] = {
    Printer: (0.85, 1.15),
    Mill: (0.94, 1.04),
    Laser: (0.98, 1.02),
}
_MASS: Mapping[type, tuple[float, float]] = {
    Printer: (0.91, 1.09),
    Mill: (0.9, 1.1),
    Laser: (0.9, 1.1),
}
"""Of sheets it is an assumption about their density; the area is known."""


def estimate(
    facts: Facts,
    process: str,
    material: str,
    machine_class: str,
    thickness_mm: float | None = None,
    recipe: Recipe | None = None,
    quality: str = "normal",
) -> Estimate:
    """One piece of the part on a machine of that class, or of one that does the process where the
    class is a name of the shop's own; raises `Refused` where they do not fit.

    Of a recipe layers, walls, infill, orientation and supports count; a draft is printed as one
    where the recipe says nothing.
    """
    held_mm3 = (0.0, 0.0, 0.0)
    machine, stuff = MACHINES.get(machine_class, _DOES.get(process)), find_material(material)
    if machine is None or stuff is None or process not in stuff.processes:
        raise Refused(
            f"{process} in {material} on {machine_class} is nothing we can estimate",
            "the request",
            f"Choose a machine of {', '.join(MACHINES)} and a material that goes with it",
        )
    if isinstance(machine, Printer) and isinstance(facts, MeshFacts):
        facts = turned(facts, recipe)
        usual = _DRAFT if quality == "draft" else machine
        seconds, grams = _printed(facts, stuff, following(usual, recipe))
        held_mm3 = supports_mm3(facts, recipe)
    elif not isinstance(machine, Printer) and isinstance(facts, DrawingFacts) and thickness_mm:
        seconds = _cut(facts, stuff, machine, thickness_mm)
        grams = facts.area_mm2 * thickness_mm / 1000 * stuff.density_g_cm3
    else:
        raise Refused(
            f"a {facts.kind} cannot be made on {machine_class} as it is",
            "the file or its thickness",
            "Give a solid for a printer, a drawing and a thickness for a mill or laser",
        )
    spread = _TIME[type(machine)] if machine_class in MACHINES else _STRANGER
    minutes = [(seconds + held / _SUPPORT_MM3_S) / 60 for held in held_mm3]
    masses = [grams + held / 1000 * stuff.density_g_cm3 for held in held_mm3]
    return _spread(minutes, masses, spread, _MASS[type(machine)])


def turned(facts: MeshFacts, recipe: Recipe | None) -> MeshFacts:
    """The facts of the part as it is laid on the bed."""
    if recipe is None or recipe.orientation_deg is None:
        return facts
    size_mm = turning.box_mm(facts.size_mm, recipe.orientation_deg)
    return facts.model_copy(update={"size_mm": size_mm})


def supports_mm3(facts: MeshFacts, recipe: Recipe | None) -> tuple[float, float, float]:
    """Plastic of the supports that the recipe asks for: p10, p50, p90. `facts` as it is laid."""
    if recipe is None or recipe.supports in {None, Supports.NONE}:
        return 0.0, 0.0, 0.0
    room_mm3 = max(0.0, math.prod(facts.size_mm) - abs(facts.volume_mm3))
    low, likely, high = (share * room_mm3 for share in _SUPPORT_SHARES)
    return low, likely, high


def following(printer: Printer, recipe: Recipe | None) -> Printer:
    """The printer as the recipe has it."""
    if recipe is None:
        return printer
    return replace(
        printer,
        layer_mm=recipe.layer_mm or printer.layer_mm,
        walls=recipe.walls or printer.walls,
        infill=printer.infill if recipe.infill_pct is None else recipe.infill_pct / 100,
    )


def laid_mm3(facts: MeshFacts, printer: Printer) -> Laid:
    """From the outside in, as long as there is part left.

    How much of the surface lies flat nobody measured: between twice the mean section and twice
    the box's floor, so their geometric mean is taken.
    """
    x, y, z = facts.size_mm
    volume, area, z = abs(facts.volume_mm3), facts.area_mm2, max(z, printer.layer_mm)
    flat_mm2 = min(2 * math.sqrt(volume / z * x * y), 0.9 * area)
    wall = (area - flat_mm2) * _WALL_MM
    outer = min(wall, volume)
    inner = min(wall * (printer.walls - 1), volume - outer)
    shell = outer + inner
    solid = min(flat_mm2 * printer.solid_layers * printer.layer_mm, volume - shell)
    return Laid(outer, inner, solid, (volume - shell - solid) * min(1.0, printer.infill * _LAID))


def _printed(facts: MeshFacts, material: Material, printer: Printer) -> tuple[float, float]:
    """(seconds, grams). The nozzle moves as fast with a thinner bead, which is less plastic."""
    laid, thinner = laid_mm3(facts, printer), printer.layer_mm / printer.at_layer_mm
    most = _FLOWS_MM3_S.get(material.id, math.inf)
    layers = math.ceil(facts.size_mm[2] / printer.layer_mm)
    pace = (min(rate * thinner, most) for rate in printer.mm3_s)
    seconds = sum(mm3 / mm3_s for mm3, mm3_s in zip(laid, pace, strict=True))
    return seconds + layers * printer.layer_s, sum(laid) / 1000 * material.density_g_cm3


def _cut(
    facts: DrawingFacts, material: Material, machine: Mill | Laser, thickness_mm: float
) -> float:
    if isinstance(machine, Mill):
        return _milled(facts, material, machine, thickness_mm)
    return _lasered(facts, material, machine, thickness_mm)


def _milled(facts: DrawingFacts, material: Material, mill: Mill, thickness_mm: float) -> float:
    """Seconds: the cutter's path lies half its width outside of outlines and inside of holes."""
    cut = CUTTERS[material.id]
    passes = math.ceil((thickness_mm + mill.breakthrough_mm) / cut.pass_mm)
    path = facts.cut_length_mm + math.pi * mill.cutter_mm * (facts.outlines - facts.holes)
    contours = facts.outlines + facts.holes
    return passes * (max(path, 0) / cut.feed_mm_min * 60 + contours * mill.contour_s)


def _lasered(facts: DrawingFacts, material: Material, laser: Laser, thickness_mm: float) -> float:
    rows = BEAMS[material.id]
    beam = next((row for row in rows if thickness_mm <= row.upto_mm), rows[-1])
    passes = math.ceil(beam.passes * max(1.0, thickness_mm / beam.upto_mm))
    contours = facts.outlines + facts.holes
    return passes * facts.cut_length_mm / beam.feed_mm_min * 60 + contours * laser.contour_s


def _spread(
    minutes: Sequence[float],
    grams: Sequence[float],
    time: tuple[float, float],
    mass: tuple[float, float],
) -> Estimate:
    """Of (p10, p50, p90) by supports alone, with the spread of everything else on top."""
    (time_low, time_high), (mass_low, mass_high) = time, mass
    return Estimate(
        minutes_p10=round(minutes[0] * time_low, 2),
        minutes_p50=round(minutes[1], 2),
        minutes_p90=round(minutes[2] * time_high, 2),
        grams_p10=round(grams[0] * mass_low, 2),
        grams_p50=round(grams[1], 2),
        grams_p90=round(grams[2] * mass_high, 2),
    )
