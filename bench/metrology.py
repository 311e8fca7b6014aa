"""How far programs deviate from their designs: honest ones of every design, and sabotaged ones"""

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from designs import library
from fablab_agents.prepare import Order, PrepareRefused, prepare
from firmware_bridge import profiles

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data" / "designs"
MEASURE_S = 600
RECIPES = {
    "plain": "",
    "normal": "--layer-height 0.2 --first-layer-height 0.2 --perimeters 2 --fill-density 15% "
    "--perimeter-generator classic --gcode-flavor marlin2 --use-relative-e-distances",
    "fine": "--layer-height 0.1 --first-layer-height 0.2 --fill-density 40% --support-material "
    "--elefant-foot-compensation 0.2 --extrusion-width 0.45 --brim-width 5",
    "raft": "--layer-height 0.3 --raft-layers 2 --fill-density 5% --perimeters 4 --skirts 2",
    "solid": "--layer-height 0.25 --fill-density 100% --fill-pattern rectilinear --perimeters 1 "
    "--ironing --rotate 33",
}
BED = ["--bed-shape", "0x0,220x0,220x220,0x220", "--center", "110,110"]
Lines = list[str]


@dataclass(frozen=True)
class Case:
    """A program, what it is set against, and whether it ought to be found within."""

    name: str
    machine: str
    design: Path
    program: Path
    honest: bool
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Told:
    """What `measure` said of a case."""

    case: Case
    status: int
    answer: dict[str, object]

    @property
    def right(self) -> bool:
        return (self.status == 0) is self.case.honest


def measured(case: Case) -> Told:
    command = [sys.executable, "-m", "hardware_sim", "measure", "--machine", case.machine]
    command += ["--design", str(case.design), *case.extra, str(case.program), "--json"]
    try:
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=MEASURE_S,
            env={**os.environ, "PYTHONPATH": str(ROOT / "hardware-sim")},
        )
    except subprocess.TimeoutExpired:
        return Told(case, 4, {"verdict": "none", "why": f"not done after {MEASURE_S} s"})
    try:
        return Told(case, ran.returncode, json.loads(ran.stdout))
    except ValueError:
        return Told(case, 4, {"verdict": "none", "why": ran.stderr.strip()[-200:]})


def row(told: Told) -> str:
    off = told.answer.get("deviations")
    figures = off if isinstance(off, dict) else {}
    missing, extra = figures.get("missing") or [], figures.get("extra") or []
    why = told.answer.get("why") or "; ".join(map(str, [*missing[:1], *extra[:1]]))
    mark = "" if told.right else "  <-- not as it ought to be"
    return (
        f"{told.case.name:<58.58}{told.answer.get('verdict', ''):<13}"
        f"{figures.get('outline_mm', '')!s:>8}{figures.get('volume_pct', '')!s:>8}"
        f"{len(missing):>4}{len(extra):>4}  {str(why)[:70]}{mark}"
    )


# --- honest programs ----------------------------------------------------------------------------


def found(folder: Path) -> tuple[Path, list[Path], list[Path]]:
    """Where the designs are, the solids and the drawings: the shared ones, else our library's."""
    home = SHARED
    if not SHARED.is_dir():
        home = folder / "library"
        for slug in library.slugs():
            library.build(slug, home / slug)
    files = sorted(p for p in home.glob("*/*") if p.is_file())
    solids = [p for p in files if p.suffix.lower() in (".stl", ".3mf")]
    return home, solids, [p for p in files if p.suffix.lower() in (".dxf", ".svg")]


def sliced(design: Path, recipe: str, out: Path, arguments: str = "") -> Path | None:
    """PrusaSlicer's program; None when it makes none (the part does not fit)."""
    command = ["prusa-slicer", "--export-gcode", "--loglevel", "1", *BED]
    command += [*RECIPES[recipe].split(), *arguments.split(), str(design), "-o", str(out)]
    if recipe == "normal":
        command[2:2] = ["--layer-gcode", "G92 E0"]
    if not out.exists():
        subprocess.run(command, capture_output=True, check=False, timeout=MEASURE_S)
    return out if out.exists() else None


