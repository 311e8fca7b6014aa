"""How a design of several parts goes together, as solids in their places, step by step.

It only places: what each part looks like is its design's. Lengths are millimetres; z is up, and
one looks along +y.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from shapely import Polygon

from designs.library.shapes import prism

if TYPE_CHECKING:
    from manifold3d import Manifold

Vector = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Piece:
    """A copy of a part in its place; `comes_from` is where it hovers before it is put there."""

    part: str
    body: "Manifold"
    comes_from: Vector = (0, 0, 0)


Step = tuple[Piece, ...]


@dataclass(frozen=True)
class Clash:
    one: str
    other: str
    volume_mm3: float


def lying(profile: Polygon, sheet_mm: float, z_mm: float = 0) -> "Manifold":
    """A sheet part flat on z, its drawing's x and y as they are."""
    return prism(profile, sheet_mm, z_mm)


def across(profile: Polygon, sheet_mm: float, y_mm: float = 0) -> "Manifold":
    """A sheet part standing from left to right: its drawing's x and y go along x and z."""
    return prism(profile, sheet_mm).rotate((90, 0, 0)).translate((0, sheet_mm + y_mm, 0))


def along(profile: Polygon, sheet_mm: float, x_mm: float = 0) -> "Manifold":
    """A sheet part standing from front to back: its drawing's x and y go along y and z."""
    return prism(profile, sheet_mm).rotate((90, 0, 90)).translate((x_mm, 0, 0))


def clashes(steps: Iterable[Step], least_mm3: float = 0.5) -> list[Clash]:
    """Every two pieces that would have to be in the same place, by more than what is drawn anew."""
    pieces = [piece for step in steps for piece in step]
    found: list[Clash] = []
    for one, other in combinations(pieces, 2):
        if _apart(one, other):
            continue
        shared = (one.body ^ other.body).volume()
        if shared > least_mm3:
            found.append(Clash(one.part, other.part, round(shared, 2)))
    return found


def quantities(steps: Sequence[Step]) -> dict[str, int]:
    """How many of each part the assembly takes."""
    names = [piece.part for step in steps for piece in step]
    return {name: names.count(name) for name in names}


def _apart(one: Piece, other: Piece) -> bool:
    a, b = one.body.bounding_box(), other.body.bounding_box()
    return any(a[i] >= b[i + 3] or b[i] >= a[i + 3] for i in range(3))
