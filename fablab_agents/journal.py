"""The agent's memory: every move of every attempt is on disk before the world may see it.

One SQLite file (WAL, synchronous=FULL), one commit a move; when the disk does not keep a commit,
nothing is ever treated as done, and every later write is refused until the file was opened anew.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Generator, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from fablab_agents import book, wal
from fablab_agents.book import Attempt, Entry, Mark, Moment
from fablab_agents.protocol.attempts import LIVE, State
from fablab_agents.protocol.messages import BOOTS_MAX, Bed, Opening, ProgramFacts, Report
from fablab_agents.protocol.tickets import Ticket
from fablab_agents.witness import Witness
from fablab_agents.writer import Writer

FILE = "journal.db"
_VERSION: Final = "1"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS boots(
    boot TEXT PRIMARY KEY, at TEXT NOT NULL, began_seq INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS attempts(
    nr INTEGER PRIMARY KEY, attempt TEXT UNIQUE NOT NULL, machine TEXT NOT NULL,
    fence INTEGER NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
    ticket TEXT NOT NULL, envelope TEXT NOT NULL,
    program TEXT, program_path TEXT, nonce TEXT UNIQUE, handle TEXT, stop_why TEXT,
    started_at TEXT, forgotten INTEGER NOT NULL DEFAULT 0,
    closing INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE IF NOT EXISTS moves(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, attempt TEXT NOT NULL, report TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS attempts_by_state ON attempts(state);
CREATE INDEX IF NOT EXISTS moves_by_attempt ON moves(attempt);
CREATE TABLE IF NOT EXISTS fences(job TEXT PRIMARY KEY, fence INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS marks(
    machine TEXT PRIMARY KEY, bed TEXT NOT NULL, attempt TEXT, person TEXT NOT NULL,
    boot TEXT NOT NULL, elapsed_s REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS offered(machine TEXT PRIMARY KEY, offered INTEGER NOT NULL) STRICT;
"""


class JournalBroken(Exception):
    """The disk does not keep the journal: nothing new is claimed until it does."""


class JournalForeign(Exception):
    """This journal belongs to another agent, version, or is damaged: a person must look."""


