"""Yesterday's store against today's agents: a town of real processes whose database is put back.

Judged by what the machines physically did, and by what the restored store shows of it.
"""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from bench.brokers.broker import until
from bench.brokers.town import Judged, Town, plate_of, tell
from demo.children import python
from demo.world import World

Way = Literal["--from", "by hand", "twice"]
"""By `store restored --from`, by copying the file, or the same backup two times."""
WAYS: Final[tuple[Way, ...]] = get_args(Way)
_NEEDS_PERSON: Final = 3
_PATIENCE_S: Final = 240.0
_QUERY: Final = {
    "attempts": "SELECT id FROM attempt",
    "started anew": "SELECT subject FROM event WHERE id > ? AND kind IN"
    " ('attempt.offered', 'attempt.granted')",
    "adopted": "SELECT subject FROM event WHERE id > ? AND kind = 'attempt.adopted'",
    "last event": "SELECT max(id) FROM event",
}


@dataclass
class Result:
    """`after` counts plates ordered after the backup: their orders are gone with the store."""

    way: Way
    known: int = 0
    after: int = 0
    forgotten: int = 0
    """Attempts that were made after the backup."""
    running: int = 0
    """Machines at work when the orchestrator was killed."""
    epochs: list[int] = field(default_factory=list[int])
    frozen_s: float = 0.0
    """How long the census was watched while one agent was awaited."""
    started_before: int = 0
    """Attempts offered or granted before every agent had told."""
    adopted: int = 0
    orphans: Counter[str] = field(default_factory=Counter[str])
    orphans_made: int = 0
    """Of the plates ordered after the backup, those that a machine physically made."""
    judged: Judged = field(default_factory=lambda: Judged(0))

    @property
    def good(self) -> bool:
        return (
            not self.judged.faults
            and not self.started_before
            and self.orphans["finished"] == self.orphans_made
            and len(set(self.epochs)) == len(self.epochs)
            and 0 < self.adopted <= self.forgotten
        )

    def row(self) -> dict[str, object]:
        told = self.judged
        return {
            "put back": self.way, "plates": self.known, "ordered after the backup": self.after,
            "attempts after it": self.forgotten, "machines at work": self.running,
            "epochs": len(self.epochs), "frozen and watched, s": round(self.frozen_s, 1),
            "offered or granted meanwhile": self.started_before, "adopted": self.adopted,
            "orphans": dict(self.orphans), "physical starts": told.starts,
            "lost": len(told.lost), "made twice": len(told.twice),
            "starts on occupied beds": told.on_occupied,
        }  # fmt: skip


@dataclass(frozen=True)
class Size:
    """Plates ordered: before and made, before and open, after the backup, after it was put back.

    None need be made before in a town that has made some already.
    """

    made: int = 4
    open: int = 8
    after: int = 6
    later: int = 2
    watched_s: float = 8.0
    lasers: int = 2
    """In each of two labs."""


def run(way: Way, folder: Path, size: Size) -> Result:
    with Town(folder / "town", "embedded", lasers=size.lasers) as town:
        return in_town(way, town, folder / "backup.db", size)


def in_town(way: Way, town: Town, backup: Path, size: Size) -> Result:
    drill = _Drill(town, backup, Result(way), size)
    drill.work_and_back_up()
    drill.work_on()
    for again in [False, True] if way == "twice" else [False]:
        drill.put_back()
        drill.census(watch=not again)
    return drill.judge()


