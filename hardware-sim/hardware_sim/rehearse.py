"""Promises how long a program keeps a machine busy, by running its firmware without a line.
Never waits: the clock jumps from event to event.
"""

from collections.abc import Iterable

from hardware_sim.config import Machine, MarlinMachine
from hardware_sim.grbl import Grbl
from hardware_sim.marlin import Marlin
from hardware_sim.records import Journal


class CannotRehearse(ValueError):
    """The firmware stops at a line of the program; the message says which and why."""


def machine_s(machine: Machine, lines: Iterable[str]) -> float:
    """Simulated seconds from the first line to standstill, heating and homing included."""
    journal = Journal(None)
    board = (
        Marlin(machine, journal) if isinstance(machine, MarlinMachine) else Grbl(machine, journal)
    )
    board.power_up(0.0)
    board.take_output()
    now_s = 0.0
    for number, line in enumerate(lines, 1):
        board.receive(line.encode("ascii", "replace").strip() + b"\n", now_s)
        now_s = _wait(board, now_s, number)
        said = board.take_output()
        if board.dead or b"error:" in said or b"ALARM" in said:
            raise CannotRehearse(f"line {number}: {said.decode().strip() or 'the machine halted'}")
    board.settle(now_s)
    while board.moving and (wake_s := board.wake_s()) is not None:
        now_s = max(now_s, wake_s)
        board.settle(now_s)
    return now_s


def _wait(board: Marlin | Grbl, now_s: float, number: int) -> float:
    while board.blocked:
        wake_s = board.wake_s()
        if wake_s is None or board.wants_person:
            raise CannotRehearse(f"line {number}: the program waits for a person")
        now_s = max(now_s, wake_s)
        board.run(now_s)
    return now_s
