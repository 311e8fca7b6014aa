"""Reads the tables of this room: how each material is printed, milled or burned.

It never guesses: a material without a row is refused, and so is one that must not be burned.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict

from designs.processes import find_material
from fablab_agents.prepare.order import PrepareRefused, refusal
from firmware_bridge.profiles import MachineProfile

THROUGH_MM = 0.2  # how far a cutter may go into the spoilboard
SAFE_Z_MM = 5.0
FLUTES = 2
QUALITIES = ("draft", "normal")


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Filament(_Row):
    first_nozzle_c: int
    nozzle_c: int
    first_bed_c: int
    bed_c: int
    fan_min: int
    fan_max: int
    max_mm3_s: float

    @property
    def heating_s(self) -> int:
        """From a room of 20 °C: a bed of this size gains a quarter of a degree each second and
        the nozzle is faster; homing and first moves take another half minute.
        """
        return round((self.first_bed_c - 20) * 4) + 30


class _MillRow(_Row):
    rpm: int
    chip_mm: float
    stepdown: float
    plunge: float


class _LaserRow(_Row):
    upto_mm: float
    feed: float
    power: float
    passes: int


@dataclass(frozen=True)
class Tabs:
    width_mm: float = 4.0
    height_mm: float = 1.0


@dataclass(frozen=True)
class Depths:
    """How a cutter goes down: through the stock in equal steps, on ramps, tabs left outside."""

    thickness_mm: float
    through_mm: float
    stepdown_mm: float
    tool_mm: float
    tabs: Tabs = Tabs()
    ramp_deg: float = 4.0

    def passes(self) -> tuple[float, ...]:
        depth = self.thickness_mm + self.through_mm
        steps = max(1, math.ceil(round(depth / self.stepdown_mm, 6)))
        return tuple(-depth * (i + 1) / steps for i in range(steps))


@dataclass(frozen=True)
class Milling:
    feed: float  # mm/min
    plunge: float
    rpm: int
    safe_z_mm: float
    spin_up_s: float = 3.0


@dataclass(frozen=True)
class Burning:
    feed: float  # mm/min
    power: int  # the S word


@dataclass(frozen=True)
class Beam:
    how: Burning
    passes: int


def filament(material: str) -> Filament:
    rows = _table("filaments.toml")
    return Filament.model_validate(_row(rows, material, "printed"))


def milling(material: str, thickness_mm: float, tool_mm: float, profile: MachineProfile) -> Depths:
    row = _mill_row(material)
    through_mm = min(THROUGH_MM, profile.mill.spoilboard_mm if profile.mill else 0.0)
    reach_mm = -profile.envelope_mm.min[2] - through_mm
    if thickness_mm > reach_mm:
        what = f"{thickness_mm:g} mm is deeper than this mill reaches: {reach_mm:g} mm"
        raise PrepareRefused([refusal("thickness", what, "choose thinner stock or a larger mill")])
    return Depths(
        thickness_mm=thickness_mm,
        through_mm=through_mm,
        stepdown_mm=row.stepdown * tool_mm,
        tool_mm=tool_mm,
    )


def cutting(material: str, tool_mm: float, profile: MachineProfile) -> Milling:
    """Feed = chip × flutes × speed; thinner cutters than 3 mm take proportionally thinner chips."""
    row = _mill_row(material)
    most = profile.mill.spindle_max_rpm if profile.mill else float(row.rpm)
    rpm = int(min(row.rpm, most))
    feed = min(row.chip_mm * min(1.0, tool_mm / 3) * FLUTES * rpm, profile.feed_max_mm_min)
    return Milling(float(round(feed)), float(round(feed * row.plunge)), rpm, SAFE_Z_MM)


def burning(material: str, thickness_mm: float, profile: MachineProfile) -> Beam:
    table = _table("laser.toml")
    _refuse_dangerous(material, table["refused"])
    rows = [_LaserRow.model_validate(r) for r in _row(table, material, "laser-cut")["rows"]]
    row = next((r for r in rows if thickness_mm <= r.upto_mm), None)
    if row is None:
        most = max(r.upto_mm for r in rows)
        raise PrepareRefused(
            [
                refusal(
                    material,
                    f"{thickness_mm:g} mm is too thick for a laser here; it cuts up to {most:g} mm",
                    "choose thinner stock, or mill it",
                )
            ]
        )
    full = profile.laser.power_max if profile.laser else 1000.0
    feed = min(row.feed, profile.feed_max_mm_min)
    return Beam(Burning(feed, round(row.power * full)), row.passes)


def density_g_cm3(material: str) -> float:
    found = find_material(material)
    if found is None:
        raise PrepareRefused([_unknown(material, "made")])
    return found.density_g_cm3


def print_settings(quality: str) -> dict[str, str]:
    """What every print shares, with this quality's own settings on top."""
    if quality not in QUALITIES:
        known = ", ".join(QUALITIES)
        raise PrepareRefused(
            [refusal("quality", f"{quality!r} is not a print quality", f"choose one of: {known}")]
        )
    return _ini("common.ini") | _ini(f"{quality}.ini")


def _refuse_dangerous(material: str, dangers: Mapping[str, str]) -> None:
    found = find_material(material)
    names = {material, found.id if found else material}
    for name in sorted(names & set(dangers)):
        raise PrepareRefused(
            [refusal(name, dangers[name], "choose plywood, acrylic, MDF or cardboard")]
        )


def _mill_row(material: str) -> _MillRow:
    return _MillRow.model_validate(_row(_table("milling.toml"), material, "milled"))


def _row(rows: Mapping[str, Any], material: str, made: str) -> Any:  # noqa: ANN401 - parsed by the caller
    found = find_material(material)
    row = rows.get(found.id if found else material)
    if row is None or material == "refused":
        raise PrepareRefused([_unknown(material, made)])
    return row


def _unknown(material: str, made: str) -> Any:  # noqa: ANN401
    return refusal(
        material or "material",
        f"nothing is known about how {material!r} is {made}",
        "choose a material that this process knows",
    )


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(_text(name))


def _ini(name: str) -> dict[str, str]:
    lines = (line.partition("=") for line in _text(name).splitlines() if not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in lines if key.strip()}


def _text(name: str) -> str:
    return (resources.files("fablab_agents.prepare") / "data" / name).read_text(encoding="utf-8")
