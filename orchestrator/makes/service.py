"""Records makes and their inspections; a part that does not conform is wanted again.

It never decides conformance: the inspector does, and is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from orchestrator.makes import model
from orchestrator.makes.model import Inspection, Verdict
from orchestrator.makes.tables import MakeRow
from orchestrator.orders import service as orders
from orchestrator.store import Unit, new_id


class NoSuchMake(Exception):
    """There is no make with this id."""


class AlreadyInspected(Exception):
    """This make has its verdict; a correction is a new make, not a new verdict."""


@dataclass(frozen=True)
class Finished:
    """What dispatch knows of a finished attempt."""

    job_id: str
    attempt: str
    agent: str
    machine: str
    program_sha256: str
    machine_s: float | None
    operator: str | None
    operator_minutes: float | None
    simulated: bool
    attested: bool = False


async def record(unit: Unit, done: Finished) -> MakeRow:
    """The make of a finished attempt; told twice, it is recorded once."""
    known = await unit.session.scalar(
        select(MakeRow).where(MakeRow.attempt == done.attempt, MakeRow.job_id == done.job_id)
    )
    if known is not None:
        return known
    job = await orders.job(unit, done.job_id)
    make = MakeRow(
        id=new_id("p"),
        job_id=job.id,
        order_id=job.order_id,
        attempt=done.attempt,
        release=job.release,
        part=job.part,
        process=job.process,
        material=job.material,
        agent=done.agent,
        machine=done.machine,
        program_sha256=done.program_sha256,
        made_at=unit.now,
        machine_s=done.machine_s,
        operator=done.operator,
        operator_minutes=done.operator_minutes,
        simulated=done.simulated,
        attested=done.attested,
    )
    unit.session.add(make)
    await unit.session.flush()
    await unit.record("make.recorded", make.id, job=job.id, order=job.order_id)
    return make


async def inspected(unit: Unit, make_id: str, inspection: Inspection) -> MakeRow:
    """Write the verdict: the job is received, or wanted again with the reason.

    What could not be measured has no verdict yet: the reading is kept and a person is waited for.
    """
    make = await find(unit, make_id)
    if make.verdict is not None:
        raise AlreadyInspected(f"{make_id} was inspected at {make.inspected_at}: {make.verdict}")
    make.inspection = inspection.model_dump(mode="json")
    make.inspected_at = unit.now
    if inspection.verdict is not Verdict.UNMEASURABLE:
        make.verdict = inspection.verdict
    await unit.session.flush()
    await unit.record("make.inspected", make.id, job=make.job_id, verdict=inspection.verdict)
    match inspection.verdict:
        case Verdict.CONFORMS:
            await orders.job_received(unit, make.job_id)
        case Verdict.DEVIATES:
            await orders.job_wanted_again(unit, make.job_id, model.shortfall(inspection))
        case Verdict.UNMEASURABLE:
            await orders.await_person(unit, make.job_id, model.shortfall(inspection))
    return make


async def find(unit: Unit, make_id: str) -> MakeRow:
    make = await unit.session.get(MakeRow, make_id)
    if make is None:
        raise NoSuchMake(f"there is no make {make_id}")
    return make


async def of_order(unit: Unit, order_id: str) -> Sequence[MakeRow]:
    rows = select(MakeRow).where(MakeRow.order_id == order_id).order_by(MakeRow.made_at, MakeRow.id)
    return (await unit.session.scalars(rows)).all()


async def of_job(unit: Unit, job_id: str) -> Sequence[MakeRow]:
    rows = select(MakeRow).where(MakeRow.job_id == job_id).order_by(MakeRow.made_at, MakeRow.id)
    return (await unit.session.scalars(rows)).all()


async def of_release(unit: Unit, release: str) -> Sequence[MakeRow]:
    """Makes that conform: what counts as made."""
    rows = select(MakeRow).where(MakeRow.release == release, MakeRow.verdict == Verdict.CONFORMS)
    return (await unit.session.scalars(rows)).all()


async def conforming(unit: Unit, releases: Sequence[str]) -> int:
    """How many makes of any of these releases conform."""
    made = select(func.count()).where(
        MakeRow.release.in_(releases), MakeRow.verdict == Verdict.CONFORMS
    )
    return await unit.session.scalar(made) or 0


async def uninspected(unit: Unit) -> Sequence[MakeRow]:
    """Makes that nobody has tried to measure."""
    unseen = select(MakeRow).where(MakeRow.inspected_at.is_(None))
    rows = unseen.order_by(MakeRow.made_at, MakeRow.id)
    return (await unit.session.scalars(rows)).all()
