"""Promises GRBL 1.1's two halves: real-time bytes at once, lines one by one with ok or error.
Never advances time by itself: `run(now)` does what is due by then and `wake_s` says what is next.

Sources: GRBL 1.1 `protocol.c`, `system.c`, `report.c`, `doc/markdown/interface.md`.
"""

import math
import re
from collections.abc import Callable

from hardware_sim.config import GrblMachine
from hardware_sim.grbl.modal import LINE_LENGTH, GrblError, Modes, clean, parse
from hardware_sim.grbl.moves import Mover, Task
from hardware_sim.grbl.settings import Settings
from hardware_sim.records import Journal

BANNER = "\r\nGrbl 1.1h ['$' for help]"
HELP = "[HLP:$$ $# $G $I $N $x=val $Nx=line $J=line $SLP $C $X $H ~ ! ? ctrl-x]"
_REALTIME = re.compile(rb"[\x18!?~\x80-\xff]")
HOMING_S = 8.0


class Grbl:
    """One controller with its mill or laser; `journal` sees what physically happens."""

    def __init__(self, machine: GrblMachine, journal: Journal) -> None:
        self.machine, self.journal = machine, journal
        self.settings = Settings(machine.settings)
        self.mover = Mover(self.settings, machine.planner_blocks, journal, self.say)
        self.out = bytearray()
        self.dead = False  # a critical alarm: only a reset helps
        self._rx = bytearray()
        self._lost = 0
        self._alarm = False
        self._check = False
        self._asleep = False
        self._homing = False
        self._task: Task | None = None
        self._reports = 0
        self._now_s = 0.0

    # --- power ---------------------------------------------------------------------------

    def power_up(self, now_s: float) -> None:
        """Start afresh: spindle off, motion gone, position counted from 0."""
        self.power_off(now_s)
        self.mover.forget_position()
        self._alarm = self.settings.on(22)
        self._greet()

    def power_off(self, now_s: float) -> None:
        """Power gone: everything stops at once."""
        self.mover.stop(now_s)
        self._rx.clear()
        self.out.clear()
        self._task = None
        self.dead = self._alarm = self._check = self._asleep = self._homing = False

    def _greet(self) -> None:
        self.say(BANNER)
        if self._alarm:
            self.say("[MSG:'$H'|'$X' to unlock]")

    def _reset(self, now_s: float) -> None:
        """Ctrl-X: clean when at rest, ALARM:3 and a lost position when it cut a motion off."""
        cut_off = self.mover.in_motion(now_s) or self._homing
        if not self.mover.over:
            self.journal.end("stopped", now_s)
        alarmed = self._alarm and not self.dead
        self.mover.stop(now_s)
        self._rx.clear()
        self._task = None
        if cut_off:
            self.say("ALARM:3")
        self._alarm = cut_off or alarmed or self.dead
        self.dead = self._check = self._asleep = self._homing = False
        self._greet()

    def _raise_alarm(self, number: int, now_s: float) -> None:
        """A limit was hit: locked until reset, then until unlocked."""
        self.mover.stop(now_s)
        self._rx.clear()
        self._task = None
        self.dead = self._alarm = True
        self.say(f"ALARM:{number}")
        self.say("[MSG:Reset to continue]")
        self.journal.end("killed", now_s)

    def jam(self) -> None:
        """The tool jams and drags an axis into its switch: hard limit."""
        self._raise_alarm(1, self._now_s)

    def press(self) -> None:
        """Someone presses cycle start."""
        self.mover.release(self._now_s)

    # --- bytes and time ------------------------------------------------------------------

    def say(self, line: str) -> None:
        """Put one line on the wire."""
        self.out += line.encode("ascii", "replace") + b"\r\n"

    def take_output(self) -> bytes:
        """What the controller has said since the last time."""
        said = bytes(self.out)
        self.out.clear()
        return said

    def receive(self, data: bytes, now_s: float) -> None:
        """Bytes arrive: real-time ones act at once, the rest waits for room or is lost."""
        self._now_s = now_s
        place = 0
        for found in _REALTIME.finditer(data):
            self._store(data[place : found.start()], now_s)
            self._realtime(found[0][0], now_s)
            place = found.end()
        self._store(data[place:], now_s)

    def _store(self, data: bytes, now_s: float) -> None:
        while data:
            room = self.machine.rx_buffer - len(self._rx)
            if room == 0 or self.dead:
                self._lost += len(data)
                return
            self._rx += data[:room]
            data = data[room:]
            self.run(now_s)

    def _realtime(self, byte: int, now_s: float) -> None:
        self.mover.advance(now_s)
        if byte == 0x18:
            self._reset(now_s)
        elif byte == ord("?"):
            self.say(self._status(now_s))
        elif byte == ord("!"):
            self.mover.hold(now_s)
        elif byte == ord("~"):
            self.mover.release(now_s)
        elif byte == 0x84:
            self.mover.hold(now_s, door=True)
        elif byte == 0x85:
            self.mover.cancel_jog(now_s)
        else:
            self.mover.override(byte)

    def run(self, now_s: float) -> None:
        """Do everything that is due by now."""
        self._now_s = now_s
        self.mover.advance(now_s)
        while not self.dead:
            if self._task is None and not self._next_line(now_s):
                return
            if self._task is not None:
                try:
                    if not self._go_on(self._task):
                        return
                except GrblError as error:
                    self._task = None
                    self._refuse(error, now_s)
                    continue
                self.say("ok")

    def _go_on(self, task: Task) -> bool:
        for wake_s in task:
            self.mover.wake_s = wake_s
            return False
        self._task = None
        return True

    def _next_line(self, now_s: float) -> bool:
        """Begin the next complete line; True if there was one."""
        end = self._rx.find(b"\n")
        if end < 0:
            return False
        raw = bytes(self._rx[:end]).decode("latin-1").strip("\r")
        del self._rx[: end + 1]
        try:
            self._task = self._begin(raw, now_s)
            if self._task is None:
                self.say("ok")
        except GrblError as error:
            self._refuse(error, now_s)
        return True

    def _refuse(self, error: GrblError, now_s: float) -> None:
        if error.number == 0:
            self._raise_alarm(2, now_s)
        else:
            self.say(f"error:{error.number}")

    # --- lines -----------------------------------------------------------------------------

    def _begin(self, raw: str, now_s: float) -> Task | None:
        text = clean(raw)
        if len(text) > LINE_LENGTH:
            raise GrblError(11)
        if not text:
            return None
        if text[0] == "$":
            return self._system(text[1:])
        if self._alarm or self._asleep:
            raise GrblError(9)
        line, modes = parse(text, self.mover.modes)
        if self._check:
            self.mover.modes = modes
            return None
        return self.mover.begin(raw.strip(), line, modes, now_s)

    def _system(self, text: str) -> Task | None:
        handlers: dict[str, Callable[[], Task | None]] = {
            "": lambda: self.say(HELP),
            "$": lambda: self._print(self.settings.lines()),
            "G": lambda: self.say(f"[GC:{self.mover.modes.words()}]"),
            "#": lambda: self._print(self.mover.offset_lines()),
            "I": lambda: self._print(["[VER:1.1h.20190830:simulated]", "[OPT:V,15,128]"]),
            "N": lambda: self._print(["$N0=", "$N1="]),
            "C": self._toggle_check,
            "X": self._unlock,
            "H": self._home,
            "SLP": self._sleep,
        }
        handler = handlers.get(text)
        if handler is not None:
            return handler()
        if text.startswith("J="):
            return self._jog(text[2:])
        if "=" not in text:
            raise GrblError(3)
        self._only_at_rest()
        self.settings.write(text)
        return None

    def _only_at_rest(self) -> None:
        if self.mover.in_motion(self._now_s) or self.mover.held:
            raise GrblError(8)

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            self.say(line)

    def _toggle_check(self) -> None:
        if self._check:
            self.say("[MSG:Disabled]")
            self._reset(self._now_s)
            return
        self._only_at_rest()
        if self._alarm:
            raise GrblError(9)
        self._check = True
        self.say("[MSG:Enabled]")

    def _unlock(self) -> None:
        if self._alarm:
            self._alarm = False
            self.say("[MSG:Caution: Unlocked]")

    def _sleep(self) -> None:
        self._only_at_rest()
        self._asleep = True
        self.mover.spindle_off()
        self.say("[MSG:Sleeping]")

    def _home(self) -> Task:
        if not self.settings.on(22):
            raise GrblError(5)
        self._only_at_rest()
        return self._homing_cycle()

    def _homing_cycle(self) -> Task:
        self._homing = True
        until_s = self._now_s + HOMING_S
        while self._now_s < until_s:
            yield until_s
        self._homing = self._alarm = False
        self.mover.home()

    def _jog(self, text: str) -> Task:
        if self._alarm or self._check:
            raise GrblError(9)
        self._only_at_rest()
        line, modes = parse("G1" + text, Modes(distance=self.mover.modes.distance))
        if "F" not in line.values:
            raise GrblError(22)
        return self.mover.jog(line, modes, self._now_s)

    # --- reports -----------------------------------------------------------------------------

    def _status(self, now_s: float) -> str:
        mover, mask = self.mover, int(self.settings[10])
        place = mover.position(now_s)
        offset = mover.work_offset()
        label = "MPos" if mask & 1 else "WPos"
        shown = place if mask & 1 else [p - o for p, o in zip(place, offset, strict=True)]
        parts = [self._state(now_s), f"{label}:{_triple(shown)}"]
        if mask & 2:
            free = self.machine.planner_blocks - mover.planner.waiting
            parts.append(f"Bf:{max(0, free)},{self.machine.rx_buffer - len(self._rx)}")
        parts.append(f"FS:{mover.planner.speed() * 60:.0f},{mover.spindle_speed:.0f}")
        if self._reports % 10 == 0:
            parts.append(f"WCO:{_triple(offset)}")
        elif self._reports % 10 == 1:
            parts.append(f"Ov:{mover.feed_percent},100,100")
        self._reports += 1
        return f"<{'|'.join(parts)}>"

    def _state(self, now_s: float) -> str:
        if self._alarm or self.dead:
            return "Alarm"
        if self._check:
            return "Check"
        if self._asleep:
            return "Sleep"
        return "Home" if self._homing else self.mover.state(now_s)

    # --- what the process around it asks ---------------------------------------------------

    @property
    def blocked(self) -> bool:
        """A line is being waited for, so no other is read."""
        return self._task is not None and not self.dead

    @property
    def wants_person(self) -> bool:
        """It stands in a hold and waits for cycle start."""
        return self.mover.held

    @property
    def still(self) -> bool:
        """Spindle off and motionless, nothing in hand."""
        busy = self._task is not None or self.mover.held or self.moving or b"\n" in self._rx
        return not busy and not self.mover.spindle_speed

    @property
    def moving(self) -> bool:
        """Moves are queued or under way."""
        return self.mover.planner.waiting > 0

    def settle(self, now_s: float) -> None:
        """The line has gone quiet: a half-filled queue starts to move."""
        self.mover.planner.advance(now_s, flush=True)

    def wake_s(self) -> float | None:
        """The next moment at which `run` has something to do; None if only bytes can help."""
        if self.dead:
            return None
        moments = [self.mover.planner.next_end_s()]
        if self._task is not None:
            moments.append(self.mover.wake_s)
        known = [moment for moment in moments if moment is not None and moment < math.inf]
        return min(known) if known else None

    def state(self, now_s: float) -> dict[str, object]:
        """Physical facts for the control channel."""
        return {
            "dead": self.dead,
            "state": self._state(now_s),
            "spindle": self.mover.spindle_speed,
            "position_mm": [round(v, 4) for v in self.mover.position(now_s)],
            "overrun_bytes": self._lost,
        }


def _triple(values: tuple[float, ...] | list[float]) -> str:
    return ",".join(f"{value:.3f}" for value in values)
