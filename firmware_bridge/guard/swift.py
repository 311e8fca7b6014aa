"""The same rows as the interpreter makes, many lines at once, for the plain lines of long programs.

Plain are G0 and G1 with X, Y, Z, F and S in the usual forms; every other line is handed back.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from firmware_bridge.guard.modal import State
from firmware_bridge.guard.moves import WIDTH, Col, Floats

_PLACE: Final = rb"(-?(?:\d{1,4}\.?\d{0,8}|\.\d{1,8}))[ \t]?"
_RATE: Final = rb"(\d{1,6}\.?\d{0,4})[ \t]?"
# G, X, Y, Z, F, S, F again, or the whole line where it is not plain.
_LINE: Final = re.compile(
    rb"(?:(?:G0?([01])[ \t]?)?(?:X" + _PLACE + rb")?(?:Y" + _PLACE + rb")?(?:Z" + _PLACE + rb")?"
    rb"(?:F" + _RATE + rb")?(?:S" + _RATE + rb")?(?:F" + _RATE + rb")?(?:;[^\n]*)?\r?|([^\n]*))\n"
)
LONGEST: Final = 78
"""No plain line has a longer command."""
_LEAST: Final = 24

Words = tuple[bytes, ...]


def split(text: bytes) -> list[Words]:
    """For each line of `text` (it ends with a line end) its plain words, or the line itself."""
    return _LINE.findall(text)


def runs(rows: Sequence[Words]) -> list[tuple[int, int, bool]]:
    """(from, to, plain) over all rows; short plain stretches count as not plain."""
    odd = [i for i, row in enumerate(rows) if row[7]]
    found: list[tuple[int, int, bool]] = []
    at = 0
    for stop in (*odd, len(rows)):
        if stop - at >= _LEAST:
            found.append((at, stop, True))
            at = stop
        end = min(stop + 1, len(rows))
        if found and not found[-1][2]:
            found[-1] = (found[-1][0], end, False)
        elif end > at:
            found.append((at, end, False))
        at = end
    return found


def run(first_line: int, rows: Sequence[Words], state: State) -> Floats | None:
    """The rows of these plain lines, `state` moved on; None where they must be run one by one."""
    kept = [(i, row) for i, row in enumerate(rows) if row != _EMPTY]
    if not kept:
        return np.empty((0, WIDTH))
    g, *words = zip(*(row for _, row in kept), strict=True)
    if any(a and b for a, b in zip(words[3], words[5], strict=True)):
        return None
    axes = [_numbers(column) for column in words[:3]]
    if not _known(state, g, axes):
        return None
    told_f = _numbers([a or b for a, b in zip(words[3], words[5], strict=True)])
    told_s = _numbers(words[4])
    made = np.zeros((len(kept), WIDTH))
    made[:, Col.LINE] = [first_line + i for i, _ in kept]
    made[:, Col.MOTION] = _carried(_numbers(g), float(state.motion))
    made[:, Col.FEED] = _carried(_scaled(told_f, state.scale), state.feed)
    made[:, Col.POWER] = _carried(told_s, state.power)
    _walk(made, axes, state)
    made[:, Col.SPIN] = state.spin
    made[:, Col.PLACE : Col.PLACE + 3] = state.place
    made[:, Col.TOLD_S] = 0.0 if told_s is None else ~np.isnan(told_s)
    state.motion, state.feed = int(made[-1, Col.MOTION]), float(made[-1, Col.FEED])
    state.power = float(made[-1, Col.POWER])
    return made[(made[:, Col.MOVES] > 0) | (made[:, Col.TOLD_S] > 0)]


_EMPTY: Final = (b"",) * 8


def _numbers(column: Sequence[bytes]) -> Floats | None:
    if not any(column):
        return None
    return np.array([float(word) if word else np.nan for word in column])


def _scaled(column: Floats | None, scale: float) -> Floats | None:
    return None if column is None else column * scale


def _known(state: State, g: Sequence[bytes], axes: Sequence[Floats | None]) -> bool:
    """Whether the plain reading holds: a plain motion, and axes whose place was told before."""
    plain = state.motion in (0, 1) or bool(g[0])
    told = [axis for axis in range(3) if axes[axis] is not None]
    placed = all(state.place[axis] == state.system for axis in told)
    return plain and not state.inverse and placed


def _carried(column: Floats | None, before: float) -> Floats | float:
    """Each value until the next one is told."""
    if column is None:
        return before
    last = np.maximum.accumulate(np.where(np.isnan(column), -1, np.arange(len(column))))
    return np.where(last < 0, before, column[last])


def _walk(made: Floats, axes: Sequence[Floats | None], state: State) -> None:
    for axis, column in enumerate(axes):
        ends = _ends(axis, column, state)
        made[:, Col.X1 + axis] = ends
        made[0, Col.X0 + axis] = state.at[axis]
        made[1:, Col.X0 + axis] = made[:-1, Col.X1 + axis]
        state.at[axis] = float(made[-1, Col.X1 + axis])
        if column is not None:
            told = ~np.isnan(column)
            made[:, Col.TOLD] += told * (1 << axis)
            if state.absolute:
                state.told_by[axis] = "work"
    start, end = made[:, Col.X0 : Col.X1], made[:, Col.X1 : Col.LOW]
    made[:, Col.LOW : Col.HIGH] = np.minimum(start, end)
    made[:, Col.HIGH : Col.LENGTH] = np.maximum(start, end)
    made[:, Col.LENGTH] = np.sqrt(((end - start) ** 2).sum(axis=1))
    made[:, Col.MOVES] = made[:, Col.TOLD] > 0


def _ends(axis: int, column: Floats | None, state: State) -> Floats | float:
    if column is None:
        return state.at[axis]
    if state.absolute:
        return _carried(column * state.scale + state.shift[axis], state.at[axis])
    steps = np.where(np.isnan(column), 0.0, column * state.scale)
    return np.cumsum(np.concatenate([[state.at[axis]], steps]))[1:]
