"""What the pages of orders show of attempts: who has it, how far it is, what waits for whom."""

from fastapi import Request

from fablab_agents.protocol.attempts import State
from orchestrator.dispatch import service
from orchestrator.dispatch.api import attempt_view
from orchestrator.labs import service as labs
from orchestrator.store import Unit
from orchestrator.web.pages import Slots, fragment

WORDS = {
    State.OFFERED: "offered to",
    State.ACCEPTED: "being prepared by",
    State.STAGED: "prepared; waits for a person at",
    State.GRANTED: "about to start at",
    State.STARTING: "starting at",
    State.RUNNING: "being made at",
    State.PAUSED: "paused at",
    State.FINISHED: "finished at",
    State.FAILED: "failed at",
    State.INTERRUPTED: "interrupted at",
    State.REFUSED: "refused by",
    State.WITHDRAWN: "withdrawn from",
    State.NOT_STARTED: "not started at",
    State.UNKNOWN: "unknown whether made at",
    State.SUPERSEDED: "given up on at",
}
BAD = {State.FAILED, State.INTERRUPTED, State.UNKNOWN, State.REFUSED}


def fill(slots: Slots) -> None:
    """Show attempts where a job is shown."""
    slots.fill("order.job", _of_job)


async def _of_job(_request: Request, unit: Unit, job_id: str) -> str:
    attempts = [attempt_view(row) for row in await service.attempts_of_job(unit, job_id)]
    machines = {
        each.id: f"{each.machine.title} at {each.lab.name}" for each in await labs.machines(unit)
    }
    return fragment(
        "dispatch/job.html",
        attempts=attempts,
        machines=machines,
        words={str(state): words for state, words in WORDS.items()},
        bad={str(state) for state in BAD},
    )
