"""Every guard of the production core removed in turn: the judge of `./run proof dst` must see each

Each mutant lives in a process of its own and never in the tree. It plays seed after seed until
the judge sees something wrong; one that survives is a guard that does nothing, or a test that
sees nothing. Whoever changes a guarded line changes its mutant in bench/dst/mutants.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue
from types import FrameType
from typing import Any, NoReturn

from bench import at_least_one
from bench.dst.mutants import ALL, Mutant, forget_ours

_WARM = ("pydantic", "structlog", "bench.dst.story")
_SEED_S = 60
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Fate:
    """`seed`: the first at which the judge saw something; None: it survived all."""

    name: str
    guard: str
    seed: int | None
    judged: str


def warm() -> None:
    """What every child needs, imported once; of the core nothing stays."""
    for name in _WARM:
        importlib.import_module(name)
    forget_ours()


def fate(mutant: Mutant, seeds: int) -> Fate:
    """Played in this process, which must be a fresh one: it imports the core anew."""
    mutant.install()
    signal.signal(signal.SIGALRM, _too_long)
    importlib.import_module("bench.proof.dst").quiet(for_good=True)
    story = importlib.import_module("bench.dst.story")
    for seed in range(seeds):
        judged = _judged(story.play, seed)
        if judged is not None:
            return Fate(mutant.name, mutant.guard, seed, judged)
    return Fate(mutant.name, mutant.guard, None, "")


def _judged(play: Callable[[int], Any], seed: int) -> str | None:
    signal.alarm(_SEED_S)
    try:
        faults = play(seed).faults
    except Exception as error:  # noqa: BLE001 - whatever a mutant breaks is what it is killed by
        return f"broke: {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return faults[0] if faults else None


def _too_long(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise TimeoutError(f"one schedule took over {_SEED_S} s")


Answer = SimpleQueue[Fate]


def fates(mutants: Sequence[Mutant], seeds: int, at_once: int) -> Iterator[Fate]:
    """As they come, each from a process of its own."""
    waiting, running = list(mutants), dict[int, tuple[Mutant, Answer]]()
    while waiting or running:
        while waiting and len(running) < at_once:
            one, answer = waiting.pop(0), _FORK.SimpleQueue()
            child = _FORK.Process(target=_in_child, args=(one, seeds, answer), daemon=True)
            child.start()
            running[child.sentinel] = one, answer
        for ended in wait(list(running)):
            assert isinstance(ended, int)
            one, answer = running.pop(ended)
            if answer.empty():
                raise SystemExit(f"the mutant {one.name!r} ended without a word")
            yield answer.get()


def _in_child(mutant: Mutant, seeds: int, answer: Answer) -> None:
    answer.put(fate(mutant, seeds))


def table(found: Sequence[Fate]) -> str:
    rows = [("mutant", "guard", "killed at seed", "the judge")]
    rows += [
        (
            each.name,
            each.guard,
            "SURVIVED" if each.seed is None else str(each.seed),
            each.judged[:70],
        )
        for each in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run proof dst_mutants",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--seeds", type=at_least_one, default=20_000, help="tried at most for each")
    parser.add_argument("--only", action="append", metavar="NAME", help="again for more")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    asked = parser.parse_args()
    chosen = [each for each in ALL if not asked.only or each.name in asked.only]
    if asked.only and len(chosen) < len(set(asked.only)):
        parser.error(f"there are: {', '.join(each.name for each in ALL)}")
    for each in chosen:
        each.altered()  # a stale one is told before the first is played
    found = list(_told(chosen, asked.seeds))
    found.sort(key=lambda each: [one.name for one in ALL].index(each.name))
    survivors = [each for each in found if each.seed is None]
    if asked.json:
        print(json.dumps([asdict(each) for each in found]))
    else:
        print(table(found))
        worst = max((each.seed for each in found if each.seed is not None), default=0)
        print(f"{len(found)} mutants, {len(survivors)} survive; the last dies at seed {worst}")
    return 1 if survivors else 0


def _told(chosen: Sequence[Mutant], seeds: int) -> Iterator[Fate]:
    warm()
    began_s = time.monotonic()
    for each in fates(chosen, seeds, os.cpu_count() or 1):
        said = "SURVIVED" if each.seed is None else f"killed at {each.seed}: {each.judged}"
        print(f"{time.monotonic() - began_s:6.0f} s  {each.name}: {said}", file=sys.stderr)
        yield each


if __name__ == "__main__":
    sys.exit(main())
