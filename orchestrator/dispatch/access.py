"""Who may do what on the broker, and the same said to Mosquitto in its own files.

An agent reads its own `down` and writes its own `up`, `telemetry` and `presence`; only presence
is retained; user name, client id and agent id are one. Nothing else is allowed.
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from fablab_agents.protocol import topics
from fablab_agents.protocol.messages import MAX_BYTES
from orchestrator.labs.enrolment import secret_fits
from orchestrator.store import write_whole

ORCHESTRATOR: Final = "orchestrator"
HEARD: Final = ("up", "telemetry", "presence")
HEARD_FILTERS: Final = tuple(f"{topics.ROOT}/+/{channel}" for channel in HEARD)
PACKET_MAX_BYTES: Final = MAX_BYTES + 1024
Act = Literal["subscribe", "receive", "publish"]


def may(user: str, act: Act, topic: str) -> bool:
    """Whether this user may do this to this topic, or to this filter when subscribing."""
    if user == ORCHESTRATOR and act == "subscribe":
        return topic in HEARD_FILTERS
    named = topics.agent_of(topic)
    if named is None:
        return False
    agent, channel = named
    if user == ORCHESTRATOR:
        return channel == "down" if act == "publish" else channel in HEARD
    return agent == user and (channel in HEARD if act == "publish" else channel == "down")


def may_retain(topic: str) -> bool:
    named = topics.agent_of(topic)
    return named is not None and named[1] == "presence"


@dataclass(frozen=True)
class BrokerSettings:
    host: str
    port: int
    passwords: Path

    @classmethod
    def read(cls, config: Path) -> Self:
        """From a TOML file with `host`, `port` and `passwords`."""
        said = tomllib.loads(config.read_text())
        return cls(said.get("host", "127.0.0.1"), said["port"], Path(said["passwords"]))

    def write(self, config: Path) -> None:
        lines = {"host": self.host, "port": self.port, "passwords": str(self.passwords.resolve())}
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
        config.write_text(text)


class Passwords:
    """The users of a password file in Mosquitto's form; read again whenever it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._kept: dict[str, str] = {}

    def fits(self, user: str, password: str) -> bool:
        self.refresh()
        return user in self._kept and secret_fits(password, self._kept[user])

    def knows(self, user: str) -> bool:
        return user in self._kept

    def refresh(self) -> bool:
        """Read the file if it has changed; whether it had."""
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._seen, self._kept = None, {}
            return False
        if (state.st_mtime_ns, state.st_ino) == self._seen:
            return False
        self._kept = dict(_pairs(self._path.read_text()))
        self._seen = (state.st_mtime_ns, state.st_ino)
        return True


def _pairs(text: str) -> list[tuple[str, str]]:
    lines = (line.partition(":") for line in text.splitlines())
    return [(user, kept) for user, colon, kept in lines if colon]


def write_passwords(path: Path, hashes: dict[str, str]) -> None:
    """Replace the password file, whole or not at all; readable by its owner only."""
    write_whole(path, "".join(f"{user}:{kept}\n" for user, kept in sorted(hashes.items())))


def mosquitto_lines(folder: Path) -> list[str]:
    """The settings with which Mosquitto keeps the same promises as the embedded broker."""
    return [
        "allow_anonymous false",
        f"password_file {folder / 'passwd'}",
        f"acl_file {folder / 'acl'}",
        "use_username_as_clientid true",
        "persistence false",
        f"max_packet_size {PACKET_MAX_BYTES}",
        "max_queued_messages 1000",
        "max_queued_bytes 16777216",
        "max_keepalive 120",
        "max_connections 2000",
    ]


def mosquitto_acl() -> str:
    reads = "".join(f"topic read {pattern}\n" for pattern in HEARD_FILTERS)
    writes = "".join(f"pattern write {topics.ROOT}/%u/{channel}\n" for channel in HEARD)
    return (
        f"user {ORCHESTRATOR}\n{reads}topic write {topics.ROOT}/+/down\n"
        f"\npattern read {topics.ROOT}/%u/down\n{writes}"
    )


def write_mosquitto(folder: Path, passwords: Path, host: str, port: int) -> Path:
    """Write `mosquitto.conf`, `acl` and `passwd` into the folder; returns the first.

    After an enrolment copy the password file again and send Mosquitto SIGHUP.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _private(folder / "acl", mosquitto_acl())
    _private(folder / "passwd", passwords.read_text())
    settings = [f"listener {port} {host}", *mosquitto_lines(folder)]
    _private(folder / "mosquitto.conf", "\n".join(settings) + "\n")
    return folder / "mosquitto.conf"


def _private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
