"""Solids of known walls, gaps and slopes, for the tests of what is measured of them."""

import numpy as np

from designs.geometry.mesh import Mesh, sound
from tests.designs.geometry import solids


def mesh_of(*parts: np.ndarray) -> Mesh:
    """One mesh of triangles (m, 3, 3)."""
    triangles = np.concatenate(parts)
    return sound([(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3))])


def block(x: float, y: float, z: float, at: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    return (solids.CORNERS * [x, y, z] + np.array(at))[solids.FACES]


def turned(triangles: np.ndarray, about_x_deg: float, about_z_deg: float = 0) -> np.ndarray:
    a, b = np.radians([about_x_deg, about_z_deg])
    over_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    over_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return triangles @ over_x.T @ over_z.T


def tube(outer: float, inner: float, high: float, sides: int = 96) -> np.ndarray:
    """Around z, open at both ends, closed at its rims."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    around = np.column_stack([np.cos(angle), np.sin(angle)])
    rings = [
        np.column_stack([around * radius, np.full(sides, z)])
        for radius, z in ((outer, 0), (outer, high), (inner, high), (inner, 0))
    ]
    quads = []
    for one, other in zip(rings, [*rings[1:], rings[0]], strict=True):
        a, b, c, d = one, np.roll(one, -1, 0), np.roll(other, -1, 0), other
        quads += [np.stack([a, b, c], 1), np.stack([a, c, d], 1)]
    return np.concatenate(quads)


def wedge(angle_deg: float, long: float = 30, wide: float = 20) -> np.ndarray:
    """An upside-down ramp: its slanting underside leans over by the angle from upright, over y 0.

    A prism along x with corners (y, z): (0, 0), (-10, 0), (-10, h), (long sin, h = long cos).
    """
    a = np.radians(angle_deg)
    out, h = long * np.sin(a), long * np.cos(a)
    profile = np.array([[0, 0], [out, h], [-10, h], [-10, 0]])
    ends = [np.column_stack([np.full(4, x), profile]) for x in (0.0, wide)]
    low, high = ends
    faces = [low[[0, 2, 1]], low[[0, 3, 2]], high[[0, 1, 2]], high[[0, 2, 3]]]
    for i, j in ((0, 1), (1, 2), (2, 3), (3, 0)):
        faces += [np.array([low[i], low[j], high[j]]), np.array([low[i], high[j], high[i]])]
    return np.array(faces)
