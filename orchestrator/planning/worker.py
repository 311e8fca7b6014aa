"""The planner's own process: problems go in, checked plans and their reasons come out.

It promises that solving never holds up a request, and that it ends when the orchestrator does,
however that ends; it reads no store. The parent writes a length and a pickle to the child's
standard input, the child answers alike; both ends are ours.
"""

import asyncio
import os
import pickle
import struct
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Final, Self

import structlog

import scheduling
from orchestrator.planning.solving import Planned, solved

_log = structlog.get_logger("planning")
_SIZE: Final = struct.Struct(">Q")
_SPARE_S: Final = 60.0
_NICER: Final = 5


class PlannerGone(Exception):
    """The process ended, or did not answer in time; another one is begun for the next plan."""


@dataclass(frozen=True)
class _Failed:
    """What the child could not do; `faults` where the plan failed the check."""

    kind: str
    message: str
    faults: tuple[scheduling.Fault, ...] = ()


class Worker:
    """One process, begun when first needed. Use it as a context, or close it."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def solve(self, problem: scheduling.Problem, seconds: float) -> Planned:
        """As `solving.solved`. Raises InvalidPlan, ProblemError, or PlannerGone."""
        async with self._turn:
            try:
                async with asyncio.timeout(seconds * 10 + _SPARE_S):
                    answer = await self._asked(pickle.dumps((problem, seconds)))
            except (OSError, EOFError, TimeoutError) as error:
                await self._end()
                raise PlannerGone(f"the planner's process is gone: {error!r}") from error
            except asyncio.CancelledError:
                await self._end()
                raise
        if isinstance(answer, Planned):
            return answer
        if answer.kind == "invalid":
            raise scheduling.InvalidPlan(answer.faults)
        if answer.kind == "problem":
            raise scheduling.ProblemError(answer.message)
        raise PlannerGone(answer.message)

    async def _asked(self, body: bytes) -> Planned | _Failed:
        child = self._child
        if child is None or child.returncode is not None:
            child = self._child = await _begun()
        if child.stdin is None or child.stdout is None:
            raise EOFError("no pipes")
        child.stdin.write(_SIZE.pack(len(body)) + body)
        await child.stdin.drain()
        try:
            head = await child.stdout.readexactly(_SIZE.size)
            body = await child.stdout.readexactly(_SIZE.unpack(head)[0])
        except asyncio.IncompleteReadError as error:
            raise EOFError("it ended") from error
        return pickle.loads(body)  # noqa: S301 - our own child wrote it

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            child.kill()
            await child.wait()


async def _begun() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", "from orchestrator.planning.worker import main; main()",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        env=_environment(), limit=2**20,
    )  # fmt: skip


def _environment() -> Mapping[str, str]:
    """What Python needs to find us and numba its cache; no secret of the orchestrator's."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "NUMBA_CACHE_DIR", "TMPDIR")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}


def _serve(asked: BinaryIO, answered: BinaryIO) -> None:
    """Until the parent closes its end."""
    while len(head := asked.read(_SIZE.size)) == _SIZE.size:
        body = asked.read(_SIZE.unpack(head)[0])
        problem, seconds = pickle.loads(body)  # noqa: S301 - our own parent wrote it
        said = pickle.dumps(_answer(problem, seconds))
        answered.write(_SIZE.pack(len(said)) + said)
        answered.flush()


def _answer(problem: scheduling.Problem, seconds: float) -> Planned | _Failed:
    try:
        return solved(problem, seconds)
    except scheduling.InvalidPlan as error:
        return _Failed("invalid", str(error), error.faults)
    except scheduling.ProblemError as error:
        return _Failed("problem", str(error))
    except Exception:  # noqa: BLE001 - told in full to the parent, who logs it
        return _Failed("error", traceback.format_exc())


def main() -> None:
    """The child: less urgent than requests, and what a library prints is no answer."""
    os.nice(_NICER)
    ours = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _serve(sys.stdin.buffer, ours)
