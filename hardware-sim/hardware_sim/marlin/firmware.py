"""Promises Marlin's main loop: queued commands, `ok` when queued, keepalive, reports, kill.
Never advances time by itself: `run(now)` does what is due by then and `wake_s` says what is next.

Sources: Marlin 2.1 `queue.cpp`, `gcode.cpp` (host_keepalive), `MarlinCore.cpp` (kill),
`temperature.cpp` (waits, reports), `planner.cpp` (limits, cold extrusion).
"""

import math
from collections.abc import Callable, Iterator, Mapping

from hardware_sim.config import MarlinMachine
from hardware_sim.heat import Heater
from hardware_sim.marlin.commands import Commands, Task
from hardware_sim.marlin.intake import Intake, LineFault
from hardware_sim.records import Journal

BANNER = (
    "start",
    "echo:Marlin 2.1.2.1 (simulated)",
    "echo: Last Updated: 2024-01-06 | Author: (none, default config)",
    "echo: Free Memory: 3813  PlannerBufferBytes: 1152",
    "echo:Hardcoded Default Settings Loaded",
)


class Marlin:
    """One board with its printer; `journal` sees what physically happens."""

    def __init__(self, machine: MarlinMachine, journal: Journal) -> None:
        self.machine = machine
        self.journal = journal
        self.hotend = Heater(machine.hotend, machine.ambient_c)
        self.bed = Heater(machine.bed, machine.ambient_c)
        self.intake = Intake(machine.rx_buffer, machine.bufsize, self._urgent)
        self.commands = Commands(machine, self.hotend, self.bed, journal, self.say)
        self.out = bytearray()
        self.dead = False
        self._task: Task | None = None
        self._number: int | None = None
        self._busy_s = 0.0
        self._now_s = 0.0

    # --- power ---------------------------------------------------------------------------

    def power_up(self, now_s: float) -> None:
        """Start afresh: heaters off, motion gone, position unknown, counting from 0."""
        self._stop_all(now_s)
        self.intake.clear()
        self.commands = Commands(self.machine, self.hotend, self.bed, self.journal, self.say)
        self.out.clear()
        self.dead, self._now_s = False, now_s
        for line in BANNER:
            self.say(line)

    def _stop_all(self, now_s: float) -> None:
        self.hotend.aim(0, now_s)
        self.bed.aim(0, now_s)
        self.commands.planner.stop(now_s)
        self._task = None

    def power_off(self, now_s: float) -> None:
        """Power or reset line gone: everything stops at once."""
        self._stop_all(now_s)
        self.intake.clear()
        self.out.clear()

    def kill(self, now_s: float, why: str = "") -> None:
        """Halt as firmware does on M112 or a thermal fault: dead until reset."""
        if why:
            self.say(f"Error:{why}")
        self._stop_all(now_s)
        self.say("Error:Printer halted. kill() called!")
        self.dead = True
        self.journal.end("killed", now_s)

    def _urgent(self, code: str) -> None:
        if code == "M112":
            self.kill(self._now_s)
        elif code == "M108":
            self.commands.heating_wanted = False
            self.commands.user_wanted = False
        else:
            self.commands.quick_stop(self._now_s)
            self._task = None
            self.journal.end("stopped", self._now_s)

    # --- bytes and time ------------------------------------------------------------------

    def say(self, line: str) -> None:
        """Put one line on the wire."""
        self.out += line.encode("ascii", "replace") + b"\n"

    def take_output(self) -> bytes:
        """What the board has said since the last time."""
        said = bytes(self.out)
        self.out.clear()
        return said

    def receive(self, data: bytes, now_s: float) -> None:
        """Bytes arrive; what finds no room in the receive buffer is lost."""
        if self.dead:
            return
        if self.machine.emergency_parser and b"M112" in data:
            self._now_s = now_s
            self.kill(now_s)
            return
        while data and not self.dead:
            room = self.intake.room
            self.intake.put(data[:room] if room else data)
            data = data[room:] if room else b""
            self.run(now_s)

    def run(self, now_s: float) -> None:
        """Do everything that is due by now."""
        self._now_s = now_s
        commands = self.commands
        commands.planner.advance(now_s)
        commands.report(now_s)
        while not self.dead:
            self._read(now_s)
            if self.dead:
                return
            if self._task is None:
                if not self.intake.queue:
                    return
                command = self.intake.queue.popleft()
                self._number = command.number
                self._busy_s = now_s + max(self.machine.busy_s, self.machine.unasked_min_s)
                self._task = commands.begin(command, now_s)
            if self._task is not None and not self._go_on(self._task, now_s):
                return
            self._acknowledge()

    def _read(self, now_s: float) -> None:
        while (found := self.intake.next()) is not None and not self.dead:
            if isinstance(found, LineFault):
                self._now_s = now_s
                self.say(f"Error:{found.why}, Last Line: {found.last}")
                self.say(f"Resend: {found.last + 1}")
                self.say("ok")

    def _go_on(self, task: Iterator[float | None], now_s: float) -> bool:
        """True when the command is done; keeps the host patient meanwhile."""
        self.commands.now_s = now_s
        for wake_s in task:
            self.commands.wake_s = wake_s
            if self.machine.busy_s and now_s >= self._busy_s:
                waiting = "paused for user" if self.commands.user_wanted else "processing"
                self.say(f"echo:busy: {waiting}")
                self._busy_s = now_s + max(self.machine.busy_s, self.machine.unasked_min_s)
            return False
        self._task = None
        return True

    def _acknowledge(self) -> None:
        ok = "ok"
        if self.machine.advanced_ok:
            if self._number is not None:
                ok += f" N{self._number}"
            free = self.machine.planner_blocks - 1 - self.commands.planner.waiting
            ok += f" P{max(0, free)} B{self.machine.bufsize - len(self.intake.queue)}"
        self.say(ok + self.commands.take_answer())

    # --- what the process around it asks ---------------------------------------------------

    @property
    def blocked(self) -> bool:
        """A command is being waited for, so nothing more is read."""
        return self._task is not None and not self.dead

    @property
    def wants_person(self) -> bool:
        """Only a person at the machine (or M108) can make it go on."""
        return self.commands.user_wanted

    @property
    def still(self) -> bool:
        """Cold and motionless, nothing in hand."""
        cold = self.hotend.target_c == 0 and self.bed.target_c == 0
        return cold and not self.moving and self._task is None and not self.intake.queue

    @property
    def moving(self) -> bool:
        """Moves are queued or under way."""
        return self.commands.planner.waiting > 0

    def settle(self, now_s: float) -> None:
        """The line has gone quiet: a half-filled queue starts to move."""
        self.commands.planner.advance(now_s, flush=True)

    def wake_s(self) -> float | None:
        """The next moment at which `run` has something to do; None if only bytes can help."""
        if self.dead:
            return None
        moments = [self.commands.next_report_s, self.commands.planner.next_end_s()]
        if self._task is not None:
            moments.append(self.commands.wake_s)
            if self.machine.busy_s:
                moments.append(self._busy_s)
        known = [moment for moment in moments if moment is not None and moment < math.inf]
        return min(known) if known else None

    def jam(self) -> None:
        """The filament sensor sees no motion: the printer waits for a person (M108 or `press`)."""
        self.commands.pause_for_user()

    def press(self) -> None:
        """Someone presses the knob: what waits for a person goes on."""
        self.commands.user_wanted = False

    def deeds(self) -> Mapping[str, Callable[[], None]]:
        """What can happen to this machine besides `jam` and `press`."""
        return {}

    def state(self, now_s: float) -> dict[str, object]:
        """Physical facts for the control channel."""
        return {
            "dead": self.dead,
            "temperatures_c": {
                "hotend": [round(self.hotend.at(now_s), 2), self.hotend.target_c],
                "bed": [round(self.bed.at(now_s), 2), self.bed.target_c],
            },
            "position_mm": [round(v, 4) for v in self.commands.planner.position(now_s)],
            "overrun_bytes": self.intake.overrun,
        }
