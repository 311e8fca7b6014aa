"""Makes up a city at a real place: the same seed, sizes and load give the same city.

It promises a job nothing that no machine of the city could do on time if it were alone; it never
looks at how well anything plans it. What it assumes:

- Labs and makers stand around a dozen quarters of the city, and thinner all over it.
- Six machines in ten are printers, one or two a mill, two or three a laser cutter. A quick machine
  is dearer by the hour. Printers work through the night; mills and lasers while their lab is
  staffed. Each is offered to the network for a share of its hours only, and some are busy at first.
- A job is a batch, drawn with one machine in mind: of a material that this one takes, not larger
  than it takes, not finer than it holds. Urgent batches are smaller. The first that came is job 0.
- Load is the work of all jobs at the mean pace of their process's machines, weighted by hours, over
  the hours that the machines offer within the week. Work is scaled until each process has that.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from designs.processes import FDM, LASER, MILL
from scheduling.cells import Floats, Ints
from scheduling.city import City, Jobs, Labs, Machines

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
ENDS_S: Final = (HOUR_S * 12, DAY_S, 2 * DAY_S, 3 * DAY_S, 5 * DAY_S, 7 * DAY_S)
STARTS_AT_H: Final = 8
PLACES: Final = {
    "accra": (5.556, -0.197),
    "barcelona": (41.383, 2.177),
    "berlin": (52.520, 13.405),
    "boston": (42.360, -71.058),
    "jakarta": (-6.175, 106.827),
    "longyearbyen": (78.223, 15.647),
    "mexico-city": (19.433, -99.133),
    "mumbai": (19.076, 72.878),
    "nairobi": (-1.286, 36.817),
    "paris": (48.857, 2.352),
    "reykjavik": (64.147, -21.943),
    "sao-paulo": (-23.551, -46.633),
    "suva": (-18.142, 178.442),
    "tokyo": (35.690, 139.692),
    "waiyevo": (-16.790, -179.990),
    "wellington": (-41.289, 174.777),
}
PROCESSES: Final = (FDM, MILL, LASER)
_KM_PER_DEGREE: Final = 111.195
_MOST_KM: Final = 60.0
# the share of jobs due by the end of each bucket, and their work beside a mean one's
_DUE: Final = (0.08, 0.11, 0.16, 0.16, 0.24, 0.25)
_WORK_BY_DUE: Final = (0.55, 0.75, 0.95, 1.0, 1.05, 1.15)
_SPREAD: Final = 0.7
_SHIFTS_H: Final = ((9, 17), (10, 18), (10, 20), (9, 22), (14, 22))
_CLOSED_DAYS: Final = ((5, 6), (6,), (6, 0), ())


class Kind(NamedTuple):
    """What machines of a process are like; `of`: their share, `asked`: of the jobs."""

    of: float
    asked: float
    boxes_mm: tuple[tuple[int, int, int], ...]
    boxes_share: tuple[float, ...]
    tolerances_um: tuple[int, ...]
    pace: tuple[float, float]
    rate_minor: tuple[int, int]
    setup_minor: tuple[int, int]
    offered: tuple[float, float]
    material_minor_per_h: tuple[int, int]
    materials: dict[str, tuple[float, float]]
    """How many machines take it, and how often it is asked for."""


KINDS: Final = (
    Kind(
        of=0.60, asked=0.75,
        boxes_mm=((180, 180, 180), (220, 220, 250), (250, 210, 210), (300, 300, 340),
                  (400, 400, 450)),
        boxes_share=(0.15, 0.35, 0.30, 0.15, 0.05),
        tolerances_um=(150, 200, 300, 400), pace=(0.7, 2.0), rate_minor=(120, 320),
        setup_minor=(80, 300), offered=(0.4, 1.0), material_minor_per_h=(20, 60),
        materials={"pla": (1.0, 5.0), "petg": (0.7, 2.5), "tpu": (0.3, 0.7), "abs": (0.35, 0.8),
                   "asa": (0.25, 0.6)},
    ),
    Kind(
        of=0.15, asked=0.10,
        boxes_mm=((300, 180, 60), (600, 400, 90), (1200, 900, 120), (2500, 1250, 150)),
        boxes_share=(0.25, 0.30, 0.25, 0.20),
        tolerances_um=(50, 100, 200), pace=(0.7, 1.5), rate_minor=(1500, 4000),
        setup_minor=(500, 1500), offered=(0.4, 0.9), material_minor_per_h=(300, 900),
        materials={"plywood": (0.9, 3.0), "birch_plywood": (0.8, 2.0), "mdf": (0.8, 1.0),
                   "hdpe": (0.6, 1.0), "acrylic": (0.5, 0.6), "beech": (0.6, 1.2),
                   "aluminium": (0.35, 1.2)},
    ),
    Kind(
        of=0.25, asked=0.15,
        boxes_mm=((400, 300, 12), (600, 400, 12), (900, 600, 15), (1300, 900, 20)),
        boxes_share=(0.20, 0.30, 0.30, 0.20),
        tolerances_um=(100, 150, 250), pace=(0.7, 1.6), rate_minor=(1000, 2600),
        setup_minor=(150, 600), offered=(0.4, 0.9), material_minor_per_h=(200, 700),
        materials={"plywood": (0.95, 3.0), "birch_plywood": (0.9, 2.0), "mdf": (0.7, 1.0),
                   "acrylic": (0.8, 2.0), "cardboard": (0.5, 0.6)},
    ),
)  # fmt: skip
MATERIALS: Final = tuple(sorted({name for kind in KINDS for name in kind.materials}))


@dataclass(frozen=True)
class Asked:
    """How large a city, how full, where and by which chance."""

    seed: int
    jobs: int
    machines: int
    labs: int
    load: float
    place: str = "paris"


def city_of(asked: Asked) -> City:
    chance = np.random.default_rng(asked.seed)
    quarters = _scattered(chance, 12, 9.0)
    lab_km = _around(chance, quarters, asked.labs)
    labs = Labs(*_on_the_map(asked.place, lab_km))
    machines = _machines(chance, asked)
    jobs = _jobs(chance, asked, machines, _around(chance, quarters, asked.jobs))
    ends_s = np.array(ENDS_S, np.int64)
    return City(labs, machines, jobs, ends_s, PROCESSES, MATERIALS)


def load_of(city: City) -> tuple[float, ...]:
    """Of all, then of each process: see above; 0 where a process has neither work nor hours."""
    work_h, open_h = _work_and_hours(city.machines, city.jobs.process, city.jobs.work_s)
    each = np.divide(work_h, open_h, out=np.zeros_like(work_h), where=open_h > 0)
    return (float(work_h.sum() / max(open_h.sum(), 1e-9)), *map(float, each))


def _work_and_hours(machines: Machines, process: Ints, work_s: Ints) -> tuple[Floats, Floats]:
    """By process, in hours; work at the mean pace, weighted by the hours within the week."""
    week_s, kinds = machines.hours_s[:, -1], len(PROCESSES)
    open_s = np.bincount(machines.process, week_s, kinds)
    paced_s = np.bincount(machines.process, week_s * machines.pace_permille / 1000, kinds)
    pace = np.divide(paced_s, open_s, out=np.ones(kinds), where=open_s > 0)
    return np.bincount(process, work_s, kinds) / pace / HOUR_S, open_s / HOUR_S


# ---- places


def _scattered(chance: Generator, count: int, spread_km: float) -> Floats:
    """East and north of the centre, in km, never farther than the city reaches."""
    km = chance.normal(0.0, spread_km, (count, 2))
    far = np.hypot(*km.T) / _MOST_KM
    return km / np.maximum(far, 1.0)[:, None]


def _around(chance: Generator, quarters: Floats, count: int) -> Floats:
    """Seven in ten in a quarter, more in the first ones; the others all over the city."""
    popular = 1.0 / np.arange(2, len(quarters) + 2)
    home = chance.choice(len(quarters), count, p=popular / popular.sum())
    km = quarters[home] + _scattered(chance, count, 2.5)
    wide = _scattered(chance, count, 16.0)
    return np.where(chance.random(count)[:, None] < 0.7, km, wide)


def _on_the_map(place: str, km: Floats) -> tuple[Ints, Ints]:
    lat, lon = PLACES[place]
    lats = np.clip(lat + km[:, 1] / _KM_PER_DEGREE, -90.0, 90.0)
    lons = lon + km[:, 0] / (_KM_PER_DEGREE * max(0.01, float(np.cos(np.radians(lat)))))
    lons = (lons + 180.0) % 360.0 - 180.0
    return np.rint(lats * 1e6).astype(np.int64), np.rint(lons * 1e6).astype(np.int64)


# ---- machines


def _machines(chance: Generator, asked: Asked) -> Machines:
    count = asked.machines
    lab = np.sort(np.concatenate(
        [np.arange(asked.labs), chance.integers(0, asked.labs, count - asked.labs)]
    ))  # fmt: skip
    process = _kinds_of(chance, count)
    columns = {name: np.zeros(count, np.int64) for name in _DRAWN}
    box_um, takes = np.zeros((count, 3), np.int64), np.zeros((count, len(MATERIALS)), np.bool_)
    for p, kind in enumerate(KINDS):
        of_kind = np.flatnonzero(process == p)
        drawn = _drawn(chance, kind, len(of_kind))
        for name, column in columns.items():
            column[of_kind] = drawn[name]
        boxes = chance.choice(len(kind.boxes_mm), len(of_kind), p=kind.boxes_share)
        box_um[of_kind] = np.array(kind.boxes_mm, np.int64)[boxes] * 1000
        takes[of_kind] = _takes(chance, kind, len(of_kind))
    hours_s = _hours(chance, asked.labs, lab, process)
    return Machines(lab, process, takes, box_um, **columns, hours_s=hours_s)


def _kinds_of(chance: Generator, count: int) -> Ints:
    """By their shares, and one of each where there are machines enough."""
    process = chance.choice(len(KINDS), count, p=[kind.of for kind in KINDS])
    if count >= len(KINDS):
        process[chance.choice(count, len(KINDS), replace=False)] = np.arange(len(KINDS))
    return process


_DRAWN: Final = ("tolerance_um", "rate_minor_per_h", "setup_minor", "pace_permille")


def _drawn(chance: Generator, kind: Kind, count: int) -> dict[str, Ints]:
    low, high = kind.pace
    pace = low * (high / low) ** chance.random(count)
    rate = chance.uniform(*kind.rate_minor, count) * pace**0.7
    return {
        "tolerance_um": chance.choice(np.array(kind.tolerances_um, np.int64), count),
        "rate_minor_per_h": np.rint(rate).astype(np.int64),
        "setup_minor": chance.integers(*kind.setup_minor, count, endpoint=True),
        "pace_permille": np.rint(pace * 1000).astype(np.int64),
    }


def _takes(chance: Generator, kind: Kind, count: int) -> NDArray[np.bool_]:
    """The kind's own materials, each by its share; the first one always."""
    takes = np.zeros((count, len(MATERIALS)), np.bool_)
    for name, (share, _) in kind.materials.items():
        takes[:, MATERIALS.index(name)] = chance.random(count) < share
    takes[:, MATERIALS.index(next(iter(kind.materials)))] = True
    return takes


