"""What this room is asked for, passes to its children and answers: frozen records, two errors.

It decides nothing; a refusal always carries findings in the words of the workshop.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from designs.errors import DesignRefused, Finding, Severity
from fablab_agents.protocol.tickets import Manner
from firmware_bridge.profiles import MachineProfile

LOST_MM = 3.0  # so much of a layer's outline may lie bare in a good print: sharp tips do


@dataclass(frozen=True)
class Order:
    """One part for one machine; lengths in mm, `machine` and `material` are slugs.

    `tool_mm` is the cutter's diameter, `kerf_mm` the beam's width; None takes the room's default.
    `cache` keeps prepared programs by the hash of all that went into them.
    """

    part_name: str
    process: str
    material: str
    thickness_mm: float | None
    quality: str
    quantity: int
    file_path: Path
    format: str
    profile: MachineProfile
    machine: str
    tool_mm: float | None = None
    kerf_mm: float | None = None
    cache: Path | None = None
    manner: Manner | None = None


@dataclass(frozen=True)
class Prepared:
    """A program that passed guard and last look; `facts` are plain figures for the record."""

    program: Path
    sha256: str
    lines: int
    seconds: int
    grams: float
    placement: Path
    findings: tuple[Finding, ...]
    facts: Mapping[str, float | str]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Solid(_Value):
    """A rebuilt solid: standing on z = 0 in the middle of the bed, moved there by so much."""

    size_mm: tuple[float, float, float]
    moved_mm: tuple[float, float, float]
    findings: tuple[Finding, ...]


class Sheet(_Value):
    """What is to be cut from a sheet; `tool_mm` is the cutter's diameter or the kerf."""

    file: Path
    format: str
    program: Path
    title: str
    material: str
    thickness_mm: float = Field(gt=0)
    tool_mm: float = Field(gt=0, le=25)
    profile: MachineProfile


class Printing(_Value):
    """What was asked of the slicer: heights and filament in mm, the temperatures it may set,
    where supports may stand.
    """

    layer_mm: float
    first_layer_mm: float
    filament_mm: float
    temperatures_c: frozenset[float]
    supports: Literal["none", "from_bed", "anywhere"] = "none"


class Looked(NamedTuple):
    """Of a print program: layers of the part, plastic laid in all, the outline without a bead
    (worst layer), and how much of the plastic is support.
    """

    layers: int
    deposited_mm3: float
    lost_mm: float
    support_mm3: float = 0.0


class Judged(_Value):
    """What guard and last look found worth telling about a program that they let pass."""

    findings: tuple[Finding, ...]
    lost_mm: float = 0.0
    seconds: float
    extruded_mm3: float
    facts: dict[str, float | str]


class Placement(_Value):
    """Where a copy of the design went: turned about its origin first, then moved."""

    dx_mm: float
    dy_mm: float
    dz_mm: float
    rotation_deg: float


class Made(_Value):
    """What a maker of programs says of the one it wrote; `sha256` of its bytes."""

    sha256: str
    lines: int
    seconds: int
    grams: float
    placement: Placement
    findings: tuple[Finding, ...]
    facts: dict[str, float | str]

    def placements_json(self) -> str:
        return json.dumps({"copies": [self.placement.model_dump()]}, indent=1) + "\n"


class PrepareRefused(DesignRefused):
    """This part is not made by this machine in this way; `findings` say why and what to do."""


class SlicerMissing(Exception):
    """Printed parts need PrusaSlicer; `line_to_type` installs it."""

    def __init__(self, line_to_type: str) -> None:
        self.line_to_type = line_to_type
        super().__init__(f"PrusaSlicer is not installed. Type: {line_to_type}")


def refusal(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.REFUSAL, where=where, what=what, do=do)


def note(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.NOTE, where=where, what=what, do=do)


def save(path: Path, text: str) -> None:
    """Writes a program; a full disk or a missing right is refused in plain words."""
    try:
        path.write_text(text, encoding="ascii", newline="\n")
    except OSError as error:
        what = f"the program cannot be written: {error.strerror}"
        raise PrepareRefused([refusal("this computer", what, "free some space")]) from error


def refuse_if_any(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, unless one of them refuses: then raises `PrepareRefused` with those."""
    kept = tuple(findings)
    bad = [f for f in kept if f.severity is Severity.REFUSAL]
    if bad:
        raise PrepareRefused(bad)
    return kept
