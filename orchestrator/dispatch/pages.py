"""What the pages of orders show of attempts: who has it, how far it is, what waits for whom."""

from collections.abc import Mapping

from fastapi import Request

from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import Bed
from orchestrator.dispatch import records
from orchestrator.dispatch.api import AttemptView, attempt_view
from orchestrator.dispatch.firsts import FirstArticles, sent
from orchestrator.labs import service as labs
from orchestrator.labs.service import MachineStanding
from orchestrator.orders import service as orders
from orchestrator.orders.model import JobState
from orchestrator.store import Unit
from orchestrator.web.pages import Slots, fragment

WORDS = {
    State.OFFERED: "offered for",
    State.ACCEPTED: "being prepared for",
    State.STAGED: "prepared; waits for a person at",
    State.CLAIMED: "about to start on",
    State.GRANTED: "about to start on",
    State.STARTING: "starting on",
    State.RUNNING: "being made on",
    State.PAUSED: "paused on",
    State.FINISHED: "finished on",
    State.FAILED: "failed on",
    State.INTERRUPTED: "interrupted on",
    State.REFUSED: "refused for",
    State.WITHDRAWN: "withdrawn from",
    State.NOT_STARTED: "not started on",
    State.UNKNOWN: "unknown whether made on",
    State.SUPERSEDED: "given up on",
}
HEATERS = {"T": "nozzle", "B": "bed", "tool0": "nozzle"}
BAD = {State.FAILED, State.INTERRUPTED, State.UNKNOWN, State.REFUSED}


def fill(slots: Slots) -> None:
    """Show attempts where a job is shown."""
    slots.fill("order.job", _of_job)


async def _of_job(_request: Request, unit: Unit, job_id: str) -> str:
    attempts = [attempt_view(row) for row in await records.attempts_of_job(unit, job_id)]
    standings = {each.id: each for each in await labs.machines(unit)}
    return fragment(
        "dispatch/job.html",
        attempts=attempts,
        awaited=await _awaited(unit, job_id, standings),
        machines={id_: f"{on.machine.title} at {on.lab.name}" for id_, on in standings.items()},
        by_hand={id_ for id_, on in standings.items() if on.machine.by_hand},
        words={each.id: _words(each, standings) for each in attempts},
        bad={str(state) for state in BAD},
        heaters=HEATERS,
    )


async def _awaited(unit: Unit, job_id: str, standings: Mapping[str, MachineStanding]) -> str:
    """The file from which another piece has to conform before this one is begun."""
    job = await orders.job(unit, job_id)
    on = standings.get(f"{job.agent}/{job.machine}")
    if job.state != JobState.PLANNED or on is None or await FirstArticles(unit).lets(job, on):
        return ""
    return (await sent(unit, job, on))[1].file_name


def _words(attempt: AttemptView, standings: Mapping[str, MachineStanding]) -> str:
    """Whose turn it is, as far as the network knows."""
    on = standings.get(f"{attempt.agent}/{attempt.machine}")
    if on is not None and attempt.state == State.ACCEPTED:
        if on.machine.attended:
            return "being prepared; a person has to start it on"
        if on.machine.bed is not Bed.CLEAR:
            return "being prepared; a person has to clear the bed of"
    return WORDS[State(attempt.state)]