class _Drill:
    def __init__(self, town: Town, backup: Path, result: Result, size: Size) -> None:
        self._town, self._world, self._backup = town, town.world, backup
        self._result, self._size = result, size
        self._after: set[int] = set()
        self._forgotten: set[str] = set()
        self._last_event = 0

    # ── yesterday

    def work_and_back_up(self) -> None:
        town, size = self._town, self._size
        if size.made:
            town.order(size.made)
        _until(lambda: town.made() == len(town.ordered), "the first plates")
        started = town.starts()
        town.order(size.open)
        _until(lambda: town.starts() > started, "work on the next")
        command(self._world, "backup", str(self._backup))
        with _reading(self._backup) as db:
            [self._last_event] = db.execute(_QUERY["last event"]).fetchone()
        tell(f"{self._result.way}: backed up")

    # ── today

    def work_on(self) -> None:
        """Until something ordered after the backup is made and something else is being made."""
        town, before = self._town, len(self._town.ordered)
        town.order(self._size.after)
        self._after = set(range(before, len(town.ordered)))
        _until(lambda: bool(self._made() & self._after), "a plate ordered after it")
        _until(lambda: self._at_work() > 0, "a machine at work")
        self._world.orchestrator.kill()
        self._result.running, self._result.after = self._at_work(), len(self._after)

    def put_back(self) -> None:
        """One agent is away meanwhile."""
        self._world.labs[0].agent.stop()
        self._world.orchestrator.kill()
        self._forgotten |= _ids(self._store) - _ids(self._backup)
        self._result.forgotten = len(self._forgotten)
        tell(f"{self._result.way}: {self._result.forgotten} attempts after it, now put back")
        told = self._restored()
        self._result.epochs.append(int(told["epoch"]))
        self._world.start_orchestrator(60)

    def _restored(self) -> dict[str, Any]:
        if self._result.way == "--from":
            return command(self._world, "restored", "--from", str(self._backup))[1]
        for leftover in ("-wal", "-shm"):
            self._store.with_name(self._store.name + leftover).unlink(missing_ok=True)
        shutil.copyfile(self._backup, self._store)
        return command(self._world, "restored")[1]

    def census(self, *, watch: bool) -> None:
        away = self._world.labs[0]
        _until(lambda: self._awaited() == [away.agent_id], "the other agent's notes")
        if watch:
            self._watch()
        assert command(self._world, "census", may=_NEEDS_PERSON)[0] == _NEEDS_PERSON
        away.agent.start()
        _until(lambda: self._awaited() == [], "the last agent's notes")
        tell(f"{self._result.way}: every agent has told")

    def _watch(self) -> None:
        """What was offered or granted is counted first, and counts if an agent is awaited then."""
        began_s = time.monotonic()
        while (watched_s := time.monotonic() - began_s) < self._size.watched_s:
            begun = len(_rows(self._store, "started anew", self._last_event))
            if self._awaited():
                self._result.started_before, self._result.frozen_s = begun, watched_s
            time.sleep(0.2)

    def _awaited(self) -> list[str]:
        with self._world.api() as api:
            told = api.get("/api/store/census").raise_for_status().json()
        return [each["agent"] for each in told["awaited"]]

    # ── and on

    def judge(self) -> Result:
        town, result = self._town, self._result
        first = len(town.ordered)
        town.order(self._size.later)
        known = [each for each in town.ordered if each not in self._after]
        result.known = len(known)
        orders = {town.ordered[each] for each in known}
        with contextlib.suppress(TimeoutError):  # the judge says what is lost
            _until(lambda: self._open(orders) == 0, f"all, {first} and later")
        result.adopted = len(_rows(self._store, "adopted", self._last_event))
        _, told = command(self._world, "census")
        result.orphans = Counter(each["state"] for each in told["orphans"])
        result.judged = town.judge()
        result.judged.lost = [each for each in result.judged.lost if each not in self._after]
        result.orphans_made = len(self._made() & self._after)
        return result

    def _open(self, orders: set[str]) -> int:
        """Jobs that are not made, and attempts that have not ended."""
        with self._world.api() as api:
            jobs = [
                job
                for each in orders
                for job in api.get(f"/api/orders/{each}").raise_for_status().json()["jobs"]
            ]
            live = api.get("/api/attempts").raise_for_status().json()
        return len(live) + sum(job["state"] != "made" for job in jobs)

    # ── what physically happened

    def _made(self) -> set[int]:
        return {
            plate
            for machine in self._town.machines
            for end in machine.ends()
            if end["how"] == "complete"
            and (plate := plate_of((machine.record / f"job-{end['start']}.gcode").read_text()))
            is not None
        }

    def _at_work(self) -> int:
        return sum(len(each.starts()) - len(each.ends()) for each in self._town.machines)

    @property
    def _store(self) -> Path:
        return self._world.data_dir / "cosmolocal.db"


def _until(holds: Callable[[], bool], what: str) -> None:
    until(holds, _PATIENCE_S, what, every_s=0.3)


def command(world: World, *words: str, may: int = 0) -> tuple[int, dict[str, Any]]:
    """`cosmolocal store …` as an operator types it; its exit status and its JSON."""
    where = ("--data-dir", str(world.data_dir), "--server", world.url, "--json")
    done = subprocess.run(
        python("orchestrator.cli", "store", *words, *where),
        capture_output=True, check=False, text=True, timeout=60,
    )  # fmt: skip
    if done.returncode not in {0, may}:
        raise RuntimeError(f"store {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.returncode, json.loads(done.stdout)


@contextlib.contextmanager
def _reading(path: Path) -> Generator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as db:
        yield db


def _rows(path: Path, what: str, *given: int) -> list[tuple[Any, ...]]:
    with _reading(path) as db:
        return db.execute(_QUERY[what], given).fetchall()


def _ids(path: Path) -> set[str]:
    return {row[0] for row in _rows(path, "attempts")}
