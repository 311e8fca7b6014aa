"""Where the nozzle waits while a print is paused, and what brings the program's state back.

It reads of a program only what a pause would lose: modes, feed and whether it homed. Marlin's G90
and G91 take the extruder along, so M82 or M83 is said again behind them.
"""

import re
from dataclasses import dataclass
from typing import Final

_FEED: Final = re.compile(rb"F\s*(\d+(?:\.\d*)?)")
_TRAVEL_F: Final = 6000
_LIFT_F: Final = 600


@dataclass(frozen=True)
class Park:
    """The shop's choice, in mm: the place in X and Y, and how far the nozzle lifts before."""

    x_mm: float
    y_mm: float
    lift_mm: float = 5.0


class Parking:
    """Follows the modes of a program line by line; writes the lines of a pause and its end."""

    def __init__(self, park: Park) -> None:
        self._park = park
        self._homed = False
        self._absolute = b"G90"
        self._extruder = b"M82"
        self._feed = b""
        self._asked = False
        self._left: tuple[float, ...] | None = None

    def see(self, command: bytes) -> None:
        if b"F" in command and command[:1] == b"G":
            self._feed = command
        if command[:3] in (b"G90", b"G91"):
            self._absolute = command[:3]
            self._extruder = b"M82" if command[:3] == b"G90" else b"M83"
        elif command[:3] in (b"M82", b"M83"):
            self._extruder = command[:3]
        elif command[:3] == b"G28":
            self._homed = True

    def ask_place(self) -> tuple[bytes, ...]:
        """Nothing before the program homed: its moves would be towards the unknown."""
        self._left, self._asked = None, self._homed
        return (b"M400", b"M114") if self._homed else ()

    def leave(self, place_mm: tuple[float, ...]) -> tuple[bytes, ...]:
        """Up, then away; once for each pause."""
        if not self._asked:
            return ()
        self._asked, self._left = False, place_mm
        park = self._park
        up = b"G1 Z%.3f F%d" % (park.lift_mm, _LIFT_F)
        away = b"G1 X%.3f Y%.3f F%d" % (park.x_mm, park.y_mm, _TRAVEL_F)
        return (b"G91", up, b"G90", away, *self._modes())

    def come_back(self) -> tuple[bytes, ...]:
        if self._left is None:
            return ()
        (x, y, z), self._left = self._left[:3], None
        over = b"G1 X%.3f Y%.3f F%d" % (x, y, _TRAVEL_F)
        down = b"G1 Z%.3f F%d" % (z, _LIFT_F)
        feed = _FEED.search(self._feed)
        return (b"G90", over, down, *self._modes(), *((b"G1 F" + feed[1],) if feed else ()))

    def _modes(self) -> tuple[bytes, ...]:
        return (self._absolute, self._extruder)
