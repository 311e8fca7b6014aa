"""Queues of one machine by a seed: materials and colours, jobs due soon or late, some come later.

All times are multiples of five minutes and all prices of what such a step costs, so that nothing is
rounded and a solver that counts steps sees the very same costs.
"""

from random import Random
from typing import Final

from scheduling.machine_queue import Changeover, Queue, Waiting
from scheduling.problem import Spans

STEP_S: Final = 300
LATE_MINOR: Final = 40
WAIT_MINOR: Final = 1
CHANGE_MINOR: Final = 60
_HOUR: Final = 3600 // STEP_S
_DAY: Final = 24 * _HOUR
_MATERIALS: Final = ("pla", "petg", "tpu")
_COLOURS: Final = ("white", "yellow", "red", "black")
# Share of the work by which jobs are due, on average, and how far their dues lie apart.
_KINDS: Final = {"tight": (0.3, 0.5), "mixed": (0.5, 0.9), "loose": (0.75, 0.9)}


def kind_of(seed: int) -> str:
    return tuple(_KINDS)[seed % len(_KINDS)]


def drawn(seed: int, jobs: int, openings: bool = False) -> Queue:
    """A step late counts forty times as much as one of waiting; how much that is, says the job."""
    dice = Random(f"{seed} {jobs}")
    changeovers = _changeovers(dice)
    families = sorted({family for family, _ in changeovers})
    often = [dice.random() + 0.2 for _ in families]
    took = [dice.randrange(4, 6 * _HOUR + 1) for _ in range(jobs)]
    work = sum(took) * (2 if openings else 1)
    middle, apart = _KINDS[kind_of(seed)]
    waiting: list[Waiting] = []
    for number, steps in enumerate(took):
        release = dice.randrange(work // 2) if dice.random() < 0.3 else 0
        due = release + steps + int(work * (middle + apart * (dice.random() - 0.5)))
        weight = dice.choice([1, 1, 2, 2, 3, 4])
        waiting.append(
            Waiting(
                f"j{number}", dice.choices(families, often)[0], steps * STEP_S, release * STEP_S,
                None if dice.random() < 0.1 else max(0, due) * STEP_S,
                weight * LATE_MINOR * _HOUR, weight * WAIT_MINOR * _HOUR, 10**9,
            )
        )  # fmt: skip
    days = 3 * (sum(took) + 15 * jobs) // _DAY + 3
    hours = _hours(days) if openings else ()
    return Queue(0, days * _DAY * STEP_S, tuple(waiting), changeovers, dice.choice(families), hours)


def _changeovers(dice: Random) -> dict[tuple[str, str], Changeover]:
    """Colours are purged, the longer the lighter the next one; materials are heated and cleaned."""
    purge = {
        (a, b): dice.randrange(1, 3) + max(0, i - j) for i, a in enumerate(_COLOURS)
        for j, b in enumerate(_COLOURS) if a != b
    }  # fmt: skip
    clean = {(a, b): dice.randrange(3, 9) for a in _MATERIALS for b in _MATERIALS if a != b}
    kinds = [(material, colour) for material in _MATERIALS for colour in _COLOURS]
    found: dict[tuple[str, str], Changeover] = {}
    for a in kinds:
        for b in kinds:
            steps = clean.get((a[0], b[0]), 0) + purge.get((a[1], b[1]), 0)
            if steps:
                change = Changeover(steps * STEP_S, steps * CHANGE_MINOR)
                found["-".join(a), "-".join(b)] = change
    return found


def _hours(days: int) -> Spans:
    """Open from eight to six every day."""
    return tuple(
        ((day * _DAY + 8 * _HOUR) * STEP_S, (day * _DAY + 18 * _HOUR) * STEP_S)
        for day in range(days)
    )
