"""Promises Marlin's settings commands: one function for each code, and the report of M503.
Never moves or heats anything.

Source: MarlinFirmware/Marlin `Marlin/src/gcode/config/M200-M205.cpp`, `M92.cpp`, `M220.cpp`,
`M221.cpp`, `M301.cpp`, `eeprom/M500-M504.cpp`, `Marlin/src/module/settings.cpp` (report, save and
load without EEPROM_SETTINGS), `gcode/gcode.h` report_heading: a report that was asked for by its
own code is plain, the one of M503 starts every line with `echo:`.
"""

from collections.abc import Callable

from hardware_sim.marlin.board import SPOKEN_AXES, Board, Task
from hardware_sim.marlin.heating import PRESETS_C
from hardware_sim.marlin.words import Words, short

LOADED = "echo:Hardcoded Default Settings Loaded"
NO_EEPROM = "Error:EEPROM disabled"


def _pairs(values: list[float]) -> str:
    return " ".join(f"{a}{v:.2f}" for a, v in zip(SPOKEN_AXES, values, strict=True))


def _each(values: list[float], words: Words) -> None:
    for axis, letter in enumerate(SPOKEN_AXES):
        value = words.get(letter)
        if value is not None:
            values[axis] = value


def _list(board: Board, words: Words, code: str, values: list[float]) -> None:
    if words.seen:
        _each(values, words)
    else:
        board.say(f"  {code} {_pairs(values)}")


def steps(board: Board, words: Words) -> None:
    """M92."""
    _list(board, words, "M92", board.steps_per_mm)


def filament(board: Board, words: Words) -> None:
    """M200: volumetric extrusion."""
    if not words.seen:
        board.say(f"  {_filament(board)}")
        return
    width = words.get("D")
    if width:
        board.filament_mm = width
    wanted = words.get("S")
    board.volumetric = bool(wanted) if wanted is not None else bool(width)


def _filament(board: Board) -> str:
    return f"M200 S{int(board.volumetric)} D{board.filament_mm:.2f}"


def max_accel(board: Board, words: Words) -> None:
    """M201."""
    _list(board, words, "M201", board.max_accel)


def max_feed(board: Board, words: Words) -> None:
    """M203."""
    _list(board, words, "M203", board.max_feed)


def accel(board: Board, words: Words) -> None:
    """M204: S is the old way to say P and T."""
    if not any(words.has(letter) for letter in "PRST"):
        board.say(f"  {_accel(board)}")
        return
    both = words.get("S")
    if both is not None:
        board.accel = board.travel_accel = both
    board.accel = _or(words.get("P"), board.accel)
    board.retract_accel = _or(words.get("R"), board.retract_accel)
    board.travel_accel = _or(words.get("T"), board.travel_accel)


def _or(value: float | None, before: float) -> float:
    return before if value is None else value


def _accel(board: Board) -> str:
    return f"M204 P{board.accel:.2f} R{board.retract_accel:.2f} T{board.travel_accel:.2f}"


def corners(board: Board, words: Words) -> None:
    """M205: jerk, or J where the firmware goes by junction deviation."""
    if not words.seen:
        board.say(f"  {_corners(board)}")
        return
    if board.junction_mm is None:
        _each(board.jerk, words)
    else:
        board.junction_mm = _or(words.get("J"), board.junction_mm)


def _corners(board: Board) -> str:
    if board.junction_mm is None:
        return f"M205 B20000.00 S0.00 T0.00 {_pairs(board.jerk)}"
    return f"M205 B20000.00 S0.00 T0.00 J{board.junction_mm:.2f}"


def feed_share(board: Board, words: Words) -> None:
    """M220: R brings back what B kept."""
    if not words.seen:
        board.say(f"FR:{board.feed_percent}%")
        return
    before = board.feed_percent
    if words.has("R"):
        board.feed_percent = board.feed_percent_kept
    if words.has("B"):
        board.feed_percent_kept = before
    percent = words.get("S")
    if percent is not None:
        board.feed_percent = max(1, short(percent))


