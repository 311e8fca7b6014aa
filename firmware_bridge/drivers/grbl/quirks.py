"""What GRBL 1.1 does that its name does not say (gnea/grbl doc/markdown/interface.md, doc/csv).

Numbers, bytes and texts only; the conversation and the codec act on them.
"""

import re
from typing import Final

# serial.h RX_BUFFER_SIZE 128; one byte less, because a full ring looks like an empty one.
RX_BYTES: Final = 127
# protocol.h LINE_BUFFER_SIZE 80, with the terminating zero; a longer line is error:11.
LINE_MAX_BYTES: Final = 79

# Real-time bytes act at once, wherever they stand.
STATUS: Final = b"?"
HOLD: Final = b"!"
GO: Final = b"~"
RESET: Final = b"\x18"
# Taken off the wire before the parser: never inside a program. `$` would be a setting, and "%"
# it does not know.
NEVER: Final = re.compile(rb"[^\x20-\x7e\t]|[$!~?%]")
# What Marlin greets with, and how its parser answers "?" and "$I".
MARLIN: Final = re.compile(r"\bMarlin\b|echo:\s*Unknown command:")

# jogging.md: it acts only on a jog, and the place stays known.
JOG_CANCEL: Final = b"\x85"

# interface.md: status is to be asked for at 5 Hz at most.
POLL_S: Final = 0.2
# "?" is answered from the interrupt; only homing keeps it waiting.
SILENCE_S: Final = 10.0
# A reset while moving is ALARM:3 and loses the position: first hold, then Hold:0, then reset.
RESET_S: Final = 3.0
# protocol.c: after these two it waits in an empty loop for a reset and answers no `?`. A reset in
# the half second of silence behind an alarm (report.c) is forgotten: it asks for one when it may.
DEAF_AFTER: Final = frozenset((1, 2))
RESET_TO_CONTINUE: Final = "[MSG:Reset to continue]"
ALARM_S: Final = 2.0
# Dwells look Idle; anything else that is Idle with lines unanswered has lost an answer.
IDLE_OWING_S: Final = 2.0
# Steps round: 80 steps/mm is 0.0125 mm.
END_TOLERANCE_MM: Final = 0.05
# WCO comes with every 10th report when idle.
REPORTS_FOR_OFFSET: Final = 40

# What a job may count on; GRBL resets to it, but a person or the job before (M2 leaves G1: what
# the guard read as a rapid move would burn) may have left it otherwise.
WANTED_MODES: Final = ("G0", "G17", "G21", "G54", "G90", "G94", "M5", "M9")
MODE_WISHES: Final = 2

ERRORS: Final = {
    1: "a word without its letter",
    2: "a number that is none",
    3: "a $ command it does not know",
    5: "it has no homing",
    7: "its settings memory was broken and is back at defaults",
    8: "it was not idle",
    9: "it is locked by an alarm",
    11: "a line too long",
    15: "a move beyond its travel",
    20: "a code it does not know",
    21: "two codes of one group in a line",
    22: "a cutting move without a feed",
    23: "a code that needs a whole number",
    24: "two codes that need the same axis words",
    26: "a code without its axis words",
    31: "a code with words it does not take",
    33: "an arc that does not close",
    35: "an arc without its centre",
}
ALARMS: Final = {
    1: "a limit switch was hit: its position is lost, home it",
    2: "a move beyond its travel was refused; it knows its position",
    3: "it was reset while moving: its position is lost, home it",
    4: "the probe was closed before probing",
    5: "the probe touched nothing",
    6: "homing was reset: home it",
    7: "the door opened while homing: home it",
    8: "homing could not pull off the switch: see to the switch, then home it",
    9: "homing found no switch: see to the switch, then home it",
    10: "homing found no second switch: see to it, then home it",
}


def jog(by_mm: tuple[float, float, float], feed_mm_min: float) -> bytes:
    """`$J=`, relative and in millimetres: it leaves the modes of programs alone (jogging.md)."""
    words = "".join(f"{axis}{mm:.3f}" for axis, mm in zip("XYZ", by_mm, strict=True) if mm)
    return f"$J=G21G91{words}F{feed_mm_min:.0f}\n".encode()


def jog_s(by_mm: tuple[float, float, float], feed_mm_min: float) -> float:
    """How long it may take: twice the way at its feed, and time to start and to brake."""
    return 120 * sum(map(abs, by_mm)) / feed_mm_min + 3.0
