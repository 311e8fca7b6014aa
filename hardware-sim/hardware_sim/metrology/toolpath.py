"""Promises where the tool or beam of a GRBL program goes, as straight pieces in work mm.
Never reads comments: position, spindle or beam and feed are all it goes by.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_sim.gcode import arc_centre, arc_chords
from hardware_sim.grbl.modal import GrblError, Line, Modes, clean, parse
from hardware_sim.metrology.report import Unmeasurable

Floats = NDArray[np.float64]
FARTHEST_MM = 10_000.0
MOST_MOVES = 2_000_000
_PLANES = {"G17": (0, 1, 2, "I", "J"), "G18": (2, 0, 1, "K", "I"), "G19": (1, 2, 0, "J", "K")}


@dataclass(frozen=True)
class Toolpath:
    """Rows x0 y0 z0 x1 y1 z1; `power` is S while the spindle or beam is on, else 0; mm/min."""

    moves: Floats
    power: Floats
    rapid: NDArray[np.bool_]
    feed: Floats

    def below(self, z_mm: float) -> Floats:
        """The parts of all moves that lie below a height, as rows x0 y0 x1 y1."""
        z0, z1 = self.moves[:, 2], self.moves[:, 5]
        rows = self.moves[np.minimum(z0, z1) < z_mm]
        z0, z1 = rows[:, 2], rows[:, 5]
        step = np.where(z0 == z1, 1.0, z1 - z0)
        crossing = np.clip((z_mm - z0) / step, 0.0, 1.0)[:, None]
        start, end = rows[:, :2], rows[:, 3:5]
        meet = start + crossing * (end - start)
        first = np.where((z0 > z_mm)[:, None], meet, start)
        last = np.where((z1 > z_mm)[:, None], meet, end)
        return np.hstack([first, last])

    def burning(self) -> tuple[Floats, Floats]:
        """Feed moves with the beam on, as rows x0 y0 x1 y1, and S per mm/min along each."""
        lit = (self.power > 0) & ~self.rapid & (self.feed > 0)
        return self.moves[lit][:, [0, 1, 3, 4]], self.power[lit] / self.feed[lit]


@dataclass
class _Reader:
    modes: Modes
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self.power: list[float] = []
        self.rapid: list[bool] = []
        self.feed: list[float] = []

    def follow(self, text: str) -> None:
        line, modes = parse(text, self.modes)
        self.modes = modes
        if line.commands.get("stopping") in ("M2", "M30"):
            self.modes = Modes(motion="G1", units=modes.units)
        once = line.commands.get("once")
        if not line.axes() or once not in (None, "G53"):
            return
        if once == "G53":  # machine coordinates: only a safe height can be meant
            return
        target = self._target(line)
        for place in self._arc(line, target) if modes.motion in ("G2", "G3") else [target]:
            self._add(place)

    def _target(self, line: Line) -> tuple[float, float, float]:
        axes, relative = line.axes(), self.modes.distance == "G91"
        x, y, z = (
            (old + axes[i] if relative else axes[i]) if i in axes else old
            for i, old in enumerate(self.at)
        )
        return x, y, z

    def _arc(
        self, line: Line, target: tuple[float, float, float]
    ) -> list[tuple[float, float, float]]:
        first, second, third, i_word, j_word = _PLANES[self.modes.plane]
        start, end = (self.at[first], self.at[second]), (target[first], target[second])
        clockwise = self.modes.motion == "G2"
        values = line.values
        if "R" in values:
            centre = arc_centre(start, end, values["R"], clockwise=clockwise)
        else:
            centre = (start[0] + values.get(i_word, 0.0), start[1] + values.get(j_word, 0.0))
        if centre is None:
            raise GrblError(34)
        places: list[tuple[float, float, float]] = []
        chords = arc_chords(start, end, centre, clockwise=clockwise, chord_mm=0.002)
        for share, u, v in chords:
            place = list(self.at)
            w = self.at[third] + (target[third] - self.at[third]) * share
            place[first], place[second], place[third] = u, v, w
            places.append((place[0], place[1], place[2]))
        return places

    def _add(self, place: tuple[float, float, float]) -> None:
        if not all(abs(v) < FARTHEST_MM for v in place) or len(self.rows) > MOST_MOVES:
            raise Unmeasurable("the program goes farther, or in more pieces, than can be followed")
        if place != self.at:
            self.rows.append((*self.at, *place))
            self.power.append(self.modes.speed if self.modes.spindle != "M5" else 0.0)
            self.rapid.append(self.modes.motion == "G0")
            self.feed.append(self.modes.feed_mm_min)
        self.at = place


def read(lines: Iterable[str]) -> Toolpath:
    """Follow a program in work coordinates; lines that GRBL refuses do nothing here."""
    reader = _Reader(Modes())
    for raw in lines:
        text = clean(raw)
        if not text or text[0] in "$%":
            continue
        try:
            reader.follow(text)
        except GrblError:
            continue
    return Toolpath(
        np.array(reader.rows, dtype=np.float64).reshape(-1, 6),
        np.array(reader.power, dtype=np.float64),
        np.array(reader.rapid, dtype=bool),
        np.array(reader.feed, dtype=np.float64),
    )
