"""Promises the regions of a flat drawing or plate in mm, lower left corner at (0, 0); even-odd.
Never repairs an open contour: only closed loops bound material.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import ezdxf
import numpy as np
import shapely
from ezdxf import path as dxf_path
from ezdxf.disassemble import recursive_decompose
from numpy.typing import NDArray
from shapely import affinity
from shapely.geometry.base import BaseGeometry
from svgelements import SVG, Shape
from svgelements import Path as SvgPath

from hardware_sim.metrology import solid
from hardware_sim.metrology.report import Unmeasurable

Line = NDArray[np.float64]
FLATNESS_MM = 0.01
JOIN_MM = 0.02
UNITS_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4, "px": 25.4 / 96, "pt": 25.4 / 72}
_INSUNITS = {1: "in", 4: "mm", 5: "cm", 6: "m"}
_DRAWN = frozenset(("LINE", "ARC", "CIRCLE", "ELLIPSE", "SPLINE", "LWPOLYLINE", "POLYLINE"))
PLAUSIBLE_MM = (1.0, 1500.0)
SAME_SECTION = 0.005  # of a plate's area


@dataclass(frozen=True)
class Drawing:
    """Regions of material; `units` is what the file's numbers were taken to be."""

    material: BaseGeometry
    units: str
    unit_choices: tuple[str, ...]
    thickness_mm: float | None = None  # of a plate that is given as a solid

    def in_units(self, units: str) -> "Drawing":
        """The same drawing with its numbers read in other units."""
        factor = UNITS_MM[units] / UNITS_MM[self.units]
        scaled = affinity.scale(self.material, factor, factor, origin=(0, 0))
        return replace(self, material=scaled, units=units)


def read(path: Path, units: str | None) -> Drawing:
    """Read a DXF or SVG; `units` overrules what the file says. Raises Unmeasurable."""
    kind = path.suffix.lower()
    if kind == ".dxf":
        lines, said = _read_dxf(path)
    elif kind == ".svg":
        lines, said = _read_svg(path)
    elif kind in (".stl", ".3mf"):
        return _plate(path)
    else:
        what = f"{path.name}: {kind or 'no suffix'} is not read here"
        raise Unmeasurable(f"{what}: give a DXF or SVG drawing, or a flat plate as STL or 3MF")
    if not lines:
        raise Unmeasurable(f"{path.name}: nothing is drawn in it")
    size = float(np.ptp(np.vstack(lines), axis=0).max())
    choices = (units,) if units else _plausible(said, size)
    factor = UNITS_MM[choices[0]]
    material = _even_odd([line * factor for line in lines])
    if material.is_empty:
        raise Unmeasurable(f"{path.name}: no closed contour in it")
    low_x, low_y, _, _ = material.bounds
    return Drawing(affinity.translate(material, -low_x, -low_y), choices[0], choices)


def _plate(path: Path) -> Drawing:
    """The section of a solid that lies flat and has the same section at every height."""
    body = solid.together(solid.read(path))
    height = float(body.bounds[1][2])
    low, middle, high = (solid.Slicer(body).at(height * share) for share in (0.1, 0.5, 0.9))
    most = max(low.symmetric_difference(middle).area, high.symmetric_difference(middle).area)
    if middle.is_empty or most > SAME_SECTION * middle.area:
        raise Unmeasurable(f"{path.name}: no flat plate: its section changes with the height")
    low_x, low_y, _, _ = middle.bounds
    flat = affinity.translate(middle, -low_x, -low_y)
    return Drawing(flat, "mm", ("mm",), thickness_mm=round(height, 4))


def _plausible(said: str, size: float) -> tuple[str, ...]:
    """What the file says, if that gives a size that a shop could cut; else all that do."""
    low, high = PLAUSIBLE_MM
    order = list(dict.fromkeys((said or "mm", "mm", "in", "cm", "m")))
    fits = [unit for unit in order if low <= size * UNITS_MM[unit] <= high]
    if said and fits and fits[0] == said:
        return (said,)
    return tuple(fits or order)


# --- DXF -------------------------------------------------------------------------------------


