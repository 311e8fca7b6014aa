"""Reads a city and a plan for it and says what is wrong with them: rules, cost lines, the bound

It shares no code with the planner: it knows `docs/city-format.md`, JSON and NumPy. The bound is
worked out again from the plan's prices over every capable machine and bucket of the city, not only
those that the planner looked at. Exit status: 0 all in order, 1 faults, 2 files that are none.

    python -m bench.cities.check CITY.json PLAN.json
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RADIUS_M: Final = 6_371_008.8
_AT_ONCE: Final = 400_000
_HALF: Final = 1e-6  # metres so near a half may be rounded either way
Table = NDArray[Any]

_COLUMNS: Final = {
    "labs": ("lat_udeg", "lon_udeg"),
    "machines": (
        "lab", "process", "envelope_um", "tolerance_um", "rate_minor_per_h", "setup_minor",
        "pace_permille", "hours_s",
    ),
    "jobs": (
        "lat_udeg", "lon_udeg", "process", "material", "size_um", "tolerance_um", "work_s", "due",
        "material_minor", "value_minor",
    ),
}  # fmt: skip


class BadFile(ValueError):
    """Not a city or a plan at all; the message says what is missing."""


@dataclass(frozen=True)
class Verdict:
    """`bound`: what the plan's prices prove, None where that was not asked or they are none."""

    faults: tuple[str, ...]
    cost: int
    bound: float | None
    unplaced: int
    could_be_placed: int


def judged(city: dict[str, Any], plan: dict[str, Any], *, with_bound: bool = True) -> Verdict:
    made = Made(city)
    machine, bucket, faults = _choices(made, plan)
    faults += _broken_rules(made, machine) + _overfull(made, machine, bucket)
    least, most = _total(made, machine, bucket)
    claimed = plan["cost_minor"]
    if not least <= claimed <= most:
        faults.append(f"cost_minor is {claimed}; the lines add up to {least}")
    could = _could_be_placed(made, machine, bucket)
    if len(could):
        faults.append(f"{len(could)} jobs are left out though there is room, job {could[0]} first")
    bound = None
    if with_bound:
        bound, more = _bound(made, plan)
        faults += more
    unplaced = int((machine < 0).sum())
    return Verdict(tuple(faults), int(least), bound, unplaced, len(could))


class Made:
    """A dump as arrays; says so if it is no city."""

    def __init__(self, city: dict[str, Any]) -> None:
        if city.get("format") != "cosmolocal-city-1":
            raise BadFile("the city's format must be cosmolocal-city-1")
        try:
            self.ends_s = np.array(city["bucket_ends_s"], np.int64)
            self.tariff: dict[str, int] = city["tariff"]
            self.labs, self.machines, self.jobs = (
                {name: np.array(city[part][name], np.int64) for name in names}
                for part, names in _COLUMNS.items()
            )
            taken: list[list[int]] = city["machines"]["materials"]
            self.takes = np.zeros((len(taken), len(city["materials"])), np.bool_)
            for i, materials in enumerate(taken):
                self.takes[i, materials] = True
            self.count = len(self.jobs["work_s"])
            self._check()
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as why:
            raise BadFile(f"the city is not as docs/city-format.md says: {why!r}") from why

    def _check(self) -> None:
        hours, spans = self.machines["hours_s"], np.diff(self.ends_s, prepend=0)
        steps = np.diff(hours, axis=1, prepend=0)
        if (spans <= 0).any() or (steps < 0).any() or (steps > spans).any():
            raise ValueError("hours_s or bucket_ends_s are not nested")
        for part, columns in (("machines", self.machines), ("jobs", self.jobs)):
            if len({len(column) for column in columns.values()}) != 1:
                raise ValueError(f"columns of {part} differ in length")
        if len(self.takes) != len(hours):
            raise ValueError("machines.materials differs in length")

    def seconds(self, job: Table, machine: Table) -> Table:
        work_s, pace = self.jobs["work_s"][job], self.machines["pace_permille"][machine]
        return (work_s * 1000 + pace - 1) // pace

    def able(self, job: Table, machine: Table) -> dict[str, Table]:
        """By rule, whether each pair keeps it; hours are another matter."""
        jobs, machines = self.jobs, self.machines
        size: Table = jobs["size_um"][job] <= machines["envelope_um"][machine]
        return {
            "process": jobs["process"][job] == machines["process"][machine],
            "material": self.takes[machine, jobs["material"][job]],
            "size": np.all(size, axis=-1),
            "tolerance": machines["tolerance_um"][machine] <= jobs["tolerance_um"][job],
        }

    def untimed(self, job: Table, machine: Table, metres: Table) -> Table:
        """All lines but lateness."""
        machines, tariff = self.machines, self.tariff
        worked = machines["rate_minor_per_h"][machine] * self.seconds(job, machine)
        grams = tariff["co2_g_per_km"] * tariff["co2_minor_per_kg"]
        return (
            (worked + 3599) // 3600
            + machines["setup_minor"][machine]
            + self.jobs["material_minor"][job]
            + (metres * tariff["transport_minor_per_km"] + 999) // 1000
            + (metres * grams + 999_999) // 1_000_000
        )

    def late(self, due: Table, bucket: Table) -> Table:
        late_s = np.maximum(0, self.ends_s[bucket] - self.ends_s[due])
        return (late_s * self.tariff["lateness_minor_per_h"] + 3599) // 3600

    def metres(self, job: Table, lab: Table, half: float) -> Table:
        """Great circles by the haversine; what is nearer to a half than `half` goes its way."""
        lat, lon = (np.radians(self.jobs[name][job] / 1e6) for name in ("lat_udeg", "lon_udeg"))
        to, along = (np.radians(self.labs[name][lab] / 1e6) for name in ("lat_udeg", "lon_udeg"))
        over = np.sin((to - lat) / 2) ** 2
        beside = np.cos(lat) * np.cos(to) * np.sin((along - lon) / 2) ** 2
        straight = np.sqrt(np.minimum(1.0, over + beside))
        return np.floor(2 * RADIUS_M * np.arcsin(straight) + 0.5 + half).astype(np.int64)


