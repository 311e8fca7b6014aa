from hypothesis import given
from hypothesis import strategies as st

from scheduling.problem import Spans
from scheduling.sequencing import Need, Queues, earliest_start, longest_s, start_ranges


@st.composite
def spans(draw: st.DrawFn) -> Spans:
    edges = sorted(draw(st.sets(st.integers(0, 40), max_size=8)))
    return tuple(zip(edges[::2], edges[1::2], strict=False))


needs = st.builds(Need, st.integers(1, 12), st.integers(0, 20), st.integers(1, 40), st.booleans())


def may_start(windows: Spans, busy: Spans, need: Need, start: int) -> bool:
    end = start + need.duration_s
    opened = not windows or any(
        a <= start < b and (need.unattended or end <= b) for a, b in windows
    )
    free = all(end <= a or start >= b for a, b in busy)
    return opened and free and start >= need.earliest_s and end <= need.latest_end_s


@given(spans(), spans(), needs)
def test_start_ranges_hold_every_allowed_second_and_no_other(
    windows: Spans, busy: Spans, need: Need
) -> None:
    ranges = start_ranges(windows, busy, need)
    found = {second for low, high in ranges for second in range(low, high + 1)}
    assert found == {s for s in range(60) if may_start(windows, busy, need, s)}


@given(spans(), spans(), spans(), needs, st.integers(0, 30))
def test_the_earliest_start_is_the_first_allowed_second_that_the_queue_leaves(
    windows: Spans, busy: Spans, queued: Spans, need: Need, ready: int
) -> None:
    ranges = start_ranges(windows, busy, need)
    allowed = (
        s
        for s in range(ready, 60)
        if may_start(windows, busy, need, s) and may_start((), queued, need, s)
    )
    assert earliest_start(ranges, queued, need.duration_s, ready) == next(allowed, None)


@given(spans(), spans(), needs)
def test_the_longest_duration_fits_and_one_second_more_does_not(
    windows: Spans, busy: Spans, need: Need
) -> None:
    longest = longest_s(windows, busy, need)

    def fits(seconds: int) -> bool:
        shorter = Need(seconds, need.earliest_s, need.latest_end_s, need.unattended)
        return bool(start_ranges(windows, busy, shorter))

    assert longest == max((s for s in range(1, need.duration_s + 1) if fits(s)), default=0)


def test_a_queue_stays_in_order_of_time() -> None:
    queues = Queues()
    for start in (5, 1, 3):
        queues.add("m", start, start + 1)
    assert queues.of("m") == [(1, 2), (3, 4), (5, 6)]
    assert queues.of("other") == []
