"""Whether the metrology knows honest cuts of other CAMs from spoiled ones, over all drawings"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from shapely import Polygon

from bench.cutting.trials import Trial, honest, spoiled
from bench.metrology import found
from designs.errors import Refused
from designs.geometry.drawing import read_drawing
from hardware_sim.config import load
from hardware_sim.metrology.measure import Question, measure
from hardware_sim.metrology.report import limit_cpu_s

LIMIT_S = 120.0


@dataclass(frozen=True)
class Row:
    """One trial and what the metrology said of it."""

    drawing: str
    seed: int
    laser: bool
    trial: Trial
    verdict: str
    outline: object
    told: str
    cpu_s: float

    @property
    def right(self) -> bool:
        return self.verdict == ("within" if self.trial.honest else "deviates")

    def text(self) -> str:
        machine = "laser" if self.laser else "mill"
        mark = "" if self.right else "  <-- not as it ought to be"
        return (
            f"{self.drawing[:34]:<35}{machine:<6}{self.seed:>3} {self.trial.name:<38}"
            f"{self.verdict:<13}{self.outline!s:>7} {self.cpu_s:5.1f} s  {self.told[:70]}{mark}"
        )


def asked(design: Path, program: Path, trial: Trial) -> Question:
    manner = trial.manner
    return Question(
        load("laser-400" if manner.laser else "mill-3018"),
        design,
        program,
        thickness_mm=None if manner.laser else manner.thickness_mm,
        width_mm=manner.width_mm,
        cuts_mm_min=trial.cuts_mm_min,
    )


def rows(design: Path, seed: int, only: str, keep: Path | None) -> list[Row]:
    """All trials of one drawing and one seed."""
    try:
        regions = list(read_drawing(design, design.suffix[1:].lower()).regions)
    except Refused:
        return []
    told: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for laser in (True, False):
            for number, trial in enumerate(_trials(regions, seed, laser=laser)):
                if only not in trial.name:
                    continue
                name = f"{design.stem}-{'laser' if laser else 'mill'}-{seed}-{number}.nc"
                path = (keep or Path(folder)) / name.replace(" ", "_")
                path.write_text("\n".join(trial.lines) + "\n")
                told.append(_row(design, seed, path, trial))
    return told


def _trials(regions: list[Polygon], seed: int, *, laser: bool) -> Iterator[Trial]:
    good = honest(regions, seed, laser=laser)
    if good:
        yield good
    yield from spoiled(regions, seed, laser=laser)


def _row(design: Path, seed: int, path: Path, trial: Trial) -> Row:
    before = time.process_time()
    limit_cpu_s(LIMIT_S)
    answer = measure(asked(design, path, trial))
    limit_cpu_s(0)
    off = answer.deviations
    words = [] if off is None else [*off.missing[:1], *off.extra[:1]]
    return Row(
        f"{design.parent.name}/{design.name}", seed, trial.manner.laser, trial, answer.verdict,
        None if off is None else off.outline_mm, answer.why or "; ".join(words),
        time.process_time() - before,
    )  # fmt: skip


def main() -> int:
    """Print the table; 1 if an honest cut deviates or a spoiled one passes."""
    parser = argparse.ArgumentParser(prog="./run bench cuts", description=__doc__)
    parser.add_argument("--only", default="", help="drawings whose path contains this")
    parser.add_argument("--skip", default="-none-", help="not drawings whose path contains this")
    parser.add_argument("--trial", default="", help="trials whose name contains this")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quiet", action="store_true", help="only rows that are wrong")
    parser.add_argument("--keep", type=Path, help="keep the programs in this folder")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cuts-") as temporary:
        return report(args, Path(temporary))


def drawings(folder: Path) -> list[Path]:
    """The shared drawings, and those of our own library."""
    from designs import library

    shared = found(folder)[2]
    for slug in library.slugs():
        library.build(slug, folder / "own" / slug)
    own = [p for p in sorted((folder / "own").glob("*/*")) if p.suffix in (".svg", ".dxf")]
    return list(dict.fromkeys([*shared, *own]))


def report(args: argparse.Namespace, folder: Path) -> int:
    chosen = [p for p in drawings(folder) if args.only in str(p) and args.skip not in str(p)]
    seeds = range(args.first, args.first + args.seeds)
    tasks = [(p, seed) for seed in seeds for p in chosen]
    random.Random(0).shuffle(tasks)
    told: list[Row] = []
    with ProcessPoolExecutor(args.jobs) as hands:
        asked_for = [hands.submit(rows, p, seed, args.trial, args.keep) for p, seed in tasks]
        for task in as_completed(asked_for):
            for row in task.result():
                told.append(row)
                if not (args.quiet and row.right):
                    print(row.text(), flush=True)
    print(f"\n{'trial':<40}{'as it ought to be':>18}", flush=True)
    for name in dict.fromkeys(r.trial.name for r in told):
        same = Counter(r.right for r in told if r.trial.name == name)
        print(f"{name:<40}{same[True]:>8} of {sum(same.values())}")
    slowest = max((r.cpu_s for r in told), default=0.0)
    print(f"slowest: {slowest:.1f} s of processor time")
    return 0 if all(r.right for r in told) else 1


if __name__ == "__main__":
    sys.exit(main())