class Journal(Writer):
    """The one writer of the file; every answer is read from it, nothing is kept beside it."""

    def __init__(self, path: Path, boot: str, witness: Witness) -> None:
        self.path = path
        self._boot = boot
        self._witness = witness
        self._witnessed = False
        self._commits = 0
        self.trouble: str | None = None
        self._db = _connect(path)

    @classmethod
    def open(cls, path: Path, agent: str, boot: str, now: datetime) -> Self:
        """Open or make the file for `agent`; raises JournalForeign or JournalBroken."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if wal.damaged(path.with_name(f"{path.name}-wal")):
            raise _damaged(path, "commits in its log lie behind a broken one")
        try:
            journal = cls(path, boot, Witness.of(path))
            journal._begin_boot(agent, now)
            journal._read_through()
        except (sqlite3.DatabaseError, ValueError) as error:
            raise _damaged(path, str(error).partition("\n")[0]) from None
        except JournalBroken as error:
            if type(error.__cause__) is sqlite3.DatabaseError:  # malformed, no disk that is full
                raise _damaged(path, str(error.__cause__)) from None
            raise
        return journal

    def close(self) -> None:
        with contextlib.suppress(JournalBroken):
            self._witness.leave(forget=not self.live())
        self._db.close()

    def mend(self) -> bool:
        """Open the file anew and try a commit; True when the disk keeps it again."""
        try:
            self._db.close()
            self._db = _connect(self.path)
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('mended', ?)", (self.boot,))
            self._db.execute("COMMIT")
        except sqlite3.Error:
            return False
        self.trouble = None
        return True

    @property
    def boot(self) -> str:
        return self._boot

    @property
    def witnessed(self) -> bool:
        return self._witnessed

    @property
    def began_seq(self) -> int:
        [row] = self._read("SELECT began_seq FROM boots WHERE boot = ?", [self.boot])
        return int(row["began_seq"])

    @property
    def boots(self) -> tuple[Opening, ...]:
        rows = self._read(
            "SELECT boot, coalesce(began_seq, ?) AS began_seq FROM boots WHERE boot != ?"
            " ORDER BY rowid DESC LIMIT ?",
            [self.began_seq, self.boot, BOOTS_MAX],
        )
        return tuple(Opening(boot=row["boot"], began_seq=row["began_seq"]) for row in rows)

    @property
    def epoch(self) -> int:
        return int(self._meta("epoch") or 0)

    @property
    def floor_seq(self) -> int:
        return int(self._meta("floor_seq") or 0)

    # ── reading ─────────────────────────────────────────────────────────────────────────────

    def live(self) -> tuple[Attempt, ...]:
        """Every attempt that has not ended, in the order of their arrival."""
        rows = self._read(
            "SELECT * FROM attempts WHERE state IN (SELECT value FROM json_each(?)) ORDER BY nr",
            [_LIVE],
        )
        return tuple(_attempt(row) for row in rows)

    def find(self, attempt: str) -> Attempt | None:
        rows = self._read("SELECT * FROM attempts WHERE attempt = ?", [attempt])
        return _attempt(rows[0]) if rows else None

    def envelope(self, attempt: str) -> str | None:
        rows = self._read("SELECT envelope FROM attempts WHERE attempt = ?", [attempt])
        return rows[0]["envelope"] if rows else None

    def latest(self, count: int) -> tuple[Attempt, ...]:
        """The attempts that arrived last, newest first."""
        rows = self._read("SELECT * FROM attempts ORDER BY nr DESC LIMIT ?", [count])
        return tuple(_attempt(row) for row in rows)

    def envelopes(self) -> dict[str, str]:
        """The signed tickets, as they came, of what has not ended."""
        rows = self._read(
            "SELECT attempt, envelope FROM attempts"
            " WHERE state IN (SELECT value FROM json_each(?))",
            [_LIVE],
        )
        return {row["attempt"]: row["envelope"] for row in rows}

    def forgettable(self, before: datetime) -> tuple[Attempt, ...]:
        """Ended, reported and acknowledged before that time: their files are not needed."""
        rows = self._read(
            "SELECT * FROM attempts AS a WHERE NOT forgotten AND at < ?"
            " AND state NOT IN (SELECT value FROM json_each(?)) AND NOT EXISTS"
            " (SELECT 1 FROM moves AS m WHERE m.attempt = a.attempt AND m.seq > ?) LIMIT 20",
            [before.isoformat(), _LIVE, self.acked_up],
        )
        return tuple(_attempt(row) for row in rows)

    def reports(self, after: int, limit: int = 100) -> tuple[Report, ...]:
        rows = self._read(
            "SELECT seq, report FROM moves WHERE seq > ? ORDER BY seq LIMIT ?", [after, limit]
        )
        return tuple(_report(row) for row in rows)

    def causes(self, attempt: str) -> tuple[Report, ...]:
        rows = self._read("SELECT seq, report FROM moves WHERE attempt = ? ORDER BY seq", [attempt])
        return tuple(_report(row) for row in rows)

    @property
    def head_seq(self) -> int:
        rows = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'moves'", [])
        return rows[0]["seq"] if rows else 0

    @property
    def acked_up(self) -> int:
        return int(self._meta("acked_up") or 0)

    @property
    def seen_down(self) -> int:
        return int(self._meta("seen_down") or 0)

    def floor(self, jobs: Iterable[str]) -> int:
        """The highest fence seen for any of these jobs; 0 for jobs never seen."""
        rows = self._read(
            "SELECT coalesce(max(fence), 0) AS floor FROM fences"
            " WHERE job IN (SELECT value FROM json_each(?))",
            [json.dumps(list(jobs))],
        )
        return rows[0]["floor"]

    def mark(self, machine: str) -> Mark | None:
        rows = self._read("SELECT * FROM marks WHERE machine = ?", [machine])
        return _mark(rows[0]) if rows else None

    def bed(self, machine: str, elapsed_s: float) -> Bed:
        """Clear only by a person's mark of this boot, unused and under 12 h old."""
        mark = self.mark(machine)
        if mark is None:
            return Bed.UNKNOWN
        if mark.bed is Bed.CLEAR and not mark.clear(self.boot, elapsed_s):
            return Bed.UNKNOWN
        return mark.bed

    def offered(self) -> dict[str, bool]:
        """What people chose at the console; machines that they never touched are not in it."""
        rows = self._read("SELECT machine, offered FROM offered", [])
        return {row["machine"]: bool(row["offered"]) for row in rows}

    # ── writing ─────────────────────────────────────────────────────────────────────────────

    def forget(self, attempt: str) -> None:
        """Its files are gone; nothing is to be cleared away for it any more."""
        with self._write() as db:
            db.execute("UPDATE attempts SET forgotten = 1 WHERE attempt = ?", [attempt])

    def put_offered(self, machine: str, offered: bool) -> None:
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO offered VALUES (?, ?)", [machine, int(offered)])

    def _commit(self, decide: Callable[[], list[Entry]]) -> list[Entry]:
        with self._write() as db:
            entries = decide()
            for entry in entries:
                _put(db, entry)
            if entries:  # nothing said is nothing written, and nothing synced
                _count(db, "commits")
        if entries:
            self._bear_witness()
        return entries

    def _bear_witness(self) -> None:
        self._commits += 1
        self._witness.remember(self._commits)

    # ── inside ──────────────────────────────────────────────────────────────────────────────

    def _begin_boot(self, agent: str, now: datetime) -> None:
        with self._write() as db:
            for statement in _SCHEMA.split(";")[:-1]:
                db.execute(statement)
            _add_column(db, "attempts", "closing", "INTEGER NOT NULL DEFAULT 0")
            _add_column(db, "boots", "began_seq", "INTEGER")
            for name, value in (("agent", agent), ("version", _VERSION)):
                db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", [name, value])
            db.execute(
                "INSERT INTO boots(boot, at, began_seq) VALUES"
                " (?, ?, (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'moves'))",
                [self.boot, now.isoformat()],
            )
            commits = db.execute("SELECT value FROM meta WHERE name = 'commits'").fetchone()
            self._commits = int(commits[0]) if commits else 0
            self._witnessed = self._witness.vouches(self._commits)
        for name, value in (("agent", agent), ("version", _VERSION)):
            if self._meta(name) != value:
                raise JournalForeign(f"{self.path} is of {name} {self._meta(name)}, not {value}")
        [check] = self._read("PRAGMA quick_check(1)", [])
        if check[0] != "ok":
            raise _damaged(self.path, check[0])
        with self._write() as db:
            for entry in book.woken(self, Moment(now, 0.0)):
                _put(db, entry)
            _count(db, "commits")
        self._bear_witness()

    def _read_through(self) -> None:
        """All that this boot will work with can be read; raises ValueError where it cannot."""
        attempts = self.live()
        self.reports(self.acked_up, limit=1_000_000)
        for machine in {attempt.machine for attempt in attempts}:
            self.mark(machine)

    @contextlib.contextmanager
    def _write(self) -> Generator[sqlite3.Connection]:
        if self.trouble:
            raise JournalBroken(self.trouble)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            self.trouble = f"the disk does not keep the journal {self.path}: {error}"
            raise JournalBroken(self.trouble) from error
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            self._db.close()  # reading goes on when `mend` has opened it anew

    def _read(self, sql: str, given: Iterable[Any]) -> list[sqlite3.Row]:
        try:
            return self._db.execute(sql, tuple(given)).fetchall()
        except sqlite3.ProgrammingError:
            raise JournalBroken(self.trouble or f"{self.path} is closed") from None
        except sqlite3.Error as error:
            self.trouble = f"the journal {self.path} cannot be read: {error}"
            raise JournalBroken(self.trouble) from error

    def _meta(self, name: str) -> str | None:
        rows = self._read("SELECT value FROM meta WHERE name = ?", [name])
        return rows[0]["value"] if rows else None


