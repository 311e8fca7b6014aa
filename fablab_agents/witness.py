"""Remembers outside the journal how far it was, for as long as the computer stays on.

A journal that is behind its witness was put back to an older copy; one without a witness may have
been. It is a hint that makes the agent ask a person, never leave to do anything.
"""

import contextlib
import hashlib
import os
from pathlib import Path

_ROOM = "/dev/shm"  # noqa: S108 - memory, gone with the power; the file is refused if not ours
_SYSTEM = Path("/proc/sys/kernel/random/boot_id")


class Witness:
    """One small file in memory; where a system has none, nothing is ever witnessed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    @classmethod
    def of(cls, journal: Path) -> "Witness":
        """The witness of this journal on this computer, however the agent was started.

        In a room of the session an agent started by hand would not see what its service wrote.
        """
        room = os.environ.get("COSMOLOCAL_RUNTIME_DIR") or _ROOM
        name = hashlib.sha256(str(journal.resolve()).encode()).hexdigest()[:16]
        return cls(Path(room) / f"cosmolocal-{name}")

    def vouches(self, commits: int) -> bool:
        """Whether a journal with so many commits can be the one that was written last.

        One commit more than was remembered is one that a kill came behind; with two, somebody else
        remembered them elsewhere, and which of the files is the newest is not known.
        """
        with contextlib.suppress(OSError, ValueError):
            if self._path.stat(follow_symlinks=False).st_uid != os.getuid():
                return False
            system, seen = self._path.read_text().split()
            return system == _system() and 0 <= commits - int(seen) <= 1
        return False

    def remember(self, commits: int) -> None:
        """The journal has so many commits now; what cannot be kept only makes us ask later."""
        with contextlib.suppress(OSError):
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                self._file = os.open(self._path, flags, 0o600)
            os.pwrite(self._file, f"{_system()} {commits:012d}\n".encode(), 0)

    def leave(self, *, forget: bool) -> None:
        """The journal is closed; with nothing open in it there is nothing to vouch for."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if forget:
            self._path.unlink(missing_ok=True)


def _system() -> str:
    """This run of the computer; unlike any other."""
    return _SYSTEM.read_text().strip()
