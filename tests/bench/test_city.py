"""The city benchmark: whole runs, a checker that nothing slips past, and a plot."""

import copy
import json
import multiprocessing
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from bench import city as bench_city
from bench import growth
from bench.cities import check, exact
from bench.cities.files import dumped, planned
from bench.cities.generator import Asked, city_of
from bench.cities.peers import PEERS, choice_of
from scheduling.assign import Effort
from scheduling.city import Choice, City, cost_of, lines, seconds_on
from scheduling.citywide import Hands, cells_of, priced, room_in, routed
from scheduling.reach import cheapest, reach_of

pytestmark = pytest.mark.timeout(300)


def planned_city(seed: int = 2, jobs: int = 80, load: float = 0.85) -> tuple[Any, Any]:
    city = city_of(Asked(seed, jobs, 10, 3, load))
    reach = reach_of(city)
    found = priced(reach, Hands())
    choice = routed(reach, found, Effort(lambda: False, kicks=2000))
    cost = int(cost_of(city, choice).sum())
    return dumped(city), planned(choice, cost, found.bound, found.price)


@pytest.fixture(scope="module")
def good() -> tuple[dict[str, Any], dict[str, Any]]:
    return planned_city()


def test_a_plan_of_ours_has_no_fault(good: tuple[Any, Any]):
    city, plan = good
    verdict = check.judged(city, plan)
    assert verdict.faults == ()
    assert verdict.cost == plan["cost_minor"]
    assert verdict.bound == pytest.approx(plan["bound_minor"], abs=1)
    assert verdict.could_be_placed == 0


Broken = Callable[[dict[str, Any], dict[str, Any]], object]


def _first(plan: dict[str, Any]) -> int:
    return next(j for j, i in enumerate(plan["machine"]) if i is not None)


def _on_another(city: dict[str, Any], plan: dict[str, Any]) -> None:
    j = _first(plan)
    process = city["jobs"]["process"][j]
    plan["machine"][j] = next(
        i for i, other in enumerate(city["machines"]["process"]) if other != process
    )


def _left_out(_: dict[str, Any], plan: dict[str, Any]) -> None:
    plan["machine"][_first(plan)] = plan["bucket"][_first(plan)] = None


def _all_on_one(city: dict[str, Any], plan: dict[str, Any]) -> None:
    i = plan["machine"][_first(plan)]
    process = city["machines"]["process"]
    for j, at in enumerate(plan["machine"]):
        if at is not None and process[at] == process[i]:
            plan["machine"][j], plan["bucket"][j] = i, 0


def _set(part: str, column: str, value: Callable[[Any], Any]) -> Broken:
    """Changes the entry of the first job that is placed, or of its machine."""

    def broken(city: dict[str, Any], plan: dict[str, Any]) -> None:
        at = _first(plan) if part == "jobs" else plan["machine"][_first(plan)]
        city[part][column][at] = value(city[part][column][at])

    return broken


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (_on_another, "against its process"),
        (_set("machines", "materials", lambda _: []), "against its material"),
        (_set("jobs", "size_um", lambda _: [1, 10**9, 1]), "against its size"),
        (_set("jobs", "tolerance_um", lambda _: 0), "against its tolerance"),
        (_set("machines", "hours_s", lambda hours: [0] * len(hours)), "s to do by the end of"),
        (_all_on_one, "s to do by the end of bucket 0"),
        (_left_out, "are left out though there is room"),
        (_set("machines", "rate_minor_per_h", lambda rate: rate + 60), "the lines add up to"),
        (_set("machines", "setup_minor", lambda minor: minor + 1), "the lines add up to"),
        (_set("jobs", "material_minor", lambda minor: minor + 1), "the lines add up to"),
        (_set("jobs", "lat_udeg", lambda lat: lat + 90_000), "the lines add up to"),
        (lambda city, _: city["tariff"].update(co2_g_per_km=900), "the lines add up to"),
        (lambda _, plan: plan.update(cost_minor=plan["cost_minor"] - 1), "the lines add up to"),
        (lambda _, plan: plan["machine"].__setitem__(3, 99), "job 3 is on machine 99"),
        (lambda _, plan: plan["bucket"].__setitem__(3, 6), "in bucket 6: none such"),
        (lambda _, plan: plan["bucket"].__setitem__(3, None), "job 3 is on machine"),
        (lambda _, plan: plan.update(bound_minor=plan["bound_minor"] + 50), "the prices prove"),
        (lambda _, plan: plan.update(bound_minor=plan["cost_minor"] + 50), "above the cost"),
        (lambda _, plan: plan["price_minor_per_s"][0].__setitem__(0, -1e-9), "is negative"),
        (lambda _, plan: plan["price_minor_per_s"][0].__setitem__(0, float("nan")), "no number"),
        (lambda _, plan: plan["price_minor_per_s"].pop(), "not a price for each"),
    ],
)
def test_the_checker_refuses_each_kind_of_broken_plan(
    good: tuple[Any, Any], broken: Broken, why: str
):
    city, plan = copy.deepcopy(good)
    broken(city, plan)
    faults = check.judged(city, plan).faults
    assert any(why in fault for fault in faults), faults


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda city, _: city.update(format="other"), "format must be cosmolocal-city-1"),
        (lambda city, _: city["jobs"].pop("due"), "docs/city-format.md"),
        (lambda city, _: city["jobs"]["due"].pop(), "differ in length"),
        (lambda city, _: city["bucket_ends_s"].reverse(), "not nested"),
        (lambda city, _: city["machines"]["hours_s"][0].reverse(), "not nested"),
        (lambda city, _: city["machines"]["materials"].pop(), "differs in length"),
        (lambda city, _: city["machines"]["materials"].__setitem__(0, [99]), "docs/city-format"),
        (lambda _, plan: plan.update(format="other"), "format must be cosmolocal-plan-1"),
        (lambda _, plan: plan["machine"].pop(), "the city has 80"),
        (lambda _, plan: plan.pop("cost_minor"), "docs/city-format.md"),
        (lambda _, plan: plan.pop("price_minor_per_s"), "docs/city-format.md"),
    ],
)
def test_what_is_no_city_or_no_plan_is_told(good: tuple[Any, Any], broken: Broken, why: str):
    city, plan = copy.deepcopy(good)
    broken(city, plan)
    with pytest.raises(check.BadFile, match=why):
        check.judged(city, plan)


