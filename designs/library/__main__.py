"""Our own open designs, each a folder of files that is ready to publish."""

import argparse
import json
import sys
from pathlib import Path

from designs.errors import DesignRefused
from designs.library import build, slugs, wishes

DONE, REFUSED, USAGE = 0, 1, 2
_MORE = """\
  python -m designs.library list                          the designs there are
  python -m designs.library show tube-rack                what of one may be wished otherwise
  python -m designs.library build made                    all of them, below made/
  python -m designs.library build made tube-rack --set tube_mm=30.2 --set columns=4
"""


def main(words: list[str] | None = None) -> int:
    parser = _parser()
    asked = parser.parse_args(words)
    if asked.command == "list":
        _tell(list(slugs()), "\n".join(slugs()), as_json=asked.json)
        return DONE
    named = [asked.slug] if asked.command == "show" else (asked.slug or list(slugs()))
    unknown = sorted(set(named) - set(slugs()))
    if unknown:
        parser.error(f"no design called {', '.join(unknown)}; there are {', '.join(slugs())}")
    if asked.command == "show":
        return _show(asked.slug, as_json=asked.json)
    wished = dict(pair.partition("=")[::2] for pair in asked.set)
    if wished and len(named) != 1:
        parser.error("--set is for one design: name it")
    return _build(asked.folder, named, wished, as_json=asked.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m designs.library",
        description=__doc__,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="name the designs there are")
    showing = commands.add_parser("show", help="the parameters of a design and their bounds")
    showing.add_argument("slug")
    making = commands.add_parser("build", help="write designs out, ready to publish")
    making.add_argument("folder", type=Path, help="each design goes into FOLDER/SLUG")
    making.add_argument("slug", nargs="*", help="which ones; all without")
    making.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="wish a parameter"
    )
    for command in (listing, showing, making):
        command.add_argument("--json", action="store_true", help="print JSON and nothing else")
    return parser


def _show(slug: str, *, as_json: bool) -> int:
    table = wishes(slug)
    lines = [f"{w.name:20} {w.usual:g} ({w.least:g} to {w.most:g}): {w.what}" for w in table]
    _tell([w.model_dump() for w in table], "\n".join(lines), as_json=as_json)
    return DONE


def _build(folder: Path, named: list[str], wished: dict[str, str], *, as_json: bool) -> int:
    made: list[str] = []
    for slug in named:
        try:
            made.append(str(build(slug, folder / slug, **wished)))
        except DesignRefused as refused:
            lines = "\n".join(f"{slug}: {finding}" for finding in refused.findings)
            sys.stderr.write(f"{lines}\n")
            return REFUSED
        if not as_json:
            print(made[-1])
    if as_json:
        print(json.dumps(made))
    return DONE


def _tell(thing: object, text: str, *, as_json: bool) -> None:
    print(json.dumps(thing, ensure_ascii=False, indent=1) if as_json else text)


if __name__ == "__main__":
    raise SystemExit(main())
