"""The start script, by what a newcomer types."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*words: str, script: Path = ROOT / "run", **environment: str):
    return subprocess.run(
        ["sh", script, *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, **environment},
    )


def test_without_a_command_it_says_what_there_is_and_that_one_was_missing():
    done = run()
    assert done.returncode == 2
    assert done.stdout == ""
    for command in ("demo", "test", "check", "bench", "proof", "doctor"):
        assert f"\n  {command} " in done.stderr


def test_help_is_told_on_standard_output():
    done = run("help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: ./run COMMAND" in done.stdout


def test_an_unknown_command_is_wrong_usage_and_is_named():
    done = run("dmeo")
    assert done.returncode == 2
    assert "no command named dmeo" in done.stderr


def test_the_script_keeps_to_posix():
    shell = shutil.which("dash") or "sh"
    assert subprocess.run([shell, "-n", ROOT / "run"], check=False).returncode == 0


def test_an_unknown_measurement_is_wrong_usage():
    done = run("bench", "no-such-thing")
    assert done.returncode == 2
    assert "no-such-thing" in done.stderr


def test_doctor_says_json_and_nothing_else():
    done = run("doctor", "--json")
    rows = json.loads(done.stdout)
    assert done.stderr == ""
    assert done.returncode == (0 if all(row["ok"] for row in rows) else 3)
    assert {"python", "prusa-slicer", "disk"} <= {row["name"] for row in rows}
    assert all(row["fix"] for row in rows if not row["ok"])


def test_doctor_names_what_is_missing_and_the_line_that_brings_it(tmp_path: Path):
    """With a PATH of python3 and the shell's own tools alone, programs outside it are missing."""
    for program in ("sh", "dirname", "id"):
        (tmp_path / program).symlink_to(Path(shutil.which(program) or "").resolve())
    (tmp_path / "python3").symlink_to(Path(sys.executable).resolve())
    done = run("doctor", PATH=str(tmp_path))
    assert done.returncode == 3
    assert "--    prusa-slicer   missing" in done.stdout
    assert "to get it: install prusa-slicer" in done.stdout


def test_doctor_has_a_word_of_its_own_for_what_comes_by_itself(tmp_path: Path):
    (tmp_path / "tools").mkdir()
    doctor = shutil.copy(ROOT / "tools/doctor.py", tmp_path / "tools")
    said = subprocess.run([sys.executable, doctor], capture_output=True, text=True, check=False)
    assert "later environment    not made yet; the first ./run demo makes it" in said.stdout
    assert "later web assets     not here yet" in said.stdout


@pytest.fixture
def bare(tmp_path: Path) -> tuple[Path, Path]:
    """A checkout without any environment, and a PATH without uv, pip or apt."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in ("sh", "dirname", "id", "cat", "cksum", "grep", "mkdir", "rm"):
        (programs / program).symlink_to(Path(shutil.which(program) or "").resolve())
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("run", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, checkout)
    return checkout, programs


def test_without_uv_and_venv_it_prints_one_line_to_type(bare: tuple[Path, Path]):
    checkout, programs = bare
    done = run("demo", script=checkout / "run", PATH=str(programs))
    assert done.returncode == 3
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "Type: install python3-venv" in done.stderr


def test_a_made_environment_is_not_made_again(bare: tuple[Path, Path]):
    """The stamp of an unchanged environment: uv is not even looked for."""
    checkout, programs = bare
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "python was given: $*"\n')
    python.chmod(0o755)
    made = subprocess.run(
        ["sh", "-c", "pwd; cksum uv.lock pyproject.toml; .venv/bin/python -V"],
        capture_output=True, text=True, check=True, cwd=checkout,
    ).stdout  # fmt: skip
    (checkout / ".venv" / "made-for-demo").write_text(made)
    done = run("demo", "--help", script=checkout / "run", PATH=str(programs))
    assert done.stdout == "python was given: -P -m demo --help\n"
    (checkout / "uv.lock").write_text("changed")
    assert run("demo", "--help", script=checkout / "run", PATH=str(programs)).returncode == 3
