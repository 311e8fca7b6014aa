"""The table of proposals; their files live in the store's blobs, by hash."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class ProposalRow(Base):
    """`base` is the release that was changed, `release` the one that it became part of."""

    __tablename__ = "proposal"

    id: Mapped[str] = mapped_column(primary_key=True)
    design: Mapped[str] = mapped_column(index=True)
    base: Mapped[str] = mapped_column(ForeignKey("release.sha256"))
    state: Mapped[str]
    author: Mapped[str]
    message: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Utc)
    kept: Mapped[str]
    """What is kept of the key that its author may withdraw it with."""
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    seen: Mapped[dict[str, Any]] = mapped_column(JSON)
    closed_at: Mapped[datetime | None] = mapped_column(Utc)
    reason: Mapped[str] = mapped_column(Text, default="")
    release: Mapped[str | None] = mapped_column(ForeignKey("release.sha256"))
    terms: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """What it was accepted on, as it was asked: the same once more gets the same answer."""
