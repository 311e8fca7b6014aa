"""What of a part hangs over nothing as it lies in its file, how steep, and what stands on the bed.

Exact for the triangles it is given; whether a bridge holds is the printer's to say.
"""

from dataclasses import dataclass

import numpy as np

from designs.geometry.mesh import Indices, Mesh

LIMIT_DEG = 45.0  # from upright: what most printers do without supports
_ROUNDED_DEG = 1.0  # coordinates are rounded: a chamfer of just 45 degrees is not steeper
_ON_BED_MM = 0.05
_FIRST_LAYERS_MM = 0.3
_SHOWS_MM2 = 1.0


@dataclass(frozen=True, eq=False)
class Underside:
    """Areas in mm². `steepest_deg` is 0 for an upright wall and 90 for a flat ceiling; at least
    1 mm² hangs so far over. `faces` are the numbers of what hangs over by more than the limit.
    """

    hangs_mm2: float
    steepest_deg: float
    stands_mm2: float
    faces: Indices


def underside(mesh: Mesh, limit_deg: float = LIMIT_DEG) -> Underside:
    """What hangs and what stands.

    A face hangs over if it is turned down further than the limit and reaches above the first
    layers (0.3 mm), which the bed carries.
    """
    each, area_mm2 = mesh.each, mesh.each.area_mm2
    down = np.clip(-each.normal[2], -1, 1)
    high = each.high[2] - mesh.bounds_mm[0][2]
    stands = float(area_mm2[(down > 0.99) & (high < _ON_BED_MM)].sum())
    free = np.flatnonzero((down > 1e-6) & (high > _FIRST_LAYERS_MM) & (area_mm2 > 0))
    steep = np.degrees(np.arcsin(down[free]))
    over = free[steep > limit_deg + _ROUNDED_DEG]
    order = np.argsort(-steep, kind="stable")
    enough = np.searchsorted(np.cumsum(area_mm2[free][order]), _SHOWS_MM2)
    steepest = float(steep[order[enough]]) if enough < len(order) else 0.0
    return Underside(float(area_mm2[over].sum()), steepest, stands, over)
