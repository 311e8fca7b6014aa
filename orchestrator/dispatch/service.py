"""Offers, grants, reports and doubts: each a change, its event and its message in one transaction.

It never talks to the broker: what is to be sent stands in the outbox, what to answer is returned.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select, update

from designs.design import Part, Release
from fablab_agents.protocol import attempts
from fablab_agents.protocol.attempts import LIVE, TERMINAL, Actor, State
from fablab_agents.protocol.messages import (
    AttemptStatus,
    Claim,
    Denied,
    DownAck,
    Granted,
    Hello,
    Offer,
    Progress,
    Report,
    Stop,
    Welcome,
    Withdraw,
)
from fablab_agents.protocol.tickets import Grant, Recipe, Ticket
from orchestrator.catalogue import service as catalogue
from orchestrator.dispatch import model, outbox
from orchestrator.dispatch.model import ForJob, Silence
from orchestrator.dispatch.signing import Signer
from orchestrator.dispatch.tables import AttemptJobRow, AttemptRow, LinkRow, UpRow
from orchestrator.labs import service as labs
from orchestrator.labs.model import Session
from orchestrator.labs.service import MachineStanding
from orchestrator.labs.tables import AgentRow
from orchestrator.orders import service as orders
from orchestrator.orders.model import JOB_ENDS, JobState
from orchestrator.orders.tables import JobRow
from orchestrator.planning import service as planning
from orchestrator.store import Unit, new_id


class NoSuchAttempt(Exception):
    """There is no attempt with this id."""


class Raced(Exception):
    """Somebody else moved this attempt first; load it again and decide anew."""


class NothingToCancel(Exception):
    """Every part of the order is being made, made, or given up already."""


@dataclass(frozen=True)
class Cancelled:
    """Jobs of an order that were cancelled, and those that machines had begun."""

    cancelled: tuple[str, ...]
    kept: tuple[str, ...]


class NotInDoubt(Exception):
    """Only an attempt of which nobody knows whether it started can be given up by its maker."""


# ── offers


async def offer(unit: Unit, signer: Signer, job: JobRow, on: MachineStanding) -> AttemptRow:
    """Offer a planned job to the machine it is planned on: attempt, ticket, message, event."""
    release = await catalogue.release(unit, job.release)
    part = release.part(job.part)
    if part is None:
        raise LookupError(f"release {job.release} has no part {job.part}")
    attempt_id = new_id("a")
    fence = await orders.offer_job(unit, job.id, attempt_id)
    ticket = _ticket(unit.now, attempt_id, fence, on, job, release, part)
    signed = signer.sign(ticket)
    row = AttemptRow(
        id=attempt_id,
        agent=on.agent,
        machine=on.machine.machine,
        fence=fence,
        state=State.OFFERED,
        release=job.release,
        part=job.part,
        quantity=job.quantity,
        file=part.file_sha256,
        estimate_s=job.estimate_s,
        ticket=signed,
        down_seq=0,
        offered_at=unit.now,
        not_after=ticket.not_after,
        simulated=on.machine.simulated,
    )
    unit.session.add(row)
    await unit.session.flush()
    unit.session.add(AttemptJobRow(attempt=attempt_id, job=job.id))
    row.down_seq = await outbox.put(
        unit, on.agent, attempt_id, lambda seq: Offer(seq=seq, ticket=signed)
    )
    await unit.record(
        "attempt.offered", attempt_id, job=job.id, agent=on.agent, machine=on.machine.machine
    )
    return row


def _ticket(
    now: datetime,
    attempt: str,
    fence: int,
    on: MachineStanding,
    job: JobRow,
    release: Release,
    part: Part,
) -> Ticket:
    size = next(file.size_bytes for file in release.files if file.sha256 == part.file_sha256)
    return Ticket(
        agent=on.agent,
        machine=on.machine.machine,
        attempt=attempt,
        fence=fence,
        issued_at=now,
        jobs=(job.id,),
        release=job.release,
        design=release.design,
        version=release.version,
        part=part.name,
        file=part.file_sha256,
        file_bytes=size,
        format=part.format,
        quantity=job.quantity,
        recipe=Recipe.model_validate(
            {
                "process": job.process,
                "material": job.material,
                "thickness_mm": job.thickness_mm,
                "quality": job.quality,
            }
        ),
        estimate_s=job.estimate_s,
        not_after=now + model.OFFER_LIFE,
    )


async def offerable(
    unit: Unit, without: Container[str] = ()
) -> list[tuple[JobRow, MachineStanding]]:
    """The next planned job of every machine that is there and has no live attempt.

    `without` names jobs that cannot be offered; the next behind them has its turn.
    """
    planned = await _in_turn(unit, await orders.planned_jobs(unit))
    if not planned:
        return []
    standings = {standing.id: standing for standing in await labs.machines(unit)}
    taken = await busy_machines(unit)
    found: list[tuple[JobRow, MachineStanding]] = []
    for job in planned:
        standing = standings.get(f"{job.agent}/{job.machine}")
        if job.id in without or standing is None or standing.id in taken:
            continue
        if _takes_offers(standing):
            taken.add(standing.id)
            found.append((job, standing))
    return found


async def _in_turn(unit: Unit, planned: Sequence[JobRow]) -> list[JobRow]:
    """As the plan has them, one after the other."""
    spots = await planning.assignments(unit, [job.id for job in planned])
    late = datetime.max.replace(tzinfo=UTC)

    def turn(job: JobRow) -> datetime:
        spot = spots.get(job.id)
        return spot.start_at if spot and spot.start_at else late

    return sorted(planned, key=turn)


async def offer_planned(unit: Unit, signer: Signer, without: Container[str] = ()) -> list[str]:
    """Offer what can be offered now; the attempts' ids."""
    return [(await offer(unit, signer, *each)).id for each in await offerable(unit, without)]


