"""Promises what Marlin's motion commands do: one function for each code.
Never reads bytes; a command that takes time is an iterator of the moments it waits for.

Source: MarlinFirmware/Marlin `Marlin/src/gcode/motion/G0_G1.cpp`, `G2_G3.cpp` (plan_arc), `G4.cpp`,
`calibrate/G28.cpp`, `geometry/G92.cpp`, `geometry/M206_M428.cpp`, `control/M17_M18_M84.cpp`,
`control/M400.cpp`, `control/M211.cpp`, `lcd/M0_M1.cpp`, `control/T.cpp` with
`module/tool_change.cpp`. G28, G92 and M206 say where they ended (report_current_position).
"""

import math
from collections.abc import Callable

from hardware_sim.gcode import arc_centre
from hardware_sim.marlin.board import Board, Task
from hardware_sim.marlin.words import Words

LONGEST_CHORD_MM, SHORTEST_CHORD_MM = 1.0, 0.1  # Configuration_adv.h MAX/MIN_ARC_SEGMENT_MM
CIRCLE_CHORDS = 72  # MIN_CIRCLE_SEGMENTS
TOO_FAR_MM = 20.0  # M428


def goal_of(board: Board, words: Words) -> list[float]:
    """Where G0 to G3 go: units, G90/91, offsets, soft endstops; F counts from here on."""
    at, values, unit = board.at, words.values, board.unit_mm
    goal = list(at)
    for axis, letter in enumerate("XYZ"):
        value = values.get(letter)
        if value is not None:
            value *= unit
            offset = board.shift[axis] + board.home_offset[axis]
            goal[axis] = at[axis] + value if board.relative else value - offset
    value = values.get("E")
    if value is not None:
        goal[3] = at[3] + value * unit if board.relative_e else value * unit
    if board.soft_endstops:
        board.clamp(goal)
    feed = values.get("F")
    if feed is not None and feed > 0:
        board.feed_mm_s = feed * unit / 60
    return goal


def line(board: Board, words: Words) -> Task | None:
    """G0, G1."""
    goal = goal_of(board, words)
    if board.planner.full:
        return _moves(board, [goal])
    board.plan(goal)
    return None


def _moves(board: Board, goals: list[list[float]]) -> Task:
    stops = board.quick_stops
    for goal in goals:
        while board.planner.full:
            yield board.planner.next_end_s()
            board.planner.advance(board.now_s)
        if board.quick_stops != stops:
            return  # M410 came: the rest of this command is refused
        board.plan(goal)


def clockwise(board: Board, words: Words) -> Task | None:
    """G2."""
    return _arc(board, words, sign=-1)


def counter_clockwise(board: Board, words: Words) -> Task | None:
    """G3."""
    return _arc(board, words, sign=1)


def _arc(board: Board, words: Words, *, sign: int) -> Task | None:
    begin = list(board.at)
    goal = goal_of(board, words)
    start, end, unit = (begin[0], begin[1]), (goal[0], goal[1]), board.unit_mm
    radius = words.get("R")
    if radius:
        centre = _centre(start, end, radius * unit, sign)
    else:
        i, j = words.get("I") or 0.0, words.get("J") or 0.0
        centre = (start[0] + i * unit, start[1] + j * unit)
    if centre is None or centre == start:
        board.say("Error:G2/G3 bad parameters")
        return None
    return _moves(board, _chords(begin, goal, centre, sign))


def _centre(
    start: tuple[float, float], end: tuple[float, float], radius: float, sign: int
) -> tuple[float, float] | None:
    """G2_G3.cpp: a radius that is too short is as good as half the way."""
    if start == end:
        return None
    halfway = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    return arc_centre(start, end, radius, clockwise=sign < 0) or halfway


def _chords(
    begin: list[float], goal: list[float], centre: tuple[float, float], sign: int
) -> list[list[float]]:
    """plan_arc: how many chords, and where each ends."""
    ax, ay = begin[0] - centre[0], begin[1] - centre[1]
    bx, by = goal[0] - centre[0], goal[1] - centre[1]
    sweep = math.atan2(ax * by - ay * bx, ax * bx + ay * by)
    if abs(sweep) < 1e-9 or (sweep < 0) != (sign < 0):
        sweep += sign * 2 * math.pi
    radius = math.hypot(ax, ay)
    flat_mm = radius * abs(sweep)
    least = math.ceil(CIRCLE_CHORDS * abs(sweep) / (2 * math.pi))
    count = max(1, math.floor(flat_mm / LONGEST_CHORD_MM), least)
    if flat_mm / count < SHORTEST_CHORD_MM:
        count = max(1, math.floor(flat_mm / SHORTEST_CHORD_MM))
    angle = math.atan2(ay, ax)
    goals: list[list[float]] = []
    for step in range(1, count):
        share, turn = step / count, angle + sweep * step / count
        rest = [begin[i] + (goal[i] - begin[i]) * share for i in (2, 3)]
        goals.append(
            [centre[0] + radius * math.cos(turn), centre[1] + radius * math.sin(turn), *rest]
        )
    return [*goals, goal]


def dwell(board: Board, words: Words) -> Task:
    """G4: P milliseconds, or S seconds, which win."""
    seconds = words.get("S")
    wait_s = (words.get("P") or 0.0) / 1000 if seconds is None else seconds
    yield from board.still()
    yield from board.until(board.now_s + wait_s)


def home(board: Board, words: Words) -> Task:
    """G28."""
    yield from board.still()
    axes = [i for i, letter in enumerate("XYZ") if words.has(letter)] or [0, 1, 2]
    speeds = board.machine.motion.homing_mm_s
    took_s = sum(abs(board.at[i]) / speeds[i] + 10.0 / speeds[i] for i in axes)
    yield from board.until(board.now_s + took_s)
    for axis in axes:
        board.at[axis], board.shift[axis], board.homed[axis] = 0.0, 0.0, True
    board.planner.settle_at(board.at)
    board.say_position(reached=True)


