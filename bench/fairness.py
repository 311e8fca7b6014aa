"""Fairness of labs' income: the same days with credits and without, and what the credits cost

A city is made up from a seed (bench/networks/days.py); each morning a plan is made of what is
ordered and waits, what begins before the next morning is made as planned (bench/networks/
simulated.py). With credits, members grant labs that were paid less than their share a part of what
they would be paid, by scheduling/fairness.py; nobody is paid less for it. The cost is that of the
real lines, the credits left aside; income is what a lab is paid
without the material. Offered hours are those in which somebody could begin a job on a machine.

Two Ginis are told. The plain one is of income per offered hour: a lab with a mill is rich in it,
since an hour of a mill brings several times that of a printer. The other is like for like: income
against what the same hours of the same processes bring in this city on average. The goal, at most
0.25 at no more than 1 % extra cost, is read on the second and, for the cost, on the jobs that both
runs made: one more or less that is left out counts up to 0.4 % of all.

    ./run bench fairness --seed 1 --seeds 3
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from resource import RUSAGE_SELF, getrusage
from typing import Any, Final

from bench import at_least_one
from bench.networks.days import city, demand
from bench.networks.simulated import Evening, simulated
from scheduling import Job, Problem
from scheduling.distance import job_distance_m
from scheduling.fairness import Account, Rule, ginis, shares
from scheduling.routing import candidates

GINI_GOAL: Final = 0.25
EXTRA_GOAL_PERCENT: Final = 1.0
_BARS: Final = " ▁▂▃▄▅▆▇█"
_TALLEST: Final = 0.64


def lived_through(evenings: Iterator[Evening]) -> dict[str, Any]:
    """The figures of one run of days."""
    plain, alike, last = list[float](), list[float](), None
    for last in evenings:
        one, other = ginis(last.accounts)
        plain.append(round(one, 4))
        alike.append(round(other, 4))
    if last is None:
        raise ValueError("no day was lived through")
    share, offered = shares(last.accounts), sum(each.offered_in_all_s for each in last.accounts)
    return {
        "gini": plain[-1],
        "gini_like_for_like": alike[-1],
        "gini_by_day": plain,
        "gini_like_for_like_by_day": alike,
        "cost_minor": sum(last.book.real_minor.values()) + last.book.left_out_minor,
        "left_out": last.book.left_out,
        "made": last.book.real_minor,
        "worked_per_offered_hour": round(last.book.worked_in_all_s / offered, 3),
        "labs": {each.lab: _lab(each, share[each.lab], last) for each in last.accounts},
    }


def _lab(account: Account, share_minor: int, last: Evening) -> dict[str, Any]:
    paid = account.paid_in_all_minor
    return {
        "offered_h": round(account.offered_in_all_s / 3600),
        "paid_minor": paid,
        "of_share_percent": round(100 * paid / share_minor) if share_minor else None,
        "jobs": account.jobs,
        "credit_permille": last.credits[account.lab].permille,
    }


def reach(network: Problem, jobs: Sequence[Job]) -> dict[str, tuple[int, float]]:
    """By lab: what percent of the jobs it can make, and how many km these are away on average."""
    away: dict[str, list[int]] = {lab.id: [] for lab in network.labs}
    for job in jobs:
        for lab in {machine.lab for machine in candidates(job, network).machines}:
            away[lab].append(job_distance_m(network, job, lab))
    return {
        lab: (round(100 * len(all_) / len(jobs)), sum(all_) / 1000 / max(1, len(all_)))
        for lab, all_ in away.items()
    }


def measured(seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    network = city(seed, asked.labs, asked.machines, asked.days)
    ordered = demand(seed, network, asked.days, asked.jobs_a_day)
    rule = Rule(asked.most, asked.step, gini_permille=asked.gini, trial_minor=asked.trial)
    used = getrusage(RUSAGE_SELF)
    without = lived_through(simulated(network, ordered, None, asked.turns))
    with_ = lived_through(simulated(network, ordered, rule, asked.turns))
    more = _dearer_percent(without.pop("made"), with_.pop("made"))
    in_all = 100 * (with_["cost_minor"] / without["cost_minor"] - 1)
    return {
        "seed": seed,
        "labs": asked.labs,
        "machines": asked.machines,
        "days": asked.days,
        "jobs": sum(map(len, ordered)),
        "without": without,
        "with": with_,
        "extra_cost_percent": round(more, 2),
        "extra_cost_in_all_percent": round(in_all, 2),
        "goal_reached": with_["gini_like_for_like"] <= GINI_GOAL and more <= EXTRA_GOAL_PERCENT,
        "reach": reach(network, [job for day in ordered for job in day]),
        "cpu_seconds": round(getrusage(RUSAGE_SELF).ru_utime - used.ru_utime, 1),
    }


def _dearer_percent(before: dict[str, int], after: dict[str, int]) -> float:
    """What the jobs that both made cost more after than before."""
    both = before.keys() & after.keys()
    return 100 * (sum(after[job] for job in both) / sum(before[job] for job in both) - 1)


def _table(told: dict[str, Any]) -> Iterator[str]:
    size = ", ".join(f"{told[name]} {name}" for name in ("labs", "machines", "days", "jobs"))
    yield f"{size}, seed {told['seed']}; {told['cpu_seconds']} s cpu"
    yield "            Gini  like for like    cost in all  left out  worked per offered hour"
    for name in ("without", "with"):
        each = told[name]
        yield (
            f"  {name:8}{each['gini']:>6.3f}{each['gini_like_for_like']:>15.3f}"
            f"{each['cost_minor']:>15}{each['left_out']:>10}{each['worked_per_offered_hour']:>25}"
        )
    reached = "reached" if told["goal_reached"] else "not reached"
    more = told["extra_cost_percent"]
    in_all = told["extra_cost_in_all_percent"]
    yield f"  jobs that both made cost {more:.2f} % more with; goal {reached}"
    yield f"  all, with the price of what is left out, {in_all:.2f} % more"
    for name in ("without", "with"):
        plot = _plot(told[name]["gini_like_for_like_by_day"])
        yield f"  Gini like for like by day, {name:8}{plot}"


def _plot(numbers: Sequence[float]) -> str:
    top = len(_BARS) - 1
    bars = (_BARS[min(top, round(top * each / _TALLEST))] for each in numbers)
    return f"|{''.join(bars)}| (full: {_TALLEST})"


def _labs(told: dict[str, Any]) -> Iterator[str]:
    yield (
        "  lab      offered h  can make  away km   paid without  of share      with  of share"
        "  credit"
    )
    for lab, before in told["without"]["labs"].items():
        after, (can, km) = told["with"]["labs"][lab], told["reach"][lab]
        yield (
            f"  {lab:9}{before['offered_h']:>9}{can:>8} %{km:>9.1f}"
            f"{before['paid_minor']:>15}{_percent(before):>10}"
            f"{after['paid_minor']:>10}{_percent(after):>10}{after['credit_permille'] / 10:>6.1f} %"
        )


def _percent(lab: dict[str, Any]) -> str:
    part = lab["of_share_percent"]
    return "-" if part is None else f"{part} %"


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run bench fairness",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1)
    sizes = (("seeds", 1, "so many cities, from the seed on; 1"), ("days", 30, "30"),
             ("labs", 20, "20"), ("machines", 80, "80"), ("jobs-a-day", 85, "85"),
             ("turns", 500, "of mending each morning; 500"))  # fmt: skip
    for name, many, says in sizes:
        parser.add_argument(f"--{name}", type=at_least_one, default=many, metavar="N", help=says)
    rule = Rule()
    wishes = (("most", rule.most_permille, "permille that a credit may be"),
              ("step", rule.step_permille, "permille by which it moves where all is missing"),
              ("gini", rule.gini_permille, "permille of the Gini at which credits shrink"),
              ("trial", rule.trial_minor, "more for each job of labs with few"))  # fmt: skip
    for name, usual, says in wishes:
        parser.add_argument(
            f"--{name}", type=int, default=usual, metavar="N", help=f"{says}; {usual}"
        )
    parser.add_argument("--json", action="store_true", help="one JSON line a city")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    asked = _asked(words)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    reached = True
    for seed in range(asked.seed, asked.seed + asked.seeds):
        told = measured(seed, asked)
        reached = reached and told["goal_reached"]
        print(
            json.dumps(told) if asked.json else "\n".join((*_table(told), *_labs(told))), flush=True
        )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
