"""Promises the temperature of a first-order heater at any simulated moment, in closed form.
Never steps through time, so a clock that jumps loses nothing.
"""

import math

from hardware_sim.config import Heating


class Heater:
    """Newton heating and cooling: dT/dt = (T_end - T) / tau, held once the target is met."""

    def __init__(self, heating: Heating, ambient_c: float) -> None:
        self.limits = heating
        self.target_c = 0.0
        self._ambient_c = ambient_c
        self._since_s = 0.0
        self._start_c = ambient_c

    def at(self, now_s: float) -> float:
        """Temperature in °C."""
        start, goal = self._start_c, max(self.target_c, self._ambient_c)
        if start == goal:
            return goal
        end = self.limits.reach_c if goal > start else self._ambient_c
        decay = math.exp(-(now_s - self._since_s) / self.limits.tau_s)
        reached = end + (start - end) * decay
        return min(reached, goal) if goal > start else max(reached, goal)

    def aim(self, target_c: float, now_s: float) -> None:
        """Set a new target."""
        self._start_c, self._since_s = self.at(now_s), now_s
        self.target_c = target_c

    def reaches_at(self, within_c: float) -> float:
        """The moment at which the target is met to `within_c`, counted from the last aim."""
        start, goal = self._start_c, max(self.target_c, self._ambient_c)
        if abs(start - goal) <= within_c:
            return self._since_s
        end = self.limits.reach_c if goal > start else self._ambient_c
        near = goal - within_c if goal > start else goal + within_c
        if near >= self.limits.reach_c:
            return math.inf
        return self._since_s + self.limits.tau_s * math.log((start - end) / (near - end))
