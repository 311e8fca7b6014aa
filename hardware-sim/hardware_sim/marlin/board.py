"""Promises the state that Marlin's commands share: machine, heaters, place, planner, words to say.
Never reads a byte and never decides which command comes next.

Source: MarlinFirmware/Marlin `Marlin/src/module/planner.cpp` (limits, cold and long extrusion,
junctions; a ring of 16 holds 15 moves, get_current_block waits for a third or for 100 ms),
`Marlin/src/module/motion.cpp` (apply_motion_limits: an axis is clamped once it has been homed,
motors off or not), `Marlin/src/module/temperature.cpp` (print_heater_states) and `temperature.h`
(tooCold: whole degrees, TEMP_WINDOW below the limit), `gcode.cpp` get_target_extruder_from_command.
"""

import math
from collections.abc import Callable, Iterator

from hardware_sim.config import MarlinMachine
from hardware_sim.heat import Heater
from hardware_sim.marlin.timer import Stopwatch
from hardware_sim.motion import Block, Planner
from hardware_sim.records import Journal

Task = Iterator[float | None]  # wakes wanted; None waits for a person
FULL_POWER = 127
WINDOW_C = 1  # TEMP_WINDOW
MOVES_TO_START = 3
DEBUG_ECHO, DEBUG_DRYRUN = 1, 8
FEED_AT_START_MM_S = 25.0  # motion.cpp feedrate_mm_s, 1500 mm/min
SPOKEN_AXES = "XYZE"


