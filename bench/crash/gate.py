"""Stands before chosen system calls of a process and says of each: done, failed, or killed.

Exact over all threads, without a change in the process: Linux's seccomp tells us of a call before
it happens and waits for our word. Only on x86-64; `why_not` says why not elsewhere.
"""

import contextlib
import ctypes
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

_X86_64: Final = 0xC000003E
NUMBERS: Final[Mapping[str, int]] = {
    "write": 1, "pwrite64": 18, "writev": 20, "sendfile": 40, "sendto": 44, "fsync": 74,
    "fdatasync": 75, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84, "unlink": 87,
    "openat": 257, "mkdirat": 258, "unlinkat": 263, "renameat": 264, "renameat2": 316,
}  # fmt: skip
SYNCS: Final = ("fsync", "fdatasync")
SENDS: Final = ("sendto",)
CHANGES: Final = tuple(name for name in NUMBERS if name not in (*SYNCS, *SENDS))
_NAMES: Final = {number: name for name, number in NUMBERS.items()}
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_GO_ON: Final = 1
_DIE_WITH_PARENT: Final = 1
_MOST_BYTES: Final = 1 << 24

KILL: Final = -1
"""The process is killed before the call happens."""
GO: Final = 0
Word = int
"""GO, KILL, or the errno that the call fails with."""


def why_not() -> str | None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "crash points are counted by seccomp on Linux, x86-64"
    return None


@dataclass(frozen=True)
class Call:
    """A system call that is about to happen in a thread `task` of the process."""

    name: str
    task: int
    process: int
    given: tuple[int, ...]

    @cached_property
    def data(self) -> bytes:
        """The bytes that are to be written or sent."""
        if self.name == "sendfile":
            at = _position(self.task, self.given[1])
            return Path(f"/proc/{self.task}/fd/{self.given[1]}").read_bytes()[at:][: self.given[3]]
        if self.name == "writev":
            vector = self._memory(self.given[1], 16 * self.given[2])
            return b"".join(self._memory(*each) for each in struct.iter_unpack("QQ", vector))
        return self._memory(self.given[1], self.given[2])

    @cached_property
    def path(self) -> str:
        """The file behind its descriptor (`socket:[…]`, `pipe:[…]` for others)."""
        return _link(f"/proc/{self.task}/fd/{self.given[0]}")

    @property
    def offset(self) -> int:
        """Where in the file it writes."""
        if self.name == "pwrite64":
            return self.given[3]
        return _position(self.task, self.given[0])

    def named(self, at: int) -> str:
        """The path that the argument `at` names, made absolute."""
        folder = "cwd" if at == 0 else f"fd/{_signed(self.given[at - 1])}"
        base = "cwd" if folder == f"fd/{_AT_FDCWD}" else folder
        return os.path.normpath(Path(_link(f"/proc/{self.task}/{base}")) / self._text(at))

    def _text(self, at: int) -> str:
        """A name that ends with a zero, and perhaps with the last page that is there."""
        address, name = self.given[at], b""
        while b"\0" not in name:
            name += self._memory(address + len(name), 4096 - (address + len(name)) % 4096)
        return name.split(b"\0")[0].decode()

    def _memory(self, address: int, size: int) -> bytes:
        with Path(f"/proc/{self.task}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(min(size, _MOST_BYTES))


_AT_FDCWD: Final = -100


def _signed(value: int) -> int:
    return ctypes.c_int32(value & 0xFFFFFFFF).value


def _link(path: str) -> str:
    with contextlib.suppress(OSError):
        return str(Path(path).readlink())
    return "gone"


def _position(task: int, handle: int) -> int:
    rows = Path(f"/proc/{task}/fdinfo/{handle}").read_text().splitlines()
    said = dict(row.split(":\t", 1) for row in rows if ":\t" in row)
    if int(said["flags"], 8) & os.O_APPEND:
        return Path(f"/proc/{task}/fd/{handle}").stat().st_size
    return int(said["pos"])


class Gate:
    """One process and its children behind the gate; only the process itself is judged."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        judge: Callable[[Call], Word],
        calls: Collection[str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.killed = False
        self.error: Exception | None = None
        self._judge = judge
        ours, theirs = socket.socketpair()
        numbers = ",".join(str(NUMBERS[name]) for name in calls)
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-S", "-E", __file__, str(theirs.fileno()), numbers, *command],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()], start_new_session=True,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip
        theirs.close()
        _, (self._listener,), _, _ = socket.recv_fds(ours, 1, 1)
        ours.close()
        self._groups: dict[int, int] = {}
        threading.Thread(target=self._serve, name="gate", daemon=True).start()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        try:
            while not any(what & select.POLLHUP for _, what in poll.poll(1000)):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, BlockingIOError):
                    self._answer_one(poll)
        finally:
            os.close(self._listener)

    def _answer_one(self, poll: select.poll) -> None:
        if not poll.poll(0):
            return
        told = bytearray(80)
        fcntl.ioctl(self._listener, _RECEIVE, told)
        number, task, _, call, _, _, *given = struct.unpack("QIIiIQ6Q", told)
        word = self._word(Call(_NAMES[call], task, self._group(task), tuple(given)))
        if word == KILL:
            self.killed = True
            self.process.kill()
            return
        flags = _GO_ON if word == GO else 0
        fcntl.ioctl(self._listener, _SEND, struct.pack("QqiI", number, 0, -word, flags))

    def _word(self, call: Call) -> Word:
        if call.process != self.process.pid or self.killed:
            return GO
        try:
            return self._judge(call)
        except Exception as error:  # noqa: BLE001 - a process that waits for our word must get one
            self.error = error
            return GO

    def _group(self, task: int) -> int:
        if task not in self._groups:
            status = Path(f"/proc/{task}/status").read_text()
            self._groups[task] = int(status.split("Tgid:")[1].split()[0])
        return self._groups[task]


# ── in the child, before it becomes what it is to be


def _filter(numbers: Sequence[int]) -> bytes:
    """Tell of these calls and let all others pass.

    Of `openat` only where it may make a file; of `sendto` not the single bytes that wake a loop.
    """
    tell, pass_ = (0x06, 0, 0, 0x7FC00000), (0x06, 0, 0, 0x7FFF0000)
    third = {NUMBERS["openat"]: (0x45, 0, 1, os.O_CREAT), NUMBERS["sendto"]: (0x25, 0, 1, 1)}
    rows = [(0x20, 0, 0, 4), (0x15, 1, 0, _X86_64), pass_, (0x20, 0, 0, 0)]
    for number in numbers:
        if number in third:
            rows += [(0x15, 0, 4, number), (0x20, 0, 0, 32), third[number], tell, pass_]
        else:
            rows += [(0x15, 0, 1, number), tell]
    return b"".join(struct.pack("HBBI", *row) for row in [*rows, pass_])


def _stand_before(numbers: Sequence[int]) -> int:
    """Install the filter; the descriptor on which the calls are told."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("rows", ctypes.c_void_p))

    system = ctypes.CDLL(None, use_errno=True)
    text = _filter(numbers)
    rows = ctypes.create_string_buffer(text, len(text))
    program = Program(len(text) // 8, ctypes.addressof(rows))
    if system.prctl(38, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    listener = system.syscall(317, 1, 8, ctypes.byref(program))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


def _become(door: int, numbers: Sequence[int], command: Sequence[str]) -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    with socket.socket(fileno=door) as theirs:
        listener = _stand_before(numbers)
        socket.send_fds(theirs, [b"g"], [listener])
        os.close(listener)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), [int(each) for each in sys.argv[2].split(",")], sys.argv[3:])