def _damaged(path: Path, why: str) -> JournalForeign:
    return JournalForeign(
        f"{path} is damaged ({why}): keep a copy of it and its -wal file, see at the machines what"
        " they made, and enrol this agent anew"
    )


_LIVE: Final = json.dumps(sorted(LIVE))


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=True)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    return db


def _put(db: sqlite3.Connection, entry: Entry) -> None:
    match entry:
        case book.Seen(seq):
            _note(db, seen_down=seq)
        case book.Acked(seq):
            _note(db, acked_up=seq)
        case book.Epoch(epoch, acked_up, seen_down):
            _note(db, epoch=epoch, acked_up=acked_up, seen_down=seen_down)
        case book.Forgotten():
            _forget_all(db, entry)
        case book.Fenced(job, fence):
            db.execute("INSERT OR REPLACE INTO fences VALUES (?, ?)", [job, fence])
        case book.Opened(attempt, envelope):
            db.execute(
                "INSERT INTO attempts(attempt, machine, fence, state, at, ticket, envelope)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    *(attempt.id, attempt.machine, attempt.fence, attempt.state),
                    *(attempt.at.isoformat(), attempt.ticket.model_dump_json(), envelope),
                ],
            )
        case book.Changed(attempt):
            _change(db, attempt)
        case book.Said(report):
            # The number is the database's to give: it is written in when the row is read again.
            db.execute(
                "INSERT INTO moves(attempt, report) VALUES (?, ?)",
                [report.attempt, report.model_dump_json()],
            )
        case book.Marked(mark):
            db.execute(
                "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?, ?)",
                [*(mark.machine, mark.bed, mark.attempt, mark.person, mark.boot, mark.elapsed_s)],
            )


