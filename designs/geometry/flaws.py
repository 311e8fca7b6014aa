"""What is wrong with a solid's surface, and where: open, branched, doubled, or shells in shells.

It looks under a budget and changes nothing. A shell that only touches another is no flaw.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from designs.errors import Finding, Severity
from designs.geometry.mesh import Mesh, Points
from designs.geometry.where import Pieces, pieces

_MOST_SHELLS = 400
_PAIRS = 20_000_000  # (edge, triangle) pairs tried for all shells together
_AT_ONCE = 500_000
_SAMPLES = 60
_SHARE = 0.01  # of the volume that may overlap without a word
_DEEP_MM = 1e-3  # what goes less deep merely touches
SOLID_MM = (3.0, 2000.0)  # the largest side of most parts lies between these,
SHEET_MM = (3.0, 3000.0)  # of what is cut from a sheet between these
_NEXT_MM = {"metres": 1000.0, "inches": 25.4, "centimetres": 10.0}


@dataclass(frozen=True, eq=False)
class Edges:
    """`open` (k, 2 ends, 3): edges of one triangle only, or of two that face apart.

    `branched` counts edges of more than two triangles, `doubled` triangles that are there again.
    """

    open: Points
    branched: int
    doubled: int

    @property
    def box_mm(self) -> tuple[Points, Points] | None:
        """Around all open edges."""
        if not len(self.open):
            return None
        return self.open.min(axis=(0, 1)), self.open.max(axis=(0, 1))


def edges(mesh: Mesh) -> Edges:
    odd = mesh.odd
    branched = int((odd.many > 2).sum())
    doubled = _doubled(mesh) if branched or mesh.shells > 1 else 0
    # An edge that runs as often back is closed; one that does not is open the way it runs more.
    lone = odd.ends[2 * odd.onward != odd.many]
    return Edges(mesh.vertices[lone], branched, doubled)


def _doubled(mesh: Mesh) -> int:
    """Triangles in the place of another, of the same piece or of one put into the same place."""
    places, at = np.unique(mesh.vertices, axis=0, return_inverse=True)
    apart = len(places) == len(mesh.vertices)
    ordered = np.sort(mesh.faces if apart else at.ravel()[mesh.faces], axis=1)
    ordered = ordered[np.lexsort(ordered.T)]
    return int((np.diff(ordered, axis=0) == 0).all(axis=1).sum())


def findings(
    mesh: Mesh, seen: Edges, overlap_mm3: float = 0.0, *, branched: bool = True
) -> Iterator[Finding]:
    """`branched`: of edges with more than two triangles, too. `overlap_mm3`: what rays find."""
    if seen.doubled:
        yield _warning(
            f"{seen.doubled} triangles",
            "they are there twice, so what they enclose is counted twice",
            "Remove the copy in the design program",
        )
    elif seen.branched and branched:
        yield _warning(
            f"{seen.branched} edges",
            "more than two triangles meet there, so inside and outside are a guess",
            "Let the pieces overlap or stand apart, then unite them in the design program",
        )
    if not seen.doubled:
        crossing = list(_crossing(mesh))
        yield from crossing
        known = any(found.severity is Severity.WARNING for found in crossing)
        if not known and overlap_mm3 > max(1.0, _SHARE * float(mesh.each.volume_mm3.sum())):
            yield _warning(
                f"{overlap_mm3 / 1000:.2f} cm³ of it",
                "its surface runs through itself there, so its volume counts that space twice",
                "Unite what overlaps in the design program",
            )


def unit_doubt(largest_mm: float, usual_mm: tuple[float, float] = SOLID_MM) -> Finding | None:
    """A size that hardly any part has, and the units in which it would be one."""
    low, high = usual_mm
    if low <= largest_mm <= high:
        return None
    factors = _NEXT_MM.items() if largest_mm < low else ((k, 1 / v) for k, v in _NEXT_MM.items())
    would = [f"{largest_mm * f:.4g} mm if {_drawn(unit, largest_mm, low)}" for unit, f in factors]
    return _warning(
        "its size",
        f"its largest side is {largest_mm:.4g} mm; it would be {', '.join(would)}",
        "If it was drawn in another unit, export it in millimetres",
    )


def _drawn(unit: str, largest_mm: float, low: float) -> str:
    return f"drawn in {unit}" if largest_mm < low else f"a scale from {unit} was applied twice"


# ── shells through shells ────────────────────────────────────────────────────────────────────


def _crossing(mesh: Mesh) -> Iterator[Finding]:
    if mesh.shells > _MOST_SHELLS:
        yield Finding(
            severity=Severity.NOTE,
            where=f"{mesh.shells:,} pieces",
            what=f"whether more than {_MOST_SHELLS} pieces run through each other is not seen",
            do="Nothing to do",
        )
    if not 1 < mesh.shells <= _MOST_SHELLS or mesh.gaps:
        return
    each, corners = pieces(mesh), mesh.triangles
    shell, volume, low, high = each.of_face, each.volume_mm3, each.low, each.high
    left, found, place = _PAIRS, 0, ""
    for i in range(mesh.shells):
        for j in range(i + 1, mesh.shells):
            lo, hi = np.maximum(low[i], low[j]), np.minimum(high[i], high[j])
            if (lo >= hi).any() or left <= 0:
                continue
            one, other = (_near(corners[shell == k], lo, hi) for k in (i, j))
            left -= 6 * len(one) * len(other)
            if left > 0 and (
                _cuts(one, other)
                or _cuts(other, one)
                or (volume[i] > 0 and volume[j] > 0 and _shares(corners, each, (i, j), lo, hi))
            ):
                found += 1
                place = place or " to ".join(_at(p) for p in (lo, hi))
    if found:
        yield _warning(
            place + (f" and {found - 1} more places" if found > 1 else ""),
            "pieces of it run through each other, so their common volume is counted twice",
            "Unite them in the design program; a slicer does it in its own way",
        )


def _near(corners: Points, lo: Points, hi: Points) -> Points:
    meets = (corners.min(axis=1) <= hi).all(axis=1) & (corners.max(axis=1) >= lo).all(axis=1)
    return corners[meets]


def _cuts(one: Points, other: Points) -> bool:
    """Whether an edge of the one's triangles goes through the inside of a triangle of the other.

    Möller and Trumbore 1997; the place lies `_DEEP_MM` from the ends and from the sides.
    """
    if not len(one) or not len(other):
        return False
    start, way = one.reshape(-1, 3), np.roll(one, -1, axis=1).reshape(-1, 3) - one.reshape(-1, 3)
    a, u, v = other[:, 0], other[:, 1] - other[:, 0], other[:, 2] - other[:, 0]
    step = max(1, _AT_ONCE // len(other))
    return any(
        bool(_hits(start[k : k + step, None], way[k : k + step, None], a, u, v).any())
        for k in range(0, len(start), step)
    )


def _hits(start: Points, way: Points, a: Points, u: Points, v: Points) -> NDArray[np.bool_]:
    normal = np.cross(u, v)
    size = np.linalg.norm(normal, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (way * normal).sum(axis=-1)
        to = a - start
        at = (to * normal).sum(axis=-1) / along
        q = np.cross(to, way)
        r, s = (v * q).sum(axis=-1) / along, -(u * q).sum(axis=-1) / along
        sides = (np.linalg.norm(x, axis=-1) for x in (v, u, v - u))
        far = [w * size / side for w, side in zip((r, s, 1 - r - s), sides, strict=True)]
        ends = np.minimum(at, 1 - at) * np.abs(along) / size
        return np.logical_and.reduce([x > _DEEP_MM for x in (*far, ends)])


def _shares(corners: Points, each: Pieces, pair: tuple[int, int], lo: Points, hi: Points) -> bool:
    """Whether a corner or the middle of a triangle of one shell lies well inside the other, and in
    no hollow of it.
    """
    for i, j in (pair, pair[::-1]):
        own, other = corners[each.of_face == i], corners[each.of_face == j]
        points = np.concatenate([own.mean(axis=1), own.reshape(-1, 3)])
        within = ((points >= lo) & (points <= hi)).all(axis=1)
        chosen = points[within][:: max(1, int(within.sum()) // _SAMPLES)]
        if any(_holds(other, point) and _is_filled(corners, each, i, point) for point in chosen):
            return True
    return False


def _is_filled(corners: Points, each: Pieces, own: int, point: Points) -> bool:
    """Whether more solids than hollows hold a point, its own shell aside."""
    held = (each.low <= point) & (each.high >= point)
    around = np.all(held, axis=1)
    around[own] = False
    holding = [k for k in np.flatnonzero(around) if _holds(corners[each.of_face == k], point)]
    return float(np.sign(each.volume_mm3[holding]).sum()) > 0


def _holds(corners: Points, point: Points) -> bool:
    """Whether a closed shell holds a point and its surroundings: a ray leaves it once more."""
    way = np.array([0.5377, 0.6349, 0.5548]) * float(np.ptp(corners, axis=(0, 1)).max()) * 4
    a = corners[:, 0]
    sides = (way, a, corners[:, 1] - a, corners[:, 2] - a)
    around = np.vstack([np.zeros(3), *(2 * _DEEP_MM * np.eye(3)), *(-2 * _DEEP_MM * np.eye(3))])
    return all(int(_ray(point + step, *sides).sum()) % 2 for step in around)


def _ray(point: Points, way: Points, a: Points, u: Points, v: Points) -> NDArray[np.bool_]:
    with np.errstate(divide="ignore", invalid="ignore"):
        normal = np.cross(u, v)
        along = normal @ way
        to = a - point
        q = np.cross(to, way)
        r, s = (v * q).sum(axis=-1) / along, -(u * q).sum(axis=-1) / along
        at = (to * normal).sum(axis=-1) / along
        return (along != 0) & (r >= 0) & (s >= 0) & (r + s <= 1) & (at > 0)


def _at(point: Points) -> str:
    return "x {:.1f}, y {:.1f}, z {:.1f} mm".format(*point)


def _warning(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.WARNING, where=where, what=what, do=do)
