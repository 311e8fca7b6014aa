"""A caliper for built shapes: what each line of an inspection plan comes to in the geometry itself.

It knows where on a part to measure, never what should come out.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from designs.library.tube_rack import make as rack


def cut(body, z: float) -> BaseGeometry:
    """The solid's section at that height."""
    rings = [Polygon(ring) for ring in body.slice(z).to_polygons() if len(ring) > 2]
    section = Polygon()
    for ring in rings:
        section = section.symmetric_difference(ring)
    return section


def pieces(region: BaseGeometry, start, end, *, inside: bool) -> list[tuple[float, float]]:
    """(from, to) along the line where there is material, or where there is none, in order."""
    line = LineString([start, end])
    parts = line.intersection(region) if inside else line.difference(region)
    along = [
        sorted(line.project(shapely.Point(point)) for point in (part.coords[0], part.coords[-1]))
        for part in shapely.get_parts(parts)
        if part.length > 1e-6
    ]
    return sorted((a, b) for a, b in along)


def walls(region, start, end) -> list[float]:
    return [b - a for a, b in pieces(region, start, end, inside=True)]


def gaps(region, start, end) -> list[float]:
    """Only those with material on both sides."""
    solid = pieces(region, start, end, inside=True)
    return [low[0] - high[1] for high, low in itertools.pairwise(solid)]


def holes(region: BaseGeometry) -> Iterator[tuple[float, float]]:
    """Width and height of every hole, by size."""
    found = [ring.bounds for part in shapely.get_parts(region) for ring in part.interiors]
    return iter(sorted((b[2] - b[0], b[3] - b[1]) for b in found))


def hole_at(region: BaseGeometry, x: float, y: float) -> tuple[float, float]:
    for part in shapely.get_parts(region):
        for ring in part.interiors:
            if Polygon(ring).contains(shapely.Point(x, y)):
                low = ring.bounds
                return low[2] - low[0], low[3] - low[1]
    raise AssertionError(f"there is no hole at {x}, {y}")


def wide(region: BaseGeometry) -> float:
    return region.bounds[2] - region.bounds[0]


def high(region: BaseGeometry) -> float:
    return region.bounds[3] - region.bounds[1]


def size(body, axis: int) -> float:
    box = body.bounding_box()
    return box[axis + 3] - box[axis]


def clip_of(region: BaseGeometry, x: float, low: float, top: float, reach: float):
    """(where it first is widest, and narrowest above) of the gap around x, between two heights."""
    widths = []
    for y in np.arange(low, top, 0.04):
        for a, b in pieces(region, (x - reach, y), (x + reach, y), inside=False):
            if a < reach < b and a > 1e-6 and b < 2 * reach - 1e-6:
                widths.append(b - a)
    peak = next(i for i in range(len(widths)) if widths[i + 1] < widths[i] - 1e-9)
    return widths[peak], min(widths[peak:])


def comb_clip(body, wish):
    region = cut(body, 3.5)
    pitch = wish.cable_mm + 4.1
    return clip_of(region, 0.8 + pitch / 2, 1.0, region.bounds[3], pitch / 2)


def stake_clip(body, wish):
    region = cut(body, 3.0)
    return clip_of(region, 0, wish.length_mm + 4, region.bounds[3], wish.tube_mm)


def over(region, y: float) -> float:
    found = pieces(region, (-5, y), (400, y), inside=True)
    return found[-1][1] - found[0][0]


def notch_for_50(region, _wish):
    tip = region.bounds[1]
    solid = pieces(region, (-4.2, tip + 8), (-4.2, tip + 80), inside=True)
    return 8 + (solid[4][1] + solid[5][0]) / 2


