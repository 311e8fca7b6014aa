"""Promises the temperature of a first-order heater at any simulated moment, in closed form.
Never steps through time, so a clock that jumps loses nothing.
"""

import math
from typing import Literal, NamedTuple

from hardware_sim.config import Heating

Spoiled = Literal["", "dead", "stuck", "open", "short"]


class Trip(NamedTuple):
    """When the firmware's protection acts, and what it calls that."""

    at_s: float
    why: Literal["heating", "runaway", "maxtemp", "mintemp"]


class Watch(NamedTuple):
    """How long firmware is patient: Configuration_adv.h WATCH_*, THERMAL_PROTECTION_*."""

    heating_s: float
    runaway_s: float
    hysteresis_c: float


HOTEND_WATCH = Watch(40.0, 40.0, 4.0)
BED_WATCH = Watch(60.0, 20.0, 2.0)
OPEN_C, SHORT_C = -14.0, 938.0  # what a 100k thermistor's table says at its ends


class Heater:
    """Newton heating and cooling: dT/dt = (T_end - T) / tau, held once the target is met.

    `dead` gives no heat, `stuck` gives all it can, `open` and `short` are its thermistor's faults.
    """

    def __init__(self, heating: Heating, ambient_c: float, watch: Watch = HOTEND_WATCH) -> None:
        self.limits = heating
        self.target_c = 0.0
        self.spoiled: Spoiled = ""
        self._watch = watch
        self._ambient_c = ambient_c
        self._since_s = 0.0
        self._start_c = ambient_c

    def at(self, now_s: float) -> float:
        """Temperature in °C."""
        start, goal = self._start_c, max(self.target_c, self._ambient_c)
        if self.spoiled in ("dead", "stuck"):
            end = self._ambient_c if self.spoiled == "dead" else self.limits.reach_c
            return end + (start - end) * math.exp(-(now_s - self._since_s) / self.limits.tau_s)
        if start == goal:
            return goal
        end = self.limits.reach_c if goal > start else self._ambient_c
        decay = math.exp(-(now_s - self._since_s) / self.limits.tau_s)
        reached = end + (start - end) * decay
        return min(reached, goal) if goal > start else max(reached, goal)

    def measured(self, now_s: float) -> float:
        """What the thermistor says."""
        if self.spoiled == "open":
            return OPEN_C
        return SHORT_C if self.spoiled == "short" else self.at(now_s)

    def aim(self, target_c: float, now_s: float) -> None:
        """Set a new target."""
        self._start_c, self._since_s = self.at(now_s), now_s
        self.target_c = target_c

    def spoil(self, how: Spoiled, now_s: float) -> None:
        """Something breaks; "" mends it."""
        self._start_c, self._since_s = self.at(now_s), now_s
        self.spoiled = how

    def reaches_at(self, within_c: float) -> float:
        """The moment at which the target is met to `within_c`, counted from the last aim."""
        start, goal = self._start_c, max(self.target_c, self._ambient_c)
        if abs(start - goal) <= within_c:
            return self._since_s
        if self.spoiled:
            return math.inf
        end = self.limits.reach_c if goal > start else self._ambient_c
        near = goal - within_c if goal > start else goal + within_c
        if goal <= self._ambient_c and goal < start:
            near = goal + within_c
        if near >= self.limits.reach_c:
            return math.inf
        return self._since_s + self._passes(end, near)

    def trip(self) -> Trip | None:
        """What the protection will do, as things stand now."""
        if self.spoiled == "short":
            return Trip(self._since_s, "maxtemp")
        if self.spoiled == "open" and self.target_c > 0:
            return Trip(self._since_s, "mintemp")
        if self.spoiled == "stuck" and self.limits.reach_c > self.limits.max_c:
            return Trip(
                self._since_s + self._passes(self.limits.reach_c, self.limits.max_c), "maxtemp"
            )
        if self.spoiled == "dead" and self.target_c > self._ambient_c:
            return self._trip_dead()
        return None

    def _trip_dead(self) -> Trip:
        least = self.target_c - self._watch.hysteresis_c
        if self._start_c < least:
            return Trip(self._since_s + self._watch.heating_s, "heating")
        cools_s = self._passes(self._ambient_c, max(least, self._ambient_c + 0.1))
        return Trip(self._since_s + cools_s + self._watch.runaway_s, "runaway")

    def _passes(self, end_c: float, there_c: float) -> float:
        """Seconds from the start until it is at `there_c` on its way to `end_c`."""
        share = (self._start_c - end_c) / (there_c - end_c)
        return self.limits.tau_s * math.log(share) if share > 1 else 0.0
