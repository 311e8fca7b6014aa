"""Promises what GRBL's G and M codes do to offsets, motion, spindle and beam.
Never reads bytes; a line that takes time is an iterator of the moments it waits for.

Source: GRBL 1.1 `gcode.c` (order of execution), `planner.c` (junction deviation).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from hardware_sim.gcode import arc_centre, arc_chords
from hardware_sim.grbl.modal import GrblError, Line, Modes
from hardware_sim.grbl.settings import Settings
from hardware_sim.motion import Block, Planner
from hardware_sim.records import Journal

Task = Iterator[float | None]
Place = tuple[float, float, float]
ORIGIN: Place = (0.0, 0.0, 0.0)
SYSTEMS = ("G54", "G55", "G56", "G57", "G58", "G59")
PLANES = {"G17": (0, 1, 2, "I", "J"), "G18": (2, 0, 1, "K", "I"), "G19": (1, 2, 0, "J", "K")}
SOFT_LIMIT = GrblError(0)  # becomes ALARM:2, not an error number
MAX_FEED_SHARE, MIN_FEED_SHARE = 200, 10


class Mover:
    """Modal state, offsets and motion of one GRBL machine, in machine millimetres."""

    def __init__(
        self, settings: Settings, blocks: int, journal: Journal, say: Callable[[str], None]
    ) -> None:
        self._settings, self._journal, self._say = settings, journal, say
        self.planner = Planner(blocks, self._junction, ORIGIN, first_delay_s=0.0)
        self.modes = Modes()
        self._systems: dict[str, Place] = dict.fromkeys((*SYSTEMS, "G28", "G30"), ORIGIN)
        self._g92 = ORIGIN
        self._at: Place = ORIGIN
        self._jogging = False
        self._held_since: tuple[float, bool] | None = None  # stands from this moment; door open?
        self.spindle_speed = 0.0
        self.feed_percent = 100
        self.over = True  # no program is under way
        self.wake_s: float | None = None
        self._now_s = 0.0

    # --- state ----------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        return self._held_since is not None

    def in_motion(self, now_s: float) -> bool:
        """Cutting power now would lose steps: moving, or braking into a hold."""
        if self._held_since is not None:
            return now_s < self._held_since[0]
        return self.planner.waiting > 0

    def state(self, now_s: float) -> str:
        """As the status report names it."""
        if self._held_since is not None:
            stands_s, door = self._held_since
            return f"{'Door' if door else 'Hold'}:{int(now_s < stands_s)}"
        if self.planner.waiting:
            return "Jog" if self._jogging else "Run"
        return "Idle"

    def position(self, now_s: float) -> Place:
        """Machine position in mm."""
        x, y, z = self.planner.position(now_s)
        return x, y, z

    def work_offset(self) -> Place:
        """Machine position minus work position."""
        return _plus(self._systems[self.modes.system], self._g92)

    def offset_lines(self) -> list[str]:
        """As `$#` prints them."""
        rows = [f"[{name}:{_words(place)}]" for name, place in self._systems.items()]
        return [*rows, f"[G92:{_words(self._g92)}]", "[TLO:0.000]", "[PRB:0.000,0.000,0.000:0]"]

    def advance(self, now_s: float) -> None:
        """Let time pass."""
        self._now_s = now_s
        self.planner.advance(now_s)
        if self._jogging and not self.planner.waiting:
            self._jogging = False

    # --- real time ------------------------------------------------------------------------

    def hold(self, now_s: float, *, door: bool = False) -> None:
        """Brake and stand; an open door also stops the spindle."""
        if self._held_since is None:
            self._held_since = (self.planner.hold(now_s), door)
        elif door:
            self._held_since = (self._held_since[0], True)

    def release(self, now_s: float) -> None:
        """Cycle start: go on, unless it is still braking."""
        if self._held_since is not None and now_s >= self._held_since[0]:
            self._held_since = None
            self.planner.release(now_s)

    def cancel_jog(self, now_s: float) -> None:
        """Drop what is left of a jog."""
        if self._jogging:
            self._at = self._stand(now_s)
            self._jogging = False

    def override(self, byte: int) -> None:
        """Feed override bytes; the others change nothing here."""
        step = {0x91: 10, 0x92: -10, 0x93: 1, 0x94: -1}.get(byte)
        if byte == 0x90:
            self.feed_percent = 100
        elif step is not None:
            wanted = self.feed_percent + step
            self.feed_percent = min(MAX_FEED_SHARE, max(MIN_FEED_SHARE, wanted))

    def stop(self, now_s: float) -> None:
        """Reset: motion dropped, spindle off, modes and G92 as after power-up."""
        self._at = self._stand(now_s)
        self._held_since, self._jogging, self.over = None, False, True
        self.spindle_speed, self.feed_percent = 0.0, 100
        self.modes, self._g92 = Modes(), ORIGIN

    def _stand(self, now_s: float) -> Place:
        x, y, z = self.planner.stop(now_s)
        return x, y, z

    def forget_position(self) -> None:
        """Power was off: wherever the machine stands is now 0."""
        self._at = ORIGIN
        self.planner.settle_at(ORIGIN)

    def home(self) -> None:
        """The homing cycle ends a pull-off away from the switches, which sit at machine 0."""
        pull = self._settings[27]
        self._at = (-pull, -pull, -pull)
        self.planner.settle_at(self._at)

    def spindle_off(self) -> None:
        self.spindle_speed = 0.0
        self.modes = replace(self.modes, spindle="M5")

    # --- lines ------------------------------------------------------------------------------

    def begin(self, raw: str, line: Line, modes: Modes, now_s: float) -> Task:
        """Carry out a parsed line in GRBL's order; raises GrblError before anything happens."""
        self._now_s = now_s
        once = line.commands.get("once")
        moves = once in (None, "G53", "G28", "G30") and (
            bool(line.axes()) or once in ("G28", "G30")
        )
        goals = self._goals(line, modes) if moves else []
        spins = modes.spindle != "M5" and modes.speed > 0
        if goals or spins:
            self._journal.physical(now_s, numbered=False)
            self.over = False
        self._journal.executed(raw, numbered=False)
        return self._carry_out(line, modes, goals)

    def _carry_out(self, line: Line, modes: Modes, goals: list[tuple[Place, bool]]) -> Task:
        laser = self._settings.on(32)
        spun = (modes.spindle, modes.speed) != (self.modes.spindle, self.modes.speed)
        if spun and not (laser and modes.spindle != "M5"):
            yield from self._still()
        if line.commands.get("coolant"):
            yield from self._still()
        self.spindle_speed = modes.speed if modes.spindle != "M5" else 0.0
        self.modes = modes
        once = line.commands.get("once")
        if once == "G4":
            yield from self._dwell(line.values["P"])
        elif once is not None:
            self._set_offsets(once, line)
        for goal, rapid in goals:
            while self.planner.full:
                yield self.planner.next_end_s()
            self._plan(goal, rapid=rapid)
        if "stopping" in line.commands:
            yield from self._stopping(line.commands["stopping"])

    def _stopping(self, code: str) -> Task:
        yield from self._still()
        if code in ("M0", "M1"):
            self.hold(self._now_s)
            while self.held:
                yield None
            return
        self.modes = replace(
            Modes(motion="G1", tool=self.modes.tool, units=self.modes.units),
            feed_mm_min=self.modes.feed_mm_min,
            speed=self.modes.speed,
        )
        self.spindle_speed, self.feed_percent = 0.0, 100
        self.over = True
        self._say("[MSG:Pgm End]")
        self._journal.program_over()

    def _still(self) -> Task:
        while self.planner.waiting:
            yield self.planner.next_end_s()

    def _dwell(self, seconds: float) -> Task:
        yield from self._still()
        until_s = self._now_s + seconds
        while self._now_s < until_s:
            yield until_s

    def _set_offsets(self, code: str, line: Line) -> None:
        axes = line.axes()
        if code == "G92":
            base = self._systems[self.modes.system]
            self._g92 = _with(self._g92, {i: self._at[i] - base[i] - v for i, v in axes.items()})
        elif code == "G92.1":
            self._g92 = ORIGIN
        elif code in ("G28.1", "G30.1"):
            self._systems[code[:3]] = self._at
        elif code == "G10":
            self._write_system(line, axes)

    def _write_system(self, line: Line, axes: dict[int, float]) -> None:
        number = int(line.values.get("P", 0))
        name = SYSTEMS[number - 1] if number else self.modes.system
        if line.values.get("L") == 20:
            axes = {i: self._at[i] - self._g92[i] - v for i, v in axes.items()}
        self._systems[name] = _with(self._systems[name], axes)

    # --- motion -----------------------------------------------------------------------------

    def _goals(self, line: Line, modes: Modes) -> list[tuple[Place, bool]]:
        """Where the line goes, as straight pieces with whether each is a rapid."""
        once = line.commands.get("once")
        target = self._target(line, modes, machine=once == "G53")
        if once in ("G28", "G30"):
            stored = self._systems[once]
            axes = line.axes() or dict.fromkeys((0, 1, 2), 0.0)
            end = _with(self._at, {i: stored[i] for i in axes})
            goals = [(target, True), (end, True)] if line.axes() else [(end, True)]
        elif modes.motion in ("G2", "G3"):
            goals = [(place, False) for place in self._arc(line, modes, target)]
        else:
            goals = [(target, modes.motion == "G0")]
        if self._settings.on(20):
            self._check_travel(goals)
        return goals

    def _target(self, line: Line, modes: Modes, *, machine: bool = False) -> Place:
        axes = line.axes()
        if modes.distance == "G91" and not machine:
            return _with(self._at, {i: self._at[i] + v for i, v in axes.items()})
        offset = _plus(self._systems[modes.system], self._g92)
        return _with(self._at, {i: v + (0.0 if machine else offset[i]) for i, v in axes.items()})

    def _arc(self, line: Line, modes: Modes, target: Place) -> list[Place]:
        first, second, third, i_word, j_word = PLANES[modes.plane]
        start, end = (self._at[first], self._at[second]), (target[first], target[second])
        clockwise = modes.motion == "G2"
        if "R" in line.values:
            centre = arc_centre(start, end, line.values["R"], clockwise=clockwise)
            if centre is None:
                raise GrblError(34)
        else:
            i, j = line.values.get(i_word, 0.0), line.values.get(j_word, 0.0)
            centre = (start[0] + i, start[1] + j)
            _check_radii(math.dist(start, centre), math.dist(end, centre))
        places: list[Place] = []
        chord = self._settings[12]
        for share, u, v in arc_chords(start, end, centre, clockwise=clockwise, chord_mm=chord):
            w = self._at[third] + (target[third] - self._at[third]) * share
            places.append(_with(self._at, {first: u, second: v, third: w}))
        return places

    def _check_travel(self, goals: list[tuple[Place, bool]]) -> None:
        travel = self._settings.axes(130)
        for place, _ in goals:
            if any(v > 0 or v < -limit for v, limit in zip(place, travel, strict=True)):
                raise SOFT_LIMIT

    def jog(self, line: Line, modes: Modes, now_s: float) -> Task:
        """Move without touching the modes; raises GrblError 15 beyond the travel."""
        self._now_s = now_s
        target = self._target(line, replace(modes, system=self.modes.system))
        if self._settings.on(20):
            try:
                self._check_travel([(target, False)])
            except GrblError as error:
                raise GrblError(15) from error
        self._jogging = True
        self._plan(target, rapid=False, feed_mm_min=modes.feed_mm_min)
        yield from ()

    def _plan(self, goal: Place, *, rapid: bool, feed_mm_min: float | None = None) -> None:
        start, self._at = self._at, goal
        length = math.dist(start, goal)
        if length < 1e-6:
            return
        unit = tuple((b - a) / length for a, b in zip(start, goal, strict=True))
        feed = feed_mm_min or self.modes.feed_mm_min
        if self.modes.feed == "G93" and feed_mm_min is None:
            feed *= length
        speed = math.inf if rapid else feed / 60 * self.feed_percent / 100
        accel = math.inf
        tops = zip(unit, self._settings.axes(110), self._settings.axes(120), strict=True)
        for part, top_feed, top_accel in tops:
            if part:
                speed = min(speed, top_feed / 60 / abs(part))
                accel = min(accel, top_accel / abs(part))
        self.planner.add(Block(start, goal, unit, length, speed, accel, self._now_s))

    def _junction(self, before: Block, after: Block) -> float:
        """Junction deviation: v² = a·δ·sin(θ/2) / (1 - sin(θ/2)), θ between the two moves."""
        cosine = -sum(a * b for a, b in zip(before.unit, after.unit, strict=True))
        slowest = min(before.speed, after.speed)
        if cosine < -0.999999:
            return slowest
        half = math.sqrt(max(0.0, 0.5 * (1 - min(1.0, cosine))))
        accel = min(before.accel, after.accel)
        return min(slowest, math.sqrt(accel * self._settings[11] * half / max(1e-9, 1 - half)))


def _check_radii(at_start: float, at_end: float) -> None:
    """GRBL allows 5 µm, or 0.1 % of the radius below 0.5 mm of difference."""
    off = abs(at_start - at_end)
    if off > 0.005 and (off > 0.5 or off > 0.001 * at_start):
        raise GrblError(33)


def _with(place: Place, changes: dict[int, float]) -> Place:
    x, y, z = (changes.get(i, v) for i, v in enumerate(place))
    return x, y, z


def _plus(a: Place, b: Place) -> Place:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _words(place: Place) -> str:
    return ",".join(f"{value:.3f}" for value in place)
