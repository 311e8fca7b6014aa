"""The production core under seeded bad luck: no attempt starts twice, no job is made twice or lost

Each seed is one schedule: labs, machines, orders, and faults between any two effects. The judge
looks at what the machines physically did. A seed plays the same story every time.

Of each kind of violation the first seed is shrunk: bad luck, orders and labs are left out until
nothing more can go, and the command that tells what remains, always the same, is printed:

    ./run proof dst --tell 427 --only strikes:4 losses:1-2,7 orders:2 --dice 3

That is: strike 4 of the schedule, the losses with these numbers, order 2, and other chances than
the seed's own. In every story each piece of bad luck stands with its number.

To see it at work, take a guard away (--mutant '?' names them all):

    ./run proof dst --mutant 'mark used' --seeds 0..100
"""

import argparse
import gc
import importlib
import json
import logging
import multiprocessing
import os
import re
import shlex
import sys
import textwrap
import time
from functools import partial

import structlog

from bench import at_least_one
from bench.dst.mutants import ALL, Mutant
from bench.dst.shrink import Shrunk, shrink
from bench.dst.spared import LUCK, MEANS, Unreadable, read
from bench.dst.story import judged
from bench.dst.tally import Played, Tally, played

_CHUNK = 200
_LONG = 100_000
_FORK = multiprocessing.get_context("fork")
_LAST_LINES = 12


