"""The keys that sign tickets and grants: Ed25519, two published at any time, so that one can go.

Each list of them has a serial and is signed by every key on it, so that an agent that trusts one
of these can take the list over; what is not on it is trusted no more.

A private key never leaves its file, which only its owner can read.
"""

import json
from pathlib import Path
from typing import Self

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import BaseModel, JsonValue

from fablab_agents.protocol.tickets import (
    ALGORITHM,
    BadEnvelope,
    KeyList,
    PublicKey,
    canonical,
    key_id,
)
from orchestrator.store import new_id, write_whole


class Signer:
    """Signs with the first key of its file; the second is published before it is ever used.

    `keys.json` holds the list's serial and private JWKs in this order: in use, next, and (after
    a rotation) former.
    """

    def __init__(self, path: Path, keys: list[OKPKey], serial: int = 1) -> None:
        self._path = path
        self._keys = keys
        self._serial = serial

    @classmethod
    def open(cls, path: Path) -> Self:
        """The keys in this file; it is made if it is not there."""
        if not path.exists():
            fresh = cls(path, [_new_key(), _new_key()])
            fresh._save()
            return fresh
        kept = json.loads(path.read_bytes())
        keys, serial = (kept, 1) if isinstance(kept, list) else (kept["keys"], kept["serial"])
        return cls(path, [OKPKey.import_key(key) for key in keys], serial)

    def rotate(self, *, revoke: bool = False) -> None:
        """Sign with the next key from now on.

        The former one stays published until next time, so that what it signed still holds; with
        `revoke` it is gone at once, and `service.take_back_distrusted` has what it signed offered
        anew.
        """
        current, following = self._keys[:2]
        self._keys = [following, _new_key(), *([] if revoke else [current])]
        self._serial += 1
        self._save()

    def public(self) -> list[dict[str, JsonValue]]:
        """The public JWKs, each with its `kid`."""
        return [
            {str(k): str(v) for k, v in key.as_dict(private=False).items()} for key in self._keys
        ]

    def lists(self) -> list[str]:
        """The list of the public keys, signed by each of them in turn."""
        keys = tuple(PublicKey.model_validate(key) for key in self.public())
        told = canonical(KeyList(serial=self._serial, keys=keys))
        return [_sealed(told, key) for key in self._keys]

    def sign(self, content: BaseModel) -> str:
        """Compact JWS over the canonical bytes of a ticket or a grant."""
        return self.seal(canonical(content))

    def seal(self, content: bytes) -> str:
        return _sealed(content, self._keys[0])

    def read(self, envelope: str) -> bytes:
        """The payload that one of our keys signed; raises BadEnvelope."""
        named = key_id(envelope)
        for key in self._keys:
            if key.kid == named:
                return _read(envelope, key)
        raise BadEnvelope("not signed by a key of ours")

    def trusts(self, envelope: str) -> bool:
        """Whether the key that it names is still one of ours; the signature is not looked at."""
        try:
            named = key_id(envelope)
        except BadEnvelope:
            return False
        return any(key.kid == named for key in self._keys)

    def _save(self) -> None:
        keys = [key.as_dict(private=True) for key in self._keys]
        write_whole(self._path, json.dumps({"serial": self._serial, "keys": keys}))


def _sealed(content: bytes, key: OKPKey) -> str:
    header = {"alg": ALGORITHM, "kid": key.kid}
    return jws.serialize_compact(header, content, key, algorithms=[ALGORITHM])


def _read(envelope: str, key: OKPKey) -> bytes:
    try:
        return jws.deserialize_compact(envelope, key, algorithms=[ALGORITHM]).payload
    except (JoseError, ValueError) as error:
        raise BadEnvelope(f"its signature does not hold: {error}") from error


def _new_key() -> OKPKey:
    return OKPKey.generate_key(ALGORITHM, {"kid": new_id("k")}, private=True)
