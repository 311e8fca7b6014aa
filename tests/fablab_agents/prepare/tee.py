"""A T that cannot be printed without supports: a stem of 8 mm, arms 8 mm out from 10 mm up."""

import numpy as np

PROFILE = [(-4, 0), (4, 0), (4, 10), (12, 10), (12, 14), (-12, 14), (-12, 10), (-4, 10)]
CAP = [(0, 1, 2), (0, 2, 7), (2, 3, 4), (2, 4, 5), (2, 5, 7), (5, 6, 7)]


def tee() -> tuple[np.ndarray, np.ndarray]:
    """Corners in mm, 10 mm along y, its middle at x = y = 0; triangles."""
    n = len(PROFILE)
    corners = [(x, y, z) for y in (-5, 5) for x, z in PROFILE]
    back = [(c + n, b + n, a + n) for a, b, c in CAP]
    sides = [((i + 1) % n, i, i + n) for i in range(n)]
    others = [((i + 1) % n, i + n, (i + 1) % n + n) for i in range(n)]
    return np.array(corners, dtype=float), np.array([*CAP, *back, *sides, *others])
