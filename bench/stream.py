"""Streaming beside OctoPrint, printcore, CNCjs and plain pyserial: speed, cost, a dirty line

One run, hosts interleaved, medians. The line's physical limit is 8N1: ten bits for each byte. Every
host drives a board of the bench's own, in a process of its own, over a pseudo-terminal; the board
paces both directions like a UART and keeps what it executed. Ours is `cosmolocal-agent stream`.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any, Final

import serial

from bench import dirty
from bench.peers.process import CannotHaveError, ProcessHost
from bench.streaming import session as s
from bench.streaming.bodied import Dry, against_unpaced
from bench.streaming.measure import Board, Heart, Line
from bench.streaming.programs import milling, printing
from bench.streaming.session import Case, Session
from bench.streaming.table import Target, number, percent, table, targets

PARTS: Final = ("marlin", "late", "grbl", "planner", "eight", "loaded", "dirty")
_BAUDS: Final = ((115200, 2000), (250000, 4000), (1000000, 8000), (0, 20000))
_BLOCK_MS: Final = 3.5  # 0.35 mm at 100 mm/s
_HOMING_S: Final = 2.5  # long enough for firmware to say `busy` once
_MACHINES: Final = 8


def speed_name(baud: int) -> str:
    return {0: "unlimited", 1000000: "1M", 250000: "250k"}.get(baud, str(baud))


# ── the questions ───────────────────────────────────────────────────────────────────────────


def lines(count: int, quick: bool) -> int:
    return count // 2 if quick else count


def marlin_cases(quick: bool) -> list[Case]:
    hosts = (s.OURS, s.TUNED, s.PRINTCORE, s.WINDOWED)
    if not quick:
        hosts = (s.OURS, s.TUNED, s.AS_INSTALLED, s.NEXT, s.PRINTCORE, s.ONE_BY_ONE, s.WINDOWED)
    return [
        Case(
            f"Marlin {speed_name(baud)}",
            Line("marlin", baud, homing_s=_HOMING_S),
            printing(lines(count, quick), homing=True),
            hosts,
        )
        for baud, count in _BAUDS
    ]


def late_cases(quick: bool) -> list[Case]:
    hosts = (s.OURS, s.WINDOWED) if quick else (s.OURS, s.TUNED, s.ONE_BY_ONE, s.WINDOWED)
    job = printing(lines(3000, quick))
    return [
        Case(f"late {delay} ms", Line("marlin", 250000, delay_ms=delay), job, hosts)
        for delay in (1, 4)
    ]


def grbl_cases(quick: bool) -> list[Case]:
    hosts = (s.OURS, s.CNCJS, s.COUNTING, s.ONE_BY_ONE)
    return [
        Case(f"GRBL {speed_name(baud)}", Line("grbl", baud), milling(lines(count, quick)), hosts)
        for baud, count in ((115200, 2000), (250000, 4000), (0, 30000))
    ]


def planner_cases(quick: bool) -> list[Case]:
    marlin = Line("marlin", 115200, block_ms=_BLOCK_MS)
    grbl = Line("grbl", 115200, block_ms=_BLOCK_MS)
    return [
        Case("planner Marlin", marlin, printing(lines(2000, quick)), (s.OURS, s.TUNED, s.WINDOWED)),
        Case("planner GRBL", grbl, milling(lines(2000, quick)), (s.OURS, s.CNCJS, s.COUNTING)),
    ]


def loaded_cases(quick: bool) -> list[Case]:
    return [
        Case(
            f"loaded {speed_name(baud)}",
            Line("marlin", baud, homing_s=_HOMING_S),
            printing(lines(count, quick), homing=True),
            (s.OURS, s.TUNED),
        )
        for baud, count in _BAUDS
    ]


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


# ── the board's own ceiling ─────────────────────────────────────────────────────────────────


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


# ── eight machines from one process ─────────────────────────────────────────────────────────


def eight(quick: bool) -> list[float]:
    """Lines a second of each of eight Marlin boards at 250k, driven by one process of ours."""
    job = printing(lines(5000, quick))
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


# ── the planner on the simulated workshop's machines ────────────────────────────────────────


def bodied(found: Session, quick: bool) -> list[Dry]:
    """The planner's dry time once more, on machines that accelerate, told by `hardware_sim`."""
    wanted = [("marlin", s.OURS), ("grbl", s.OURS)]
    if not quick:
        wanted += [("marlin", s.TUNED), ("grbl", s.CNCJS)]
    made: list[Dry] = []
    for language, name in wanted:
        host = found.host(language, name)
        if host is not None:
            label = f"planner of hardware_sim, {language}: {name}"
            print(label, file=sys.stderr, flush=True)
            try:
                made.append(against_unpaced(host, language, lines(2000, quick), Heart(label).beat))
            except CannotHaveError as error:
                found.missing[f"hardware_sim, {language}"] = str(error)
    return made


def show_bodied(found: list[Dry]) -> str:
    rows = [
        [one.language, one.host, percent(one.share, 3), percent(one.slowed), one.ended]
        for one in found
    ]
    title = "The same on hardware_sim, which brakes before it runs dry: 0.35 mm round a circle"
    columns = ["machine", "host", "dry", "slowed by the line", "ended"]
    return table(title, columns, rows, words=(0, 1, 4))