def test_the_checker_is_a_program_of_its_own(
    good: tuple[Any, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    city, plan = tmp_path / "city.json", tmp_path / "plan.json"
    city.write_text(json.dumps(good[0]))
    plan.write_text(json.dumps(good[1]))
    assert check.told(city, plan) == 0
    assert "0 faults" in capsys.readouterr().out
    plan.write_text(json.dumps({**good[1], "cost_minor": 1}))
    assert check.told(city, plan) == 1
    assert "fault: cost_minor is 1" in capsys.readouterr().out
    plan.write_text("[]")
    assert check.told(city, plan) == 2
    assert check.told(tmp_path / "none", plan) == 2
    source = Path(check.__file__).read_text(encoding="utf-8")
    assert "import scheduling" not in source
    assert "from scheduling" not in source


def _least_of_all(city: City) -> int:
    """Every choice of machine and bucket for every job, tried."""
    ways, _ = cheapest(reach_of(city), np.zeros(city.machines.hours_s.shape), 18)
    each = [
        [
            (-1, -1),
            *((i, b) for i, b in zip(ways.machine[j], ways.bucket[j], strict=True) if i >= 0),
        ]
        for j in range(len(city.jobs.due))
    ]
    least = 10**12
    for choice in product(*each):
        machine, bucket = (np.array(column, np.int64) for column in zip(*choice, strict=True))
        tried = Choice(machine, bucket)
        if (room_in(city, tried) >= 0).all():
            least = min(least, int(cost_of(city, tried).sum()))
    return least


@pytest.mark.parametrize("seed", range(3))
def test_tiny_cities_are_solved_and_exact_says_the_same(seed: int):
    city = city_of(Asked(seed, 4, 3, 2, 1.4))
    reach = reach_of(city)
    found = priced(reach, Hands())
    choice = routed(reach, found, Effort(lambda: False, kicks=500))
    least = _least_of_all(city)
    assert found.bound <= least + 1e-6
    assert cost_of(city, choice).sum() == least
    ways, _ = cheapest(reach, np.zeros(city.machines.hours_s.shape), 18)
    assert exact.optimum_of(cells_of(city, ways), 10**12) == (least, True)


def test_the_bound_is_near_that_of_the_linear_relaxation_over_the_whole_city():
    city = city_of(Asked(3, 300, 30, 4, 0.85))
    reach = reach_of(city)
    found = priced(reach, Hands())
    ways, _ = cheapest(reach, np.zeros(city.machines.hours_s.shape), 180)
    value = _relaxed(cells_of(city, ways))
    assert found.bound <= value + 1e-6 * value
    assert found.bound >= value * (1 - 1e-4)


def test_prices_that_are_stopped_at_once_still_prove_a_bound_and_let_everybody_sit():
    city = city_of(Asked(3, 300, 30, 4, 0.85))
    reach = reach_of(city)
    whole, cut = priced(reach, Hands()), priced(reach, Hands(), lambda: True)
    assert 0 < cut.bound <= whole.bound
    choice = routed(reach, cut, Effort(lambda: False, kicks=500))
    assert (room_in(city, choice) >= 0).all()
    assert (choice.machine >= 0).sum() >= 299
    assert cost_of(city, choice).sum() >= whole.bound


def _relaxed(cells: Any) -> float:
    """In a process of its own: what the solver brings along closes streams that are pytest's."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_relaxation, (cells,))


def _relaxation(cells: Any) -> float:
    from ortools.math_opt.python import mathopt

    model = mathopt.Model()
    carried: dict[tuple[int, int], list[Any]] = {}
    costs: list[Any] = []
    for j in range(cells.jobs):
        shares = [model.add_variable(lb=0.0, ub=1.0)]
        costs.append(shares[0] * int(cells.unplaced[j]))
        for q in np.flatnonzero(cells.bins[j] >= 0):
            shares.append(model.add_variable(lb=0.0, ub=1.0))
            costs.append(shares[-1] * int(cells.cost[j, q]))
            at = (int(cells.bins[j, q]), int(cells.row[j, q]))
            carried.setdefault(at, []).append(shares[-1] * int(cells.weight[j, q]))
        model.add_linear_constraint(mathopt.fast_sum(shares) == 1)
    for i, capacity in enumerate(cells.capacity.tolist()):
        load: list[Any] = []
        for b, most in enumerate(capacity):
            load = load + carried.get((i, b), [])
            model.add_linear_constraint(mathopt.fast_sum(load) <= most)
    model.minimize(mathopt.fast_sum(costs))
    return mathopt.solve(model, mathopt.SolverType.GLOP).objective_value()


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_serves_each_job_as_it_comes_and_keeps_all_rules(peer: str):
    city = city_of(Asked(4, 60, 8, 3, 1.1))
    choice = choice_of(peer, reach_of(city))
    room = city.machines.hours_s.copy()
    for j in range(60):
        best: tuple[Any, ...] | None = None
        for i in range(8):
            due, pair = int(city.jobs.due[j]), (np.array([j]), np.array([i]))
            [seconds] = seconds_on(city, *pair)
            open_ = [b for b in range(due, 6) if room[i, b:].min() >= seconds]
            if not open_ or not _able(city, j, i):
                continue
            told = lines(city, *pair, np.array(open_[:1]))
            near = (open_[0] > due, int(told.transport[0]))
            rank = (int(told.total[0]),) if peer == "cheapest" else near
            if best is None or rank < best[0]:
                best = (rank, i, open_[0], seconds)
        if best is None:
            assert choice.machine[j] == -1
            continue
        i, b = int(choice.machine[j]), int(choice.bucket[j])
        if peer == "cheapest":
            assert lines(city, *(np.array([k]) for k in (j, i, b))).total[0] == best[0][0]
        else:
            assert city.machines.lab[i] == city.machines.lab[best[1]]
        [seconds] = seconds_on(city, np.array([j]), np.array([i]))
        room[i, b:] -= seconds
        assert (room >= 0).all()


def _able(city: City, j: int, i: int) -> bool:
    jobs, machines = city.jobs, city.machines
    return bool(
        jobs.process[j] == machines.process[i]
        and machines.takes[i, jobs.material[j]]
        and (jobs.size_um[j] <= machines.envelope_um[i]).all()
        and machines.tolerance_um[i] <= jobs.tolerance_um[j]
    )


def said(monkeypatch: pytest.MonkeyPatch, main: Callable[[], int], *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    return main()


def test_a_city_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    city, plan = tmp_path / "city.json", tmp_path / "plan.json"
    sizes = {"seed": 5, "jobs": 200, "machines": 20, "labs": 3, "seconds": 1, "city": "waiyevo"}
    words = [f"--{name}={value}" for name, value in sizes.items()]
    files = ["--dump", str(city), "--plan", str(plan)]
    assert said(monkeypatch, bench_city.main, *words, *files, "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["measured_load"] == pytest.approx([0.8] * 4, rel=1e-2)
    assert (row["faults"], row["could_be_placed"]) == ([], 0)
    assert row["bound_minor"] <= row["cost_minor"]
    assert set(row["peers"]) == set(PEERS)
    assert said(monkeypatch, bench_city.main, "--check", str(city), str(plan)) == 0
    assert said(monkeypatch, bench_city.main, *words) == 0
    assert "whole city" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--jobs 0", "'0' is no number from 1 on"),
        ("--load 9", "give 0.05 to 2"),
        ("--load much", "give 0.05 to 2"),
        ("--seconds nan", "give 0.5 to 86400 s"),
        ("--machines 2 --labs 3", "3 labs need at least as many machines, not 2"),
        ("--city atlantis", "invalid choice: 'atlantis'"),
        ("--dump /nowhere/at/all.json", "/nowhere/at is no folder"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_sentence(
    words: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as stopped:
        said(monkeypatch, bench_city.main, *words.split())
    assert stopped.value.code == 2
    assert why in capsys.readouterr().err


def test_the_plot_is_an_svg_with_a_point_for_each_size_and_the_slope():
    rows = [
        {"jobs": n, "wall_seconds": n / 1e4, "cpu_seconds": n / 1e4, "gap_percent": 0.5}
        for n in (100, 1_000, 10_000)
    ]
    sizes, series = (100, 1_000, 10_000), growth.series_of(rows)
    assert series[0].slope(sizes) == pytest.approx(1.0)
    drawn = ET.fromstring(growth.svg_of(sizes, series))
    assert len(drawn.findall("{*}circle")) == 9
    assert "slope 1.00" in "".join(drawn.itertext())


def test_a_gap_of_nothing_has_no_logarithm_and_is_left_out_of_the_plot():
    rows = [
        {"jobs": n, "wall_seconds": 1.0, "cpu_seconds": 1.0, "gap_percent": 0.0} for n in (100, 300)
    ]
    drawn = ET.fromstring(growth.svg_of((100, 300), growth.series_of(rows)))
    assert len(drawn.findall("{*}circle")) == 4
