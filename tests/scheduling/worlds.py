"""Small worlds for the tests of scheduling: builders with sane defaults, a generator, an oracle."""

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

from hypothesis import strategies as st

from scheduling.plan import Assignment, Line, Plan, left_out_minor
from scheduling.problem import (
    Frozen,
    Job,
    Lab,
    Machine,
    Operator,
    Problem,
    Running,
    Travel,
    Weights,
)
from scheduling.verify import Look, ends, expected_lines, incapable, moments, room, somebody

HOUR = 3600
NOW = 1_800_000_000
HOME = (48_850_000, 2_350_000)
KM_UDEG = 8_993  # one kilometre north, in micro-degrees of latitude


def lab(name: str, km_north: float = 0, windows: tuple[tuple[int, int], ...] = ()) -> Lab:
    """A lab so far from HOME; windows in hours from NOW."""
    hours = tuple((NOW + a * HOUR, NOW + b * HOUR) for a, b in windows)
    return Lab(name, name.capitalize(), HOME[0] + round(km_north * KM_UDEG), HOME[1], hours)


def machine(name: str, at: str, **changes: Any) -> Machine:
    given: dict[str, Any] = {
        "process": "print",
        "materials": frozenset({"pla"}),
        "envelope_um": (220_000, 220_000, 250_000),
        "tolerance_um": 200,
        "unattended": True,
    }
    return Machine(name, at, **{**given, **changes})


def job(name: str, on: dict[str, float], **changes: Any) -> Job:
    """A printed job at HOME; `on` gives hours by machine."""
    given: dict[str, Any] = {
        "process": "print",
        "material": "pla",
        "size_um": (100_000, 100_000, 100_000),
        "lat_udeg": HOME[0],
        "lon_udeg": HOME[1],
        "prices_minor": dict.fromkeys(on, 1000),
    }
    durations = {each: round(hours * HOUR) for each, hours in on.items()}
    return Job(name, durations_s=durations, **{**given, **changes})


def problem(labs: list[Lab], machines: list[Machine], jobs: list[Job], **changes: Any) -> Problem:
    given: dict[str, Any] = {"now_s": NOW, "horizon_s": NOW + 100 * HOUR}
    return Problem(
        labs=tuple(labs), machines=tuple(machines), jobs=tuple(jobs), **{**given, **changes}
    )


def two_labs(*jobs: Job, **changes: Any) -> Problem:
    """One printer at `near` (1 km), one at `far` (11 km)."""
    labs = [lab("near", 1), lab("far", 11)]
    return problem(labs, [machine("n1", "near"), machine("f1", "far")], list(jobs), **changes)


def placed(plan: Plan) -> dict[str, str]:
    return {each.job: each.machine for each in plan.assignments}


# ── a generator: every rule of the room appears, contradictions included ──────────────────────────

_coordinate = st.sampled_from(
    [(48_850_000, 2_350_000), (48_900_000, 2_400_000), (90_000_000, 0), (-17_000_000, 179_999_999)]
)
_hours = st.integers(0, 40)


def _mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """The usual value four times out of five."""
    return st.sampled_from([usual] * 4 * len(others) + list(others))


@st.composite
def _labs(draw: st.DrawFn, index: int) -> Lab:
    edges = sorted(draw(_mostly(set[int](), {1, 9}, {0, 4, 5, 12, 24, 30}, {2, 3})))
    windows = tuple(
        (NOW + a * HOUR, NOW + b * HOUR) for a, b in zip(edges[::2], edges[1::2], strict=False)
    )
    lat, lon = draw(_coordinate)
    return Lab(
        f"lab{index}",
        f"Lab {index}",
        lat,
        lon,
        windows,
        operators=draw(_operators(index)) if draw(_mostly(False, True)) else None,
        power_max_w=draw(_mostly(None, 100, 250)),
        floor_minor_per_h=draw(_mostly(0, 500)),
        credit_permille=draw(_mostly(0, 100)),
        trial_minor=draw(_mostly(0, 300)),
    )


@st.composite
def _operators(draw: st.DrawFn, lab: int) -> tuple[Operator, ...]:
    some = draw(st.integers(0, 2))
    shifts = st.sampled_from([(), ((NOW, NOW + 9 * HOUR),), ((NOW + HOUR, NOW + 30 * HOUR),)])
    skills = st.sampled_from([{"print", "mill"}, {"mill"}, {"print"}])
    return tuple(
        Operator(f"p{lab}.{each}", frozenset(draw(skills)), draw(shifts)) for each in range(some)
    )


