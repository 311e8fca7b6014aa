"""Cuts the power at every change that a process made to its folder, and opens what is left.

The production code opens each state. What a sync had made sure must be there, what comes after it
whole or not at all, and a secret that was used once is never another.
"""

import asyncio
import contextlib
import hashlib
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import remembering_in
from bench.crash.disk import RECORDED, Change, Disk, Recorder, lay_out
from bench.crash.gate import Gate
from bench.crash.lane import lane
from fablab_agents import journal
from fablab_agents.journal import Journal
from fablab_agents.trust import Identity, NotEnrolled

Dump = dict[str, Any]
State = dict[str, bytes | None]
_AFTER: Final = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass
class Recording:
    """A folder as it was, and every change that a process made to it."""

    before: Path
    root: Path
    changes: list[Change]


@dataclass(frozen=True)
class Kept:
    """What one side keeps: its database, its secrets, and how production reads them."""

    name: str
    database: str
    read: Callable[[Path], Dump]
    settled: Sequence[str]
    """Files that, once something else was done after them, must read the same for ever."""


@dataclass
class Tally:
    changes: int
    """What the process did to its folder."""
    states: int = 0
    moments: int = 0
    wrong: Counter[str] = field(default_factory=Counter[str])
    first: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, moment: int, faults: list[str]) -> None:
        self.states += 1
        for fault in faults:
            self.wrong[fault] += 1
            self.first.setdefault(fault, moment)


# ── what production finds in a folder


