"""Bytes to and from a machine: a serial port, a pseudo-terminal or a socket, opened for us alone.

A link moves bytes and says when it is gone. It never interprets them and never opens a port twice.
"""

import contextlib
import errno
import fcntl
import os
import select
import socket
import termios
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import serial

from firmware_bridge.errors import LinkLost, Refused

_BUSY = {errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK}
_READ_BYTES = 65536
_PULSE_S = 0.1


class Link:
    """One open port. `read` waits; `write` sends all; both raise `LinkLost` when the port dies.

    `resets`: opening it may have restarted the board, which then hears nothing until its banner.
    One thread reads; any thread may write (a halt must not wait for the reader).
    """

    def __init__(
        self,
        name: str,
        fd: int,
        close: Callable[[], None],
        pulse: Callable[[], None] = lambda: None,
        *,
        resets: bool = False,
    ) -> None:
        self.name = name
        self.resets = resets
        self._pulse = pulse
        self._fd = fd
        self._close = close
        self._writing = threading.Lock()
        self._open = True
        self._inbox = select.poll()
        self._inbox.register(fd, select.POLLIN)

    def read(self, timeout_s: float) -> bytes:
        """What has come in, or b"" when nothing came within the time."""
        try:
            if not self._open:
                raise LinkLost(f"{self.name} is closed")
            if not self._inbox.poll(timeout_s * 1000):
                return b""
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LinkLost(f"{self.name} is gone: {error.strerror}") from error
        if not data:
            raise LinkLost(f"{self.name} hung up: is the machine unplugged?")
        return data

    def write(self, data: bytes, timeout_s: float = 10.0) -> None:
        with self._writing:
            rest = memoryview(data)
            while rest:
                rest = rest[self._write_some(rest, timeout_s) :]

    def _write_some(self, data: memoryview, timeout_s: float) -> int:
        try:
            if not self._open:
                raise LinkLost(f"{self.name} is closed")
            return os.write(self._fd, data)
        except BlockingIOError:
            _, ready, _ = select.select([], [self._fd], [], timeout_s)
            if not ready:
                raise LinkLost(f"{self.name} takes no bytes for {timeout_s:.0f} s") from None
            return 0
        except OSError as error:
            raise LinkLost(f"{self.name} is gone: {error.strerror}") from error

    def pulse(self) -> None:
        """Reset the board through the port's DTR line, where board and port have that wire."""
        with contextlib.suppress(OSError):
            self._pulse()

    def close(self) -> None:
        if self._open:
            self._open = False
            with contextlib.suppress(OSError):
                self._close()


def open_link(where: str, baud: int = 115200) -> Link:
    """Open `/dev/…` or `socket://host:port`; raises `LinkLost` (not there) or `Refused` (taken)."""
    return _open_socket(where) if where.startswith("socket://") else _open_serial(where, baud)


def _open_serial(path: str, baud: int) -> Link:
    try:
        port = serial.Serial(path, baud, timeout=0, exclusive=True)
    except serial.SerialException as error:
        raise _why_not(path, error) from error
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be a machine's port at {baud} baud: {error}") from error
    fd = port.fileno()
    try:
        fcntl.ioctl(fd, termios.TIOCEXCL)
    except OSError as error:
        port.close()
        raise Refused(f"{path} is not a terminal: {error}") from error
    with contextlib.suppress(ValueError, OSError, NotImplementedError):
        port.set_low_latency_mode(True)  # else an FTDI adapter keeps each answer for 16 ms
    has_dtr = not os.path.realpath(path).startswith("/dev/pts/")
    return Link(path, fd, port.close, lambda: _pulse(port), resets=has_dtr)


def _pulse(port: serial.Serial) -> None:
    port.dtr = False
    time.sleep(_PULSE_S)
    port.dtr = True


def _why_not(path: str, error: serial.SerialException) -> LinkLost | Refused:
    # pyserial wraps the lock's error in a message and keeps the number only sometimes.
    if error.errno in _BUSY or "exclusively lock" in str(error):
        return Refused(f"{path} is in use by another program; close that one first")
    if error.errno == errno.EACCES:
        return Refused(f"no permission to open {path}; add this user to the group dialout")
    return LinkLost(f"{path} cannot be opened: is the machine plugged in and switched on?")


def _open_socket(where: str) -> Link:
    url = urlsplit(where)
    if not url.hostname or not url.port:
        raise Refused(f"{where} needs a host and a port: socket://192.168.1.20:23")
    try:
        peer = socket.create_connection((url.hostname, url.port), timeout=10)
    except OSError as error:
        raise LinkLost(f"{where} does not answer: {error}") from error
    peer.setblocking(False)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Link(where, peer.fileno(), peer.close)
