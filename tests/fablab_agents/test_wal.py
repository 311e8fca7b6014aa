"""What a power cut leaves of the journal's log is taken; what no power cut leaves is not."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fablab_agents import wal
from fablab_agents.journal import Journal, JournalForeign
from tests.fablab_agents.test_journal import NOW, open_at

HEAD, FRAME = 32, 24 + 4096


def log(tmp_path: Path, commits: int = 12) -> Path:
    """The log of a database whose process was killed after so many commits."""
    database, copy = tmp_path / "live.db", tmp_path / "journal.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE moves(a)")
        for number in range(commits):
            db.execute("INSERT INTO moves VALUES (?)", [f"{number}" * 6000])
        for end in ("", "-wal"):
            shutil.copy(f"{database}{end}", f"{copy}{end}")
    return tmp_path / "journal.db-wal"


def change(path: Path, at: int, by: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(by)] = by
    path.write_bytes(bytes(data))


def kept(path: Path) -> int:
    with closing(sqlite3.connect(path.with_name("journal.db"))) as db:
        return db.execute("SELECT count(*) FROM moves").fetchone()[0]


def test_a_log_that_ends_anywhere_is_sound(tmp_path: Path) -> None:
    whole = log(tmp_path).read_bytes()
    path = tmp_path / "cut"
    for size in random.Random(1).sample(range(len(whole)), 40):
        path.write_bytes(whole[:size])
        assert not wal.damaged(path)
    assert not wal.damaged(tmp_path / "nothing")


def test_a_torn_last_commit_is_sound(tmp_path: Path) -> None:
    path = log(tmp_path)
    change(path, path.stat().st_size - 2 * FRAME + 100, b"torn")
    assert not wal.damaged(path)
    assert kept(path) == 11


@pytest.mark.parametrize("where", [HEAD + 30, HEAD + 20, HEAD + 5 * FRAME + 4000, 20, 0])
def test_damage_before_synced_commits_is_seen(tmp_path: Path, where: int) -> None:
    path = log(tmp_path)
    change(path, where, b"\x5a\xa5")
    assert wal.damaged(path)


def test_a_log_begun_anew_over_an_older_one_is_sound(tmp_path: Path) -> None:
    database = tmp_path / "journal.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE moves(a)")
        for number in range(8):
            db.execute("INSERT INTO moves VALUES (?)", [f"{number}" * 6000])
        db.execute("PRAGMA wal_checkpoint(FULL)")
        db.execute("INSERT INTO moves VALUES ('anew')")
        path = tmp_path / "copy-wal"
        shutil.copy(f"{database}-wal", path)
    assert path.stat().st_size > 8 * FRAME
    assert not wal.damaged(path)


def test_what_two_power_cuts_left_behind_is_sound(tmp_path: Path) -> None:
    """Each leaves one unsynced commit; they do not follow upon each other."""
    path = log(tmp_path)
    database = path.with_name("journal.db")
    size = path.stat().st_size
    change(path, size - 2 * FRAME + 100, b"torn")  # of twelve commits the last one
    copy = tmp_path / "again.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("INSERT INTO moves VALUES ('short')")
        for end in ("", "-wal"):
            shutil.copy(f"{database}{end}", f"{copy}{end}")
    again = tmp_path / "again.db-wal"
    assert again.stat().st_size == size, "the torn commit's end lies behind the short one"
    assert not wal.damaged(again)
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT count(*) FROM moves").fetchone()[0] == 12


def test_a_journal_with_a_damaged_log_is_for_a_person(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    for number in range(5):
        journal.put_offered(f"laser-{number}", offered=True)
    (tmp_path / "copy").mkdir()
    for end in ("", "-wal"):
        shutil.copy(tmp_path / f"journal.db{end}", tmp_path / "copy" / f"journal.db{end}")
    journal.close()
    path = tmp_path / "copy" / "journal.db"
    change(path.with_name("journal.db-wal"), HEAD + 40, b"\x5a\xa5")
    with pytest.raises(JournalForeign, match="keep a copy"):
        Journal.open(path, "lab-nord", "b2", NOW)
