"""Marlin's language: bytes in, typed replies out; a command in, a numbered line out.

It holds at most one unfinished line of bounded length, and never reads or writes anything.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import xor

from firmware_bridge.drivers.marlin import quirks

REPLY_MAX_BYTES = 1024

Temperatures = dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Ok:
    """An acknowledgement; ADVANCED_OK says of which line, and what its queue still takes."""

    temperatures_c: Temperatures | None = None
    number: int | None = None
    free: int | None = None

    @property
    def is_bare(self) -> bool:
        return self.number is None and self.temperatures_c is None


@dataclass(frozen=True, slots=True)
class Garbled:
    """It may have been an acknowledgement; it acknowledges nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Idle:
    """It says `wait`: its queue is empty and it hears nothing."""


@dataclass(frozen=True, slots=True)
class CardPrint:
    """Whether it prints a file of its own (M27), or just began to (`text`)."""

    on: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Resend:
    number: int


@dataclass(frozen=True, slots=True)
class LineRefused:
    text: str


@dataclass(frozen=True, slots=True)
class Banner:
    text: str


@dataclass(frozen=True, slots=True)
class Busy:
    why: str


@dataclass(frozen=True, slots=True)
class Heat:
    """`waits`: a command waits for this heat, so no other answer can be had."""

    temperatures_c: Temperatures
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Firmware:
    name: str


@dataclass(frozen=True, slots=True)
class Capability:
    name: str
    on: bool


@dataclass(frozen=True, slots=True)
class Position:
    xyz_mm: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Killed:
    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    text: str


@dataclass(frozen=True, slots=True)
class UnknownCommand:
    command: str


@dataclass(frozen=True, slots=True)
class Action:
    name: str


@dataclass(frozen=True, slots=True)
class Note:
    text: str


Reply = (
    Ok
    | Garbled
    | Idle
    | CardPrint
    | Resend
    | LineRefused
    | Banner
    | Busy
    | Heat
    | Firmware
    | Capability
    | Position
    | Killed
    | Fault
    | UnknownCommand
    | Action
    | Note
)

_OK = Ok()
_HEATER = re.compile(r"\b([TBC]\d?):\s*(-?\d+(?:\.\d+)?)\s*/\s*(-?\d+(?:\.\d+)?)")
_OKS = {b"ok\n" * count: (_OK,) * count for count in range(1, 9)}
_ADVANCED = re.compile(r"^ok N?(\d{1,9})\b(?:.*\bB(\d{1,3})\b)?")
_RESEND = re.compile(r"^(?:Resend|rs):?\s*N?(\d{1,9})\s*$", re.IGNORECASE)
_BUSY = re.compile(r"^(?:echo:\s*)?busy:\s*(.*)$")
# Marlin's own words; Prusa-Firmware 3 tells the whole line, with "$" where its N stood
_UNKNOWN = re.compile(r'^(?:echo:\s*Unknown command: "|Unknown [GMTD] code: (?:\$\d+ *)?)(.*)"?$')
_FIRMWARE = re.compile(r"FIRMWARE_NAME:(.*?)(?:\s+[A-Z_]+:|$)")
_CAP = re.compile(r"^Cap:([A-Z_]+):([01])$")
_POSITION = re.compile(r"^X:(-?[\d.]+) Y:(-?[\d.]+) Z:(-?[\d.]+)")
_CARD = re.compile(r"^(Not )?SD printing\b", re.IGNORECASE)
_ODD = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x20-\x7e]")


class Codec:
    """Collects bytes into lines; a line beyond `REPLY_MAX_BYTES` is dropped whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._dropping = False

    def feed(self, data: bytes) -> Iterable[Reply]:
        """The replies that end within these bytes."""
        plain = _OKS.get(data) if not self._rest and not self._dropping else None
        return plain or self._lines(data)

    def _lines(self, data: bytes) -> Iterator[Reply]:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if self._dropping or len(line) > REPLY_MAX_BYTES:
                self._dropping = False
                yield Note("a line without end was dropped")
            elif line == b"ok":
                yield _OK
            else:
                yield parse(line)
        if len(self._rest) > REPLY_MAX_BYTES:
            self._rest, self._dropping = b"", True


def parse(raw: bytes) -> Reply:
    """One reply line; whatever is not Marlin's becomes a `Note` with harmless text.

    A line with bytes that Marlin never says acknowledges nothing, but bad news in it still counts.
    """
    said = raw.decode("latin-1").rstrip()
    text = _ODD.sub("", said)
    if text.startswith(("Error:", "!!")):
        return _error(text)
    if quirks.BANNERS.match(text):
        return Banner(text)
    if text != said:
        return Garbled(text)
    if text == "ok" or text.startswith("ok "):
        return _ok(text)
    if text.startswith("//"):
        return Action(text[2:].strip().removeprefix("action:").strip())
    return _notice(text.strip())


def _ok(text: str) -> Ok:
    told = _ADVANCED.match(text)
    number, free = (told[1], told[2]) if told else (None, None)
    return Ok(
        _heaters(text) or None,
        None if number is None else int(number),
        None if free is None else int(free),
    )


def _error(text: str) -> Reply:
    if quirks.LINE_REFUSED.search(text):
        return LineRefused(text)
    if quirks.CARD.search(text):
        return Note(text)
    return (Killed if quirks.KILLED.search(text) else Fault)(text)


def _notice(text: str) -> Reply:
    if match := _RESEND.match(text):
        return Resend(int(match[1]))
    if match := _BUSY.match(text):
        return Busy(match[1])
    if match := _UNKNOWN.match(text):
        return UnknownCommand(match[1].rstrip('"'))
    if quirks.PREVENTED.search(text):
        return Fault(text)
    if quirks.STOPPED.match(text):
        return Killed(text)
    if text == "wait":
        return Idle()
    return _fact(text)


def _fact(text: str) -> Reply:
    waits = bool(quirks.WAITS.match(text))
    if (heaters := _heaters(text)) or waits:
        return Heat(heaters, waits or " W:" in text)
    if match := _FIRMWARE.search(text):
        return Firmware(match[1].strip())
    if match := _CAP.match(text):
        return Capability(match[1], match[2] == "1")
    if match := _POSITION.match(text):
        return Position((float(match[1]), float(match[2]), float(match[3])))
    return _rest(text)


def _rest(text: str) -> Reply:
    if _CARD.search(text):
        return CardPrint(not text.startswith("Not"), text)
    if quirks.PANEL_PRINT.match(text):
        return CardPrint(True, text)
    broken = quirks.BROKEN_OK.search(text) and not quirks.CARD.search(text)
    return (Garbled if broken else Note)(text)


def _heaters(text: str) -> Temperatures:
    return {m[1]: (float(m[2]), float(m[3])) for m in _HEATER.finditer(text)}


def number_of(number: int) -> bytes:
    """What every line under this number begins with."""
    return b"N%d " % number


def numbered(number: int, command: bytes) -> bytes:
    """`N<number> <command>*<checksum>`, the checksum being the XOR of all bytes before the star."""
    body = number_of(number) + command
    return b"%s*%d\n" % (body, reduce(xor, body))