def _add_column(db: sqlite3.Connection, table: str, column: str, means: str) -> None:
    """Journals of before have it not."""
    known = db.execute("SELECT name FROM pragma_table_info(?)", [table]).fetchall()
    if column not in {row["name"] for row in known}:
        db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {means}")


def _note(db: sqlite3.Connection, **numbers: int) -> None:
    for name, number in numbers.items():
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, str(number)])


def _count(db: sqlite3.Connection, name: str) -> None:
    db.execute("INSERT OR IGNORE INTO meta VALUES (?, '0')", [name])
    db.execute("UPDATE meta SET value = value + 1 WHERE name = ?", [name])


def _forget_all(db: sqlite3.Connection, all_: book.Forgotten) -> None:
    db.execute(
        "DELETE FROM attempts WHERE state IN (SELECT value FROM json_each(?)) OR attempt IN"
        " (SELECT attempt FROM moves WHERE seq >"
        " (SELECT began_seq FROM boots ORDER BY rowid DESC LIMIT 1))",
        [_LIVE],
    )
    db.execute("DELETE FROM moves WHERE seq > ?", [all_.seq])
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'moves'")
    db.execute("INSERT INTO sqlite_sequence VALUES ('moves', ?)", [all_.seq])
    # The reports up to here are the orchestrator's, whoever of the earlier boots had fewer.
    db.execute("UPDATE boots SET began_seq = ?", [all_.seq])
    [own] = db.execute("SELECT boot FROM boots ORDER BY rowid DESC LIMIT 1").fetchone()
    for boot in filter(None, (all_.after, own)):  # this boot comes after the other, and stays last
        db.execute("INSERT OR REPLACE INTO boots VALUES (?, datetime(), ?)", [boot, all_.seq])
    _note(db, floor_seq=all_.seq, acked_up=all_.seq, epoch=all_.epoch, seen_down=all_.seen_down)


def _change(db: sqlite3.Connection, attempt: Attempt) -> None:
    program, path, started = attempt.program, attempt.program_path, attempt.started_at
    db.execute(
        "UPDATE attempts SET state = ?, at = ?, program = ?, program_path = ?, nonce = ?,"
        " handle = ?, stop_why = ?, started_at = ?, closing = ? WHERE attempt = ?",
        [
            *(attempt.state, attempt.at.isoformat()),
            *(program.model_dump_json() if program else None, str(path) if path else None),
            *(attempt.nonce, attempt.handle, attempt.stop_why),
            *(started.isoformat() if started else None, int(attempt.closing), attempt.id),
        ],
    )


def _attempt(row: sqlite3.Row) -> Attempt:
    return Attempt(
        id=row["attempt"],
        ticket=Ticket.model_validate_json(row["ticket"]),
        machine=row["machine"],
        fence=row["fence"],
        state=State(row["state"]),
        at=datetime.fromisoformat(row["at"]),
        program=ProgramFacts.model_validate_json(row["program"]) if row["program"] else None,
        program_path=Path(row["program_path"]) if row["program_path"] else None,
        nonce=row["nonce"],
        handle=row["handle"],
        stop_why=row["stop_why"],
        started_at=datetime.fromisoformat(row["started_at"]) if row["started_at"] else None,
        closing=bool(row["closing"]),
    )


def _mark(row: sqlite3.Row) -> Mark:
    return Mark(
        row["machine"], Bed(row["bed"]), row["attempt"], row["person"], row["boot"],
        row["elapsed_s"],
    )  # fmt: skip


def _report(row: sqlite3.Row) -> Report:
    return Report.model_validate_json(row["report"]).model_copy(update={"seq": row["seq"]})
