"""Tickets, grants, key lists: what the orchestrator signs, the agent holds against its own facts.

`verify` checks the signature over the exact bytes before it reads a word of them; the keys and
the cryptography belong to the caller's `Verifier`, never to this module.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_KEY_ID = r"[A-Za-z0-9_-]{1,64}"
ALGORITHM = "Ed25519"
COUNT_MAX = 2**30
"""No count of ours comes near it, and every database holds one more."""
Fence = Annotated[int, Field(ge=1, le=COUNT_MAX)]

_NO_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
"""Half a UTF-16 pair cannot be written as UTF-8, PostgreSQL keeps no NUL, logs want no controls."""


def plain(text: str) -> str:
    """The text with � for every character that the wire does not carry."""
    return _NO_TEXT.sub("\ufffd", text)


Words = Annotated[str, AfterValidator(plain)]
"""What people, machines or print servers said: it can be sent and kept whatever it was."""

_T = TypeVar("_T")
Verifier = Callable[[str], bytes]
"""Takes a compact JWS, returns the payload bytes that were signed; raises BadEnvelope otherwise."""


class BadEnvelope(Exception):
    """A ticket or grant that is not signed by a pinned key, or does not say what it must."""


class _Signed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    v: Literal[1] = 1
    agent: Slug
    machine: Slug
    attempt: Slug
    fence: Fence
    issued_at: AwareDatetime


class Manner(BaseModel):
    """How the designer would have a part printed; `locked`: exactly so, or the lab refuses.

    `orientation_deg` turns the file about x, then y, then z. None is the workshop's to choose.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    locked: bool = False
    layer_mm: Annotated[float, Field(gt=0, le=2)] | None = None
    walls: Annotated[int, Field(ge=1, le=100)] | None = None
    infill_pct: Annotated[int, Field(ge=0, le=100)] | None = None
    orientation_deg: tuple[float, float, float] | None = None
    supports: Literal["none", "where_needed", "from_bed", "everywhere"] | None = None
    material_grade: Words | None = None

    def __str__(self) -> str:
        """As a person at the machine reads it; empty if it leaves everything open."""
        angles = self.orientation_deg
        turned = angles and f"turned by {', '.join(f'{angle:g}°' for angle in angles)}"
        lies = "lying as in the file" if angles and not any(angles) else turned
        said = (
            f"{self.layer_mm:g} mm layers" if self.layer_mm else "",
            f"{self.walls} walls" if self.walls else "",
            f"{self.infill_pct} % infill" if self.infill_pct is not None else "",
            lies or "",
            f"supports: {self.supports.replace('_', ' ')}" if self.supports else "",
            self.material_grade or "",
        )
        words = ", ".join(each for each in said if each)
        return f"{words} (exactly so)" if words and self.locked else words


class Recipe(BaseModel):
    """How the part is to be made, as far as the release or the maker decides it.

    A recipe without a manner is written as before there were any: an older agent takes it. One
    with a manner it cannot read, so it starts nothing from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    process: Slug
    material: Slug
    thickness_mm: float | None = None
    quality: Literal["draft", "normal"] = "normal"
    manner: Manner | None = None

    @model_serializer(mode="wrap")
    def _without_none(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = write(self)
        return told if self.manner is not None else {k: told[k] for k in told if k != "manner"}


class Ticket(_Signed):
    """An offer to make one part of one release on one machine; nothing can start from it."""

    kind: Literal["ticket"] = "ticket"
    jobs: tuple[Slug, ...] = Field(min_length=1)
    release: Sha256
    design: Slug
    version: Words
    part: Words
    file: Sha256
    file_bytes: Annotated[int, Field(ge=0, le=2**40)]
    format: Words
    quantity: Annotated[int, Field(ge=1, le=COUNT_MAX)]
    recipe: Recipe
    estimate_s: Annotated[int, Field(ge=0, le=COUNT_MAX)]
    """The time the quote stands on; a program that takes over 20 % longer is not started."""
    not_after: AwareDatetime


class Grant(_Signed):
    """Leave to start once: it repeats the claim's nonce, boot and program, or it means nothing."""

    kind: Literal["grant"] = "grant"
    nonce: Nonce
    boot: Slug
    program: Sha256
    window_s: Annotated[int, Field(ge=1, le=86_400)]
    """Counted by the agent's monotonic clock from the moment it sent the claim."""