async def offer_one(unit: Unit, signer: Signer, job_id: str, without: Container[str]) -> None:
    """Offer this job if it still can be offered."""
    for job, on in await offerable(unit, without):
        if job.id == job_id:
            await offer(unit, signer, job, on)


def _takes_offers(standing: MachineStanding) -> bool:
    machine = standing.machine
    return standing.reachable and machine.offered and machine.condition not in {"offline", "fault"}


async def busy_machines(unit: Unit) -> set[str]:
    """`agent/machine` of every live attempt."""
    live = select(AttemptRow.agent, AttemptRow.machine).where(AttemptRow.state.in_(LIVE))
    return {f"{row.agent}/{row.machine}" for row in await unit.session.execute(live)}


async def withdraw(unit: Unit, attempt_id: str, why: str) -> None:
    """Take an offer back that nothing can have started from."""
    row = await attempt(unit, attempt_id)
    await _move(unit, row, State.WITHDRAWN, Actor.ORCHESTRATOR, cause=why)
    await outbox.put(
        unit,
        row.agent,
        row.id,
        lambda seq: Withdraw(seq=seq, attempt=row.id, fence=row.fence, why=why),
    )


async def stop(unit: Unit, attempt_id: str, why: str) -> None:
    """End the attempt if it can be ended: an offer is withdrawn, a machine is asked to stop."""
    row = await attempt(unit, attempt_id)
    if row.state in model.FREE:
        await withdraw(unit, attempt_id, why)
        return
    if row.state in TERMINAL or row.stop_why is not None:
        return
    row.stop_why = why
    await outbox.put(
        unit,
        row.agent,
        row.id,
        lambda seq: Stop(seq=seq, attempt=row.id, fence=row.fence, why=why),
    )
    await unit.record("attempt.stop_wanted", row.id, agent=row.agent)


async def give_up(unit: Unit, attempt_id: str, consent: str) -> None:
    """The maker would rather risk a second part than wait: the old fence is closed for ever."""
    row = await attempt(unit, attempt_id)
    if row.state != State.UNKNOWN:
        raise NotInDoubt(f"attempt {attempt_id} is {row.state}; only an unknown one is given up")
    row.consent = consent
    await _move(unit, row, State.SUPERSEDED, Actor.MAKER, cause="the maker accepts a duplicate")


