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


async def killed(folder: Path) -> tuple[Path, Path]:
    """A database whose newest event is only in its log, and a copy from before that event."""
    store, file = await served(folder)
    kept = folder / "monday.db"
    copy(file, kept)
    whole = file.read_bytes()
    async with store.unit() as unit:
        await unit.record("a.thing", "after the copy")
    log = file.with_name(f"{file.name}-wal").read_bytes()
    await store.close()
    file.write_bytes(whole)
    file.with_name(f"{file.name}-wal").write_bytes(log)
    return file, kept


async def test_nothing_of_the_former_database_comes_back(tmp_path: Path) -> None:
    """Its write-ahead log, left by a kill, would be played into the one that took its place."""
    file, kept = await killed(tmp_path)
    replace(kept, file)
    assert subjects(file) == ["first"]


@pytest.mark.parametrize("before", ["unlink", "replace"])
async def test_a_kill_amid_the_replacing_leaves_the_former_database_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """Not that as it was some commits ago, with no new epoch to tell anybody."""
    file, kept = await killed(tmp_path)

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as now:
        now.setattr(Path, before, kill)
        with pytest.raises(KeyboardInterrupt):
            replace(kept, file)
    assert subjects(file) == ["first", "after the copy"]


async def test_a_damaged_database_is_replaced_all_the_same(tmp_path: Path) -> None:
    file, kept = await killed(tmp_path)
    file.write_bytes(b"\x05" * 8192)
    replace(kept, file)
    assert subjects(file) == ["first"]
