"""A database put back to a backup of before: a town of real processes goes on from it

Plates are ordered, offered and made after the backup; the orchestrator is killed amid work, its
store put back, `cosmolocal store restored` said, and one agent away for a while. Judged by what the
machines physically did.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench import at_least_one
from bench.restore import drill


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run proof restore", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--way", choices=drill.WAYS, help="only this way to put it back")
    parser.add_argument(
        "--rounds", type=at_least_one, default=3, metavar="N", help="of each way (3)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave logs and records there")
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="restore-") as temporary:
        return run(asked, asked.keep or Path(temporary))


def run(asked: argparse.Namespace, folder: Path) -> int:
    good = True
    for number in range(asked.rounds):
        for way in [asked.way] if asked.way else drill.WAYS:
            place = folder / f"{way.strip('-').replace(' ', '-')}-{number + 1}"
            place.mkdir(parents=True)
            result = drill.run(way, place, drill.Size())
            show(result, as_json=asked.json)
            good = good and result.good
    return 0 if good else 1


def show(result: drill.Result, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**result.row(), "good": result.good}), flush=True)
        return
    words = ", ".join(f"{key} {value}" for key, value in result.row().items())
    print(f"{'ok ' if result.good else 'BAD'} {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
