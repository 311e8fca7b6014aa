"""One job told to GRBL: counted characters, and an end that the machine's own position must prove.

It decides what to send from what was heard and the time; it has no port and no clock. GRBL neither
numbers nor checks its lines, so nothing is ever sent twice, the first error stops the job, and a
job whose answers or whose end do not add up is never called finished.
"""

import re
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
from firmware_bridge.drivers.grbl import codec, quirks
from firmware_bridge.gcode import Place
from firmware_bridge.streaming import Tally, Timeouts, Wish

PROGRESS_EVERY_S = 0.5
TICK_S = 0.05
_DWELL = re.compile(rb"(?i)G0*4\s*P\s*([\d.]+)")
_STILL = ("Idle", "Alarm", "Check", "Sleep")


class Phase(StrEnum):
    SETTING = "setting"  # our own lines, one at a time, before the first of the program
    STREAMING = "streaming"
    PROVING = "proving"  # all lines answered: is it still, and where it should be?
    HOLDING = "holding"  # '!' was sent; reset follows once it stands
    RESETTING = "resetting"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be told: commands by line, where they end, whether to home, the buffer's size."""

    commands: Iterator[tuple[int, bytes]]
    lines: int
    end: dict[str, Place]
    home: bool = False
    rx_bytes: int = quirks.RX_BYTES


@dataclass(frozen=True, slots=True)
class Sent:
    size: int
    file_line: int
    dwell_s: float


