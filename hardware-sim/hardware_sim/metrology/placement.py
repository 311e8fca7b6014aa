"""Promises where the copies of a design stand, as read from a placement file.
Never trusts it for the last translation: that is found from what was made.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from hardware_sim.metrology.pose import Pose
from hardware_sim.metrology.report import Unmeasurable

MOST_COPIES = 500
FARTHEST_MM = 10_000.0


@dataclass(frozen=True)
class Copy:
    """One copy: turned about the design's origin, then moved."""

    dx_mm: float = 0.0
    dy_mm: float = 0.0
    rotation_deg: float = 0.0

    @property
    def pose(self) -> Pose:
        return Pose(math.radians(self.rotation_deg % 360), self.dx_mm, self.dy_mm)


@dataclass(frozen=True)
class Placement:
    """All copies on one plate or sheet; none given is one copy, anywhere."""

    copies: tuple[Copy, ...] = (Copy(),)
    given: bool = False


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
    if len(copies) > MOST_COPIES or not all(_possible(copy) for copy in copies):
        raise Unmeasurable(f"{path}: no plate holds so many copies, or so far away")
    return Placement(copies, given=True)


def _possible(copy: Copy) -> bool:
    return all(abs(v) < FARTHEST_MM for v in (copy.dx_mm, copy.dy_mm, copy.rotation_deg))
