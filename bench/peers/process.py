"""Hosts that are one process for each job: ours, printcore, and plain pyserial as the reference."""

import ctypes
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from demo import environment

ROOT: Final = environment.TOOLS.parent
TOOLS: Final = environment.TOOLS
_LOOK_S: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1


def gone_with_parent() -> None:
    """For a server's first moment: it dies with the bench, even one that was put to rest."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class CannotHaveError(Exception):
    """A peer is not here and could not be brought; the message says why, in words."""


class ProcessHost:
    """A command that streams one file and ends with status 0 when it believes the job finished."""

    def __init__(self, name: str, command: Callable[[str, int, Path], Sequence[str]]) -> None:
        self.name = name
        self._command = command
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Nothing to start: there is no server."""

    def stop(self) -> None:
        self.leave()

    def send(self, port: str, baud: int, program: Path) -> int:
        self._process = subprocess.Popen(
            self._command(port, baud, program), cwd=ROOT, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=gone_with_parent,  # noqa: PLW1509 - it only sets a flag
        )  # fmt: skip
        return self._process.pid

    def wait(self, seconds: float, beat: Callable[[], None]) -> str:
        process = self._process
        assert process is not None
        ends = time.monotonic() + seconds
        while process.poll() is None:
            if time.monotonic() >= ends:
                return "time limit"
            beat()
            time.sleep(_LOOK_S)
        assert process.stdout is not None
        said = process.stdout.read().strip().splitlines()
        return self._ending(process.returncode, said[-1] if said else "")

    @staticmethod
    def _ending(status: int, said: str) -> str:
        if status == 0:
            return "finished"
        try:
            report = json.loads(said)
        except ValueError:
            return said[-90:] or f"status {status}"
        return " ".join(
            str(report.get(key, "")) for key in ("outcome", "cause", "detail", "error")
        ).strip()

    def leave(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def ours(driver: str) -> ProcessHost:
    """`cosmolocal-agent stream`, as anybody would type it."""
    agent = str(Path(sys.executable).with_name("cosmolocal-agent"))
    return ProcessHost(
        "cosmolocal",
        lambda port, baud, program: [
            agent, "stream", "--driver", driver, "--port", port, "--baud", str(baud),
            "--no-guard", "--yes", "--json", str(program),
        ],
    )  # fmt: skip


def plain(manner: str) -> ProcessHost:
    """Pyserial and a loop: `send-and-wait`, `windowed`, `grbl-send-and-wait` or `grbl-counting`."""
    return ProcessHost(
        f"pyserial {manner.removeprefix('grbl-')}",
        lambda port, baud, program: [
            sys.executable, "-m", "bench.peers.plain", manner, port, str(baud), str(program)
        ],
    )  # fmt: skip


def printcore() -> ProcessHost:
    """Printrun's printcore 2.2.0 in an environment of its own; raises `CannotHaveError`."""
    python = _printcore_python()
    script = str(Path(__file__).with_name("printcore_job.py"))
    return ProcessHost(
        "printcore 2.2.0",
        lambda port, baud, program: [python, script, port, str(baud), str(program)],
    )


def _printcore_python() -> str:
    home = TOOLS / "printcore"
    python = home / "bin" / "python"
    if not (home / "made").exists():
        # Without its dependencies: its window toolkit does not build where there is no screen.
        make_environment(
            home, ["--no-deps", "Printrun==2.2.0", "pyserial", "psutil", "platformdirs"]
        )
    return str(python)


def make_environment(home: Path, wanted: Sequence[str]) -> None:
    """A virtual environment at `home` with these packages; raises `CannotHaveError`."""
    print(
        f"  installing {wanted[-1] if len(wanted) == 1 else home.name} into .tools/{home.name}",
        file=sys.stderr,
        flush=True,
    )
    try:
        environment.make(home, wanted)
    except environment.CannotInstallError as error:
        raise CannotHaveError(str(error)) from error
    (home / "made").touch()
