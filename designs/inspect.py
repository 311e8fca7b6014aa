"""Looks at one file of a part: facts, findings, pictures. What publishing runs in a bounded child.

It writes only into the folder it is given: three files, and one for each finding that has a place.
"""

from collections.abc import Iterable
from pathlib import Path

from designs.bounded import Json
from designs.design import Facts
from designs.errors import DesignRefused, Finding, LimitExceeded, Severity
from designs.geometry.drawing import as_svg, drawing_facts, read_drawing
from designs.geometry.makeable import illustrated, remarks
from designs.geometry.measures import (
    Measures,
    Sheet,
    Solid,
    sheet_measures,
    sheet_seen,
    solid_measures,
    solid_seen,
)
from designs.geometry.mesh import mesh_facts, read_mesh
from designs.geometry.picture import glb, sheet_glb, thumbnail

SOLIDS, DRAWINGS = ("stl", "3mf"), ("dxf", "svg")


def examine(
    path: str,
    format: str,  # noqa: A002 - the word of the records
    process: str,
    material: str,
    thickness_mm: float | None,
    out_dir: str,
    name: str = "",
) -> dict[str, Json]:
    """{"facts", "findings", "pictures": {"thumbnail", "model", "outline"?, "finding-1"?…},
    "measures"} of one part's file.

    Pictures are names in `out_dir`: thumbnail.png, model.glb, outline.svg for a drawing, and
    finding-1.png where a finding's `picture` is "finding-1". `measures` are those of
    `geometry.measures`. `name` is put before every place a finding names.

    Raises `DesignRefused` when the file is broken or the process cannot make it; then nothing is
    written.
    """
    kind = format.lower().lstrip(".")
    look = _drawing if kind in DRAWINGS else _solid
    wanted = (process, material, thickness_mm)
    try:
        facts, found, pictures, measures = look(path, kind, wanted)
    except LimitExceeded as over:
        raise LimitExceeded(over.what, _at(name, over.where), over.do) from None
    except DesignRefused as refused:
        raise DesignRefused(_named(name, refused.findings)) from None
    files: dict[str, Json] = {}
    for what, (file, content) in pictures.items():
        (Path(out_dir) / file).write_bytes(content)
        files[what] = file
    return {
        "facts": facts.model_dump(mode="json"),
        "findings": [f.model_dump(mode="json") for f in _named(name, found)],
        "pictures": files,
        "measures": measures.model_dump(mode="json"),
    }


def judge(
    path: str,
    format: str,  # noqa: A002
    process: str,
    material: str,
    thickness_mm: float | None,
) -> dict[str, Json]:
    """{"facts", "findings", "measures"} as `examine` tells them, refusals among the findings and
    nothing drawn; raises `DesignRefused` only where the file cannot be read.
    """
    kind = format.lower().lstrip(".")
    if kind in DRAWINGS:
        drawing = read_drawing(path, kind)
        seen, facts, notes = sheet_seen(drawing), drawing_facts(drawing), drawing.notes
        measures = sheet_measures(seen)
    else:
        mesh = read_mesh(path, kind)
        seen, facts, notes = solid_seen(mesh), mesh_facts(mesh), mesh.notes
        measures = solid_measures(seen)
    found = remarks(seen, facts, process, material, thickness_mm)
    return {
        "facts": facts.model_dump(mode="json"),
        "findings": [f.model_dump(mode="json") for f in (*notes, *(r.finding for r in found))],
        "measures": measures.model_dump(mode="json"),
    }


_Wanted = tuple[str, str, float | None]  # process, material, thickness in mm
_Seen = tuple[Facts, tuple[Finding, ...], dict[str, tuple[str, bytes]], Measures]


def _drawing(path: str, kind: str, wanted: _Wanted) -> _Seen:
    drawing = read_drawing(path, kind)
    facts = drawing_facts(drawing)
    seen = sheet_seen(drawing)
    found, shown = _judged(seen, facts, wanted)
    pictures = {
        "thumbnail": ("thumbnail.png", thumbnail(drawing, thickness_mm=wanted[2])),
        "model": ("model.glb", sheet_glb(drawing, wanted[2])),
        "outline": ("outline.svg", as_svg(drawing.regions).encode("ascii")),
    }
    return facts, (*drawing.notes, *found), pictures | shown, sheet_measures(seen)


def _solid(path: str, kind: str, wanted: _Wanted) -> _Seen:
    mesh = read_mesh(path, kind)
    facts = mesh_facts(mesh)
    seen = solid_seen(mesh)
    found, shown = _judged(seen, facts, wanted)
    pictures = {
        "thumbnail": ("thumbnail.png", thumbnail(mesh)),
        "model": ("model.glb", glb(mesh)),
    }
    return facts, (*mesh.notes, *found), pictures | shown, solid_measures(seen)


def _judged(
    seen: Solid | Sheet, facts: Facts, wanted: _Wanted
) -> tuple[tuple[Finding, ...], dict[str, tuple[str, bytes]]]:
    found = remarks(seen, facts, *wanted)
    refusals = [r.finding for r in found if r.finding.severity is Severity.REFUSAL]
    if refusals:
        raise DesignRefused(refusals)
    findings, pictures = illustrated(seen, found)
    return findings, {name: (f"{name}.png", png) for name, png in pictures.items()}


def _named(name: str, found: Iterable[Finding]) -> list[Finding]:
    return [f.model_copy(update={"where": _at(name, f.where)}) for f in found]


def _at(name: str, where: str) -> str:
    return f"{name}, {where}" if name else where
