"""All that the orchestrator's database holds, and how two replicas write to it at the same time.

A transaction reads one image and writes into the newest one, as rows do: what it has not changed
stays as others left it. Four things speak against a commit, and nothing else does: a row that
somebody moved since it was read, another boot that speaks for an agent since, a key that is there
already, and a second live attempt of a job.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from fablab_agents.protocol import messages
from fablab_agents.protocol.messages import Durable
from orchestrator.dispatch.model import Known
from orchestrator.dispatch.notes import Notes
from orchestrator.labs.model import Session
from orchestrator.orders.model import JobState

T = TypeVar("T")


class Raced(Exception):
    """Somebody else was first; nothing was written."""


@dataclass
class Job:
    id: str
    kind: str
    state: JobState = JobState.WANTED
    attempt: str | None = None
    fence: int = 0
    tries: int = 0
    avoid: frozenset[str] = frozenset()
    version: int = 0


@dataclass
class Agent:
    session: Session = Session.ENROLLED
    retired: bool = False
    """For good, whatever a replica that read before thinks of the session."""
    heard_at: datetime | None = None
    machines: dict[str, messages.Machine] = field(default_factory=dict[str, messages.Machine])
    boot: str | None = None
    epoch: int = 1
    up_acked: int = 0
    down_head: int = 0
    down_acked: int = 0
    down_floor: int = 0
    strange: str | None = None

    @property
    def notes(self) -> Notes:
        return Notes(
            self.boot, self.epoch, self.up_acked, self.down_head, self.down_acked,
            self.down_floor,
        )  # fmt: skip

    def keep(self, notes: Notes) -> None:
        for name, value in zip(notes._fields, notes, strict=True):
            setattr(self, name, value)


@dataclass
class Tables:
    orders: dict[str, str] = field(default_factory=dict[str, str])
    """Quote → job."""
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    attempts: dict[str, Known] = field(default_factory=dict[str, Known])
    versions: dict[str, int] = field(default_factory=dict[str, int])
    """Of attempts: one higher with each move."""
    job_of: dict[str, str] = field(default_factory=dict[str, str])
    live: dict[str, str] = field(default_factory=dict[str, str])
    """The unique index: at most one live attempt per job."""
    agents: dict[str, Agent] = field(default_factory=dict[str, Agent])
    outbox: dict[tuple[str, int], Durable] = field(default_factory=dict[tuple[str, int], Durable])
    sent_s: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])
    inbox: dict[tuple[str, int], messages.Report] = field(
        default_factory=dict[tuple[str, int], messages.Report]
    )
    attempts_made: int = 0
    epoch: int = 1

    def image(self) -> "Tables":
        """As a transaction reads it."""
        seen = _copied(self)
        for name, value in self.__dict__.items():
            if isinstance(value, dict):
                seen.__dict__[name] = value.copy()
        seen.jobs = {name: _copied(job) for name, job in self.jobs.items()}
        seen.agents = {name: _copied(agent) for name, agent in self.agents.items()}
        return seen


def _copied(row: T) -> T:
    """As copy.copy, at a third of its cost."""
    fresh = object.__new__(type(row))
    fresh.__dict__.update(row.__dict__)
    return fresh


Row = TypeVar("Row", Job, Known, Agent)
K = TypeVar("K")
V = TypeVar("V")


@dataclass
class Transaction:
    """`read` is what it saw, `wrote` the same with its changes."""

    read: Tables
    wrote: Tables

    def commit(self, into: Tables) -> None:
        """Whole or not at all; raises Raced."""
        self._swaps(into)
        self._keys(into)
        self._index(into)
        for name in self._new("orders"):
            into.orders[name] = self.wrote.orders[name]
        for table in ("jobs", "attempts", "agents"):
            self._rows(getattr(self.read, table), getattr(self.wrote, table), getattr(into, table))
        for table in ("versions", "job_of", "live", "outbox", "sent_s", "inbox"):
            _entries(getattr(self.read, table), getattr(self.wrote, table), getattr(into, table))
        into.attempts_made = max(into.attempts_made, self.wrote.attempts_made)

    def _swaps(self, into: Tables) -> None:
        read, wrote = self.read, self.wrote
        for name, version in read.versions.items():
            if wrote.versions[name] != version != into.versions[name]:
                raise Raced(f"attempt {name} was moved by somebody else")
        for name, job in read.jobs.items():
            if wrote.jobs[name].version != job.version != into.jobs[name].version:
                raise Raced(f"job {name} was moved by somebody else")
        for name, agent in read.agents.items():
            now = into.agents[name]
            stale = (agent.boot, agent.up_acked) != (now.boot, now.up_acked)
            if stale and wrote.agents[name] != agent:
                raise Raced(f"another boot speaks for {name} since, or more was said")

    def _keys(self, into: Tables) -> None:
        for table in ("orders", "outbox", "inbox"):
            for key in self._new(table):
                if key in getattr(into, table):
                    raise Raced(f"{table} has {key} already")

    def _index(self, into: Tables) -> None:
        for job, attempt in self.wrote.live.items():
            if self.read.live.get(job) != attempt and into.live.get(job, attempt) != attempt:
                raise Raced(f"job {job} has a live attempt already")

    def _new(self, table: str) -> Iterator[Any]:
        before = getattr(self.read, table)
        return (key for key in getattr(self.wrote, table) if key not in before)

    @staticmethod
    def _rows(read: dict[str, Row], wrote: dict[str, Row], into: dict[str, Row]) -> None:
        for name, row in wrote.items():
            if name not in read:
                into[name] = row
            elif row != read[name]:
                into[name] = _merged(read[name], row, into[name])


def _entries(read: dict[K, V], wrote: dict[K, V], into: dict[K, V]) -> None:
    for key in read.keys() - wrote.keys():
        into.pop(key, None)
    into.update({k: v for k, v in wrote.items() if k not in read or read[k] != v})


def _merged(read: Row, wrote: Row, now: Row) -> Row:
    """The columns that were written, upon the row as it is now."""
    row, before = _copied(now), read.__dict__
    row.__dict__.update({k: v for k, v in wrote.__dict__.items() if v != before[k]})
    return row
