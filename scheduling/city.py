"""A whole city as columns of whole numbers: labs, machines, jobs, due buckets and what counts.

It promises sane columns from birth and the same cost lines to the search, the plan and the check;
it never chooses. A lab, a machine, a job, a process and a material are their places in the columns,
so none is there twice. Units: micro-degrees (`_udeg`), micrometres (`_um`), seconds (`_s`), minor
units of one currency (`_minor`); every line of the cost is rounded up to whole ones.
"""

from dataclasses import dataclass, fields
from math import sqrt
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from scheduling.cells import Floats, Ints
from scheduling.compiled import compiled, inlined
from scheduling.distance import EARTH_RADIUS_M

Bools = NDArray[np.bool_]
_LENGTH_MAX_UM: Final = 10**9
_MONEY_MAX_MINOR: Final = 10**9
_RATE_MAX_MINOR: Final = 10**6
_WORK_MAX_S: Final = 10**7
_END_MAX_S: Final = 10**8
_PACE_PERMILLE: Final = (10, 100_000)


class CityError(ValueError):
    """A column contradicts another or holds an absurd number; the message says where."""


@dataclass(frozen=True, eq=False)
class Labs:
    lat_udeg: Ints
    lon_udeg: Ints


@dataclass(frozen=True, eq=False)
class Machines:
    """`takes`: machines × materials. `envelope_um`: x, y, z. A job's work takes `work_s` × 1000 ÷
    `pace_permille` seconds here, rounded up. `hours_s`: open seconds until the end of each bucket.
    """

    lab: Ints
    process: Ints
    takes: Bools
    envelope_um: Ints
    tolerance_um: Ints
    rate_minor_per_h: Ints
    setup_minor: Ints
    pace_permille: Ints
    hours_s: Ints


@dataclass(frozen=True, eq=False)
class Jobs:
    """`due`: the bucket by whose end it is wanted. `value_minor`: the price of leaving it out.

    `size_um` is compared with an envelope axis by axis; `work_s` is the time at a pace of 1000.
    """

    lat_udeg: Ints
    lon_udeg: Ints
    process: Ints
    material: Ints
    size_um: Ints
    tolerance_um: Ints
    work_s: Ints
    due: Ints
    material_minor: Ints
    value_minor: Ints


@dataclass(frozen=True)
class Tariff:
    """What counts how much besides the machines; an hour late is counted from bucket to bucket."""

    transport_minor_per_km: int = 30
    co2_g_per_km: int = 150
    co2_minor_per_kg: int = 20
    lateness_minor_per_h: int = 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or not 0 <= value <= _RATE_MAX_MINOR:
                raise CityError(
                    f"tariff.{field.name} is {value!r}; give a whole number from 0 to"
                    f" {_RATE_MAX_MINOR}"
                )


