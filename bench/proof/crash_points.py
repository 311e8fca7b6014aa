"""Agent and orchestrator killed at every sync and message, and the power cut at every write

Each point is one job of real processes with a kill, two kills, or a failing disk in it; the judge
is what the simulated laser did. Power cuts are rebuilt from what the processes wrote and opened by
the production code. Results are kept in .tools/crash-points.jsonl, so a long run can go on.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, get_args

from bench import at_least_one
from bench.crash import failing, gate, power
from bench.crash.crew import Crew, Found, crew
from bench.crash.points import BYTES, SYNCS, Point, Result, Victim

ROOT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = ROOT / ".tools" / "crash-points.jsonl"
PARTS: Final = ("kills", "pairs", "bytes", "disk", "power")
FIRST_BYTES: Final = 12
FULL_AT: Final = range(1, 190, 7)
"""Of the writes to the journal, those from which on the disk is full for a while."""
MOMENTS: Final = {"agent": None, "orchestrator": 60}
"""Of the moments of a recording, so many are cut at; a store takes a second to open."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run proof crash_points", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--of", choices=(*get_args(Victim), "both"), default="both")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
                        help=f"of {', '.join(PARTS)}; default: all")  # fmt: skip
    parser.add_argument("--pairs", type=int, default=40, metavar="N",
                        help="kills during recovery: a seeded N of all pairs (40)")  # fmt: skip
    parser.add_argument("--each", type=at_least_one, default=4, metavar="N",
                        help="seeded disk states for each cut, besides two (4)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument(
        "--at-once", type=at_least_one, default=2, metavar="N", help="worlds at once (2)"
    )
    parser.add_argument("--fresh", action="store_true", help="forget what was found before")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    asked = parser.parse_args()
    if (why := gate.why_not()) is not None:
        parser.exit(3, f"{why}\n")
    if asked.fresh:
        RESULTS.unlink(missing_ok=True)
    began_s = time.monotonic()
    victims = get_args(Victim) if asked.of == "both" else (asked.of,)
    results = _points(asked, victims)
    cuts = _cuts(asked, victims) if "power" in asked.parts else {}
    _tell(results, cuts, time.monotonic() - began_s, as_json=asked.json)
    wrong = any(result.faults for result in results) or any(cut.wrong for cut in cuts.values())
    return 1 if wrong else 0


# ── kills and failing disks


def _points(asked: argparse.Namespace, victims: Sequence[Victim]) -> list[Result]:
    results: list[Result] = []
    with crew(asked.at_once, Found(RESULTS)) as workers:
        for victim in victims:
            if "kills" in asked.parts or "pairs" in asked.parts:
                kills = workers.every(victim, SYNCS)
                results += kills
            if "pairs" in asked.parts:
                results += workers.these(_pairs(kills, asked.pairs, asked.seed))
        if "agent" in victims:
            results += _of_the_agent(workers, asked)
    return results


def _of_the_agent(workers: Crew, asked: argparse.Namespace) -> list[Result]:
    """At the bytes to its machine, and with its disk failing."""
    results: list[Result] = []
    if "bytes" in asked.parts:
        later = random.Random(asked.seed).sample(range(FIRST_BYTES + 1, 110), FIRST_BYTES)
        at = (*range(1, FIRST_BYTES + 1), *sorted(later))
        results += workers.these(Point("agent", BYTES, each) for each in at)
    if "disk" in asked.parts:
        for what in failing.SYNCS:
            results += workers.every("agent", what)
        results += workers.these(Point("agent", failing.FULL, at) for at in FULL_AT)
    return results


def _pairs(kills: Sequence[Result], most: int, seed: int) -> list[Point]:
    """Second kills, at a call of the recovery: `most` of all that there are."""
    every = [
        Point(kill.point.victim, kill.point.what, kill.point.at, again)
        for kill in kills
        for again in range(1, kill.recovery + 1)
    ]
    return random.Random(seed).sample(every, min(most, len(every)))


# ── power cuts


def _cuts(asked: argparse.Namespace, victims: Sequence[Victim]) -> dict[str, power.Tally]:
    kept = [each for each in (power.AGENT, power.ORCHESTRATOR) if each.name in victims]
    cuts: dict[str, power.Tally] = {}
    for each in kept:
        print(f"cutting the power of the {each.name}", file=sys.stderr, flush=True)
        for name, record in (("two first starts", lambda one: power.small(one, 3)),
                             ("one whole job", power.whole_job)):  # fmt: skip
            with record(each) as recording:
                most = MOMENTS[each.name]
                tally = power.cut(each, recording, asked.each, asked.seed, most)
                cuts[f"{each.name}, {name}"] = tally
    return cuts


# ── telling


def _tell(
    results: Sequence[Result], cuts: dict[str, power.Tally], seconds: float, *, as_json: bool
) -> None:
    if as_json:
        points = [asdict(result) for result in results]
        tallies = {name: asdict(tally) for name, tally in cuts.items()}
        print(json.dumps({"points": points, "cuts": tallies, "seconds": round(seconds)}))
        return
    print("\n".join([*table(results), *_sums(results), *_cut_lines(cuts)]))


def table(results: Iterable[Result]) -> list[str]:
    """One line for each class of points: where, in which phase, how many, what came of them."""
    classes: dict[tuple[str, str, str], list[Result]] = {}
    for each in results:
        again = ", and again in recovery" if each.point.again_at else ""
        name = (each.point.victim, f"{each.where}{again}", each.phase or "before")
        classes.setdefault(name, []).append(each)
    lines = [f"{'killed':13}{'at':42}{'the job was':13}{'points':>7}{'true':>6}  came back to"]
    for (victim, where, phase), found in classes.items():
        true = sum(not each.faults for each in found)
        came = Counter(_came_back(each) for each in found)
        words = "; ".join(f"{count} × {what}" for what, count in came.most_common())
        lines.append(f"{victim:13}{where:42}{phase:13}{len(found):7}{true:6}  {words}")
    return lines


def _came_back(result: Result) -> str:
    return result.came_back + (" (a person was asked)" if result.asked else "")


def _sums(results: Sequence[Result]) -> list[str]:
    wrong = [result for result in results if result.faults]
    return [
        f"{len(results)} points, {len(results) - len(wrong)} came back to a true state",
        *(f"WRONG {each.point}: {'; '.join(each.faults)}" for each in wrong),
    ] if results else []  # fmt: skip


def _cut_lines(cuts: dict[str, power.Tally]) -> list[str]:
    lines: list[str] = []
    for name, tally in cuts.items():
        wrong = tally.wrong.total()
        lines.append(
            f"power cut, {name}: at {tally.moments} of {tally.changes + 1} moments,"
            f" {tally.states} disk states,"
            f" {wrong} violations"
        )
        lines += [f"  {count} × {what}" for what, count in tally.wrong.most_common()]
    return lines


if __name__ == "__main__":
    sys.exit(main())
