"""One machine's queue in order: ours beside PyJobShop and CP-SAT, as long and on as many cores

Queues by a seed, of 3 materials and 4 colours, jobs due soon and late, some of them to come later;
to be least: lateness, waiting and changeovers. Each peer is given the very same costs in steps of
five minutes; it may search for all the seconds after its model is built, ours counts everything.
Whatever anybody answers is judged by one program that shares no code with them; a peer's order is
timed as early as it can be. `hinted`: CP-SAT is told the order with which ours begins (PyJobShop
0.0.9 cannot be: its hints for set-up times contradict themselves).

With --openings the machine is open from eight to six. PyJobShop knows no changeovers within hours:
it is given the nights as breaks for jobs alone, and its order is then timed by the true rules.

    ./run bench sequence --jobs 8,12,30 --seeds 3 --seconds 10
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from statistics import mean
from typing import Any, Final

from bench.peers.process import CannotHaveError
from bench.sequencing.judge import cost_of
from bench.sequencing.peers import PEERS, Answer, Peer, answer_of, command_of
from bench.sequencing.queues import drawn, kind_of
from scheduling.machine_queue import JOBS_MAX, Order, Queue
from scheduling.sequence import EXACT, Effort, best_order

_FORK: Final = multiprocessing.get_context("fork")
_SPARE_S: Final = 0.1


def ours(queue: Queue, seconds: float, workers: int) -> Answer:
    """The best of as many searches at once; the first alone where it proves its answer."""
    began = time.monotonic()
    with _FORK.Pool(workers) as pool:
        asked = [(queue, seed, began + seconds - _SPARE_S) for seed in range(workers)]
        found = pool.starmap(_searched, asked)
    order = min((each for each, _ in found), key=lambda each: each.cost_minor)
    cost = cost_of(queue, {turn.job: turn.start_s for turn in order.turns})
    return {
        "cost": cost,
        "claimed": order.cost_minor,
        "bound": order.bound_minor,
        "status": order.status,
        "wall_seconds": time.monotonic() - began,
        "cpu_seconds": sum(cpu_s for _, cpu_s in found),
    }


def _searched(queue: Queue, seed: int, until_s: float) -> tuple[Order, float]:
    began = time.process_time()
    order = best_order(queue, Effort(lambda: time.monotonic() >= until_s, seed=seed))
    return order, time.process_time() - began


def _first(queue: Queue) -> list[str]:
    """The jobs in the order with which our search begins."""
    turns = best_order(queue, Effort(lambda: True)).turns
    return [turn.job for turn in turns]


def _warm() -> None:
    """So that the first queue does not pay for what is compiled once."""
    best_order(drawn(0, EXACT + 1), Effort(lambda: False, moves=10_000))


def lines(asked: argparse.Namespace, peers: list[Peer]) -> Iterator[dict[str, Any]]:
    for jobs in asked.jobs:
        for seed in range(asked.seeds):
            queue = drawn(seed, jobs, asked.openings)
            told: dict[str, Any] = {"jobs": jobs, "seed": seed, "dues": kind_of(seed)}
            told["ours"] = ours(queue, asked.seconds, asked.workers)
            told["peers"] = {}
            for peer in peers:
                hint = _first(queue) if peer.hinted else None
                answer = answer_of(peer, queue, asked.seconds, asked.workers, hint)
                answer["better_percent"] = _better(told["ours"]["cost"], answer["cost"])
                told["peers"][peer.name] = answer
            yield told


def _better(our: int, their: int | None) -> float | None:
    """By how much ours is less; None where there is no other."""
    return None if their is None else round(100 * (their - our) / max(1, their), 2)


def _at_hand(asked: argparse.Namespace) -> list[Peer]:
    """The peers that are here or can be installed; a word on the others."""
    found: list[Peer] = []
    for peer in PEERS:
        if asked.peer is None or peer.name in asked.peer:
            try:
                command_of(peer)
                found.append(peer)
            except CannotHaveError as why:
                print(f"without {peer.name}: {why}", file=sys.stderr)
    return found


def _proved(answer: Answer) -> bool:
    """Whether it says so, and of what the judge counted."""
    return answer["status"] == "optimal" and answer["claimed"] == answer["cost"]


HEAD: Final = (
    f"{'jobs':>4} {'seeds':>5}  {'who':18}{'cost':>12}{'ours better':>13}{'orders':>8}"
    f"{'proved':>8}{'cpu s':>8}{'wall s':>8}"
)


def rows(told: list[dict[str, Any]]) -> Iterator[str]:
    """Of queues of one size: ours, then each peer; means of those queues that it answered."""
    answers = {"ours": [each["ours"] for each in told]}
    for name in told[0]["peers"]:
        answers[name] = [each["peers"][name] for each in told]
    for name, all_ in answers.items():
        some = [each for each in all_ if each["cost"] is not None]
        better = [each["better_percent"] for each in some if "better_percent" in each]
        cost = f"{mean(each['cost'] for each in some):.0f}" if some else "none"
        yield (
            f"{told[0]['jobs']:>4} {len(told):>5}  {name:18}{cost:>12}"
            f"{f'{mean(better):.2f} %' if better else '':>13}{len(some):>8}"
            f"{sum(map(_proved, all_)):>8}"
            f"{mean(each.get('cpu_seconds', 0) for each in all_):>8.1f}"
            f"{mean(each.get('wall_seconds', 0) for each in all_):>8.1f}"
        )


def told_in_all(told: list[dict[str, Any]]) -> Iterator[str]:
    for name in told[0]["peers"]:
        better = [each["peers"][name]["better_percent"] for each in told]
        some = [each for each in better if each is not None]
        least = f", least {min(some):.2f} %" if some else ""
        middle = f"{mean(some):.2f} %" if some else "nothing to compare"
        yield (
            f"beside {name}: ours better by {middle} on average{least};"
            f" it had no order of {len(better) - len(some)} of {len(better)} queues"
        )


def _whole(least: int, most: int) -> Callable[[str], int]:
    def whole(said: str) -> int:
        number = int(said)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{said} will not do; give {least} to {most}")
        return number

    return whole


def _sizes(said: str) -> list[int]:
    return [_whole(1, JOBS_MAX)(each) for each in said.split(",")]


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run bench sequence",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--jobs", type=_sizes, default="8,12,16,30,60,100,200", metavar="N,N,…")
    parser.add_argument("--seeds", type=_whole(1, 1000), default=3, help="queues of each size")
    parser.add_argument("--seconds", type=_whole(1, 3600), default=10, help="of wall time for each")
    parser.add_argument("--workers", type=_whole(1, 2), default=1, help="of ours and of each peer")
    parser.add_argument("--openings", action="store_true", help="open by day alone")
    parser.add_argument(
        "--peer", action="append", choices=[*(peer.name for peer in PEERS), "none"],
        help="this one alone; again for more",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON line a queue")
    return parser.parse_args()


def main() -> int:
    asked = _asked()
    peers = _at_hand(asked)
    _warm()
    told: list[dict[str, Any]] = []
    if not asked.json:
        print(HEAD)
    for each in lines(asked, peers):
        told.append(each)
        if asked.json:
            print(json.dumps(each), flush=True)
        elif each["seed"] == asked.seeds - 1:
            print("\n".join(rows(told[-asked.seeds :])), flush=True)
    for line in told_in_all(told):
        print(line, file=sys.stderr)
    wrong = [each for each in told if each["ours"]["cost"] != each["ours"]["claimed"]]
    for each in wrong:
        print(f"{each['jobs']} jobs, seed {each['seed']}: the judge disagrees", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
