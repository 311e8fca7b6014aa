"""Records makes and their inspections; a part that does not conform is wanted again.

It never decides conformance: the inspector does, and is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select

from designs.okh import Made
from orchestrator.catalogue import service as catalogue
from orchestrator.labs.tables import AgentRow, LabRow
from orchestrator.makes import model, recalled
from orchestrator.makes.model import Inspection, Plan, Proof, Verdict
from orchestrator.makes.tables import MakeRow
from orchestrator.orders import service as orders
from orchestrator.recalls import service as recalls
from orchestrator.recalls.model import lot_key, tidy
from orchestrator.store import Unit, new_id


class NoSuchMake(Exception):
    """There is no make with this id."""


class AlreadyInspected(Exception):
    """This make has its verdict; a correction is a new make, not a new verdict."""


class OtherLot(Exception):
    """The lab's report and the inspector name two lots for one part."""


@dataclass(frozen=True)
class Finished:
    """What dispatch knows of a finished attempt. `file`: the design's, by its hash; `began_at` and
    `ended_at` as the lab's clock had them; `lot`: of the material, where the lab reports it.
    """

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
    file: str | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None
    lot: str | None = None


async def record(unit: Unit, done: Finished) -> MakeRow:
    """The make of a finished attempt; told twice, it is recorded once."""
    known = await unit.session.scalar(
        select(MakeRow).where(MakeRow.attempt == done.attempt, MakeRow.job_id == done.job_id)
    )
    if known is not None:
        return known
    job = await orders.job(unit, done.job_id)
    ended = done.ended_at or unit.now
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
        began_at=min(done.began_at or ended, ended),
        ended_at=ended,
        file=done.file,
        machine_s=done.machine_s,
        operator=done.operator,
        operator_minutes=done.operator_minutes,
        simulated=done.simulated,
        attested=done.attested,
    )
    _write_lot(make, done.lot)
    unit.session.add(make)
    await unit.session.flush()
    await unit.record("make.recorded", make.id, job=job.id, order=job.order_id)
    await recalled.note(unit, make)
    return make


def _write_lot(make: MakeRow, lot: str | None) -> None:
    written = tidy(lot or "")[:80]
    make.lot, make.lot_key = (written, lot_key(written)) if written else (None, None)


async def inspected(unit: Unit, make_id: str, inspection: Inspection) -> MakeRow:
    """Write the verdict: the job is received, or wanted again with the reason.

    What could not be measured has no verdict yet: the reading is kept and a person is waited for.
    Raises DesignRefused for a verdict that the part's plan does not bear out, RecalledUnit for one
    that would accept a recalled part.
    """
    make = await find(unit, make_id)
    if make.verdict is not None:
        raise AlreadyInspected(f"{make_id} was inspected at {make.inspected_at}: {make.verdict}")
    asked = await plan(unit, make)
    model.hold(asked.checks, asked.due, inspection, simulated=make.simulated)
    make.inspection = inspection.model_dump(mode="json")
    make.inspected_at = unit.now
    if inspection.verdict is not Verdict.UNMEASURABLE:
        make.verdict = inspection.verdict
    await _see_to_recalls(unit, make, inspection)
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


async def _see_to_recalls(unit: Unit, make: MakeRow, inspection: Inspection) -> None:
    """Write the lot down, and accept no part that a recall in force meets."""
    news = make.lot is None and inspection.lot is not None
    if news:
        _write_lot(make, inspection.lot)
    elif inspection.lot is not None and lot_key(inspection.lot) != make.lot_key:
        raise OtherLot(
            f"the material's lot is written down as {make.lot} already: look at the label again, "
            "or leave the lot out and say in the note what you see"
        )
    if inspection.verdict is Verdict.CONFORMS:
        await recalled.require_none(unit, make)
    if news:
        await recalled.note(unit, make)


@dataclass(frozen=True)
class Asked:
    """A part's inspection plan, and which of its checks, by number, are due on this one."""

    checks: Plan
    due: tuple[int, ...]


async def plan(unit: Unit, make: MakeRow) -> Asked:
    """One part in so many is one of those made from the same file: another has another shape."""
    part = (await catalogue.release(unit, make.release)).part(make.part)
    checks = part.inspection if part else ()
    if not checks:
        return Asked((), ())
    accepted = await unit.session.scalars(
        select(MakeRow)
        .where(
            MakeRow.order_id == make.order_id,
            MakeRow.release == make.release,
            MakeRow.part == make.part,
            MakeRow.file == make.file,
            MakeRow.id != make.id,
            MakeRow.verdict == Verdict.CONFORMS,
        )
        .order_by(MakeRow.inspected_at, MakeRow.id)
    )
    return Asked(checks, model.due(checks, [read_on(row) for row in accepted]))


def read_on(make: MakeRow) -> set[int]:
    """The checks that were read on a make."""
    if make.inspection is None:
        return set()
    return {each.check for each in Inspection.model_validate(make.inspection).readings}


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


async def made(unit: Unit, releases: Sequence[str]) -> Made:
    """How often any of these releases was made: what a simulated machine made, what does not
    conform and what a recall in force meets is no proof.
    """
    proofs = await _proofs(unit, releases)
    named = {each.release for each in proofs}
    known = {sha256: await catalogue.release(unit, sha256) for sha256 in named}
    return model.made(proofs, known)


class Labelled(NamedTuple):
    """Conforming parts of a release that a reader must know more of."""

    simulated: int
    """Made by simulated machines: no proof that a real part can be made."""
    attested: int
    """Of all, simulated ones too: that they were made is a person's word."""


async def labelled(unit: Unit, release: str) -> Labelled:
    counted = select(
        func.count().filter(MakeRow.simulated),
        func.count().filter(MakeRow.attested),
    ).where(MakeRow.release == release, *await _standing(unit))
    return Labelled(*(await unit.session.execute(counted)).one())


async def _proofs(unit: Unit, releases: Sequence[str]) -> list[Proof]:
    told = (MakeRow.release, LabRow.id, LabRow.name, LabRow.operator, MakeRow.operator)
    counted = (
        select(*told, func.count())
        .outerjoin(AgentRow, AgentRow.id == MakeRow.agent)
        .outerjoin(LabRow, LabRow.id == AgentRow.lab_id)
        .where(MakeRow.release.in_(releases))
        .where(MakeRow.simulated.is_(False), *await _standing(unit))
        .group_by(*told)
    )
    return [Proof(*row) for row in await unit.session.execute(counted)]


async def _standing(unit: Unit) -> list[ColumnElement[bool]]:
    """What conforms and is met by no recall."""
    withdrawn = [recalled.meets(each) for each in await recalls.in_force(unit)]
    met = (MakeRow.id.not_in(select(MakeRow.id).where(each)) for each in withdrawn)
    return [MakeRow.verdict == Verdict.CONFORMS, *met]


async def uninspected(unit: Unit) -> Sequence[MakeRow]:
    """Makes that nobody has tried to measure."""
    unseen = select(MakeRow).where(MakeRow.inspected_at.is_(None))
    rows = unseen.order_by(MakeRow.made_at, MakeRow.id)
    return (await unit.session.scalars(rows)).all()
