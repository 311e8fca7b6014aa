"""What a server answered, as typed values or as words for a person; without any input or output.

Whatever a server said is hostile text: quoted short, printable, and without our own secrets.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from firmware_bridge.errors import BridgeError, LinkLost, ProtocolError, Refused

SECRET = "«secret»"  # noqa: S105 - what stands in its place
_MODEL = TypeVar("_MODEL", bound=BaseModel)
_WORDS = {
    401: "it refuses our key or password; check them in the machine's entry",
    403: "it refuses our key or password; check them in the machine's entry",
    404: "it does not know what was asked for",
    408: "it waited too long for the rest of what was sent",
    409: "its printer is not in a state for this",
    413: "the program is too large for it; raise its limit for uploads",
    429: "it is asked too often",
    507: "it has no room left; delete old files there",
}


class Body(TypedDict):
    content: bytes
    headers: dict[str, str]


class Answer(BaseModel):
    """Only the fields that are named are read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def read(kind: type[_MODEL], body: bytes | str, whose: str) -> _MODEL:
    """A typed answer; raises `ProtocolError` with the transcript."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        text = quoted(body, 2000)
        page = text.lstrip().startswith("<")
        what = "a web page, no data: is it the right address?" if page else "what nobody expects"
        raise ProtocolError(f"{whose} answered {what}", text) from error


def parse(kind: type[_MODEL], value: object, whose: str) -> _MODEL:
    """The same for what was JSON already."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ProtocolError(
            f"{whose} answered what nobody expects", quoted(repr(value), 2000)
        ) from (error)


def as_json(body: Mapping[str, object]) -> Body:
    """How a JSON body is handed to a request."""
    header = {"Content-Type": "application/json"}
    return {"content": json.dumps(body).encode(), "headers": header}


def quoted(said: bytes | str, length: int = 300, secrets: Sequence[str] = ()) -> str:
    """A server's text, fit to be shown: printable, short, our secrets blotted out."""
    text = said if isinstance(said, str) else bytes(said[: 4 * length]).decode("utf-8", "replace")
    for secret in secrets:
        text = text.replace(secret, SECRET)
    return "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text)[:length]


def refusal(code: int, said: str, whose: str) -> BridgeError:
    """The error of an HTTP status that is no success."""
    words = _WORDS.get(code, f"HTTP {code}")
    lost = code in (408, 425, 429) or (code >= 500 and code != 507)
    told = said.strip()
    more = f" ({told})" if told and not told.startswith("<") and code not in (401, 403) else ""
    if lost:
        return LinkLost(f"{whose} is in trouble: {words}{more}")
    return Refused(f"{whose} refused: {words}{more}")
