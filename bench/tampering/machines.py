"""A simulated machine as a process of its own; what it physically did is the only judge."""

import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PATIENCE_S: Final = 30.0


class Machine:
    def __init__(self, kind: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.kind, self.link, self._record = kind, folder / "port", folder / "record"
        command = [sys.executable, "-m", "hardware_sim", "run", kind, "--speed", "0"]
        self._process = subprocess.Popen(
            [*command, "--link", str(self.link), "--record", str(self._record)],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def starts(self) -> int:
        return _lines(self._record / "starts.jsonl")

    def moves(self, start: int) -> list[str]:
        """The moves of that start, once it has ended."""
        until_s = time.monotonic() + _PATIENCE_S
        while _lines(self._record / "ends.jsonl") < start and time.monotonic() < until_s:
            time.sleep(0.01)
        told = (self._record / f"job-{start}.gcode").read_text().splitlines()
        return [line for line in told if line.startswith("G1")]


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@contextmanager
def machine(kind: str, folder: Path) -> Generator[Machine]:
    made = Machine(kind, folder)
    try:
        yield made
    finally:
        made.close()
