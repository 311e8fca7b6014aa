"""`cosmolocal-agent guard`: whether programs may run on a machine, said before a port is opened.

It reads files and prints verdicts; it never talks to a machine and never changes a program.
"""

import argparse
import getpass
import json
import math
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fablab_agents.cli.common import DONE, PERSON, REFUSED, USAGE, Commands, command, refused
from firmware_bridge import profiles
from firmware_bridge.errors import ProfileBroken
from firmware_bridge.profiles import Blocks, MachineProfile
from firmware_bridge.profiles.extremes import Extremes

if TYPE_CHECKING:
    from firmware_bridge.guard import Decision, Facts, Finding, Stock, Verdict
    from firmware_bridge.guard.verdict import Box

_STATUS: "dict[Decision, int]" = {"accept": DONE, "review": PERSON, "reject": REFUSED}
_WHAT = """\
Decides from a program's text alone whether it may run on a machine: accept, review (a person at
the machine decides) or reject. What must be appended before it runs (heat off) is its "footer".

With --json, one object for each program, one a line:
  {"file", "verdict": "accept|review|reject",
   "findings": [{"rule", "line", "message", "severity": "note|review|reject"}], "footer", "facts"}
A note is told and decides nothing. --explain-rules tells what each rule looks at.

Exit status: 0 all accepted, 1 any rejected, 3 any to review, 2 wrong usage.

A profile of your own is a TOML file. Start from a shipped one, printed by --show:
  cosmolocal-agent guard --machine generic-fdm-220 --show > mine.toml
  machine_min_mm, machine_max_mm   the travel, in machine coordinates: [X, Y, Z]
  work_zero_mm                     where the program's zero lies in them; with "unknown" only the
                                   extent of a mill's or laser's program is held against the travel
  codes, review                    what may stand in a program, and what a person has to look at
  [mill] stock_mm, safe_z_mm       the stock's thickness without --stock; where nothing is hit
  [blocks]                         for printers: the start and end G-code of your slicer, as it has
    start, end                     them, with their [placeholders] and {if}s; or start_file,
    start_file, end_file           end_file beside the profile
    lines                          single lines that may stand anywhere
    end_is_off                     true where the end block turns the heat off by a macro
  [blocks.after] homed, hot        what a macro such as PRINT_START leaves behind
Holes are numbers: {hotend} {bed} {chamber} within the machine's limits, {0..100}, {number}, {word}.
Blocks count after a person has seen them once: cosmolocal-agent guard --machine mine.toml --approve
"""


def register(commands: Commands) -> None:
    made = command(commands, "guard", "judge programs before they run", _WHAT, _guard)
    made.add_argument("programs", nargs="*", metavar="PROGRAM", help="a file of G-code")
    made.add_argument("--machine", metavar="NAME|FILE.toml", help="a shipped profile or your own")
    made.add_argument("--stock", type=_stock, metavar="X,Y,Z", help="the piece on the table, in mm")
    made.add_argument("--material", metavar="M", help="what is printed, cut or burnt: pla, plywood")
    instead = made.add_mutually_exclusive_group()
    instead.add_argument("--show", action="store_true", help="print the machine's profile instead")
    instead.add_argument(
        "--approve", action="store_true", help="show the profile's own blocks and approve them"
    )
    instead.add_argument("--explain-rules", action="store_true", help="what each rule looks at")
    made.add_argument(
        "--yes", action="store_true", help="with --approve: do not ask, I have looked"
    )
    made.add_argument("--person", default="", help="with --approve: who looked")


def _stock(text: str) -> "Stock":
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        x = y = z = math.nan
    if not all(0 < size < 1e5 for size in (x, y, z)):
        msg = f"{text!r} is no stock; write its sizes in mm as X,Y,Z: --stock 200,100,12"
        raise argparse.ArgumentTypeError(msg)
    from firmware_bridge.guard import Stock

    return Stock(x, y, z)


def _guard(asked: argparse.Namespace) -> int:
    if asked.explain_rules:
        return _explain(asked)
    if not asked.machine:
        return refused(asked, "say which machine: --machine NAME or FILE.toml", USAGE)
    try:
        profile = profiles.load(asked.machine)
        if asked.show:
            return _show(profiles.text(asked.machine), as_json=asked.json)
        if asked.approve:
            return _approve(asked, profile)
    except ProfileBroken as error:
        return refused(asked, str(error), USAGE)
    if not asked.programs:
        return refused(asked, "name at least one program to judge", USAGE)
    return _judge(asked, profile)


def _judge(asked: argparse.Namespace, profile: MachineProfile) -> int:
    from firmware_bridge import guard

    decisions: set[Decision] = set()
    for name in asked.programs:
        verdict = guard.judge(Path(name), profile, asked.stock, asked.material)
        decisions.add(verdict.decision)
        said = (
            json.dumps(_plain(name, verdict, asked.material))
            if asked.json
            else _printable(_told(name, verdict))
        )
        print(said, flush=True)
    worst: Decision = next(d for d in ("reject", "review", "accept") if d in decisions)
    return _STATUS[worst]


def _show(text: str, *, as_json: bool) -> int:
    print(json.dumps(tomllib.loads(text)) if as_json else text.rstrip("\n"))
    return DONE


