"""How near estimates come to programs: the library's parts and, beside the checkout, real designs

For each part that a shipped machine can make, `designs.estimate` (facts alone) is held against the
program that the workshop prepares (real slicer, our own tool paths; guard and last look passed).
Heating is left out on both sides. Programs are kept below `.tools/prepared`, so that a second run
takes seconds; the first takes half an hour of one core.

An estimate's p10 to p90 is right if about four of five programs lie within. The programs' times
are their planners' own: no machine was measured. `--own --json` gives what the tests keep of our
own parts: facts, what was asked, minutes, grams.
"""

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from designs import library, okh
from designs.design import Facts, MeshFacts, Recipe, class_of
from designs.errors import DesignRefused
from designs.estimate import Estimate, Printer, estimate, following, laid_mm3
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
ASKED = ("knob/knob", "tool-board/hook", "sink-strainer/strainer")
RECIPES = {
    "fine": Recipe(locked=True, layer_mm=0.12, walls=3),
    "strong": Recipe(locked=True, layer_mm=0.2, walls=5, infill_pct=50),
    "coarse": Recipe(locked=True, layer_mm=0.28, walls=2, infill_pct=10),
}


@dataclass(frozen=True)
class Part:
    name: str
    file: Path
    process: str
    material: str
    thickness_mm: float | None = None
    recipe: Recipe | None = None
    quality: str = "normal"

    @property
    def format(self) -> str:
        return self.file.suffix[1:].lower()


