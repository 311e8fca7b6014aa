"""Runs a foreign program under limits: processor and wall time, memory, file size, no environment.

Its process group never outlives the call; with bubblewrap it also sees no network and no files
of the host but the system's programs and its own folder.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Box = Literal["bubblewrap", "limits only"]

# Runs between fork and exec, in a fresh interpreter: `preexec_fn` is not safe beside threads.
# PR_SET_PDEATHSIG = 1: the kernel kills the program when the agent dies. One processor and
# addresses that stay the same (0x40000): the slicer's choices depend on thread and pointer order.
_LIMITER = """
import ctypes, os, resource, signal, sys
cpu, memory, size = map(int, sys.argv[1:4])
for what, most in ((resource.RLIMIT_CPU, cpu), (resource.RLIMIT_AS, memory),
                   (resource.RLIMIT_FSIZE, size), (resource.RLIMIT_CORE, 0)):
    resource.setrlimit(what, (most, most))
if sys.platform == "linux":
    libc = ctypes.CDLL(None)
    libc.prctl(1, signal.SIGKILL)
    libc.personality(0x40000)
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[os.getpid() % len(processors)]})
os.execvp(sys.argv[4], sys.argv[4:])
"""


@dataclass(frozen=True)
class Limits:
    cpu_s: int = 120
    wall_s: float = 300
    memory_bytes: int = 1 << 30
    file_bytes: int = 300_000_000


@dataclass(frozen=True)
class Ran:
    """`status` as a shell shows it (128 + signal); `stopped` names the limit that ended it."""

    status: int
    stopped: str | None
    wall_s: float
    said: str
    box: Box


def run(argv: Sequence[str], folder: Path, limits: Limits) -> Ran:
    """Run `argv` in `folder`, the one place it may write; only the last 64 kB it says are kept."""
    box: Box = "bubblewrap" if _can_box() else "limits only"
    # Bubblewrap sets up its own namespaces first, so that the limits hold for the program alone.
    wrap = _bubblewrap(folder) if box == "bubblewrap" else ()
    began = time.monotonic()
    with (folder / ".said").open("w+b") as said:
        process = subprocess.Popen(
            [*wrap, *_limiter(limits), *argv],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        late = _wait(process, limits.wall_s)
        text = _tail(Path(said.name))
    wall_s = time.monotonic() - began
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return Ran(status, _stopped(status, late, limits), wall_s, text, box)


def _limiter(limits: Limits) -> list[str]:
    figures = (limits.cpu_s, limits.memory_bytes, limits.file_bytes)
    return [sys.executable, "-I", "-S", "-c", _LIMITER, *map(str, figures)]


def _environment(folder: Path) -> dict[str, str]:
    home = str(folder)
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "TMPDIR": home, "LC_ALL": "C"}


def _wait(process: subprocess.Popen[bytes], wall_s: float) -> bool:
    """True when the wall clock ended it. Whatever happens, the whole group is gone afterwards."""
    try:
        process.wait(wall_s)
    except subprocess.TimeoutExpired:
        return True
    finally:
        _kill_group(process)
    return False


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _stopped(status: int, late: bool, limits: Limits) -> str | None:
    if late:
        return f"more than {limits.wall_s:g} s"
    if status in (128 + signal.SIGXCPU, 128 + signal.SIGKILL):
        return f"more than {limits.cpu_s} s of processor time"
    if status == 128 + signal.SIGXFSZ:
        return f"more than {limits.file_bytes // 1_000_000} MB written"
    return None


def _tail(path: Path, most: int = 65_536) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - most))
        return file.read().decode(errors="replace")


@cache
def _can_box() -> bool:
    """True where bubblewrap is installed and the kernel lets us make namespaces."""
    if shutil.which("bwrap") is None:
        return False
    trial = [*_bubblewrap(Path("/tmp")), "true"]  # noqa: S108 - bound, not written
    return subprocess.run(trial, check=False, capture_output=True, timeout=20).returncode == 0


def _bubblewrap(folder: Path) -> list[str]:
    seen = ("/usr", "/bin", "/lib", "/lib64", "/etc/fonts", "/etc/ld.so.cache", sys.base_prefix)
    binds = [word for place in (*seen, sys.prefix) for word in ("--ro-bind-try", place, place)]
    alone = [
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
    ]
    own = ["--bind", str(folder), str(folder), "--chdir", str(folder)]
    # The empty /tmp first: what is bound below it, such as this checkout, must stay seen.
    return [shutil.which("bwrap") or "bwrap", "--tmpfs", "/tmp", *binds, *alone, *own]  # noqa: S108 - inside the box
