"""What a filament printer will have trouble with in a solid, each with its place to be shown.

Rules of thumb of ordinary machines with a 0.4 mm nozzle; nothing here refuses a part.
"""

from collections.abc import Iterator

import numpy as np

from designs.geometry.marked import Mark
from designs.geometry.measures import SHOWS_MM2, Solid
from designs.geometry.mesh import Points
from designs.geometry.rays import Stretches
from designs.geometry.remark import Remark, note, warning
from designs.geometry.where import Place, holes, near_each_other

NOZZLE_MM = 0.4
LAYER_MM = 0.2
_LIES = 0.7  # a wall whose normal points so far up or down is made of layers, not of lines
TWO_LINES_MM = 0.8
_HOLLOW_MM3 = 1.0
FUSES_MM = 0.25  # surfaces closer than this grow together when printed
_SHOWS_MM2 = 20.0

_REPAIR = ", or look at what `cosmolocal check FILE --pictures DIR` proposes"


def print_remarks(seen: Solid) -> Iterator[Remark]:
    yield from _crowded(seen)
    yield from _walls(seen)
    yield from _orientation(seen)
    yield from _pieces(seen)


def seam_remarks(seen: Solid) -> Iterator[Remark]:
    """Where the surface is open or turned wrongly: wrong whatever is made of it."""
    mesh = seen.mesh
    if found := holes(mesh, seen.seams.open):
        worst = found[0]
        yield warning(
            f"{_many(found, 'hole')} in the surface, the longest at {worst}",
            f"the surface is open there, {worst.length_mm:.1f} mm around; its volume is a guess",
            f"Close it in the design program{_REPAIR}",
            _edges(mesh.vertices[seen.seams.open], worst),
        )
    if found := holes(mesh, seen.seams.twisted):
        yield warning(
            f"{_many(found, 'place')}, the largest at {found[0]}",
            "triangles are turned inside out there, so inside and outside cannot be told",
            f"Recalculate the normals in the design program{_REPAIR}",
            _edges(mesh.vertices[seen.seams.twisted], found[0]),
        )


def _crowded(seen: Solid) -> Iterator[Remark]:
    mesh = seen.mesh
    if found := holes(mesh, seen.seams.crowded):
        yield note(
            f"{_many(found, 'place')}, the longest at {found[0]}",
            "more than two surfaces meet in one edge: solids touch or share a wall there",
            "Join them in the design program if they belong together",
            _edges(mesh.vertices[seen.seams.crowded], found[0]),
        )


def _walls(seen: Solid) -> Iterator[Remark]:
    if seen.rays is None:
        yield note("its walls", "too many triangles: they were not measured", "Nothing to do")
        return
    walls, gaps = seen.rays.walls, seen.rays.gaps
    lies = np.abs(seen.mesh.each.normal[2, walls.faces[:, 0]]) > _LIES
    floors, walls = walls.only(lies), walls.only(~lies)
    floor, thinnest = (found.narrowest_mm(SHOWS_MM2) for found in (floors, walls))
    if floor is not None and floor < LAYER_MM - 0.005:
        yield warning(
            _where(floors.under(LAYER_MM - 0.005), "floor"),
            f"it is only {floor:.2f} mm thin, less than one layer of {LAYER_MM} mm",
            f"Make it at least {3 * LAYER_MM:g} mm, three layers",
            _spots(floors.under(LAYER_MM - 0.005)),
        )
    if thinnest is not None and thinnest < NOZZLE_MM - 0.005:
        yield warning(
            _where(walls.under(NOZZLE_MM - 0.005), "wall"),
            f"it is only {thinnest:.2f} mm thin; a {NOZZLE_MM} mm nozzle may leave it out",
            f"Make it at least {TWO_LINES_MM} mm, two lines of the nozzle",
            _spots(walls.under(NOZZLE_MM - 0.005)),
        )
    elif thinnest is not None and thinnest < TWO_LINES_MM - 0.005:
        yield note(
            _where(walls.under(TWO_LINES_MM - 0.005), "wall"),
            f"it is {thinnest:.2f} mm thin: one line of the nozzle, so it is weak",
            f"Make it at least {TWO_LINES_MM} mm if it has to hold something",
            _spots(walls.under(TWO_LINES_MM - 0.005)),
        )
    narrow = gaps.under(FUSES_MM)
    if float(narrow.area_mm2.sum()) > SHOWS_MM2:
        yield note(
            _where(narrow, "gap"),
            f"surfaces are only {gaps.narrowest_mm(SHOWS_MM2):.2f} mm apart and will fuse",
            "Leave 0.3 mm where something has to move or come apart",
            _spots(narrow),
        )


def _orientation(seen: Solid) -> Iterator[Remark]:
    under, mesh = seen.under, seen.mesh
    if under.hangs_mm2 > _SHOWS_MM2:
        yield warning(
            f"{under.hangs_mm2:.0f} mm² of its underside",
            "it hangs over by more than 45 degrees and may sag without supports",
            "Turn the part, or accept a rougher underside",
            Mark(faces=under.faces),
        )
    if under.stands_mm2 < _SHOWS_MM2:
        z = mesh.vertices[:, 2]
        yield warning(
            f"{under.stands_mm2:.0f} mm² on the bed",
            "too little stands on the bed, so it may come loose",
            "Turn it so that a flat face is down",
            Mark(spots=mesh.vertices[z < z.min() + 0.05]),
        )


def _pieces(seen: Solid) -> Iterator[Remark]:
    pieces, mesh = seen.pieces, seen.mesh
    floating = pieces.floating()
    if len(floating):
        low, high = pieces.low[floating[0]], pieces.high[floating[0]]
        first = Place(low, high, 1, 0.0, floating[:1])
        yield warning(
            f"{len(floating)} loose piece{'s' * (len(floating) > 1)}, one at {first}",
            "it touches neither the bed nor the rest, so it would be printed into the air",
            "Move it down to the bed, or join it to the part",
            Mark(faces=np.flatnonzero(np.isin(pieces.of_face, floating))),
        )
    specks = pieces.specks()
    if len(specks):
        faces = np.flatnonzero(np.isin(pieces.of_face, specks))
        yield note(
            f"{len(specks)} speck{'s' * (len(specks) > 1)}",
            "pieces under 0.5 mm³ that no printer can make",
            "Delete them in the design program",
            Mark(spots=mesh.triangles[faces].mean(axis=1)),
        )
    hollows = np.flatnonzero(pieces.volume_mm3 < -_HOLLOW_MM3)
    if len(hollows) and not mesh.gaps:
        first = Place(pieces.low[hollows[0]], pieces.high[hollows[0]], 1, 0.0, hollows[:1])
        yield note(
            f"{len(hollows)} closed hollow{'s' * (len(hollows) > 1)}, one at {first}",
            "what is in there stays in there: supports cannot be taken out",
            "Open it with a hole, if it is to be empty",
            Mark(faces=np.flatnonzero(np.isin(pieces.of_face, hollows))),
        )


def _where(found: Stretches, what: str) -> str:
    groups = near_each_other(found.middle, 2.0)
    return f"{_many(groups, what)}, the largest at {groups[0]}"


def _spots(found: Stretches) -> Mark:
    groups = near_each_other(found.middle, 2.0)
    return Mark(spots=found.middle, ring=found.middle[groups[0].members])


def _edges(ends: Points, worst: Place) -> Mark:
    return Mark(lines=ends, ring=ends[worst.members].reshape(-1, 3))


def _many(found: list[Place], what: str) -> str:
    return f"{len(found)} {what}{'s' * (len(found) > 1)}"
