"""Who asks, as far as anybody is known here: the operator by a token, others by a key they hold.

It never logs a key. When there are accounts this is where they come in.
"""

import re
import secrets

from fastapi import Request, Response

HEADER = "X-Api-Key"
"""The header of OctoPrint's clients, for all keys alike."""


def is_operator(request: Request) -> bool:
    """Whether the request carries the operator's token."""
    return is_token(request.headers.get("authorization", ""), request.app.state.operator_token)


def is_token(authorization: str, token: str) -> bool:
    return secrets.compare_digest(authorization.encode(), f"Bearer {token}".encode())


def key_of(request: Request, about: str) -> str:
    """The key for this subject, from the header or from a cookie that a link of ours has set."""
    return request.headers.get(HEADER) or request.cookies.get(_cookie(about), "")


def keep_key(request: Request, answer: Response, about: str, key: str, path: str = "/") -> None:
    """Let this browser come back, to `path` and below, without the key in its address."""
    secure = request.url.scheme == "https"
    answer.set_cookie(
        _cookie(about), key, 90 * 86400, path=path, httponly=True, samesite="lax", secure=secure
    )


def _cookie(about: str) -> str:
    """Whatever stands in an address: a cookie's name has few letters."""
    return f"cosmolocal_key_{re.sub(r'[^0-9A-Za-z_-]', '', about)[:20]}"
