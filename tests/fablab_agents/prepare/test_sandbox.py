"""Limits that hold: time, memory, file size, and nothing of the family outlives the call."""

import shutil
import sys
import time
from pathlib import Path

import pytest

from fablab_agents.prepare import sandbox
from fablab_agents.prepare.sandbox import Limits


def python(code: str, folder: Path, **limits: float) -> sandbox.Ran:
    return sandbox.run([sys.executable, "-I", "-S", "-c", code], folder, Limits(**limits))  # type: ignore[arg-type]


def test_what_it_says_and_its_status_come_back(tmp_path: Path) -> None:
    ran = python("print('hello'); raise SystemExit(7)", tmp_path)
    assert (ran.status, ran.stopped, ran.said.strip()) == (7, None, "hello")


def test_processor_time_ends_it(tmp_path: Path) -> None:
    ran = python("while True: pass", tmp_path, cpu_s=1)
    assert ran.stopped == "more than 1 s of processor time"


def test_wall_time_ends_it_with_all_its_children(tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    time.sleep(1.5)\n"
        "    open('alive', 'w').close()\n"
        "time.sleep(60)"
    )
    ran = python(code, tmp_path, wall_s=0.7)
    assert ran.stopped == "more than 0.7 s"
    time.sleep(1.5)
    assert not (tmp_path / "alive").exists()


def test_memory_is_bounded(tmp_path: Path) -> None:
    ran = python("bytearray(600 << 20)", tmp_path, memory_bytes=512 << 20)
    assert "MemoryError" in ran.said


def test_files_are_bounded(tmp_path: Path) -> None:
    python("open('big', 'wb').write(bytes(4_000_000))", tmp_path, file_bytes=1_000_000)
    assert (tmp_path / "big").stat().st_size <= 1_000_000


def test_the_environment_is_not_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSMOLOCAL_SECRET", "swordfish")
    ran = python("import os; print(sorted(os.environ))", tmp_path)
    assert "COSMOLOCAL_SECRET" not in ran.said


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_in_the_box_there_is_no_network_and_no_home(tmp_path: Path) -> None:
    ran = python(
        "import os, socket\n"
        "print(os.path.exists('/etc/passwd'), os.path.exists('/home'))\n"
        "socket.create_connection(('192.0.2.1', 9), 2)",
        tmp_path,
    )
    assert ran.box == "bubblewrap"
    assert "False False" in ran.said
    assert "unreachable" in ran.said
