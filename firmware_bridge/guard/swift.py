"""The same rows as the interpreter makes, many lines at once, for the plain lines of long programs.

Plain are G0 to G3 with X, Y, Z, F and S, M3 to M5, in the usual forms, and waits of nothing; every
other line is handed back.
"""

import re
from collections.abc import Sequence
from functools import cache
from operator import itemgetter
from typing import Final

import numpy as np

from firmware_bridge.guard.arcs import many_by_centre
from firmware_bridge.guard.modal import CUTS, IDLE_MAX, State
from firmware_bridge.guard.moves import WIDTH, Bools, Col, Floats

_PLACE: Final = rb"(-?(?:\d{1,4}\.?\d{0,8}|\.\d{1,8}))[ \t]?"
_CENTRE: Final = rb"(-?(?:\d{1,3}\.?\d{0,6}|\.\d{1,6}))[ \t]?"
_RATE: Final = rb"(\d{1,6}\.?\d{0,6})[ \t]?"


@cache
def _pattern(codes: bytes, spins: bytes, pause: bytes) -> re.Pattern[bytes]:
    """G, F, X, Y, Z, I, J, K, F, M, S, F, a wait of nothing, and the whole line where it is not
    plain; the M codes are those of `spins`.
    """
    feed, power = _word(b"F", _RATE), _word(b"S", _RATE)
    start = rb"[ \t]*(?:G0?([" + codes + rb"])[ \t]*)?" + feed
    places = b"".join(_word(axis, _PLACE) for axis in (b"X", b"Y", b"Z"))
    bent = b"3" in codes
    centre = b"".join(_word(a, _CENTRE) for a in (b"I", b"J", b"K")) if bent else b"()()()"
    spin = _word(b"M0?", rb"([" + spins + rb"])[ \t]?") if spins else b"()"
    plain = start + places + centre + feed + spin + power + feed
    either = rb"(?:" + plain + rb"|" + pause + rb")"
    return re.compile(rb"(?:" + either + rb"(?:\([^()\n]*\)[ \t]*)?(?:;[^\n]*)?\r?|([^\n]*))\n")


def _word(letter: bytes, number: bytes) -> bytes:
    return b"(?:" + letter + number + b")?"


_HAS_ARCS: Final = re.compile(rb"G0?[23](?![0-9])")
_NUMBERED: Final = re.compile(rb"^N\d{1,7}[ \t]?", re.MULTILINE)
_PAUSE: Final = rb"[ \t]*(G0?4[ \t]?P0)[ \t]*"
_LEAST: Final = 24
_COLUMNS: Final = 13

Words = tuple[bytes, ...]


def split(text: bytes, longest: int, allowed: frozenset[str]) -> list[Words]:
    """For each line of `text` (it ends with a line end) its plain words, or the line itself; a
    line of more than `longest` bytes is never plain, nor one with a code that is not `allowed`.
    """
    bare = text.upper()
    bare = _NUMBERED.sub(b"", bare) if b"\nN" in bare else bare
    arcs = {"G2", "G3"} <= allowed and _HAS_ARCS.search(bare)
    spins = "".join(code for code in "345" if f"M{code}" in allowed).encode()
    pause = _PAUSE if "G4" in allowed else b"()"
    rows: list[Words] = _pattern(b"0123" if arcs else b"01", spins, pause).findall(bare)
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == 10)
    for index in np.flatnonzero(np.diff(ends, prepend=-1) > longest + 1):
        rows[int(index)] = _LONG
    return rows


_LONG: Final = (*([b""] * _COLUMNS), b"long")


def runs(rows: Sequence[Words]) -> list[tuple[int, int, bool]]:
    """(from, to, plain) over all rows; short plain stretches count as not plain."""
    odd = [i for i, row in enumerate(rows) if row[-1]]
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
    columns = [list(map(itemgetter(column), rows)) for column in range(_COLUMNS)]
    g, power, feeds = columns[0], columns[10], (columns[1], columns[8], columns[11])
    axes, centres = ([_numbers(column) for column in columns[a : a + 3]] for a in (2, 5))
    motion = _carried(_numbers(g), float(state.motion))
    feed = _feeds(feeds, state)
    if feed is None or not _known(state, g, axes):
        return None
    told_s = _numbers(power)
    made = np.zeros((len(rows), WIDTH))
    made[:, Col.CENTRE : Col.CENTRE + 2] = np.nan
    made[:, Col.LINE] = np.arange(first_line, first_line + len(rows))
    made[:, Col.MOTION] = motion
    made[:, Col.FEED] = feed
    made[:, Col.POWER] = _carried(told_s, state.power)
    _walk(made, axes, state)
    if not _bend(made, centres, state):
        return None
    turned = _numbers(columns[9])
    made[:, Col.SPIN] = _carried(turned, float(state.spin))
    made[:, Col.PLACE : Col.PLACE + 3] = state.place
    made[:, Col.TOLD_S] = 0.0 if told_s is None else ~np.isnan(told_s)
    to_cut = (made[:, Col.MOTION] == 1) & ~np.isin(_before(made[:, Col.MOTION], state), CUTS)
    did = (made[:, Col.MOVES] > 0) | (made[:, Col.TOLD_S] > 0) | to_cut
    did |= False if turned is None else ~np.isnan(turned)
    if _stops(made, g) or _idles(made, did, columns, state):
        return None
    _carry_on(made, axes, state)
    return made[did]


