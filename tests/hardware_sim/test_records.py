"""The account of a machine: lines belong to the job they were sent for."""

import json
from pathlib import Path

from hardware_sim.records import SETTLED_S, Journal


def job(journal: Journal, name: str) -> None:
    """A laser job as a host sends it: set-up, one cut, the program's own end."""
    for line in ("G21", f"M4 S0 ({name})"):
        journal.executed(line, numbered=False)
    journal.physical(0.0, numbered=False)
    for line in ("G1 X10 S500", "M2"):
        journal.executed(line, numbered=False)
    journal.program_over()


def lines(folder: Path, number: int) -> list[str]:
    return (folder / f"job-{number}.gcode").read_text().splitlines()


def test_a_job_that_follows_at_once_keeps_its_own_beginning(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    job(journal, "one")
    job(journal, "two")
    journal.silent(SETTLED_S, 9.0)
    assert lines(tmp_path, 1) == ["G21", "M4 S0 (one)", "G1 X10 S500", "M2"]
    assert lines(tmp_path, 2) == ["G21", "M4 S0 (two)", "G1 X10 S500", "M2"]
    ends = [json.loads(line) for line in (tmp_path / "ends.jsonl").read_text().splitlines()]
    assert [(end["how"], end["lines"]) for end in ends] == [("complete", 4), ("complete", 4)]


def test_what_comes_after_the_programs_end_is_its_own_when_nothing_follows(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    job(journal, "one")
    journal.executed("M117 done", numbered=False)
    journal.silent(SETTLED_S, 9.0)
    assert lines(tmp_path, 1)[-2:] == ["M2", "M117 done"]
