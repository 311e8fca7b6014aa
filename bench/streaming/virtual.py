"""Our conversation with the bench's Marlin in virtual time: what a strategy costs, to the byte.

Both ends take a fixed time to wake up; no process, no port and no clock disturb the figure.
"""

from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

from bench.streaming.board import Wire
from bench.streaming.faults import Dirt
from bench.streaming.marlin import Marlin
from bench.streaming.programs import Compared, Job, compare
from firmware_bridge import gcode
from firmware_bridge.driver import Ended, Event
from firmware_bridge.drivers.marlin.conversation import MarlinConversation
from firmware_bridge.streaming import Timeouts, Wish

_BOARD_WAKES_S: Final = 70e-6
_HOST_WAKES_S: Final = 60e-6


@dataclass
class Virtual:
    """One job over one line; `run` gives lines a second and what was executed."""

    job: Job
    baud: int
    dirt: Dirt
    now: float = 1.0
    events: list[Event] = field(default_factory=list[Event])

    def __post_init__(self) -> None:
        self.wire = Wire(self.baud, 0.0, self.dirt, 0)
        board = Marlin(self.wire, None, advanced_ok=False, homing_s=0.0)
        self.wire.language = board
        board.reset(0.0)
        data = "\n".join([*self.job.head, *self.job.moves, ""]).encode()
        self.talk = MarlinConversation(gcode.commands(data), len(self.job.moves), Timeouts())

    def run(self) -> tuple[float, Ended, Compared]:
        while not (self.events and isinstance(self.events[-1], Ended)):
            self._speak()
            self._listen()
        wire = self.wire
        executed = [command.decode("latin-1") for command in wire.executed]
        speed = (wire.moves - 1) / (wire.last_at - wire.first_at)
        return speed, self.events[-1], compare(self.job, executed)

    def _speak(self) -> None:
        self.talk.tick(self.now, Wish.RUN, "")
        if out := self.talk.take_bytes():
            self.wire.receive(out, self.now + _BOARD_WAKES_S)
        self.events += self.talk.take_events()

    def _listen(self) -> None:
        out, ends = self.wire.out, self.now + self.talk.patience_s
        if not out or out[0][0] + _HOST_WAKES_S > ends:
            self.now = ends
            return
        self.now = max(self.now, out[0][0] + _HOST_WAKES_S)
        due = list(takewhile(lambda said: said[0] + _HOST_WAKES_S <= self.now, out))
        for _, said in due:
            out.popleft()
            self.talk.hear(said, self.now)
            self._speak()
