"""How an orientation turns a part: about x, then about y, then about z, in degrees; pure."""

import math

Degrees = tuple[float, float, float]
Vector = tuple[float, float, float]


def matrix(turn: Degrees) -> tuple[Vector, Vector, Vector]:
    """What a point is multiplied with; quarter turns are exact."""
    (sx, cx), (sy, cy), (sz, cz) = map(_sine_and_cosine, turn)
    return (
        (cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        (sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        (-sy, cy * sx, cy * cx),
    )


def _sine_and_cosine(degrees: float) -> tuple[float, float]:
    if degrees % 90 == 0:
        return ((0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0))[int(degrees // 90) % 4]
    angle = math.radians(degrees % 360)
    return math.sin(angle), math.cos(angle)


def box_mm(size_mm: Vector, turn: Degrees) -> Vector:
    """The box around a turned box: that of the part after quarter turns, else never too small."""
    x, y, z = (
        sum(abs(factor) * side for factor, side in zip(row, size_mm, strict=True))
        for row in matrix(turn)
    )
    return x, y, z
