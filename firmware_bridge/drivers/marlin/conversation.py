"""One job told to Marlin: numbered lines in a window, and recovery by asking.

It decides what to send from what was heard and the time; it has no port and no clock. Three rules
keep it right on a bad line: the firmware's own "Last Line" wins over every count of oks; when in
doubt it asks with a line whose number can never be the next one, which no firmware executes; and
only "ok T:", the answer to a numbered M105 (a *sync*: it comes after all before it was executed),
proves that what went before is done.
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
from firmware_bridge.drivers.marlin.asking import Questions, Trust
from firmware_bridge.drivers.marlin.parking import Parking
from firmware_bridge.drivers.marlin.window import Kind, Line, Window
from firmware_bridge.streaming import Rows, Tally, Timeouts, Wish

PROGRESS_EVERY_S = 0.5
TICK_S = 0.05
_BEFORE_FIRST = quirks.FIRST_NUMBER - 1
START_NUMBERING = codec.numbered(_BEFORE_FIRST, quirks.COUNT_FROM_HERE)
NUMBER_AGAIN = codec.numbered(_BEFORE_FIRST, quirks.COUNT_AGAIN)
QUESTION = codec.numbered(quirks.QUESTION_NUMBER, b"M105")


class Phase(StrEnum):
    NUMBERING = "numbering"
    STREAMING = "streaming"
    SECURING = "securing"
    OVER = "over"


@dataclass(slots=True)
class Rewind:
    """The machine has all lines up to `number`; we speak once its answers to older ones are in.

    `behind`: lines that stood behind the refused one and may each be refused too; None: unknown.
    `oks_due`: answers to lines before it that are still to come; None: nobody knows.
    """

    number: int
    since: float
    behind: int | None
    oks_due: int | None = None

    @property
    def told(self) -> bool:
        """All refusals were heard: only the ok of the last one may follow."""
        return self.behind == 0


class MarlinConversation:
    def __init__(
        self,
        commands: Iterator[tuple[int, bytes]],
        lines: int,
        timeouts: Timeouts,
        parking: Parking | None = None,
        *,
        tells_heat: bool = True,
    ) -> None:
        self.tally = Tally()
        self._rows = Rows(commands)
        self._lines = max(lines, 1)
        self._timeouts = timeouts
        self._parking = parking
        self._codec = codec.Codec()
        self._phase = Phase.NUMBERING
        self._out = bytearray()
        self._events: list[Event] = []
        self._temperatures: dict[str, tuple[float, float]] = {}
        # the stream
        self._window = Window(self.tally)
        self._own: deque[bytes] = deque()
        self._tells_heat = tells_heat
        self._tail: deque[bytes] = deque((b"M400", b"M105") if tells_heat else (b"M400",))
        self._closing = False
        self._started = False
        # trust
        self._trust = Trust(0 if tells_heat else quirks.SYNC_TRIES)
        self._questions = Questions(timeouts.probe_s, timeouts.silence_s)
        self._rewind: Rewind | None = None
        self._ahead = b""  # what went out already of the line that comes next
        self._after_resend = False
        self._ok_follows = 0  # above 0: this firmware says ok after Resend; below: it does not
        self._asked_for, self._asked_times = -1, 0
        self._acked_since_resend = quirks.CLEAN_ACKS_BETWEEN_RESENDS
        # time
        self._now = self._heard_at = self._sense_at = 0.0
        self._owing_since = self._reported_at = 0.0
        # people
        self._wish = Wish.RUN
        self._paused_by: str | None = None
        self._machine_waits = False
        self._ending = Ended("unknown", "", 0)
        self._give_up_at = self._safe_again_at = 0.0
        self._safe_oks = 0

    # ── the door ────────────────────────────────────────────────────────────────────────────

    @property
    def patience_s(self) -> float:
        return quirks.OK_AFTER_RESEND_S if self._rewind is not None else TICK_S

    @property
    def farewell(self) -> bytes:
        return b"\n" + 2 * quirks.MAKE_SAFE if self._ahead else quirks.MAKE_SAFE

    def take_bytes(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def take_events(self) -> list[Event]:
        self._rows.heard()
        events, self._events = self._events, []
        return events

    def status(self) -> Status:
        paused = self._paused_by is not None
        condition = Condition.PAUSED if paused else Condition.RUNNING
        detail = f"paused by {self._paused_by}" if paused else f"line {self._window.acked_line}"
        return Status(condition, detail, dict(self._temperatures))

    def hear(self, data: bytes, now: float) -> None:
        self._now = self._heard_at = now
        for reply in self._codec.feed(data):
            if self._phase is Phase.OVER:
                return
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
        elif self._closing and self._window.only_ours:
            self._finish("unknown", "unplugged", f"all lines were taken, their end unseen: {why}")
        else:
            self._finish("interrupted", "unplugged", why)

    # ── what is heard ───────────────────────────────────────────────────────────────────────

    def _take(self, reply: codec.Reply) -> None:
        match reply:
            case codec.Ok():
                self._sense_at = self._now
                self._ok(reply)
            case codec.Note():
                pass
            case codec.Garbled():
                self._garbled()
            case codec.Action(name):
                self._action(name)
            case _:
                self._sense_at = self._now
                self._notice(reply)

    def _notice(self, reply: codec.Reply) -> None:
        match reply:
            case codec.Resend(number):
                self._resend(number)
            case codec.Heat(temperatures, waits):
                self._temperatures.update(temperatures)
                if waits:
                    self._questions.busy(self._now)
            case codec.Busy(why):
                self._busy(why)
            case codec.Idle():
                self._idle()
            case codec.Position(xyz_mm):
                if self._paused_by is not None and self._parking is not None:
                    self._own.extend(self._parking.leave(xyz_mm))
            case _:
                self._bad_news(reply)

    def _bad_news(self, reply: codec.Reply) -> None:
        match reply:
            case codec.Banner():
                self._position_lost("the machine restarted: its position is lost")
            case codec.Killed(text):
                self._finish("failed", "halted by the machine", text)
            case codec.Fault(text):
                self._secure("failed", "machine error", text)
            case codec.UnknownCommand(command):
                self._unknown_command(command)
            case codec.CardPrint(on=True, text=text):
                self._secure("interrupted", "foreign activity", f"it prints its own file: {text}")
            case _:
                pass

    def _ok(self, ok: codec.Ok) -> None:
        if ok.temperatures_c is not None:
            self._temperatures.update(ok.temperatures_c)
        if self._phase is Phase.SECURING:
            self._secured(ok)
        elif self._after_resend and ok.is_bare and self._ok_follows > -quirks.SURE:
            self._ok_of_resend()
        elif self._phase is Phase.NUMBERING:
            self._phase = Phase.STREAMING
        elif self._rewind is None:
            self._ok_of_line(ok)
        elif ok.is_bare:
            self._ok_of_older(self._rewind)

    def _ok_of_older(self, rewind: Rewind) -> None:
        """Of a line before the refused one; or of what a flush left of one behind it."""
        if rewind.oks_due is None:
            return
        rewind.oks_due -= 1
        if rewind.oks_due < 0:
            self._secure("interrupted", "cut line", "a piece of a line ran without its number")

    def _ok_of_resend(self) -> None:
        """It answers the resend, not a line; when nothing else was in flight, all is said."""
        self._ok_follows = min(self._ok_follows + 1, quirks.SURE)
        if self._rewind is not None and self._rewind.told:
            self._go_on_behind(self._rewind)

    def _ok_of_line(self, ok: codec.Ok) -> None:
        if self._machine_waits:
            self._machine_waits = False
            self._go_on("the machine")
        before = self.tally.acked
        if self._acknowledge(ok):
            self._questions.moved(self._now)
            self._trust.acked()
            self._acked_since_resend += 1
            self._count(before)
        elif ok.is_bare:
            self._one_too_many()

    def _count(self, before: int) -> None:
        """Something of the program was taken: the part may exist."""
        if self.tally.acked > before:
            self._begin_once()

    def _acknowledge(self, ok: codec.Ok) -> bool:
        if ok.number is not None:
            if ok.free is not None:
                self._window.room_for(ok.free + 1)
            return self._window.taken_up_to(ok.number)
        if ok.temperatures_c is None:
            return self._window.acknowledge()
        if self._window.synced():
            self._trust.synced()
            return True
        return False

    def _one_too_many(self) -> None:
        """An ok for no line: the count of oks means nothing until the next sync."""
        self._window.trusted = False
        self._window.narrow(damage=False)
        self._trust.doubts()
        if self._trust.surplus():
            self._secure("interrupted", "babble", "the machine acknowledges what nobody sent")

    def _begin_once(self) -> None:
        if not self._started:
            self._started = True
            self._events.append(Started())

    def _busy(self, why: str) -> None:
        self._questions.busy(self._now)
        oldest = self._window.oldest
        if oldest is not None and oldest.file_line:
            self._begin_once()
        if "paused for" in why and not self._machine_waits:
            self._machine_waits = True
            self._halt_for("the machine")

    def _idle(self) -> None:
        """Its queue is empty, so what it owes us was lost."""
        if self._window.owed and not self._questions.open and self._streams_freely:
            self._ask()

    def _garbled(self) -> None:
        """Perhaps an ok: count anew; the last answer that was owed will not come again."""
        self._trust.doubts()
        if self._window.owed == 1 and not self._questions.open and self._streams_freely:
            self._ask()

    @property
    def _streams_freely(self) -> bool:
        return self._phase is Phase.STREAMING and self._rewind is None

    def _unknown_command(self, command: str) -> None:
        """A command that we sent is not known there; else a line that arrived as another."""
        if command.encode() in self._window.lately():
            self._secure("failed", "unknown command", f"the machine does not know {command!r}")
        else:
            self._trust.doubts()
            if self._rewind is not None and self._rewind.oks_due is not None:
                self._rewind.oks_due += 1

    def _action(self, name: str) -> None:
        if name.startswith(("pause", "paused", "out_of_filament")):
            self._halt_for("the machine")
        elif name.startswith("resume"):
            self._go_on("the machine")
        elif name.startswith("cancel"):
            self._secure("interrupted", "stopped", "cancelled at the machine")

    # ── what must go again ──────────────────────────────────────────────────────────────────

    def _resend(self, number: int) -> None:
        """The firmware has all lines before `number`; the last one said before quiet counts."""
        self._ahead = b""
        if self._phase is Phase.SECURING:
            return
        if self._phase is Phase.NUMBERING and number == quirks.FIRST_NUMBER:
            self._phase = Phase.STREAMING
            self._questions.answered(self._now)
        elif self._phase is Phase.NUMBERING or (
            number <= quirks.RESET_ASKS_FOR and self._window.acked == _BEFORE_FIRST
        ):
            self._number_again(number)
        elif number <= quirks.RESET_ASKS_FOR:
            self._position_lost("it counts lines from 0: it restarted, its position is lost")
        elif not self._plausible(number):
            self._trust.doubts()
            self._count_asking(-1)
        elif self._window.renumbering and number == quirks.FIRST_NUMBER:
            self._window.acknowledge()
            self._questions.answered(self._now)
        elif number - 1 == self._window.sent and self._rewind is None:
            self._it_has_all()
        else:
            self._rewind = self._rewind_to(number - 1)
            self._acked_since_resend = 0
            self._count_asking(number)

    def _number_again(self, number: int) -> None:
        """Our M110 arrived as something else; nothing of the job was taken yet."""
        self._phase = Phase.NUMBERING
        self._window.back_to(_BEFORE_FIRST)
        self._questions.answered(self._now)
        self._count_asking(number)
        self._out += NUMBER_AGAIN

    def _plausible(self, number: int) -> bool:
        window = self._window
        known = window.oldest_known <= number <= window.sent + 1
        begun = window.renumbering and number == quirks.FIRST_NUMBER
        return (known or begun) and self._phase is Phase.STREAMING

    def _rewind_to(self, number: int) -> Rewind:
        made = Rewind(number, self._now, self._behind(number + 1))
        if self._rewind is not None:
            made.oks_due = self._rewind.oks_due
        elif made.behind:
            made.oks_due = max(number - self._window.acked, 0)
        return made

    def _behind(self, number: int) -> int | None:
        """How many lines in flight may yet be refused, by a board that reads them whole."""
        window, before = self._window, self._rewind
        if before is not None:
            return before.behind - 1 if before.behind else None
        again = number == self._asked_for and self._asked_times == 1
        shifted = self._acked_since_resend < quirks.CLEAN_ACKS_BETWEEN_RESENDS and not again
        if self._questions.open or not window.trusted or shifted:
            return None
        return window.sent - max(number, window.acked + 1)

    def _count_asking(self, number: int) -> None:
        self._asked_times = self._asked_times + 1 if number == self._asked_for else 1
        self._asked_for = number
        if self._asked_times > quirks.RESENDS_FOR_ONE_LINE:
            self._secure("interrupted", "bad line", f"asked {self._asked_times} times for one line")

    def _it_has_all(self) -> None:
        """No line was lost, at most answers: a new sync says which."""
        many = self._questions.open > 1
        self._questions.answered(self._now)
        self._window.all_read()
        self._trust.failed += self._window.give_up_syncs()
        self._trust.doubts()
        if not self._trust.wants_sync:  # its answers to syncs cannot be had: take its word
            self._window.back_to(self._window.sent)
            self._window.trusted = self._window.trusted and not self._closing
        if many:  # the others are answered too, and what we say now might be cut
            self._rewind = Rewind(self._window.sent, self._now, None)

    def _drain(self, rewind: Rewind) -> None:
        """Once all answers to the old lines are in, go on behind the last one it has."""
        patience = quirks.OK_AFTER_RESEND_S if rewind.told else quirks.DRAIN_S
        surely_none = rewind.told and self._ok_follows <= -quirks.SURE
        quiet = self._now - self._heard_at >= patience
        if quiet or surely_none or self._now - rewind.since > quirks.DRAIN_MAX_S:
            if rewind.told:
                self._ok_follows = max(self._ok_follows - 1, -quirks.SURE)
            self._go_on_behind(rewind)

    def _go_on_behind(self, rewind: Rewind) -> None:
        window = self._window
        self._rewind, self._after_resend = None, False
        if rewind.number < window.sent:
            before = self.tally.acked
            window.narrow(damage=True)
            window.trusted = window.trusted and rewind.told and rewind.number <= window.acked
            window.back_to(rewind.number)
            self._trust.doubts()
            self._count(before)
        self._questions.answered(self._now)

    # ── what is said ────────────────────────────────────────────────────────────────────────

    def _begin(self, now: float) -> None:
        self._now = self._heard_at = self._sense_at = self._reported_at = now
        self._questions.waits(now)
        self._out += START_NUMBERING

    def _stream(self, wish: Wish) -> None:
        self._follow(wish)
        if self._rewind is not None:
            self._drain(self._rewind)
        if self._rewind is not None:
            return
        if self._phase is Phase.STREAMING and not self._questions.open:
            self._fill()
        if self._closing and not self._tail and not self._own and self._window.empty:
            self._complete()
        else:
            self._watch()
            self._report()

    def _follow(self, wish: Wish) -> None:
        before, self._wish = self._wish, wish
        if wish is Wish.PAUSE and self._paused_by is None:
            self._halt_for("the agent")
            if self._parking is not None:
                self._own.extend(self._parking.ask_place())
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
            if self._parking is not None:
                self._own.extend(self._parking.come_back())

    def _fill(self) -> None:
        window = self._window
        while window.owed < window.width or (self._trust.wants_sync and window.is_read):
            line = window.waiting() or self._next()
            if line is None or not window.fits(line):
                return
            if not window.owed:
                self._questions.waits(self._now)
                self._owing_since = self._now
            window.send(line)
            self._say(line)

    def _say(self, line: Line) -> None:
        """The line, less what went ahead of it; where one goes at a time, the next one's number.

        A number alone cannot be executed. What a flush leaves of it spoils the line that follows
        it, no more: that line is refused and goes again.
        """
        self._out += line.wire.removeprefix(self._ahead)
        goes_on = line.file_line and line.number != self._asked_for
        ahead = goes_on and self._window.closed and self._questions.brisk
        self._ahead = codec.number_of(line.number + 1) if ahead else b""
        self._out += self._ahead

    def _next(self) -> Line | None:
        """The next line under a fresh number; None while one must return, or at the end."""
        window = self._window
        if window.made >= quirks.LAST_NUMBER:
            return None if window.owed else self._renumber()
        if self._trust.wants_sync:
            self._trust.wants_sync = False
            if not window.asks_for_sync():
                return window.make(b"M105", 0, Kind.SYNC)
        if self._own:
            return window.make(self._own.popleft())
        if self._paused_by is not None or self._rows.hold(self._events):
            return None
        return self._next_of_program() or self._next_of_tail()

    def _renumber(self) -> Line:
        return self._window.make(quirks.COUNT_FROM_HERE, 0, Kind.RENUMBER)

    def _next_of_program(self) -> Line | None:
        row = self._rows.take()
        if row is None:
            self._closing = True
            return None
        file_line, command = row
        if self._parking is not None:
            self._parking.see(command)
        kind = Kind.SYNC if command == b"M105" and self._tells_heat else Kind.PLAIN
        return self._window.make(command, file_line, kind)

    def _next_of_tail(self) -> Line | None:
        if not self._tail:
            return None
        command = self._tail.popleft()
        return self._window.make(command, 0, Kind.SYNC if command == b"M105" else Kind.PLAIN)

    def _watch(self) -> None:
        """Silence from a machine that owes an answer: ask."""
        waits = self._window.owed or self._questions.open or self._phase is Phase.NUMBERING
        if not waits:
            return
        if self._now - max(self._sense_at, self._owing_since) > self._timeouts.silence_s:
            self._out += quirks.MAKE_SAFE
            self._finish("interrupted", "silent", "the machine no longer answers")
        elif self._questions.still_s(self._now) > quirks.STALL_S:
            self._secure("interrupted", "stalled", f"no answer for {quirks.STALL_S:.0f} s")
        elif self._questions.due(self._now):
            self._ask()

    def _ask(self) -> None:
        self._questions.asked(self._now)
        self.tally.probes += 1
        self._out += NUMBER_AGAIN if self._phase is Phase.NUMBERING else QUESTION
        self._ahead, self._after_resend = b"", False  # the question ends it; what comes answers it

    def _report(self) -> None:
        if self._started and self._now - self._reported_at >= PROGRESS_EVERY_S:
            self._reported_at = self._now
            line = self._window.acked_line
            self._events.append(Progress(min(line / self._lines, 1.0), line))

    # ── the end ─────────────────────────────────────────────────────────────────────────────

    def _complete(self) -> None:
        line = self._window.acked_line
        if self._window.proven or (not self._tells_heat and self._window.trusted):
            self._events.append(Progress(1.0, line))
            self._finish("finished", "complete", "")
        elif self._trust.failed < quirks.SYNC_TRIES:
            self._tail.append(b"M105")
        else:
            self._secure("unknown", "end unproven", "the machine never said that it was done")

    def _position_lost(self, why: str) -> None:
        self._finish("interrupted", "reset", why)

    def _secure(self, outcome: Outcome, cause: str, detail: str) -> None:
        """End it, but only after heat and motion were switched off and the machine showed it."""
        if self._phase in (Phase.SECURING, Phase.OVER):
            return
        self._phase = Phase.SECURING
        self._ending = Ended(outcome, cause, self._window.acked_line, detail)
        self._give_up_at = self._now + self._timeouts.stop_s
        self._safe_again_at = self._now
        if self._ahead:  # what stands behind its refusal would be lost
            self._out += b"\n"
            self._safe_again_at += quirks.DRAIN_S

    def _insist(self) -> None:
        """Say it again until the machine shows it; at last, kill it."""
        if self._now > self._give_up_at:
            self._out += quirks.KILL
            self._end(self._ending, "; it did not confirm that its heaters are off: look at it")
        elif self._now >= self._safe_again_at:
            self._safe_again_at = self._now + quirks.MAKE_SAFE_EVERY_S
            self._out += quirks.MAKE_SAFE

    def _secured(self, ok: codec.Ok) -> None:
        self._safe_oks += 1
        if ok.temperatures_c and all(not target for _, target in ok.temperatures_c.values()):
            self._end(self._ending)
        elif not self._tells_heat and self._safe_oks > quirks.MAKE_SAFE.count(b"\n"):
            self._end(self._ending, "; it tells no temperatures: see that its heaters are off")

    def _finish(self, outcome: Outcome, cause: str, detail: str) -> None:
        self._end(Ended(outcome, cause, self._window.acked_line, detail))

    def _end(self, ended: Ended, more: str = "") -> None:
        if self._phase is not Phase.OVER:
            self._phase = Phase.OVER
            self._events.append(
                Ended(ended.outcome, ended.cause, ended.last_line, ended.detail + more)
            )