@dataclass(frozen=True, eq=False)
class City:
    """`ends_s`: when each due bucket ends, from now on. `processes` and `materials`: their ids."""

    labs: Labs
    machines: Machines
    jobs: Jobs
    ends_s: Ints
    processes: tuple[str, ...]
    materials: tuple[str, ...]
    tariff: Tariff = Tariff()

    def __post_init__(self) -> None:
        _names("processes", self.processes)
        _names("materials", self.materials)
        _column("ends_s", self.ends_s, (len(self.ends_s),), (1, _END_MAX_S))
        if not len(self.ends_s) or (np.diff(self.ends_s) <= 0).any():
            raise CityError("ends_s must name at least one bucket, each ending after the last")
        _places("labs", self.labs.lat_udeg, self.labs.lon_udeg)
        self._check_machines()
        self._check_jobs()

    def _check_machines(self) -> None:
        machines, count = self.machines, len(self.machines.lab)
        money, length = (0, _MONEY_MAX_MINOR), (0, _LENGTH_MAX_UM)
        for name, shape, span in (
            ("lab", (count,), (0, len(self.labs.lat_udeg) - 1)),
            ("process", (count,), (0, len(self.processes) - 1)),
            ("envelope_um", (count, 3), (1, _LENGTH_MAX_UM)),
            ("tolerance_um", (count,), length),
            ("rate_minor_per_h", (count,), (0, _RATE_MAX_MINOR)),
            ("setup_minor", (count,), money),
            ("pace_permille", (count,), _PACE_PERMILLE),
            ("hours_s", (count, len(self.ends_s)), (0, _END_MAX_S)),
        ):
            _column(f"machines.{name}", getattr(machines, name), shape, span)
        takes = (count, len(self.materials))
        if machines.takes.dtype != np.bool_ or machines.takes.shape != takes:
            raise CityError(f"machines.takes must be a table of true and false, {_as(takes)}")
        self._check_hours()

    def _check_hours(self) -> None:
        """A machine cannot be open for longer than time runs, nor lose hours that it had."""
        hours = self.machines.hours_s
        steps = np.diff(hours, axis=1, prepend=0)
        spans = np.diff(self.ends_s, prepend=0)
        for wrong, what in (
            (steps < 0, "falls; hours until a later end hold those until an earlier one"),
            (steps > spans, "grows by more than the bucket's own length; count each second once"),
        ):
            if wrong.any():
                machine, bucket = (int(at) for at in np.argwhere(wrong)[0])
                raise CityError(f"machines.hours_s[{machine}, {bucket}] {what}")

    def _check_jobs(self) -> None:
        jobs, count = self.jobs, len(self.jobs.work_s)
        _places("jobs", jobs.lat_udeg, jobs.lon_udeg)
        for name, shape, span in (
            ("lat_udeg", (count,), (-90_000_000, 90_000_000)),
            ("process", (count,), (0, len(self.processes) - 1)),
            ("material", (count,), (0, len(self.materials) - 1)),
            ("size_um", (count, 3), (0, _LENGTH_MAX_UM)),
            ("tolerance_um", (count,), (0, _LENGTH_MAX_UM)),
            ("work_s", (count,), (1, _WORK_MAX_S)),
            ("due", (count,), (0, len(self.ends_s) - 1)),
            ("material_minor", (count,), (0, _MONEY_MAX_MINOR)),
            ("value_minor", (count,), (0, _MONEY_MAX_MINOR)),
        ):
            _column(f"jobs.{name}", getattr(jobs, name), shape, span)


def _names(where: str, names: tuple[str, ...]) -> None:
    if not names or len(set(names)) != len(names) or not all(names):
        raise CityError(f"{where} is {names!r}; name at least one, each once")


def _places(where: str, lat_udeg: Ints, lon_udeg: Ints) -> None:
    count = len(lat_udeg)
    _column(f"{where}.lat_udeg", lat_udeg, (count,), (-90_000_000, 90_000_000))
    _column(f"{where}.lon_udeg", lon_udeg, (count,), (-180_000_000, 180_000_000))


def _column(where: str, numbers: Ints, shape: tuple[int, ...], span: tuple[int, int]) -> None:
    if numbers.dtype != np.int64:
        raise CityError(f"{where} is kept as {numbers.dtype}; give 64-bit whole numbers")
    if numbers.shape != shape:
        raise CityError(f"{where} is {_as(numbers.shape)}; it must be {_as(shape)}")
    wrong = (numbers < span[0]) | (numbers > span[1])
    if wrong.any():
        at = tuple(int(index) for index in np.argwhere(wrong)[0])
        raise CityError(
            f"{where}[{', '.join(map(str, at))}] is {numbers[at]};"
            f" it must lie between {span[0]} and {span[1]}"
        )


