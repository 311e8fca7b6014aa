"""Promises a printer that carries out a stored file by itself, as one behind a print server does.
Never speaks to a network; servers tell it what is wanted and ask it how it stands.
"""

import time
from typing import Literal

from hardware_sim.clock import Clock
from hardware_sim.config import MarlinMachine
from hardware_sim.marlin import Marlin
from hardware_sim.records import Journal

State = Literal["standby", "printing", "paused", "complete", "cancelled", "error"]
STEPS_PER_TURN = 400


class Printer:
    """Heat and motion are the Marlin machine's; `position` counts the bytes that were read."""

    def __init__(self, machine: MarlinMachine, clock: Clock, journal: Journal) -> None:
        self.clock, self.journal = clock, journal
        self.board = Marlin(machine, journal)
        self.state: State = "standby"
        self.message = ""
        self.name = ""
        self.size = self.position = 0
        self._data = b""
        self._owed = 0  # commands that the board has not acknowledged
        self._wants_pause = False
        self._soon: tuple[str, bytes, float] | None = None
        self._printed_s = 0.0
        self._running_since_s: float | None = None
        self.power_up()

    # --- what a server asks -----------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return self.state in ("printing", "paused")

    @property
    def moving(self) -> bool:
        return self.board.moving or self.board.blocked

    @property
    def wants_person(self) -> bool:
        return self.board.wants_person

    @property
    def progress(self) -> float:
        return self.position / self.size if self.size else 0.0

    @property
    def printed_s(self) -> float:
        running = self._running_since_s
        return self._printed_s + (0.0 if running is None else self.clock.now() - running)

    def heat(self) -> dict[str, tuple[float, float]]:
        """Actual and target in °C."""
        now_s = self.clock.now()
        both = {"extruder": self.board.hotend, "heater_bed": self.board.bed}
        return {name: (round(part.at(now_s), 2), part.target_c) for name, part in both.items()}

    # --- what a server tells ----------------------------------------------------------------

    def power_up(self) -> None:
        self.board.power_up(self.clock.now())
        self.board.take_output()
        self.state, self.message, self.name = "standby", "", ""
        self.size = self.position = self._owed = 0

    def start(self, name: str, data: bytes) -> None:
        self.name, self._data, self.size, self.position = name, data, len(data), 0
        self.state, self.message, self._wants_pause = "printing", "", False
        self._printed_s, self._running_since_s = 0.0, self.clock.now()

    def start_soon(self, name: str, data: bytes, wall_s: float = 1.0) -> None:
        """Begin after whoever asked has had an answer."""
        self._soon = (name, data, time.monotonic() + wall_s)

    def pause(self) -> None:
        """Takes effect when the command in hand is done."""
        self._wants_pause = self.state == "printing"

    def resume(self) -> None:
        if self.state == "paused":
            self.state, self._running_since_s = "printing", self.clock.now()

    def cancel(self) -> None:
        if self.busy:
            self._over("cancelled")
            self.journal.end("stopped", self.clock.now())

    def say(self, line: str) -> None:
        """One command beside a file."""
        self._owed += 1
        self.board.receive(line.encode("ascii", "replace") + b"\n", self.clock.now())

    def cool(self) -> None:
        for line in ("M104 S0", "M140 S0", "M107"):
            self.say(line)

    def halt(self, why: str) -> None:
        """Everything off at once; dead until it is powered up again."""
        if self.busy:
            self._over("error", why)
        self.board.kill(self.clock.now())
        self.board.take_output()

    def _over(self, state: State, message: str = "") -> None:
        self._printed_s, self._running_since_s = self.printed_s, None
        self.state, self.message = state, message

    # --- time -------------------------------------------------------------------------------

    def step(self) -> None:
        """Do what is due; a jumping clock skips the waits."""
        if self._soon is not None and time.monotonic() > self._soon[2]:
            name, data, _ = self._soon
            self._soon = None
            self.start(name, data)
        for _ in range(STEPS_PER_TURN):
            self._listen()
            if self.state == "printing" and self._owed == 0 and not self.board.dead:
                self._feed()
            elif not self._skip():
                break
        self._end_when_still()

    def _listen(self) -> None:
        self.board.run(self.clock.now())
        said = self.board.take_output().splitlines()
        self._owed = max(0, self._owed - sum(line.startswith(b"ok") for line in said))
        if self.board.dead and self.busy:
            self._over("error", b" ".join(said).decode("ascii", "replace")[:200])
        if self._wants_pause and self._owed == 0 and self.state == "printing":
            self._wants_pause = False
            self._over("paused")

    def _feed(self) -> None:
        """The next line that is a command; at the end of the file the print is complete."""
        while self.position < self.size:
            end = self._data.find(b"\n", self.position)
            end = self.size if end < 0 else end + 1
            line = self._data[self.position : end].split(b";")[0].strip()
            self.position = end
            if line:
                self.say(line.decode("ascii", "replace"))
                return
        self._over("complete")

    def _skip(self) -> bool:
        """Jump to the board's next moment; False when nothing is to be waited for."""
        if not self.clock.jumps or self.wants_person or not (self.busy or self.moving):
            return False
        if not self.board.blocked:
            self.board.settle(self.clock.now())
        wake_s = self.board.wake_s()
        if wake_s is None or not self.moving:
            return False
        self.clock.jump_to(wake_s)
        return True

    def _end_when_still(self) -> None:
        if self.state != "complete":
            return
        if not self.clock.jumps and self.board.moving:
            self.board.settle(self.clock.now())
        if not self.moving and self.journal.running:
            self.journal.end("complete", self.clock.now())
        self.journal.flush()
