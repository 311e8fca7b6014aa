"""A process that has modules in memory and forks a child for each task, so that a child begins at
once and has still seen no file but its own.

The caller talks to it through a socket: a message is the wall seconds of one task, with four files
beside it (where to answer, and the child's standard input, output and error). The answer is the
child's exit status, negative for a signal, or `late`.

It ends with its caller, also where processes that the caller forked hold the socket open.
"""

import contextlib
import ctypes
import gc
import importlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Mapping
from typing import IO, NoReturn

_DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG
_LATE = b"late"
_GRACE_S = 30.0
_ENDS_WITHIN_S = 5.0
_log = logging.getLogger(__name__)


class Gone(Exception):
    """There is no nursery to ask; nothing was begun, or what was begun has ended."""


class Nursery:
    def __init__(self, modules: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._modules, self._environment = modules, dict(environment)
        self._starting = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._door.settimeout(_GRACE_S)
        self._owner = os.getpid()
        owner = os.pidfd_open(self._owner)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "designs.nursery"),
                    *(str(theirs.fileno()), str(owner), *self._modules),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=self._environment,
                pass_fds=[theirs.fileno(), owner],
                start_new_session=True,
            )
        os.close(owner)

    def status_of_child(
        self, asked: IO[bytes], answered: IO[bytes], said: IO[bytes], wall_s: float
    ) -> int | None:
        """Exit status of a child with these files, None when its time ran out. Raises Gone."""
        mine, theirs = socket.socketpair()
        with mine:
            files = [theirs.fileno(), *(each.fileno() for each in (asked, answered, said))]
            with theirs, _or_gone():
                socket.send_fds(self._door, [str(wall_s).encode()], files)
            mine.settimeout(wall_s + _GRACE_S)
            with _or_gone():
                told = mine.recv(64)
        if not told:
            raise Gone
        return None if told == _LATE else int(told)

    def renew(self) -> None:
        """Start anew where it has died, for those who come next."""
        with self._starting:
            if self._process.poll() is not None:
                _log.warning("the nursery of looks has died (%s)", self._process.returncode)
                self._door.close()
                self._start()

    def close(self) -> None:
        if os.getpid() == self._owner:  # a copy of it in a forked process leaves it to the others
            with contextlib.suppress(OSError):
                self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def _or_gone() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise Gone from error


def die_with(parent: int) -> None:
    """End this process when that one, its parent, ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)


def main() -> None:
    """The nursery: until its caller is gone, and then no child of it is left."""
    door = socket.socket(fileno=int(sys.argv[1]))
    owner = int(sys.argv[2])
    for module in sys.argv[3:]:
        importlib.import_module(module)
    from designs.bounded import main as work

    gc.freeze()  # what is here stays shared with every child
    wakes = select.poll()
    for each in (door.fileno(), owner):
        wakes.register(each, select.POLLIN)
    while owner not in dict(wakes.poll()):
        message, files, *_ = socket.recv_fds(door, 64, 4)
        if not message:
            return
        _bury_keepers()
        nursery = os.getpid()
        if os.fork() == 0:
            door.close()
            _alone(_keep, nursery, float(message), work, *files)
        for each in files:
            os.close(each)


def _bury_keepers() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _keep(nursery: int, wall_s: float, work: Callable[[int], None], talk: int, *files: int) -> None:
    """One task's keeper: ends the child and all that it began: done, late or no longer wanted."""
    die_with(nursery)
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        _alone(_begin, keeper, work, *files)
    done, _, _ = select.select([os.pidfd_open(child), talk], [], [], wall_s)
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            end(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    told = str(os.waitstatus_to_exitcode(status)).encode() if done else _LATE
    with contextlib.suppress(OSError):
        os.write(talk, told)


def _begin(keeper: int, work: Callable[[int], None], *files: int) -> None:
    os.setsid()
    for number, file in enumerate(files):  # asked, answered, said
        os.dup2(file, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    work(keeper)


def _alone(body: Callable[..., None], *args: object) -> NoReturn:
    """The body of a forked process: nothing of the process that it was forked from goes on."""
    status = 1
    try:
        body(*args)
        status = 0
    except BaseException:  # noqa: BLE001 - even an exit ends here
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
