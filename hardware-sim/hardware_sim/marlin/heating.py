"""Promises what Marlin's temperature commands do: one function for each code.
Never reads bytes; a command that takes time is an iterator of the moments it waits for.

Source: MarlinFirmware/Marlin `Marlin/src/gcode/temp/M104_M109.cpp`, `M105.cpp`, `M106_M107.cpp`,
`M140_M190.cpp`, `M155.cpp`, `host/M154.cpp`, `config/M302.cpp`, `Marlin/src/module/temperature.cpp`
(wait_for_hotend, wait_for_bed: a report at once and every second, residency in a window,
longer by a third when it is warm already; auto_job_check_timer).
"""

import math
from collections.abc import Callable

from hardware_sim.heat import Heater
from hardware_sim.marlin.board import DEBUG_DRYRUN, WINDOW_C, Board, Task
from hardware_sim.marlin.words import Words, byte, short

RESIDENCY_S = 10.0  # Configuration.h TEMP_RESIDENCY_TIME
SLOPE_S, SLOPE_C, SLOPE_BED_C = 60.0, 1.5, 1.0  # MIN_COOLING_SLOPE_*
OVERSHOOT_C, OVERSHOOT_BED_C = 15.0, 10.0  # HOTEND_OVERSHOOT, BED_OVERSHOOT
REPORT_MOST_S = 60.0
JOB_HOTEND_C, JOB_BED_C = 85.0, 5.0  # EXTRUDE_MINTEMP / 2, BED_MINTEMP
PRESETS_C = ((180.0, 70.0), (240.0, 110.0))  # PREHEAT_1_TEMP_HOTEND and so on


def hotend(board: Board, words: Words) -> None:
    """M104."""
    target = _target(board, board.hotend, words, "S")
    if board.knows_tool(words.get("T"), "M104") and target is not None:
        _aim(board, board.hotend, target)
        _watch_job(board, starts=False, stops=True)


def hotend_wait(board: Board, words: Words) -> Task | None:
    """M109: S waits for heat only, R for cooling too."""
    if not board.knows_tool(words.get("T"), "M109"):
        return None
    return _aim_and_wait(board, board.hotend, words)


def bed(board: Board, words: Words) -> None:
    """M140."""
    target = _target(board, board.bed, words, "S")
    if target is not None:
        _aim(board, board.bed, target)
        _watch_job(board, starts=False, stops=True)


def bed_wait(board: Board, words: Words) -> Task | None:
    """M190."""
    return _aim_and_wait(board, board.bed, words)


def _target(board: Board, heater: Heater, words: Words, letters: str) -> float | None:
    """I names a preset of the menu; else the first of the letters counts; M111 S8 heats nothing."""
    if board.debug & DEBUG_DRYRUN:
        return None
    preset = words.get("I") if board.machine.panel else None
    if preset is not None:
        return PRESETS_C[min(byte(preset), 1)][heater is board.bed]
    return next((words.values[x] for x in letters if x in words.values), None)


def _aim(board: Board, heater: Heater, target_c: float) -> None:
    margin_c = OVERSHOOT_C if heater is board.hotend else OVERSHOOT_BED_C
    heater.aim(min(short(target_c), heater.limits.max_c - margin_c), board.now_s)
    board.was_hot = board.was_hot or heater.target_c > 0


def _watch_job(board: Board, *, starts: bool, stops: bool) -> None:
    """PRINTJOB_TIMER_AUTOSTART: waiting for heat is the beginning of a job, cooling its end."""
    if board.hotend.target_c > JOB_HOTEND_C or board.bed.target_c > JOB_BED_C:
        if starts:
            board.timer.start(board.now_s)
    elif stops:
        board.timer.stop(board.now_s)


def _aim_and_wait(board: Board, heater: Heater, words: Words) -> Task | None:
    target = _target(board, heater, words, "SR")
    if target is None:
        return None
    heats_only = words.get("S") is not None
    _aim(board, heater, target)
    _watch_job(board, starts=True, stops=heater is board.hotend)
    if heats_only and heater.target_c < heater.measured(board.now_s):
        return None
    return _wait(board, heater)


