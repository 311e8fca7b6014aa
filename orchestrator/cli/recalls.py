"""`cosmolocal recall`: withdraw a release, a part, a lot or a machine's work; see whom it meets."""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.cli.client import (
    DONE,
    USAGE,
    Answered,
    Commands,
    add_server,
    call,
    counted,
    fetch,
    refused,
    show,
)

_RECALL = """\
Something that was made is not safe or not right: say what, and why. At once nothing of it can be
ordered, open jobs stop as far as no machine has begun them, what has begun is asked to stop, every
unit made from it is listed, its order and its passport say so.

  cosmolocal recall new --release 3f9a… --reason "the hook breaks at 5 kg" --by "Ana Puig"
  cosmolocal recall list
  cosmolocal recall show r-…
  cosmolocal recall units r-… --csv units.csv
  cosmolocal recall holders r-…
  cosmolocal recall lift r-… --why "it was another spool" --by "Ana Puig"
"""
_NEW = """\
Name one thing:

  a release                        --release HASH
  versions of a design             --design wall-hook --versions 1.0.0..1.2.0
  one part of a release            --release HASH --part hook
  that part wherever its file is   --release HASH --part hook --everywhere
  a lot of material                --lot "PLA 2611-A" [--material pla]
  a machine in a span of time      --machine lab-nord-1/printer-1 --since T [--until T]

Times have a zone, as 2026-11-03T08:00+01:00, or are by the clock of --zone Europe/Madrid. The span
runs from --since until before --until; without that it goes on until the recall is lifted.
Look first with --dry-run: it says how much would be met, and does nothing.
"""


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "recall",
        help="withdraw what was made, and see whom it meets",
        description=_RECALL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _register_new(verbs)
    _verb(verbs, "list", "all recalls, newest first").set_defaults(run=listed)
    _of_one(verbs, "show", "one recall, and how its jobs stand").set_defaults(run=one)
    units = _of_one(verbs, "units", "every unit it meets")
    units.add_argument("--csv", type=Path, metavar="FILE", help="write them as a table")
    units.set_defaults(run=listed_units)
    _of_one(verbs, "holders", "who has them, and who was told").set_defaults(run=holders)
    told = _of_one(verbs, "told", "write down that you told the holder of an order")
    told.add_argument("order", metavar="ORDER")
    told.add_argument("--how", required=True, help='such as "by telephone, she stops using it"')
    told.set_defaults(run=tell)
    for name, use in (
        ("settle", "the units are dealt with; what was withdrawn stays withdrawn"),
        ("lift", "it may be ordered, made and used again"),
    ):
        ending = _of_one(verbs, name, use)
        ending.add_argument("--why", required=True)
        ending.add_argument("--by", required=True, metavar="NAME", help="who decides it")
        ending.set_defaults(run=end, verb=name)


def _register_new(verbs: "Commands[argparse.ArgumentParser]") -> None:
    new = _verb(verbs, "new", "withdraw something", _NEW)
    what = new.add_mutually_exclusive_group(required=True)
    what.add_argument("--release", metavar="HASH", help="a release")
    what.add_argument("--design", metavar="NAME", help="all its releases, or --versions of it")
    what.add_argument("--lot", help="a lot of material, as it is written on it")
    what.add_argument("--machine", metavar="AGENT/MACHINE", help="what it made in a span of time")
    new.add_argument("--versions", metavar="FIRST..LAST", help="both included; either may be empty")
    new.add_argument("--part", help="only this part of the release")
    new.add_argument("--everywhere", action="store_true", help="and where else its file is used")
    new.add_argument("--material", help="only lots of this material, such as pla")
    new.add_argument("--since", metavar="TIME")
    new.add_argument("--until", metavar="TIME")
    new.add_argument("--zone", metavar="ZONE", help="of times without one, such as Europe/Madrid")
    new.add_argument("--reason", required=True, help="what is wrong, for whoever holds one")
    new.add_argument(
        "--todo",
        choices=["stop_using", "return", "free_replacement"],
        default="stop_using",
        help="what holders should do (default %(default)s)",
    )
    new.add_argument("--by", required=True, metavar="NAME", help="who withdraws it")
    new.add_argument("--dry-run", action="store_true", help="say what it would meet, do nothing")
    new.set_defaults(run=begin)


