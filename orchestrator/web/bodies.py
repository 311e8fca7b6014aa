"""No request brings more than the largest upload that any door takes, whatever it says beforehand.

Forms are spooled to the disk before a door sees them: without this one could fill it.
"""

from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES: Final = 144 * 1024 * 1024
MOST_JSON_BYTES: Final = 2 * 1024 * 1024
"""Words are read whole, and cost many times their length once they are."""


class Bounded:
    """Ends the reading of a body that is too large; the door's caller is answered 413."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        form = headers.get("content-type", "").startswith("multipart/")
        file = scope.get("method") == "PUT" and "/files/" in scope.get("path", "")
        most = self._most if form or file else min(self._most, MOST_JSON_BYTES)
        left, said = most, headers.get("content-length", "0")
        announced = int(said) if said.isdecimal() else 0

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0 or announced > most:
                words = f"a request of this kind brings at most {most >> 20} MB: send less at once"
                raise HTTPException(413, words)
            return message

        await self._app(scope, counted, send)
