"""`cosmolocal store …` at a data folder that nobody serves, and what it says."""

import asyncio
import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.cli.store import told
from orchestrator.dispatch import outbox
from orchestrator.settings import Settings
from orchestrator.store import Store

NOBODY = "http://127.0.0.1:9"


def in_store(folder: Path, subject: str | None = None) -> tuple[int, int]:
    """Record an event if there is a subject; the epoch and the last event."""

    async def look() -> tuple[int, int]:
        settings = Settings(data_dir=folder)
        store = await Store.open(settings.database_url, settings.blobs)
        async with store.unit() as unit:
            if subject is not None:
                await unit.record("a.thing", subject)
            epoch = await outbox.epoch(unit)
        last = await store.last_event()
        await store.close()
        return epoch, last

    return asyncio.run(look())


def say(folder: Path, *words: str) -> int:
    return main(["store", *words, "--data-dir", str(folder), "--server", NOBODY, "--json"])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("COSMOLOCAL_DATABASE", raising=False)
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_a_backup_is_put_back_with_its_new_epoch(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_store(data, "before") == (1, 1)
    kept = tmp_path / "monday.db"
    assert say(data, "backup", str(kept)) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == kept.stat().st_size
    in_store(data, "after it")
    in_store(data, "after it, too")
    assert say(data, "restored", "--from", str(kept), "--why", "the disk died") == 0
    epoch = json.loads(capsys.readouterr().out)["epoch"]
    assert in_store(data) == (epoch, 2)  # `before`, and that a new epoch began
    assert epoch > 1
    assert say(data, "backup", str(kept)) == 1


def test_a_database_put_back_by_other_means_begins_a_new_epoch(data: Path) -> None:
    in_store(data, "before")
    assert say(data, "restored") == 0
    assert in_store(data)[0] > 1


def test_a_folder_without_a_database_gets_none(data: Path, tmp_path: Path) -> None:
    assert say(data, "restored") == 1
    assert say(data, "restored", "--from", str(tmp_path / "nothing.db")) == 1
    assert not list(data.glob("*.db*"))


def test_a_missing_data_folder_is_not_taken_for_a_running_server(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = data / "typo"
    assert say(nowhere, "restored", "--from", "monday.db") == 1
    assert f"there is no folder {nowhere}: make it" in capsys.readouterr().out
    assert not nowhere.exists()


def test_nothing_is_put_back_under_a_running_server(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_store(data, "before")
    kept = tmp_path / "monday.db"
    say(data, "backup", str(kept))
    with (data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert say(data, "restored", "--from", str(kept)) == 1
        assert "stop the server first" in capsys.readouterr().out
        with pytest.raises(SystemExit):  # it asks the server, and there is none at this address
            say(data, "restored")
    assert in_store(data) == (1, 1)


def test_for_postgresql_it_says_what_to_run_and_no_password(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql+psycopg://city:secret@db.example/cosmolocal"
    assert say(data, "backup", "monday.dump", "--database", url) == 3
    said = capsys.readouterr().out
    assert "pg_dump --format=custom --file=monday.dump 'postgresql://city@" in said
    assert "secret" not in said


def test_the_census_names_who_is_awaited_and_what_belongs_to_no_order() -> None:
    answer: dict[str, Any] = {"epoch": 7, "since": "2026-11-29", "why": "the disk", "orphans": []}
    agent = {"agent": "lab-nord", "lab": "Nord", "heard_at": None}
    orphan = {
        "attempt": "a-1", "lab": "Nord", "machine": "laser-1", "quantity": 2, "part": "plate",
        "state": "finished",
    }  # fmt: skip
    waiting = told({**answer, "awaited": [agent], "orphans": [orphan]})
    assert waiting[1] == "  awaited: lab-nord of Nord, last heard never"
    assert waiting[2] == "  orphan: a-1 at Nord, laser-1: 2 × plate, finished"
    assert "go-on" in waiting[-1]
    assert told({**answer, "awaited": []})[-1] == "every agent has told; work goes on"
    assert told({**answer, "since": None, "awaited": []}) == [
        "epoch 1: this database was never put back"
    ]
