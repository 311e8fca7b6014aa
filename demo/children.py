"""Child processes of the demo: started with a log of their own, ended with everything they started.

A child never outlives the demo, not even a demo that is killed.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1


class ChildFailed(Exception):
    """A part of the demo did not come up; the message carries the end of its log."""


def die_with_parent() -> None:
    """For a child's first moment: the system ends it when its parent is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One command, started, killed and started again as often as a story needs."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.running:
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads run yet when it matters
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """As a power cut to this process alone would: SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, patience_s: float = 8.0) -> None:
        """Ask it to end, then end its whole group."""
        if self.process is None:
            return
        if self.running:
            self.process.terminate()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._end_group()

    def _end_group(self) -> None:
        assert self.process is not None
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def tail(self, lines: int = 12) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def wait_until(self, ready: Callable[[], bool], within_s: float, what: str) -> None:
        """Poll `ready` until it holds; raises ChildFailed when the child ends or time is up."""
        end = time.monotonic() + within_s
        while not ready():
            if not self.running:
                raise ChildFailed(f"{self.name} ended before {what}:\n{self.tail()}")
            if time.monotonic() > end:
                raise ChildFailed(f"{self.name}: {what} took over {within_s:.0f} s:\n{self.tail()}")
            time.sleep(0.05)


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]
