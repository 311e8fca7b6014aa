"""Which machines of a city each job could go to: the nearest, or the best under capacity prices.

It promises what trying every machine would give, found by looking at few of them; what a bound says
under `cheapest` holds for the whole city. It never leaves a capable machine out but for a dearer or
a farther one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

import numpy as np

from scheduling.cells import Floats, Ints
from scheduling.city import (
    Bools,
    City,
    lines,
    metres_of,
    on_the_globe,
    seconds_on,
    square_of,
)
from scheduling.compiled import AtOnce, compiled
from scheduling.distance import EARTH_RADIUS_M

STEPS: Final = ("process", "material", "size", "tolerance", "hours")
NEAR: Final = 24
_TILE_KM: Final = 1.5
_TABLE: Final = 5_000_000
_FUZZ: Final = 1e-9
_ROUNDING: Final = 1e-3


class Map(NamedTuple):
    """Where jobs and labs are, and in which order the labs are looked at from each tile of jobs."""

    wanted: Floats
    labs: Floats
    tile: Ints
    nearest: Ints
    """By tile: the labs, the nearest to its middle first."""
    least: Floats
    """No job of the tile has a shorter straight way to that lab."""


class Shelf(NamedTuple):
    """The machines by process, then lab, then number: `first[process, lab]` and the next bound."""

    machine: Ints
    first: Ints
    takes: Bools
    box_um: Ints
    tolerance_um: Ints
    pace: Ints
    rate: Ints
    setup: Ints
    hours_s: Ints


class Wishes(NamedTuple):
    """What the loops need of the jobs."""

    process: Ints
    material: Ints
    size_um: Ints
    tolerance_um: Ints
    work_s: Ints
    due: Ints
    material_minor: Ints
    value: Ints


class Ways(NamedTuple):
    """Jobs × ways: a machine or -1, the bucket by whose end it is done there, what that costs."""

    machine: Ints
    bucket: Ints
    cost: Ints
    seconds: Ints


_Columns = TypeVar("_Columns", Wishes, Ways)


@dataclass(frozen=True, eq=False)
class Reach:
    """A city made ready for being asked who can do what."""

    city: City
    map: Map
    shelf: Shelf
    wishes: Wishes


def reach_of(city: City) -> Reach:
    jobs = city.jobs
    wishes = Wishes(
        jobs.process, jobs.material, jobs.size_um, jobs.tolerance_um, jobs.work_s, jobs.due,
        jobs.material_minor, jobs.value_minor,
    )  # fmt: skip
    return Reach(city, _map(city), _shelf(city), wishes)


def _shelf(city: City) -> Shelf:
    machines, labs = city.machines, len(city.labs.lat_udeg)
    order = np.lexsort((machines.lab, machines.process))
    key = machines.process * labs + machines.lab
    places = len(city.processes) * labs
    first = np.zeros(places + 1, np.int64)
    first[1:] = np.cumsum(np.bincount(key, minlength=places))
    return Shelf(
        order, first, machines.takes[order], machines.envelope_um[order],
        machines.tolerance_um[order], machines.pace_permille[order],
        machines.rate_minor_per_h[order], machines.setup_minor[order], machines.hours_s[order],
    )  # fmt: skip


def _map(city: City) -> Map:
    wanted = on_the_globe(city.jobs.lat_udeg, city.jobs.lon_udeg)
    labs = on_the_globe(city.labs.lat_udeg, city.labs.lon_udeg)
    tile, middle, radius = _tiles(wanted, max(1, _TABLE // max(1, len(labs))))
    nearest = np.zeros((len(middle), len(labs)), np.int64)
    least = np.zeros((len(middle), len(labs)))
    for t in range(len(middle)):
        way = np.sqrt(((labs - middle[t]) ** 2).sum(axis=1))
        nearest[t] = np.argsort(way, kind="stable")
        least[t] = np.maximum(0.0, way[nearest[t]] - radius[t] - _FUZZ)
    return Map(wanted, labs, tile, nearest, least)


def _tiles(wanted: Floats, most: int) -> tuple[Ints, Floats, Floats]:
    """Each job's tile, the tiles' middles and how far a job of theirs is from that at most.

    Tiles are cut out of the ball by cubes, so they do as well at the poles; twice as large ones are
    tried while there are too many.
    """
    side = _TILE_KM * 1000 / EARTH_RADIUS_M
    while True:
        cube = np.floor(wanted / side).astype(np.int64)
        key = (cube[:, 0] * 2_097_152 + cube[:, 1]) * 2_097_152 + cube[:, 2]
        _, tile = np.unique(key, return_inverse=True)
        count = int(tile.max()) + 1 if len(tile) else 0
        if count <= most:
            break
        side *= 2.0
    many = np.bincount(tile, minlength=count)
    middle = np.stack([np.bincount(tile, axis, count) / many for axis in wanted.T], axis=1)
    off = np.sqrt(((wanted - middle[tile]) ** 2).sum(axis=1))
    radius = np.zeros(count)
    np.maximum.at(radius, tile, off)
    return tile, middle, radius


# ---- the nearest


def nearest(reach: Reach, near: int = NEAR, workers: int = 1, at_once: AtOnce = map) -> Ints:
    """Jobs × near: capable machines, the nearest first, then by number; -1 where there are no more.

    Capable is who can do it by the end of the last bucket.
    """
    found = np.full((len(reach.wishes.work_s), near), -1, np.int64)

    def search(part: slice) -> None:
        wishes = _part(reach.wishes, part)
        _nearest(_around(reach.map, part), reach.shelf, wishes, found[part])

    _in_parts(search, len(found), workers, at_once)
    return found


def _in_parts(work: Callable[[slice], None], jobs: int, workers: int, at_once: AtOnce) -> None:
    ends = [jobs * part // workers for part in range(workers + 1)]
    for _ in at_once(work, [slice(*pair) for pair in pairwise(ends)]):
        pass


def _around(where: Map, part: slice) -> Map:
    return where._replace(wanted=where.wanted[part], tile=where.tile[part])


@compiled
def _nearest(m: Map, s: Shelf, a: Wishes, found: Ints) -> None:
    wanted, labs, tiles, order, least = m.wanted, m.labs, m.tile, m.nearest, m.least
    machine, first, takes, box_um, held_um = s.machine, s.first, s.takes, s.box_um, s.tolerance_um
    pace, hours_s = s.pace, s.hours_s
    near, last, count = found.shape[1], hours_s.shape[1] - 1, len(labs)
    squares = np.zeros(near + 1)
    for j in range(len(found)):
        t, material, work_s, many = tiles[j], a.material[j], a.work_s[j], 0
        worst = 8.0
        for k in range(count):
            if least[t, k] * least[t, k] > worst:
                break
            lab = order[t, k]
            begin = a.process[j] * count + lab
            if first[begin] == first[begin + 1]:
                continue
            square = square_of(wanted, j, labs, lab)
            if square > worst:
                continue
            for q in range(first[begin], first[begin + 1]):
                if not (
                    takes[q, material]
                    and a.size_um[j, 0] <= box_um[q, 0]
                    and a.size_um[j, 1] <= box_um[q, 1]
                    and a.size_um[j, 2] <= box_um[q, 2]
                    and held_um[q] <= a.tolerance_um[j]
                    and work_s * 1000 <= hours_s[q, last] * pace[q]
                ):
                    continue
                at = min(near, many)
                while at > 0 and (
                    square < squares[at - 1]
                    or (square == squares[at - 1] and machine[q] < found[j, at - 1])
                ):
                    if at < near:
                        squares[at], found[j, at] = squares[at - 1], found[j, at - 1]
                    at -= 1
                if at < near:
                    squares[at], found[j, at] = square, machine[q]
                    many = min(near, many + 1)
                    if many == near:
                        worst = squares[near - 1]


def ways_to(reach: Reach, machine: Ints, workers: int = 1, at_once: AtOnce = map) -> Ways:
    """One way for each machine of `nearest`: by the due bucket, else the first in which it can."""
    ways = Ways(machine, *(np.zeros_like(machine) for _ in range(3)))

    def look_up(part: slice) -> None:
        _look_up(reach, _part(ways, part), part.start)

    _in_parts(look_up, len(machine), workers, at_once)
    return ways


def _look_up(reach: Reach, ways: Ways, first: int) -> None:
    """`first`: the number of the job whose ways come first."""
    there = ways.machine >= 0
    jobs = np.broadcast_to(first + np.arange(len(there))[:, None], there.shape)
    job, chosen = jobs[there], ways.machine[there]
    seconds = seconds_on(reach.city, job, chosen)
    short = reach.city.machines.hours_s[chosen] < seconds[:, None]
    bucket = np.maximum(reach.wishes.due[job], short.sum(axis=1))
    ways.seconds[there], ways.bucket[there] = seconds, bucket
    ways.cost[there] = lines(reach.city, job, chosen, bucket).total


# ---- the best under prices


def cheapest(
    reach: Reach,
    price: Floats,
    keep: int = NEAR,
    known: Ways | None = None,
    workers: int = 1,
    at_once: AtOnce = map,
) -> tuple[Ways, float]:
    """Of all machines and buckets of the city, what costs a job least, prices included, in order;
    and what the prices prove: no plan of this city costs less.

    `price`: machines × buckets, for a second of hours until the end of that bucket, none below 0.
    `known`: ways of the same city; the better they are, the fewer others have to be looked at.
    The work is done in as many parts as there are `workers`, each by a call of `at_once`.
    """
    jobs, tolls, toll = len(reach.wishes.work_s), _tolls(reach, price), _toll(price)
    ways = Ways(*(np.full((jobs, keep), fill, np.int64) for fill in (-1, 0, 0, 0)))
    best, limit = np.zeros(jobs), np.full(jobs, np.inf)

    def search(part: slice) -> None:
        if known is not None and known.machine.shape[1] >= keep:
            _limits(_part(known, part), toll, np.zeros(keep), limit[part])
        here, wishes = _around(reach.map, part), _part(reach.wishes, part)
        _cheapest(here, reach.shelf, wishes, tolls, _part(ways, part), limit[part], best[part])

    _in_parts(search, jobs, workers, at_once)
    paid_back = float((price * reach.city.machines.hours_s).sum())
    bound = float(np.minimum(best, reach.wishes.value).sum()) - paid_back
    return ways, bound


def _part(columns: _Columns, jobs: slice) -> _Columns:
    return type(columns)(*(column[jobs] for column in columns))


class Tolls(NamedTuple):
    """What a second of a machine is worth, and floors under what a second of work costs there."""

    toll: Floats
    """Machines × buckets: of a second by the end of that bucket."""
    per_work_s: Floats
    """The same with the machine's rate, for a second of work at a pace of 1000."""
    at_lab: Floats
    """(process, lab) × material × bucket: the least of its machines."""
    anywhere: Floats
    """process × material × bucket"""
    setup_at_lab: Floats
    setup_anywhere: Floats
    late_minor: Ints
    per_km: Ints
    """Transport in minor units, CO2 in thousandths of them."""


