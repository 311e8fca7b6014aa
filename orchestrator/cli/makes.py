"""`cosmolocal inspect`: what a person found who held the made part against its design."""

import argparse
import sys
from typing import Any

from orchestrator.cli.client import (
    USAGE,
    Answered,
    Commands,
    add_server,
    call,
    labelled,
    refused,
    show,
)

_INSPECT = """\
Without more words: the made parts that nobody has inspected yet. With one of them and a verdict,
the inspection is recorded, once; a part that deviates is made again at no cost.

  cosmolocal inspect
  cosmolocal inspect p-… --conforms --by "Ana Puig"
  cosmolocal inspect p-… --deviates --by "Ana Puig" --outline-mm 0.8 --note "warped at one corner"
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
    verdict.add_argument("--conforms", dest="verdict", action="store_const", const="conforms")
    verdict.add_argument("--deviates", dest="verdict", action="store_const", const="deviates")
    parser.add_argument("--by", metavar="NAME", help="who measured it")
    parser.add_argument("--outline-mm", type=float, metavar="MM", help="the worst deviation found")
    parser.add_argument("--note", default="", help="what was seen")
    parser.set_defaults(run=inspect)


def inspect(args: argparse.Namespace) -> int:
    if args.make and not (args.verdict and args.by):
        sys.stderr.write("cosmolocal inspect: say --conforms or --deviates, and --by NAME\n")
        return USAGE
    try:
        if not args.make:
            waiting = call(args, "GET", "/api/makes")
            return show(args, waiting, told(waiting))
        made = call(args, "POST", f"/api/makes/{args.make}/inspection", json=_reading(args))
    except Answered as no:
        return refused(args, no)
    return show(args, made, f"{made['id']}: {made['part']} {made['verdict']}")


def _reading(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "verdict": args.verdict,
        "kind": "measured by a person",
        "inspector": args.by,
        "outline_mm": args.outline_mm,
        "note": args.note,
    }


def told(waiting: list[dict[str, Any]]) -> str:
    lines = [
        f"{m['id']}: {m['part']}, made at {m['agent']}/{m['machine']}{labelled(m)}" for m in waiting
    ]
    return "\n".join(lines) or "no made part waits for inspection"
