"""The driver seam: what every machine promises, whatever language it speaks.

It holds only the shapes that cross the seam. It never touches a port, a clock or a file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

from firmware_bridge.errors import Refused

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
Outcome = Literal["finished", "failed", "interrupted", "unknown", "not started"]
Word = Literal["started", "finished", "failed", "stopped", "not started"]
"""What a person says of a machine that only people reach."""


@dataclass(frozen=True)
class Program:
    """One approved file: `sha256` of its bytes, `lines` in the file, `attempt` names the run.

    `sheet` is what a person at the machine has to know: text, beside the file where one is handed.
    """

    path: Path
    sha256: str
    attempt: str
    lines: int
    sheet: str = ""

    @property
    def remote_name(self) -> str:
        """The name under which a print server keeps it: `{attempt}-{sha12}.gcode`.

        Raises `Refused` for an attempt that no file can be named after everywhere.
        """
        if not _PLAIN_NAME.fullmatch(self.attempt):
            raise Refused(f"{self.attempt!r} names no file: use letters, digits, dot, - and _")
        return f"{self.attempt}-{self.sha256[:12]}.gcode"


class Condition(StrEnum):
    OFFLINE = "offline"
    CONNECTING = "connecting"
    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    ATTENTION = "attention"
    FAULT = "fault"


@dataclass(frozen=True)
class Status:
    """A snapshot; temperatures are (actual, target) by heater, position as the machine says it.

    `needs_homing`: it is locked, and finding its place again would free it.
    """

    condition: Condition
    detail: str = ""
    temperatures_c: Mapping[str, tuple[float, float]] = field(
        default_factory=dict[str, tuple[float, float]]
    )
    position_mm: tuple[float, ...] | None = None
    firmware: str = ""
    needs_homing: bool = False


@dataclass(frozen=True)
class Started:
    """The machine accepted the first line: from here on the part may exist."""


@dataclass(frozen=True)
class Progress:
    """`line` counts lines of the file; `machine_s` is the machine's own running time."""

    fraction: float
    line: int
    machine_s: float | None = None


@dataclass(frozen=True)
class Closing:
    """The last line goes out when the next event is asked for; then the part may be whole.

    Said where a host that dies here could not find out from the machine what became of the part.
    """


@dataclass(frozen=True)
class Waiting:
    """Nothing happened for a while, and nothing is wrong: `what` is waited for."""

    what: str


@dataclass(frozen=True)
class Paused:
    by: str


@dataclass(frozen=True)
class Resumed:
    by: str


@dataclass(frozen=True)
class Ended:
    """Always the last event; `last_line` is the last line that the machine acknowledged.

    "not started" is said only where no byte of the program can have reached the machine. `by` is
    the person whose word this is, where no machine speaks.
    """

    outcome: Outcome
    cause: str
    last_line: int
    detail: str = ""
    by: str = ""


Event = Started | Progress | Closing | Waiting | Paused | Resumed | Ended


class Run(Protocol):
    """One attempt on one machine.

    No byte of the program is sent before the first `next(events())`: a run that was stopped before
    is over, and leaves its driver free for the next. `pause`, `resume` and `stop` may be called
    from another thread; they ask, and the events tell what became of it.
    """

    @property
    def handle(self) -> str: ...
    def events(self) -> Iterator[Event]: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop(self, why: str) -> None: ...


@runtime_checkable
class ByPerson(Protocol):
    """What a run can besides, when only people reach its machine: they say how far it is.

    `words` may be said now, `asked` is why somebody wants it stopped. `tell` raises `Refused` for
    a word out of order; once it returns, the word is kept whatever happens.
    """

    @property
    def words(self) -> tuple[Word, ...]: ...
    @property
    def asked(self) -> str: ...
    def tell(self, word: Word, by: str, note: str = "") -> None: ...


class Driver(Protocol):
    """A machine behind a port. Every call blocks; every error is a `BridgeError`."""

    def connect(self) -> Status: ...
    def close(self) -> None: ...
    def status(self) -> Status: ...
    def start(self, program: Program) -> Run: ...
    def recover(self, handle: str) -> Run | None: ...
    def halt(self) -> None: ...


# ── what a machine may be able to do besides; who asks looks with isinstance


@dataclass(frozen=True)
class Travel:
    """Where a machine may be moved, in its own coordinates, and how fast at most."""

    low_mm: tuple[float, float, float]
    high_mm: tuple[float, float, float]
    feed_mm_min: float

    def refuse(self, place_mm: tuple[float, ...]) -> None:
        """Raises `Refused` for a place outside."""
        for axis, at, low, high in zip("XYZ", place_mm, self.low_mm, self.high_mm, strict=True):
            if not low <= at <= high:
                raise Refused(f"{axis}{at:g} is outside its travel of {low:g} to {high:g} mm")


@dataclass(frozen=True)
class Picture:
    """What a camera sees now."""

    data: bytes
    media_type: Literal["image/jpeg", "image/png"]


@runtime_checkable
class Homes(Protocol):
    """It moves to its switches, and knows its place again. Only on the word of a person there."""

    @property
    def no_switches(self) -> bool:
        """It said that it has none: it can neither be homed nor, not knowing its place, jogged."""
        ...

    def home(self) -> Status: ...


@runtime_checkable
class Jogs(Protocol):
    """Small moves for set-up, each waited for. Only on the word of a person there.

    `jog` raises `Refused` while it is busy, where its place is not known, and for a place outside
    its travel. `stop_jog` may be called from another thread.
    """

    def jog(self, by_mm: tuple[float, float, float], travel: Travel) -> Status: ...
    def stop_jog(self) -> None: ...


@runtime_checkable
class Sees(Protocol):
    """It has a camera. May be called from any thread; `Refused` says why there is no picture."""

    def snapshot(self) -> Picture: ...
