"""What Marlin does that its name does not say, each with where it was read.

Numbers and texts only; the conversation and the codec act on them.
"""

import re
from typing import Final

# Configuration_adv.h: MAX_CMD_SIZE 96 with the terminating zero; longer lines are cut off, and
# "N60000 " and "*255" are part of the line.
COMMAND_MAX_BYTES: Final = 95 - 7 - 4
# HardwareSerial RX_BUFFER_SIZE 128 and BUFSIZE 4; bytes beyond are lost without a word.
IN_FLIGHT_BYTES: Final = 120
IN_FLIGHT_LINES: Final = 4
CLEAN_ACKS_TO_WIDEN: Final = 4
# A refused line empties the receive buffer (queue.cpp, gcode_line_error), so the line behind it may
# be cut and its rest, if it starts at the command, runs without its number. With one line in flight
# there is no line behind: after damage the window stays closed, longer each time.
CLEAN_ACKS_AFTER_DAMAGE: Final = 1000
CLEAN_ACKS_AFTER_MUCH_DAMAGE: Final = 16000

# queue.cpp verifies a checksum only when the line starts with N: a flipped first letter executes
# "M2003 …". So numbers start where no code is, and go back before the 16-bit code number wraps.
FIRST_NUMBER: Final = 2000
LAST_NUMBER: Final = 60000
# queue.cpp takes an M110's own number when the line is read. One that names a number as well sets
# it once more when it is carried out (M110.cpp), and what was let in behind it would go a second
# time: said once, before anything else is in flight, it does no harm, and boards that know only the
# named number are met too. Said again it names none. Repetier counts from its own number alone.
COUNT_FROM_HERE: Final = b"M110 N%d" % (FIRST_NUMBER - 1)
COUNT_AGAIN: Final = b"M110"
# Asked under this number, any board that numbers lines answers "Last Line: K" and executes nothing.
# (The oldest unanswered line would not do: queue.cpp drops a repeated one without a word.)
QUESTION_NUMBER: Final = 65432
# What is counted as reset: a board that counts from 0 again.
RESET_ASKS_FOR: Final = 1

# Lines take milliseconds or, behind a full planner, seconds; ask after several times the usual.
ASK_AFTER_S: Final = 0.2
GAPS_TO_ASK: Final = 6.0
# gcode.cpp, host_keepalive: "busy" comes every 2 s.
BUSY_ASK_AFTER_S: Final = 3.0
GAP_FADES: Final = 0.95
# Repetier asks for a line again that was begun and not continued for 0.2 s.
BRISK_S: Final = 0.05
# They wait in the receive buffer of a board that is busy: 17 bytes each.
QUESTIONS_OPEN: Final = 5

# Every flush of its buffer answers a Resend: more than this many for one line is a deaf line.
RESENDS_FOR_ONE_LINE: Final = 10
# Resends for one line after another: we may be speaking one answer behind; hear them all first.
CLEAN_ACKS_BETWEEN_RESENDS: Final = 3
# More acknowledgements than lines: a few are late ones, this many is a broken machine.
SURPLUS_OKS: Final = 1000
# How far back a line may be asked for again (a wrong "Resend" must not rewind a whole job).
HISTORY_LINES: Final = 256
# After a Resend the lines behind it each answer once more; quiet for this long = all have.
DRAIN_S: Final = 0.04
DRAIN_MAX_S: Final = 1.0
# Most firmware says ok right after Resend, some (Prusa's of old, Marlin 2.0 for a while) does not.
OK_AFTER_RESEND_S: Final = 0.02
SURE: Final = 2
# A machine that answers M105 without temperatures cannot be asked "is all before this done?".
SYNC_TRIES: Final = 3
SYNC_EVERY: Final = 500
# No answer to a line although the wire is alive (waiting for heat, mostly).
STALL_S: Final = 1800.0

# gcode.cpp, queue.cpp: refusals of a line that a Resend follows.
LINE_REFUSED: Final = re.compile(
    r"Line Number is not|checksum mismatch|No Checksum|No Line Number|Format error|Last Line: ?\d",
    re.IGNORECASE,
)
# About a card or a file that the job does not use (cardreader.cpp).
CARD: Final = re.compile(
    r"SD card ok|volume\.init|openRoot|workDir|\bSD\b|\bmedia\b|cannot (open|enter)|error writing",
    re.IGNORECASE,
)
# language.h, planner.cpp: not errors to Marlin, and the end of the part.
PREVENTED: Final = re.compile(r"(cold|too long|lengthy) extrusion prevented", re.IGNORECASE)
KILLED: Final = re.compile(r"Printer halted|kill\(\) called|Printer stopped", re.IGNORECASE)
# queue.cpp: said without "Error:" to every move that a stopped printer is sent and does not make.
STOPPED: Final = re.compile(r"^Printer (stopped|halted)\b")
# MarlinCore.cpp says why it restarted, and what it is; other families greet in their own words.
BANNERS: Final = re.compile(
    r"^\s*(echo:\s*)?(start$|PowerUp$|(External|Brown out|Watchdog|Software) Reset$"
    r"|Marlin ?[\w.+-]+$|(Last Updated|Compiled|Free Memory): |Smoothie\b)"
)
# Marlin 1.0 and Prusa-Firmware 3 wait for heat without a word about the target: M109, M190.
WAITS: Final = re.compile(r"^T:-?\d[\d.]* E:\d")
# What is left of an "ok" with a byte altered, or of two of them when the newline was lost.
BROKEN_OK: Final = re.compile(r"^(.?k\b|o.?(\s|$)|.{0,3}$|ok\S|.k [NT])|ok$")
# cardreader.cpp: somebody started a print at the panel.
PANEL_PRINT: Final = re.compile(r"^(echo:)?\s*(File opened|enqueueing \"M2[34])", re.IGNORECASE)

# Stop: break a heating wait, stop moving, all heat and fans off, motors free. M105 then shows it.
MAKE_SAFE: Final = b"M108\nM410\nM104 S0\nM140 S0\nM107\nM84\nM105\n"
# Heat and fans off, and nothing that moves.
COOL: Final = (b"M104 S0\n", b"M140 S0\n", b"M107\n")
# The modes of a board that has just started: a program counts on them, and the last may have left
# others (GcodeSuite::axis_relative is set at boot alone).
FIRST_MODES: Final = (b"G90\n", b"M82\n", b"M220 S100\n", b"M221 S100\n")
# With and without EMERGENCY_PARSER; sent bare so that it is never refused for its number.
MAKE_SAFE_EVERY_S: Final = 4.0
KILL: Final = b"\nM112\n"
# A carriage return would end the line, a NUL would cut it.
UNREADABLE: Final = re.compile(rb"[^\x20-\x7e\t]")
# Codes that belong to the host, never to a program.
HOST_ONLY: Final = re.compile(rb"(?i)^(N|M0*(110|112|999)\b)")

# stepper inactivity (DEFAULT_STEPPER_DEACTIVE_TIME 120 s): motors rest, and the place is a guess.
HOMED_S: Final = 100.0


def jog(by_mm: tuple[float, float, float], feed_mm_min: float) -> tuple[bytes, ...]:
    """A relative move, back to absolute, and wait until it stands: `ok` alone means queued."""
    words = "".join(f" {axis}{mm:.3f}" for axis, mm in zip("XYZ", by_mm, strict=True) if mm)
    return (b"G91\n", f"G1{words} F{feed_mm_min:.0f}\n".encode(), b"G90\n", b"M400\n")
