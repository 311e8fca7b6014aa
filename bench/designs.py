"""What looking at designs costs: facts beside trimesh and ezdxf, a million triangles, pictures

Publishing, searching and recalling are measured by `designs_publish`, `designs_search` and
`designs_recall` beside it.
"""

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from designs import bounded
from designs.errors import DesignRefused
from designs.geometry.drawing import drawing_facts, read_drawing
from designs.geometry.mesh import STL_RECORD, Mesh, mesh_facts, read_mesh, write_stl
from designs.geometry.picture import glb, thumbnail

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "designs"
TIMES = 5
SOLIDS, DRAWINGS = (".stl", ".3mf"), (".dxf",)


@dataclass(frozen=True)
class Row:
    """One figure. `target` is what the house promises, None where it only tells."""

    name: str
    value: float
    unit: str
    target: float | None = None
    cpu_s: float | None = None
    peak_mb: float | None = None
    note: str = ""

    @property
    def missed(self) -> bool:
        return self.target is not None and self.value > self.target

    def text(self) -> str:
        promised = "" if self.target is None else f"≤ {self.target:g}"
        used = "" if self.cpu_s is None else f"{self.cpu_s:.2f} s cpu"
        peak = "" if self.peak_mb is None else f"{self.peak_mb:.0f} MB"
        flag = "  <-- missed" if self.missed else ""
        figure = f"{self.value:>10.3f} {self.unit:<6}"
        return f"{self.name:<46}{figure}{promised:>8}{used:>13}{peak:>9}  {self.note}{flag}"


# ── facts beside trimesh and ezdxf alone ─────────────────────────────────────────────────────


def _of_mesh(path: Path) -> object:
    return mesh_facts(read_mesh(path, path.suffix))


def _of_drawing(path: Path) -> object:
    return drawing_facts(read_drawing(path, path.suffix))


def _trimesh(path: Path) -> object:
    """The same figures by trimesh, which counts no pieces without scipy or networkx."""
    import trimesh

    mesh: Any = trimesh.load(path, force="mesh")
    return mesh.volume, mesh.area, mesh.extents, mesh.is_watertight, len(mesh.faces)


def _ezdxf(path: Path) -> object:
    """Outlines by ezdxf, areas and lengths by shapely; nothing is nested, joined or checked."""
    import ezdxf
    import ezdxf.path
    import shapely

    space = ezdxf.readfile(path).modelspace()  # pyright: ignore[reportPrivateImportUsage]
    kinds = {"LINE", "ARC", "CIRCLE", "ELLIPSE", "SPLINE", "LWPOLYLINE", "POLYLINE", "INSERT"}
    drawn: list[Any] = []
    for entity in space:
        whole: Any = entity
        parts: Any = whole.virtual_entities() if whole.dxftype() == "INSERT" else [whole]
        drawn += [part for part in parts if part.dxftype() in kinds - {"INSERT"}]
    lines = [
        [(v.x, v.y) for v in ezdxf.path.make_path(entity).flattening(0.01)] for entity in drawn
    ]
    faces = shapely.polygonize([shapely.LineString(line) for line in lines if len(line) > 1])
    return shapely.area(faces), shapely.length(faces), shapely.total_bounds(faces)


@dataclass(frozen=True)
class _Beside:
    ours: float
    theirs: float
    megabytes: float
    worst: str
    worst_ratio: float
    files: int
    left_out: int


def _beside(
    files: Sequence[Path], ours: Callable[[Path], object], theirs: Callable[[Path], object]
) -> _Beside:
    """Seconds of processor time for all files; the best of `TIMES` of each, taken in turns."""
    both: list[tuple[float, float, Path]] = []
    left_out = 0
    for path in files:
        try:
            ours(path)
            theirs(path)
        except (DesignRefused, ModuleNotFoundError):  # of 3MF trimesh asks for networkx, too
            left_out += 1
            continue
        taken = [(_cpu_s(ours, path), _cpu_s(theirs, path)) for _ in range(TIMES)]
        both.append((min(a for a, _ in taken), min(b for _, b in taken), path))
    one, other, name = max(both, key=lambda row: row[0] / row[1])
    size = sum(path.stat().st_size for _, _, path in both) / 1e6
    total = sum(a for a, _, _ in both), sum(b for _, b, _ in both)
    return _Beside(*total, size, name.name, one / other, len(both), left_out)


def _cpu_s(function: Callable[[Path], object], path: Path) -> float:
    gc.collect()
    began = time.process_time()
    function(path)
    return time.process_time() - began


def facts(folder: Path) -> Iterator[Row]:
    del folder
    files = sorted(p for p in SHARED.rglob("*") if p.is_file())
    sorts = (
        ("solids", "trimesh", SOLIDS, _of_mesh, _trimesh),
        ("DXF drawings", "ezdxf", DRAWINGS, _of_drawing, _ezdxf),
    )
    for what, peer, endings, ours, theirs in sorts:
        chosen = [p for p in files if p.suffix.lower() in endings]
        if not chosen:
            print(f"bench designs: no {what} in {SHARED}", file=sys.stderr)
            continue
        told = _beside(chosen, ours, theirs)
        yield Row(
            f"facts of {told.files} {what} / {peer} alone",
            told.ours / told.theirs,
            "x",
            cpu_s=told.ours,
            note=f"{peer} {told.theirs:.2f} s; worst {told.worst_ratio:.2f} x, {told.worst}"
            + (f"; {told.left_out} that not both read left out" if told.left_out else ""),
        )
        yield Row(f"facts of {what}", told.megabytes / told.ours, "MB/s")


