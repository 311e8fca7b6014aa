"""Printed parts, seen from the agent: rebuild in one child, slice in a box, judge in another.

It hands the slicer nothing but our own STL and settings, and believes nothing it says.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from designs import bounded
from designs.errors import DesignRefused, Finding
from designs.turning import Degrees
from fablab_agents.prepare import manner, recipes, sandbox, slicing
from fablab_agents.prepare.order import (
    LOST_MM,
    Judged,
    Made,
    Order,
    Placement,
    Printing,
    Solid,
    note,
    refusal,
    refuse_if_any,
    save,
)
from fablab_agents.prepare.post import plain
from firmware_bridge.profiles import MachineProfile

HEATS = (
    "first_layer_temperature",
    "temperature",
    "first_layer_bed_temperature",
    "bed_temperature",
)
LIMITS = sandbox.Limits(cpu_s=120, wall_s=300, memory_bytes=1 << 30)


def tool(_: Order) -> str:
    """What besides the order decides the program: the slicer's version."""
    return slicing.find_slicer().version


@dataclass(frozen=True)
class _Work:
    """One part on its way: the rebuilt solid, the settings, and where the program goes."""

    order: Order
    slicer: slicing.Slicer
    solid: Solid
    stl: Path
    program: Path
    config: Mapping[str, str]


@dataclass(frozen=True)
class _Try:
    sliced: slicing.Sliced
    judged: Judged


def make(order: Order, program: Path) -> Made:
    """The program for this order, written to `program`; raises `DesignRefused`, `SlicerMissing`."""
    slicer = slicing.find_slicer()
    wish = manner.asked(order)
    shared = recipes.print_settings(order.quality) | wish.settings
    filament = recipes.filament(order.material)
    with tempfile.TemporaryDirectory(prefix="cosmolocal-") as folder:
        stl = Path(folder) / "part.stl"
        solid = _rebuilt(order, stl, wish.turn)
        config = slicing.settings(
            shared, filament, order.profile, solid.size_mm, exact_layers=wish.exact_layers
        )
        work = _Work(order, slicer, solid, stl, program, config)
        best, left_out = _as_advised(work, locked=wish.locked)
        _write(work, best.sliced)
    made = _told(work, best, best.sliced.seconds + filament.heating_s)
    findings = (*wish.notes, *left_out, *made.findings)
    facts = {**made.facts, "turned_deg": ", ".join(f"{angle:g}" for angle in wish.turn)}
    return made.model_copy(update={"findings": findings, "facts": facts})


def _as_advised(work: _Work, *, locked: bool) -> tuple[_Try, tuple[Finding, ...]]:
    """The best program; without supports that are mere advice where it cannot be made with them."""
    try:
        return _best(work), ()
    except DesignRefused as refused:
        if locked or work.config["support_material"] == "0":
            raise
        why = refused.findings[0]
    best = _best(replace(work, config={**work.config, "support_material": "0"}))
    what = f"it is printed without the supports that are advised: {why.what} ({why.where})"
    return best, (note("the recipe", what, "look at what hangs over before you print it"),)


def _best(work: _Work) -> _Try:
    """Slices, and once more with single lines for thin walls if the first lost some of them.

    Not at once: such lines end short of where the wall ends.
    """
    tries: list[_Try] = []
    for thin_walls in ("0", "1"):
        try:
            tries.append(_try(replace(work, config={**work.config, "thin_walls": thin_walls})))
        except DesignRefused:
            if thin_walls == "1" and not tries:
                raise
            continue
        if tries[-1].judged.lost_mm <= LOST_MM:
            break
    return min(tries, key=lambda attempt: attempt.judged.lost_mm)


def _try(work: _Work) -> _Try:
    sliced = slicing.slice_solid(work.slicer, work.stl, work.config, work.stl.parent, LIMITS)
    _write(work, sliced)
    return _Try(sliced, _judged(work))


def _write(work: _Work, sliced: slicing.Sliced) -> None:
    order = work.order
    title = f"; cosmolocal {plain(order.part_name)}, {plain(order.material)}\n"
    save(work.program, title + sliced.text)


def _rebuilt(order: Order, stl: Path, turn: Degrees) -> Solid:
    low, high = order.profile.envelope_mm
    middle: list[bounded.Json] = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2]
    turned: list[bounded.Json] = [*turn]
    asked = (str(order.file_path), order.format, str(stl), middle, turned)
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


def _judged(work: _Work) -> Judged:
    config = work.config
    want = Printing(
        layer_mm=float(config["layer_height"]),
        first_layer_mm=float(config["first_layer_height"]),
        filament_mm=float(config["filament_diameter"]),
        temperatures_c=frozenset(float(config[key]) for key in HEATS),
        supports=_supports(config),
    )
    answer = bounded.run(
        "fablab_agents.prepare.solids:judge",
        str(work.program),
        str(work.stl),
        work.order.profile.model_dump_json(),
        work.order.material,
        want.model_dump(mode="json"),
        limits=bounded.MAKING,
    )
    return Judged.model_validate(answer)


def _supports(config: Mapping[str, str]) -> Literal["none", "from_bed", "anywhere"]:
    if config["support_material"] == "0":
        return "none"
    return "from_bed" if config["support_material_buildplate_only"] == "1" else "anywhere"


def _told(work: _Work, best: _Try, seconds: int) -> Made:
    data = work.program.read_bytes()
    dx, dy, dz = work.solid.moved_mm
    density = recipes.density_g_cm3(work.order.material)
    support_g = float(best.judged.facts["support_mm3"]) / 1000 * density
    return Made(
        sha256=hashlib.sha256(data).hexdigest(),
        lines=data.count(b"\n"),
        seconds=seconds,
        grams=round(best.judged.extruded_mm3 / 1000 * density, 2),
        placement=Placement(dx_mm=dx, dy_mm=dy, dz_mm=dz, rotation_deg=0),
        findings=(*work.solid.findings, *best.judged.findings, *_to_take_off(support_g)),
        facts={**best.judged.facts, "slicer": work.slicer.version, "box": best.sliced.box},
    )


def _to_take_off(support_g: float) -> Iterator[Finding]:
    if support_g > 0:
        what = f"{support_g:.1f} g of what is printed are supports"
        yield note("supports", what, "take them off before the part is inspected")
