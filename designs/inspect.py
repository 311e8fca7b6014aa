"""Looks at one file of a part: facts, findings, pictures. What publishing runs in a bounded child.

It writes only into the folder it is given, and never more than four files.
"""

from collections.abc import Iterable
from pathlib import Path

from designs.bounded import Json
from designs.design import Facts
from designs.errors import DesignRefused, Finding, LimitExceeded, Severity
from designs.geometry import flaws
from designs.geometry.drawing import Drawing, as_svg, drawing_facts, read_drawing
from designs.geometry.makeable import drawing_findings, findings, mesh_findings
from designs.geometry.mesh import Mesh, mesh_facts, read_mesh, stl_bytes
from designs.geometry.picture import glb, sheet_glb, thumbnail
from designs.kinds import DRAWINGS, called
from designs.processes import find_process


def examine(
    path: str,
    format: str,  # noqa: A002 - the word of the records
    process: str,
    material: str,
    thickness_mm: float | None,
    out_dir: str,
    name: str = "",
) -> dict[str, Json]:
    """{"facts", "findings", "pictures": {"thumbnail", "model", "outline"?}, "derived"} of a file.

    Pictures are names in `out_dir`: thumbnail.png, model.glb, and outline.svg for a drawing. Of a
    STEP, "derived" is {"file", "thickness_mm"}: the STL or outline in `out_dir` that workshops
    read. `name` is put before every place a finding names. Raises `DesignRefused` when the file is
    broken or the process cannot make it; then nothing is written.
    """
    kind = called(f".{format.lower().lstrip('.')}")
    look = _drawing if is_drawn(kind, process) else _solid
    wanted = (process, material, thickness_mm)
    try:
        facts, found, pictures, thickness = look(path, kind, wanted)
    except LimitExceeded as over:
        raise LimitExceeded(over.what, _at(name, over.where), over.do) from None
    except DesignRefused as refused:
        raise DesignRefused(_named(name, refused.findings)) from None
    made = pictures.pop("derived", None)
    return {
        "facts": facts.model_dump(mode="json"),
        "findings": [f.model_dump(mode="json") for f in _named(name, found)],
        "pictures": saved(pictures, out_dir),
        "derived": _derived(made, thickness, out_dir) if made else None,
    }


def _derived(made: tuple[str, bytes], thickness_mm: float | None, out_dir: str) -> Json:
    file, content = made
    (Path(out_dir) / file).write_bytes(content)
    return {"file": file, "thickness_mm": thickness_mm}


Wanted = tuple[str, str, float | None]  # process, material, thickness in mm
Pictures = dict[str, tuple[str, bytes]]
_Seen = tuple[Facts, tuple[Finding, ...], Pictures, float | None]  # and the thickness of a plate


def is_drawn(kind: str, process: str | None) -> bool:
    """Whether a file is taken as a drawing: a STEP is one where a sheet is cut."""
    known = find_process(process) if process else None
    return kind in DRAWINGS or (kind == "step" and known is not None and known.takes == "drawing")


def saved(pictures: Pictures, out_dir: str) -> dict[str, Json]:
    """The names of the pictures, written into the folder."""
    files: dict[str, Json] = {}
    for what, (file, content) in pictures.items():
        (Path(out_dir) / file).write_bytes(content)
        files[what] = file
    return files


def _drawing(path: str, kind: str, wanted: Wanted) -> _Seen:
    drawing = read_drawing(path, kind)
    facts = drawing_facts(drawing)
    process, material, thickness = wanted
    found = drawn_findings(drawing, facts, (process, material, thickness or drawing.thickness_mm))
    _refuse(found)
    pictures = drawn_pictures(drawing, thickness)
    if kind == "step":
        pictures["derived"] = ("part.svg", pictures["outline"][1])
    return facts, found, pictures, drawing.thickness_mm


def drawn_findings(drawing: Drawing, facts: Facts, wanted: Wanted | None) -> tuple[Finding, ...]:
    """All that is to be said of a drawing; what a process makes of it only where one is wanted."""
    if wanted is None:
        return drawing.notes
    made = findings(facts, *wanted)
    return (
        *drawing.notes,
        *made,
        *_thickness(drawing, wanted[2]),
        *drawing_findings(drawing, wanted[0]),
    )


def drawn_pictures(drawing: Drawing, thickness_mm: float | None) -> Pictures:
    thick = thickness_mm or drawing.thickness_mm
    return {
        "thumbnail": ("thumbnail.png", thumbnail(drawing, thickness_mm=thick)),
        "model": ("model.glb", sheet_glb(drawing, thick)),
        "outline": ("outline.svg", as_svg(drawing.regions).encode("ascii")),
    }


def _thickness(drawing: Drawing, thickness_mm: float | None) -> list[Finding]:
    drawn = drawing.thickness_mm
    if drawn is None or thickness_mm is None or abs(drawn - thickness_mm) <= 0.05 * drawn:
        return []
    return [
        Finding(
            severity=Severity.WARNING,
            where="thickness",
            what=f"the solid is {drawn:g} mm thick, but {thickness_mm:g} mm is asked for",
            do="Say the thickness that the design is drawn for, or redraw it",
        )
    ]


def _solid(path: str, kind: str, wanted: Wanted) -> _Seen:
    mesh = read_mesh(path, kind)
    facts = mesh_facts(mesh)
    found = solid_findings(mesh, facts, flaws.edges(mesh), wanted)
    _refuse(found)
    pictures = solid_pictures(mesh)
    if kind == "step":
        pictures["derived"] = ("part.stl", stl_bytes(mesh))
    return facts, found, pictures, None


def solid_findings(
    mesh: Mesh, facts: Facts, edges: flaws.Edges, wanted: Wanted | None
) -> tuple[Finding, ...]:
    """All that is to be said of a solid; what a process makes of it only where one is wanted."""
    doubt = flaws.unit_doubt(max(facts.size_mm))
    own = (*mesh.notes, *flaws.findings(mesh, edges), *([doubt] if doubt else []))
    if wanted is None:
        return own
    return (*own, *findings(facts, *wanted), *mesh_findings(mesh))


def solid_pictures(mesh: Mesh) -> Pictures:
    return {
        "thumbnail": ("thumbnail.png", thumbnail(mesh)),
        "model": ("model.glb", glb(mesh)),
    }


def _refuse(found: Iterable[Finding]) -> None:
    refusals = [f for f in found if f.severity is Severity.REFUSAL]
    if refusals:
        raise DesignRefused(refusals)


def _named(name: str, found: Iterable[Finding]) -> list[Finding]:
    return [f.model_copy(update={"where": _at(name, f.where)}) for f in found]


def _at(name: str, where: str) -> str:
    return f"{name}, {where}" if name else where
