"""Promises what GRBL's G and M codes do to offsets, motion, spindle and beam.
Never reads bytes; a line that takes time is an iterator of the moments it waits for.

Source: gnea/grbl `grbl/gcode.c` step 4 (order of execution), `grbl/motion_control.c` (mc_line,
mc_arc, mc_probe_cycle), `grbl/planner.c` (junction deviation, step rounding),
`grbl/spindle_control.c` (range of S), `grbl/jog.c`, `grbl/limits.c` (place after homing).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from hardware_sim.gcode import arc_centre
from hardware_sim.grbl import arcs, report
from hardware_sim.grbl.modal import PROBES, GrblError, Line, Modes, read
from hardware_sim.grbl.numbers import on_step
from hardware_sim.grbl.overrides import Overrides
from hardware_sim.grbl.settings import Settings
from hardware_sim.motion import Block, Planner
from hardware_sim.records import Journal

Task = Iterator[float | None]
Place = tuple[float, float, float]
ORIGIN: Place = (0.0, 0.0, 0.0)
SYSTEMS = ("G54", "G55", "G56", "G57", "G58", "G59")
PLANES = {"G17": (0, 1, 2, "I", "J"), "G18": (2, 0, 1, "K", "I"), "G19": (1, 2, 0, "J", "K")}
CUTTING = ("G1", "G2", "G3")
EEPROM_S = 0.02  # a handful of changed bytes at 3.4 ms each (eeprom.c), interrupts off meanwhile
LEAST_FEED_MM_S = 1 / 60  # config.h MINIMUM_FEED_RATE 1 mm/min


class Alarm(Exception):
    """The line ends in an alarm (`ALARM:N`)."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Mover:
    """Modal state, offsets and motion of one GRBL machine, in machine millimetres."""

    def __init__(
        self,
        settings: Settings,
        blocks: int,
        journal: Journal,
        say: Callable[[str], None],
        probe_z_mm: float | None = None,
    ) -> None:
        self._settings, self._journal, self._say = settings, journal, say
        self._probe_z_mm = probe_z_mm
        self.planner = Planner(blocks, self._junction, ORIGIN, 0.0, journal.moves_on)
        self.modes = Modes()
        self.systems: dict[str, Place] = dict.fromkeys((*SYSTEMS, "G28", "G30"), ORIGIN)
        self._g92, self._length = ORIGIN, 0.0
        self._at: Place = ORIGIN
        self._held_since: float | None = None  # stands from this moment
        self._probed: tuple[Place, bool] = (ORIGIN, False)
        self.overrides = Overrides()
        self.refresh = report.Refresh()
        self.jogging = self.checking = self.homed = False
        self.spindle = 0.0  # as it turns, clamped to $30 and $31
        self.flood = False
        self._left_on: float | None = None  # a beam's power when the queued moves have ended
        self.over = True  # no program is under way
        self.wake_s: float | None = None
        self.deaf_until_s = 0.0  # an EEPROM write: bytes that come meanwhile are lost
        self._now_s = 0.0

    # --- state ----------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        return self._held_since is not None

    def standing(self, now_s: float) -> bool:
        """Held, and the braking is over."""
        return self._held_since is not None and now_s >= self._held_since

    def in_motion(self, now_s: float) -> bool:
        """Cutting power now would lose steps: moving, or braking into a hold."""
        if self._held_since is not None:
            return now_s < self._held_since
        return self.planner.waiting > 0

    def position(self, now_s: float) -> Place:
        """Machine position in mm, on whole motor steps."""
        steps = self._settings.axes(100)
        x, y, z = self.planner.position(now_s)
        return on_step(x, steps[0]), on_step(y, steps[1]), on_step(z, steps[2])

    def work_offset(self) -> Place:
        """Machine position minus work position."""
        x, y, z = _plus(self.systems[self.modes.system], self._g92)
        return x, y, z + self._length

    def spindle_now(self) -> float:
        """What the status report calls the spindle: in laser mode each move carries its own.

        stepper.c st_prep_buffer: with M4 it follows the speed, as a share of the one asked for.
        """
        block = self.planner.moving
        if block is None or self.held or not self._settings.on(32):
            return self.spindle
        share = 1.0
        if self.modes.spindle == "M4" and block.power:
            share = self.planner.speed(self._now_s) / block.asked
        return self._within(block.power * share)

    def accessories(self) -> str:
        """S or C while the spindle's PWM is on, F while coolant flows."""
        turning = {"M3": "S", "M4": "C"}.get(self.modes.spindle, "") if self.spindle_now() else ""
        return turning + ("F" if self.flood else "")

    def offset_lines(self) -> list[str]:
        """As `$#` prints them."""
        inches = self._settings.on(13)
        return report.offsets(
            self.systems, self._g92, self._length, self._probe_line(), inches=inches
        )

    def _probe_line(self) -> str:
        where, found = self._probed
        return report.probe(where, found=found, inches=self._settings.on(13))

    def advance(self, now_s: float) -> None:
        """Let time pass."""
        self._now_s = now_s
        self.planner.advance(now_s)
        if self._left_on is not None and not self.planner.waiting:
            self.spindle, self._left_on = self._within(self._left_on), None
        if self.jogging and not self.planner.waiting and not self.held:
            self.jogging = False

    # --- real time ------------------------------------------------------------------------

    def hold(self, now_s: float) -> None:
        """Brake and stand."""
        if self._held_since is None:
            self._held_since = self.planner.hold(now_s)

    def release(self, now_s: float) -> bool:
        """Go on, unless it is still braking."""
        if not self.standing(now_s):
            return False
        self._held_since = None
        self.planner.release(now_s)
        return True

    def cancel_jog(self, now_s: float) -> None:
        """Drop what is left of a jog."""
        self._at = self._stand(now_s)
        self.jogging = False

    def override(self, byte: int) -> None:
        """A feed, rapid or spindle override came in (overrides.py)."""
        before = self.overrides
        self.overrides = before.changed(byte)
        if self.overrides == before:
            return
        self.refresh.overrides = 0
        self.planner.rescale(self._speed)
        if self.overrides.spindle != before.spindle and not self.planner.waiting:
            self.set_spindle(self.modes.spindle, self.modes.speed)

    def toggle_coolant(self) -> None:
        """Flood on or off (0xA0)."""
        self.modes = replace(self.modes, coolant="M9" if self.modes.coolant == "M8" else "M8")
        self.set_coolant(self.modes.coolant)

    def set_coolant(self, mode: str) -> None:
        """coolant_set_state."""
        self.flood = mode == "M8"
        self.refresh.overrides = 0

    def stop(self, now_s: float) -> None:
        """Reset: motion dropped, spindle off, modes, G92 and overrides as after power-up."""
        self._at = self._stand(now_s)
        self._held_since, self.jogging, self.checking, self.over = None, False, False, True
        self.spindle, self.flood, self._left_on = 0.0, False, None
        self.overrides, self.refresh = Overrides(), report.Refresh()
        self.modes, self._g92, self._length = Modes(), ORIGIN, 0.0
        self._probed = (ORIGIN, False)

    def _stand(self, now_s: float) -> Place:
        self.planner.stop(now_s)
        place = self.position(now_s)
        self.planner.settle_at(place)
        return place

    def forget_position(self) -> None:
        """Power was off: wherever the machine stands is now 0."""
        self._at, self.homed = ORIGIN, False
        self.planner.settle_at(ORIGIN)

    def home(self) -> None:
        """limits_go_home: a pull-off away from the switches; $23 says at which end they sit."""
        pull, towards_0 = self._settings[27], int(self._settings[23])
        travel = self._settings.axes(130)
        x, y, z = (pull - travel[axis] if towards_0 >> axis & 1 else -pull for axis in range(3))
        self._at, self.homed = (x, y, z), True
        self.planner.settle_at(self._at)

    def set_spindle(self, mode: str, speed: float) -> None:
        """spindle_set_state and spindle_compute_pwm_value: S within $31 and $30."""
        self.refresh.overrides = 0
        if mode == "M5" or (mode == "M4" and self._settings.on(32)):
            self.spindle = 0.0  # a beam in dynamic mode is dark at rest
        else:
            self.spindle = self._within(speed)

    def _within(self, speed: float) -> float:
        top, least = self._settings[30], self._settings[31]
        wanted = speed * self.overrides.spindle / 100
        if least >= top or wanted >= top:
            return top
        return max(wanted, least) if wanted else 0.0

    # --- lines ------------------------------------------------------------------------------

    def begin(self, raw: str, text: str, now_s: float) -> Task | None:
        """Carry out a cleaned line; raises GrblError before anything happens."""
        self._now_s = now_s
        line, modes = read(text, self.modes)
        goals = self._goals(line, modes)
        line.refuse_unused()
        if self.checking:
            return self._carry_out(line, modes, goals)
        if goals or (modes.spindle != "M5" and modes.speed > 0):
            self._journal.physical(now_s, numbered=False)
            self.over = False
        self._journal.executed(raw, numbered=False)
        if self._quick(line, modes, goals):
            return None
        return self._carry_out(line, modes, goals)

    def _quick(self, line: Line, modes: Modes, goals: list[Place]) -> bool:
        """The common case, one straight move and nothing to wait for, done at once."""
        mine = self.modes
        if (
            len(goals) != 1
            or not line.commands.keys() <= {"motion", "units", "distance", "feed", "plane"}
            or line.serves != "motion"
            or modes.motion not in ("G0", "G1")
            or modes.speed != mine.speed
            or self.planner.full
            or self._settings.on(20)
        ):
            return False
        self.modes = modes
        self._plan(goals[0], rapid=modes.motion == "G0")
        return True

    def _carry_out(self, line: Line, modes: Modes, goals: list[Place]) -> Task:
        yield from self._spindle_and_coolant(line, modes)
        before, once = self.modes, line.commands.get("once")
        if once == "G4" and not self.checking:
            yield from self._dwell(line.values["P"])
        if line.serves == "length" or before.system != modes.system:
            yield from self._still()
            self.refresh.offsets = 0
        self.modes = modes
        if line.serves == "length":
            self._length = line.values.get("Z", 0.0) if modes.length == "G43.1" else 0.0
        if once not in (None, "G4", "G53", "G28", "G30"):
            yield from self._set_offsets(once, line)
        if modes.motion in PROBES and goals:
            yield from self._probe(modes.motion, goals[0])
        else:
            yield from self._move(goals, rapid=once in ("G28", "G30") or modes.motion == "G0")
        if "stopping" in line.commands:
            yield from self._stopping(line.commands["stopping"])

    def _spindle_and_coolant(self, line: Line, modes: Modes) -> Task:
        """Steps [4], [7] and [8]: everything but a laser's power on a move waits for standstill."""
        mine, laser = self.modes, self._settings.on(32)
        cuts = modes.motion in CUTTING
        moving = laser and line.serves == "motion" and bool(line.axes())
        switches = laser and not moving and mine.spindle == "M3"
        forced = switches and cuts != (mine.motion in CUTTING)
        if (mine.speed != modes.speed or forced) and mine.spindle != "M5" and not moving:
            yield from self._still()
            self._spin(mine.spindle, 0.0 if laser and not cuts else modes.speed)
        if mine.spindle != modes.spindle:
            yield from self._still()
            self._spin(modes.spindle, 0.0 if laser and not cuts else modes.speed)
        if mine.coolant != modes.coolant:
            yield from self._still()
            if not self.checking:
                self.set_coolant(modes.coolant)

    def _spin(self, mode: str, speed: float) -> None:
        if not self.checking:
            self.set_spindle(mode, speed)

    def _move(self, goals: list[Place], *, rapid: bool) -> Task:
        for goal in goals:
            self._refuse_beyond(goal)
            if self.checking:
                self._at = goal
                continue
            while self.planner.full:
                yield self.planner.next_end_s()
            self._plan(goal, rapid=rapid)

    def _stopping(self, code: str) -> Task:
        if code == "M1":
            return  # optional stops are not supported: ignored
        yield from self._still()
        if code == "M0":
            if not self.checking:
                self.hold(self._now_s)
                while self.held:
                    yield None
            return
        self.modes = replace(
            self.modes, motion="G1", plane="G17", distance="G90", feed="G94", system="G54",
            spindle="M5", coolant="M9",
        )  # fmt: skip
        self.overrides = Overrides()
        self.refresh.offsets = 0
        self._spin("M5", 0.0)
        self.flood = False
        self._say(report.PROGRAM_END)
        if not self.checking:
            self.over = True
            self._journal.program_over()

    def _still(self) -> Task:
        while self.planner.waiting:
            yield self.planner.next_end_s()

    def _dwell(self, seconds: float) -> Task:
        yield from self._still()
        yield from self._wait(seconds)

    def _wait(self, seconds: float) -> Task:
        until_s = self._now_s + seconds
        self.planner.excuse(seconds)
        while self._now_s < until_s:
            yield until_s

    def _remember(self) -> Task:
        """An EEPROM write: the queue runs empty first, and then the board is deaf for a while."""
        yield from self._still()
        self.deaf_until_s = self._now_s + EEPROM_S
        yield from self._wait(EEPROM_S)

    def _set_offsets(self, code: str, line: Line) -> Task:
        axes = line.axes()
        if code in ("G28.1", "G30.1"):
            yield from self._remember()
            self.systems[code[:3]] = self._at
            return
        if code == "G10":
            yield from self._write_system(line, axes)
            return
        yield from self._still()
        self.refresh.offsets = 0
        if code == "G92":
            base = self.systems[self.modes.system]
            there = {i: self._at[i] - base[i] - v for i, v in axes.items()}
            if 2 in there:
                there[2] -= self._length
            self._g92 = _with(self._g92, there)
        else:
            self._g92 = ORIGIN

    def _write_system(self, line: Line, axes: dict[int, float]) -> Task:
        number = int(line.values.get("P", 0))
        name = SYSTEMS[number - 1] if number else self.modes.system
        if line.values.get("L") == 20:
            axes = {i: self._at[i] - self._g92[i] - v for i, v in axes.items()}
            if 2 in axes:
                axes[2] -= self._length
        yield from self._remember()
        self.systems[name] = _with(self.systems[name], axes)
        if name == self.modes.system:
            self.refresh.offsets = 0

    # --- motion -----------------------------------------------------------------------------

    def _goals(self, line: Line, modes: Modes) -> list[Place]:
        """Where the line goes, as straight pieces."""
        once = line.commands.get("once")
        if once in ("G28", "G30"):
            return self._way_home(line, modes, self.systems[once])
        if line.serves != "motion" or not line.axes():
            return []
        target = self._target(line, modes, machine=once == "G53")
        if modes.motion in ("G2", "G3"):
            return self._arc(line, modes, target)
        if modes.motion in PROBES and target == self._at:
            raise GrblError(33)
        return [target]

    def _way_home(self, line: Line, modes: Modes, stored: Place) -> list[Place]:
        axes = line.axes()
        if not axes:
            return [stored]
        return [self._target(line, modes), _with(self._at, {i: stored[i] for i in axes})]

    def _target(self, line: Line, modes: Modes, *, machine: bool = False) -> Place:
        axes = line.axes()
        if machine:
            return _with(self._at, axes)
        if modes.distance == "G91":
            return _with(self._at, {i: self._at[i] + v for i, v in axes.items()})
        offset = _plus(self.systems[modes.system], self._g92)
        offset = (offset[0], offset[1], offset[2] + self._length)
        return _with(self._at, {i: v + offset[i] for i, v in axes.items()})

    def _arc(self, line: Line, modes: Modes, target: Place) -> list[Place]:
        first, second, third, i_word, j_word = PLANES[modes.plane]
        start, end = (self._at[first], self._at[second]), (target[first], target[second])
        clockwise = modes.motion == "G2"
        if "R" in line.values:
            if target == self._at:
                raise GrblError(33)
            centre = arc_centre(start, end, line.values["R"], clockwise=clockwise)
            if centre is None:
                raise GrblError(34)
        else:
            i, j = line.values.get(i_word, 0.0), line.values.get(j_word, 0.0)
            centre = (start[0] + i, start[1] + j)
            if not arcs.fits(math.dist(start, centre), math.dist(end, centre)):
                raise GrblError(33)
        rise = target[third] - self._at[third]
        places: list[Place] = []
        for share, u, v in arcs.chords(start, end, centre, self._settings[12], clockwise=clockwise):
            w = self._at[third] + rise * share
            places.append(_with(self._at, {first: u, second: v, third: w}))
        return [*places, target]

    def _refuse_beyond(self, place: Place) -> None:
        """limits_soft_check."""
        if self._settings.on(20) and self._beyond(place):
            raise Alarm(2)

    def _beyond(self, place: Place) -> bool:
        travel = self._settings.axes(130)
        return any(v > 0 or v < -limit for v, limit in zip(place, travel, strict=True))

    def hits_switch(self, now_s: float) -> bool:
        """With hard limits on and a known place: the tool has run past the end of an axis."""
        if not (self.homed and self._settings.on(21)):
            return False
        pull = self._settings[27]
        travel = self._settings.axes(130)
        place = self.planner.position(now_s)
        return any(v > pull or v < -top - pull for v, top in zip(place, travel, strict=True))

    def jog(self, text: str, now_s: float) -> Task:
        """`$J=`: move without touching the modes; GrblError 15 beyond the travel."""
        self._now_s = now_s
        line, modes = read(text, self.modes, jog=True)
        machine = line.commands.get("once") == "G53"
        target = self._target(line, modes, machine=machine) if line.axes() else ORIGIN
        if self._settings.on(20) and self._beyond(target):
            raise GrblError(15)
        return self._jog(target, modes.feed_mm_min)

    def _jog(self, target: Place, feed_mm_min: float) -> Task:
        while self.planner.full:
            yield self.planner.next_end_s()
        self._plan(target, rapid=False, feed_mm_min=feed_mm_min)
        self.jogging = self.planner.waiting > 0

    def _plan(self, goal: Place, *, rapid: bool, feed_mm_min: float | None = None) -> None:
        start, self._at = self._at, goal
        dx, dy, dz = goal[0] - start[0], goal[1] - start[1], goal[2] - start[2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length < 1e-6:
            return
        unit = (dx / length, dy / length, dz / length)
        asked = (self.modes.feed_mm_min if feed_mm_min is None else feed_mm_min) / 60
        if self.modes.feed == "G93" and feed_mm_min is None:
            asked *= length
        settings = self._settings.values
        accel = math.inf
        for axis, part in enumerate(unit):
            if part:
                accel = min(accel, settings[120 + axis] / abs(part))
        laser = self._settings.on(32)
        dark = self.modes.spindle == "M5" or (laser and self.modes.motion not in CUTTING)
        power = 0.0 if dark else min(self.modes.speed, self._settings[30])
        block = Block(start, goal, unit, length, 0.0, accel, self._now_s, 0.0, 0.0, asked, rapid,
                      power)  # fmt: skip
        block.speed = self._speed(block)
        if laser:
            self._left_on = 0.0 if dark or self.modes.spindle == "M4" else power
        self.planner.add(block)

    def _speed(self, block: Block) -> float:
        """plan_compute_profile_nominal_speed: overrides, then what each axis can do."""
        settings = self._settings.values
        top = math.inf
        for axis, part in enumerate(block.unit):
            if part:
                top = min(top, settings[110 + axis] / 60 / abs(part))
        if block.rapid:
            return max(top * self.overrides.rapid / 100, LEAST_FEED_MM_S)
        return max(min(block.asked * self.overrides.feed / 100, top), LEAST_FEED_MM_S)

    def _junction(self, before: Block, after: Block) -> float:
        """Junction deviation: v² = a·δ·sin(θ/2) / (1 - sin(θ/2)), θ between the two moves."""
        a, b = before.unit, after.unit
        cosine = -(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])
        slowest = min(before.speed, after.speed)
        if cosine < -0.999999:
            return slowest
        half = math.sqrt(max(0.0, 0.5 * (1 - min(1.0, cosine))))
        accel = min(before.accel, after.accel)
        return min(slowest, math.sqrt(accel * self._settings[11] * half / max(1e-9, 1 - half)))

    # --- probing ----------------------------------------------------------------------------

    def _probe(self, code: str, target: Place) -> Task:
        """mc_probe_cycle: stops where the plate touches; 4 and 5 are its alarms."""
        if self.checking:
            return
        yield from self._still()
        away, lenient = code in ("G38.4", "G38.5"), code in ("G38.3", "G38.5")
        plate = self._probe_z_mm
        touching = plate is not None and self._at[2] <= plate
        if touching != away:
            raise Alarm(4)
        self._refuse_beyond(target)
        stop = self._meets(target, plate)
        self._probed = (self._probed[0], False)
        self._plan(target if stop is None else stop, rapid=False)
        yield from self._still()
        if stop is not None:
            self._probed = (self.position(self._now_s), True)
            self._at = self._probed[0]
            self.planner.settle_at(self._at)
        elif lenient:
            self._probed = (self.position(self._now_s), False)
        self._say_probed(failed=stop is None and not lenient)

    def _say_probed(self, *, failed: bool) -> None:
        if failed:
            raise Alarm(5)
        self._say(self._probe_line())

    def say_probe(self) -> None:
        """The place that the last probing ended at, said after an alarm too."""
        self._say(self._probe_line())

    def _meets(self, target: Place, plate: float | None) -> Place | None:
        low, high = sorted((self._at[2], target[2]))
        if plate is None or not low <= plate <= high or low == high:
            return None
        share = (plate - self._at[2]) / (target[2] - self._at[2])
        x, y = (a + (b - a) * share for a, b in zip(self._at[:2], target[:2], strict=True))
        return x, y, plate


def _with(place: Place, changes: dict[int, float]) -> Place:
    x, y, z = place
    return changes.get(0, x), changes.get(1, y), changes.get(2, z)


def _plus(a: Place, b: Place) -> Place:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
