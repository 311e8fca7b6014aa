"""Reads a finished GRBL program again and holds what it removes against the part it should leave.

It shares no code with what wrote the program, and believes nothing but the words in the file.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from designs.errors import Finding
from fablab_agents.prepare.order import refusal
from firmware_bridge import gcode

Array = NDArray[np.float64]

ALLOWED_MM2 = 0.05
GRACE_MM = 0.02  # the sweep is taken this much narrower: rounding of words and of arcs
REACH_MM = 0.06  # an outline counts as cut when the sweep ends this near to it
SILENT = frozenset({"G4", "G17", "G21", "G90", "G94", "M2"})


@dataclass(frozen=True)
class Rule:
    """What must hold: removed width, depth below the top (0 for a beam), clear height, tabs."""

    tool_mm: float
    thickness_mm: float
    deepest_mm: float
    safe_z_mm: float
    beam: bool
    tab_mm: float = 0.0
    tabs_most: int = 8


@dataclass(frozen=True)
class Move:
    line: int
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    rapid: bool
    on: bool  # spindle turning, or beam burning
    feed: float

    @property
    def flat_mm(self) -> float:
        return math.dist(self.start[:2], self.end[:2])


def look(text: str, part: Sequence[Polygon], rule: Rule) -> tuple[Finding, ...]:
    """Everything wrong with this program for this part (placed as cut); empty when it is right."""
    moves, findings = read(text, beam=rule.beam)
    findings += _heights(moves, rule) if not rule.beam else []
    findings += _left_on(text)
    cuts = [m for m in moves if is_cut(m, rule)]
    findings += _gouged(cuts, part, rule)
    findings += _unreached(cuts, part, rule)
    return tuple(findings)


def is_cut(move: Move, rule: Rule) -> bool:
    if rule.beam:
        return move.on and not move.rapid
    return min(move.start[2], move.end[2]) < -1e-9


# ── reading ──────────────────────────────────────────────────────────────────────────────────


def read(text: str, *, beam: bool) -> tuple[list[Move], list[Finding]]:
    """(moves, refusals for words that have no place in a program of ours)."""
    state, moves, strange = _State(beam), list[Move](), list[Finding]()
    for number, line in enumerate(text.splitlines(), 1):
        words = gcode.words(gcode.strip(line))
        if words is None or not all(state.takes(letter, value) for letter, value in words):
            strange.append(_odd(number, line))
        elif any(letter in "XYZ" for letter, _ in words):
            moves.append(state.moved(number))
    return moves, strange


class _State:
    """What a controller remembers from one line to the next."""

    def __init__(self, beam: bool) -> None:
        self.starts = "M4" if beam else "M3"
        self.at = (0.0, 0.0, math.inf)
        self.motion, self.tool, self.power, self.feed = "G0", "M5", 0.0, 0.0
        self.target = list(self.at)

    def takes(self, letter: str, value: float | None) -> bool:
        """Remembers one word; False when it does not belong in a program of ours."""
        code = f"{letter}{value:g}" if value is not None else letter
        if value is not None and letter in "XYZ":
            self.target["XYZ".index(letter)] = value
        elif value is not None and letter == "F":
            self.feed = value
        elif value is not None and letter == "S":
            self.power = value
        elif code in {"G0", "G1"}:
            self.motion = code
        elif code in {self.starts, "M5"}:
            self.tool = code
        else:
            return code in SILENT or letter == "P"
        return True

    def moved(self, line: int) -> Move:
        start = self.at
        x, y, z = self.target
        self.at = (x, y, z)
        on = self.tool == self.starts and self.power > 0
        return Move(line, start, self.at, self.motion == "G0", on, self.feed)


def _odd(number: int, what: str) -> Finding:
    return refusal(f"line {number}", f"{what.strip()[:40]!r} does not belong in it", _AGAIN)


_AGAIN = "do not run it; report this program as a fault of the preparation"


# ── judging ──────────────────────────────────────────────────────────────────────────────────


def _heights(moves: Sequence[Move], rule: Rule) -> list[Finding]:
    found: list[Finding] = []
    for move in moves:
        low = min(move.start[2], move.end[2])
        if move.rapid and move.flat_mm > 0 and low < rule.safe_z_mm - 1e-6:
            found.append(_bad(move, f"a rapid move at Z {low:g}, below the safe height"))
        if move.rapid and move.end[2] < min(move.start[2], rule.safe_z_mm) - 1e-6:
            found.append(_bad(move, "a rapid move down into the stock"))
        if not move.rapid and low < 0 and not move.on:
            found.append(_bad(move, "cutting with the spindle standing still"))
        if move.end[2] < -rule.deepest_mm - 1e-6:
            found.append(_bad(move, f"Z {move.end[2]:g} is deeper than {rule.deepest_mm:g} mm"))
    return found[:5]


def _left_on(text: str) -> list[Finding]:
    last = [w for w in text.split() if w in {"M3", "M4", "M5"}][-1:]
    return [] if last == ["M5"] else [refusal("the end", "the tool is left running", _AGAIN)]


def _bad(move: Move, what: str) -> Finding:
    return refusal(f"line {move.line}", what, _AGAIN)


def _sweeps(cuts: Sequence[Move], radius_mm: float) -> NDArray[np.object_]:
    """One area for each different straight cut, whatever its depth and direction."""
    ends = {tuple(sorted((m.start[:2], m.end[:2]))) for m in cuts}
    lines = [LineString(pair) if pair[0] != pair[1] else Point(pair[0]) for pair in sorted(ends)]
    return np.asarray(shapely.buffer(np.array(lines, dtype=object), radius_mm, quad_segs=16))


def _gouged(cuts: Sequence[Move], part: Sequence[Polygon], rule: Rule) -> list[Finding]:
    whole = MultiPolygon(list(part))
    shapely.prepare(whole)
    sweeps = _sweeps(cuts, rule.tool_mm / 2 - GRACE_MM)
    touching = sweeps[shapely.intersects(whole, sweeps)]
    bitten = unary_union(list(touching)).intersection(whole) if len(touching) else Polygon()
    if bitten.area <= ALLOWED_MM2:
        return []
    x, y = bitten.representative_point().coords[0]
    what = f"the tool would cut {bitten.area:.2f} mm² out of the part"
    return [refusal(f"at {x:.1f}, {y:.1f} mm", what, _AGAIN)]


def _unreached(cuts: Sequence[Move], part: Sequence[Polygon], rule: Rule) -> list[Finding]:
    through = [m for m in cuts if rule.beam or _highest(m) <= 1e-6 - rule.thickness_mm]
    if not through:
        return [refusal("the program", "nothing is cut through", _AGAIN)]
    swept = unary_union(list(_sweeps(through, rule.tool_mm / 2 + REACH_MM)))
    shapely.prepare(swept)
    return [f for region in part for f in _uncut(region, swept, rule)][:5]


def _highest(move: Move) -> float:
    """Of what it cuts: a straight plunge cuts its place down to where it ends."""
    return max(move.start[2], move.end[2]) if move.flat_mm else min(move.start[2], move.end[2])


def _uncut(region: Polygon, swept: BaseGeometry, rule: Rule) -> Iterator[Finding]:
    """Outlines that a tool of that width could have cut and did not; tabs may stay outside."""
    radius = rule.tool_mm / 2
    reachable = region.buffer(radius, 16).buffer(-radius, 16)
    holes = [ring for r in region.interiors if not (ring := _reachable_hole(r, radius)).is_empty]
    for outline, tabbed in ((_outer(reachable), True), *((h, False) for h in holes)):
        left = _pieces(outline.difference(swept))
        longest = rule.tab_mm + rule.tool_mm if tabbed else 0.5
        most = rule.tabs_most if tabbed else 0
        bad = [p for p in left if p.length > longest + 0.5 or (not most and p.length > 0.5)]
        if bad or len([p for p in left if p.length > 0.5]) > most:
            x, y = (bad or left)[0].interpolate(0.5, normalized=True).coords[0]
            yield refusal(f"outline at {x:.1f}, {y:.1f} mm", "it is not cut through", _AGAIN)


def _outer(shape: BaseGeometry) -> BaseGeometry:
    parts: Sequence[BaseGeometry] = getattr(shape, "geoms", (shape,))
    return unary_union([p.exterior for p in parts if isinstance(p, Polygon)])


def _reachable_hole(ring: BaseGeometry, radius: float) -> BaseGeometry:
    """The hole's outline as that tool can leave it; a hole as wide as the tool counts whole."""
    hole = Polygon(shapely.get_coordinates(ring))
    opened = hole.buffer(-radius + REACH_MM / 2, 16).buffer(radius - REACH_MM / 2, 16)
    return opened.boundary


def _pieces(shape: BaseGeometry) -> list[BaseGeometry]:
    merged = shapely.line_merge(shape) if shape.geom_type == "MultiLineString" else shape
    parts: Sequence[BaseGeometry] = getattr(merged, "geoms", (merged,))
    return [p for p in parts if not p.is_empty]
