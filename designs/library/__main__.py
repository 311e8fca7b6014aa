"""`python -m designs.library list`, or `build FOLDER [SLUG …]`: our designs, each in its folder."""

import argparse
from pathlib import Path

from designs.library import build, slugs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m designs.library", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name the designs there are")
    making = commands.add_parser("build", help="write designs out, ready to publish")
    making.add_argument("folder", type=Path, help="each design goes into FOLDER/SLUG")
    making.add_argument("slug", nargs="*", help="which ones; all without")
    asked = parser.parse_args()
    if asked.command == "list":
        print("\n".join(slugs()))
        return
    unknown = sorted(set(asked.slug) - set(slugs()))
    if unknown:
        parser.error(f"no design called {', '.join(unknown)}; there are {', '.join(slugs())}")
    for slug in asked.slug or slugs():
        print(build(slug, asked.folder / slug))


main()
