"""Quotes from a snapshot of a planned city: how long one takes, alone and while a re-plan runs

A city is made up and planned as `./run bench city` does. Each quote is a job like those of the
city, somewhere in it, asked about alone: the best three machines with room and their lines. Wall
and CPU time of every single one is measured, once alone and once while a process of its own plans
the city again; what numba compiles is compiled before. Beside it the peer, as plain as NumPy
allows: every capable machine measured, costed and sorted, one job at a time. A sample of quotes is
compared with that. Holds are taken from snapshots that are some holds old, and what is held in the
end is added up anew.

    ./run bench quote --jobs 100000 --machines 10000 --labs 1000 --quotes 20000
"""

import argparse
import json
import sys
import time
from typing import Any, Final

import numpy as np

from bench import at_least_one
from bench.cities.generator import Asked as AskedCity
from bench.cities.standing import planned_city, replanning
from bench.city import warm
from scheduling.cells import Floats, Ints
from scheduling.city import EARTH_RADIUS_M, City, Jobs, on_the_globe
from scheduling.prices import tolls
from scheduling.snapshot import Asked, Offers, Snapshot, TakenError, snapshot_of

_SAMPLE: Final = 300
_HOLDS: Final = 1000


def asked_like(jobs: Jobs) -> list[Asked]:
    columns = [column.tolist() for column in vars(jobs).values()]
    return [
        Asked(lat, lon, process, material, tuple(size), tolerance, work_s, due, bought)
        for lat, lon, process, material, size, tolerance, work_s, due, bought, _ in zip(
            *columns, strict=True
        )
    ]


# ---- how long


def timed(snapshot: Snapshot, asked: list[Asked]) -> dict[str, Any]:
    """One after another; the time of each."""
    wall_ns, cpu_ns = (np.zeros(len(asked), np.int64) for _ in range(2))
    for k, each in enumerate(asked):
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        snapshot.quote(each)
        wall_ns[k] = time.perf_counter_ns() - wall
        cpu_ns[k] = time.thread_time_ns() - cpu
    return {
        "wall_us": _spread(wall_ns),
        "cpu_us": _spread(cpu_ns),
        "per_second_and_core": round(1e9 / float(cpu_ns.mean())),
    }


def _spread(ns: Ints) -> dict[str, float]:
    half, most, nearly_all = np.percentile(ns, (50, 99, 99.9)) / 1000
    return {
        "mean": round(float(ns.mean()) / 1000, 1),
        "p50": round(float(half), 1),
        "p99": round(float(most), 1),
        "p99.9": round(float(nearly_all), 1),
    }


def batched(snapshot: Snapshot, jobs: Jobs) -> float:
    """CPU microseconds of each, all asked at once."""
    snapshot.ways(jobs)
    cpu_s = time.process_time()
    snapshot.ways(jobs)
    return round(1e6 * (time.process_time() - cpu_s) / len(jobs.due), 1)


# ---- the peer, and the judge


