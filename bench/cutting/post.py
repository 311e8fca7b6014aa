"""Strokes as a GRBL program in the manner of one CAM or another; knows nothing of parts."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from bench.cutting.paths import Floats, Manner, Stroke

ARC_MM = 0.004
FEWEST = 4


class Writer:
    """Words as this manner writes them: units, absolute or relative, modal or in full."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.lines: list[str] = []
        self.at = [0.0, 0.0, 0.0]  # as written, in the program's units
        self.code = ""
        self.unit = 25.4 if manner.inches else 1.0
        self.decimals = manner.decimals + (1 if manner.inches else 0)

    def say(self, text: str) -> None:
        number = f"N{10 * len(self.lines) + 10} " if self.manner.numbered else ""
        self.lines.append(number + text)

    def move(self, code: str, tail: str = "", **goal: float) -> None:
        """To absolute places in mm, told as the manner tells them."""
        words: list[str] = []
        for axis, value in goal.items():
            if axis in "IJ":
                words.append(f"{axis}{value / self.unit:.{self.decimals}f}")
                continue
            k = "XYZ".index(axis)
            wanted = round(value / self.unit, self.decimals)
            told = wanted - self.at[k] if self.manner.relative else wanted
            if abs(wanted - self.at[k]) > 1e-9 or not self.manner.terse or "I" in goal:
                words.append(f"{axis}{told:.{self.decimals}f}")
            self.at[k] = wanted
        if not words:
            return
        head = "" if self.manner.terse and code == self.code else f"{code} "
        self.code = code
        self.say(head + " ".join(words) + tail)

    def place(self, k: int) -> float:
        return self.at[k] * self.unit

    def feed(self, mm_min: float) -> str:
        return f" F{mm_min / self.unit:.1f}"


def program(strokes: list[Stroke], manner: Manner) -> list[str]:
    out = Writer(manner)
    for line in ("(made elsewhere)", "G17 G90 G94", "G20" if manner.inches else "G21", "G54 G40"):
        out.say(line)
    if not manner.laser:
        out.move("G0", Z=5.0)
        out.say("M3 S9000")
        out.say("G4 P1")
    elif not manner.off_by_m5:
        out.say(f"{manner.beam} S0")
    if manner.relative:
        out.say("G91")
    turned = [_turned(stroke.points, manner) for stroke in strokes]
    for stroke, points in zip(strokes, turned, strict=True):
        if manner.laser:
            _beam(out, stroke, points)
        else:
            _tool(out, points)
    out.say("M5")
    out.say("G90")
    out.say("M30" if manner.numbered else "M2")
    return out.lines


def _turned(points: Floats, manner: Manner) -> Floats:
    turn = math.radians(manner.turn_deg)
    cos, sin = math.cos(turn), math.sin(turn)
    flat = points[:, :2] @ np.array([[cos, sin], [-sin, cos]]) + manner.shift_mm
    return np.column_stack([flat, points[:, 2]])


def _tool(out: Writer, points: Floats) -> None:
    feed = out.feed(out.manner.feed_mm_min)
    x, y, z = points[0].tolist()
    out.move("G0", X=x, Y=y)
    out.move("G1", feed, Z=z)
    for x, y, z, arc in _steps(points, out.manner.arcs):
        _step(out, (x, y, z), arc, feed)
    out.move("G0", Z=5.0)


def _step(
    out: Writer, to: tuple[float, float, float], arc: tuple[float, float, bool] | None, tail: str
) -> None:
    x, y, z = to
    if arc is None:
        out.move("G1", tail, X=x, Y=y, Z=z)
        return
    cx, cy, clockwise = arc
    i, j = cx - out.place(0), cy - out.place(1)
    out.move("G2" if clockwise else "G3", tail, X=x, Y=y, I=i, J=j)


def _beam(out: Writer, stroke: Stroke, points: Floats) -> None:
    manner = out.manner
    tail = f"{out.feed(manner.feed_mm_min * stroke.fast)} S{manner.power * stroke.power:.0f}"
    x, y, _ = points[0].tolist()
    out.move("G0", "" if manner.off_by_m5 else " S0", X=x, Y=y)
    if manner.off_by_m5:
        out.say(f"{manner.beam} S{manner.power * stroke.power:.0f}")
    if stroke.gaps:
        for (x, y), lit in _dashes(points[:, :2], stroke.gaps):
            out.move("G1", tail if lit else f"{out.feed(manner.feed_mm_min)} S0", X=x, Y=y)
    else:
        for x, y, _, arc in _steps(points, manner.arcs):
            _step(out, (x, y, 0.0), arc, tail)
    if manner.off_by_m5:
        out.say("M5")


def _dashes(
    line: Floats, gaps: tuple[tuple[float, float], ...]
) -> Iterator[tuple[tuple[float, float], bool]]:
    ways = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    edges = [edge for gap in gaps for edge in gap]
    stops = np.unique(np.concatenate([ways, [e for e in edges if 0 < e < ways[-1]]]))
    for s0, s1 in pairwise(stops.tolist()):
        middle = (s0 + s1) / 2
        place = tuple(float(np.interp(s1, ways, line[:, k])) for k in (0, 1))
        yield (place[0], place[1]), not any(a < middle < b for a, b in gaps)


# --- arcs ----------------------------------------------------------------------------------------

Arc = tuple[float, float, bool]


def _steps(points: Floats, arcs: bool) -> Iterator[tuple[float, float, float, Arc | None]]:
    """The moves after the first point, runs on a circle at one height as one arc."""
    at = 0
    while at < len(points) - 1:
        end, arc = _run(points, at) if arcs else (at + 1, None)
        x, y, z = points[end].tolist()
        yield x, y, z, arc
        at = end


def _run(points: Floats, at: int) -> tuple[int, Arc | None]:
    """How far points lie on one circle, within a hair and less than half a turn."""
    best: tuple[int, Arc | None] = (at + 1, None)
    end = at + FEWEST
    while end < len(points):
        run = points[at : end + 1]
        circle = _circle(run[0], run[len(run) // 2], run[-1])
        if circle is None or np.ptp(run[:, 2]) > 1e-9:
            break
        cx, cy, radius = circle
        off = np.abs(np.hypot(run[:, 0] - cx, run[:, 1] - cy) - radius).max()
        sides = np.hypot(*np.diff(run[:, :2], axis=0).T)
        sagitta = radius - math.sqrt(max(0.0, radius**2 - float(sides.max()) ** 2 / 4))
        angles = np.unwrap(np.arctan2(run[:, 1] - cy, run[:, 0] - cx))
        turned = float(angles[-1] - angles[0])
        steady = np.all(np.sign(np.diff(angles)) == np.sign(turned))
        if off > ARC_MM or sagitta > 2 * ARC_MM or abs(turned) > 3.0 or not steady:
            break
        best = (end, (cx, cy, turned < 0))
        end += 1
    return best


def _circle(a: Floats, b: Floats, c: Floats) -> tuple[float, float, float] | None:
    (ax, ay), (bx, by), (cx, cy) = a[:2], b[:2], c[:2]
    twice = 2 * (ax * (by - cy) + bx * (cy - ay) + cx * (ay - by))
    if abs(twice) < 1e-9:
        return None
    sa, sb, sc = ax**2 + ay**2, bx**2 + by**2, cx**2 + cy**2
    x = (sa * (by - cy) + sb * (cy - ay) + sc * (ay - by)) / twice
    y = (sa * (cx - bx) + sb * (ax - cx) + sc * (bx - ax)) / twice
    radius = math.hypot(ax - x, ay - y)
    return (float(x), float(y), float(radius)) if 0.2 < radius < 500 else None
