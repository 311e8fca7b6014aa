"""Promises what each Marlin command does to heaters, motion and words.
Never reads bytes; a command that takes time is an iterator of the moments it waits for.
"""

import math
from collections.abc import Callable, Iterator

from hardware_sim.config import MarlinMachine
from hardware_sim.gcode import arc_centre, arc_chords
from hardware_sim.heat import Heater
from hardware_sim.marlin.intake import Command
from hardware_sim.motion import Block, Planner
from hardware_sim.records import Journal

Words = dict[str, float]
Task = Iterator[float | None]  # wakes wanted; None waits for a person
RESIDENCY_S = 10.0
WINDOW_C = 1.0
LONGEST_EXTRUDE_MM = 200.0
FULL_POWER = 127
CAPABILITIES = {
    "SERIAL_XON_XOFF": 0,
    "BINARY_FILE_TRANSFER": 0,
    "EEPROM": 0,
    "VOLUMETRIC": 1,
    "AUTOREPORT_POS": 0,
    "AUTOREPORT_TEMP": 1,
    "PROGRESS": 0,
    "PRINT_JOB": 1,
    "AUTOLEVEL": 0,
    "RUNOUT": 0,
    "Z_PROBE": 0,
    "LEVELING_DATA": 0,
    "BUILD_PERCENT": 0,
    "SOFTWARE_POWER": 0,
    "TOGGLE_LIGHTS": 0,
    "CASE_LIGHT_BRIGHTNESS": 0,
    "PROMPT_SUPPORT": 0,
    "SDCARD": 0,
    "AUTOREPORT_SD_STATUS": 0,
    "THERMAL_PROTECTION": 1,
    "ARCS": 1,
    "BABYSTEPPING": 0,
    "CHAMBER_TEMPERATURE": 0,
}
PHYSICAL = frozenset(("G0", "G1", "G2", "G3", "G28"))
HEATING = frozenset(("M104", "M109", "M140", "M190"))
SILENT = frozenset(
    ("M73", "M75", "M77", "M106", "M107", "M113", "M117", "M300", "M412", "M413", "M900")
)


