"""Promises what Marlin says about itself: one function for each code, each text as it prints it.
Never moves or heats anything.

Source: MarlinFirmware/Marlin `Marlin/src/gcode/host/M115.cpp` (the Cap lines in their order),
`M114.cpp`, `M118.cpp`, `M119.cpp`, `M113.cpp`, `Marlin/src/core/language.h` (texts),
`Marlin/src/MarlinCore.cpp` setup (the banner), `stats/M31.cpp`, `stats/M75-M78.cpp`,
`control/M111.cpp`, `control/M999.cpp`, `sd/M20.cpp` to `M27.cpp`.
"""

import re
from collections.abc import Callable

from hardware_sim.config import MarlinMachine
from hardware_sim.marlin.board import Board, Task
from hardware_sim.marlin.words import Words, byte

UUID = "cede2a2f-41a2-4748-9b12-c55c62f367ff"  # Version.h DEFAULT_MACHINE_UUID, on every board
DATE = "Jan  6 2024"
DEBUG = ("ECHO", "INFO", "ERRORS", "DRYRUN", "COMMUNICATION")
_PREFIX = re.compile(r"([AE]1|P\d) *")


def banner(machine: MarlinMachine) -> list[str]:
    """What setup() says; a bootloader that hides the reset's cause leaves that line out."""
    return [
        "start",
        f"Marlin {machine.version}",
        "echo: Last Updated: 2024-01-06 | Author: (none, default config)",
        f"echo: Compiled: {DATE}",
        "echo: Free Memory: 3813  PlannerBufferBytes: 1152",
        "echo:Hardcoded Default Settings Loaded",
    ]


def identify(board: Board, _words: Words) -> None:
    """M115."""
    machine = board.machine
    board.say(
        f"FIRMWARE_NAME:Marlin {machine.version} ({DATE} 12:00:00)"
        " SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin"
        f" PROTOCOL_VERSION:1.0 MACHINE_TYPE:{machine.name} EXTRUDER_COUNT:1 UUID:{UUID}"
    )
    for name, able in capabilities(machine):
        board.say(f"Cap:{name}:{int(able)}")


NEVER = [
    "SERIAL_XON_XOFF",
    "BINARY_FILE_TRANSFER",
    "PROGRESS",
    "AUTOLEVEL",
    "Z_PROBE",
    "LEVELING_DATA",
    "SOFTWARE_POWER",
    "TOGGLE_LIGHTS",
    "CASE_LIGHT_BRIGHTNESS",
    "PROMPT_SUPPORT",
    "MULTI_VOLUME",
    "REPEAT",
    "AUTOREPORT_SD_STATUS",
    "LONG_FILENAME",
    "LFN_WRITE",
    "CUSTOM_FIRMWARE_UPLOAD",
    "EXTENDED_M20",
    "MOTION_MODES",
    "BABYSTEPPING",
    "CHAMBER_TEMPERATURE",
    "COOLER_TEMPERATURE",
    "MEATPACK",
    "CONFIG_EXPORT",
]
CAPABILITIES = [
    "SERIAL_XON_XOFF",
    "BINARY_FILE_TRANSFER",
    "EEPROM",
    "VOLUMETRIC",
    "AUTOREPORT_POS",
    "AUTOREPORT_TEMP",
    "PROGRESS",
    "PRINT_JOB",
    "AUTOLEVEL",
    "RUNOUT",
    "Z_PROBE",
    "LEVELING_DATA",
    "BUILD_PERCENT",
    "SOFTWARE_POWER",
    "TOGGLE_LIGHTS",
    "CASE_LIGHT_BRIGHTNESS",
    "EMERGENCY_PARSER",
    "HOST_ACTION_COMMANDS",
    "PROMPT_SUPPORT",
    "SDCARD",
    "MULTI_VOLUME",
    "REPEAT",
    "SD_WRITE",
    "AUTOREPORT_SD_STATUS",
    "LONG_FILENAME",
    "LFN_WRITE",
    "CUSTOM_FIRMWARE_UPLOAD",
    "EXTENDED_M20",
    "THERMAL_PROTECTION",
    "MOTION_MODES",
    "ARCS",
    "BABYSTEPPING",
    "CHAMBER_TEMPERATURE",
    "COOLER_TEMPERATURE",
    "MEATPACK",
    "CONFIG_EXPORT",
]


