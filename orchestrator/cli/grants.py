"""`cosmolocal grant`: what a licensor permits beyond the licence of a design."""

import argparse
import os
from typing import Any

from orchestrator.cli.client import (
    Answered,
    Commands,
    add_server,
    call,
    refused,
    show,
)

_GRANT = """\
A NonCommercial licence lets nobody make a design for money, unless its licensor grants it. Whoever
has the design's key (shown when it was first published) records that; the operator may record what
a licensor permitted elsewhere, and says with --reference where that stands written.

  cosmolocal grant new lamp --lab "Atelier Nord" --until 2027-12-31 --key maintainer-…
  cosmolocal grant new lamp --everybody --versions 1.0.0..2.9.9 --fee-cents 50 --currency EUR
  cosmolocal grant new lamp --person "Ana Puig" --most 100 --reference "her letter of 3 May"
  cosmolocal grant list lamp
  cosmolocal grant withdraw g-… --why "the year is over"

A person is whoever contracts for a lab, as the list of labs has it. Without --versions it is for
all versions, also later ones, that carry the licence of today. Days are UTC, both ends included.
Leave --key out and give it as COSMOLOCAL_DESIGN_KEY, so that it stays out of the shell's history.
Withdrawn is for what is ordered from then on: what was ordered under it stands.
"""


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "grant", help="let a design be made beyond its licence",
        description=_GRANT, formatter_class=plain,
    )  # fmt: skip
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _register_new(verbs)
    listing = verbs.add_parser("list", help="the grants of a design")
    listing.add_argument("design", metavar="DESIGN")
    add_server(listing)
    listing.set_defaults(run=listed)
    ending = verbs.add_parser("withdraw", help="nothing more is ordered under it")
    ending.add_argument("grant", metavar="GRANT", help="its number, g-…")
    ending.add_argument("--why", default="")
    _keyed(ending)
    ending.set_defaults(run=withdraw)


def _register_new(verbs: "Commands[argparse.ArgumentParser]") -> None:
    new = verbs.add_parser("new", help="record a grant")
    new.add_argument("design", metavar="DESIGN")
    whom = new.add_mutually_exclusive_group(required=True)
    whom.add_argument("--everybody", action="store_true", help="every lab")
    whom.add_argument("--lab", help="a lab, by its id or name")
    whom.add_argument("--person", metavar="NAME", help="labs for which this person contracts")
    new.add_argument("--versions", default="..", metavar="FIRST..LAST", help="either may be empty")
    new.add_argument("--since", metavar="DAY", help="from 2027-01-31 on")
    new.add_argument("--until", metavar="DAY", help="the last day")
    new.add_argument("--most", type=int, dest="most_units", metavar="N", help="so many pieces")
    new.add_argument("--fee-cents", type=int, metavar="N", help="for each piece, on top")
    new.add_argument("--currency", metavar="EUR")
    new.add_argument(
        "--share",
        type=float,
        dest="share_pct",
        metavar="PERCENT",
        help="of the lab's price, on top",
    )
    new.add_argument("--terms", default="", help="what else was agreed; shown to everybody")
    new.add_argument("--reference", default="", help="where the permission stands written")
    _keyed(new)
    new.set_defaults(run=record)


def _keyed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="KEY", help="default: COSMOLOCAL_DESIGN_KEY")
    add_server(parser)


def _header(args: argparse.Namespace) -> dict[str, str]:
    key = args.key or os.environ.get("COSMOLOCAL_DESIGN_KEY", "")
    return {"X-Api-Key": key} if key else {}


_LIMITS = ("since", "until", "most_units", "fee_cents", "currency", "share_pct")


def wish(args: argparse.Namespace) -> dict[str, Any]:
    """What to ask the server for."""
    first, _, last = args.versions.partition("..")
    said = {name: getattr(args, name) for name in ("lab", "person", *_LIMITS)}
    said |= {"first_version": first or None, "last_version": last or first or None}
    if args.versions.endswith(".."):
        said["last_version"] = None
    known = {name: each for name, each in said.items() if each is not None}
    return known | {
        "everybody": args.everybody, "terms": args.terms, "reference": args.reference
    }  # fmt: skip


def record(args: argparse.Namespace) -> int:
    try:
        path = f"/api/designs/{args.design}/grants"
        answer = call(args, "POST", path, json=wish(args), headers=_header(args))
    except Answered as no:
        return refused(args, no)
    return show(args, answer, told(answer))


def listed(args: argparse.Namespace) -> int:
    try:
        answer = call(args, "GET", f"/api/designs/{args.design}/grants")
    except Answered as no:
        return refused(args, no)
    words = "\n".join(told(each) for each in answer)
    return show(args, answer, words or f"nothing was granted of {args.design}")


def withdraw(args: argparse.Namespace) -> int:
    try:
        path = f"/api/grants/{args.grant}/withdraw"
        answer = call(args, "POST", path, json={"why": args.why}, headers=_header(args))
    except Answered as no:
        return refused(args, no)
    return show(args, answer, told(answer))


def told(grant: dict[str, Any]) -> str:
    whom = {"everybody": "every lab", "lab": ", ".join(grant["labs"]) or grant["name"]}
    covered = ", ".join(grant["labs"]) or "no lab as yet"
    person = f"{grant['name']} (now {covered})"
    ends = f" until {grant['until']}" if grant["until"] else ""
    most = f", {grant['most_units']} pieces" if grant["most_units"] else ""
    over = " WITHDRAWN" if grant["withdrawn_at"] else ""
    acts = " and ".join(act.replace("_", " ") for act in grant["acts"])
    says = f"{grant['by']} lets {whom.get(grant['whom'], person)} {acts}"
    return f"{grant['id']}{over}: {says}{ends}{most}"