def _choices(made: Made, plan: dict[str, Any]) -> tuple[Table, Table, list[str]]:
    if plan.get("format") != "cosmolocal-plan-1":
        raise BadFile("the plan's format must be cosmolocal-plan-1")
    try:
        chosen = [
            np.array([-1 if each is None else each for each in plan[name]], np.int64)
            for name in ("machine", "bucket")
        ]
        int(plan["cost_minor"])
    except (KeyError, TypeError, ValueError, OverflowError) as why:
        raise BadFile(f"the plan is not as docs/city-format.md says: {why!r}") from why
    machine, bucket = chosen
    if not len(machine) == len(bucket) == made.count:
        raise BadFile(f"the plan is for {len(machine)} jobs, the city has {made.count}")
    wrong = (
        (machine < -1) | (machine >= len(made.takes))
        | (bucket < -1) | (bucket >= len(made.ends_s)) | ((machine < 0) != (bucket < 0))
    )  # fmt: skip
    faults = [
        f"job {job} is on machine {machine[job]} in bucket {bucket[job]}: none such"
        for job in np.flatnonzero(wrong)[:5]
    ]
    return np.where(wrong, -1, machine), np.where(wrong, -1, bucket), faults


def _broken_rules(made: Made, machine: Table) -> list[str]:
    job = np.flatnonzero(machine >= 0)
    rules = made.able(job, machine[job])
    return [
        f"job {job[at]} is on machine {machine[job[at]]} against its {rule}"
        for rule, kept in rules.items()
        for at in np.flatnonzero(~kept)[:5]
    ]


def _loads(made: Made, machine: Table, bucket: Table) -> Table:
    """What each machine has to do by the end of each bucket."""
    load = np.zeros(made.machines["hours_s"].shape, np.int64)
    job = np.flatnonzero(machine >= 0)
    np.add.at(load, (machine[job], bucket[job]), made.seconds(job, machine[job]))
    return np.cumsum(load, axis=1)


def _overfull(made: Made, machine: Table, bucket: Table) -> list[str]:
    load, hours = _loads(made, machine, bucket), made.machines["hours_s"]
    return [
        f"machine {i} has {load[i, b]} s to do by the end of bucket {b} and is open {hours[i, b]} s"
        for i, b in np.argwhere(load > hours)[:5]
    ]


def _total(made: Made, machine: Table, bucket: Table) -> tuple[int, int]:
    """The least and the most that the plan may say it costs."""
    job = np.flatnonzero(machine >= 0)
    there, left_out = machine[job], int(made.jobs["value_minor"][machine < 0].sum())
    lab = made.machines["lab"][there]
    late = made.late(made.jobs["due"][job], bucket[job])
    least, most = (
        int((made.untimed(job, there, made.metres(job, lab, half)) + late).sum()) + left_out
        for half in (-_HALF, _HALF)
    )
    return least, most


def _could_be_placed(made: Made, machine: Table, bucket: Table) -> Table:
    """Who is left out though a capable machine has room by the end of some bucket."""
    free = made.machines["hours_s"] - _loads(made, machine, bucket)
    room = np.minimum.accumulate(free[:, ::-1], axis=1)[:, ::-1].max(axis=1, initial=0)
    every, found = np.arange(len(made.takes)), list[int]()
    for job in np.flatnonzero(machine < 0):
        kept = np.all(list(made.able(np.full(len(every), job), every).values()), axis=0)
        if (kept & (made.seconds(np.array([job]), every) <= room)).any():
            found.append(int(job))
    return np.array(found, np.int64)


