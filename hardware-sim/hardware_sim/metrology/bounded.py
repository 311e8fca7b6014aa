"""Promises one answer within bounds of time and memory, whatever the files hold.
Never lets a crash, a hang or a flood of memory through: the measuring is done in a child.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import cast

GRACE_S = 10  # after the limit the child says so itself; then it is stopped
MOST_BYTES = 4 << 30
PR_SET_PDEATHSIG = 1  # linux/prctl.h
Answer = dict[str, object]


def answered(ask: Callable[[], Answer], limit_s: float) -> Answer:
    """What `ask` answers in a child; unmeasurable, and why, if the child does not live to tell."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _child(ask, limit_s, write)
    os.close(write)
    with os.fdopen(read, "r") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return cast("Answer", json.loads(text)) if text else _unmeasurable(_end(status))


def _child(ask: Callable[[], Answer], limit_s: float, write: int) -> None:
    """Ask, write, and be gone: never returns into what the parent was doing."""
    try:
        _die_with_the_parent()
        _bound(limit_s)
        try:
            answer = ask()
        except MemoryError:
            answer = _unmeasurable(f"it takes more than {MOST_BYTES >> 30} GiB of memory")
        except Exception as error:  # noqa: BLE001 - whatever it is, the asker hears it in words
            answer = _unmeasurable(f"the measuring failed: {type(error).__name__}: {error}")
        with os.fdopen(write, "w") as pipe:
            json.dump(answer, pipe)
    finally:
        os._exit(0)


def _die_with_the_parent() -> None:
    """Where the system offers it (Linux): whoever stops the asker stops the work as well."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _bound(limit_s: float) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    if limit_s > 0:
        most_s = int(limit_s) + GRACE_S
        resource.setrlimit(resource.RLIMIT_CPU, (most_s, most_s + 1))


def _end(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return "stopped: it takes too much processor time or memory (--limit-s allows more)"
        return f"the measuring crashed ({signal.Signals(number).name})"
    return "the measuring ended without an answer"


def _unmeasurable(why: str) -> Answer:
    return {
        "verdict": "unmeasurable", "deviations": None, "machine_s": None, "made": {}, "why": why,
        "kind": "program conformance",
    }  # fmt: skip
