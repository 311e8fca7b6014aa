"""Says what of a part a process will make badly or not at all, before anybody cuts anything.

It judges by rules of thumb of ordinary shop machines; the workshop's own guard has the last word.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from designs.design import DrawingFacts, Facts, MeshFacts
from designs.errors import Finding, Severity
from designs.geometry.cuttable import CUTTER_MM, LEAST_HOLE_MM, cut_remarks, small_holes
from designs.geometry.drawing import Drawing
from designs.geometry.marked import Mark, marked, marked_drawing
from designs.geometry.measures import Sheet, Solid, sheet_seen, solid_seen
from designs.geometry.mesh import Mesh
from designs.geometry.printable import LAYER_MM, NOZZLE_MM, print_remarks, seam_remarks
from designs.geometry.remark import Remark
from designs.processes import FDM, LASER, MILL, find_material, find_process

THICKEST_MM = {LASER: 8.0, MILL: 25.0}
THINNEST_SHEET_MM = 0.1  # paper
PRINT_ROOM_MM = (220.0, 220.0, 250.0)  # of fdm-220
MOST_PICTURES = 4
_SMALLEST_HOLE = "its smallest hole"
_CHORDS_MM = 0.015  # a round hole is read as chords, and so up to this much too narrow


def findings(
    facts: Facts, process: str, material: str, thickness_mm: float | None
) -> tuple[Finding, ...]:
    """What the facts alone tell; a REFUSAL means it cannot be made like this."""
    asked = tuple(_of_request(facts, process, material, thickness_mm))
    if not _takes(process, facts.kind):
        return asked
    shape = _of_mesh(facts) if isinstance(facts, MeshFacts) else _of_drawing(facts, process)
    return (*asked, *shape)


def mesh_findings(mesh: Mesh) -> tuple[Finding, ...]:
    """What a printer will have trouble with in the given orientation."""
    seen = solid_seen(mesh)
    return tuple(remark.finding for remark in (*seam_remarks(seen), *print_remarks(seen)))


def drawing_findings(drawing: Drawing, process: str) -> tuple[Finding, ...]:
    """Webs too thin to survive, slots and inside corners too tight for the tool."""
    return tuple(remark.finding for remark in cut_remarks(sheet_seen(drawing), process))


def remarks(
    seen: Solid | Sheet, facts: Facts, process: str, material: str, thickness_mm: float | None
) -> tuple[Remark, ...]:
    """Everything: what the facts tell, then what the shape tells, each with its mark if it has one.

    A REFUSAL among them means it cannot be made like this.
    """
    of_facts = findings(facts, process, material, thickness_mm)
    if not _takes(process, facts.kind):
        return tuple(map(Remark, of_facts))
    if isinstance(seen, Solid):
        return (*(Remark(f) for f in of_facts), *print_remarks(seen))
    shown = {_SMALLEST_HOLE: small_holes(seen, process)}
    return (*(Remark(f, shown.get(f.where)) for f in of_facts), *cut_remarks(seen, process))


def illustrated(
    seen: Solid | Sheet, found: Sequence[Remark], px: int = 384
) -> tuple[tuple[Finding, ...], dict[str, bytes]]:
    """(findings, PNG by name: "finding-1"…); the first `MOST_PICTURES` with a mark have one."""
    findings = [remark.finding for remark in found]
    marks = [(at, r.mark) for at, r in enumerate(found) if r.mark is not None][:MOST_PICTURES]

    def drawn(mark: Mark) -> bytes:
        if isinstance(seen, Solid):
            return marked(seen.mesh, mark, px)
        return marked_drawing(seen.drawing, mark, px)

    pictures: dict[str, bytes] = {}
    with ThreadPoolExecutor(2) as pool:
        for (at, _), png in zip(marks, pool.map(drawn, (m for _, m in marks)), strict=True):
            name = f"finding-{len(pictures) + 1}"
            pictures[name] = png
            findings[at] = findings[at].model_copy(update={"picture": name})
    return tuple(findings), pictures


def _takes(process_id: str, kind: str) -> bool:
    process = find_process(process_id)
    return process is not None and process.takes == kind


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
    elif thickness_mm < THINNEST_SHEET_MM:
        yield _warning(
            "thickness", f"no sheet is {thickness_mm:g} mm thin", "Say it in mm, not m or inches"
        )


def _of_mesh(facts: MeshFacts) -> Iterator[Finding]:
    yield from too_thin(facts)
    yield from _too_large(facts)


def too_thin(facts: MeshFacts) -> Iterator[Finding]:
    """Sideways it is made of lines, upwards of layers: less than one of them is nothing."""
    x, y, z = facts.size_mm
    for thin, one, least in ((min(x, y), "line", NOZZLE_MM), (z, "layer", LAYER_MM)):
        if thin < least - 0.005:
            yield _warning(
                "its bounding box",
                f"it is only {thin:.3g} mm thin: less than one printed {one}",
                f"Make it at least {least} mm, or check its unit",
            )


def _too_large(facts: MeshFacts) -> Iterator[Finding]:
    x, y, z = facts.size_mm
    wide, deep, high = PRINT_ROOM_MM
    if x <= wide and y <= deep and z <= high:
        return
    fits = all(a <= b for a, b in zip(sorted(facts.size_mm), sorted(PRINT_ROOM_MM), strict=True))
    yield _warning(
        "its bounding box",
        f"{x:.0f} × {y:.0f} × {z:.0f} mm do not fit {wide:.0f} × {deep:.0f} × {high:.0f} mm, the "
        "room of most printers here",
        "Turn it to lie another way: then it fits"
        if fits
        else "Divide it, or order where there is a larger printer",
    )


def _of_drawing(facts: DrawingFacts, process: str) -> Iterator[Finding]:
    hole = facts.smallest_hole_mm
    if hole is not None and process == MILL and hole + _CHORDS_MM < CUTTER_MM:
        yield _warning(
            _SMALLEST_HOLE,
            f"{hole:.2f} mm is narrower than a {CUTTER_MM} mm cutter",
            "It will be drilled or left out: ask the workshop, or make it wider",
        )
    if hole is not None and process == LASER and hole + _CHORDS_MM < LEAST_HOLE_MM[LASER]:
        yield _warning(_SMALLEST_HOLE, f"{hole:.2f} mm will burn away", "Make it 0.5 mm or wider")


def _warning(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.WARNING, where=where, what=what, do=do)


def _refusal(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.REFUSAL, where=where, what=what, do=do)
