"""Any one file, judged by what it holds: accepted, to be reviewed, or rejected, and why.

`look` is a child's work under limits. It repairs nothing, and what it leaves out it says.
"""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from designs import kinds
from designs.bounded import Json
from designs.design import DrawingFacts
from designs.errors import Finding, Refused, Severity
from designs.processes import FDM, MATERIALS, Material, find_material, find_process

if TYPE_CHECKING:
    from designs import okh
    from designs.geometry.measures import Measures
    from designs.geometry.mesh import Mesh, Points
    from designs.inspect import SheetLook, SolidLook

Verdict = Literal["accept", "review", "reject"]
MANIFESTS = ("toml", "yml", "yaml")
_FORBIDDEN = re.compile(r'[<>:"|?*\\]')
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\..*)?", re.IGNORECASE)
_LONGEST_NAME = 200
_GIVE = "Give an STL, 3MF, OBJ, STEP, DXF or SVG"


def verdict(findings: Iterable[Finding]) -> Verdict:
    """The worst finding decides: a refusal rejects, a warning asks for a person."""
    found = {finding.severity for finding in findings}
    if Severity.REFUSAL in found:
        return "reject"
    return "review" if Severity.WARNING in found else "accept"


def look(
    path: str, process: str | None, material: str | None, thickness_mm: float | None, out_dir: str
) -> dict[str, Json]:
    """{"findings", "facts", "pictures"} of a file; raises `DesignRefused` where it has no facts.

    Without a process only the file itself is judged. Pictures are drawn where `out_dir` is given.
    """
    file = Path(path)
    wanted = _Wish(process, material, thickness_mm, out_dir)
    declared, held = kinds.called(file.name), kinds.held(file)
    if not file.stat().st_size:
        raise Refused("it is empty", "the file", "Export it again")
    if declared in MANIFESTS and held == "":
        facts, found, pictures = _manifest(file)
    else:
        kind = _kind(declared, held)
        facts, found, pictures = _look_by_kind(file, kind, wanted)
        if declared != kind:
            found = [_misnamed(declared, kind), *found]
    return {
        "facts": facts,
        "findings": [f.model_dump(mode="json") for f in found],
        "pictures": pictures,
    }


_Seen = tuple[dict[str, Json], list[Finding], dict[str, Json]]


class _Wish:
    """What it should be made as; without a process nothing is asked of the part."""

    def __init__(
        self, process: str | None, material: str | None, thickness_mm: float | None, out_dir: str
    ) -> None:
        known = find_process(process) if process else None
        usual = "pla" if known is None or known.id == FDM else "plywood"
        self.made = (process, material or usual, thickness_mm) if process else None
        self.process, self.thickness_mm, self.out_dir = process, thickness_mm, out_dir
        self.material = find_material(material) if material else None


def _kind(declared: str, held: str) -> str:
    """The kind to read it as; raises `Refused` where no part or picture can be had from it."""
    ours = kinds.SOLIDS + kinds.DRAWINGS + kinds.IMAGES
    if declared in ours and held in {"", declared}:
        return declared
    if held in ours and declared not in ours:
        return held
    if declared in ours:
        what = f"it is called {declared} but is {kinds.TITLES[held]}"
        raise Refused(what, "the first bytes", f"Name it by what it is, or export {declared} again")
    if held == "gcode" or declared == "gcode":
        what = "it is a program for one machine, no design"
        raise Refused(what, "the file", "Judge it with: cosmolocal-agent guard --machine NAME FILE")
    what = f"it is {kinds.TITLES[held]}" if held in kinds.TITLES else "nobody here knows what it is"
    raise Refused(f"{what}: no part can be made from it", "the file", _GIVE)


def _misnamed(declared: str, kind: str) -> Finding:
    called = f"its name ends in .{declared[:20]}" if declared else "its name has no ending"
    return Finding(
        severity=Severity.WARNING,
        where="the name",
        what=f"{called}, but it is {kinds.TITLES[kind]}",
        do="Name it by what it is",
    )


def _look_by_kind(file: Path, kind: str, wish: _Wish) -> _Seen:
    from designs.inspect import is_drawn  # numpy, shapely and the like: only the child needs them

    if kind in kinds.IMAGES:
        from designs import images

        facts, found = images.look(str(file))
        return facts, found, {}
    return _drawing(file, kind, wish) if is_drawn(kind, wish.process) else _solid(file, kind, wish)


def _manifest(file: Path) -> _Seen:
    from designs import okh

    content = file.read_bytes() if file.stat().st_size <= okh.MAX_BYTES else b""
    read = okh.read(content or bytes(okh.MAX_BYTES + 1), file.name)
    found = [_of_manifest(remark) for remark in okh.lint(content, file.name).remarks]
    facts: dict[str, Json] = {
        "kind": "manifest",
        "dialect": read.dialect,
        "title": read.title,
        "version": read.version,
        "licence": read.licence,
        "parts": [part.name for part in read.parts],
    }
    return facts, found, {}


def _of_manifest(remark: "okh.Remark") -> Finding:
    """What a manifest lacks does not keep its parts from being made: at most a person looks."""
    from designs import okh

    note = Severity.NOTE if remark.level == okh.Level.NOTE else Severity.WARNING
    do = f"Write {remark.example}" if remark.example else remark.why
    return Finding(severity=note, where=remark.field, what=remark.what, do=do)