def flow(board: Board, words: Words) -> None:
    """M221."""
    if not board.knows_tool(words.get("T"), "M221"):
        return
    percent = words.get("S")
    if percent is None:
        board.say(f"echo:E0 Flow: {board.flow_percent}%")
    else:
        board.flow_percent = short(percent)


def pid(board: Board, words: Words) -> None:
    """M301."""
    for place, letter in enumerate("PID"):
        board.pid[place] = _or(words.get(letter), board.pid[place])
    if not words.seen:
        board.say(f"  {_pid(board)}")


def _pid(board: Board) -> str:
    return " ".join(["M301", *(f"{a}{v:.2f}" for a, v in zip("PID", board.pid, strict=True))])


def store(board: Board, _words: Words) -> None:
    """M500."""
    board.say("echo:Settings Stored (621 bytes; crc 12345)" if board.machine.eeprom else NO_EEPROM)


def load(board: Board, _words: Words) -> None:
    """M501: without an EEPROM the compiled settings come back, and are reported."""
    if board.machine.eeprom:
        board.say("echo:V88 stored settings retrieved (621 bytes; crc 12345)")
        return
    board.restore_settings()
    board.say(LOADED)
    report(board)


def reset(board: Board, _words: Words) -> None:
    """M502."""
    board.restore_settings()
    board.say(LOADED)


def say_all(board: Board, _words: Words) -> None:
    """M503."""
    report(board)


def report(board: Board) -> None:
    """MarlinSettings::report."""
    home = " ".join(f"{a}{v:.2f}" for a, v in zip("XYZ", board.home_offset, strict=True))
    jerk = "X<max_jerk> Y<max_jerk> Z<max_jerk> E<max_jerk>"
    corner = jerk if board.junction_mm is None else "J<junc_dev>"
    volumetric = "" if board.volumetric else " (Disabled)"
    rows = (
        ("Linear Units:", "G21 ; (mm)"),
        ("Temperature Units:", "M149 C ; Units in Celsius"),
        (f"Filament settings{volumetric}:", _filament(board)),
        ("Steps per unit:", f"M92 {_pairs(board.steps_per_mm)}"),
        ("Max feedrates (units/s):", f"M203 {_pairs(board.max_feed)}"),
        ("Max Acceleration (units/s2):", f"M201 {_pairs(board.max_accel)}"),
        (
            "Acceleration (units/s2) (P<print-accel> R<retract-accel> T<travel-accel>):",
            _accel(board),
        ),
        (
            f"Advanced (B<min_segment_time_us> S<min_feedrate> T<min_travel_feedrate> {corner}):",
            _corners(board),
        ),
        ("Home offset:", f"M206 {home}"),
        *([("Material heatup parameters:", "\necho:  ".join(_presets()))] * board.machine.panel),
        ("Hotend PID:", _pid(board)),
    )
    for heading, row in rows:
        board.say(f"echo:; {heading}")
        board.say(f"echo:  {row}")


def _presets() -> list[str]:
    return [f"M145 S{n} H{h:.2f} B{b:.2f} F0" for n, (h, b) in enumerate(PRESETS_C)]


def presets(board: Board, words: Words) -> None:
    """M145, where there is a menu; what it sets, only the menu would use."""
    if not words.seen:
        for row in _presets():
            board.say(f"  {row}")


MENU: dict[str, Callable[[Board, Words], Task | None]] = {"M145": presets}
TABLE: dict[str, Callable[[Board, Words], Task | None]] = {
    "M92": steps,
    "M200": filament,
    "M201": max_accel,
    "M203": max_feed,
    "M204": accel,
    "M205": corners,
    "M220": feed_share,
    "M221": flow,
    "M301": pid,
    "M500": store,
    "M501": load,
    "M502": reset,
    "M503": say_all,
}
