"""Tickets and grants: what the orchestrator signs and the agent holds against its own facts.

`verify` checks the signature over the exact bytes before it reads a word of them; the keys and
the cryptography belong to the caller's `Verifier`, never to this module.
"""

import json
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]

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
    fence: Annotated[int, Field(ge=1)]
    issued_at: AwareDatetime


class Recipe(BaseModel):
    """How the part is to be made, as far as the release or the maker decides it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    process: Slug
    material: Slug
    thickness_mm: float | None = None
    quality: Literal["draft", "normal"] = "normal"


class Ticket(_Signed):
    """An offer to make one part of one release on one machine; nothing can start from it."""

    kind: Literal["ticket"] = "ticket"
    jobs: tuple[Slug, ...] = Field(min_length=1)
    release: Sha256
    design: Slug
    version: str
    part: str
    file: Sha256
    file_bytes: int
    format: str
    quantity: Annotated[int, Field(ge=1)]
    recipe: Recipe
    estimate_s: Annotated[int, Field(ge=0)]
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


_SIGNED: TypeAdapter[Ticket | Grant] = TypeAdapter(
    Annotated[Ticket | Grant, Field(discriminator="kind")]
)


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
    """Parse JSON, refusing twin keys and anything that is not UTF-8 JSON (BadEnvelope)."""
    try:
        return json.loads(raw.decode(), object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        msg = f"not readable as JSON: {error}"
        raise BadEnvelope(msg) from error


def _no_constant(name: str) -> float:
    msg = f"{name} is not a number"
    raise BadEnvelope(msg)


def verify(envelope: str, verifier: Verifier) -> Ticket | Grant:
    """The signed object in `envelope`; BadEnvelope if signature, form or content is wrong."""
    payload = verifier(envelope)
    try:
        return _SIGNED.validate_python(strict_json(payload))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        msg = f"{where or 'ticket'}: {first['msg']}"
        raise BadEnvelope(msg) from error


def verify_ticket(envelope: str, verifier: Verifier) -> Ticket:
    signed = verify(envelope, verifier)
    if not isinstance(signed, Ticket):
        msg = "this is a grant where a ticket belongs"
        raise BadEnvelope(msg)
    return signed


def verify_grant(envelope: str, verifier: Verifier) -> Grant:
    signed = verify(envelope, verifier)
    if not isinstance(signed, Grant):
        msg = "this is a ticket where a grant belongs"
        raise BadEnvelope(msg)
    return signed
