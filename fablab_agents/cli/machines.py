"""`cosmolocal-agent machines`: what is plugged in, what answers, and the entry that it needs.

It moves nothing, asks no address that nobody named, and opens a port only when told to.
"""

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fablab_agents import config
from fablab_agents.cli.common import DONE, PERSON, REFUSED, Commands, refused, say, with_folder
from fablab_agents.config import Config

if TYPE_CHECKING:
    from firmware_bridge.discovery import Found, Port, Silent

_WHAT = """\
Finds machines and writes the entry that each needs in agent.toml.

  cosmolocal-agent machines scan                        serial ports of this computer
  cosmolocal-agent machines scan --open                 and who answers on them
  cosmolocal-agent machines scan octopi.local 192.168.1.20:7125
  cosmolocal-agent machines key http://octopi.local     a key of our own for an OctoPrint
  cosmolocal-agent machines list                        what agent.toml names
"""
_SCAN = """\
Lists serial ports, and asks the print servers (OctoPrint, Moonraker, PrusaLink) at the addresses
that you name; no other address is asked. Opening a port resets many boards, so ports are opened
only with --open or after your yes: nothing may be running on these machines then. Nothing moves.
Exit status: 0 all asked, 1 a port or server could not be asked, 3 ports were left unopened.
"""
_KEY = """\
Asks an OctoPrint for a key of our own; somebody allows it on OctoPrint's page. The key is printed
once: put it into the machine's entry as api_key.
"""
_PROFILES: Final = {"marlin": "generic-fdm-220", "grbl": "generic-cnc-3018"}
_LASER: Final = "generic-laser-400"
_AT_ONCE: Final = 16
_KEYS: Final = {
    "moonraker": ['api_key = ""                       # from its page, or {link}/access/api_key'],
    "octoprint": [
        'api_key = ""                       # from: cosmolocal-agent machines key {link}'
    ],
    "prusalink": ['user = "maker"', 'password = ""                      # shown on the printer'],
}


def register(commands: Commands) -> None:
    family = commands.add_parser(
        "machines",
        help="find machines and write their entries",
        description=_WHAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).add_subparsers(required=True, metavar="WHAT")
    scanning = with_folder(_verb(family, "scan", "ports and print servers", _SCAN, scan))
    scanning.add_argument("address", nargs="*", help="of a print server: name, host:port or URL")
    scanning.add_argument("--open", action="store_true", help="open ports; it resets many boards")
    scanning.add_argument("--write", action="store_true", help="append the entries to agent.toml")
    listing = _verb(family, "list", "the machines of agent.toml", "", show)
    with_folder(listing)
    asking = _verb(family, "key", "a key of our own for an OctoPrint", _KEY, key)
    asking.add_argument("url", help="http://octopi.local")
    asking.add_argument("--user", default="", help="the OctoPrint user whose key it will be")


