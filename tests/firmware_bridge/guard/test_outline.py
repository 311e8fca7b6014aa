"""Hulls and layers against slow, plain reckoning."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.guard.outline import Hull, Layers, crosses, in_its_way

WHOLE = st.integers(-20, 20)
POINTS = st.lists(st.tuples(WHOLE, WHOLE), min_size=1, max_size=40)


def hull_of(points: list[tuple[int, int]]) -> tuple[tuple[float, float], ...]:
    hull = Hull()
    for x, y in points:
        hull.add(x, y)
    return hull.corners()


def left(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


@given(POINTS)
def test_a_hull_is_convex_of_these_points_and_holds_them_all(points: list[tuple[int, int]]) -> None:
    corners = hull_of(points)
    assert set(corners) <= set(points)
    if len(corners) < 3:
        assert {min(points), max(points)} == set(corners)
        return
    around = list(zip(corners, corners[1:] + corners[:1], strict=True))
    assert all(left(a, b, p) >= 0 for a, b in around for p in points)
    for (a, b), (_, c) in zip(around, around[1:] + around[:1], strict=True):
        assert left(a, b, c) > 0


@pytest.mark.parametrize("shape", ["box", "disc", "line"])
def test_many_points_leave_the_hull_as_it_is(shape: str) -> None:
    chance = random.Random(3)
    points: list[tuple[int, int]] = []
    while len(points) < 20_000:
        x, y = chance.randrange(1000), chance.randrange(1000)
        if shape == "line":
            y = x
        if shape != "disc" or (x - 500) ** 2 + (y - 500) ** 2 <= 250_000:
            points.append((x, y))
    few = Hull()
    for x, y in sorted(set(points)):
        few.add(x, y)
    assert hull_of(points) == few.corners()
    whole = hull_of(points)
    assert {min(points), max(points)} <= set(whole)


def test_nothing_has_no_hull() -> None:
    assert Hull().corners() == ()


def laid(*points: tuple[float, float, float]) -> Layers:
    layers = Layers()
    for point in points:
        layers.deposit(*point)
    layers.close()
    return layers


def test_layers_know_their_box_and_count() -> None:
    layers = laid((1, 2, 0.2), (5, 3, 0.2), (2, 9, 0.4), (3, 3, 0.2), (0, 4, 0.2))
    assert (layers.low, layers.high, layers.top) == ((0, 2, 0.2), (5, 9, 0.4), 0.4)
    assert layers.heights == {0.2, 0.4}
    assert (laid().low, laid().high) == (None, None)


def test_what_stands_higher_is_in_the_way_piece_by_piece() -> None:
    first = ((0, 0, 0.2), (90, 90, 0.2), (1, 1, 0.4), (5, 5, 0.4), (2, 2, 0.8), (6, 6, 0.8))
    second = ((50, 50, 0.2), (55, 55, 0.2), (51, 51, 0.4), (56, 56, 0.4), (56, 57, 0.8))
    layers = laid(*first, *second)
    assert boxes(layers, 0.2) == [(1, 1, 6, 6), (51, 51, 56, 57)]
    assert boxes(layers, 0.4) == [(2, 2, 6, 6), (56, 57, 56, 57)]
    assert boxes(layers, 0.8) == []
    assert boxes(layers, 0.1)[0] == (0, 0, 90, 90)


def boxes(layers: Layers, z: float) -> list[tuple[float, float, float, float]]:
    return [box for box, _ in layers.in_the_way(z)]


def test_a_skirt_about_all_is_not_in_the_way_of_the_next_piece() -> None:
    skirt = ((0, 0, 0.2), (90, 0, 0.2), (90, 90, 0.2), (0, 90, 0.2))
    slanted = [(x, y, 0.2 * n) for n in range(1, 21) for x, y in ((10, 10), (12, 9), (50, 50))]
    layers = laid(*skirt, *slanted)
    (obstacle,) = layers.in_the_way(0.6)
    assert obstacle[0] == (10, 9, 50, 50)
    assert len(obstacle[1]) == 3
    assert not in_its_way(obstacle, (12, 40), (20, 48))
    assert in_its_way(obstacle, (10, 12), (15, 9))
    assert layers.in_the_way(0.5)[0][1] == ()  # its foot holds the skirt: the box alone counts
    assert len(layers.outline()) == 4


def test_a_slanted_seam_is_one_piece_and_a_line_on_the_bed_is_none() -> None:
    seam = [(x, 5, z) for n in range(1, 9) for x, z in ((10, 0.2 * n), (12, 0.2 * n - 0.19))]
    assert len(laid(*seam).in_the_way(0.6)) == 1
    assert laid((2, 10, 0.8), (2, 140, 0.8), (50, 50, 0.2)).in_the_way(0.4) == []
    assert laid((2, 10, 1.2), (2, 140, 1.2), (50, 50, 0.2)).in_the_way(0.4) != []


def test_what_grows_higher_is_seen_again() -> None:
    layers = laid((1, 1, 0.2), (5, 5, 0.2), (1, 1, 0.8), (5, 5, 0.8))
    assert boxes(layers, 0.6) == [(1, 1, 5, 5)]
    layers.deposit(9, 9, 1.0)
    assert boxes(layers, 0.6) == [(1, 1, 9, 9)]
    layers.deposit(50, 50, 0.2)
    assert boxes(layers, 0.6) == [(1, 1, 9, 9)]
    layers.deposit(55, 55, 0.9)
    assert boxes(layers, 0.6) == [(1, 1, 9, 9), (55, 55, 55, 55)]


def test_pieces_without_end_cost_no_more_than_many() -> None:
    up_and_down = [(n % 200, 5, z) for n in range(3000) for z in (0.2, 9.0)]
    assert len(laid(*up_and_down).in_the_way(1)) <= 64


BOX = (0.0, 0.0, 10.0, 10.0)


@pytest.mark.parametrize(
    ("start", "end", "hit"),
    [
        ((-5, 5), (15, 5), True),
        ((5, -5), (5, 15), True),
        ((-5, -5), (15, 15), True),
        ((5, 5), (6, 6), True),
        ((5, 5), (5, 5), True),
        ((-5, 5), (0, 5), True),
        ((-5, 5), (-1, 5), False),
        ((11, 5), (15, 5), False),
        ((5, 11), (5, 15), False),
        ((5, -1), (5, -9), False),
        ((-5, 8), (3, 16), False),
        ((-5, 20), (15, 20), False),
        ((20, -5), (20, 15), False),
        ((20, 20), (20, 20), False),
        ((15, 5), (-5, 5), True),
        ((-3, 5), (5, 13), True),
    ],
)
def test_a_way_crosses_a_box(
    start: tuple[float, float], end: tuple[float, float], hit: bool
) -> None:
    assert crosses(BOX, start, end) == hit


@given(st.tuples(WHOLE, WHOLE), st.tuples(WHOLE, WHOLE))
def test_crossing_agrees_with_walking(start: tuple[int, int], end: tuple[int, int]) -> None:
    steps = 2000
    walked = any(
        0 <= start[0] + (end[0] - start[0]) * n / steps <= 10
        and 0 <= start[1] + (end[1] - start[1]) * n / steps <= 10
        for n in range(steps + 1)
    )
    wider = crosses((-0.1, -0.1, 10.1, 10.1), start, end)
    assert wider if walked else not crosses((0.1, 0.1, 9.9, 9.9), start, end)
