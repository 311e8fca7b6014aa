"""One run on one machine, from its first byte to its end, or from where an earlier boot left it.

It never starts a program twice: it is called once after the synced intent, and a run of an
earlier boot is only ever attached to again, never started again.
"""

from collections.abc import Callable

import structlog

from fablab_agents.book import Attempt, left_behind
from fablab_agents.journal import Journal, JournalBroken
from fablab_agents.machines import Bench
from fablab_agents.protocol.attempts import State
from fablab_agents.runner.owed import Owed
from firmware_bridge.driver import (
    Closing,
    Ended,
    Paused,
    Program,
    Progress,
    Resumed,
    Run,
    Started,
    Waiting,
)
from firmware_bridge.errors import BridgeError, LinkLost, Refused

_log = structlog.get_logger()


class Running:
    def __init__(self, journal: Journal, owed: Owed) -> None:
        self._journal = journal
        self._owed = owed

    async def start(self, bench: Bench, program: Program) -> None:
        """After the intent: make ready, sync that a byte may leave, then let the bytes go."""
        name = program.attempt
        try:
            run = await bench.start(program)
            self._arm(name, run)
        except Refused as error:
            self._owed.ends(name, State.FAILED, f"the machine refused it: {error}")
        except (BridgeError, JournalBroken) as error:
            self._owed.ends(name, State.NOT_STARTED, f"no byte of it left: {error}")
        else:
            await self._follow(name, bench, run)
        await self._owed.settled()

    def _arm(self, name: str, run: Run) -> None:
        """A run that the journal does not keep is over before it begins: its machine is free."""
        try:
            self._journal.arm(name, run.handle)
        except JournalBroken as error:
            run.stop(f"the journal does not keep it: {error}")
            raise

    async def recover(
        self, attempt: Attempt, bench: Bench | None, ask_later: Callable[[], None]
    ) -> None:
        """Find out what became of an attempt that no run of this boot belongs to."""
        if attempt.handle is None:
            self._gone(attempt)
        elif bench is None:
            why = f"this lab no longer has {attempt.machine}"
            self._owed.ends(attempt.id, State.UNKNOWN, why)
        else:
            await self._attach(attempt, bench, attempt.handle, ask_later)
        await self._owed.settled()

    async def _attach(
        self, attempt: Attempt, bench: Bench, handle: str, ask_later: Callable[[], None]
    ) -> None:
        try:
            run = await bench.recover(handle)
        except LinkLost as error:
            self._owed.ends(attempt.id, State.UNKNOWN, f"the machine cannot be asked: {error}")
            ask_later()
        except BridgeError as error:
            self._owed.ends(attempt.id, State.UNKNOWN, str(error))
        else:
            if run is not None:
                await self._follow(attempt.id, bench, run)
            else:
                self._gone(attempt)

    def _gone(self, attempt: Attempt) -> None:
        """The machine has no run of ours any more."""
        left = left_behind(attempt)
        if left is not None:
            self._owed.ends(attempt.id, *left)

    async def _follow(self, name: str, bench: Bench, run: Run) -> None:
        """Tell the journal what the machine tells."""
        try:
            async for event in bench.follow(name, run):
                match event:
                    case Started() | Progress() | Resumed():
                        self._owed.runs(name, resumed=isinstance(event, Resumed))
                    case Paused(by=by):
                        self._owed.pauses(name, by)
                    case Closing():
                        await self._owed.closes(name)
                    case Waiting():
                        pass  # the bench shows it; nothing happened that a journal keeps
                    case Ended():
                        doing = bench.doing
                        told_s = doing.machine_s if doing else None
                        attended = bench.entry.started_by_a_person(bench.kind)
                        self._owed.ended(name, event, told_s, attended=attended)
        except BridgeError as error:
            self._owed.ends(name, State.UNKNOWN, str(error))
        except Exception as error:  # noqa: BLE001 - a driver's bug is this attempt's doubt, no more
            _log.exception("following a run broke", attempt=name)
            await bench.halt()
            why = f"its driver broke: {type(error).__name__}: {error}"
            self._owed.ends(name, State.UNKNOWN, why)
