"""Real GRBL beside the simulated one: the same bytes to both, and every answer that differs

./run bench real_grbl --port PORT: any board with GRBL 1.1h at its defaults, or the AVR emulated. It
will be RESET, its EEPROM restored to defaults, and it MOVES some 10 mm: use a bare board.
"""

import argparse
import json
import os
import re
import select
import subprocess
import sys
import termios
import time
import tty
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from bench.real_grbl_cases import CASES, LOOSE, Step, Still

_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")
_BUILD: Final = re.compile(rb"\[VER:1\.1h\.\d{8}:")
_REFRESHED: Final = re.compile(rb"\|(?:WCO|Ov|A):[^|>]*")
_BUSY: Final = (b"<Run", b"<Jog", b"<Home", b"<Hold:1", b"<Door:2", b"<Door:3")
_ANSWERS: Final = (b"ok\r\n", b"error:")
_BANNER: Final = b"for help]"
SHORT_S: Final = 0.12  # of silence after a complete answer
SHUT_S: Final = 0.2  # so that the other side notices


@dataclass
class Wire:
    """One board's port, raw, at 115200."""

    fd: int
    quiet_s: float

    @staticmethod
    def opened(name: str, quiet_s: float) -> "Wire":
        fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(fd)
        modes = termios.tcgetattr(fd)
        modes[4] = modes[5] = termios.B115200
        termios.tcsetattr(fd, termios.TCSANOW, modes)
        return Wire(fd, quiet_s)

    def hear(self, enough: tuple[bytes, ...] = (), limit_s: float = 8.0) -> bytes:
        """What is said until it is silent; with `enough`, not before one of these was said."""
        said, end_s = b"", time.monotonic() + limit_s
        while time.monotonic() < end_s:
            done = any(word in said for word in enough)
            if select.select([self.fd], [], [], SHORT_S if done else self.quiet_s)[0]:
                said += os.read(self.fd, 65536)
            elif done or not enough:
                break
        return said

    def still(self) -> bytes:
        """Ask until it stands; nothing of it is an answer."""
        for _ in range(200):
            os.write(self.fd, b"?")
            report = self.hear((b">",), 3.0)
            if not any(word in report for word in _BUSY):
                break
            time.sleep(self.quiet_s)
        return b""

    def do(self, step: Step) -> bytes:
        match step:
            case Still():
                return self.still()
            case float():
                time.sleep(step)
                return self.hear()
            case bytes():
                os.write(self.fd, step)
                return self.hear((b">\r\n",), 3.0) if step == b"?" else self.hear()
            case str():
                os.write(self.fd, step.encode("latin-1") + b"\n")
                return self.hear(_ANSWERS, 12.0)


def run_case(port: str, steps: tuple[Step, ...], quiet_s: float) -> list[bytes]:
    """The answers to each step, the first being the greeting at opening."""
    wire = Wire.opened(port, quiet_s)
    try:
        said = [wire.hear((_BANNER,), 6.0)]
        said += [wire.do(step) for step in steps]
        wire.do(b"\x18")
        wire.do("$X")
        return said
    finally:
        os.close(wire.fd)
        time.sleep(SHUT_S)


def plain(said: bytes, *, loosely: bool, polled: bool) -> bytes:
    """Without the date of the build, and what else cannot be the same."""
    said = _BUILD.sub(b"[VER:1.1h.:", said)
    if polled:  # how often Still asked is its own affair, and with it who carries WCO and Ov
        said = _REFRESHED.sub(b"", said)
    return _NUMBER.sub(b"#", said) if loosely else said


def compare(name: str, real: str, other: str, quiet_s: float) -> list[dict[str, str]]:
    """Each step whose answer differs."""
    steps = CASES[name]
    with ThreadPoolExecutor() as both:
        said = list(both.map(lambda port: run_case(port, steps, quiet_s), (real, other)))
    found: list[dict[str, str]] = []
    polled = False
    for step, ours, theirs in zip(("(opening)", *steps), said[1], said[0], strict=True):
        polled = polled or isinstance(step, Still)
        if len({plain(x, loosely=name in LOOSE, polled=polled) for x in (ours, theirs)}) > 1:
            found.append({"step": repr(step), "real": repr(theirs), "ours": repr(ours)})
    return found


def show(name: str, rows: list[dict[str, str]]) -> None:
    steps = len(CASES[name]) + 1
    print(f"{name:<30} {steps - len(rows):>3} of {steps:>3} the same", flush=True)
    for row in rows:
        print(f"    {row['step']}\n        real {row['real']}\n        ours {row['ours']}")


def arguments() -> argparse.Namespace:
    told = argparse.ArgumentParser(prog="./run bench real_grbl", description=__doc__)
    told.add_argument("--port", required=True, help="the real board")
    told.add_argument("--beside", help="another board instead of the simulated grbl-stock")
    told.add_argument("--quiet", type=float, default=0.3, help="silent seconds that end an answer")
    told.add_argument("--only", nargs="*", default=list(CASES), help="names of cases")
    return told.parse_args()


def main() -> int:
    asked = arguments()
    differ = 0
    command = [sys.executable, "-m", "hardware_sim", "grbl-stock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulated:
        assert simulated.stdout is not None
        beside = asked.beside or json.loads(simulated.stdout.readline())["port"]
        for port in (asked.port, beside):
            run_case(port, ("$RST=*", 1.5), asked.quiet)
        for name in asked.only:
            rows = compare(name, asked.port, beside, asked.quiet)
            differ += len(rows)
            show(name, rows)
        simulated.terminate()
    print(f"{differ} answers differ")
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main())
