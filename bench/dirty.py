"""A dirty line beside OctoPrint, printcore and CNCjs: what was executed, and how it ended

0.1 % and 1 % of lines altered (one byte, never the newline), or of acknowledgements lost, garbled
or joined to the next; three seeds, 1 Mbaud. A run is given 150 s, and given up earlier when the
board has executed nothing for 45 s. Executed lines are held against the file one by one.
"""

import json
import sys
from collections.abc import Callable
from typing import Final

from bench.streaming import session as s
from bench.streaming.measure import Line, Result
from bench.streaming.programs import milling, printing
from bench.streaming.session import Case, Session
from bench.streaming.table import Target, number, table, targets

PARTS: Final = ("marlin", "grbl")
_BAUD: Final = 1_000_000
_LIMIT_S: Final = 150.0
_HOMING_S: Final = 2.5
_FAULTS: Final = (
    ("lines 0.1 %", 0.001, 0.0, 5000),
    ("lines 1 %", 0.01, 0.0, 5000),
    ("acks 0.1 %", 0.0, 0.001, 2000),
    ("acks 1 %", 0.0, 0.01, 2000),
)
_ADVANCED: Final = "Marlin acks 1 %, ADVANCED_OK"
_NEVER_BUSY: Final = "Marlin acks 1 %, never busy"


def cases(language: str, seed: int, quick: bool) -> list[Case]:
    """The faults of one seed; the case's name is shared by the seeds."""
    name = {"marlin": "Marlin", "grbl": "GRBL"}[language]
    made: list[Case] = []
    for fault, lines, acks, count in _FAULTS:
        line = Line(language, _BAUD, bad_lines=lines, bad_acks=acks, seed=seed,
                    homing_s=_HOMING_S if language == "marlin" else 0.0)  # fmt: skip
        job = printing(count, homing=True) if language == "marlin" else milling(count)
        made.append(Case(f"{name} {fault}", line, job, hosts(language, acks, quick), _LIMIT_S))
    return made


def hosts(language: str, acks: float, quick: bool) -> tuple[str, ...]:
    """As installed, OctoPrint answers bad lines as a tuned one does; it is asked about acks."""
    if language == "grbl":
        return (s.OURS, s.CNCJS, s.COUNTING)
    if quick:
        return (s.OURS, s.TUNED)
    others = (s.AS_INSTALLED,) if acks else ()
    return (s.OURS, s.TUNED, *others, s.PRINTCORE, s.WINDOWED)


def never_busy() -> Case:
    """Firmware that keeps silent while it works: OctoPrint then waits 30 s for each lost ok."""
    line = Line("marlin", _BAUD, bad_acks=0.01, seed=1)
    return Case(_NEVER_BUSY, line, printing(2000), (s.OURS, s.AS_INSTALLED), _LIMIT_S)


def with_advanced_ok(seed: int) -> Case:
    """Firmware whose `ok` names its line: what is lost can be told without asking."""
    line = Line("marlin", _BAUD, bad_acks=0.01, seed=seed, homing_s=_HOMING_S, advanced_ok=True)
    job = printing(2000, homing=True)
    return Case(_ADVANCED, line, job, (s.OURS, s.TUNED), _LIMIT_S)


def measured(found: Session, quick: bool, only: tuple[str, ...] = PARTS) -> list[str]:
    """Run them all; the names of the cases."""
    names: dict[str, None] = {}
    for seed in (1,) if quick else (1, 2, 3):
        for language in only:
            made = cases(language, seed, quick)
            if language == "marlin" and not quick:
                made.append(with_advanced_ok(seed))
            found.run(made, 1)
            names.update(dict.fromkeys(case.name for case in made))
    if "marlin" in only and not quick:
        found.run([never_busy()], 1)
        names[_NEVER_BUSY] = None
    return list(names)


def effective(result: Result) -> float:
    """Lines a second of the job's whole time; a run that never ended has had its limit."""
    unended = result.ended == "time limit" or result.ended.startswith("hangs")
    return result.moves / max(result.seconds, _LIMIT_S) if unended else result.lines_per_s


