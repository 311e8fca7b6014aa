"""Promises bytes at the pace of a serial line, both ways, each with the moment it is through.
Never looks into them, and never waits: whoever asks says what time it is.
"""

from collections import deque

BITS_PER_BYTE = 10  # 8N1: a start bit, eight, a stop bit
PIECE_BYTES = 16
ADAPTER_BYTES = 256  # what a USB serial adapter takes in advance; the rest waits in the host


class Lane:
    """One direction: bytes go in when they are ready and come out when the last bit is through."""

    def __init__(self, baud: int, latency_s: float = 0.0) -> None:
        self._byte_s = BITS_PER_BYTE / baud if baud else 0.0
        self._latency_s = latency_s
        self._free_s = 0.0
        self._pieces: deque[tuple[float, bytes]] = deque()
        self.waiting = 0

    def put(self, data: bytes, now_s: float, late_s: float = 0.0) -> None:
        """Bytes that are ready at `now_s`; `late_s` holds them and all behind them up."""
        self._free_s = max(self._free_s, now_s + late_s)
        for start in range(0, len(data), PIECE_BYTES) if self._byte_s else (0,):
            piece = data[start : start + PIECE_BYTES] if self._byte_s else data
            self._free_s += len(piece) * self._byte_s
            self._pieces.append((self._free_s + self._latency_s, piece))
        self.waiting += len(data)

    def next_s(self) -> float | None:
        """When the next piece is through."""
        return self._pieces[0][0] if self._pieces else None

    def take(self) -> tuple[float, bytes]:
        """The next piece and its moment."""
        moment, piece = self._pieces.popleft()
        self.waiting -= len(piece)
        return moment, piece

    def clear(self) -> None:
        """The line was cut."""
        self._pieces.clear()
        self.waiting, self._free_s = 0, 0.0
