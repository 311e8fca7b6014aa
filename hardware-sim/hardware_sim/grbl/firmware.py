"""Promises GRBL 1.1h's two halves: real-time bytes at once, lines one by one with ok or error.
Never advances time by itself: `run(now)` does what is due by then and `wake_s` says what is next.

Source: gnea/grbl `grbl/protocol.c` (protocol_main_loop, protocol_exec_rt_system,
protocol_exec_rt_suspend), `grbl/serial.c` (which bytes never reach a line), `grbl/main.c` (what a
reset keeps), `grbl/motion_control.c` mc_reset, `grbl/limits.c` (homing alarms 6 to 9).
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hardware_sim.config import GrblMachine
from hardware_sim.grbl import report
from hardware_sim.grbl.modal import LINE_LENGTH, GrblError, clean
from hardware_sim.grbl.moves import Alarm, Mover, Task
from hardware_sim.grbl.settings import Settings
from hardware_sim.grbl.system import System
from hardware_sim.records import Journal

_REALTIME = re.compile(rb"[\x18!?~\x80-\xff]")
_LINE_END = re.compile(rb"[\r\n]")
HARD_LIMIT, SOFT_LIMIT = 1, 2
CRITICAL = (HARD_LIMIT, SOFT_LIMIT)
ALARM_S = 0.5  # report.c report_alarm_message: delay_ms(500)
SWITCH_LOOK_S = 0.02  # how often the tool's place is held against the switches
DOOR_SPINDLE_S, DOOR_COOLANT_S = 4.0, 1.0  # config.h SAFETY_DOOR_*_DELAY
RESET, HOLD, RESUME, STATUS = 0x18, ord("!"), ord("~"), ord("?")
DOOR, JOG_CANCEL, SPINDLE_STOP, FLOOD = 0x84, 0x85, 0x9E, 0xA0


@dataclass
class Hush:
    """After an alarm's first line: nothing is done until then, and what comes is kept or lost."""

    until_s: float
    then: Callable[[], None]
    kept: bytearray | None