def _as(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "one number"


class Lines(NamedTuple):
    """What each job costs on its machine, done by the end of its bucket; a column for each line."""

    machine: Ints
    setup: Ints
    material: Ints
    transport: Ints
    co2: Ints
    lateness: Ints

    @property
    def total(self) -> Ints:
        return np.stack(self).sum(axis=0)


def lines(city: City, job: Ints, machine: Ints, bucket: Ints) -> Lines:
    """Job for job; the three columns are of one length."""
    jobs, machines, tariff = city.jobs, city.machines, city.tariff
    metres = metres_between(city, job, machine)
    late_s = np.maximum(0, city.ends_s[bucket] - city.ends_s[jobs.due[job]])
    worked = machines.rate_minor_per_h[machine] * seconds_on(city, job, machine)
    return Lines(
        _up(worked, 3600),
        machines.setup_minor[machine],
        jobs.material_minor[job],
        _up(metres * tariff.transport_minor_per_km, 1000),
        _up(metres * (tariff.co2_g_per_km * tariff.co2_minor_per_kg), 1_000_000),
        _up(late_s * tariff.lateness_minor_per_h, 3600),
    )


class Choice(NamedTuple):
    """Of each job the machine and the bucket by whose end it is done there; -1 twice: left out."""

    machine: Ints
    bucket: Ints


def cost_of(city: City, choice: Choice) -> Ints:
    """Job for job; what leaving out costs where it is left out."""
    placed = np.flatnonzero(choice.machine >= 0)
    cost = city.jobs.value_minor.copy()
    cost[placed] = lines(city, placed, choice.machine[placed], choice.bucket[placed]).total
    return cost


def seconds_on(city: City, job: Ints, machine: Ints) -> Ints:
    """How long the machine is at each job."""
    return _up(city.jobs.work_s[job] * 1000, city.machines.pace_permille[machine])


def _up(numbers: Ints, divisor: int | Ints) -> Ints:
    return cast("Ints", -(-numbers // divisor))


def on_the_globe(lat_udeg: Ints, lon_udeg: Ints) -> Floats:
    """Places as points of a ball of radius 1, x, y, z: they know neither poles nor a date line."""
    lat, lon = np.radians(lat_udeg / 1e6), np.radians(lon_udeg / 1e6)
    flat = np.cos(lat)
    return np.stack([flat * np.cos(lon), flat * np.sin(lon), np.sin(lat)], axis=1)


def metres_between(city: City, job: Ints, machine: Ints) -> Ints:
    """From where each job is wanted to the machine's lab, on a great circle."""
    wanted = on_the_globe(city.jobs.lat_udeg, city.jobs.lon_udeg)
    labs = on_the_globe(city.labs.lat_udeg, city.labs.lon_udeg)
    metres = np.zeros(len(job), np.int64)
    _measure(wanted, labs, job, city.machines.lab[machine], metres)
    return metres


@compiled
def _measure(wanted: Floats, labs: Floats, job: Ints, lab: Ints, metres: Ints) -> None:
    for k in range(len(job)):
        metres[k] = metres_of(square_of(wanted, job[k], labs, lab[k]))


@inlined
def square_of(places: Floats, one: int, others: Floats, other: int) -> float:
    """The square of the straight way through the ball."""
    x = places[one, 0] - others[other, 0]
    y = places[one, 1] - others[other, 1]
    z = places[one, 2] - others[other, 2]
    return x * x + y * y + z * z


@compiled
def metres_of(square: float) -> int:
    """Along the surface: twice the arc sine of half the straight way, by its series.

    Angles are halved until the series is exact; sums and roots alone give the same everywhere.
    """
    x, times = min(1.0, 0.5 * sqrt(square)), 2.0
    while x > 0.1:
        x = x / sqrt(2.0 * (1.0 + sqrt(1.0 - x * x)))
        times *= 2.0
    q = x * x
    series = 231.0 / 13312.0
    series = 63.0 / 2816.0 + q * series
    series = 35.0 / 1152.0 + q * series
    series = 5.0 / 112.0 + q * series
    series = 3.0 / 40.0 + q * series
    series = 1.0 / 6.0 + q * series
    return int(EARTH_RADIUS_M * times * (x + x * q * series) + 0.5)
