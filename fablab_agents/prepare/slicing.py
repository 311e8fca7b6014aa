"""Slices a rebuilt solid with PrusaSlicer in a box, on settings that are ours to the last key.

It never sees an original file, and an exit status is no proof to it: `solids` judges the program.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from designs.errors import Finding
from fablab_agents.prepare import sandbox
from fablab_agents.prepare.order import PrepareRefused, SlicerMissing, refusal
from fablab_agents.prepare.post import number, plain
from fablab_agents.prepare.recipes import Filament
from firmware_bridge.profiles import Fdm, MachineProfile

TYPE, SUPPORT = ";TYPE:", ";TYPE:Support material"
"""A slicer's mark that beads of a kind follow; the second one's and its interface's are support."""
SLICERS = ("prusa-slicer", "PrusaSlicer", "prusa-slicer-console")
INSTALL = "sudo apt-get install --no-install-recommends prusa-slicer"
Size = tuple[float, float, float]
PURGE_EDGE_MM, PURGE_CLEAR_MM = 3.0, 5.0
PURGE_MM, PURGE_FILAMENT_MM = 60.0, 4.0
PARK_MM = 10.0

_DURATION = re.compile(r"; estimated printing time \(normal mode\) = (.*)")
_GRAMS = re.compile(r"; filament used \[g\] = ([0-9.]+)")
_UNIT_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Slicer:
    path: str
    version: str


@dataclass(frozen=True)
class Sliced:
    text: str
    seconds: int
    box: sandbox.Box


def find_slicer() -> Slicer:
    """The installed PrusaSlicer; raises `SlicerMissing` with the line to type."""
    path = next((found for name in SLICERS if (found := shutil.which(name))), None)
    if path is None:
        raise SlicerMissing(INSTALL)
    return Slicer(path, _version(path))


@cache
def _version(path: str) -> str:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="cosmolocal-") as folder:
        ran = sandbox.run([path, "--help"], Path(folder), sandbox.Limits(30, 60))
    found = re.search(r"PrusaSlicer-\S+", ran.said)
    if found is None:
        raise SlicerMissing(INSTALL)
    return found[0]


# ── the machine's own part of the settings ───────────────────────────────────────────────────


def settings(
    shared: Mapping[str, str],
    filament: Filament,
    profile: MachineProfile,
    solid_mm: Size,
    *,
    exact_layers: bool = False,
) -> dict[str, str]:
    """The whole PrusaSlicer configuration for this part on this printer, ours to the last key."""
    fdm = profile.fdm
    if fdm is None:
        raise PrepareRefused([refusal(profile.name, "it is not a printer", "choose a printer")])
    usual = shared["layer_height"]
    return {
        **shared,
        "layer_height": usual if exact_layers else fitted_layer_mm(shared, solid_mm[2]),
        **_machine_settings(profile, fdm),
        **_filament_settings(filament, fdm),
        "start_gcode": _gcode(_start(filament, _purge(shared, profile, solid_mm))),
        "end_gcode": _gcode(_end(profile)),
    }


def fitted_layer_mm(shared: Mapping[str, str], height_mm: float) -> str:
    """The layer height nearest to the recipe's with which whole layers end at the part's top."""
    first, usual = float(shared["first_layer_height"]), float(shared["layer_height"])
    layers = max(1, round((height_mm - first) / usual))
    fitted = (height_mm - first) / layers
    return f"{fitted:.6f}" if 0.5 * usual <= fitted <= 1.25 * usual else f"{usual}"


def _machine_settings(profile: MachineProfile, fdm: Fdm) -> dict[str, str]:
    (x0, y0, _), (x1, y1, z1) = profile.envelope_mm
    corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    wall = number(1.125 * fdm.nozzle_mm)
    widths = ("", "perimeter_", "external_perimeter_", "first_layer_", "infill_", "solid_infill_")
    feed = number(profile.feed_max_mm_min / 60)
    return {
        "bed_shape": ",".join(f"{number(x)}x{number(y)}" for x, y in corners),
        "max_print_height": number(z1),
        "nozzle_diameter": number(fdm.nozzle_mm),
        "retract_length": "0.8",
        **{f"{name}extrusion_width": wall for name in widths},
        "top_infill_extrusion_width": number(fdm.nozzle_mm),
        "machine_max_feedrate_x": feed,
        "machine_max_feedrate_y": feed,
    }


def _filament_settings(filament: Filament, fdm: Fdm) -> dict[str, str]:
    return {
        "filament_diameter": number(fdm.filament_mm),
        "first_layer_temperature": str(filament.first_nozzle_c),
        "temperature": str(filament.nozzle_c),
        "first_layer_bed_temperature": str(filament.first_bed_c),
        "bed_temperature": str(filament.bed_c),
        "min_fan_speed": str(filament.fan_min),
        "max_fan_speed": str(filament.fan_max),
        "bridge_fan_speed": str(filament.fan_max),
        "filament_max_volumetric_speed": number(filament.max_mm3_s),
    }


def _start(filament: Filament, purge: list[str]) -> list[str]:
    bed, nozzle = filament.first_bed_c, filament.first_nozzle_c
    heat = [f"M140 S{bed}", f"M104 S{nozzle}", "G28", f"M190 S{bed}", f"M109 S{nozzle}"]
    return ["G21", "G90", "M83", *heat, "G92 E0", "G1 Z5 F600", *purge]


