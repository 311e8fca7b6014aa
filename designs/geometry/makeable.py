"""Says what of a part a process will make badly or not at all, before anybody cuts anything.

It judges by rules of thumb of ordinary shop machines; the workshop's own guard has the last word.
"""

from collections.abc import Iterator

import shapely

from designs.design import DrawingFacts, Facts, MeshFacts
from designs.errors import Finding, Severity
from designs.geometry.drawing import Drawing
from designs.geometry.mesh import Mesh, areas_mm2, normals
from designs.processes import FDM, LASER, MILL, find_material, find_process

CUTTER_MM = 3.175  # the usual small router bit
THINNEST_MM = {LASER: 1.0, MILL: 2.0}  # what survives between two cuts
THICKEST_MM = {LASER: 8.0, MILL: 25.0}
THIN_PRINT_MM = 0.8  # two lines of a 0.4 mm nozzle
_HANGS = -0.75  # a face whose normal points this far down is flatter than about 40 degrees
_SHOWS_MM2 = 20.0


def findings(
    facts: Facts, process: str, material: str, thickness_mm: float | None
) -> tuple[Finding, ...]:
    """What the facts alone tell; a REFUSAL means it cannot be made like this."""
    return tuple(_of_request(facts, process, material, thickness_mm)) + tuple(
        _of_mesh(facts) if isinstance(facts, MeshFacts) else _of_drawing(facts, process)
    )


def mesh_findings(mesh: Mesh) -> tuple[Finding, ...]:
    """What a printer will have trouble with in the given orientation."""
    facing = normals(mesh)[:, 2]
    area = areas_mm2(mesh)
    low = mesh.triangles[:, :, 2].min(axis=1) - mesh.vertices[:, 2].min()
    stands = float(area[(facing < -0.99) & (low < 0.05)].sum())
    hangs = float(area[(facing < _HANGS) & (low > 0.3)].sum())
    found: list[Finding] = []
    if hangs > _SHOWS_MM2:
        found.append(
            _warning(
                f"{hangs:.0f} mm² of its underside",
                "it hangs over by more than 45 degrees and may sag without supports",
                "Turn the part, or accept a rougher underside",
            )
        )
    if stands < _SHOWS_MM2:
        found.append(
            _warning(
                f"{stands:.0f} mm² on the bed",
                "too little stands on the bed, so it may come loose",
                "Turn it so that a flat face is down",
            )
        )
    return tuple(found)


def drawing_findings(drawing: Drawing, process: str) -> tuple[Finding, ...]:
    """Webs too thin to survive, and inside corners that a round cutter leaves."""
    thin = THINNEST_MM.get(process, 1.0)
    found: list[Finding] = []
    for region in drawing.regions:
        core = region.buffer(-thin / 2, quad_segs=4)
        if len(shapely.get_parts(core)) != 1 or core.is_empty:
            x, y = region.representative_point().coords[0]
            found.append(
                _warning(
                    f"the piece at x {x:.0f}, y {y:.0f} mm",
                    f"it is thinner than {thin:g} mm somewhere and may break",
                    "Make it wider there",
                )
            )
    left = sum(_unreachable_mm2(region) for region in drawing.regions) if process == MILL else 0
    if left > 0.5:
        found.append(
            Finding(
                severity=Severity.NOTE,
                where="inside corners",
                what=f"a {CUTTER_MM} mm cutter leaves {left:.1f} mm² standing there",
                do="Add dog-bones if something square must fit in",
            )
        )
    return tuple(found)


def _unreachable_mm2(region: shapely.Polygon) -> float:
    radius = CUTTER_MM / 2
    swept = region.buffer(radius, quad_segs=16).buffer(-radius, quad_segs=16)
    return max(0.0, swept.area - region.area)


def _of_request(
    facts: Facts, process_id: str, material_id: str, thickness_mm: float | None
) -> Iterator[Finding]:
    process, material = find_process(process_id), find_material(material_id)
    if process is None:
        yield _refusal("process", f"{process_id!r} is none we know", "Say print, mill or laser")
        return
    if process.takes != facts.kind:
        need = (
            "a solid (STL, 3MF, OBJ, STEP)"
            if process.takes == "mesh"
            else "a drawing (DXF, SVG, or a flat plate as STEP)"
        )
        yield _refusal("file", f"{process.title} needs {need}", "Give that file, or change process")
    if material is None:
        yield _refusal("material", f"{material_id!r} is none we know", "Choose one from the list")
    elif process.id not in material.processes:
        yield _refusal(
            "material", f"{material.title} does not go with {process.title}", "Choose another"
        )
    if process.id == FDM:
        return
    if thickness_mm is None:
        yield _refusal("thickness", "a sheet part needs one", "Say how thick the sheet is, in mm")
    elif thickness_mm > THICKEST_MM[process.id]:
        yield _warning(
            "thickness",
            f"{thickness_mm:g} mm is more than most machines cut",
            f"Stay within {THICKEST_MM[process.id]:g} mm to have a choice of workshops",
        )


def _of_mesh(facts: MeshFacts) -> Iterator[Finding]:
    if min(facts.size_mm) < THIN_PRINT_MM:
        yield _warning(
            "its bounding box",
            f"it is only {min(facts.size_mm):.2f} mm thin",
            f"Make it at least {THIN_PRINT_MM} mm",
        )


def _of_drawing(facts: DrawingFacts, process: str) -> Iterator[Finding]:
    hole = facts.smallest_hole_mm
    if hole is not None and process == MILL and hole < CUTTER_MM:
        yield _warning(
            "its smallest hole",
            f"{hole:.2f} mm is narrower than a {CUTTER_MM} mm cutter",
            "It will be drilled or left out: ask the workshop, or make it wider",
        )
    if hole is not None and process == LASER and hole < 0.5:
        yield _warning(
            "its smallest hole", f"{hole:.2f} mm will burn away", "Make it 0.5 mm or wider"
        )


def _warning(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.WARNING, where=where, what=what, do=do)


def _refusal(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.REFUSAL, where=where, what=what, do=do)
