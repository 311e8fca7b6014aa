"""How near estimates come to programs: the library's parts and, beside the checkout, real designs

For each part that a shipped machine can make, `designs.estimate` (facts alone) is held against the
program that the workshop prepares (real slicer, our own tool paths; guard and last look passed).
Heating is left out on both sides. Programs are kept below `.tools/prepared`, so that a second run
takes seconds; the first takes some ten minutes.

An estimate's p10 to p90 is right if about four of five programs lie within. The programs' times
are their planners' own: no machine was measured.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from designs import library, okh
from designs.design import Facts, Recipe
from designs.errors import DesignRefused
from designs.estimate import Estimate, estimate
from designs.geometry.drawing import drawing_facts, read_drawing
from designs.geometry.mesh import mesh_facts, read_mesh
from designs.processes import FDM, LASER, MILL
from fablab_agents.prepare import Order, PrepareRefused, prepare, recipes
from fablab_agents.protocol.tickets import Manner
from firmware_bridge import profiles

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "designs"
KEPT = ROOT / ".tools" / "prepared"
PROFILE = {FDM: "generic-fdm-220", MILL: "generic-cnc-3018", LASER: "generic-laser-400"}
SHEETS = ((LASER, "plywood", 3.0), (MILL, "birch_plywood", 6.0))


@dataclass(frozen=True)
class Part:
    name: str
    file: Path
    process: str
    material: str
    thickness_mm: float | None = None
    recipe: Recipe | None = None

    @property
    def format(self) -> str:
        return self.file.suffix[1:].lower()

    @property
    def machine_class(self) -> str:
        return PROFILE[self.process].removeprefix("generic-")


@dataclass(frozen=True)
class Held:
    """One part: the program's figures, and the estimate's share of them (1: the same)."""

    name: str
    machine_class: str
    minutes: float
    grams: float
    minutes_ratio: float
    grams_ratio: float
    minutes_within: bool
    grams_within: bool


def parts(work: Path) -> Iterator[Part]:
    for slug in library.slugs():
        folder = library.build(slug, work / slug)
        manifest = okh.read((folder / "okh.toml").read_bytes(), "okh.toml")
        for entry in manifest.parts:
            yield Part(
                f"{slug}/{entry.name}", folder / str(entry.file), str(entry.process),
                str(entry.material), entry.thickness_mm, entry.recipe,
            )  # fmt: skip
    for file in sorted(SHARED.rglob("*")) if SHARED.exists() else ():
        name, kind = file.relative_to(SHARED).as_posix(), file.suffix.lower()
        if kind in {".stl", ".3mf"}:
            yield Part(name, file, FDM, "pla")
        elif kind in {".dxf", ".svg"}:
            yield from (Part(name, file, *sheet) for sheet in SHEETS)


def held(part: Part, work: Path) -> Held | None:
    """None where the workshop refuses the part."""
    manner = Manner.model_validate(part.recipe.model_dump(mode="json")) if part.recipe else None
    order = Order(
        part_name=part.file.stem, process=part.process, material=part.material,
        thickness_mm=part.thickness_mm, quality="normal", quantity=1, file_path=part.file,
        format=part.format, profile=profiles.load(PROFILE[part.process]), machine="here",
        tool_mm=3.175 if part.process == MILL else None,
        kerf_mm=0.15 if part.process == LASER else None, cache=KEPT, manner=manner,
    )  # fmt: skip
    try:
        made = prepare(order, work / "out")
        told = estimate(
            facts(part), part.process, part.material, part.machine_class, part.thickness_mm,
            part.recipe,
        )  # fmt: skip
    except (PrepareRefused, DesignRefused):
        return None
    heating_s = recipes.filament(part.material).heating_s if part.process == FDM else 0
    return compared(part, told, (made.seconds - heating_s) / 60, made.grams)


def compared(part: Part, told: Estimate, minutes: float, grams: float) -> Held:
    return Held(
        name=part.name,
        machine_class=part.machine_class,
        minutes=round(minutes, 2),
        grams=grams,
        minutes_ratio=round(told.minutes_p50 / minutes, 3),
        grams_ratio=round(told.grams_p50 / grams, 3),
        minutes_within=told.minutes_p10 <= minutes <= told.minutes_p90,
        grams_within=told.grams_p10 <= grams <= told.grams_p90,
    )


def facts(part: Part) -> Facts:
    if part.process == FDM:
        return mesh_facts(read_mesh(part.file, part.format))
    return drawing_facts(read_drawing(part.file, part.format))


def table(rows: list[Held], refused: int) -> str:
    head = "estimate ÷ program: median (least … most), within p10–p90"
    lines = [f"{'machine class':14}{'parts':>6}  {head}"]
    for kind in sorted({row.machine_class for row in rows}):
        of_kind = [row for row in rows if row.machine_class == kind]
        minutes = _line([r.minutes_ratio for r in of_kind], [r.minutes_within for r in of_kind])
        grams = _line([r.grams_ratio for r in of_kind], [r.grams_within for r in of_kind])
        lines.append(f"{kind:14}{len(of_kind):>6}  minutes {minutes}   grams {grams}")
    return "\n".join([*lines, f"{refused} parts are refused by the workshop and left out"])


def _line(ratios: list[float], within: list[bool]) -> str:
    share = 100 * sum(within) / len(within)
    spread = f"({min(ratios):.2f} … {max(ratios):.2f})"
    return f"{statistics.median(ratios):.2f} {spread} {share:.0f} %"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run bench estimate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="each part as one JSON line")
    asked = parser.parse_args()
    rows, refused = list[Held](), 0
    with tempfile.TemporaryDirectory(prefix="estimate-") as folder:
        for part in parts(Path(folder)):
            row = held(part, Path(folder))
            refused += row is None
            if row is not None:
                rows.append(row)
                print(f"  {row.name}", file=sys.stderr, flush=True)
                if asked.json:
                    print(json.dumps(asdict(row)), flush=True)
    if not asked.json:
        print(table(rows, refused))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