def _purge(shared: Mapping[str, str], profile: MachineProfile, solid_mm: Size) -> list[str]:
    """A line along the front edge that fills the nozzle, on first-layer height; none without room.

    Apart from the part, where a line around it would be in the way of looking at its first layer.
    """
    low, high = profile.envelope_mm
    front_mm = (high[1] - low[1] - solid_mm[1]) / 2
    if front_mm < PURGE_EDGE_MM + PURGE_CLEAR_MM or high[0] - low[0] < 2 * PURGE_MM:
        return []
    x, y = low[0] + PURGE_EDGE_MM, number(low[1] + PURGE_EDGE_MM)
    down = f"G1 Z{shared['first_layer_height']} F600"
    line = f"G1 X{number(x + PURGE_MM)} E{number(PURGE_FILAMENT_MM)} F900"
    return [f"G1 X{number(x)} Y{y} F6000", down, line, "G92 E0", "G1 Z2 F600"]


def _end(profile: MachineProfile) -> list[str]:
    low, high = profile.envelope_mm
    top = f"{{min(max_layer_z + {number(PARK_MM)}, {number(high[2])})}}"
    park = f"G1 X{number(low[0])} Y{number(high[1])} F6000"
    return ["M104 S0", "M140 S0", "M107", f"G1 Z{top} F600", park, "M84"]


def _gcode(lines: list[str]) -> str:
    return "\\n".join(lines)


# ── running it ───────────────────────────────────────────────────────────────────────────────


def slice_solid(
    slicer: Slicer, solid: Path, config: Mapping[str, str], folder: Path, limits: sandbox.Limits
) -> Sliced:
    """PrusaSlicer's program for this STL (already placed), cleaned; raises `PrepareRefused`."""
    ini, out = folder / "recipe.ini", folder / "sliced.gcode"
    ini.write_text("".join(f"{k} = {v}\n" for k, v in sorted(config.items())), encoding="utf-8")
    own = ["--datadir", str(folder / "data"), "--loglevel", "1", "--load", str(ini)]
    argv = [
        slicer.path,
        *own,
        "--merge",
        "--dont-arrange",
        "--export-gcode",
        str(solid),
        "-o",
        str(out),
    ]
    ran = sandbox.run(argv, folder, limits)
    if ran.stopped or ran.status != 0 or not out.exists():
        raise PrepareRefused([_gave_up(ran)])
    raw = out.read_text(encoding="utf-8", errors="replace")
    return Sliced(cleaned(raw), _seconds(raw), ran.box)


_REASONS = (
    # (what the slicer says, what that means, what to do)
    (
        "no extrusions in the first layer",
        "nothing of it stands on the bed: it begins with a point or an edge, thinner than one line",
        "let it lie on a flat side: turn it by orientation_deg in its recipe, or flatten the model",
    ),
    (
        "The print is empty",
        "all of it is thinner than one line of this printer",
        "make it thicker, or check the units of the file",
    ),
    (
        "No layers were detected",
        "it is lower than one layer",
        "make it higher, turn it by orientation_deg in its recipe, or check the units of the file",
    ),
)
_USUAL = "simplify or repair the model"
_STAMP = re.compile(r"(\[[^\]]*\] )*\[(?P<level>\w+)\]\s+")
_BESIDE = re.compile(r"\d+ (=>|%)|Object name:|Make sure |print warning:|Slicing result")
"""How lines begin that tell how far it is and of what it speaks, and never why it gave up."""


def _gave_up(ran: sandbox.Ran) -> Finding:
    """Why there is no program, in words for whoever has the part; else in the slicer's own."""
    if ran.stopped:
        return refusal("slicing", f"the slicer was stopped: {ran.stopped}", _USUAL)
    for said, what, do in _REASONS:
        if said in ran.said:
            return refusal("the part", what, do)
    words = _words(ran.said)
    told = f"and said: {plain(words[-1])}" if words else "without a word"
    return refusal("slicing", f"the slicer gave up (status {ran.status}) {told}", _USUAL)


def _words(said: str) -> list[str]:
    """Its lines that may tell why, without time and thread: errors alone, where it marks some."""
    errors, others = list[str](), list[str]()
    for line in filter(None, map(str.strip, said.splitlines())):
        stamp = _STAMP.match(line)
        if stamp and stamp["level"] in {"error", "fatal"}:
            errors.append(line[stamp.end() :])
        elif not stamp and not _BESIDE.match(line):
            others.append(line)
    return errors or others


_COMMAND = re.compile(r"[GMT]\d{1,4}( [A-Z]-?[0-9.]*)*")


def cleaned(raw: str) -> str:
    """The commands alone: no comments, dates, echoed settings or blank lines, but for marks where
    support begins and ends.

    Anything that is not a plain command refuses: 2.5 has written out unset memory before.
    """
    lines, marked = list[str](), False
    for raw_line in raw.split("\n"):
        if raw_line.startswith(TYPE) and raw_line.startswith(SUPPORT) != marked:
            marked = not marked
            lines.append(SUPPORT if marked else f"{TYPE}Part")
        lines += filter(None, [raw_line.split(";", 1)[0].strip()])
    told = (line for line in lines if not line.startswith(TYPE))
    strange = next((line for line in told if not _COMMAND.fullmatch(line)), None)
    if strange is not None:
        what = f"the slicer wrote something that is no command: {plain(strange)!r}"
        raise PrepareRefused(
            [refusal("slicing", what, "report this as a fault of the preparation")]
        )
    return "".join(f"{line}\n" for line in lines)


def _seconds(raw: str) -> int:
    found = _DURATION.search(raw)
    if found is None:
        return 0
    parts = re.findall(r"(\d+)([dhms])", found[1])
    return sum(int(count) * _UNIT_S[unit] for count, unit in parts)
