"""The machines of one process as columns: which of them could make a job, and what that costs.

It promises the answers of `routing` (but for hours) and of `cost.untimed_minor`, for all machines
at once: a network asks for a hundred thousand. It never chooses.
"""

import numpy as np
from numpy.typing import NDArray

from scheduling.cells import Ints
from scheduling.cost import HOUR_S, delivery_minor
from scheduling.problem import Job, Machine, Problem

_GRAMS: int = HOUR_S * 1000 * 1000


class Fleet:
    """All machines of a process, in the problem's order."""

    def __init__(self, problem: Problem, process: str) -> None:
        self.problem = problem
        self.machines: tuple[Machine, ...] = problem.machines_of(process)
        self.ids = [each.id for each in self.machines]
        labs = [problem.lab[each.lab] for each in self.machines]
        self.labs = sorted({lab.id for lab in labs})
        self._lab = np.array([self.labs.index(lab.id) for lab in labs], np.int64)
        self._envelope = _column(*(each.envelope_um for each in self.machines)).reshape(-1, 3)
        self._tolerance = _column(*(each.tolerance_um for each in self.machines))
        most = [each.thickness_max_um for each in self.machines]
        self._thickness = _column(*(2**62 if each is None else each for each in most))
        self._powered = np.array(
            [lab.power_max_w is None or each.power_w <= lab.power_max_w
             for each, lab in zip(self.machines, labs, strict=True)], np.bool_)  # fmt: skip
        self._rate = _column(*(each.rate_minor_per_h for each in self.machines))
        self._setup = _column(*(each.setup_minor for each in self.machines))
        self._reliable = _column(*(each.reliable_permille for each in self.machines))
        self._power = np.array([each.power_w for each in self.machines], object)
        self._floor = _column(*(lab.floor_minor_per_h for lab in labs))
        self._credit = _column(*(lab.credit_permille for lab in labs))
        self._trial = _column(*(lab.trial_minor for lab in labs))
        self.available_s = _column(*(each.available_from_s for each in self.machines))
        self._materials: dict[str, NDArray[np.bool_]] = {}
        self._delivery: dict[tuple[int, int], Ints] = {}

    def takes_s(self, job: Job) -> Ints:
        """Seconds on each machine that could make the job; 0 on the others."""
        durations = job.durations_s
        takes = np.array([durations.get(each, 0) for each in self.ids], np.int64)
        size = np.array(job.size_um, np.int64)
        if job.sizes_um:
            size = np.array([job.size_on(each) for each in self.ids], np.int64).reshape(-1, 3)
        able = self._powered & self._works(job.material) & (size <= self._envelope).all(axis=1)
        if job.thickness_um is not None:
            able &= self._thickness >= job.thickness_um
        if job.tolerance_um is not None:
            able &= self._tolerance <= job.tolerance_um
        return np.where(able, takes, 0)

    def _works(self, material: str) -> NDArray[np.bool_]:
        if material not in self._materials:
            able = [material in each.materials for each in self.machines]
            self._materials[material] = np.array(able, np.bool_)
        return self._materials[material]

    def untimed_minor(self, job: Job, takes_s: Ints) -> Ints:
        """`cost.untimed_minor` on each machine, by the seconds that it takes there."""
        problem = self.problem
        paid = -(-self._rate * takes_s // HOUR_S)
        if job.prices_minor:
            named = [job.prices_minor.get(each, -1) for each in self.ids]
            paid = np.where(np.array(named) >= 0, named, paid)
        paid = np.maximum(paid, -(-self._floor * takes_s // HOUR_S))
        paid += self._setup + job.material_minor
        minor = paid - (-paid * (1000 - self._reliable) // self._reliable)
        minor -= paid * self._credit // 1000 + self._trial
        minor += self._delivered(job) + self._energy(takes_s)
        stays = problem.current.get(job.id)
        if stays is not None:
            minor += np.where(np.array(self.ids) == stays, 0, problem.weights.move_minor)
        return minor

    def _energy(self, takes_s: Ints) -> Ints | int:
        """In Python's own numbers: the product may be larger than 64 bits."""
        weights = self.problem.weights
        factor = weights.co2_g_per_kwh * weights.co2_minor_per_kg
        if not factor:
            return 0
        return (-(-self._power * takes_s.astype(object) * factor // _GRAMS)).astype(np.int64)

    def _delivered(self, job: Job) -> Ints | int:
        if job.id in self.problem.followers:
            return 0
        place = job.lat_udeg, job.lon_udeg
        if place not in self._delivery:
            ways = [delivery_minor(self.problem, job, lab) for lab in self.labs]
            self._delivery[place] = np.array(ways, np.int64)
        return self._delivery[place][self._lab]


def _column(*numbers: int | tuple[int, int, int]) -> Ints:
    return np.array(numbers, np.int64)
