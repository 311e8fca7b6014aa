"""A sample of `./run proof restore`: a store put back amid work loses nothing, makes nothing twice."""

from pathlib import Path

import pytest

from bench.restore import drill


@pytest.mark.journey
@pytest.mark.timeout(300)
def test_a_store_put_back_loses_nothing_and_makes_nothing_twice(tmp_path: Path):
    size = drill.Size(made=1, open=4, after=3, later=1, watched_s=3.0)
    result = drill.run("--from", tmp_path, size)
    assert result.good, result.row()
    assert result.known == 6
    assert result.frozen_s > 0