class EveryMachine:
    """Tries all, with nothing prepared but columns: the peer, and what the quotes are judged by."""

    def __init__(self, city: City, room: Ints, price: Floats) -> None:
        self.city, self.room, self.toll = city, room, tolls(price)
        self.labs = on_the_globe(city.labs.lat_udeg, city.labs.lon_udeg)

    def best(self, asked: Asked) -> tuple[Ints, Ints]:
        """Three machines and how each ranks."""
        machines, tariff, ends_s = self.city.machines, self.city.tariff, self.city.ends_s
        able = np.flatnonzero(
            (machines.process == asked.process)
            & machines.takes[:, asked.material]
            & (machines.envelope_um >= asked.size_um).all(axis=1)
            & (machines.tolerance_um <= asked.tolerance_um)
        )
        seconds = -(-asked.work_s * 1000 // machines.pace_permille[able])
        start = asked.due or 0
        room = self.room[able, start:] >= seconds[:, None]
        row = start + room.argmax(axis=1)
        open_ = room.any(axis=1)
        able, seconds, row = able[open_], seconds[open_], row[open_]
        place = on_the_globe(np.array([asked.lat_udeg]), np.array([asked.lon_udeg]))
        chord = np.sqrt(((self.labs[machines.lab[able]] - place) ** 2).sum(axis=1))
        metres = np.rint(2 * EARTH_RADIUS_M * np.arcsin(chord / 2)).astype(np.int64)
        late_s = np.maximum(0, ends_s[row] - ends_s[asked.due or 0])
        rank = (
            -(-machines.rate_minor_per_h[able] * seconds // 3600)
            + machines.setup_minor[able]
            + asked.material_minor
            - (-metres * tariff.transport_minor_per_km // 1000)
            - (-metres * (tariff.co2_g_per_km * tariff.co2_minor_per_kg) // 1_000_000)
            - (-late_s * tariff.lateness_minor_per_h // 3600) * (asked.due is not None)
            + np.ceil(self.toll[able, row] * seconds).astype(np.int64)
        )
        first = np.lexsort((able, rank))[:3]
        return able[first], rank[first]


def judged(snapshot: Snapshot, every: EveryMachine, asked: list[Asked]) -> tuple[int, float]:
    """How many quotes are not those of trying every machine; CPU microseconds of each try."""
    tried: list[tuple[Ints, Ints]] = []
    cpu_s = time.process_time()
    tried += [every.best(each) for each in asked]
    cpu_s = time.process_time() - cpu_s
    wrong = sum(
        not _same(snapshot.quote(each), *best) for each, best in zip(asked, tried, strict=True)
    )
    return wrong, round(1e6 * cpu_s / len(asked), 1)


def _same(offers: Offers, machines: Ints, ranks: Ints) -> bool:
    found = [(offer.machine, offer.rank_minor) for offer in offers.best]
    return found == list(zip(machines.tolist(), ranks.tolist(), strict=True))


def holding(snapshot: Snapshot, asked: list[Asked]) -> dict[str, Any]:
    """Each takes the best offer of a snapshot that is some holds old; some come too late for it."""
    now, old, refused, cpu_s = snapshot, snapshot, 0, 0.0
    for k, each in enumerate(asked):
        old = now if k % 10 == 0 else old
        for offer in old.quote(each).best[:1]:
            began_s = time.process_time()
            try:
                now = now.held(offer, until_s=k + 500, now_s=k)
            except TakenError:
                refused += 1
            cpu_s += time.process_time() - began_s
    load = np.zeros_like(snapshot.room)
    for hold in now.holds:
        load[hold.machine, hold.row :] += hold.seconds
    return {
        "held": len(asked) - refused,
        "came_too_late": refused,
        "cpu_us": round(1e6 * cpu_s / len(asked), 1),
        "overbooked": int((load > snapshot.room).any(axis=1).sum()),
        "given_back": bool((now.expired(len(asked) + 500).room == snapshot.room).all()),
    }


def measured(asked: AskedCity, seconds: float, count: int) -> dict[str, Any]:
    warm()
    one = planned_city(asked, count, seconds)
    quotes = asked_like(one.coming)
    cpu_s = time.process_time()
    snapshot = snapshot_of(one.city, one.choice, one.priced.price)
    cpu_s = time.process_time() - cpu_s
    for each in quotes[:20]:
        snapshot.quote(each)
    every = EveryMachine(one.city, snapshot.room, one.priced.price)
    alone = timed(snapshot, quotes)
    with replanning(one.city, one.priced):
        beside = timed(snapshot, quotes)
    wrong, every_us = judged(snapshot, every, quotes[:_SAMPLE])
    return {
        **vars(asked),
        "queued": int((one.choice.machine >= 0).sum()),
        "gap_percent": round(100 * (one.cost / one.priced.bound - 1), 3),
        "quotes": count,
        "snapshot_cpu_ms": round(1000 * cpu_s, 1),
        "alone": alone,
        "while_replanning": beside,
        "batched_cpu_us": batched(snapshot, one.coming),
        "every_machine_cpu_us": every_us,
        "times_quicker_than_every_machine": round(every_us / alone["cpu_us"]["mean"], 1),
        "sample": min(_SAMPLE, count),
        "not_the_best": wrong,
        "without_offer": sum(not snapshot.quote(each).best for each in quotes[:_SAMPLE]),
        "holds": holding(snapshot, quotes[:_HOLDS]),
    }


def shown(row: dict[str, Any]) -> str:
    lines = [
        "{place}, seed {seed}: {queued} jobs queued, gap {gap_percent} %, {machines} machines,"
        " {labs} labs; snapshot made in {snapshot_cpu_ms} ms of CPU".format(**row)
    ]
    for name in ("alone", "while_replanning"):
        part = row[name]
        for clock in ("wall_us", "cpu_us"):
            spread = "   ".join(f"{key} {value:8.1f}" for key, value in part[clock].items())
            lines.append(f"{name.replace('_', ' '):17} {clock[:-3]:5} µs   {spread}")
        lines.append(f"{'':17} {part['per_second_and_core']:,} a second and core")
    lines += [
        "all at once       {batched_cpu_us} µs of CPU each".format(**row),
        "every machine     {every_machine_cpu_us} µs of CPU each in NumPy:"
        " {times_quicker_than_every_machine} times as long".format(**row),
        "judged            {not_the_best} of {sample} quotes are not the best of every machine;"
        " {without_offer} had no offer".format(**row),
        "holds             {held} held, {came_too_late} came too late, {cpu_us} µs of CPU each,"
        " overbooked {overbooked}, all given back {given_back}".format(**row["holds"]),
    ]
    return "\n".join(lines)


def faulty(row: dict[str, Any]) -> bool:
    holds = row["holds"]
    return bool(row["not_the_best"] or holds["overbooked"] or not holds["given_back"])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run bench quote",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add("--seed", type=int, default=1, help="of the city and of what is asked (default 1)")
    add("--jobs", type=at_least_one, default=100_000, metavar="N", help="default 100000")
    add("--machines", type=at_least_one, default=10_000, metavar="M", help="default 10000")
    add("--labs", type=at_least_one, default=1000, metavar="L", help="default 1000")
    add("--quotes", type=at_least_one, default=20_000, metavar="K", help="default 20000")
    add("--seconds", type=at_least_one, default=30, help="of wall time for the plan (default 30)")
    add("--json", action="store_true", help="one JSON object instead of words")
    asked = parser.parse_args()
    if asked.machines < asked.labs:
        parser.error(f"{asked.labs} labs need at least as many machines, not {asked.machines}")
    city = AskedCity(asked.seed, asked.jobs, asked.machines, asked.labs, 0.8)
    row = measured(city, asked.seconds, asked.quotes)
    print(json.dumps(row) if asked.json else shown(row))
    return 1 if faulty(row) else 0


if __name__ == "__main__":
    sys.exit(main())
