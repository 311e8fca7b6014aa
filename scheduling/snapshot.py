"""Quotes in an instant: what one job would cost in a planned city, where, and by when.

It promises the best of all machines that still have room, with the lines of the city's own cost,
and that no two holds take the same hours; it never changes: a hold makes another snapshot.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduling.cells import Floats, Ints
from scheduling.city import (
    Choice,
    City,
    Jobs,
    Machines,
    metres_of,
    on_the_globe,
    square_of,
)
from scheduling.citywide import room_in
from scheduling.compiled import compiled
from scheduling.distance import EARTH_RADIUS_M
from scheduling.prices import tolls
from scheduling.reach import STEPS, Ways

OFFERS: Final = 3
_ROUNDING: Final = 1e-3
_CLASSES_S: Final = (0, *(900 * 2**step for step in range(9)))  # from where jobs are as long
# what is asked about, a row for each job
_SHELF, _X, _Y, _Z, _TOLERANCE, _WORK, _DUE, _BOUGHT = range(8)
# a machine: its envelope, then
_HELD, _PACE, _RATE, _SETUP = range(3, 7)
# what is found: an offer as whole numbers, its lines at the end
_MACHINE, _ROW, _METRES, _SECONDS, _HOURS, _LINES = range(6)
_FOUND: Final = 11
_SPANS: Final = {
    "lat_udeg": (-90_000_000, 90_000_000),
    "lon_udeg": (-180_000_000, 180_000_000),
    "size_um": (0, 10**9),
    "tolerance_um": (0, 10**9),
    "work_s": (1, 10**7),
    "material_minor": (0, 10**9),
}


class QuoteError(ValueError):
    """What is asked about cannot be, or not in this city; the message says what."""


class TakenError(LookupError):
    """Those hours are no longer free: ask for a new quote."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One job. `due`: the row by whose end it is wanted; None: as soon as may be, and never late.

    Units and places of process and material are those of `city.Jobs`.
    """

    lat_udeg: int
    lon_udeg: int
    process: int
    material: int
    size_um: tuple[int, int, int]
    tolerance_um: int
    work_s: int
    due: int | None = None
    material_minor: int = 0

    def __post_init__(self) -> None:
        if len(self.size_um) != 3:
            raise QuoteError(f"size_um is {self.size_um!r}; give x, y and z")
        for name, (least, most) in _SPANS.items():
            said = getattr(self, name)
            for number in said if name == "size_um" else (said,):
                if type(number) is not int or not least <= number <= most:
                    raise QuoteError(
                        f"{name} is {said!r}; give whole numbers from {least} to {most}"
                    )


class Bill(NamedTuple):
    """The lines of `city.Lines`, of one job."""

    machine: int
    setup: int
    material: int
    transport: int
    co2: int
    lateness: int


class Offer(NamedTuple):
    """Done on that machine by the end of that row, for the sum of the lines.

    `hours_minor`: what the hours that it takes are worth to others, 0 where nobody queues; offers
    are ranked with it, and nobody pays it.
    """

    machine: int
    row: int
    metres: int
    seconds: int
    hours_minor: int
    bill: Bill

    @property
    def cost_minor(self) -> int:
        return sum(self.bill)

    @property
    def rank_minor(self) -> int:
        return self.cost_minor + self.hours_minor


class Offers(NamedTuple):
    """The best first, at most three. `left`: where there are none, how many machines are left after
    each of `reach.STEPS`; hours are those still free.
    """

    best: tuple[Offer, ...]
    left: tuple[int, ...] = ()

    @property
    def ahead_minor(self) -> int | None:
        """By how much the first ranks before the runner-up, None where there is none."""
        if len(self.best) < 2:
            return None
        return self.best[1].rank_minor - self.best[0].rank_minor

    @property
    def step(self) -> str | None:
        """At which step the last machine fell out."""
        if self.best:
            return None
        return next(name for name, many in zip(STEPS, self.left, strict=True) if not many)


class Hold(NamedTuple):
    """Hours of a machine, by the end of a row, kept for somebody until then."""

    machine: int
    row: int
    seconds: int
    until_s: int


class Tables(NamedTuple):
    """What stays as it is from hold to hold.

    A spot is a lab that has machines which take a material in a process: their numbers are those in
    `taker` from `begin[spot]` up to the next spot's.
    """

    first: Ints
    """By process × materials + material: its first spot; the next one's ends it."""
    place: Floats
    """By spot, x, y, z."""
    begin: Ints
    floor: Floats
    """Classes of work × spots × rows: no second of work at a pace of 1000 costs less there, its
    hours included, of a job that is as long as the class begins; infinite without room.
    """
    setup: Ints
    """By spot: no machine is set up for less."""
    taker: Ints
    machine: Ints
    """Machines × what the quote needs of them."""
    toll: Floats
    late_minor: Ints
    """Due row × row; the last line is for what is never late."""
    per_km: Ints
    """Transport in minor units, CO2 in thousandths of them."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A planned city at one moment; see `snapshot_of`. Seconds are counted from its plan's now."""

    tables: Tables
    of_process: tuple[int, ...]
    materials: int
    room: Ints
    holds: tuple[Hold, ...] = ()

    @property
    def rows(self) -> int:
        return int(self.room.shape[1])

    def quote(self, asked: Asked) -> Offers:
        """Raises QuoteError where this city has no such process, material or row."""
        numbers = np.array([self._numbers(asked)], np.int64)
        found = np.empty((1, OFFERS, _FOUND), np.int64)
        many = _quote(self.tables, self.room, _point(asked), numbers, found)
        if many:
            return Offers(tuple(map(_offer, found[0, :many].tolist())))
        left = np.zeros(len(STEPS), np.int64)
        left[0] = self.of_process[asked.process]
        _count(self.tables, self.room, numbers[0], left)
        return Offers((), tuple(left.tolist()))

    def _numbers(self, asked: Asked) -> tuple[int, ...]:
        for name, number, below in (
            ("process", asked.process, len(self.of_process)),
            ("material", asked.material, self.materials),
            ("due", asked.due or 0, self.rows),
        ):
            if type(number) is not int or not 0 <= number < below:
                raise QuoteError(f"{name} is {number!r}; this city knows 0 to {below - 1}")
        shelf = asked.process * self.materials + asked.material
        due = -1 if asked.due is None else asked.due
        return (
            shelf, *asked.size_um, asked.tolerance_um, asked.work_s, due, asked.material_minor
        )  # fmt: skip

    def ways(self, jobs: Jobs, keep: int = OFFERS) -> Ways:
        """Of many jobs at once, `keep` offers each, as ways; -1 as the machine where there are
        fewer. Whoever asks has checked the columns, as `City` does.
        """
        places = on_the_globe(jobs.lat_udeg, jobs.lon_udeg)
        found = np.zeros((len(places), keep, _FOUND), np.int64)
        found[:, :, _MACHINE] = -1
        _quote(self.tables, self.room, places, _columns(jobs, self.materials), found)
        cost = found[:, :, _LINES:].sum(axis=2)
        return Ways(
            found[:, :, _MACHINE].copy(), found[:, :, _ROW].copy(), cost,
            found[:, :, _SECONDS].copy(),
        )  # fmt: skip

    def held(self, offer: Offer, until_s: int, now_s: int) -> "Snapshot":
        """With those hours taken until then, and without the holds that have expired by now.

        Raises TakenError where the hours are no longer free.
        """
        if until_s <= now_s:
            raise QuoteError(f"a hold until {until_s} has expired at {now_s}; hold it for longer")
        base = self.expired(now_s)
        i, row = offer.machine, offer.row
        if base.room[i, row:].min() < offer.seconds:
            raise TakenError(f"machine {i} has no {offer.seconds} s left by the end of row {row}")
        hold = Hold(i, row, offer.seconds, until_s)
        return replace(base, room=_taken(base.room, [hold], 1), holds=(*base.holds, hold))

    def expired(self, now_s: int) -> "Snapshot":
        """With the hours of all holds given back that end by now; itself where none does."""
        over = [hold for hold in self.holds if hold.until_s <= now_s]
        if not over:
            return self
        kept = tuple(hold for hold in self.holds if hold.until_s > now_s)
        return replace(self, room=_taken(self.room, over, -1), holds=kept)