def _bound(made: Made, plan: dict[str, Any]) -> tuple[float | None, list[str]]:
    try:
        price = np.array(plan["price_minor_per_s"], np.float64)
        claimed = float(plan["bound_minor"])
    except (KeyError, TypeError, ValueError) as why:
        raise BadFile(f"the plan is not as docs/city-format.md says: {why!r}") from why
    if price.shape != made.machines["hours_s"].shape:
        return None, [f"price_minor_per_s is {price.shape}, not a price for each of hours_s"]
    if not (np.isfinite(price) & (price >= 0)).all():
        return None, ["a price is negative or no number: it proves nothing"]
    toll = np.cumsum(price[:, ::-1], axis=1)[:, ::-1]
    least = made.jobs["value_minor"].astype(np.float64)
    for job, machine in _pairs(made):
        least[job] = np.minimum(least[job], _cheapest(made, job, machine, toll))
    proven = float(least.sum() - (price * made.machines["hours_s"]).sum())
    faults: list[str] = []
    if claimed > proven + max(1.0, 1e-9 * abs(proven)):
        faults.append(f"bound_minor is {claimed}; over all machines the prices prove {proven:.2f}")
    if claimed > plan["cost_minor"] + 1:
        faults.append(f"bound_minor is {claimed}, above the cost of the plan itself")
    return proven, faults


def _pairs(made: Made) -> Iterator[tuple[Table, Table]]:
    """Jobs of one process and material with all machines of both, some at a time."""
    kinds = np.stack([made.jobs["process"], made.jobs["material"]], axis=1)
    for process, material in np.unique(kinds, axis=0):
        job = np.flatnonzero((kinds == (process, material)).all(axis=1))
        able = (made.machines["process"] == process) & made.takes[:, material]
        machine = np.flatnonzero(able)
        if len(machine):
            step = max(1, _AT_ONCE // len(machine))
            for begin in range(0, len(job), step):
                yield job[begin : begin + step], machine


def _cheapest(made: Made, job: Table, machine: Table, toll: Table) -> Table:
    """What each job costs at least on any of these, in any bucket, its price included.

    Buckets before the due one cost as much and their toll is no lower: they can be left away.
    """
    labs, lab = np.unique(made.machines["lab"][machine], return_inverse=True)
    metres = made.metres(job[:, None], labs[None, :], -_HALF)[:, lab]
    pairs = (job[:, None], machine[None, :])
    untimed, seconds = made.untimed(*pairs, metres), made.seconds(*pairs)
    size = made.jobs["size_um"][job][:, None, :] <= made.machines["envelope_um"][machine][None]
    fine = made.machines["tolerance_um"][machine] <= made.jobs["tolerance_um"][job][:, None]
    able, due = size.all(axis=2) & fine, made.jobs["due"][job]
    least = np.full(len(job), np.inf)
    for b in range(len(made.ends_s)):
        late = made.late(due, np.full(len(due), b))[:, None]
        value = untimed + late + toll[machine, b] * seconds
        may = able & (seconds <= made.machines["hours_s"][machine, b]) & (due <= b)[:, None]
        least = np.minimum(least, np.where(may, value, np.inf).min(axis=1))
    return least


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as why:
        raise BadFile(f"{path}: {why}") from why
    if not isinstance(read, dict):
        raise BadFile(f"{path} holds no JSON object")
    return read


def told(city: Path, plan: Path) -> int:
    """Prints what is wrong, or what was found to be so; returns the exit status."""
    try:
        claims = _read(plan)
        verdict = judged(_read(city), claims)
    except BadFile as why:
        print(why, file=sys.stderr)
        return 2
    for fault in verdict.faults:
        print(f"fault: {fault}")
    proven = "nothing" if verdict.bound is None else f"{verdict.bound:.2f}"
    print(
        f"{len(verdict.faults)} faults; the plan costs {verdict.cost}, leaves {verdict.unplaced}"
        f" jobs out, {verdict.could_be_placed} of them with room somewhere; its prices prove"
        f" {proven} over every capable machine and bucket of the city"
    )
    return 1 if verdict.faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cities.check",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("city", type=Path, metavar="CITY.json")
    parser.add_argument("plan", type=Path, metavar="PLAN.json")
    asked = parser.parse_args()
    return told(asked.city, asked.plan)


if __name__ == "__main__":
    sys.exit(main())
