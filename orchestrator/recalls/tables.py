"""The table of recalls: none is ever deleted, a lifted one stays readable."""

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import JSON, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class RecallRow(Base):
    """`scope` is a `model.Scope`; who did what stands here alone, never in an event."""

    __tablename__ = "recall"

    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    what: Mapped[str] = mapped_column(Text)
    """What is withdrawn, in words, as it was called when the recall was opened."""
    scope: Mapped[dict[str, JsonValue]] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(Text)
    todo: Mapped[str]
    by: Mapped[str]
    opened_at: Mapped[datetime] = mapped_column(Utc)
    settled_at: Mapped[datetime | None] = mapped_column(Utc)
    settled_why: Mapped[str | None] = mapped_column(Text)
    settled_by: Mapped[str | None]
    lifted_at: Mapped[datetime | None] = mapped_column(Utc)
    lifted_why: Mapped[str | None] = mapped_column(Text)
    lifted_by: Mapped[str | None]
