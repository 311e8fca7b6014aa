"""Loads, decides and saves orders and jobs; every change and its event share one transaction.

It never talks to labs or machines: planning and dispatch move jobs through these doors.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select, update

from orchestrator.catalogue import service as catalogue
from orchestrator.grants import service as grants
from orchestrator.grants.service import Ordered
from orchestrator.orders import model
from orchestrator.orders.model import JobState, Maker, OrderState, Quoted
from orchestrator.orders.tables import JobRow, OrderRow
from orchestrator.recalls import service as recalls
from orchestrator.store import Unit, new_id


class OrderRefused(Exception):
    """An order that cannot be placed or changed; the message says why and what to do."""


class Raced(Exception):
    """Somebody else moved this job first; load it again and decide anew."""


@dataclass(frozen=True)
class Confirmation:
    """What the maker agreed to: the hash of the text they saw, and their own signature if any.

    `proof`: known to them alone, so that the same request sent again is known as theirs.
    """

    maker: Maker
    text_sha256: str
    signature: str | None = None
    due_at: datetime | None = None
    proof: str = field(default_factory=secrets.token_urlsafe)


Seal = Callable[[bytes], str]


async def place(unit: Unit, quoted: Quoted, confirmation: Confirmation, seal: Seal) -> OrderRow:
    """Place the order and its jobs; of a quote that was ordered, the order, whoever asks.

    It tells nobody whether they guessed who ordered: `placed_by` says whose it is.
    """
    placed = await of_quote(unit, quoted.id)
    if placed is not None:
        return placed
    text = _agreed_text(unit, quoted, confirmation)
    if no := await recalls.against(unit, quoted.release, [item.part for item in quoted.items]):
        raise OrderRefused(no)
    release = await catalogue.release(unit, quoted.release)
    order = OrderRow(
        id=new_id("o"),
        state=OrderState.PLACED,
        quote_id=quoted.id,
        release=quoted.release,
        title=quoted.title,
        quantity=quoted.quantity,
        lat=quoted.lat,
        lon=quoted.lon,
        due_at=confirmation.due_at,
        quoted=quoted.model_dump_json(),
        total_minor=quoted.total_minor,
        currency=quoted.currency,
        policy_version=quoted.policy_version,
        maker_name=confirmation.maker.name,
        maker_contact=confirmation.maker.contact,
        confirmation=text,
        confirmation_sha256=model.digest(text),
        signature=confirmation.signature,
        seal=_sealed(model.digest(text), unit.now, confirmation.proof, seal),
        placed_at=unit.now,
    )
    unit.session.add(order)
    await unit.session.flush()
    parts = [
        Ordered(item.part, item.agent, item.quantity, frozenset(x.number for x in item.grants))
        for item in quoted.items
    ]
    await grants.use(unit, order.id, release, parts)
    await unit.record(
        "order.placed", order.id, release=order.release, total_minor=order.total_minor
    )
    await _want_jobs(unit, order, quoted)
    return order


def placed_by(order: OrderRow, confirmation: Confirmation, seal: Seal) -> bool:
    """Whether this order was placed with the proof that is given now."""
    sealed = _sealed(order.confirmation_sha256, order.placed_at, confirmation.proof, seal)
    return secrets.compare_digest(sealed.encode(), order.seal.encode())


def _sealed(text_sha256: str, placed_at: datetime, proof: str, seal: Seal) -> str:
    return seal(f"{text_sha256} {placed_at.isoformat()} {model.digest(proof)}".encode())


def _agreed_text(unit: Unit, quoted: Quoted, confirmation: Confirmation) -> str:
    if quoted.valid_until < unit.now:
        raise OrderRefused("this quote has expired: ask for a new one, prices may have changed")
    text = model.confirmation_text(quoted, confirmation.maker.name)
    if model.digest(text) != confirmation.text_sha256:
        raise OrderRefused(
            "the confirmed text is not the text of this quote: read the quote again and confirm it"
        )
    return text


async def _want_jobs(unit: Unit, order: OrderRow, quoted: Quoted) -> None:
    pieces = model.pieces(quoted)
    waits = model.waits_for([piece.part for piece in pieces], quoted.first_article)
    jobs = [new_id("j") for _ in pieces]
    for job_id, piece, first in zip(jobs, pieces, waits, strict=True):
        job = JobRow(
            id=job_id,
            order_id=order.id,
            release=quoted.release,
            part=piece.part,
            process=piece.process,
            material=piece.material,
            thickness_mm=piece.thickness_mm,
            quality=piece.quality,
            quantity=1,
            after=[] if first is None else [jobs[first]],
            state=JobState.WANTED,
            why="" if first is None else model.AFTER_THE_FIRST,
            avoid=[],
            estimate_s=piece.estimate_s,
            price_minor=piece.minor,
            lat=order.lat,
            lon=order.lon,
            due_at=order.due_at,
            wanted_at=unit.now,
        )
        unit.session.add(job)
        await unit.session.flush()
        await unit.record("job.wanted", job.id, order=order.id, part=job.part)


async def order(unit: Unit, order_id: str) -> OrderRow | None:
    return await unit.session.get(OrderRow, order_id)


async def of_quote(unit: Unit, quote_id: str) -> OrderRow | None:
    return await unit.session.scalar(select(OrderRow).where(OrderRow.quote_id == quote_id))


async def orders(unit: Unit, most: int = 100) -> Sequence[OrderRow]:
    newest = select(OrderRow).order_by(OrderRow.placed_at.desc(), OrderRow.id).limit(most)
    return (await unit.session.scalars(newest)).all()


async def jobs_of(unit: Unit, order_id: str) -> Sequence[JobRow]:
    """In the order of the quote."""
    rows = select(JobRow).where(JobRow.order_id == order_id).order_by(JobRow.id)
    return (await unit.session.scalars(rows)).all()


async def job(unit: Unit, job_id: str) -> JobRow:
    """The job as it stands now; raises KeyError for an unknown id."""
    row = await find_job(unit, job_id)
    if row is None:
        raise KeyError(job_id)
    return row


async def find_job(unit: Unit, job_id: str) -> JobRow | None:
    return await unit.session.get(JobRow, job_id, populate_existing=True)


async def wanted_jobs(unit: Unit) -> Sequence[JobRow]:
    """Jobs that wait for a machine and whose earlier operations have been received."""
    rows = (
        await unit.session.scalars(
            select(JobRow)
            .where(JobRow.state == JobState.WANTED)
            .order_by(JobRow.wanted_at, JobRow.id)
        )
    ).all()
    earlier = {job_id for row in rows for job_id in row.after}
    received = set(
        await unit.session.scalars(
            select(JobRow.id).where(JobRow.id.in_(earlier), JobRow.state == JobState.RECEIVED)
        )
    )
    return [row for row in rows if set(row.after) <= received]


async def planned_jobs(unit: Unit) -> Sequence[JobRow]:
    rows = (
        select(JobRow).where(JobRow.state == JobState.PLANNED).order_by(JobRow.wanted_at, JobRow.id)
    )
    return (await unit.session.scalars(rows)).all()


async def plan_job(unit: Unit, job_id: str, agent: str, machine: str) -> None:
    """Give it a place; raises IllegalMove while a job that it comes after is not received."""
    row = await job(unit, job_id)
    for earlier in row.after:
        if (await job(unit, earlier)).state != JobState.RECEIVED:
            raise model.IllegalMove(f"job {job_id} waits until {earlier} has been received")
    await _move(unit, row, JobState.PLANNED, agent=agent, machine=machine)


async def unplan_job(unit: Unit, job_id: str, why: str) -> None:
    row = await job(unit, job_id)
    if row.state != JobState.PLANNED:
        raise model.IllegalMove(f"a job that is {row.state} has no plan to take back")
    await _move(unit, row, JobState.WANTED, agent=None, machine=None, why=why)


async def offer_job(unit: Unit, job_id: str, attempt: str, epoch: int = 1) -> int:
    """Bind the planned job to a new attempt; returns its fence, higher than any before."""
    row = await job(unit, job_id)
    fence = model.next_fence(row.fence, epoch)
    await _move(
        unit, row, JobState.OFFERED, attempt=attempt, fence=fence, tries=row.tries + 1, why=""
    )
    return fence


async def adopt_job(
    unit: Unit, job_id: str, attempt: str, fence: int, agent: str, machine: str
) -> None:
    """Bind a job to an attempt that was made for it before this store was put back."""
    row = await job(unit, job_id)
    if row.state == JobState.OFFERED:
        await job_wanted_again(unit, job_id, "a later attempt is known at a lab", counts=False)
    if row.state == JobState.PLANNED:
        await unplan_job(unit, job_id, "an attempt is known at a lab")
    await _move(unit, row, JobState.PLANNED, agent=agent, machine=machine)
    await _move(
        unit, row, JobState.OFFERED, attempt=attempt, fence=fence, tries=row.tries + 1, why=""
    )


async def job_wanted_again(
    unit: Unit, job_id: str, why: str, *, avoid: str | None = None, counts: bool = True
) -> None:
    """The attempt ended without a part.

    `avoid` names an "agent/machine" that will not be asked again; `counts` is False where
    nothing was tried (withdrawn, refused before any work).
    """
    row = await job(unit, job_id)
    tries = row.tries if counts else max(0, row.tries - 1)
    await _move(
        unit,
        row,
        model.after_failure(tries),
        attempt=None,
        agent=None,
        machine=None,
        tries=tries,
        why=why,
        avoid=sorted({*row.avoid, avoid}) if avoid else row.avoid,
    )


async def job_made(unit: Unit, job_id: str, attempt: str) -> None:
    row = await job(unit, job_id)
    if row.attempt != attempt:
        raise Raced(f"job {job_id} belongs to attempt {row.attempt}, not to {attempt}")
    await _move(unit, row, JobState.MADE, made_at=unit.now)


async def await_person(unit: Unit, job_id: str, why: str) -> None:
    """The part is made and somebody has to judge it: say why on the job."""
    row = await job(unit, job_id)
    row.why = why
    await unit.session.flush()
    await unit.record("job.awaits_person", job_id, order=row.order_id, why=why)


async def job_received(unit: Unit, job_id: str) -> None:
    await _move(unit, await job(unit, job_id), JobState.RECEIVED)


async def try_again(unit: Unit, job_id: str) -> None:
    """A person gives an abandoned job a fresh set of tries, with no machine avoided."""
    row = await job(unit, job_id)
    if row.state != JobState.ABANDONED:
        raise OrderRefused(f"job {job_id} is {row.state}: only an abandoned job is tried again")
    await _move(unit, row, JobState.WANTED, tries=0, avoid=[], why="tried again by a person")


async def cancel_job(unit: Unit, job_id: str, why: str) -> None:
    await _move(unit, await job(unit, job_id), JobState.CANCELLED, why=why)


async def hand_over(unit: Unit, order_id: str) -> None:
    """The maker has the parts in hand."""
    row = await order(unit, order_id)
    if row is None:
        raise KeyError(order_id)
    await _move_order(unit, row, model.move_order(OrderState(row.state), OrderState.HANDED_OVER))
    row.handed_over_at = unit.now


async def _move(unit: Unit, row: JobRow, to: JobState, **changes: object) -> None:
    model.move_job(JobState(row.state), to)
    moved = await unit.session.execute(
        update(JobRow)
        .where(JobRow.id == row.id, JobRow.version == row.version)
        .values(state=to, version=row.version + 1, **changes)
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:  # pyright: ignore[reportAttributeAccessIssue]
        raise Raced(f"job {row.id} was moved by somebody else")
    await unit.session.refresh(row)
    await unit.record(f"job.{to}", row.id, order=row.order_id, part=row.part, why=row.why)
    await _fold_order(unit, row.order_id)


async def _fold_order(unit: Unit, order_id: str) -> None:
    row = await unit.session.get_one(OrderRow, order_id)
    states = [JobState(job.state) for job in await jobs_of(unit, order_id)]
    folded = model.fold(OrderState(row.state), states)
    if folded != row.state:
        await _move_order(unit, row, folded)


async def _move_order(unit: Unit, row: OrderRow, to: OrderState) -> None:
    row.state = to
    row.version += 1
    await unit.session.flush()
    await unit.record(f"order.{to}", row.id)
