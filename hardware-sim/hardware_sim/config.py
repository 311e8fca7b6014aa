"""Promises a checked, frozen description of one simulated machine, read from TOML.
Never guesses: an unknown key or kind is refused with the key's name and the file.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

MACHINES = Path(__file__).parent / "machines"


class ConfigRefused(ValueError):
    """The machine's description cannot be used; the message says where and why."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Faults(_Frozen):
    """Bad luck on the wire: on average one line in N is hit, drawn from `seed`; 0 is never."""

    seed: int = 1
    corrupt_every: int = Field(default=0, ge=0)
    drop_ok_every: int = Field(default=0, ge=0)


What = Literal[
    "lose-line", "garble-line", "late-line", "double-line", "join-line",
    "lose-ack", "garble-ack", "late-ack", "double-ack", "join-ack",
    "brownout", "reset", "unplug", "replug", "jam", "press", "runaway", "heater-dead",
    "thermistor-off", "thermistor-short", "heater-mend", "panel-pause", "panel-resume",
    "panel-stop", "panel-print", "panel-jog", "door-open", "door-close", "limit-dead",
    "limit-stuck", "limit-mend",
]  # fmt: skip


class Fault(_Frozen):
    """One entry of a fault script: what happens, and when.

    `at_line`: when the n-th line of the running job has come; `at_s`: so many simulated seconds
    into the job; `after_n`: when n lines (or acks) have come since the machine was switched on;
    `probability`: each line (or ack) with that chance, drawn from `seed`. Without any of them:
    at the next one. It happens `times` times, 0 for as often as it comes up.
    """

    what: What
    at_line: int | None = Field(default=None, ge=1)
    at_s: float | None = Field(default=None, ge=0)
    after_n: int | None = Field(default=None, ge=0)
    probability: float = Field(default=0.0, ge=0, le=1)
    seed: int = 1
    times: int = Field(default=1, ge=0)
    late_s: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _one_moment(self) -> "Fault":
        moments = (self.at_line, self.at_s, self.after_n, self.probability or None)
        if sum(moment is not None for moment in moments) > 1:
            raise ValueError("give one of at_line, at_s, after_n and probability")
        if self.at_s is not None and self.what.endswith(("-line", "-ack")):
            raise ValueError(f"{self.what} happens to a line, not at a moment: give at_line")
        return self


class Heating(_Frozen):
    """First-order heater: at full power it tends to `reach_c` with time constant `tau_s`."""

    reach_c: float
    tau_s: float = Field(gt=0)
    min_c: float = 5.0
    max_c: float


class Motion(_Frozen):
    """Limits per axis (X, Y, Z and, on printers, E) in mm/s and mm/s²."""

    max_feed_mm_s: tuple[float, ...]
    max_accel_mm_s2: tuple[float, ...]
    steps_per_mm: tuple[float, ...] = (80.0, 80.0, 400.0, 500.0)
    jerk_mm_s: tuple[float, ...] = (8.0, 8.0, 0.4, 5.0)
    junction_mm: float | None = None
    """Junction deviation instead of classic jerk, as a default Marlin 2.1 has it (0.013)."""
    accel_mm_s2: float = 1000.0
    retract_accel_mm_s2: float = 1500.0
    travel_accel_mm_s2: float = 1000.0
    homing_mm_s: tuple[float, float, float] = (50.0, 50.0, 8.0)


class _Machine(_Frozen):
    name: str
    size_mm: tuple[float, float, float]
    reset_on_open: bool = True
    boot_s: float = 1.0
    rx_buffer: int = Field(default=128, ge=16)
    baud: int = Field(default=0, ge=0)
    """Bytes take their time on the wire, both ways; 0 is native USB. Not with --speed 0."""
    reply_late_s: float = Field(default=0.0, ge=0)
    """What the USB adapter adds to every reply, in simulated seconds."""
    ambient_c: float = 22.0
    faults: Faults = Faults()
    fault: tuple[Fault, ...] = ()


