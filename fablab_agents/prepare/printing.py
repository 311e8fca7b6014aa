"""Printed parts, seen from the agent: rebuild in one child, slice in a box, judge in another.

It hands the slicer nothing but our own STL and settings, and believes nothing it says.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from designs import bounded
from designs.errors import Finding
from fablab_agents.prepare import recipes, sandbox, slicing
from fablab_agents.prepare.order import (
    Judged,
    Made,
    Order,
    Placement,
    Printing,
    Solid,
    refusal,
    refuse_if_any,
    save,
)
from fablab_agents.prepare.post import plain
from firmware_bridge.profiles import MachineProfile

LIMITS = sandbox.Limits(cpu_s=120, wall_s=300, memory_bytes=1 << 30)


def tool(_: Order) -> str:
    """What besides the order decides the program: the slicer's version."""
    return slicing.find_slicer().version


def make(order: Order, program: Path) -> Made:
    """The program for this order, written to `program`; raises `DesignRefused`, `SlicerMissing`."""
    slicer = slicing.find_slicer()
    shared = recipes.print_settings(order.quality)
    filament = recipes.filament(order.material)
    with tempfile.TemporaryDirectory(prefix="cosmolocal-") as name:
        folder, stl = Path(name), Path(name) / "part.stl"
        solid = _rebuilt(order, stl)
        config = slicing.settings(shared, filament, order.profile, solid.size_mm)
        sliced = slicing.slice_solid(slicer, stl, config, folder, LIMITS)
        title = f"; cosmolocal {plain(order.part_name)}, {plain(order.material)}\n"
        save(program, title + sliced.text)
        judged = _judged(order, program, stl, config)
    facts = {**judged.facts, "slicer": slicer.version, "box": sliced.box}
    seconds = sliced.seconds + filament.heating_s
    return _told(order, program, solid, judged.model_copy(update={"facts": facts}), seconds)


def _rebuilt(order: Order, stl: Path) -> Solid:
    low, high = order.profile.envelope_mm
    middle: list[bounded.Json] = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2]
    asked = (str(order.file_path), order.format, str(stl), middle)
    solid = Solid.model_validate(bounded.run("fablab_agents.prepare.solids:rebuild", *asked))
    refuse_if_any(_too_large(solid, order.profile))
    return solid


def _too_large(solid: Solid, profile: MachineProfile) -> Iterator[Finding]:
    low, high = profile.envelope_mm
    for k, word in enumerate(("wide", "deep", "tall")):
        limit = high[k] - low[k]
        if solid.size_mm[k] > limit:
            what = (
                f"the part is {solid.size_mm[k]:g} mm {word}; this printer's limit is {limit:g} mm"
            )
            yield refusal("size", what, "choose a larger printer, or divide the part")


def _judged(order: Order, program: Path, stl: Path, config: Mapping[str, str]) -> Judged:
    heats = (
        "first_layer_temperature",
        "temperature",
        "first_layer_bed_temperature",
        "bed_temperature",
    )
    want = Printing(
        layer_mm=float(config["layer_height"]),
        first_layer_mm=float(config["first_layer_height"]),
        filament_mm=float(config["filament_diameter"]),
        temperatures_c=frozenset(float(config[key]) for key in heats),
    )
    answer = bounded.run(
        "fablab_agents.prepare.solids:judge",
        str(program),
        str(stl),
        order.profile.model_dump_json(),
        order.material,
        want.model_dump(mode="json"),
        limits=bounded.MAKING,
    )
    return Judged.model_validate(answer)


def _told(order: Order, program: Path, solid: Solid, judged: Judged, seconds: int) -> Made:
    data = program.read_bytes()
    dx, dy, dz = solid.moved_mm
    return Made(
        sha256=hashlib.sha256(data).hexdigest(),
        lines=data.count(b"\n"),
        seconds=seconds,
        grams=round(judged.extruded_mm3 / 1000 * recipes.density_g_cm3(order.material), 2),
        placement=Placement(dx_mm=dx, dy_mm=dy, dz_mm=dz, rotation_deg=0),
        findings=(*solid.findings, *judged.findings),
        facts=judged.facts,
    )
