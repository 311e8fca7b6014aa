"""What recalls meet: the units they list, the open jobs they stop, the holders they tell.

`meets` says in SQL what `recalls.model.affected` says of a value. Nothing that a machine may have
begun is called stopped: it is asked to stop, and its job stays as it is until the lab reports.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, func, insert, literal, or_, select

from orchestrator.catalogue import service as catalogue
from orchestrator.dispatch import census, records
from orchestrator.dispatch import model as dispatch_model
from orchestrator.dispatch import service as dispatch
from orchestrator.dispatch.tables import AttemptRow
from orchestrator.makes.tables import MakeRow, RecallJobRow, RecallNoticeRow
from orchestrator.orders import service as orders
from orchestrator.orders.model import JobState
from orchestrator.orders.tables import JobRow, OrderRow
from orchestrator.recalls import model
from orchestrator.recalls import service as recalls
from orchestrator.recalls.model import Made, OfLot, OfMachine, OfPart, OfReleases, Recall
from orchestrator.recalls.service import Wish
from orchestrator.recalls.tables import RecallRow
from orchestrator.store import Store, Unit

CHUNK: Final = 10_000
_OPEN: Final = (JobState.WANTED, JobState.PLANNED, JobState.OFFERED, JobState.ABANDONED)


class RecalledUnit(Exception):
    """A part of a recall cannot be accepted; the message says which and why."""


class Did(StrEnum):
    """What a recall did about an open job."""

    CANCELLED = "cancelled"
    MOVED = "taken off the machine"
    ASKED = "asked to stop"
    WAITS = "waits until its lab is heard"


# ── the units


class Listed(NamedTuple):
    """One unit of a recall, and how its order stands."""

    passport: str
    order: str
    order_state: str
    part: str | None
    release: str | None
    agent: str
    machine: str
    ended_at: datetime
    lot: str | None
    verdict: str | None


def meets(recall: Recall) -> ColumnElement[bool]:
    """The makes that a recall meets."""
    within = _scope(recall.scope)
    return within if recall.lifted_at is None else and_(within, MakeRow.began_at < recall.lifted_at)


def _scope(scope: OfReleases | OfPart | OfLot | OfMachine) -> ColumnElement[bool]:
    match scope:
        case OfReleases(releases=releases):
            return MakeRow.release.in_(releases)
        case OfPart(release=release, part=part, files=files):
            named = and_(MakeRow.release == release, MakeRow.part == part)
            return or_(named, MakeRow.file.in_(files)) if files else named
        case OfLot(lot=lot, material=material):
            same = MakeRow.lot_key == model.lot_key(lot)
            return same if material is None else and_(same, MakeRow.material == material)
        case OfMachine() as span:
            there = and_(
                MakeRow.agent == span.agent,
                MakeRow.machine == span.machine,
                MakeRow.ended_at >= span.since,
            )
            return there if span.until is None else and_(there, MakeRow.began_at < span.until)


def _units(recall: Recall) -> Select[*tuple[Any, ...]]:
    """Columns of tables, not of objects."""
    make, order = MakeRow.__table__.c, OrderRow.__table__.c
    return (
        select(
            make.id, make.order_id, order.state, make.part, make.release,
            make.agent, make.machine, make.ended_at, make.lot, make.verdict,
        )
        .join(OrderRow.__table__, order.id == make.order_id)
        .where(meets(recall))
        .order_by(make.id)
    )  # fmt: skip


async def units(unit: Unit, recall: Recall, after: str = "", most: int = CHUNK) -> list[Listed]:
    """Units behind the passport `after`, in the order of their passports."""
    # On the connection itself: the session would take each row for parts of objects first.
    connection = await unit.session.connection()
    found = await connection.execute(_units(recall).where(MakeRow.id > after).limit(most))
    return list(map(Listed._make, found))


async def all_units(store: Store, recall: Recall) -> AsyncIterator[list[Listed]]:
    """All of them in pieces, each read at a settled moment of its own: no reader holds the store.

    Passports sort by when they were made, so what is made meanwhile comes at the end.
    """
    after = ""
    while True:
        async with store.view() as unit:
            found = await units(unit, recall, after)
        if found:
            yield found
            after = found[-1].passport
        if len(found) < CHUNK:
            return


async def releases(unit: Unit, recall_id: str) -> list[str]:
    """Those of which it meets a unit."""
    recall = recalls.value(await recalls.find(unit, recall_id))
    of = select(MakeRow.release).where(meets(recall)).distinct()
    return [*await unit.session.scalars(of)]


class Count(NamedTuple):
    units: int
    orders: int


async def count(unit: Unit, recall: Recall) -> Count:
    counted = select(func.count(), func.count(MakeRow.order_id.distinct())).where(meets(recall))
    return Count(*(await unit.session.execute(counted)).one())


def made(row: MakeRow) -> Made:
    return Made(
        row.release, row.part, row.file, row.material, row.lot, row.agent, row.machine,
        row.began_at, row.ended_at,
    )  # fmt: skip


async def of_make(unit: Unit, row: MakeRow) -> list[RecallRow]:
    """Every recall that meets this unit, lifted ones too, newest first."""
    return [
        recall
        for recall in await recalls.listed(unit)
        if model.affected(recalls.value(recall), made(row))
    ]


async def among(unit: Unit, made_ones: Iterable[MakeRow]) -> set[str]:
    """The passports of those that a recall in force meets."""
    standing = await recalls.in_force(unit)
    return {
        make.id for make in made_ones if any(model.affected(each, made(make)) for each in standing)
    }


class OfOrder(NamedTuple):
    recall: RecallRow
    passports: list[str]


async def of_order(unit: Unit, order_id: str) -> list[OfOrder]:
    """The recalls that meet units of an order, newest first, with those units."""
    rows = (await unit.session.scalars(select(MakeRow).where(MakeRow.order_id == order_id))).all()
    found = [
        OfOrder(row, [make.id for make in rows if model.affected(recalls.value(row), made(make))])
        for row in await recalls.listed(unit)
    ]
    return [each for each in found if each.passports]


# ── opening


class Preview(NamedTuple):
    """What a recall would meet now."""

    what: str
    units: int
    orders: int
    jobs: int


async def preview(unit: Unit, wish: Wish) -> Preview:
    scope, what = await recalls.scope_of(unit, wish)
    recall = Recall("r-none", scope, wish.reason, wish.todo, unit.now)
    counted = await count(unit, recall)
    jobs = [job async for job in _open_jobs(unit, recall)]
    return Preview(what, counted.units, counted.orders, len(jobs))


async def begin(unit: Unit, wish: Wish) -> RecallRow:
    """Open the recall: what is open stops as far as nobody has begun it, holders are to be told."""
    row = await recalls.open_one(unit, wish)
    recall = recalls.value(row)
    await _stop(unit, recall)
    await _notify(unit, recall)
    return row


async def _notify(unit: Unit, recall: Recall) -> None:
    """One row in the outbox for each order with such a unit that has none yet."""
    known = select(RecallNoticeRow.order_id).where(RecallNoticeRow.recall == recall.id)
    holders = (
        select(literal(recall.id), MakeRow.order_id, literal(unit.now, RecallNoticeRow.since.type))
        .where(meets(recall), MakeRow.order_id.not_in(known))
        .distinct()
    )
    columns = [RecallNoticeRow.recall, RecallNoticeRow.order_id, RecallNoticeRow.since]
    await unit.session.execute(insert(RecallNoticeRow).from_select(columns, holders))


async def note(unit: Unit, make: MakeRow) -> list[Recall]:
    """Recalls in force that meet a unit which was just made, or whose lot just became known."""
    found = [each for each in await recalls.in_force(unit) if model.affected(each, made(make))]
    for recall in found:
        if await unit.session.get(RecallNoticeRow, (recall.id, make.order_id)) is None:
            unit.session.add(
                RecallNoticeRow(recall=recall.id, order_id=make.order_id, since=unit.now)
            )
            await unit.session.flush()
        await unit.record("make.recalled", make.id, recall=recall.id, order=make.order_id)
    return found


async def require_none(unit: Unit, make: MakeRow) -> None:
    """Raise RecalledUnit for a part that a recall in force meets."""
    for recall in await recalls.in_force(unit):
        if model.affected(recall, made(make)):
            raise RecalledUnit(
                f"{make.id} is recalled ({recall.id}: {recall.reason}): it cannot be accepted. "
                "Say that it deviates, and keep it apart"
            )


# ── stopping


async def press(unit: Unit) -> None:
    """Stop what is open under recalls in force and could not be stopped before.

    For whoever looks again: labs that were waited for after a restore, spans that begin later.
    """
    for recall in await recalls.in_force(unit):
        await _stop(unit, recall)


async def waiting(unit: Unit) -> bool:
    """Whether there is anything for `press` to stop."""
    for recall in await recalls.in_force(unit):
        async for _ in _open_jobs(unit, recall):
            return True
    return False


async def stop_again(unit: Unit, job_id: str) -> None:
    """A job is wanted again: not if what it makes is recalled meanwhile."""
    standing = await recalls.in_force(unit)
    awaited = await census.missing(unit) if standing else ()
    for recall in standing:
        job = await orders.job(unit, job_id)
        if job.state == JobState.WANTED and await _forbidden(unit, recall, [job]):
            await _stop_job(unit, recall, job, awaited)


async def _stop(unit: Unit, recall: Recall) -> None:
    found = [job async for job in _open_jobs(unit, recall)]
    awaited = await census.missing(unit) if found else ()
    for job in found:
        await _stop_job(unit, recall, job, awaited)


async def _open_jobs(unit: Unit, recall: Recall) -> AsyncIterator[JobRow]:
    """Open jobs that a recall in force stops, in the order of their ids."""
    wanted = select(JobRow).where(JobRow.state.in_(_OPEN)).order_by(JobRow.id)
    match recall.scope:
        case OfReleases(releases=releases):
            for job in (
                await unit.session.scalars(wanted.where(JobRow.release.in_(releases)))
            ).all():
                yield job
        case OfPart(release=release, files=files):
            rows = wanted if files else wanted.where(JobRow.release == release)
            for job in await _forbidden(unit, recall, (await unit.session.scalars(rows)).all()):
                yield job
        case OfMachine() as span:
            there = wanted.where(JobRow.agent == span.agent, JobRow.machine == span.machine)
            for job in (await unit.session.scalars(there)).all():
                if await _under_way(unit, span, job):
                    yield job
        case OfLot():
            return  # which lot a job will be made of is known once it is made


async def _forbidden(unit: Unit, recall: Recall, jobs: Iterable[JobRow]) -> list[JobRow]:
    """Those of these jobs that make what is withdrawn."""
    files: dict[tuple[str, str], set[str]] = {}
    for job in jobs:
        if (job.release, job.part) not in files:
            part = (await catalogue.release(unit, job.release)).part(job.part)
            files[job.release, job.part] = recalls.files_of(part)
    return [
        job
        for job in jobs
        if model.forbids(recall, job.release, job.part, files[job.release, job.part])
    ]


async def _under_way(unit: Unit, span: OfMachine, job: JobRow) -> bool:
    """Whether what is planned, offered or begun there falls into the span, going by now."""
    began = unit.now
    if job.state == JobState.OFFERED and job.attempt:
        began = (await records.attempt(unit, job.attempt)).started_at or unit.now
    return span.meets(min(began, unit.now), unit.now)


async def _stop_job(unit: Unit, recall: Recall, job: JobRow, awaited: Sequence[str]) -> None:
    why = f"recall {recall.id}: {recall.reason}"
    attempt = await _attempt(unit, job)
    did = await _end_attempt(unit, attempt, why, awaited)
    if did is None and isinstance(recall.scope, OfMachine):
        if job.state == JobState.PLANNED:
            await orders.unplan_job(unit, job.id, why)
        did = Did.MOVED
    elif did is None:
        await orders.cancel_job(unit, job.id, why)
        did = Did.CANCELLED
    await _remember(unit, recall, job, attempt, did)


async def _attempt(unit: Unit, job: JobRow) -> AttemptRow | None:
    if job.state != JobState.OFFERED or job.attempt is None:
        return None
    return await records.attempt(unit, job.attempt)


async def _end_attempt(
    unit: Unit, attempt: AttemptRow | None, why: str, awaited: Sequence[str]
) -> Did | None:
    """None: nothing is or may be under way any more, the job itself can be moved.

    While labs are awaited after a restore nobody knows what they began of a job that looks idle
    here; nothing starts meanwhile, so it can wait.
    """
    if attempt is None:
        return Did.WAITS if awaited else None
    free = attempt.state in dispatch_model.FREE
    if attempt.agent in awaited or (free and awaited):
        return Did.WAITS
    await dispatch.stop(unit, attempt.id, why)
    return None if free else Did.ASKED


async def _remember(
    unit: Unit, recall: Recall, job: JobRow, attempt: AttemptRow | None, did: Did
) -> None:
    row = await unit.session.get(RecallJobRow, (recall.id, job.id))
    if row is None:
        row = RecallJobRow(recall=recall.id, job=job.id)
        unit.session.add(row)
    elif row.did == did:
        return
    row.did, row.at, row.attempt = did, unit.now, attempt and attempt.id
    await unit.session.flush()


@dataclass(frozen=True)
class StoppedJob:
    """What a recall did about a job, and how the job and its attempt really stand."""

    job: str
    order: str
    part: str | None
    did: str
    at: datetime
    state: str
    attempt: str | None
    attempt_state: str | None
    agent: str | None
    machine: str | None


async def jobs(unit: Unit, recall_id: str) -> dict[StoppedJob, str]:
    """In the order in which they were met, with the release that each is of."""
    rows = await unit.session.execute(
        select(RecallJobRow, JobRow, AttemptRow)
        .join(JobRow, JobRow.id == RecallJobRow.job)
        .outerjoin(AttemptRow, AttemptRow.id == RecallJobRow.attempt)
        .where(RecallJobRow.recall == recall_id)
        .order_by(RecallJobRow.at, RecallJobRow.job)
    )
    return {
        StoppedJob(
            job.id, job.order_id, job.part, did.did, did.at, job.state, did.attempt,
            attempt and attempt.state, attempt and attempt.agent, attempt and attempt.machine,
        ): job.release
        for did, job, attempt in rows
    }  # fmt: skip


# ── the holders


@dataclass(frozen=True)
class Holder:
    """Whose order has units of a recall: personal data, for the operator alone."""

    order: str
    name: str
    contact: str
    units: int
    since: datetime
    told_at: datetime | None
    told_how: str | None


async def holders(unit: Unit, recall: Recall) -> list[Holder]:
    counted = (
        select(MakeRow.order_id, func.count().label("units"))
        .where(meets(recall))
        .group_by(MakeRow.order_id)
        .subquery()
    )
    rows = await unit.session.execute(
        select(RecallNoticeRow, OrderRow.maker_name, OrderRow.maker_contact, counted.c.units)
        .join(OrderRow, OrderRow.id == RecallNoticeRow.order_id)
        .join(counted, counted.c.order_id == RecallNoticeRow.order_id)
        .where(RecallNoticeRow.recall == recall.id)
        .order_by(RecallNoticeRow.order_id)
    )
    return [
        Holder(row.order_id, name, contact, many, row.since, row.told_at, row.told_how)
        for row, name, contact, many in rows
    ]


async def told(unit: Unit, recall_id: str, order_id: str, how: str) -> None:
    """Somebody told the holder of an order; raises KeyError where no unit of it is recalled."""
    row = await unit.session.get(RecallNoticeRow, (recall_id, order_id))
    if row is None:
        raise KeyError(f"order {order_id} with units of recall {recall_id}")
    row.told_at, row.told_how = unit.now, how
    await unit.session.flush()
    await unit.record("recall.told", recall_id, order=order_id)