# ── claims


async def claim(unit: Unit, signer: Signer, agent: str, asked: Claim) -> Granted | Denied | None:
    """Answer a claim; None is silence: the agent asks again when its reports have come through."""
    row = await unit.session.get(AttemptRow, asked.attempt)
    judged = model.judge_claim(_claimed(row), agent, asked, unit.now)
    if judged.answer == "wait" or row is None:
        return None if row is not None else _denied(asked, judged.why)
    if judged.answer == "deny":
        return _denied(asked, judged.why)
    if judged.answer == "repeat" and row.grant is not None:
        return Granted(grant=row.grant)
    return await _grant(unit, signer, row, asked)


async def _grant(unit: Unit, signer: Signer, row: AttemptRow, asked: Claim) -> Granted:
    standing = await labs.machine(unit, row.agent, row.machine)
    window_s = model.window_s(attended=standing is None or standing.machine.attended)
    signed = signer.sign(
        Grant(
            agent=row.agent,
            machine=row.machine,
            attempt=row.id,
            fence=row.fence,
            issued_at=unit.now,
            nonce=asked.nonce,
            boot=asked.boot,
            program=asked.program,
            window_s=window_s,
        )
    )
    if row.state != State.GRANTED:
        attempts.move(State(row.state), State.GRANTED, Actor.ORCHESTRATOR)
    await _write(
        unit,
        row,
        state=State.GRANTED,
        nonce=asked.nonce,
        boot=asked.boot,
        grant=signed,
        granted_at=unit.now,
        window_s=window_s,
    )
    await unit.record("attempt.granted", row.id, agent=row.agent, machine=row.machine)
    return Granted(grant=signed)


def _claimed(row: AttemptRow | None) -> model.Claimed | None:
    if row is None:
        return None
    return model.Claimed(
        row.agent,
        row.machine,
        row.fence,
        State(row.state),
        row.program,
        row.nonce,
        row.stop_why,
        row.not_after,
    )


def _denied(asked: Claim, why: str) -> Denied:
    return Denied(attempt=asked.attempt, nonce=asked.nonce, why=why)


# ── what agents say


async def hello(unit: Unit, agent: str, said: Hello) -> Welcome:
    """Compare notes with an agent that has just connected."""
    link = await outbox.link(unit, agent)
    # Numbers are never used twice, also not after our database came back from an older copy.
    link.down_head = max(link.down_head, said.acked_down)
    link.down_acked = said.acked_down
    await labs.heard(unit, agent, said.boot, said.version)
    await labs.machines_said(unit, agent, said.machines)
    if said.head_seq < link.up_acked:
        await unit.record("agent.journal_lost", agent, ours=link.up_acked, theirs=said.head_seq)
    elif said.head_seq == link.up_acked:
        await _miss(unit, agent, said.attempts, link)
    await outbox.send_again(unit, agent)
    return Welcome(boot=said.boot, acked_up=link.up_acked)


async def _miss(unit: Unit, agent: str, said: Iterable[AttemptStatus], link: LinkRow) -> None:
    listed = {status.attempt for status in said}
    for row in await _live_of(unit, agent):
        silence = model.forgotten(
            State(row.state),
            listed=row.id in listed,
            offer_stored=row.down_seq <= link.down_acked,
            all_heard=True,
        )
        await _take_silence(unit, row, silence, "the lab's agent no longer knows this attempt")


async def report(unit: Unit, agent: str, said: Report) -> DownAck | Welcome:
    """Fold in one report, once and in order; a gap is answered with what we have."""
    link = await outbox.link(unit, agent)
    if said.seq > link.up_acked + 1:
        return Welcome(boot=said.boot, acked_up=link.up_acked)
    if said.seq == link.up_acked + 1:
        _keep(unit, agent, said)
        link.up_acked = said.seq
        await labs.heard(unit, agent, said.boot)
        await _fold(unit, agent, said)
    return DownAck(seq=max(1, link.up_acked))


