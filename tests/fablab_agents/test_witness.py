from pathlib import Path

import pytest

from fablab_agents.witness import Witness

JOURNAL = Path("/somewhere/journal.db")


def at(monkeypatch: pytest.MonkeyPatch, room: Path) -> Witness:
    monkeypatch.setenv("COSMOLOCAL_RUNTIME_DIR", str(room))
    return Witness.of(JOURNAL)


def test_it_vouches_for_what_was_written_last_and_for_one_commit_that_a_kill_came_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = at(monkeypatch, tmp_path)
    assert not witness.vouches(0)
    witness.remember(50)
    assert [witness.vouches(commits) for commits in (49, 50, 51, 52)] == [False, True, True, False]


def test_a_witness_that_was_elsewhere_meanwhile_vouches_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand, as a service, by hand again: the image was newer than what that one had seen."""
    by_hand, service = tmp_path / "by-hand", tmp_path / "service"
    for room, commits in ((by_hand, 50), (service, 100)):
        room.mkdir()
        at(monkeypatch, room).remember(commits)
    assert not at(monkeypatch, by_hand).vouches(80)
    assert not at(monkeypatch, service).vouches(80)


def test_the_room_is_the_same_in_a_session_and_in_a_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COSMOLOCAL_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    by_hand = Witness.of(JOURNAL)._path
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert Witness.of(JOURNAL)._path == by_hand
