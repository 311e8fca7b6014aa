"""Streaming beside OctoPrint, printcore, CNCjs and plain pyserial: speed, cost, a dirty line

One run, hosts interleaved, medians. The line's physical limit is 8N1: ten bits for each byte. Every
host drives a board of the bench's own, in a process of its own, over a pseudo-terminal; the board
paces both directions like a UART and keeps what it executed. Ours is `cosmolocal-agent stream`.
"""

import dataclasses
import json
import sys
from typing import Final

from bench import dirty
from bench.peers.process import CannotHaveError
from bench.streaming import session as s
from bench.streaming.bodied import Dry, against_unpaced
from bench.streaming.crowd import busy_cores, ceiling, eight
from bench.streaming.measure import Heart, Line, StalledError
from bench.streaming.programs import milling, printing
from bench.streaming.report import Findings, promises, words
from bench.streaming.session import Case, Session
from bench.streaming.table import targets

PARTS: Final = ("marlin", "late", "grbl", "planner", "eight", "loaded", "dirty")
_BAUDS: Final = ((115200, 2000), (250000, 4000), (1000000, 8000), (0, 20000))
_BLOCK_MS: Final = 3.5  # 0.35 mm at 100 mm/s
_HOMING_S: Final = 2.5  # long enough for firmware to say `busy` once


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
            except StalledError:
                found.missing[f"hardware_sim, {language}"] = f"{name} stalled for good"
    return made


# ── all of it ───────────────────────────────────────────────────────────────────────────────


def cases(quick: bool) -> dict[str, list[Case]]:
    return {
        "marlin": marlin_cases(quick), "late": late_cases(quick), "grbl": grbl_cases(quick),
        "planner": planner_cases(quick), "loaded": loaded_cases(quick),
    }  # fmt: skip


def measured(found: Session, only: list[str], quick: bool, runs: int) -> Findings:
    """Everything that was asked for but the dirty line."""
    all_of_it = Findings(found, only, cases(quick), s.machine())
    print("the board's own ceiling", file=sys.stderr, flush=True)
    all_of_it.carried = {language: ceiling(language) for language in ("marlin", "grbl")}
    calm = [part for part in ("marlin", "late", "grbl", "planner") if part in only]
    found.run([case for part in calm for case in all_of_it.cases[part]], runs)
    if "planner" in only:
        all_of_it.rounds = bodied(found, quick)
    if "eight" in only:
        all_of_it.speeds = eight(printing(lines(5000, quick)))
    if "loaded" in only:
        with busy_cores():
            found.run(all_of_it.cases["loaded"], runs)
    return all_of_it


def main() -> int:
    asked = s.arguments(__doc__, PARTS, runs=3)
    with s.session(asked.patience) as found:
        all_of_it = measured(found, asked.only, asked.quick, asked.runs)
        text, promised = words(all_of_it), promises(all_of_it)
        if "dirty" in asked.only:
            text += "\n" + dirty.show(found, dirty.measured(found, asked.quick))
            promised += dirty.promises(found)
    text += "\n" + targets(promised)
    whole = {
        "machine": all_of_it.begun, "ceiling": all_of_it.carried, "eight": all_of_it.speeds,
        "missing": found.missing, "runs": s.as_json(found.results),
        "bodied": [dataclasses.asdict(one) for one in all_of_it.rounds],
        "targets": [{**dataclasses.asdict(target), "met": target.met} for target in promised],
    }  # fmt: skip
    path = s.keep("stream", text, whole)
    print(json.dumps(whole) if asked.json else text)
    print(f"kept in {path.relative_to(path.parents[1])}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
