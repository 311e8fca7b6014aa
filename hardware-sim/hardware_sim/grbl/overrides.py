"""Promises GRBL's real-time overrides in percent, and what each byte does to them.
Never touches a move: the planner asks for the shares.

Source: gnea/grbl `grbl/config.h` (CMD_FEED_OVR_*, steps and limits), `grbl/protocol.c`
protocol_exec_rt_system.
"""

from dataclasses import dataclass, replace

LEAST, MOST = 10, 200
_FEED = {0x91: 10, 0x92: -10, 0x93: 1, 0x94: -1}
_RAPID = {0x95: 100, 0x96: 50, 0x97: 25}
_SPINDLE = {0x9A: 10, 0x9B: -10, 0x9C: 1, 0x9D: -1}


@dataclass(frozen=True)
class Overrides:
    """Shares in percent."""

    feed: int = 100
    rapid: int = 100
    spindle: int = 100

    def changed(self, byte: int) -> "Overrides":
        """What a real-time byte makes of them; bytes that mean something else change nothing."""
        if byte == 0x90:
            return replace(self, feed=100)
        if byte == 0x99:
            return replace(self, spindle=100)
        if byte in _FEED:
            return replace(self, feed=_within(self.feed + _FEED[byte]))
        if byte in _RAPID:
            return replace(self, rapid=_RAPID[byte])
        if byte in _SPINDLE:
            return replace(self, spindle=_within(self.spindle + _SPINDLE[byte]))
        return self

    def shown(self) -> tuple[int, int, int]:
        """As the status report lists them."""
        return self.feed, self.rapid, self.spindle


def _within(percent: int) -> int:
    return min(MOST, max(LEAST, percent))