def snapshot_of(city: City, choice: Choice, price: Floats) -> Snapshot:
    """`price`: machines × rows, for a second of hours, as the plan was made by."""
    of_process = np.bincount(city.machines.process, minlength=len(city.processes))
    room = room_in(city, choice)
    return Snapshot(
        Tables(*map(_kept, _tables(city, price, room))),
        tuple(of_process.tolist()),
        len(city.materials),
        _kept(room),
    )


def _kept(table: NDArray[Any]) -> NDArray[Any]:
    """So that nobody changes what others still look at."""
    table.flags.writeable = False
    return table


def _tables(city: City, price: Floats, room: Ints) -> Tables:
    machines, tariff, ends_s = city.machines, city.tariff, city.ends_s
    taker, material = (axis.astype(np.int64) for axis in np.nonzero(machines.takes))
    shelf = machines.process[taker] * len(city.materials) + material
    lab = machines.lab[taker]
    order = np.lexsort((taker, lab, shelf))
    taker, shelf, lab = taker[order], shelf[order], lab[order]
    at = np.flatnonzero(np.diff(shelf * len(city.labs.lat_udeg) + lab, prepend=-1))
    toll = tolls(price)
    per_work_s = _per_work_s(machines, toll, room)[:, taker]
    late_s = np.maximum(0, ends_s[None, :] - ends_s[:, None])
    late_minor = np.zeros((len(ends_s) + 1, len(ends_s)), np.int64)
    late_minor[:-1] = -(-late_s * tariff.lateness_minor_per_h // 3600)
    return Tables(
        np.searchsorted(shelf[at], np.arange(len(city.processes) * len(city.materials) + 1)),
        on_the_globe(city.labs.lat_udeg, city.labs.lon_udeg)[lab[at]],
        np.append(at, len(taker)),
        np.stack([_least(of_class, at) for of_class in per_work_s]),
        _least(machines.setup_minor[taker], at),
        taker,
        np.column_stack(
            [machines.envelope_um, machines.tolerance_um, machines.pace_permille,
             machines.rate_minor_per_h, machines.setup_minor]
        ),
        toll,
        late_minor,
        np.array([tariff.transport_minor_per_km, tariff.co2_g_per_km * tariff.co2_minor_per_kg]),
    )  # fmt: skip


def _per_work_s(machines: Machines, toll: Floats, room: Ints) -> Floats:
    """Classes × machines × rows; holds only ever leave less room than there is now."""
    pace = machines.pace_permille[:, None]
    minor = (machines.rate_minor_per_h[:, None] / 3600 + toll) * (1000 / pace)
    return np.stack([np.where(room * pace >= begin * 1000, minor, np.inf) for begin in _CLASSES_S])


def _least(of_takers: NDArray[Any], at: Ints) -> NDArray[Any]:
    return np.minimum.reduceat(of_takers, at, axis=0) if len(at) else of_takers[:0]


def _columns(jobs: Jobs, materials: int) -> Ints:
    shelf = jobs.process * materials + jobs.material
    return np.column_stack(
        [shelf, jobs.size_um, jobs.tolerance_um, jobs.work_s, jobs.due,
         jobs.material_minor]
    )  # fmt: skip


def _point(asked: Asked) -> Floats:
    """As `on_the_globe`, of one place and three times as quick."""
    angles = np.radians(np.array((asked.lat_udeg, asked.lon_udeg)) / 1e6)
    (flat, east), (up, west) = np.cos(angles).tolist(), np.sin(angles).tolist()
    return np.array([(flat * east, flat * west, up)])


def _offer(found: list[int]) -> Offer:
    machine, row, metres, seconds, hours_minor = found[:_LINES]
    return Offer(machine, row, metres, seconds, hours_minor, Bill(*found[_LINES:]))


def _taken(room: Ints, holds: Iterable[Hold], sign: int) -> Ints:
    """Or given back: what is done by the end of a row is so by the end of all later ones."""
    room = room.copy()
    for hold in holds:
        room[hold.machine, hold.row :] -= sign * hold.seconds
    return _kept(room)


# ---- the loops


@compiled
def _quote(t: Tables, room: Ints, places: Floats, asked: Ints, found: Ints) -> int:
    """The best offers for each job, and how many for the last one.

    The spot is looked at next where an offer could be cheapest; those that can no longer have one
    of the best are dropped on the way.
    """
    first, place, begin, floor, setup = t.first, t.place, t.begin, t.floor, t.setup
    taker, machine, toll, late_minor = t.taker, t.machine, t.toll, t.late_minor
    km_minor, km_co2, rows, keep = t.per_km[0], t.per_km[1], room.shape[1], found.shape[1]
    many = 0
    per_m = km_minor / 1e3 + km_co2 / 1e6
    per_way, values = per_m * EARTH_RADIUS_M, np.empty(keep, np.int64)
    for j in range(len(asked)):
        shelf, work_s, due, bought = (
            asked[j, _SHELF],
            asked[j, _WORK],
            asked[j, _DUE],
            asked[j, _BOUGHT],
        )
        x_um, y_um, z_um, wanted_um = asked[j, _X], asked[j, _Y], asked[j, _Z], asked[j, _TOLERANCE]
        start, many, worst = max(0, due), 0, np.inf
        length = 0
        while length + 1 < len(floor) and _CLASSES_S[length + 1] <= work_s:
            length += 1
        base = bought - _ROUNDING - 0.5 * per_m  # metres are rounded
        spot = np.arange(int(first[shelf]), int(first[shelf + 1]))
        low = np.empty(len(spot))
        for k in range(len(spot)):
            at = spot[k]
            hours = np.inf
            for b in range(start, rows):
                hours = min(hours, late_minor[due, b] + floor[length, at, b] * work_s)
            low[k] = base + setup[at] + hours + per_way * sqrt(square_of(places, j, place, at))
        left = len(spot)
        while left > 0:
            kept, next_at = 0, 0
            for k in range(left):
                if low[k] <= worst and low[k] < np.inf:
                    low[kept], spot[kept] = low[k], spot[k]
                    if low[kept] < low[next_at]:
                        next_at = kept
                    kept += 1
            if kept == 0:
                break
            left = kept - 1
            at = spot[next_at]
            low[next_at], spot[next_at] = low[left], spot[left]
            metres = metres_of(square_of(places, j, place, at))
            transport, co2 = -(-metres * km_minor // 1000), -(-metres * km_co2 // 1_000_000)
            for each in range(begin[at], begin[at + 1]):
                q = taker[each]
                if (
                    x_um > machine[q, 0]
                    or y_um > machine[q, 1]
                    or z_um > machine[q, 2]
                    or machine[q, _HELD] > wanted_um
                ):
                    continue
                seconds, b = -(-work_s * 1000 // machine[q, _PACE]), rows
                while b > start and room[q, b - 1] >= seconds:
                    b -= 1
                if b == rows:
                    continue
                hours_minor = ceil(toll[q, b] * seconds)
                paid, late_by = -(-machine[q, _RATE] * seconds // 3600), late_minor[due, b]
                value = paid + machine[q, _SETUP] + bought + transport + co2 + late_by + hours_minor
                to = many
                while to > 0 and (
                    value < values[to - 1]
                    or (value == values[to - 1] and q < found[j, to - 1, _MACHINE])
                ):
                    to -= 1
                if to == keep:
                    continue
                many = min(keep, many + 1)
                for p in range(many - 1, to, -1):
                    values[p] = values[p - 1]
                    found[j, p] = found[j, p - 1]
                values[to] = value
                offer = found[j, to]
                offer[0], offer[1], offer[2], offer[3], offer[4] = (
                    q, b, metres, seconds, hours_minor
                )  # fmt: skip
                offer[5], offer[6], offer[7], offer[8], offer[9], offer[10] = (
                    paid, machine[q, _SETUP], bought, transport, co2, late_by
                )  # fmt: skip
                if many == keep:
                    worst = 1.0 * values[keep - 1]
    return many


@compiled
def _count(t: Tables, room: Ints, asked: Ints, left: Ints) -> None:
    """How many machines are left after each step but the first."""
    shelf, work_s = asked[_SHELF], asked[_WORK]
    rows = room.shape[1]
    for each in range(t.begin[t.first[shelf]], t.begin[t.first[shelf + 1]]):
        q = t.taker[each]
        left[1] += 1
        if (
            asked[_X] > t.machine[q, 0]
            or asked[_Y] > t.machine[q, 1]
            or asked[_Z] > t.machine[q, 2]
        ):
            continue
        left[2] += 1
        if t.machine[q, _HELD] > asked[_TOLERANCE]:
            continue
        left[3] += 1
        if room[q, rows - 1] >= -(-work_s * 1000 // t.machine[q, _PACE]):
            left[4] += 1