def _hours(chance: Generator, labs: int, lab: Ints, process: Ints) -> Ints:
    """Seconds offered until the end of each bucket."""
    staffed_s = _staffed(chance, labs)[lab]
    always_s = np.broadcast_to(np.array(ENDS_S), staffed_s.shape)
    busy_s = chance.integers(0, 6 * HOUR_S, len(lab)) * (chance.random(len(lab)) < 0.5)
    open_s = np.where(process[:, None] == PROCESSES.index(FDM), always_s, staffed_s)
    low, high = np.array([kind.offered for kind in KINDS])[process].T
    share = low + (high - low) * chance.random(len(lab))
    offered_s = np.maximum(0, open_s - busy_s[:, None]) * share[:, None]
    return np.floor(offered_s).astype(np.int64)


def _staffed(chance: Generator, labs: int) -> Ints:
    """Seconds from now until the end of each bucket in which somebody is at the lab."""
    today = int(chance.integers(0, 7))
    shift = np.array(_SHIFTS_H)[chance.integers(0, len(_SHIFTS_H), labs)]
    days_off = chance.integers(0, len(_CLOSED_DAYS), labs)
    open_s = np.zeros((labs, len(ENDS_S)), np.int64)
    for day in range(8):
        closed = np.array([(today + day) % 7 in days for days in _CLOSED_DAYS])[days_off]
        begin, end = ((shift + 24 * day - STARTS_AT_H) * HOUR_S).T
        until = np.minimum(end[:, None], ENDS_S)
        span = np.maximum(0, until - np.maximum(0, begin)[:, None])
        open_s += np.where(closed[:, None], 0, span)
    return open_s