def _read_dxf(path: Path) -> tuple[list[Line], str]:
    try:
        document = ezdxf.readfile(path)  # pyright: ignore[reportPrivateImportUsage]
    except (OSError, ezdxf.DXFError, UnicodeDecodeError, ValueError) as error:  # pyright: ignore[reportPrivateImportUsage]
        raise Unmeasurable(f"{path.name}: {error}") from error
    said = _INSUNITS.get(int(document.header.get("$INSUNITS", 0)), "")
    drawn = [e for e in recursive_decompose(document.modelspace()) if e.dxftype() in _DRAWN]
    paths = [dxf_path.make_path(entity) for entity in drawn]
    points = [np.array([(v.x, v.y) for v in p.control_vertices()]) for p in paths if len(p)]
    size = float(np.ptp(np.vstack(points), axis=0).max()) if points else 1.0
    flatness = FLATNESS_MM if PLAUSIBLE_MM[0] <= size else size * 1e-4
    return [
        np.array([(v.x, v.y) for v in p.flattening(flatness, segments=8)]) for p in paths if len(p)
    ], said


# --- SVG -------------------------------------------------------------------------------------


def _read_svg(path: Path) -> tuple[list[Line], str]:
    """Coordinates come out in px at 96 to the inch, Y turned up."""
    try:
        picture = SVG.parse(str(path), reify=True, ppi=96)
        shapes = [e for e in picture.elements() if isinstance(e, Shape)]
    except (OSError, ValueError, TypeError, SyntaxError) as error:
        raise Unmeasurable(f"{path.name}: {error}") from error
    lines: list[Line] = []
    for shape in shapes:
        values: dict[str, object] = shape.values or {}
        if values.get("visibility") == "hidden" or values.get("display") == "none":
            continue
        for part in SvgPath(shape).as_subpaths():
            points = _flatten(SvgPath(part))
            if len(points) > 1:
                lines.append(points * np.array([1.0, -1.0]))
    return lines, "px"


def _flatten(path: SvgPath) -> Line:
    points: list[tuple[float, float]] = []
    for segment in path.segments():
        end = segment.end
        if end is None:
            continue
        name = type(segment).__name__
        if name in ("Move", "Line", "Close"):
            points.append((float(end.x), float(end.y)))
            continue
        length = float(segment.length(error=1e-3))
        count = max(8, min(720, math.ceil(length / 0.5)))
        for index in range(1, count + 1):
            place = segment.point(index / count)
            points.append((float(place.x), float(place.y)))
    return np.array(points).reshape(-1, 2)


# --- contours --------------------------------------------------------------------------------


def _even_odd(lines: list[Line]) -> BaseGeometry:
    """Closed loops of the lines, doubled ones once, combined even-odd."""
    loops = {_key(loop): loop for loop in _loops(lines)}
    polygons = [shapely.make_valid(shapely.Polygon(loop)) for loop in loops.values()]
    region: BaseGeometry = shapely.Polygon()
    for polygon in sorted(polygons, key=lambda p: p.area, reverse=True):
        if polygon.area > 1e-6:
            region = region.symmetric_difference(polygon)
    return region


def _key(loop: Line) -> tuple[int, int, int, int, int]:
    """Loops with the same box and area are the same contour drawn twice."""
    low, high = loop.min(axis=0), loop.max(axis=0)
    area = abs(shapely.Polygon(loop).area)
    x0, y0, x1, y1, a = (round(float(v) / 0.05) for v in (*low, *high, area))
    return x0, y0, x1, y1, a


def _loops(lines: list[Line]) -> Iterator[Line]:
    """Lines that close themselves, and chains of lines that meet end to end."""
    open_lines: list[Line] = []
    for line in lines:
        if len(line) > 3 and math.dist(line[0], line[-1]) < JOIN_MM:
            yield line
        else:
            open_lines.append(line)
    yield from _chains(open_lines)


def _chains(lines: list[Line]) -> Iterator[Line]:
    """Join open lines at ends where exactly two of them meet."""
    ends = [(_cell(line[0]), _cell(line[-1])) for line in lines]
    count = Counter(cell for pair in ends for cell in set(pair))
    meeting: dict[tuple[int, int], list[int]] = {}
    for index, pair in enumerate(ends):
        for cell in pair:
            meeting.setdefault(cell, []).append(index)
    used = [False] * len(lines)
    for index, (start, end) in enumerate(ends):
        if used[index] or start == end:
            continue
        used[index] = True
        chain, here = [lines[index]], end
        while here != start and count[here] >= 2:
            after = next((i for i in meeting[here] if not used[i]), None)
            if after is None:
                break
            used[after] = True
            forward = ends[after][0] == here
            chain.append(lines[after] if forward else lines[after][::-1])
            here = ends[after][1] if forward else ends[after][0]
        if here == start and len(chain) > 1:
            yield np.vstack(chain)


def _cell(point: Line) -> tuple[int, int]:
    """Ends are matched on a grid of JOIN_MM; drawings snap their ends far finer than that."""
    return round(float(point[0]) / JOIN_MM), round(float(point[1]) / JOIN_MM)