class PublicKey(BaseModel):
    """An Ed25519 key as a JWK; what else a key may carry, a private half first of all, is left."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    kid: Annotated[str, Field(pattern=f"^{_KEY_ID}$")]


class KeyList(BaseModel):
    """Whose tickets and grants count from now on; only a list of a higher serial replaces it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    v: Literal[1] = 1
    kind: Literal["keys"] = "keys"
    serial: Annotated[int, Field(ge=1, le=COUNT_MAX)]
    keys: Annotated[tuple[PublicKey, ...], Field(min_length=1, max_length=8)]


Signed = Ticket | Grant | KeyList
_SIGNED: TypeAdapter[Signed] = TypeAdapter(Annotated[Signed, Field(discriminator="kind")])


def canonical(value: BaseModel) -> bytes:
    """The one byte form of a model: sorted keys, no spaces, UTF-8. What is hashed and signed."""
    return json.dumps(
        value.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def _no_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        msg = "a key stands twice"
        raise BadEnvelope(msg)
    return dict(pairs)


def strict_json(raw: bytes) -> object:
    """Parse JSON, refusing twin keys, control characters and anything that is not UTF-8 JSON.

    Raises BadEnvelope. The controls that it takes are tabs and ends of lines, as forms send them.
    """
    try:
        text = raw.decode()
        read = json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_constant)
        if "\\" in text:  # else there is none: JSON takes no such character bare, nor does UTF-8
            _refuse_no_text(read)
        return read
    except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
        msg = f"not readable as JSON: {error}"
        raise BadEnvelope(msg) from error


def _refuse_no_text(read: object) -> None:
    match read:
        case str():
            if found := _NO_TEXT.search(read):
                msg = f"U+{ord(found[0]):04X} is no text"
                raise BadEnvelope(msg)
        case dict():
            for pair in cast("dict[str, object]", read).items():
                _refuse_no_text(pair)
        case list() | tuple():
            for each in cast("list[object]", read):
                _refuse_no_text(each)
        case _:
            pass


def _no_constant(name: str) -> float:
    msg = f"{name} is not a number"
    raise BadEnvelope(msg)


def key_id(envelope: str) -> str:
    """Which key a compact JWS says it is signed with; BadEnvelope for any but its one spelling.

    The header names algorithm and key and nothing else, and no bit that base64url leaves unused
    may be set: whoever changes an envelope at all has to sign it anew.
    """
    parts = envelope.split(".")
    if len(parts) != 3:
        msg = "not a compact JWS of three parts"
        raise BadEnvelope(msg)
    raw, _, _ = map(_decoded, parts)
    header = strict_json(raw)
    if not isinstance(header, dict) or header.keys() != {"alg", "kid"}:
        msg = "its header names more or less than algorithm and key"
        raise BadEnvelope(msg)
    if header["alg"] != ALGORITHM or not re.fullmatch(_KEY_ID, str(header["kid"])):
        msg = "its header names another algorithm, or what is no key"
        raise BadEnvelope(msg)
    return str(header["kid"])


def _decoded(part: str) -> bytes:
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if not raw or base64.urlsafe_b64encode(raw).rstrip(b"=") != part.encode():
        msg = "not base64url in its one form"
        raise BadEnvelope(msg)
    return raw


def verify(envelope: str, verifier: Verifier) -> Signed:
    """The signed object in `envelope`; BadEnvelope if signature, form or content is wrong."""
    payload = verifier(envelope)
    try:
        return _SIGNED.validate_python(strict_json(payload))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        msg = f"{where or 'ticket'}: {first['msg']}"
        raise BadEnvelope(msg) from error


def holds(envelope: str, verifier: Verifier) -> bool:
    """Whether its signature is one that counts; what it says is not read."""
    try:
        verifier(envelope)
    except BadEnvelope:
        return False
    return True


def verify_ticket(envelope: str, verifier: Verifier) -> Ticket:
    return _of(Ticket, verify(envelope, verifier))


def verify_grant(envelope: str, verifier: Verifier) -> Grant:
    return _of(Grant, verify(envelope, verifier))


def verify_keys(envelope: str, verifier: Verifier) -> KeyList:
    return _of(KeyList, verify(envelope, verifier))


def _of(kind: type[_T], signed: Signed) -> _T:
    if not isinstance(signed, kind):
        wanted = kind.__name__.lower()
        msg = f"this is a {type(signed).__name__.lower()} where a {wanted} belongs"
        raise BadEnvelope(msg)
    return signed
