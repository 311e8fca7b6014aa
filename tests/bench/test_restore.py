"""Samples of `./run proof brokers` and `./run proof restore`, one after the other in one town."""

from pathlib import Path

import pytest

from bench.brokers import kills
from bench.brokers.town import Town
from bench.restore import drill


@pytest.mark.journey
@pytest.mark.timeout(480)
def test_a_town_whose_broker_is_killed_and_store_put_back_loses_nothing_and_makes_nothing_twice(
    tmp_path: Path,
):
    with Town(tmp_path / "town", "embedded", lasers=1) as town:
        killed = kills.in_town(town, kills=3, jobs=3, seed=7)
        assert killed.judged.faults == 0, killed.row()
        assert killed.judged.starts == killed.judged.jobs == 3
        assert len(killed.back_s) == 3

        size = drill.Size(made=0, open=2, after=2, later=1, watched_s=2.0)
        put_back = drill.in_town("--from", town, tmp_path / "backup.db", size)
        assert put_back.good, put_back.row()
        assert put_back.known == 6
        assert put_back.frozen_s > 0
