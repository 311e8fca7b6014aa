"""Looks at one file of a part: facts, findings, pictures. What publishing runs in a bounded child.

It writes only into the folder it is given: four files, and one for each finding that has a place.
"""

import contextlib
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from designs.bounded import Json
from designs.design import DrawingFacts, MeshFacts
from designs.errors import DesignRefused, Finding, LimitExceeded, Severity
from designs.geometry import flaws
from designs.geometry.contours import Misdrawn
from designs.geometry.drawing import Drawing, as_svg, drawing_facts, read_drawing
from designs.geometry.makeable import illustrated, remarks
from designs.geometry.marked import Mark, marked_lines
from designs.geometry.measures import (
    Measures,
    Sheet,
    Solid,
    sheet_measures,
    sheet_seen,
    solid_measures,
    solid_seen,
)
from designs.geometry.mesh import Mesh, gapped, mesh_facts, read_mesh, stl_bytes
from designs.geometry.overlay import overlay
from designs.geometry.picture import (
    PRINTED,
    WOOD,
    Colour,
    colour_of,
    glb,
    sheet_glb,
    thumbnail,
)
from designs.geometry.printable import seam_remarks
from designs.geometry.remark import Remark
from designs.kinds import DRAWINGS, called
from designs.processes import find_process

Wanted = tuple[str, str, float | None]  # process, material, thickness in mm
Pictures = dict[str, tuple[str, bytes]]


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
    "measures", "derived"} of one part's file.

    Pictures are names in `out_dir`: thumbnail.png, model.glb, outline.svg for a drawing, and
    finding-1.png where a finding's `picture` is "finding-1". `measures` are those of
    `geometry.measures`. Of a STEP, "derived" is {"file", "thickness_mm"}: the STL or outline in
    `out_dir` that workshops read; None of any other. `name` is put before every place a finding
    names. Raises `DesignRefused` when the file is broken or the process cannot make it; then only
    the pictures that these findings name are written.
    """
    kind = called(f".{format.lower().lstrip('.')}")
    try:
        with misdrawn_shown(out_dir):
            look = _look(path, kind, (process, material, thickness_mm))
        _refuse(look, out_dir)
    except LimitExceeded as over:
        raise LimitExceeded(over.what, _at(name, over.where), over.do) from None
    except DesignRefused as refused:
        raise DesignRefused(_named(name, refused.findings)) from None
    findings, pictures = look.shown()
    return {
        "facts": look.facts.model_dump(mode="json"),
        "findings": [f.model_dump(mode="json") for f in _named(name, findings)],
        "pictures": saved(pictures, out_dir),
        "measures": look.measures.model_dump(mode="json"),
        "derived": _derived(look, out_dir) if kind == "step" else None,
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
    look = _look(path, called(f".{format.lower().lstrip('.')}"), (process, material, thickness_mm))
    return {
        "facts": look.facts.model_dump(mode="json"),
        "findings": [remark.finding.model_dump(mode="json") for remark in look.remarks],
        "measures": look.measures.model_dump(mode="json"),
    }


def overlaid(
    before: str, before_format: str, after: str, after_format: str, process: str, out: str
) -> bool:
    """Whether a picture of two versions of a part, one over the other, was written to `out`.

    Raises `DesignRefused` for a file that cannot be read.
    """
    drawn = overlay(_shape(before, before_format, process), _shape(after, after_format, process))
    if drawn is not None:
        Path(out).write_bytes(drawn)
    return drawn is not None


def pictured(path: str, format: str, process: str, out: str) -> None:  # noqa: A002
    """Write a file's thumbnail to `out`; raises `DesignRefused` if it cannot be read."""
    Path(out).write_bytes(thumbnail(_shape(path, format, process)))


def _shape(path: str, format: str, process: str) -> Drawing | Mesh:  # noqa: A002
    kind = called(f".{format}")
    return read_drawing(path, kind) if is_drawn(kind, process) else read_mesh(path, kind)


# ── what is seen of a file


@dataclass(frozen=True, eq=False)
class SolidLook:
    """Of a solid; what a process makes of it is in it only where one is wanted."""

    mesh: Mesh
    facts: MeshFacts
    edges: flaws.Edges
    seen: Solid
    remarks: tuple[Remark, ...]
    colour: Colour

    @property
    def measures(self) -> Measures:
        return solid_measures(self.seen)

    def shown(self) -> tuple[tuple[Finding, ...], Pictures]:
        """Findings that name their pictures, and all pictures."""
        with ThreadPoolExecutor(1) as beside:  # numpy and zlib compute without Python's lock
            drawn = beside.submit(thumbnail, self.mesh, colour=self.colour)
            model = glb(self.mesh, self.colour)
            findings, marked = illustrated(self.seen, self.remarks)
            pictures = {
                "thumbnail": ("thumbnail.png", drawn.result()),
                "model": ("model.glb", model),
            }
        return findings, pictures | _files(marked)


