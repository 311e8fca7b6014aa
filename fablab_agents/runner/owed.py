"""What happened at a machine and the journal does not have yet, in order.

A disk that is full never holds a machine up, and never makes something done that was not kept.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Unpack

import structlog

from fablab_agents.book import Moment, Words
from fablab_agents.journal import Journal, JournalBroken
from fablab_agents.protocol.attempts import IllegalMove, State
from firmware_bridge.driver import Ended

CLOSING_PATIENCE_S = 2.0
_OUTCOMES = {
    "finished": State.FINISHED,
    "failed": State.FAILED,
    "interrupted": State.INTERRUPTED,
    "unknown": State.UNKNOWN,
    "not started": State.NOT_STARTED,
}
_log = structlog.get_logger()


class Owed:
    def __init__(
        self, journal: Journal, now: Callable[[], Moment], wake: Callable[[], None]
    ) -> None:
        self._journal = journal
        self._now = now
        self._wake = wake
        self._writes: deque[Callable[[], None]] = deque()
        self._empty = asyncio.Event()
        self._empty.set()

    def owe(self, write: Callable[[], None]) -> None:
        self._writes.append(write)
        self.pay()
        self._wake()

    def pay(self) -> None:
        """Write as much as the disk keeps."""
        while self._writes and not self._journal.trouble:
            try:
                self._writes[0]()
            except JournalBroken:
                break
            except IllegalMove:
                _log.exception("a move that the table does not know")
            self._writes.popleft()
        if self._writes:
            self._empty.clear()
        else:
            self._empty.set()

    async def settled(self) -> None:
        """Wait until the journal has it all."""
        await self._empty.wait()

    def runs(self, attempt: str, *, resumed: bool) -> None:
        moment = self._now()

        def write() -> None:
            if self._journal.runs(attempt, moment, resumed=resumed):
                _log.info("running", attempt=attempt)

        self.owe(write)

    def pauses(self, attempt: str, by: str) -> None:
        moment = self._now()

        def write() -> None:
            if self._journal.pauses(attempt, by, moment):
                _log.info("paused", attempt=attempt, by=by)

        self.owe(write)

    async def closes(self, attempt: str) -> None:
        """The last line is due: written down first, for as long as a hot machine may stand."""
        self.owe(lambda: self._journal.close_run(attempt))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_PATIENCE_S):
                await self.settled()

    def ends(self, attempt: str, to: State, cause: str) -> None:
        """It is over, or unknown, for this reason."""
        moment = self._now()
        self.owe(lambda: self._end(attempt, to, moment, cause=cause))

    def ended(self, attempt: str, ended: Ended, machine_s: float | None, *, attended: bool) -> None:
        """The driver's last word.

        A machine that tells no time of its own counts from its start; only where a person had to
        stay are these minutes that person's. Where only a person speaks, the word is attested.
        """
        moment, to = self._now(), _OUTCOMES[ended.outcome]
        cause = f"{ended.cause}: {ended.detail}" if ended.detail else ended.cause

        def write() -> None:
            row = self._journal.find(attempt)
            began = row.started_at if row else None
            ran_s = max(0.0, (moment.at - (began or moment.at)).total_seconds())
            self._end(
                attempt,
                to,
                moment,
                cause=cause,
                minutes=round(ran_s / 60, 2) if attended else None,
                machine_s=round(ran_s, 1) if machine_s is None else machine_s,
                person=ended.by or None,
                evidence={"attested": True} if ended.by else {"last_line": ended.last_line},
            )

        self.owe(write)

    def _end(self, attempt: str, to: State, moment: Moment, **words: Unpack[Words]) -> None:
        if self._journal.end(attempt, to, moment, **words):
            say = _log.info if to is State.FINISHED else _log.warning
            say(f"attempt {to}", attempt=attempt, why=words.get("cause"))