class Board:
    """One board; times in simulated seconds, lengths in machine millimetres."""

    def __init__(
        self,
        machine: MarlinMachine,
        hotend: Heater,
        bed: Heater,
        journal: Journal,
        say: Callable[[str], None],
    ) -> None:
        self.machine, self.hotend, self.bed = machine, hotend, bed
        self.journal, self.say = journal, say
        self.planner = Planner(
            machine.planner_blocks - 1,
            self._junction,
            (0.0,) * 4,
            dry=journal.moves_on,
            enough=MOVES_TO_START,
        )
        self.now_s = 0.0
        self.busy_s = machine.busy_s
        self.heating_wanted = self.user_wanted = False
        self.quick_stops = 0
        self.timer = Stopwatch()
        self.debug = 0  # M111
        self.was_hot = False
        self.answer = ""  # instead of a bare ok (M105)
        self.mute = False  # M105 with a wrong tool: not even an ok
        self.asks_again = False  # M999 flushes and asks for the next line
        self.card: list[str] = []  # what is left of the file that prints from the card
        self.card_bytes = 0
        self.card_paused = False
        self.temperatures_every_s = self.position_every_s = 0.0
        self.next_temperatures_s: float | None = None
        self.next_position_s: float | None = None
        self._begin(machine)

    def _begin(self, machine: MarlinMachine) -> None:
        """Where it stands and what counts at power-up."""
        self.at = [0.0, 0.0, 0.0, 0.0]
        self.shift = [0.0, 0.0, 0.0]  # G92: what the program says minus where the machine is
        self.home_offset = [0.0, 0.0, 0.0]
        self.homed = [False, False, False]
        self.feed_mm_s, self.feed_percent = FEED_AT_START_MM_S, 100
        self.feed_percent_kept = 100
        self.flow_percent = 100
        self.unit_mm = 1.0
        self.relative = self.relative_e = False
        self.soft_endstops = True
        self.extrude_min_c, self.cold_allowed = machine.extrude_min_c, False
        self.restore_settings()

    def restore_settings(self) -> None:
        """What the firmware was compiled with (M502)."""
        motion = self.machine.motion
        self.steps_per_mm = list(motion.steps_per_mm)
        self.jerk = list(motion.jerk_mm_s)
        self.junction_mm = motion.junction_mm
        self.max_feed = list(motion.max_feed_mm_s)
        self.max_accel = list(motion.max_accel_mm_s2)
        self.accel = motion.accel_mm_s2
        self.retract_accel = motion.retract_accel_mm_s2
        self.travel_accel = motion.travel_accel_mm_s2
        self.pid = [22.2, 1.08, 114.0]
        self.filament_mm = self.machine.filament_mm
        self.volumetric = False
        self.home_offset = [0.0, 0.0, 0.0]

    def has(self, feature: str) -> bool:
        """An optional command that this firmware was compiled with."""
        return feature in self.machine.features

    # --- waiting ---------------------------------------------------------------------------

    def still(self) -> Task:
        """Until every queued move is over (planner.synchronize)."""
        while self.planner.waiting:
            self.planner.advance(self.now_s, flush=True)
            if not self.planner.waiting:
                return
            yield self.planner.next_end_s()

    def until(self, moment_s: float) -> Task:
        """A wait that the program asked for."""
        if math.isfinite(moment_s):
            self.planner.excuse(max(0.0, moment_s - self.now_s))
        while self.now_s < moment_s:
            yield moment_s

    def over(self) -> None:
        """The program may be over: it said M84 or M400, and everything is cold."""
        if self.was_hot and self.hotend.target_c <= 0 and self.bed.target_c <= 0:
            self.was_hot = False
            self.journal.program_over()

    def quick_stop(self, now_s: float) -> None:
        """M410: drop all moves; where the tool stands is where it is said to be."""
        self.at = list(self.planner.stop(now_s))
        self.quick_stops += 1

    # --- motion ------------------------------------------------------------------------------

    def _junction(self, before: Block, after: Block) -> float:
        """The speed for a corner: classic jerk, or junction deviation where that is set."""
        if self.junction_mm is not None:
            return self._deviation(before, after, self.junction_mm)
        speed = min(before.speed, after.speed)
        for old, new, jerk in zip(before.unit, after.unit, self.jerk, strict=True):
            step = abs(new - old)
            if step * speed > jerk:
                speed = jerk / step
        return speed

    def _deviation(self, before: Block, after: Block, junction_mm: float) -> float:
        """v² = a·δ·sin(θ/2) / (1 - sin(θ/2)), θ between the two moves (planner.cpp)."""
        cosine = -sum(a * b for a, b in zip(before.unit, after.unit, strict=True))
        slowest = min(before.speed, after.speed)
        if cosine < -0.999999:
            return slowest
        half = math.sqrt(max(0.0, 0.5 * (1 - min(1.0, cosine))))
        accel = min(before.accel, after.accel)
        return min(slowest, math.sqrt(accel * junction_mm * half / max(1e-9, 1 - half)))

    def clamp(self, goal: list[float]) -> None:
        """Soft endstops (M211)."""
        size = self.machine.size_mm
        for axis in (0, 1, 2):
            if self.homed[axis]:
                goal[axis] = min(max(goal[axis], 0.0), size[axis])

    def plan(self, goal: list[float]) -> None:
        """Queue a straight move; the caller has seen that there is room."""
        at = self.at
        self.at = goal
        pushed = goal[3] - at[3]
        if pushed:
            pushed = self._extrusion(pushed)
        dx, dy, dz = goal[0] - at[0], goal[1] - at[1], goal[2] - at[2]
        travel = math.sqrt(dx * dx + dy * dy + dz * dz)
        length = travel or abs(pushed)
        if length < 1e-6:
            return
        unit = (dx / length, dy / length, dz / length, pushed / length)
        accel = self.accel if pushed else self.travel_accel
        if not travel:
            accel = self.retract_accel
        speed = self.feed_mm_s * self.feed_percent / 100
        for part, top_speed, top_accel in zip(unit, self.max_feed, self.max_accel, strict=True):
            share = abs(part)
            if share * speed > top_speed:
                speed = top_speed / share
            if share * accel > top_accel:
                accel = top_accel / share
        start, end = (at[0], at[1], at[2], at[3]), (goal[0], goal[1], goal[2], goal[3])
        self.planner.add(Block(start, end, unit, length, speed, accel, self.now_s))

    def _extrusion(self, pushed: float) -> float:
        """What really leaves for the extruder: nothing when cold or absurdly long."""
        if self.debug & DEBUG_DRYRUN:
            return 0.0
        whole_c = int(self.hotend.measured(self.now_s) + 0.5)
        if whole_c < self.extrude_min_c - WINDOW_C and not self.cold_allowed:
            self.say("echo: cold extrusion prevented")
            return 0.0
        if abs(pushed) > self.machine.extrude_max_mm:
            self.say("echo: too long extrusion prevented")
            return 0.0
        return pushed * self.flow_percent / 100

    def logical(self, axis: int) -> float:
        """What the program calls the place of an axis."""
        return self.at[axis] + self.shift[axis] + self.home_offset[axis]

    def say_position(self, *, reached: bool = False) -> None:
        """report_current_position_projected: planned place and steps; `reached` (G28, G92): the
        steps of the motors as they stand.
        """
        x, y, z = (self.logical(axis) for axis in (0, 1, 2))
        there = self.planner.position(self.now_s) if reached else self.at
        steps = [round(there[i] * self.steps_per_mm[i]) for i in (0, 1, 2)]
        self.say(
            f"X:{x:.2f} Y:{y:.2f} Z:{z:.2f} E:{self.at[3]:.2f}"
            f" Count X:{steps[0]} Y:{steps[1]} Z:{steps[2]}"
        )

    def knows_tool(self, number: float | None, what: str) -> bool:
        """False where T names a tool that is not there; only numbers up to 127 are told."""
        tool = 0 if number is None else min(255, max(0, int(number)))
        if 0 < tool < 0x80:
            self.say(f"echo:{what} Invalid extruder {tool}")
        return tool == 0

    # --- heat --------------------------------------------------------------------------------

    def temperatures(self) -> str:
        """One report as M105 and M155 give it, with its leading space."""
        shown: list[str] = []
        power: list[str] = []
        for name, heater in (("T", self.hotend), ("B", self.bed)):
            now_c = heater.measured(self.now_s)
            shown.append(f" {name}:{now_c:.2f} /{heater.target_c:.2f}")
            duty = FULL_POWER if now_c < heater.target_c - 0.5 else 0
            power.append(f" {'' if name == 'T' else name}@:{duty}")
        return "".join(shown + power)

    def report(self, now_s: float, least_s: float) -> None:
        """The automatic reports that are due (M155, M154); `least_s` apart on the host's side."""
        if self.next_temperatures_s is not None and now_s >= self.next_temperatures_s:
            self.now_s = now_s
            self.say(self.temperatures())
            self.next_temperatures_s = now_s + max(self.temperatures_every_s, least_s)
        if self.next_position_s is not None and now_s >= self.next_position_s:
            self.say_position()
            self.next_position_s = now_s + max(self.position_every_s, least_s)
