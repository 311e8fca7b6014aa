"""Keys that stand for a person while nobody has an account: shown once, kept only as a hash.

A key has 192 bits of chance, so a plain SHA-256 of it tells nobody anything.
"""

import hashlib
import hmac
import secrets

LONGEST = 100


def drawn(kind: str) -> str:
    """A new key, named by what it opens: `maintainer-…`."""
    return f"{kind}-{secrets.token_urlsafe(24)}"


def kept(key: str) -> str:
    """What is stored of a key; spaces that copying brings along do not count."""
    return hashlib.sha256(key.strip().encode()).hexdigest()


def fits(key: str, stored: str | None) -> bool:
    """Whether that key was kept so; it takes as long for a wrong one as for the right one."""
    return stored is not None and hmac.compare_digest(kept(key), stored)
