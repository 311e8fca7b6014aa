"""A city whose plan stands: orders come in, machines fail, and the plan is mended at once.

It promises a place to every job that finds room in a capable machine for less than it is worth, and
few moves among those that have one; prices stay those of the plan until the city is planned anew.
"""

from dataclasses import dataclass, replace

import numpy as np

from scheduling.cells import Ints
from scheduling.city import Choice, City, Jobs
from scheduling.citywide import Priced, cells_of, with_seats
from scheduling.prices import Prices
from scheduling.repair import KEEP, Mended, Standing, Terms
from scheduling.snapshot import snapshot_of


@dataclass(frozen=True, eq=False)
class Change:
    """`job`: whose machine or bucket is another now, -1 = left out. `cost`: of the whole plan.

    `moved`: how many of these had a place and were not asked to leave it. `left_out`: who was to be
    placed, and is not.
    """

    job: Ints
    machine: Ints
    bucket: Ints
    moved: int
    left_out: Ints
    cost: int


class StandingCity:
    """Jobs are numbered as in the city, new ones on."""

    def __init__(self, city: City, priced: Priced, choice: Choice, terms: Terms) -> None:
        self._city, self._late = city, Jobs(*(c[:0] for c in vars(city.jobs).values()))
        cells = cells_of(city, with_seats(city, priced.ways, choice))
        prices = Prices(priced.price, priced.bound)
        self._plan = Standing(cells, prices, (choice.machine, choice.bucket), terms)
        nobody = Choice(*(np.full(len(choice.machine), -1, np.int64) for _ in range(2)))
        self._empty = snapshot_of(city, nobody, priced.price)

    @property
    def city(self) -> City:
        """With all jobs that came, and without the hours of machines that failed."""
        return replace(self._city, jobs=_joined(self._city.jobs, self._late))

    @property
    def choice(self) -> Choice:
        return Choice(self._plan.bin, self._plan.row)

    def arrive(self, jobs: Jobs) -> Change:
        """Each gets its best machines under the prices, and a seat there, if need be by moves.

        Raises CityError if the columns cannot be.
        """
        coming = replace(self._city, jobs=jobs)
        self._late = _joined(self._late, jobs)
        first = self._plan.arrive(cells_of(coming, self._empty.ways(jobs, KEEP)))
        return self._with_the_rest(first)

    def fail(self, machine: int) -> Change:
        """It takes nobody any more; who was there goes elsewhere."""
        hours_s = self._city.machines.hours_s.copy()
        hours_s[machine] = 0
        self._city = replace(self._city, machines=replace(self._city.machines, hours_s=hours_s))
        self._empty = replace(self._empty, room=hours_s)
        return self._with_the_rest(self._plan.fail(machine))

    def _with_the_rest(self, first: Mended) -> Change:
        """Who is still left out may go wherever there is room in the whole city."""
        if not len(first.left_out):
            return Change(*vars(first).values())
        jobs = self._jobs(first.left_out)
        ways = replace(self._empty, room=self._plan.room).ways(jobs, KEEP)
        then = self._plan.look(first.left_out, cells_of(replace(self._city, jobs=jobs), ways))
        job = np.union1d(first.job, then.job)
        machine, bucket = self._plan.at(job)
        return Change(job, machine, bucket, first.moved + then.moved, then.left_out, then.cost)

    def _jobs(self, numbers: Ints) -> Jobs:
        planned = len(self._city.jobs.due)
        old, new = numbers[numbers < planned], numbers[numbers >= planned] - planned
        return _joined(_some(self._city.jobs, old), _some(self._late, new))


def _joined(one: Jobs, other: Jobs) -> Jobs:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return Jobs(*(np.concatenate(pair) for pair in pairs))


def _some(jobs: Jobs, numbers: Ints) -> Jobs:
    return Jobs(*(column[numbers] for column in vars(jobs).values()))