def _verb(
    verbs: "Commands[argparse.ArgumentParser]", name: str, use: str, more: str | None = None
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=use,
        description=more or use,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_server(parser)
    return parser


def _of_one(
    verbs: "Commands[argparse.ArgumentParser]", name: str, use: str
) -> argparse.ArgumentParser:
    parser = _verb(verbs, name, use)
    parser.add_argument("recall", metavar="RECALL", help="its number, r-…")
    return parser


# ── opening


class NoMoment(Exception):
    """A time that is none, or that happened twice or never; the message says what to write."""


def moment(words: str, zone: str | None) -> str:
    """A time with its zone, as ISO 8601; raises NoMoment.

    Where clocks are put back an hour happens twice, and where they are put forward one never does:
    such a time is not guessed.
    """
    try:
        at = datetime.fromisoformat(words)
    except ValueError as error:
        raise NoMoment(f"{words} is no time: write it as 2026-11-03T08:00+01:00") from error
    if at.tzinfo is not None:
        return at.isoformat()
    if zone is None:
        raise NoMoment(f"{words} has no zone: write {words}+01:00, {words}Z, or give --zone")
    try:
        there = ZoneInfo(zone)
    except (KeyError, OSError, ValueError) as error:
        raise NoMoment(f"no zone {zone} is known: write it as Europe/Madrid") from error
    return _placed(words, at, there, zone)


def _placed(words: str, at: datetime, there: ZoneInfo, zone: str) -> str:
    first, second = (at.replace(tzinfo=there, fold=fold) for fold in (0, 1))
    real = first.astimezone(UTC).astimezone(there)
    if real.replace(tzinfo=None) != at:
        raise NoMoment(f"{words} never was in {zone}: clocks were put forward over it")
    if first.utcoffset() != second.utcoffset():
        offsets = " or ".join(f"{words}{_offset(each.utcoffset())}" for each in (first, second))
        raise NoMoment(f"{words} was twice in {zone}, as clocks were put back: write {offsets}")
    return first.isoformat()


def _offset(offset: timedelta | None) -> str:
    minutes = int((offset or timedelta()).total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def wish(args: argparse.Namespace) -> dict[str, Any]:
    """What to ask the server for; raises NoMoment, ValueError for versions that are no range."""
    first, dots, last = (args.versions or "..").partition("..")
    if not dots:
        raise ValueError("--versions wants FIRST..LAST, such as 1.0.0..1.2.0 or 1.0.0..")
    asked = {
        "release": args.release,
        "design": args.design,
        "first_version": first or None,
        "last_version": last or None,
        "part": args.part,
        "everywhere": args.everywhere,
        "lot": args.lot,
        "material": args.material,
        "machine": args.machine,
        "since": moment(args.since, args.zone) if args.since else None,
        "until": moment(args.until, args.zone) if args.until else None,
        "reason": args.reason,
        "todo": args.todo,
        "by": args.by,
    }
    return {name: value for name, value in asked.items() if value is not None}


def begin(args: argparse.Namespace) -> int:
    try:
        asked = wish(args)
    except (NoMoment, ValueError) as error:
        sys.stderr.write(f"cosmolocal recall new: {error}\n")
        return USAGE
    try:
        if args.dry_run:
            found = call(args, "POST", "/api/recalls/preview", json=asked)
            return show(args, found, f"would recall {found['what']}:\n{_met(found)}, nothing done")
        opened = call(args, "POST", "/api/recalls", json=asked)
        jobs = call(args, "GET", f"/api/recalls/{opened['id']}/jobs")
    except Answered as no:
        return refused(args, no)
    lines = [f"recall {opened['id']}: {opened['what']}", _met(opened), *map(told_job, jobs)]
    lines.append(f"tell the holders: cosmolocal recall holders {opened['id']}")
    return show(args, {**opened, "jobs": jobs}, "\n".join(lines))


def _met(found: dict[str, Any]) -> str:
    jobs = f", {counted(found['jobs'], 'open job')}" if "jobs" in found else ""
    units, orders = counted(found["units"], "unit"), counted(found["orders"], "order")
    return f"  {units} in {orders}{jobs}"


def told_job(job: dict[str, Any]) -> str:
    """How it really stands: asked to stop is not stopped."""
    on = f", {job['agent']}/{job['machine']} is {job['attempt_state']}" if job["attempt"] else ""
    return f"  job {job['job']} ({job['part']}): {job['did']}; it is {job['state']}{on}"


# ── looking


def listed(args: argparse.Namespace) -> int:
    try:
        found = call(args, "GET", "/api/recalls")
    except Answered as no:
        return refused(args, no)
    lines = [
        f"{r['id']} {r['state']}: {r['what']} ({counted(r['units'], 'unit')}): {r['reason']}"
        for r in found
    ]
    return show(args, found, "\n".join(lines) or "nothing was ever recalled here")


def one(args: argparse.Namespace) -> int:
    try:
        found = call(args, "GET", f"/api/recalls/{args.recall}")
        jobs = call(args, "GET", f"/api/recalls/{args.recall}/jobs")
    except Answered as no:
        return refused(args, no)
    lines = [f"{found['id']} is {found['state']}: {found['what']}", f"  {found['reason']}"]
    lines += [_met(found), *map(told_job, jobs)]
    lines += [
        f"  {state} {found[f'{state}_at']}: {found[f'{state}_why']}"
        for state in ("settled", "lifted")
        if found[f"{state}_at"]
    ]
    return show(args, {**found, "jobs": jobs}, "\n".join(lines))


def listed_units(args: argparse.Namespace) -> int:
    try:
        if args.csv:
            table = fetch(args, f"/api/recalls/{args.recall}/units.csv")
            args.csv.write_bytes(table)
            many = max(0, table.count(b"\r\n") - 1)
            told = {"file": str(args.csv), "units": many}
            return show(args, told, f"{counted(many, 'unit')} in {args.csv}")
        found = call(args, "GET", f"/api/recalls/{args.recall}/units")
    except Answered as no:
        return refused(args, no)
    lines = [
        f"{u['passport']} {u['part']}, order {u['order']} ({u['order_state']}), "
        f"made {u['ended_at']} on {u['agent']}/{u['machine']}, {u['verdict'] or 'not inspected'}"
        for u in found
    ]
    return show(args, found, "\n".join(lines) or "it meets no unit")


def holders(args: argparse.Namespace) -> int:
    try:
        found = call(args, "POST", f"/api/recalls/{args.recall}/holders")
    except Answered as no:
        return refused(args, no)
    lines = [
        f"{h['order']}: {h['name']}, {h['contact'] or 'no contact given'}, "
        f"{counted(h['units'], 'unit')}, "
        + (f"told {h['told_at']}: {h['told_how']}" if h["told_at"] else "not told yet")
        for h in found
    ]
    return show(args, found, "\n".join(lines) or "nobody has to be told")


def tell(args: argparse.Namespace) -> int:
    try:
        said = {"order": args.order, "how": args.how}
        call(args, "POST", f"/api/recalls/{args.recall}/told", json=said)
    except Answered as no:
        return refused(args, no)
    show(args, said, f"written down: the holder of {args.order} was told")
    return DONE


def end(args: argparse.Namespace) -> int:
    try:
        said = {"why": args.why, "by": args.by}
        found = call(args, "POST", f"/api/recalls/{args.recall}/{args.verb}", json=said)
    except Answered as no:
        return refused(args, no)
    return show(args, found, f"{found['id']} is {found['state']}")