def finish_moves(board: Board, _words: Words) -> Task:
    """M400."""
    yield from board.still()
    board.over()


def set_position(board: Board, words: Words) -> None:
    """G92: the axes get new names where they stand; it waits for nothing."""
    for axis, letter in enumerate("XYZ"):
        value = words.get(letter)
        if value is not None:
            board.shift[axis] = value * board.unit_mm - board.at[axis] - board.home_offset[axis]
    pushed = words.get("E")
    if pushed is not None:
        board.at[3] = pushed * board.unit_mm
    board.say_position(reached=True)


def motors_off(board: Board, words: Words) -> Task | None:
    """M18, M84: with S only the time-out is set; axes stay homed but are no longer trusted."""
    if words.get("S") is not None:
        return None
    return _motors_off(board, words)


def _motors_off(board: Board, words: Words) -> Task:
    yield from board.still()
    if not words.seen:
        board.over()


def wait_for_user(board: Board, words: Words) -> Task:
    """M0, M1: only a firmware with a panel or an emergency parser has them; S counts before P."""
    seconds = words.get("S")
    limit_s = (words.get("P") or 0.0) / 1000 if seconds is None else seconds
    yield from board.still()
    if words.message and not board.machine.panel:
        board.say(f"echo:{words.message}")
    yield from pause(board, limit_s)


def pause(board: Board, limit_s: float = 0.0) -> Task:
    """Until somebody presses the knob, M108 comes, or the time is over."""
    yield from board.still()
    board.user_wanted = True
    began_s = board.now_s
    while board.user_wanted and not (limit_s and board.now_s >= began_s + limit_s):
        yield began_s + limit_s if limit_s else None
    board.user_wanted = False
    board.planner.excuse(board.now_s - began_s)


def absolute(board: Board, _words: Words) -> None:
    """G90: E too."""
    board.relative = board.relative_e = False


def incremental(board: Board, _words: Words) -> None:
    """G91: E too."""
    board.relative = board.relative_e = True


def absolute_e(board: Board, _words: Words) -> None:
    """M82."""
    board.relative_e = False


def relative_e(board: Board, _words: Words) -> None:
    """M83."""
    board.relative_e = True


def inches(board: Board, _words: Words) -> None:
    """G20, where INCH_MODE_SUPPORT is compiled in."""
    board.unit_mm = 25.4


def millimetres(board: Board, _words: Words) -> None:
    """G21: no error where there are no inches."""
    board.unit_mm = 1.0


def soft_endstops(board: Board, words: Words) -> None:
    """M211."""
    if words.has("S"):
        board.soft_endstops = bool(words.get("S") if words.get("S") is not None else 1)
        return
    on = board.soft_endstops
    low = [board.shift[i] + board.home_offset[i] for i in (0, 1, 2)]
    top = [board.machine.size_mm[i] + low[i] for i in (0, 1, 2)]
    board.say(f"  M211 S{int(on)} ; {'ON' if on else 'OFF'}")
    board.say(f"  Min:  {_xyz(low)}   Max:  {_xyz(top)}")


def _xyz(values: list[float]) -> str:
    return " ".join(f"{a}{v:.2f}" for a, v in zip("XYZ", values, strict=True))


def home_offset(board: Board, words: Words) -> None:
    """M206."""
    if not words.seen:
        board.say(f"  M206 {_xyz(board.home_offset)}")
        return
    for axis, letter in enumerate("XYZ"):
        value = words.get(letter)
        if value is not None:
            board.home_offset[axis] = value * board.unit_mm
    board.say_position(reached=True)


def home_here(board: Board, _words: Words) -> None:
    """M428: the nearest end of each axis becomes its home."""
    unknown = "".join(letter for letter, on in zip("XYZ", board.homed, strict=True) if not on)
    if unknown:
        board.say(f"echo:Home {unknown} First")
        return
    found: list[float] = []
    for axis in (0, 1, 2):
        at = board.at[axis]
        difference = (
            -at if at <= board.machine.size_mm[axis] / 2 else board.machine.size_mm[axis] - at
        )
        if abs(difference) > TOO_FAR_MM:
            board.say("Error:Too far from reference point")
            return
        found.append(difference)
    board.home_offset = found
    board.say_position(reached=True)


def power_off(board: Board, _words: Words) -> Task:
    """M81, on every board: everything off, and a second's wait whether there is a supply or not."""
    yield from board.still()
    for heater in (board.hotend, board.bed):
        heater.aim(0, board.now_s)
    board.timer.stop(board.now_s)
    yield from board.until(board.now_s + 1.0)


def nothing(_board: Board, _words: Words) -> None:
    """Accepted, without effect here."""


USER: dict[str, Callable[[Board, Words], Task | None]] = {
    "M0": wait_for_user,
    "M1": wait_for_user,
}
TABLE: dict[str, Callable[[Board, Words], Task | None]] = {
    "G0": line,
    "G1": line,
    "G2": clockwise,
    "G3": counter_clockwise,
    "G4": dwell,
    "G20": inches,
    "G21": millimetres,
    "G28": home,
    "G90": absolute,
    "G91": incremental,
    "G92": set_position,
    "M17": nothing,
    "M18": motors_off,
    "M81": power_off,
    "M82": absolute_e,
    "M83": relative_e,
    "M84": motors_off,
    "M85": nothing,
    "M120": nothing,
    "M121": nothing,
    "M206": home_offset,
    "M211": soft_endstops,
    "M400": finish_moves,
    "M410": nothing,
    "M428": home_here,
}
