"""Promises the sections of one body of a design with what is asked of them, worked out once.
Never holds more than one copy of equal sections: a prism has one, however many layers it takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from hardware_sim.metrology.apart import Overhangs
from hardware_sim.metrology.edges import Edges, Floats, rings, samples
from hardware_sim.metrology.pose import Pose
from hardware_sim.metrology.solid import Slicer, Solid

THIN_MM = 0.23  # slicers leave out what is no wider than a bead
GAP_MM = 0.12
FLAT_MM = 0.006
BESIDE_MM = 5e-4
STEP_MM = 0.4


class Plane:
    """A section of the design."""

    def __init__(self, region: BaseGeometry) -> None:
        self.region = region
        self._grown: dict[float, BaseGeometry] = {}

    @cached_property
    def edges(self) -> Edges:
        return Edges(self.region)

    @cached_property
    def printable(self) -> BaseGeometry:
        """What beads can make of it: slits closed, slivers gone."""
        closed = self.region.buffer(GAP_MM, quad_segs=4)
        return closed.buffer(-GAP_MM - THIN_MM, quad_segs=4).buffer(THIN_MM, quad_segs=4)

    @cached_property
    def outline(self) -> list[tuple[shapely.LinearRing, Floats]]:
        """Rings of the printable region with points along them."""
        return [(ring, samples(ring, STEP_MM)) for ring in rings(self.printable)]

    def grown(self, by_mm: float) -> BaseGeometry:
        """The region grown (or shrunk), prepared for many questions."""
        key = round(by_mm, 3)
        if key not in self._grown:
            self._grown[key] = self.region.buffer(key, quad_segs=4)
            shapely.prepare(self._grown[key])
        return self._grown[key]

    def holds(self, points: Floats, by_mm: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which (n, 2) points lie in the region grown by so much."""
        return np.asarray(shapely.contains_xy(self.grown(by_mm), points), dtype=bool)


class Body:
    """One body of the design: its solid, its planes, its overhangs."""

    def __init__(self, solid: Solid) -> None:
        self.solid = solid
        self.slicer = Slicer(solid)
        self._planes: dict[int, Plane] = {}

    def plane(self, z_mm: float) -> Plane:
        region = self.slicer.at(round(z_mm, 5))
        return self._planes.setdefault(id(region), Plane(region))

    def planes(self, z_mm: float) -> list[Plane]:
        """The section at a height; where a flat face lies there, those beside it as well."""
        flats = self.slicer.flats
        near = flats[np.abs(flats - z_mm) < FLAT_MM]
        if not len(near):
            return [self.plane(z_mm)]
        beside = np.concatenate([near - BESIDE_MM, near + BESIDE_MM])
        heights = [z_mm, z_mm - FLAT_MM, z_mm + FLAT_MM, *beside.tolist()]
        return list(dict.fromkeys(self.plane(z) for z in heights))

    @cached_property
    def overhangs(self) -> Overhangs:
        return Overhangs(self.solid)

    @property
    def height_mm(self) -> float:
        return float(self.solid.bounds[1][2])

    @cached_property
    def hull(self) -> Floats:
        """Corners of its shadow's convex hull."""
        hull = shapely.convex_hull(shapely.multipoints(self.solid.points[:, :2]))
        return shapely.get_coordinates(hull)


@dataclass(frozen=True)
class Standing:
    """A body and where it was made; `fit` says how surely (1 is best)."""

    body: Body
    pose: Pose
    fit: float = 1.0
    name: str = "part"


def footprint(standings: Sequence[Standing]) -> BaseGeometry:
    """The hulls of all that stands on the plate."""
    return shapely.union_all([s.pose.of(shapely.Polygon(s.body.hull)) for s in standings])
