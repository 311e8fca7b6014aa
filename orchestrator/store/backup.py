"""Copies of the embedded database, in use or not: whole, checked, or not there at all."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from orchestrator.store.durable import sync_folder

_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}


class NotCopied(Exception):
    """Nothing was copied and nothing replaced; the message says why."""


def copy(source: Path, target: Path) -> None:
    """One settled moment of `source` as a single file for its owner alone; raises NotCopied."""
    if not source.is_file():
        raise NotCopied(f"there is no database {source}")
    if target.exists():
        raise NotCopied(f"{target} is there already: name another file")
    if not target.parent.is_dir():
        raise NotCopied(f"there is no folder {target.parent}: make it, or name another file")
    spare = target.with_name(f".{target.name}.new")
    try:
        spare.unlink(missing_ok=True)
        os.close(os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(source, spare)
        replace(spare, target)
    except (OSError, sqlite3.Error) as error:
        spare.unlink(missing_ok=True)
        raise NotCopied(f"{source} was not copied to {target}: {error}") from error
    except NotCopied:
        spare.unlink(missing_ok=True)
        raise


def _copy(source: Path, spare: Path) -> None:
    only_reading = f"{source.resolve().as_uri()}?mode=ro"
    with (
        contextlib.closing(sqlite3.connect(only_reading, uri=True)) as old,
        contextlib.closing(sqlite3.connect(spare)) as new,
    ):
        old.backup(new)
        new.execute("PRAGMA journal_mode = DELETE")  # no second file belongs to a copy
        [checked] = new.execute("PRAGMA quick_check(1)").fetchone()
        if checked != "ok":
            raise NotCopied(f"{source} is damaged: {checked}")
        ours = "SELECT count(*) FROM sqlite_master WHERE name IN ('event', 'agent', 'attempt')"
        if new.execute(ours).fetchone() != (3,):
            raise NotCopied(f"{source} is no database of an orchestrator")


def _take_in_log(place: Path) -> None:
    """The former database is one file now, unless it is damaged and was not whole before."""
    try:
        with contextlib.closing(sqlite3.connect(place)) as former:
            [mode] = former.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _DAMAGED:
            return
        raise NotCopied(f"{place} cannot be replaced: {error}") from error
    if mode != "delete":
        raise NotCopied(f"{place} is in use")


def replace(new: Path, place: Path) -> None:
    """`new` is the database at `place` from now on; nothing of the former one can come back.

    At every moment one of the two is there whole, so that a kill leaves no third; raises NotCopied.
    """
    if place.exists():
        _take_in_log(place)
    for former in ("-wal", "-shm"):
        place.with_name(place.name + former).unlink(missing_ok=True)
    handle = os.open(new, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    new.replace(place)
    sync_folder(place.resolve().parent)