def prints(design: Path, home: Path, folder: Path, recipes: list[str]) -> Iterator[Case]:
    name = str(design.relative_to(home))
    for recipe in recipes:
        out = folder / f"{re.sub('[^A-Za-z0-9]+', '_', name)}.{recipe}.gcode"
        if sliced(design, recipe, out):
            yield Case(f"{name} {recipe}", "printer-220", design, out, honest=True)


CUTTING = (
    ("laser", "laser-400", "generic-laser-400", 3.0),
    ("mill", "mill-3018", "generic-cnc-3018", 3.0),
)


def cuts(design: Path, home: Path, folder: Path) -> Iterator[Case]:
    """Our own CAM's programs for a drawing, where the part fits the machine."""
    name = str(design.relative_to(home))
    for process, machine, profile, thick in CUTTING:
        out = folder / re.sub("[^A-Za-z0-9]+", "_", f"{name}.{process}")
        order = Order(
            part_name="part", process={"laser": "laser_cutting", "mill": "cnc_milling"}[process],
            material="plywood", thickness_mm=thick, quality="normal", quantity=1,
            file_path=design, format=design.suffix[1:].lower(),
            profile=profiles.load(profile), machine=machine,
        )  # fmt: skip
        try:
            made = prepare(order, out)
        except PrepareRefused as refused:
            print(f"{name} {process}: not made: {str(refused)[:90]}", flush=True)
            continue
        extra = ("--thickness", str(thick)) if process == "mill" else ()
        yield Case(f"{name} {process}", machine, design, made.program, honest=True, extra=extra)


# --- sabotage of a print (relative extrusion, as the recipe `normal` writes) ---------------------

_E = re.compile(r"E(-?[0-9.]+)")
_XY = re.compile(r"([XY])(-?[0-9.]+)")


def layers_of(lines: Lines) -> list[int]:
    """The first line of each layer, and the line after the last."""
    starts = [i for i, line in enumerate(lines) if line.startswith(";LAYER_CHANGE")]
    end = next((i for i in range(len(lines) - 1, 0, -1) if " E" in lines[i]), len(lines) - 1)
    return [*starts, end + 1]


def extrudes(line: str) -> bool:
    return line.startswith("G1 ") and " E" in line and ("X" in line or "Y" in line)


