"""Secrets and keys are there after a power cut, or were never used."""

from pathlib import Path

import pytest

from orchestrator.app import secret
from orchestrator.store import write_whole


def test_a_file_is_replaced_whole_and_for_its_owner(tmp_path: Path):
    path = tmp_path / "keys" / "tickets.json"
    for content in ("first", "second"):
        write_whole(path, content)
        assert path.read_text() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_secret_is_drawn_once(tmp_path: Path):
    assert secret(tmp_path / "token") == secret(tmp_path / "token")


@pytest.mark.parametrize("left", ["", "\n"])
def test_a_file_that_was_cut_before_its_secret_was_written_lets_nobody_in(
    tmp_path: Path, left: str
):
    """An empty token would let in whoever says nothing."""
    path = tmp_path / "token"
    path.write_text(left)
    assert len(secret(path)) > 30
    assert secret(path) == path.read_text().strip()
