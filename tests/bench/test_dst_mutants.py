"""A sample of `./run proof dst_mutants`, and that its list is true."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.dst.mutants import ALL, Change, Mutant, Stale
from bench.dst.mutants.change import read

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = (
    "ticket of another agent", "reports sent again", "work on one attempt", "mark used", "sequence",
    "end stays an end",
)  # fmt: skip


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_the_guarded_lines_are_in_the_source_and_the_mutant_is_python(mutant: Mutant):
    assert mutant.guard
    assert mutant.altered()


def test_there_are_enough_and_each_has_a_name_of_its_own():
    assert len({mutant.name for mutant in ALL}) == len(ALL) >= 40


def test_a_list_is_read_as_it_is_written():
    text = "# for people\n\n== a b: no c\nd.py\n e\n-f\n+g\n...\n-h\ni.py\n-j\n"
    changes = (
        Change("d.py", "e\nf\n", "e\ng\n"),
        Change("d.py", "h\n", ""),
        Change("i.py", "j\n", ""),
    )
    assert list(read(text)) == [Mutant("a b", "no c", changes)]


@pytest.mark.parametrize("text", ["a\n", "b\nb\n", "ab\n", "b \n"])
def test_lines_that_are_not_there_exactly_once_are_stale(text: str):
    with pytest.raises(Stale, match="not once"):
        Change("x.py", "b\n", "").applied(text)


def test_whole_lines_are_changed():
    assert Change("x.py", "b\n", "").applied("a\nb\nc\n") == "a\nc\n"
    assert Change("x.py", "a\n", "d\n").applied("a\nb\n") == "d\nb\n"


def test_a_removed_guard_is_seen():
    ran = _proof(
        "--seeds", "2000", "--json", *(word for name in SAMPLE for word in ("--only", name))
    )
    assert ran.returncode == 0, ran.stderr
    assert [fate["name"] for fate in json.loads(ran.stdout)] == [
        m.name for m in ALL if m.name in SAMPLE
    ]


def test_a_survivor_is_told():
    ran = _proof("--seeds", "1", "--only", "counted on by others")
    assert ran.returncode == 1
    assert "SURVIVED" in ran.stdout
    assert "1 survive" in ran.stdout


def _proof(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.proof.dst_mutants", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
