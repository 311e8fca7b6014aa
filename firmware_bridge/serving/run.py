"""One print at a server, known by its file's name: handed over, started once, watched to its end.

It never asks twice for a start whose answer was lost: it looks for the file's name, and says
*unknown* when nothing proves what happened. A refused start is no proof either; that the server
let the file be taken back is. What is not ours it never touches.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from firmware_bridge.driver import Ended, Event, Paused, Progress, Resumed, Started
from firmware_bridge.errors import BridgeError, LinkLost, ProtocolError, Refused
from firmware_bridge.serving.look import Doing, Look, Past, PrintServer
from firmware_bridge.streaming import Timeouts, Wish

TURN_S: Final = 0.5
# A server says "ready" a moment before its history says how the print ended.
HISTORY_S: Final = 10.0
# A start that was asked for and is not seen within this time is in doubt.
START_S: Final = 20.0
# So long after a refusal whatever a server tells is newer than the start that it refused.
CALM_S: Final = 3.0
# A pause or a stop that nothing came of is asked for again.
AGAIN_S: Final = 15.0


class ServedRun:
    """One print by its file's name; with `data` it hands the file over and asks for the start."""

    def __init__(
        self, server: PrintServer, handle: str, timeouts: Timeouts, data: bytes | None
    ) -> None:
        self.handle = handle
        self.over = False
        self._server = server
        self._timeouts = timeouts
        self._data = data
        self._wish = Wish.RUN
        self._why = ""
        self._asked: tuple[Wish, float] | None = None
        self._refusal = ""
        self._cancelled = False
        self._started = False
        self._paused_by: str | None = None
        self._line = 0

    def events(self) -> Iterator[Event]:
        over = None if self._data is None else self._begin(self._data)
        if over is not None:
            yield self._ended(over)
            return
        yield from self._observe()

    def pause(self) -> None:
        if self._wish is Wish.RUN:
            self._wish = Wish.PAUSE

    def resume(self) -> None:
        if self._wish is Wish.PAUSE:
            self._wish = Wish.RUN

    def stop(self, why: str) -> None:
        self._why, self._wish = why, Wish.STOP

    # ------------------------------------------------------------------ beginning

    def _begin(self, data: bytes) -> Ended | None:
        """Hand it over and ask for the start; how it ended when it came to no start."""
        name = self._server.name
        try:
            if self._stopped:
                return Ended("not started", "stopped", 0, self._why)
            if self._server.past(self.handle) is not None:
                why = f"{name} printed a file of this name before: it is never started twice"
                return Ended("interrupted", "printed before", 0, why)
            self._server.hand_over(self.handle, data)
            look = self._server.look()
            if look.doing is not Doing.READY:
                why = f"somebody else uses the printer: {name} is {_state(look)}"
                return Ended("not started", "not ready", 0, why)
            if self._stopped:
                return Ended("not started", "stopped", 0, self._why)
            self._ask_to_start()
        except BridgeError as error:
            return Ended("not started", "not handed over", 0, str(error))
        return None

    @property
    def _stopped(self) -> bool:
        return self._wish is Wish.STOP

    def _ask_to_start(self) -> None:
        """Once, whatever comes of it: its answer is settled by looking, not by asking again."""
        try:
            self._server.ask_to_start(self.handle)
        except (LinkLost, ProtocolError):
            return
        except Refused as error:
            self._refusal = str(error)

    # ------------------------------------------------------------------ observing

    def _observe(self) -> Iterator[Event]:
        seen_at = idle_since = time.monotonic()
        while not self.over:
            now = time.monotonic()
            try:
                look = self._server.look()
                past = None if look.works_on(self.handle) else self._server.past(self.handle)
            except BridgeError as error:
                if now - seen_at > self._timeouts.silence_s:
                    yield self._out_of_reach(error)
                time.sleep(min(TURN_S, self._timeouts.silence_s))
                continue
            seen_at = now
            idle_since = now if look.works_on(self.handle) else idle_since
            yield from self._tell(look, past, now - idle_since)
            if not self.over:
                self._go_on(look)

    def _go_on(self, look: Look) -> None:
        """Act on what people want, then wait for news; a lost line is the next look's to tell."""
        with suppress(BridgeError):
            self._act(look)
        with suppress(BridgeError):
            self._server.wait(TURN_S)

    def _tell(self, look: Look, past: Past | None, idle_s: float) -> Iterator[Event]:
        if look.works_on(self.handle):
            yield from self._tell_working(look)
            return
        ended = self._by_history(past) if past is not None else self._in_doubt(look, idle_s)
        if ended is None:
            return
        if past is not None and not self._started:
            yield self._begun()
        if self._cancelled:
            with suppress(BridgeError):
                self._server.leave_cold()
        yield self._ended(ended)

    def _in_doubt(self, look: Look, idle_s: float) -> Ended | None:
        """Not printing, and no history: what can still be said, or None to look again."""
        line, name = self._line, self._server.name
        if self._refusal and not self._started:
            return self._refused(idle_s)
        if look.doing is Doing.BROKEN:
            return Ended("interrupted", "printer lost", line, look.said)
        if look.doing.busy:
            what = f"{name} prints {look.file or 'something'}, which is not ours"
            return Ended("unknown", "foreign activity", line, what)
        patience_s = min(HISTORY_S if self._started else START_S, self._timeouts.silence_s)
        if idle_s > patience_s:
            what = f"{name} is {_state(look)} and does not say what became of {self.handle}"
            return Ended("unknown", "end unseen", line, what)
        return None

    def _refused(self, idle_s: float) -> Ended | None:
        """A refused start is found out by looking on; that its file could be deleted proves it."""
        if idle_s < min(CALM_S, self._timeouts.silence_s):
            return None
        try:
            self._server.take_back(self.handle)
        except BridgeError as error:
            if idle_s < min(START_S, self._timeouts.silence_s):
                return None
            what = f"{self._refusal}; yet it keeps the file: {error}"
            return Ended("unknown", "start in doubt", self._line, what)
        return Ended("not started", "refused", self._line, self._refusal)

    def _out_of_reach(self, error: BridgeError) -> Ended:
        why = f"{self._server.name} is out of reach, the printer may be printing on: {error}"
        return self._ended(Ended("unknown", "server lost", self._line, why))

    def _tell_working(self, look: Look) -> Iterator[Event]:
        if not self._started:
            yield self._begun()
        if look.doing in (Doing.PAUSED, Doing.WAITING) and self._paused_by is None:
            self._paused_by = "the agent" if self._wish is Wish.PAUSE else "the machine"
            yield Paused(self._paused_by)
        elif look.doing is Doing.WORKING and self._paused_by is not None:
            by, self._paused_by = self._paused_by, None
            yield Resumed(by)
        self._line = max(self._line, self._line_at(look.position))
        yield Progress(look.fraction, self._line, look.machine_s)

    def _line_at(self, position: int | None) -> int:
        if self._data is None or position is None:
            return self._line
        return self._data.count(b"\n", 0, position)

    def _begun(self) -> Started:
        self._started = True
        return Started()

    def _by_history(self, past: Past) -> Ended:
        if past.outcome == "finished":
            return Ended("finished", past.cause, self._line_at(len(self._data or b"")))
        if self._cancelled and past.outcome == "interrupted":
            return Ended("interrupted", "stopped", self._line, self._why)
        return Ended(past.outcome, past.cause, self._line, past.detail)

    def _ended(self, ended: Ended) -> Ended:
        self.over = True
        return ended

    # ------------------------------------------------------------------ acting

    def _act(self, look: Look) -> None:
        """Ask for what the people want, of our own print only; the next look tells the rest."""
        if not look.works_on(self.handle):
            return
        if self._wish is Wish.STOP and look.doing is not Doing.ENDING:
            self._cancelled = self._ask(Wish.STOP) or self._cancelled
        elif self._wish is Wish.PAUSE and look.doing is Doing.WORKING:
            self._ask(Wish.PAUSE)
        elif (self._wish, look.doing, self._paused_by) == (Wish.RUN, Doing.PAUSED, "the agent"):
            self._ask(Wish.RUN)

    def _ask(self, wish: Wish) -> bool:
        now = time.monotonic()
        if self._asked is not None and self._asked[0] is wish and now - self._asked[1] < AGAIN_S:
            return False
        self._server.ask(wish)
        self._asked = (wish, now)
        return True


def _state(look: Look) -> str:
    return f"{look.said} with {look.file}" if look.file and look.doing.busy else look.said