@dataclass(frozen=True, eq=False)
class SheetLook:
    """Of a drawing, or of the flat plate that a STEP holds: then with its thickness."""

    drawing: Drawing
    facts: DrawingFacts
    seen: Sheet
    remarks: tuple[Remark, ...]
    thickness_mm: float | None
    colour: Colour

    @property
    def measures(self) -> Measures:
        return sheet_measures(self.seen)

    def shown(self) -> tuple[tuple[Finding, ...], Pictures]:
        findings, marked = illustrated(self.seen, self.remarks)
        drawing, thick, hue = self.drawing, self.thickness_mm, self.colour
        pictures = {
            "thumbnail": ("thumbnail.png", thumbnail(drawing, thickness_mm=thick, colour=hue)),
            "model": ("model.glb", sheet_glb(drawing, thick, hue)),
            "outline": ("outline.svg", as_svg(drawing.regions).encode("ascii")),
        }
        return findings, pictures | _files(marked)


def solid_look(mesh: Mesh, wanted: Wanted | None) -> SolidLook:
    facts, edges, seen = mesh_facts(mesh), flaws.edges(mesh), solid_seen(mesh)
    doubt = flaws.unit_doubt(max(facts.size_mm))
    open_seams = tuple(seam_remarks(seen))
    told = gapped(mesh.odd) if open_seams else None  # they say the same, with its place
    overlap_mm3 = seen.rays.doubled_mm3 if seen.rays else 0.0
    own = (
        *(note for note in mesh.notes if note != told),
        *flaws.findings(mesh, edges, overlap_mm3, branched=wanted is None),
        *([doubt] if doubt else []),
    )
    made = remarks(seen, facts, *wanted) if wanted else ()
    colour = colour_of(*wanted[:2]) if wanted else PRINTED
    told = (*open_seams, *map(Remark, own), *made)
    return SolidLook(mesh, facts, edges, seen, told, colour)


def sheet_look(drawing: Drawing, wanted: Wanted | None, thickness_mm: float | None) -> SheetLook:
    facts, seen = drawing_facts(drawing), sheet_seen(drawing)
    thick = thickness_mm or drawing.thickness_mm
    made: tuple[Remark, ...] = ()
    if wanted is not None:
        process, material, _ = wanted
        made = remarks(seen, facts, process, material, thick)
    doubt = flaws.unit_doubt(max(facts.size_mm), flaws.SHEET_MM)
    own = (*drawing.notes, *_thickness(drawing, thickness_mm), *([doubt] if doubt else []))
    colour = colour_of(*wanted[:2]) if wanted else WOOD
    return SheetLook(drawing, facts, seen, (*map(Remark, own), *made), thick, colour)


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


def _look(path: str, kind: str, wanted: Wanted) -> SolidLook | SheetLook:
    if is_drawn(kind, wanted[0]):
        return sheet_look(read_drawing(path, kind), wanted, wanted[2])
    return solid_look(read_mesh(path, kind), wanted)


def _derived(look: SolidLook | SheetLook, out_dir: str) -> Json:
    """What workshops read in the place of a STEP, written beside it."""
    if isinstance(look, SolidLook):
        file, content, thick = "part.stl", stl_bytes(look.mesh), None
    else:
        outline = as_svg(look.drawing.regions).encode("ascii")
        file, content, thick = "part.svg", outline, look.drawing.thickness_mm
    (Path(out_dir) / file).write_bytes(content)
    return {"file": file, "thickness_mm": thick}


def _files(marked: dict[str, bytes]) -> Pictures:
    return {name: (f"{name}.png", png) for name, png in marked.items()}


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


def _refuse(look: SolidLook | SheetLook, out_dir: str) -> None:
    refusals = [r for r in look.remarks if r.finding.severity is Severity.REFUSAL]
    if refusals:
        findings, marked = illustrated(look.seen, refusals)
        saved(_files(marked), out_dir)
        raise DesignRefused(findings)


@contextlib.contextmanager
def misdrawn_shown(out_dir: str) -> Generator[None]:
    """Draws into the folder where outlines could not be told, and says so in what is raised."""
    try:
        yield
    except Misdrawn as no:
        picture = marked_lines(no.lines, Mark(spots=no.spots, ring=no.spots[:1]))
        saved(_files({"finding-1": picture}), out_dir)
        shown = [finding.model_copy(update={"picture": "finding-1"}) for finding in no.findings]
        raise DesignRefused(shown) from None


def _named(name: str, found: Iterable[Finding]) -> list[Finding]:
    return [f.model_copy(update={"where": _at(name, f.where)}) for f in found]


def _at(name: str, where: str) -> str:
    return f"{name}, {where}" if name else where
