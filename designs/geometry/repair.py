"""A proposal how to close a surface, for the designer to look at; the file itself is never changed.

Only small things: corners that nearly meet, triangles drawn twice or turned the wrong way, small
holes. What would lose a piece, or change the volume that all triangles, each once and turned the
right way, enclose by more than a hundredth, is not proposed.
"""

from dataclasses import dataclass

import numpy as np

from designs.design import MeshFacts
from designs.geometry.mesh import (
    Indices,
    Mesh,
    Points,
    distinct,
    mesh_facts,
    odd_edges,
    shell_of_each_face,
)
from designs.geometry.where import near_each_other, seams

MOST_VOLUME = 0.01  # share of the volume that may change
MOST_TRIANGLES = 400_000  # of larger meshes no repair is sought
MOST_RIM = 200  # edges around a hole that is filled
HOLE_SHARE = 0.25  # of the part's diagonal that a filled hole may be around
_WELDS_MM = (0.001, 0.01)
_FLAT_MM2 = 1e-9


@dataclass(frozen=True, eq=False)
class Proposal:
    """`mesh` is closed; `steps` say what was done, `statement` compares it with what was drawn."""

    mesh: Mesh
    before: MeshFacts
    after: MeshFacts
    steps: tuple[str, ...]

    @property
    def statement(self) -> str:
        one, other = self.before, self.after
        share = other.volume_mm3 / one.volume_mm3 - 1
        return (
            f"{'; '.join(self.steps)}. Volume {one.volume_mm3 / 1000:.3f} → "
            f"{other.volume_mm3 / 1000:.3f} cm³ ({share:+.2%}), pieces {one.shells} → "
            f"{other.shells}, triangles {one.triangles} → {other.triangles}."
        )


def propose(mesh: Mesh) -> Proposal | None:
    """The mesh closed by small repairs, or None: it is closed already, or no small repair does it.

    The volume of an open surface is itself a guess, so is the share by which it changes.
    """
    vertices = mesh.vertices
    if len(mesh.faces) > MOST_TRIANGLES or not len(mesh.odd.ends):
        return None
    steps: list[str] = []
    faces = _without_flats(vertices, _without_doubles(vertices, mesh.faces, steps), steps)
    faces = _wound_alike(len(vertices), faces, steps)
    drawn_mm3 = _volume_mm3(vertices, faces)
    faces, onto = _welded(vertices, faces, steps)
    pieces = _shells(vertices, onto[mesh.faces])  # what was one only for a narrow cut is one now
    faces = _wound_alike(len(vertices), faces, steps)
    faces = _filled(vertices, faces, steps)
    if not steps or odd_edges(len(vertices), faces).gaps:
        return None
    faces = _outside_out(vertices, faces)
    closed = Mesh(vertices, faces, 0, _shells(vertices, faces))
    before, after = mesh_facts(mesh), mesh_facts(closed)
    changed = abs(after.volume_mm3 - drawn_mm3)
    if changed > MOST_VOLUME * drawn_mm3 or after.shells < pieces:
        return None
    return Proposal(closed, before, after, tuple(steps))


def _volume_mm3(vertices: Points, faces: Indices) -> float:
    """However the whole is turned."""
    return abs(float(Mesh(vertices, faces).each.volume_mm3.sum()))


def _shells(vertices: Points, faces: Indices) -> int:
    return int(shell_of_each_face(len(vertices), faces).max()) + 1


def _without_doubles(vertices: Points, faces: Indices, steps: list[str]) -> Indices:
    """Of triangles over the same three corners one is kept, unless they face each other."""
    n = len(vertices)
    if n**3 > 2**62:  # three corners do not fit into one number
        return faces
    begins = faces.argmin(axis=1)
    turned = np.take_along_axis(faces, (begins[:, None] + np.arange(3)) % 3, axis=1)
    first, _ = distinct((turned @ np.array([n * n, n, 1])).astype(np.uint64))
    if len(first) < len(faces):
        steps.append(_said(len(faces) - len(first), "triangle drawn twice is kept once"))
        faces = faces[np.sort(first)]
    return faces


def _without_flats(vertices: Points, faces: Indices, steps: list[str]) -> Indices:
    """Triangles without an area may go, where the surface closes better without them."""
    flat = Mesh(vertices, faces).each.area_mm2 <= _FLAT_MM2
    if not flat.any() or flat.all():
        return faces
    without = faces[~flat]
    n = len(vertices)
    if odd_edges(n, without).gaps >= odd_edges(n, faces).gaps:
        return faces
    steps.append(_said(int(flat.sum()), "triangle without an area left out"))
    return without


