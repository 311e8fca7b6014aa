"""What all rooms' tables are made of, and the one table of the store itself: the event log.

Times are aware UTC in and out on both engines; ids sort by the time they were made.
"""

import secrets
import threading
import time
from datetime import UTC, datetime

from pydantic import JsonValue
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_EPOCH_MS = 1_735_689_600_000  # 2025-01-01T00:00Z; 40 bits of milliseconds last until 2059
_lock = threading.Lock()
_last = 0


class Utc(TypeDecorator[datetime]):
    """An aware UTC moment; SQLite, which forgets zones, gets and gives it back as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a moment without a zone: {value}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base of every table of every room."""

    # Named constraints: SQLite's batch migrations cannot drop what has no name.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class EventRow(Base):
    """One thing that happened: audit, outbox of the pages and live feed. Ids, no personal data."""

    __tablename__ = "event"
    # SQLite counts rows up by itself only in a column called INTEGER.
    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    at: Mapped[datetime] = mapped_column(Utc)
    kind: Mapped[str] = mapped_column(String(60), index=True)
    subject: Mapped[str] = mapped_column(String(80), index=True)
    data: Mapped[dict[str, JsonValue]] = mapped_column(JSON)


def new_id(prefix: str) -> str:
    """`prefix-` and 12 characters that sort by time; never the same twice in one process."""
    global _last  # noqa: PLW0603
    fresh = (int(time.time() * 1000) - _EPOCH_MS) << 20 | secrets.randbits(20)
    with _lock:
        _last = max(fresh, _last + 1)
        value = _last
    return f"{prefix}-" + "".join(_ALPHABET[value >> shift & 31] for shift in range(55, -1, -5))
