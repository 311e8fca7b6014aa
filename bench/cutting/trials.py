"""Honest and spoiled programs for a drawing, drawn from a seed; each says what it ought to be."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely import affinity

from bench.cutting.paths import Manner, Stroke, strokes
from bench.cutting.post import program

Region = shapely.Polygon
TOOLS_MM = (0.8, 1.0, 1.5, 2.0, 3.0, 3.175)


@dataclass(frozen=True)
class Trial:
    """A program, how it was cut, and whether it is what the drawing asks for."""

    name: str
    lines: list[str]
    manner: Manner
    honest: bool
    cuts_mm_min: float | None = None
    """What cuts through, told where the program alone cannot show it: it has one contour."""


def widest(regions: list[Region]) -> float:
    """The widest tool that every hole and every gap of these regions takes; 0 if none does."""
    whole = shapely.union_all(regions)
    for width in reversed(TOOLS_MM):
        filled = whole.buffer(width / 2 - 0.02).buffer(0.02 - width / 2)
        if filled.difference(whole.buffer(0.05)).area < 0.05 * width**2 and len(
            shapely.get_parts(shapely.get_rings(filled))
        ) == len(shapely.get_parts(shapely.get_rings(whole))):
            return width
    return 0.0


def drawn(chance: random.Random, *, laser: bool, widest_mm: float) -> Manner:
    """One manner of cutting."""
    common = Manner(
        laser=laser,
        width_mm=chance.choice((0.08, 0.15, 0.2, 0.3)) if laser else widest_mm,
        climb=chance.random() < 0.5,
        start=chance.random(),
        turn_deg=chance.choice((0, 0, 90, 180, 270, 37.3, 211.9)),
        shift_mm=(chance.choice((0.0, 12.5, -200.0)), chance.choice((0.0, 33.3, -90.0))),
        arcs=chance.random() < 0.5,
        inches=chance.random() < 0.25,
        relative=chance.random() < 0.25,
        numbered=chance.random() < 0.25,
        terse=chance.random() < 0.5,
        lead_mm=chance.choice((0.0, 0.0, 1.0, 2.0)),
        overlap_mm=chance.choice((0.0, 0.0, 1.5)),
    )
    return (_drawn_laser if laser else _drawn_mill)(common, chance)


def _drawn_laser(common: Manner, chance: random.Random) -> Manner:
    return replace(
        common,
        passes=chance.choice((1, 1, 2, 3)),
        whole_passes=chance.random() < 0.5,
        beam=chance.choice(("M3", "M4")),
        off_by_m5=chance.random() < 0.3,
        power=chance.choice((1000.0, 800.0, 350.0)),
        feed_mm_min=chance.choice((200.0, 600.0, 1500.0)),
        engraved=chance.random() < 0.4,
        raster=chance.random() < 0.4,
        tabs=chance.choice((0, 0, 0, 4)),
        tab_mm=0.6,
        perforated=chance.random() < 0.1,
    )


def _drawn_mill(common: Manner, chance: random.Random) -> Manner:
    return replace(
        common,
        thickness_mm=chance.choice((1.5, 3.0, 6.0, 12.0)),
        through_mm=chance.choice((0.0, 0.1, 0.3, 0.5)),
        passes=chance.choice((1, 2, 3, 6)),
        down=chance.choice(("plunge", "ramp", "helix")),
        tabs=chance.choice((0, 0, 3, 4)),
        tab_mm=chance.choice((3.0, 5.0)),
        tab_height_mm=chance.choice((0.6, 1.0)),
        pockets=chance.random() < 0.25,
        corners=chance.choice(("round", "mitre")),
        feed_mm_min=chance.choice((300.0, 900.0)),
    )


# --- honest --------------------------------------------------------------------------------------


def cut(regions: list[Region], manner: Manner) -> list[Stroke]:
    """All strokes for these regions, engraving before cutting."""
    marks = [s for region in regions for s in _marks(region, manner)] if manner.laser else []
    return [*marks, *(s for region in regions for s in strokes(region, manner))]


def _marks(region: Region, manner: Manner) -> Iterator[Stroke]:
    """Lines and fills that only colour the surface, inside the part."""
    circle = shapely.maximum_inscribed_circle(region)
    (x, y), _ = circle.coords
    reach = min(8.0, circle.length * 0.7)
    if manner.engraved:
        line = np.array([(x - reach, y, 0), (x + reach, y, 0), (x, y + reach, 0)], dtype=float)
        yield Stroke(line, power=0.25)
    if manner.raster:
        rows = np.arange(-reach / 2, reach / 2, 0.1)
        for k, dy in enumerate(rows.tolist()):
            ends = (-reach / 2 - 2.5, -reach / 2, reach / 2, reach / 2 + 2.5)
            way = [(x + dx * (-1) ** k, y + dy, 0.0) for dx in ends]
            unlit = ((0.0, 2.5), (reach + 2.5, reach + 5.0))
            yield Stroke(np.array(way), power=0.8, fast=10.0, gaps=unlit)


def honest(regions: list[Region], seed: int, *, laser: bool) -> Trial | None:
    chance = random.Random(seed)
    wide = widest(regions)
    if not laser and not wide:
        return None
    manner = drawn(chance, laser=laser, widest_mm=wide)
    return Trial("honest", program(cut(regions, manner), manner), manner, honest=True)


# --- spoiled: the part ---------------------------------------------------------------------------


def _largest(regions: list[Region]) -> int:
    return max(range(len(regions)), key=lambda k: regions[k].area)


def _hole(region: Region, chance: random.Random, least_mm2: float) -> int | None:
    fit = [k for k, h in enumerate(region.interiors) if Region(h).area > least_mm2]
    return chance.choice(fit) if fit else None


def _holes(act: Callable[[Region], Region | None], least_mm2: float = 3.0) -> "Shape":
    def shape(regions: list[Region], chance: random.Random) -> list[Region] | None:
        k = _largest(regions)
        hole = _hole(regions[k], chance, least_mm2)
        if hole is None:
            return None
        rings = list(regions[k].interiors)
        new = act(Region(rings[hole]))
        others = [r for i, r in enumerate(rings) if i != hole]
        part = Region(regions[k].exterior, others if new is None else [*others, new.exterior])
        return [*regions[:k], part, *regions[k + 1 :]] if part.is_valid else None

    return shape


def _all(act: Callable[[Region], Region]) -> "Shape":
    def shape(regions: list[Region], _: random.Random) -> list[Region] | None:
        return [act(region) for region in regions]

    return shape


def _scaled(x: float, y: float) -> "Shape":
    def shape(regions: list[Region], _: random.Random) -> list[Region] | None:
        low_x, low_y, high_x, high_y = shapely.total_bounds(regions)
        seen = max((high_x - low_x) * abs(x - 1), (high_y - low_y) * abs(y - 1))
        grown = [affinity.scale(r, x, y, origin=(low_x, low_y)) for r in regions]
        return grown if seen > 0.59 else None

    return shape


def _mirrored(regions: list[Region], _: random.Random) -> list[Region] | None:
    whole = shapely.union_all(regions)
    centre = whole.envelope.centroid
    turned = [affinity.scale(r, -1, 1, origin=centre) for r in regions]
    other = shapely.union_all(turned)
    alike = [affinity.rotate(other, a, origin=centre) for a in (0, 90, 180, 270)]
    return turned if min(whole.symmetric_difference(t).area for t in alike) > 5 else None


def _lost(regions: list[Region], _: random.Random) -> list[Region] | None:
    """One of several parts is not cut at all."""
    return [r for k, r in enumerate(regions) if k != _largest(regions)] or None


def _another(regions: list[Region], _: random.Random) -> list[Region] | None:
    low_x, low_y, high_x, high_y = shapely.total_bounds(regions)
    w, h = high_x - low_x, high_y - low_y
    box = shapely.box(0, 0, w, h).difference(shapely.Point(w / 3, h / 3).buffer(min(w, h) / 6))
    return [box] if isinstance(box, Region) else None


def _bored(regions: list[Region], _: random.Random) -> list[Region] | None:
    k = _largest(regions)
    circle = shapely.maximum_inscribed_circle(regions[k])
    x, y = circle.coords[0]
    hole = shapely.Point(x, y).buffer(min(4.0, circle.length * 0.6))
    part = regions[k].difference(hole)
    return [*regions[:k], part, *regions[k + 1 :]] if isinstance(part, Region) else None


Shape = Callable[[list[Region], random.Random], list[Region] | None]
SHAPES: dict[str, Shape] = {
    "hole shifted 0.5 mm": _holes(lambda h: affinity.translate(h, 0.35, 0.354)),
    "hole 0.3 mm wider": _holes(lambda h: h.buffer(0.15)),
    "hole 0.3 mm narrower": _holes(lambda h: h.buffer(-0.15), 16.0),
    "hole missing": _holes(lambda _: None),
    "extra hole": _bored,
    "1 % larger": _scaled(1.01, 1.01),
    "1 % smaller in X": _scaled(0.99, 1.0),
    "1 % larger in Y": _scaled(1.0, 1.01),
    "mirrored": _mirrored,
    "one part missing": _lost,
    "another part": _another,
    "0.3 mm larger all round": _all(lambda r: r.buffer(0.15, join_style="mitre")),
}


# --- spoiled: the cutting ------------------------------------------------------------------------

Spoil = Callable[[list[Stroke], Manner, random.Random], list[Stroke] | None]


def _outside(found: list[Stroke], chance: random.Random) -> int | None:
    rings = [k for k, s in enumerate(found) if s.outside and s.ring_mm > 20]
    return chance.choice(rings) if rings else None


def _open(share: float) -> Spoil:
    """Every pass of one outside stops short (and does not overlap)."""

    def spoil(found: list[Stroke], m: Manner, chance: random.Random) -> list[Stroke] | None:
        k = _outside(found, chance)
        if k is None or m.down != "plunge" or (not m.laser and m.passes > 1):
            return None
        gap = max(share * found[k].ring_mm, 2.0 + 2 * m.width_mm)
        same = [i for i, s in enumerate(found) if np.array_equal(s.points, found[k].points)]
        return [_shortened(s, gap + m.overlap_mm) if i in same else s for i, s in enumerate(found)]

    return spoil


def _shortened(stroke: Stroke, by_mm: float) -> Stroke:
    points, left = stroke.points, by_mm
    while len(points) > 2:
        step = float(np.hypot(*(points[-1, :2] - points[-2, :2])))
        if step >= left:
            share = left / max(step, 1e-9)
            end = points[-1] + share * (points[-2] - points[-1])
            return replace(stroke, points=np.vstack([points[:-1], end]))
        points, left = points[:-1], left - step
    return replace(stroke, points=points)


def _shallow(found: list[Stroke], m: Manner, chance: random.Random) -> list[Stroke] | None:
    """One contour stays half a millimetre above where it should be through."""
    k = chance.randrange(len(found))
    if m.pockets:
        return None
    z = np.maximum(found[k].points[:, 2], 0.5 - m.thickness_mm)
    points = np.column_stack([found[k].points[:, :2], z])
    return [*found[:k], replace(found[k], points=points), *found[k + 1 :]]


def _all_shallow(found: list[Stroke], m: Manner, _: random.Random) -> list[Stroke] | None:
    rows = [np.maximum(s.points, [-1e9, -1e9, 0.5 - m.thickness_mm]) for s in found]
    return [replace(s, points=p) for s, p in zip(found, rows, strict=True)]


def _pass_missing(found: list[Stroke], m: Manner, chance: random.Random) -> list[Stroke] | None:
    if m.passes < 2:
        return None
    if m.laser:
        rings = [k for k, s in enumerate(found) if s.ring_mm > 3]
        k = chance.choice(rings)
        return found[:k] + found[k + 1 :]
    if m.thickness_mm / m.passes < 0.3 or m.pockets:
        return None
    floor = -(m.thickness_mm + m.through_mm) * (m.passes - 1) / m.passes
    if floor < -m.thickness_mm + 0.1:
        return None
    k = chance.randrange(len(found))
    points = np.maximum(found[k].points, [-1e9, -1e9, floor])
    return [*found[:k], replace(found[k], points=points), *found[k + 1 :]]


def _dark(found: list[Stroke], _: Manner, chance: random.Random) -> list[Stroke] | None:
    """The beam is off along a sixth of one outside, in every pass."""
    k = _outside(found, chance)
    if k is None:
        return None
    low = 0.4 * found[k].ring_mm
    gap = ((low, low + max(3.0, found[k].ring_mm / 6)),)
    same = [i for i, s in enumerate(found) if np.array_equal(s.points, found[k].points)]
    return [replace(s, gaps=tuple(s.gaps) + gap) if i in same else s for i, s in enumerate(found)]


def _weak(found: list[Stroke], _: Manner, chance: random.Random) -> list[Stroke] | None:
    rings = [k for k, s in enumerate(found) if s.ring_mm > 3]
    if len(rings) < 2:
        return None
    k = chance.choice(rings)
    same = [i for i, s in enumerate(found) if np.array_equal(s.points, found[k].points)]
    if len(same) == len(rings):
        return None
    return [replace(s, power=0.3) if i in same else s for i, s in enumerate(found)]


def _gouge(found: list[Stroke], _: Manner, chance: random.Random) -> list[Stroke] | None:
    """On its way back from one ring the tool stays down, straight across to where it began."""
    k = _outside(found, chance)
    if k is None:
        return None
    points = found[k].points
    middle = points[:, :2].mean(axis=0)
    extra = [(*middle, points[-1, 2]), tuple(points[-1])]
    return [*found[:k], replace(found[k], points=np.vstack([points, extra])), *found[k + 1 :]]


def _line(regions: list[Region], found: list[Stroke], m: Manner) -> list[Stroke]:
    """One more cut, through the middle of the largest part."""
    circle = shapely.maximum_inscribed_circle(regions[_largest(regions)])
    (x, y), _ = circle.coords
    reach, z = circle.length * 0.8, 0.0 if m.laser else -m.thickness_mm
    line = Stroke(np.array([(x - reach, y, z), (x + reach, y, z)]), 2 * reach)
    return [*found, *([line] * (m.passes if m.laser else 1))]


SPOILS: dict[str, Spoil] = {
    "outside not closed": _open(0.02),
    "half a millimetre short of through": _shallow,
    "all half a millimetre short": _all_shallow,
    "last pass missing": _pass_missing,
    "beam off along a sixth": _dark,
    "one contour with a third of the power": _weak,
    "tool stays down across": _gouge,
}
ONLY_LASER = {"beam off along a sixth", "one contour with a third of the power"}
ONLY_MILL = {"half a millimetre short of through", "all half a millimetre short"}
SIDES = {"compensation forgotten": 0.0, "wrong side": -1.0, "compensation doubled": 2.0}


def spoiled(regions: list[Region], seed: int, *, laser: bool) -> Iterator[Trial]:
    """Every sabotage that this drawing and a drawn manner allow, each after its honest twin."""
    wide = widest(regions)
    if not laser and not wide:
        return
    labels = [*SHAPES, *SPOILS, *SIDES, "extra cut", "tabs as thick as the stock"]
    for number, label in enumerate(labels):
        chance = random.Random(seed * 1000 + number)
        manner = drawn(chance, laser=laser, widest_mm=wide)
        made = _spoiled(label, regions, manner, chance)
        if made:
            right = replace(made[1], side=1.0)
            if label == "tabs as thick as the stock":
                right = replace(right, tab_height_mm=0.5 * right.thickness_mm)
            lone = laser and len(regions) == 1 and not regions[0].interiors
            told = _cuts_at(right) if lone and label == "last pass missing" else None
            lines = program(cut(regions, right), right)
            yield Trial("honest", lines, right, honest=True, cuts_mm_min=told)
            yield Trial(label, program(*made), made[1], honest=False, cuts_mm_min=told)


def _cuts_at(manner: Manner) -> float:
    """The feed at which full power would cut, if all this manner's passes are just needed."""
    return 1000.0 / manner.power * manner.feed_mm_min / manner.passes