Measure = Callable[..., float]
MEASURES: dict[tuple[str, str, str], Measure] = {
    ("cable-comb", "cable-comb", "Hole for a cable"): lambda b, w: comb_clip(b, w)[0],
    ("cable-comb", "cable-comb", "Mouth of a hole"): lambda b, w: comb_clip(b, w)[1],
    ("cable-comb", "cable-comb", "Height"): lambda b, _: size(b, 2),
    ("coat-hook", "coat-hook", "Width"): lambda b, _: size(b, 2),
    ("coat-hook", "coat-hook", "Thickness of the strip"): lambda b, w: walls(
        cut(b, w.width_mm / 2), (-9, w.curl_mm + 16.5), (w.curl_mm, w.curl_mm + 16.5)
    )[0],
    ("coat-hook", "coat-hook", "Screw hole, at the wall"): lambda b, w: gaps(
        cut(b, w.width_mm / 2), (-2.7, w.curl_mm + 2), (-2.7, w.curl_mm + 16.5)
    )[0],
    ("drawer-divider", "long-wall", "Length"): lambda p, _: wide(p),
    ("drawer-divider", "long-wall", "Height"): lambda p, _: high(p),
    ("drawer-divider", "long-wall", "Slot"): lambda p, _: gaps(
        p, (-1, 0.7 * high(p)), (400, 0.7 * high(p))
    )[0],
    ("drawer-divider", "short-wall", "Length"): lambda p, _: wide(p),
    ("drawer-divider", "short-wall", "Height"): lambda p, _: high(p),
    ("drawer-divider", "short-wall", "Slot"): lambda p, _: gaps(
        p, (-1, 0.3 * high(p)), (400, 0.3 * high(p))
    )[0],
    ("knob", "knob", "Diameter of the face"): lambda b, _: (
        2 * max(np.hypot(*point) for point in cut(b, 4).exterior.coords)
    ),
    ("knob", "knob", "Height"): lambda b, _: size(b, 2),
    ("knob", "knob", "Pocket for the nut, across flats"): lambda b, w: next(
        holes(cut(b, w.height_mm - 1))
    )[0],
    ("knob", "knob", "Screw hole"): lambda b, w: next(holes(cut(b, w.height_mm - 8)))[0],
    ("lantern", "base", "Side"): lambda p, _: wide(p),
    ("lantern", "base", "Hole for a peg"): lambda p, _: next(holes(p))[0],
    ("lantern", "base", "Hole for the light"): lambda p, _: list(holes(p))[-1][0],
    ("lantern", "screen", "Width"): lambda p, _: wide(p),
    ("lantern", "screen", "Height"): lambda p, _: high(p),
    ("lantern", "post", "Peg"): lambda b, _: wide(cut(b, size(b, 2) - 2.5)),
    ("lantern", "post", "Groove"): lambda b, _: gaps(cut(b, 5), (6, -7), (6, 7))[0],
    ("phone-stand", "side", "Slot"): lambda p, _: gaps(p, (-1, 3), (95, 3))[0],
    ("phone-stand", "crossbar", "Slot"): lambda p, _: gaps(p, (-1, 9), (400, 9))[0],
    ("phone-stand", "crossbar", "Length"): lambda p, _: wide(p),
    ("tool-rack", "board", "Length"): lambda p, _: wide(p),
    ("tool-rack", "board", "Depth"): lambda p, _: high(p),
    ("tool-rack", "board", "Screw hole"): lambda p, _: hole_at(p, 14, 18.5)[0],
    ("tool-rack", "bracket", "Width"): lambda b, _: size(b, 2),
    ("tool-rack", "bracket", "Thickness of an arm"): lambda b, _: walls(
        cut(b, 2), (-5, 32), (20, 32)
    )[0],
    ("tool-rack", "bracket", "Screw hole, upright"): lambda b, _: gaps(
        cut(b, size(b, 2) / 2), (2.5, 20), (2.5, 34)
    )[0],
    ("trivet", "trivet", "Across flats"): lambda p, _: wide(p),
    ("trivet", "trivet", "Width of a cell"): lambda p, _: next(holes(p))[0],
    ("seed-square", "square", "Side"): lambda p, _: wide(p),
    ("seed-square", "square", "Round hole"): lambda p, w: hole_at(
        p, w.side_mm * 3 / 8, w.side_mm * 3 / 8
    )[0],
    ("seed-square", "dibber", "From the tip to the notch for 50 mm"): notch_for_50,
    ("seed-square", "dibber", "Width of the blade"): lambda p, _: walls(p, (-9, 100), (9, 100))[0],
    ("drip-stake", "stake", "Clip for the tube"): lambda b, w: stake_clip(b, w)[0],
    ("drip-stake", "stake", "Mouth of the clip"): lambda b, w: stake_clip(b, w)[1],
    ("drip-stake", "stake", "Thickness"): lambda b, _: size(b, 2),
    ("tube-rack", "deck", "Hole for a tube"): lambda p, _: next(holes(p))[0],
    ("tube-rack", "deck", "Length over the tabs"): lambda p, _: wide(p),
    ("tube-rack", "floor", "Hole under a tube"): lambda p, _: next(holes(p))[0],
    ("tube-rack", "floor", "Length over the tabs"): lambda p, _: wide(p),
    ("tube-rack", "side", "Slot, height"): lambda p, w: gaps(
        p, (rack.tabs(w)[0], -1), (rack.tabs(w)[0], 99)
    )[0],
    ("tube-rack", "side", "Depth"): lambda p, _: wide(p),
    ("ear-saver", "strap", "Length"): lambda b, _: size(b, 0),
    ("ear-saver", "strap", "Thickness"): lambda b, _: size(b, 2),
    ("ear-saver", "strap", "Width of an opening"): lambda b, _: next(holes(cut(b, 1)))[1],
    ("chain-gauge", "gauge", "Over the teeth, one notch"): lambda p, _: over(p, 23),
    ("chain-gauge", "gauge", "Over the teeth, two notches"): lambda p, _: over(p, -3),
    ("chain-gauge", "gauge", "Width of a tooth"): lambda p, _: walls(p, (-5, 23), (60, 23))[0],
    ("tyre-lever", "lever", "Length"): lambda b, _: size(b, 0),
    ("tyre-lever", "lever", "Width"): lambda b, _: size(b, 2),
    ("tyre-lever", "lever", "Thickness of the middle"): lambda b, w: walls(
        cut(b, 6), (0.6 * w.length_mm, -20), (0.6 * w.length_mm, 20)
    )[0],
    ("sink-strainer", "strainer", "Outer diameter"): lambda b, _: size(b, 0),
    ("sink-strainer", "strainer", "Diameter of the floor"): lambda b, _: wide(cut(b, 0.02)),
    ("sink-strainer", "strainer", "Hole in the floor"): lambda b, w: hole_at(
        cut(b, 1), w.drain_mm / 2 - 14, 0
    )[0],
    ("tool-board", "board", "Length"): lambda p, _: wide(p),
    ("tool-board", "board", "Width of a slot"): lambda p, _: hole_at(p, 28, 47)[1],
    ("tool-board", "board", "Screw hole"): lambda p, _: hole_at(p, 28, 32)[0],
    ("tool-board", "hook", "Tongue, height"): lambda b, _: walls(cut(b, 6), (-4, 20), (-4, 60))[0],
    ("tool-board", "hook", "Width"): lambda b, _: size(b, 2),
    ("tool-board", "hook", "Thickness of the plate"): lambda b, _: walls(
        cut(b, 3), (-20, 30), (20, 30)
    )[0],
    ("tool-board", "key-block", "Hole for the 5 mm key"): lambda b, _: hole_at(cut(b, 6), -19, 13)[
        0
    ],
    ("tool-board", "key-block", "Thickness of the plate"): lambda b, _: high(cut(b, 40)),
    ("tool-board", "spacer", "Height"): lambda b, _: size(b, 2),
    ("tool-board", "label-wheel", "Slot, height"): lambda p, _: hole_at(p, 0, 37)[1],
    ("tool-board", "label-drop", "Slot, height"): lambda p, _: hole_at(p, 0, 37)[1],
    ("tool-board", "label-spanner", "Slot, height"): lambda p, _: hole_at(p, 0, 37)[1],
    ("tool-board", "label-key", "Screw hole"): lambda p, _: hole_at(p, 20, 32)[0],
}
