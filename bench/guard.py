"""What the guard makes of untouched slicer output: false rejects and reviews, and its speed"""

import argparse
import dataclasses
import hashlib
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from firmware_bridge import profiles
from firmware_bridge.guard import judge

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "designs"
LIBRARY = ROOT / "designs" / "library"
CURA_DEFINITIONS = Path("/usr/share/cura/resources/definitions")
PRINTER = "generic-fdm-220"

# A slicer's own words for a plain machine of 220 × 220 mm with one nozzle.
PRUSA_PLAIN = {
    "center": "110,110", "filament-diameter": "1.75", "nozzle-diameter": "0.4",
    "temperature": "210", "first-layer-temperature": "215",
    "bed-temperature": "60", "first-layer-bed-temperature": "60",
    "start-gcode": "G28 ; home all axes\nG1 Z5 F5000 ; lift nozzle\n",
    "end-gcode": "M104 S0 ; turn off temperature\nG28 X0  ; home X axis\nM84\n",
}  # fmt: skip
PRUSA: dict[str, dict[str, str]] = {
    "prusa 0.1 mm, relative E, lifts": {
        "layer-height": "0.1", "gcode-flavor": "marlin2", "layer-gcode": "G92 E0",
        "retract-lift": "0.4", "use-relative-e-distances": "", "skirts": "2",
    },
    "prusa 0.2 mm": {"layer-height": "0.2", "gcode-flavor": "marlin2"},
    "prusa 0.3 mm, brim, supports": {
        "layer-height": "0.3", "gcode-flavor": "marlin", "brim-width": "5", "support-material": "",
    },
}  # fmt: skip
CURA_PLAIN = {
    "machine_width": "220", "machine_depth": "220", "machine_height": "250",
    "machine_center_is_zero": "false", "machine_nozzle_size": "0.4", "center_object": "true",
    "roofing_layer_count": "0", "material_diameter": "1.75",
    "material_print_temperature": "210", "material_print_temperature_layer_0": "210",
    "material_initial_print_temperature": "200", "material_final_print_temperature": "195",
    "material_bed_temperature": "60", "material_bed_temperature_layer_0": "60",
    "machine_gcode_flavor": "RepRap (Marlin/Sprinter)",
    "machine_start_gcode": "G28 ;Home\nG1 Z15.0 F6000\nG92 E0\nG1 F200 E3\nG92 E0",
    "machine_end_gcode": "M104 S0\nM140 S0\nG92 E1\nG1 E-1 F300\nG28 X0 Y0\nM84",
}  # fmt: skip
CURA: dict[str, dict[str, str]] = {
    "cura 0.1 mm, Z hop, jerk": {
        "layer_height": "0.1", "layer_height_0": "0.2", "retraction_hop_enabled": "true",
        "acceleration_enabled": "true", "jerk_enabled": "true",
    },
    "cura 0.2 mm": {"layer_height": "0.2", "layer_height_0": "0.2"},
    "cura 0.3 mm, brim, supports": {
        "layer_height": "0.3", "layer_height_0": "0.3", "support_enable": "true",
        "adhesion_type": "brim", "relative_extrusion": "true",
    },
}  # fmt: skip

