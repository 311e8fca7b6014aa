"""Copies of the embedded database, in use or not: whole, checked, or not there at all."""

import contextlib
import os
import sqlite3
from pathlib import Path

from orchestrator.store.durable import sync_folder


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


def replace(new: Path, place: Path) -> None:
    """`new` is the database at `place` from now on; nothing of the former one can come back."""
    for former in ("-wal", "-shm"):
        place.with_name(place.name + former).unlink(missing_ok=True)
    handle = os.open(new, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    new.replace(place)
    sync_folder(place.resolve().parent)
