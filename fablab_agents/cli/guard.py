"""`cosmolocal-agent guard`: whether programs may run on a machine, said before a port is opened.

It reads files and prints verdicts; it never talks to a machine and never changes a program.
"""

import argparse
import json
import math
import sys
from pathlib import Path

from fablab_agents.cli.common import DONE, PERSON, REFUSED, USAGE, Commands, command, refused
from firmware_bridge import guard, profiles
from firmware_bridge.errors import ProfileBroken
from firmware_bridge.guard import Decision, Facts, Finding, Verdict

_STATUS: dict[Decision, int] = {"accept": DONE, "review": PERSON, "reject": REFUSED}
_WHAT = """\
Decides from a program's text alone whether it may run on a machine: accept, review (a person at
the machine decides) or reject. With --json, one object for each program, one a line:
{"file", "verdict": "accept|review|reject", "findings": [{"rule", "line", "message", "severity"}],
"facts": {...}}. A finding of severity "note" is told and decides nothing.
"""


def register(commands: Commands) -> None:
    made = command(commands, "guard", "judge programs before they run", _WHAT, _guard)
    made.add_argument("programs", nargs="+", metavar="PROGRAM", help="a file of G-code")
    made.add_argument(
        "--machine", required=True, metavar="NAME|FILE.toml", help="a shipped profile or your own"
    )
    made.add_argument(
        "--stock", type=_stock, metavar="X,Y,Z", help="the piece on the table, in mm"
    )
    made.add_argument("--material", metavar="M", help="what is printed, cut or burnt: pla, plywood")


def _stock(text: str) -> guard.Stock:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        x = y = z = math.nan
    if not all(0 < size < 1e5 for size in (x, y, z)):
        msg = f"{text!r} is no stock; write its sizes in mm as X,Y,Z: --stock 200,100,12"
        raise argparse.ArgumentTypeError(msg)
    return guard.Stock(x, y, z)


def _guard(asked: argparse.Namespace) -> int:
    try:
        profile = profiles.load(asked.machine)
    except ProfileBroken as error:
        return refused(asked, str(error), USAGE)
    decisions: set[Decision] = set()
    for name in asked.programs:
        verdict = guard.judge(Path(name), profile, asked.stock, asked.material)
        decisions.add(verdict.decision)
        said = json.dumps(_plain(name, verdict)) if asked.json else _told(name, verdict)
        print(said, flush=True)
    worst: Decision = next(d for d in ("reject", "review", "accept") if d in decisions)
    return _STATUS[worst]


def _plain(name: str, verdict: Verdict) -> dict[str, object]:
    return {
        "file": name,
        "verdict": verdict.decision,
        "findings": [
            {"rule": f.rule, "line": f.line, "message": f.message, "severity": f.severity}
            for f in verdict.findings
        ],
        "footer": verdict.footer.decode("ascii"),
        "facts": _figures(verdict.facts),
    }


def _figures(facts: Facts) -> dict[str, object]:
    box = facts.bbox_mm and {
        "min": [round(at, 4) for at in facts.bbox_mm[0]],
        "max": [round(at, 4) for at in facts.bbox_mm[1]],
    }
    hottest = facts.hottest_c and dict(zip(("nozzle", "bed"), facts.hottest_c, strict=True))
    ends = zip("xyz", facts.end_mm, strict=True)
    return {
        "lines": facts.lines,
        "time_s": round(facts.seconds, 1),
        "bbox_mm": box,
        "outline_mm": [[round(x, 3), round(y, 3)] for x, y in facts.outline_mm],
        "layers": facts.layers,
        "material": {
            "filament_mm": round(facts.filament_mm, 2),
            "volume_mm3": round(facts.extruded_mm3, 2),
        },
        "hottest_c": hottest,
        "cut_length_mm": round(facts.cut_length_mm, 2),
        "end_mm": {axis: None if at is None else round(at, 4) for axis, at in ends},
    }


_WORDS: dict[Decision, str] = {
    "accept": "ACCEPTED",
    "review": "TO REVIEW by a person at the machine",
    "reject": "REJECTED",
}


def _told(name: str, verdict: Verdict) -> str:
    facts = verdict.facts
    lines = [f"{_printable(name)}: {_WORDS[verdict.decision]}", *map(_finding, verdict.findings)]
    if facts.bbox_mm is not None:
        low, high = facts.bbox_mm
        spans = " ".join(
            f"{axis} {a:g}…{b:g}" for axis, a, b in zip("XYZ", low, high, strict=True)
        )
        lines.append(f"    works within {spans} mm, at least {facts.seconds / 60:.0f} min")
    return "\n".join(lines)


def _finding(finding: Finding) -> str:
    where = f"line {finding.line}" if finding.line else "the program"
    return f"  {finding.severity:>6}  {where}: {_printable(finding.message)}  [{finding.rule}]"


def _printable(text: str) -> str:
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)
