"""The tables of grants, none of which is ever deleted, and of what they were used for."""

from datetime import date, datetime

from sqlalchemy import JSON, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class GrantRow(Base):
    """`name`: a lab's id or a person's name, as `whom` says; names stay out of events."""

    __tablename__ = "licence_grant"

    id: Mapped[str] = mapped_column(primary_key=True)
    design: Mapped[str] = mapped_column(index=True)
    licence: Mapped[str] = mapped_column(Text)
    """What the design carried then: a version under another licence is not granted."""
    acts: Mapped[list[str]] = mapped_column(JSON)
    whom: Mapped[str]
    name: Mapped[str]
    first_version: Mapped[str | None]
    last_version: Mapped[str | None]
    since: Mapped[date | None]
    until: Mapped[date | None]
    most_units: Mapped[int | None]
    fee_cents: Mapped[int | None]
    currency: Mapped[str | None]
    share_pct: Mapped[float | None]
    terms: Mapped[str] = mapped_column(Text)
    reference: Mapped[str] = mapped_column(Text)
    by: Mapped[str]
    """The licensor, as the newest release named them then."""
    recorded_by: Mapped[str]
    """`licensor`, by the design's key, or `operator`."""
    recorded_at: Mapped[datetime] = mapped_column(Utc)
    withdrawn_at: Mapped[datetime | None] = mapped_column(Utc)
    withdrawn_why: Mapped[str | None] = mapped_column(Text)


class GrantUseRow(Base):
    """A grant that an order stands on for one of its parts; orders are a room further down."""

    __tablename__ = "grant_use"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)
    grant: Mapped[str] = mapped_column(ForeignKey("licence_grant.id"), primary_key=True, index=True)
    units: Mapped[int]
