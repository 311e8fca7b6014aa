"""One job told to Marlin: numbered lines, a window that grows on evidence, recovery by asking.

It decides what to send from what was heard and the time; it has no port and no clock. Three rules
keep it right on a bad line: a number is never given to a second command, the firmware's own
"Last Line" wins over every count of oks, and after any doubt only the answer "ok T:" to a numbered
M105 (a *sync*: it comes after all before it was executed) makes counted oks trustworthy again.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from firmware_bridge.driver import (
    Condition,
    Ended,
    Event,
    Outcome,
    Paused,
    Progress,
    Resumed,
    Started,
    Status,
)
from firmware_bridge.drivers.marlin import codec, quirks
from firmware_bridge.streaming import Tally, Timeouts, Wish

PROGRESS_EVERY_S = 0.5
TICK_S = 0.05
_BEFORE_FIRST = quirks.FIRST_NUMBER - 1
START_NUMBERING = codec.numbered(_BEFORE_FIRST, b"M110 N%d" % _BEFORE_FIRST)


class Phase(StrEnum):
    NUMBERING = "numbering"
    STREAMING = "streaming"
    SECURING = "securing"
    OVER = "over"


@dataclass(slots=True)
class Line:
    """A command under its number; `file_line` 0 marks one of our own; a sync answers "ok T:"."""

    number: int
    command: bytes
    wire: bytes
    file_line: int
    sync: bool = False
    renumbers: bool = False


class MarlinConversation:
    def __init__(self, commands: Iterator[tuple[int, bytes]], lines: int, t: Timeouts) -> None:
        self._source = commands
        self._lines = max(lines, 1)
        self._timeouts = t
        self._codec = codec.Codec()
        self.tally = Tally()
        self._phase = Phase.NUMBERING
        self._out = bytearray()
        self._events: list[Event] = []
        self._temperatures: dict[str, tuple[float, float]] = {}
        # the stream
        self._number = quirks.FIRST_NUMBER
        self._flying: deque[Line] = deque()
        self._again: deque[Line] = deque()
        self._history: deque[Line] = deque(maxlen=quirks.HISTORY_LINES)
        self._tail: deque[bytes] = deque((b"M400", b"M105"))
        self._closing = False
        self._acked_line = 0
        self._started = False
        # trust
        self._window = 1
        self._clean = 0
        self._doubt = False
        self._want_sync = False
        self._syncs_failed = 0
        self._after_resend = False
        self._surplus = 0
        self._truth: int | None = None
        self._truth_since = 0.0
        self._truth_asked = 0
        self._truth_at = -1
        # time
        self._now = 0.0
        self._heard_at = 0.0  # any byte
        self._sense_at = 0.0  # anything that a Marlin says
        self._moved_at = 0.0
        self._asked_at = 0.0
        self._probes = 0
        self._reported_at = 0.0
        # people
        self._wish = Wish.RUN
        self._paused_by: str | None = None
        self._machine_waits = False
        self._ending = Ended("unknown", "", 0)
        self._give_up_at = 0.0
        self._safe_again_at = 0.0

    # ------------------------------------------------------------------ the door

    @property
    def patience_s(self) -> float:
        return quirks.DRAIN_S if self._truth is not None else TICK_S

    @property
    def farewell(self) -> bytes:
        return quirks.MAKE_SAFE

    def take_bytes(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def status(self) -> Status:
        paused = self._paused_by is not None
        condition = Condition.PAUSED if paused else Condition.RUNNING
        detail = f"paused by {self._paused_by}" if paused else f"line {self._acked_line}"
        return Status(condition, detail, dict(self._temperatures))

    def hear(self, data: bytes, now: float) -> None:
        self._now = self._heard_at = now
        for reply in self._codec.feed(data):
            if self._phase is Phase.OVER:
                return
            if not isinstance(reply, codec.Note | codec.Action):
                self._sense_at = now
            self._take(reply)
            self._after_resend = isinstance(reply, codec.Resend)

    def tick(self, now: float, wish: Wish, why: str) -> None:
        if not self._heard_at:
            self._begin(now)
        self._now = now
        if wish is Wish.STOP and self._phase in (Phase.NUMBERING, Phase.STREAMING):
            self._secure("interrupted", "stopped", why)
        if self._phase is Phase.SECURING:
            self._insist()
        if self._phase in (Phase.NUMBERING, Phase.STREAMING):
            self._stream(wish)

    def lost(self, why: str) -> None:
        if self._phase is Phase.SECURING:
            self._end(self._ending, f"; then {why}")
        elif self._closing and not self._again and all(not line.file_line for line in self._flying):
            self._finish("unknown", "unplugged", f"all lines were taken, their end unseen: {why}")
        else:
            self._finish("interrupted", "unplugged", why)

    # ------------------------------------------------------------------ what is heard

    def _take(self, reply: codec.Reply) -> None:
        match reply:
            case codec.Ok():
                self._ok(reply)
            case codec.Resend(number):
                self._resend(number)
            case codec.Heat(temperatures):
                self._temperatures.update(temperatures)
            case codec.Busy(why):
                self._busy(why)
            case codec.Banner():
                self._finish("interrupted", "reset", "the machine restarted: its position is lost")
            case codec.Killed(text):
                self._finish("failed", "halted by the machine", text)
            case codec.Fault(text):
                self._secure("failed", "machine error", text)
            case codec.UnknownCommand(command):
                self._unknown_command(command)
            case codec.Action(name):
                self._action(name)
            case _:
                pass

    def _ok(self, ok: codec.Ok) -> None:
        if ok.temperatures_c is not None:
            self._temperatures.update(ok.temperatures_c)
        if self._phase is Phase.SECURING:
            self._secured(ok)
            return
        if self._phase is Phase.NUMBERING and not self._after_resend:
            self._phase = Phase.STREAMING
            return
        if self._truth is not None or self._after_resend:
            return  # this ok answers a resend, not a line
        if self._machine_waits:
            self._machine_waits = False
            self._go_on("the machine")
        owed = len(self._flying)
        self._acknowledge(ok)
        if len(self._flying) == owed:
            self._one_too_many()
        else:
            self._moved(self._now)
            self._widen()

    def _acknowledge(self, ok: codec.Ok) -> None:
        if ok.number is not None:
            self._taken_up_to(ok.number)
            self._doubt = self._want_sync = False
        elif ok.temperatures_c is not None and any(line.sync for line in self._flying):
            self._synced()
        elif self._flying and not (self._doubt and self._flying[0].sync):
            self._acked(self._flying.popleft())

    def _one_too_many(self) -> None:
        """An ok for no line: the count of oks means nothing until the next sync."""
        self._be_careful()
        self._surplus += 1
        if self._surplus > quirks.SURPLUS_OKS:
            self._secure("interrupted", "babble", "the machine acknowledges what nobody sent")

    def _taken_up_to(self, number: int) -> None:
        while self._flying and self._flying[0].number <= number:
            self._acked(self._flying.popleft())

    def _synced(self) -> None:
        """All lines up to the oldest sync are executed, and no ok is owed or in surplus."""
        self._taken_up_to(next(line.number for line in self._flying if line.sync))
        self._doubt = self._want_sync
        self._syncs_failed = self._surplus = 0

    def _widen(self) -> None:
        self._clean += 1
        if not self._doubt and self._clean >= quirks.CLEAN_ACKS_TO_WIDEN:
            self._clean = 0
            self._window = min(self._window + 1, quirks.IN_FLIGHT_LINES)

    def _acked(self, line: Line) -> None:
        self._history.append(line)
        if line.renumbers:
            self._history.clear()
            self._number = quirks.FIRST_NUMBER
        if line.file_line:
            self.tally.acked += 1
            self.tally.last_acked_at = self._now
            self._acked_line = max(self._acked_line, line.file_line)
            self._begin_once()

    def _begin_once(self) -> None:
        if not self._started:
            self._started = True
            self._events.append(Started())

    def _busy(self, why: str) -> None:
        self._moved(self._now)
        if self._flying and self._flying[0].file_line:
            self._begin_once()
        if "paused for" in why and not self._machine_waits:
            self._machine_waits = True
            self._halt_for("the machine")

    def _unknown_command(self, command: str) -> None:
        """A command that we sent is not known there; else a line that arrived as another."""
        lately = [*self._flying, *list(self._history)[-quirks.IN_FLIGHT_LINES :]]
        if command.encode() in {line.command for line in lately}:
            self._secure("failed", "unknown command", f"the machine does not know {command!r}")
        else:
            self._be_careful()

    def _action(self, name: str) -> None:
        if name.startswith(("pause", "paused", "out_of_filament")):
            self._halt_for("the machine")
        elif name.startswith("resume"):
            self._go_on("the machine")
        elif name.startswith("cancel"):
            self._secure("interrupted", "stopped", "cancelled at the machine")

    # ------------------------------------------------------------------ doubt

    def _be_careful(self) -> None:
        self._doubt = True
        asked = any(line.sync for line in (*self._flying, *self._again))
        self._want_sync = not asked and self._syncs_failed < quirks.SYNC_TRIES
        self._window = 1
        self._clean = 0

    def _resend(self, number: int) -> None:
        """The firmware has all lines before `number`; the last one said before quiet counts."""
        if self._phase is Phase.SECURING:
            return
        self._moved(self._now)
        self._be_careful()
        oldest = self._history[0].number if self._history else quirks.FIRST_NUMBER
        newest = max(self._number, self._flying[-1].number + 1 if self._flying else 0)
        if not oldest <= number <= newest or self._phase is Phase.NUMBERING:
            self._count_asking(-1)  # garbled, or a machine that counts from elsewhere
            return
        if self._truth is None:
            self._truth_since = self._now
        self._truth = number - 1
        self._count_asking(number)

    def _count_asking(self, number: int) -> None:
        self._truth_asked = self._truth_asked + 1 if number == self._truth_at else 1
        self._truth_at = number
        if self._truth_asked > quirks.RESENDS_FOR_ONE_LINE:
            self._secure("interrupted", "bad line", f"asked {self._truth_asked} times for one line")

    def _drain(self) -> None:
        """Once all answers to the old lines are in, go on behind the last one it has."""
        quiet = self._now - self._heard_at >= quirks.DRAIN_S
        if self._truth is not None and (
            quiet or self._now - self._truth_since > quirks.DRAIN_MAX_S
        ):
            truth, self._truth, self._after_resend = self._truth, None, False
            self._go_on_behind(truth)

    def _go_on_behind(self, truth: int) -> None:
        known = {ln.number: ln for ln in (*self._history, *self._flying, *self._again)}
        taken = [line for number, line in sorted(known.items()) if number <= truth]
        self._syncs_failed += sum(line.sync for line in self._flying if line.number <= truth)
        self.tally.resends += sum(line.number > truth for line in self._flying)
        self._flying.clear()
        self._history.clear()
        for line in taken:
            self._acked(line)
        self._again = deque(line for number, line in sorted(known.items()) if number > truth)
        self._be_careful()

    # ------------------------------------------------------------------ what is said

    def _begin(self, now: float) -> None:
        self._now = self._heard_at = self._sense_at = self._moved_at = self._reported_at = now
        self._out += START_NUMBERING

    def _stream(self, wish: Wish) -> None:
        self._follow(wish)
        self._drain()
        if self._truth is not None:
            return
        if self._phase is Phase.STREAMING and self._paused_by is None:
            self._fill()
        if self._closing and not self._flying and not self._again and not self._tail:
            self._complete()
        else:
            self._watch()
            self._report()

    def _follow(self, wish: Wish) -> None:
        before, self._wish = self._wish, wish
        if wish is Wish.PAUSE and self._paused_by is None:
            self._halt_for("the agent")
        elif wish is Wish.RUN and before is Wish.PAUSE and self._paused_by is not None:
            self._go_on(self._paused_by)

    def _halt_for(self, who: str) -> None:
        if self._paused_by is None:
            self._paused_by = who
            self._events.append(Paused(who))

    def _go_on(self, who: str) -> None:
        if self._paused_by == who:
            self._paused_by = None
            self._events.append(Resumed(who))

    def _fill(self) -> None:
        room = quirks.IN_FLIGHT_BYTES - sum(len(line.wire) for line in self._flying)
        while len(self._flying) < self._window:
            line = self._again[0] if self._again else self._next()
            if line is None or (self._flying and len(line.wire) > room):
                self._keep(line)
                return
            if self._again:
                self._again.popleft()
            if not self._flying:
                self._moved(self._now)
                self._asked_at = self._now
            self._flying.append(line)
            self._out += line.wire
            room -= len(line.wire)
        tally = self.tally
        tally.window_max = max(tally.window_max, len(self._flying))
        tally.window_max_bytes = max(tally.window_max_bytes, quirks.IN_FLIGHT_BYTES - room)

    def _keep(self, line: Line | None) -> None:
        if line is not None and not self._again:
            self._again.append(line)

    def _next(self) -> Line | None:
        """The next line under a fresh number; None while one must return, or at the end."""
        if self._flying and self._flying[-1].renumbers:
            return None
        if self._number > quirks.LAST_NUMBER:
            return None if self._flying else self._line(b"M110 N%d" % _BEFORE_FIRST, 0)
        if self._want_sync:
            self._want_sync = False
            return self._line(b"M105", 0)
        if not self._closing:
            for file_line, command in self._source:
                self.tally.first_sent_at = self.tally.first_sent_at or self._now
                self.tally.sent += 1
                return self._line(command, file_line)
            self._closing = True
        return self._line(self._tail.popleft(), 0) if self._tail else None

    def _line(self, command: bytes, file_line: int) -> Line:
        number = self._number
        self._number += 1
        wire = codec.numbered(number, command)
        return Line(
            number, command, wire, file_line, command == b"M105", command.startswith(b"M110")
        )

    def _watch(self) -> None:
        """Silence: ask by repeating the oldest line that is still owed an answer."""
        if not self._flying and self._phase is not Phase.NUMBERING:
            return
        if self._now - max(self._sense_at, self._asked_at) > self._timeouts.silence_s:
            self._out += quirks.MAKE_SAFE
            self._finish("interrupted", "silent", "the machine no longer answers")
        elif self._now - self._moved_at > quirks.STALL_S:
            self._secure("interrupted", "stalled", f"no answer for {quirks.STALL_S:.0f} s")
        elif self._now - self._moved_at > self._timeouts.probe_s * 2**self._probes:
            self._probe()

    def _probe(self) -> None:
        self._probes = min(self._probes + 1, 6)
        if self._phase is Phase.NUMBERING:
            self._out += START_NUMBERING
        else:
            self._be_careful()
            self.tally.probes += 1
            self._out += self._flying[0].wire

    def _moved(self, now: float) -> None:
        self._moved_at, self._probes = now, 0

    def _report(self) -> None:
        if self._started and self._now - self._reported_at >= PROGRESS_EVERY_S:
            self._reported_at = self._now
            fraction = min(self._acked_line / self._lines, 1.0)
            self._events.append(Progress(fraction, self._acked_line))

    # ------------------------------------------------------------------ the end

    def _complete(self) -> None:
        if not self._doubt:
            self._events.append(Progress(1.0, self._acked_line))
            self._finish("finished", "complete", "")
        elif self._syncs_failed < quirks.SYNC_TRIES:
            self._want_sync = True
        else:
            self._secure("unknown", "end unproven", "the machine never said that it was done")

    def _secure(self, outcome: Outcome, cause: str, detail: str) -> None:
        """End it, but only after heat and motion were switched off and the machine showed it."""
        if self._phase in (Phase.SECURING, Phase.OVER):
            return
        self._phase = Phase.SECURING
        self._ending = Ended(outcome, cause, self._acked_line, detail)
        self._give_up_at = self._now + self._timeouts.stop_s
        self._safe_again_at = self._now

    def _insist(self) -> None:
        """Say it again until the machine shows it; at last, kill it."""
        if self._now > self._give_up_at:
            self._out += quirks.KILL
            self._end(self._ending, "; it did not confirm that its heaters are off: look at it")
        elif self._now >= self._safe_again_at:
            self._safe_again_at = self._now + quirks.MAKE_SAFE_EVERY_S
            self._out += quirks.MAKE_SAFE

    def _secured(self, ok: codec.Ok) -> None:
        if ok.temperatures_c and all(not target for _, target in ok.temperatures_c.values()):
            self._end(self._ending)

    def _finish(self, outcome: Outcome, cause: str, detail: str) -> None:
        self._end(Ended(outcome, cause, self._acked_line, detail))

    def _end(self, ended: Ended, more: str = "") -> None:
        if self._phase is not Phase.OVER:
            self._phase = Phase.OVER
            self._events.append(
                Ended(ended.outcome, ended.cause, ended.last_line, ended.detail + more)
            )
