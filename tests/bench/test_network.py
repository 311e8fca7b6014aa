"""The everyday benchmark on a small city, and its made-up week."""

import json
from dataclasses import replace

import pytest

from bench import network
from bench.networks import made
from scheduling import Limits, solve, verify
from scheduling.cards import lay_out
from scheduling.hours import bounding
from scheduling.prices import capacity_prices

SMALL = ("--labs", "4", "--machines", "16", "--jobs", "70", "--seconds", "0.5", "--explained", "20")


def test_a_small_city_is_planned_checked_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert network.main([*SMALL, "--best", "0.5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["faults"] == told["untrue"] == []
    assert told["explained"] == 20
    assert told["bound_minor"] <= told["objective_minor"]
    assert told["nearest"]["dearer_percent"] > 0
    assert told["cheapest"]["dearer_percent"] >= 0


def test_the_table_says_it_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert network.main([*SMALL]) == 0
    said = capsys.readouterr().out
    assert "4 labs, 16 machines, 70 jobs, seed 1" in said
    assert "0 rules broken; 20 explanations tried, 0 not true" in said


@pytest.mark.parametrize("wrong", [["--jobs", "0"], ["--seconds", "-1"], ["--seconds", "x"]])
def test_wrong_words_are_wrong_usage(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        network.main(wrong)
    assert ended.value.code == 2


def test_a_seed_makes_one_week_and_everything_is_in_it() -> None:
    week = made.network(1, 10, 60, 400)
    assert week == made.network(1, 10, 60, 400) != made.network(2, 10, 60, 400)
    assert any(lab.power_max_w for lab in week.labs)
    assert any(lab.credit_permille for lab in week.labs)
    assert any(machine.reserved_s for machine in week.machines)
    assert any(machine.plate_gap_um is not None for machine in week.machines)
    for wish in ("keep_with", "after", "value_minor", "plate_um", "tolerance_um"):
        assert any(getattr(job, wish) for job in week.jobs), wish


@pytest.mark.parametrize("seed", range(4))
def test_what_hours_bound_no_plan_goes_below(seed: int) -> None:
    week = made.network(seed, 3, 9, 30)
    bound = capacity_prices(bounding(lay_out(week))).bound
    plan = solve(week, Limits(seconds=0.5))
    assert not verify(week, plan)
    assert bound <= plan.objective_minor


def test_two_workers_give_the_same_plan_at_once_or_one_after_the_other() -> None:
    from concurrent.futures import ThreadPoolExecutor

    week = made.network(3, 6, 20, 90)
    limits = Limits(seconds=0.4, workers=2, seed=5)
    with ThreadPoolExecutor(2) as pool:
        at_once = solve(week, replace(limits, at_once=pool.map))
    assert at_once == solve(replace(week), limits)
    assert not verify(week, at_once)
