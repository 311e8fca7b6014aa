import os
import signal
import subprocess
import sys
import time

import pytest

READY = "import os, time\nfrom designs import bounded\nbounded.stay_ready()\n"
FORKS = f"""{READY}
assert bounded.run('operator:add', 1, 2) == 3
child = os.fork()
if child == 0: time.sleep(60)
print(bounded._nurseries[0]._process.pid, child, flush=True)
"""


@pytest.mark.parametrize("kind", ["killed", "leaves"])
def test_a_nursery_ends_with_its_caller_though_the_caller_forked(kind):
    code = FORKS + ("time.sleep(60)" if kind == "killed" else "")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as caller:
        assert caller.stdout
        nursery, child = map(int, caller.stdout.readline().split())
        if kind == "killed":
            caller.kill()
        try:
            caller.wait(4)
            assert _ends(nursery, 4)
        finally:
            caller.kill()
            os.kill(child, signal.SIGKILL)


def test_a_forked_process_that_leaves_does_not_end_its_parents_nursery():
    code = f"""{READY}
if os.fork() == 0: raise SystemExit
os.wait()
assert bounded.run('os:getppid') != os.getpid(), 'it was not forked from the nursery'
assert bounded._nurseries[0]._process.poll() is None
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def _ends(process: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False
