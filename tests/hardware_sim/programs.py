"""Small parts and the programs that make them, written here so that no slicer is trusted."""

import itertools
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

LAYER_MM, SPACING_MM = 0.2, 0.41
FILAMENT_MM2 = math.pi * 1.75**2 / 4
WIDTH_MM = SPACING_MM + LAYER_MM * (1 - math.pi / 4)
Point = tuple[float, float]


def ring(x: float, y: float, radius: float, count: int = 72) -> list[Point]:
    turn = 2 * math.pi / count
    return [
        (x + radius * math.cos(i * turn), y + radius * math.sin(i * turn)) for i in range(count)
    ]


def plate(width: float, depth: float, hole: tuple[float, float, float]) -> shapely.Polygon:
    corners = [(0.0, 0.0), (width, 0.0), (width, depth), (0.0, depth)]
    return shapely.Polygon(corners, [ring(*hole)])


def write_stl(path: Path, region: shapely.Polygon, height: float) -> Path:
    """The region pulled up to a height: caps by constrained triangles, walls by quads."""
    faces: list[tuple[tuple[float, float, float], ...]] = []
    for cap in shapely.constrained_delaunay_triangles(region).geoms:
        a, b, c = [(x, y) for x, y in shapely.orient_polygons(cap).exterior.coords][:3]
        faces += [((*a, height), (*b, height), (*c, height)), ((*a, 0.0), (*c, 0.0), (*b, 0.0))]
    turned = shapely.orient_polygons(region)
    for loop in (turned.exterior, *turned.interiors):
        points = list(loop.coords)
        for p, q in itertools.pairwise(points):
            faces += [((*p, 0.0), (*q, 0.0), (*q, height)), ((*p, 0.0), (*q, height), (*p, height))]
    data = bytearray(80) + struct.pack("<I", len(faces))
    for face in faces:
        data += struct.pack("<12fH", 0, 0, 0, *(v for corner in face for v in corner), 0)
    path.write_bytes(data)
    return path


def _lines(shape: BaseGeometry) -> Iterator[list[Point]]:
    for part in shapely.get_parts(shape):
        if isinstance(part, shapely.Polygon):
            yield from (list(r.coords) for r in (part.exterior, *part.interiors))
        elif isinstance(part, shapely.LineString) and part.length > 0.5:
            yield list(part.coords)


def _layer(region: BaseGeometry, flip: bool, share: float) -> Iterator[list[Point]]:
    yield from _lines(region.buffer(-WIDTH_MM / 2))
    yield from _lines(region.buffer(-WIDTH_MM / 2 - SPACING_MM))
    room = region.buffer(-WIDTH_MM / 2 - 1.9 * SPACING_MM)
    low_x, low_y, high_x, high_y = region.bounds
    step = SPACING_MM / share
    if flip:
        rows = [[(x, low_y), (x, high_y)] for x in _steps(low_x, high_x, step)]
    else:
        rows = [[(low_x, y), (high_x, y)] for y in _steps(low_y, high_y, step)]
    yield from _lines(room.intersection(shapely.MultiLineString(rows)))


def _steps(low: float, high: float, step: float) -> list[float]:
    return [low + step * (i + 0.5) for i in range(int((high - low) / step))]


def printed(
    region_at: Callable[[int], BaseGeometry],
    layers: int,
    flow_at: Callable[[int], float] = lambda _: 1.0,
    skip: frozenset[int] = frozenset(),
    share_at: Callable[[int], float] = lambda _: 0.15,
) -> list[str]:
    """A print at X 50 Y 60 with double walls and 15 % infill, relative extrusion."""
    lines = ["M140 S60", "M104 S210", "G28", "M190 S60", "M109 S210", "G21", "G90", "M83"]
    lines += ["G1 Z0.3 F1200", "G1 X5 Y5 F9000", "G1 X5 Y150 E8 F1500"]  # a purge line
    for layer in range(layers):
        if layer in skip:
            continue
        lines.append(f"G1 Z{(layer + 1) * LAYER_MM:.3f} F1200")
        for path in _layer(region_at(layer), flip=bool(layer % 2), share=share_at(layer)):
            (x, y), *rest = path
            lines.append(f"G1 X{50 + x:.3f} Y{60 + y:.3f} F9000")
            for px, py in rest:
                volume = SPACING_MM * LAYER_MM * math.dist((x, y), (px, py)) * flow_at(layer)
                lines.append(f"G1 X{50 + px:.3f} Y{60 + py:.3f} E{volume / FILAMENT_MM2:.5f} F2400")
                x, y = px, py
    return [*lines, "M104 S0", "M140 S0", "M107", "G1 X0 Y200 F6000", "M84"]


def write_svg(path: Path, region: shapely.Polygon) -> Path:
    loops = (region.exterior, *region.interiors)
    drawn = " ".join("M " + " L ".join(f"{x} {y}" for x, y in r.coords) + " Z" for r in loops)
    low_x, low_y, high_x, high_y = region.bounds
    width, height = high_x - low_x, high_y - low_y
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm"'
        f' viewBox="{low_x} {low_y} {width} {height}"><path d="{drawn}"/></svg>'
    )
    return path


def _around(region: shapely.Polygon, radius: float) -> list[list[Point]]:
    """Tool centre paths, holes before the outside."""
    inner = [list(shapely.Polygon(h).buffer(-radius).exterior.coords) for h in region.interiors]
    outer = shapely.Polygon(region.exterior).buffer(radius, quad_segs=16)
    return [*inner, list(outer.exterior.coords)]


def _tab(a: Point, b: Point, thick: float) -> list[str]:
    """A bridge of 10 mm path in the middle of a long edge, 1.2 mm high."""
    share = 5 / math.dist(a, b)
    ends = [
        (a[0] + (b[0] - a[0]) * s, a[1] + (b[1] - a[1]) * s) for s in (0.5 - share, 0.5 + share)
    ]
    (ax, ay), (bx, by) = ends
    up, down = f"G1 Z{-thick + 1.2:.3f} F200", f"G1 Z{-thick:.3f} F200"
    return [f"G1 X{ax:.3f} Y{ay:.3f} F700", up, f"G1 X{bx:.3f} Y{by:.3f} F700", down]


def milled(
    region: shapely.Polygon, *, tool: float = 3.175, thick: float = 3.0, tabs: bool = False
) -> list[str]:
    lines = ["G21", "G90", "G0 Z5", "M3 S9000"]
    for path in _around(region, tool / 2):
        lines.append(f"G0 X{path[0][0]:.3f} Y{path[0][1]:.3f}")
        for depth in (thick / 3, 2 * thick / 3, thick):
            lines.append(f"G1 Z{-depth:.3f} F200")
            for a, b in itertools.pairwise(path):
                if tabs and depth == thick and math.dist(a, b) > 50:
                    lines += _tab(a, b, thick)
                lines.append(f"G1 X{b[0]:.3f} Y{b[1]:.3f} F700")
        lines.append("G0 Z5")
    return [*lines, "M5", "M30"]


def burned(region: shapely.Polygon, kerf: float = 0.15) -> list[str]:
    lines = ["G21", "G90", "M4 S0"]
    for path in _around(region, kerf / 2):
        lines.append(f"G0 X{path[0][0]:.3f} Y{path[0][1]:.3f}")
        lines += [f"G1 X{x:.3f} Y{y:.3f} S900 F600" for x, y in path[1:]]
    return [*lines, "M5", "M2"]