def _explain(asked: argparse.Namespace) -> int:
    from firmware_bridge.guard import RULES

    if asked.json:
        print(json.dumps(RULES))
    else:
        for rule, what in RULES.items():
            print(f"{rule:<15} {what}")
    return DONE


def _approve(asked: argparse.Namespace, profile: MachineProfile) -> int:
    path, shop = Path(asked.machine), profile.blocks
    if shop is None:
        return refused(asked, f"{asked.machine} has no [blocks]: nothing to approve", USAGE)
    print(_shown(profile, shop), file=sys.stderr)
    if shop.are_approved:
        return _approved(asked, shop, "it is approved already, as it stands")
    if not asked.yes and not _agreed():
        return refused(asked, "not approved: nobody said yes", PERSON)
    person = asked.person or getpass.getuser()
    profiles.approve(path, profile, person, datetime.now(UTC).isoformat(timespec="seconds"))
    return _approved(asked, shop, f"remembered in {profiles.approval_of(path)}")


def _approved(asked: argparse.Namespace, shop: Blocks, words: str) -> int:
    print(json.dumps({"approved": shop.digest}) if asked.json else words)
    return DONE


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    print("May these lines run on this machine, in every program? Type yes: ", file=sys.stderr)
    return input().strip().lower() == "yes"


def _shown(profile: MachineProfile, shop: Blocks) -> str:
    """The blocks as a person should see them: what the guard cannot read is marked."""
    lines = [
        f"{profile.title}: its own blocks. Lines marked ? are beyond what the guard reads,",
        "lines marked ! hold a number beyond this machine's own limits.",
    ]
    for title, text in (("start", shop.start), ("end", shop.end), ("any", "\n".join(shop.lines))):
        extremes = Extremes(profile)
        lines.append(f"--- {title}")
        lines += [_marked(line, profile, extremes.beyond(line)) for line in text.splitlines()]
    after = [name for name, on in shop.after.model_dump().items() if on]
    lines.append(f"--- after the start block it counts as: {', '.join(after) or 'read from above'}")
    return _printable("\n".join(lines))


def _marked(line: str, profile: MachineProfile, beyond: tuple[str, ...]) -> str:
    said = line.split(";", 1)[0].split()
    mark = "?" if said and said[0] not in profile.codes else " "
    if not beyond:
        return f" {mark} {line.rstrip()}"
    return f"!{mark} {line.rstrip()}    <-- {'; '.join(beyond)}"


def _plain(name: str, verdict: "Verdict", material: str | None) -> dict[str, object]:
    return {
        "file": name,
        "verdict": verdict.decision,
        "findings": [
            {"rule": f.rule, "line": f.line, "message": f.message, "severity": f.severity}
            for f in verdict.findings
        ],
        "footer": verdict.footer.decode("ascii"),
        "facts": _figures(verdict.facts, material),
    }


def _figures(facts: "Facts", material: str | None) -> dict[str, object]:
    hottest = facts.hottest_c and dict(zip(("nozzle", "bed"), facts.hottest_c, strict=True))
    return {
        "lines": facts.lines,
        "time_s": round(facts.seconds, 1),
        "bbox_mm": _box(facts.bbox_mm),
        "travel_mm": _box(facts.travel_mm),
        "outline_mm": [[round(x, 3), round(y, 3)] for x, y in facts.outline_mm],
        "layers": facts.layers,
        "material": {
            "name": material,
            "filament_mm": round(facts.filament_mm, 2),
            "volume_mm3": round(facts.extruded_mm3, 2),
        },
        "hottest_c": hottest,
        "cut_length_mm": round(facts.cut_length_mm, 2),
        "depth_mm": round(facts.depth_mm, 4),
        "power_max": facts.power_max,
        "end_mm": _at(facts.end_mm),
        "end_machine_mm": _at(facts.end_machine_mm),
        "end_modes": list(facts.end_modes),
    }


def _box(box: "Box | None") -> dict[str, list[float]] | None:
    if box is None:
        return None
    return dict(zip(("min", "max"), ([round(at, 4) for at in end] for end in box), strict=True))


def _at(place: tuple[float | None, ...]) -> dict[str, float | None]:
    ends = zip("xyz", place, strict=True)
    return {axis: None if at is None else round(at, 4) for axis, at in ends}


_WORDS: "dict[Decision, str]" = {
    "accept": "ACCEPTED",
    "review": "TO REVIEW by a person at the machine",
    "reject": "REJECTED",
}


def _told(name: str, verdict: "Verdict") -> str:
    facts = verdict.facts
    lines = [f"{name}: {_WORDS[verdict.decision]}", *map(_finding, verdict.findings)]
    if facts.bbox_mm is not None:
        low, high = facts.bbox_mm
        spans = " ".join(f"{axis} {a:g}…{b:g}" for axis, a, b in zip("XYZ", low, high, strict=True))
        lines.append(f"    works within {spans} mm, at least {facts.seconds / 60:.0f} min")
    if verdict.footer:
        end = " / ".join(verdict.footer.decode().split("\n")[:-1])
        lines.append(f"    appended before it runs: {end}")
    return "\n".join(lines)


def _finding(finding: "Finding") -> str:
    where = f"line {finding.line}" if finding.line else "the program"
    return f"  {finding.severity:>6}  {where}: {finding.message}  [{finding.rule}]"


def _printable(text: str) -> str:
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)
