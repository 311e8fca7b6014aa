"""One job told to GRBL: counted characters, and an end that its own position and modes must prove.

It decides what to send from what was heard and the time; it has no port and no clock. GRBL neither
numbers nor checks its lines, so nothing is ever sent twice, the first error stops the job, and a
job whose answers or whose end do not add up is never called finished.
"""

from collections import deque
from collections.abc import Callable, Iterable
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
from firmware_bridge.drivers.grbl import codec, ending, quirks
from firmware_bridge.drivers.grbl.counting import Counting
from firmware_bridge.drivers.grbl.ending import Modes
from firmware_bridge.gcode import Place
from firmware_bridge.streaming import Row, Rows, Tally, Timeouts, Wish

PROGRESS_EVERY_S = 0.5
TICK_S = 0.05
_STILL = ("Idle", "Alarm", "Check", "Sleep")


class Phase(StrEnum):
    SETTING = "setting"  # our own lines, one at a time, before the first of the program
    CHECKING = "checking"  # the program in check mode: parsed, not carried out
    UNCHECKING = "unchecking"  # leaving check mode is a reset, with its greeting
    STREAMING = "streaming"
    PROVING = "proving"  # all lines answered: is it still, and where it should be?
    ASKING = "asking"  # the modes that it ended in
    HOLDING = "holding"  # '!' was sent; reset follows once it stands
    ALARMED = "alarmed"  # one that makes it deaf to all but a reset, and first to that too
    RESETTING = "resetting"
    OVER = "over"


class Check(StrEnum):
    """The dry run before the job, where the shop wants it."""

    WANTED = "wanted"
    ON = "on"
    DONE = "done"


