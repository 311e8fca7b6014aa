"""A drawing becomes a milled or laser-cut program and passes the gouge check: the child's work.

It runs in a bounded child and leaves two files, program and placement; it never sees a machine.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from shapely.affinity import rotate, translate
from shapely.geometry import MultiPolygon, Polygon

from designs import bounded
from designs.errors import Finding
from designs.geometry.drawing import read_drawing
from fablab_agents.prepare import cam, gouge, judged, post, reach, recipes
from fablab_agents.prepare.order import (
    Judged,
    Made,
    Placement,
    Sheet,
    note,
    refusal,
    refuse_if_any,
    save,
)
from firmware_bridge.guard import Stock

MARGIN_MM = 1.0  # between the swept area and the edge of the travel, where there is room
LEAST_MARGIN_MM = 0.5


@dataclass(frozen=True)
class _Placed:
    regions: tuple[Polygon, ...]
    dx_mm: float
    dy_mm: float
    rotation_deg: float


def make(asked: str) -> bounded.Json:
    """Child's work: the program in its file, and what to say of it; raises `DesignRefused`."""
    sheet = Sheet.model_validate_json(asked)
    drawing = read_drawing(sheet.file, sheet.format)
    findings = refuse_if_any([*drawing.notes, *reach.lost(drawing.regions, sheet.tool_mm)])
    placed = _place(drawing.regions, sheet)
    text, rule = _program(placed.regions, sheet)
    refuse_if_any(gouge.look(text, placed.regions, rule))
    save(sheet.program, text)
    stock = Stock(*_stock(placed.regions, sheet))
    judged_ = judged.by_guard(sheet.program, sheet.profile, stock, sheet.material)
    said = (*findings, _set_up(placed, sheet), *judged_.findings)
    return _told(placed, sheet, judged_.model_copy(update={"findings": said})).model_dump(
        mode="json"
    )


def _told(placed: _Placed, sheet: Sheet, judged_: Judged) -> Made:
    data = sheet.program.read_bytes()
    volume_mm3 = sum(region.area for region in placed.regions) * sheet.thickness_mm
    return Made(
        sha256=hashlib.sha256(data).hexdigest(),
        lines=data.count(b"\n"),
        seconds=round(judged_.seconds),
        grams=round(volume_mm3 / 1000 * recipes.density_g_cm3(sheet.material), 2),
        placement=Placement(
            dx_mm=placed.dx_mm, dy_mm=placed.dy_mm, dz_mm=0, rotation_deg=placed.rotation_deg
        ),
        findings=judged_.findings,
        facts=judged_.facts,
    )


def _program(regions: Sequence[Polygon], sheet: Sheet) -> tuple[str, gouge.Rule]:
    contours = cam.contours(regions, sheet.tool_mm)
    if sheet.profile.kind == "laser":
        beam = recipes.burning(sheet.material, sheet.thickness_mm, sheet.profile)
        strokes = cam.flat_strokes(contours, beam.passes)
        rule = gouge.Rule(sheet.tool_mm, sheet.thickness_mm, 0, 0, beam=True)
        return post.laser_program(sheet.title, strokes, beam.how), rule
    depths = recipes.milling(sheet.material, sheet.thickness_mm, sheet.tool_mm, sheet.profile)
    how = recipes.cutting(sheet.material, sheet.tool_mm, sheet.profile)
    deepest = depths.thickness_mm + depths.through_mm
    tab = depths.tabs.width_mm
    rule = gouge.Rule(sheet.tool_mm, depths.thickness_mm, deepest, how.safe_z_mm, False, tab)
    return post.mill_program(sheet.title, cam.deep_strokes(contours, depths), how), rule


# ── where the part lies ──────────────────────────────────────────────────────────────────────


def _place(regions: tuple[Polygon, ...], sheet: Sheet) -> _Placed:
    """Lower left in the machine's travel with room for the tool; a quarter turn if only so."""
    upright = _corner(regions, sheet)
    if upright is not None:
        return _at(regions, upright, 0.0)
    whole = rotate(MultiPolygon(list(regions)), 90, origin=(0, 0))
    low_x, low_y, _, _ = whole.bounds
    turned = cam.polygons(translate(whole, -low_x, -low_y))
    corner = _corner(turned, sheet)
    if corner is None:
        refuse_if_any([_too_large(regions, sheet)])
        raise AssertionError
    placed = _at(turned, corner, 90.0)
    return _Placed(placed.regions, placed.dx_mm - low_x, placed.dy_mm - low_y, 90.0)


def _at(regions: Sequence[Polygon], corner: tuple[float, float], turn: float) -> _Placed:
    moved = tuple(translate(region, *corner) for region in regions)
    return _Placed(moved, *corner, turn)


def _corner(regions: Sequence[Polygon], sheet: Sheet) -> tuple[float, float] | None:
    """Where the lower left corner goes, or None when the tool would leave its travel."""
    low, high = sheet.profile.envelope_mm
    size = MultiPolygon(list(regions)).bounds[2:]
    places: list[float] = []
    for k in (0, 1):
        spare = high[k] - low[k] - size[k] - sheet.tool_mm
        margin = min(MARGIN_MM + sheet.tool_mm / 2, spare / 2)
        if margin < LEAST_MARGIN_MM:
            return None
        places.append(round(low[k] + margin + sheet.tool_mm / 2, 3))
    return places[0], places[1]


def _too_large(regions: Sequence[Polygon], sheet: Sheet) -> Finding:
    low, high = sheet.profile.envelope_mm
    x, y = MultiPolygon(list(regions)).bounds[2:]
    room = [high[k] - low[k] - sheet.tool_mm - 2 * LEAST_MARGIN_MM for k in (0, 1)]
    return refusal(
        "size",
        f"it is {x:.1f} x {y:.1f} mm; the machine's limit is {room[0]:.1f} x {room[1]:.1f} mm",
        "choose a larger machine, or divide the part",
    )


def _stock(regions: Sequence[Polygon], sheet: Sheet) -> tuple[float, float, float]:
    _, _, x, y = MultiPolygon(list(regions)).bounds
    edge = sheet.tool_mm + MARGIN_MM
    return round(x + edge, 1), round(y + edge, 1), sheet.thickness_mm


def _set_up(placed: _Placed, sheet: Sheet) -> Finding:
    x, y, z = _stock(placed.regions, sheet)
    corner = "zero is the lower left corner of the sheet"
    top = f", Z zero its top; a {sheet.tool_mm:g} mm cutter" if sheet.profile.kind == "mill" else ""
    return note("set-up", f"{corner}{top}", f"take a sheet of at least {x:g} x {y:g} x {z:g} mm")
