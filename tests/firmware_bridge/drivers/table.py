"""Conversations on a table: a clock that the test turns, and all that was said."""

from collections.abc import Iterable

from firmware_bridge.driver import Closing, Ended, Event, Progress
from firmware_bridge.drivers.grbl.conversation import GrblConversation, Job
from firmware_bridge.drivers.grbl.ending import modes_after
from firmware_bridge.drivers.marlin.conversation import MarlinConversation
from firmware_bridge.gcode import end_position
from firmware_bridge.streaming import Conversation, Timeouts, Wish

OK_HEAT = b"ok T:20.0 /0.0 B:20.0 /0.0 @:0\n"


class Table:
    """A conversation on the table: a clock that we turn, and all that was said."""

    def __init__(self, talk: Conversation) -> None:
        self.talk = talk
        self.now = 100.0
        self.events: list[Event] = []
        self.wish, self.why = Wish.RUN, ""

    def wait(self, seconds: float = 0.01) -> bytes:
        self.now += seconds
        if any(isinstance(event, Closing) for event in self._turn()):
            self._turn()  # whoever follows had his turn: the last line may go
        return self.talk.take_bytes()

    def _turn(self) -> list[Event]:
        self.talk.tick(self.now, self.wish, self.why)
        told = self.talk.take_events()
        self.events += [event for event in told if not isinstance(event, Progress | Closing)]
        return told

    def hear(self, *lines: str | bytes) -> bytes:
        for line in lines:
            data = line if isinstance(line, bytes) else line.encode() + b"\n"
            self.talk.hear(data, self.now)
        return self.wait()

    @property
    def end(self) -> Ended:
        assert isinstance(self.events[-1], Ended), self.events
        return self.events[-1]


def printer(commands: Iterable[str], t: Timeouts | None = None) -> Table:
    rows = [(n, row.encode()) for n, row in enumerate(commands, 1)]
    table = Table(MarlinConversation(iter(rows), len(rows), t or Timeouts()))
    assert table.wait().startswith(b"N1999 M110 N1999*")
    return table


def said(data: bytes) -> list[tuple[int, str]]:
    rows = [row.split(b"*")[0].split(b" ", 1) for row in data.splitlines()]
    return [(int(number[1:]), command.decode()) for number, command in rows]


IDLE = "<Idle|MPos:{0},0.000,0.000|FS:0,0|WCO:0.000,0.000,0.000>"
MODES = "[GC:{0} G54 G17 G21 G90 G94 M5 M9 T0 F{1} S0]"


def mill(
    commands: list[str],
    *,
    home: bool = False,
    check: bool = False,
    modes: str = MODES.format("G0", 0),
) -> Table:
    rows = [(n, row.encode()) for n, row in enumerate(commands, 1)]
    job = Job(lambda: rows, len(rows), end_position(rows), modes_after(rows), home, check)
    table = Table(GrblConversation(job, Timeouts()))
    told = table.wait()
    if home:
        assert told == b"?$H\n"
        told = table.hear("ok")
    assert told.endswith(b"$G\n")
    table.hear(modes)
    return table
