"""The tables of quotes, of the plan in force, and of who plans."""

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import JSON, BigInteger, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class QuoteRow(Base):
    """A quote as it was given, never changed: JSON of `model.Quote`."""

    __tablename__ = "quote"

    id: Mapped[str] = mapped_column(primary_key=True)
    release: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Utc)
    valid_until: Mapped[datetime] = mapped_column(Utc)


class AssignmentRow(Base):
    """Where and when a job is to be made by the newest plan; without a machine: why nowhere."""

    __tablename__ = "assignment"

    job: Mapped[str] = mapped_column(ForeignKey("job.id"), primary_key=True)
    agent: Mapped[str | None]
    machine: Mapped[str | None]
    start_at: Mapped[datetime | None] = mapped_column(Utc)
    end_at: Mapped[datetime | None] = mapped_column(Utc)
    why: Mapped[str] = mapped_column(Text)
    lines: Mapped[list[JsonValue]] = mapped_column(JSON)
    """What it weighs, as pairs of a word and minor units: a comparison, not the price."""
    planned_at: Mapped[datetime] = mapped_column(Utc)


class PlanRow(Base):
    """The plan in force of a region, and which planner may replace it."""

    __tablename__ = "plan"

    region: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    """How many plans have been put in force."""
    planner: Mapped[str]
    held_until: Mapped[datetime] = mapped_column(Utc)
    made_at: Mapped[datetime | None] = mapped_column(Utc)
    status: Mapped[str | None]
    objective_minor: Mapped[int | None] = mapped_column(BigInteger)
    bound_minor: Mapped[int | None] = mapped_column(BigInteger)
    placed: Mapped[int | None]
    left_out: Mapped[int | None]
