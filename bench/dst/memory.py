"""A journal in memory that behaves like the file: synced commits survive, others do not."""

import copy
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final

from fablab_agents import book
from fablab_agents.book import Attempt, Entries, Mark, Moment
from fablab_agents.journal import JournalBroken
from fablab_agents.protocol.attempts import LIVE, State
from fablab_agents.protocol.messages import BOOTS_MAX, Opening, Report
from fablab_agents.writer import Writer


class MemoryBook(Writer):
    """`effect` is called before and after each commit: the process may end there."""

    def __init__(self, effect: Callable[[], None]) -> None:
        self._effect = effect
        self.boot_now = "b0"
        self.attempts: dict[str, Attempt] = {}
        self.envelopes: dict[str, str] = {}
        self.fences: dict[str, int] = {}
        self.marks: dict[str, Mark] = {}
        self.moves: list[Report] = []
        """From the report after `floor_seq` on, without a gap."""
        self.seen = self.acked = self.commits = 0
        self.epoch_now = self.floor_up = self.began = 0
        self.opened: tuple[Opening, ...] = ()
        """Its boots, this one included and the last one last."""
        self.witness: int | None = None
        """Kept by the computer, not by its disk: gone with the power."""
        self.vouched = False
        self.broken = False
        self.missed = False
        """A message was taken for stored, and was not, or was stored twice."""
        self._watched: tuple[State, Callable[[dict[str, Any]], None]] | None = None
        self._log: list[Entries] = []
        self._synced = 0
        self._live: tuple[Attempt, ...] | None = None
        self._base = self.image()

    def _commit(self, decide: Callable[[], Entries]) -> Entries:
        if self.broken:
            raise JournalBroken("the disk does not keep the journal")
        entries = decide()
        if entries:
            self._keep(entries)
        return entries

    def _keep(self, entries: Entries) -> None:
        self._effect()
        for entry in entries:
            self._put(entry)
        self.commits += 1
        self._log.append(entries)
        self._sync()
        self._seen_by_watcher(entries)
        self._effect()
        self.witness = self.commits

    def _sync(self) -> None:
        """As `synchronous = FULL` does before a commit comes back."""
        self._synced = len(self._log)

    def image_at(self, state: State, then: Callable[[dict[str, Any]], None]) -> None:
        """`then` gets the image, once, of when the disk has just kept that an attempt is there."""
        self._watched = state, then

    def _seen_by_watcher(self, entries: Entries) -> None:
        if self._watched is None:
            return
        state, then = self._watched
        if any(isinstance(each, book.Changed) and each.attempt.state is state for each in entries):
            self._watched = None
            then(self.image())

    def lose_power(self, chance: Random) -> None:
        """Of what was not synced the disk has some of the first commits, or none."""
        if self._synced == len(self._log):
            return
        kept, opened = self._log[: chance.randrange(self._synced, len(self._log))], self.opened
        self.put_back(self._base)
        for entries in kept:
            for entry in entries:
                self._put(entry)
        self._log, self._synced, self.opened = kept, len(kept), opened
        self.commits += len(kept)

    def open(self, boot: str, moment: Moment) -> None:
        """As the file is opened: the boot is written down, and what it cannot know is in doubt."""
        self.boot_now, self.broken = boot, False
        self.vouched = self.witness in {self.commits - 1, self.commits}
        self.began = self.head_seq
        self.opened += (Opening(boot=boot, began_seq=self.began),)
        self._keep(book.woken(self, moment))

    def image(self) -> dict[str, Any]:
        """All that is on the disk, as it is now."""
        return {name: copy.copy(getattr(self, name)) for name in _ON_DISK}

    def put_back(self, image: dict[str, Any]) -> None:
        for name, value in image.items():
            setattr(self, name, copy.copy(value))
        self._base, self._log, self._synced, self._live = image, [], 0, None

    def _put(self, entry: book.Entry) -> None:
        match entry:
            case book.Seen(seq):
                self.missed = self.missed or seq != self.seen + 1
                self.seen = seq
            case book.Acked(seq):
                self.acked = seq
            case book.Epoch(epoch, acked_up, seen_down):
                self.epoch_now, self.acked, self.seen = epoch, acked_up, seen_down
            case book.Forgotten():
                self._forget_all(entry)
            case book.Fenced(job, fence):
                self.fences[job] = fence
            case book.Opened(attempt, envelope):
                self.attempts[attempt.id], self._live = attempt, None
                self.envelopes[attempt.id] = envelope
            case book.Changed(attempt):
                self.attempts[attempt.id] = attempt
                self._live = None
            case book.Said(report):
                self.moves.append(report.model_copy(update={"seq": self.head_seq + 1}))
            case book.Marked(mark):
                self.marks[mark.machine] = mark

    def _forget_all(self, all_: book.Forgotten) -> None:
        told = {report.attempt for report in self.moves if report.seq > self.began}
        self.attempts = {
            a.id: a for a in self.attempts.values() if a.state not in LIVE and a.id not in told
        }
        self.moves, self._live = [], None
        self.epoch_now, self.seen = all_.epoch, all_.seen_down
        before = (opening.boot for opening in self.opened[:-1])
        boots = (*before, *filter(None, (all_.after, self.boot)))
        self.opened = tuple(Opening(boot=boot, began_seq=all_.seq) for boot in boots)
        self.began = self.floor_up = self.acked = all_.seq

    @property
    def boot(self) -> str:
        return self.boot_now

    @property
    def witnessed(self) -> bool:
        return self.vouched

    @property
    def epoch(self) -> int:
        return self.epoch_now

    @property
    def boots(self) -> tuple[Opening, ...]:
        return self.opened[-2 : -BOOTS_MAX - 2 : -1]

    @property
    def began_seq(self) -> int:
        return self.began

    @property
    def floor_seq(self) -> int:
        return self.floor_up

    @property
    def head_seq(self) -> int:
        return self.floor_up + len(self.moves)

    def envelope(self, attempt: str) -> str | None:
        return self.envelopes.get(attempt)

    @property
    def seen_down(self) -> int:
        return self.seen

    @property
    def acked_up(self) -> int:
        return self.acked

    def live(self) -> tuple[Attempt, ...]:
        if self._live is None:
            self._live = tuple(a for a in self.attempts.values() if a.state in LIVE)
        return self._live

    def find(self, attempt: str) -> Attempt | None:
        return self.attempts.get(attempt)

    def floor(self, jobs: Iterable[str]) -> int:
        return max((self.fences.get(job, 0) for job in jobs), default=0)

    def mark(self, machine: str) -> Mark | None:
        return self.marks.get(machine)

    def reports(self, after: int, limit: int = 100) -> tuple[Report, ...]:
        start = max(0, after - self.floor_up)
        return tuple(self.moves[start : start + limit])


_ON_DISK: Final = (
    "attempts", "fences", "marks", "moves", "envelopes", "seen", "acked", "commits", "epoch_now",
    "opened", "floor_up", "began",
)  # fmt: skip