_RUNNING = (Phase.SETTING, Phase.CHECKING, Phase.STREAMING, Phase.PROVING, Phase.ASKING)
_COUNTED = (Phase.CHECKING, Phase.STREAMING)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be told: the rows of the program (anew at each call), where it ends, and how."""

    rows: Callable[[], Iterable[Row]]
    lines: int
    end: dict[str, Place]
    modes: Modes
    home: bool = False
    check: bool = False
    rx_bytes: int = quirks.RX_BYTES


class GrblConversation:
    def __init__(self, job: Job, timeouts: Timeouts) -> None:
        self.tally = Tally()
        self._job = job
        self._timeouts = timeouts
        self._codec = codec.Codec()
        self._phase = Phase.SETTING
        self._out = bytearray()
        self._events: list[Event] = []
        self._own: deque[bytes] = deque([b"$H", b"$G"] if job.home else [b"$G"])
        self._owing = b""
        self._count = self._counting(Phase.SETTING)
        self._check = Check.WANTED if job.check else Check.DONE
        self._started = False
        # the machine
        self._report = codec.Report("Idle")
        self._offset: codec.Vector | None = None
        self._modes: Modes | None = None
        self._wishes = 0  # how often it was asked into the modes that a job counts on
        self._start_modes: Modes | None = None
        self._reports = 0
        self._idle_since: float | None = None
        # time
        self._now = self._heard_at = self._polled_at = self._told_at = self._since = 0.0
        # people
        self._wish = Wish.RUN
        self._paused_by: str | None = None
        self._ending = Ended("unknown", "", 0)

    # ── the door ────────────────────────────────────────────────────────────────────────────

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
        self._count.heard()
        events, self._events = self._events, []
        return events

    def status(self) -> Status:
        paused = self._paused_by is not None
        condition = Condition.PAUSED if paused else Condition.RUNNING
        detail = f"paused by {self._paused_by}" if paused else f"line {self._count.acked_line}"
        detail = f"check mode, {detail}" if self._phase is Phase.CHECKING else detail
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
        if wish is Wish.STOP and self._phase in _RUNNING:
            self._hold_then_end("interrupted", "stopped", why)
        self._poll()
        self._go_on(wish)

    def lost(self, why: str) -> None:
        if self._phase in (Phase.HOLDING, Phase.ALARMED, Phase.RESETTING):
            self._end(self._ending, f"; then {why}")
        elif self._phase in (Phase.PROVING, Phase.ASKING):
            self._finish("unknown", "unplugged", f"all lines were taken, their end unseen: {why}")
        else:
            self._finish("interrupted", "unplugged", why)

    # ── what is heard ───────────────────────────────────────────────────────────────────────

    def _take(self, reply: codec.Reply) -> None:
        match reply:
            case codec.Ok():
                self._ok()
            case codec.Error(number):
                self._error(number)
            case codec.Alarm(number):
                self._alarmed(number)
            case codec.Report():
                self._reported(reply)
            case codec.Modes(words):
                self._modes = Modes.of(words)
                self._want_modes(words)
            case codec.Banner():
                self._restarted()
            case codec.Note(quirks.RESET_TO_CONTINUE) if self._phase is Phase.ALARMED:
                self._reset()
            case _:
                pass

    def _want_modes(self, words: frozenset[str]) -> None:
        missing = " ".join(word for word in quirks.WANTED_MODES if word not in words)
        if not missing or self._phase is not Phase.SETTING:
            return
        if self._wishes >= quirks.MODE_WISHES:
            self._finish("failed", "modes", f"it does not go to {missing}; nothing was cut")
            return
        self._wishes += 1
        self._own.extend((missing.encode(), b"$G"))

    def _ok(self) -> None:
        if self._phase in (Phase.SETTING, Phase.ASKING, Phase.UNCHECKING):
            self._owing = b""
        elif self._phase in _COUNTED and self._count.answered():
            self._idle_since = None  # it moves on, however often it is seen standing
            if self._phase is Phase.STREAMING:
                self._program_taken()
        elif self._phase in _RUNNING:
            self._hold_then_end("interrupted", "babble", "it acknowledged what nobody sent")

    def _program_taken(self) -> None:
        if not self._started:
            self._started = True
            self._events.append(Started())

    def _error(self, number: int) -> None:
        why = quirks.ERRORS.get(number, "see its manual")
        cause = f"error {number}"
        if self._phase is Phase.CHECKING:
            why = f"refused in check mode, nothing moved: line {self._count.line_due}: {why}"
            self._hold_then_end("failed", cause, why)
        elif self._phase in (Phase.STREAMING, Phase.PROVING):
            self._hold_then_end("failed", cause, f"line {self._count.line_due}: {why}")
        elif self._phase in _RUNNING:
            self._hold_then_end("failed", cause, f"it refused {self._owing.decode()}: {why}")

    def _alarmed(self, number: int) -> None:
        why = quirks.ALARMS.get(number, "see its manual")
        if number not in quirks.DEAF_AFTER:
            self._finish("failed", f"alarm {number}", why)
        elif self._phase is not Phase.ALARMED:
            self._ending = Ended("failed", f"alarm {number}", self._taken_line(), why)
            self._enter(Phase.ALARMED)

    def _restarted(self) -> None:
        if self._phase is Phase.UNCHECKING:
            self._owing, self._check = b"", Check.DONE
            self._own.append(b"$G")
            self._enter(Phase.SETTING)
        elif self._phase in (Phase.RESETTING, Phase.ALARMED):
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
        if report.state in ("Idle", "Check"):
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

    # ── what is said ────────────────────────────────────────────────────────────────────────

    def _poll(self) -> None:
        if self._now - self._polled_at >= quirks.POLL_S:
            self._polled_at = self._now
            self._out += quirks.STATUS

    def _go_on(self, wish: Wish) -> None:
        waited = self._now - self._since
        match self._phase:
            case Phase.SETTING:
                self._set(waited)
            case Phase.CHECKING:
                self._fill()
                self._watch()
            case Phase.STREAMING:
                self._follow(wish)
                self._fill()
                self._watch()
            case Phase.PROVING:
                self._follow(wish)
                self._prove()
            case Phase.ASKING:
                self._compare(waited)
            case _:
                self._wind_down(waited)

    def _wind_down(self, waited: float) -> None:
        if self._phase is Phase.HOLDING:
            self._wait_to_reset(waited)
        elif self._phase is Phase.ALARMED and waited > quirks.ALARM_S:
            self._reset()
        elif self._phase is Phase.RESETTING and waited > quirks.RESET_S:
            self._end(self._ending, "; it did not come back from its reset")
        elif self._phase is Phase.UNCHECKING and waited > quirks.RESET_S:
            self._hold_then_end("failed", "check mode", "it did not come back from check mode")

    def _set(self, waited: float) -> None:
        patience = self._timeouts.homing_s if self._owing == b"$H" else self._timeouts.answer_s
        if self._owing and waited > patience:
            self._hold_then_end("interrupted", "silent", f"no answer to {self._owing.decode()}")
        elif not self._owing and self._own:
            self._say(self._own.popleft(), Phase.SETTING)
        elif not self._owing and self._check is Check.WANTED:
            self._say(b"$C", Phase.SETTING)
            self._check = Check.ON
        elif not self._owing:
            self._begin(Phase.CHECKING if self._check is Check.ON else Phase.STREAMING)

    def _begin(self, phase: Phase) -> None:
        self._start_modes = self._modes
        self._count = self._counting(phase)
        self._enter(phase)
        self._fill()

    def _counting(self, phase: Phase) -> Counting:
        moves = phase is Phase.STREAMING
        rows = Rows(self._job.rows(), holds_last=moves)
        return Counting(rows, self._job.rx_bytes, self.tally if moves else Tally())

    def _say(self, command: bytes, phase: Phase) -> None:
        self._owing = command
        self._out += command + b"\n"
        self._enter(phase)

    def _follow(self, wish: Wish) -> None:
        before, self._wish = self._wish, wish
        if wish is Wish.PAUSE and before is Wish.RUN:
            self._out += quirks.HOLD
        elif wish is Wish.RUN and before is Wish.PAUSE:
            self._out += quirks.GO

    def _fill(self) -> None:
        if self._wish is not Wish.RUN or self._paused_by is not None:
            return
        self._out += self._count.fill(self._events)
        if self._count.owed or not self._count.all_sent:
            return
        if self._phase is Phase.CHECKING:
            self._say(b"$C", Phase.UNCHECKING)
        else:
            self._enter(Phase.PROVING)
            self._reports = 0

    def _watch(self) -> None:
        """A machine that is silent, or idle although it owes answers, has lost something."""
        if self._silent():
            self._finish("interrupted", "silent", "the machine no longer answers")
        elif self._idle_since is not None and self._count.owed and self._paused_by is None:
            owing = quirks.IDLE_OWING_S + self._count.dwell_s
            if self._now - max(self._idle_since, self._since) > owing:
                self._lost_answer()
        if self._started and self._now - self._told_at >= PROGRESS_EVERY_S:
            self._told_at = self._now
            line = self._count.acked_line
            self._events.append(Progress(min(line / max(self._job.lines, 1), 1.0), line))

    def _silent(self) -> bool:
        patience = min(quirks.SILENCE_S, self._timeouts.silence_s)
        if self._now - self._heard_at > patience:
            self._out += self.farewell
            return True
        return False

    def _lost_answer(self) -> None:
        at_the_end = self._phase is Phase.STREAMING and self._count.all_sent
        outcome: Outcome = "unknown" if at_the_end else "interrupted"
        why = f"it stands idle and owes {self._count.owed} answers: one was lost on the wire"
        self._hold_then_end(outcome, "answer lost", why)

    # ── the end ─────────────────────────────────────────────────────────────────────────────

    def _prove(self) -> None:
        """Finished is: idle in a report asked for after the last ok, and where it should end."""
        awaits_offset = self._needs_offset() and self._reports < quirks.REPORTS_FOR_OFFSET
        if self._silent():
            self._finish("unknown", "silent", "all lines were taken, their end unseen")
        elif self._report.state == "Idle" and self._reports >= 2 and not awaits_offset:
            if self._needs_offset():
                self._finish("unknown", "end unproven", "it does not say where it is")
            else:
                self._judge_place()

    def _needs_offset(self) -> bool:
        frames = {frame for frame, _ in self._job.end.values()}
        missing_work = "work" in frames and self._report.work_mm is None
        missing_machine = "machine" in frames and self._report.machine_mm is None
        return (missing_work or missing_machine) and self._offset is None

    def _judge_place(self) -> None:
        off = ending.place_differs(self._job.end, self._report, self._offset)
        if off:
            self._altered("wrong place", off)
        else:
            self._modes = None
            self._say(b"$G", Phase.ASKING)

    def _compare(self, waited: float) -> None:
        """The modes it says it is in against those that the program ends in."""
        if self._owing and waited > self._timeouts.answer_s:
            self._finish("unknown", "silent", "all lines were taken, their end unseen")
        elif not self._owing and self._modes is None:
            self._finish("unknown", "end unproven", "it does not say in which modes it ended")
        elif not self._owing and self._modes is not None:
            wanted = self._job.modes.over(self._start_modes or Modes({}))
            off = ending.modes_differ(wanted, self._modes)
            if off:
                self._altered("wrong modes", off)
            else:
                self._events.append(Progress(1.0, self._count.acked_line))
                self._finish("finished", "complete", "")

    def _altered(self, cause: str, off: str) -> None:
        why = f"{off}: a line arrived as another one; look at the part and the machine"
        self._hold_then_end("interrupted", cause, why)

    def _hold_then_end(self, outcome: Outcome, cause: str, detail: str) -> None:
        if self._phase in (Phase.HOLDING, Phase.ALARMED, Phase.RESETTING, Phase.OVER):
            return
        self._ending = Ended(outcome, cause, self._taken_line(), detail)
        self._out += quirks.HOLD + quirks.STATUS
        self._reports = 0
        self._enter(Phase.HOLDING)

    def _taken_line(self) -> int:
        """Of the program itself: check mode carried out none of it."""
        return self._count.acked_line if self._started else 0

    def _wait_to_reset(self, waited: float) -> None:
        report = self._report
        stands = report.state in _STILL or (report.state in ("Hold", "Door") and not report.part)
        if (self._reports > 1 and stands) or waited > self._timeouts.stop_s:
            self._reset()

    def _reset(self) -> None:
        self._out += quirks.RESET
        self._enter(Phase.RESETTING)

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since = phase, self._now

    def _finish(self, outcome: Outcome, cause: str, detail: str) -> None:
        self._end(Ended(outcome, cause, self._taken_line(), detail))

    def _end(self, ended: Ended, more: str = "") -> None:
        if self._phase is not Phase.OVER:
            self._phase = Phase.OVER
            self._events.append(
                Ended(ended.outcome, ended.cause, ended.last_line, ended.detail + more)
            )
