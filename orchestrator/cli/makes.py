"""`cosmolocal inspect | passport`: what a person found on a made part, and what is known of it."""

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

from orchestrator.cli.client import (
    USAGE,
    Answered,
    Commands,
    add_server,
    call,
    fetch,
    labelled,
    refused,
    show,
)

_INSPECT = """\
Without more words: the made parts that nobody has inspected yet. With one of them: what its
inspection plan asks for. With a verdict, the inspection is recorded, once; a part that deviates is
made again at no cost. Readings name a check of the plan by its number or its words; a part with a
dimension outside its tolerance cannot be called conforming.

  cosmolocal inspect
  cosmolocal inspect p-…
  cosmolocal inspect p-… --conforms --by "Ana Puig" --lot "PLA 2611-A"
  cosmolocal inspect p-… --conforms --by "Ana Puig" --value bore=8.02 --gauge thread=pass \\
      --photo 3=front.jpg
  cosmolocal inspect p-… --deviates --by "Ana Puig" --outline-mm 0.8 --note "warped at one corner"
"""
_PASSPORT = """\
All that is known of one made part: design and its hashes, where and when it was made, material and
lot, inspection, licence, recalls. Kept as one file it can be read when this server is gone.

  cosmolocal passport p-…
  cosmolocal passport p-… --save passport.html
"""


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "inspect",
        help="list parts that wait for inspection, or say what one was found to be",
        description=_INSPECT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_server(parser)
    parser.add_argument("make", nargs="?", metavar="PASSPORT", help="the part's number, p-…")
    verdict = parser.add_mutually_exclusive_group()
    for word in ("conforms", "deviates", "unmeasurable"):
        verdict.add_argument(f"--{word}", dest="verdict", action="store_const", const=word)
    parser.add_argument("--by", metavar="NAME", help="who measured it")
    parser.add_argument("--value", action="append", metavar="CHECK=NUMBER", help="what it measures")
    parser.add_argument("--gauge", action="append", metavar="CHECK=pass|fail")
    parser.add_argument("--photo", action="append", metavar="CHECK=FILE", help="kept by its hash")
    parser.add_argument("--lot", help="the lot of its material, as it is written on it")
    parser.add_argument("--outline-mm", type=float, metavar="MM", help="the worst deviation found")
    parser.add_argument("--note", default="", help="what was seen")
    parser.set_defaults(run=inspect)
    shown = commands.add_parser(
        "passport",
        help="what is known of one made part",
        description=_PASSPORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_server(shown)
    shown.add_argument("make", metavar="PASSPORT", help="the part's number, p-…")
    shown.add_argument("--save", type=Path, metavar="FILE", help="as .html or .json, to be kept")
    shown.set_defaults(run=passport)


class BadReading(Exception):
    """A reading that cannot be understood; the message says how it is written."""


def inspect(args: argparse.Namespace) -> int:
    if args.make and args.verdict and not args.by:
        sys.stderr.write("cosmolocal inspect: say who measured it: --by NAME\n")
        return USAGE
    if not args.verdict and (args.by or args.value or args.gauge or args.photo or args.lot):
        sys.stderr.write("cosmolocal inspect: say --conforms, --deviates or --unmeasurable\n")
        return USAGE
    try:
        if not args.make:
            waiting = call(args, "GET", "/api/makes")
            return show(args, waiting, told(waiting))
        plan = call(args, "GET", f"/api/makes/{args.make}/plan")
        if not args.verdict:
            return show(args, plan, told_plan(plan))
        found = _inspection(args, plan)
        made = call(args, "POST", f"/api/makes/{args.make}/inspection", json=found)
    except BadReading as wrong:
        sys.stderr.write(f"cosmolocal inspect: {wrong}\n")
        return USAGE
    except Answered as no:
        return refused(args, no)
    said = made["verdict"] or "could not be measured; somebody has to decide"
    return show(args, made, f"{made['id']}: {made['part']} {said}")


def _inspection(args: argparse.Namespace, plan: dict[str, Any]) -> dict[str, Any]:
    given = [
        *(_reading(plan, words, _number) for words in args.value or ()),
        *(_reading(plan, words, _passed) for words in args.gauge or ()),
        *(_reading(plan, words, _photo) for words in args.photo or ()),
    ]
    return {
        "verdict": args.verdict,
        "kind": "measured by a person",
        "inspector": args.by,
        "outline_mm": args.outline_mm,
        "note": args.note,
        "readings": given,
        "lot": args.lot,
    }


def _reading(plan: dict[str, Any], words: str, value: Any) -> dict[str, Any]:  # noqa: ANN401
    name, equals, said = words.rpartition("=")
    if not equals:
        raise BadReading(f"{words}: write it as CHECK=WHAT, such as 1=8.02 or bore=8.02")
    return {"check": check_number(plan, name.strip()), **value(said.strip())}


def check_number(plan: dict[str, Any], name: str) -> int:
    """A check by its number from 1 on, or by its words if only one has them."""
    whats = [check["what"].casefold() for check in plan["checks"]]
    found = [number for number, what in enumerate(whats, 1) if what == name.casefold()]
    if len(found) == 1:
        return found[0]
    if name.isdecimal() and 1 <= int(name) <= len(whats):
        return int(name)
    several = "several checks are" if found else "no check is"
    raise BadReading(f"{several} called {name}; the plan is:\n{told_plan(plan)}")


def _number(said: str) -> dict[str, Any]:
    try:
        return {"value": float(said)}
    except ValueError as error:
        raise BadReading(f"{said} is no number") from error


def _passed(said: str) -> dict[str, Any]:
    if said not in {"pass", "fail"}:
        raise BadReading(f"{said}: a gauge says pass or fail")
    return {"passed": said == "pass"}


def _photo(said: str) -> dict[str, Any]:
    try:
        return {"photo_sha256": hashlib.sha256(Path(said).read_bytes()).hexdigest()}
    except OSError as error:
        raise BadReading(f"{said}: {error.strerror}") from error


def told(waiting: list[dict[str, Any]]) -> str:
    lines = [
        f"{m['id']}: {m['part']}, made at {m['agent']}/{m['machine']}{labelled(m)}" for m in waiting
    ]
    return "\n".join(lines) or "no made part waits for inspection"


def told_plan(plan: dict[str, Any]) -> str:
    lines = [
        f"{number}. {words}{'' if number in plan['due'] else ' (not due on this one)'}"
        for number, words in enumerate(plan["asked"], 1)
    ]
    return "\n".join(lines) or "this part has no inspection plan: your verdict alone counts"


def passport(args: argparse.Namespace) -> int:
    try:
        if args.save:
            kind = "html" if args.save.suffix in {".html", ".htm"} else "json"
            args.save.write_bytes(fetch(args, f"/p/{args.make}.{kind}"))
            return show(args, {"file": str(args.save)}, f"kept in {args.save}")
        known = call(args, "GET", f"/p/{args.make}.json")
    except Answered as no:
        return refused(args, no)
    return show(args, known, told_passport(known))


def told_passport(known: dict[str, Any]) -> str:
    design, made, material = known["design"], known["made"], known["material"]
    of = f"{design.get('title', 'a design that is not public')} {design.get('version', '')}".strip()
    licence = f"  {design['licence']} by {design.get('licensor', 'not told here')}"
    said = {"simulated": made.get("simulated"), "attested": made.get("attested_by_a_person")}
    lines = [
        f"RECALLED ({each['id']}): {each['reason']}. {each['do']}"
        for each in known.get("recalls", [])
        if each["state"] != "lifted"
    ]
    lines += [
        f"{known['item_id']}: {design['part']} of {of}{labelled(said)}",
        f"  made {made['ended_at']} on {made['agent']}/{made['machine']}",
        f"  {material['name']}, lot {material.get('lot', 'not written down')}",
        f"  inspection: {known.get('quality', {}).get('verdict', 'none yet')}",
        licence + (f": {design['source']}" if "source" in design else ""),
    ]
    lines += [
        f"  recalled once and lifted ({each['id']}): {each['reason']}"
        for each in known.get("recalls", [])
        if each["state"] == "lifted"
    ]
    return "\n".join(lines)
