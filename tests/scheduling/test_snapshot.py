"""Quotes from a snapshot: as good as trying every machine, and hours that nobody gets twice."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cities import generator
from bench.cities.generator import city_of
from scheduling.city import Choice, City, Jobs, Lines, lines, metres_between, seconds_on
from scheduling.citywide import room_in
from scheduling.prices import tolls
from scheduling.snapshot import (
    Asked,
    Bill,
    Offer,
    QuoteError,
    Snapshot,
    TakenError,
    snapshot_of,
)

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(300)


def a_city(seed: int = 1, place: str = "paris") -> City:
    return city_of(generator.Asked(seed, 60, 12, 4, 0.85, place))


def some_plan(city: City, seed: int) -> Choice:
    """Some jobs on capable machines, as far as there is room; not a good plan."""
    chance, nobody = np.random.default_rng(seed), np.full(len(city.jobs.due), -1, np.int64)
    choice = Choice(nobody.copy(), nobody.copy())
    for j in chance.permutation(len(nobody))[: len(nobody) // 2]:
        offers = snapshot_of(city, choice, np.zeros(city.machines.hours_s.shape))
        best = offers.quote(asked_as(city, int(j))).best
        if best:
            choice.machine[j], choice.bucket[j] = best[0].machine, best[0].row
    return choice


def some_prices(city: City, seed: int) -> Any:
    chance = np.random.default_rng(seed)
    shape = city.machines.hours_s.shape
    return chance.uniform(0, 0.05, shape) * (chance.random(shape) < 0.5)


def asked_as(city: City, j: int, **changes: Any) -> Asked:
    """As job j of the city."""
    numbers = {name: column[j].tolist() for name, column in vars(city.jobs).items()}
    del numbers["value_minor"]
    numbers["size_um"] = tuple(numbers["size_um"])
    return Asked(**{**numbers, **changes})


def tried(city: City, room: Any, price: Any, j: int, *, never_late: bool = False) -> list[Offer]:
    """Every machine with room, by the lines of the city, in order."""
    jobs, machines, found = city.jobs, city.machines, []
    toll, job = tolls(price), np.array([j])
    start = 0 if never_late else int(jobs.due[j])
    for i in range(len(machines.lab)):
        [seconds] = seconds_on(city, job, np.array([i])).tolist()
        rows = [b for b in range(start, len(city.ends_s)) if room[i, b] >= seconds]
        if (
            machines.process[i] != jobs.process[j]
            or not machines.takes[i, jobs.material[j]]
            or (jobs.size_um[j] > machines.envelope_um[i]).any()
            or machines.tolerance_um[i] > jobs.tolerance_um[j]
            or not rows
        ):
            continue
        at = (job, np.array([i]), np.array([rows[0]]))
        bill = Bill(*(int(line[0]) for line in lines(city, *at)))
        bill = bill._replace(lateness=0) if never_late else bill
        [metres] = metres_between(city, job, np.array([i])).tolist()
        hours = int(np.ceil(toll[i, rows[0]] * seconds))
        found.append(Offer(i, rows[0], metres, seconds, hours, bill))
    return sorted(found, key=lambda offer: (offer.rank_minor, offer.machine))


@given(st.integers(0, 10**6), st.sampled_from(["paris", "waiyevo", "longyearbyen"]), st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_best_three_are_those_of_trying_every_machine(seed: int, place: str, never_late: bool):
    city = a_city(seed, place)
    choice, price = some_plan(city, seed), some_prices(city, seed)
    snapshot = snapshot_of(city, choice, price)
    for j in range(20):
        asked = asked_as(city, j, **({"due": None} if never_late else {}))
        every = tried(city, room_in(city, choice), price, j, never_late=never_late)
        assert list(snapshot.quote(asked).best) == every[:3]


def test_a_bill_has_the_lines_of_the_city():
    assert Bill._fields == Lines._fields


def test_the_lead_is_what_the_runner_up_ranks_behind():
    city = a_city()
    price = some_prices(city, 3)
    snapshot = snapshot_of(city, nobody(city), price)
    offers = snapshot.quote(asked_as(city, 0))
    first, second = offers.best[:2]
    assert offers.ahead_minor == second.rank_minor - first.rank_minor >= 0
    assert first.rank_minor == sum(first.bill) + first.hours_minor
    assert offers.left == ()
    assert offers.step is None


def nobody(city: City) -> Choice:
    return Choice(*(np.full(len(city.jobs.due), -1, np.int64) for _ in range(2)))


def test_many_at_once_get_what_each_would_get():
    city = a_city(7)
    snapshot = snapshot_of(city, some_plan(city, 7), some_prices(city, 7))
    ways = snapshot.ways(city.jobs)
    for j in range(len(city.jobs.due)):
        best = snapshot.quote(asked_as(city, j)).best
        assert [i for i in ways.machine[j].tolist() if i >= 0] == [each.machine for each in best]
        assert ways.cost[j, : len(best)].tolist() == [each.cost_minor for each in best]
        assert ways.seconds[j, : len(best)].tolist() == [each.seconds for each in best]
        assert ways.bucket[j, : len(best)].tolist() == [each.row for each in best]


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"material": 15, "process": 1}, "material"),
        ({"size_um": (10**9, 1, 1)}, "size"),
        ({"tolerance_um": 0}, "tolerance"),
        ({"work_s": 10**7}, "hours"),
    ],
)
def test_where_nobody_can_it_is_told_at_which_step_the_last_one_fell_out(
    changes: dict[str, Any], step: str
):
    city = a_city()
    if step == "material":
        changes["material"] = city.materials.index("tpu")
    snapshot = snapshot_of(city, nobody(city), some_prices(city, 1))
    offers = snapshot.quote(asked_as(city, 0, **changes))
    assert offers.best == ()
    assert offers.step == step
    assert offers.ahead_minor is None
    assert list(offers.left) == sorted(offers.left, reverse=True)
    process = changes.get("process", int(city.jobs.process[0]))
    assert offers.left[0] == (city.machines.process == process).sum()


def test_a_process_that_no_machine_has_falls_out_at_once():
    city = a_city()
    city = replace(city, processes=(*city.processes, "casting"))
    snapshot = snapshot_of(city, nobody(city), some_prices(city, 1))
    offers = snapshot.quote(asked_as(city, 0, process=3))
    assert (offers.left, offers.step) == ((0, 0, 0, 0, 0), "process")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"process": 3}, "process is 3; this city knows 0 to 2"),
        ({"material": -1}, "material is -1"),
        ({"due": 6}, "due is 6; this city knows 0 to 5"),
        ({"due": True}, "due is True"),
        ({"work_s": 0}, "work_s is 0; give whole numbers from 1 to 10000000"),
        ({"lat_udeg": 90_000_001}, "lat_udeg is 90000001"),
        ({"size_um": (1, 2, -3)}, r"size_um is \(1, 2, -3\)"),
        ({"size_um": (1, 2)}, r"size_um is \(1, 2\)"),
        ({"material_minor": 1.5}, r"material_minor is 1\.5"),
    ],
)
def test_what_cannot_be_asked_is_told(changes: dict[str, Any], why: str):
    city = a_city()
    with pytest.raises(QuoteError, match=why):
        snapshot_of(city, nobody(city), some_prices(city, 1)).quote(asked_as(city, 0, **changes))


# ---- holds


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(1, 40), st.integers(0, 9)), max_size=40))
@settings(max_examples=30, deadline=None)
def test_no_two_holds_take_the_same_hours_and_all_come_back(wishes: list[tuple[int, int, int]]):
    city = a_city(5)
    first = snapshot = snapshot_of(city, nobody(city), some_prices(city, 5))
    before, now_s = first.room.copy(), 0
    for j, length_s, pause_s in wishes:
        offers = snapshot.quote(asked_as(city, j))
        now_s += pause_s
        if offers.best:
            snapshot = snapshot.held(offers.best[0], now_s + length_s, now_s)
        assert_within(city, snapshot)
        assert all(hold.until_s > now_s for hold in snapshot.holds) or not offers.best
    assert (snapshot.expired(now_s + 100).room == before).all()
    assert snapshot.expired(now_s + 100).holds == ()
    assert (first.room == before).all()


def assert_within(city: City, snapshot: Snapshot) -> None:
    """What is held by the end of each row, added up anew."""
    load = np.zeros_like(city.machines.hours_s)
    for hold in snapshot.holds:
        load[hold.machine, hold.row :] += hold.seconds
    assert (load <= city.machines.hours_s).all()
    assert (snapshot.room == city.machines.hours_s - load).all()


def test_an_offer_is_held_as_often_as_there_are_hours():
    city = a_city()
    snapshot = snapshot_of(city, nobody(city), some_prices(city, 1))
    [offer, *_] = snapshot.quote(asked_as(city, 0)).best
    hours = int(city.machines.hours_s[offer.machine, offer.row :].min())
    for _ in range(hours // offer.seconds):
        snapshot = snapshot.held(offer, 100, 0)
    with pytest.raises(TakenError, match=f"machine {offer.machine} has no"):
        snapshot.held(offer, 100, 99)
    assert len(snapshot.held(offer, 200, 100).holds) == 1


def test_a_hold_that_has_expired_is_none():
    city = a_city()
    snapshot = snapshot_of(city, nobody(city), some_prices(city, 1))
    [offer, *_] = snapshot.quote(asked_as(city, 0)).best
    with pytest.raises(QuoteError, match="a hold until 7 has expired at 7"):
        snapshot.held(offer, 7, 7)


def test_nobody_changes_a_snapshot():
    city = a_city()
    snapshot = snapshot_of(city, nobody(city), some_prices(city, 1))
    with pytest.raises(ValueError, match="read-only"):
        snapshot.room[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        snapshot.tables.toll[0, 0] = 1.0


def test_a_city_without_machines_offers_nothing():
    city = a_city()
    none = replace(city.machines, **{n: c[:0] for n, c in vars(city.machines).items()})
    city = replace(city, machines=none)
    snapshot = snapshot_of(city, nobody(city), np.zeros((0, 6)))
    assert snapshot.quote(asked_as(city, 0)).left == (0, 0, 0, 0, 0)
    assert (snapshot.ways(city.jobs).machine == -1).all()


def test_the_columns_of_a_job_are_what_is_asked():
    assert set(Asked.__slots__) | {"value_minor"} == set(Jobs.__dataclass_fields__)


_TOLD = """
from scheduling.snapshot import snapshot_of
from tests.scheduling.test_snapshot import a_city, asked_as, some_plan, some_prices
city = a_city(9)
snapshot = snapshot_of(city, some_plan(city, 9), some_prices(city, 9))
for j in range(60):
    print(snapshot.quote(asked_as(city, j)), snapshot.quote(asked_as(city, j, due=None)))
print(snapshot.quote(asked_as(city, 0, work_s=10**7)))
"""


def test_compiled_or_not_the_offers_are_the_same():
    told = [_told({}), _told({"NUMBA_DISABLE_JIT": "1"})]
    assert told[0] == told[1]


def _told(words: dict[str, str]) -> str:
    path = os.pathsep.join([str(ROOT), str(ROOT / "hardware-sim")])
    ran = subprocess.run(
        [sys.executable, "-c", _TOLD], env={**os.environ, "PYTHONPATH": path, **words},
        capture_output=True, text=True, check=True, timeout=250,
    )  # fmt: skip
    return ran.stdout
