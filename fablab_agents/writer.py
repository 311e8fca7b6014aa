"""The writing half of every journal: `book` decides, one commit keeps it.

The shop's file is one; the memory of a simulated shop is the other, so both write the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from fablab_agents import book
from fablab_agents.book import Book, Entries, Moment, Words
from fablab_agents.protocol.attempts import Actor, State
from fablab_agents.protocol.messages import Opening, ProgramFacts, Report
from fablab_agents.protocol.tickets import Grant, Ticket


class Writer(Book, ABC):
    """A book that keeps what these functions decide: one commit a call, whole or not at all."""

    @abstractmethod
    def _commit(self, decide: Callable[[], Entries]) -> Entries:
        """Keep what `decide` returns; synced when it comes back, else it raises."""

    @property
    @abstractmethod
    def boots(self) -> tuple[Opening, ...]:
        """The last boots before this one that had this journal, or that it goes on from."""

    @property
    @abstractmethod
    def began_seq(self) -> int: ...
    @property
    @abstractmethod
    def floor_seq(self) -> int: ...
    @abstractmethod
    def envelope(self, attempt: str) -> str | None:
        """The ticket as it was signed; None for an attempt that is not known here."""

    @abstractmethod
    def reports(self, after: int, limit: int = 100) -> tuple[Report, ...]: ...

    def store_offer(self, seq: int, ticket: Ticket, envelope: str, moment: Moment) -> bool:
        """Keep an offer and raise its jobs' fences; False if it is stale or known already."""
        kept = self._commit(lambda: book.offered(self, seq, ticket, envelope, moment))
        return len(kept) > 1

    def store_doubt(self, seq: int, ticket: Ticket, envelope: str, moment: Moment) -> bool:
        """Keep an attempt that may have been begun; False if it is known already."""
        kept = self._commit(lambda: book.doubted(self, seq, ticket, envelope, moment))
        return len(kept) > 1

    def store_withdrawal(
        self, seq: int, attempt: str, fence: int, why: str, moment: Moment
    ) -> bool:
        """End an attempt that has not started; False if it is too late or unknown."""
        kept = self._commit(lambda: book.withdrawn(self, seq, attempt, fence, why, moment))
        return len(kept) > 1

    def store_stop(self, seq: int, attempt: str, fence: int, why: str, moment: Moment) -> bool:
        """Withdraw what has not started, wish a stop for what has; False if unknown."""
        kept = self._commit(lambda: book.stop_asked(self, seq, attempt, fence, why, moment))
        return len(kept) > 1

    def store_seen(self, seq: int) -> None:
        """A message that means nothing here was read: it need not come again."""
        self._commit(lambda: [book.seen(self, seq)])

    def renumber(self, epoch: int, acked_up: int, seen_down: int, back: int | None) -> bool:
        """The orchestrator counts anew; False if we count as it does."""
        entries = self._commit(lambda: book.renumbered(self, epoch, acked_up, seen_down, back))
        return bool(entries)

    def forget_all(self, after: str | None, seq: int, epoch: int, seen_down: int) -> None:
        """This journal is an older copy: go on from what the orchestrator remembers."""
        self._commit(lambda: [book.Forgotten(after, seq, epoch, seen_down)])

    def ack_up(self, seq: int) -> None:
        self._commit(lambda: book.acked(self, seq))

    def move(
        self, attempt: str, to: State, by: Actor, moment: Moment, **words: Unpack[Words]
    ) -> None:
        """One move by the shared table, synced; raises IllegalMove and changes nothing else."""
        self._commit(lambda: book.moved(self, attempt, to, by, moment, **words))

    def end(self, attempt: str, to: State, moment: Moment, **words: Unpack[Words]) -> bool:
        """The run is over; False when that was said before."""
        return bool(self._commit(lambda: book.ended(self, attempt, to, moment, **words)))

    def runs(self, attempt: str, moment: Moment, *, resumed: bool) -> bool:
        return bool(self._commit(lambda: book.runs(self, attempt, moment, resumed=resumed)))

    def pauses(self, attempt: str, by: str, moment: Moment) -> bool:
        return bool(self._commit(lambda: book.pauses(self, attempt, by, moment)))

    def claim(self, attempt: str, moment: Moment) -> None:
        """A grant may be out from now on."""
        self._commit(lambda: book.claimed(self, attempt, moment))

    def keep_program(self, attempt: str, facts: ProgramFacts, path: Path) -> None:
        self._commit(lambda: book.prepared(self, attempt, facts, path))

    def begin(self, attempt: str, grant: Grant, moment: Moment, *, attended: bool) -> None:
        """The intent; after this commit the machine may move, once. Raises NotReady."""
        self._commit(lambda: book.begun(self, attempt, grant, moment, attended=attended))

    def arm(self, attempt: str, handle: str) -> None:
        self._commit(lambda: book.armed(self, attempt, handle))

    def close_run(self, attempt: str) -> None:
        self._commit(lambda: book.closed(self, attempt))

    def tombstone(self, attempt: str, grant: Grant, why: str, moment: Moment) -> None:
        self._commit(lambda: book.unused(self, attempt, grant, why, moment))

    def put_mark(
        self, machine: str, person: str, moment: Moment, attempt: str | None = None
    ) -> None:
        self._commit(lambda: book.marked_clear(self, machine, person, moment, attempt))

    def void_mark(self, machine: str) -> bool:
        return bool(self._commit(lambda: book.mark_voided(self, machine)))

    def wish_stop(self, attempt: str, why: str) -> None:
        self._commit(lambda: book.stop_wished(self, attempt, why))
