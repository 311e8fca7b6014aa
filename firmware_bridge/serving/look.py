"""The shapes between a print server and the one way of working with all of them.

It holds values and the seam that each server keeps; it never sends a request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from firmware_bridge.driver import Outcome
from firmware_bridge.streaming import Wish


class Doing(StrEnum):
    READY = "ready"
    WORKING = "working"
    PAUSED = "paused"
    ENDING = "ending"
    WAITING = "waiting"  # for a person: a door, a runout
    CHANGING = "changing"
    CLOSED = "closed"  # the server answers, its printer does not
    BROKEN = "broken"

    @property
    def busy(self) -> bool:
        return self in (Doing.WORKING, Doing.PAUSED, Doing.ENDING, Doing.WAITING)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a server: `file` is what it works on, `position` its bytes that were read."""

    doing: Doing
    said: str
    file: str | None = None
    fraction: float = 0.0
    position: int | None = None
    machine_s: float | None = None
    heat: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    def works_on(self, name: str) -> bool:
        return self.doing.busy and self.file == name


@dataclass(frozen=True, slots=True)
class Past:
    """What a server knows of how the print of a file ended."""

    outcome: Outcome
    cause: str
    detail: str = ""


class PrintServer(Protocol):
    """One server; every call blocks and every error is a `BridgeError`.

    `ask_to_start` is called once for a name, whatever comes of it. `take_back` deletes the file,
    so that no start of it can happen any more; it raises when the server does not let it go. `ask`
    is for what runs *now*: it is called right after a look that showed our own print. `wait`
    returns early on news.
    """

    name: str
    firmware: str

    def connect(self) -> None: ...
    def close(self) -> None: ...
    def look(self) -> Look: ...
    def past(self, name: str) -> Past | None: ...
    def never_began(self, name: str) -> bool: ...
    def hand_over(self, name: str, data: bytes) -> None: ...
    def ask_to_start(self, name: str) -> None: ...
    def take_back(self, name: str) -> None: ...
    def ask(self, wish: Wish) -> None: ...
    def leave_cold(self) -> None: ...
    def wait(self, seconds: float) -> None: ...
    def halt(self) -> None: ...
