"""How long a machine needs for a part and what it takes of material, from the part's facts alone.

Every figure is an estimate with a spread and is never called measured: programs, and then finished
jobs, know better. Heating, clamping and clearing are the workshop's set-up and not in it.

The rates are fitted to programs: printing to PrusaSlicer 2.5's own estimate for 30 parts (0.2 mm
layers, 15 % infill), milling and laser to our tool paths for 10 and 16 sheet parts. The spreads
(`_TIME`, `_MASS`) are assumptions: what those programs needed over the model, and some more for
machines that are slower at corners than their programs think. A machine of no class named here is
taken for the one that does its process, with the wider spread `_STRANGER`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from designs.design import DrawingFacts, Facts, MeshFacts, Recipe
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


@dataclass(frozen=True)
class Printer:
    """A 0.4 mm nozzle: `skin_mm` of solid shell, the rest filled to `infill`.

    Rates are what the extruder gives on average in shell and infill, accelerations included;
    `layer_s` is what each layer costs beyond (travel, retraction, change of height).
    """

    layer_mm: float = 0.2
    skin_mm: float = 0.9
    infill: float = 0.18
    shell_mm3_s: float = 2.65
    infill_mm3_s: float = 6.6
    layer_s: float = 2.75


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


MACHINES: Mapping[str, Printer | Mill | Laser] = {
    "fdm-220": Printer(),
    "cnc-3018": Mill(),
    "laser-400": Laser(),
}
_DOES: Mapping[str, Printer | Mill | Laser] = {FDM: Printer(), MILL: Mill(), LASER: Laser()}
_STRANGER = (0.6, 1.6)  # of a machine whose class nobody has fitted: slower or faster by as much
_FLOWS_MM3_S = {"tpu": 3.0, "petg": 8.0}  # what a filament's melt allows
_MILLED = {
    "plywood": _Cut(800, 1.59),
    "birch_plywood": _Cut(700, 1.27),
    "mdf": _Cut(900, 1.59),
    "beech": _Cut(600, 0.95),
    "acrylic": _Cut(630, 0.79),
    "hdpe": _Cut(900, 1.59),
    "aluminium": _Cut(240, 0.25),
}
_LASERED = {
    "plywood": _Cut(300, 1.6),
    "birch_plywood": _Cut(260, 1.6),
    "mdf": _Cut(240, 1.6),
    "acrylic": _Cut(180, 1.07),
    "cardboard": _Cut(1500, 2.1),
}
_WALLS, _WALL_MM = 2, 0.45
_LAID = 1.2
"""Infill laid over infill asked for, as with the usual: crossing lines and their ends are extra."""
_TIME: Mapping[type, tuple[float, float]] = {
    Printer: (0.85, 1.25),
    Mill: (0.85, 1.25),
    Laser: (0.9, 1.15),
}
_MASS: Mapping[type, tuple[float, float]] = {
    Printer: (0.85, 1.2),
    Mill: (0.85, 1.15),
    Laser: (0.85, 1.15),
}


def estimate(
    facts: Facts,
    process: str,
    material: str,
    machine_class: str,
    thickness_mm: float | None = None,
    recipe: Recipe | None = None,
) -> Estimate:
    """One piece of the part on a machine of that class, or of one that does the process where the
    class is a name of the shop's own; raises `Refused` where they do not fit.

    Of a recipe its layers, walls and infill count.
    """
    machine, stuff = MACHINES.get(machine_class, _DOES.get(process)), find_material(material)
    if machine is None or stuff is None or process not in stuff.processes:
        raise Refused(
            f"{process} in {material} on {machine_class} is nothing we can estimate",
            "the request",
            f"Choose a machine of {', '.join(MACHINES)} and a material that goes with it",
        )
    if isinstance(machine, Printer) and isinstance(facts, MeshFacts):
        seconds, grams = _printed(facts, stuff, _following(machine, recipe))
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
    return _spread(seconds / 60, grams, spread, _MASS[type(machine)])


def _following(printer: Printer, recipe: Recipe | None) -> Printer:
    """The usual has two walls and 15 % infill; a wall is half its skin thick."""
    if recipe is None:
        return printer
    extra = 0.0 if recipe.walls is None else (recipe.walls - _WALLS) * _WALL_MM
    share = printer.infill if recipe.infill_pct is None else recipe.infill_pct / 100 * _LAID
    return replace(
        printer,
        layer_mm=recipe.layer_mm or printer.layer_mm,
        skin_mm=printer.skin_mm + extra,
        infill=min(1.0, share),
        shell_mm3_s=_slower(printer.shell_mm3_s, recipe, printer),
        infill_mm3_s=_slower(printer.infill_mm3_s, recipe, printer),
    )


def _slower(mm3_s: float, recipe: Recipe, printer: Printer) -> float:
    """The nozzle moves as fast; a thinner bead is less plastic."""
    return mm3_s * (recipe.layer_mm or printer.layer_mm) / printer.layer_mm


def _printed(facts: MeshFacts, material: Material, printer: Printer) -> tuple[float, float]:
    """(seconds, grams). Shell volume = surface x skin thickness, at most the whole part."""
    shell = min(facts.volume_mm3, facts.area_mm2 * printer.skin_mm)
    filling = (facts.volume_mm3 - shell) * printer.infill
    most = _FLOWS_MM3_S.get(material.id, math.inf)
    layers = math.ceil(facts.size_mm[2] / printer.layer_mm)
    seconds = (
        shell / min(printer.shell_mm3_s, most)
        + filling / min(printer.infill_mm3_s, most)
        + layers * printer.layer_s
    )
    return seconds, (shell + filling) / 1000 * material.density_g_cm3


def _cut(
    facts: DrawingFacts, material: Material, machine: Mill | Laser, thickness_mm: float
) -> float:
    if isinstance(machine, Mill):
        return _milled(facts, material, machine, thickness_mm)
    return _lasered(facts, material, machine, thickness_mm)


def _milled(facts: DrawingFacts, material: Material, mill: Mill, thickness_mm: float) -> float:
    """Seconds: the cutter's path lies half its width outside of outlines and inside of holes."""
    cut = _MILLED[material.id]
    passes = math.ceil((thickness_mm + mill.breakthrough_mm) / cut.pass_mm)
    path = facts.cut_length_mm + math.pi * mill.cutter_mm * (facts.outlines - facts.holes)
    contours = facts.outlines + facts.holes
    return passes * (max(path, 0) / cut.feed_mm_min * 60 + contours * mill.contour_s)


def _lasered(facts: DrawingFacts, material: Material, laser: Laser, thickness_mm: float) -> float:
    cut = _LASERED[material.id]
    passes = math.ceil(thickness_mm / cut.pass_mm)
    contours = facts.outlines + facts.holes
    return passes * facts.cut_length_mm / cut.feed_mm_min * 60 + contours * laser.contour_s


def _spread(
    minutes: float, grams: float, time: tuple[float, float], mass: tuple[float, float]
) -> Estimate:
    (time_low, time_high), (mass_low, mass_high) = time, mass
    return Estimate(
        minutes_p10=round(minutes * time_low, 2),
        minutes_p50=round(minutes, 2),
        minutes_p90=round(minutes * time_high, 2),
        grams_p10=round(grams * mass_low, 2),
        grams_p50=round(grams, 2),
        grams_p90=round(grams * mass_high, 2),
    )