# ── the tables ──────────────────────────────────────────────────────────────────────────────


def show_speeds(found: Session, title: str, cases: list[Case]) -> str:
    """Rows are hosts; for each line lines/s, the share of the wire, CPU, and ours to theirs."""
    columns = ["host"]
    for case in cases:
        columns += [case.name.split(" ", 1)[1], "wire", "ours ÷"]
    rows: list[list[str]] = []
    for host in dict.fromkeys(name for case in cases for name in case.hosts):
        row = [host]
        for case in cases:
            speed = found.median(case.name, host, lambda result: result.lines_per_s)
            wire = found.median(case.name, host, lambda result: result.wire or None)
            own = found.median(case.name, s.OURS, lambda result: result.lines_per_s)
            ratio = own / speed if own and speed else None
            row += [number(speed), percent(wire), number(ratio, 2)]
        rows.append(row)
    return table(f"{title}: lines/s, share of the wire, ours to theirs", columns, rows)


def show_cost(found: Session, cases: list[Case]) -> str:
    columns = ["host", *(case.name for case in cases)]
    rows = [
        [
            host,
            *(
                number(found.median(case.name, host, lambda r: r.cpu_ms_per_1000 or None))
                for case in cases
            ),
        ]
        for host in dict.fromkeys(name for case in cases for name in case.hosts)
    ]
    return table("CPU of the host's process, ms for 1,000 lines", columns, rows)


def show_planner(found: Session, cases: list[Case]) -> str:
    rows = [
        [
            case.name, host, percent(found.median(case.name, host, lambda r: r.dry), 3),
            percent(found.median(case.name, host, lambda r: r.wire)),
            str(sum(result.overruns for result in found.of(case.name, host))),
        ]
        for case in cases
        for host in case.hosts
    ]  # fmt: skip
    title = (
        "Planner dry: share of a job of 0.35 mm segments at 100 mm/s and 115200, 15 blocks ahead"
    )
    return table(title, ["job", "host", "dry", "wire", "bytes overrun"], rows, words=(0, 1))


def show_loaded(found: Session, cases: list[Case]) -> str:
    rows: list[list[str]] = []
    for case in cases:
        quiet = case.name.replace("loaded", "Marlin")
        rows.append(
            [
                case.name.removeprefix("loaded "),
                *(
                    number(found.median(case.name, host, lambda r: r.lines_per_s))
                    for host in (s.OURS, s.TUNED)
                ),
                number(ratio(found, case.name, s.TUNED), 2),
                number(ratio(found, quiet, s.TUNED), 2),
            ]
        )
    columns = ["baud", "ours", "OctoPrint tuned", "ratio", "ratio when quiet"]
    return table("A busy loop on every core: lines/s", columns, rows)


def ratio(found: Session, case: str, peer: str) -> float | None:
    own = found.median(case, s.OURS, lambda result: result.lines_per_s)
    theirs = found.median(case, peer, lambda result: result.lines_per_s)
    return own / theirs if own and theirs else None


def not_exact(found: Session) -> str:
    """Runs on a clean line whose board did not execute exactly the file: there should be none."""
    rows = [
        [
            case,
            host,
            str(result.compared.missing),
            str(result.compared.altered),
            str(result.overruns),
            result.ended,
        ]
        for (case, host), results in found.results.items()
        for result in results
        if not result.compared.exact or result.ended != "finished"
    ]
    if not rows:
        return "Every run on a clean line was byte-exact and said finished.\n"
    return table(
        "Runs that were not exact",
        ["case", "host", "missing", "altered", "overrun", "ended"],
        rows,
        words=(0, 1, 5),
    )


def promises(
    found: Session, only: list[str], speeds: list[float], rounds: list[Dry]
) -> list[Target]:
    """Issue 3, section 5."""

    def wire(case: str) -> float | None:
        return found.median(case, s.OURS, lambda result: result.wire)

    def rate(case: str) -> float | None:
        return found.median(case, s.OURS, lambda result: result.lines_per_s)

    def stood(case: str) -> float | None:
        return found.median(case, s.OURS, lambda result: result.dry)

    cost = found.median("Marlin 250k", s.OURS, lambda result: result.cpu_ms_per_1000)
    by_part = {
        "marlin": [
            Target("Marlin 115200", wire("Marlin 115200"), 0.98, unit="%"),
            Target("Marlin 250k", wire("Marlin 250k"), 0.98, unit="%"),
            Target("Marlin 1M", wire("Marlin 1M"), 0.95, unit="%"),
            Target("Marlin unlimited, lines/s", rate("Marlin unlimited"), 20000),
            Target("CPU ms for 1,000 lines at 250k", cost, 150, at_most=True),
        ],
        "late": [
            Target("answers 1 ms late at 250k", wire("late 1 ms"), 0.95, unit="%"),
            Target("answers 4 ms late at 250k", wire("late 4 ms"), 0.75, unit="%"),
        ],
        "grbl": [
            Target("GRBL 115200", wire("GRBL 115200"), 0.99, unit="%"),
            Target("GRBL unlimited, lines/s", rate("GRBL unlimited"), 20000),
        ],
        "planner": [
            Target("planner dry, Marlin", stood("planner Marlin"), 0.001, at_most=True, unit="%"),
            Target("planner dry, GRBL", stood("planner GRBL"), 0.001, at_most=True, unit="%"),
            *(
                Target(f"planner dry, {one.language} of hardware_sim", one.share, 0.001, True, "%")
                for one in rounds
                if one.host == s.OURS
            ),
        ],
        "eight": [
            Target("eight machines, slowest ÷ fastest", fairness(speeds), 0.9, unit="%")
        ],
        "loaded": [
            Target(
                f"loaded: ratio to OctoPrint ÷ the quiet one, {baud}",
                over(
                    ratio(found, f"loaded {baud}", s.TUNED),
                    ratio(found, f"Marlin {baud}", s.TUNED),
                ),
                1.0,
            )
            for baud in ("115200", "250k", "1M", "unlimited")
        ],
    }  # fmt: skip
    return [target for part in PARTS if part in only for target in by_part.get(part, [])]


