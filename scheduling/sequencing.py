"""When a machine can start: openings minus what is taken, as ranges of whole seconds.

It promises exact arithmetic on spans of time; it never chooses a machine and knows no prices.
"""

from collections.abc import Iterable
from dataclasses import dataclass

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


def overlap(spans: Spans, others: Spans) -> Spans:
    """What lies in both; each in order of time, none touching the next."""
    both = ((max(a, c), min(b, d)) for a, b in spans for c, d in others if max(a, c) < min(b, d))
    return tuple(sorted(both))


def without(spans: Spans, taken: Iterable[tuple[int, int]]) -> Spans:
    """What is left of spans where others lie."""
    left = list(spans)
    for begin, end in taken:
        left = [
            piece
            for start, until in left
            for piece in ((start, min(until, begin)), (max(start, end), until))
            if piece[0] < piece[1]
        ]
    return tuple(left)


def united(ranges: Iterable[Spans]) -> Spans:
    """Inclusive ranges of moments made one where they meet, in order of time."""
    made: list[tuple[int, int]] = []
    for low, high in sorted(each for some in ranges for each in some):
        if made and low <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(high, made[-1][1]))
        else:
            made.append((low, high))
    return tuple(made)
