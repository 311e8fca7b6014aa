"""A hundred jobs on the real OctoPrint with its virtual printer's faults: exact, or honestly not"""

import argparse
import contextlib
import hashlib
import json
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import httpx

from bench import at_least_one
from demo import octoprint
from firmware_bridge.driver import Driver, Ended, Event, Paused, Program, Progress, Run, Started
from firmware_bridge.errors import BridgeError
from firmware_bridge.registry import open_driver

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".tools" / "octoprint-jobs.json"
SEED = 20261122
LINES = 130  # beyond 115, where the virtual printer misbehaves by itself at 100, 105, 110 and 115
WIRE_LOG: Final = "logs/plugin_virtual_printer_serial.log"
SILENCE_S = 12.0

# What the virtual printer is told while it prints (octoprint/plugins/virtual_printer/virtual.py).
DEBUG: Final = {
    "resend, line number": "trigger_resend_lineno",
    "resend, checksum": "trigger_resend_checksum",
    "resend, no checksum": "trigger_missing_checksum",
    "error, no line number": "trigger_missing_lineno",
    "an ok is lost": "dont_answer",
    "an ok is garbled": "prepare_ok o",
    "an ok is doubled": "prepare_ok okok",
    "noisy line": "resend_ratio 10",
    "silent for 2 s": "sleep 2",
    "asks to pause": "action_pause",
    "hangs up": "action_disconnect",
    "cable out": "drop_connection",
    "thermal runaway": "trigger_fatal_error_marlin",
    "heater fault": "trigger_fatal_error_repetier",
    "resets itself": "reset",
    "mute for ever": "go_awol",
    "asks for one line for ever": "rerequest_last",
    "says what it likes": "send //action:start",
}
PEOPLE: Final = ("nothing", "stopped", "paused and resumed", "agent killed", "halted")
CASES: Final = (*PEOPLE, *DEBUG)
# What OctoPrint says of its own accord; no program of ours holds any of it.
_OWN = re.compile(r"(M20|M21|M27|M84|M10[45678]|M11[02458]|M140|M15[45]|M400|M410|M220|M221|T\d)\b")
_SENT = re.compile(r"<<< N(\d+) ?([^*]*)\*")


@dataclass(frozen=True)
class Case:
    number: int
    what: str
    after_s: float

    @property
    def rows(self) -> list[str]:
        """A program of which no two lines are alike."""
        moves = (f"G1 X{n % 20}.{self.number:03d} Y{n}.5 F6000" for n in range(LINES))
        rows = [f"G4 P{30 + n}" if n % 3 == 0 else move for n, move in enumerate(moves)]
        return ["G28", "G90", *rows, "M18"]


@dataclass(frozen=True)
class Result:
    number: int
    what: str
    outcome: str
    cause: str
    carried: int
    wanted: int
    verdict: str
    seconds: float


def case_of(number: int, seed: int = SEED) -> Case:
    """The same job for the same number, whatever ran before."""
    chance = random.Random(f"{seed} {number}")
    return Case(number, CASES[number % len(CASES)], round(chance.uniform(0.2, 3.0), 2))


def carried(log: str) -> list[str]:
    """The program's lines as they went over the wire, each once; raises ValueError if they differ.

    A line that was asked for again must be the same again; numbers must leave no hole.
    """
    epochs: list[dict[int, str]] = [{}]
    for row in log.splitlines():
        found = _SENT.search(row)
        if found is None:
            continue
        number, text = int(found[1]), found[2].strip()
        if text.startswith("M110"):
            epochs.append({})  # counting starts anew: before a job, or after a reset
        elif epochs[-1].setdefault(number, text) != text:
            raise ValueError(f"N{number} was {epochs[-1][number]!r}, then {text!r}")
    return [line for lines in epochs for line in _in_order(lines)]


def _in_order(lines: dict[int, str]) -> list[str]:
    numbers = sorted(lines)
    if numbers and numbers != list(range(numbers[0], numbers[-1] + 1)):
        raise ValueError("there is a hole in the line numbers")
    return [lines[number] for number in numbers if not _OWN.match(lines[number])]


def judge(wanted: list[str], log: str, end: Ended) -> tuple[str, int]:
    """`exact`: finished, and the wire is the file. `honest`: not finished, and a part of it."""
    try:
        told = carried(log)
    except ValueError as error:
        return f"WRONG: {error}", 0
    if end.outcome == "finished":
        return ("exact" if told == wanted else "WRONG: finished, but not the file"), len(told)
    part = told == wanted[: len(told)]
    return ("honest" if part else "WRONG: altered lines"), len(told)