def show(found: Session, names: list[str]) -> str:
    rows = [
        row_of(name, host, results)
        for name in names
        for (case, host), results in found.results.items()
        if case == name
    ]
    columns = [
        "fault", "host", "exact", "missing", "altered", "repeated", "after an error", "lines/s",
        "ended",
    ]  # fmt: skip
    title = "Dirty line, 1 Mbaud; a run is given 150 s; figures by seed"
    return table(title, columns, rows, words=(0, 1, 8))


def row_of(name: str, host: str, results: list[Result]) -> list[str]:
    def each(what: Callable[[Result], object]) -> str:
        return "/".join(str(what(result)) for result in results)

    exact = sum(result.compared.exact and result.ended == "finished" for result in results)
    return [
        name, host, f"{exact} of {len(results)}", each(lambda r: r.compared.missing),
        each(lambda r: r.compared.altered), each(lambda r: r.compared.repeated),
        each(lambda r: r.facts.get("after error", "–")), each(lambda r: number(effective(r))),
        "; ".join(dict.fromkeys(result.ended[:60] for result in results)),
    ]  # fmt: skip


def promises(found: Session) -> list[Target]:
    """Issue 3, sections 4 and 5."""

    def speed(case: str, host: str) -> float | None:
        return found.median(case, host, effective, any_end=True)

    def over(case: str) -> float | None:
        own, theirs = speed(case, s.OURS), speed(case, s.TUNED)
        return own / theirs if own and theirs else None

    marlin = [result for (case, host), results in found.results.items()
              if host == s.OURS and case in _marlin_names() for result in results]  # fmt: skip
    grbl = [result for (case, host), results in found.results.items()
            if host == s.OURS and case in _grbl_names() for result in results]  # fmt: skip
    made: list[Target] = []
    if marlin:
        made += [
            Target("acks 1 %: ours ÷ OctoPrint tuned", over("Marlin acks 1 %"), 5.0),
            Target("lines 1 %: ours ÷ OctoPrint tuned (aim 1.5)", over("Marlin lines 1 %"), 1.0),
            Target(
                "dirty Marlin: share of runs exact and finished",
                share(marlin, is_exact),
                1.0,
                unit="%",
            ),
        ]
    if grbl:
        made += [
            Target("dirty GRBL: finished only when exact", share(grbl, is_honest), 1.0, unit="%"),
            Target("dirty GRBL: lines run after an error, most", max_after(grbl), 5, at_most=True),
        ]
    return made


def _marlin_names() -> set[str]:
    return {f"Marlin {fault[0]}" for fault in _FAULTS} | {_NEVER_BUSY, _ADVANCED}


def _grbl_names() -> set[str]:
    return {f"GRBL {fault[0]}" for fault in _FAULTS}


def share(results: list[Result], good: Callable[[Result], bool]) -> float:
    return sum(good(result) for result in results) / len(results)


def is_exact(result: Result) -> bool:
    return result.compared.exact and result.ended == "finished"


def is_honest(result: Result) -> bool:
    return result.ended != "finished" or result.compared.exact


def max_after(results: list[Result]) -> float:
    """Moves executed after the first error; what lay in the board's buffer cannot be helped."""
    return float(max(result.facts.get("after error", 0) for result in results))


def main() -> int:
    asked = s.arguments(__doc__, PARTS, runs=1)
    begun = s.machine()
    with s.session(asked.patience) as found:
        names = measured(found, asked.quick, tuple(asked.only))
        promised = promises(found)
        text = show(found, names) + "\n" + targets(promised)
        text += "".join(f"Without {name}: {why}\n" for name, why in found.missing.items())
        whole = {"machine": begun, "missing": found.missing, "runs": s.as_json(found.results)}
    path = s.keep("dirty", text, whole)
    print(json.dumps(whole) if asked.json else text)
    print(f"kept in {path.relative_to(path.parents[1])}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
