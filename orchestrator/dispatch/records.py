"""The rows of attempts: read, and changed as `decide` says, in the transaction of the caller."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, select, update

from fablab_agents.protocol.attempts import LIVE, State
from fablab_agents.protocol.messages import Report
from orchestrator.dispatch import outbox
from orchestrator.dispatch.decide import Effect, Moved, Noted, Recorded, Told
from orchestrator.dispatch.model import ForJob, Known
from orchestrator.dispatch.tables import AttemptJobRow, AttemptRow, UpRow
from orchestrator.orders import service as orders
from orchestrator.orders.model import JobState
from orchestrator.store import Unit


class NoSuchAttempt(Exception):
    """There is no attempt with this id."""


class Raced(Exception):
    """Somebody else moved this attempt first; load it again and decide anew."""


# ── reading


async def attempt(unit: Unit, attempt_id: str) -> AttemptRow:
    row = await unit.session.get(AttemptRow, attempt_id)
    if row is None:
        raise NoSuchAttempt(f"there is no attempt {attempt_id}")
    return row


def known(row: AttemptRow) -> Known:
    return Known(
        row.id, row.agent, row.machine, row.fence, State(row.state), row.not_after, row.down_seq,
        row.ticket, row.program, row.nonce, row.boot, row.grant, row.granted_at, row.window_s,
        row.stop_why, row.started_at, row.in_doubt_since, row.evidence,
    )  # fmt: skip


async def attempts_of_job(unit: Unit, job_id: str) -> Sequence[AttemptRow]:
    """All tries of a job, first to last."""
    return (await attempts_of_jobs(unit, [job_id])).get(job_id, [])


async def attempts_of_jobs(unit: Unit, job_ids: Iterable[str]) -> dict[str, list[AttemptRow]]:
    """By job id: all its tries, first to last."""
    rows = await unit.session.execute(
        select(AttemptJobRow.job, AttemptRow)
        .join(AttemptRow, AttemptRow.id == AttemptJobRow.attempt)
        .where(AttemptJobRow.job.in_(list(job_ids)))
        .order_by(AttemptRow.offered_at, AttemptRow.id)
    )
    found: dict[str, list[AttemptRow]] = {}
    for job_id, row in rows.all():
        found.setdefault(job_id, []).append(row)
    return found


async def jobs_of_attempt(unit: Unit, attempt_id: str) -> list[str]:
    jobs = select(AttemptJobRow.job).where(AttemptJobRow.attempt == attempt_id)
    return sorted(await unit.session.scalars(jobs))


async def live(unit: Unit, agent: str | None = None) -> Sequence[AttemptRow]:
    """Attempts that have not ended; of one agent, or all."""
    rows = select(AttemptRow).where(AttemptRow.state.in_(LIVE)).order_by(AttemptRow.id)
    if agent is not None:
        rows = rows.where(AttemptRow.agent == agent)
    return (await unit.session.scalars(rows)).all()


async def live_of_job(unit: Unit, job_id: str) -> Sequence[str]:
    rows = select(AttemptJobRow.attempt).where(AttemptJobRow.job == job_id, AttemptJobRow.live)
    return (await unit.session.scalars(rows)).all()


async def reports(unit: Unit, attempt_id: str) -> list[Report]:
    """What the shop said of the attempt, in its order."""
    rows = select(UpRow.body).where(UpRow.attempt == attempt_id).order_by(UpRow.agent, UpRow.seq)
    return [Report.model_validate_json(body) for body in await unit.session.scalars(rows)]


async def finished_at(unit: Unit, attempt_id: str) -> datetime | None:
    """When the attempt was finished by the shop's own clock; None where no report says it."""
    said = [each.at for each in await reports(unit, attempt_id) if each.state is State.FINISHED]
    return said[-1] if said else None


async def may_read(unit: Unit, agent: str, sha256: str) -> bool:
    """Whether a live offer to this agent names the file."""
    naming = select(func.count()).where(
        AttemptRow.agent == agent, AttemptRow.file == sha256, AttemptRow.state.in_(LIVE)
    )
    return bool(await unit.session.scalar(naming))


# ── changing


async def perform(unit: Unit, effects: Iterable[Effect]) -> None:
    """All of it in the caller's transaction; raises Raced when somebody else was first."""
    for effect in effects:
        match effect:
            case Noted(name, values):
                row = await attempt(unit, name)
                for column, value in values.items():
                    setattr(row, column, value)
                await unit.session.flush()
            case Moved():
                await _move(unit, effect)
            case Told(agent, name, message, offers):
                seq = await outbox.put(unit, agent, name, message)
                if offers:
                    (await attempt(unit, name)).down_seq = seq
            case Recorded(kind, subject, words, seldom=True):
                await unit.record_seldom(kind, subject, **words)
            case Recorded(kind, subject, words):
                await unit.record(kind, subject, **words)


async def _move(unit: Unit, moved: Moved) -> None:
    """Compare-and-swap: whoever read an older version writes nothing and is told."""
    row = await attempt(unit, moved.attempt)
    await unit.session.flush()
    written = await unit.session.execute(
        update(AttemptRow)
        .where(AttemptRow.id == row.id, AttemptRow.version == row.version)
        .values(version=row.version + 1, **moved.values)
        .execution_options(synchronize_session=False)
    )
    if written.rowcount != 1:  # pyright: ignore[reportAttributeAccessIssue]
        raise Raced(f"attempt {row.id} was moved by somebody else")
    await unit.session.refresh(row)
    if moved.for_job is not None:
        await _end_jobs(unit, row, moved.for_job)


async def _end_jobs(unit: Unit, row: AttemptRow, meaning: ForJob) -> None:
    for job_id in await jobs_of_attempt(unit, row.id):
        await unit.session.execute(
            update(AttemptJobRow)
            .where(AttemptJobRow.attempt == row.id, AttemptJobRow.job == job_id)
            .values(live=False)
        )
        job = await orders.job(unit, job_id)
        if job.state == JobState.OFFERED and job.attempt == row.id:
            await _end_job(unit, job_id, row, meaning)


async def _end_job(unit: Unit, job_id: str, row: AttemptRow, meaning: ForJob) -> None:
    if meaning is ForJob.MADE:
        await orders.job_made(unit, job_id, row.id)
        return
    elsewhere = meaning is ForJob.AGAIN_ELSEWHERE
    await orders.job_wanted_again(
        unit,
        job_id,
        row.cause or f"the attempt was {row.state}",
        avoid=f"{row.agent}/{row.machine}" if elsewhere else None,
        counts=meaning is ForJob.AGAIN,
    )