def capabilities(machine: MarlinMachine) -> list[tuple[str, bool]]:
    """The Cap lines, in the source's order."""
    told = {
        "EEPROM": machine.eeprom,
        "AUTOREPORT_POS": machine.auto_position,
        "RUNOUT": "M412" in machine.features,
        "BUILD_PERCENT": "M73" in machine.features,
        "EMERGENCY_PARSER": machine.emergency_parser,
        "HOST_ACTION_COMMANDS": machine.host_actions,
        "SDCARD": machine.sd_card,
        "SD_WRITE": machine.sd_card,
    }
    named = [name for name in CAPABILITIES if machine.sd_card or name != "MULTI_VOLUME"]
    return [(name, told.get(name, name not in NEVER)) for name in named]


def position(board: Board, _words: Words) -> None:
    """M114: planned, not reached (without M114_REALTIME, R changes nothing)."""
    board.say_position()


def endstops(board: Board, _words: Words) -> None:
    """M119."""
    board.say("Reporting endstop status")
    for axis, letter in enumerate("xyz"):
        touched = board.homed[axis] and board.at[axis] <= 0
        board.say(f"{letter}_min: {'TRIGGERED' if touched else 'open'}")


def echo(board: Board, words: Words) -> None:
    """M118: A1 makes it a comment for the host, E1 an echo."""
    text, front = words.text, {"A": "", "E": "", "P": ""}
    for _ in range(3):
        found = _PREFIX.match(text)
        if found is None:
            break
        front[found[1][0]] = {"A": "//", "E": "echo:", "P": ""}[found[1][0]]
        text = text[found.end() :]
    board.say(front["E"] + front["A"] + text)


def keepalive(board: Board, words: Words) -> None:
    """M113."""
    seconds = words.get("S")
    if seconds is None:
        board.say(f"echo:M113 S{int(board.busy_s)}")
    else:
        board.busy_s = float(min(60, max(0, int(seconds))))


def print_time(board: Board, _words: Words) -> None:
    """M31."""
    board.say(f"echo:Print time: {board.timer.words(board.now_s)}")


def start_timer(board: Board, _words: Words) -> None:
    """M75."""
    board.timer.start(board.now_s)


def pause_timer(board: Board, _words: Words) -> None:
    """M76."""
    board.timer.pause(board.now_s)


def stop_timer(board: Board, _words: Words) -> None:
    """M77."""
    board.timer.stop(board.now_s)


def debug(board: Board, words: Words) -> None:
    """M111: which bits are set; 1 echoes every line, 8 heats and extrudes nothing."""
    if words.has("S"):
        board.debug = byte(words.get("S") or 0.0)
    named = [name for bit, name in enumerate(DEBUG) if board.debug >> bit & 1]
    board.say(f"echo:DEBUG:{','.join(named) if board.debug else 'off'}")


def restart(board: Board, words: Words) -> None:
    """M999: S keeps what has been received; else it is thrown away and asked for again."""
    board.asks_again = not words.flag("S")


def list_files(board: Board, _words: Words) -> None:
    """M20."""
    board.say("Begin file list")
    board.say("End file list")


def mount(board: Board, _words: Words) -> None:
    """M21."""
    board.say("echo:SD card ok")


def resume_file(board: Board, _words: Words) -> None:
    """M24."""
    board.card_paused = False


def pause_file(board: Board, _words: Words) -> None:
    """M25."""
    board.card_paused = True


def file_progress(board: Board, _words: Words) -> None:
    """M27."""
    left = sum(len(row) + 1 for row in board.card)
    if left:
        board.say(f"SD printing byte {board.card_bytes - left}/{board.card_bytes}")
    else:
        board.say("Not SD printing")


def abort_file(board: Board, _words: Words) -> None:
    """M524."""
    board.card.clear()


def nothing(_board: Board, _words: Words) -> None:
    """A word on the display, or a timer."""


TABLE: dict[str, Callable[[Board, Words], Task | None]] = {
    "M31": print_time,
    "M75": start_timer,
    "M76": pause_timer,
    "M77": stop_timer,
    "M110": nothing,
    "M111": debug,
    "M113": keepalive,
    "M114": position,
    "M115": identify,
    "M117": nothing,
    "M118": echo,
    "M119": endstops,
    "M999": restart,
}
CARD: dict[str, Callable[[Board, Words], Task | None]] = {
    "M20": list_files,
    "M21": mount,
    "M24": resume_file,
    "M25": pause_file,
    "M27": file_progress,
    "M524": abort_file,
}
