"""Promises a serial port that lives on a TCP address, as a serial server in a network offers it.
Never lets two hosts in at a time: a second one is sent away at once.
"""

import contextlib
import socket

from hardware_sim.port import Edge

_BACKLOG = 1 << 16


class TcpPort:
    """Listens on 127.0.0.1; the guest that is in is what has the port open."""

    def __init__(self, number: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", number))
        self._listener.setblocking(False)
        self.name = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._guest: socket.socket | None = None
        self._gone = False
        self._backlog = bytearray()

    @property
    def open(self) -> bool:
        return self._guest is not None

    @property
    def pending(self) -> bool:
        """Bytes are waiting for the host to read."""
        return bool(self._backlog)

    def filenos(self) -> list[int]:
        """What to wait on: the door first, then the guest."""
        guest = [] if self._guest is None else [self._guest.fileno()]
        return [self._listener.fileno(), *guest]

    def hung_up(self) -> bool:
        """The host that had the port open is gone."""
        return self._gone

    def edges(self) -> list[Edge]:
        """What the host did since the last call."""
        edges: list[Edge] = []
        if self._gone and self._guest is not None:
            self._guest.close()
            self._guest = None
            edges.append("closed")
        with contextlib.suppress(BlockingIOError):
            while True:
                guest, _ = self._listener.accept()
                if self._guest is not None:
                    guest.close()
                    continue
                guest.setblocking(False)
                guest.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._guest, self._gone = guest, False
                self._backlog.clear()
                edges.append("opened")
        return edges

    def read(self) -> bytes:
        """What has arrived; empty when nothing has, or the host is gone."""
        if self._guest is None or self._gone:
            return b""
        try:
            data = self._guest.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        self._gone = not data
        return data

    def write(self, data: bytes) -> None:
        """Send; what a host does not read is kept up to a limit and then lost."""
        if self._guest is None:
            return
        self._backlog += data
        try:
            sent = self._guest.send(self._backlog)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent, self._gone = len(self._backlog), True
        del self._backlog[:sent]
        del self._backlog[_BACKLOG:]

    def close(self) -> None:
        """The device vanishes."""
        if self._guest is not None:
            self._guest.close()
        self._listener.close()
