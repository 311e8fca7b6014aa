"""From what a session found to the tables of streaming and the promises they are held against."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.streaming import session as s
from bench.streaming.bodied import Dry
from bench.streaming.session import Case, Session
from bench.streaming.table import Target, number, percent, table


@dataclass
class Findings:
    """All of one bench: `cases` by part, `speeds` of the eight, `rounds` on hardware_sim."""

    session: Session
    only: Sequence[str]
    cases: Mapping[str, list[Case]]
    begun: dict[str, Any]
    carried: dict[str, float] = field(default_factory=dict[str, float])
    speeds: list[float] = field(default_factory=list[float])
    rounds: list[Dry] = field(default_factory=list[Dry])


def words(all_of_it: Findings) -> str:
    """Every table, in the order of the parts."""
    found, cases = all_of_it.session, all_of_it.cases
    made = {
        "marlin": lambda: [
            show_speeds(found, "Marlin", cases["marlin"]), show_cost(found, cases["marlin"])
        ],
        "late": lambda: [show_speeds(found, "Answers late, 250k", cases["late"])],
        "grbl": lambda: [
            show_speeds(found, "GRBL 1.1", cases["grbl"]), show_cost(found, cases["grbl"])
        ],
        "planner": lambda: [show_planner(found, cases["planner"]), show_bodied(all_of_it.rounds)],
        "eight": lambda: [show_eight(all_of_it.speeds)],
        "loaded": lambda: [show_loaded(found, cases["loaded"])],
    }  # fmt: skip
    shown = [text for part, show in made.items() if part in all_of_it.only for text in show()]
    shown += [f"Without {name}: {why}\n" for name, why in found.missing.items()]
    return "\n".join([heading(all_of_it.carried, all_of_it.begun), *shown, not_exact(found)])


def show_eight(speeds: Sequence[float]) -> str:
    each = " ".join(f"{speed:,.0f}" for speed in speeds)
    return f"Eight machines at 250k from one process, lines/s: {each or 'not all finished'}\n"


def show_bodied(found: list[Dry]) -> str:
    rows = [
        [one.language, one.host, percent(one.share, 3), percent(one.slowed), one.ended]
        for one in found
    ]
    title = "The same on hardware_sim, which brakes before it runs dry: 0.35 mm round a circle"
    columns = ["machine", "host", "dry", "slowed by the line", "ended"]
    return table(title, columns, rows, words=(0, 1, 4))


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


def promises(all_of_it: Findings) -> list[Target]:
    """What the project has promised of these figures, by part."""
    found = all_of_it.session

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
                for one in all_of_it.rounds
                if one.host == s.OURS
            ),
        ],
        "eight": [
            Target("eight machines, slowest ÷ fastest", fairness(all_of_it.speeds), 0.9, unit="%")
        ],
        "loaded": [
            Target(
                f"loaded: ratio to OctoPrint ÷ the quiet one, {baud}",
                over(
                    ratio(found, f"loaded {baud}", s.TUNED),
                    ratio(found, f"Marlin {baud}", s.TUNED),
                ),
                0.9,
            )
            for baud in ("115200", "250k", "1M", "unlimited")
        ],
    }  # fmt: skip
    return [target for part, made in by_part.items() if part in all_of_it.only for target in made]


def fairness(speeds: list[float]) -> float | None:
    return min(speeds) / max(speeds) if speeds else None


def over(upper: float | None, lower: float | None) -> float | None:
    return upper / lower if upper and lower else None


def heading(carried: dict[str, float], begun: dict[str, Any]) -> str:
    load = f"load {begun['load'][0]} at the start, {os.getloadavg()[0]:.2f} at the end"
    if begun["undisturbed"]:
        load += " (the bench at real-time priority)"
    return (
        f"{begun['cores']} cores, {load}, Python {begun['python']}, {begun['at']}\n"
        f"The board's own ceiling, lines/s: Marlin {carried['marlin']:,.0f}, "
        f"GRBL {carried['grbl']:,.0f}\n"
    )
