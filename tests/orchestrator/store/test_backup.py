"""A copy of a database that is being written to: whole, checked, or not there at all."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.store import Store
from orchestrator.store.backup import NotCopied, copy, replace


async def served(folder: Path) -> tuple[Store, Path]:
    """An orchestrator's database with one event, open."""
    file = folder / "cosmolocal.db"
    store = await Store.open(f"sqlite+aiosqlite:///{file}", folder / "blobs")
    async with store.unit() as unit:
        await unit.record("a.thing", "first")
    return store, file


def subjects(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as db:
        return [row[0] for row in db.execute("SELECT subject FROM event ORDER BY id")]


async def test_a_copy_holds_what_was_committed_and_nothing_else(tmp_path: Path) -> None:
    store, file = await served(tmp_path)
    kept = tmp_path / "kept" / "monday.db"
    kept.parent.mkdir()
    async with store.unit() as unit:
        await unit.record("a.thing", "not committed yet")
        copy(file, kept)
    await store.close()
    assert subjects(kept) == ["first"]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in kept.parent.iterdir()] == ["monday.db"]


async def test_a_copy_replaces_nothing(tmp_path: Path) -> None:
    store, file = await served(tmp_path)
    await store.close()
    with pytest.raises(NotCopied, match="there already"):
        copy(file, file)
    assert subjects(file) == ["first"]


@pytest.mark.parametrize("content", [None, b"", b"not a database at all" * 100])
async def test_what_is_no_database_of_ours_is_not_copied(
    tmp_path: Path, content: bytes | None
) -> None:
    file, kept = tmp_path / "cosmolocal.db", tmp_path / "monday.db"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(NotCopied):
        copy(file, kept)
    assert not list(tmp_path.glob("*monday*"))


async def test_a_damaged_database_is_not_copied(tmp_path: Path) -> None:
    store, file = await served(tmp_path)
    await store.close()
    whole = bytearray(file.read_bytes())
    with closing(sqlite3.connect(file)) as db:
        size = db.execute("PRAGMA page_size").fetchone()[0]
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event'").fetchone()[0]
    whole[(root - 1) * size : root * size] = b"\x05" * size
    file.write_bytes(whole)
    with pytest.raises(NotCopied):
        copy(file, tmp_path / "monday.db")
    assert not list(tmp_path.glob("*monday*"))


async def test_nothing_of_the_former_database_comes_back(tmp_path: Path) -> None:
    """Its write-ahead log, left by a kill, would be played into the one that took its place."""
    store, file = await served(tmp_path)
    kept = tmp_path / "monday.db"
    copy(file, kept)
    async with store.unit() as unit:
        await unit.record("a.thing", "after the copy")
    log = file.with_name(f"{file.name}-wal").read_bytes()
    await store.close()
    file.with_name(f"{file.name}-wal").write_bytes(log)
    replace(kept, file)
    assert subjects(file) == ["first"]
