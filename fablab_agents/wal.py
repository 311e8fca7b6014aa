"""Tells a torn end of SQLite's write-ahead log, which a power cut leaves, from damage inside it.

SQLite reads the log up to the first frame that does not fit and forgets the rest without a word.
Behind a power cut that rest is part of one commit; two commits in a row there were once synced.
Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HEAD: Final = 32
_FRAME: Final = 24
_MAGIC: Final = 0x377F0682
_Sum = tuple[int, int]


@dataclass(frozen=True)
class _Frame:
    commits: bool
    salt: bytes
    head: bytes
    page: bytes
    total: _Sum
    """The checksum over the log up to and with this frame, as it stands in the frame."""

    def follows(self, before: _Sum, order: str) -> bool:
        return _added(_added(before, self.head, order), self.page, order) == self.total


def damaged(log: Path) -> bool:
    """Whether synced commits lie behind a place where SQLite stops reading."""
    data = log.read_bytes() if log.exists() else b""
    if len(data) <= _HEAD:
        return False
    magic, _, size = struct.unpack(">3I", data[:12])
    order = ">" if magic & 1 else "<"
    total: _Sum = struct.unpack(">2I", data[24:32])
    sound = magic & ~1 == _MAGIC and _added((0, 0), data[:24], order) == total
    frames = _frames(data, size if sound else 4096)
    if sound:
        frames = [frame for frame in frames if frame.salt == data[16:24]]
    return _forgotten(frames, total if sound else None, order)


def _frames(data: bytes, size: int) -> list[_Frame]:
    step = _FRAME + size
    whole = [data[at : at + step] for at in range(_HEAD, len(data) - step + 1, step)]
    return [
        _Frame(
            raw[4:8] != bytes(4), raw[8:16], raw[:8], raw[_FRAME:],
            struct.unpack(">2I", raw[16:24]),
        )
        for raw in whole
    ]  # fmt: skip


def _forgotten(frames: list[_Frame], total: _Sum | None, order: str) -> bool:
    """Behind the first frame that does not fit: whether two commits follow upon each other."""
    read, commits = total is not None, 0
    for frame in frames:
        fits = total is not None and frame.follows(total, order)
        read = read and fits
        commits = commits + frame.commits if fits and not read else 0
        if commits > 1:
            return True
        total = frame.total
    return False


def _added(before: _Sum, data: bytes, order: str) -> _Sum:
    first, second = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
