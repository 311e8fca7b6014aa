"""Who we are and whom we believe: identity, pinned keys, Ed25519 signatures, enrolment.

Nothing is believed that a pinned key did not sign; the secret is never logged and never shown.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import structlog
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fablab_agents.protocol import tickets
from fablab_agents.protocol.tickets import ALGORITHM, BadEnvelope, PublicKey, Verifier
from fablab_agents.protocol.topics import check_agent_id

if TYPE_CHECKING:
    import httpx

FILE = "identity.json"
ASK_KEYS_S: Final = 20.0
_log = structlog.get_logger()


class NotEnrolled(Exception):
    """There is no usable identity in the agent's folder; the text says what to type."""


class EnrolRefused(Exception):
    """The orchestrator did not take the code, or could not be reached; the text says why."""


class Mqtt(BaseModel):
    model_config = ConfigDict(frozen=True)
    host: str
    port: int = Field(ge=1, le=65535)


class Identity(BaseModel):
    """Enrolment's answer: `keys` are those whose tickets and grants are believed."""

    model_config = ConfigDict(frozen=True)
    agent: str
    secret: str = Field(repr=False, min_length=16)
    mqtt: Mqtt
    keys: tuple[PublicKey, ...] = Field(min_length=1)
    keys_serial: int = 0
    """Of the list that the keys came from; 0 for those of the enrolment itself."""
    url: str = ""

    @field_validator("agent")
    @classmethod
    def _agent(cls, given: str) -> str:
        return check_agent_id(given)

    @field_validator("keys")
    @classmethod
    def _keys(cls, given: tuple[PublicKey, ...]) -> tuple[PublicKey, ...]:
        if len({key.kid for key in given}) != len(given):
            msg = "two pinned keys have one name"
            raise ValueError(msg)
        return given

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
        keys = {key.kid: OKPKey.import_key(key.model_dump()) for key in self.keys}

        def verify(envelope: str) -> bytes:
            key = keys.get(tickets.key_id(envelope))
            if key is None:
                msg = "not signed by a key this agent trusts"
                raise BadEnvelope(msg)
            try:
                return jws.deserialize_compact(envelope, key, algorithms=[ALGORITHM]).payload
            except (JoseError, ValueError, TypeError, KeyError) as error:
                msg = f"its signature does not hold: {type(error).__name__}"
                raise BadEnvelope(msg) from error

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


class Pinned:
    """The keys that are believed now, on the disk before they count.

    Only a list of a higher serial that one of them signed takes their place: a key that is not on
    it is worth nothing any more, and no older list brings it back.
    """

    def __init__(self, identity: Identity, folder: Path) -> None:
        self.identity = identity
        self._folder = folder
        self._verify = identity.verifier()

    def verify(self, envelope: str) -> bytes:
        return self._verify(envelope)

    def take(self, signed: Iterable[str]) -> bool:
        """The same list, signed by each of the orchestrator's keys; whether it was news."""
        for envelope in signed:
            try:
                told = tickets.verify_keys(envelope, self._verify)
            except BadEnvelope:
                continue
            if told.serial > self.identity.keys_serial:
                self._pin(told)
                return True
        return False

    def _pin(self, told: tickets.KeyList) -> None:
        plain = self.identity.model_dump() | {"keys": told.keys, "keys_serial": told.serial}
        newer = Identity.model_validate(plain)
        newer.save(self._folder)
        self.identity, self._verify = newer, newer.verifier()
        _log.warning("other keys are trusted now", keys=[key.kid for key in newer.keys])

    async def follow(self, client: "httpx.AsyncClient", changed: Callable[[], None]) -> None:
        """Ask for the list for ever; a word that cannot be had or read changes nothing."""
        import httpx

        while True:
            try:
                answer = await client.get("/agent/v1/keys", timeout=10)
                if self.take(_signed_lists(answer.content)):
                    changed()
            except (OSError, ValueError, httpx.HTTPError) as error:
                _log.debug("no word about keys", why=str(error))
            await asyncio.sleep(ASK_KEYS_S)


def _signed_lists(body: bytes) -> list[str]:
    """From an answer that may be anybody's; an orchestrator of an older version signs none."""
    told = json.loads(body)
    lists = told.get("signed", []) if isinstance(told, dict) else []
    return [each for each in lists if isinstance(each, str)]


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
