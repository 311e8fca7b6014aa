"""Promises Marlin's main loop: queued commands, `ok` when queued, keepalive, reports, kill.
Never advances time by itself: `run(now)` does what is due by then and `wake_s` says what is next.

Source: MarlinFirmware/Marlin `Marlin/src/gcode/queue.cpp` (ok_to_send, RingBuffer), `gcode.cpp`
(host_keepalive), `MarlinCore.cpp` (kill, idle), `module/temperature.cpp` (_temp_error, protection),
`feature/e_parser.h`, `control/M108_M112_M410.cpp`, `control/M999.cpp`.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping

from hardware_sim.config import MarlinMachine
from hardware_sim.heat import BED_WATCH, HOTEND_WATCH, Heater, Spoiled, Trip
from hardware_sim.marlin.board import Board, Task
from hardware_sim.marlin.commands import Commands
from hardware_sim.marlin.intake import LONG_MAX, Command, Intake, LineFault
from hardware_sim.marlin.telling import banner
from hardware_sim.records import Journal

_URGENT = re.compile(rb" *(?:N[-\d ]*)?M *(108|112|410)")
_NUMBER = re.compile(r"N[-+\d]*")
_LINE_END = re.compile(rb"[\r\n]")
_TRIPS = {  # language.h STR_T_*, and what the display would show (echoed by kill)
    "heating": ("Heating failed", "Heating Failed"),
    "runaway": ("Thermal Runaway", "THERMAL RUNAWAY"),
    "maxtemp": ("MAXTEMP triggered", "Err: MAXTEMP"),
    "mintemp": ("MINTEMP triggered", "Err: MINTEMP"),
}
CARD_FILE = ("G28", "G90", "G1 Z5 F600", *(f"G1 X{20 + 160 * (n % 2)} F3000" for n in range(400)))
JOG_MM = 10.0


class Marlin:
    """One board with its printer; `journal` sees what physically happens."""

    def __init__(self, machine: MarlinMachine, journal: Journal) -> None:
        self.machine, self.journal = machine, journal
        self.hotend = Heater(machine.hotend, machine.ambient_c, HOTEND_WATCH)
        self.bed = Heater(machine.bed, machine.ambient_c, BED_WATCH)
        self.intake = Intake(
            machine.rx_buffer,
            machine.bufsize,
            machine.max_cmd_size,
            self._urgent,
            drops_repeats=machine.drops_repeats,
        )
        self.out = bytearray()
        self.dead = False
        self._task: Task | None = None
        self._command = Command("", None)
        self._seen = b""  # the end of what the emergency parser has looked at
        self._busy_at_s = 0.0
        self._now_s = 0.0
        self._wake_s: float | None = None
        self._fresh()

    def _fresh(self) -> None:
        self.board = Board(self.machine, self.hotend, self.bed, self.journal, self.say)
        self.commands = Commands(self.board, self._renumber)
        self.planner = self.board.planner

    # --- power ---------------------------------------------------------------------------

    def power_up(self, now_s: float) -> None:
        """Start afresh: heaters off, motion gone, position unknown, counting from 0."""
        self._stop_all(now_s)
        self.intake.clear()
        self._fresh()
        self.out.clear()
        self.dead, self._now_s, self._seen = False, now_s, b""
        for line in banner(self.machine):
            self.say(line)

    def _stop_all(self, now_s: float) -> None:
        self.hotend.aim(0, now_s)
        self.bed.aim(0, now_s)
        self.planner.stop(now_s)
        self._task = None
        self.board.card.clear()

    def power_off(self, now_s: float) -> None:
        """Power or reset line gone: everything stops at once."""
        self._stop_all(now_s)
        self.intake.clear()
        self.out.clear()

    def kill(self, now_s: float, shown: str = "") -> None:
        """Halt as firmware does on M112 or a thermal fault: dead until reset."""
        self._stop_all(now_s)
        if shown:
            self.say(f"echo:{shown}")
        self.say("Error:Printer halted. kill() called!")
        if self.machine.host_actions:
            self.say("//action:poweroff")
        self.dead = True
        self.journal.end("killed", now_s)

    def _protect(self, heater: Heater, trip: Trip, now_s: float) -> None:
        """_temp_error; in 2.1 the name of a hot end brings a line end of its own."""
        error, shown = _TRIPS[trip.why]
        name = "bed" if heater is self.bed else "E0\n"
        self.say(f"Error:{error}, system stopped! Heater_ID: {name}")
        self.kill(now_s, shown)

    def _urgent(self, code: str) -> None:
        if self.machine.emergency_parser:
            return  # the emergency parser has seen it already
        self._act_at_once(code)

    def _act_at_once(self, code: str) -> None:
        if code == "M112":
            self.kill(self._now_s, "M112 Shutdown")
        elif code == "M108":
            self.board.heating_wanted = self.board.user_wanted = False
        else:
            self.board.quick_stop(self._now_s)
            self.journal.end("stopped", self._now_s)

    def _renumber(self, number: int) -> None:
        self.intake.last = min(number, LONG_MAX)

    # --- the physical world --------------------------------------------------------------

    def jam(self) -> None:
        """The filament sensor sees no motion: the printer waits for a person (M108 or `press`)."""
        self.commands.pause_for_user()

    def press(self) -> None:
        """Someone presses the knob: what waits for a person goes on."""
        self.board.user_wanted = False

    def deeds(self) -> Mapping[str, Callable[[], None]]:
        """What can happen to this machine besides `jam` and `press`."""
        return {
            "runaway": lambda: self._spoil("stuck"),
            "heater-dead": lambda: self._spoil("dead"),
            "thermistor-off": lambda: self._spoil("open"),
            "thermistor-short": lambda: self._spoil("short"),
            "heater-mend": lambda: self._spoil(""),
            "panel-pause": lambda: self._action("pause"),
            "panel-resume": lambda: self._action("resume"),
            "panel-stop": lambda: self._action("cancel"),
            "panel-print": self._print_from_card,
            "panel-jog": self._jog,
        }

    def _spoil(self, how: Spoiled) -> None:
        self.hotend.spoil(how, self._now_s)

    def _action(self, what: str) -> None:
        """The panel tells the host; without HOST_ACTION_COMMANDS it can only pause its card."""
        if self.machine.host_actions:
            self.say(f"//action:{what}")
        elif what == "cancel":
            self.board.card.clear()
        else:
            self.board.card_paused = what == "pause"

    def _print_from_card(self) -> None:
        if not self.machine.sd_card:
            raise ValueError("this printer has no card reader: sd_card = true fits one")
        self.board.card, self.board.card_paused = list(CARD_FILE), False
        self.board.card_bytes = sum(len(row) + 1 for row in CARD_FILE)

    def _jog(self) -> None:
        """Somebody turns the knob in the menu `Move axis`."""
        goal = list(self.board.at)
        goal[0] += JOG_MM if goal[0] + JOG_MM <= self.machine.size_mm[0] else -JOG_MM
        if not self.planner.full:
            self.board.now_s = self._now_s
            self.board.plan(goal)

    # --- bytes and time ------------------------------------------------------------------

    def say(self, line: str) -> None:
        """Put one line on the wire."""
        self.out += line.encode("latin-1", "replace") + b"\n"

    def take_output(self) -> bytes:
        """What the board has said since the last time."""
        said = bytes(self.out)
        self.out.clear()
        return said

    def receive(self, data: bytes, now_s: float) -> None:
        """Bytes arrive; what finds no room in the receive buffer is lost."""
        if self.dead:
            return
        self._now_s = now_s
        if self.machine.emergency_parser:
            self._watch(data)
        while data and not self.dead:
            room = self.intake.room
            self.intake.put(data[:room] if room else data)
            data = data[room:] if room else b""
            self.run(now_s)

    def _watch(self, data: bytes) -> None:
        """feature/e_parser.h: looks at the start of every line, whatever waits in the buffer."""
        *lines, rest = _LINE_END.split(self._seen + data)
        self._seen = rest[: self.machine.max_cmd_size]
        for line in lines:
            found = _URGENT.match(line)
            if found is not None:
                self._act_at_once("M" + found[1].decode())

    def run(self, now_s: float) -> None:
        """Do everything that is due by now."""
        self._now_s = now_s
        self.planner.advance(now_s)
        board, intake = self.board, self.intake
        if board.next_temperatures_s is not None or board.next_position_s is not None:
            board.report(now_s, self.machine.unasked_min_s)
        if self.hotend.spoiled and not self.dead:
            self._look_after(now_s)
        while not self.dead:
            self._read()
            if self.dead:
                return
            if self._task is None and not self._next(now_s):
                return
            if self.dead:
                return
            if self._task is not None and not self._go_on(self._task, now_s):
                return
            intake.occupied = False
            self._acknowledge()

    def _look_after(self, now_s: float) -> None:
        trip = self.hotend.trip()
        if trip is not None and now_s >= trip.at_s:
            self._protect(self.hotend, trip, now_s)

    def _next(self, now_s: float) -> bool:
        """Begin the next command, from the line or from the card."""
        intake = self.intake
        card = self.board.card
        if card and not self.board.card_paused and intake.free > 0:
            intake.queue.append(Command(card.pop(0), None, silent=True))
        if not intake.queue:
            return False
        self._command = intake.queue.popleft()
        intake.occupied = True
        self._busy_at_s = now_s + max(self.board.busy_s, self.machine.unasked_min_s)
        if self._command.text.startswith("M112"):
            self.kill(now_s, "M112 Shutdown")
            return True
        self._task = self.commands.begin(self._command, now_s)
        return True

    def _read(self) -> None:
        while (found := self.intake.next()) is not None and not self.dead:
            if isinstance(found, LineFault):
                self.say(f"Error:{found.why}, Last Line: {found.last}")
                self._ask_again(found.last)

    def _ask_again(self, last: int) -> None:
        """flush_and_request_resend: the ok belongs to the request, not to a line."""
        self.intake.forget()
        self.say(f"Resend: {last + 1}")
        self.say("ok")

    def _go_on(self, task: Iterator[float | None], now_s: float) -> bool:
        """True when the command is done; keeps the host patient meanwhile."""
        board = self.board
        board.now_s = now_s
        for wake_s in task:
            self._wake_s = wake_s
            if board.busy_s and now_s >= self._busy_at_s:
                waiting = "paused for user" if board.user_wanted else "processing"
                self.say(f"echo:busy: {waiting}")
                self._busy_at_s = now_s + max(board.busy_s, self.machine.unasked_min_s)
            return False
        self._task = None
        return True

    def _acknowledge(self) -> None:
        command, board = self._command, self.board
        if board.asks_again:
            board.asks_again = False
            self._ask_again(self.intake.last)
        if board.answer or board.mute:
            if board.answer and not command.silent:
                self.say(board.answer)
            board.answer, board.mute = "", False
        elif not command.silent:
            self.say(self._ok(command) if self.machine.advanced_ok else "ok")

    def _ok(self, command: Command) -> str:
        """ADVANCED_OK: the command still has its slot when its ok is said."""
        number = _NUMBER.match(command.raw)
        shown = "" if number is None else f" {number[0]}"
        free = max(0, self.machine.planner_blocks - 1 - self.planner.waiting)
        return f"ok{shown} P{free} B{self.intake.free - 1}"

    # --- what the process around it asks ---------------------------------------------------

    @property
    def blocked(self) -> bool:
        """A command is being waited for, so nothing more is read."""
        return self._task is not None and not self.dead

    @property
    def wants_person(self) -> bool:
        """Only a person at the machine (or M108) can make it go on."""
        return self.board.user_wanted

    @property
    def still(self) -> bool:
        """Cold and motionless, nothing in hand."""
        cold = self.hotend.target_c <= 0 and self.bed.target_c <= 0
        return cold and not self.moving and self._task is None and not self.intake.queue

    @property
    def moving(self) -> bool:
        """Moves are queued or under way."""
        return self.planner.waiting > 0

    def settle(self, now_s: float) -> None:
        """The line has gone quiet: a half-filled queue starts to move."""
        self.planner.advance(now_s, flush=True)

    def wake_s(self) -> float | None:
        """The next moment at which `run` has something to do; None if only bytes can help."""
        if self.dead:
            return None
        board = self.board
        moments = [board.next_temperatures_s, board.next_position_s, self.planner.next_end_s()]
        if self._task is not None:
            moments.append(self._wake_s)
            if board.busy_s:
                moments.append(self._busy_at_s)
        if self.hotend.spoiled and (trip := self.hotend.trip()) is not None:
            moments.append(trip.at_s)
        known = [moment for moment in moments if moment is not None and moment < math.inf]
        return min(known) if known else None

    def state(self, now_s: float) -> dict[str, object]:
        """Physical facts for the control channel."""
        return {
            "dead": self.dead,
            "temperatures_c": {
                "hotend": [round(self.hotend.at(now_s), 2), self.hotend.target_c],
                "bed": [round(self.bed.at(now_s), 2), self.bed.target_c],
            },
            "position_mm": [round(v, 4) for v in self.planner.position(now_s)],
            "overrun_bytes": self.intake.overrun,
        }
