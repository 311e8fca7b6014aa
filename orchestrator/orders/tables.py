"""The tables of orders and jobs."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class OrderRow(Base):
    """`maker` and the confirmation hold personal data: they stay in this row and out of events."""

    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)
    quote_id: Mapped[str] = mapped_column(unique=True)
    release: Mapped[str]
    title: Mapped[str]
    quantity: Mapped[int]
    lat: Mapped[float]
    lon: Mapped[float]
    due_at: Mapped[datetime | None] = mapped_column(Utc)
    quoted: Mapped[str] = mapped_column(Text)
    """The quote as it was agreed to: canonical JSON of `model.Quoted`."""
    total_minor: Mapped[int]
    currency: Mapped[str]
    policy_version: Mapped[str]
    maker_name: Mapped[str]
    maker_contact: Mapped[str]
    confirmation: Mapped[str] = mapped_column(Text)
    confirmation_sha256: Mapped[str]
    signature: Mapped[str | None] = mapped_column(Text)
    """Compact JWS over the confirmation by the maker's own key, where the maker has one."""
    seal: Mapped[str] = mapped_column(Text)
    """Compact JWS by the orchestrator over the confirmation's hash, time and proof's hash."""
    placed_at: Mapped[datetime] = mapped_column(Utc)
    handed_over_at: Mapped[datetime | None] = mapped_column(Utc)


class JobRow(Base):
    __tablename__ = "job"
    __table_args__ = (Index("job_by_state", "state"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    release: Mapped[str]
    part: Mapped[str]
    process: Mapped[str]
    material: Mapped[str]
    thickness_mm: Mapped[float | None]
    quality: Mapped[str]
    quantity: Mapped[int]
    after: Mapped[list[str]] = mapped_column(JSON)
    state: Mapped[str]
    why: Mapped[str] = mapped_column(Text, default="")
    """Why it is wanted again or abandoned, in words for people."""
    version: Mapped[int] = mapped_column(default=1)
    fence: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    avoid: Mapped[list[str]] = mapped_column(JSON)
    estimate_s: Mapped[int]
    price_minor: Mapped[int]
    agent: Mapped[str | None]
    machine: Mapped[str | None]
    attempt: Mapped[str | None]
    lat: Mapped[float]
    lon: Mapped[float]
    due_at: Mapped[datetime | None] = mapped_column(Utc)
    wanted_at: Mapped[datetime] = mapped_column(Utc)
    made_at: Mapped[datetime | None] = mapped_column(Utc)
