"""`cosmolocal quote | order | cancel | watch`: who can make it, the agreement, how far it is."""

import argparse
import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from joserfc import jws

from orchestrator.cli.client import (
    DONE,
    NEEDS_PERSON,
    REFUSED,
    USAGE,
    Answered,
    Commands,
    add_server,
    ask,
    call,
    counted,
    labelled,
    refused,
    show,
)
from orchestrator.orders.model import money

_QUOTE = """\
The nearest labs that can make it, with price by line, when it is ready, and why this lab.

  cosmolocal quote wall-hook --place 41.39,2.19
  cosmolocal quote herb-planter --place 41.39,2.19 --part bracket --quantity 2
"""
_ORDER = """\
Agrees to a quote in writing. The text is shown and signed with your own key, which is made on
first use and stays on this computer.

  cosmolocal order q-… --name "Ana Puig"
"""
_WATCH = """\
Shows each step of an order until it is ready. Exit status 0 when it is, 1 when it will not be,
3 when a person has to decide.

  cosmolocal watch o-…
"""
_CANCEL = """\
Free of charge for every part that no machine has begun; parts that are being made stay ordered.
It needs the operator's token (see --data-dir), so a maker asks the people who run the network.

  cosmolocal cancel o-…
"""


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    _register_quote(commands)
    _register_order(commands)
    cancelling = _command(commands, "cancel", "cancel what no machine has begun", _CANCEL)
    cancelling.add_argument("order", metavar="ORDER")
    cancelling.add_argument("--why", default="the maker changed their mind")
    cancelling.add_argument(
        "--looked",
        action="store_true",
        help="although a database that was put back still waits for labs: you have seen there",
    )
    cancelling.set_defaults(run=cancel)
    watching = _command(commands, "watch", "follow an order until it is ready", _WATCH)
    watching.add_argument("order", metavar="ORDER")
    watching.add_argument("--timeout", type=float, default=0, metavar="S", help="0 = no limit")
    watching.set_defaults(run=watch)


def _register_quote(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "quote", "ask who can make a design, and for how much", _QUOTE)
    parser.add_argument("design", metavar="DESIGN", help="its name, or a release's hash")
    parser.add_argument("--version", help="default: the newest")
    parser.add_argument("--place", required=True, metavar="LAT,LON", help="where you want it")
    parser.add_argument("--part", help="one part alone, such as a spare")
    parser.add_argument("--quantity", type=int, default=1)
    parser.set_defaults(run=quote)


def _register_order(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "order", "agree to a quote", _ORDER)
    parser.add_argument("quote", metavar="QUOTE")
    parser.add_argument("--name", required=True, help="who orders")
    parser.add_argument("--contact", default="", help="how the lab reaches you")
    parser.add_argument("--yes", action="store_true", help="agree without being asked")
    parser.add_argument(
        "--key",
        type=Path,
        default=Path.home() / ".config" / "cosmolocal" / "maker.json",
        metavar="FILE",
        help="your signing key (default %(default)s)",
    )
    parser.set_defaults(run=order)