def _verb(
    family: Commands, name: str, what: str, more: str, act: object
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = family.add_parser(
        name,
        help=what,
        description=more or what,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", action="store_true", help="answer in JSON on standard output")
    made.set_defaults(act=act)
    return made


# ── scan


@dataclasses.dataclass(frozen=True)
class Scanned:
    """`left` ports were not opened; `entries` are proposals for agent.toml, one for each found."""

    ports: "tuple[Port, ...]"
    left: tuple[str, ...]
    found: "tuple[Found, ...]"
    silent: "tuple[Silent, ...]"
    entries: tuple[str, ...] = ()


def scan(asked: argparse.Namespace) -> int:
    folder: Path = asked.dir.expanduser()
    known = _known(folder)
    scanned = _scanned(asked, {machine.link for machine in known.machine})
    taken = set(known.ids)
    entries = tuple(entry(found, taken) for found in scanned.found)
    scanned = dataclasses.replace(scanned, entries=entries)
    if asked.json:
        print(json.dumps(dataclasses.asdict(scanned)))
    else:
        print("\n".join(_told(scanned)))
    if asked.write and entries:
        _write(folder, entries)
    if scanned.silent:
        return REFUSED
    return PERSON if scanned.left else DONE


def _known(folder: Path) -> Config:
    return config.load(folder) if (folder / config.FILE).exists() else Config()


def _scanned(asked: argparse.Namespace, in_use: Collection[str]) -> Scanned:
    from firmware_bridge import discovery
    from firmware_bridge.discovery import Found, Silent

    ports = tuple(discovery.serial_ports())
    free = [p for p in ports if not p.holder and p.permitted and p.path not in in_use]
    opened = free if free and (asked.open or _may_open(asked, free)) else []
    answers = [_asked_port(port.path) for port in opened]
    with ThreadPoolExecutor(_AT_ONCE) as threads:  # an address where nobody is takes its time
        servers = list(threads.map(_asked_server, asked.address))
    both = [*answers, *servers]
    return Scanned(
        ports,
        tuple(port.path for port in free if port not in opened),
        tuple(answer for answer in both if isinstance(answer, Found)),
        tuple(answer for answer in both if isinstance(answer, Silent)),
    )


def _may_open(asked: argparse.Namespace, ports: "Iterable[Port]") -> bool:
    if asked.json or not sys.stdin.isatty():
        return False
    names = "\n  ".join(port.path for port in ports)
    sys.stderr.write(
        f"  {names}\nOpening these resets many boards: is nothing running on them? (yes/no) "
    )
    return input().strip().lower() in ("y", "yes")


def _asked_port(path: str) -> "Found | Silent":
    from firmware_bridge import discovery
    from firmware_bridge.errors import BridgeError

    sys.stderr.write(f"asking {path} …\n")
    try:
        return discovery.ask_port(path)
    except BridgeError as error:
        return discovery.Silent(path, str(error))


def _asked_server(given: str) -> "Found | Silent":
    """The first of the usual ports where a print server answers."""
    from firmware_bridge import discovery
    from firmware_bridge.errors import BridgeError

    last = discovery.Silent(given, "no address")
    for address in discovery.addresses(given):
        sys.stderr.write(f"asking {address} …\n")
        try:
            answer = discovery.ask_server(address)
        except BridgeError as error:
            return discovery.Silent(given, str(error))
        if isinstance(answer, discovery.Found):
            return answer
        last = answer
    return discovery.Silent(given, last.why)


def _told(scanned: Scanned) -> list[str]:
    lines = [f"{port.path}: {_standing(port, scanned)}" for port in scanned.ports]
    if not scanned.ports:
        lines.append("no USB serial port: is the machine plugged in and switched on?")
    lines += [f"{found.link}: {found.said} ({found.driver})" for found in scanned.found]
    lines += [f"{silent.link}: {silent.why}" for silent in scanned.silent]
    if scanned.left:
        lines.append("To ask who is there (this resets many boards): add --open")
    for text in scanned.entries:
        lines += ["", "Proposed for agent.toml; correct it to your machine:", text.rstrip()]
    return lines


def _standing(port: "Port", scanned: Scanned) -> str:
    if port.holder:
        return f"in use by {port.holder}"
    if not port.permitted:
        return "no permission; type: sudo usermod -aG dialout $USER, then log in anew"
    if port.path in scanned.left:
        return "free, not opened"
    asked = {answer.link for answer in (*scanned.found, *scanned.silent)}
    return "asked" if port.path in asked else "named in agent.toml already"


# ── the entry


def entry(found: "Found", taken: set[str]) -> str:
    """A [[machine]] table for it, with what a person has to correct said beside; takes its id."""
    kind = "laser" if found.laser else "mill" if found.driver == "grbl" else "printer"
    name = next(f"{kind}-{n}" for n in range(1, len(taken) + 2) if f"{kind}-{n}" not in taken)
    taken.add(name)
    profile = _LASER if found.laser else _PROFILES.get(found.driver, _PROFILES["marlin"])
    materials = '["pla"]' if kind == "printer" else '["plywood"]'
    travel = " × ".join(f"{mm:g}" for mm in found.travel_mm)
    lines = [
        "[[machine]]",
        f"# {_comment(found.said)}" + (f", travel {travel} mm" if travel else ""),
        f"id = {json.dumps(name)}",
        f"profile = {json.dumps(profile)}       # or the file of your own: see guard --help",
        f"driver = {json.dumps(found.driver)}",
        f"link = {json.dumps(found.link)}",
    ]
    if found.baud is not None:
        lines.append(f"baud = {found.baud}")
    if found.key or found.driver != "moonraker":  # which trusts its own network, as it comes
        lines += [line.format(link=found.link) for line in _KEYS.get(found.driver, [])]
    lines.append(f"materials = {materials}              # what you stock for it")
    if found.laser:
        lines.append("kerf_mm = 0.15                    # measure yours")
    elif kind == "mill":
        lines.append("tool_mm = 3.175                   # the cutter in it")
    return "\n".join(lines) + "\n"


def _comment(said: str) -> str:
    """What a machine says of itself, as text that stays in its line."""
    return re.sub(r"[^\x20-\x7e]", "?", said)[:80]


def _write(folder: Path, entries: Iterable[str]) -> None:
    """Append; the file is checked as a whole first, so a bad entry never reaches it."""
    path = folder / config.FILE
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = "\n".join([before.rstrip(), *entries]).lstrip()
    config.parse(after, str(path))
    folder.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(after, encoding="utf-8")
    fresh.replace(path)
    sys.stderr.write(f"written to {path}\n")


# ── list and key


def show(asked: argparse.Namespace) -> int:
    shop = config.load(asked.dir.expanduser())
    rows = [
        {"id": m.id, "title": m.title, "profile": m.profile, "driver": m.driver, "link": m.link}
        for m in shop.machine
    ]
    words = "\n".join(f"{row['id']}: {row['driver']} at {row['link']}" for row in rows)
    say(asked, words or "agent.toml names no machine; try: machines scan", machines=rows)
    return DONE


def key(asked: argparse.Namespace) -> int:
    from firmware_bridge.drivers.octoprint import appkeys
    from firmware_bridge.errors import BridgeError, NeedsPerson

    try:
        made = appkeys.request(
            asked.url, asked.user, say=lambda words: print(words, file=sys.stderr, flush=True)
        )
    except NeedsPerson as error:
        return refused(asked, str(error), PERSON)
    except BridgeError as error:
        return refused(asked, str(error), REFUSED)
    say(asked, f'api_key = "{made}"', api_key=made)
    return DONE
