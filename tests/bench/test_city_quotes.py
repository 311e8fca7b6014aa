"""Quotes and arriving orders in a small city: what the benches measure is also true."""

import json
import sys
from typing import Any

import numpy as np
import pytest

from bench import arrivals, quote
from bench.cities.generator import Asked
from bench.cities.standing import planned_city
from scheduling.repair import Terms
from scheduling.snapshot import snapshot_of
from scheduling.standing import StandingCity

pytestmark = pytest.mark.timeout(300)

SMALL = Asked(4, 120, 16, 5, 0.8)


def ran(bench: Any, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    sizes = ("--jobs", "150", "--machines", "20", "--labs", "5", "--seconds", "1")
    monkeypatch.setattr(sys, "argv", [bench.__name__, *sizes, *words])
    return bench.main()


def test_the_quote_bench_finds_no_quote_wrong_and_no_hour_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert ran(quote, monkeypatch, "--quotes", "60", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["sample"], row["not_the_best"], row["quotes"]) == (60, 0, 60)
    assert row["holds"]["overbooked"] == 0
    assert row["holds"]["given_back"]
    assert "judged            0 of 60 quotes" in quote.shown(row)


def test_a_quote_that_is_not_the_best_is_told():
    one = planned_city(SMALL, 30, 0.0, kicks=0)
    snapshot = snapshot_of(one.city, one.choice, one.priced.price)
    asked = quote.asked_like(one.coming)
    every = quote.EveryMachine(one.city, snapshot.room, one.priced.price)
    assert quote.judged(snapshot, every, asked)[0] == 0
    cheaper = quote.EveryMachine(one.city, snapshot.room, one.priced.price * 0)
    shut = quote.EveryMachine(one.city, np.zeros_like(snapshot.room), one.priced.price)
    assert quote.judged(snapshot, cheaper, asked)[0] > 0
    assert quote.judged(snapshot, shut, asked)[0] > 0


def test_the_arrivals_bench_mends_without_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert ran(arrivals, monkeypatch, "--new", "8", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["arrived"]["placed"] + row["arrived"]["left_out"] == 8
    assert (row["arrived"]["faults"], row["failed"]["faults"]) == ([], [])
    assert row["failed"]["queue"] > 0
    assert "8 new" in arrivals.shown(row)


@pytest.mark.parametrize("load", [0.7, 0.95])
def test_orders_and_failures_one_after_another_leave_a_sound_plan(load: float):
    asked = Asked(4, 120, 16, 5, load)
    one = planned_city(asked, 30, 0.0, kicks=0)
    stands = StandingCity(one.city, one.priced, one.choice, Terms(100))
    for begin in range(0, 30, 10):
        coming = type(one.coming)(*(c[begin : begin + 10] for c in vars(one.coming).values()))
        change = stands.arrive(coming)
        assert arrivals.faults(stands, change.cost) == []
        change = stands.fail(begin // 10)
        assert arrivals.faults(stands, change.cost) == []
        assert not (stands.choice.machine == begin // 10).any()
    assert len(stands.city.jobs.due) == 150


@pytest.mark.parametrize("bench", [quote, arrivals])
def test_more_labs_than_machines_are_refused(bench: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["bench", "--machines", "3", "--labs", "5"])
    with pytest.raises(SystemExit, match="2"):
        bench.main()
