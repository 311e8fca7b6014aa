"""Runs one function in a child process under limits on memory, computing time, wall time and file
size, so that no file can take the program down with it.

It never outlives its caller, never lets the child's prints through, and never answers late.
"""

import atexit
import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import IO, Any, TypeAlias, cast

from designs.errors import DesignRefused, Finding, LimitExceeded, ReaderCrashed, Refused
from designs.nursery import Gone, Nursery, die_with

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True)
class Limits:
    """`memory_bytes` bounds the address space, and so what can be resident."""

    memory_bytes: int = 2**30
    cpu_s: int = 30
    wall_s: float = 180.0
    file_bytes: int = 512 * 2**20


READING = Limits()
MAKING = Limits(cpu_s=120, wall_s=300.0)

_LOG_BYTES = 4000
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_CHILDS = dict.fromkeys(_ONE_THREAD, "1") | {"PYDANTIC_DISABLE_PLUGINS": "1"}
_nurseries: list[Nursery] = []


def run(target: str, /, *args: Json, limits: Limits = READING) -> Json:
    """`package.module:function(*args)`, run in a child; its result.

    Raises what the function raised of `DesignRefused`, `LimitExceeded` when a limit stopped it,
    `ReaderCrashed` when it broke. Blocks: call it from a thread where that matters.
    """
    task = {"target": target, "args": args, "limits": asdict(limits), "parent": os.getpid()}
    with contextlib.ExitStack() as stack:
        asked, answered, said = (
            stack.enter_context(tempfile.TemporaryFile()) for _ in ("in", "out", "err")
        )
        asked.write(json.dumps(task).encode())
        asked.seek(0)
        status = _status_of_child(asked, answered, said, limits)
        answered.seek(0)
        said.seek(max(0, said.seek(0, os.SEEK_END) - _LOG_BYTES))
        log = said.read().decode("utf-8", "replace")
        return _understood(status, answered.read(), log, limits)


def stay_ready(*modules: str) -> None:
    """From now on children are forked from a process that has these modules and starts now.

    For programs that look at many files, or whose user waits for one: it saves each child the half
    second of importing, and costs some 60 MB of memory until the program ends.
    """
    if not _nurseries:
        _nurseries.append(Nursery(modules, _environment()))
        atexit.register(_nurseries[0].close)


def _status_of_child(
    asked: IO[bytes], answered: IO[bytes], said: IO[bytes], limits: Limits
) -> int | None:
    """Exit status, negative for a signal; None when wall time ran out."""
    for nursery in _nurseries:
        try:
            return nursery.status_of_child(asked, answered, said, limits.wall_s)
        except Gone:
            nursery.renew()
            for file in (asked, answered, said):
                file.seek(0)
            answered.truncate()
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "designs.bounded"],
        stdin=asked,
        stdout=answered,
        stderr=said,
        env=_environment(),
        start_new_session=True,
    )
    try:
        return child.wait(limits.wall_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _environment() -> dict[str, str]:
    kept = {k: os.environ[k] for k in ("PATH", "HOME", "TMPDIR", "LANG") if k in os.environ}
    here = os.pathsep.join(path for path in sys.path if path)
    return kept | _CHILDS | {"PYTHONPATH": here}


def _understood(status: int | None, answer: bytes, log: str, limits: Limits) -> Json:
    if status == 0:
        return _told(json.loads(answer))
    if status is None:
        raise _over(f"it takes longer than {limits.wall_s:.0f} s")
    if status in {-signal.SIGXCPU, -signal.SIGKILL}:
        raise _over(f"it takes more than {limits.cpu_s} s of computing")
    if "bad_alloc" in log or "MemoryError" in log:
        raise _over(f"it takes more than {limits.memory_bytes / 2**20:.0f} MiB of memory")
    raise _crashed(f"status {status}\n{log}")


def _over(what: str) -> LimitExceeded:
    return LimitExceeded(what, "the file", "Make it simpler: fewer triangles, lines or copies")


_SIMPLER = "If it is large, make it simpler; else export it again, or tell us about it"


def _crashed(detail: str) -> ReaderCrashed:
    return ReaderCrashed("our reader broke on it", "the file", _SIMPLER, detail)


def _told(answer: dict[str, Any]) -> Json:
    if "value" in answer:
        return cast(Json, answer["value"])
    if "memory" in answer:
        raise _over(f"it takes more than {answer['memory'] / 2**20:.0f} MiB of memory")
    if "crashed" in answer:
        raise _crashed(answer["crashed"])
    findings = [Finding.model_validate(f) for f in answer["refused"]]
    only = findings[0]
    if len(findings) != 1 or only.picture:
        raise DesignRefused(findings)
    kind = LimitExceeded if answer["limit"] else Refused
    raise kind(only.what, only.where, only.do)


def main(keeper: int | None = None) -> None:
    """The child: one task on standard input, one answer on standard output.

    It dies with its keeper, or with the caller where it has none.
    """
    task = json.load(sys.stdin.buffer)
    answer_to = os.dup(1)
    os.dup2(2, 1)  # what readers print goes to the log
    die_with(task["parent"] if keeper is None else keeper)
    _limit_myself(Limits(**task["limits"]))
    try:
        answer = json.dumps(_outcome(task["target"], task["args"], task["limits"])).encode()
    except MemoryError:
        answer = json.dumps({"memory": task["limits"]["memory_bytes"]}).encode()
    with os.fdopen(answer_to, "wb") as out:
        out.write(answer)


def _limit_myself(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _outcome(target: str, args: list[Json], limits: dict[str, Json]) -> dict[str, Json]:
    module, _, name = target.partition(":")
    try:
        function = cast(Callable[..., Json], getattr(importlib.import_module(module), name))
        return {"value": function(*args)}
    except DesignRefused as refused:
        findings = [cast(Json, f.model_dump(mode="json")) for f in refused.findings]
        return {"refused": findings, "limit": isinstance(refused, LimitExceeded)}
    except MemoryError:
        return {"memory": limits["memory_bytes"]}
    except Exception:  # noqa: BLE001 - whatever a reader throws at hostile input stays in here
        return {"crashed": traceback.format_exc()[-_LOG_BYTES:]}


if __name__ == "__main__":
    main()
