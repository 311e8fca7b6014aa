"""What a range of seeds came to, kept from one run to the next."""

from collections import Counter
from pathlib import Path

import pytest

from bench.dst.tally import Tally, played
from bench.proof import dst

FIRST, LATER = range(50), range(50, 100)


def test_a_chunk_that_was_right_is_not_played_again(tmp_path: Path):
    played(fresh=False, folder=tmp_path).keep(FIRST, Tally(50, 90, 80))
    again = played(fresh=False, folder=tmp_path)
    assert again.find(FIRST) == Tally(50, 90, 80, before=50)
    assert again.find(LATER) is None


def test_a_line_that_a_kill_cut_off_does_not_count(tmp_path: Path):
    played(fresh=False, folder=tmp_path).keep(FIRST, Tally(50))
    [file] = tmp_path.glob("*.jsonl")
    file.write_text(file.read_text()[:-9])
    again = played(fresh=False, folder=tmp_path)
    assert again.find(FIRST) is None
    again.keep(LATER, Tally(50))
    again.keep(range(100, 150), Tally(50))
    assert played(fresh=False, folder=tmp_path).find(range(100, 150)) is not None


def test_what_was_wrong_is_played_again(tmp_path: Path):
    played(fresh=False, folder=tmp_path).keep(FIRST, Tally(50, 90, 80, Counter(twice=1)))
    assert played(fresh=False, folder=tmp_path).find(FIRST) is None


def test_nothing_counts_that_other_sources_played_or_that_is_forgotten(tmp_path: Path):
    source = tmp_path / "orchestrator" / "a.py"
    source.parent.mkdir()
    source.write_text("1")
    played(fresh=False, folder=tmp_path, root=tmp_path).keep(FIRST, Tally(50))
    source.write_text("2")
    assert played(fresh=False, folder=tmp_path, root=tmp_path).find(FIRST) is None
    assert [*tmp_path.glob("*.jsonl")] == []
    played(fresh=False, folder=tmp_path).keep(FIRST, Tally(50))
    assert played(fresh=True, folder=tmp_path).find(FIRST) is None


@pytest.mark.usefixtures("quiet_core")
def test_a_range_goes_on_where_it_was_ended(tmp_path: Path):
    played(fresh=False, folder=tmp_path).keep(range(900, 1100), Tally(200, 7, 5))
    whole = dst.many(range(900, 1110), played(fresh=False, folder=tmp_path))
    rest = dst.some(range(1100, 1110))
    assert (whole.schedules, whole.before) == (210, 200)
    assert (whole.starts, whole.made) == (7 + rest.starts, 5 + rest.made)
    assert played(fresh=False, folder=tmp_path).find(range(1100, 1110)) == Tally(
        10, rest.starts, rest.made, before=10
    )
