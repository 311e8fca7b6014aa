"""From a machine's entry in the shop's configuration to its driver.

One row for each driver; nothing else needs to change when one is added. It opens no port. A driver
is imported when a machine needs it: a serial line must not wait for a web client.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firmware_bridge.driver import Driver
from firmware_bridge.errors import Refused
from firmware_bridge.streaming import Timeouts


class Entry(BaseModel):
    """What the bridge reads of a machine's entry; the entry's other keys are the agent's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    driver: str
    link: str = Field(min_length=1)
    baud: int = Field(default=115200, gt=0)
    api_key: str = Field(default="", repr=False)
    user: str = ""
    password: str = Field(default="", repr=False)
    homing: bool = False
    dry_run: bool = False
    park_mm: tuple[float, float] | None = None
    timeouts: dict[str, float] = Field(default_factory=dict[str, float])

    def patience(self) -> Timeouts:
        return Timeouts(**self.timeouts)


@dataclass(frozen=True)
class Row:
    """How a driver is made of an entry; `outlives`: its jobs live with a server or a person."""

    open: Callable[[Entry], Driver]
    outlives: bool = False


def _by_hand(entry: Entry) -> Driver:
    from firmware_bridge.drivers.by_hand import ByHandDriver

    return ByHandDriver(entry.link)


def _marlin(entry: Entry) -> Driver:
    from firmware_bridge.drivers.marlin import MarlinDriver

    return MarlinDriver(entry.link, entry.baud, entry.patience(), park_mm=entry.park_mm)


def _grbl(entry: Entry) -> Driver:
    from firmware_bridge.drivers.grbl import GrblDriver

    return GrblDriver(
        entry.link, entry.baud, entry.patience(), homing=entry.homing, check=entry.dry_run
    )


def _moonraker(entry: Entry) -> Driver:
    from firmware_bridge.drivers.moonraker import moonraker_driver

    return moonraker_driver(entry.link, entry.api_key, entry.patience())


def _octoprint(entry: Entry) -> Driver:
    from firmware_bridge.drivers.octoprint import octoprint_driver

    return octoprint_driver(entry.link, entry.api_key, entry.patience())


def _prusalink(entry: Entry) -> Driver:
    from firmware_bridge.drivers.prusalink import prusalink_driver

    return prusalink_driver(entry.link, entry.user, entry.password, entry.api_key, entry.patience())


DRIVERS: Mapping[str, Row] = {
    "by_hand": Row(_by_hand, outlives=True),
    "marlin": Row(_marlin),
    "grbl": Row(_grbl),
    "moonraker": Row(_moonraker, outlives=True),
    "octoprint": Row(_octoprint, outlives=True),
    "prusalink": Row(_prusalink, outlives=True),
}


def outlives(driver: str) -> bool:
    """Whether the jobs of this driver's machines go on when whoever asked for them is gone."""
    return driver in DRIVERS and DRIVERS[driver].outlives


def open_driver(entry: Mapping[str, object]) -> Driver:
    """The driver of this entry, not yet connected; raises `Refused` for an entry it cannot read."""
    try:
        parsed = Entry.model_validate(entry)
        return DRIVERS[parsed.driver].open(parsed)
    except KeyError as error:
        known = ", ".join(sorted(DRIVERS))
        raise Refused(f"there is no driver {error}; there are: {known}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise Refused(f"machine entry: {first['loc'][0]}: {first['msg']}") from None
    except TypeError as error:
        raise Refused(f"machine entry: timeouts: {error}") from None
