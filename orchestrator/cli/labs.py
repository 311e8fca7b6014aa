"""`cosmolocal labs`: who is in the network, and how a new lab comes in."""

import argparse
import sys
from pathlib import Path
from typing import Any

from orchestrator.cli.client import USAGE, Answered, Commands, add_server, call, refused, show

_LABS = """\
Without more words: the labs, their machines and how they stand.

  cosmolocal labs
  cosmolocal labs add "Atelier Nord" --place 41.39,2.19 --address "Carrer Nord 1"
  cosmolocal labs code lab-atelier-nord         a new code, for a new computer in the lab
  cosmolocal labs retire lab-atelier-nord       that agent speaks for nobody any more, at once
"""


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "labs",
        help="list labs, add one, make an enrolment code, or retire an agent",
        description=_LABS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_server(parser)
    parser.set_defaults(run=listing)
    more = parser.add_subparsers(metavar="WHAT")
    adding = more.add_parser("add", help="a new lab; prints the code for its agent")
    adding.add_argument("name", metavar="NAME")
    adding.add_argument("--place", required=True, metavar="LAT,LON")
    adding.add_argument("--address", default="")
    adding.add_argument("--operator", help="who contracts and invoices (default: the lab)")
    adding.add_argument("--contact", default="")
    adding.set_defaults(run=add)
    coding = more.add_parser("code", help="a one-time code for a lab's next agent")
    coding.add_argument("lab", metavar="LAB")
    coding.set_defaults(run=code)
    retiring = more.add_parser("retire", help="take an agent's word and connection away")
    retiring.add_argument("agent", metavar="AGENT")
    retiring.set_defaults(run=retire)
    for each in (adding, coding, retiring):
        # Given after the word they must not be undone by a default.
        for option, kind in (("--server", str), ("--data-dir", Path)):
            each.add_argument(option, type=kind, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        each.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def listing(args: argparse.Namespace) -> int:
    try:
        answer = call(args, "GET", "/api/labs")
    except Answered as no:
        return refused(args, no)
    nobody = 'no lab has joined yet: cosmolocal labs add "NAME" --place LAT,LON'
    return show(args, answer, "\n".join(line for lab in answer for line in told(lab)) or nobody)


def told(lab: dict[str, Any]) -> list[str]:
    lines = [f"{lab['name']} ({lab['id']}): {lab['session'] or 'no agent yet'}"]
    for machine in lab["machines"]:
        state = f"{machine['condition']}, bed {machine['bed']}"
        offered = "" if machine["offered"] else ", not offered"
        lines.append(f"  {machine['machine']}: {machine['title']}: {state}{offered}")
    return lines


def add(args: argparse.Namespace) -> int:
    try:
        lat, lon = (float(value) for value in args.place.split(","))
    except ValueError:
        sys.stderr.write("cosmolocal labs add: --place wants LAT,LON, such as 41.39,2.19\n")
        return USAGE
    wish = {"name": args.name, "lat": lat, "lon": lon, "address": args.address}
    wish |= {"operator": args.operator, "contact": args.contact}
    try:
        answer = call(args, "POST", "/api/labs", json=wish)
    except Answered as no:
        return refused(args, no)
    return show(args, answer, _invitation(args, answer["lab"]["id"], answer["code"]))


def code(args: argparse.Namespace) -> int:
    try:
        answer = call(args, "POST", f"/api/labs/{args.lab}/codes")
    except Answered as no:
        return refused(args, no)
    return show(args, answer, _invitation(args, answer["lab"], answer["code"]))


def retire(args: argparse.Namespace) -> int:
    try:
        call(args, "POST", f"/api/agents/{args.agent}/retire")
    except Answered as no:
        return refused(args, no)
    return show(args, {"retired": args.agent}, f"{args.agent} speaks for no lab any more")


def _invitation(args: argparse.Namespace, lab: str, one_time: str) -> str:
    return (
        f"{lab}: on the lab's computer, within 15 minutes, type\n"
        f"  cosmolocal-agent enrol {args.server} {one_time}"
    )
