"""What a program deposits, seen from above and layer by layer: boxes, and the hull around them.

Pure arithmetic in mm, cheap for each move; it knows no machine and judges nothing.
"""

import math
from typing import Final

Point = tuple[float, float]
Vector = tuple[float, float, float]
Rectangle = tuple[float, float, float, float]
"""Low X, low Y, high X, high Y."""

_MANY: Final = 4096


class Hull:
    """The convex hull of many points; those well inside are dropped at once."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._corners: list[Point] = []
        self._inner: Rectangle = (math.inf, math.inf, -math.inf, -math.inf)

    def add(self, x: float, y: float) -> None:
        inner = self._inner
        if inner[0] <= x <= inner[2] and inner[1] <= y <= inner[3]:
            return
        self._points.append((x, y))
        if len(self._points) > _MANY:
            self._reduce()

    def corners(self) -> tuple[Point, ...]:
        """Counter-clockwise, without points on its sides; empty before the first point."""
        self._reduce()
        return tuple(self._corners)

    def _reduce(self) -> None:
        self._corners = _hull([*self._corners, *self._points])
        self._points.clear()
        self._inner = _box_inside(self._corners)


def _hull(points: list[Point]) -> list[Point]:
    """Andrew's monotone chain."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered
    lower, upper = _chain(ordered), _chain(ordered[::-1])
    return lower[:-1] + upper[:-1]


def _chain(ordered: list[Point]) -> list[Point]:
    chain: list[Point] = []
    for point in ordered:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _box_inside(corners: list[Point]) -> Rectangle:
    """A rectangle within the hull, around its middle, as large as halving finds."""
    if len(corners) < 3:
        return (math.inf, math.inf, -math.inf, -math.inf)
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    mid = (sum(xs) / len(xs), sum(ys) / len(ys))
    share = 1.0
    for _ in range(6):
        wide, deep = share * (max(xs) - min(xs)) / 2, share * (max(ys) - min(ys)) / 2
        box = (mid[0] - wide, mid[1] - deep, mid[0] + wide, mid[1] + deep)
        if all(_holds(corners, (x, y)) for x in box[::2] for y in box[1::2]):
            return box
        share *= 0.7
    return (math.inf, math.inf, -math.inf, -math.inf)


def _holds(corners: list[Point], point: Point) -> bool:
    around = zip(corners, [*corners[1:], corners[0]], strict=True)
    return all(_turn(a, b, point) >= 0 for a, b in around)


class Layers:
    """Boxes of what lies on each height, and what stands in the way of a move below the top."""

    def __init__(self) -> None:
        self.heights: set[float] = set()
        self.top = -math.inf
        self.low: Vector | None = None
        self.high: Vector | None = None
        self.hull = Hull()
        self._z = -math.inf
        self._box: Rectangle | None = None
        self._piece: list[tuple[float, Rectangle]] = []
        self._pieces: list[list[tuple[float, Rectangle]]] = [self._piece]

    def deposit(self, x: float, y: float, z: float) -> None:
        """Material lies at this point."""
        if z != self._z:
            self._next(z)
        box = self._box
        if box is None:
            self._box = (x, y, x, y)
        elif not (box[0] <= x <= box[2] and box[1] <= y <= box[3]):
            self._box = (min(box[0], x), min(box[1], y), max(box[2], x), max(box[3], y))
        self.hull.add(x, y)

    def _next(self, z: float) -> None:
        self._lay()
        if z < self._z:
            self._piece = []
            self._pieces.append(self._piece)
        self._z = z
        self.top = max(self.top, z)

    def _lay(self) -> None:
        box, z = self._box, self._z
        if box is None:
            return
        self._box = None
        self._piece.append((z, box))
        self.heights.add(z)
        low, high = self.low or (math.inf,) * 3, self.high or (-math.inf,) * 3
        self.low = (min(low[0], box[0]), min(low[1], box[1]), min(low[2], z))
        self.high = (max(high[0], box[2]), max(high[1], box[3]), max(high[2], z))

    def close(self) -> None:
        """Take the last layer in."""
        self._lay()

    def in_the_way(self, z: float) -> list[Rectangle]:
        """What stands higher than z: for each piece printed in one go, a box around it."""
        self._lay()
        return [
            _around([box for at, box in piece if at > z])
            for piece in self._pieces
            if any(at > z for at, _ in piece)
        ]


def _around(boxes: list[Rectangle]) -> Rectangle:
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )


def crosses(box: Rectangle, start: Point, end: Point) -> bool:
    """Whether the straight way from start to end touches the box (slabs, Kay and Kajiya 1986)."""
    first, last = 0.0, 1.0
    for axis in (0, 1):
        way = end[axis] - start[axis]
        low, high = box[axis] - start[axis], box[axis + 2] - start[axis]
        if way == 0:
            if not low <= 0 <= high:
                return False
            continue
        near, far = sorted((low / way, high / way))
        first, last = max(first, near), min(last, far)
    return first <= last