def _toll(price: Floats) -> Floats:
    """What a second by the end of each bucket is worth: it is one of all later ones, too."""
    return np.ascontiguousarray(np.cumsum(price[:, ::-1], axis=1)[:, ::-1])


def _tolls(reach: Reach, price: Floats) -> Tolls:
    shelf, tariff, ends_s = reach.shelf, reach.city.tariff, reach.city.ends_s
    toll = _toll(price)[shelf.machine]
    per_work_s = (shelf.rate[:, None] / 3600 + toll) * (1000 / shelf.pace[:, None])
    by_material = np.where(shelf.takes[:, :, None], per_work_s[:, None, :], np.inf)
    at_lab = _least_by_place(shelf.first, by_material)
    setup_at_lab = _least_by_place(shelf.first, shelf.setup.astype(np.float64))
    processes, labs = len(reach.city.processes), len(reach.map.labs)
    late_s = np.maximum(0, ends_s[None, :] - ends_s[:, None])
    return Tolls(
        toll,
        per_work_s,
        at_lab,
        at_lab.reshape(processes, labs, *at_lab.shape[1:]).min(axis=1),
        setup_at_lab,
        setup_at_lab.reshape(processes, labs).min(axis=1),
        -(-late_s * tariff.lateness_minor_per_h // 3600),
        np.array([tariff.transport_minor_per_km, tariff.co2_g_per_km * tariff.co2_minor_per_kg]),
    )


def _least_by_place(first: Ints, of_machines: Floats) -> Floats:
    """Where a process has no machine at a lab: infinite."""
    least = np.full((len(first) - 1, *of_machines.shape[1:]), np.inf)
    some = np.flatnonzero(np.diff(first))
    if len(some):
        least[some] = np.minimum.reduceat(of_machines, first[some], axis=0)
    return least


@compiled
def _limits(known: Ways, toll: Floats, least: Floats, limit: Floats) -> None:
    """As many ways as `least` is long are known to cost no more than this."""
    keep = len(least)
    for j in range(len(limit)):
        least[:] = np.inf
        for p in range(known.machine.shape[1]):
            i = known.machine[j, p]
            if i < 0:
                continue
            value = known.cost[j, p] + toll[i, known.bucket[j, p]] * known.seconds[j, p]
            at = keep
            while at > 0 and value < least[at - 1]:
                if at < keep:
                    least[at] = least[at - 1]
                at -= 1
            if at < keep:
                least[at] = value
        limit[j] = least[keep - 1]


@compiled
def _cheapest(
    m: Map, s: Shelf, a: Wishes, t: Tolls, ways: Ways, limit: Floats, best: Floats
) -> None:
    found, bucket, cost, weight = ways
    wanted, labs, tiles, order, least = m.wanted, m.labs, m.tile, m.nearest, m.least
    machine, first, takes, box_um, held_um = s.machine, s.first, s.takes, s.box_um, s.tolerance_um
    pace, rate, setup, hours_s = s.pace, s.rate, s.setup, s.hours_s
    toll, per_work_s, late_minor, at_lab = t.toll, t.per_work_s, t.late_minor, t.at_lab
    setup_at_lab = t.setup_at_lab
    keep, buckets, count = found.shape[1], hours_s.shape[1], len(labs)
    last = buckets - 1
    km_minor, km_co2 = t.per_km[0], t.per_km[1]
    per_way = EARTH_RADIUS_M * (km_minor / 1e3 + km_co2 / 1e6)
    values = np.zeros(keep)
    for j in range(len(found)):
        tile, material, work_s, due, many = tiles[j], a.material[j], a.work_s[j], a.due[j], 0
        process, worst = a.process[j], limit[j]
        late = 1.0 * late_minor[due, min(due + 1, last)]
        bought = a.material_minor[j] - _ROUNDING
        anywhere = t.anywhere[process, material]
        floor = min(anywhere[due] * work_s, late + anywhere[last] * work_s)
        floor += bought + t.setup_anywhere[process]
        for k in range(count):
            least_way = per_way * least[tile, k]
            if floor + least_way > worst:
                break
            lab = order[tile, k]
            place = process * count + lab
            here = min(
                at_lab[place, material, due] * work_s, late + at_lab[place, material, last] * work_s
            )
            here += bought + setup_at_lab[place]
            if here + least_way > worst or here == np.inf:
                continue
            metres = metres_of(square_of(wanted, j, labs, lab))
            way = -(-metres * km_minor // 1000) - (-metres * km_co2 // 1_000_000)
            if here + way > worst:
                continue
            for q in range(first[place], first[place + 1]):
                seconds_minor = min(
                    per_work_s[q, due] * work_s, late + per_work_s[q, last] * work_s
                )
                if bought + way + setup[q] + seconds_minor > worst or not (
                    takes[q, material]
                    and a.size_um[j, 0] <= box_um[q, 0]
                    and a.size_um[j, 1] <= box_um[q, 1]
                    and a.size_um[j, 2] <= box_um[q, 2]
                    and held_um[q] <= a.tolerance_um[j]
                ):
                    continue
                seconds = -(-work_s * 1000 // pace[q])
                paid = a.material_minor[j] + way + setup[q] - (-rate[q] * seconds // 3600)
                for b in range(due, buckets):
                    if seconds > hours_s[q, b]:
                        continue
                    minor = paid + late_minor[due, b]
                    value = minor + toll[q, b] * seconds
                    if value > worst:
                        continue
                    at = min(keep, many)
                    while at > 0 and (
                        value < values[at - 1]
                        or (value == values[at - 1] and machine[q] < found[j, at - 1])
                    ):
                        at -= 1
                    if at == keep:
                        continue
                    many = min(keep, many + 1)
                    for p in range(many - 1, at, -1):
                        values[p], found[j, p], bucket[j, p] = (
                            values[p - 1], found[j, p - 1], bucket[j, p - 1]
                        )  # fmt: skip
                        cost[j, p], weight[j, p] = cost[j, p - 1], weight[j, p - 1]
                    values[at], found[j, at], bucket[j, at] = value, machine[q], b
                    cost[j, at], weight[j, at] = minor, seconds
                    if many == keep:
                        worst = values[keep - 1]
        best[j] = values[0] if many else np.inf


# ---- from round to round


def joined(held: Ways, more: Ways, price: Floats, workers: int = 1, at_once: AtOnce = map) -> Ways:
    """`held`, with `more` where they are new: in free places, then in those of the dearest."""
    ways, toll = Ways(*(table.copy() for table in held)), _toll(price)

    def join(part: slice) -> None:
        _join(_part(ways, part), _part(more, part), toll)

    _in_parts(join, len(ways.machine), workers, at_once)
    return ways


def widened(ways: Ways, width: int) -> Ways:
    """With free places, up to `width` ways a job."""
    free = ((0, 0), (0, width - ways.machine.shape[1]))
    fills = (-1, 0, 0, 0)
    return Ways(*(np.pad(t, free, constant_values=v) for t, v in zip(ways, fills, strict=True)))


@compiled
def _join(held: Ways, more: Ways, toll: Floats) -> None:
    machine, bucket, cost, seconds = held
    width = machine.shape[1]
    value = np.zeros(width)
    for j in range(len(machine)):
        for p in range(width):
            i = machine[j, p]
            value[p] = cost[j, p] + toll[i, bucket[j, p]] * seconds[j, p] if i >= 0 else np.inf
        for q in range(more.machine.shape[1]):
            i, b = more.machine[j, q], more.bucket[j, q]
            if i < 0:
                break
            worst = 0
            for p in range(width):
                if machine[j, p] == i and bucket[j, p] == b:
                    worst = -1
                    break
                if value[p] > value[worst]:
                    worst = p
            mine = more.cost[j, q] + toll[i, b] * more.seconds[j, q]
            if worst >= 0 and mine < value[worst]:
                machine[j, worst], bucket[j, worst], value[worst] = i, b, mine
                cost[j, worst], seconds[j, worst] = more.cost[j, q], more.seconds[j, q]


# ---- why nobody


def refusals(reach: Reach, jobs: Ints) -> Ints:
    """Jobs asked for × STEPS: how many machines of the city are left after each."""
    left = np.zeros((len(jobs), len(STEPS)), np.int64)
    _refusals(reach.shelf, reach.wishes, jobs, reach.map.labs, left)
    return left


@compiled
def _refusals(s: Shelf, a: Wishes, jobs: Ints, labs: Floats, left: Ints) -> None:
    count = len(labs)
    for k in range(len(jobs)):
        j = jobs[k]
        process, material = a.process[j], a.material[j]
        for q in range(s.first[process * count], s.first[(process + 1) * count]):
            left[k, 0] += 1
            if not s.takes[q, material]:
                continue
            left[k, 1] += 1
            if (
                a.size_um[j, 0] > s.box_um[q, 0]
                or a.size_um[j, 1] > s.box_um[q, 1]
                or a.size_um[j, 2] > s.box_um[q, 2]
            ):
                continue
            left[k, 2] += 1
            if s.tolerance_um[q] > a.tolerance_um[j]:
                continue
            left[k, 3] += 1
            if a.work_s[j] * 1000 <= s.hours_s[q, -1] * s.pace[q]:
                left[k, 4] += 1