def fairness(speeds: list[float]) -> float | None:
    return min(speeds) / max(speeds) if speeds else None


def over(upper: float | None, lower: float | None) -> float | None:
    return upper / lower if upper and lower else None


# ── all of it ───────────────────────────────────────────────────────────────────────────────


def main() -> int:
    asked = s.arguments(__doc__, PARTS, runs=3)
    only: list[str] = asked.only
    made = {
        "marlin": marlin_cases(asked.quick), "late": late_cases(asked.quick),
        "grbl": grbl_cases(asked.quick), "planner": planner_cases(asked.quick),
    }  # fmt: skip
    heavy = loaded_cases(asked.quick)
    speeds: list[float] = []
    begun = s.machine()
    print("the board's own ceiling", file=sys.stderr, flush=True)
    carried = {language: ceiling(language) for language in ("marlin", "grbl")}
    with s.session() as found:
        found.run([case for part in only for case in made.get(part, [])], asked.runs)
        rounds = bodied(found, asked.quick) if "planner" in only else []
        if "eight" in only:
            speeds = eight(asked.quick)
        if "loaded" in only:
            with busy_cores():
                found.run(heavy, asked.runs)
        clean = not_exact(found)
        spoilt = dirty.measured(found, asked.quick) if "dirty" in only else []
        text = report(found, only, made, heavy, speeds, carried, begun) + clean
        text += show_bodied(rounds) if rounds else ""
        text += dirty.show(found, spoilt) if spoilt else ""
        promised = promises(found, only, speeds, rounds) + (dirty.promises(found) if spoilt else [])
        text += "\n" + targets(promised)
        finish(asked.json, text, found, promised, speeds, carried, begun)
    return 0


def report(
    found: Session, only: list[str], made: dict[str, list[Case]], heavy: list[Case],
    speeds: list[float], carried: dict[str, float], begun: dict[str, Any],
) -> str:  # fmt: skip
    parts = [heading(carried, begun)]
    if "marlin" in only:
        parts += [show_speeds(found, "Marlin", made["marlin"]), show_cost(found, made["marlin"])]
    if "late" in only:
        parts.append(show_speeds(found, "Answers late, 250k", made["late"]))
    if "grbl" in only:
        parts += [show_speeds(found, "GRBL 1.1", made["grbl"]), show_cost(found, made["grbl"])]
    if "planner" in only:
        parts.append(show_planner(found, made["planner"]))
    if speeds:
        each = " ".join(f"{speed:,.0f}" for speed in speeds)
        parts.append(f"Eight machines at 250k from one process, lines/s: {each}\n")
    if "loaded" in only:
        parts.append(show_loaded(found, heavy))
    parts += [f"Without {name}: {why}\n" for name, why in found.missing.items()]
    return "\n".join(parts) + "\n"


def heading(carried: dict[str, float], begun: dict[str, Any]) -> str:
    load = f"load {begun['load'][0]} at the start, {os.getloadavg()[0]:.2f} at the end"
    return (
        f"{begun['cores']} cores, {load}, Python {begun['python']}, {begun['at']}\n"
        f"The board's own ceiling, lines/s: Marlin {carried['marlin']:,.0f}, "
        f"GRBL {carried['grbl']:,.0f}\n"
    )


def finish(
    wants_json: bool, text: str, found: Session, promised: list[Target],
    speeds: list[float], carried: dict[str, float], begun: dict[str, Any],
) -> None:  # fmt: skip
    whole = {
        "machine": begun, "ceiling": carried, "eight": speeds, "missing": found.missing,
        "targets": [{**dataclasses.asdict(target), "met": target.met} for target in promised],
        "runs": s.as_json(found.results),
    }  # fmt: skip
    path = s.keep("stream", text, whole)
    print(json.dumps(whole) if wants_json else text)
    print(f"kept in {path.relative_to(path.parents[1])}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