@st.composite
def _machines(draw: st.DrawFn, index: int, labs: list[Lab]) -> Machine:
    return Machine(
        id=f"m{index}",
        lab=draw(st.sampled_from(labs)).id,
        process=draw(_mostly("print", "mill")),
        materials=frozenset(draw(_mostly(("pla", "wood"), ("wood",), ()))),
        envelope_um=(200, 200, draw(_mostly(200, 50))),
        tolerance_um=draw(_mostly(10, 100)),
        available_from_s=NOW + draw(st.integers(-5, 10)) * HOUR,
        rate_minor_per_h=draw(st.integers(0, 900)),
        setup_minor=draw(st.integers(0, 50)),
        unattended=draw(st.booleans()),
        thickness_max_um=draw(_mostly(None, 3)),
        reserved_s=draw(_mostly((), ((NOW + HOUR, NOW + 3 * HOUR),))),
        power_w=draw(st.sampled_from([0, 100])),
        reliable_permille=draw(_mostly(1000, 900)),
        loaded=draw(_mostly(None, ("pla", ""), ("pla", "red"))),
        changeover_s=draw(_mostly(0, HOUR // 2)),
        changeover_minor=draw(_mostly(0, 70)),
        plate_gap_um=draw(_mostly(None, 5)),
        begin_s=draw(_mostly(0, HOUR // 4)),
    )


@st.composite
def _jobs(draw: st.DrawFn, index: int, machines: list[Machine]) -> Job:
    lat, lon = draw(_coordinate)
    timed = [each for each in machines if draw(_mostly(True, False))]
    return Job(
        id=f"j{index}",
        process=draw(_mostly("print", "mill")),
        material=draw(_mostly("pla", "wood")),
        size_um=(100, 100, draw(_mostly(40, 0, 150))),
        sizes_um={each.id: (100, 100, draw(_mostly(40, 150))) for each in timed[::3]},
        lat_udeg=lat,
        lon_udeg=lon,
        durations_s={each.id: draw(_mostly(HOUR, 2 * HOUR, 9 * HOUR - 1, 1)) for each in timed},
        prices_minor={each.id: draw(st.integers(0, 3000)) for each in timed[::2]},
        material_minor=draw(st.integers(0, 100)),
        thickness_um=draw(_mostly(None, 2, 5)),
        tolerance_um=draw(_mostly(None, 50, 100)),
        release_s=NOW + draw(st.integers(-5, 12)) * HOUR,
        due_s=draw(_mostly(None, NOW - HOUR, NOW + 3 * HOUR, NOW + 9 * HOUR)),
        after=tuple(sorted(draw(_mostly(set[str](), {f"j{index - 1}"}, {"j0", f"j{index - 1}"}))))
        if index
        else (),
        keep_with=draw(_mostly(None, "together")),
        colour=draw(_mostly("", "red")),
        value_minor=draw(_mostly(None, 2500)),
        plate_um=draw(_mostly(None, (60, 90), (110, 40), (300, 10))),
    )


@st.composite
def problems(draw: st.DrawFn, most_jobs: int = 7, most_machines: int = 5) -> Problem:
    labs = [draw(_labs(index)) for index in range(draw(st.integers(1, 3)))]
    count = draw(_mostly(min(3, most_machines), most_machines, 2, 1, 0))
    machines = [draw(_machines(index, labs)) for index in range(count)]
    jobs = [
        draw(_jobs(index, machines))
        for index in range(draw(st.integers(0, most_jobs).map(lambda less: most_jobs - less)))
    ]
    on = st.sampled_from([each.id for each in machines]) if machines else st.nothing()
    fixed: list[Running | Frozen] = []
    if machines and draw(st.booleans()):
        people = [each.id for lab in labs for each in lab.operators or ()]
        by = draw(st.sampled_from([None, *people]))
        fixed.append(Running("running", draw(on), NOW + draw(st.integers(-3, 9)) * HOUR, by))
    if machines and jobs and draw(st.booleans()):
        start = NOW + draw(_hours) * HOUR
        fixed.append(Frozen("j0", draw(on), start, start + draw(st.integers(1, 5)) * HOUR))
    current = {each.id: draw(on) for each in jobs if machines and draw(st.booleans())}
    return Problem(
        now_s=NOW,
        horizon_s=NOW + draw(_mostly(60, 20, 5)) * HOUR,
        labs=tuple(labs),
        machines=tuple(machines),
        jobs=tuple(jobs),
        fixed=tuple(fixed),
        current=current,
        weights=Weights(
            lateness_minor_per_h=draw(st.sampled_from([0, 200])),
            waiting_minor_per_h=draw(_mostly(70, 0)),
            unplaced_minor=draw(_mostly(1_000_000_000, 0, 3000)),
            co2_minor_per_kg=draw(_mostly(0, 40)),
        ),
        travel=Travel(s_per_km=draw(st.sampled_from([0, 240]))),
    )


# ── an oracle: every order and every choice of machines, judged by the checker's own rules ────────


def cheapest_minor(problem: Problem) -> int:
    """The least objective over all semi-active plans; only for a few jobs and machines."""
    jobs = [each.id for each in problem.open_jobs]
    choices = [each.id for each in problem.machines] + [""]
    return min(
        cost
        for order in permutations(jobs)
        for chosen in product(choices, repeat=len(jobs))
        if (cost := _cost(problem, order, dict(zip(jobs, chosen, strict=True)))) is not None
    )


def _cost(problem: Problem, order: tuple[str, ...], chosen: dict[str, str]) -> int | None:
    plan = Plan((), (), 0, 0, "greedy")
    total = 0
    for name in order:
        job = problem.job[name]
        if not chosen[name]:
            total += left_out_minor(problem, job)
            continue
        first = next(_first(problem, plan, job, chosen[name]), None)
        if first is None:
            return None
        plan = Plan((*plan.assignments, first), (), 0, 0, "greedy")
        total += first.cost_minor
    labs = {problem.machine[each.machine].lab for each in plan.assignments if _kept(problem, each)}
    labs |= {problem.machine[f.machine].lab for f in problem.fixed if _kept(problem, f)}
    return total if len(labs) < 2 else None


def _kept(problem: Problem, item: Assignment | Running | Frozen) -> bool:
    return item.job in problem.job and bool(problem.job[item.job].keep_with)


def _first(problem: Problem, plan: Plan, job: Job, name: str) -> Iterator[Assignment]:
    on, look = problem.machine[name], Look(problem, plan)
    if incapable(problem, job, on):
        return
    for start in moments(look, job, on):
        end, changes = ends(look, job, on, start)
        if room(look, job, on, start, end):
            lines = expected_lines(look, job, on, end, changes=changes)
            by = somebody(look, on, start, end)[1]
            its = tuple(Line(*each) for each in lines.items())
            yield Assignment(job.id, name, start, end, its, by)
