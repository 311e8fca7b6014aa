"""Promises the words of GRBL 1.1h: status, modes, offsets, messages, each just as it prints them.
Never looks anything up: what is to be said comes in.

Source: gnea/grbl `grbl/report.c` (function names beside each), `grbl/config.h` (decimals, refresh
counts, which fields are compiled in), `grbl/grbl.h` (version and build).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hardware_sim.grbl.modal import Modes
from hardware_sim.grbl.numbers import INCH_PER_MM, fixed

BUILD = "20190830"  # grbl.h GRBL_VERSION_BUILD
BANNER = "\r\nGrbl 1.1h ['$' for help]"  # report_init_message
HELP = "[HLP:$$ $# $G $I $N $x=val $Nx=line $J=line $SLP $C $X $H ~ ! ? ctrl-x]"
# report_feedback_message
RESET_TO_CONTINUE = "[MSG:Reset to continue]"
LOCKED = "[MSG:'$H'|'$X' to unlock]"
UNLOCKED = "[MSG:Caution: Unlocked]"
ENABLED, DISABLED = "[MSG:Enabled]", "[MSG:Disabled]"
CHECK_DOOR = "[MSG:Check Door]"
PROGRAM_END = "[MSG:Pgm End]"
RESTORING = "[MSG:Restoring defaults]"
SPINDLE_BACK = "[MSG:Restoring spindle]"
SLEEPING = "[MSG:Sleeping]"

OFFSETS_IDLE, OFFSETS_BUSY = 10, 30  # config.h REPORT_WCO_REFRESH_*_COUNT
OVERRIDES_IDLE, OVERRIDES_BUSY = 10, 20  # config.h REPORT_OVR_REFRESH_*_COUNT


def place(values: Iterable[float], *, inches: bool = False) -> str:
    """report_util_axis_values: three decimals, or four in inches ($13)."""
    if inches:
        return ",".join(fixed(value * INCH_PER_MM, 4) for value in values)
    return ",".join(fixed(value, 3) for value in values)


def rate(value: float, *, inches: bool = False) -> str:
    """printFloat_RateValue: whole mm/min, or tenths of an inch."""
    return fixed(value * INCH_PER_MM, 1) if inches else fixed(value, 0)


def modes(now: Modes, *, inches: bool) -> str:
    """report_gcode_modes, `$G`."""
    parts = [now.motion, now.system, now.plane, now.units, now.distance, now.feed]
    parts += [now.spindle, now.coolant, f"T{now.tool}"]
    parts += [f"F{rate(now.feed_mm_min, inches=inches)}", f"S{fixed(now.speed, 0)}"]
    return f"[GC:{' '.join(parts)}]"


def offsets(
    systems: Mapping[str, Iterable[float]],
    g92: Iterable[float],
    length_mm: float,
    probe: str,
    *,
    inches: bool,
) -> list[str]:
    """report_ngc_parameters, `$#`."""
    rows = [f"[{name}:{place(where, inches=inches)}]" for name, where in systems.items()]
    return [
        *rows,
        f"[G92:{place(g92, inches=inches)}]",
        f"[TLO:{place((length_mm,), inches=inches)}]",
        probe,
    ]


def probe(where: Iterable[float], *, found: bool, inches: bool) -> str:
    """report_probe_parameters."""
    return f"[PRB:{place(where, inches=inches)}:{int(found)}]"


def build(name: str, blocks: int, rx_bytes: int, *, door: bool) -> list[str]:
    """report_build_info, `$I`: V (variable spindle) and, with a door switch, +."""
    options = "V+" if door else "V"
    return [f"[VER:1.1h.{BUILD}:{name}]", f"[OPT:{options},{blocks},{rx_bytes}]"]


@dataclass
class Refresh:
    """When a status report carries WCO and Ov (report_realtime_status): 0 means this time."""

    offsets: int = 0
    overrides: int = 0

    def due(self, *, busy: bool) -> tuple[bool, bool]:
        """Whether this report shows the offsets, and whether it shows the overrides."""
        shows_offsets = self.offsets == 0
        if shows_offsets:
            self.offsets = OFFSETS_BUSY if busy else OFFSETS_IDLE
            self.overrides = max(self.overrides, 1)
        self.offsets -= 1
        shows_overrides = self.overrides == 0
        if shows_overrides:
            self.overrides = OVERRIDES_BUSY if busy else OVERRIDES_IDLE
        self.overrides -= 1
        return shows_offsets, shows_overrides


@dataclass(frozen=True)
class Status:
    """What one `?` is answered with."""

    state: str
    at: tuple[float, ...]
    offset: tuple[float, ...]
    free_blocks: int
    free_bytes: int
    rate_mm_min: float
    spindle: float
    pins: str
    overrides: tuple[int, int, int]
    accessories: str

    def line(self, mask: int, refresh: Refresh, *, inches: bool) -> str:
        """report_realtime_status; `mask` is $10."""
        kind, shown = "MPos", self.at
        if not mask & 1:
            kind = "WPos"
            shown = tuple(a - o for a, o in zip(self.at, self.offset, strict=True))
        parts = [self.state, f"{kind}:{place(shown, inches=inches)}"]
        if mask & 2:
            parts.append(f"Bf:{self.free_blocks},{self.free_bytes}")
        parts.append(f"FS:{rate(self.rate_mm_min, inches=inches)},{fixed(self.spindle, 0)}")
        if self.pins:
            parts.append(f"Pn:{self.pins}")
        busy = self.state.startswith(("Home", "Run", "Hold", "Jog", "Door"))
        shows_offsets, shows_overrides = refresh.due(busy=busy)
        if shows_offsets:
            parts.append(f"WCO:{place(self.offset, inches=inches)}")
        if shows_overrides:
            parts.append("Ov:" + ",".join(map(str, self.overrides)))
            if self.accessories:
                parts.append(f"A:{self.accessories}")
        return f"<{'|'.join(parts)}>"