def rows(database: Path, without: Sequence[str]) -> dict[str, list[Any]]:
    """Every row of every table, in order."""
    with contextlib.closing(sqlite3.connect(database)) as opened:
        names = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
        tables = [name for (name,) in opened.execute(names).fetchall() if name not in without]
        return {
            name: sorted(opened.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
            for name in tables
        }


def agent_keeps(folder: Path) -> Dump:
    """Opened by the agent's own code, written to once, and read whole."""
    path = folder / journal.FILE
    with remembering_in(folder):  # whatever vouched for it is gone
        # Opening writes what a claim has come to, with its time: the same for every cut.
        book = Journal.open(path, _agent_of(path), "b-after", _AFTER)
        book.put_offered("after", offered=True)
        book.close()
    found: Dump = {"database": rows(path, ("boots", "offered"))}
    with contextlib.suppress(NotEnrolled):
        found["identity.json"] = Identity.load(folder)
    return found


def _agent_of(path: Path) -> str:
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as opened:
        for (name,) in opened.execute("SELECT value FROM meta WHERE name = 'agent'"):
            return str(name)
    return "lab-nord"


def orchestrator_keeps(folder: Path) -> Dump:
    return asyncio.run(_orchestrator_keeps(folder))


async def _orchestrator_keeps(folder: Path) -> Dump:
    from orchestrator.app import secret
    from orchestrator.dispatch.signing import Signer
    from orchestrator.settings import Settings
    from orchestrator.store import Store

    settings = Settings(data_dir=folder)
    found: Dump = {"keys/tickets.json": Signer.open(settings.keys_file).public()}
    for path in (settings.token_file, settings.broker_secret_file):
        found[str(path.relative_to(folder))] = secret(path)
        if not secret(path):
            raise ValueError(f"{path.name} is empty: whoever says nothing is let in")
    store = await Store.open(settings.database_url, settings.blobs)
    async with store.unit() as unit:
        await unit.record("after", "the cut")
    await store.close()
    found["database"] = rows(folder / "cosmolocal.db", ("sqlite_sequence",))
    found["database"]["event"] = [e for e in found["database"]["event"] if e[2] != "after"]
    for sha256 in _named_files(found["database"]):
        store.blobs.read(sha256)
    return found


def _named_files(tables: dict[str, list[Any]]) -> list[str]:
    """Files that a committed row says are kept."""
    told = [str(subject) for _, _, kind, subject, _ in tables["event"] if kind == "part.kept"]
    return told + [str(row[0]) for row in tables.get("file", [])]


AGENT: Final = Kept("agent", journal.FILE, agent_keeps, ("identity.json",))
ORCHESTRATOR: Final = Kept(
    "orchestrator", "cosmolocal.db", orchestrator_keeps,
    ("keys/tickets.json", "token", "broker/orchestrator.secret"),
)  # fmt: skip


# ── recording


@contextmanager
def small(kept: Kept, jobs: int) -> Iterator[Recording]:
    """A first and a second start by the production code alone."""
    with tempfile.TemporaryDirectory(prefix="crash-small-") as name:
        before, root, log = Path(name, "before"), Path(name, "folder"), Path(name, "log")
        before.mkdir()
        root.mkdir()
        command = [sys.executable, "-m", "bench.crash.writer", kept.name, str(root), str(jobs)]
        recorder = Recorder(root)
        with remembering_in(before.parent):
            gate = Gate(command, log, recorder, RECORDED)
        if gate.process.wait() or gate.error is not None:
            raise RuntimeError(log.read_text()) from gate.error
        yield Recording(before, root, recorder.changes)


@contextmanager
def whole_job(kept: Kept) -> Iterator[Recording]:
    """One life of the real process, with one job in it from its offer or order to its end."""
    with lane() as place, tempfile.TemporaryDirectory(prefix="crash-job-") as name:
        before = Path(name)
        root = place.lab.folder if kept.name == "agent" else place.world.data_dir
        child, recorder = place.child(kept.name), Recorder(root)
        place.ask()
        child.kill()
        lay_out(Disk(root, root).kept(), str(root), before)
        gate = Gate(child.command, child.log, recorder, RECORDED, child.environment)
        child.process = gate.process
        place.until_ready()
        place.end(place.place())
        child.kill()
        if gate.error is not None:
            raise gate.error
        yield Recording(before, root, recorder.changes)


# ── cutting


def cut(kept: Kept, recording: Recording, each: int, seed: int, most: int | None = None) -> Tally:
    """Cut at every change (or a sample of `most`): all kept, only what is sure, `each` between."""
    chance, tally = random.Random(seed), Tally(len(recording.changes))
    moments = range(len(recording.changes) + 1)
    chosen = set(moments if most is None else chance.sample(moments, min(most, len(moments))))
    sure = _Sure(kept, recording)
    disk = sure.disk()
    for moment in moments:
        if moment in chosen:
            tally.moments += 1
            for state in (disk.kept(), disk.lost(), *(disk.cut(chance) for _ in range(each))):
                tally.add(moment, sure.against(moment, state))
        if moment < len(recording.changes):
            disk.do(recording.changes[moment])
    return tally


class _Sure:
    """What must be found after a cut at each moment."""

    def __init__(self, kept: Kept, recording: Recording) -> None:
        self._kept, self._recording = kept, recording
        self._root = str(recording.root.resolve())
        self._read: dict[str, Dump | str] = {}
        self._settled = {path: self._settles(path) for path in kept.settled}
        self._syncs = list(self._walk())
        self._last = self._holds(-1)

    def disk(self) -> Disk:
        return Disk(self._recording.before, self._recording.root.resolve())

    def _walk(self) -> Iterator[tuple[int, State]]:
        """The moments of the database's syncs, the first and the last, and all that was written."""
        disk, place = self.disk(), f"{self._root}/{self._kept.database}"
        yield -1, disk.kept()
        for moment, change in enumerate(self._recording.changes):
            if change.what == "sync" and change.path.startswith(place):
                yield moment, disk.kept()
            disk.do(change)
        yield len(self._recording.changes), disk.kept()

    def _holds(self, sync: int) -> Dump:
        """What production finds in all that was written before that sync."""
        found = self._open(self._syncs[sync][1])
        assert isinstance(found, dict), found
        return found

    def _settles(self, path: str) -> int:
        """The moment after which a file was done with, and something else was done."""
        whole = f"{self._root}/{path}"
        touched = [
            at for at, change in enumerate(self._recording.changes)
            if whole in (change.path, change.other)
        ]  # fmt: skip
        return touched[-1] + 2 if touched else len(self._recording.changes) + 1

    def against(self, moment: int, state: State) -> list[str]:
        """What is not as it must be."""
        found = self._open(state)
        if isinstance(found, str):
            return [f"does not open: {found}"]
        done = max(nr for nr, (at, _) in enumerate(self._syncs) if at < moment)
        allowed = [self._holds(nr)["database"] for nr in (done, done + 1)]
        faults = [] if found["database"] in allowed else [self._differs(found)]
        for path, settles in self._settled.items():
            if moment >= settles and found.get(path) != self._last[path]:
                faults.append(f"{path} was used and is another now, or gone")
        return faults

    def _differs(self, found: Dump) -> str:
        whole = (self._holds(nr)["database"] for nr in range(len(self._syncs)))
        if found["database"] in whole:
            return f"{self._kept.database}: an acknowledged commit is gone"
        return f"{self._kept.database}: half of a commit"

    def _open(self, state: State) -> Dump | str:
        """Read by production; its words when it refuses. The same state is read once."""
        name = _name(state)
        if name not in self._read:
            with tempfile.TemporaryDirectory(prefix="crash-cut-", dir=_memory()) as made:
                folder = Path(made)
                lay_out(state, self._root, folder)
                try:
                    self._read[name] = self._kept.read(folder)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
                    words = str(error).replace(str(folder), "").splitlines() or [""]
                    self._read[name] = f"{type(error).__name__}: {words[0][:120]}"
        return self._read[name]


def _name(state: State) -> str:
    digest = hashlib.sha256()
    for path, data in sorted(state.items()):
        digest.update(f"{path} {-1 if data is None else len(data)}\n".encode())
        digest.update(data or b"")
    return digest.hexdigest()


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
