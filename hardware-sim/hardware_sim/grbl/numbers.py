"""Promises numbers as GRBL counts and prints them: steps, single precision, cut-off decimals.
Never decides how many decimals a field has.

Source: gnea/grbl `grbl/print.c` printFloat, `grbl/planner.c` plan_buffer_line (lround of steps).
"""

import math
import struct

INCH_PER_MM = 0.0393701  # nuts_bolts.h
_SINGLE = struct.Struct("f")


def fixed(value: float, places: int) -> str:
    """`value` with `places` decimals, by four-byte steps; a negative that rounds to 0 keeps `-`."""
    scaled = single(abs(value))
    for _ in range(places // 2):
        scaled = single(scaled * 100)
    if places % 2:
        scaled = single(scaled * 10)
    whole = int(single(scaled + 0.5))
    digits = str(whole).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if value < 0 else text


def single(value: float) -> float:
    """The nearest number that four bytes can hold."""
    return _SINGLE.unpack(_SINGLE.pack(value))[0]


def on_step(value_mm: float, steps_per_mm: float) -> float:
    """The place in mm of the whole motor step that is nearest to `value_mm`."""
    exact = single(single(value_mm) * single(steps_per_mm))
    steps = math.floor(abs(exact) + 0.5)
    return math.copysign(steps / steps_per_mm, exact) if steps else 0.0
