"""Promises the table of Marlin's commands, and what happens to one that is not in it.
Never reads bytes; a command that takes time is an iterator of the moments it waits for.

Source: MarlinFirmware/Marlin `Marlin/src/gcode/gcode.cpp` process_parsed_command (which codes a
default configuration compiles in; an echo of the whole line by M111 S1), `parser.cpp`
unknown_command_warning, `control/T.cpp` with `module/tool_change.cpp` (the number in 8 bits).
"""

from collections.abc import Callable

from hardware_sim.marlin import heating, moving, settings, telling
from hardware_sim.marlin.board import DEBUG_ECHO, Board, Task
from hardware_sim.marlin.intake import Command
from hardware_sim.marlin.words import Words, parse

Handler = Callable[[Board, Words], Task | None]
TABLE: dict[str, Handler] = {
    **moving.TABLE,
    **heating.TABLE,
    **telling.TABLE,
    **settings.TABLE,
}
PHYSICAL = frozenset(("G0", "G1", "G2", "G3", "G28"))
HEATING = frozenset(("M104", "M109", "M140", "M190"))


class Commands:
    """The commands of one board; `begin` carries one out or starts it."""

    def __init__(self, board: Board, renumber: Callable[[int], None]) -> None:
        self._board = board
        self._table = dict(TABLE)
        self._renumber = renumber
        self._jammed = False
        machine = board.machine
        if not machine.auto_position:
            del self._table["M154"]
        if not board.has("G20"):
            del self._table["G20"]
        if machine.panel or machine.emergency_parser:
            self._table.update(moving.USER)
        if machine.panel:
            self._table.update(settings.MENU)
        if machine.sd_card:
            self._table.update(telling.CARD)
        for feature in machine.features:
            self._table.setdefault(feature, telling.nothing)

    def begin(self, command: Command, now_s: float) -> Task | None:
        """Carry out a command; an iterator comes back if it takes time."""
        board = self._board
        board.now_s = now_s
        if board.debug & DEBUG_ECHO:
            board.say(f"echo:{command.raw}")
        code, words = parse(command.text)
        if code == "M110":
            board.journal.renumbered()
            number = words.get("N")
            if number is not None:  # M110.cpp: counting starts over when it is carried out
                self._renumber(int(number))
            return None
        numbered = command.number is not None
        if code in PHYSICAL or (code in HEATING and (words.get("S") or words.get("R"))):
            board.journal.physical(now_s, numbered=numbered)
        board.journal.executed(command.text, numbered=numbered)
        if self._jammed:
            return self._after_user(code, command.text, words)
        return self._carry_out(code, command.text, words)

    def _carry_out(self, code: str, text: str, words: Words) -> Task | None:
        handler = self._table.get(code)
        if handler is not None:
            return handler(self._board, words)
        if code[:1] == "T":
            number = int(code[1:]) & 0xFF
            if number > 0:
                self._board.say(f"echo:T{number} Invalid extruder")
        else:
            self._board.say(f'echo:Unknown command: "{text}"')
        return None

    def pause_for_user(self) -> None:
        """The next command finds the printer waiting for a person."""
        self._jammed = True

    def _after_user(self, code: str, text: str, words: Words) -> Task:
        self._jammed = False
        self._board.say("//action:paused filament_runout")
        yield from moving.pause(self._board)
        self._board.say("//action:resumed")
        task = self._carry_out(code, text, words)
        if task is not None:
            yield from task