def quiet(*, for_good: bool = False) -> None:
    """The core's own log would be most of the work."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=for_good,
    )


def _worker() -> None:
    """A process lives for one chunk: what its schedules leave behind goes with it, unlooked at."""
    quiet(for_good=True)
    gc.disable()


def some(seeds: range) -> Tally:
    tally = Tally()
    for seed in seeds:
        tally.add(judged(seed))
    return tally


def _with_seeds(seeds: range) -> tuple[range, Tally]:
    return seeds, some(seeds)


def many(seeds: range, before: Played | None = None) -> Tally:
    """On every core, with a bar of progress; what was played `before` is known."""
    chunks = [seeds[at : at + _CHUNK] for at in range(0, len(seeds), _CHUNK)]
    tally, said_s = Tally(), time.monotonic()
    known = {chunk: found for chunk in chunks if before and (found := before.find(chunk))}
    for found in known.values():
        tally.join(found)
    with _FORK.Pool(os.cpu_count(), initializer=_worker, maxtasksperchild=1) as pool:
        todo = [chunk for chunk in chunks if chunk not in known]
        for chunk, part in pool.imap_unordered(_with_seeds, todo):
            tally.join(part)
            if before:
                before.keep(chunk, part)
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


def _mutant(said: str) -> Mutant:
    found = next((each for each in ALL if each.name == said), None)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"there is no mutant {said!r}, but: {', '.join(each.name for each in ALL)}"
        )
    return found


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run proof dst", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--seeds", default="0..2000", type=_seeds, metavar="A..B", help="A up to, without, B"
    )
    parser.add_argument("--tell", type=int, metavar="SEED", help="one schedule, line by line")
    kinds = "\n".join(f"  {kind:11} {means}" for kind, means in MEANS.items())
    parser.add_argument(
        "--without", nargs="+", action="extend", metavar="WHAT", default=[],
        help="told without these, or without some of them by number (losses:1,4-5,9-):\n" + kinds,
    )  # fmt: skip
    parser.add_argument(
        "--only", nargs="+", action="extend", metavar="WHAT", default=[],
        help="told with no other bad luck; with all orders and labs of which none is named",
    )  # fmt: skip
    parser.add_argument(
        "--dice", type=at_least_one, metavar="N", default=0,
        help="told with other chances once the schedule is drawn",
    )  # fmt: skip
    parser.add_argument("--mutant", type=_mutant, metavar="NAME", help="play without this guard")
    parser.add_argument(
        "--shrink", type=float, metavar="S", default=30.0,
        help="seconds for each kind of violation; 0: do not shrink (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--fresh", action="store_true",
        help=f"play again what was played; {_LONG:,} seeds and more go on where they were ended",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    return parser


def main() -> int:
    parser = _options()
    asked = parser.parse_args()
    if asked.tell is None and (asked.without or asked.only or asked.dice):
        parser.error("--without, --only and --dice are for one schedule; name it with --tell SEED")
    if asked.mutant is None:
        return carry_out(parser, asked)
    asked.mutant.install()
    altered = importlib.import_module("bench.proof.dst")
    return altered.carry_out(parser, asked)


def carry_out(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> int:
    """By the core as this module has imported it."""
    quiet()
    mutant = f" --mutant {shlex.quote(asked.mutant.name)}" if asked.mutant else ""
    if asked.tell is not None:
        try:
            spared = read(asked.without, asked.only, asked.dice)
            verdict = judged(asked.tell, told=True, spared=spared)
        except Unreadable as why:
            parser.error(str(why))
        print("\n".join(verdict.told))
        return 1 if verdict.faults else 0
    long = asked.mutant is None and len(asked.seeds) >= _LONG
    before = played(fresh=asked.fresh) if long else None
    began_s = time.monotonic()
    tally = many(asked.seeds, before)
    rate = (tally.schedules - tally.before) / (time.monotonic() - began_s)
    shrunk = all_shrunk(tally, asked.shrink) if asked.shrink > 0 else {}
    show(tally, rate, shrunk, f"./run proof dst{mutant} --tell", as_json=asked.json)
    return 1 if tally.wrong else 0


def all_shrunk(tally: Tally, seconds: float) -> dict[str, Shrunk]:
    """The first seed of each violation, on every core."""
    with _FORK.Pool(os.cpu_count(), initializer=_worker) as pool:
        one = partial(_one_shrunk, seconds)
        return dict(pool.imap(one, tally.seeds.items()))


def _one_shrunk(seconds: float, what: tuple[str, int]) -> tuple[str, Shrunk]:
    fault, seed = what
    return fault, shrink(seed, fault, seconds, _say)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def show(tally: Tally, rate: float, shrunk: dict[str, Shrunk], tell: str, *, as_json: bool) -> None:
    """`tell` is the command that tells the story of a seed."""
    if as_json:
        found = [_as_json(each, tell) for each in shrunk.values()]
        rates = {"schedules_per_s": round(rate, 1)}
        print(json.dumps({**tally.__dict__, **rates, "shrunk": found}))
        return
    for fault, count in tally.wrong.most_common():
        print(f"{count} × {fault}; first: {tell} {tally.seeds[fault]}")
        if fault in shrunk:
            print(textwrap.indent(_report(shrunk[fault], tell), "    "))
    print(
        f"{tally.schedules} schedules, {tally.starts} physical starts, {tally.made} jobs made,"
        f" {tally.wrong.total()} violations, {rate:.0f} schedules/s"
        + (f" ({tally.before} of them played before)" if tally.before else "")
    )


def _report(shrunk: Shrunk, tell: str) -> str:
    left = shrunk.left()
    now, was = (sum(left[kind][at] for kind in LUCK) for at in (0, 1))
    kinds = ", ".join(f"{left[kind][0]} {kind}" for kind in LUCK if left[kind][0])
    things = " and ".join("{} of {} {}".format(*left[kind], kind) for kind in ("orders", "labs"))
    cut = "" if shrunk.whole else "; the time was up before it was certain that no more can go"
    lines = textwrap.indent("\n".join(shrunk.last_lines(_LAST_LINES)), "    ")
    return (
        f"shrunk: {tell} {shrunk.seed} {shlex.join(shrunk.options())}\n"
        f"{now} of {was} pieces of bad luck are left ({kinds or 'nothing'}), {things},\n"
        f"{len(shrunk.after.told)} of {len(shrunk.before.told)} lines"
        f" ({shrunk.plays} plays, {shrunk.seconds:.1f} s{cut}), to the violation:\n{lines}"
    )


def _as_json(shrunk: Shrunk, tell: str) -> dict[str, object]:
    return {
        "fault": shrunk.fault,
        "seed": shrunk.seed,
        "original": f"{tell} {shrunk.seed}",
        "command": f"{tell} {shrunk.seed} {shlex.join(shrunk.options())}",
        "left": shrunk.left(),
        "lines": (len(shrunk.after.told), len(shrunk.before.told)),
        "plays": shrunk.plays,
        "seconds": round(shrunk.seconds, 1),
        "whole": shrunk.whole,
        "last_lines": shrunk.last_lines(_LAST_LINES),
    }


if __name__ == "__main__":
    sys.exit(main())
