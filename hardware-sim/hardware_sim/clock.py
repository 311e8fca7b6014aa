"""Promises simulated seconds that never run backwards, at a chosen pace against the wall.
Never sleeps: callers ask how long to wait.
"""

import time


class Clock:
    """`speed` simulated seconds per wall second; 0 lets waits be jumped and idles at 1."""

    def __init__(self, speed: float) -> None:
        self.jumps = speed == 0
        self._rate = speed or 1.0
        self._offset_s = 0.0
        self._origin = time.monotonic()

    def now(self) -> float:
        """Simulated seconds since the machine was put together."""
        return self._offset_s + (time.monotonic() - self._origin) * self._rate

    def jump_to(self, sim_s: float) -> None:
        """Skip a wait (only meaningful at speed 0); never goes back."""
        self._offset_s += max(0.0, sim_s - self.now())

    def wall_s_until(self, sim_s: float) -> float:
        """Wall seconds until the simulated moment, at least 0."""
        return max(0.0, (sim_s - self.now()) / self._rate)
