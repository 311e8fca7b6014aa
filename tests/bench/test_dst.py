"""A sample of `./run proof dst`, and that its judge sees: a guard taken away must show."""

import pytest

from bench.dst.story import play
from bench.proof import dst
from fablab_agents import book
from fablab_agents.book import Attempt, Mark

CHUNKS = [range(at, at + 500) for at in range(0, 10_000, 500)]


pytestmark = pytest.mark.usefixtures("quiet_core")


@pytest.mark.parametrize("seeds", CHUNKS, ids=str)
def test_bad_luck_makes_nothing_twice_and_loses_nothing(seeds: range):
    tally = dst.some(seeds)
    assert tally.wrong == {}
    assert tally.starts > tally.schedules
    assert tally.made > tally.schedules


def test_without_bad_luck_every_job_is_made_once():
    for seed in range(40):
        verdict = play(seed, faults=False)
        assert verdict.faults == []
        assert verdict.made == verdict.starts > 0


def test_a_seed_plays_the_same_story_every_time():
    assert play(7, told=True).told == play(7, told=True).told


def _seen(most: int = 600) -> bool:
    return any(play(seed).faults for seed in range(most))


def test_a_bed_that_nobody_cleared_would_be_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Mark, "clear", lambda *_: True)
    monkeypatch.setattr(Mark, "used", lambda mark: mark)
    assert _seen()


def test_a_restart_that_takes_the_part_for_scrap_would_be_seen(monkeypatch: pytest.MonkeyPatch):
    left_behind = book.left_behind

    def forgetful(attempt: Attempt) -> object:
        return left_behind(attempt._replace(closing=False))

    monkeypatch.setattr(book, "left_behind", forgetful)
    assert _seen(1500)
