"""Promises a small door for the physical world: a person at the bed, a cable, the mains.
Never a way to send G-code; one JSON object per line in, one per line out.
"""

import json
import socket
from collections.abc import Callable
from pathlib import Path

Answer = dict[str, object]


class Control:
    """A unix socket; `act(verb)` answers, or raises ValueError with what is wrong.

    `order` takes the rest of a request that says more than a verb: a fault and its moment.
    """

    def __init__(
        self,
        path: Path,
        act: Callable[[str], Answer],
        order: Callable[[str, Answer], Answer] | None = None,
    ) -> None:
        self._path, self._act, self._order = path, act, order
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._listener.setblocking(False)
        self._guests: dict[int, tuple[socket.socket, bytearray]] = {}

    def filenos(self) -> list[int]:
        return [self._listener.fileno(), *self._guests]

    def serve(self, ready: set[int]) -> None:
        """Take new guests in and answer complete lines."""
        if self._listener.fileno() in ready:
            guest, _ = self._listener.accept()
            self._guests[guest.fileno()] = (guest, bytearray())
        for number in ready & set(self._guests):
            guest, heard = self._guests[number]
            try:
                data = guest.recv(4096)
                heard += data
                self._answer(guest, heard)
            except OSError:
                data = b""
            if not data:
                del self._guests[number]
                guest.close()

    def _answer(self, guest: socket.socket, heard: bytearray) -> None:
        while (end := heard.find(b"\n")) >= 0:
            line = bytes(heard[:end])
            del heard[: end + 1]
            guest.sendall(json.dumps(self._reply(line)).encode() + b"\n")

    def _reply(self, line: bytes) -> Answer:
        try:
            verb, more = _request(line)
            if more and self._order is not None:
                return {"ok": True, **self._order(verb, more)}
            return {"ok": True, **self._act(verb)}
        except ValueError as error:
            return {"ok": False, "error": str(error)}

    def close(self) -> None:
        for guest, _ in self._guests.values():
            guest.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)


def _request(line: bytes) -> tuple[str, Answer]:
    match json.loads(line):
        case {"do": str(verb), **more}:
            return verb, {str(key): value for key, value in more.items()}
        case _:
            raise ValueError('one JSON object per line, such as {"do": "state"}')