async def shelve(unit: Unit, agent: str, said: Report) -> DownAck:
    """Keep a report that could not be folded in, and tell it, for a person to look at."""
    link = await outbox.link(unit, agent)
    if said.seq == link.up_acked + 1:
        _keep(unit, agent, said)
        link.up_acked = said.seq
        await unit.record("report.shelved", said.attempt, agent=agent, seq=said.seq)
    return DownAck(seq=max(1, link.up_acked))


def _keep(unit: Unit, agent: str, said: Report) -> None:
    unit.session.add(
        UpRow(
            agent=agent,
            seq=said.seq,
            attempt=said.attempt,
            body=said.model_dump_json(),
            received_at=unit.now,
        )
    )


async def _fold(unit: Unit, agent: str, said: Report) -> None:
    row = await unit.session.get(AttemptRow, said.attempt)
    if row is None or row.agent != agent or row.fence != said.fence:
        await unit.record("attempt.stray", said.attempt, agent=agent, state=said.state)
        return
    folded = model.fold(State(row.state), said.state)
    if folded.surprise:
        await unit.record("attempt.surprise", row.id, ours=row.state, theirs=said.state)
    _note(row, said)
    if folded.to != row.state:
        by = Actor.PERSON if said.person and row.state == State.UNKNOWN else Actor.AGENT
        await _turn(unit, row, folded.to, by)
    await unit.session.flush()


def _note(row: AttemptRow, said: Report) -> None:
    """Keep what the report tells, whatever it does to the state."""
    row.cause = said.cause or row.cause
    row.person = said.person or row.person
    row.minutes = said.minutes if said.minutes is not None else row.minutes
    row.machine_s = said.machine_s if said.machine_s is not None else row.machine_s
    row.evidence = {**row.evidence, **said.evidence}
    if said.program is not None:
        row.program = said.program.sha256
        row.program_facts = said.program.model_dump(mode="json")
    if said.state is State.STAGED:
        row.staged_at = said.at
    if said.state in {State.STARTING, State.RUNNING}:
        row.started_at = row.started_at or said.at


async def progress(unit: Unit, said: Iterable[tuple[str, Progress]]) -> None:
    """The newest telemetry of running attempts, by agent."""
    for agent, each in said:
        await unit.session.execute(
            update(AttemptRow)
            .where(
                AttemptRow.id == each.attempt,
                AttemptRow.agent == agent,
                AttemptRow.state.in_(model.MOVING),
            )
            .values(
                fraction=each.fraction,
                line=each.line,
                temperatures_c={k: list(v) for k, v in each.temperatures_c.items()},
                progress_at=unit.now,
            )
        )


# ── silence


async def note_silence(unit: Unit) -> None:
    """Take back offers to agents that are away; doubt what was granted to silent ones."""
    await labs.note_silence(unit)
    rows = await unit.session.execute(
        select(AttemptRow, AgentRow.session)
        .join(AgentRow, AgentRow.id == AttemptRow.agent)
        .where(AttemptRow.state.in_(LIVE - {State.UNKNOWN}))
        .order_by(AttemptRow.id)
    )
    for row, session in rows.all():
        waiting = model.Waiting(
            state=State(row.state),
            online=session == Session.ONLINE,
            away=session in {Session.AWAY, Session.RETIRED},
            granted_at=row.granted_at,
            window_s=row.window_s,
            not_after=row.not_after,
        )
        silence = model.after_silence(waiting, unit.now)
        await _take_silence(unit, row, silence, "the lab's agent is not heard any more")


async def _take_silence(unit: Unit, row: AttemptRow, silence: Silence, why: str) -> None:
    if silence is Silence.WITHDRAW:
        await withdraw(unit, row.id, why)
    elif silence is Silence.DOUBT:
        await _move(unit, row, State.UNKNOWN, Actor.ORCHESTRATOR, cause=why)


