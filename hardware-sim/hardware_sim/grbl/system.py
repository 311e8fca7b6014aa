"""Promises GRBL's `$` commands: what each does, in which state it may, and what it refuses with.
Never moves anything but through the controller's mover.

Source: gnea/grbl `grbl/system.c` system_execute_line (states, order of checks, codes 2 3 5 8),
`grbl/limits.c` limits_go_home (search lengths and rates of the homing cycle).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from hardware_sim.grbl import report
from hardware_sim.grbl.modal import GrblError, clean
from hardware_sim.grbl.moves import EEPROM_S, ORIGIN, Task

if TYPE_CHECKING:
    from hardware_sim.grbl.firmware import Grbl

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
STARTUP_LINES = 2
SEARCH, LOCATE = 1.5, 5.0  # limits.c HOMING_AXIS_SEARCH_SCALAR, HOMING_AXIS_LOCATE_SCALAR


class System:
    """The `$` half of one controller, with what it keeps in EEPROM besides the settings."""

    def __init__(self, board: Grbl) -> None:
        self._board = board
        self.startup = [""] * STARTUP_LINES
        self._info = board.machine.build_info
        self._always: dict[str, Callable[[], object]] = {
            "$": self._settings,
            "G": self._modes,
            "C": self._check,
            "X": self._unlock,
        }

    def execute(self, text: str) -> Task | None:
        """One `$` line, cleaned; GrblError with the number it is refused with."""
        rest = text[1:]
        if not rest:
            self._board.say(report.HELP)
            return None
        if rest[0] == "J":
            return self._jog(rest)
        if rest[0] in self._always:
            if len(rest) > 1:
                raise GrblError(3)
            self._always[rest[0]]()
            return None
        if self._state() not in ("Idle", "Alarm"):
            raise GrblError(8)
        return self._at_rest(rest)

    def _state(self) -> str:
        return self._board.state_name(self._board.now_s).partition(":")[0]

    # --- in any state ------------------------------------------------------------------------

    def _settings(self) -> None:
        if self._state() in ("Run", "Hold"):
            raise GrblError(8)
        for line in self._board.settings.lines():
            self._board.say(line)

    def _modes(self) -> None:
        board = self._board
        board.say(report.modes(board.mover.modes, inches=board.settings.on(13)))

    def _check(self) -> None:
        board = self._board
        if board.mover.checking:
            board.restarting = True  # its ok still comes first
            board.say(report.DISABLED)
            return
        if self._state() != "Idle":
            raise GrblError(8)
        board.mover.checking = True
        board.say(report.ENABLED)

    def _unlock(self) -> None:
        if self._board.alarmed:
            self._refuse_open_door()
            self._board.say(report.UNLOCKED)
            self._board.alarmed = False

    def _refuse_open_door(self) -> None:
        if self._board.door_open:
            raise GrblError(13)

    def _jog(self, rest: str) -> Task:
        if self._state() not in ("Idle", "Jog"):
            raise GrblError(8)
        if not rest.startswith("J="):
            raise GrblError(3)
        return self._board.mover.jog(rest[2:], self._board.now_s)

    # --- idle or locked only -------------------------------------------------------------------

    def _at_rest(self, rest: str) -> Task | None:
        first = rest[0]
        if first == "#":
            return self._only("#", rest, self._offsets)
        if first == "H":
            return self._home(rest)
        if first == "S":
            return self._only("SLP", rest, self._sleep)
        if first == "I":
            return self._build(rest)
        if first == "R":
            return self._restore(rest)
        if first == "N":
            return self._startup(rest)
        return self._write(rest)

    def _only(self, word: str, rest: str, deed: Callable[[], object]) -> None:
        if rest != word:
            raise GrblError(3)
        deed()

    def _offsets(self) -> None:
        for line in self._board.mover.offset_lines():
            self._board.say(line)

    def _sleep(self) -> None:
        self._board.fall_asleep()

    def _build(self, rest: str) -> Task | None:
        board = self._board
        if rest == "I":
            machine = board.machine
            for line in report.build(
                self._info, machine.planner_blocks, machine.rx_buffer, door=machine.door_switch
            ):
                board.say(line)
            return None
        if rest[1] != "=":
            raise GrblError(3)
        self._info = rest[2:]
        return self._written()

    def _restore(self, rest: str) -> Task | None:
        if len(rest) != 5 or rest[:4] != "RST=" or rest[4] not in "$#*":
            raise GrblError(3)
        board, what = self._board, rest[4]
        if what in "$*":
            board.settings.restore()
        if what in "#*":
            board.mover.systems = dict.fromkeys(board.mover.systems, ORIGIN)
        if what == "*":
            self.startup, self._info = [""] * STARTUP_LINES, ""
        board.say(report.RESTORING)
        board.restarting = True
        return None

    def _startup(self, rest: str) -> Task | None:
        board = self._board
        if rest == "N":
            for number, line in enumerate(self.startup):
                board.say(f"$N{number}={line}")
            return None
        if self._state() != "Idle":
            raise GrblError(8)
        number, text = self._assignment(rest[1:])
        line = clean(text)
        task = None if not line else board.mover.begin(line, line, board.now_s)
        return self._stored(int(number), line, task)

    def _stored(self, number: int, line: str, task: Task | None) -> Task:
        if task is not None:
            yield from task
        if 0 <= number < STARTUP_LINES:
            self.startup[number] = line
        yield from self._written()

    def _write(self, rest: str) -> Task:
        number, text = self._assignment(rest)
        found = _NUMBER.match(text)
        if found is None:
            raise GrblError(2)
        if found.end() != len(text) or number > 255:
            raise GrblError(3)
        self._board.settings.write(int(number), float(found[0]))
        if int(number) == 13:
            self._board.mover.refresh.offsets = 0
        return self._written()

    def _assignment(self, rest: str) -> tuple[float, str]:
        found = _NUMBER.match(rest)
        if found is None:
            raise GrblError(2)
        if rest[found.end() : found.end() + 1] != "=":
            raise GrblError(3)
        return float(found[0]), rest[found.end() + 1 :]

    def _written(self) -> Task:
        """EEPROM: interrupts are off meanwhile, and bytes that come are lost."""
        mover = self._board.mover
        until_s = self._board.now_s + EEPROM_S
        mover.deaf_until_s = until_s
        while self._board.now_s < until_s:
            yield until_s

    # --- homing --------------------------------------------------------------------------------

    def _home(self, rest: str) -> Task:
        board = self._board
        if not board.settings.on(22):
            raise GrblError(5)
        self._refuse_open_door()
        if rest != "H":
            raise GrblError(3)
        return self._homing_cycle()

    def _homing_cycle(self) -> Task:
        board = self._board
        board.homing = True
        until_s = board.now_s + self._homing_s()
        board.mover.planner.excuse(until_s - board.now_s)
        while board.now_s < until_s:
            yield until_s
        if board.switch_fault:
            board.fail_homing(board.switch_fault)
            return
        board.mover.home()
        board.end_homing()
        board.alarmed = False
        board.run_startup()

    def _homing_s(self) -> float:
        """Z first, then X with Y: seek, pull off, locate; a switch that is dead costs it all."""
        settings, mover = self._board.settings, self._board.mover
        seek_mm_s, feed_mm_s = settings[25] / 60, max(settings[24], 1.0) / 60
        travel, at = settings.axes(130), mover.position(self._board.now_s)
        fine_s = settings[27] * (1 + LOCATE / 5) / feed_mm_s + 4 * settings[26] / 1000
        reach = (
            [SEARCH * far for far in travel]
            if self._board.switch_fault == 9
            else [
                min(SEARCH * far, abs(here) + settings[27])
                for far, here in zip(travel, at, strict=True)
            ]
        )
        return (reach[2] + max(reach[0], reach[1])) / max(seek_mm_s, 0.01) + 2 * fine_s
