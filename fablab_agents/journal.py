"""The agent's memory: every move of every attempt is on disk before the world may see it.

One SQLite file (WAL, synchronous=FULL), one commit a move; when the disk does not keep a commit,
nothing is ever treated as done, and every later write is refused until the file was opened anew.
"""

import json
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypedDict, Unpack

from fablab_agents.protocol.attempts import (
    LIVE,
    MAY_HAVE_STARTED,
    Actor,
    IllegalMove,
    State,
    move,
)
from fablab_agents.protocol.messages import Bed, ProgramFacts, Report
from fablab_agents.protocol.tickets import Grant, Ticket

FILE = "journal.db"
BED_MARK_S: Final = 12 * 3600
START_MARK_S: Final = 120
_CAUSE_MAX: Final = 2000
_VERSION: Final = "1"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS boots(
    boot TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS attempts(
    nr INTEGER PRIMARY KEY, attempt TEXT UNIQUE NOT NULL, machine TEXT NOT NULL,
    fence INTEGER NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
    ticket TEXT NOT NULL, envelope TEXT NOT NULL,
    program TEXT, program_path TEXT, nonce TEXT UNIQUE, handle TEXT, stop_why TEXT,
    started_at TEXT, forgotten INTEGER NOT NULL DEFAULT 0) STRICT;
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


class NotReady(Exception):
    """A start that the journal does not allow now; the text says why."""


class Words(TypedDict, total=False):
    """What a report may say besides the move itself."""

    cause: str
    person: str | None
    minutes: float | None
    machine_s: float | None
    evidence: dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Moment:
    """One instant as both clocks tell it; `elapsed_s` never jumps and counts sleep too."""

    at: datetime
    elapsed_s: float


@dataclass(frozen=True)
class Attempt:
    """One row of the journal; `handle` is set once the next byte may reach the machine."""

    id: str
    ticket: Ticket
    machine: str
    fence: int
    state: State
    at: datetime
    program: ProgramFacts | None = None
    program_path: Path | None = None
    nonce: str | None = None
    handle: str | None = None
    stop_why: str | None = None
    started_at: datetime | None = None


@dataclass(frozen=True)
class Mark:
    """What a person said at a machine: the bed is clear, or "I start this attempt now"."""

    machine: str
    bed: Bed
    attempt: str | None
    person: str
    boot: str
    elapsed_s: float

    def clear(self, boot: str, elapsed_s: float) -> bool:
        age_s = elapsed_s - self.elapsed_s
        return self.bed is Bed.CLEAR and self.boot == boot and 0 <= age_s < BED_MARK_S

    def starts(self, attempt: str, boot: str, elapsed_s: float) -> bool:
        """The person at the machine pressed start for this attempt, less than 120 s ago."""
        fresh = elapsed_s - self.elapsed_s < START_MARK_S
        return self.attempt == attempt and fresh and self.clear(boot, elapsed_s)


class Journal:
    """The one writer of the file; every answer is read from it, nothing is kept beside it."""

    def __init__(self, path: Path, boot: str) -> None:
        self.path = path
        self.boot = boot
        self.trouble: str | None = None
        self._db = _connect(path)

    @classmethod
    def open(cls, path: Path, agent: str, boot: str, now: datetime) -> Self:
        """Open or make the file for `agent`; raises JournalForeign or JournalBroken."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            journal = cls(path, boot)
            journal._begin_boot(agent, now)
        except sqlite3.DatabaseError as error:
            raise JournalForeign(f"{path} is damaged ({error}); keep it and ask for help") from None
        return journal

    def close(self) -> None:
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

    def latest(self, count: int) -> tuple[Attempt, ...]:
        """The attempts that arrived last, newest first."""
        rows = self._read("SELECT * FROM attempts ORDER BY nr DESC LIMIT ?", [count])
        return tuple(_attempt(row) for row in rows)

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
        return self._read("SELECT coalesce(max(seq), 0) AS head FROM moves", [])[0]["head"]

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

    # ── what the orchestrator says ──────────────────────────────────────────────────────────

    def store_offer(self, seq: int, ticket: Ticket, envelope: str, moment: Moment) -> bool:
        """Keep an offer and raise its jobs' fences; False if it is stale or known already."""
        with self._write() as db:
            self._see(db, seq)
            known = db.execute("SELECT 1 FROM attempts WHERE attempt = ?", [ticket.attempt])
            if known.fetchone() or ticket.fence <= self.floor(ticket.jobs):
                return False
            self._close_older(db, ticket, moment)
            db.executemany(
                "INSERT OR REPLACE INTO fences VALUES (?, ?)",
                [(job, ticket.fence) for job in ticket.jobs],
            )
            db.execute(
                "INSERT INTO attempts(attempt, machine, fence, state, at, ticket, envelope)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    *(ticket.attempt, ticket.machine, ticket.fence, State.OFFERED),
                    *(moment.at.isoformat(), ticket.model_dump_json(), envelope),
                ],
            )
        return True

    def store_withdrawal(
        self, seq: int, attempt: str, fence: int, why: str, moment: Moment
    ) -> bool:
        """End an attempt that has not started; False if it is too late or unknown."""
        with self._write() as db:
            self._see(db, seq)
            row = self._named(attempt, fence)
            if row is None or row.state not in (State.OFFERED, State.ACCEPTED, State.STAGED):
                return False
            self._move(db, row, State.WITHDRAWN, Actor.ORCHESTRATOR, moment, cause=why)
        return True

    def store_stop(self, seq: int, attempt: str, fence: int, why: str, moment: Moment) -> bool:
        """Withdraw what has not started, wish a stop for what has; False if unknown."""
        with self._write() as db:
            self._see(db, seq)
            row = self._named(attempt, fence)
            if row is None or row.state not in LIVE:
                return False
            if row.state in MAY_HAVE_STARTED:
                self._set(db, attempt, stop_why=why)
            else:
                self._move(db, row, State.WITHDRAWN, Actor.ORCHESTRATOR, moment, cause=why)
        return True

    def store_seen(self, seq: int) -> None:
        """A message that means nothing here was read: it need not come again."""
        with self._write() as db:
            self._see(db, seq)

    def ack_up(self, seq: int) -> None:
        with self._write() as db:
            if seq > self.acked_up:
                db.execute("INSERT OR REPLACE INTO meta VALUES ('acked_up', ?)", [str(seq)])

    # ── moves ───────────────────────────────────────────────────────────────────────────────

    def move(
        self, attempt: str, to: State, by: Actor, moment: Moment, **words: Unpack[Words]
    ) -> None:
        """One move by the shared table, synced; raises IllegalMove and changes nothing else."""
        with self._write() as db:
            self._move(db, self._must(attempt), to, by, moment, **words)

    def end(self, attempt: str, to: State, moment: Moment, **words: Unpack[Words]) -> None:
        """The run is over; where the table has no direct way it is said to be unknown first."""
        with self._write() as db:
            row = self._must(attempt)
            if (row.state, to) in _ROUNDABOUT:
                self._move(
                    db, row, State.UNKNOWN, Actor.AGENT, moment, cause=words.get("cause", "")
                )
                row = self._must(attempt)
            self._move(db, row, to, Actor.AGENT, moment, **words)

    def keep_program(self, attempt: str, facts: ProgramFacts, path: Path) -> None:
        with self._write() as db:
            if self._must(attempt).state is not State.ACCEPTED:
                msg = f"attempt {attempt} no longer waits for a program"
                raise IllegalMove(msg)
            self._set(db, attempt, program=facts.model_dump_json(), program_path=str(path))

    def begin(self, attempt: str, grant: Grant, moment: Moment, *, attended: bool) -> None:
        """The intent: granted and starting in one commit, which uses up the person's mark.

        After it the machine may move, once. Raises NotReady when anything speaks against it.
        """
        with self._write() as db:
            row = self._must(attempt)
            mark = self._why_not(db, row, moment, attended=attended)
            granted = move(row.state, State.GRANTED, Actor.ORCHESTRATOR)
            self._set(
                db, attempt, state=granted, nonce=grant.nonce, started_at=moment.at.isoformat()
            )
            db.execute(
                "UPDATE marks SET bed = ?, attempt = NULL WHERE machine = ?",
                [Bed.OCCUPIED, row.machine],
            )
            row = self._must(attempt)
            self._move(db, row, State.STARTING, Actor.AGENT, moment, person=mark.person)

    def arm(self, attempt: str, handle: str) -> None:
        """From this commit on a byte may have reached the machine."""
        with self._write() as db:
            self._set(db, attempt, handle=handle)

    def tombstone(self, attempt: str, grant: Grant, why: str, moment: Moment) -> None:
        """A grant was given and is not used: this attempt never starts."""
        with self._write() as db:
            row = self._must(attempt)
            move(row.state, State.GRANTED, Actor.ORCHESTRATOR)
            self._set(db, attempt, state=State.GRANTED, nonce=grant.nonce)
            self._move(db, self._must(attempt), State.NOT_STARTED, Actor.AGENT, moment, cause=why)

    def forget(self, attempt: str) -> None:
        with self._write() as db:
            self._set(db, attempt, forgotten=1)

    # ── what people say ─────────────────────────────────────────────────────────────────────

    def put_mark(
        self, machine: str, person: str, moment: Moment, attempt: str | None = None
    ) -> None:
        """A person at the machine: its bed is clear, and perhaps "I start this attempt now"."""
        with self._write() as db:
            db.execute(
                "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?, ?)",
                [machine, Bed.CLEAR, attempt, person, self.boot, moment.elapsed_s],
            )

    def void_mark(self, machine: str) -> bool:
        """An alarm or a stranger's job: a clear bed is no longer known to be clear."""
        mark = self.mark(machine)
        if mark is None or mark.bed is not Bed.CLEAR:
            return False
        with self._write() as db:
            db.execute("UPDATE marks SET bed = ? WHERE machine = ?", [Bed.UNKNOWN, machine])
        return True

    def wish_stop(self, attempt: str, why: str) -> None:
        with self._write() as db:
            self._set(db, attempt, stop_why=why)

    def put_offered(self, machine: str, offered: bool) -> None:
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO offered VALUES (?, ?)", [machine, int(offered)])

    # ── inside ──────────────────────────────────────────────────────────────────────────────

    def _begin_boot(self, agent: str, now: datetime) -> None:
        with self._write() as db:
            for statement in _SCHEMA.split(";")[:-1]:
                db.execute(statement)
            for name, value in (("agent", agent), ("version", _VERSION)):
                db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", [name, value])
            db.execute("INSERT INTO boots VALUES (?, ?)", [self.boot, now.isoformat()])
        for name, value in (("agent", agent), ("version", _VERSION)):
            if self._meta(name) != value:
                raise JournalForeign(f"{self.path} is of {name} {self._meta(name)}, not {value}")
        [check] = self._read("PRAGMA quick_check(1)", [])
        if check[0] != "ok":
            raise JournalForeign(f"{self.path} is damaged: {check[0]}; keep it and ask for help")

    @contextmanager
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

    def _must(self, attempt: str) -> Attempt:
        found = self.find(attempt)
        if found is None:
            msg = f"there is no attempt {attempt} in the journal"
            raise IllegalMove(msg)
        return found

    def _named(self, attempt: str, fence: int) -> Attempt | None:
        row = self.find(attempt)
        return row if row is not None and row.fence == fence else None

    def _see(self, db: sqlite3.Connection, seq: int) -> None:
        if seq != self.seen_down + 1:
            msg = f"message {seq} cannot follow message {self.seen_down}"
            raise IllegalMove(msg)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('seen_down', ?)", [str(seq)])

    def _close_older(self, db: sqlite3.Connection, ticket: Ticket, moment: Moment) -> None:
        """A newer fence ends the unstarted attempts of the same jobs."""
        for row in self.live():
            if row.state not in MAY_HAVE_STARTED and set(row.ticket.jobs) & set(ticket.jobs):
                why = f"attempt {ticket.attempt} with a newer fence took its place"
                self._move(db, row, State.WITHDRAWN, Actor.AGENT, moment, cause=why)

    def _why_not(
        self, db: sqlite3.Connection, row: Attempt, moment: Moment, *, attended: bool
    ) -> Mark:
        mark = self.mark(row.machine)
        if row.nonce is not None or row.started_at is not None:
            raise NotReady("this attempt was granted before")
        if row.fence < self.floor(row.ticket.jobs):
            raise NotReady("a newer attempt closed this one's fence")
        other = db.execute(
            "SELECT attempt FROM attempts WHERE machine = ? AND attempt != ?"
            " AND state IN ('granted', 'starting', 'running', 'paused', 'unknown')",
            [row.machine, row.id],
        ).fetchone()
        if other:
            raise NotReady(f"attempt {other['attempt']} on this machine has not ended")
        if mark is None or not mark.clear(self.boot, moment.elapsed_s):
            raise NotReady("nobody said that the bed is clear")
        if attended and not mark.starts(row.id, self.boot, moment.elapsed_s):
            raise NotReady("nobody at the machine started it in the last two minutes")
        return mark

    def _set(self, db: sqlite3.Connection, attempt: str, **values: object) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        db.execute(
            f"UPDATE attempts SET {names} WHERE attempt = ?",  # noqa: S608 - names are ours
            [*values.values(), attempt],
        )

    def _move(
        self,
        db: sqlite3.Connection,
        row: Attempt,
        to: State,
        by: Actor,
        moment: Moment,
        **words: Unpack[Words],
    ) -> None:
        state = move(row.state, to, by)
        self._set(db, row.id, state=state, at=moment.at.isoformat())
        if by is Actor.AGENT and state in MAY_HAVE_STARTED:
            # A mark that was put between the intent and the first byte saw another bed.
            db.execute(
                "UPDATE marks SET bed = ?, attempt = NULL WHERE machine = ? AND bed = ?",
                [Bed.OCCUPIED, row.machine, Bed.CLEAR],
            )
        program = row.program if state is State.STAGED else None
        words["cause"] = words.get("cause", "")[:_CAUSE_MAX]
        # The number is the database's to give: it is written in when the row is read again.
        written = Report(
            boot=self.boot, seq=1, attempt=row.id, fence=row.fence, state=state, at=moment.at,
            program=program, **words,
        )  # fmt: skip
        db.execute(
            "INSERT INTO moves(attempt, report) VALUES (?, ?)",
            [row.id, written.model_dump_json()],
        )


_LIVE: Final = json.dumps(sorted(LIVE))
_Way = tuple[State, State]
_ROUNDABOUT: Final[frozenset[_Way]] = frozenset(
    (State.STARTING, to) for to in (State.FINISHED, State.INTERRUPTED, State.NOT_STARTED)
)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=True)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    return db


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
    )


def _mark(row: sqlite3.Row) -> Mark:
    return Mark(
        row["machine"], Bed(row["bed"]), row["attempt"], row["person"], row["boot"],
        row["elapsed_s"],
    )  # fmt: skip


def _report(row: sqlite3.Row) -> Report:
    return Report.model_validate_json(row["report"]).model_copy(update={"seq": row["seq"]})