class Measured(BaseModel):
    """One part and the program that was made of it: minutes without heating, grams."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    process: str
    material: str
    thickness_mm: float | None
    recipe: Recipe | None
    quality: str
    facts: Facts
    minutes: float
    grams: float

    @property
    def machine_class(self) -> str:
        return class_of(PROFILE[self.process])

    @property
    def design(self) -> str:
        return self.name.split("/")[0]

    def told(self) -> Estimate:
        return estimate(
            self.facts, self.process, self.material, self.machine_class, self.thickness_mm,
            self.recipe, self.quality,
        )  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """Programs over their estimates: the median, and the share that lies within p10 to p90."""

    parts: int
    median: float
    least: float
    most: float
    within: float
    spread: float
    """p90 over p10 of an estimate, the median."""

    def __str__(self) -> str:
        ratios = f"{self.median:.2f} ({self.least:.2f} … {self.most:.2f})"
        return f"{ratios:22} {100 * self.within:3.0f} %  x {self.spread:.2f}"


def fit(rows: Sequence[Measured], what: str) -> Fit:
    """`what`: minutes or grams."""
    figures = [(getattr(row, what), *_spread(row.told(), what)) for row in rows]
    ratios = [seen / p50 for seen, _, p50, _ in figures]
    return Fit(
        parts=len(rows),
        median=statistics.median(ratios),
        least=min(ratios),
        most=max(ratios),
        within=statistics.mean(low <= seen <= high for seen, low, _, high in figures),
        spread=statistics.median(high / low for _, low, _, high in figures),
    )


def _spread(told: Estimate, what: str) -> tuple[float, float, float]:
    low, middle, high = (getattr(told, f"{what}_p{q}") for q in (10, 50, 90))
    return low, middle, high


# ── what is measured


def own(work: Path) -> Iterator[Part]:
    for slug in library.slugs():
        folder = library.build(slug, work / slug)
        manifest = okh.read((folder / "okh.toml").read_bytes(), "okh.toml")
        for entry in manifest.parts:
            yield Part(
                f"{slug}/{entry.name}", folder / str(entry.file), str(entry.process),
                str(entry.material), entry.thickness_mm, entry.recipe,
            )  # fmt: skip


def asked_otherwise(parts: Iterable[Part]) -> Iterator[Part]:
    """Three parts of ours, each by three locked recipes and as a draft."""
    for part in parts:
        if part.name in ASKED:
            for name, recipe in RECIPES.items():
                yield replace(part, name=f"{part.name}, {name}", recipe=recipe)
            yield replace(part, name=f"{part.name}, draft", recipe=None, quality="draft")


def real() -> Iterator[Part]:
    for file in sorted(SHARED.rglob("*")) if SHARED.exists() else ():
        name, kind = file.relative_to(SHARED).as_posix(), file.suffix.lower()
        if kind in {".stl", ".3mf"}:
            yield Part(name, file, FDM, "pla")
        elif kind in {".dxf", ".svg"}:
            yield from (Part(f"{name}, {sheet[0]}", file, *sheet) for sheet in SHEETS)


def measured(part: Part, work: Path) -> Measured | None:
    """None where the workshop refuses the part."""
    manner = Manner.model_validate(part.recipe.model_dump(mode="json")) if part.recipe else None
    order = Order(
        part_name=part.file.stem, process=part.process, material=part.material,
        thickness_mm=part.thickness_mm, quality=part.quality, quantity=1, file_path=part.file,
        format=part.format, profile=profiles.load(PROFILE[part.process]), machine="here",
        tool_mm=3.175 if part.process == MILL else None,
        kerf_mm=0.15 if part.process == LASER else None, cache=KEPT, manner=manner,
    )  # fmt: skip
    try:
        made = prepare(order, work / "out")
        seen = facts(part)
    except (PrepareRefused, DesignRefused) as refused:
        why, *others = map(str, refused.findings)
        more = f" (and {len(others)} more)" if others else ""
        print(f"  {part.name} is refused: {why}{more}", file=sys.stderr, flush=True)
        return None
    heating_s = recipes.filament(part.material).heating_s if part.process == FDM else 0
    return Measured(
        name=part.name, process=part.process, material=part.material,
        thickness_mm=part.thickness_mm, recipe=part.recipe, quality=part.quality, facts=seen,
        minutes=round((made.seconds - heating_s) / 60, 2), grams=made.grams,
    )  # fmt: skip


def facts(part: Part) -> Facts:
    if part.process == FDM:
        return mesh_facts(read_mesh(part.file, part.format))
    return drawing_facts(read_drawing(part.file, part.format))


def table(rows: list[Measured], refused: int) -> str:
    head = "program ÷ p50: median (least … most), within p10–p90, p90 ÷ p10"
    lines = [f"{'machine class':14}{'parts':>6}          {head}"]
    for kind in sorted({row.machine_class for row in rows}):
        of_kind = [row for row in rows if row.machine_class == kind]
        lines += [
            f"{kind:14}{len(of_kind):>6}  {what:8}{fit(of_kind, what)}"
            for what in ("minutes", "grams")
        ]
    return "\n".join([*lines, f"{refused} parts are refused by the workshop and left out", ""])


# ── fitting the rates of printing


def rates(rows: Sequence[Measured]) -> NDArray[np.float64]:
    """Seconds for a mm³ of outer wall, inner wall, solid and infill, and for a layer.

    Least absolute relative error, by weighting; scaled so that half of the programs take longer.
    """
    asked, seconds = _asked(rows), np.array([60 * row.minutes for row in rows])
    weights = np.ones(len(rows))
    found = np.zeros(asked.shape[1])
    for _ in range(30):
        found = np.linalg.lstsq(asked / seconds[:, None] * weights[:, None], weights, rcond=None)[0]
        weights = 1 / np.sqrt(np.maximum(np.abs(asked @ found / seconds - 1), 0.05))
    return found * np.median(seconds / (asked @ found))


def _asked(rows: Sequence[Measured]) -> NDArray[np.float64]:
    """(rows, 5): what the rates are multiplied with."""
    return np.array([_amounts(row) for row in rows])


def _amounts(row: Measured) -> tuple[float, ...]:
    assert isinstance(row.facts, MeshFacts)
    printer = following(Printer(), row.recipe)
    thinner = printer.layer_mm / printer.at_layer_mm
    laid = laid_mm3(row.facts, printer)
    return (*(mm3 / thinner for mm3 in laid), math.ceil(row.facts.size_mm[2] / printer.layer_mm))


def unseen(rows: Sequence[Measured]) -> dict[str, float]:
    """By part: program over the p50 of rates that were fitted without any part of its design."""
    found = dict[str, float]()
    for design in sorted({row.design for row in rows}):
        without = rates([row for row in rows if row.design != design])
        left = [row for row in rows if row.design == design]
        pairs = zip(left, _asked(left) @ without, strict=True)
        found |= {row.name: 60 * row.minutes / seconds for row, seconds in pairs}
    return found


def fitted(rows: Sequence[Measured]) -> str:
    printed = [row for row in rows if row.process == FDM and row.quality == "normal"]
    *mm3, layer_s = rates(printed)
    ratios = list(unseen(printed).values())
    low, high = np.quantile(ratios, (0.1, 0.9))
    said = ", ".join(f"{1 / each:.2f}" for each in mm3)
    return (
        f"fitted to {len(printed)} prints: {said} mm³/s, {layer_s:.2f} s a layer\n"
        f"each design by rates fitted without it: median {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} … {max(ratios):.2f}), p10 {low:.2f}, p90 {high:.2f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run bench estimate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="each part as one JSON line")
    parser.add_argument("--own", action="store_true", help="our own parts alone")
    asked = parser.parse_args()
    rows, refused = list[Measured](), 0
    with tempfile.TemporaryDirectory(prefix="estimate-") as folder:
        ours = list(own(Path(folder)))
        wanted = (*ours, *asked_otherwise(ours), *(() if asked.own else real()))
        for part in wanted:
            row = measured(part, Path(folder))
            refused += row is None
            if row is not None:
                rows.append(row)
                print(f"  {row.name}", file=sys.stderr, flush=True)
                if asked.json:
                    print(row.model_dump_json(), flush=True)
    if not asked.json:
        print(table(rows, refused), fitted(rows), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
