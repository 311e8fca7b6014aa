"""GRBL's language: bytes in, typed replies out.

It holds at most one unfinished line of bounded length, and never reads or writes anything.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

REPLY_MAX_BYTES = 1024

Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Ok:
    pass


@dataclass(frozen=True, slots=True)
class Error:
    number: int


@dataclass(frozen=True, slots=True)
class Alarm:
    number: int


@dataclass(frozen=True, slots=True)
class Banner:
    """`family` is Grbl, GrblHAL or FluidNC: the last two greet much like the first."""

    version: str
    family: str = "Grbl"


@dataclass(frozen=True, slots=True)
class Report:
    """A status report: state (`Hold`), its part (`0`), positions and offset where told, in mm.

    `free` is what it has room for: (blocks in its planner, bytes in its receive buffer).
    """

    state: str
    part: int | None = None
    machine_mm: Vector | None = None
    work_mm: Vector | None = None
    offset_mm: Vector | None = None
    free: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Modes:
    """The answer to `$G`."""

    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Build:
    """`[VER:…]` or `[OPT:…]`, the answers to `$I`."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the answer to `$$`."""

    number: int
    value: str


@dataclass(frozen=True, slots=True)
class Note:
    text: str


Reply = Ok | Error | Alarm | Banner | Report | Modes | Build | Setting | Note

_OK = Ok()
_BANNER = re.compile(r"^(Grbl|GrblHAL) (\d+\.\d+\w?)(?: \[(FluidNC))?", re.IGNORECASE)
_FREE = re.compile(r"^(\d+),(\d+)$")
_STATE = re.compile(r"^([A-Z][a-z]+)(?::(\d))?$")
_UNPRINTABLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x20-\x7e]")


class Codec:
    """Collects bytes into lines; a line beyond `REPLY_MAX_BYTES` is dropped whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._dropping = False

    def feed(self, data: bytes) -> Iterator[Reply]:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            bare = line.rstrip(b"\r")
            if self._dropping or len(line) > REPLY_MAX_BYTES:
                self._dropping = False
                yield Note("a line without end was dropped")
            elif bare == b"ok":
                yield _OK
            elif bare:
                yield parse(bare)
        if len(self._rest) > REPLY_MAX_BYTES:
            self._rest, self._dropping = b"", True


def parse(raw: bytes) -> Reply:
    """One reply line; whatever is not GRBL's becomes a `Note` with harmless text."""
    said = raw.decode("latin-1").strip()
    text = _UNPRINTABLE.sub("", said)
    if match := _BANNER.match(text):
        return Banner(match[2], match[3] or match[1])
    if text != said:
        return Note(text)
    if match := re.match(r"^error:(\d{1,3})$", text):
        return Error(int(match[1]))
    if match := re.match(r"^ALARM:(\d{1,3})$", text):
        return Alarm(int(match[1]))
    if text.startswith("<") and text.endswith(">"):
        return _report(text[1:-1]) or Note(text)
    return _bracketed(text)


def _bracketed(text: str) -> Reply:
    if text.startswith("[GC:") and text.endswith("]"):
        return Modes(frozenset(text[4:-1].split()))
    if match := re.match(r"^\[(VER|OPT|FIRMWARE):(.*)\]$", text):
        return Build(match[1], match[2])
    if match := re.match(r"^\$(\d{1,3})=(\S+)", text):
        return Setting(int(match[1]), match[2])
    return Note(text)


def _report(text: str) -> Report | None:
    head, *fields = text.split("|")
    state = _STATE.match(head)
    if state is None:
        return None
    told = dict(field.split(":", 1) for field in fields if ":" in field)
    try:
        return Report(
            state[1],
            int(state[2]) if state[2] else None,
            _vector(told.get("MPos")),
            _vector(told.get("WPos")),
            _vector(told.get("WCO")),
            _free(told.get("Bf", "")),
        )
    except ValueError:
        return None


def _free(text: str) -> tuple[int, int] | None:
    match = _FREE.match(text)
    return None if match is None else (int(match[1]), int(match[2]))


def _vector(text: str | None) -> Vector | None:
    return None if text is None else tuple(float(part) for part in text.split(","))
