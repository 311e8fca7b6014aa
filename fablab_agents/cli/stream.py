"""`cosmolocal-agent stream`: one program over one serial line, for anyone to try and to measure.

The guard reads the program before the port is opened, and nothing moves before a person said so.
It keeps no journal and knows no network: a job for the lab goes through `cosmolocal-agent run`.
"""

import argparse
import contextlib
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fablab_agents.cli.common import DONE, PERSON, REFUSED, Commands, command, refused, say

if TYPE_CHECKING:
    from firmware_bridge.driver import Driver, Ended, Event, Program
    from firmware_bridge.guard import Verdict
    from firmware_bridge.streaming import SerialRun

PROFILES: Final = {"marlin": "generic-fdm-220", "grbl": "generic-cnc-3018"}
_EXIT: Final = {
    "finished": DONE,
    "failed": REFUSED,
    "interrupted": REFUSED,
    "not started": REFUSED,
    "unknown": PERSON,
}
_BAR: Final = 40
_SILENT_S: Final = 5
_TO_LINE_END: Final = "\x1b[K"
_MORE: Final = """\
PORT is a device, a pseudo-terminal or socket://host:port. The guard judges the program first, then
it asks whether the machine may move. Ctrl-C stops the machine safely.
Exit status: 0 finished, 1 refused, failed or interrupted, 3 unknown or a person is needed.

`seconds` is from the first byte of the job to its end; `streaming_s`, and `lines_per_s` with it,
from the first line of the program to the acknowledgement of its last; `cpu_s` is this process's.
"""


class _Stopped(Exception):
    """Ctrl-C or SIGTERM before the job began."""


class _NeedsYes(Exception):
    """Somebody must agree, and nobody is there to be asked."""


def register(commands: Commands) -> None:
    made = command(commands, "stream", "stream one program over a serial line", _MORE, _stream)
    made.add_argument("program", type=Path, metavar="PROGRAM", help="the G-code file")
    made.add_argument("--driver", required=True, choices=sorted(PROFILES))
    made.add_argument("--port", required=True, help="/dev/…, a pty, or socket://host:port")
    made.add_argument("--baud", type=int, default=115200, help="(%(default)s)")
    made.add_argument(
        "--machine",
        metavar="PROFILE",
        help=f"what the guard holds it against (marlin: {PROFILES['marlin']}, "
        f"grbl: {PROFILES['grbl']})",
    )
    made.add_argument("--home", action="store_true", help="grbl: home it first, locked or not")
    made.add_argument("--dry-run", action="store_true", help="grbl: in check mode ($C) first")
    made.add_argument("--no-guard", action="store_true", help="send it unjudged: you answer for it")
    made.add_argument("--yes", action="store_true", help="the machine is clear and may move")


def _stream(asked: argparse.Namespace) -> int:
    try:
        with _stopping(_before_it_began):
            return _sent(asked)
    except _Stopped as error:
        facts = {"outcome": "not started", "cause": "stopped", "detail": str(error)}
        say(asked, f"not started: stopped by {error}", **facts)
        return REFUSED


def _before_it_began(why: str) -> None:
    raise _Stopped(why)


def _sent(asked: argparse.Namespace) -> int:
    from firmware_bridge import registry
    from firmware_bridge.errors import BridgeError, NeedsPerson

    entry = {"driver": asked.driver, "link": asked.port, "baud": asked.baud}
    entry |= {"homing": asked.home, "dry_run": asked.dry_run}
    try:
        program = _program(asked.program)
        verdict = None if asked.no_guard else _judged(asked, program)
        if verdict is not None and verdict.decision == "reject":
            return _rejected(asked, verdict)
        _agree(asked, verdict)
        driver = registry.open_driver(entry)
        _remark(asked, f"asking who answers on {asked.port} …")
        driver.connect()
        try:
            with _tamed(program, verdict) as tamed:
                return _drive(asked, driver, tamed)
        finally:
            driver.close()
    except (NeedsPerson, _NeedsYes) as error:
        return refused(asked, str(error), PERSON)
    except BridgeError as error:
        return refused(asked, str(error), REFUSED)


def _program(path: Path) -> "Program":
    from firmware_bridge.driver import Program
    from firmware_bridge.errors import Refused

    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error
    return Program(path, hashlib.sha256(data).hexdigest(), "by-hand", len(data.splitlines()))


# ── before anything moves ───────────────────────────────────────────────────────────────────


def _judged(asked: argparse.Namespace, program: "Program") -> "Verdict":
    from firmware_bridge import guard, profiles

    profile = profiles.load(asked.machine or PROFILES[asked.driver])
    verdict = guard.judge(program.path, profile)
    for finding in verdict.findings:
        at = f"line {finding.line}: " if finding.line else ""
        print(f"{finding.severity}: {at}{finding.message} [{finding.rule}]", file=sys.stderr)
    return verdict