def _spoiled(
    label: str, regions: list[Region], manner: Manner, chance: random.Random
) -> tuple[list[Stroke], Manner] | None:
    if label in SHAPES:
        changed = SHAPES[label](regions, chance)
        return (cut(changed, manner), manner) if changed else None
    if label in SIDES:
        if abs(SIDES[label] - 1) * manner.width_mm / 2 < 0.14:
            return None  # no more than the tolerance allows
        wrong = replace(manner, side=SIDES[label])
        found = cut(regions, wrong)
        return (found, wrong) if found else None
    if label in (ONLY_MILL if manner.laser else ONLY_LASER):
        return None
    if label == "extra cut":
        return _line(regions, cut(regions, manner), manner), manner
    if label == "tabs as thick as the stock":
        thick = replace(manner, tabs=4, tab_height_mm=manner.thickness_mm, tab_mm=5.0, lead_mm=0.0)
        found = [] if manner.laser else cut(regions, thick)
        long = any(s.outside and s.ring_mm > 16 * (5 + manner.width_mm) for s in found)
        return (found, thick) if long else None
    if label == "outside not closed":
        manner = replace(manner, down="plunge", tabs=0, lead_mm=0.0, perforated=False)
        manner = manner if manner.laser else replace(manner, passes=1)
    if label == "last pass missing":
        manner = replace(manner, passes=max(2, manner.passes))
    found = SPOILS[label](cut(regions, manner), manner, chance)
    if label == "tool stays down across" and not _into(regions, found or [], manner):
        return None  # it went across waste only
    return (found, manner) if found else None


def _into(regions: list[Region], found: list[Stroke], manner: Manner) -> bool:
    """Whether a stroke runs well inside the part."""
    inside = shapely.union_all(regions).buffer(-manner.width_mm / 2 - 0.2)
    return any(
        shapely.LineString(s.points[:, :2]).intersection(inside).length > 3
        for s in found
        if s.outside and len(s.points) > 1
    )