class Grbl:
    """One controller with its mill or laser; `journal` sees what physically happens."""

    def __init__(self, machine: GrblMachine, journal: Journal) -> None:
        self.machine, self.journal = machine, journal
        self.settings = Settings(machine.settings)
        self.mover = Mover(
            self.settings, machine.planner_blocks, journal, self.say, machine.probe_z_mm
        )
        self.system = System(self)
        self.out = bytearray()
        self.dead = False  # a critical alarm: only a reset helps
        self.alarmed = self.asleep = self.homing = self.restarting = False
        self.switch_fault = 0  # what the next homing ends in: 8 stuck, 9 never found
        self._rx, self._partial = bytearray(), bytearray()
        self._lost = 0
        self.door_open = self._doored = self._spindle_stopped = self._asked = False
        self._falling_asleep = False  # after the ok of `$SLP`
        self._interrupted = False  # a line was under way when an alarm stopped the machine
        self._restored_at_s: float | None = None
        self._hush: Hush | None = None
        self._darkened = False
        self._task: Task | None = None
        self.now_s = 0.0
        self._deeds_at_once: dict[int, Callable[[float], None]] = {
            STATUS: self._say_status,
            HOLD: self._hold,
            RESUME: self._resume,
            DOOR: self._door,
            JOG_CANCEL: self._cancel_jog,
            SPINDLE_STOP: self._toggle_spindle,
            FLOOD: self._toggle_coolant,
        }

    # --- power ---------------------------------------------------------------------------

    def power_up(self, now_s: float) -> None:
        """Start afresh: spindle off, motion gone, position counted from 0."""
        self.now_s = now_s
        self.power_off(now_s)
        self.mover.forget_position()
        self.alarmed = self.settings.on(22)  # config.h HOMING_INIT_LOCK
        self._greet()

    def power_off(self, now_s: float) -> None:
        """Power gone: everything stops at once."""
        self._stop(now_s)
        self.out.clear()
        self.alarmed = False

    def _stop(self, now_s: float) -> None:
        self.mover.stop(now_s)
        self._rx.clear()
        self._partial.clear()
        self._task, self._restored_at_s, self._hush = None, None, None
        self.dead = self.asleep = self.homing = self.restarting = False
        self._doored = self._spindle_stopped = self._asked = self._interrupted = False
        self._falling_asleep = False

    def _greet(self) -> None:
        self.say(report.BANNER)
        if self.alarmed:
            self.say(report.LOCKED)
        else:
            self.run_startup()

    def run_startup(self) -> None:
        """system_execute_startup: at power-up when unlocked, and after homing."""
        for text in self.system.startup:
            if text:
                self._start_up(text)

    def _start_up(self, text: str) -> None:
        """system_execute_startup: the stored line, then its answer, on one line."""
        try:
            task = self.mover.begin(text, text, self.now_s)
            for _ in task or ():
                break  # a startup line that has to wait goes on with the motion it queued
            self.say(f">{text}:ok")
        except GrblError as error:
            self.say(f">{text}:error:{error.number}")

    def _reset(self, now_s: float) -> None:
        """mc_reset: ALARM:3 and a lost position when it cut a motion off, 6 while homing."""
        number = 6 if self.homing else 3 if self.mover.in_motion(now_s) else 0
        if not self.mover.over:
            self.journal.end("stopped", now_s)
        self._restart(number, now_s)

    def _restart(self, number: int, now_s: float) -> None:
        """Alarm first, then the ok of the line that was under way, then the welcome."""
        owing = self._task is not None or self._interrupted
        locked = bool(number) or self.alarmed or self.dead or self.asleep
        self.mover.homed = self.mover.homed and not number
        self._stop(now_s)
        self.alarmed = locked
        if number:
            self._alarm(number, now_s, lambda: self._come_back(owing=owing))
        else:
            self._come_back(owing=owing)

    def _come_back(self, *, owing: bool) -> None:
        if owing:
            self.say("ok")
        self._greet()

    def _alarm(
        self, number: int, now_s: float, then: Callable[[], None], *, keeps: bool = False
    ) -> None:
        self.say(f"ALARM:{number}")
        self.alarmed = True
        self._hush = Hush(now_s + ALARM_S, then, bytearray() if keeps else None)

    def _end_hush(self, hush: Hush) -> None:
        self._hush = None
        hush.then()
        if hush.kept:
            self.receive(bytes(hush.kept), self.now_s)

    def raise_alarm(self, number: int, now_s: float) -> None:
        """1 and 2: everything stops, and nothing but a later reset is even looked at."""
        self._alarm(number, now_s, lambda: self.say(report.RESET_TO_CONTINUE))
        self._interrupted = self._task is not None
        self._task = None
        self.mover.stop(now_s)
        self._rx.clear()
        self.dead = True
        self.mover.homed = self.mover.homed and number != HARD_LIMIT
        self.journal.end("killed", now_s)

    def fall_asleep(self) -> None:
        """`$SLP`: everything off; only a reset wakes it, and then it is locked."""
        self._falling_asleep = True

    # --- the physical world --------------------------------------------------------------

    def jam(self) -> None:
        """The tool jams and drags an axis into its switch: hard limit."""
        self.raise_alarm(1, self.now_s)

    def press(self) -> None:
        """Someone presses cycle start."""
        self._resume(self.now_s)

    def deeds(self) -> Mapping[str, Callable[[], None]]:
        """What can happen to this machine besides `jam` and `press`."""
        return {
            "panel-pause": lambda: self._hold(self.now_s),
            "panel-resume": self.press,
            "panel-stop": lambda: self._reset(self.now_s),
            "limit-dead": lambda: self._spoil_switch(9),
            "limit-stuck": lambda: self._spoil_switch(8),
            "limit-mend": lambda: self._spoil_switch(0),
            "door-open": self._open_door,
            "door-close": self._shut_door,
        }

    def _spoil_switch(self, alarm: int) -> None:
        self.switch_fault = alarm

    def _shut_door(self) -> None:
        self.door_open = False

    def _open_door(self) -> None:
        if not self.machine.door_switch:
            raise ValueError("this machine has no door switch: door_switch = true fits one")
        self.door_open = True
        if self.homing:
            self._restart(7, self.now_s)
        else:
            self._door(self.now_s)

    # --- bytes and time ------------------------------------------------------------------

    def say(self, line: str) -> None:
        """Put one line on the wire."""
        self.out += line.encode("latin-1", "replace") + b"\r\n"

    def take_output(self) -> bytes:
        """What the controller has said since the last time."""
        said = bytes(self.out)
        self.out.clear()
        return said

    def receive(self, data: bytes, now_s: float) -> None:
        """Bytes arrive: real-time ones act at once, the rest waits for room or is lost."""
        self.now_s = now_s
        if self._hush is not None and now_s < self._hush.until_s:
            self._hear_in_alarm(data, self._hush)
            return
        if now_s < self.mover.deaf_until_s:
            self._lost += len(data)  # interrupts are off during an EEPROM write
            return
        place = 0
        for found in _REALTIME.finditer(data):
            self._store(data[place : found.start()], now_s)
            self._realtime(found[0][0], now_s)
            place = found.end()
            if self._hush is not None:
                self._hear_in_alarm(data[place:], self._hush)
                return
        self._store(data[place:] if place else data, now_s)

    def _hear_in_alarm(self, data: bytes, hush: Hush) -> None:
        if hush.kept is None:  # what follows begins with an empty buffer and no wishes
            self._lost += len(data)
        else:
            hush.kept += data

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
        if byte == RESET:
            self._reset(now_s)
        elif self.dead:
            return  # protocol_exec_rt_system waits in an empty loop for the reset
        elif self.homing:
            self._asked = self._asked or byte == STATUS  # answered when homing ends
        elif byte in self._deeds_at_once:
            self._deeds_at_once[byte](now_s)
        else:
            self.mover.override(byte)
        self.run(now_s)

    def _say_status(self, now_s: float) -> None:
        self.say(self._status(now_s))

    def _cancel_jog(self, now_s: float) -> None:
        if self.mover.jogging:
            self.mover.cancel_jog(now_s)

    def _toggle_coolant(self, _now_s: float) -> None:
        if not (self.alarmed or self.asleep or self.mover.checking or self._doored):
            self.mover.toggle_coolant()

    def _hold(self, now_s: float) -> None:
        if self.alarmed or self.mover.checking or self.asleep or self._doored:
            return
        if self.mover.jogging:
            self.mover.cancel_jog(now_s)
        else:
            self.mover.hold(now_s)

    def _door(self, now_s: float) -> None:
        if self.alarmed or self.mover.checking:
            return
        self.say(report.CHECK_DOOR)
        if self.mover.jogging:
            self.mover.cancel_jog(now_s)
        self.mover.hold(now_s)
        self._doored, self._restored_at_s = True, None
        if not self.asleep:
            self.mover.refresh.overrides = 0  # spindle and coolant are set, so they are reported

    def _resume(self, now_s: float) -> None:
        if not self.mover.standing(now_s) or self.asleep:
            return
        if self._doored:
            self._restore(now_s)
            return
        if self._spindle_stopped and self.settings.on(32):
            self._spindle_stopped = False
            self.say(report.SPINDLE_BACK)  # and the beam with the next move
        elif self._spindle_stopped:
            self._toggle_spindle(now_s)
        self.mover.release(now_s)

    def _restore(self, now_s: float) -> None:
        """The door is shut: spindle and coolant come back before the motion does."""
        if self.door_open or self._restored_at_s is not None:
            return
        modes, wait_s = self.mover.modes, 0.0
        if modes.spindle != "M5" and not self.settings.on(32):  # a beam comes back with its move
            wait_s += DOOR_SPINDLE_S
            self.mover.set_spindle(modes.spindle, modes.speed)
        if modes.coolant != "M9":
            wait_s += DOOR_COOLANT_S
            self.mover.set_coolant(modes.coolant)
        self._restored_at_s = now_s + wait_s

    def _toggle_spindle(self, now_s: float) -> None:
        """0x9E: only in a hold; what it stopped comes back with the cycle."""
        if not self.mover.standing(now_s) or self._doored or self.mover.modes.spindle == "M5":
            return
        self._spindle_stopped = not self._spindle_stopped
        if self._spindle_stopped:
            self.mover.set_spindle("M5", 0.0)
        else:
            self.say(report.SPINDLE_BACK)
            self.mover.set_spindle(self.mover.modes.spindle, self.mover.modes.speed)

    def run(self, now_s: float) -> None:
        """Do everything that is due by now."""
        self.now_s = now_s
        self.mover.advance(now_s)
        if self._hush is not None:
            if now_s < self._hush.until_s:
                return
            self._end_hush(self._hush)
        if self.mover.hits_switch(now_s) and not self.dead:
            self.raise_alarm(1, now_s)
        while not (self.dead or self._hush or self._suspended(now_s)):
            if self.restarting:
                self._restart(0, now_s)
            if self._falling_asleep:
                self._sleep()
                return
            if self._task is None:
                if not self._next_line(now_s):
                    return
            elif not self._go_on(self._task):
                return

    def _sleep(self) -> None:
        self._falling_asleep, self.asleep = False, True
        self.mover.set_spindle("M5", 0.0)
        self.say(report.SLEEPING)

    def _suspended(self, now_s: float) -> bool:
        """A hold, a door or sleep: no line is looked at."""
        if self.asleep:
            return True
        if self._doored and self.mover.standing(now_s):
            if self._restored_at_s is None:
                self.mover.spindle, self.mover.flood = 0.0, False
            elif now_s >= self._restored_at_s:
                self._doored, self._restored_at_s = False, None
                self.mover.release(now_s)
        self._darken(now_s)
        return self.mover.held

    def _darken(self, now_s: float) -> None:
        """config.h DISABLE_LASER_DURING_HOLD: a hold puts the beam out by itself, once."""
        standing = self.mover.standing(now_s) and not self._doored
        if standing and not self._darkened and self.settings.on(32):
            self._toggle_spindle(now_s)
        self._darkened = standing

    def _go_on(self, task: Task) -> bool:
        try:
            for wake_s in task:
                self.mover.wake_s = wake_s
                return False
        except Alarm as alarm:
            self._end_in_alarm(alarm)
            return True
        except GrblError as error:
            self._task = None
            self.say(f"error:{error.number}")
            return True
        if self._task is task:  # a homing that failed has restarted the board meanwhile
            self._task = None
            self.say("ok")
        return True

    def _end_in_alarm(self, alarm: Alarm) -> None:
        if alarm.number in CRITICAL:
            self.raise_alarm(alarm.number, self.now_s)
            return
        self._task = None
        self._alarm(alarm.number, self.now_s, lambda: self._end_probing(alarm.number), keeps=True)

    def _end_probing(self, number: int) -> None:
        if number == 5:
            self.mover.say_probe()
        self.say("ok")

    def _next_line(self, now_s: float) -> bool:
        """Begin the next complete line; True if there was one. Both CR and LF end a line."""
        found = _LINE_END.search(self._rx)
        if found is None:
            self._partial += self._rx  # the main loop takes characters out of the ring at once
            self._rx.clear()
            return False
        raw = (self._partial + self._rx[: found.start()]).decode("latin-1")
        self._partial.clear()
        del self._rx[: found.end()]
        try:
            self._task = self._begin(raw, now_s)
        except Alarm as alarm:
            self._task = iter(())
            self._end_in_alarm(alarm)
        except GrblError as error:
            self.say(f"error:{error.number}")
        else:
            if self._task is None:
                self.say("ok")
        return True

    def _begin(self, raw: str, now_s: float) -> Task | None:
        text = clean(raw)
        if len(text) > LINE_LENGTH:
            raise GrblError(11)
        if not text:
            return None
        if text[0] == "$":
            return self.system.execute(text)
        if self.alarmed or self.mover.jogging:
            raise GrblError(9)
        return self.mover.begin(raw.strip(), text, now_s)

    # --- reports -----------------------------------------------------------------------------

    def _status(self, now_s: float) -> str:
        mover = self.mover
        status = report.Status(
            state=self.state_name(now_s),
            at=mover.position(now_s),
            offset=mover.work_offset(),
            free_blocks=max(0, self.machine.planner_blocks - mover.planner.waiting),
            free_bytes=self.machine.rx_buffer - len(self._rx),
            rate_mm_min=mover.planner.speed(now_s) * 60,
            spindle=mover.spindle_now(),
            pins=self._pins(now_s),
            overrides=mover.overrides.shown(),
            accessories=mover.accessories(),
        )
        return status.line(int(self.settings[10]), mover.refresh, inches=self.settings.on(13))

    def _pins(self, now_s: float) -> str:
        plate = self.machine.probe_z_mm
        touching = plate is not None and self.mover.position(now_s)[2] <= plate
        return ("P" if touching else "") + ("D" if self.door_open else "")

    def state_name(self, now_s: float) -> str:
        """As the status report names it."""
        mover = self.mover
        for name, true in (
            ("Sleep", self.asleep),
            ("Home", self.homing),
            ("Alarm", self.alarmed),
            ("Check", mover.checking),
        ):
            if true:
                return name
        if self._doored:
            return f"Door:{self._door_state(now_s)}"
        if mover.held:
            return f"Hold:{int(not mover.standing(now_s))}"
        if mover.planner.waiting:
            return "Jog" if mover.jogging else "Run"
        return "Idle"

    def _door_state(self, now_s: float) -> int:
        """0 shut and ready, 1 ajar, 2 coming to rest, 3 going back to work."""
        if self._restored_at_s is not None:
            return 3
        return 2 if not self.mover.standing(now_s) else int(self.door_open)

    def end_homing(self) -> None:
        """The switches were found: `?` that came meanwhile is answered once, still as Home."""
        if self._asked:
            self._asked = False
            self.say(self._status(self.now_s))
        self.homing = False

    def fail_homing(self, number: int) -> None:
        """A switch was not found or does not open: alarm, the line's ok, restart, locked."""
        self.homing = False
        self._restart(number, self.now_s)

    # --- what the process around it asks ---------------------------------------------------

    @property
    def blocked(self) -> bool:
        """A line is being waited for, so no other is read."""
        if self._hush is not None:
            return True
        return (self._task is not None or self._restored_at_s is not None) and not self.dead

    @property
    def wants_person(self) -> bool:
        """It stands in a hold and waits for cycle start."""
        return (self.mover.held and self._restored_at_s is None) or self.asleep

    @property
    def still(self) -> bool:
        """Spindle off and motionless, nothing in hand."""
        busy = self._task is not None or self.mover.held or self.moving or self._rx
        return not busy and not self.mover.spindle

    @property
    def moving(self) -> bool:
        """Moves are queued or under way."""
        return self.mover.planner.waiting > 0

    def settle(self, now_s: float) -> None:
        """The line has gone quiet: a half-filled queue starts to move."""
        self.mover.planner.advance(now_s, flush=True)

    def wake_s(self) -> float | None:
        """The next moment at which `run` has something to do; None if only bytes can help."""
        if self._hush is not None:
            return self._hush.until_s
        if self.dead:
            return None
        moments = [self.mover.planner.next_end_s(), self._restored_at_s]
        if self.moving and self.mover.homed and self.settings.on(21):
            moments.append(self.now_s + SWITCH_LOOK_S)
        if self._task is not None:
            moments.append(self.mover.wake_s)
        known = [moment for moment in moments if moment is not None and moment < math.inf]
        return min(known) if known else None

    def state(self, now_s: float) -> dict[str, object]:
        """Physical facts for the control channel."""
        return {
            "dead": self.dead,
            "state": self.state_name(now_s),
            "spindle": self.mover.spindle_now(),
            "position_mm": [round(v, 4) for v in self.mover.position(now_s)],
            "overrun_bytes": self._lost,
        }
