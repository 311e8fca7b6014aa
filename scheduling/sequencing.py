"""When a machine can start: openings minus what is taken, as ranges of whole seconds.

It promises exact arithmetic on spans of time; it never chooses a machine and knows no prices.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scheduling.problem import Spans


@dataclass(frozen=True)
class Need:
    """One job on one machine: `duration_s`, not before `earliest_s`, over by `latest_end_s`."""

    duration_s: int
    earliest_s: int
    latest_end_s: int
    unattended: bool


def start_ranges(windows_s: Spans, busy_s: Spans, need: Need) -> Spans:
    """The moments at which the job may start, as disjoint inclusive ranges in order of time.

    An attended job lies within one window, an unattended one starts within one; none: always open.
    """
    first, last = need.earliest_s, need.latest_end_s - need.duration_s
    windows = windows_s or ((first, need.latest_end_s),)
    lead_s = 1 if need.unattended else need.duration_s
    opened = ((max(opens, first), min(closes - lead_s, last)) for opens, closes in windows)
    ranges = [span for span in opened if span[0] <= span[1]]
    for taken in busy_s:
        ranges = list(_without(ranges, taken[0] - need.duration_s + 1, taken[1] - 1))
    return tuple(ranges)


def _without(ranges: Iterable[tuple[int, int]], low: int, high: int) -> Iterable[tuple[int, int]]:
    for start, end in ranges:
        if end < low or start > high:
            yield start, end
            continue
        if start < low:
            yield start, low - 1
        if end > high:
            yield high + 1, end


def longest_s(windows_s: Spans, busy_s: Spans, need: Need) -> int:
    """The longest duration up to the wanted one for which there is still a start, 0 if none."""
    low, high = 0, need.duration_s
    while low < high:
        middle = (low + high + 1) // 2
        shorter = Need(middle, need.earliest_s, need.latest_end_s, need.unattended)
        if start_ranges(windows_s, busy_s, shorter):
            low = middle
        else:
            high = middle - 1
    return low


def earliest_start(
    ranges: Spans, queue: Sequence[tuple[int, int]], duration_s: int, not_before_s: int
) -> int | None:
    """The first moment in `ranges` at which `duration_s` fits between the spans of the queue.

    The queue holds disjoint spans in order of time.
    """
    for low, high in ranges:
        start = max(low, not_before_s)
        while start <= high:
            blocked_until = _blocked_until(queue, start, duration_s)
            if blocked_until is None:
                return start
            start = blocked_until
    return None


def _blocked_until(queue: Sequence[tuple[int, int]], start: int, duration_s: int) -> int | None:
    index = bisect_right(queue, start, key=lambda span: span[1])
    if index < len(queue) and queue[index][0] < start + duration_s:
        return queue[index][1]
    return None


@dataclass
class Queues:
    """What has been put on each machine so far, in order of time."""

    by_machine: dict[str, list[tuple[int, int]]] = field(
        default_factory=dict[str, list[tuple[int, int]]]
    )

    def of(self, machine: str) -> list[tuple[int, int]]:
        return self.by_machine.get(machine, [])

    def add(self, machine: str, start_s: int, end_s: int) -> None:
        insort(self.by_machine.setdefault(machine, []), (start_s, end_s))
