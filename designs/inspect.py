"""Looks at one file of a part: facts, findings, pictures. What publishing runs in a bounded child.

It writes only into the folder it is given, and never more than three files.
"""

from collections.abc import Iterable
from pathlib import Path

from designs.bounded import Json
from designs.design import Facts
from designs.errors import DesignRefused, Finding, Severity
from designs.geometry.drawing import Unit, as_svg, drawing_facts, read_drawing
from designs.geometry.makeable import drawing_findings, findings, mesh_findings
from designs.geometry.mesh import mesh_facts, read_mesh
from designs.geometry.picture import glb, sheet_glb, thumbnail

TARGET = "designs.inspect:examine"
SOLIDS, DRAWINGS = ("stl", "3mf"), ("dxf", "svg")


def examine(
    path: str,
    format: str,  # noqa: A002 - the word of the records
    process: str,
    material: str,
    thickness_mm: float | None,
    out_dir: str,
    units: Unit | None = None,
) -> dict[str, Json]:
    """{"facts", "findings", "files": {"thumbnail", "model", "outline"?}} of one part's file.

    Files are names in `out_dir`: thumbnail.png, model.glb, and outline.svg for a drawing. Raises
    `DesignRefused` when the file is broken or the process cannot make it; then nothing is written.
    """
    out = Path(out_dir)
    kind = format.lower().lstrip(".")
    if kind in DRAWINGS:
        drawing = read_drawing(path, kind, units)
        facts: Facts = drawing_facts(drawing)
        found = (*drawing.notes, *findings(facts, process, material, thickness_mm))
        found = (*_makeable(found), *drawing_findings(drawing, process))
        (out / "thumbnail.png").write_bytes(thumbnail(drawing, thickness_mm=thickness_mm))
        (out / "model.glb").write_bytes(sheet_glb(drawing, thickness_mm))
        (out / "outline.svg").write_text(as_svg(drawing.regions), encoding="ascii")
        return _told(facts, found, {"outline": "outline.svg"})
    mesh = read_mesh(path, kind)
    facts = mesh_facts(mesh)
    found = (*mesh.notes, *findings(facts, process, material, thickness_mm))
    found = (*_makeable(found), *mesh_findings(mesh))
    (out / "thumbnail.png").write_bytes(thumbnail(mesh))
    (out / "model.glb").write_bytes(glb(mesh))
    return _told(facts, found, {})


def _makeable(found: Iterable[Finding]) -> tuple[Finding, ...]:
    found = tuple(found)
    refusals = [f for f in found if f.severity is Severity.REFUSAL]
    if refusals:
        raise DesignRefused(refusals)
    return found


def _told(facts: Facts, found: tuple[Finding, ...], more: dict[str, Json]) -> dict[str, Json]:
    return {
        "facts": facts.model_dump(mode="json"),
        "findings": [f.model_dump(mode="json") for f in found],
        "files": {"thumbnail": "thumbnail.png", "model": "model.glb"} | more,
    }
