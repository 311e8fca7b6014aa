"""One writer at a time on either engine, and the event log committed with what it tells of.

A unit of work sees a settled database, is committed whole or not at all, and wakes whoever waits
for events; it never retries by itself, except through `Store.run`.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue
from sqlalchemy import Connection, event, make_url, select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from orchestrator.store.blobs import Blobs
from orchestrator.store.tables import EventRow

_WAIT_S = 10
_CACHE_KIB = 16_384  # for each connection; with SQLite's own 2,000 a search reads pages again
_POLL_S = 1.0
_BATCH = 500
_SELDOM = timedelta(hours=1)
_WRITERS = 0x636F736D  # the advisory lock that stands for SQLite's single writer
_BUSY_STATES = {"40001", "40P01", "55P03"}
_T = TypeVar("_T")


class StoreAway(Exception):
    """The database is gone, restarting or full; what was asked is no fault of the asker."""


class StoreBusy(StoreAway):
    """Somebody else held the database too long; nothing was changed, it may be tried again."""


@dataclass(frozen=True)
class Event:
    id: int
    at: datetime
    kind: str
    subject: str
    data: dict[str, JsonValue]


Handler = Callable[["Unit", Event], Awaitable[None]]


@dataclass
class Unit:
    """One piece of work in one transaction. `now` is the same moment throughout."""

    session: AsyncSession
    now: datetime
    unheard: list[Event]

    async def record(self, kind: str, subject: str, **data: JsonValue) -> Event:
        """Append to the event log, in this transaction. `data` holds ids, never personal data."""
        row = EventRow(at=self.now, kind=kind, subject=subject, data=dict(data))
        self.session.add(row)
        await self.session.flush()
        told = Event(row.id, self.now, kind, subject, data)
        self.unheard.append(told)
        return told

    async def record_seldom(self, kind: str, subject: str, **data: JsonValue) -> None:
        """Record it unless the like of the same `agent` (or subject) was within the last hour.

        For what whoever has a lab's secret can bring about a thousand times a second.
        """
        lately = EventRow.kind == kind, EventRow.at > self.now - _SELDOM
        who = data.get("agent", subject)
        for row in await self.session.scalars(select(EventRow).where(*lately)):
            if row.data.get("agent", row.subject) == who:
                return
        await self.record(kind, subject, **data)


class Store:
    """The database and the files of one orchestrator."""

    def __init__(self, engine: AsyncEngine, blobs: Blobs) -> None:
        self.blobs = blobs
        self._engine = engine
        self._reading = engine.execution_options(**_reading_options(engine))
        self._handlers: dict[str, list[Handler]] = {}
        self._bell = asyncio.Event()

    @classmethod
    async def open(cls, url: str, blobs: Path) -> "Store":
        """Open `sqlite+aiosqlite:///FILE` or `postgresql+psycopg://…`, with its tables made."""
        sqlite = make_url(url).get_backend_name() == "sqlite"
        how = {"factory": _Connection} if sqlite else {}
        # A file does not hang up: only a server is asked first whether it is still there.
        engine = create_async_engine(url, pool_pre_ping=not sqlite, connect_args=how)
        if sqlite:
            _tame_sqlite(engine)
        await _upgrade(engine)
        return cls(engine, Blobs(blobs))

    async def close(self) -> None:
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def unit(self) -> AsyncGenerator[Unit]:
        """A unit of work that writes: committed on a clean exit, rolled back on any error.

        Raises StoreBusy when another writer held on for more than ten seconds, StoreAway when
        there is no database to write to.
        """
        with _said_why():
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                await self._take_turn(session)
                unit = Unit(session, datetime.now(UTC), [])
                yield unit
                told = await self._tell(unit)
                await session.commit()
        if told:
            self._bell, ringing = asyncio.Event(), self._bell
            ringing.set()

    @contextlib.asynccontextmanager
    async def view(self) -> AsyncGenerator[Unit]:
        """A unit that only reads, from one settled moment; it waits for no writer."""
        with _said_why():
            async with AsyncSession(self._reading, expire_on_commit=False) as session:
                yield Unit(session, datetime.now(UTC), [])

    async def run(self, work: Callable[[Unit], Awaitable[_T]], tries: int = 4) -> _T:
        """Do `work` in a unit of its own, again from the start if the store was busy."""
        for left in reversed(range(tries)):
            try:
                async with self.unit() as unit:
                    return await work(unit)
            except StoreBusy:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def on(self, kind: str, handler: Handler) -> None:
        """Run `handler` for every event of this kind, inside the unit that recorded it.

        It is called when the unit's own work is done and before the commit; an error in it rolls
        the whole unit back. It may record events itself.
        """
        self._handlers.setdefault(kind, []).append(handler)

    async def events(self, after: int) -> AsyncGenerator[Event]:
        """Every event with an id above `after`, in order, for ever: first the log, then live."""
        while True:
            bell = self._bell
            batch = await self._read_events(after)
            for told in batch:
                yield told
                after = told.id
            if not batch:
                await rung(bell, _POLL_S)

    async def last_event(self) -> int:
        """The id of the newest event, 0 if there is none."""
        async with self.view() as unit:
            newest = select(EventRow.id).order_by(EventRow.id.desc()).limit(1)
            return await unit.session.scalar(newest) or 0

    @property
    def bell(self) -> asyncio.Event:
        """Rings at the next commit here that records an event. Take it before you look."""
        return self._bell

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with self.view() as unit:
            await unit.session.execute(text("SELECT 1"))

    async def _take_turn(self, session: AsyncSession) -> None:
        if self._engine.dialect.name == "sqlite":
            await session.connection()  # BEGIN IMMEDIATE
            return
        await session.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_S}s'"))
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})

    async def _tell(self, unit: Unit) -> int:
        """Run the handlers of what was recorded, and of what they record; return how many."""
        told = 0
        while unit.unheard:
            happened = unit.unheard.pop(0)
            told += 1
            for handler in self._handlers.get(happened.kind, ()):
                await handler(unit, happened)
        return told

    async def _read_events(self, after: int) -> list[Event]:
        query = select(EventRow).where(EventRow.id > after).order_by(EventRow.id).limit(_BATCH)
        async with self.view() as unit:
            rows = (await unit.session.scalars(query)).all()
        return [Event(r.id, r.at, r.kind, r.subject, r.data) for r in rows]


async def _upgrade(engine: AsyncEngine) -> None:
    """Bring the tables to this version; of two processes at once the second finds it done."""
    from orchestrator.store import migrations  # alembic is needed at no other time

    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})
        await connection.run_sync(migrations.upgrade)


async def rung(bell: asyncio.Event, within_s: float) -> None:
    """Wait for the bell, at most so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await bell.wait()