class Shop:
    """The server, and a driver that is connected anew for each job."""

    def __init__(self, folder: Path, url: str, key: str) -> None:
        self.folder, self.url, self._key = folder, url, key
        serial = {"timeoutCommunication": 2, "timeoutCommunicationBusy": 2}
        self._post("/api/settings", {"serial": serial})

    def _post(self, path: str, body: dict[str, object]) -> None:
        headers = {"X-Api-Key": self._key}
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(f"{self.url}{path}", headers=headers, json=body, timeout=10)

    def driver(self) -> Driver:
        entry = {"driver": "octoprint", "link": self.url, "api_key": self._key}
        return open_driver({**entry, "timeouts": {"silence_s": SILENCE_S}})

    def debug(self, fault: str) -> None:
        self._post("/api/printer/command", {"commands": [f"!!DEBUG:{fault}"]})

    def resume(self) -> None:
        """A person at the machine."""
        self._post("/api/job", {"command": "pause", "action": "resume"})

    def play(self, case: Case) -> Result:
        began = time.monotonic()
        self._post("/api/connection", {"command": "disconnect"})
        driver = self.driver()
        driver.connect()
        offset = (self.folder / WIRE_LOG).stat().st_size
        try:
            end = self._follow(case, driver)
        finally:
            driver.close()
        log = (self.folder / WIRE_LOG).read_text(errors="replace")[offset:]
        verdict, count = judge(case.rows, log, end)
        spent = round(time.monotonic() - began, 1)
        many = len(case.rows)
        return Result(case.number, case.what, end.outcome, end.cause, count, many, verdict, spent)

    def _follow(self, case: Case, driver: Driver) -> Ended:
        run = driver.start(self._program(case))
        play = _Player(self, case, driver, run)
        try:
            for event in play.events():
                if isinstance(event, Ended):
                    return event
        finally:
            play.over()
        raise AssertionError(case)

    def _program(self, case: Case) -> Program:
        data = ("\n".join(case.rows) + "\n").encode()
        path = self.folder / "program.gcode"
        path.write_bytes(data)
        name = f"job-{case.number}-{time.time_ns() // 1_000_000}"
        return Program(path, hashlib.sha256(data).hexdigest(), name, data.count(b"\n"))


class _Player:
    """Does to one run what its case says, a little after it began."""

    def __init__(self, shop: Shop, case: Case, driver: Driver, run: Run) -> None:
        self._shop, self._case, self._driver, self._run = shop, case, driver, run
        self._timer: threading.Timer | None = None

    def events(self) -> Iterator[Event]:
        for event in self._run.events():
            if isinstance(event, Started):
                self._later(self._case.after_s, self._strike)
            elif isinstance(event, Paused):
                ours = self._case.what == "paused and resumed"
                self._later(0.5, self._run.resume if ours else self._shop.resume)
            yield event
            if self._case.what == "agent killed" and isinstance(event, Progress):
                yield from self._again()
                return

    def _again(self) -> Iterator[Event]:
        """Another agent, which knows no more than the handle."""
        other = self._shop.driver()
        try:
            found = other.recover(self._run.handle)
            assert found is not None
            yield from found.events()
        finally:
            other.close()

    def _strike(self) -> None:
        what = self._case.what
        deeds: dict[str, Callable[[], None]] = {
            "stopped": lambda: self._run.stop("the proof stops it"),
            "paused and resumed": self._run.pause,
            "halted": self._driver.halt,
        }
        with contextlib.suppress(BridgeError):
            if what in DEBUG:
                self._shop.debug(DEBUG[what])
            elif what in deeds:
                deeds[what]()

    def _later(self, seconds: float, deed: Callable[[], None]) -> None:
        self._timer = threading.Timer(seconds, deed)
        self._timer.daemon = True
        self._timer.start()

    def over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


# ---- the proof


def main() -> int:
    parser = argparse.ArgumentParser("./run proof octoprint_jobs", description=__doc__)
    parser.add_argument("--jobs", type=at_least_one, default=100)
    parser.add_argument("--fresh", action="store_true", help="forget what was proven before")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    results = {} if asked.fresh else _kept()
    missing = [n for n in range(asked.jobs) if n not in results]
    if missing:
        _prove(missing, results)
    return _tell([results[n] for n in range(asked.jobs)], as_json=asked.json)


def _prove(missing: list[int], results: dict[int, Result]) -> None:
    with tempfile.TemporaryDirectory(prefix="octoprint-jobs-") as name:
        folder = Path(name)
        url, key, process = octoprint.start(folder, octoprint.free_port())
        try:
            shop = Shop(folder, url, key)
            for number in missing:
                results[number] = result = shop.play(case_of(number))
                print(_line(result), file=sys.stderr, flush=True)
                RESULTS.write_text(json.dumps([asdict(each) for each in results.values()]))
        finally:
            octoprint.stop(process)


def _kept() -> dict[int, Result]:
    try:
        told = json.loads(RESULTS.read_text())
        return {each["number"]: Result(**each) for each in told}
    except (OSError, ValueError, TypeError):
        return {}


def _line(result: Result) -> str:
    share = f"{result.carried}/{result.wanted}"
    end = f"{result.outcome} ({result.cause})"
    return f"{result.number:4} {result.what:28} {end:36} {share:>8} lines  {result.verdict}"


def _tell(results: list[Result], *, as_json: bool) -> int:
    wrong = [each for each in results if each.verdict.startswith("WRONG")]
    if as_json:
        print(json.dumps({"wrong": len(wrong), "jobs": [asdict(each) for each in results]}))
        return 1 if wrong else 0
    table = Counter((each.what, each.outcome, each.verdict.split(":")[0]) for each in results)
    print(f"{'what happened to the job':30}{'outcome':14}{'verdict':10}jobs")
    for (what, outcome, verdict), count in sorted(table.items()):
        print(f"{what:30}{outcome:14}{verdict:10}{count:4}")
    print(f"{len(results)} jobs, {len(wrong)} wrong; each one is in {RESULTS.relative_to(ROOT)}")
    for each in wrong:
        print(_line(each))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
