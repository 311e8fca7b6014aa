"""The table of published releases; their files live in the store's blobs, by hash."""

from datetime import datetime

from sqlalchemy import JSON, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class ReleaseRow(Base):
    """`manifest` is the release's canonical JSON: its SHA-256 is the key."""

    __tablename__ = "release"
    __table_args__ = (UniqueConstraint("design", "version"),)

    sha256: Mapped[str] = mapped_column(primary_key=True)
    design: Mapped[str] = mapped_column(index=True)
    version: Mapped[str]
    title: Mapped[str]
    licence: Mapped[str]
    private: Mapped[bool]
    published_at: Mapped[datetime] = mapped_column(Utc, index=True)
    manifest: Mapped[str] = mapped_column(Text)
    findings: Mapped[list[dict[str, str]]] = mapped_column(JSON)
    """What the designer was told at publishing: notes and warnings."""
    pictures: Mapped[dict[str, dict[str, str]]] = mapped_column(JSON)
    """For each part: `thumbnail` and, for solids, `model` → SHA-256 of the file."""
