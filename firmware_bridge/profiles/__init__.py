"""Machine profiles: what one machine may be asked to do, read from TOML and checked once.

A profile is the shop's word about its machine. Nothing here asks the machine or the network.
"""

import hashlib
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    ValidationError,
    field_validator,
    model_validator,
)  # fmt: skip

from firmware_bridge.errors import ProfileBroken
from firmware_bridge.faults import CODE, SLUG, faults
from firmware_bridge.profiles.blocks import compile_block

# As TOML has them: a number or a word in quotes is neither a number nor true.
Number = Annotated[float, Strict()]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Vector = tuple[Number, Number, Number]
Range = tuple[Number, Number]
Slug = Annotated[str, Field(pattern=SLUG)]
Code = Annotated[str, Field(pattern=CODE)]
Codes = Annotated[frozenset[Code], PlainSerializer(sorted, when_used="json")]
"""Written in one order: what is kept under a profile's text is found again after a restart."""


class Envelope(NamedTuple):
    min: Vector
    max: Vector


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FilamentLimits(_Table):
    """Temperatures at which this material is worked; 0 (off) is always allowed."""

    hotend_c: Range
    bed_c: Range

    @field_validator("hotend_c", "bed_c")
    @classmethod
    def _upwards(cls, given: Range) -> Range:
        low, high = given
        if low > high:
            msg = f"[{low:g}, {high:g}] runs backwards; write [{high:g}, {low:g}]"
            raise ValueError(msg)
        return given


class Fdm(_Table):
    nozzle_mm: Number = Field(gt=0, le=2)
    filament_mm: Number = Field(gt=0, le=4)
    hotend_max_c: Number = Field(gt=0, le=500)
    bed_max_c: Number = Field(ge=0, le=200)
    chamber_max_c: Number = Field(default=0, ge=0, le=120)
    fans: Whole = Field(default=1, ge=0, le=10)
    cold_below_c: Number = Field(default=170, gt=0)
    blob_max_mm: Number = Field(default=30, gt=0)
    materials: dict[Slug, FilamentLimits]


class After(_Table):
    """What the machine is after the start block, where that cannot be read from its lines."""

    homed: Flag = False
    hot: Flag = False


