"""Today's practice: each job as it arrives to the nearest machine with room, or to the cheapest.

It promises the peers every machine of the city, on time where there is room on time; it never goes
back on what it gave away.
"""

from typing import Final

import numpy as np

from scheduling.cells import Ints
from scheduling.city import Choice, metres_of, square_of
from scheduling.compiled import compiled
from scheduling.reach import Map, Reach, Shelf, Wishes

PEERS: Final = ("nearest", "cheapest")


def choice_of(peer: str, reach: Reach) -> Choice:
    """Late only where nobody has room on time ("nearest") or where that is cheaper ("cheapest")."""
    jobs, tariff, ends_s = len(reach.wishes.due), reach.city.tariff, reach.city.ends_s
    late_s = np.maximum(0, ends_s[None, :] - ends_s[:, None])
    late_minor = -(-late_s * tariff.lateness_minor_per_h // 3600)
    per_km = np.array(
        [tariff.transport_minor_per_km, tariff.co2_g_per_km * tariff.co2_minor_per_kg]
    )
    choice = Choice(np.full(jobs, -1, np.int64), np.full(jobs, -1, np.int64))
    room = reach.shelf.hours_s.copy()
    _serve(
        reach.map, reach.shelf, reach.wishes, room, (late_minor, per_km), peer == "cheapest", choice
    )
    return choice


@compiled
def _serve(
    m: Map, s: Shelf, a: Wishes, room: Ints, minor: tuple[Ints, Ints], by_cost: bool, choice: Choice
) -> None:
    """`room`: what may still be put into each machine by the end of each bucket."""
    late_minor, per_km = minor
    wanted, labs, tiles, order, least = m.wanted, m.labs, m.tile, m.nearest, m.least
    first, takes, box_um, held_um = s.first, s.takes, s.box_um, s.tolerance_um
    pace, rate, setup = s.pace, s.rate, s.setup
    count, buckets, km_minor, km_co2 = len(labs), room.shape[1], per_km[0], per_km[1]
    for j in range(len(tiles)):
        t, process, material, work_s, due = (
            tiles[j], a.process[j], a.material[j], a.work_s[j], a.due[j]
        )  # fmt: skip
        x_um, y_um, z_um = a.size_um[j, 0], a.size_um[j, 1], a.size_um[j, 2]
        asked_um = a.tolerance_um[j]
        best, where, when, seconds = np.inf, -1, -1, 0
        for k in range(count):
            if not by_cost and least[t, k] * least[t, k] > best:
                break
            lab = order[t, k]
            place = process * count + lab
            if first[place] == first[place + 1]:
                continue
            square = square_of(wanted, j, labs, lab)
            metres = metres_of(square)
            way = -(-metres * km_minor // 1000) - (-metres * km_co2 // 1_000_000)
            if by_cost and way > best:
                continue
            for q in range(first[place], first[place + 1]):
                if not (
                    takes[q, material]
                    and x_um <= box_um[q, 0]
                    and y_um <= box_um[q, 1]
                    and z_um <= box_um[q, 2]
                    and held_um[q] <= asked_um
                ):
                    continue
                takes_s = -(-work_s * 1000 // pace[q])
                b = due
                while b < buckets and room[q, b] < takes_s:
                    b += 1
                if b == buckets:
                    continue
                paid = way + setup[q] - (-rate[q] * takes_s // 3600) + late_minor[due, b]
                value = float(paid) if by_cost else square + (8.0 if b > due else 0.0)
                if value < best:
                    best, where, when, seconds = value, q, b, takes_s
        if where >= 0:
            choice.machine[j], choice.bucket[j] = s.machine[where], when
            _fill(room, where, when, seconds)


@compiled
def _fill(room: Ints, machine: int, bucket: int, seconds: int) -> None:
    """What is done by the end of a bucket is so by the end of all later ones."""
    for b in range(bucket, room.shape[1]):
        room[machine, b] -= seconds
    for b in range(bucket - 1, -1, -1):
        room[machine, b] = min(room[machine, b], room[machine, b + 1])
