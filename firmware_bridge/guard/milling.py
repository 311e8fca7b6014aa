"""What a mill must not do: cut with a standing spindle, rush into the stock, or stay down in it.

It judges rows of moves against one profile and one stock; it never reads a line.
"""

from typing import Final

import numpy as np

from firmware_bridge.guard.cleared import Cleared
from firmware_bridge.guard.modal import State
from firmware_bridge.guard.moves import (
    ELSEWHERE,
    MACHINE,
    NOWHERE,
    STOCK,
    Bools,
    Col,
    Floats,
    Moves,
)  # fmt: skip
from firmware_bridge.guard.verdict import Findings, Stock
from firmware_bridge.profiles import MachineProfile

EDGE_MM: Final = 1e-3
_SAME_PLACE_MM: Final = 0.05
# How far a cut may leave the stock that was told: a big cutter's radius and its lead-in.
_BESIDE_MM: Final = 15.0
# A spindle told to turn more slowly than this share of its most does not turn.
_TURNING_SHARE: Final = 0.01
# As near to the top of the machine a tool is clear of any work, wherever that lies.
_HIGH_SHARE: Final = 0.25
_FEED_MIN_MM_MIN: Final = 1.0


class MillRules:
    def __init__(self, profile: MachineProfile, findings: Findings, stock: Stock | None) -> None:
        assert profile.mill is not None
        self._mill, self._findings, self._stock = profile.mill, findings, stock
        low, high = profile.machine_min_mm[2], profile.machine_max_mm[2]
        self._high_mm = high - _HIGH_SHARE * (high - low)
        self._cuts, self._cleared = _Cuts(), Cleared()
        self._beside_at = self._blind_at = self._sinks_at = 0
        self._untold_at = self._lost_at = self._above_at = 0
        self._has_cut = False

    def cuts(self, moves: Moves) -> Bools:
        """Which of them remove material."""
        return moves.fed & (moves[Col.LOW + 2] < -EDGE_MM) & moves.from_top

    def look(self, moves: Moves) -> None:
        findings = self._findings
        standing = self._standing(moves)
        inside = moves[Col.LOW + 2] < -EDGE_MM
        leaving = ~moves.across & (moves[Col.X1 + 2] >= moves[Col.X0 + 2]) & ~moves.fresh(2)
        cutting = self.cuts(moves)
        findings.each(
            "spindle",
            moves.lines(cutting & standing & ~leaving),
            "cuts with the spindle standing still",
        )
        rapid = moves.rapid & inside
        self._look_leaving(moves, rapid)
        rapid &= moves.from_top
        self._cleared.add(moves, cutting, rapid & moves.across)
        self._cuts.add(moves, cutting, rapid & ~moves.across)
        self._look_slow(moves, cutting)
        self._look_untold(moves, cutting)
        self._look_lost(moves, cutting)
        self._look_blind(moves)
        self._look_sinking(moves)
        self._look_beside(moves, cutting)
        self._look_above(moves, cutting, standing)

    def _look_leaving(self, moves: Moves, rapid: Bools) -> None:
        """G30, or G28 where nobody knows the stored place, with the tool still in the stock."""
        away = (moves[Col.PLACE] == ELSEWHERE) & (moves.fresh(0) | moves.fresh(1))
        said = "leaves the stock sideways at rapid speed, for a place nobody knows"
        self._findings.each("rapid", moves.lines(rapid & away & ~moves.across), said)

    def _look_slow(self, moves: Moves, cutting: Bools) -> None:
        slow = cutting & (moves[Col.FEED] > 0) & (moves[Col.FEED] < _FEED_MIN_MM_MIN)
        for index in np.flatnonzero(slow)[:1]:
            said = f"cuts at {moves[Col.FEED][index]:g} mm/min: the cutter only rubs and gets hot"
            self._findings.review("feed", moves.line(int(index)), said)

    def _standing(self, moves: Moves) -> Bools:
        least = self._mill.spindle_max_rpm * _TURNING_SHARE
        return (moves[Col.SPIN] == 5) | (moves[Col.POWER] < least)

    def _look_untold(self, moves: Moves, cutting: Bools) -> None:
        """GRBL takes M3 without S for the speed that was told last: after a reset, none."""
        untold = np.flatnonzero(cutting & (moves[Col.SPIN] != 5) & np.isnan(moves[Col.POWER]))
        if untold.size and not self._untold_at:
            self._untold_at = moves.line(int(untold[0]))
            said = "cuts with a spindle whose speed (S) nobody told: it may stand still"
            self._findings.review("spindle", self._untold_at, said)

    def _look_lost(self, moves: Moves, cutting: Bools) -> None:
        nowhere = (moves[Col.PLACE] == NOWHERE) | (moves[Col.PLACE + 1] == NOWHERE)
        lost = np.flatnonzero(cutting & (nowhere | moves.fresh(0) | moves.fresh(1)))
        if lost.size and not self._lost_at:
            self._lost_at = moves.line(int(lost[0]))
            said = "cuts where the tool happens to stand; X and Y were not told before"
            self._findings.review("start", self._lost_at, said)

    def _look_blind(self, moves: Moves) -> None:
        sideways = moves.told(0) | moves.told(1)
        blind = np.flatnonzero(sideways & (moves[Col.PLACE + 2] == NOWHERE))
        if blind.size and not self._blind_at:
            self._blind_at = moves.line(int(blind[0]))
            self._findings.review("start", self._blind_at, "moves across before it lifts the tool")

    def _look_sinking(self, moves: Moves) -> None:
        lower = moves[Col.X1 + 2] < moves[Col.X0 + 2] - EDGE_MM
        unseen = (moves[Col.PLACE + 2] == MACHINE) & (moves[Col.X1 + 2] < self._high_mm)
        sinks = np.flatnonzero(moves.moving & ~moves.from_top & (lower | unseen))
        if sinks.size and not self._sinks_at:
            self._sinks_at = moves.line(int(sinks[0]))
            said = "goes down from a height that nobody told: the stock may be in the way"
            self._findings.review("start", self._sinks_at, said)

    def _look_beside(self, moves: Moves, cutting: Bools) -> None:
        stock = self._stock
        if stock is None or self._beside_at:
            return
        reach = _BESIDE_MM
        out = np.zeros(len(moves), dtype=np.bool_)
        for axis, size in enumerate((stock.x_mm, stock.y_mm)):
            low, high = moves[Col.LOW + axis], moves[Col.HIGH + axis]
            out |= moves.known(axis) & ((low < -reach) | (high > size + reach))
        hits = np.flatnonzero(out & cutting)
        if hits.size:
            self._beside_at = moves.line(int(hits[0]))

    def _look_above(self, moves: Moves, cutting: Bools, standing: Bools) -> None:
        """A program that only ever works above the stock takes another place for its zero."""
        self._has_cut = self._has_cut or bool(cutting.any())
        works = moves.fed & moves.across & moves.from_top & ~standing
        above = np.flatnonzero(works & (moves[Col.LOW + 2] > EDGE_MM))
        if above.size and not self._above_at:
            self._above_at = moves.line(int(above[0]))

    def close(self, state: State, lines: int) -> None:
        findings = self._findings
        if self._above_at and not self._has_cut:
            said = "works only above the stock (Z0): was its zero set on the table?"
            findings.review("stock", self._above_at, said)
        for line, free in self._cleared.crossings():
            if free:
                findings.review("rapid", line, "rapid (G0) below the surface, where it cut before")
            else:
                findings.reject("rapid", line, "crosses the stock at rapid speed (G0)")
        for line in self._cuts.blind_plunges():
            findings.reject("rapid", line, "plunges into the stock at rapid speed (G0)")
        if self._beside_at:
            findings.review("stock", self._beside_at, "cuts well beside the stock that was told")
        if state.spin != 5 and not state.power <= 0:
            findings.review("left on", lines, "ends with the spindle on; M5 belongs at its end")
        z, safe = state.at[2], self._mill.safe_z_mm
        if state.place[2] >= STOCK and z < safe - EDGE_MM:
            findings.review("left low", lines, f"ends with the tool at Z{z:g}; {safe:g} mm is safe")


