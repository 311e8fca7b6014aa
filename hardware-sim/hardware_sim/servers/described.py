"""Promises a checked description of one simulated print server, read from TOML.
Never guesses: an unknown key is refused with its name and the file.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hardware_sim.config import ConfigRefused, MarlinMachine, plainly, told
from hardware_sim.config import load as load_machine

MACHINES = Path(__file__).parent / "machines"
KINDS = ("moonraker", "klipper", "prusalink")


class _Server(BaseModel):
    """`printer` is a shipped name or a file: the body behind the server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    printer: str = "printer-220"
    room_bytes: int = Field(default=256 * 1024 * 1024, gt=0)

    def body(self) -> MarlinMachine:
        machine = load_machine(self.printer)
        if not isinstance(machine, MarlinMachine):
            raise ConfigRefused(f"{self.printer} is no printer")
        return machine.model_copy(update={"unasked_min_s": 1e9, "busy_s": 0.0})


class MoonrakerMachine(_Server):
    """Moonraker and Klipper; without `api_key` everybody is trusted."""

    kind: Literal["moonraker"]
    api_key: str = ""


class KlipperMachine(_Server):
    """Klipper alone, on the unix `socket`; it prints what lies in the folder `files`."""

    kind: Literal["klipper"]
    socket: str
    files: str


class PrusaLinkMachine(_Server):
    """A printer with PrusaLink on its board."""

    kind: Literal["prusalink"]
    user: str = "maker"
    password: str = "simulated"  # noqa: S105 - of a simulation
    storage: str = "usb"


ServerMachine = MoonrakerMachine | KlipperMachine | PrusaLinkMachine
_ADAPTER: TypeAdapter[ServerMachine] = TypeAdapter(
    Annotated[ServerMachine, Field(discriminator="kind")]
)


def load(name_or_path: str) -> ServerMachine | None:
    """The server of a shipped name or a file; None when it describes a machine of another kind."""
    shipped = MACHINES / f"{name_or_path}.toml"
    path = shipped if shipped.is_file() else Path(name_or_path)
    if not path.is_file():
        return None
    described = told(path)
    try:
        return _ADAPTER.validate_python(described) if described.get("kind") in KINDS else None
    except ValidationError as error:
        raise ConfigRefused(f"{path}: {plainly(error)}") from error
