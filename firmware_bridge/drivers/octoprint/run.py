"""One print at OctoPrint, known by its file's name: handed over, started once, observed to its end.

It never asks twice for a start whose answer was lost: it looks for the file's name, and says
*unknown* when nothing proves what happened.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from firmware_bridge.driver import Ended, Event, Paused, Progress, Resumed, Started
from firmware_bridge.drivers.octoprint import quirks
from firmware_bridge.drivers.octoprint.codec import Doing, Job, StoredFile
from firmware_bridge.drivers.octoprint.server import Server
from firmware_bridge.errors import BridgeError, LinkLost, ProtocolError, Refused
from firmware_bridge.streaming import Timeouts, Wish


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the server: is our file at work, is any, and what does our file's history say."""

    job: Job
    working: bool
    busy: bool
    file: StoredFile | None


class OctoPrintRun:
    """One print by its file's name; with `data` it hands the file over and asks for the start."""

    def __init__(self, server: Server, handle: str, timeouts: Timeouts, data: bytes | None) -> None:
        self.handle = handle
        self.over = False
        self._server = server
        self._timeouts = timeouts
        self._data = data
        self._wish = Wish.RUN
        self._why = ""
        self._cancelled = False
        self._started = False
        self._paused_by: str | None = None
        self._line = 0

    def events(self) -> Iterator[Event]:
        try:
            if self._data is not None:
                self._hand_over(self._data)
                self._ask_to_start()
        except BridgeError as error:
            yield self._ended(Ended("interrupted", "not started", 0, str(error)))
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

    # ------------------------------------------------------------------ handing over

    def _hand_over(self, data: bytes) -> None:
        self._server.upload(self.handle, data)
        stored = self._server.file(self.handle)
        digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        if stored is None or (stored.hash is not None and stored.hash != digest):
            raise Refused("OctoPrint did not keep the file as it was sent")
        if stored.prints.last is not None:
            raise Refused("OctoPrint printed a file of this name before: it is never started twice")
        job = self._server.job()
        if job.doing is not Doing.READY:
            raise Refused(f"somebody else uses the printer: OctoPrint is {job.state}")

    def _ask_to_start(self) -> None:
        """Once, whatever comes of it: a lost answer is settled by looking, not by asking again."""
        try:
            self._server.post(
                f"/api/files/local/{self.handle}", {"command": "select", "print": True}
            )
        except (LinkLost, ProtocolError):
            return

    # ------------------------------------------------------------------ observing

    def _observe(self) -> Iterator[Event]:
        seen_at = idle_since = time.monotonic()
        while not self.over:
            now = time.monotonic()
            try:
                look = self._look()
            except BridgeError as error:
                if now - seen_at > self._timeouts.silence_s:
                    yield self._out_of_reach(error)
                time.sleep(quirks.POLL_S)
                continue
            seen_at = now
            idle_since = now if look.working else idle_since
            yield from self._tell(look, now - idle_since)
            if not self.over:
                self._act(look.job)
                time.sleep(quirks.POLL_S)

    def _look(self) -> Look:
        job = self._server.job()
        busy = job.doing in (Doing.WORKING, Doing.PAUSED, Doing.ENDING)
        working = busy and job.file == self.handle
        return Look(job, working, busy, None if working else self._server.file(self.handle))

    def _tell(self, look: Look, idle_s: float) -> Iterator[Event]:
        if look.working:
            yield from self._tell_working(look.job)
            return
        last = look.file.prints.last if look.file is not None else None
        if last is not None:
            if not self._started:
                yield self._begun()
            yield self._ended(self._by_history(last.success))
        elif (ended := self._in_doubt(look, idle_s)) is not None:
            yield self._ended(ended)

    def _in_doubt(self, look: Look, idle_s: float) -> Ended | None:
        """Not printing, and no history: what can still be said, or None to look again."""
        job, line = look.job, self._line
        if job.doing is Doing.BROKEN:
            return Ended("interrupted", "printer lost", line, job.error or job.state)
        if look.busy:
            what = f"OctoPrint prints {job.file}, which is not ours"
            return Ended("unknown", "foreign activity", line, what)
        if idle_s > (quirks.HISTORY_S if self._started else quirks.START_S):
            what = f"OctoPrint is {job.state} and does not say what became of {self.handle}"
            return Ended("unknown", "end unseen", line, what)
        return None

    def _out_of_reach(self, error: BridgeError) -> Ended:
        why = f"OctoPrint is out of reach, the printer may be printing on: {error}"
        return self._ended(Ended("unknown", "server lost", self._line, why))

    def _tell_working(self, job: Job) -> Iterator[Event]:
        if not self._started:
            yield self._begun()
        if job.state == "Paused" and self._paused_by is None:
            self._paused_by = "the agent" if self._wish is Wish.PAUSE else "the machine"
            yield Paused(self._paused_by)
        elif job.doing is Doing.WORKING and self._paused_by is not None:
            by, self._paused_by = self._paused_by, None
            yield Resumed(by)
        self._line = self._line_at(job.progress.filepos)
        yield Progress((job.progress.completion or 0) / 100, self._line, job.progress.printTime)

    def _line_at(self, position: int | None) -> int:
        if self._data is None or position is None:
            return self._line
        return self._data.count(b"\n", 0, position)

    def _begun(self) -> Started:
        self._started = True
        return Started()

    def _by_history(self, success: bool) -> Ended:
        if success:
            return Ended("finished", "complete", self._line_at(len(self._data or b"")))
        cause = "stopped" if self._cancelled else "stopped at OctoPrint"
        return Ended("interrupted", cause, self._line, self._why)

    def _ended(self, ended: Ended) -> Ended:
        self.over = True
        return ended

    # ------------------------------------------------------------------ acting

    def _act(self, job: Job) -> None:
        """Ask for what the people want, of our own print only; the next look tells the rest."""
        if job.file != self.handle:
            return
        if self._wish is Wish.STOP and not self._cancelled:
            if job.doing in (Doing.WORKING, Doing.PAUSED):
                self._cancelled = self._asked({"command": "cancel"})
        elif self._wish is Wish.PAUSE and job.doing is Doing.WORKING:
            self._asked({"command": "pause", "action": "pause"})
        elif self._wish is Wish.RUN and job.state == "Paused" and self._paused_by == "the agent":
            self._asked({"command": "pause", "action": "resume"})

    def _asked(self, wish: dict[str, str]) -> bool:
        try:
            self._server.post("/api/job", wish)
        except BridgeError:
            return False
        return True
