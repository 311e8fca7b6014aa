"""The steps of the database lead to the tables of the code, on both engines."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

import orchestrator.app  # noqa: F401 - all rooms' tables
from orchestrator.store import Base, Store, migrations
from tests.conftest import stepwise


def _difference(connection: Connection) -> list[object]:
    how = {"compare_type": False, "include_object": migrations.drawn}
    found = MigrationContext.configure(connection, opts=how)
    ours = {table.name for table in Base.metadata.sorted_tables if "test_" not in table.name}
    return [
        each
        for each in compare_metadata(found, Base.metadata)
        if not (each[0] == "add_table" and each[1].name not in ours)
    ]


async def test_from_empty_the_steps_lead_to_our_tables(empty_database_url: str, tmp_path: Path):
    """If this fails: .venv/bin/python tools/migration.py "what changes"."""
    store = await Store.open(empty_database_url, tmp_path / "blobs")
    async with store._engine.connect() as connection:
        assert await connection.run_sync(_difference) == []
        at = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    await store.close()
    assert at == migrations.head()


async def test_opening_again_changes_nothing(empty_database_url: str, tmp_path: Path):
    for _ in range(2):
        store = await Store.open(empty_database_url, tmp_path / "blobs")
        async with store.unit() as unit:
            await unit.record("opened", "store")
        await store.close()
    store = await Store.open(empty_database_url, tmp_path / "blobs")
    assert await store.last_event() == 2
    await store.close()


async def test_the_one_live_attempt_stands_in_the_database_itself(
    empty_database_url: str, tmp_path: Path
):
    store = await Store.open(empty_database_url, tmp_path / "blobs")
    tables = {"sqlite": "sqlite_master", "postgresql": "pg_indexes"}
    column = {"sqlite": ("sql", "name"), "postgresql": ("indexdef", "indexname")}
    name = store._engine.dialect.name
    said, called = column[name]
    query = f"SELECT {said} FROM {tables[name]} WHERE {called} = 'one_live_attempt_per_job'"
    async with store._engine.connect() as connection:
        index = str(await connection.scalar(text(query))).lower()
    await store.close()
    assert "unique" in index
    assert "where" in index
    assert "live" in index


async def test_the_tables_that_tests_begin_with_are_those_of_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """conftest.py makes SQLite's at once; PostgreSQL's are copied by PostgreSQL itself."""
    await (await Store.open(f"sqlite+aiosqlite:///{tmp_path}/copied.db", tmp_path)).close()
    monkeypatch.setattr(migrations, "upgrade", stepwise)
    await (await Store.open(f"sqlite+aiosqlite:///{tmp_path}/made.db", tmp_path)).close()
    copied, made = (_everything(tmp_path / name) for name in ("copied.db", "made.db"))
    assert copied == made


def _everything(file: Path) -> list[list[str]]:
    """Every statement as a bag of lines: alembic writes a table's constraints in any order."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        said = sorted(database.iterdump())
    return sorted(sorted(line.rstrip(", ") for line in each.splitlines()) for each in said)
