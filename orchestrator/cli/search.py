"""`cosmolocal search`: designs by words and by every field; `cosmolocal reindex` after a repair."""

import argparse
import sys
from typing import Any

from orchestrator.cli.client import USAGE, Answered, Commands, add_server, call, refused, show

_EPILOG = """\
Every word has to be there; the last may be unfinished. Accents, plural and case do not matter.

  cosmolocal search lantern
  cosmolocal search bracket --process fdm --fits 220x220x250 --sold
  cosmolocal search --process laser_cutting --material plywood --thickness 3 --since 2026-01-01
  cosmolocal search stool --near 41.39,2.19 --within 30        made by labs within 30 km, now
  cosmolocal search --contributor "Ana Puig" --json | jq '.designs[].design'
  cosmolocal search lamp --all --json                          every page of it

Exit status: 0 something was found, 1 nothing was, or it was refused.
"""
_TEXTS = {
    "process": ("PROCESS", "a part is made so; may be given twice"),
    "material": ("MATERIAL", "a part is of it; may be given twice"),
    "licence": ("SPDX", "the licence names it"),
    "fits": ("SIZE", "each part fits: 220, 400x300 or 220x220x250 mm, turned as it may be"),
    "mass-max": ("G", "grams of one product, every part solid"),
    "volume-max": ("CM3", "cubic centimetres of one product"),
    "tolerance": ("MM", "this tolerance has to suffice for every part"),
    "thickness": ("MM", "a sheet of this thickness is in it"),
    "format": ("FORMAT", "a file is of it: stl, 3mf, step, dxf, svg"),
    "version": ("VERSION", "the version that is listed"),
    "since": ("DATE", "published that day or later: 2026-11-30"),
    "until": ("DATE", "published that day or before"),
    "contributor": ("NAME", "whole name of a contributor or licensor"),
    "licensor": ("NAME", "whole name of who holds the rights"),
    "forked-from": ("DESIGN", "a design, a release's hash, an address; * for any fork"),
    "deprecated": ("yes|no", "only deprecated, or only current ones"),
    "made": ("N", "made and conforming at least so often"),
    "near": ("LAT,LON", "labs around this place can make every part now"),
    "within": ("KM", "how far around it (default 50)"),
    "limit": ("N", "designs on a page, up to 100 (default 24)"),
    "after": ("NEXT", "`next` of the page before"),
}
_FLAGS = {
    "sold": "the licence lets every lab make it for payment, without a grant",
    "changed": "changed versions may be published",
    "recipe": "a part says how to make it",
    "inspection": "a part says what is measured",
    "first-article": "one is made and inspected first",
}
_MANY = {"process", "material", "licence", "format"}
_NOTHING = 1
_MOST_PAGES = 2000


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "search",
        help="find designs by words and by every field",
        description="Find published designs by words and by every field.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", metavar="WORD")
    for name, (value, words) in _TEXTS.items():
        how = "append" if name in _MANY else "store"
        parser.add_argument(f"--{name}", metavar=value, help=words, action=how)
    for name, words in _FLAGS.items():
        parser.add_argument(f"--{name}", action="store_true", help=words)
    parser.add_argument("--all", action="store_true", help="all pages, one after the other")
    add_server(parser)
    parser.set_defaults(run=search)
    again = commands.add_parser(
        "reindex",
        help="make the search index again from the releases",
        description="Make the search index again from the releases, while the server runs. "
        "Nothing can be published meanwhile; it is needed only after a repair of the database.",
    )
    add_server(again)
    again.set_defaults(run=reindex)


def search(args: argparse.Namespace) -> int:
    asked = params(args)
    if not asked and not args.all:
        sys.stderr.write("cosmolocal search: say at least one word or filter, or --all\n")
        return USAGE
    try:
        answer = call(args, "GET", "/api/designs", params=asked)
        if args.all:
            _rest(args, asked, answer)
    except Answered as no:
        return refused(args, no)
    show(args, answer, told(answer))
    return 0 if answer["designs"] else _NOTHING


def params(args: argparse.Namespace) -> list[tuple[str, str]]:
    asked = [("q", " ".join(args.words))] if args.words else []
    for option in _TEXTS:
        name = option.replace("-", "_")
        given = getattr(args, name)
        values = given if isinstance(given, list) else [given]
        asked += [(name, value) for value in values if value is not None]
    flags = (name.replace("-", "_") for name in _FLAGS)
    return asked + [(name, "yes") for name in flags if getattr(args, name)]


def _rest(args: argparse.Namespace, asked: list[tuple[str, str]], answer: dict[str, Any]) -> None:
    """Add the designs of the further pages to the first answer."""
    asked = [pair for pair in asked if pair[0] != "after"]
    for _ in range(_MOST_PAGES):
        if not answer["next"]:
            break
        more = call(args, "GET", "/api/designs", params=[*asked, ("after", answer["next"])])
        answer["designs"] += more["designs"]
        answer["next"] = more["next"]


def told(answer: dict[str, Any]) -> str:
    lines: list[str] = []
    for card in answer["designs"]:
        size = " × ".join(f"{round(side, 1):g}" for side in card["largest_mm"])
        marks = [f"prints on a {card['bed_mm']} mm bed"] if card["bed_mm"] else []
        marks += ["DEPRECATED"] if card["deprecated"] else []
        marks += [f"made {card['made']} ×"] if card["made"] else []
        marks += ["made independently"] if card["made_independently"] else []
        parts = f"{card['parts']} part{'' if card['parts'] == 1 else 's'}"
        made_of = f"{', '.join(card['processes'])}; {', '.join(card['materials'])}"
        lines += [
            f"{card['design']} {card['version']}: {card['title']}",
            f"  {made_of}; {parts}, the largest {size} mm",
            f"  {card['licence']}, {card['licensor']}" + "".join(f"; {mark}" for mark in marks),
        ]
    total = f"{'more than ' if answer['at_least'] else ''}{answer['total']:,}"
    lines.append(f"{total} design{'' if answer['total'] == 1 else 's'}")
    if answer["ignored"]:
        lines.append(f"too common to look for: {', '.join(answer['ignored'])}")
    lines += [
        f"without {each['words']}: {'more than ' if each['at_least'] else ''}{each['count']}"
        for each in answer["instead"]
        if each["count"]
    ]
    if answer["next"]:
        lines.append(f"more with: --after {answer['next']}")
    return "\n".join(lines)


def reindex(args: argparse.Namespace) -> int:
    try:
        answer = call(args, "POST", "/api/designs/index")
    except Answered as no:
        return refused(args, no)
    return show(args, answer, f"{answer['designs']:,} designs are found by search")