def _command(
    commands: "Commands[argparse.ArgumentParser]", name: str, use: str, more: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=use,
        description=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_server(parser)
    return parser


# ── quote ───────────────────────────────────────────────────────────────────────────────────


def quote(args: argparse.Namespace) -> int:
    try:
        lat, lon = (float(value) for value in args.place.split(","))
    except ValueError:
        sys.stderr.write("cosmolocal quote: --place wants LAT,LON, such as 41.39,2.19\n")
        return USAGE
    wish = {"design": args.design, "version": args.version, "part": args.part}
    wish |= {"quantity": args.quantity, "lat": lat, "lon": lon}
    try:
        answer = call(args, "POST", "/api/quotes", json=wish)
    except Answered as no:
        return refused(args, no)
    show(args, answer, told_quote(answer))
    return DONE if answer["complete"] else REFUSED


def told_quote(answer: dict[str, Any]) -> str:
    currency = answer["currency"]
    lines = [f"quote {answer['id']} for {answer['quantity']} × {answer['title']}"]
    standing = answer.get("standing", {})
    if standing.get("state") == "deprecated":
        lines.append(f"  deprecated: {standing['reason']} It can still be ordered.")
    for item in answer["items"]:
        lines += told_item(item, currency)
    if answer["complete"]:
        lines.append(f"total {money(answer['total_minor'], currency)}")
        lines.append(f'order it with: cosmolocal order {answer["id"]} --name "YOUR NAME"')
    else:
        lines.append("it cannot be ordered as it stands: a part of it has no lab")
    return "\n".join(lines)


def told_item(item: dict[str, Any], currency: str) -> list[str]:
    lines = [f"  {item['pieces']} × {item['part']} ({item['process']}, {item['material']})"]
    for number, option in enumerate(item["options"]):
        sign = "→" if number == 0 else " "
        price = money(option["total_minor"], currency)
        lines.append(
            f"   {sign} {option['lab']}{labelled(option)}: {price}, "
            f"{option['distance_m'] / 1000:.1f} km, ready {_local(option['ready_at'])}"
        )
        if number == 0:
            lines += [
                f"       {line['what']}: {money(line['minor'], currency)}"
                for line in option["lines"]
            ]
            lines.append(f"       {option['why']}")
    lines += [f"     not {no['lab']}: {no['why']}" for no in item["why_not"]]
    if not item["options"] and not item["why_not"]:
        lines.append("     nobody: no lab has joined this network yet (cosmolocal labs add)")
    return lines


def _local(moment: str | None) -> str:
    if moment is None:
        return "at an unknown time"
    return datetime.fromisoformat(moment).astimezone().strftime("%d %b %H:%M")


# ── order ───────────────────────────────────────────────────────────────────────────────────


def order(args: argparse.Namespace) -> int:
    try:
        path = f"/api/quotes/{args.quote}/confirmation"
        agreed = call(args, "GET", path, params={"maker": args.name})
        if not args.yes and not _agrees(agreed["text"]):
            sys.stderr.write("not ordered\n")
            return NEEDS_PERSON
        wish = {
            "quote": args.quote,
            "maker": {"name": args.name, "contact": args.contact},
            "agreed_sha256": agreed["sha256"],
            "signature": sign(args.key, agreed["text"]),
        }
        answer = call(args, "POST", "/api/orders", json=wish)
    except Answered as no:
        return refused(args, no)
    words = f"ordered {answer['id']}\nfollow it with: cosmolocal watch {answer['id']}"
    return show(args, answer, words)


def _agrees(text: str) -> bool:
    sys.stderr.write(f"{text}\n")
    return ask("Do you agree? (yes/no)", "no").lower() in {"yes", "y"}


def sign(key_file: Path, text: str) -> str:
    """Compact JWS (Ed25519) over the text, with the public key in its header."""
    from joserfc.jwk import OKPKey

    if not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True)
        made = OKPKey.generate_key("Ed25519")
        key_file.touch(mode=0o600)
        key_file.write_text(json.dumps(made.as_dict(private=True)))
    key = OKPKey.import_key(json.loads(key_file.read_text()))
    header = {"alg": "Ed25519", "jwk": key.as_dict(private=False)}
    return jws.serialize_compact(header, text.encode(), key, algorithms=["Ed25519"])


def cancel(args: argparse.Namespace) -> int:
    try:
        asked = {"why": args.why, "looked": args.looked}
        answer = call(args, "POST", f"/api/orders/{args.order}/cancel", json=asked)
    except Answered as no:
        return refused(args, no)
    words = f"cancelled {counted(len(answer['cancelled']), 'part')}"
    kept = len(answer["kept"])
    return show(
        args, answer, f"{words}; {kept} stay ordered: a machine began them" if kept else words
    )


# ── watch ───────────────────────────────────────────────────────────────────────────────────


def watch(args: argparse.Namespace) -> int:
    """Poll until the order has ended or waits for a person."""
    end = time.monotonic() + args.timeout if args.timeout else None
    seen: dict[str, tuple[str, str]] = {}
    while True:
        try:
            answer = call(args, "GET", f"/api/orders/{args.order}")
        except Answered as no:
            return refused(args, no)
        _tell_changes(args, answer, seen)
        outcome = outcome_of(answer)
        if outcome is not None:
            return _show_end(args, answer) or outcome
        if end and time.monotonic() > end:
            return show(args, answer, f"order {answer['state']}, still going on") or NEEDS_PERSON
        time.sleep(1)


def _show_end(args: argparse.Namespace, answer: dict[str, Any]) -> int:
    try:
        made = call(args, "GET", f"/api/orders/{args.order}/makes")
    except Answered as no:
        return refused(args, no)
    return show(args, answer, told_end(answer, made))


def told_end(answer: dict[str, Any], made: list[dict[str, Any]]) -> str:
    parts = [f"{m['part']} was made at {m['agent']}/{m['machine']}{labelled(m)}" for m in made]
    return "\n".join([*parts, f"order {answer['state']}"])


def _tell_changes(
    args: argparse.Namespace, answer: dict[str, Any], seen: dict[str, tuple[str, str]]
) -> None:
    for job in answer["jobs"]:
        now = (job["state"], job["why"])
        if seen.get(job["id"]) != now and not args.json:
            where = f" at {job['agent']}/{job['machine']}" if job["machine"] else ""
            why = f": {job['why']}" if job["why"] else ""
            print(f"{datetime.now():%H:%M:%S} {job['part']}: {job['state']}{where}{why}")  # noqa: DTZ005
        seen[job["id"]] = now


def outcome_of(answer: dict[str, Any]) -> int | None:
    """The exit status of an order that has ended or is stuck; None while it goes on."""
    if answer["state"] in {"ready", "handed_over", "closed"}:
        return DONE
    if answer["state"] in {"cancelled", "disputed"}:
        return REFUSED
    states = {job["state"] for job in answer["jobs"]}
    stuck = "abandoned" in states and states <= {"abandoned", "received", "cancelled"}
    return NEEDS_PERSON if stuck else None
