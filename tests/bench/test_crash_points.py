"""A sample of `./run proof crash_points`, and that its gate is exact and its judges see."""

import errno
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.crash import gate, power
from bench.crash.disk import Change, Disk
from bench.crash.gate import GO, KILL, Call, Gate, Word
from bench.crash.lane import Lane, Told, lane
from bench.crash.points import SYNCS, Point, try_point
from bench.proof.crash_points import table

pytestmark = [
    pytest.mark.skipif(gate.why_not() is not None, reason=str(gate.why_not())),
    pytest.mark.timeout(600),
]

WRITER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = FULL")
db.execute("CREATE TABLE done(a)")
for number in range(5):
    try:
        db.execute("INSERT INTO done VALUES (?)", [number])
        print(number, flush=True)
    except sqlite3.OperationalError as error:
        print(error, flush=True)
"""


# ── the gate


def write(folder: Path, word: Word, at: int) -> tuple[Gate, list[str], int]:
    """Five commits, the `at`-th sync of which meets this word; what was told, and what is kept."""
    seen, path, log = Counter[str](), folder / "a.db", folder / "log"

    def judge(call: Call) -> Word:
        seen[call.name] += call.path.endswith("-wal")
        return word if seen[call.name] == at else GO

    gated = Gate([sys.executable, "-c", WRITER, str(path)], log, judge, gate.SYNCS)
    gated.process.wait()
    assert gated.error is None
    db = sqlite3.connect(path)
    kept = db.execute("SELECT count(*) FROM done").fetchone()[0]
    db.close()
    return gated, log.read_text().splitlines(), kept


@pytest.mark.parametrize("at", [3, 4, 7])
def test_the_gate_kills_before_just_this_sync(tmp_path: Path, at: int) -> None:
    gated, told, kept = write(tmp_path, KILL, at)
    assert gated.killed
    assert gated.process.returncode == -9
    assert len(told) == at - 3  # two syncs are the table's
    assert len(told) <= kept


def test_the_gate_fails_just_this_sync(tmp_path: Path) -> None:
    gated, told, kept = write(tmp_path, errno.EIO, 4)
    assert not gated.killed
    assert told == ["0", "disk I/O error", "2", "3", "4"]
    assert kept == 4


# ── what a power cut leaves


def disk(tmp_path: Path, *changes: Change) -> Disk:
    made = Disk(tmp_path, Path("/d"))
    for change in changes:
        made.do(change)
    return made


def cuts(made: Disk) -> Iterator[dict[str, bytes | None]]:
    chance = random.Random(1)
    return (made.cut(chance) for _ in range(300))


def test_what_was_synced_with_its_name_is_there_after_every_cut(tmp_path: Path) -> None:
    changes = (Change("make", "/d/a"), Change("write", "/d/a", data=b"x" * 2000))
    synced = disk(tmp_path, *changes, Change("sync", "/d/a"), Change("sync", "/d"))
    assert all(state["/d/a"] == b"x" * 2000 for state in cuts(synced))
    nameless = disk(tmp_path, *changes, Change("sync", "/d/a"))
    assert {"/d/a" in state for state in cuts(nameless)} == {True, False}
    assert "/d/a" not in nameless.lost()
    assert nameless.kept()["/d/a"] == b"x" * 2000


def test_what_was_not_synced_is_kept_in_any_of_its_sectors(tmp_path: Path) -> None:
    made = disk(
        tmp_path, Change("make", "/d/a"), Change("sync", "/d"),
        Change("write", "/d/a", data=b"x" * 1024), Change("write", "/d/a", at=1024, data=b"y"),
    )  # fmt: skip
    found = {state["/d/a"] for state in cuts(made)}
    first, second, end = b"x" * 512, b"x" * 512, b"y"
    assert {b"", first, first + second, bytes(512) + second, bytes(1024) + end} <= found
    assert first + second + end in found


def test_a_rename_takes_the_new_name_and_gives_up_the_old_at_once(tmp_path: Path) -> None:
    made = disk(
        tmp_path, Change("make", "/d/a.new"), Change("write", "/d/a.new", data=b"x"),
        Change("sync", "/d/a.new"), Change("sync", "/d"), Change("rename", "/d/a.new", "/d/a"),
    )  # fmt: skip
    assert {tuple(sorted(state)) for state in cuts(made)} == {("/d", "/d/a"), ("/d", "/d/a.new")}


def test_no_power_cut_takes_what_the_journal_acknowledged() -> None:
    with power.small(power.AGENT, 1) as recording:
        tally = power.cut(power.AGENT, recording, each=3, seed=1, most=40)
    assert tally.wrong == {}
    assert tally.states == 40 * 5


def test_no_power_cut_takes_what_the_orchestrator_acknowledged() -> None:
    with power.small(power.ORCHESTRATOR, 1) as recording:
        tally = power.cut(power.ORCHESTRATOR, recording, each=1, seed=1, most=5)
    assert tally.wrong == {}
    assert tally.states == 5 * 3


def test_a_log_that_is_not_synced_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    sync = Disk._sync

    def forgetful(self: Disk, path: str) -> None:
        if not path.endswith("-wal"):
            sync(self, path)

    monkeypatch.setattr(Disk, "_sync", forgetful)
    with power.small(power.AGENT, 1) as recording:
        tally = power.cut(power.AGENT, recording, each=2, seed=1, most=20)
    assert tally.wrong["journal.db: an acknowledged commit is gone"]


def test_a_name_that_is_not_synced_would_be_seen() -> None:
    with power.small(power.AGENT, 1) as recording:
        root = str(recording.root)
        [first, *_] = [at for at, each in enumerate(recording.changes) if _syncs(each, root)]
        del recording.changes[first]  # the identity's name
        tally = power.cut(power.AGENT, recording, each=2, seed=1, most=60)
    assert tally.wrong["identity.json was used and is another now, or gone"]


def _syncs(change: Change, path: str) -> bool:
    return change.what == "sync" and change.path == path


# ── the judge of a job


def told(states: tuple[str, ...], starts: int, whole: int, bed: str = "clear") -> Told:
    attempts = [{"state": state} for state in states]
    reports = [{"state": state, "evidence": {}} for state in states]
    return Told(attempts, reports, [{"bed": bed}] * starts, whole, list(states))


def test_the_judge_takes_what_is_true() -> None:
    assert told(("finished",), 1, 1).faults() == []
    assert told(("not_started", "interrupted", "finished"), 2, 1).faults() == []


@pytest.mark.parametrize(
    "wrong",
    [
        told(("finished",), 2, 1),
        told(("finished",), 2, 2),
        told(("interrupted", "finished"), 2, 2),
        told(("not_started", "finished"), 2, 1),
        told(("finished",), 1, 0),
        told(("interrupted",), 1, 0),
        told(("finished",), 1, 1, bed="occupied"),
    ],
)
def test_the_judge_sees_what_is_not(wrong: Told) -> None:
    assert wrong.faults()


def test_the_judge_sees_a_report_that_the_journal_does_not_hold() -> None:
    finished = told(("finished",), 1, 1)
    finished.kept.clear()
    assert finished.faults()


# ── real processes


@pytest.fixture(scope="module")
def place() -> Iterator[Lane]:
    with lane() as made:
        yield made


@pytest.mark.journey
@pytest.mark.parametrize(
    "point",
    [
        Point("agent", SYNCS, 28, 4),
        Point("agent", "syncs fail a while", 8),
        Point("orchestrator", SYNCS, 34),
    ],
    ids=str,
)
def test_killed_and_back_in_a_true_state(place: Lane, point: Point) -> None:
    result = try_point(place, point)
    print("\n".join(table([result])))
    assert result.where, "this point was never reached"
    assert result.faults == []
