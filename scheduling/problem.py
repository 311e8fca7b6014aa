"""What has to be made, who could make it and what counts: one immutable value, valid from birth.

It promises that every id resolves, every number is a sane integer and no job waits for itself;
it never decides anything.

Units: seconds since the epoch (`_s`), micro-degrees (`_udeg`), micrometres (`_um`), integer minor
units of one currency (`_minor`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

Spans = tuple[tuple[int, int], ...]
Load = tuple[str, str]
"""What a machine is loaded with: a material and its colour."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")
_TIME_MAX_S = 10**11
DURATION_MAX_S = 10**8
_HORIZON_MAX_S = 400 * 86_400
MONEY_MAX_MINOR = 10**9
_WEIGHT_MAX_MINOR = 10**7
_LENGTH_MAX_UM = 10**9
_POWER_MAX_W = 10**7


class ProblemError(ValueError):
    """The problem contradicts itself or carries an absurd number; the message says where."""


def _whole(where: str, value: int, least: int, most: int) -> None:
    if type(value) is not int:
        raise ProblemError(f"{where} is {value!r}; give a whole number")
    if not least <= value <= most:
        raise ProblemError(f"{where} is {value}; it must lie between {least} and {most}")


def _slug(where: str, value: str) -> None:
    if not _ID.fullmatch(value):
        raise ProblemError(f"{where} has the id {value!r}; use letters, digits and . _ : / -")


def _place(where: str, lat_udeg: int, lon_udeg: int) -> None:
    _whole(f"{where}: lat_udeg", lat_udeg, -90_000_000, 90_000_000)
    _whole(f"{where}: lon_udeg", lon_udeg, -180_000_000, 180_000_000)


def _size(where: str, size_um: tuple[int, int, int], least: int) -> None:
    if len(size_um) != 3:
        raise ProblemError(f"{where} is {size_um!r}; give x, y and z")
    for axis, length in zip("xyz", size_um, strict=True):
        _whole(f"{where}: {axis}", length, least, _LENGTH_MAX_UM)


