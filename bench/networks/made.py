"""A week of a city's network, made up from a seed: the everyday case of the planner.

Thirty labs stand around a centre, more of them near it; each has opening hours, people with skills
who come in shifts, a few printers and often a mill or a laser cutter, some with reservations.
Orders are one part or several: some are split into lots, some go from the printer to the mill, some
must be made at one lab. Nothing here is measured; the numbers are what a fab lab would expect.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import cos, exp, log, pi, radians, sin, sqrt
from random import Random
from typing import Final

from scheduling import Job, Lab, Machine, Operator, Problem, Running, Weights

NOW_S: Final = 1_790_589_600  # Monday 2026-09-28, 10:00 UTC
HOUR: Final = 3600
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
CENTRE: Final = (48_856_600, 2_352_200)
_UDEG_PER_KM: Final = 8_993
_MM: Final = 1000
COLOURS: Final = ("black", "white", "grey", "red", "blue")


@dataclass(frozen=True)
class Kind:
    """A kind of machine, and what is made with it."""

    process: str
    materials: tuple[tuple[str, float], ...]
    """With how often each is asked for."""
    envelopes_mm: tuple[tuple[int, int, int], ...]
    tolerances_um: tuple[int, ...]
    rates_minor_per_h: tuple[int, int]
    power_w: int
    unattended: bool
    changeover_s: int
    median_s: int
    spread: float


PRINTER: Final = Kind(
    "fdm", (("pla", 0.6), ("petg", 0.25), ("abs", 0.1), ("tpu", 0.05)),
    ((180, 180, 180), (220, 220, 250), (256, 256, 256), (350, 350, 350)),
    (200, 300, 400), (150, 400), 350, True, 600, 9000, 0.8,
)  # fmt: skip
MILL: Final = Kind(
    "cnc-milling", (("plywood", 0.5), ("aluminium", 0.3), ("beech", 0.2)),
    ((300, 180, 45), (600, 400, 80), (1200, 800, 120)),
    (50, 100, 200), (1200, 2400), 1500, False, 1200, 4500, 0.7,
)  # fmt: skip
LASER: Final = Kind(
    "laser-cutting", (("plywood", 0.5), ("acrylic", 0.4), ("felt", 0.1)),
    ((400, 300, 20), (600, 400, 30), (1000, 600, 30)),
    (100, 200), (1500, 3000), 1200, False, 600, 2400, 0.7,
)  # fmt: skip


def network(seed: int, labs: int = 30, machines: int = 200, jobs: int = 2000) -> Problem:
    """Everything that the planner knows is in it: see the module's words."""
    dice = Random(seed)
    places = [_lab(dice, at) for at in range(labs)]
    made = [_machine(dice, at, places) for at in range(machines)]
    asked = list(orders(dice, jobs, made))
    running = [
        Running(f"running-{at}", machine.id, NOW_S + dice.randrange(600, 5 * HOUR))
        for at, machine in enumerate(made)
        if machine.unattended and dice.random() < 0.3
    ]
    current = {
        job.id: dice.choice(sorted(job.durations_s))
        for job in asked
        if job.durations_s and dice.random() < 0.02
    }
    weights = Weights(
        transport_minor_per_km=25, lateness_minor_per_h=60, waiting_minor_per_h=2,
        move_minor=150, unplaced_minor=20_000, co2_minor_per_kg=12,
    )  # fmt: skip
    return Problem(
        NOW_S, NOW_S + 2 * WEEK, tuple(places), tuple(made), tuple(asked), tuple(running),
        current, weights,
    )  # fmt: skip


def _place(dice: Random, far_km: float) -> tuple[int, int]:
    """More are near the centre: the distance is drawn, not the area."""
    distance, angle = far_km * sqrt(dice.random()) * dice.random(), 2 * pi * dice.random()
    north, east = distance * cos(angle), distance * sin(angle)
    shrunk = cos(radians(CENTRE[0] / 1e6))
    return (
        CENTRE[0] + round(north * _UDEG_PER_KM),
        CENTRE[1] + round(east * _UDEG_PER_KM / shrunk),
    )


def _lab(dice: Random, at: int) -> Lab:
    midnight = NOW_S - 10 * HOUR
    opens, closes = dice.choice(((8, 18), (9, 17), (9, 20), (10, 22), (13, 21)))
    closed = {6} if dice.random() < 0.5 else {5, 6}
    open_days = [day for day in range(14) if day % 7 not in closed]
    hours = [(midnight + day * DAY + opens * HOUR, midnight + day * DAY + closes * HOUR)
             for day in open_days]  # fmt: skip
    lat, lon = _place(dice, 25)
    return Lab(
        f"lab-{at:02}", f"Lab {at:02}", lat, lon, tuple(hours),
        operators=tuple(_operator(dice, at, each, hours) for each in range(dice.randint(1, 3))),
        power_max_w=dice.choice((None, None, None, 3600, 5000)),
        floor_minor_per_h=200,
        credit_permille=dice.choice((0, 0, 0, 20, 50)),
        trial_minor=100 if at % 10 == 9 else 0,
    )  # fmt: skip


