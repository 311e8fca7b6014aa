"""What can be measured of a part beyond its facts: walls, gaps, overhangs, seams, webs, corners.

Estimates, each with its accuracy where it is made (`rays`, `overhang`, `where`, `webs`); they guide
a designer and are never part of a release's hash.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from designs.geometry.drawing import Drawing
from designs.geometry.mesh import Mesh
from designs.geometry.overhang import Underside, underside
from designs.geometry.rays import Probed, probed
from designs.geometry.webs import Corners, Outline, Widths, inside_corners, necks, outline, widths
from designs.geometry.where import Pieces, Seams, pieces, seams

SHOWS_MM2 = 2.0  # a wall or gap of less surface than this is a detail, or the tip of a wedge
SHOWS_MM = 0.5  # the same for the outline of a drawing
LETTER_MM = 8.0
MOST_RAYED = 1_500_000  # triangles; walls of a mesh with more are not measured


class SolidMeasures(BaseModel):
    """Lengths in mm, areas in mm², volumes in mm³. None: nothing so thin or narrow was met.

    `rays_apart_mm` tells how fine walls and gaps were sought, 0 when they were not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mesh"] = "mesh"
    thinnest_wall_mm: float | None
    narrowest_gap_mm: float | None
    smallest_feature_mm: float | None
    rays_apart_mm: float
    overhang_mm2: float
    steepest_overhang_deg: float
    on_bed_mm2: float
    open_edges: int
    crowded_edges: int
    twisted_edges: int
    floating_pieces: int
    overlap_mm3: float


class SheetMeasures(BaseModel):
    """Lengths in mm. None: nothing under 10 mm was met, or no inside corner is round.

    Necks between points are sought up to 2.5 mm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["drawing"] = "drawing"
    thinnest_web_mm: float | None
    narrowest_slot_mm: float | None
    smallest_feature_mm: float | None
    sharp_inside_corners: int
    smallest_inside_radius_mm: float | None
    small_outlines: int


Measures = SolidMeasures | SheetMeasures


@dataclass(frozen=True, eq=False)
class Solid:
    """A mesh and all that was measured of it; `rays` is None when it was too large for that."""

    mesh: Mesh
    rays: Probed | None
    under: Underside
    seams: Seams
    pieces: Pieces


@dataclass(frozen=True, eq=False)
class Sheet:
    drawing: Drawing
    outline: Outline
    webs: Widths
    slots: Widths
    corners: Corners


def solid_seen(mesh: Mesh) -> Solid:
    return Solid(
        mesh,
        probed(mesh) if len(mesh.faces) <= MOST_RAYED else None,
        underside(mesh),
        seams(mesh),
        pieces(mesh),
    )


def sheet_seen(drawing: Drawing) -> Sheet:
    drawn = outline(drawing.regions)
    return Sheet(
        drawing,
        drawn,
        widths(drawn, outside=False) + necks(drawn),
        widths(drawn, outside=True),
        inside_corners(drawn),
    )


def solid_measures(seen: Solid) -> SolidMeasures:
    rays = seen.rays
    wall = rays.walls.narrowest_mm(SHOWS_MM2) if rays else None
    gap = rays.gaps.narrowest_mm(SHOWS_MM2) if rays else None
    return SolidMeasures(
        thinnest_wall_mm=_round(wall),
        narrowest_gap_mm=_round(gap),
        smallest_feature_mm=_round(_least(wall, gap)),
        rays_apart_mm=_round(rays.apart_mm) or 0.0 if rays else 0.0,
        overhang_mm2=round(seen.under.hangs_mm2, 1),
        steepest_overhang_deg=round(seen.under.steepest_deg, 1),
        on_bed_mm2=round(seen.under.stands_mm2, 1),
        open_edges=len(seen.seams.open),
        crowded_edges=len(seen.seams.crowded),
        twisted_edges=len(seen.seams.twisted),
        floating_pieces=len(seen.pieces.floating()),
        overlap_mm3=round(rays.doubled_mm3, 1) if rays else 0.0,
    )


def sheet_measures(seen: Sheet) -> SheetMeasures:
    web, slot = (w.narrowest_mm(SHOWS_MM) for w in (seen.webs, seen.slots))
    return SheetMeasures(
        thinnest_web_mm=_round(web),
        narrowest_slot_mm=_round(slot),
        smallest_feature_mm=_round(_least(web, slot)),
        sharp_inside_corners=len(seen.corners.sharp),
        smallest_inside_radius_mm=_round(seen.corners.smallest_radius_mm),
        small_outlines=int((seen.outline.size_mm.max(axis=1) < LETTER_MM).sum()),
    )


def _least(*values: float | None) -> float | None:
    return min((v for v in values if v is not None), default=None)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
