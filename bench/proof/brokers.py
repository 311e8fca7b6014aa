"""Both real brokers killed, replayed, half deaf and attacked while a town of real processes works

Judged by what the simulated machines physically did and by what was delivered, never by what a
broker acknowledged.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from bench import at_least_one
from bench.brokers import hostile, kills, silence, stale, weight
from bench.brokers.broker import KINDS, Kind


class Result(Protocol):
    @property
    def good(self) -> bool: ...
    def row(self) -> dict[str, object]: ...


Trial = Callable[[Kind, Path, argparse.Namespace], Iterable[Result]]


def _kills(kind: Kind, folder: Path, asked: argparse.Namespace) -> Iterable[Result]:
    return [kills.run(kind, folder, kills=asked.kills, jobs=asked.jobs, seed=asked.seed)]


def _silence(kind: Kind, folder: Path, _: argparse.Namespace) -> Iterable[Result]:
    return silence.run(kind, folder)


def _stale(kind: Kind, folder: Path, asked: argparse.Namespace) -> Iterable[Result]:
    return [stale.run(kind, folder, messages=asked.messages, seed=asked.seed)]


def _hostile(kind: Kind, folder: Path, _: argparse.Namespace) -> Iterable[Result]:
    return hostile.run(kind, folder)


def _weight(kind: Kind, folder: Path, asked: argparse.Namespace) -> Iterable[Result]:
    return weight.run(kind, folder, asked.seed)


TRIALS: dict[str, Trial] = {
    "kills": _kills,
    "stale": _stale,
    "silence": _silence,
    "hostile": _hostile,
    "weight": _weight,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run proof brokers", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--broker", choices=KINDS, help="only this one")
    parser.add_argument("--only", choices=TRIALS, help="only this trial")
    parser.add_argument("--kills", type=at_least_one, default=200, metavar="N")
    parser.add_argument("--jobs", type=at_least_one, default=200, metavar="N")
    parser.add_argument(
        "--messages", type=at_least_one, default=10_000, metavar="N", help="stale ones"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave logs and records there")
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="brokers-") as temporary:
        return run(asked, asked.keep or Path(temporary))


def run(asked: argparse.Namespace, folder: Path) -> int:
    good = True
    for name in [asked.only] if asked.only else TRIALS:
        for kind in [asked.broker] if asked.broker else KINDS:
            place = folder / f"{name}-{kind}"
            for result in TRIALS[name](kind, place, asked):
                show(name, result, as_json=asked.json)
                good = good and result.good
    return 0 if good else 1


def show(name: str, result: Result, *, as_json: bool) -> None:
    row = {"trial": name, **result.row(), "good": result.good}
    if as_json:
        print(json.dumps(row), flush=True)
        return
    words = ", ".join(f"{key} {value}" for key, value in result.row().items())
    print(f"{'ok ' if result.good else 'BAD'} {name}: {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