# ---- jobs


def _jobs(chance: Generator, asked: Asked, machines: Machines, km: Floats) -> Jobs:
    count = asked.jobs
    model = _models(chance, machines, count)
    process, material = machines.process[model], np.zeros(count, np.int64)
    materials_minor = np.zeros(count)
    for p, kind in enumerate(KINDS):
        of_kind = np.flatnonzero(process == p)
        material[of_kind] = _material(chance, kind, machines.takes[model[of_kind]])
        materials_minor[of_kind] = chance.uniform(*kind.material_minor_per_h, len(of_kind))
    due = chance.choice(len(ENDS_S), count, p=_DUE)
    work_s = _work(chance, asked.load, machines, model, due)
    due = _possible(machines, model, due, work_s)
    paid = machines.rate_minor_per_h[model] * work_s / machines.pace_permille[model] / 3.6
    bought = np.rint(materials_minor * work_s / HOUR_S).astype(np.int64)
    return Jobs(
        *_on_the_map(asked.place, km),
        process,
        material,
        (machines.envelope_um[model] * chance.beta(1.5, 3.0, (count, 3))).astype(np.int64),
        _tolerances(chance, machines.tolerance_um[model]),
        work_s,
        due,
        bought,
        10_000 + bought + np.rint(4 * paid).astype(np.int64),
    )