@contextlib.contextmanager
def _said_why() -> Generator[None]:
    try:
        yield
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state in _BUSY_STATES or "database is locked" in str(error.orig):
            raise StoreBusy("the database was busy; nothing was changed, try again") from error
        if isinstance(error, OperationalError | InterfaceError):
            raise StoreAway(f"the database is away: {error.orig}") from error
        raise


def _reading_options(engine: AsyncEngine) -> dict[str, object]:
    if engine.dialect.name == "sqlite":
        return {"reading": True}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


class _Connection(sqlite3.Connection):
    def close(self) -> None:
        """Give up a writer's turn, too.

        A statement whose caller was cancelled is not read to its end, and SQLite keeps a closed
        connection, with its lock, until the last statement of it is gone.
        """
        if self.in_transaction:
            self.rollback()
        super().close()


def _tame_sqlite(engine: AsyncEngine) -> None:
    """Every writer begins as a writer (no deadlock on upgrade), every commit reaches the disk."""

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: DBAPIConnection, _record: object) -> None:
        # The driver's own BEGIN comes too late to make a writer of us.
        connection.isolation_level = None  # pyright: ignore[reportAttributeAccessIssue]
        cursor = connection.cursor()
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            f"busy_timeout = {_WAIT_S * 1000}",
            "foreign_keys = ON",
            f"cache_size = -{_CACHE_KIB}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