class MarlinMachine(_Machine):
    """A printer that runs Marlin 2.1."""

    kind: Literal["marlin"]
    bufsize: int = Field(default=4, ge=1)
    planner_blocks: int = Field(default=16, ge=2)
    max_cmd_size: int = Field(default=96, ge=16)
    advanced_ok: bool = False
    emergency_parser: bool = False
    auto_position: bool = False
    """AUTO_REPORT_POSITION: M154 exists."""
    host_actions: bool = False
    """HOST_ACTION_COMMANDS: the panel's buttons reach the host as `//action:`."""
    panel: bool = True
    """A display with a menu: M0 and M1 exist, and somebody can jog."""
    sd_card: bool = False
    eeprom: bool = False
    features: tuple[str, ...] = ("M73", "M300", "M412", "M413", "M900")
    """Commands of optional features that were compiled in; they are accepted without effect."""
    version: str = "2.1.2.1"
    drops_repeats: bool = True
    """A line that repeats one of the last two numbers vanishes (2.1.2 on), or it is refused."""
    busy_s: float = 2.0
    unasked_min_s: float = 0.0
    """Nothing unasked sooner than this after the last; a host lives at wall speed."""
    extrude_min_c: float = 170.0
    extrude_max_mm: float = 200.0
    filament_mm: float = 1.75
    nozzle_mm: float = 0.4
    hotend: Heating
    bed: Heating
    motion: Motion


class _Grbl(_Machine):
    planner_blocks: int = Field(default=15, ge=2)
    settings: dict[str, float] = {}
    build_info: str = ""
    """What `$I=` stored: the last field of the version line."""
    door_switch: bool = False
    """Compiled with ENABLE_SAFETY_DOOR_INPUT_PIN, and a switch is fitted."""
    probe_z_mm: float | None = None
    """Machine height at which the probe touches its plate; without it no probe is fitted."""


class MillMachine(_Grbl):
    """A router or mill that runs GRBL 1.1; `tool_mm` is the diameter in its collet."""

    kind: Literal["grbl-mill"]
    tool_mm: float = Field(gt=0)
    stock_mm: float | None = Field(default=None, gt=0)
    """How thick the stock is that lies on it: what `measure` asks of a cut through."""


class LaserMachine(_Grbl):
    """A laser cutter that runs GRBL 1.1; `kerf_mm` is the width its beam removes."""

    kind: Literal["grbl-laser"]
    kerf_mm: float = Field(gt=0)
    cuts_mm_min: float | None = Field(default=None, gt=0)
    """The fastest feed at which one pass at full power (`$30`) still cuts the stock through."""


GrblMachine = MillMachine | LaserMachine
Machine = MarlinMachine | MillMachine | LaserMachine

_ADAPTER: TypeAdapter[Machine] = TypeAdapter(Annotated[Machine, Field(discriminator="kind")])


def load(name_or_path: str) -> Machine:
    """The machine of a shipped name (`printer-220`) or of a TOML file; raises ConfigRefused."""
    shipped = MACHINES / f"{name_or_path}.toml"
    path = shipped if shipped.is_file() else Path(name_or_path)
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in MACHINES.glob("*.toml")))
        raise ConfigRefused(f"{name_or_path}: no such file, and not one of {names}")
    try:
        return _ADAPTER.validate_python(told(path))
    except ValidationError as error:
        raise ConfigRefused(f"{path}: {plainly(error)}") from error


def told(path: Path) -> dict[str, Any]:
    """What a TOML file says; raises ConfigRefused."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigRefused(f"{path}: no TOML: {error}") from error


def plainly(error: ValidationError) -> str:
    """Each wrong key and what is wrong with it, in one line."""
    return "; ".join(_wrong(one) for one in error.errors(include_url=False))


def _wrong(one: ErrorDetails) -> str:
    context = one.get("ctx", {})
    if one["type"] == "union_tag_invalid":
        return f"kind: {context['tag']!r} is not one of {context['expected_tags']}"
    if one["type"] == "union_tag_not_found":
        return "kind is missing: it says what sort of machine this is"
    key = ".".join(str(part) for part in one["loc"][1:])
    if one["type"] == "extra_forbidden":
        return f"{key}: there is no such key"
    if one["type"] == "missing":
        return f"{key}: it is missing"
    return f"{key}: {one['msg'].removeprefix('Value error, ')}, not {one['input']!r}"