def _models(chance: Generator, machines: Machines, count: int) -> Ints:
    """The machine that each job was drawn with in mind, more often where more hours are."""
    week_s = machines.hours_s[:, -1].astype(np.float64)
    asked = np.array([kind.asked for kind in KINDS])[machines.process]
    for p in range(len(KINDS)):
        of_kind = machines.process == p
        asked[of_kind] *= week_s[of_kind] / max(1.0, week_s[of_kind].sum())
    return chance.choice(len(week_s), count, p=asked / asked.sum())


def _material(chance: Generator, kind: Kind, takes: NDArray[np.bool_]) -> Ints:
    """One that the machine takes, by how often each is asked for."""
    asked = np.zeros(len(MATERIALS))
    for name, (_, often) in kind.materials.items():
        asked[MATERIALS.index(name)] = often
    upto = np.cumsum(takes * asked, axis=1)
    drawn = chance.random(len(takes)) * upto[:, -1]
    return (upto <= drawn[:, None]).sum(axis=1)


def _tolerances(chance: Generator, held_um: Ints) -> Ints:
    """Four in five are content with half a millimetre or more; the rest want what is held."""
    easy = chance.integers(500, 1000, len(held_um), endpoint=True)
    return np.where(chance.random(len(held_um)) < 0.8, easy, held_um)


def _work(chance: Generator, load: float, machines: Machines, model: Ints, due: Ints) -> Ints:
    """Scaled until each process has its load, none longer than 60 % of the machine's week."""
    rough = np.exp(chance.normal(0.0, _SPREAD, len(model))) * np.array(_WORK_BY_DUE)[due]
    most_s = 0.6 * machines.hours_s[model, -1] * machines.pace_permille[model] / 1000
    process, scale = machines.process[model], np.full(len(KINDS), float(HOUR_S))
    work_s = rough
    for _ in range(30):
        work_s = np.minimum(rough * scale[process], most_s)
        worked_h, open_h = _work_and_hours(machines, process, work_s.astype(np.int64))
        wanted_h = load * open_h
        scale *= np.divide(wanted_h, worked_h, out=np.ones_like(scale), where=worked_h > 0)
    return np.maximum(60, np.rint(work_s)).astype(np.int64)


def _possible(machines: Machines, model: Ints, due: Ints, work_s: Ints) -> Ints:
    """Put off to the first bucket in which the machine has half as many hours again."""
    needed_s = np.minimum(
        1500 * work_s / machines.pace_permille[model], machines.hours_s[model, -1]
    )
    first = (machines.hours_s[model] < needed_s[:, None]).sum(axis=1)
    return np.maximum(due, np.minimum(first, len(ENDS_S) - 1))