def _operator(dice: Random, lab: int, at: int, hours: list[tuple[int, int]]) -> Operator:
    """The first is there from opening to closing, others for some hours of most days."""
    skills = {MILL.process, LASER.process} if at == 0 else {
        dice.choice((MILL.process, LASER.process))}  # fmt: skip
    shifts = hours if at == 0 else [
        (opens, opens + (closes - opens) // 2) for opens, closes in hours if dice.random() < 0.8
    ]  # fmt: skip
    return Operator(f"person-{lab:02}-{at}", frozenset(skills), tuple(shifts))


def _machine(dice: Random, at: int, labs: list[Lab]) -> Machine:
    lab = labs[at % len(labs)] if at < 2 * len(labs) else dice.choice(labs)
    kind = dice.choices((PRINTER, MILL, LASER), (0.7, 0.15, 0.15))[0]
    materials = [name for name, often in kind.materials if dice.random() < 0.4 + often]
    materials = materials or [kind.materials[0][0]]
    x, y, z = dice.choice(kind.envelopes_mm)
    reserved: tuple[tuple[int, int], ...] = ()
    if dice.random() < 0.25 and lab.open_windows_s:
        opens, closes = dice.choice(lab.open_windows_s[:6])
        reserved = ((opens, opens + (closes - opens) // 2),)
    return Machine(
        id=f"machine-{at:03}", lab=lab.id, process=kind.process, materials=frozenset(materials),
        envelope_um=(x * _MM, y * _MM, z * _MM), tolerance_um=dice.choice(kind.tolerances_um),
        rate_minor_per_h=dice.randint(*kind.rates_minor_per_h), setup_minor=dice.randint(50, 400),
        unattended=kind.unattended, reserved_s=reserved, power_w=kind.power_w,
        reliable_permille=dice.randint(880, 995),
        loaded=(dice.choice(materials), dice.choice(COLOURS) if kind is PRINTER else ""),
        changeover_s=kind.changeover_s, changeover_minor=dice.randint(50, 150),
        plate_gap_um=5 * _MM if kind is PRINTER else None, begin_s=420 if kind is PRINTER else 0,
    )  # fmt: skip


def orders(dice: Random, many: int, machines: list[Machine]) -> Iterator[Job]:
    made, order = 0, 0
    while made < many:
        jobs = _order(dice, order, machines)[: many - made]
        yield from jobs
        made, order = made + len(jobs), order + 1


def _order(dice: Random, at: int, machines: list[Machine]) -> list[Job]:
    """One part; or lots of one; or a print that is then milled; or parts kept together."""
    place = _place(dice, 30)
    release = NOW_S if dice.random() < 0.7 else NOW_S + dice.randrange(0, 3 * DAY)
    due = release + round(DAY * exp(dice.gauss(log(3.0), 0.6)))
    name, what = f"order-{at:04}", dice.random()
    kind = dice.choices((PRINTER, MILL, LASER), (0.8, 0.09, 0.11))[0]
    wish = _Wish(dice, place, release, due, machines)
    if what < 0.70:
        return [wish.job(name, kind)]
    if what < 0.82:  # lots of one part, wherever there is room
        model = wish.job(name, PRINTER)
        return [replace(model, id=f"{name}/{lot}") for lot in range(dice.randint(2, 5))]
    if what < 0.90:
        first = wish.job(f"{name}/print", PRINTER)
        return [first, wish.job(f"{name}/mill", MILL, after=(first.id,))]
    model = wish.job(name, PRINTER)
    return [
        replace(wish.job(f"{name}/{part}", PRINTER, model), keep_with=name)
        for part in range(dice.randint(2, 4))
    ]


class _Wish:
    """What the jobs of one order share."""

    def __init__(
        self, dice: Random, place: tuple[int, int], release: int, due: int, machines: list[Machine]
    ) -> None:
        self.dice, self.place, self.release, self.due = dice, place, release, due
        self.machines = machines

    def job(
        self, name: str, kind: Kind, like: Job | None = None, after: tuple[str, ...] = ()
    ) -> Job:
        dice = self.dice
        names, often = zip(*kind.materials, strict=True)
        material = like.material if like else dice.choices(names, often)[0]
        colour = like.colour if like else dice.choice(COLOURS) if kind is PRINTER else ""
        work_s = round(kind.median_s * exp(dice.gauss(0, kind.spread)))
        sides, share = kind.envelopes_mm[-1], dice.betavariate(2, 5)
        x, y, z = (max(5, round(side * min(1, share * dice.uniform(0.6, 1.4)))) for side in sides)
        able = [each for each in self.machines if each.process == kind.process]
        return Job(
            id=name, process=kind.process, material=material, colour=colour,
            size_um=(x * _MM, y * _MM, z * _MM), lat_udeg=self.place[0], lon_udeg=self.place[1],
            durations_s={each.id: self._takes(each, work_s) for each in able},
            material_minor=dice.randint(20, 600), release_s=self.release, due_s=self.due,
            tolerance_um=dice.choice((None, None, None, kind.tolerances_um[1])),
            plate_um=(x * _MM, y * _MM) if kind is PRINTER else None,
            after=after, value_minor=dice.choice((None, None, 8_000)),
        )  # fmt: skip

    def _takes(self, machine: Machine, work_s: int) -> int:
        """Each machine has a pace of its own, known by its name."""
        pace = 0.8 + 0.5 * (sum(machine.id.encode()) * 2654435761 % 1000) / 1000
        return max(60, round(work_s * pace))
