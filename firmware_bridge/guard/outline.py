"""What a program deposits, seen from above and layer by layer: boxes, and the hull around them.

Pure arithmetic in mm, cheap for each move; it knows no machine and judges nothing.
"""

import math
from collections.abc import Sequence
from typing import Final

Point = tuple[float, float]
Vector = tuple[float, float, float]
Rectangle = tuple[float, float, float, float]
"""Low X, low Y, high X, high Y."""
Obstacle = tuple[Rectangle, tuple[Point, ...]]
"""A box and a convex hull, counter-clockwise or empty: what stands there lies within both."""

_MANY: Final = 4096
# Printing goes on this much lower: another piece. A slanted seam dips by less.
_NEW_PIECE_MM: Final = 0.4
_PIECES_MAX: Final = 64
_FOOT_MM: Final = 0.4
# A purge line drawn this high lies on the bed all the same.
_LINE_ON_BED_MM: Final = 1.0


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


class _Piece:
    """What was printed in one go: a box around it for each tenth of a mm, and hulls around its foot
    (there a skirt may lie about other pieces too) and around what stands on that.
    """

    def __init__(self, foot: float) -> None:
        self._knee = foot + _FOOT_MM
        self._foot, self._body = Hull(), Hull()
        self._boxes: dict[int, Rectangle] = {}
        self._above: list[tuple[int, Rectangle]] | None = None

    def hull_at(self, z: float) -> Hull:
        return self._body if z > self._knee else self._foot

    def corners(self) -> tuple[Point, ...]:
        return (*self._foot.corners(), *self._body.corners())

    def lay(self, z: float, box: Rectangle) -> None:
        tenth = _tenth(z)
        known = self._boxes.get(tenth)
        self._boxes[tenth] = box if known is None else _around((known, box))
        self._above = None

    def above(self, tenth: int) -> Obstacle | None:
        """What of it is higher."""
        if self._above is None:
            self._above = self._boxes_above()
        box = next((box for at, box in self._above if at > tenth), None)
        if box is None:
            return None
        return box, self._body.corners() if tenth >= _tenth(self._knee) else ()

    def _boxes_above(self) -> list[tuple[int, Rectangle]]:
        """For each tenth, the box around it and what is higher; a line on the bare bed is none."""
        if len(self._boxes) == 1 and next(iter(self._boxes)) <= _tenth(_LINE_ON_BED_MM):
            return []
        found: list[tuple[int, Rectangle]] = []
        for tenth in sorted(self._boxes, reverse=True):
            box = self._boxes[tenth]
            found.append((tenth, _around((found[-1][1], box)) if found else box))
        return found[::-1]


def _tenth(z: float) -> int:
    return math.floor(z * 10 + 1e-6) if z > -math.inf else -1


class Layers:
    """Boxes of what lies on each height, and what stands in the way of a move below the top."""

    def __init__(self) -> None:
        self.heights: set[float] = set()
        self.top = -math.inf
        self.low: Vector | None = None
        self.high: Vector | None = None
        self._z = -math.inf
        self._box: Rectangle | None = None
        self._pieces: list[_Piece] = []
        self._hull = Hull()
        self._others: tuple[int, list[Obstacle]] | None = None  # all but the last piece's
        self._last: Obstacle | None = None

    def deposit(self, x: float, y: float, z: float) -> None:
        """Material lies at this point."""
        if z != self._z:
            self._next(z)
        box = self._box
        if box is None:
            self._box = (x, y, x, y)
        elif not (box[0] <= x <= box[2] and box[1] <= y <= box[3]):
            self._box = (min(box[0], x), min(box[1], y), max(box[2], x), max(box[3], y))
        self._hull.add(x, y)

    def _next(self, z: float) -> None:
        self._lay()
        lower = z < self._z - _NEW_PIECE_MM and len(self._pieces) < _PIECES_MAX
        if lower or not self._pieces:
            self._pieces.append(_Piece(z))
            self._others = None
        self._hull = self._pieces[-1].hull_at(z)
        self._z = z
        self.top = max(self.top, z)

    def _lay(self) -> None:
        box, z = self._box, self._z
        if box is None:
            return
        self._box = None
        self._pieces[-1].lay(z, box)
        if self._others and _tenth(z) > self._others[0]:
            self._last = self._pieces[-1].above(self._others[0])
        self.heights.add(z)
        low, high = self.low or (math.inf,) * 3, self.high or (-math.inf,) * 3
        self.low = (min(low[0], box[0]), min(low[1], box[1]), min(low[2], z))
        self.high = (max(high[0], box[2]), max(high[1], box[3]), max(high[2], z))

    def close(self) -> None:
        """Take the last layer in."""
        self._lay()

    def outline(self) -> tuple[Point, ...]:
        """The convex hull of it all, counter-clockwise."""
        whole = Hull()
        for piece in self._pieces:
            for x, y in piece.corners():
                whole.add(x, y)
        return whole.corners()

    def in_the_way(self, z: float) -> list[Obstacle]:
        """What stands higher than z, piece by piece."""
        tenth = _tenth(z)
        if _tenth(self._z) > tenth:
            self._lay()
        if self._others is None or self._others[0] != tenth:
            higher = [piece.above(tenth) for piece in self._pieces]
            self._last = higher.pop() if higher else None
            self._others = tenth, [obstacle for obstacle in higher if obstacle is not None]
        return self._others[1] if self._last is None else [*self._others[1], self._last]


def _around(boxes: Sequence[Rectangle]) -> Rectangle:
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


def in_its_way(obstacle: Obstacle, start: Point, end: Point) -> bool:
    """Whether the straight way from start to end touches what stands there."""
    box, hull = obstacle
    return crosses(box, start, end) and (len(hull) < 3 or _cuts(hull, start, end))


def _cuts(hull: Sequence[Point], start: Point, end: Point) -> bool:
    """The part of the way that is inside all sides of the hull (Cyrus and Beck 1978)."""
    first, last = 0.0, 1.0
    for a, b in zip(hull, [*hull[1:], hull[0]], strict=True):
        here, there = _turn(a, b, start), _turn(a, b, end)
        if here < 0 and there < 0:
            return False
        if here < 0:
            first = max(first, here / (here - there))
        elif there < 0:
            last = min(last, here / (here - there))
    return first <= last