class Commands:
    """Modal state of one board; `begin` carries a command out or starts it."""

    def __init__(
        self,
        machine: MarlinMachine,
        hotend: Heater,
        bed: Heater,
        journal: Journal,
        say: Callable[[str], None],
    ) -> None:
        self._machine = machine
        self._hotend, self._bed = hotend, bed
        self._journal, self._say = journal, say
        self._jerk = list(machine.motion.jerk_mm_s)
        self._max_feed = list(machine.motion.max_feed_mm_s)
        self._max_accel = list(machine.motion.max_accel_mm_s2)
        self._accel = machine.motion.accel_mm_s2
        self._retract_accel = machine.motion.retract_accel_mm_s2
        self._travel_accel = machine.motion.travel_accel_mm_s2
        self.planner = Planner(machine.planner_blocks, self._junction, (0.0, 0.0, 0.0, 0.0))
        self._at = [0.0, 0.0, 0.0, 0.0]
        self._offset = [0.0, 0.0, 0.0]  # G92: what the program says minus where the machine is
        self._homed = [False, False, False]
        self._feed_mm_s = 25.0
        self._feed_share = 1.0
        self._flow = 1.0
        self._unit_mm = 1.0
        self._relative = False
        self._relative_e = False
        self._endstops = True
        self._was_hot = False
        self._report_every_s = 0.0
        self.next_report_s: float | None = None
        self.heating_wanted = False
        self.user_wanted = False
        self.wake_s: float | None = None
        self.now_s = 0.0
        self._answer = ""
        self._jammed = False
        self._handlers = self._table()

    def _table(self) -> dict[str, Callable[[Words], Task | None]]:
        return {
            "G2": lambda w: self._arc(w, clockwise=True),
            "G3": lambda w: self._arc(w, clockwise=False),
            "G4": self._dwell,
            "G17": self._nothing,
            "G20": lambda _: self._set_unit(25.4),
            "G21": lambda _: self._set_unit(1.0),
            "G28": self._home,
            "G90": lambda _: self._set_relative(relative=False),
            "G91": lambda _: self._set_relative(relative=True),
            "G92": self._set_position,
            "M0": self._wait_for_user,
            "M1": self._wait_for_user,
            "M17": self._nothing,
            "M18": self._motors_off,
            "M82": lambda _: self._set_relative_e(relative=False),
            "M83": lambda _: self._set_relative_e(relative=True),
            "M84": self._motors_off,
            "M104": lambda w: self._heat(self._hotend, w, wait=False),
            "M105": self._answer_temperatures,
            "M108": self._nothing,
            "M109": lambda w: self._heat(self._hotend, w, wait=True),
            "M114": self._say_position,
            "M115": self._identify,
            "M119": self._say_endstops,
            "M140": lambda w: self._heat(self._bed, w, wait=False),
            "M155": self._auto_report,
            "M190": lambda w: self._heat(self._bed, w, wait=True),
            "M201": lambda w: self._limits(self._max_accel, w),
            "M203": lambda w: self._limits(self._max_feed, w),
            "M204": self._accelerations,
            "M205": lambda w: self._limits(self._jerk, w),
            "M211": self._set_endstops,
            "M220": self._set_feed_share,
            "M221": self._set_flow,
            "M400": self._finish_moves,
            "M410": self._nothing,
            "M503": self._say_settings,
        }

    # --- door ------------------------------------------------------------------------------

    def begin(self, command: Command, now_s: float) -> Task | None:
        """Carry out a command; an iterator comes back if it takes time."""
        self.now_s = now_s
        text = command.text
        code, words = _parse(text)
        if code == "M110":
            self._journal.renumbered()
            return None
        if code in PHYSICAL or (code in HEATING and (words.get("S") or words.get("R"))):
            self._journal.physical(now_s, numbered=command.number is not None)
        self._journal.executed(text, numbered=command.number is not None)
        if self._jammed:
            return self._after_user(code, text, words)
        return self._carry_out(code, text, words)

    def _carry_out(self, code: str, text: str, words: Words) -> Task | None:
        if code in ("G1", "G0"):
            return self._move(words)
        if code in SILENT:
            return None
        handler = self._handlers.get(code)
        if handler is not None:
            return handler(words)
        if text:
            self._unknown(text, code)
        return None

    def _after_user(self, code: str, text: str, words: Words) -> Task:
        self._jammed = False
        self._say("//action:paused filament_runout")
        yield from self._wait_for_user({})
        self._say("//action:resumed")
        task = self._carry_out(code, text, words)
        if task is not None:
            yield from task

    def _unknown(self, text: str, code: str) -> None:
        if code[:1] == "T" and code[1:].isdigit():
            if int(code[1:]) > 0:
                self._say(f"echo:{code} Invalid extruder")
        elif code == "M118":
            self._say(text[4:].strip())
        else:
            self._say(f'echo:Unknown command: "{text}"')

    def take_answer(self) -> str:
        """What goes on the `ok` line itself (M105)."""
        answer, self._answer = self._answer, ""
        return answer

    # --- motion ----------------------------------------------------------------------------

    def _junction(self, before: Block, after: Block) -> float:
        """Classic jerk: the speed at which no axis changes by more than its jerk."""
        speed = min(before.speed, after.speed)
        for old, new, jerk in zip(before.unit, after.unit, self._jerk, strict=True):
            step = abs(new - old)
            if step * speed > jerk:
                speed = jerk / step
        return speed

    def _goal(self, words: Words) -> list[float]:
        goal = list(self._at)
        unit = self._unit_mm
        for axis, letter in enumerate("XYZ"):
            value = words.get(letter)
            if value is not None:
                value *= unit
                goal[axis] = goal[axis] + value if self._relative else value - self._offset[axis]
        value = words.get("E")
        if value is not None:
            value *= unit
            goal[3] = goal[3] + value if self._relative_e else value
        if self._endstops:
            self._clamp(goal)
        feed = words.get("F")
        if feed is not None and feed > 0:
            self._feed_mm_s = feed * unit / 60
        return goal

    def _clamp(self, goal: list[float]) -> None:
        size = self._machine.size_mm
        for axis in (0, 1, 2):
            if self._homed[axis]:
                goal[axis] = min(max(goal[axis], 0.0), size[axis])

    def _move(self, words: Words) -> Task | None:
        goal = self._goal(words)
        if self.planner.full:
            return self._moves([goal])
        self._plan(goal)
        return None

    def _moves(self, goals: list[list[float]]) -> Task:
        for goal in goals:
            while self.planner.full:
                yield self.planner.next_end_s()
                self.planner.advance(self.now_s)
            self._plan(goal)

    def _plan(self, goal: list[float]) -> None:
        at = self._at
        pushed = goal[3] - at[3]
        if pushed:
            pushed = self._extrusion(pushed)
        delta = (goal[0] - at[0], goal[1] - at[1], goal[2] - at[2], pushed)
        start = (at[0], at[1], at[2], at[3])
        self._at = goal
        travel = math.sqrt(delta[0] * delta[0] + delta[1] * delta[1] + delta[2] * delta[2])
        length = travel or abs(pushed)
        if length < 1e-6:
            return
        unit = (delta[0] / length, delta[1] / length, delta[2] / length, pushed / length)
        accel = self._accel if pushed and travel else self._travel_accel
        accel = accel if travel else self._retract_accel
        speed = self._feed_mm_s * self._feed_share
        for part, top_speed, top_accel in zip(unit, self._max_feed, self._max_accel, strict=True):
            share = abs(part)
            if share * speed > top_speed:
                speed = top_speed / share
            if share * accel > top_accel:
                accel = top_accel / share
        end = (goal[0], goal[1], goal[2], goal[3])
        self.planner.add(Block(start, end, unit, length, speed, accel, self.now_s))

    def _extrusion(self, pushed: float) -> float:
        """What really leaves for the extruder: nothing when cold or absurdly long."""
        if self._hotend.at(self.now_s) < self._machine.extrude_min_c:
            self._say("echo: cold extrusion prevented")
            return 0.0
        if abs(pushed) > LONGEST_EXTRUDE_MM:
            self._say("echo: too long extrusion prevented")
            return 0.0
        return pushed * self._flow if pushed > 0 else pushed

    def _arc(self, words: Words, *, clockwise: bool) -> Task | None:
        start = (self._at[0], self._at[1])
        begin = list(self._at)
        goal = self._goal(words)
        end = (goal[0], goal[1])
        if "R" in words:
            centre = arc_centre(start, end, words["R"] * self._unit_mm, clockwise=clockwise)
        else:
            unit = self._unit_mm
            centre = (start[0] + words.get("I", 0) * unit, start[1] + words.get("J", 0) * unit)
        if centre is None or centre == start:
            self._say("Error:G2/G3 bad parameters")
            return None
        goals = [
            [x, y, *(begin[i] + (goal[i] - begin[i]) * share for i in (2, 3))]
            for share, x, y in arc_chords(start, end, centre, clockwise=clockwise, chord_mm=0.02)
        ]
        return self._moves(goals)

    def _still(self) -> Task:
        while self.planner.waiting:
            self.planner.advance(self.now_s, flush=True)
            if not self.planner.waiting:
                return
            yield self.planner.next_end_s()

    def _until(self, moment_s: float) -> Task:
        while self.now_s < moment_s:
            yield moment_s

    def _dwell(self, words: Words) -> Task:
        yield from self._still()
        yield from self._until(self.now_s + words.get("S", 0.0) + words.get("P", 0.0) / 1000)

    def _home(self, words: Words) -> Task:
        yield from self._still()
        axes = [i for i, letter in enumerate("XYZ") if letter in words] or [0, 1, 2]
        speeds = self._machine.motion.homing_mm_s
        took_s = sum(abs(self._at[i]) / speeds[i] + 10.0 / speeds[i] for i in axes)
        yield from self._until(self.now_s + took_s)
        for axis in axes:
            self._at[axis], self._offset[axis], self._homed[axis] = 0.0, 0.0, True
        self.planner.settle_at(self._at)

    def _finish_moves(self, _words: Words) -> Task:
        yield from self._still()
        self._maybe_over()

    def _set_position(self, words: Words) -> Task:
        yield from self._still()
        for axis, letter in enumerate("XYZ"):
            if letter in words:
                self._offset[axis] = words[letter] * self._unit_mm - self._at[axis]
        if "E" in words:
            self._at[3] = words["E"] * self._unit_mm
        self.planner.settle_at(self._at)

    def _motors_off(self, words: Words) -> Task:
        yield from self._still()
        if not words:
            self._homed = [False, False, False]
            self._maybe_over()

    def _maybe_over(self) -> None:
        if self._was_hot and self._hotend.target_c == 0 and self._bed.target_c == 0:
            self._was_hot = False
            self._journal.program_over()

    def quick_stop(self, now_s: float) -> None:
        """M410: drop all moves; the position is no longer known."""
        where = self.planner.stop(now_s)
        self._at = list(where)

    # --- heat ------------------------------------------------------------------------------

    def _aim(self, heater: Heater, target_c: float) -> None:
        # Marlin never lets a target come nearer than 15 °C to the cut-out (10 °C for a bed)
        margin = 15.0 if heater is self._hotend else 10.0
        heater.aim(min(max(0.0, target_c), heater.limits.max_c - margin), self.now_s)
        self._was_hot = self._was_hot or heater.target_c > 0

    def _heat(self, heater: Heater, words: Words, *, wait: bool) -> Task | None:
        target = words.get("S", words.get("R"))
        if target is None:
            return None
        self._aim(heater, target)
        cooling = heater.at(self.now_s) > heater.target_c
        if not wait or (cooling and "R" not in words):
            return None
        return self._heat_wait(heater)

    def _heat_wait(self, heater: Heater) -> Task:
        self.heating_wanted = True
        done_s = heater.reaches_at(WINDOW_C)
        done_s = done_s + RESIDENCY_S if done_s > self.now_s else self.now_s
        next_s = self.now_s + 1.0
        while self.now_s < done_s and self.heating_wanted:
            if self.now_s >= next_s:
                left = done_s - self.now_s
                word = f"{left:.0f}" if left <= RESIDENCY_S else "?"
                self._say(f"{self.temperatures()} W:{word}")
                next_s = self.now_s + 1.0
            yield min(done_s, next_s)
        self.heating_wanted = False

    def temperatures(self) -> str:
        """One report as M105 and M155 give it, with its leading space."""
        words: list[str] = []
        power: list[str] = []
        for name, heater in (("T", self._hotend), ("B", self._bed)):
            now_c = heater.at(self.now_s)
            words.append(f" {name}:{now_c:.2f} /{heater.target_c:.2f}")
            duty = FULL_POWER if now_c < heater.target_c - 0.5 else 0
            power.append(f" {'' if name == 'T' else name}@:{duty}")
        return "".join(words + power)

    def report(self, now_s: float) -> None:
        """Send the automatic temperature report if it is due (M155)."""
        if self.next_report_s is not None and now_s >= self.next_report_s:
            self.now_s = now_s
            self._say(self.temperatures())
            self.next_report_s = now_s + self._report_every_s

    def _auto_report(self, words: Words) -> None:
        asked_s = min(60.0, max(0.0, words.get("S", 0.0)))
        self._report_every_s = asked_s and max(asked_s, self._machine.unasked_min_s)
        self.next_report_s = self.now_s + self._report_every_s if self._report_every_s else None

    def _answer_temperatures(self, _words: Words) -> None:
        self._answer = self.temperatures()

    # --- words -----------------------------------------------------------------------------

    def _identify(self, _words: Words) -> None:
        self._say(
            "FIRMWARE_NAME:Marlin 2.1.2.1 (simulated)"
            " SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin"
            f" PROTOCOL_VERSION:1.0 MACHINE_TYPE:{self._machine.name} EXTRUDER_COUNT:1"
            " UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff"
        )
        for name, value in CAPABILITIES.items():
            self._say(f"Cap:{name}:{value}")
        self._say(f"Cap:EMERGENCY_PARSER:{int(self._machine.emergency_parser)}")
        self._say("Cap:HOST_ACTION_COMMANDS:0")

    def _say_position(self, _words: Words) -> None:
        x, y, z = (self._at[i] + self._offset[i] for i in (0, 1, 2))
        count = self.planner.position(self.now_s)
        self._say(
            f"X:{x:.2f} Y:{y:.2f} Z:{z:.2f} E:{self._at[3]:.2f}"
            f" Count X:{count[0] * 80:.0f} Y:{count[1] * 80:.0f} Z:{count[2] * 400:.0f}"
        )

    def _say_endstops(self, _words: Words) -> None:
        self._say("Reporting endstop status")
        for axis, letter in enumerate("xyz"):
            touched = self._homed[axis] and self._at[axis] <= 0
            self._say(f"{letter}_min: {'TRIGGERED' if touched else 'open'}")

    def _say_settings(self, _words: Words) -> None:
        for code, values in (("M203", self._max_feed), ("M201", self._max_accel)):
            pairs = " ".join(f"{a}{v:.2f}" for a, v in zip("XYZE", values, strict=True))
            self._say(f"echo:  {code} {pairs}")
        self._say(
            f"echo:  M204 P{self._accel:.2f} R{self._retract_accel:.2f} T{self._travel_accel:.2f}"
        )

    def _wait_for_user(self, words: Words) -> Task:
        yield from self._still()
        self.user_wanted = True
        limit_s = self.now_s + words.get("S", 0.0) + words.get("P", 0.0) / 1000
        timed = limit_s > self.now_s
        while self.user_wanted and not (timed and self.now_s >= limit_s):
            yield limit_s if timed else None
        self.user_wanted = False

    def pause_for_user(self) -> None:
        """The next command finds the printer waiting for a person."""
        self._jammed = True

    # --- settings --------------------------------------------------------------------------

    def _limits(self, values: list[float], words: Words, letters: str = "XYZE") -> None:
        for axis, letter in enumerate(letters):
            if letter in words and words[letter] > 0:
                values[axis] = words[letter]

    def _accelerations(self, words: Words) -> None:
        self._accel = words.get("P", words.get("S", self._accel)) or self._accel
        self._retract_accel = words.get("R", self._retract_accel) or self._retract_accel
        travel = words.get("T", words.get("S", self._travel_accel))
        self._travel_accel = travel or self._travel_accel

    def _set_relative(self, *, relative: bool) -> None:
        self._relative = self._relative_e = relative

    def _set_relative_e(self, *, relative: bool) -> None:
        self._relative_e = relative

    def _set_unit(self, unit_mm: float) -> None:
        self._unit_mm = unit_mm

    def _set_endstops(self, words: Words) -> None:
        self._endstops = bool(words.get("S", 1.0))

    def _set_feed_share(self, words: Words) -> None:
        self._feed_share = words.get("S", self._feed_share * 100) / 100 or self._feed_share

    def _set_flow(self, words: Words) -> None:
        self._flow = words.get("S", self._flow * 100) / 100

    def _nothing(self, _words: Words) -> None:
        """Accepted, without effect here."""


def _parse(text: str) -> tuple[str, Words]:
    """Code (`G1`) and words of a command; words without a number count as 0."""
    parts = text.split()
    if not parts:
        return "", {}
    words: Words = {}
    head = parts[0]
    if not head[1:].isdigit():
        return _parse_packed(text)
    try:
        for part in parts[1:]:
            words[part[0]] = float(part[1:]) if len(part) > 1 else 0.0
    except ValueError:
        return head, words  # free text (M117, M118)
    return head, words


def _parse_packed(text: str) -> tuple[str, Words]:
    """The slow way, for `G1X10Y20` and `M104.0S200`."""
    spaced = "".join(f" {c}" if c.isalpha() else c for c in text.replace(" ", ""))
    head, *rest = spaced.split() or [""]
    words: Words = {}
    for part in rest:
        try:
            words[part[0]] = float(part[1:] or 0)
        except ValueError:
            continue
    return head, words