class Blocks(_Table):
    """The shop's own start and end of a program, as its slicer has them, and single lines that may
    stand anywhere. `approved` is the digest that a person approved, read from beside the profile.
    """

    start: str = ""
    end: str = ""
    lines: tuple[str, ...] = ()
    after: After = After()
    end_is_off: Flag = False
    approved: str = ""

    @field_validator("start", "end", "lines")
    @classmethod
    def _understood(cls, given: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for text in (given,) if isinstance(given, str) else given:
            if text:
                compile_block(text)
        return given

    @property
    def digest(self) -> str:
        """Of everything that a person approves."""
        told = self.model_dump(mode="json", exclude={"approved"})
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    @property
    def are_approved(self) -> bool:
        return self.approved == self.digest


class Mill(_Table):
    spindle_max_rpm: Number = Field(gt=0)
    stock_mm: Number = Field(gt=0)
    spoilboard_mm: Number = Field(default=0.2, ge=0)
    safe_z_mm: Number = Field(default=1, ge=0)
    materials: tuple[Slug, ...] = ()


class Laser(_Table):
    power_max: Number = Field(gt=0)
    constant_power: Literal["accept", "review", "reject"] = "review"
    glow_share: Number = Field(default=0.002, ge=0, le=0.05)
    feed_min_mm_min: Number = Field(default=10, ge=0)
    burn_max_s_mm: Number = Field(default=1.2, gt=0)
    passes_max: Whole = Field(default=8, ge=1)
    materials: tuple[Slug, ...] = ()
    forbidden_materials: tuple[Slug, ...] = ()


class MachineProfile(_Table):
    """One machine; lengths in mm, feeds in mm/min, temperatures in °C.

    `machine_min_mm`/`machine_max_mm` are its travel in machine coordinates; `work_zero_mm` is
    where the program's zero lies in them, or None when nobody knows: then only the extent of a
    program can be held against the travel. `g28_mm` is the place stored for G28, in machine
    coordinates, where the shop knows it; `home_mm` is where a printer's head stands after homing,
    at its minimum unless told.
    """

    name: Slug
    title: str
    kind: Literal["fdm", "mill", "laser"]
    dialect: Literal["marlin", "grbl"]
    machine_min_mm: Vector
    machine_max_mm: Vector
    work_zero_mm: Vector | None = (0.0, 0.0, 0.0)
    g28_mm: Vector | None = None
    home_mm: Vector | None = None
    feed_max_mm_min: Number = Field(gt=0)
    rapid_mm_min: Number = Field(gt=0)
    dwell_max_s: Number = Field(default=60, gt=0)
    line_max_bytes: Whole = Field(ge=16, le=256)
    lines_max: Whole = Field(default=5_000_000, gt=0)
    bytes_max: Whole = Field(default=256_000_000, gt=0)
    codes: Codes
    review: Codes = frozenset()
    blocks: Blocks | None = None
    fdm: Fdm | None = None
    mill: Mill | None = None
    laser: Laser | None = None

    @field_validator("work_zero_mm", mode="before")
    @classmethod
    def _nobody_knows(cls, given: object) -> object:
        if isinstance(given, str) and given != "unknown":
            msg = f'{given!r} is no place; write three numbers, [X, Y, Z], or "unknown"'
            raise ValueError(msg)
        return None if given == "unknown" else given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(low >= high for low, high in zip(*self.machine, strict=True)):
            msg = "machine_min_mm must lie below machine_max_mm on each axis"
            raise ValueError(msg)
        if not {"G0", "G1"} <= self.codes:
            msg = "codes must hold at least G0 and G1"
            raise ValueError(msg)
        tables = {"fdm": self.fdm, "mill": self.mill, "laser": self.laser}
        given = {kind for kind, table in tables.items() if table is not None}
        if given != {self.kind}:
            msg = f'a profile of kind "{self.kind}" has one table [{self.kind}] and no other'
            raise ValueError(msg)
        if self.fdm is not None and self.work_zero_mm is None:
            msg = "work_zero_mm: a printer homes, so its zero is known"
            raise ValueError(msg)
        if self.blocks is not None and self.fdm is None:
            msg = "[blocks] are for printers"
            raise ValueError(msg)
        return self

    @property
    def machine(self) -> Envelope:
        """The travel in machine coordinates."""
        return Envelope(self.machine_min_mm, self.machine_max_mm)

    @property
    def envelope_mm(self) -> Envelope:
        """The travel in the program's (work) coordinates, its zero at `work_zero_mm`."""
        zero = self.work_zero_mm or (0.0, 0.0, 0.0)
        low, high = self.machine
        return Envelope(
            (low[0] - zero[0], low[1] - zero[1], low[2] - zero[2]),
            (high[0] - zero[0], high[1] - zero[1], high[2] - zero[2]),
        )

    @property
    def home_in_work_mm(self) -> Vector:
        """Where a printer's head stands after homing, in the program's coordinates."""
        if self.home_mm is None:
            return self.envelope_mm.min
        zero = self.work_zero_mm or (0.0, 0.0, 0.0)
        home = self.home_mm
        return (home[0] - zero[0], home[1] - zero[1], home[2] - zero[2])


def names() -> tuple[str, ...]:
    """The profiles that come with the bridge."""
    rows = resources.files(__name__).iterdir()
    return tuple(sorted(row.name[:-5] for row in rows if row.name.endswith(".toml")))


def text(name_or_path: str | Path) -> str:
    """A profile as it is written, to start one's own from."""
    where = str(name_or_path)
    if where in names():
        return (resources.files(__name__) / f"{where}.toml").read_text(encoding="utf-8")
    return Path(where).read_text(encoding="utf-8")


def load(name_or_path: str | Path) -> MachineProfile:
    """Read a profile by its shipped name or from a file; raises `ProfileBroken`."""
    where = str(name_or_path)
    try:
        if where in names():
            return MachineProfile.model_validate(tomllib.loads(text(where)))
        return MachineProfile.model_validate(_own(Path(where)))
    except FileNotFoundError:
        known = ", ".join(names())
        raise ProfileBroken(f"no profile or file {where!r}; shipped ones: {known}") from None
    except ValidationError as error:
        told = (f"profile {where}: {fault}" for fault in faults(error, MachineProfile))
        raise ProfileBroken("\n".join(told)) from None
    except (OSError, ValueError) as error:
        raise ProfileBroken(f"profile {where} cannot be read: {error}") from None


def approval_of(path: Path) -> Path:
    """Where it is remembered that a person approved the blocks of this profile."""
    return path.with_name(f"{path.name}.approved")


def approve(path: Path, profile: MachineProfile, person: str, at: str) -> None:
    """Remember that a person saw and approved this profile's blocks; any change needs it anew."""
    if profile.blocks is None:
        raise ProfileBroken(f"profile {path} has no [blocks] to approve")
    record = {"blocks": profile.blocks.digest, "person": person, "at": at}
    approval_of(path).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _own(path: Path) -> dict[str, Any]:
    """A shop's own file, with the files of its blocks read and their approval looked up."""
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    blocks: dict[str, Any] | None = told.get("blocks")
    if not isinstance(blocks, dict):
        return told
    for name in ("start", "end"):
        file = blocks.pop(f"{name}_file", None)
        if file is not None:
            blocks[name] = _beside(path, str(file))
    if "approved" in blocks:
        raise ProfileBroken(f"profile {path}: nobody approves blocks in the profile; see --approve")
    blocks["approved"] = _approved(path)
    return told


def _beside(path: Path, file: str) -> str:
    try:
        return (path.parent / file).read_text(encoding="utf-8")
    except OSError as error:
        raise ProfileBroken(f"profile {path}: its block {file}: {error.strerror}") from None


def _approved(path: Path) -> str:
    try:
        record = json.loads(approval_of(path).read_text(encoding="utf-8"))
        return str(record["blocks"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