def _joined(where: str, windows: Iterable[tuple[int, int]]) -> Spans:
    """Windows in order of time, those that touch made one; overlapping ones are refused."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(tuple(window) for window in windows):
        _whole(f"{where}: opening time", start, 0, _TIME_MAX_S)
        _whole(f"{where}: closing time", end, 0, _TIME_MAX_S)
        if end <= start:
            raise ProblemError(f"{where}: a window closes at {end}, not after it opens at {start}")
        if joined and start < joined[-1][1]:
            raise ProblemError(f"{where}: windows overlap at {start}; give each hour once")
        if joined and start == joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)


@dataclass(frozen=True)
class Operator:
    """Somebody who serves attended machines: of which processes, and when. No windows: always."""

    id: str
    skills: frozenset[str]
    windows_s: Spans = ()

    def __post_init__(self) -> None:
        _slug("an operator", self.id)
        object.__setattr__(self, "windows_s", _joined(f"operator {self.id}", self.windows_s))


@dataclass(frozen=True)
class Lab:
    """A place with machines. No windows at all means: always open.

    `operators` None: whoever is there serves all its machines; else an attended job needs one of
    them, who does nothing else meanwhile. `power_max_w`: what its machines may draw together.
    `floor_minor_per_h`: what an hour of its machines is paid at least, whatever a price says.
    `credit_permille` of what it is paid counts in its favour, `trial_minor` for each job, too:
    what members granted so that income is spread and new labs are tried; nobody is paid less.
    """

    id: str
    name: str
    lat_udeg: int
    lon_udeg: int
    open_windows_s: Spans = ()
    operators: tuple[Operator, ...] | None = None
    power_max_w: int | None = None
    floor_minor_per_h: int = 0
    credit_permille: int = 0
    trial_minor: int = 0

    def __post_init__(self) -> None:
        where = f"lab {self.id}"
        _slug("a lab", self.id)
        _place(where, self.lat_udeg, self.lon_udeg)
        joined = _joined(where, self.open_windows_s)
        object.__setattr__(self, "open_windows_s", joined)
        if self.power_max_w is not None:
            _whole(f"{where}: power_max_w", self.power_max_w, 0, _POWER_MAX_W)
        _whole(f"{where}: floor_minor_per_h", self.floor_minor_per_h, 0, _WEIGHT_MAX_MINOR)
        _whole(f"{where}: credit_permille", self.credit_permille, 0, 1000)
        _whole(f"{where}: trial_minor", self.trial_minor, 0, MONEY_MAX_MINOR)


@dataclass(frozen=True)
class Machine:
    """One machine. Attended: a job lies within one opening. Unattended: it only starts in one.

    `tolerance_um` is what the machine holds; `thickness_max_um` None = no limit to sheets.
    `setup_minor` is charged for each job; `rate_minor_per_h` where a job names no price.
    `reserved_s`: taken for something else. `reliable_permille` of what it begins is good.
    A job of another load (material and colour) than the one before takes `changeover_s` more, which
    count `changeover_minor`; `loaded` is what is in it now, None: whatever comes first.
    `plate_gap_um`: jobs may share its bed, so far apart; None: one job at a time. Of the duration
    of each job that shares a plate but one, `begin_s` are saved.
    """

    id: str
    lab: str
    process: str
    materials: frozenset[str]
    envelope_um: tuple[int, int, int]
    tolerance_um: int
    available_from_s: int = 0
    rate_minor_per_h: int = 0
    setup_minor: int = 0
    unattended: bool = False
    thickness_max_um: int | None = None
    reserved_s: Spans = ()
    power_w: int = 0
    reliable_permille: int = 1000
    loaded: Load | None = None
    changeover_s: int = 0
    changeover_minor: int = 0
    plate_gap_um: int | None = None
    begin_s: int = 0

    def __post_init__(self) -> None:
        where = f"machine {self.id}"
        joined = _joined(f"{where}: reserved_s", self.reserved_s)
        object.__setattr__(self, "reserved_s", joined)
        _slug("a machine", self.id)
        _size(f"{where}: envelope_um", self.envelope_um, 1)
        _whole(f"{where}: tolerance_um", self.tolerance_um, 0, _LENGTH_MAX_UM)
        _whole(f"{where}: available_from_s", self.available_from_s, 0, _TIME_MAX_S)
        _whole(f"{where}: rate_minor_per_h", self.rate_minor_per_h, 0, _WEIGHT_MAX_MINOR)
        _whole(f"{where}: setup_minor", self.setup_minor, 0, MONEY_MAX_MINOR)
        if self.thickness_max_um is not None:
            _whole(f"{where}: thickness_max_um", self.thickness_max_um, 0, _LENGTH_MAX_UM)
        _whole(f"{where}: power_w", self.power_w, 0, _POWER_MAX_W)
        _whole(f"{where}: reliable_permille", self.reliable_permille, 1, 1000)
        _whole(f"{where}: changeover_s", self.changeover_s, 0, DURATION_MAX_S)
        _whole(f"{where}: changeover_minor", self.changeover_minor, 0, MONEY_MAX_MINOR)
        if self.plate_gap_um is not None:
            _whole(f"{where}: plate_gap_um", self.plate_gap_um, 0, _LENGTH_MAX_UM)
        _whole(f"{where}: begin_s", self.begin_s, 0, DURATION_MAX_S)


@dataclass(frozen=True)
class Job:
    """One operation on a quantity of one part, wanted at a place.

    `size_um` is compared axis by axis with a machine's envelope, as the part lies in its file;
    `sizes_um` by id of the machines that make it from a file of another size.
    `durations_s` and `prices_minor` (machine time only) are by machine id; a machine without a
    duration cannot do the job; one without a price costs its rate times the duration, rounded up.
    `after` names jobs that must be made and received at the lab first; `keep_with` is a label:
    as many jobs as share it and are made are made at one lab.
    `value_minor`: the price of leaving it out, None: as the weights say. `plate_um`: what it takes
    of a bed that it may share with others of its material and colour; None: it shares none.
    """

    id: str
    process: str
    material: str
    size_um: tuple[int, int, int]
    lat_udeg: int
    lon_udeg: int
    durations_s: Mapping[str, int] = field(hash=False)
    prices_minor: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    material_minor: int = 0
    thickness_um: int | None = None
    tolerance_um: int | None = None
    release_s: int = 0
    due_s: int | None = None
    after: tuple[str, ...] = ()
    keep_with: str | None = None
    sizes_um: Mapping[str, tuple[int, int, int]] = field(
        default_factory=dict[str, tuple[int, int, int]], hash=False
    )
    colour: str = ""
    value_minor: int | None = None
    plate_um: tuple[int, int] | None = None

    @property
    def load(self) -> Load:
        """What must be in the machine."""
        return self.material, self.colour

    def size_on(self, machine: str) -> tuple[int, int, int]:
        return self.sizes_um.get(machine, self.size_um)

    def __post_init__(self) -> None:
        _slug("a job", self.id)
        where = f"job {self.id}"
        _place(where, self.lat_udeg, self.lon_udeg)
        for size_um in (self.size_um, *self.sizes_um.values()):
            _size(f"{where}: size_um", size_um, 0)
        _whole(f"{where}: material_minor", self.material_minor, 0, MONEY_MAX_MINOR)
        _whole(f"{where}: release_s", self.release_s, 0, _TIME_MAX_S)
        self._check_wishes(where)
        self._check_estimates(where)

    def _check_wishes(self, where: str) -> None:
        for name in ("thickness_um", "tolerance_um"):
            if getattr(self, name) is not None:
                _whole(f"{where}: {name}", getattr(self, name), 0, _LENGTH_MAX_UM)
        if self.due_s is not None:
            _whole(f"{where}: due_s", self.due_s, 0, _TIME_MAX_S)
        if len(set(self.after)) != len(self.after):
            raise ProblemError(f"{where} names a job twice in after: {', '.join(self.after)}")
        if self.value_minor is not None:
            _whole(f"{where}: value_minor", self.value_minor, 0, MONEY_MAX_MINOR)
        if self.plate_um is not None:
            _size(f"{where}: plate_um", (*self.plate_um, 1), 1)

    def _check_estimates(self, where: str) -> None:
        for machine, duration_s in self.durations_s.items():
            _whole(f"{where}: duration on {machine}", duration_s, 1, DURATION_MAX_S)
        for machine, minor in self.prices_minor.items():
            _whole(f"{where}: price on {machine}", minor, 0, MONEY_MAX_MINOR)


@dataclass(frozen=True)
class Running:
    """A job on its machine now, expected to end at `until_s`.

    A moment that has passed means: made then, the machine is free, the part lies at its lab.
    `operator`: who serves it.
    """

    job: str
    machine: str
    until_s: int
    operator: str | None = None


@dataclass(frozen=True)
class Frozen:
    """A planned job that must stay where and when it is, with whom it is."""

    job: str
    machine: str
    start_s: int
    end_s: int
    operator: str | None = None


@dataclass(frozen=True)
class Weights:
    """What counts how much, as data. `unplaced_minor` is the price of leaving a job out.

    A kilogram of CO2 counts `co2_minor_per_kg`; a kilometre makes `co2_g_per_km`, a kilowatt-hour
    `co2_g_per_kwh`.
    """

    transport_minor_per_km: int = 30
    lateness_minor_per_h: int = 200
    waiting_minor_per_h: int = 5
    move_minor: int = 100
    unplaced_minor: int = 1_000_000
    co2_minor_per_kg: int = 0
    co2_g_per_km: int = 150
    co2_g_per_kwh: int = 250

    def __post_init__(self) -> None:
        rates = ("transport_minor_per_km", "lateness_minor_per_h", "waiting_minor_per_h",
                 "co2_minor_per_kg", "co2_g_per_km", "co2_g_per_kwh")  # fmt: skip
        for name in rates:
            _whole(f"weights: {name}", getattr(self, name), 0, _WEIGHT_MAX_MINOR)
        _whole("weights: move_minor", self.move_minor, 0, MONEY_MAX_MINOR)
        _whole("weights: unplaced_minor", self.unplaced_minor, 0, MONEY_MAX_MINOR)


@dataclass(frozen=True)
class Travel:
    """How long a part takes from one lab to another: a handover, then the kilometres."""

    handover_s: int = 1_800
    s_per_km: int = 240

    def __post_init__(self) -> None:
        _whole("travel: handover_s", self.handover_s, 0, 10**7)
        _whole("travel: s_per_km", self.s_per_km, 0, 10**5)


@dataclass(frozen=True)
class Problem:
    """Everything a plan is made from. Nothing may end after the moment `horizon_s`.

    A job that is also in `fixed` is not planned again; it is there so that others may follow it.
    `current` says on which machine the plan in force has a job; others' entries are ignored.
    """

    now_s: int
    horizon_s: int
    labs: tuple[Lab, ...]
    machines: tuple[Machine, ...]
    jobs: tuple[Job, ...]
    fixed: tuple[Running | Frozen, ...] = ()
    current: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    weights: Weights = Weights()
    travel: Travel = Travel()
    minor_unit: str = "cents"

    def __post_init__(self) -> None:
        _whole("now_s", self.now_s, 0, _TIME_MAX_S)
        _whole("horizon_s", self.horizon_s, self.now_s + 1, self.now_s + _HORIZON_MAX_S)
        _unique("lab", (lab.id for lab in self.labs))
        _unique("machine", (machine.id for machine in self.machines))
        _unique("operator", (each.id for lab in self.labs for each in lab.operators or ()))
        _unique("job", (job.id for job in self.jobs))
        _unique("fixed job", (item.job for item in self.fixed))
        for machine in self.machines:
            if machine.lab not in self.lab:
                raise ProblemError(f"machine {machine.id} stands in lab {machine.lab}: unknown")
        for item in self.fixed:
            self._check_fixed(item)
        for job in self.jobs:
            self.check(job)
        _refuse_cycles(self.jobs)

    def _check_fixed(self, item: Running | Frozen) -> None:
        where = f"fixed job {item.job}"
        if item.machine not in self.machine:
            raise ProblemError(f"{where} is on machine {item.machine}, which is unknown")
        if item.operator is not None and item.operator not in self.operator:
            raise ProblemError(f"{where} is served by {item.operator}, who is unknown")
        if isinstance(item, Running):
            return _whole(f"{where}: until_s", item.until_s, 0, _TIME_MAX_S)
        _whole(f"{where}: start_s", item.start_s, 0, _TIME_MAX_S)
        return _whole(f"{where}: end_s", item.end_s, item.start_s + 1, _TIME_MAX_S)

    def check(self, job: Job) -> None:
        """Raise ProblemError if the job names a machine or a job that this problem lacks."""
        for machine in (*job.durations_s, *job.prices_minor):
            if machine not in self.machine:
                raise ProblemError(f"job {job.id} has an estimate for machine {machine}: unknown")
        for before in job.after:
            if before not in self.job and before not in self.fixed_by_job:
                raise ProblemError(
                    f"job {job.id} comes after {before}, which is neither a job nor fixed; "
                    "leave out what needs no transport any more"
                )

    @cached_property
    def lab(self) -> dict[str, Lab]:
        return {lab.id: lab for lab in self.labs}

    @cached_property
    def machine(self) -> dict[str, Machine]:
        return {machine.id: machine for machine in self.machines}

    def machines_of(self, process: str) -> tuple[Machine, ...]:
        return self._by_process.get(process, ())

    @cached_property
    def _by_process(self) -> dict[str, tuple[Machine, ...]]:
        found: dict[str, list[Machine]] = {}
        for machine in self.machines:
            found.setdefault(machine.process, []).append(machine)
        return {process: tuple(machines) for process, machines in found.items()}

    @cached_property
    def operator(self) -> dict[str, Operator]:
        return {each.id: each for lab in self.labs for each in lab.operators or ()}

    @cached_property
    def job(self) -> dict[str, Job]:
        return {job.id: job for job in self.jobs}

    @cached_property
    def fixed_by_job(self) -> dict[str, Running | Frozen]:
        return {item.job: item for item in self.fixed}

    @cached_property
    def open_jobs(self) -> tuple[Job, ...]:
        """The jobs to be planned, in the order given."""
        return tuple(job for job in self.jobs if job.id not in self.fixed_by_job)

    @cached_property
    def followers(self) -> dict[str, tuple[str, ...]]:
        """By job id: the jobs that come directly after it."""
        found: dict[str, list[str]] = {}
        for job in self.jobs:
            for before in job.after:
                found.setdefault(before, []).append(job.id)
        return {before: tuple(after) for before, after in found.items()}

    @cached_property
    def busy(self) -> dict[str, Spans]:
        """By machine id: the spans that are fixed or reserved, disjoint and in order of time."""
        spans = {each.id: list(each.reserved_s) for each in self.machines if each.reserved_s}
        for item in self.fixed:
            start, end = fixed_span(item, self.now_s)
            if end > start:
                spans.setdefault(item.machine, []).append((start, end))
        return {machine: merged(found) for machine, found in spans.items()}


def fixed_span(item: Running | Frozen, now_s: int) -> tuple[int, int]:
    """From when until when a fixed job holds its machine; running ones from now on."""
    return (now_s, item.until_s) if isinstance(item, Running) else (item.start_s, item.end_s)


def merged(spans: Iterable[tuple[int, int]]) -> Spans:
    """Spans made one where they meet or overlap, in order of time."""
    made: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(end, made[-1][1]))
        else:
            made.append((start, end))
    return tuple(made)


def _unique(what: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise ProblemError(f"{what} {each} is given twice")
        seen.add(each)


def _refuse_cycles(jobs: tuple[Job, ...]) -> None:
    waiting = {job.id: set(job.after) for job in jobs}
    while waiting:
        ready = [job for job, before in waiting.items() if not before & waiting.keys()]
        if not ready:
            raise ProblemError(f"these jobs wait for one another: {', '.join(sorted(waiting))}")
        for job in ready:
            del waiting[job]