class _Cuts:
    """Where the tool has been cut down to, so that a rapid back into its own hole is no plunge."""

    def __init__(self) -> None:
        self._ends: list[Floats] = []
        self._downs: list[Floats] = []
        self._count = 0

    def add(self, moves: Moves, cutting: Bools, down: Bools) -> None:
        order = np.arange(self._count, self._count + len(moves), dtype=np.float64)
        self._count += len(moves)
        columns = (Col.X1, Col.X1 + 1, Col.X1 + 2, Col.LINE)
        rows = np.column_stack([*(moves[column] for column in columns), order])
        self._ends.append(rows[cutting])
        self._downs.append(rows[down])

    def blind_plunges(self) -> list[int]:
        """Lines of the rapid moves down to where no cut at that spot had been before."""
        downs = np.concatenate([np.empty((0, 5)), *self._downs])
        if not len(downs):
            return []
        ends = np.concatenate([np.empty((0, 5)), *self._ends])
        rows = np.concatenate([ends, downs])
        asked = np.arange(len(rows)) >= len(ends)
        spot = np.round(rows[:, :2] / _SAME_PLACE_MM).astype(np.int64)
        order = np.lexsort((rows[:, 4], spot[:, 1], spot[:, 0]))
        rows, asked, spot = rows[order], asked[order], spot[order]
        deepest = _lowest_before(np.where(asked, np.inf, rows[:, 2]), spot)
        blind = rows[:, 2] < deepest - EDGE_MM  # a cut is its own deepest, so never among them
        return sorted(int(line) for line in rows[blind, 3])


def _lowest_before(z: Floats, spot: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Floats:
    """The running minimum of z within each stretch of equal spots; 0, the surface, at first."""
    new = np.ones(len(z), dtype=np.bool_)
    new[1:] = (spot[1:] != spot[:-1]).any(axis=1)
    stretch = np.cumsum(new)
    shift = stretch.astype(np.float64) * 1e6  # deeper than any z: each stretch starts anew
    lowest: Floats = np.minimum.accumulate(np.minimum(z, 0.0) - shift)
    return lowest + shift
