"""What a designer asks of a print, as settings of the slicer; what we cannot do is said.

A locked wish that cannot be kept refuses the part; one that was advice becomes a note. It never
gives half of a locked wish.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from designs.errors import Finding
from designs.turning import Degrees
from fablab_agents.prepare.order import Order, note, refusal, refuse_if_any
from fablab_agents.prepare.post import number
from fablab_agents.protocol.tickets import Manner

_THINNEST, _THICKEST = 0.25, 0.8  # of the nozzle's width: as its makers advise


@dataclass(frozen=True)
class Asked:
    """Settings by the slicer's names, `locked` or advice; `exact_layers`: none is stretched to end
    at the top.

    `turn` is in degrees about x, then y, then z.
    """

    settings: dict[str, str]
    exact_layers: bool
    notes: tuple[Finding, ...]
    turn: Degrees = (0.0, 0.0, 0.0)
    locked: bool = False


def asked(order: Order) -> Asked:
    """The part's own settings; raises `PrepareRefused` where a locked one cannot be kept.

    Whoever orders a draft wants it quick: then advice counts for nothing, what is locked does.
    """
    manner = order.manner
    if manner is None or (order.quality == "draft" and not manner.locked):
        return Asked({}, False, ())
    nozzle_mm = order.profile.fdm.nozzle_mm if order.profile.fdm else 0.4
    say = refusal if manner.locked else note
    away = tuple(say("the recipe", what, do) for what, do in _impossible(manner, nozzle_mm))
    notes = refuse_if_any(away)
    settings = dict(_settings(manner, nozzle_mm))
    exact_layers = manner.locked and "layer_height" in settings
    turn = manner.orientation_deg or Asked.turn
    return Asked(settings, exact_layers, notes, turn, manner.locked)


def of_sheet(order: Order) -> tuple[Finding, ...]:
    """Notes on what is asked of a part that is cut; raises `PrepareRefused` where it is locked."""
    manner = order.manner
    if manner is None:
        return ()
    say = refusal if manner.locked else note
    printed = (manner.layer_mm, manner.walls, manner.infill_pct, manner.supports)
    away = list(_grade(manner))
    if any(each is not None for each in printed):
        what = "layers, walls, infill and supports are asked of a part that is cut from a sheet"
        away.append((what, "leave them out of its recipe"))
    return refuse_if_any(say("the recipe", what, do) for what, do in away)


def _settings(manner: Manner, nozzle_mm: float) -> Iterator[tuple[str, str]]:
    if manner.layer_mm is not None and _can(manner.layer_mm, nozzle_mm):
        yield "layer_height", number(manner.layer_mm)
    if manner.walls is not None:
        yield "perimeters", str(manner.walls)
        yield "extra_perimeters", "0"
    if manner.infill_pct is not None:
        yield "fill_density", f"{manner.infill_pct}%"
        if manner.infill_pct == 100:
            yield "fill_pattern", "rectilinear"  # the slicer fills solid with no other
    if manner.supports not in {None, "none"}:
        yield "support_material", "1"
        yield "support_material_buildplate_only", "1" if manner.supports == "from_bed" else "0"
        yield "dont_support_bridges", "0" if manner.supports == "everywhere" else "1"


def _can(layer_mm: float, nozzle_mm: float) -> bool:
    return _THINNEST * nozzle_mm <= layer_mm <= _THICKEST * nozzle_mm


def _impossible(manner: Manner, nozzle_mm: float) -> Iterator[tuple[str, str]]:
    """(what cannot be kept, what to do)."""
    if manner.layer_mm is not None and not _can(manner.layer_mm, nozzle_mm):
        low, high = _THINNEST * nozzle_mm, _THICKEST * nozzle_mm
        what = f"layers of {manner.layer_mm:g} mm are not for a nozzle of {nozzle_mm:g} mm"
        yield what, f"choose a printer with another nozzle, or {low:g} to {high:g} mm"
    yield from _grade(manner)


def _grade(manner: Manner) -> Iterator[tuple[str, str]]:
    if manner.material_grade is not None:
        grade = manner.material_grade
        yield f"nobody here vouches for the grade {grade!r}", "ask the lab what it has"
