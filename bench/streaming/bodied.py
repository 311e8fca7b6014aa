"""The planner's dry time on the simulated workshop's machines: motion with acceleration, two heads.

A second reading of the firmware beside the bench's own board; it says what `hardware_sim` records.
"""

import json
import math
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.peers.process import ROOT, CannotHaveError
from bench.streaming.measure import Host
from bench.streaming.programs import Job

_SEGMENT_MM: Final = 0.35
_FEED_MM_S: Final = 100
_RADIUS_MM: Final = 40
_AT_REST_S: Final = 15.0
_MACHINES: Final = {"marlin": "printer-220", "grbl": "laser-400"}
_SHIPPED: Final = ROOT / "hardware-sim" / "hardware_sim" / "machines"


@dataclass(frozen=True)
class Dry:
    """Of one job, in the machine's seconds: without a move though in motion; how long it took.

    A planner that runs low brakes before it runs out, so a late host shows first in `took_s`.
    """

    language: str
    host: str
    ended: str
    dry_s: float
    took_s: float
    job_s: float
    unpaced_s: float = 0.0

    @property
    def share(self) -> float:
        return self.dry_s / self.job_s

    @property
    def slowed(self) -> float:
        """The time that the line cost, as a share of the job's nominal length."""
        return (self.took_s - self.unpaced_s) / self.job_s


def against_unpaced(host: Host, language: str, segments: int, beat: Callable[[], None]) -> Dry:
    """The job at 115200, and how long the same host needs where bytes take no time."""
    paced = dry(host, language, segments, beat)
    return replace(paced, unpaced_s=dry(host, language, segments, beat, baud=0).took_s)


def circle(segments: int, language: str) -> Job:
    """Segments of 0.35 mm at 100 mm/s round a circle, where both machines may go."""
    step = _SEGMENT_MM / _RADIUS_MM
    feed = f"F{_FEED_MM_S * 60}"
    places = [(_RADIUS_MM * math.cos(step * at), _RADIUS_MM * math.sin(step * at))
              for at in range(1, segments + 1)]  # fmt: skip
    moves = tuple(f"G1 X{110 + x:.3f} Y{110 + y:.3f} {feed}" for x, y in places)
    head = ("G28", "G90") if language == "marlin" else ("G21", "G90", "G94")
    return Job((*head, f"G1 X{110 + _RADIUS_MM} Y110 {feed}"), moves)


def dry(
    host: Host, language: str, segments: int, beat: Callable[[], None], baud: int = 115200
) -> Dry:
    """Let the host stream the circle to a simulated machine in real time; 0 baud: no pacing."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        settings = (_SHIPPED / f"{_MACHINES[language]}.toml").read_text()
        (folder / "machine.toml").write_text(f"baud = {baud}\n{settings}")
        program = circle(segments, language).write(folder / "circle.gcode")
        command = [sys.executable, "-m", "hardware_sim", "run", str(folder / "machine.toml")]
        machine = subprocess.Popen(
            [*command, "--record", str(folder / "record")], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert machine.stdout is not None
        try:
            said = machine.stdout.readline()
            if not said:
                raise CannotHaveError(f"the simulated {_MACHINES[language]} did not start")
            port = str(json.loads(said)["port"])
            host.send(port, 115200, program)
            ended = host.wait(120, beat)
            host.leave()
            end = _last(folder / "record" / "ends.jsonl", beat)
            begun = _last(folder / "record" / "starts.jsonl", beat)
        finally:
            machine.send_signal(signal.SIGTERM)
            machine.wait(10)
            machine.stdout.close()
    job_s = segments * _SEGMENT_MM / _FEED_MM_S
    took_s = end["sim_s"] - begun["sim_s"]
    return Dry(language, host.name, ended, end["dry_s"], took_s, job_s)


def _last(path: Path, beat: Callable[[], None]) -> dict[str, float]:
    """The record's last entry, as soon as there is one."""
    ends = time.monotonic() + _AT_REST_S
    while time.monotonic() < ends:
        if path.exists() and (lines := path.read_text().splitlines()):
            return json.loads(lines[-1])
        beat()
        time.sleep(0.2)
    return {"dry_s": math.nan, "sim_s": math.nan}
