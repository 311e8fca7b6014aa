"""What is measured outside the round of hosts: the board's own ceiling, eight at once, busy cores.

It starts what it needs and ends it; nothing of it is left when a function has returned.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Final

import serial

from bench.peers.process import ProcessHost
from bench.streaming.measure import Board, Heart, Line
from bench.streaming.programs import Job, milling, printing

_MACHINES: Final = 8


@contextlib.contextmanager
def busy_cores() -> Generator[None]:
    """A loop that never rests on every core."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def ceiling(language: str, count: int = 60000) -> float:
    """Lines a second that the board carries when nobody waits for its answers."""
    moves = (printing if language == "marlin" else milling)(count).moves
    ready: list[bytes] = [b"N0 M110 N0*125\n"] if language == "marlin" else []
    for place, move in enumerate(moves, 1):
        body = move.encode()
        if language == "marlin":
            body = b"N%d %s" % (place, body)
            body = b"%s*%d" % (body, reduce(xor, body))
        ready.append(body + b"\n")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        board = Board(Line(language), count, Path(folder))
        with serial.Serial(board.port, 115200, timeout=0, write_timeout=5) as port:
            time.sleep(0.5)
            for begin in range(0, len(ready), 50):
                port.write(b"".join(ready[begin : begin + 50]))
                port.read(65536)
            ends = time.monotonic() + 10
            while "last" not in board.cpu_at and time.monotonic() < ends:
                port.read(65536)
                time.sleep(0.01)
        record = board.end()
    return (int(record["moves"]) - 1) / float(record["seconds"])


def eight(job: Job) -> list[float]:
    """Lines a second of each of eight Marlin boards at 250k, driven by one process of ours."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folders = [Path(name) / str(number) for number in range(_MACHINES)]
        for folder in folders:
            folder.mkdir()
        program = job.write(Path(name) / "job.gcode")
        boards = [Board(Line("marlin", 250000), len(job.moves), folder) for folder in folders]
        ports = [board.port for board in boards]
        host = ProcessHost(
            "eight",
            lambda _port, baud, path: [
                sys.executable, "-m", "bench.streaming.eight", "marlin", str(baud), str(path),
                *ports,
            ],
        )  # fmt: skip
        try:
            host.send("", 250000, program)
            ended = host.wait(
                150, Heart("eight machines from one process", lambda: boards[0].alive_at).beat
            )
        finally:
            host.leave()
            records = [board.end() for board in boards]
    speeds = [
        (int(record["moves"]) - 1) / max(float(record["seconds"]), 1e-9) for record in records
    ]
    print(f"  eight: {min(speeds):,.0f} to {max(speeds):,.0f} lines/s, {ended}", file=sys.stderr)
    return speeds if ended == "finished" else []
