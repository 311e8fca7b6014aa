"""A sample of `./run proof restore`: put back amid work, a store loses nothing."""

from pathlib import Path

import pytest

from bench.restore import drill


@pytest.mark.journey
@pytest.mark.timeout(300)
def test_a_store_put_back_loses_nothing_and_makes_nothing_twice(tmp_path: Path):
    size = drill.Size(made=1, open=2, after=2, later=1, watched_s=2.0, lasers=1)
    result = drill.run("--from", tmp_path, size)
    assert result.good, result.row()
    assert result.known == 4
    assert result.frozen_s > 0
