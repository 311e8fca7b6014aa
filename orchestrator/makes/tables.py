"""The tables of makes: one row for each finished attempt of a job, and what recalls meet."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class MakeRow(Base):
    """The id is the passport's address. Figures here are actual ones or absent."""

    __tablename__ = "make"
    __table_args__ = (Index("make_by_machine", "agent", "machine", "began_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id"), index=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    attempt: Mapped[str] = mapped_column(index=True)
    release: Mapped[str] = mapped_column(index=True)
    part: Mapped[str]
    process: Mapped[str]
    material: Mapped[str]
    agent: Mapped[str]
    machine: Mapped[str]
    program_sha256: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(Utc)
    """When we were told. The machine worked on it from `began_at` to `ended_at`, by its own lab."""
    began_at: Mapped[datetime] = mapped_column(Utc)
    ended_at: Mapped[datetime] = mapped_column(Utc)
    file: Mapped[str | None] = mapped_column(index=True)
    """SHA-256 of the design's file that it was made from; None where nobody recorded it."""
    lot: Mapped[str | None]
    """The lot of its material, as it was written down."""
    lot_key: Mapped[str | None] = mapped_column(index=True)
    machine_s: Mapped[float | None]
    operator: Mapped[str | None]
    operator_minutes: Mapped[float | None]
    simulated: Mapped[bool] = mapped_column(default=False)
    attested: Mapped[bool] = mapped_column(default=False, server_default=false())
    """That it was made is a person's word, not a machine's."""
    verdict: Mapped[str | None]
    inspection: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    inspected_at: Mapped[datetime | None] = mapped_column(Utc)
    note: Mapped[str] = mapped_column(Text, default="")


class RecallJobRow(Base):
    """What a recall did about a job that was open; how the job stands, the job itself says."""

    __tablename__ = "recall_job"

    recall: Mapped[str] = mapped_column(ForeignKey("recall.id"), primary_key=True)
    job: Mapped[str] = mapped_column(ForeignKey("job.id"), primary_key=True)
    attempt: Mapped[str | None]
    did: Mapped[str]
    at: Mapped[datetime] = mapped_column(Utc)


class RecallNoticeRow(Base):
    """The outbox of a recall: an order whose holder has to be told; `told_at` once somebody did."""

    __tablename__ = "recall_notice"

    recall: Mapped[str] = mapped_column(ForeignKey("recall.id"), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True, index=True)
    since: Mapped[datetime] = mapped_column(Utc)
    told_at: Mapped[datetime | None] = mapped_column(Utc)
    told_how: Mapped[str | None] = mapped_column(Text)
