"""Promises where the copies of a design stand, as read from a placement file.
Never trusts it for the last translation: that is found from what was made.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import shapely
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology.report import Unmeasurable


@dataclass(frozen=True)
class Copy:
    """One copy: turned about the design's origin, then moved."""

    dx_mm: float = 0.0
    dy_mm: float = 0.0
    rotation_deg: float = 0.0

    def of(self, region: BaseGeometry) -> BaseGeometry:
        """The region where this copy stands."""
        if not self.rotation_deg % 360:
            return affinity.translate(region, self.dx_mm, self.dy_mm)
        turn = math.radians(self.rotation_deg)
        cos, sin = math.cos(turn), math.sin(turn)
        matrix = [cos, -sin, sin, cos, self.dx_mm, self.dy_mm]
        return affinity.affine_transform(region, matrix)


@dataclass(frozen=True)
class Placement:
    """All copies on one plate or sheet."""

    copies: tuple[Copy, ...] = (Copy(),)
    given: bool = False

    def choices(self) -> "list[Placement]":
        """Itself if it was given; else the design as drawn and in quarter turns."""
        if self.given:
            return [self]
        return [Placement((Copy(rotation_deg=turn),)) for turn in (0.0, 90.0, 180.0, 270.0)]

    def of(self, region: BaseGeometry) -> BaseGeometry:
        """All copies of a region together."""
        return shapely.union_all([copy.of(region) for copy in self.copies])


def read(path: Path | None) -> Placement:
    """Read `{"copies": [{"dx_mm", "dy_mm", "dz_mm", "rotation_deg"}]}`; none is one copy."""
    if path is None:
        return Placement()
    try:
        rows = json.loads(path.read_text("utf-8"))["copies"]
        keys = ("dx_mm", "dy_mm", "rotation_deg")
        copies = tuple(Copy(*(float(row.get(key) or 0.0) for key in keys)) for row in rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unmeasurable(f"{path}: not a placement: {error!r}") from error
    if not copies:
        raise Unmeasurable(f"{path}: it places no copy")
    return Placement(copies, given=True)
