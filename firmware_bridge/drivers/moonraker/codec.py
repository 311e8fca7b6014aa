"""Moonraker's language: JSON-RPC 2.0 in and out, and Klipper's status objects as one look.

It reads only the fields it names and never sends anything.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from firmware_bridge.driver import Outcome
from firmware_bridge.drivers.moonraker import quirks
from firmware_bridge.errors import BridgeError, Refused
from firmware_bridge.serving.answers import Answer, parse, quoted, read, refusal
from firmware_bridge.serving.look import Doing, Look, Past

WHOSE: Final = "Moonraker"
Text = Annotated[str, Field(max_length=2000)]


class RpcError(Answer):
    code: int = 0
    message: str = ""

    def as_error(self, secrets: tuple[str, ...] = ()) -> BridgeError:
        """Moonraker's codes are HTTP statuses, but for those of JSON-RPC itself."""
        said = quoted(self.message, 300, secrets)
        if said == quirks.UNAUTHORIZED:
            return refusal(401, said, WHOSE)
        if self.code > 0 and self.code != 400:
            return refusal(self.code, said, WHOSE)
        return Refused(f"{WHOSE} refused: {said or self.code}")


class Message(Answer):
    """An answer to one of our requests (`id`) or a notification (`method`)."""

    id: int | None = None
    method: Text = ""
    params: list[Any] = Field(default_factory=list[Any])
    result: Any = None
    error: RpcError | None = None


def hear(text: str) -> Message:
    return read(Message, text, WHOSE)


def request(number: int, method: str, params: Mapping[str, object]) -> str:
    asked = {"jsonrpc": "2.0", "method": method, "params": params, "id": number}
    return json.dumps(asked)


class _Webcam(Answer):
    enabled: bool = True
    snapshot_url: Text | None = None


class _Webcams(Answer):
    webcams: list[_Webcam] = Field(default_factory=list[_Webcam])


class Webcams(Answer):
    """`GET /server/webcams/list`."""

    result: _Webcams = _Webcams()

    @property
    def snapshot(self) -> str:
        """The first that is switched on and takes pictures."""
        able = (each.snapshot_url for each in self.result.webcams if each.enabled)
        return next((url for url in able if url), "")


class ServerInfo(Answer):
    klippy_state: Text = quirks.GONE
    moonraker_version: Text = ""


class PrinterInfo(Answer):
    state_message: Text = ""
    software_version: Text = ""


class Job(Answer):
    filename: Text | None = None
    status: Text = ""

    def past(self) -> Past | None:
        known = quirks.HISTORY.get(self.status)
        if known is None:
            return None
        outcome, cause, detail = known
        return Past(_outcome(outcome), cause, detail)


class History(Answer):
    jobs: list[Job] = Field(default_factory=list[Job])

    def of(self, name: str) -> Past | None:
        """How the latest print of that file ended; None for one that never was, or still is."""
        return next((job.past() for job in self.jobs if job.filename == name), None)

    def names(self, name: str) -> bool:
        return any(job.filename == name for job in self.jobs)


class _Stats(Answer):
    filename: Text | None = None
    state: Text = ""
    message: Text | None = None
    print_duration: float | None = None


class _Card(Answer):
    progress: float = 0.0
    file_position: int | None = None


class _Heater(Answer):
    temperature: float | None = None
    target: float | None = None


class _Webhooks(Answer):
    state: Text = ""
    state_message: Text = ""


class _Idle(Answer):
    state: Text = ""


class _Heaters(Answer):
    available_heaters: list[Text] = Field(default_factory=list[Text])


class _Status(Answer):
    print_stats: _Stats = _Stats()
    virtual_sdcard: _Card = _Card()
    webhooks: _Webhooks = _Webhooks()
    idle_timeout: _Idle = _Idle()
    heaters: _Heaters = _Heaters()


WATCHED: Final[Mapping[str, list[str]]] = {
    "print_stats": ["filename", "state", "message", "print_duration"],
    "virtual_sdcard": ["progress", "file_position"],
    "webhooks": ["state", "state_message"],
    "idle_timeout": ["state"],
    "heaters": ["available_heaters"],
}


class Subscribed(Answer):
    status: dict[str, dict[str, Any]]


_DOING: Final = {quirks.PRINTING: Doing.WORKING, quirks.PAUSED: Doing.PAUSED}


def watched(heaters: list[str]) -> dict[str, list[str]]:
    """What to subscribe to, the heaters that this printer has included."""
    return {**WATCHED, **{name: ["temperature", "target"] for name in heaters}}


@dataclass
class Picture:
    """Klipper's status as it was told bit by bit."""

    known: dict[str, dict[str, Any]]

    def merge(self, status: object) -> None:
        """Take news in, of what was asked for only."""
        told = parse(Subscribed, {"status": status}, WHOSE).status
        wanted = watched(self.heaters)
        for name, fields in told.items():
            kept = {key: fields[key] for key in wanted.get(name, ()) if key in fields}
            if kept:
                self.known.setdefault(name, {}).update(kept)

    @property
    def heaters(self) -> list[str]:
        return self._status.heaters.available_heaters[:20]

    @property
    def complete_in_motion(self) -> bool:
        """The file was read to its end, and the printer still moves."""
        status = self._status
        return status.print_stats.state == quirks.COMPLETE and status.idle_timeout.state == (
            "Printing"
        )

    @property
    def _status(self) -> _Status:
        return read(_Status, json.dumps(self.known), WHOSE)

    def look(self, *, settling: bool) -> Look:
        status = self._status
        stats, hooks = status.print_stats, status.webhooks
        heat = self._heat()
        if hooks.state not in ("", quirks.READY):
            doing = Doing.CHANGING if hooks.state == quirks.STARTING else Doing.BROKEN
            return Look(doing, quoted(hooks.state_message or hooks.state), heat=heat)
        doing = Doing.ENDING if settling else _DOING.get(stats.state, Doing.READY)
        return Look(
            doing,
            quoted(stats.state or "idle", 100),
            stats.filename or None,
            status.virtual_sdcard.progress,
            status.virtual_sdcard.file_position,
            stats.print_duration,
            heat,
        )

    def past(self, name: str) -> Past | None:
        """How that file's print ended, as long as Klipper itself remembers it."""
        stats = self._status.print_stats
        if stats.filename != name:
            return None
        if stats.state == quirks.COMPLETE:
            return Past("finished", "complete")
        if stats.state == quirks.CANCELLED:
            return Past("interrupted", "stopped at Moonraker")
        if stats.state == quirks.ERROR:
            return Past("failed", "printer error", quoted(stats.message or "Klipper gave up"))
        return None

    def _heat(self) -> dict[str, tuple[float, float]]:
        told = {_plain(name): parse(_Heater, self.known[name], WHOSE) for name in self._hot}
        return {
            name: (heater.temperature, heater.target or 0.0)
            for name, heater in told.items()
            if heater.temperature is not None
        }

    @property
    def _hot(self) -> list[str]:
        return [name for name in self.heaters if name in self.known]


def _plain(heater: str) -> str:
    """`extruder1` → `tool1`, `heater_bed` → `bed`: the names that all print servers share."""
    if heater == "heater_bed":
        return "bed"
    number = heater.removeprefix("extruder")
    return f"tool{number or 0}" if heater.startswith("extruder") else heater


def _outcome(word: str) -> Outcome:
    known: Mapping[str, Outcome] = {
        "finished": "finished",
        "failed": "failed",
        "interrupted": "interrupted",
    }
    return known.get(word, "unknown")
