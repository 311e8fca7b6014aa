"""Promises a pseudo-terminal that behaves like a USB serial port seen from the board's side.
Never interprets a byte; it tells opened, closed and received apart, even in quick succession.
"""

import ctypes
import errno
import os
import select
import struct
import termios
import time
import tty
from pathlib import Path
from typing import Literal

Edge = Literal["opened", "closed"]
_IN_CLOSE, _IN_OPEN = 0x08 | 0x10, 0x20
_BACKLOG = 1 << 16
SETTLE_S = 0.001
_PORTS = "/dev/pts/"


class LinkRefusedError(OSError):
    """The stable name cannot be made without harm to what is there."""


class Port:
    """A pty whose far end is for the host; `link` is a stable name that points to it."""

    def __init__(self, link: Path | None) -> None:
        self._link = link
        self._master, far_end = os.openpty()
        tty.setraw(far_end)
        os.set_blocking(self._master, False)
        self.name = os.ttyname(far_end)
        os.close(far_end)
        self._watch = _watch(self.name)
        self._backlog = bytearray()
        self._opens = 0
        self.open = False
        if link is not None:
            _point(link, self.name)

    def filenos(self) -> list[int]:
        """What to wait on: the watch always, the line only while a host has it open."""
        return [self._watch, self._master] if self.open else [self._watch]

    @property
    def pending(self) -> bool:
        """Bytes are waiting for the host to read."""
        return bool(self._backlog)

    def edges(self) -> list[Edge]:
        """What the host did since the last call; a reopen in between is not lost."""
        edges: list[Edge] = []
        for mask in _events(self._watch):
            self._count(mask, edges)
        if self._opens and self.hung_up():
            self._opens = 0
            edges.append("closed")
        elif not self._opens and not self.hung_up():
            time.sleep(SETTLE_S)  # the open is ahead of its event
            for mask in _events(self._watch) or [_IN_OPEN]:
                self._count(mask, edges)
        if edges:
            self.open = self._opens > 0
            self._backlog.clear()
            if self.open:
                self._make_raw()
        return edges

    def _count(self, mask: int, edges: list[Edge]) -> None:
        before = self._opens
        if mask & _IN_OPEN:
            self._opens += 1
        elif mask & _IN_CLOSE:
            self._opens = max(0, self._opens - 1)
        if (before > 0) != (self._opens > 0):
            edges.append("opened" if self._opens else "closed")

    def hung_up(self) -> bool:
        """No host has the far end open."""
        poll = select.poll()
        poll.register(self._master, 0)
        return any(event & select.POLLHUP for _, event in poll.poll(0))

    def _make_raw(self) -> None:
        try:
            tty.setraw(self._master, termios.TCSANOW)
        except termios.error:
            self.open = False

    def read(self) -> bytes:
        """What has arrived; empty when nothing has, or the host is gone."""
        try:
            return os.read(self._master, 4096)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EIO):
                return b""
            raise

    def write(self, data: bytes) -> None:
        """Send; what a host does not read is kept up to a limit and then lost."""
        if not self.open:
            return
        self._backlog += data
        try:
            sent = os.write(self._master, self._backlog)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EIO):
                raise
            sent = 0
        del self._backlog[:sent]
        del self._backlog[_BACKLOG:]

    def close(self) -> None:
        """The device vanishes; a host that has it open sees a hang-up."""
        os.close(self._master)
        os.close(self._watch)
        if self._link is not None and _points_to(self._link) == self.name:
            self._link.unlink()


def _point(link: Path, target: str) -> None:
    if not link.parent.is_dir():
        raise LinkRefusedError(f"--link {link}: there is no folder {link.parent}; make it first")
    if os.path.lexists(link) and not _points_to(link).startswith(_PORTS):
        raise LinkRefusedError(f"--link {link}: something else is there already; name a free path")
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _points_to(link: Path) -> str:
    """Where a symlink points; empty for what is none."""
    return str(link.readlink()) if link.is_symlink() else ""


def _watch(name: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if watch < 0 or libc.inotify_add_watch(watch, name.encode(), _IN_OPEN | _IN_CLOSE) < 0:
        raise OSError(ctypes.get_errno(), f"cannot watch {name}")
    return watch


def _events(watch: int) -> list[int]:
    try:
        data = os.read(watch, 4096)
    except BlockingIOError:
        return []
    masks: list[int] = []
    place = 0
    while place < len(data):
        _, mask, _, length = struct.unpack_from("iIII", data, place)
        masks.append(mask)
        place += 16 + length
    return masks
