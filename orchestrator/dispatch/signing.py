"""The keys that sign tickets and grants: Ed25519, two published at any time, so that one can go.

A private key never leaves its file, which only its owner can read.
"""

import json
from pathlib import Path
from typing import Self

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from pydantic import BaseModel, JsonValue

from fablab_agents.protocol.tickets import BadEnvelope, canonical
from orchestrator.store import new_id, write_whole

_ALGORITHM = "Ed25519"


class Signer:
    """Signs with the first key of its file; the second is published before it is ever used.

    `keys.json` holds private JWKs in this order: in use, next, and (after a rotation) former.
    """

    def __init__(self, path: Path, keys: list[OKPKey]) -> None:
        self._path = path
        self._keys = keys

    @classmethod
    def open(cls, path: Path) -> Self:
        """The keys in this file; it is made if it is not there."""
        if not path.exists():
            fresh = cls(path, [_new_key(), _new_key()])
            fresh._save()
            return fresh
        return cls(path, [OKPKey.import_key(plain) for plain in json.loads(path.read_bytes())])

    def rotate(self) -> None:
        """Sign with the next key from now on; the former one stays published until next time."""
        current, following = self._keys[:2]
        self._keys = [following, _new_key(), current]
        self._save()

    def public(self) -> list[dict[str, JsonValue]]:
        """The public JWKs, each with its `kid`."""
        return [
            {str(k): str(v) for k, v in key.as_dict(private=False).items()} for key in self._keys
        ]

    def sign(self, content: BaseModel) -> str:
        """Compact JWS over the canonical bytes of a ticket or a grant."""
        return self.seal(canonical(content))

    def seal(self, content: bytes) -> str:
        key = self._keys[0]
        header = {"alg": _ALGORITHM, "kid": key.kid}
        return jws.serialize_compact(header, content, key, algorithms=[_ALGORITHM])

    def read(self, envelope: str) -> bytes:
        """The payload that one of our keys signed; raises BadEnvelope."""
        try:
            keys = KeySet(list(self._keys))
            return jws.deserialize_compact(envelope, keys, algorithms=[_ALGORITHM]).payload
        except (JoseError, ValueError) as error:
            raise BadEnvelope(f"not signed by a key of ours: {error}") from error

    def _save(self) -> None:
        write_whole(self._path, json.dumps([key.as_dict(private=True) for key in self._keys]))


def _new_key() -> OKPKey:
    return OKPKey.generate_key(_ALGORITHM, {"kid": new_id("k")}, private=True)
