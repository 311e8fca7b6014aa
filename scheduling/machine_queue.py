"""What waits at one machine, what changing over costs there, and an order in which it is made.

It promises whole numbers that make sense from birth, and that an order's cost is the sum of its
lines; it never decides anything.

Units as in `problem`: seconds since the epoch (`_s`), minor units of one currency (`_minor`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, NamedTuple

from scheduling.plan import Line
from scheduling.problem import DURATION_MAX_S, MONEY_MAX_MINOR, Spans

JOBS_MAX: Final = 200
_TIME_MAX_S: Final = 10**11
_HORIZON_MAX_S: Final = 400 * 86_400
_WEIGHT_MAX_MINOR: Final = 10**7


class QueueError(ValueError):
    """The queue contradicts itself or carries an absurd number; the message says where."""


class Changeover(NamedTuple):
    """From one family to another: the machine's time and what it costs beside that."""

    duration_s: int
    minor: int


NO_CHANGEOVER: Final = Changeover(0, 0)


@dataclass(frozen=True)
class Waiting:
    """A job that waits at the machine; its family is what has to be loaded (material, colour).

    It starts at `release_s` or later; the changeover may come before. `left_out_minor`: what it
    counts not to make it within the horizon.
    """

    id: str
    family: str
    duration_s: int
    release_s: int = 0
    due_s: int | None = None
    lateness_minor_per_h: int = 200
    waiting_minor_per_h: int = 5
    left_out_minor: int = 1_000_000

    def __post_init__(self) -> None:
        where = f"job {self.id}"
        _whole(f"{where}: duration_s", self.duration_s, 1, DURATION_MAX_S)
        _whole(f"{where}: release_s", self.release_s, 0, _TIME_MAX_S)
        if self.due_s is not None:
            _whole(f"{where}: due_s", self.due_s, 0, _TIME_MAX_S)
        for name in ("lateness_minor_per_h", "waiting_minor_per_h"):
            _whole(f"{where}: {name}", getattr(self, name), 0, _WEIGHT_MAX_MINOR)
        _whole(f"{where}: left_out_minor", self.left_out_minor, 0, MONEY_MAX_MINOR)


@dataclass(frozen=True)
class Queue:
    """One machine from `now_s` to `horizon_s`, with the family that is `loaded`, None = nothing.

    `changeovers`: from each family (what is loaded, too) to each other one of the jobs; to the
    same family none unless it is given, from nothing none at all. `openings_s` without any: always
    open. Attended: a job and its changeover lie within one opening; unattended: both start in the
    same one. In the spans `taken_s` nothing is made, and what is loaded stays.
    """

    now_s: int
    horizon_s: int
    jobs: tuple[Waiting, ...]
    changeovers: Mapping[tuple[str, str], Changeover] = field(
        default_factory=dict[tuple[str, str], Changeover], hash=False
    )
    loaded: str | None = None
    openings_s: Spans = ()
    unattended: bool = False
    taken_s: Spans = ()

    def __post_init__(self) -> None:
        _whole("now_s", self.now_s, 0, _TIME_MAX_S)
        _whole("horizon_s", self.horizon_s, self.now_s + 1, self.now_s + _HORIZON_MAX_S)
        if not 1 <= len(self.jobs) <= JOBS_MAX:
            raise QueueError(f"{len(self.jobs)} jobs wait; give 1 to {JOBS_MAX}")
        seen: set[str] = set()
        for job in self.jobs:
            if job.id in seen:
                raise QueueError(f"job {job.id} is given twice")
            seen.add(job.id)
        for name in ("openings_s", "taken_s"):
            object.__setattr__(self, name, _joined(name, getattr(self, name)))
        for (before, after), changeover in self.changeovers.items():
            where = f"the changeover from {before} to {after}"
            _whole(f"{where}: duration_s", changeover.duration_s, 0, DURATION_MAX_S)
            _whole(f"{where}: minor", changeover.minor, 0, MONEY_MAX_MINOR)
        for before in self.families if self.loaded is None else (*self.families, self.loaded):
            for after in self.families:
                self.changeover(before, after)

    @cached_property
    def families(self) -> tuple[str, ...]:
        """Those of the jobs, each once."""
        return tuple(sorted({job.family for job in self.jobs}))

    def changeover(self, before: str | None, after: str) -> Changeover:
        if before is None:
            return NO_CHANGEOVER
        found = self.changeovers.get((before, after))
        if found is None and before != after:
            raise QueueError(f"there is no changeover from {before} to {after}; give each")
        return found or NO_CHANGEOVER

    @cached_property
    def free_s(self) -> Spans:
        """From now to the horizon without what is taken."""
        free: list[tuple[int, int]] = []
        begins = self.now_s
        for start, end in (*self.taken_s, (self.horizon_s, self.horizon_s)):
            stops = min(start, self.horizon_s)
            if stops > begins:
                free.append((begins, stops))
            begins = max(begins, end)
        return tuple(free)


class Turn(NamedTuple):
    """One job's turn: the changeover from `begin_s`, the job from `start_s` until `end_s`."""

    job: str
    begin_s: int
    start_s: int
    end_s: int
    lines: tuple[Line, ...]
    """Changeover, lateness and waiting, each rounded up, without zeros."""


@dataclass(frozen=True)
class Order:
    """Each job of a queue once: a turn, or left out.

    `bound_minor`: no order costs less; None where nothing was proved. Optimal: it is the cost.
    """

    turns: tuple[Turn, ...]
    left_out: tuple[str, ...]
    cost_minor: int
    status: Literal["optimal", "feasible"]
    bound_minor: int | None


def _whole(where: str, value: int, least: int, most: int) -> None:
    if type(value) is not int:
        raise QueueError(f"{where} is {value!r}; give a whole number")
    if not least <= value <= most:
        raise QueueError(f"{where} is {value}; it must lie between {least} and {most}")


def _joined(where: str, spans: Spans) -> Spans:
    """In order of time; those that touch or overlap are made one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(tuple(span) for span in spans):
        _whole(f"{where}: a beginning", start, 0, _TIME_MAX_S)
        _whole(f"{where}: an end", end, 0, _TIME_MAX_S)
        if end <= start:
            raise QueueError(f"{where}: a span ends at {end}, not after it begins at {start}")
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)
