"""The table of makes: one row for each finished attempt of a job."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class MakeRow(Base):
    """The id is the passport's address. Figures here are actual ones or absent."""

    __tablename__ = "make"

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id"), index=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    attempt: Mapped[str] = mapped_column(index=True)
    release: Mapped[str]
    part: Mapped[str]
    process: Mapped[str]
    material: Mapped[str]
    agent: Mapped[str]
    machine: Mapped[str]
    program_sha256: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(Utc)
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
