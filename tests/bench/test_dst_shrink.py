"""What of a schedule is left out, and that what remains goes wrong in the same way."""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bench.dst.shrink import least
from bench.dst.spared import LUCK, MEANS, Spared, Unreadable, numbers, read, word
from bench.dst.story import judged, play

ROOT = Path(__file__).resolve().parents[2]
MUTANT, FAULT = "signature", "a start that was not granted"


pytestmark = pytest.mark.usefixtures("quiet_core")


def _left(spared: Spared, kind: str, most: int = 9) -> list[int]:
    return [n for n in range(1, most + 1) if not spared.has(kind, n)]


# ── the notation


def test_some_by_number_or_a_whole_kind_is_left_out():
    spared = read(["strikes:1,4-5", "losses", "copies:3-"], dice=2)
    assert _left(spared, "strikes") == [2, 3, 6, 7, 8, 9]
    assert _left(spared, "losses") == []
    assert _left(spared, "copies") == [1, 2]
    assert len(_left(spared, "orders")) == len(_left(spared, "delays")) == 9
    assert spared.dice == 2


def test_only_some_are_left():
    spared = read(["races:3-"], ["strikes:4,2", "races", "orders:2"])
    assert _left(spared, "strikes") == [2, 4]
    assert _left(spared, "races") == [1, 2]
    assert _left(spared, "orders") == [2]
    assert len(_left(spared, "labs")) == 9
    assert all(not _left(spared, kind) for kind in LUCK if kind not in {"strikes", "races"})


def test_numbers_are_written_as_they_are_read():
    these = [1, 2, 3, 7, 9]
    assert word("losses", these) == "losses:1-3,7,9"
    assert _left(read([], [word("losses", these)]), "losses") == these
    assert list(numbers([])) == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("luck", "there is no 'luck'.*strikes, losses"),
        ("strikes:", "'' is no number"),
        ("strikes:0", "'0' is no number"),
        ("strikes:5-4", "'5-4' is no number.*write strikes:1,4-5 or losses:3-"),
        ("strikes:x", "'x' is no number"),
    ],
)
def test_what_is_not_there_is_told(said: str, why: str):
    with pytest.raises(Unreadable, match=why):
        read([said])


# ── leaving out


def test_with_nothing_left_out_a_seed_plays_as_ever():
    assert play(7, told=True, spared=read([])).told == play(7, told=True).told


def test_what_is_left_out_does_not_happen():
    bad = ("strikes", "losses", "copies", "delays")
    seed = next(seed for seed in range(50) if all(play(seed).drawn.get(kind) for kind in bad))
    told = play(seed, told=True, spared=read([], ["strikes:2", "losses:1"])).told
    luck = [line.split("bad luck: ")[1] for line in told if "bad luck" in line]
    assert [each for each in luck if not each.startswith("strike 2:")] == ["losses 1"]
    assert luck[0] == "losses 1" or luck[0].startswith("strike 2:")


def test_no_lab_at_all_is_no_schedule():
    with pytest.raises(Unreadable, match="one has to stay"):
        play(3, spared=read(["labs"]))


def test_leaving_out_makes_nothing_wrong_that_was_right():
    """Else shrinking would find what it has made itself."""
    for seed in range(300):
        chance = Random(seed)
        out = [
            word(kind, chance.sample(range(1, 40), chance.randint(1, 39)))
            for kind in MEANS
            if chance.random() < 0.5 and kind != "labs"
        ]
        lab = [f"labs:{chance.randint(2, 3)}"]
        spared = read(out + lab, dice=chance.randint(0, 3))
        assert judged(seed, spared=spared).faults == [], (seed, spared)


# ── the least


def test_the_least_is_found_and_none_of_it_can_go():
    def holds(kept: Sequence[int]) -> bool:
        return {3, 11, 12} <= set(kept)

    assert list(least(range(20), holds)) == [3, 11, 12]
    assert list(least(range(20), lambda _: True)) == []
    assert list(least([5], bool)) == [5]


def _proof(*said: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.proof.dst", *said]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def shrunk() -> dict[str, Any]:
    ran = _proof("--mutant", MUTANT, "--seeds", "0..60", "--shrink", "120", "--json")
    assert ran.returncode == 1, ran.stderr
    return next(each for each in json.loads(ran.stdout)["shrunk"] if each["fault"] == FAULT)


def _tell(shrunk: dict[str, Any], *more: str) -> str:
    words = shlex.split(str(shrunk["command"]))
    assert words[:3] == ["./run", "proof", "dst"]
    ran = _proof(*words[3:], *more)
    assert ran.returncode in {0, 1}, ran.stderr
    return ran.stdout


def test_a_shrunk_schedule_goes_wrong_in_the_same_way_every_time(shrunk: dict[str, Any]):
    told = _tell(shrunk)
    assert told == _tell(shrunk)
    assert f"WRONG: {FAULT}\n" in told
    left, of = shrunk["lines"]
    assert len(told.splitlines()) == left < of
    assert "\n".join(shrunk["last_lines"]) in told


def test_no_strike_more_can_go(shrunk: dict[str, Any]):
    assert shrunk["whole"]
    strikes = [line.split(":")[1].split()[1] for line in _tell(shrunk).splitlines()
               if "bad luck: strike " in line]  # fmt: skip
    assert strikes
    for number in strikes:
        assert f"WRONG: {FAULT}\n" not in _tell(shrunk, "--without", f"strikes:{number}")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (("--without", "losses"), "name it with --tell SEED"),
        (("--tell", "3", "--only", "bad"), "there is no 'bad'"),
        (("--tell", "3", "--without", "labs"), "one has to stay"),
        (("--tell", "3", "--dice", "0"), "no number from 1 on"),
        (("--mutant", "nobody"), "there is no mutant 'nobody'"),
    ],
)
def test_wrong_usage_is_told(said: tuple[str, ...], why: str):
    ran = _proof(*said)
    assert ran.returncode == 2
    assert why in ran.stderr
