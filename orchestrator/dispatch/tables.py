"""The tables of attempts and of the link to each agent: outbox down, inbox up."""

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import JSON, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class AttemptRow(Base):
    """One try to make something on one machine; moved by compare-and-swap on `version`."""

    __tablename__ = "attempt"
    __table_args__ = (Index("attempt_by_machine", "agent", "machine"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    agent: Mapped[str] = mapped_column(ForeignKey("agent.id"))
    machine: Mapped[str]
    fence: Mapped[int]
    state: Mapped[str] = mapped_column(index=True)
    version: Mapped[int] = mapped_column(default=1)
    release: Mapped[str]
    part: Mapped[str]
    quantity: Mapped[int]
    file: Mapped[str]
    estimate_s: Mapped[int]
    ticket: Mapped[str] = mapped_column(Text)
    down_seq: Mapped[int]
    """The offer's number in the outbox of its agent."""
    offered_at: Mapped[datetime] = mapped_column(Utc)
    not_after: Mapped[datetime] = mapped_column(Utc)
    # what the agent prepared
    program: Mapped[str | None]
    program_facts: Mapped[dict[str, JsonValue] | None] = mapped_column(JSON)
    staged_at: Mapped[datetime | None] = mapped_column(Utc)
    # the one live grant
    nonce: Mapped[str | None]
    boot: Mapped[str | None]
    grant: Mapped[str | None] = mapped_column(Text)
    granted_at: Mapped[datetime | None] = mapped_column(Utc)
    window_s: Mapped[int | None]
    # what became of it
    started_at: Mapped[datetime | None] = mapped_column(Utc)
    ended_at: Mapped[datetime | None] = mapped_column(Utc)
    in_doubt_since: Mapped[datetime | None] = mapped_column(Utc)
    stop_why: Mapped[str | None] = mapped_column(Text)
    """Not None: the network wants it stopped, for this reason."""
    cause: Mapped[str] = mapped_column(Text, default="")
    person: Mapped[str | None]
    minutes: Mapped[float | None]
    machine_s: Mapped[float | None]
    simulated: Mapped[bool] = mapped_column(default=False)
    evidence: Mapped[dict[str, JsonValue]] = mapped_column(JSON, default=dict[str, JsonValue])
    consent: Mapped[str | None] = mapped_column(Text)
    """Who accepted a possible duplicate, as the maker put it."""
    # last telemetry, which may be lost
    fraction: Mapped[float | None]
    line: Mapped[int | None]
    temperatures_c: Mapped[dict[str, JsonValue] | None] = mapped_column(JSON)
    progress_at: Mapped[datetime | None] = mapped_column(Utc)

    @property
    def attested(self) -> bool:
        """What became of it is a person's word, not a machine's."""
        return self.evidence.get("attested") is True


class AttemptJobRow(Base):
    """Which jobs an attempt makes. The index is the promise: at most one live attempt per job."""

    __tablename__ = "attempt_job"
    __table_args__ = (
        Index(
            "one_live_attempt_per_job",
            "job",
            unique=True,
            sqlite_where=text("live"),
            postgresql_where=text("live"),
        ),
    )

    attempt: Mapped[str] = mapped_column(ForeignKey("attempt.id"), primary_key=True)
    job: Mapped[str] = mapped_column(ForeignKey("job.id"), primary_key=True, index=True)
    live: Mapped[bool] = mapped_column(default=True)


class LinkRow(Base):
    """How far each side of the wire to an agent has come."""

    __tablename__ = "agent_link"

    agent: Mapped[str] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(default=1)
    """Of the store when notes were last compared to the end."""
    up_acked: Mapped[int] = mapped_column(default=0)
    down_head: Mapped[int] = mapped_column(default=0)
    down_acked: Mapped[int] = mapped_column(default=0)
    down_floor: Mapped[int] = mapped_column(default=0)
    """The last message of the epoch before."""
    turned_away: Mapped[str | None]
    """The last boot that was an older copy, the double of another, or of a later epoch."""
    strange: Mapped[str | None]
    """An attempt of which the agent speaks and for which it has no ticket of ours."""
    without: Mapped[int] = mapped_column(default=0)
    """The epoch in which a person decided to go on without this agent's notes."""


class EpochRow(Base):
    """One life of this database: a new one begins whenever it was put back to an older copy."""

    __tablename__ = "store_epoch"

    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    since: Mapped[datetime] = mapped_column(Utc)
    why: Mapped[str] = mapped_column(Text)


class DownRow(Base):
    """The outbox: offers, withdrawals and stops, kept until the agent has stored them."""

    __tablename__ = "agent_down"

    agent: Mapped[str] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[str] = mapped_column(ForeignKey("attempt.id"))
    body: Mapped[str] = mapped_column(Text)
    queued_at: Mapped[datetime] = mapped_column(Utc)
    sent_at: Mapped[datetime | None] = mapped_column(Utc)


class UpRow(Base):
    """The inbox: every report of an agent once, in its order, as it was said."""

    __tablename__ = "agent_up"

    agent: Mapped[str] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[str] = mapped_column(index=True)
    body: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(Utc)
