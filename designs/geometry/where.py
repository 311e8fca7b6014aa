"""Where a surface does not close, is joined wrongly or floats: the places, grouped into boxes.

It changes nothing; `repair` proposes, the designer decides.
"""

from dataclasses import dataclass

import numpy as np

from designs.geometry.mesh import Indices, Mesh, Points, distinct, shell_of_each_face

Box = tuple[Points, Points]  # lowest and highest corner, mm


@dataclass(frozen=True, eq=False)
class Place:
    """One group of things that belong together: its box, how many, and how long all are."""

    low: Points
    high: Points
    count: int
    length_mm: float
    members: Indices  # of what was grouped

    def __str__(self) -> str:
        return place(self.low, self.high)


@dataclass(frozen=True, eq=False)
class Seams:
    """`open` (k, 2) corners of edges with a triangle on one side only, as that triangle runs;

    `crowded` (j, 2) of edges where more than two triangles meet; `twisted` (i, 2) of edges whose
    two triangles run the same way, so that one of them is turned inside out.
    """

    open: Indices
    crowded: Indices
    twisted: Indices


def place(low: Points, high: Points) -> str:
    """`x 12…14, y 3, z 0…0.5 mm`: a side shorter than 0.1 mm is one number."""
    return (
        ", ".join(
            f"{axis} {_number(one)}" + (f"…{_number(other)}" if other - one >= 0.1 else "")
            for axis, one, other in zip("xyz", low, high, strict=False)
        )
        + " mm"
    )


def seams(mesh: Mesh) -> Seams:
    """Every edge that does not join exactly two triangles that run against each other."""
    odd = mesh.odd
    single = odd.many == 1
    found = odd.ends[single]
    against = odd.onward[single] == 0
    found[against] = found[against][:, ::-1]
    return Seams(open=found, crowded=odd.ends[odd.many > 2], twisted=odd.ends[odd.many == 2])


def holes(mesh: Mesh, edges: Indices) -> list[Place]:
    """The edges grouped where they share corners, longest first: each a hole, or a loose rim."""
    if not len(edges):
        return []
    label = shell_of_each_face(len(mesh.vertices), np.column_stack([edges, edges[:, 1]]))
    ends = mesh.vertices[edges]
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    found = [
        Place(
            ends[group].min(axis=(0, 1)),
            ends[group].max(axis=(0, 1)),
            len(group),
            float(length[group].sum()),
            group,
        )
        for group in _groups(label)
    ]
    return sorted(found, key=lambda p: -p.length_mm)


def near_each_other(points: Points, reach_mm: float) -> list[Place]:
    """Points (n, 2 or 3) grouped: two in the same or in neighbouring cells of that size belong
    together. Most numerous first; `length_mm` is 0.
    """
    if not len(points):
        return []
    reach_mm = max(reach_mm, float(np.ptp(points, axis=0).max()) / _CELLS)
    cells = np.floor((points - points.min(axis=0)) / reach_mm).astype(np.int64)
    wide = int(cells.max()) + 3
    powers = wide ** np.arange(points.shape[1])
    first, where = distinct(((cells + 1) @ powers).astype(np.uint64))
    label = _touching(cells[first] + 1, powers)[where]
    found = [
        Place(points[g].min(axis=0), points[g].max(axis=0), len(g), 0.0, g) for g in _groups(label)
    ]
    return sorted(found, key=lambda p: -p.count)


def _touching(cells: Indices, powers: Indices) -> Indices:
    """Of distinct cells, which belong to one patch: those that share a side or a corner."""
    keys = cells @ powers
    order = np.argsort(keys)
    ordered = keys[order]
    steps = np.array(np.meshgrid(*[(-1, 0, 1)] * cells.shape[1])).reshape(cells.shape[1], -1).T
    pairs = [np.column_stack([np.arange(len(cells))] * 3)]
    for step in steps @ powers:
        at = np.minimum(np.searchsorted(ordered, keys + step), len(keys) - 1)
        met = np.flatnonzero(ordered[at] == keys + step)
        pairs.append(np.column_stack([met, order[at[met]], order[at[met]]]))
    return shell_of_each_face(len(cells), np.concatenate(pairs))[: len(cells)]


def _groups(label: Indices) -> list[Indices]:
    order = np.argsort(label, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


@dataclass(frozen=True, eq=False)
class Pieces:
    """Every connected piece of the surface: signed volume (negative: a hollow) and box."""

    of_face: Indices
    volume_mm3: Points
    low: Points
    high: Points

    def floating(self, gap_mm: float = 0.05) -> Indices:
        """Pieces whose box neither stands on the bed nor comes near that of any other piece."""
        solid = np.flatnonzero(self.volume_mm3 > 0)
        if len(solid) < 2 or len(solid) > _MANY_PIECES:
            return np.zeros(0, dtype=np.int64)
        low, high = self.low[solid] - gap_mm, self.high[solid] + gap_mm
        met = np.ones((len(solid), len(solid)), dtype=bool)
        for axis in range(3):
            met &= low[:, None, axis] <= high[None, :, axis]
            met &= high[:, None, axis] >= low[None, :, axis]
        up = self.low[solid, 2] > self.low[:, 2].min() + 0.3
        return solid[up & (met.sum(axis=1) == 1)]

    def specks(self) -> Indices:
        """Pieces too small to mean anything: under 0.5 mm³ and a thousandth of the largest."""
        small = np.abs(self.volume_mm3) < min(0.5, float(np.abs(self.volume_mm3).max()) / 1000)
        return np.flatnonzero(small)


_MANY_PIECES = 2000
_CELLS = 100_000  # along one side: their numbers have to fit into 63 bits


def pieces(mesh: Mesh) -> Pieces:
    of_face, each = mesh.shell_of_face, mesh.each
    if mesh.shells == 1:
        low, high = (bound[None] for bound in mesh.bounds_mm)
        return Pieces(of_face, np.array([each.volume_mm3.sum()]), low, high)
    volume = np.bincount(of_face, weights=each.volume_mm3).astype(np.float64)
    order = np.argsort(of_face, kind="stable")
    begins = np.flatnonzero(np.append(True, np.diff(of_face[order]) > 0))
    low = np.minimum.reduceat(each.low[:, order], begins, axis=1).T
    return Pieces(of_face, volume, low, np.maximum.reduceat(each.high[:, order], begins, axis=1).T)


def _number(value: float) -> str:
    return f"{round(float(value), 1) + 0.0:g}"
