"""Finds machines: boards on this computer's serial ports, print servers at addresses it is given.

It asks who is there and moves nothing; it opens a port only when told to, because opening one
resets many boards, and it asks no address that nobody named.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from firmware_bridge.drivers.grbl import codec as grbl
from firmware_bridge.drivers.marlin import codec as marlin
from firmware_bridge.errors import BridgeError, LinkLost
from firmware_bridge.links import Link, open_link
from firmware_bridge.serving import Http
from firmware_bridge.serving.http import Reply

Driver = Literal["marlin", "grbl", "octoprint", "moonraker", "prusalink"]
BAUDS: Final = (115200, 250000, 57600, 230400, 500000, 1000000)
SERVER_PORTS: Final = (80, 5000, 7125)
_BY: Final = ("/dev/serial/by-id", "/dev/serial/by-path")
_PLAIN: Final = ("ttyUSB*", "ttyACM*")
_BANNER_S: Final = 2.5
_ANSWER_S: Final = 1.5
_SERVER_S: Final = 5.0
_ANSWER_MAX: Final = 64 * 1024
_GARBLED: Final = 0.3
_READABLE: Final = frozenset({9, 10, 13, *range(32, 127)})
_LASER_MODE, _TRAVEL = 32, (130, 131, 132)


@dataclass(frozen=True)
class Port:
    """A serial port by its most lasting name; `holder` has it open now, in words."""

    path: str
    device: str
    holder: str = ""
    permitted: bool = True


@dataclass(frozen=True)
class Found:
    """A machine that said who it is; `travel_mm` and `laser` where a board tells them.

    `key`: a server that answers nothing more without one.
    """

    driver: Driver
    link: str
    said: str
    baud: int | None = None
    laser: bool = False
    travel_mm: tuple[float, ...] = ()
    key: bool = False


@dataclass(frozen=True)
class Silent:
    """Nobody we know: `why` in words, and what to try."""

    link: str
    why: str


# ── serial ports


def serial_ports(root: Path = Path("/")) -> list[Port]:
    """Every USB serial port, each once, under the name that survives a replug; opens none."""
    found: dict[str, str] = {}
    for folder in _BY:
        for link in sorted((root / folder[1:]).glob("*")):
            found.setdefault(str(link.resolve()), str(link))
    for pattern in _PLAIN:
        for device in sorted((root / "dev").glob(pattern)):
            found.setdefault(str(device.resolve()), str(device))
    return [
        Port(path, device, holder(device), os.access(device, os.R_OK | os.W_OK))
        for device, path in found.items()
    ]


def holder(device: str, proc: Path = Path("/proc")) -> str:
    """The program that has this port open, as far as this user may see: `octoprint (pid 812)`."""
    for process in sorted(proc.glob("[0-9]*")):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(str(fd.readlink()) == device for fd in (process / "fd").iterdir()):
                name = (process / "comm").read_text("utf-8", "replace").strip()
                return f"{name} (pid {process.name})"
        except OSError:
            continue
    return ""


def ask_port(path: str, bauds: tuple[int, ...] = BAUDS) -> Found | Silent:
    """Open the port at one speed after the other until a board says who it is.

    Raises `LinkLost` when it is not there, `Refused` when it is taken or not permitted.
    """
    garbled: list[int] = []
    for baud in bauds if "://" not in path else bauds[:1]:
        link = open_link(path, baud)
        try:
            heard, found = _who(link, path, baud)
        finally:
            link.close()
        if found is not None:
            return found
        if _is_garbled(heard):
            garbled.append(baud)
    if garbled:
        tried = ", ".join(map(str, garbled))
        return Silent(path, f"something talks, unreadable at {tried} baud: its speed is another")
    return Silent(path, "nothing answers: is the machine switched on, and is it Marlin or GRBL?")


def _who(link: Link, path: str, baud: int) -> tuple[bytes, Found | None]:
    heard = _listen(link, _BANNER_S, b"Grbl", b"start", b"Marlin")
    heard += _ask(link, b"\nM115\n", b"FIRMWARE_NAME", b"error:")
    for reply in marlin.Codec().feed(heard + b"\n"):
        if isinstance(reply, marlin.Firmware):
            return heard, Found("marlin", path, reply.name.strip(), baud)
    if b"Grbl" in heard or b"error:" in heard:
        heard += _ask(link, b"$I\n$$\n", b"$132=")
        return heard, _grbl(heard, path, baud)
    return heard, None


def _grbl(heard: bytes, path: str, baud: int) -> Found | None:
    settings: dict[int, str] = {}
    said = ""
    for reply in grbl.Codec().feed(heard + b"\n"):
        match reply:
            case grbl.Banner(version, family):
                said = said or f"{family} {version}"
            case grbl.Build("VER", version):
                said = said or f"Grbl {version}"
            case grbl.Setting(number, value):
                settings[number] = value
            case _:
                pass
    if not said:
        return None
    travel = tuple(_number(settings[axis]) for axis in _TRAVEL if axis in settings)
    laser = _number(settings.get(_LASER_MODE, "0")) == 1
    return Found("grbl", path, said, baud, laser, travel)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _ask(link: Link, words: bytes, *until: bytes) -> bytes:
    link.write(words)
    return _listen(link, _ANSWER_S, *until)


def _listen(link: Link, seconds: float, *until: bytes) -> bytes:
    """What comes within the time, up to the rest of the line that was waited for."""
    ends, heard = time.monotonic() + seconds, b""
    while (left := ends - time.monotonic()) > 0 and len(heard) < _ANSWER_MAX:
        heard += link.read(left)
        if any(word in heard for word in until):
            ends = min(ends, time.monotonic() + 0.3)
            until = ()
    return heard


def _is_garbled(heard: bytes) -> bool:
    odd = sum(byte not in _READABLE for byte in heard)
    return bool(heard) and odd > _GARBLED * len(heard)


# ── print servers


def addresses(given: str) -> list[str]:
    """The addresses to ask for what an operator wrote: a name, `192.168.1.20:5000` or a URL."""
    if "://" in given:
        return [given]
    host = urlsplit(f"http://{given}")
    if host.port is not None:
        return [f"http://{given}"]
    return [f"http://{given}" if port == 80 else f"http://{given}:{port}" for port in SERVER_PORTS]


def ask_server(address: str) -> Found | Silent:
    """Who serves there, by what each gives away without a key; raises `Refused` for no address."""
    http = Http("the print server", address)
    try:
        found = next(_servers(http), None)
    except LinkLost:
        return Silent(address, "nothing answers there: is it switched on, is the address right?")
    except BridgeError as error:
        return Silent(address, str(error))
    finally:
        http.close()
    return found or Silent(address, "something answers, but it is no print server we know")


class _Said(BaseModel):
    """Of the answers of three servers, the words that tell them apart."""

    model_config = ConfigDict(extra="ignore")
    text: str = ""
    result: dict[str, object] = {}


def _servers(http: Http) -> Iterator[Found]:
    if _get(http, "/plugin/appkeys/probe").status == 204:
        yield Found("octoprint", http.address, "OctoPrint, with application keys")
    moonraker = _get(http, "/server/info")
    version = _said(moonraker).result.get("moonraker_version")
    if version is not None:
        yield Found("moonraker", http.address, f"Moonraker {str(version)[:40]}")
    elif moonraker.status == 401 and _is_moonraker(http):
        yield Found("moonraker", http.address, "Moonraker, which wants a key", key=True)
    reply = _get(http, "/api/version")
    text = _said(reply).text
    if "digest" in reply.headers.get("www-authenticate", "").lower() or "PrusaLink" in text:
        yield Found("prusalink", http.address, text[:60] if "PrusaLink" in text else "PrusaLink")
    if "OctoPrint" in text:
        yield Found("octoprint", http.address, text[:60])


def _is_moonraker(http: Http) -> bool:
    """It tells everybody how one logs in (docs/external_api/authorization.md, /access/info)."""
    return "available_sources" in _said(_get(http, "/access/info")).result


def _get(http: Http, path: str) -> Reply:
    return http.get(path, limit=_ANSWER_MAX, seconds=_SERVER_S)


def _said(reply: Reply) -> _Said:
    try:
        return _Said.model_validate_json(reply.body)
    except ValidationError:
        return _Said()