def flow(lines: Lines, share: float, count: int) -> Lines:
    """Extrusion of some layers in the middle times a share."""
    starts = layers_of(lines)
    middle = (len(starts) - 1) // 2
    low = max(1, middle - count // 2)
    low, high = starts[low], starts[min(len(starts) - 1, low + count)]
    return [
        _E.sub(lambda m: f"E{float(m[1]) * share:.5f}", line)
        if low <= i < high and extrudes(line)
        else line
        for i, line in enumerate(lines)
    ]


def without_layer(lines: Lines) -> Lines:
    starts = layers_of(lines)
    middle = (len(starts) - 1) // 2
    low, high = starts[middle], starts[middle + 1]
    return [x for i, x in enumerate(lines) if not (low <= i < high and extrudes(x))]


def layer_twice(lines: Lines) -> Lines:
    starts = layers_of(lines)
    middle = (len(starts) - 1) // 2
    block = lines[starts[middle] : starts[middle + 1]]
    return [*lines[: starts[middle + 1]], *block, *lines[starts[middle + 1] :]]


def shifted(lines: Lines) -> Lines:
    """Half a millimetre to the right from the middle layer on."""
    start = layers_of(lines)[len(layers_of(lines)) // 2]
    return [*lines[:start], *(placed(x, lambda x, y: (x + 0.5, y)) for x in lines[start:])]


def placed(line: str, by: Callable[[float, float], tuple[float, float]]) -> str:
    """The line with its X and Y mapped (each for itself: no turning)."""
    if not line.startswith(("G0 ", "G1 ")):
        return line
    x = _XY.sub(
        lambda m: f"{m[1]}{by(float(m[2]), float(m[2]))[m[1] == 'Y']:.3f}", line.partition(";")[0]
    )
    return x.rstrip()


def without_outer_wall(lines: Lines) -> Lines:
    """One layer loses its outermost perimeter."""
    starts = layers_of(lines)
    low, high = starts[len(starts) // 2], starts[len(starts) // 2 + 1]
    kept, outer = [], False
    for i, line in enumerate(lines):
        if line.startswith(";TYPE:"):
            outer = line == ";TYPE:External perimeter"
        if not (low <= i < high and outer and extrudes(line)):
            kept.append(line)
    return kept


def places_x(lines: Lines) -> list[float]:
    """Where beads end in X."""
    beads = (line for line in lines if extrudes(line))
    return [float(m[2]) for line in beads for m in _XY.finditer(line) if m[1] == "X"]


def without_island(lines: Lines) -> Lines:
    """Eight layers lose all that they lay in the right quarter of the part."""
    starts = layers_of(lines)
    xs = places_x(lines[starts[1] :])
    edge = min(xs) + 0.75 * (max(xs) - min(xs))
    low = len(starts) // 2
    low, high = starts[low], starts[min(len(starts) - 1, low + 8)]
    kept, at = [], 0.0
    for i, line in enumerate(lines):
        found_x = re.search(r"X(-?[0-9.]+)", line) if line.startswith("G1 ") else None
        at = float(found_x[1]) if found_x else at
        gone = low <= i < high and at > edge and extrudes(line)
        kept.append(_E.sub("", line).rstrip() if gone else line)
    return kept


def stretched(lines: Lines) -> Lines:
    """Layers are 5 % higher than they were sliced, with the plastic they had."""
    return [
        re.sub(r"Z([0-9.]+)", lambda m: f"Z{float(m[1]) * 1.05:.3f}", line)
        if line.startswith("G1 ")
        else line
        for line in lines
    ]


def in_inches(lines: Lines) -> Lines:
    return [line.replace("G21", "G20") for line in lines]


def with_blob(lines: Lines) -> Lines:
    """A patch of 6 x 6 mm beside the part, named support, in three layers."""
    starts = layers_of(lines)
    middle = len(starts) // 2
    xs = places_x(lines[starts[1] :])
    side, out, at = max(xs) + 6, list(lines[: starts[middle]]), middle
    for at in range(middle, min(middle + 3, len(starts) - 1)):
        block = lines[starts[at] : starts[at + 1]]
        out += [*block, ";TYPE:Support material", f"G1 X{side:.3f} Y107.000 F9000"]
        for step in range(15):
            y = 107 + 0.42 * step
            out += [f"G1 Y{y:.3f} F1800"]
            out += [f"G1 X{side + (6 if step % 2 == 0 else 0):.3f} Y{y:.3f} E0.20000"]
    return out + lines[starts[at + 1] :]


def with_cut(lines: Lines) -> Lines:
    """Nothing is laid about a plane through the part: moves in a band do not extrude."""
    xs = places_x(lines)
    middle = (min(xs) + max(xs)) / 2
    kept, at = [], 0.0
    for line in lines:
        found_x = re.search(r"X(-?[0-9.]+)", line) if line.startswith("G1 ") else None
        goal = float(found_x[1]) if found_x else at
        crosses = min(at, goal) < middle + 0.75 and max(at, goal) > middle - 0.75
        kept.append(_E.sub("", line).rstrip() if crosses and extrudes(line) else line)
        at = goal
    return kept


PROGRAMS: dict[str, Callable[[Lines], Lines]] = {
    "missing layer": without_layer,
    "layer laid twice": layer_twice,
    "5 % less over ten layers": lambda lines: flow(lines, 0.95, 10),
    "5 % more over ten layers": lambda lines: flow(lines, 1.05, 10),
    "5 % less all through": lambda lines: flow(lines, 0.95, 10_000),
    "shifted 0.5 mm from the middle on": shifted,
    "one layer without its outer wall": without_outer_wall,
    "patch beside the part, named support": with_blob,
    "cut in two": with_cut,
    "a quarter missing in eight layers": without_island,
    "layers 5 % higher": stretched,
    "told in inches": in_inches,
}
SCALES = {
    "1 % larger": (1.01, 1.01, 1.01),
    "1 % larger in X": (1.01, 1, 1),
    "1 % smaller in Y": (1, 0.99, 1),
    "1 % larger in Z": (1, 1, 1.01),
    "mirrored": (-1, 1, 1),
}


HOLE = "hole shifted 0.5 mm"


def spoiled(design: Path, home: Path, folder: Path, only: str) -> Iterator[Case]:
    name = str(design.relative_to(home))
    stem = re.sub("[^A-Za-z0-9]+", "_", name)
    out = folder / f"{stem}.normal.gcode"
    if design.suffix.lower() != ".stl" or not (out.exists() or sliced(design, "normal", out)):
        return
    lines = out.read_text().splitlines()
    for label, act in PROGRAMS.items():
        if only not in label or len(layers_of(lines)) < 25:
            continue
        path = folder / f"{stem}.{label.replace(' ', '_').replace('%', 'pc')}.gcode"
        path.write_text("\n".join(act(lines)) + "\n")
        yield Case(f"{label}: {name}", "printer-220", design, path, honest=False)
    for label, factors in SCALES.items():
        path = folder / f"{stem}.{label.replace(' ', '_').replace('%', 'pc')}.gcode"
        if (
            only in label
            and scaled(design, factors, folder / f"{path.stem}.stl")
            and sliced(folder / f"{path.stem}.stl", "normal", path)
        ):
            yield Case(f"{label}: {name}", "printer-220", design, path, honest=False)
    path = folder / f"{stem}.hole.gcode"
    if (
        only in HOLE
        and hole_moved(design, folder / f"{path.stem}.stl")
        and sliced(folder / f"{path.stem}.stl", "normal", path)
    ):
        yield Case(f"{HOLE}: {name}", "printer-220", design, path, honest=False)


def hole_moved(design: Path, out: Path) -> bool:
    """The mesh with one round upright hole moved by half a millimetre; False without such a one."""
    mesh = trimesh.load_mesh(str(design))
    flat = np.flatnonzero(np.abs(mesh.face_normals[:, 2]) < 0.01)
    rows = np.isin(mesh.face_adjacency, flat).all(axis=1)
    best, moved = 0.0, np.empty(0, np.int64)
    label = connected(len(mesh.faces), mesh.face_adjacency[rows])
    for one in np.unique(label[flat]):
        faces = np.flatnonzero(label == one)
        corners = np.unique(mesh.faces[faces])
        height = round_hole(mesh, faces, corners)
        if height > best:
            best, moved = height, corners
    if not best:
        return False
    points = mesh.vertices.copy()
    points[moved, 0] += 0.5
    mesh.vertices = points
    mesh.export(str(out))
    return True


def connected(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """A label for each of `count` faces, the same for those that pairs connect."""
    label = np.arange(count)
    while (label[pairs[:, 0]] != label[pairs[:, 1]]).any():
        least = label[pairs].min(axis=1)
        np.minimum.at(label, pairs[:, 0], least)
        np.minimum.at(label, pairs[:, 1], least)
    return label


def round_hole(
    mesh: trimesh.Trimesh, faces: NDArray[np.int64], corners: NDArray[np.int64]
) -> float:
    """The height of an upright cylinder that is hollow, 1 to 8 mm in radius; else 0."""
    points = mesh.vertices[corners]
    low, high = points.min(axis=0), points.max(axis=0)
    middle, radius = (low[:2] + high[:2]) / 2, (high[0] - low[0]) / 2
    off = np.hypot(*(points[:, :2] - middle).T)
    inward = middle - mesh.triangles_center[faces][:, :2]
    hollow = (mesh.face_normals[faces][:, :2] * inward).sum(axis=1).min() > 0
    right = len(faces) > 11 and 1 <= radius <= 8 and np.abs(off - radius).max() < 0.02 * radius
    return float(high[2] - low[2]) if hollow and right else 0.0


def scaled(design: Path, factors: tuple[float, float, float], out: Path) -> bool:
    """The mesh with its axes scaled; False when 1 % of it is too little to see (under 60 mm)."""
    mesh = trimesh.load_mesh(str(design), process=False)
    size = mesh.extents
    told = [s for s, f in zip(size, factors, strict=True) if 0 < f != 1]
    if told and max(told) < 60:
        return False
    if math.prod(factors) < 0 and same_mirrored(mesh.vertices):
        return False
    mesh.vertices = mesh.vertices * factors
    if math.prod(factors) < 0:
        mesh.invert()
    mesh.export(str(out))
    return True


def same_mirrored(points: NDArray[np.float64]) -> bool:
    """Whether the mirrored corners, turned by quarters, are the corners again."""
    low, high = points.min(axis=0), points.max(axis=0)
    centred = points - (low + high) / 2
    known = {tuple(p) for p in np.round(centred, 1)}
    mirrored = centred * (-1, 1, 1)
    for _ in range(4):
        mirrored = mirrored[:, [1, 0, 2]] * (-1, 1, 1)
        if np.mean([tuple(p) in known for p in np.round(mirrored, 1)]) > 0.9:
            return True
    return False


# --- the tables --------------------------------------------------------------------------------


def table(cases: Iterator[Case], jobs: int) -> list[Told]:
    """Measure as the cases come, and print each row."""
    told: list[Told] = []
    with ThreadPoolExecutor(jobs) as hands:
        for one in hands.map(measured, cases):
            print(row(one), flush=True)
            told.append(one)
    return told


def main() -> int:
    """Print the tables; 1 if an honest program deviates or a sabotaged one passes."""
    parser = argparse.ArgumentParser(prog="./run bench metrology", description=__doc__)
    parser.add_argument("--only", default="", help="designs whose path has one of these words")
    parser.add_argument("--sabotage", default="", help="sabotages whose name contains this")
    parser.add_argument(
        "--recipes", default="plain,normal", help=f"of {', '.join(RECIPES)}; or all"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the programs here, and use those there")
    parser.add_argument("--skip", default="", help="honest or sabotage")
    args = parser.parse_args()
    recipes = list(RECIPES) if args.recipes == "all" else args.recipes.split(",")
    if args.folder:
        args.folder.mkdir(parents=True, exist_ok=True)
        return report(args, recipes, args.folder)
    with tempfile.TemporaryDirectory(prefix="metrology-") as temporary:
        return report(args, recipes, Path(temporary))


def report(args: argparse.Namespace, recipes: list[str], folder: Path) -> int:
    home, solids, drawings = found(folder)
    words = args.only.split(",")
    solids = [p for p in solids if any(w in str(p) for w in words)]
    drawings = [p for p in drawings if any(w in str(p) for w in words)]
    if shutil.which("prusa-slicer") is None:
        print("prusa-slicer is not installed: no prints are measured", flush=True)
        solids = []
    print(
        f"{'program':<58}{'verdict':<13}{'outline':>8}{'vol %':>8}{'mis':>4}{'ext':>4}", flush=True
    )
    honest: list[Told] = []
    if args.skip != "honest":
        honest = table((c for p in solids for c in prints(p, home, folder, recipes)), args.jobs)
        honest += table((c for p in drawings for c in cuts(p, home, folder)), args.jobs)
        print(f"honest programs found within: {sum(t.right for t in honest)} of {len(honest)}")
    bad: list[Told] = []
    if args.skip != "sabotage":
        cases = (c for p in solids for c in spoiled(p, home, folder, args.sabotage))
        bad = table(cases, args.jobs)
        labels = list(dict.fromkeys(t.case.name.partition(":")[0] for t in bad))
        for label in labels:
            same = [t for t in bad if t.case.name.startswith(f"{label}:")]
            print(f"{label:<58}detected {sum(t.right for t in same)} of {len(same)}")
    return 0 if all(t.right for t in [*honest, *bad]) else 1


if __name__ == "__main__":
    sys.exit(main())
