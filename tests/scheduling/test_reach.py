"""Who can do what in a city: bad columns are told, and few looks find what trying all finds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cities.generator import PLACES, Asked, city_of, load_of
from scheduling.city import City, CityError, Tariff, lines, metres_between, seconds_on
from scheduling.distance import distance_m
from scheduling.reach import STEPS, Reach, cheapest, joined, nearest, reach_of, refusals, ways_to
from scheduling.reach import widened as widened_to

pytestmark = pytest.mark.timeout(300)


def a_city(seed: int = 1, jobs: int = 60, place: str = "paris") -> City:
    return city_of(Asked(seed, jobs, 12, 4, 0.85, place))


def changed(city: City, column: str, value: Any) -> City:
    whole, _, part = column.partition(".")
    if not part:
        return replace(city, **{whole: value})
    return replace(city, **{whole: replace(getattr(city, whole), **{part: value})})


def poked(table: Any, at: Any, value: int) -> Any:
    table = table.copy()
    table[at] = value
    return table


@pytest.mark.parametrize(
    ("column", "at", "value", "why"),
    [
        ("labs.lat_udeg", 1, 90_000_001, r"labs\.lat_udeg\[1\] is 90000001; it must lie between"),
        ("jobs.lon_udeg", 2, -180_000_001, r"jobs\.lon_udeg\[2\] is -180000001"),
        ("machines.lab", 3, 4, r"machines\.lab\[3\] is 4; it must lie between 0 and 3"),
        ("machines.process", 0, 3, r"machines\.process\[0\] is 3"),
        ("machines.envelope_um", (1, 2), 0, r"machines\.envelope_um\[1, 2\] is 0"),
        ("machines.pace_permille", 5, 9, r"machines\.pace_permille\[5\] is 9"),
        ("machines.rate_minor_per_h", 5, -1, r"machines\.rate_minor_per_h\[5\] is -1"),
        ("machines.hours_s", (2, 5), 0, r"machines\.hours_s\[2, 5\] falls"),
        ("machines.hours_s", (2, 5), 10**7, r"machines\.hours_s\[2, 5\] grows by more than"),
        ("jobs.work_s", 7, 0, r"jobs\.work_s\[7\] is 0"),
        ("jobs.due", 7, 6, r"jobs\.due\[7\] is 6; it must lie between 0 and 5"),
        ("jobs.material", 7, -1, r"jobs\.material\[7\] is -1"),
        ("jobs.value_minor", 0, 10**10, r"jobs\.value_minor\[0\] is 10000000000"),
        ("ends_s", 1, 43_200, "each ending after the last"),
    ],
)
def test_a_number_that_cannot_be_is_told_with_its_place(column: str, at: Any, value: int, why: str):
    city = a_city()
    whole, _, part = column.partition(".")
    table = getattr(getattr(city, whole), part) if part else city.ends_s
    with pytest.raises(CityError, match=why):
        changed(city, column, poked(table, at, value))


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("jobs.work_s", np.ones(60), "kept as float64; give 64-bit whole numbers"),
        ("jobs.work_s", np.ones((60, 2), np.int64), "jobs.work_s is 60 × 2; it must be 60"),
        ("machines.takes", np.ones((12, 2), np.bool_), "a table of true and false, 12 × "),
        ("machines.setup_minor", np.ones(11, np.int64), "setup_minor is 11; it must be 12"),
        ("ends_s", np.zeros(0, np.int64), "at least one bucket"),
        ("processes", ("fdm", "fdm"), "name at least one, each once"),
    ],
)
def test_columns_that_do_not_belong_together_are_told(column: str, value: Any, why: str):
    with pytest.raises(CityError, match=why):
        changed(a_city(), column, value)


def test_a_tariff_is_of_whole_numbers():
    with pytest.raises(CityError, match="transport_minor_per_km is -1"):
        Tariff(transport_minor_per_km=-1)
    with pytest.raises(CityError, match=r"lateness_minor_per_h is 1\.5"):
        Tariff(lateness_minor_per_h=1.5)  # pyright: ignore[reportArgumentType]


def test_the_same_seed_makes_the_same_city_and_another_another():
    one, again, other = a_city(3), a_city(3), a_city(4)
    for part in ("labs", "machines", "jobs"):
        for name, column in vars(getattr(one, part)).items():
            assert (column == getattr(getattr(again, part), name)).all(), name
    assert (one.jobs.work_s != other.jobs.work_s).any()


@pytest.mark.parametrize("place", PLACES)
def test_every_place_has_the_load_that_was_asked_for(place: str):
    city = city_of(Asked(5, 600, 60, 6, 0.9, place))
    assert load_of(city) == pytest.approx([0.9] * 4, rel=1e-3)


@given(
    st.lists(
        st.tuples(st.integers(-90 * 10**6, 90 * 10**6), st.integers(-180 * 10**6, 180 * 10**6)),
        min_size=4, max_size=4,
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_metres_are_those_of_the_haversine_at_the_poles_and_the_date_line(
    labs: list[tuple[int, int]],
):
    city = a_city(place="waiyevo")
    lat, lon = (np.array(axis, np.int64) for axis in zip(*labs, strict=True))
    city = changed(changed(city, "labs.lat_udeg", lat), "labs.lon_udeg", lon)
    job, machine = np.arange(12), np.arange(12)
    for j, metres in zip(job, metres_between(city, job, machine), strict=True):
        wanted = (int(city.jobs.lat_udeg[j]), int(city.jobs.lon_udeg[j]))
        assert abs(distance_m(wanted, labs[int(city.machines.lab[j])]) - metres) <= 1


def able(city: City, j: int, i: int) -> int:
    """How many of the five steps the machine passes for the job, one by one."""
    jobs, machines = city.jobs, city.machines
    [seconds] = seconds_on(city, np.array([j]), np.array([i]))
    tests = (
        jobs.process[j] == machines.process[i],
        machines.takes[i, jobs.material[j]],
        (jobs.size_um[j] <= machines.envelope_um[i]).all(),
        machines.tolerance_um[i] <= jobs.tolerance_um[j],
        seconds <= machines.hours_s[i, -1],
    )
    return next((step for step, passes in enumerate(tests) if not passes), len(tests))


def all_ways(city: City, j: int) -> list[tuple[int, int, int, int]]:
    """Cost, machine, bucket and seconds of everything that the job could do."""
    found: list[tuple[int, int, int, int]] = []
    for i in range(len(city.machines.lab)):
        if able(city, j, i) < len(STEPS):
            continue
        for b in range(int(city.jobs.due[j]), len(city.ends_s)):
            at = (np.array([j]), np.array([i]))
            [seconds] = seconds_on(city, *at)
            if seconds <= city.machines.hours_s[i, b]:
                [cost] = lines(city, *at, np.array([b])).total
                found.append((int(cost), i, b, int(seconds)))
    return found


PLACED = st.sampled_from(["paris", "waiyevo", "longyearbyen"])


@given(st.integers(0, 10**6), PLACED)
@settings(max_examples=12, deadline=None)
def test_the_nearest_are_those_that_trying_every_machine_finds(seed: int, place: str):
    city = a_city(seed, 25, place)
    found = nearest(reach_of(city), 5)
    for j in range(25):
        capable = [i for i in range(12) if able(city, j, i) == len(STEPS)]
        metres = metres_between(city, np.full(len(capable), j), np.array(capable, np.int64))
        order = sorted(zip(metres, capable, strict=True))[:5]
        assert [i for i in found[j] if i >= 0] == [i for _, i in order]


@given(st.integers(0, 10**6), PLACED, st.booleans())
@settings(max_examples=12, deadline=None)
def test_the_cheapest_are_those_that_trying_everything_finds(seed: int, place: str, free: bool):
    city = a_city(seed, 25, place)
    price = np.random.default_rng(seed).random((12, 6)) * (0.0 if free else 0.05)
    ways, bound = cheapest(reach_of(city), price, 7)
    toll = np.cumsum(price[:, ::-1], axis=1)[:, ::-1]
    least = -(price * city.machines.hours_s).sum()
    for j in range(25):
        tried = sorted((c + toll[i, b] * s, i, b, c, s) for c, i, b, s in all_ways(city, j))
        best = [(i, b, c, s) for _, i, b, c, s in tried[:7]]
        mine = list(zip(*(table[j].tolist() for table in ways), strict=True))
        assert [way for way in mine if way[0] >= 0] == best
        least += min([city.jobs.value_minor[j], *(value for value, *_ in tried)])
    assert bound == pytest.approx(least)


def test_ways_to_the_nearest_are_by_the_due_bucket_or_the_first_after_it_that_can():
    city = a_city(7)
    ways = ways_to(reach_of(city), nearest(reach_of(city), 12))
    for j in range(60):
        first: dict[int, tuple[int, int, int]] = {}
        for cost, i, b, seconds in all_ways(city, j):
            first.setdefault(i, (b, cost, seconds))
        mine = list(zip(*(table[j].tolist() for table in ways), strict=True))
        assert {i: (b, c, s) for i, b, c, s in mine if i >= 0} == first


def test_what_is_joined_keeps_what_it_has_and_takes_what_is_new_or_cheaper():
    city = a_city(8, 30)
    reach, none = reach_of(city), np.zeros((12, 6))
    ways, _ = cheapest(reach, none, 6)
    near = ways_to(reach, nearest(reach, 6))
    both = joined(widened_to(near, 12), ways, none)
    tight = joined(near, ways, none)
    for j in range(30):
        had, more, got = (_set(table, j) for table in (near, ways, both))
        assert got == had | more
        least = sorted(c for _, _, c, _ in got)[:6]
        assert sorted(c for _, _, c, _ in _set(tight, j)) == least


def test_work_in_parts_finds_the_same():
    city = a_city(11, 31)
    reach, price = reach_of(city), np.full((12, 6), 0.01)
    alone, parts = (_rounds(reach, price, workers) for workers in (1, 3))
    for one, other in zip(alone, parts, strict=True):
        assert (one == other).all()


def _rounds(reach: Reach, price: Any, workers: int) -> Any:
    ways = ways_to(reach, nearest(reach, 4, workers), workers)
    more, _ = cheapest(reach, price, 4, ways, workers)
    return joined(widened_to(ways, 6), more, price, workers)


def _set(ways: Any, j: int) -> set[tuple[int, ...]]:
    return {way for way in zip(*(t[j].tolist() for t in ways), strict=True) if way[0] >= 0}


def test_who_can_go_nowhere_is_told_at_which_step_the_last_machine_falls_out():
    city = a_city(9)
    large = poked(city.jobs.size_um, (4, 0), 10**9)
    city = changed(city, "jobs.size_um", large)
    reach: Reach = reach_of(city)
    left = refusals(reach, np.arange(60))
    for j in range(60):
        passed = [able(city, j, i) for i in range(12)]
        assert left[j].tolist() == [sum(p > step for p in passed) for step in range(5)]
    assert STEPS[int((left[4] > 0).sum())] == "size"
    assert (nearest(reach, 3)[4] == -1).all()
