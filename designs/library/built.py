"""Builds one design: its parts, each looked at as publishing will, and what goes with them.

It refuses what publishing would only warn of: a design of ours is to have no faults.
"""

import importlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from shapely import Polygon

from designs import okh
from designs.design import Facts, MeshFacts
from designs.errors import DesignRefused, Finding, Severity
from designs.geometry.drawing import Drawing, drawing_facts
from designs.geometry.makeable import drawing_findings, findings, mesh_findings
from designs.geometry.mesh import mesh_facts
from designs.library import drawn, written
from designs.library.assembly import Step, lying
from designs.library.parameters import Parameters
from designs.library.shapes import Shape, mesh_of, moved_to_corner, save
from designs.library.written import Stated

HERE = Path(__file__).parent
W = TypeVar("W", bound=Parameters)


@dataclass(frozen=True)
class Design(Generic[W]):
    """What a `make.py` says as `DESIGN`; each is a function of the parameters.

    `parts`: each part's shape by its name in the manifest. `stated`: figures of the manifest that
    follow the parameters. `steps`: how the parts go together, where there are several.
    """

    wishes: type[W]
    parts: Callable[[W], Mapping[str, Shape]]
    stated: Callable[[W], Stated]
    steps: Callable[[W], tuple[Step, ...]] | None = None


def source(slug: str) -> Design[Any]:
    return importlib.import_module(f"designs.library.{_folder(slug)}.make").DESIGN


def write(slug: str, design: Design[W], wish: W, out: Path) -> None:
    """Every file of the design into the empty folder `out`; raises `DesignRefused`."""
    home = HERE / _folder(slug)
    text = (home / "okh.toml").read_text(encoding="utf-8")
    text = written.manifest(text, wish, design.stated(wish))
    manifest = okh.read(text.encode(), "okh.toml")
    shapes = design.parts(wish)
    refuse(found for entry in manifest.parts for found in look(entry, shapes[entry.name]))
    for entry in manifest.parts:
        save(shapes[entry.name], out / str(entry.file))
    (out / "okh.toml").write_text(text, encoding="utf-8")
    for name in ("make.py", "instructions.md"):
        shutil.copyfile(home / name, out / name)
    (out / "parameters.json").write_text(written.parameters(wish), encoding="utf-8")
    (out / "bom.csv").write_text(written.bill(manifest), encoding="utf-8")
    _draw(design, wish, manifest, out)


def look(entry: okh.PartEntry, shape: Shape) -> list[Finding]:
    """What is wrong with a part's shape, for the process that its manifest names."""
    process, material = str(entry.process), str(entry.material)
    if isinstance(shape, Polygon):
        drawing = Drawing((moved_to_corner(shape),))
        facts: Facts = drawing_facts(drawing)
        found = list(drawing_findings(drawing, process))
    else:
        mesh = mesh_of(shape)
        facts = mesh_facts(mesh)
        found = [*mesh.notes, *mesh_findings(mesh)]
    found += findings(facts, process, material, entry.thickness_mm)
    pieces = facts.shells if isinstance(facts, MeshFacts) else facts.outlines
    if pieces != 1:
        found.append(_fault("the part", f"it falls into {pieces} pieces", "Join them"))
    return [f.model_copy(update={"where": f"{entry.name}, {f.where}"}) for f in found]


def refuse(found: Iterable[Finding]) -> None:
    """Raises `DesignRefused` with what is more than a note."""
    faults = [finding for finding in found if finding.severity is not Severity.NOTE]
    if faults:
        raise DesignRefused(faults)


def _draw(design: Design[W], wish: W, manifest: okh.Manifest, out: Path) -> None:
    entries = {entry.name: entry for entry in manifest.parts}
    if design.steps is None:
        (entry,) = manifest.parts
        shape = design.parts(wish)[entry.name]
        flat = isinstance(shape, Polygon)
        body = lying(shape, entry.thickness_mm or 0) if flat else shape
        (out / "picture.png").write_bytes(drawn.alone(body, entry))
        return
    steps = design.steps(wish)
    (out / "picture.png").write_bytes(drawn.together(steps, entries))
    for number in range(1, len(steps) + 1):
        (out / f"step-{number}.png").write_bytes(drawn.step(steps, number, entries))


def _fault(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.WARNING, where=where, what=what, do=do)


def _folder(slug: str) -> str:
    return slug.replace("-", "_")