def _wait(board: Board, heater: Heater) -> Task:
    began_s = board.now_s
    board.heating_wanted = True
    cools = heater.target_c < heater.measured(began_s)
    meets_s = max(began_s, heater.reaches_at(WINDOW_C))
    starts_s = meets_s if meets_s > began_s else began_s + RESIDENCY_S / 3
    done_s = starts_s + RESIDENCY_S
    if cools:
        done_s = min(done_s, _gives_up_s(board, heater, began_s))
    next_s = began_s
    while board.now_s < done_s and board.heating_wanted:
        if board.now_s >= next_s:
            settled = board.now_s > began_s and board.now_s >= min(meets_s, starts_s)
            word = str(int(starts_s + RESIDENCY_S - board.now_s)) if settled else "?"
            board.say(f"{board.temperatures()} W:{word}")
            next_s = board.now_s + 1.0
        yield min(done_s, next_s)
    board.heating_wanted = False
    board.planner.excuse(board.now_s - began_s)


def _gives_up_s(board: Board, heater: Heater, began_s: float) -> float:
    """A wait for cooling ends when a minute brought less than the least slope."""
    slope_c = SLOPE_C if heater is board.hotend else SLOPE_BED_C
    check_s = began_s
    for _ in range(240):
        next_s = check_s + SLOPE_S
        if heater.at(check_s) - heater.at(next_s) < slope_c:
            return next_s
        check_s = next_s
    return math.inf


def say_temperatures(board: Board, words: Words) -> None:
    """M105: its ok carries the report; a wrong tool gets no ok at all."""
    if board.knows_tool(words.get("T"), "M105"):
        board.answer = f"ok{board.temperatures()}"
    else:
        board.mute = True


def report_temperatures(board: Board, words: Words) -> None:
    """M155."""
    asked_s = words.get("S")
    if asked_s is not None:
        board.temperatures_every_s = min(max(0.0, float(int(asked_s))), REPORT_MOST_S)
        first_s = max(board.temperatures_every_s, board.machine.unasked_min_s)
        wanted = board.temperatures_every_s > 0
        board.next_temperatures_s = board.now_s + first_s if wanted else None


def report_position(board: Board, words: Words) -> None:
    """M154, where AUTO_REPORT_POSITION is compiled in."""
    asked_s = words.get("S")
    if asked_s is not None:
        board.position_every_s = min(max(0.0, float(int(asked_s))), REPORT_MOST_S)
        first_s = max(board.position_every_s, board.machine.unasked_min_s)
        board.next_position_s = board.now_s + first_s if board.position_every_s > 0 else None


def cold_extrusion(board: Board, words: Words) -> None:
    """M302: S is the least temperature, P1 allows cold extrusion."""
    if not (words.has("S") or words.has("P")):
        allowed = "en" if board.cold_allowed else "dis"
        board.say(f"echo:Cold extrudes are {allowed}abled (min temp {int(board.extrude_min_c)}C)")
        return
    if words.has("S"):
        board.extrude_min_c = float(short(words.get("S") or 0.0))
    board.cold_allowed = board.extrude_min_c == 0 or words.flag("P")


def go_on(board: Board, _words: Words) -> None:
    """M108."""
    board.heating_wanted = board.user_wanted = False


def nothing(_board: Board, _words: Words) -> None:
    """A fan, seen from the wire."""


TABLE: dict[str, Callable[[Board, Words], Task | None]] = {
    "M104": hotend,
    "M105": say_temperatures,
    "M106": nothing,
    "M107": nothing,
    "M108": go_on,
    "M109": hotend_wait,
    "M140": bed,
    "M154": report_position,
    "M155": report_temperatures,
    "M190": bed_wait,
    "M302": cold_extrusion,
}