async def cancel_order(unit: Unit, order_id: str, why: str) -> Cancelled:
    """Cancel what no machine has begun; parts that are being made or are made stay ordered."""
    if await orders.order(unit, order_id) is None:
        raise KeyError(order_id)
    cancelled, kept = list[str](), list[str]()
    for job in await orders.jobs_of(unit, order_id):
        if job.state in JOB_ENDS:
            continue
        attempt_row = await attempt(unit, job.attempt) if job.attempt else None
        begun = attempt_row is not None and attempt_row.state not in model.FREE
        if begun or job.state == JobState.MADE:
            kept.append(job.id)
        else:
            await orders.cancel_job(unit, job.id, why)
            cancelled.append(job.id)
    if not cancelled:
        raise NothingToCancel(f"order {order_id} has no part that no machine has begun")
    return Cancelled(tuple(cancelled), tuple(kept))


async def stop_cancelled(unit: Unit, job_id: str) -> None:
    """The job is cancelled: its live attempt, if any, has nothing to make."""
    live = select(AttemptJobRow.attempt).where(AttemptJobRow.job == job_id, AttemptJobRow.live)
    for attempt_id in await unit.session.scalars(live):
        await stop(unit, attempt_id, "the order was cancelled")


# ── reading


async def attempt(unit: Unit, attempt_id: str) -> AttemptRow:
    row = await unit.session.get(AttemptRow, attempt_id)
    if row is None:
        raise NoSuchAttempt(f"there is no attempt {attempt_id}")
    return row


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


async def live(unit: Unit) -> Sequence[AttemptRow]:
    rows = select(AttemptRow).where(AttemptRow.state.in_(LIVE)).order_by(AttemptRow.id)
    return (await unit.session.scalars(rows)).all()


async def reports(unit: Unit, attempt_id: str) -> list[Report]:
    """What the shop said of the attempt, in its order."""
    rows = select(UpRow.body).where(UpRow.attempt == attempt_id).order_by(UpRow.agent, UpRow.seq)
    return [Report.model_validate_json(body) for body in await unit.session.scalars(rows)]


async def may_read(unit: Unit, agent: str, sha256: str) -> bool:
    """Whether a live offer to this agent names the file."""
    naming = select(func.count()).where(
        AttemptRow.agent == agent, AttemptRow.file == sha256, AttemptRow.state.in_(LIVE)
    )
    return bool(await unit.session.scalar(naming))


# ── one way to move an attempt


async def _move(unit: Unit, row: AttemptRow, to: State, by: Actor, cause: str) -> None:
    attempts.move(State(row.state), to, by)
    row.cause = cause
    await _turn(unit, row, to, by)


async def _turn(unit: Unit, row: AttemptRow, to: State, by: Actor) -> None:
    """Write the new state and what it means for the jobs; one event."""
    was = row.state
    await _write(
        unit,
        row,
        state=to,
        ended_at=unit.now if to in TERMINAL else None,
        in_doubt_since=(row.in_doubt_since or unit.now) if to is State.UNKNOWN else None,
    )
    meaning = model.for_job(to, by)
    if meaning is not None:
        await _end_jobs(unit, row, meaning)
    await unit.record(f"attempt.{to}", row.id, agent=row.agent, machine=row.machine, was=was, by=by)


async def _write(unit: Unit, row: AttemptRow, **values: object) -> None:
    """Compare-and-swap: whoever read an older version writes nothing and is told."""
    await unit.session.flush()
    written = await unit.session.execute(
        update(AttemptRow)
        .where(AttemptRow.id == row.id, AttemptRow.version == row.version)
        .values(version=row.version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    if written.rowcount != 1:  # pyright: ignore[reportAttributeAccessIssue]
        raise Raced(f"attempt {row.id} was moved by somebody else")
    await unit.session.refresh(row)


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


async def _live_of(unit: Unit, agent: str) -> Sequence[AttemptRow]:
    rows = select(AttemptRow).where(AttemptRow.agent == agent, AttemptRow.state.in_(LIVE))
    return (await unit.session.scalars(rows.order_by(AttemptRow.id))).all()
