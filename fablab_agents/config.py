"""The shop's own file, `agent.toml`: machines, policy and console, read once and checked in words.

What it says has the last word over anything remote; it never touches a machine or the network.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from firmware_bridge.faults import SLUG, faults

DEFAULT_DIR = Path("~/.local/share/cosmolocal-agent")
FILE = "agent.toml"
DEFAULT_PORT = 8101
BY_HAND = "by_hand"

Slug = Annotated[str, Field(pattern=SLUG)]
_HOURS = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_MINUTES_A_DAY = 24 * 60

PROCESS_OF: Final[Mapping[str, str]] = {
    "fdm": "3d_printing_fdm",
    "mill": "cnc_milling",
    "laser": "laser_cutting",
}
"""What each kind of machine profile makes."""


class ConfigRefused(Exception):
    """`agent.toml` cannot be used; the text says where and what to write instead."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hours(_Table):
    """A daily span of local time; `22:00-06:00` runs over midnight, `00:00-24:00` is always."""

    from_min: int
    to_min: int

    @classmethod
    def read(cls, text: str) -> Self:
        found = _HOURS.fullmatch(text.strip())
        minutes = [int(part) for part in found.groups()] if found else []
        if not found or any(minutes[i] == 24 and minutes[i + 1] for i in (0, 2)):
            msg = f'"{text}" are no hours; write them as "08:00-20:00"'
            raise ValueError(msg)
        return cls(from_min=minutes[0] * 60 + minutes[1], to_min=minutes[2] * 60 + minutes[3])

    def hold(self, at: time) -> bool:
        minute = at.hour * 60 + at.minute
        if self.from_min < self.to_min:
            return self.from_min <= minute < self.to_min
        return self.from_min != self.to_min and (minute >= self.from_min or minute < self.to_min)

    def __str__(self) -> str:
        ends = (self.from_min, self.to_min)
        return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in ends)


class Lab(_Table):
    title: str = ""


class Console(_Table):
    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)


class Policy(_Table):
    auto_accept: bool = True
    unattended_hours: Hours = Hours(from_min=0, to_min=_MINUTES_A_DAY)

    @field_validator("unattended_hours", mode="before")
    @classmethod
    def _hours(cls, given: object) -> object:
        return Hours.read(given) if isinstance(given, str) else given


class Machine(_Table):
    """One machine of the shop: how to reach it, what it may make and what an hour of it costs."""

    id: Slug
    title: str = ""
    profile: str
    driver: str
    link: str
    baud: int | None = None
    api_key: str | None = Field(default=None, repr=False)
    user: str | None = None
    password: str | None = Field(default=None, repr=False)
    homing: bool = False
    dry_run: bool = False
    park_mm: tuple[float, float] | None = None
    timeouts: dict[str, float] = Field(default_factory=dict[str, float])
    materials: tuple[Slug, ...]
    attended: bool = False
    jog: bool = False
    camera: bool = False
    offered: bool = True
    rate_minor_per_h: int = Field(default=0, ge=0, le=100_000_000)
    setup_minor: int = Field(default=0, ge=0, le=100_000_000)
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    tool_mm: float | None = Field(default=None, gt=0, le=100_000)
    kerf_mm: float | None = Field(default=None, ge=0)
    tolerance_mm: float | None = Field(default=None, gt=0, le=100_000)
    thickness_max_mm: float | None = Field(default=None, gt=0, le=100_000)
    simulated: bool = False

    @property
    def by_hand(self) -> bool:
        """No driver reaches it: a person is handed the file, and tells what became of it."""
        return self.driver == BY_HAND

    def started_by_a_person(self, kind: str) -> bool:
        """Only at the machine, by somebody who stays: mills and lasers whatever the file says."""
        return self.attended or kind != "fdm" or self.by_hand


class Config(_Table):
    lab: Lab = Lab()
    console: Console = Console()
    policy: Policy = Policy()
    machine: tuple[Machine, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for what, values in (("id", self.ids), ("link", [m.link for m in self.machine])):
            twins = {value for value in values if values.count(value) > 1}
            if twins:
                msg = f"two machines have the {what} {min(twins)!r}; each needs its own"
                raise ValueError(msg)
        return self

    @property
    def ids(self) -> list[str]:
        return [machine.id for machine in self.machine]

    def find(self, machine: str) -> Machine | None:
        return next((entry for entry in self.machine if entry.id == machine), None)


def parse(text: str, where: str = FILE) -> Config:
    """The shop's file as checked values; ConfigRefused lists every fault, one a line."""
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigRefused(f"{where}: not readable as TOML: {error}") from None
    except ValidationError as error:
        told = (f"{where}: {fault}" for fault in faults(error, Config))
        raise ConfigRefused("\n".join(told)) from None


def load(folder: Path) -> Config:
    path = folder / FILE
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ConfigRefused(
            f"{path} does not exist; write it from `cosmolocal-agent run --help`, or enrol first"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigRefused(f"{path} cannot be read: {error}") from None


EXAMPLE = """\
# The shop's own file. Nothing remote can change it; unknown keys are refused at start.
[lab]
title = ""

[console]                # the page for the person at the machines
host = "127.0.0.1"
port = 8101

[policy]
auto_accept = true                   # false: a person accepts each offer on the console
unattended_hours = "00:00-24:00"     # when machines with attended = false may start

# [[machine]]
# id = "printer-1"
# title = "Printer 1"
# profile = "generic-fdm-220"        # a shipped profile or the path of your own
# driver = "marlin"                  # marlin | grbl | octoprint | moonraker | prusalink | by_hand
# link = "/dev/serial/by-id/..."     # or http://127.0.0.1:5000 with api_key = "..."
#                                    # prusalink: user = "maker" and password = "..."
#                                    # by_hand: the whole path of a folder for the files
# materials = ["pla"]
# attended = false                   # mills and lasers: always started by a person
# jog = true                         # people at the console may move it for set-up, when idle
# camera = true                      # octoprint, moonraker: the console shows the camera's picture
# offered = true                     # to the network
# rate_minor_per_h = 400             # 4.00 an hour
# setup_minor = 150
# currency = "EUR"
# tool_mm = 3.175                    # mills: the cutter; lasers: kerf_mm = 0.15
# simulated = true                   # a simulated machine: all that it makes is labelled so
# homing = true                      # GRBL: each first job homes the machine by itself
# dry_run = true                     # GRBL: tell each program in check mode ($C) first; slow
# park_mm = [0, 200]                 # Marlin: where the nozzle waits while a print is paused
"""