class GrblConversation:
    def __init__(self, job: Job, timeouts: Timeouts) -> None:
        self._job = job
        self._timeouts = timeouts
        self._codec = codec.Codec()
        self.tally = Tally()
        self._phase = Phase.SETTING
        self._out = bytearray()
        self._events: list[Event] = []
        self._own: deque[bytes] = deque([b"$H"] if job.home else [])
        self._own.append(b"$G")
        self._owing = b""
        # the stream
        self._flying: deque[Sent] = deque()
        self._flying_bytes = 0
        self._next: tuple[int, bytes] | None = None
        self._dry = False
        self._acked_line = 0
        self._started = False
        # the machine
        self._report = codec.Report("Idle")
        self._offset: codec.Vector | None = None
        self._reports = 0
        self._idle_since: float | None = None
        # time
        self._now = 0.0
        self._heard_at = 0.0
        self._polled_at = 0.0
        self._told_at = 0.0
        self._since = 0.0
        # people
        self._wish = Wish.RUN
        self._paused_by: str | None = None
        self._ending = Ended("unknown", "", 0)

    # ------------------------------------------------------------------ the door

    @property
    def patience_s(self) -> float:
        return TICK_S

    @property
    def farewell(self) -> bytes:
        return quirks.HOLD + quirks.RESET

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
        return Status(condition, detail, {}, self._report.machine_mm or self._report.work_mm)

    def hear(self, data: bytes, now: float) -> None:
        self._now = now
        for reply in self._codec.feed(data):
            if self._phase is Phase.OVER:
                return
            self._take(reply)

    def tick(self, now: float, wish: Wish, why: str) -> None:
        self._now = now
        if not self._since:
            self._enter(Phase.SETTING)
            self._heard_at = now
        if wish is Wish.STOP and self._phase in (Phase.SETTING, Phase.STREAMING, Phase.PROVING):
            self._hold_then_end("interrupted", "stopped", why)
        self._poll()
        self._go_on(wish)

    def lost(self, why: str) -> None:
        if self._phase in (Phase.HOLDING, Phase.RESETTING):
            self._end(self._ending, f"; then {why}")
        elif self._phase is Phase.PROVING:
            self._finish("unknown", "unplugged", f"all lines were taken, their end unseen: {why}")
        else:
            self._finish("interrupted", "unplugged", why)

    # ------------------------------------------------------------------ what is heard

    def _take(self, reply: codec.Reply) -> None:
        match reply:
            case codec.Ok():
                self._ok()
            case codec.Error(number):
                self._error(number)
            case codec.Alarm(number):
                why = quirks.ALARMS.get(number, "see its manual")
                self._finish("failed", f"alarm {number}", why)
            case codec.Report():
                self._reported(reply)
            case codec.Modes(words):
                missing = [word for word in quirks.WANTED_MODES if word not in words]
                if missing and self._phase is Phase.SETTING:
                    self._own.append(" ".join(missing).encode())
            case codec.Banner():
                self._restarted()
            case _:
                pass

    def _ok(self) -> None:
        if self._phase is Phase.SETTING:
            self._owing = b""
        elif self._phase is Phase.STREAMING:
            if not self._flying:
                self._hold_then_end("interrupted", "babble", "it acknowledged what nobody sent")
                return
            sent = self._flying.popleft()
            self._flying_bytes -= sent.size
            self.tally.acked += 1
            self.tally.last_acked_at = self._now
            self._acked_line = sent.file_line
            self._idle_since = None  # it moves on, however often it is seen standing
            if not self._started:
                self._started = True
                self._events.append(Started())
        elif self._phase is Phase.PROVING:
            self._hold_then_end("interrupted", "babble", "it acknowledged what nobody sent")

    def _error(self, number: int) -> None:
        why = quirks.ERRORS.get(number, "see its manual")
        if self._phase is Phase.SETTING:
            said = self._owing.decode()
            self._hold_then_end("failed", f"error {number}", f"it refused {said}: {why}")
        elif self._phase in (Phase.STREAMING, Phase.PROVING):
            line = self._flying[0].file_line if self._flying else self._acked_line
            self._hold_then_end("failed", f"error {number}", f"line {line}: {why}")

    def _restarted(self) -> None:
        if self._phase is Phase.RESETTING:
            self._end(self._ending)
        elif self._phase is Phase.HOLDING:
            self._end(self._ending, "; it restarted before it stood still")
        else:
            self._finish("interrupted", "reset", "the machine restarted in the middle of the job")

    def _reported(self, report: codec.Report) -> None:
        self._heard_at = self._now
        self._report = report
        self._reports += 1
        self._offset = report.offset_mm or self._offset
        if report.state == "Idle":
            self._idle_since = self._idle_since or self._now
        else:
            self._idle_since = None
        if self._phase is Phase.STREAMING or self._phase is Phase.PROVING:
            self._notice_pause(report)

    def _notice_pause(self, report: codec.Report) -> None:
        standing = report.state == "Door" or (report.state == "Hold" and report.part == 0)
        if report.state == "Alarm":
            self._finish("failed", "alarm", "it is locked by an alarm: look at it, then home it")
        elif standing and self._paused_by is None:
            self._paused_by = "the agent" if self._wish is Wish.PAUSE else "the machine"
            self._events.append(Paused(self._paused_by))
        elif self._paused_by is not None and report.state in ("Run", "Idle"):
            self._events.append(Resumed(self._paused_by))
            self._paused_by = None

    # ------------------------------------------------------------------ what is said

    def _poll(self) -> None:
        if self._now - self._polled_at >= quirks.POLL_S:
            self._polled_at = self._now
            self._out += quirks.STATUS

    def _go_on(self, wish: Wish) -> None:
        waited = self._now - self._since
        match self._phase:
            case Phase.SETTING:
                self._set(waited)
            case Phase.STREAMING:
                self._follow(wish)
                self._fill()
                self._watch()
            case Phase.PROVING:
                self._follow(wish)
                self._prove()
            case Phase.HOLDING:
                self._wait_to_reset(waited)
            case Phase.RESETTING:
                if waited > quirks.RESET_S:
                    self._end(self._ending, "; it did not come back from its reset")
            case Phase.OVER:
                pass

    def _set(self, waited: float) -> None:
        patience = self._timeouts.homing_s if self._owing == b"$H" else self._timeouts.answer_s
        if self._owing and waited > patience:
            self._hold_then_end("interrupted", "silent", f"no answer to {self._owing.decode()}")
        elif not self._owing and self._own:
            self._owing = self._own.popleft()
            self._out += self._owing + b"\n"
            self._enter(Phase.SETTING)
        elif not self._owing:
            self._enter(Phase.STREAMING)
            self._fill()

    def _follow(self, wish: Wish) -> None:
        before, self._wish = self._wish, wish
        if wish is Wish.PAUSE and before is Wish.RUN:
            self._out += quirks.HOLD
        elif wish is Wish.RUN and before is Wish.PAUSE:
            self._out += quirks.GO

    def _fill(self) -> None:
        if self._wish is not Wish.RUN or self._paused_by is not None:
            return
        while (line := self._peek()) is not None:
            number, command = line
            size = len(command) + 1
            if self._flying_bytes + size > self._job.rx_bytes:
                return
            dwell = _DWELL.search(command)
            self._flying.append(Sent(size, number, float(dwell[1]) if dwell else 0.0))
            self._flying_bytes += size
            self._out += command + b"\n"
            self._next = None
            self._count()
        if not self._flying:
            self._enter(Phase.PROVING)
            self._reports = 0

    def _count(self) -> None:
        tally = self.tally
        tally.sent += 1
        tally.first_sent_at = tally.first_sent_at or self._now
        tally.window_max = max(tally.window_max, len(self._flying))
        tally.window_max_bytes = max(tally.window_max_bytes, self._flying_bytes)

    def _peek(self) -> tuple[int, bytes] | None:
        if self._next is None and not self._dry:
            self._next = next(self._job.commands, None)
            self._dry = self._next is None
        return self._next

    def _watch(self) -> None:
        """A machine that is silent, or idle although it owes answers, has lost something."""
        if self._silent():
            self._finish("interrupted", "silent", "the machine no longer answers")
        elif self._idle_since is not None and self._flying and self._paused_by is None:
            owing = quirks.IDLE_OWING_S + sum(sent.dwell_s for sent in self._flying)
            if self._now - max(self._idle_since, self._since) > owing:
                self._lost_answer()
        if self._started and self._now - self._told_at >= PROGRESS_EVERY_S:
            self._told_at = self._now
            done = min(self._acked_line / max(self._job.lines, 1), 1.0)
            self._events.append(Progress(done, self._acked_line))

    def _silent(self) -> bool:
        patience = min(quirks.SILENCE_S, self._timeouts.silence_s)
        if self._now - self._heard_at > patience:
            self._out += self.farewell
            return True
        return False

    def _lost_answer(self) -> None:
        outcome: Outcome = "unknown" if self._dry and self._next is None else "interrupted"
        why = f"it stands idle and owes {len(self._flying)} answers: one was lost on the wire"
        self._hold_then_end(outcome, "answer lost", why)

    # ------------------------------------------------------------------ the end

    def _prove(self) -> None:
        """Finished is: idle in a report asked for after the last ok, and where it should end."""
        awaits_offset = self._needs_offset() and self._reports < quirks.REPORTS_FOR_OFFSET
        if self._silent():
            self._finish("unknown", "silent", "all lines were taken, their end unseen")
        elif self._report.state == "Idle" and self._reports >= 2 and not awaits_offset:
            self._judge_end()

    def _needs_offset(self) -> bool:
        frames = {frame for frame, _ in self._job.end.values()}
        missing_work = "work" in frames and self._report.work_mm is None
        missing_machine = "machine" in frames and self._report.machine_mm is None
        return (missing_work or missing_machine) and self._offset is None

    def _judge_end(self) -> None:
        off = self._off_by()
        if off:
            self._hold_then_end("interrupted", "wrong place", off)
        else:
            self._events.append(Progress(1.0, self._acked_line))
            self._finish("finished", "complete", "")

    def _off_by(self) -> str:
        for index, axis in enumerate("XYZ"):
            if axis not in self._job.end:
                continue
            frame, wanted = self._job.end[axis]
            found = self._where(index, frame)
            if found is None:
                return f"it does not say where {axis} is"
            if abs(found - wanted) > quirks.END_TOLERANCE_MM:
                return (
                    f"{axis} ended at {found:.3f} mm, the program ends at {wanted:.3f} mm: "
                    "a line arrived as another one"
                )
        return ""

    def _where(self, index: int, frame: str) -> float | None:
        machine, work, offset = self._report.machine_mm, self._report.work_mm, self._offset
        told, other = (work, machine) if frame == "work" else (machine, work)
        if told is not None and index < len(told):
            return told[index]
        if other is None or offset is None or index >= min(len(other), len(offset)):
            return None
        return other[index] + (-offset[index] if frame == "work" else offset[index])

    def _hold_then_end(self, outcome: Outcome, cause: str, detail: str) -> None:
        if self._phase in (Phase.HOLDING, Phase.RESETTING, Phase.OVER):
            return
        self._ending = Ended(outcome, cause, self._acked_line, detail)
        self._out += quirks.HOLD + quirks.STATUS
        self._reports = 0
        self._enter(Phase.HOLDING)

    def _wait_to_reset(self, waited: float) -> None:
        report = self._report
        stands = report.state in _STILL or (report.state in ("Hold", "Door") and not report.part)
        if (self._reports > 1 and stands) or waited > self._timeouts.stop_s:
            self._out += quirks.RESET
            self._enter(Phase.RESETTING)

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since = phase, self._now

    def _finish(self, outcome: Outcome, cause: str, detail: str) -> None:
        self._end(Ended(outcome, cause, self._acked_line, detail))

    def _end(self, ended: Ended, more: str = "") -> None:
        if self._phase is not Phase.OVER:
            self._phase = Phase.OVER
            self._events.append(
                Ended(ended.outcome, ended.cause, ended.last_line, ended.detail + more)
            )
