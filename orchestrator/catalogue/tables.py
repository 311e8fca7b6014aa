"""The tables of releases, of the labs a pre-release is for, and of drafts.

Files of releases live in the store's blobs, those of a draft in a folder of its own; by hash both.
"""

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class ReleaseRow(Base):
    """`manifest` is the release's canonical JSON: its SHA-256 is the key."""

    __tablename__ = "release"
    __table_args__ = (
        Index(
            "one_public_release_of_a_version",
            "design",
            "version",
            unique=True,
            sqlite_where=text("NOT private"),
            postgresql_where=text("NOT private"),
        ),
    )

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
    state: Mapped[str] = mapped_column(default="released", server_default="released")
    """`model.ReleaseState`; what was published before there were states is released."""
    state_at: Mapped[datetime | None] = mapped_column(Utc)
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Why it is deprecated."""
    successor: Mapped[str | None]
    """The release that takes its place, by its hash."""
    key_sha256: Mapped[str | None] = mapped_column(index=True)
    """Of the key it was published with; whoever has it may move it and publish the next version."""


class NamedLabRow(Base):
    """A lab that a pre-release is for, and the hash of the key that lets it look."""

    __tablename__ = "release_lab"

    release: Mapped[str] = mapped_column(ForeignKey("release.sha256"), primary_key=True)
    lab: Mapped[str] = mapped_column(primary_key=True)
    key_sha256: Mapped[str]


class DraftRow(Base):
    """A folder that is not published yet. Its key is known here only by its hash."""

    __tablename__ = "draft"

    id: Mapped[str] = mapped_column(primary_key=True)
    key_sha256: Mapped[str] = mapped_column(index=True)
    answers: Mapped[dict[str, JsonValue]] = mapped_column(JSON)
    began_at: Mapped[datetime] = mapped_column(Utc)
    used_at: Mapped[datetime] = mapped_column(Utc, index=True)
    release: Mapped[str | None]
    """What became of it; then its files are with the release and it changes no more."""


class DraftFileRow(Base):
    """A file of a draft, as it was last looked at. `asked` are process, material, thickness."""

    __tablename__ = "draft_file"

    draft: Mapped[str] = mapped_column(ForeignKey("draft.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    added_at: Mapped[datetime] = mapped_column(Utc)
    note: Mapped[str] = mapped_column(Text, default="")
    """What whoever sent it asked for and did not get."""
    asked: Mapped[list[JsonValue] | None] = mapped_column(JSON)
    facts: Mapped[dict[str, JsonValue] | None] = mapped_column(JSON)
    findings: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    pictures: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    looked_at: Mapped[datetime | None] = mapped_column(Utc)


class ForkRow(Base):
    """A release and the one it was forked from, which need not be published here."""

    __tablename__ = "fork"

    release: Mapped[str] = mapped_column(ForeignKey("release.sha256"), primary_key=True)
    ancestor: Mapped[str] = mapped_column(index=True)


class DesignKeyRow(Base):
    """What is kept of the key of a design's maintainer."""

    __tablename__ = "design_key"

    design: Mapped[str] = mapped_column(primary_key=True)
    kept: Mapped[str]
    since: Mapped[datetime] = mapped_column(Utc)
