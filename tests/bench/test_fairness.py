"""The bench of fairness: the same days twice are the same, hours are counted, nothing is lost."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.networks.days import city, demand
from bench.networks.made import DAY
from bench.networks.simulated import offered_s, simulated
from scheduling import Operator
from scheduling.fairness import Rule
from tests.scheduling.worlds import HOUR, NOW, lab, machine, problem

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(300)


def test_a_seed_gives_the_same_days():
    network = city(1, 3, 9, 3)
    assert network == city(1, 3, 9, 3)
    ordered = demand(1, network, 3, 5)
    assert ordered == demand(1, network, 3, 5)
    assert [len(each) for each in ordered] == [5, 5, 5]
    for day, jobs in enumerate(ordered):
        assert all(job.release_s >= network.now_s + day * DAY for job in jobs)
    assert {each.credit_permille for each in network.labs} == {0}


def test_every_job_is_made_or_left_out_once_and_all_that_is_paid_is_booked():
    network = city(2, 4, 14, 4)
    ordered = demand(2, network, 4, 9)
    for rule in (None, Rule(gini_permille=0)):
        *_, last = simulated(network, ordered, rule, 30)
        book = last.book
        assert len(book.real_minor) + book.left_out == 4 * 9
        assert sum(book.jobs.values()) == len(book.real_minor)
        assert sum(each.paid_in_all_minor for each in last.accounts) > 0
        assert (max(each.permille for each in last.credits.values()) > 0) == (rule is not None)


def test_offered_hours_are_those_in_which_somebody_could_begin():
    day = ((NOW, NOW + DAY),)
    place = replace(
        lab("near", 0, ((0, 10),)),
        operators=(Operator("p", frozenset({"mill"}), ((NOW, NOW + 6 * HOUR),)),),
    )
    mills = [machine(name, "near", process="mill", unattended=False) for name in ("m1", "m2")]
    reserved = ((NOW + HOUR, NOW + 3 * HOUR),)
    printers = [machine("p1", "near", reserved_s=reserved), machine("p2", "near")]
    world = problem([place], [*mills, *printers], [])
    hours = {each.id: offered_s(world, each, day) / HOUR for each in world.machines}
    assert hours == {"m1": 3, "m2": 3, "p1": 8, "p2": 10}
    laser = machine("l", "near", process="laser", unattended=False)
    assert offered_s(problem([place], [laser], []), laser, day) == 0


def test_the_command_tells_both_runs():
    size = ["--labs", "4", "--machines", "14", "--days", "2", "--jobs-a-day", "8", "--turns", "20"]
    for how in ("--json",), ():
        command = [sys.executable, "-m", "bench.fairness", *size, *how]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode in {0, 1}, ran.stderr
        if how:
            told = json.loads(ran.stdout)
            assert told["jobs"] == 16
            assert len(told["with"]["gini_by_day"]) == 2
            assert set(told["with"]["labs"]) == set(told["reach"])
            assert told["goal_reached"] == (ran.returncode == 0)
        else:
            assert "like for like" in ran.stdout