@contextlib.contextmanager
def _tamed(program: "Program", verdict: "Verdict | None") -> "Generator[Program]":
    """The program as it may run: where the guard wants a footer, a copy that ends with it."""
    from firmware_bridge.streaming import read_program

    if verdict is None or not verdict.footer:
        yield program
        return
    with tempfile.TemporaryDirectory(prefix="cosmolocal-") as folder:
        copy = Path(folder) / program.path.name
        copy.write_bytes(read_program(program) + b"\n" + verdict.footer)
        yield _program(copy)


def _rejected(asked: argparse.Namespace, verdict: "Verdict") -> int:
    from firmware_bridge.guard.verdict import Finding

    first: Finding = next(found for found in verdict.findings if found.severity == "reject")
    at = f"line {first.line}: " if first.line else ""
    return refused(asked, f"the guard refuses {asked.program.name}: {at}{first.message}", REFUSED)


def _agree(asked: argparse.Namespace, verdict: "Verdict | None") -> None:
    """A person's yes: for the machine to move, and for what the guard leaves to a person."""
    if verdict is not None and verdict.decision == "review":
        _ask("The guard leaves the above to you. Send it all the same?")
    if not asked.yes:
        _ask(f"{asked.program.name} will move the machine on {asked.port}. Is it clear?")


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise _NeedsYes(f"{question} Nobody is here to answer; ask at a terminal (see --help)")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise _NeedsYes("not sent: nobody said yes")


# ── the job ─────────────────────────────────────────────────────────────────────────────────


def _drive(asked: argparse.Namespace, driver: "Driver", program: "Program") -> int:
    run: Any = driver.start(program)
    wall, cpu = time.monotonic(), time.process_time()
    with _stopping(_says_that_it_stops(asked, run.stop)):
        ended = _follow(run)
    report = _report(run, ended, time.monotonic() - wall, time.process_time() - cpu)
    print(json.dumps(report) if asked.json else _words(ended, report), flush=True)
    return _EXIT[ended.outcome]


def _follow(run: "SerialRun") -> "Ended":
    from firmware_bridge.driver import Ended

    show = _bar if sys.stderr.isatty() else _quiet
    for event in run.events():
        show(event, run.silent_s)
        if isinstance(event, Ended):
            return event
    msg = "a run always ends with Ended"
    raise AssertionError(msg)


@contextlib.contextmanager
def _stopping(stop: Callable[[str], None]) -> Generator[None]:
    """Ctrl-C and SIGTERM stop the machine in its own manner, and the run tells how that went."""
    before = {
        number: signal.signal(number, lambda number, _: stop(signal.Signals(number).name))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _says_that_it_stops(
    asked: argparse.Namespace, stop: Callable[[str], None]
) -> Callable[[str], None]:
    from firmware_bridge.streaming import Timeouts

    def said(why: str) -> None:
        stop(why)
        _remark(asked, f"stopping: waits up to {Timeouts().stop_s:.0f} s for the machine's answer")

    return said


def _remark(asked: argparse.Namespace, words: str) -> None:
    """Past Python's buffers: a signal may have come in the middle of a printed line."""
    if not asked.json:
        os.write(2, f"{words}\n".encode())


def _report(run: "SerialRun", ended: "Ended", wall_s: float, cpu_s: float) -> dict[str, Any]:
    tally = run.tally
    streaming_s = max(tally.last_acked_at - tally.first_sent_at, 0.0)
    return {
        "outcome": ended.outcome,
        "cause": ended.cause,
        "detail": ended.detail,
        "last_line": ended.last_line,
        "lines": tally.sent,
        "acked": tally.acked,
        "bytes_on_wire": tally.bytes_out,
        "seconds": round(wall_s, 4),
        "streaming_s": round(streaming_s, 4),
        "lines_per_s": round(tally.acked / streaming_s, 2) if streaming_s else None,
        "cpu_s": round(cpu_s, 4),
        "resends": tally.resends,
        "probes": tally.probes,
        "window_max": tally.window_max,
        "window_max_bytes": tally.window_max_bytes,
    }


def _words(ended: "Ended", report: dict[str, Any]) -> str:
    why = ": ".join(part for part in (ended.cause, ended.detail) if part)
    return (
        f"{ended.outcome} ({why}): {report['acked']} of {report['lines']} lines sent were "
        f"acknowledged in {report['seconds']:.1f} s, {report['resends']} sent again"
    )


def _quiet(event: "Event", silent_s: float) -> None:
    del event, silent_s


def _silence(silent_s: float) -> str:
    return f", silent for {silent_s:.0f} s" if silent_s >= _SILENT_S else ""


def _bar(event: "Event", silent_s: float) -> None:
    from firmware_bridge.driver import Ended, Paused, Progress

    match event:
        case Progress(fraction, line):
            full = "█" * round(fraction * _BAR)
            said = f"{full:░<{_BAR}} {fraction:6.1%} line {line}{_silence(silent_s)}"
            print(f"\r{said}{_TO_LINE_END}", end="", file=sys.stderr)
        case Paused(by):
            print(f"\npaused by {by}", file=sys.stderr)
        case Ended():
            print(file=sys.stderr)
        case _:
            pass
    sys.stderr.flush()
