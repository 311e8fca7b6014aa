"""What an order of one machine's queue costs, and whether it can be kept: no code of the planner.

It reads the queue's numbers and nothing else of the product; slow, and as plain as the rules are.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil

from scheduling.machine_queue import Queue, Waiting


class CannotBeKeptError(ValueError):
    """The order breaks a rule; the message says which and where."""


def cost_of(queue: Queue, starts_s: Mapping[str, int]) -> int:
    """Of the jobs that start then, each with its changeover right before; the others left out."""
    before, ended = queue.loaded, queue.now_s
    cost = sum(job.left_out_minor for job in queue.jobs if job.id not in starts_s)
    made = [job for job in queue.jobs if job.id in starts_s]
    for job in sorted(made, key=lambda each: starts_s[each.id]):
        seconds, minor = change(queue, before, job)
        start = starts_s[job.id]
        why = _broken(queue, job, start - seconds, start)
        if why or start - seconds < ended:
            raise CannotBeKeptError(f"{job.id} at {start}: {why or 'before the last is over'}")
        before, ended = job.family, start + job.duration_s
        cost += minor + timed_minor(queue, job, ended)
    return cost


def timed_minor(queue: Queue, job: Waiting, end_s: int) -> int:
    waited_s = end_s - max(job.release_s, queue.now_s)
    late_s = max(0, end_s - job.due_s) if job.due_s is not None else 0
    return ceil(Fraction(waited_s * job.waiting_minor_per_h, 3600)) + ceil(
        Fraction(late_s * job.lateness_minor_per_h, 3600)
    )


def change(queue: Queue, before: str | None, job: Waiting) -> tuple[int, int]:
    if before is None or (before == job.family and (before, before) not in queue.changeovers):
        return 0, 0
    return queue.changeovers[before, job.family]


def _broken(queue: Queue, job: Waiting, begin_s: int, start_s: int) -> str:
    """The rule that is broken, or nothing."""
    end_s = start_s + job.duration_s
    if start_s < job.release_s:
        return "before its release"
    if begin_s < queue.now_s or end_s > queue.horizon_s:
        return "outside of the horizon"
    if any(begin_s < end and end_s > start for start, end in queue.taken_s):
        return "in a span that is taken"
    must_be_in_s = start_s + 1 if queue.unattended else end_s
    if queue.openings_s and not any(
        opens <= begin_s and must_be_in_s <= closes for opens, closes in queue.openings_s
    ):
        return "outside of the openings"
    return ""


def as_early_as_can_be(queue: Queue, jobs: Sequence[str]) -> dict[str, int]:
    """When each starts if they are made in this order; who fits no more is passed over.

    The earliest moment follows on another end, an opening or a release: all of them are tried.
    """
    by_name = {job.id: job for job in queue.jobs}
    before, ended = queue.loaded, queue.now_s
    starts: dict[str, int] = {}
    for name in jobs:
        job = by_name[name]
        seconds, _ = change(queue, before, job)
        moments = {ended, job.release_s - seconds, *(opens for opens, _ in queue.openings_s)}
        moments |= {end for _, end in queue.taken_s}
        fit = [
            begin for begin in moments
            if begin >= ended and not _broken(queue, job, begin, begin + seconds)
        ]  # fmt: skip
        if fit:
            starts[name] = min(fit) + seconds
            before, ended = job.family, starts[name] + job.duration_s
    return starts
