"""The tables of labs, agents, enrolment codes and machines."""

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import JSON, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base, Utc


class LabRow(Base):
    __tablename__ = "lab"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    lat: Mapped[float]
    lon: Mapped[float]
    address: Mapped[str] = mapped_column(Text, default="")
    operator: Mapped[str]
    """Who contracts with makers and invoices them."""
    contact: Mapped[str] = mapped_column(Text, default="")
    website: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(Utc)


class CodeRow(Base):
    """A one-time code, known here only by its hash."""

    __tablename__ = "enrolment_code"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    lab_id: Mapped[str] = mapped_column(ForeignKey("lab.id"))
    expires_at: Mapped[datetime] = mapped_column(Utc)
    used_by: Mapped[str | None]


class AgentRow(Base):
    __tablename__ = "agent"

    id: Mapped[str] = mapped_column(primary_key=True)
    lab_id: Mapped[str] = mapped_column(ForeignKey("lab.id"), index=True)
    secret: Mapped[str]
    """The secret's hash, as a broker's password file has it."""
    session: Mapped[str]
    version: Mapped[str] = mapped_column(default="")
    boot: Mapped[str | None]
    heard_at: Mapped[datetime | None] = mapped_column(Utc)
    enrolled_at: Mapped[datetime] = mapped_column(Utc)
    retired_at: Mapped[datetime | None] = mapped_column(Utc)


class MachineRow(Base):
    """`said` is the shop's own description: JSON of `protocol.messages.Machine`."""

    __tablename__ = "machine"

    agent: Mapped[str] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    machine: Mapped[str] = mapped_column(primary_key=True)
    said: Mapped[dict[str, JsonValue]] = mapped_column(JSON)
    present: Mapped[bool] = mapped_column(default=True)
    """Whether the shop's newest list still has it."""
    said_at: Mapped[datetime] = mapped_column(Utc)
