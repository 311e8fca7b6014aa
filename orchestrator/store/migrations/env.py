"""What alembic runs: our connection, our tables, batches for SQLite."""

from typing import Literal

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.types import TypeDecorator

from orchestrator.store.migrations import drawn
from orchestrator.store.tables import Base, Utc


def _plainly(kind: str, value: object, _context: object) -> str | Literal[False]:
    """Steps name plain types: they must not change when our own types do."""
    if kind == "type" and isinstance(value, Utc):
        return "sa.DateTime(timezone=True)"
    return False


def _same_type(
    _context: object, _inspected: object, _column: object, _there: object, ours: object
) -> bool | None:
    """A zone that SQLite forgets is no difference."""
    return False if isinstance(ours, TypeDecorator) else None


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=_plainly,
        compare_type=_same_type,
        include_object=drawn,
    )
    context.run_migrations()


_run(context.config.attributes["connection"])
