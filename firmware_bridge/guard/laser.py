"""What a laser must not do: burn while it stands, in rapids, beyond its power or on and on.

It judges rows of moves against one profile and never reads a line. GRBL's laser mode ($32=1) is
taken for granted: M4 follows the speed and is dark at rest and in G0, M3 is not (laser_mode.md).
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.guard.modal import State
from firmware_bridge.guard.moves import HOMING, NOWHERE, Bools, Col, Floats, Moves
from firmware_bridge.guard.verdict import Findings
from firmware_bridge.profiles import Laser

_GRID_MM: Final = 0.001
# So many commands in a row that move nothing take long enough to burn a spot.
_STILL_MAX: Final = 20
# A spot is a square of this size; a small controller reads about 300 lines a second, and M3 burns
# on while it reads.
_SPOT_MM: Final = 0.5
_LINE_S: Final = 0.003
_SPOT_MAX_S: Final = 10.0


class LaserRules:
    def __init__(self, laser: Laser, findings: Findings) -> None:
        self._laser, self._findings = laser, findings
        self._glow = laser.power_max * laser.glow_share
        self._constant_at = 0
        self._untold_at = self._lost_at = 0
        self._armed_at = 0
        self._burnt: list[NDArray[np.int64]] = []
        self._lines: list[NDArray[np.int64]] = []

    def cuts(self, moves: Moves) -> Bools:
        """Which of them mark the material."""
        return moves.fed & self._burning(moves)

    def _burning(self, moves: Moves) -> Bools:
        return (moves[Col.SPIN] != 5) & (moves[Col.POWER] > self._glow)

    def look(self, moves: Moves) -> None:
        burning = self._burning(moves)
        constant = burning & (moves[Col.SPIN] == 3)
        self._look_rapid(moves, burning, constant)
        self._look_still(moves, burning, constant)
        self._look_armed(moves, constant)
        self._look_dawdling(moves, constant)
        self._look_slow(moves, burning)
        self._look_spot(moves, burning)
        fed = self.cuts(moves)
        self._constant_at = self._constant_at or _first(moves, fed & constant)
        lost = fed & ((moves[Col.PLACE] == NOWHERE) | moves.fresh(0))
        lost |= fed & ((moves[Col.PLACE + 1] == NOWHERE) | moves.fresh(1) | moves.fresh(2))
        self._lost_at = self._lost_at or _first(moves, lost)
        untold = moves.fed & (moves[Col.SPIN] != 5) & np.isnan(moves[Col.POWER])
        self._untold_at = self._untold_at or _first(moves, untold)
        self._remember(moves, fed)

    def _look_rapid(self, moves: Moves, burning: Bools, constant: Bools) -> None:
        """Laser mode blanks G0; a program may lean on that with M4, but not ask for power there."""
        asked = burning & (moves[Col.TOLD_S] > 0)
        homing = burning & (moves[Col.MOTION] == HOMING)
        bad = moves.rapid & (constant | asked) & ~homing
        self._findings.each("beam in rapid", moves.lines(bad), "moves at rapid with laser power on")
        said = "goes home with laser power on: GRBL blanks the beam in G0 only, not in G28 and G30"
        self._findings.each("beam in rapid", moves.lines(homing), said)

    def _look_still(self, moves: Moves, burning: Bools, constant: Bools) -> None:
        waits = (moves[Col.DWELL] > 0) | (moves[Col.STOPS] > 0)
        said = "waits with laser power on: it would burn a hole"
        self._findings.each("beam at rest", moves.lines(waits & constant), said)
        for index in np.flatnonzero(waits & burning & ~constant)[:1]:
            said = "waits with power told; M4 keeps the beam dark at rest only in laser mode ($32)"
            self._findings.review("beam at rest", moves.line(int(index)), said)

    def _look_armed(self, moves: Moves, constant: Bools) -> None:
        """M3 lights the beam at once where G1, G2 or G3 is in force: a fed move has to follow."""
        armed = ~moves.moving & constant & (moves[Col.MOTION] > 0) & (moves[Col.MOTION] < 4)
        follows = np.append(moves.fed[1:] | armed[1:], True)
        said = "turns the beam on and then does not cut: it burns a spot"
        if self._armed_at and len(moves) and not (moves.fed[0] or armed[0]):
            self._findings.reject("beam at rest", self._armed_at, said)
        if len(moves):
            self._armed_at = moves.line(-1) if armed[-1] else 0
        self._findings.each("beam at rest", moves.lines(armed & ~follows), said)

    def _look_dawdling(self, moves: Moves, constant: Bools) -> None:
        """Steps of nothing, power told again and again: the beam stands while they are read."""
        lit = constant & (moves[Col.MOTION] > 0) & ~(moves[Col.LENGTH] > 0)
        at = np.arange(len(moves))
        long = lit & (at - np.maximum.accumulate(np.where(lit, -1, at)) > _STILL_MAX)
        said = f"more than {_STILL_MAX} commands that move nothing with the beam on"
        self._findings.each("beam at rest", moves.lines(long), said)

    def _look_slow(self, moves: Moves, burning: Bools) -> None:
        laser, fed = self._laser, moves.fed & burning
        upright = ~moves.across & ((moves[Col.LENGTH] > 0) | moves.fresh(2))
        said = "burns while only Z moves: the beam stays on one spot"
        self._findings.each("beam at rest", moves.lines(fed & upright), said)
        speed, least = _speed_across(moves), laser.feed_min_mm_min
        slow = fed & ~upright & (speed < least)
        said = f"burns at less than {least:g} mm/min: as good as standing still"
        self._findings.each("beam at rest", moves.lines(slow), said)
        share = np.minimum(moves[Col.POWER] / laser.power_max, 1.0)
        scorch = fed & ~upright & ~slow & (60 * share > laser.burn_max_s_mm * speed)
        for index in np.flatnonzero(scorch)[:1]:
            said = f"{100 * share[index]:.0f} % power at {speed[index]:g} mm/min: slow enough to"
            said += f" char or light the material (at most {laser.burn_max_s_mm:g} s per mm)"
            self._findings.review("slow burn", moves.line(int(index)), said)

    def _look_spot(self, moves: Moves, burning: Bools) -> None:
        """Small moves to and fro: they never stand still, and never leave the spot."""
        speed = np.where(moves.fed, moves[Col.FEED], self._laser.feed_min_mm_min)
        taken = moves[Col.LENGTH] * 60 / np.maximum(speed, 1e-3)
        taken = np.where(moves[Col.SPIN] == 3, np.maximum(taken, _LINE_S), taken)
        share = np.where(burning, moves[Col.POWER] / self._laser.power_max, 0.0)
        for first, spent in _stays(moves, np.where(moves.fed, taken * share, 0.0)):
            if spent > _SPOT_MAX_S:
                said = f"burns one spot for {spent:.0f} s of full power: it sets fire to it"
                self._findings.reject("beam at rest", moves.line(first), said)
                return

    # ------------------------------------------------------------------ the same line again

    def _remember(self, moves: Moves, fed: Bools) -> None:
        marks = fed & (moves[Col.LENGTH] > 0)
        self._burnt.append(_keys(moves, marks))
        self._lines.append(moves[Col.LINE][marks].astype(np.int64))

    def _look_often(self) -> None:
        keys = np.concatenate([np.empty(0, dtype=np.int64), *self._burnt])
        if not keys.size:
            return
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        worst = int(counts.max())
        if worst <= self._laser.passes_max:
            return
        lines = np.concatenate(self._lines)
        line = int(lines[first[counts > self._laser.passes_max]].min())
        said = f"burns the same line {worst} times; up to {self._laser.passes_max} are usual"
        self._findings.review("many passes", line, said)

    def close(self, state: State, lines: int) -> None:
        findings = self._findings
        self._look_often()
        if self._constant_at and self._laser.constant_power != "accept":
            say = findings.reject if self._laser.constant_power == "reject" else findings.review
            said = "burns with constant power (M3); M4 fades it where the head slows"
            say("constant power", self._constant_at, said)
        if self._untold_at:
            said = "turns the laser on and never says how strong (S)"
            findings.review("power untold", self._untold_at, said)
        if self._lost_at:
            said = "burns from where the head happens to be; G0 to the start comes first"
            findings.review("start", self._lost_at, said)
        if state.spin != 5 and not state.power <= self._glow:
            findings.review("left on", lines, "ends with the laser on; M5 belongs at its end")


def _speed_across(moves: Moves) -> Floats:
    """How fast the spot wanders over the material, in mm/min: the feed without its part along Z."""
    length = moves[Col.LENGTH]
    rise = np.minimum(np.abs(moves[Col.X1 + 2] - moves[Col.X0 + 2]), length)
    whole = np.where(length > 0, length, 1.0)
    speed: Floats = moves[Col.FEED] * np.sqrt(1.0 - (rise / whole) ** 2)
    return speed


def _stays(moves: Moves, weight: Floats) -> Iterator[tuple[int, float]]:
    """For the longest stay in one spot, in four grids so that none lies on an edge in all of them:
    its first row and what it weighs.
    """
    for shift in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)) if len(moves) else ():
        leaves = np.zeros(len(moves), dtype=np.bool_)
        enters = np.zeros(len(moves), dtype=np.bool_)
        for axis, part in enumerate(shift):
            low = np.floor(moves[Col.LOW + axis] / _SPOT_MM + part)
            high = np.floor(moves[Col.HIGH + axis] / _SPOT_MM + part)
            leaves |= low != high
            enters[1:] |= high[1:] != high[:-1]
        stay = np.cumsum(leaves | enters)
        spent = np.bincount(stay, weights=np.where(leaves, 0.0, weight))
        worst = int(np.argmax(spent))
        yield int(np.argmax(stay == worst)), float(spent[worst])


def _first(moves: Moves, mask: Bools) -> int:
    hits = np.flatnonzero(mask)
    return moves.line(int(hits[0])) if hits.size else 0


def _keys(moves: Moves, mask: Bools) -> NDArray[np.int64]:
    """One number for each path, the same whichever way it is run."""
    ends = [_grid(moves[column][mask]) for column in (Col.X0, Col.X0 + 1, Col.X1, Col.X1 + 1)]
    turned = (ends[0] > ends[2]) | ((ends[0] == ends[2]) & (ends[1] > ends[3]))
    a, b = np.where(turned, ends[2], ends[0]), np.where(turned, ends[3], ends[1])
    c, d = np.where(turned, ends[0], ends[2]), np.where(turned, ends[1], ends[3])
    rest = (_grid(moves[column][mask]) for column in (Col.LENGTH, Col.LOW, Col.LOW + 1))
    key = np.zeros(len(a), dtype=np.int64)
    for part in (a, b, c, d, *rest):
        key = key * np.int64(1_000_003) + part
    return key


def _grid(values: Floats) -> NDArray[np.int64]:
    return np.round(values / _GRID_MM).astype(np.int64)
