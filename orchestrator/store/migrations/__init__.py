"""Brings a database to the tables of this version, from empty or from any version before.

It promises one step at a time, each in a transaction; a step that is released never changes.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_HERE: Final = Path(__file__).parent


def upgrade(connection: Connection) -> None:
    """Take every step that this database has not taken, inside the caller's transaction."""
    if MigrationContext.configure(connection).get_current_revision() == head():
        return
    command.upgrade(config(connection), "head")


def drawn(_thing: object, name: str | None, kind: str, found: bool, _ours: object) -> bool:
    """For alembic's comparison: the words of search stand where SQLAlchemy draws no table."""
    words = (name or "").startswith(("found_words", "ix_found_words"))
    return not (found and words and kind in {"table", "index"})


def head() -> str | None:
    """The newest step."""
    return ScriptDirectory.from_config(config(None)).get_current_head()


def config(connection: Connection | None) -> Config:
    made = Config()
    made.set_main_option("script_location", str(_HERE))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made
