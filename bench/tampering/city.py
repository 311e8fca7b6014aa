"""The city's real signer, and a forger who may write any header over any payload.

The forger signs with the city's own private key only where a class says so: to see that even then
a word out of form is refused.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fablab_agents.protocol.tickets import Grant, Recipe, Ticket, canonical
from fablab_agents.trust import Identity
from orchestrator.dispatch.signing import Signer

AGENT: Final = "lab-nord"
PROGRAM: Final = "a" * 64
NONCE: Final = "1" * 32
BOOT: Final = "boot-2"


def plain64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def raw64(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def spelled(header: object) -> bytes:
    return header if isinstance(header, bytes) else json.dumps(header).encode()


class City:
    """One orchestrator's keys, below a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "keys.json"
        self.signer = Signer.open(self._path)

    @property
    def kid(self) -> str:
        """The key in use."""
        return str(self.signer.public()[0]["kid"])

    def identity(self, agent: str = AGENT) -> Identity:
        return Identity.model_validate(
            {
                "agent": agent,
                "secret": "s" * 43,
                "mqtt": {"host": "127.0.0.1", "port": 1},
                "keys": self.signer.public(),
            }
        )

    def private(self, which: int = 0) -> Ed25519PrivateKey:
        kept = json.loads(self._path.read_bytes())["keys"][which]
        return Ed25519PrivateKey.from_private_bytes(raw64(kept["d"]))

    def forged(
        self, payload: bytes, header: object = None, key: Ed25519PrivateKey | None = None
    ) -> str:
        """This payload below this header, truly signed with the key in use or another one."""
        told = spelled(header if header is not None else {"alg": "Ed25519", "kid": self.kid})
        signing = f"{plain64(told)}.{plain64(payload)}"
        return f"{signing}.{plain64((key or self.private()).sign(signing.encode()))}"


def ticket(**changes: object) -> Ticket:
    """For one small print, or what `changes` make of it."""
    now = datetime.now(UTC)
    fields: dict[str, object] = {
        "agent": AGENT, "machine": "printer-1", "attempt": "a-1", "fence": 2, "issued_at": now,
        "jobs": ("j-1",), "release": "0" * 64, "design": "hook", "version": "1", "part": "hook",
        "file": "1" * 64, "file_bytes": 10, "format": "stl", "quantity": 1,
        "recipe": Recipe(process="3d_printing_fdm", material="pla"),
        "estimate_s": 3600, "not_after": now + timedelta(hours=1),
    }  # fmt: skip
    return Ticket.model_validate({**fields, **changes})


def grant(**changes: object) -> Grant:
    fields: dict[str, object] = {
        "agent": AGENT, "machine": "printer-1", "attempt": "a-1", "fence": 2,
        "issued_at": datetime.now(UTC), "nonce": NONCE, "boot": BOOT, "program": PROGRAM,
        "window_s": 60,
    }  # fmt: skip
    return Grant.model_validate({**fields, **changes})


def words(value: Ticket | Grant, **changes: object) -> bytes:
    """Its payload with members changed, added, or (None) left out."""
    told = {**json.loads(canonical(value)), **changes}
    return json.dumps({name: said for name, said in told.items() if said is not None}).encode()