def _stops(made: Floats, g: Sequence[bytes]) -> bool:
    """G1 before any feed was told."""
    bare = (made[:, Col.MOTION] == 1) & (made[:, Col.FEED] == 0) & ~(made[:, Col.MOVES] > 0)
    return any(g[int(index)] for index in np.flatnonzero(bare))


def _idles(made: Floats, did: Bools, columns: Sequence[Sequence[bytes]], state: State) -> bool:
    """Whether many commands in a row do nothing while a constant beam may be lit."""
    if not state.beam or not (made[:, Col.SPIN] == 3).any():
        state.idled = 0 if did.any() else state.idled
        return False
    told = did.copy()
    for index in map(int, np.flatnonzero(~did)):
        told[index] = any(column[index] for column in columns)
    busy = np.flatnonzero(did[told])
    idle = np.diff(np.concatenate([[-1 - state.idled], busy, [int(told.sum())]])) - 1
    if idle.max() > IDLE_MAX:
        return True
    state.idled = int(idle[-1])
    return False


def _before(motion: Floats, state: State) -> Floats:
    return np.concatenate([[float(state.motion)], motion[:-1]])


def _carry_on(made: Floats, axes: Sequence[Floats | None], state: State) -> None:
    state.motion, state.feed = int(made[-1, Col.MOTION]), float(made[-1, Col.FEED])
    state.power, state.spin = float(made[-1, Col.POWER]), int(made[-1, Col.SPIN])
    for axis, column in enumerate(axes):
        state.at[axis] = float(made[-1, Col.X1 + axis])
        if column is not None and state.absolute:
            state.told_by[axis] = "work"


def _feeds(feeds: Sequence[Sequence[bytes]], state: State) -> Floats | float | None:
    """F stands early with some writers and late with others; None where a line has it twice."""
    used = [column for column in feeds if any(column)]
    if not used:
        return state.feed
    words = used[0]
    for column in used[1:]:
        if any(a and b for a, b in zip(words, column, strict=True)):
            return None
        words = [a or b for a, b in zip(words, column, strict=True)]
    told = _numbers(words)
    return _carried(None if told is None else told * state.scale, state.feed)


def _numbers(column: Sequence[bytes]) -> Floats | None:
    if not any(column):
        return None
    return np.array([float(word) if word else np.nan for word in column])


def _known(state: State, g: Sequence[bytes], axes: Sequence[Floats | None]) -> bool:
    """Whether the plain reading holds: a plain motion, and axes whose place was told before."""
    plain = state.motion in (0, 1, 2, 3) or bool(g[0])
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
        made[:, Col.X1 + axis] = _ends(axis, column, state)
        made[0, Col.X0 + axis] = state.at[axis]
        made[1:, Col.X0 + axis] = made[:-1, Col.X1 + axis]
        if column is not None:
            made[:, Col.TOLD] += ~np.isnan(column) * (1 << axis)
    start, end = made[:, Col.X0 : Col.X1], made[:, Col.X1 : Col.LOW]
    made[:, Col.LOW : Col.HIGH] = np.minimum(start, end)
    made[:, Col.HIGH : Col.LENGTH] = np.maximum(start, end)
    made[:, Col.LENGTH] = np.sqrt(((end - start) ** 2).sum(axis=1))
    made[:, Col.MOVES] = made[:, Col.TOLD] > 0


def _bend(made: Floats, centres: Sequence[Floats | None], state: State) -> bool:
    """Widens the boxes of arcs; False where a line is not a plain arc in the XY plane."""
    arc = made[:, Col.MOTION] > 1
    told = [np.isnan(column) if column is not None else np.True_ for column in centres]
    bare = np.broadcast_to(np.logical_and(told[0], told[1]), len(made))
    loose = np.broadcast_to(bare & told[2], len(made))
    if not arc.any():
        return bool(loose.all())
    flat = made[:, Col.TOLD].astype(np.int64) & 3 > 0
    if state.plane != 17 or (arc & (bare | ~flat)).any() or not loose[~arc].all():
        return False
    offset = np.column_stack([_offsets(column, len(made), state) for column in centres[:2]])[arc]
    rows = made[arc]
    bent = many_by_centre(rows[:, 3:5], rows[:, 6:8], offset, rows[:, Col.MOTION] == 2)
    if bent is None:
        return False
    rows[:, Col.LOW : Col.LOW + 2], rows[:, Col.HIGH : Col.HIGH + 2], length = bent
    rows[:, Col.LENGTH] = np.hypot(length, rows[:, Col.X1 + 2] - rows[:, Col.X0 + 2])
    rows[:, Col.CENTRE : Col.CENTRE + 2] = rows[:, 3:5] + offset
    made[arc] = rows
    return True


def _offsets(column: Floats | None, count: int, state: State) -> Floats:
    return np.zeros(count) if column is None else np.nan_to_num(column) * state.scale


def _ends(axis: int, column: Floats | None, state: State) -> Floats | float:
    if column is None:
        return state.at[axis]
    if state.absolute:
        return _carried(column * state.scale + state.shift[axis], state.at[axis])
    steps = np.where(np.isnan(column), 0.0, column * state.scale)
    return np.cumsum(np.concatenate([[state.at[axis]], steps]))[1:]
