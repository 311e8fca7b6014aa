"""OctoPrint's language: JSON in, typed answers out.

It reads only the fields it names and never sends a request.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from firmware_bridge.drivers.octoprint import quirks
from firmware_bridge.serving.answers import Answer, quoted, read
from firmware_bridge.serving.look import Doing, Look

WHOSE: Final = "OctoPrint"
Text = Annotated[str, Field(max_length=1000)]


class _File(Answer):
    name: Text | None = None


class _JobInfo(Answer):
    file: _File = _File()


class _Progress(Answer):
    completion: float | None = None
    filepos: int | None = None
    printTime: float | None = None  # noqa: N815 - OctoPrint's own name


class Job(Answer):
    """`GET /api/job`."""

    state: Text
    error: Text | None = None
    job: _JobInfo = _JobInfo()
    progress: _Progress = _Progress()

    @property
    def doing(self) -> Doing:
        return doing(self.state)

    def look(self, heat: Mapping[str, tuple[float, float]]) -> Look:
        return _look(self.state, self.error, self.job, self.progress, heat)


def _look(
    state: str,
    error: str | None,
    job: _JobInfo,
    progress: _Progress,
    heat: Mapping[str, tuple[float, float]],
) -> Look:
    return Look(
        doing(state),
        quoted(error or state),
        job.file.name,
        (progress.completion or 0.0) / 100,
        progress.filepos,
        progress.printTime,
        heat,
    )


class _Last(Answer):
    success: bool = False


class _Prints(Answer):
    success: int = 0
    failure: int = 0
    last: _Last | None = None


class StoredFile(Answer):
    """`GET /api/files/local/…`; `hash` is the SHA-1 of its bytes."""

    name: Text
    hash: Text | None = None
    prints: _Prints = _Prints()


class _Heater(Answer):
    actual: float | None = None
    target: float | None = None


class Printer(Answer):
    """`GET /api/printer`."""

    temperature: dict[str, _Heater] = Field(default_factory=dict[str, _Heater])

    @property
    def temperatures_c(self) -> dict[str, tuple[float, float]]:
        return _warm(self.temperature)


def _warm(heaters: Mapping[str, _Heater]) -> dict[str, tuple[float, float]]:
    return {
        name: (heater.actual, heater.target or 0.0)
        for name, heater in heaters.items()
        if heater.actual is not None
    }


class _Port(Answer):
    state: Text
    port: Text | None = None


class _Options(Answer):
    ports: list[Text] = Field(default_factory=list[Text])
    portPreference: Text | None = None  # noqa: N815 - OctoPrint's own name


class Connection(Answer):
    """`GET /api/connection`."""

    current: _Port
    options: _Options = _Options()

    @property
    def doing(self) -> Doing:
        return doing(self.current.state)

    def wish(self) -> dict[str, str]:
        """What to ask for: the port its owner prefers, else its only one, else its own search."""
        ports = self.options.ports
        port = self.options.portPreference or (ports[0] if len(ports) == 1 else None)
        return {"command": "connect", **({"port": port} if port else {})}


class _Webcam(Answer):
    snapshotUrl: Text | None = None  # noqa: N815 - OctoPrint's own name


class Settings(Answer):
    """`GET /api/settings`, of its default camera."""

    webcam: _Webcam = _Webcam()

    @property
    def snapshot(self) -> str:
        return self.webcam.snapshotUrl or ""


class Version(Answer):
    """`GET /api/version`."""

    text: Text


def doing(state: str) -> Doing:
    """A state's text as what matters to us; a text not known is somewhere in between."""
    rows = (
        (quirks.BROKEN, Doing.BROKEN),
        (quirks.CLOSED, Doing.CLOSED),
        (quirks.WORKING, Doing.WORKING),
        (quirks.PAUSED, Doing.PAUSED),
        (quirks.ENDING, Doing.ENDING),
        (quirks.READY, Doing.READY),
    )
    return next((what for texts, what in rows if state.startswith(texts)), Doing.CHANGING)


class _State(Answer):
    text: Text
    error: Text | None = None


class Current(Answer):
    """What the push socket says twice a second; it names temperatures only when there are new."""

    state: _State
    job: _JobInfo = _JobInfo()
    progress: _Progress = _Progress()
    temps: list[dict[str, _Heater | float | None]] = Field(
        default_factory=list[dict[str, _Heater | float | None]]
    )

    def look(self) -> Look:
        told = self.temps[-1] if self.temps else {}
        heaters = {name: each for name, each in told.items() if isinstance(each, _Heater)}
        state = self.state
        return _look(state.text, state.error, self.job, self.progress, _warm(heaters))


class _Push(Answer):
    current: Current | None = None


class Login(Answer):
    """`POST /api/login`, passively: who the key belongs to."""

    name: Text
    session: Text


def greeting(login: Login) -> list[str]:
    """What the push socket wants to hear first: who we are, and to leave the terminal out."""
    wanted = {"state": {"logs": False, "messages": False}, "events": False, "plugins": False}
    told = ({"auth": f"{login.name}:{login.session}"}, {"subscribe": wanted}, {"throttle": 1})
    return [json.dumps(each) for each in told]


def hear(text: str) -> Current | None:
    """The state in a message of the push socket; None in one about anything else."""
    return read(_Push, text, WHOSE).current


class Pending(Answer):
    """`POST /plugin/appkeys/request`."""

    app_token: Text
    auth_dialog: Text = ""


class Decision(Answer):
    """`GET /plugin/appkeys/request/…`: without a key, nobody has decided."""

    api_key: Text = Field(default="", repr=False)
