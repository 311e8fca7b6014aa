"""The production core under seeded bad luck: no attempt starts twice, no job is made twice or lost

Each seed is one schedule: labs, machines, orders, and faults between any two effects. The judge
looks at what the machines physically did. A seed plays the same story every time.
"""

import argparse
import gc
import json
import logging
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import structlog

from bench.dst.story import Verdict, play

_CHUNK = 100


@dataclass
class Tally:
    schedules: int = 0
    starts: int = 0
    made: int = 0
    wrong: Counter[str] = field(default_factory=Counter[str])
    seeds: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, verdict: Verdict) -> None:
        self.schedules += 1
        self.starts += verdict.starts
        self.made += verdict.made
        for fault in sorted(set(verdict.faults)):
            self.wrong[fault] += 1
            self.seeds.setdefault(fault, verdict.seed)

    def join(self, other: "Tally") -> None:
        self.schedules += other.schedules
        self.starts += other.starts
        self.made += other.made
        self.wrong.update(other.wrong)
        for fault, seed in other.seeds.items():
            self.seeds[fault] = min(seed, self.seeds.get(fault, seed))


def quiet() -> None:
    """The core's own log would be most of the work."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _worker() -> None:
    quiet()
    gc.set_threshold(50_000)


def some(seeds: range) -> Tally:
    tally = Tally()
    for seed in seeds:
        tally.add(play(seed))
    return tally


def many(seeds: range) -> Tally:
    """On every core, with a bar of progress every few seconds."""
    chunks = [seeds[at : at + _CHUNK] for at in range(0, len(seeds), _CHUNK)]
    tally, said_s = Tally(), time.monotonic()
    with multiprocessing.Pool(os.cpu_count(), initializer=_worker) as pool:
        for part in pool.imap_unordered(some, chunks):
            tally.join(part)
            if time.monotonic() - said_s > 2:
                said_s = time.monotonic()
                print(_bar(tally, len(seeds)), file=sys.stderr, flush=True)
    return tally


def _bar(tally: Tally, of: int) -> str:
    filled = 40 * tally.schedules // of
    bar = "█" * filled + "░" * (40 - filled)
    return f"{bar} {tally.schedules} of {of} schedules, {tally.wrong.total()} violations"


def _seeds(said: str) -> range:
    match = re.fullmatch(r"(\d+)\.\.(\d+)", said)
    if match is None or int(match[1]) >= int(match[2]):
        raise argparse.ArgumentTypeError(f"{said!r} is no range of seeds; write 0..2000")
    return range(int(match[1]), int(match[2]))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run proof dst", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--seeds", default="0..2000", type=_seeds, metavar="A..B", help="A up to, without, B"
    )
    parser.add_argument("--tell", type=int, metavar="SEED", help="one schedule, line by line")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    asked = parser.parse_args()
    if asked.tell is not None:
        quiet()
        verdict = play(asked.tell, told=True)
        print("\n".join(verdict.told))
        return 1 if verdict.faults else 0
    began_s = time.monotonic()
    tally = many(asked.seeds)
    rate = tally.schedules / (time.monotonic() - began_s)
    show(tally, rate, as_json=asked.json)
    return 1 if tally.wrong else 0


def show(tally: Tally, rate: float, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**tally.__dict__, "schedules_per_s": round(rate, 1)}))
        return
    for fault, count in tally.wrong.most_common():
        seed = tally.seeds[fault]
        print(f"{count} × {fault}; first: ./run proof dst --tell {seed}")
    print(
        f"{tally.schedules} schedules, {tally.starts} physical starts, {tally.made} jobs made,"
        f" {tally.wrong.total()} violations, {rate:.0f} schedules/s"
    )


if __name__ == "__main__":
    sys.exit(main())
