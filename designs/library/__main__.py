"""`python -m designs.library [SLUG OUT_DIR]`: lists our designs or writes one out."""

import argparse
from pathlib import Path

from designs.library import build, slugs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m designs.library", description=__doc__)
    parser.add_argument("slug", nargs="?", choices=slugs(), help="which design")
    parser.add_argument("out_dir", nargs="?", type=Path, help="folder to write it to")
    asked = parser.parse_args()
    if asked.slug is None:
        print("\n".join(slugs()))
    elif asked.out_dir is None:
        parser.error("say which folder to write it to")
    else:
        build(asked.slug, asked.out_dir)


main()
