"""Kill the agent or the orchestrator at its N-th sync or message, start it again, judge the end.

Every number from one on, until a life comes to its end without being killed; the same again with a
second kill while it recovers, at the bytes that go to the machine, and with a disk that fails.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from bench.crash import failing, gate
from bench.crash.failing import Failing
from bench.crash.gate import GO, KILL, Call, Gate, Word
from bench.crash.lane import PATIENCE_S, Lane, Stuck

Victim = Literal["agent", "orchestrator"]
SYNCS: Final = "sync or message"
BYTES: Final = "byte to the machine"
CALLS: Final = {SYNCS: (*gate.SYNCS, *gate.SENDS), BYTES: ("write",)}
_KINDS: Final = {
    1: "connects", 3: "publishes", 4: "acknowledges a packet", 8: "subscribes", 12: "pings",
    14: "takes leave",
}  # fmt: skip
_KIND = re.compile(rb'"kind":"(\w+)"')
_FILE = re.compile(r"(journal\.db|cosmolocal\.db|files|blobs|keys|programs|broker|token)(?![^/]*/)")


@dataclass(frozen=True)
class Point:
    """What happens at which call: a kill, or a disk that fails; and at which call of the next life.

    `what` is SYNCS or BYTES, the calls that are counted up to the kill, or a key of failing.KINDS.
    """

    victim: Victim
    what: str
    at: int
    again_at: int | None = None


@dataclass
class Result:
    """What was found there; `where` is empty when the life ended before the call was reached."""

    point: Point
    where: str = ""
    phase: str = ""
    again: str = ""
    came_back: str = ""
    asked: bool = False
    faults: list[str] = field(default_factory=list[str])
    recovery: int = 0
    """Counted calls of the life after the kill, up to the job's end: each is one pair."""
    seconds: float = 0.0


def about(call: Call, port: str) -> str | None:
    """What a call is to the world outside; None for one that is not counted."""
    if call.name in gate.SYNCS:
        found = _FILE.search(call.path)
        return f"sync {found[1] if found else 'a folder'}"
    if call.name == "write":
        return BYTES if call.path == port else None
    return _message(call.data)


def _message(data: bytes) -> str | None:
    if data.startswith((b"GET ", b"POST ")):
        return "asks over HTTP"
    if data.startswith(b"HTTP/"):
        return None  # an answer to whoever looks; how often they look is chance
    kind = _KINDS.get(data[0] >> 4)
    said = _KIND.search(data)
    return f"says {said[1].decode()}" if kind == "publishes" and said else kind


class Killing:
    """Lets the counted calls pass up to the one at which it kills."""

    def __init__(self, port: str, at: int | None) -> None:
        self._port, self.at = port, at
        self.seen = 0
        self.where = ""

    def __call__(self, call: Call) -> Word:
        what = about(call, self._port)
        if what is None:
            return GO
        self.seen += 1
        if self.seen != self.at:
            return GO
        self.where = what
        return KILL


def try_point(lane: Lane, point: Point) -> Result:
    """One job with one kill, or two, in it; everybody is there again at the end."""
    result, began_s = Result(point), time.monotonic()
    try:
        lane.ask()
        lane.child(point.victim).kill()
        job = _AT[point.victim](lane, result)
        told = lane.end(job)
        result.came_back, result.asked = " → ".join(told.states), told.asked
        result.faults += told.faults()
    except Stuck as stuck:
        result.faults.append(str(stuck))
    result.seconds = round(time.monotonic() - began_s, 1)
    return result


def _agent(lane: Lane, result: Result) -> str:
    """The order waits; the agent comes up and meets its fate on the way."""
    job = lane.place()

    def received() -> bool:
        return lane.state(job) == "received"

    if result.point.what in CALLS:
        _lives(lane, result, received, lane.journaled)
    else:
        _endures(lane, result, received)
    return job


def _orchestrator(lane: Lane, result: Result) -> str:
    """It comes up, is asked, and is killed on the way; who asked asks again."""

    def received() -> bool:
        if not lane.ordered():
            lane.try_to_place()
        return lane.ordered() == "received"

    _lives(lane, result, received, lane.ordered)
    lane.until_ready()
    return lane.place()


_AT: Final[dict[Victim, Callable[[Lane, Result], str]]] = {
    "agent": _agent,
    "orchestrator": _orchestrator,
}


def _lives(lane: Lane, result: Result, over: Callable[[], bool], phase: Callable[[], str]) -> None:
    """One life to the kill, one to the second kill if there is one, and one that goes on."""
    point, port = result.point, str(lane.laser.link.resolve())
    first = Killing(port, point.at)
    _life(lane, point, first, CALLS[point.what], over)
    first.at = None
    if not first.where:
        return
    result.where, result.phase = first.where, phase()
    second = Killing(port, point.again_at)
    _life(lane, point, second, CALLS[point.what], over)
    second.at = None
    result.again, result.recovery = second.where, second.seen
    if second.where:
        lane.child(point.victim).start()


def _endures(lane: Lane, result: Result, over: Callable[[], bool]) -> None:
    """A disk that fails: it lives on, or it ends in words and is started again, as a shop would."""
    point = result.point
    why, names, lasts_s = failing.KINDS[point.what]
    judge = Failing(point.at, why, names, lasts_s, lane.journaled)
    log = lane.agent.log
    said = log.stat().st_size
    result.where = point.what
    try:
        _life(lane, point, judge, (*names, *gate.SENDS), over)
    except Stuck:
        result.again = "ended in words"
        lane.agent.start()
    result.phase = judge.phase
    if not judge.failed:
        result.where = ""
    if judge.claimed:
        result.faults.append("it asked leave to start while the disk kept nothing")
    if "Traceback" in log.read_bytes()[said:].decode(errors="replace"):
        result.faults.append("a traceback instead of words")


def _life(
    lane: Lane,
    point: Point,
    judge: Callable[[Call], Word],
    calls: tuple[str, ...],
    over: Callable[[], bool],
) -> None:
    """Until it is killed, or the job is over; then it lives on. Raises Stuck when it just ends."""
    child = lane.child(point.victim)
    gated = Gate(child.command, child.log, judge, calls, child.environment)
    child.process = gated.process
    end_s = time.monotonic() + PATIENCE_S
    while gated.running and not over() and time.monotonic() < end_s:
        time.sleep(0.05)
    if gated.error is not None:
        raise gated.error
    if not gated.running and not gated.killed:
        raise Stuck(f"it ended by itself, with status {gated.process.returncode}")
