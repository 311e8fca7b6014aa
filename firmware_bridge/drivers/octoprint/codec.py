"""OctoPrint's language: JSON in, typed answers out.

It reads only the fields it names and never sends a request.
"""

from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firmware_bridge.drivers.octoprint import quirks
from firmware_bridge.errors import ProtocolError

Text = Annotated[str, Field(max_length=1000)]


class Doing(StrEnum):
    READY = "ready"
    WORKING = "working"
    PAUSED = "paused"
    ENDING = "ending"
    CLOSED = "closed"
    BROKEN = "broken"
    CHANGING = "changing"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _File(_Answer):
    name: Text | None = None


class _JobInfo(_Answer):
    file: _File = _File()


class _Progress(_Answer):
    completion: float | None = None
    filepos: int | None = None
    printTime: float | None = None  # noqa: N815 - OctoPrint's own name


class Job(_Answer):
    """`GET /api/job`."""

    state: Text
    error: Text | None = None
    job: _JobInfo = _JobInfo()
    progress: _Progress = _Progress()

    @property
    def file(self) -> str | None:
        return self.job.file.name

    @property
    def doing(self) -> Doing:
        return doing(self.state)


class _Last(_Answer):
    success: bool = False


class _Prints(_Answer):
    success: int = 0
    failure: int = 0
    last: _Last | None = None


class StoredFile(_Answer):
    """`GET /api/files/local/…`; `hash` is the SHA-1 of its bytes."""

    name: Text
    hash: Text | None = None
    prints: _Prints = _Prints()


class _Heater(_Answer):
    actual: float | None = None
    target: float | None = None


class Printer(_Answer):
    """`GET /api/printer`."""

    temperature: dict[str, _Heater] = Field(default_factory=dict[str, _Heater])

    @property
    def temperatures_c(self) -> dict[str, tuple[float, float]]:
        return {
            name: (heater.actual, heater.target or 0.0)
            for name, heater in self.temperature.items()
            if heater.actual is not None
        }


class _Current(_Answer):
    state: Text
    port: Text | None = None


class _Options(_Answer):
    ports: list[Text] = []
    portPreference: Text | None = None  # noqa: N815 - OctoPrint's own name


class Connection(_Answer):
    """`GET /api/connection`."""

    current: _Current
    options: _Options = _Options()

    @property
    def doing(self) -> Doing:
        return doing(self.current.state)

    def wish(self) -> dict[str, str]:
        """What to ask for: the port its owner prefers, else its only one, else its own search."""
        ports = self.options.ports
        port = self.options.portPreference or (ports[0] if len(ports) == 1 else None)
        return {"command": "connect", **({"port": port} if port else {})}


class Version(_Answer):
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


_Model = TypeVar("_Model", bound=BaseModel)


def read(kind: type[_Model], body: bytes) -> _Model:
    """A typed answer; raises `ProtocolError` with the transcript."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        text = body[:2000].decode("utf-8", "replace")
        raise ProtocolError(f"OctoPrint answered what is no {kind.__name__}", text) from error
