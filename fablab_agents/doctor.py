"""Finds what is wrong with folder, journal, disk, clock, ports, slicer and network, and the fix.

It only looks: it never writes the journal or shows a secret, asks print servers what cannot move
anything, and opens a serial port only when told to, because that resets many boards.
"""

import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import httpx

from fablab_agents import config, journal
from fablab_agents.config import Config, ConfigRefused, Machine
from fablab_agents.machines import open_driver
from fablab_agents.trust import Identity, NotEnrolled, trust_env
from firmware_bridge import discovery, profiles, registry
from firmware_bridge.driver import Condition, Driver
from firmware_bridge.errors import BridgeError, ProfileBroken

CLOCK_OFF_MAX_S: Final = 120
DISK_WANTED: Final = 1 << 30


@dataclass(frozen=True)
class Check:
    """One thing looked at: `do` says the fix when it is not well."""

    what: str
    how: Literal["well", "worry", "wrong"]
    said: str
    do: str = ""


def examine(folder: Path, *, open_ports: bool = False) -> tuple[Check, ...]:
    """Everything that can be seen, with `open_ports` also who answers on the serial ports."""
    shop, shop_check = _shop(folder)
    identity, identity_check = _identity(folder)
    checks = [shop_check, identity_check, _disk(folder), _journal(folder)]
    if shop is not None:
        checks.extend(_machine(entry, open_ports=open_ports) for entry in shop.machine)
        checks.extend(_slicer(shop))
    if identity is not None:
        checks.extend([_broker(identity), _orchestrator(identity)])
    return tuple(checks)


def _shop(folder: Path) -> tuple[Config | None, Check]:
    try:
        shop = config.load(folder)
    except ConfigRefused as error:
        return None, Check("agent.toml", "wrong", str(error), "correct the file")
    if not shop.machine:
        return shop, Check("agent.toml", "worry", "no machine in it", "add a [[machine]] table")
    return shop, Check("agent.toml", "well", f"machines: {', '.join(shop.ids)}")


def _identity(folder: Path) -> tuple[Identity | None, Check]:
    try:
        identity = Identity.load(folder)
    except NotEnrolled as error:
        return None, Check("identity", "wrong", str(error), "enrol this agent")
    mode = (folder / "identity.json").stat().st_mode & 0o077
    if mode and os.name == "posix":
        path = folder / "identity.json"
        return identity, Check(
            "identity", "worry", "others on this computer can read it", f"chmod 600 {path}"
        )
    return identity, Check("identity", "well", f"enrolled as {identity.agent}")


def _disk(folder: Path) -> Check:
    if not folder.is_dir():
        do = "enrol makes it; is --dir the folder that you enrolled in?"
        return Check("disk", "wrong", f"there is no folder {folder}", do)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check("disk", "wrong", str(error), f"make {folder} writable, or free some space")
    if free < DISK_WANTED:
        return Check("disk", "worry", f"{free >> 20} MiB free", "free at least 1 GiB")
    return Check("disk", "well", f"{free >> 30} GiB free")


def _journal(folder: Path) -> Check:
    path = folder / journal.FILE
    if not path.exists():
        return Check("journal", "well", "none yet; the first run makes it")
    try:
        with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True) as db:
            said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            unknown = db.execute("SELECT count(*) FROM attempts WHERE state='unknown'").fetchone()
    except sqlite3.Error as error:
        return Check("journal", "wrong", str(error), f"keep {path} and ask for help")
    if said != "ok":
        return Check("journal", "wrong", said, f"keep {path} and ask for help")
    if unknown[0]:
        return Check(
            "journal", "worry", f"{unknown[0]} attempts unknown", "say on the console what you see"
        )
    return Check("journal", "well", "whole")


def _machine(entry: Machine, *, open_ports: bool) -> Check:
    what = f"machine {entry.id}"
    try:
        profiles.load(entry.profile)
    except ProfileBroken as error:
        return Check(what, "wrong", str(error), "correct `profile`")
    try:
        driver = open_driver(entry)
    except BridgeError as error:
        return Check(what, "wrong", str(error), "correct its entry in agent.toml")
    if entry.by_hand:
        return _folder(what, Path(entry.link).expanduser())
    if entry.link.startswith(("http://", "https://")):
        return _server(what, entry, driver)
    if entry.link.startswith("socket://"):
        parts = urlsplit(entry.link)
        return _reach(what, parts.hostname or "", parts.port or 0)
    found = _port(what, Path(entry.link))
    return _board(what, entry) if open_ports and found.how == "well" else found


def _folder(what: str, path: Path) -> Check:
    if not path.is_dir():
        return Check(what, "wrong", f"the folder {path} is missing", "make it, or mount its share")
    if not os.access(path, os.W_OK):
        return Check(what, "wrong", f"{path} cannot be written", f"sudo chown $USER {path}")
    return Check(what, "well", f"hands its files out in {path}")