def _welded(vertices: Points, faces: Indices, steps: list[str]) -> tuple[Indices, Indices]:
    """(faces, new number of each corner): corners of the rims that are nearly alike become one,
    where that leaves fewer open edges.
    """
    all_onto = np.arange(len(vertices))
    was = odd_edges(len(vertices), faces).gaps
    for reach in _WELDS_MM:
        rim = np.unique(seams(Mesh(vertices, faces)).open)
        if not len(rim):
            break
        onto = np.arange(len(vertices))
        for place in near_each_other(vertices[rim], reach / 2):
            if np.linalg.norm(place.high - place.low) < reach:
                onto[rim[place.members]] = rim[place.members[0]]
        joined = onto[faces]
        a, b, c = joined.T
        joined = joined[(a != b) & (b != c) & (c != a)]
        left = odd_edges(len(vertices), joined).gaps
        if left < was and len(joined):
            merged = int((onto != np.arange(len(vertices))).sum())
            steps.append(_said(merged, f"corner moved by less than {reach} mm to meet another"))
            faces, was, all_onto = joined, left, onto[all_onto]
    return faces, all_onto


def _wound_alike(count: int, faces: Indices, steps: list[str]) -> Indices:
    """Within each piece, triangles turned so that neighbours run against each other.

    The larger side of each piece keeps its way. Edges where more than two triangles meet do not
    count as joints.
    """
    if not len(seams(Mesh(np.zeros((count, 3)), faces)).twisted):
        return faces
    one, other, alike = _neighbours(count, faces)
    turn = np.zeros(len(faces), dtype=bool)
    known = np.zeros(len(faces), dtype=bool)
    starts = np.argsort(np.concatenate([one, other]), kind="stable")
    both, mate = np.concatenate([one, other]), np.concatenate([other, one])
    flips, begin = (
        np.concatenate([alike, alike])[starts],
        np.searchsorted(both[starts], np.arange(len(faces) + 1)),
    )
    mate = mate[starts]
    for seed in range(len(faces)):
        if known[seed]:
            continue
        known[seed], piece, stack = True, [seed], [seed]
        while stack:
            face = stack.pop()
            for at in range(begin[face], begin[face + 1]):
                to = int(mate[at])
                if not known[to]:
                    known[to], turn[to] = True, turn[face] ^ flips[at]
                    piece.append(to)
                    stack.append(to)
        if turn[piece].sum() * 2 > len(piece):
            turn[piece] = ~turn[piece]
    if turn.any():
        steps.append(_said(int(turn.sum()), "triangle turned the other way"))
    return np.where(turn[:, None], faces[:, ::-1], faces)


def _neighbours(
    count: int, faces: Indices
) -> tuple[Indices, Indices, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """(face, face, whether both run the same way) for each edge that joins exactly two faces."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    key = np.minimum(start, end) * np.int64(count) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.append(True, np.diff(key[order]) != 0))
    pair = first[np.diff(np.append(first, len(key))) == 2]
    one, other = order[pair], order[pair + 1]
    return one // 3, other // 3, start[one] == start[other]


def _filled(vertices: Points, faces: Indices, steps: list[str]) -> Indices:
    """Small holes with a simple rim are closed by triangles between the rim's own corners."""
    rims = _rims(seams(Mesh(vertices, faces)).open)
    most = HOLE_SHARE * float(np.linalg.norm(np.ptp(vertices, axis=0)))
    new: list[tuple[int, int, int]] = []
    count = 0
    for rim in rims:
        at = vertices[rim]
        around = float(np.linalg.norm(at - np.roll(at, -1, axis=0), axis=1).sum())
        if len(rim) <= MOST_RIM and around <= most:
            new += _patch(at, rim)
            count += 1
    if new:
        steps.append(_said(count, "small hole closed"))
        faces = np.vstack([faces, np.array(new, dtype=np.int64)])
    return faces


def _rims(edges: Indices) -> list[list[int]]:
    """Closed walks along open edges, against the triangles beside them; forks are left alone."""
    after: dict[int, int] = {}
    forked: set[int] = set()
    for start, end in edges.tolist():
        if end in after:
            forked.add(end)
        after[end] = start
    rims: list[list[int]] = []
    seen: set[int] = set()
    for begin in after:
        rim, at = [], begin
        while at in after and at not in seen:
            seen.add(at)
            rim.append(at)
            at = after[at]
        if rim and at == begin and not forked & set(rim):
            rims.append(rim)
    return rims


def _patch(at: Points, rim: list[int]) -> list[tuple[int, int, int]]:
    """Triangles over a rim: again and again the corner with the shortest bridge is cut off."""
    left = list(range(len(rim)))
    found: list[tuple[int, int, int]] = []
    while len(left) > 3:
        ring = at[left]
        bridge = np.linalg.norm(np.roll(ring, 1, axis=0) - np.roll(ring, -1, axis=0), axis=1)
        i = int(bridge.argmin())
        before, after = left[i - 1], left[(i + 1) % len(left)]
        found.append((rim[before], rim[left[i]], rim[after]))
        del left[i]
    found.append((rim[left[0]], rim[left[1]], rim[left[2]]))
    return found


def _outside_out(vertices: Points, faces: Indices) -> Indices:
    if float(Mesh(vertices, faces).each.volume_mm3.sum()) < 0:
        return np.ascontiguousarray(faces[:, ::-1])
    return faces


def _said(count: int, what: str) -> str:
    return f"{count} × {what}"
