"""Codes and secrets of agents: drawn here, told once, kept as hashes.

A secret is 32 random bytes, so its hash needs no slowness; the form is the one of Mosquitto's
password file, `$7$` PBKDF2-SHA512, so that one list serves every broker and the HTTP doors.
"""

import base64
import hashlib
import hmac
import secrets

_ROUNDS = 101  # what mosquitto_passwd writes


def new_code() -> str:
    """A one-time code of 130 bits that can be read out loud: `7k3m-…`, without 0/o and 1/l."""
    letters = "".join(secrets.choice("23456789abcdefghjkmnpqrstuvwxyz") for _ in range(28))
    return "-".join(letters[at : at + 7] for at in range(0, 28, 7))


def code_hash(code: str) -> str:
    plain = "".join(code.lower().split())
    return hashlib.sha256(plain.encode()).hexdigest()


def new_secret() -> str:
    """32 random bytes in base64url, without padding."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    salt = secrets.token_bytes(12)
    return f"$7${_ROUNDS}${_text(salt)}${_text(_derive(secret, salt, _ROUNDS))}"


def secret_fits(secret: str, kept: str) -> bool:
    """Whether the secret is the one that was hashed; takes the same time for right and wrong."""
    try:
        _, form, rounds, salt, digest = kept.split("$")
        wanted = base64.b64decode(digest)
        found = _derive(secret, base64.b64decode(salt), int(rounds))
    except ValueError:
        return False
    return form == "7" and hmac.compare_digest(found, wanted)


def _derive(secret: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, rounds)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
