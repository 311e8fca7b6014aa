"""Who we are and whom we believe: identity, pinned keys, Ed25519 signatures, enrolment.

Nothing is believed that a pinned key did not sign; the secret is never logged and never shown.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fablab_agents.protocol.tickets import BadEnvelope, Verifier
from fablab_agents.protocol.topics import check_agent_id

FILE = "identity.json"
_ALGORITHM = "Ed25519"


class NotEnrolled(Exception):
    """There is no usable identity in the agent's folder; the text says what to type."""


class EnrolRefused(Exception):
    """The orchestrator did not take the code, or could not be reached; the text says why."""


class Mqtt(BaseModel):
    model_config = ConfigDict(frozen=True)
    host: str
    port: int = Field(ge=1, le=65535)


class Identity(BaseModel):
    """Enrolment's answer: `keys` are the public JWKs whose tickets and grants are believed."""

    model_config = ConfigDict(frozen=True)
    agent: str
    secret: str = Field(repr=False, min_length=16)
    mqtt: Mqtt
    keys: tuple[dict[str, Any], ...] = Field(min_length=1)
    url: str = ""

    @field_validator("agent")
    @classmethod
    def _agent(cls, given: str) -> str:
        return check_agent_id(given)

    @field_validator("keys")
    @classmethod
    def _keys(cls, given: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        return tuple(_public_key(key) for key in given)

    @classmethod
    def load(cls, folder: Path) -> Self:
        path = folder / FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise NotEnrolled(
                f"{folder} is not enrolled; type: cosmolocal-agent enrol URL CODE --dir {folder}"
            ) from None
        except (OSError, ValidationError) as error:
            raise NotEnrolled(f"{path} cannot be used: {error}") from None

    def save(self, folder: Path) -> None:
        """Written whole or not at all, readable by its owner alone, as is a folder made for it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # agent.toml may hold API keys
        fresh = folder / f".{FILE}.new"
        fresh.unlink(missing_ok=True)
        opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            json.dump(self.model_dump(mode="json"), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(folder / FILE)
        _sync_names(folder)

    def verifier(self) -> Verifier:
        """Checks a compact JWS against the pinned keys; the payload's bytes, or BadEnvelope."""
        keys = KeySet.import_key_set({"keys": [dict(key) for key in self.keys]})

        def verify(envelope: str) -> bytes:
            try:
                signed = jws.deserialize_compact(envelope, keys, algorithms=[_ALGORITHM])
            except (JoseError, ValueError, TypeError, KeyError) as error:
                msg = f"not signed by a key this agent has pinned: {type(error).__name__}"
                raise BadEnvelope(msg) from error
            if not signed.headers().get("kid"):
                msg = "the signature does not name its key"
                raise BadEnvelope(msg)
            return signed.payload

        return verify


def _sync_names(folder: Path) -> None:
    """A power cut takes the name of a new file, unless its folder was synced after it."""
    if sys.platform == "win32":  # there is no such call, and no need for one
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _public_key(key: Mapping[str, Any]) -> dict[str, Any]:
    if key.get("kty") != "OKP" or key.get("crv") != _ALGORITHM or not key.get("kid"):
        msg = "a pinned key must be an Ed25519 JWK with a kid"
        raise ValueError(msg)
    return {name: key[name] for name in ("kty", "crv", "x", "kid") if name in key}


def trust_env(url: str) -> bool:
    """Whether a shop's proxy settings apply: never to this machine itself."""
    try:
        return urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"}
    except ValueError:
        return True


def enrol(url: str, code: str, version: str, lab: str | None = None) -> Identity:
    """Trade a one-time code for an identity; raises EnrolRefused with the orchestrator's words."""
    import httpx

    base = url.rstrip("/")
    asked = {"code": code, "version": version} | ({"lab": lab} if lab else {})
    try:
        with httpx.Client(timeout=30, trust_env=trust_env(base)) as client:
            answer = client.post(f"{base}/agent/v1/enrol", json=asked)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise EnrolRefused(f"{base} cannot be reached: {error}") from None
    if not answer.is_success:
        raise EnrolRefused(_problem(base, answer.status_code, answer.content))
    try:
        return Identity.model_validate_json(answer.content).model_copy(update={"url": base})
    except ValidationError as error:
        raise EnrolRefused(f"{base} answered what this version does not know: {error}") from None


def _problem(base: str, status: int, body: bytes) -> str:
    try:
        said = json.loads(body)
        words = ": ".join(str(said[key]) for key in ("title", "detail") if said.get(key))
    except (ValueError, AttributeError):
        words = ""
    return words or f"{base} answered with status {status}; is this the orchestrator's address?"
