"""Write the next step of the database from the difference between the tables and the steps so far.

    .venv/bin/python tools/migration.py "say what changes"

Read what it wrote before it is committed: a renamed column looks like one lost and one new.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine

from orchestrator import app
from orchestrator.store import Base, migrations


def main() -> None:
    number = len(list((Path(migrations.__file__).parent / "versions").glob("0*.py"))) + 1
    sys.stdout.write(f"{app.__name__} has {len(Base.metadata.tables)} tables\n")
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/empty.db")
        with engine.begin() as connection:
            migrations.upgrade(connection)
            command.revision(
                migrations.config(connection),
                message=sys.argv[1],
                autogenerate=True,
                rev_id=f"{number:04d}",
            )


if __name__ == "__main__":
    main()