def _solid(file: Path, kind: str, wish: _Wish) -> _Seen:
    from designs import inspect
    from designs.geometry.drawing import Drawing, drawing_facts
    from designs.geometry.makeable import too_thin
    from designs.geometry.mesh import read_mesh
    from designs.geometry.plate import plate_of

    mesh = read_mesh(file, kind)
    look = inspect.solid_look(mesh, wish.made)
    facts, edges = look.facts, look.edges
    told: dict[str, Json] = {
        **facts.model_dump(mode="json"),
        **_measured(look.measures),
        "format": kind,
        "box_mm": _corners(mesh.bounds_mm),
        "grams": _grams(facts.volume_mm3, _fit(wish, FDM)),
        "open_edges": mesh.gaps,
        "open_edges_box_mm": _corners(edges.box_mm),
        "branched_edges": edges.branched,
        "objects": [{"name": t.name, "quantity": t.quantity} for t in mesh.things],
    }
    plate = plate_of(mesh)
    if plate is not None:
        flat = drawing_facts(Drawing(plate.regions))
        thick = plate.thickness_mm
        told["plate"] = {
            "thickness_mm": thick,
            **_drawn(flat),
            "grams": _grams(flat.area_mm2 * thick, _sheets(wish)),
        }
    found, pictures = _shown(look, wish)
    thin = () if wish.made else too_thin(facts)
    repair, file_of_it = _repair(mesh, wish)
    return told, [*thin, *found, *repair], pictures | file_of_it


def _repair(mesh: "Mesh", wish: _Wish) -> tuple[list[Finding], dict[str, Json]]:
    """A proposal beside the pictures, with what it changes; the file itself stays as it is."""
    from designs.geometry.mesh import write_stl
    from designs.geometry.repair import propose

    proposal = propose(mesh) if wish.out_dir else None
    if proposal is None:
        return [], {}
    write_stl(proposal.mesh, Path(wish.out_dir) / "repair.stl")
    note = Finding(
        severity=Severity.NOTE,
        where="a repair is proposed",
        what=proposal.statement.removesuffix("."),
        do="Look at the file …-repair.stl; take it if it is what you meant",
    )
    return [note], {"repair": "repair.stl"}


def _shown(
    look: "SolidLook | SheetLook", wish: _Wish
) -> tuple[tuple[Finding, ...], dict[str, Json]]:
    """The findings, with pictures where somebody wants them."""
    from designs import inspect

    if not wish.out_dir:
        return tuple(remark.finding for remark in look.remarks), {}
    found, pictures = look.shown()
    return found, inspect.saved(pictures, wish.out_dir)


def _measured(measures: "Measures") -> dict[str, Json]:
    """Estimates of walls, gaps, overhangs, webs, as `geometry.measures` has them."""
    return {"measures": measures.model_dump(mode="json", exclude={"kind"})}


def _corners(box: "tuple[Points, Points] | None") -> Json:
    return None if box is None else [[round(float(v), 3) for v in corner] for corner in box]


def _drawing(file: Path, kind: str, wish: _Wish) -> _Seen:
    from designs import inspect
    from designs.geometry.drawing import read_drawing

    with inspect.misdrawn_shown(wish.out_dir) if wish.out_dir else contextlib.nullcontext():
        drawing = read_drawing(file, kind)
    look = inspect.sheet_look(drawing, wish.made, wish.thickness_mm)
    facts, thick = look.facts, look.thickness_mm
    told: dict[str, Json] = {
        **_drawn(facts),
        **_measured(look.measures),
        "format": kind,
        "thickness_mm": thick,
        "grams": _grams(facts.area_mm2 * thick, _sheets(wish)) if thick else None,
        "open_ends": 0,
    }
    found, pictures = _shown(look, wish)
    return told, list(found), pictures


def _drawn(facts: DrawingFacts) -> dict[str, Json]:
    return {**facts.model_dump(mode="json"), "contours": facts.outlines + facts.holes}


def _fit(wish: _Wish, *processes: str) -> list[Material]:
    if wish.material is not None:
        return [wish.material]
    return [m for m in MATERIALS if set(m.processes) & set(processes)]


def _sheets(wish: _Wish) -> list[Material]:
    known = find_process(wish.process) if wish.process else None
    one = known is not None and known.takes == "drawing"
    drawn = {p for m in MATERIALS for p in m.processes} - {FDM}
    return _fit(wish, *({known.id} if one and known else drawn))


def _grams(volume_mm3: float, materials: Iterable[Material]) -> dict[str, Json]:
    """By material, were it solid throughout."""
    return {m.id: round(volume_mm3 / 1000 * m.density_g_cm3, 2) for m in materials}


def name_findings(name: str) -> list[Finding]:
    """What is wrong with a file's name itself, its folders left out."""
    found: list[str] = []
    odd = sorted({f"U+{ord(c):04X}" for c in name if not c.isprintable()})
    if odd:
        found.append(
            f"it holds characters that are not seen, or that deceive ({', '.join(odd[:5])})"
        )
    if _FORBIDDEN.search(name):
        found.append('it holds one of < > : " | ? * \\, which not every computer can keep')
    if _RESERVED.fullmatch(name) or name.endswith((".", " ")):
        found.append("some computers cannot keep a file of this name")
    if len(name) > _LONGEST_NAME:
        found.append(f"it has more than {_LONGEST_NAME} characters")
    return [
        Finding(severity=Severity.WARNING, where="the name", what=what, do="Name it plainly")
        for what in found
    ]
