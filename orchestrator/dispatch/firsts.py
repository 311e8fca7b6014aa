"""First articles: of an order's part no second piece is begun from a file before one was accepted.

Orders hold the rest of a part back until one piece conforms. From which file a piece is made the
machine's class decides, so a machine that gets another file begins with one piece again.
"""

from sqlalchemy import or_, select

from designs.design import Part, Release
from orchestrator.catalogue import service as catalogue
from orchestrator.dispatch.tables import AttemptJobRow, AttemptRow
from orchestrator.labs.service import MachineStanding
from orchestrator.orders.model import JobState
from orchestrator.orders.tables import JobRow
from orchestrator.store import Unit

_BEGUN = (JobState.OFFERED, JobState.MADE, JobState.RECEIVED)


async def sent(unit: Unit, job: JobRow, on: MachineStanding) -> tuple[Release, Part]:
    """What this machine is sent for the job: the part as machines of its class get it."""
    release = await catalogue.release(unit, job.release)
    part = release.part(job.part)
    if part is None:
        raise LookupError(f"release {job.release} has no part {job.part}")
    return release, part.on(on.machine.model)


class FirstArticles:
    """One look at what is begun; what it lets begin counts as begun from then on."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._files: dict[tuple[str, str, str], str] = {}
        self._states: dict[tuple[str, str, str], set[str]] = {}

    async def lets(self, job: JobRow, on: MachineStanding) -> bool:
        """Whether this piece may begin there; nothing holds back what comes after no other."""
        if not job.after:
            return True
        states = await self._of_file(job, await self._file(job, on))
        if states and JobState.RECEIVED not in states:
            return False
        states.add(JobState.OFFERED)
        return True

    async def _file(self, job: JobRow, on: MachineStanding) -> str:
        key = (job.release, job.part, on.machine.model)
        if key not in self._files:
            self._files[key] = (await sent(self._unit, job, on))[1].file_sha256
        return self._files[key]

    async def _of_file(self, job: JobRow, file: str) -> set[str]:
        """How the pieces stand that were begun from it; a piece that is to be made anew is none."""
        key = (job.order_id, job.part, file)
        if key not in self._states:
            rows = (
                select(JobRow.state)
                .join(AttemptJobRow, AttemptJobRow.job == JobRow.id)
                .join(AttemptRow, AttemptRow.id == AttemptJobRow.attempt)
                .where(JobRow.order_id == job.order_id, JobRow.part == job.part)
                .where(AttemptRow.file == file)
                .where(
                    or_(
                        JobRow.state == JobState.ABANDONED,
                        JobRow.state.in_(_BEGUN) & (JobRow.attempt == AttemptRow.id),
                    )
                )
            )
            self._states[key] = set(await self._unit.session.scalars(rows))
        return self._states[key]
