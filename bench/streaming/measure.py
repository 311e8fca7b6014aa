"""One job over one line, from a host to the board: started, watched, timed, compared.

It measures hosts from the outside only: what the board executed and when, and what the system says
the host's process has cost.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from bench.peers.process import gone_with_parent
from bench.streaming.programs import Compared, Job, compare

_ROOT: Final = Path(__file__).resolve().parents[2]
_BITS_PER_BYTE: Final = 10
STALLED_S: Final = 45.0  # OctoPrint goes on by itself after 30
_TERMIOS_BAUD: Final = 115200  # what a host sets where the board does not pace


class Host(Protocol):
    """A program that streams, ours or a peer; `start` and `stop` are for one with a server."""

    name: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def send(self, port: str, baud: int, program: Path) -> int:
        """Begin the job; the process id whose CPU time counts."""
        ...

    def wait(self, seconds: float, beat: Callable[[], None]) -> str:
        """How it ended, in a word or two; "time limit" when it did not."""
        ...

    def leave(self) -> None:
        """End what is left of the job, so that the port can go."""
        ...


@dataclass(frozen=True)
class Line:
    """The line and the board behind it; shares are 0 to 1."""

    language: str
    baud: int = 0
    delay_ms: float = 0.0
    bad_lines: float = 0.0
    bad_acks: float = 0.0
    seed: int = 0
    block_ms: float = 0.0
    advanced_ok: bool = False
    homing_s: float = 0.0

    def options(self) -> list[str]:
        given = [
            self.language, "--baud", str(self.baud), "--delay-ms", str(self.delay_ms),
            "--bad-lines", str(self.bad_lines), "--bad-acks", str(self.bad_acks),
            "--seed", str(self.seed), "--block-ms", str(self.block_ms),
            "--homing-s", str(self.homing_s),
        ]  # fmt: skip
        return [*given, "--advanced-ok"] if self.advanced_ok else given


@dataclass(frozen=True)
class Result:
    """Of one run. `wire` is the share of the line's capacity (0 where it is not paced)."""

    host: str
    ended: str
    seconds: float
    moves: int
    lines_per_s: float
    wire: float
    cpu_ms_per_1000: float
    compared: Compared
    overruns: int
    resets: int
    altered_sent: int
    acks_spoilt: int
    dry: float | None
    facts: dict[str, int]


class Board:
    """The board's process, and the moments it tells of."""

    def __init__(self, line: Line, moves: int, folder: Path) -> None:
        self.record_path = folder / "record.json"
        command = [sys.executable, "-m", "bench.streaming.board", *line.options()]
        command += ["--expect", str(moves), "--record", str(self.record_path)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=_ROOT, text=True, stdin=subprocess.DEVNULL,
            preexec_fn=gone_with_parent,  # noqa: PLW1509 - it only sets a flag
        )  # fmt: skip
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.port = str(said["port"])
        self.has_priority = bool(said["priority"])
        self.cpu_at: dict[str, float] = {}
        self.alive_at = 0.0
        self.watch: Callable[[], float] = lambda: 0.0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.alive_at = time.monotonic()
            self.cpu_at[str(json.loads(text)["event"])] = self.watch()

    def end(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self._listener.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return json.loads(self.record_path.read_text())


class StalledError(Exception):
    """The board has executed no move for so long that nobody would wait any more."""


@dataclass
class Heart:
    """Says what goes on every 4 s, so that nothing is silent for long; it ends a dead run."""

    label: str
    alive_at: Callable[[], float] = lambda: 0.0
    begun: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        now = time.monotonic()
        if now - max(self.alive_at(), self.begun) > STALLED_S:
            raise StalledError
        if now - self.said >= 4:
            self.said = now
            print(f"  … {self.label}, {now - self.begun:.0f} s", file=sys.stderr, flush=True)


def cpu_s(pid: int) -> float:
    """Seconds of processor time of a process, all its threads, so far; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(host: Host, line: Line, job: Job, *, limit_s: float, label: str = "") -> Result:
    """Run the job once; the host is started already."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        program = job.write(folder / f"job-{os.urandom(3).hex()}.gcode")
        board = Board(line, len(job.moves), folder)
        heart = Heart(label or host.name, lambda: board.alive_at)
        try:
            pid = host.send(board.port, line.baud or _TERMIOS_BAUD, program)
            board.watch = lambda: cpu_s(pid)
            ended = host.wait(limit_s, heart.beat)
        except StalledError:
            ended = f"hangs: nothing for {STALLED_S:.0f} s"
        finally:
            host.leave()
            record = board.end()
    return _result(host.name, ended, line, job, record, _cpu(board))


def _cpu(board: Board) -> float | None:
    """Seconds of processor time between the first move and the last, None without both."""
    first, last = board.cpu_at.get("first"), board.cpu_at.get("last")
    return last - first if first is not None and last else None


def _result(
    name: str, ended: str, line: Line, job: Job, record: dict[str, Any], cpu: float | None
) -> Result:
    seconds, moves = float(record["seconds"]), int(record["moves"])
    speed = (moves - 1) / seconds if seconds > 0 else 0.0
    bytes_per_move = int(record["move_bytes"]) / moves if moves else 0.0
    capacity = line.baud / _BITS_PER_BYTE
    return Result(
        host=name,
        ended=ended,
        seconds=seconds,
        moves=moves,
        lines_per_s=speed,
        wire=speed * bytes_per_move / capacity if capacity else 0.0,
        cpu_ms_per_1000=cpu * 1e6 / moves if cpu is not None and moves else 0.0,
        compared=compare(job, record["executed"]),
        overruns=int(record["overruns"]),
        resets=int(record["resets"]),
        altered_sent=int(record["altered"]),
        acks_spoilt=len(record["spoilt"]),
        dry=record["dry"],
        facts=dict(record["facts"]),
    )