# What people turn on; `--wide` tries them all.
PRUSA_WIDE: dict[str, dict[str, str]] = {
    "vase": {"spiral-vase": "", "perimeters": "1", "top-solid-layers": "0", "fill-density": "0"},
    "relative E, comments": {
        "use-relative-e-distances": "", "layer-gcode": "G92 E0", "gcode-comments": "",
    },
    "firmware retraction": {"use-firmware-retraction": ""},
    "raft": {"raft-layers": "3", "support-material": ""},
    "ironing": {"ironing": "", "ironing-type": "solid"},
    "one by one": {
        "complete-objects": "", "duplicate": "3", "extruder-clearance-radius": "12",
        "extruder-clearance-height": "60", "rotate": "45",
    },
    "four, labelled": {"duplicate": "4", "gcode-label-objects": ""},
    "lifts and wipes": {"retract-lift": "1.2", "wipe": "", "retract-before-wipe": "70%"},
    "fuzzy": {"fuzzy-skin": "all"},
    "draft shield": {"draft-shield": "enabled", "skirts": "1"},
    "0.05 mm": {"layer-height": "0.05", "first-layer-height": "0.2"},
    "0.6 mm": {"layer-height": "0.6", "first-layer-height": "0.4", "nozzle-diameter": "0.8"},
    "limits": {"machine-limits-usage": "emit_to_gcode", "gcode-flavor": "marlin2"},
    "fast": {"travel-speed": "500", "perimeter-speed": "300", "infill-speed": "300"},
    "long retraction": {"retract-length": "6.5", "retract-restart-extra": "0.05"},
    "lower": {"z-offset": "-0.05"},
    "slow layers": {"slowdown-below-layer-time": "60", "min-print-speed": "5"},
}  # fmt: skip
CURA_WIDE: dict[str, dict[str, str]] = {
    "vase": {"magic_spiralize": "true", "top_layers": "0", "infill_sparse_density": "0"},
    "raft": {"adhesion_type": "raft"},
    "firmware retraction": {"machine_firmware_retract": "true"},
    "lifts": {"retraction_hop_enabled": "true", "retraction_hop": "1", "retraction_combing": "off"},
    "ironing": {"ironing_enabled": "true"},
    "fuzzy": {"magic_fuzzy_skin_enabled": "true"},
    "trees": {"support_enable": "true", "support_structure": "tree"},
    "adaptive": {"adaptive_layer_height_enabled": "true"},
    "waits for layers": {"cool_lift_head": "true", "cool_min_layer_time": "20"},
    "coasting": {"coasting_enable": "true"},
    "0.05 mm": {"layer_height": "0.05", "layer_height_0": "0.2"},
    "0.6 mm": {"layer_height": "0.6", "layer_height_0": "0.5", "machine_nozzle_size": "0.8"},
    "fast": {"speed_print": "300", "speed_travel": "500", "acceleration_enabled": "true"},
    "draft shield": {"draft_shield_enabled": "true"},
    "thick infill": {"infill_sparse_thickness": "0.4", "infill_pattern": "gyroid"},
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Sliced:
    profile: str
    design: str
    file: Path


def designs(shared: Path, folder: Path) -> list[Path]:
    """Meshes to slice: the open designs beside this checkout, or else our own library's."""
    if shared.is_dir():
        found = [p for p in shared.rglob("*") if p.suffix.lower() in (".stl", ".3mf")]
        return sorted(found)
    return sorted(_built(folder))


def _built(folder: Path) -> Iterator[Path]:
    for make in sorted(LIBRARY.glob("*/make.py")):
        out = folder / make.parent.name
        out.mkdir()
        spec = importlib.util.spec_from_file_location(f"library_{make.parent.name}", make)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.build(out)
        yield from (p for p in out.rglob("*") if p.suffix.lower() in (".stl", ".3mf"))


def wanted(
    meshes: list[Path], folder: Path, cura: Path, wide: bool
) -> Iterator[tuple[Sliced, list[str]]]:
    """Every mesh at every profile, each with the command that slices it."""
    prusa_profiles = {f"prusa {name}": told for name, told in PRUSA_WIDE.items()} if wide else PRUSA
    cura_profiles = {f"cura {name}": told for name, told in CURA_WIDE.items()} if wide else CURA
    with_cura = cura.is_dir() and shutil.which("CuraEngine")
    for number, mesh in enumerate(meshes):
        for name, settings in prusa_profiles.items():
            out = folder / f"{number} {name}.gcode"
            yield Sliced(name, mesh.name, out), _prusa(mesh, out, settings)
        for name, settings in (
            cura_profiles.items() if with_cura and mesh.suffix.lower() == ".stl" else ()
        ):
            out = folder / f"{number} {name}.gcode"
            yield Sliced(name, mesh.name, out), _cura(mesh, out, settings, cura)


def _prusa(mesh: Path, out: Path, settings: dict[str, str]) -> list[str]:
    words = [
        word
        for key, value in {**PRUSA_PLAIN, **settings}.items()
        for word in ([f"--{key}", value] if value else [f"--{key}"])
    ]
    return ["prusa-slicer", "--export-gcode", *words, "-o", str(out), str(mesh)]


def _cura(mesh: Path, out: Path, settings: dict[str, str], cura: Path) -> list[str]:
    words = [
        w for key, value in {**CURA_PLAIN, **settings}.items() for w in ("-s", f"{key}={value}")
    ]
    definition = str(cura / "fdmprinter.def.json")
    command = ["CuraEngine", "slice", "-j", definition, *words, "-e0", *words]  # its filament too
    return [*command, "-l", str(mesh), "-o", str(out)]


def slice_all(meshes: list[Path], folder: Path, cura: Path, wide: bool) -> list[Sliced]:
    """What the slicers made; what they would not slice is counted and left out."""
    env = {**os.environ, "CURA_ENGINE_SEARCH_PATH": f"{cura}:{cura.parent / 'extruders'}"}

    def one(job: tuple[Sliced, list[str]]) -> Sliced | None:
        sliced, command = job
        try:
            subprocess.run(command, env=env, capture_output=True, check=True, timeout=600)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return None
        return sliced if sliced.file.is_file() and sliced.file.stat().st_size else None

    with ThreadPoolExecutor(2) as two:
        done = list(two.map(one, wanted(meshes, folder, cura, wide)))
    made = [sliced for sliced in done if sliced is not None]
    print(
        f"{len(meshes)} designs, {len(made)} programs; {len(done) - len(made)} the slicer refused"
    )
    return made


def verdicts(programs: list[Sliced]) -> bool:
    """The table by profile; True when false rejects and reviews are within the house's limits."""
    printer = profiles.load(PRINTER)
    counts: dict[str, Counter[str]] = {}
    for sliced in programs:
        verdict = judge(sliced.file, printer)
        count = counts.setdefault(sliced.profile, Counter())
        count[verdict.decision] += 1
        count["tamed"] += bool(verdict.footer)
        if verdict.decision != "accept":
            first = next(f for f in verdict.findings if f.severity != "note")
            print(f"  {sliced.design}, {sliced.profile}: line {first.line}: {first.message}")
    print(f"\n{'profile':<34}{'programs':>9}{'accept':>8}{'tamed':>7}{'review':>8}{'reject':>8}")
    for name, count in sorted(counts.items()):
        total = count["accept"] + count["review"] + count["reject"]
        cells = (total, count["accept"], count["tamed"], count["review"], count["reject"])
        print(f"{name:<34}{cells[0]:>9}{cells[1]:>8}{cells[2]:>7}{cells[3]:>8}{cells[4]:>8}")
    reviews = 100 * sum(c["review"] for c in counts.values()) / len(programs)
    rejects = 100 * sum(c["reject"] for c in counts.values()) / len(programs)
    print(f"false rejects {rejects:.2f} % (at most 0.1 %), reviews {reviews:.2f} % (at most 2 %)")
    return rejects <= 0.1 and reviews <= 2


def speeds(programs: list[Sliced], rounds: int) -> float:
    """MB/s of one core over the whole corpus, beside two bounds, interleaved; medians."""
    data = [sliced.file.read_bytes() for sliced in programs]
    size_mb = sum(map(len, data)) / 1e6
    printer = profiles.load(PRINTER)
    contestants: dict[str, Callable[[bytes], object]] = {
        "the guard": lambda program: judge(program, printer),
        "lines, and nothing else": _only_lines,
        "SHA-256": lambda program: hashlib.sha256(program).digest(),
    }
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            begun = time.process_time()
            for program in data:
                work(program)
            taken[name].append(size_mb / (time.process_time() - begun))
    print(f"\n{size_mb:.0f} MB of G-code, median of {rounds}, MB/s of one core's time")
    rates = {name: statistics.median(rate) for name, rate in taken.items()}
    for name, rate in rates.items():
        ratio = rates["the guard"] / rate
        print(f"{name:<26}{rate:>9.1f}   the guard at {100 * ratio:.1f} % of it")
    return rates["the guard"]


def _only_lines(program: bytes) -> int:
    count = 0
    for line in program.split(b"\n"):
        if line and line[0] != 59:
            count += 1
    return count


def main() -> int:
    parser = argparse.ArgumentParser(
        "run bench guard",
        description="Slices open designs with what slicers are here, asks the guard about every"
        " program, and measures how fast it answers.",
    )
    parser.add_argument("--designs", type=Path, default=SHARED, help="a folder of STL and 3MF")
    parser.add_argument("--cura", type=Path, default=CURA_DEFINITIONS, help="Cura's definitions")
    parser.add_argument("--few", type=int, help="only so many designs")
    parser.add_argument("--wide", action="store_true", help="other settings, one at a time")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cosmolocal-guard-") as folder:
        meshes = designs(asked.designs, Path(folder))[: asked.few]
        programs = slice_all(meshes, Path(folder), asked.cura, asked.wide)
        if not programs:
            print("nothing could be sliced: is prusa-slicer here?", file=sys.stderr)
            return 3
        fine = verdicts(programs)
        rate = speeds(programs, asked.rounds)
    print(f"{'ok' if fine and rate >= 3 else 'MISSED'}: at least 3 MB/s, and the limits above")
    return 0 if fine and rate >= 3 else 1


if __name__ == "__main__":
    sys.exit(main())
