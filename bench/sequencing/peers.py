"""The same queue for others: PyJobShop 0.0.9 in an environment of its own, CP-SAT's plain circuit.

Each is a process that reads a model and writes starts. What it answers is taken as an order and
timed by the judge as early as it can be: whoever left a gap does not pay for it.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.peers.process import ROOT, TOOLS, CannotHaveError, make_environment
from bench.sequencing.judge import as_early_as_can_be, change, cost_of
from bench.sequencing.queues import CHANGE_MINOR, LATE_MINOR, STEP_S, WAIT_MINOR
from scheduling.machine_queue import Queue

_BUILD_S: Final = 120
Answer = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """`module`: its job beside this file. `hinted`: it is told an order to begin with."""

    name: str
    module: str
    hinted: bool = False


PEERS: Final = (
    Peer("PyJobShop", "pyjobshop_job"),
    Peer("CP-SAT", "circuit_job"),
    Peer("CP-SAT hinted", "circuit_job", hinted=True),
)


def command_of(peer: Peer) -> list[str]:
    """What runs it, installed on first use; raises CannotHaveError."""
    if peer.module == "circuit_job":
        return [sys.executable, "-m", "bench.sequencing.circuit_job"]
    home = TOOLS / "pyjobshop"
    if not (home / "made").exists():
        make_environment(home, ["pyjobshop==0.0.9"])
    return [str(home / "bin" / "python"), str(Path(__file__).with_name(f"{peer.module}.py"))]


def as_model(queue: Queue, seconds: float, workers: int) -> dict[str, Any]:
    """All in steps; `changes`: from each job, and in the last row from what is loaded, to each."""
    steps = queue.horizon_s // STEP_S
    hours = [[start // STEP_S, end // STEP_S] for start, end in queue.openings_s]
    closes = [0, *(end for _, end in hours)]
    opens = [*(start for start, _ in hours), steps]
    return {
        "jobs": [
            {
                "duration": job.duration_s // STEP_S,
                "release": job.release_s // STEP_S,
                "due": None if job.due_s is None else job.due_s // STEP_S,
                "weight": job.waiting_minor_per_h * STEP_S // 3600 // WAIT_MINOR,
            }
            for job in queue.jobs
        ],
        "changes": [
            [change(queue, before, job)[0] // STEP_S for job in queue.jobs]
            for before in (*(job.family for job in queue.jobs), queue.loaded)
        ],
        "horizon": steps, "open": hours,
        "closed": [span for span in zip(closes, opens, strict=True) if hours and span[0] < span[1]],
        "late": LATE_MINOR, "wait": WAIT_MINOR, "change": CHANGE_MINOR,
        "seconds": seconds, "workers": workers,
    }  # fmt: skip


def answer_of(
    peer: Peer, queue: Queue, seconds: float, workers: int, hint: Sequence[str] | None = None
) -> Answer:
    """What it answers, with `cost` by the judge (None: no order) and its own as `claimed`."""
    model = as_model(queue, seconds, workers)
    if hint is not None:
        starts = as_early_as_can_be(queue, hint)
        model["hint"] = [starts[job.id] // STEP_S for job in queue.jobs]
    try:
        ran = subprocess.run(
            command_of(peer), input=json.dumps(model), cwd=ROOT, text=True,
            capture_output=True, check=True, timeout=seconds + _BUILD_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"cost": None, "claimed": None, "status": "not back in time"}
    except subprocess.CalledProcessError as error:
        raise CannotHaveError(f"{peer.name}: {error.stderr.strip()[-300:]}") from error
    told: Answer = json.loads(ran.stdout)
    starts = dict(zip((job.id for job in queue.jobs), told.pop("starts"), strict=False))
    told["claimed"], told["cost"] = told["cost"], None
    if starts:
        order = sorted(starts, key=lambda job: starts[job])
        told["cost"] = cost_of(queue, as_early_as_can_be(queue, order))
    return told