def _server(what: str, entry: Machine, driver: Driver) -> Check:
    """With its key, by the questions that its driver asks all day."""
    try:
        status = driver.status()
    except BridgeError as error:
        return Check(what, "wrong", str(error), "correct its entry in agent.toml")
    finally:
        driver.close()
    said = f"{status.condition}{': ' if status.detail else ''}{status.detail}"
    if status.condition is Condition.OFFLINE:
        return Check(what, "wrong", said, "is it on, is the address right?")
    if status.condition in (Condition.FAULT, Condition.ATTENTION):
        return Check(what, "worry", said, "see to the machine")
    return Check(what, "well", f"{entry.link} answers, {said}")


def _port(what: str, path: Path) -> Check:
    if not path.exists():
        return Check(
            what, "wrong", f"port {path} is missing", "plug it in and switch it on; check `link`"
        )
    if not os.access(path, os.R_OK | os.W_OK):
        do = "sudo usermod -aG dialout $USER, log in anew"
        return Check(what, "wrong", f"{path} may not be opened", do)
    holder = discovery.holder(str(path.resolve()))
    if "cosmolocal" in holder:
        return Check(what, "well", f"{path} is held by {holder}")
    if holder:
        return Check(what, "wrong", f"{path} is in use by {holder}", f"close {holder}")
    return Check(what, "well", f"{path} is there")


def _board(what: str, entry: Machine) -> Check:
    """Who answers, and at which speed, beside what the entry says."""
    told = entry.baud or registry.Entry(driver=entry.driver, link=entry.link).baud
    bauds = (told, *(baud for baud in discovery.BAUDS if baud != told))
    try:
        found = discovery.ask_port(entry.link, bauds)
    except BridgeError as error:
        return Check(what, "wrong", str(error), "see to the port")
    if isinstance(found, discovery.Silent):
        return Check(what, "wrong", found.why, "check power, cable and `link`")
    if found.driver != entry.driver:
        said = f"{found.said} answers there, not {entry.driver}"
        return Check(what, "wrong", said, f'write driver = "{found.driver}", or mend `link`')
    if found.baud != told:
        said = f"it speaks at {found.baud} baud, the entry says {told}"
        return Check(what, "wrong", said, f"write baud = {found.baud}")
    return Check(what, "well", f"{found.said} answers at {told} baud")


def _reach(what: str, host: str, port: int) -> Check:
    try:
        socket.create_connection((host, port), 3).close()
    except OSError as error:
        return Check(
            what,
            "wrong",
            f"{host}:{port} does not answer: {error}",
            "is it on, is the address right?",
        )
    return Check(what, "well", f"{host}:{port} answers")


def _slicer(shop: Config) -> Iterator[Check]:
    if not any(_prints(entry) for entry in shop.machine):
        return
    found = shutil.which("prusa-slicer")
    if found is None:
        yield Check("slicer", "wrong", "slicer missing", "apt-get install prusa-slicer")
    else:
        yield Check("slicer", "well", found)


def _prints(entry: Machine) -> bool:
    try:
        return profiles.load(entry.profile).kind == "fdm"
    except ProfileBroken:
        return False


def _broker(identity: Identity) -> Check:
    return _reach("broker", identity.mqtt.host, identity.mqtt.port)


def _orchestrator(identity: Identity) -> Check:
    try:
        answer = httpx.get(
            f"{identity.url}/agent/v1/keys",
            auth=(identity.agent, identity.secret),
            timeout=5,
            trust_env=trust_env(identity.url),
        )
    except httpx.HTTPError as error:
        return Check(
            "orchestrator", "wrong", f"{identity.url}: {error}", "is the network up, is it serving?"
        )
    if answer.status_code in (401, 403):
        return Check("orchestrator", "wrong", "it does not know this agent", "enrol it anew")
    if not answer.is_success:
        return Check(
            "orchestrator", "worry", f"it answers with status {answer.status_code}", "try later"
        )
    return _keys(identity, answer) or _clock(answer)


def _keys(identity: Identity, answer: httpx.Response) -> Check | None:
    try:
        given = {key["kid"] for key in answer.json()["keys"]}
    except (ValueError, KeyError, TypeError):
        return Check("orchestrator", "wrong", f"{identity.url} is no orchestrator", "check the url")
    if given & {key.kid for key in identity.keys}:
        return None
    return Check("orchestrator", "wrong", "it signs with keys not pinned here", "enrol it anew")


def _clock(answer: httpx.Response) -> Check:
    said = answer.headers.get("date")
    if said:
        off_s = abs((parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
        if off_s > CLOCK_OFF_MAX_S:
            return Check("clock", "worry", f"{off_s:.0f} s off", "sudo timedatectl set-ntp true")
    return Check("orchestrator", "well", "answers, knows this agent, clocks agree")