# ── large files, in the bounded child ────────────────────────────────────────────────────────


def torus(sides: int) -> Mesh:
    """2 x sides² triangles, 98 x 98 x 18 mm."""
    turns = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring, tube = np.meshgrid(turns, turns, indexing="ij")
    out = 40 + 9 * np.cos(tube)
    points = np.stack([out * np.cos(ring), out * np.sin(ring), 9 * np.sin(tube)], -1)
    i, j = (a.ravel() for a in np.mgrid[0:sides, 0:sides])
    on, over = (i + 1) % sides, (j + 1) % sides
    a, b, c, d = i * sides + j, on * sides + j, on * sides + over, i * sides + over
    return Mesh(points.reshape(-1, 3), np.concatenate([np.c_[a, b, c], np.c_[a, c, d]]))


def sheet_of_noise(triangles: int) -> Mesh:
    """A scanned thing: a block whose top is rough, so that nothing lies in order."""
    side = int(np.sqrt(triangles / 4))
    mesh = torus(side)
    rng = np.random.default_rng(5)
    order = rng.permutation(len(mesh.faces))
    return Mesh(mesh.vertices + rng.normal(0, 0.01, mesh.vertices.shape), mesh.faces[order])


def million(folder: Path) -> Iterator[Row]:
    for name, mesh in (("a torus", torus(708)), ("a rough scan", sheet_of_noise(2_004_000))):
        path = folder / "million.stl"
        write_stl(mesh, path)
        where = f"{len(mesh.faces):,} triangles, {path.stat().st_size / 1e6:.0f} MB"
        asked: list[bounded.Json] = [str(path), "stl", "3d_printing_fdm", "pla", None]
        told = _in_a_child("designs.inspect:judge", asked)
        yield Row(f"checked: {name}", told["wall"], "s", 3.0, told["cpu"], told["peak"], where)
        told = _in_a_child("designs.inspect:examine", [*asked, str(folder)])
        model = f"model.glb {(folder / 'model.glb').stat().st_size / 1e6:.2f} MB"
        what = f"the same with pictures and model: {name}"
        yield Row(what, told["wall"], "s", None, told["cpu"], told["peak"], model)


def _in_a_child(target: str, args: list[bounded.Json]) -> dict[str, float]:
    """Wall and processor seconds and peak resident MB of one `bounded.run`, the best of three.

    Asked from a process of its own, whose only descendant is the child.
    """
    command = [sys.executable, "-P", "-m", "bench.designs", "--child", json.dumps([target, args])]
    runs = [
        cast(
            "dict[str, float]",
            json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout),
        )
        for _ in range(3)
    ]
    return min(runs, key=lambda run: run["wall"])


def _child(task: str) -> None:
    target, args = json.loads(task)
    began = time.perf_counter()
    bounded.run(target, *args)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "wall": time.perf_counter() - began,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss / 1024,
    }
    print(json.dumps(told))


def pictures(folder: Path) -> Iterator[Row]:
    del folder
    mesh = torus(224)
    where = f"{len(mesh.faces):,} triangles"
    walls, cpus = zip(*(_both_s(lambda: thumbnail(mesh)) for _ in range(TIMES)), strict=True)
    yield Row("thumbnail", min(walls), "s", 1.0, statistics.median(cpus), None, where)
    walls, cpus = zip(*(_both_s(lambda: glb(mesh)) for _ in range(TIMES)), strict=True)
    yield Row("model for the viewer", min(walls), "s", None, statistics.median(cpus), None, where)
    yield Row("its size", len(glb(mesh)) / 1e6, "MB", 1.0, None, None, where)


def _both_s(function: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def empty_child(folder: Path) -> Iterator[Row]:
    """What every check pays before it reads a byte."""
    path = folder / "cube.stl"
    records = np.zeros(12, dtype=STL_RECORD)
    corners = np.array([[x, y, z] for x in (0, 20) for y in (0, 20) for z in (0, 20)])
    records["corners"] = corners[
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
         [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    ]  # fmt: skip
    path.write_bytes(b"\0" * 80 + (12).to_bytes(4, "little") + records.tobytes())
    told = _in_a_child("designs.inspect:judge", [str(path), "stl", "3d_printing_fdm", "pla", None])
    yield Row("checked: a cube, start of the child included", told["wall"], "s", None,
              told["cpu"], told["peak"])  # fmt: skip


ROWS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "facts": facts,
    "cube": empty_child,
    "million": million,
    "pictures": pictures,
}


def main() -> int:
    """Print a line for each figure; 1 if a promise is missed."""
    parser = argparse.ArgumentParser(prog="./run bench designs", description=__doc__)
    parser.add_argument("--only", choices=ROWS, action="append", help="these rows; again for more")
    parser.add_argument("--json", action="store_true", help="a JSON list on standard output")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _child(args.child)
        return 0
    told: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-designs-") as folder:
        for name in args.only or ROWS:
            for row in ROWS[name](Path(folder)):
                told.append(row)
                if not args.json:
                    print(row.text(), flush=True)
    if args.json:
        print(json.dumps([asdict(row) | {"missed": row.missed} for row in told], indent=1))
    return 1 if any(row.missed for row in told) else 0


if __name__ == "__main__":
    sys.exit(main())
