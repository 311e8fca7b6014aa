from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scheduling.problem import Spans
from scheduling.sequencing import Need, longest_s, overlap, start_ranges, united, without


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


@given(spans(), spans())
def test_an_overlap_is_what_lies_in_both(spans: Spans, others: Spans) -> None:
    both = {s for s in range(50) if any(a <= s < b for a, b in spans)}
    both &= {s for s in range(50) if any(a <= s < b for a, b in others)}
    found = overlap(spans, others)
    assert {s for a, b in found for s in range(a, b)} == both
    assert list(found) == sorted(found)


@given(spans(), spans())
def test_what_is_left_is_all_that_is_not_taken(spans: Spans, taken: Spans) -> None:
    left = {s for s in range(50) if any(a <= s < b for a, b in spans)}
    left -= {s for s in range(50) if any(a <= s < b for a, b in taken)}
    found = without(spans, taken)
    assert {s for a, b in found for s in range(a, b)} == left
    assert sum(b - a for a, b in found) == len(left)


@given(st.lists(spans(), max_size=3))
def test_united_ranges_hold_what_any_holds_and_do_not_meet(some: list[Spans]) -> None:
    found = united(some)
    every = {s for ranges in some for low, high in ranges for s in range(low, high + 1)}
    assert {s for low, high in found for s in range(low, high + 1)} == every
    assert all(one[1] + 1 < two[0] for one, two in pairwise(found))


@given(spans(), spans(), needs)
def test_the_longest_duration_fits_and_one_second_more_does_not(
    windows: Spans, busy: Spans, need: Need
) -> None:
    longest = longest_s(windows, busy, need)

    def fits(seconds: int) -> bool:
        shorter = Need(seconds, need.earliest_s, need.latest_end_s, need.unattended)
        return bool(start_ranges(windows, busy, shorter))

    assert longest == max((s for s in range(1, need.duration_s + 1) if fits(s)), default=0)
