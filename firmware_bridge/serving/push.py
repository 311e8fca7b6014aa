"""A websocket on which a server tells its news: opened, read with patience, missed when gone.

It never opens itself again; whoever reads it decides when to ask anew.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    WebSocketException,
)
from websockets.sync.client import ClientConnection, connect

from firmware_bridge.errors import LinkLost
from firmware_bridge.serving.answers import quoted, refusal

OPEN_S: Final = 10.0
MESSAGE_MAX: Final = 4 * 1024 * 1024
_log = logging.getLogger("firmware_bridge.push")
_log.setLevel(logging.CRITICAL)  # the library would write the headers down, and the key with them


class Push:
    def __init__(
        self,
        whose: str,
        address: str,
        path: str,
        headers: Mapping[str, str],
        secrets: Sequence[str] = (),
    ) -> None:
        self.whose = whose
        self._url = "ws" + address.removeprefix("http") + path
        self._headers = dict(headers)
        self._secrets = tuple(secrets)
        self._socket: ClientConnection | None = None

    @property
    def open(self) -> bool:
        return self._socket is not None

    def begin(self) -> None:
        """A new connection; raises `LinkLost`, or `Refused` for a key that is not taken."""
        self.close()
        try:
            self._socket = connect(
                self._url,
                additional_headers=self._headers,
                open_timeout=OPEN_S,
                close_timeout=1,
                max_size=MESSAGE_MAX,
                compression=None,
                proxy=None,
                logger=_log,
            )
        except InvalidStatus as error:
            said = quoted(error.response.body or b"", 300, self._secrets)
            raise refusal(error.response.status_code, said, self.whose) from None
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException, EOFError) as error:
            raise LinkLost(f"{self.whose} tells no news: {self._words(error)}") from None

    def send(self, text: str) -> None:
        if self._socket is None:
            raise LinkLost(f"{self.whose} is not connected")
        try:
            self._socket.send(text)
        except (ConnectionClosed, OSError) as error:
            self._gone(error)

    def receive(self, seconds: float) -> str | None:
        """The next message, None when the time is over; raises `LinkLost`."""
        if self._socket is None:
            raise LinkLost(f"{self.whose} is not connected")
        try:
            said = self._socket.recv(max(seconds, 0.0))
        except TimeoutError:
            return None
        except (ConnectionClosed, OSError) as error:
            self._gone(error)
        return said if isinstance(said, str) else said.decode("utf-8", "replace")

    def close(self) -> None:
        gone, self._socket = self._socket, None
        if gone is not None:
            with suppress(WebSocketException, OSError):
                gone.close()

    def _gone(self, error: Exception) -> NoReturn:
        self.close()
        raise LinkLost(f"{self.whose} hung up: {self._words(error)}") from None

    def _words(self, error: Exception) -> str:
        return quoted(str(error), 200, self._secrets) or type(error).__name__
