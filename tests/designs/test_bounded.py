import os
import signal
import subprocess
import sys
import time

import pytest

from designs import bounded
from designs.bounded import Limits, run
from designs.errors import LimitExceeded, ReaderCrashed, Refused
from designs.nursery import Nursery


@pytest.fixture(autouse=True, params=["alone", "nursery"])
def _kind(request, monkeypatch):
    """Each child is a process of its own, or forked from one that has the modules already."""
    if request.param == "alone":
        yield
        return
    nursery = Nursery(("designs.geometry.mesh",), bounded._environment())
    monkeypatch.setattr(bounded, "_nurseries", [nursery])
    yield
    nursery.close()


SHORT = Limits(memory_bytes=300 * 2**20, cpu_s=1, wall_s=20)


def test_a_value_comes_back_and_prints_do_not_disturb_it():
    assert run("operator:add", [1], [2, "ä"]) == [1, 2, "ä"]
    assert run("builtins:print", "noise") is None


def test_a_refusal_comes_back_in_its_own_words(tmp_path):
    broken = tmp_path / "x.stl"
    broken.write_bytes(b"solid nothing")
    with pytest.raises(Refused, match="cut off") as caught:
        run("designs.geometry.mesh:read_mesh", str(broken), "stl")
    assert caught.value.where == "the last line"


def test_a_crash_is_told_apart_from_a_refusal():
    with pytest.raises(ReaderCrashed) as caught:
        run("operator:truediv", 1, 0)
    assert "ZeroDivisionError" in caught.value.detail


def test_a_signal_is_a_crash():
    with pytest.raises(ReaderCrashed) as caught:
        run("os:abort")
    assert "-6" in caught.value.detail


def test_memory_is_limited():
    with pytest.raises(LimitExceeded, match="300 MiB"):
        run("builtins:bytes", 400 * 2**20, limits=SHORT)


def test_computing_is_limited():
    with pytest.raises(LimitExceeded, match="computing"):
        run("timeit:timeit", "while True: pass", limits=SHORT)


def test_wall_time_is_limited_and_grandchildren_go_too(tmp_path):
    mark = tmp_path / "alive"
    shell = f"while :; do date +%s%N > {mark}; sleep 0.1; done"
    began = time.monotonic()
    with pytest.raises(LimitExceeded, match="longer than 2 s"):
        run("subprocess:call", ["sh", "-c", shell], limits=Limits(wall_s=2))
    assert time.monotonic() - began < 10
    time.sleep(0.3)
    last = mark.read_text()
    time.sleep(0.5)
    assert mark.read_text() == last


def test_files_are_limited(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ReaderCrashed):
        run("shutil:copyfile", sys.executable, str(out), limits=Limits(file_bytes=1000))
    assert out.stat().st_size <= 1000


def test_the_child_dies_with_its_caller(tmp_path):
    mark = tmp_path / "pid"
    ready = "stay_ready()" if bounded._nurseries else ""
    code = (
        f"from designs.bounded import run, stay_ready\n{ready}\n"
        f"run('subprocess:call', ['sh', '-c', 'echo $PPID > {mark}; exec sleep 60'])"
    )
    caller = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 20
    while not (mark.exists() and mark.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int(mark.read_text())
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the child outlived its caller")
