"""What agents say, what makers wish and what silence means: load, decide, save.

It never talks to the broker: what is to be sent stands in the outbox, what to answer is returned.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from fablab_agents.protocol.attempts import LIVE, State
from fablab_agents.protocol.messages import (
    Ask,
    Claim,
    Denied,
    DownAck,
    Granted,
    Hello,
    Progress,
    Recall,
    Report,
    Welcome,
)
from orchestrator.dispatch import census, decide, model, notes, outbox, records
from orchestrator.dispatch.notes import Compared
from orchestrator.dispatch.signing import Signer
from orchestrator.dispatch.tables import AttemptRow, LinkRow, UpRow
from orchestrator.labs import service as labs
from orchestrator.labs.model import Session
from orchestrator.labs.tables import AgentRow
from orchestrator.orders import service as orders
from orchestrator.orders.model import JOB_ENDS, JobState
from orchestrator.store import Unit


class NothingToCancel(Exception):
    """Every part of the order is being made, made, or given up already."""


@dataclass(frozen=True)
class Cancelled:
    """Jobs of an order that were cancelled, and those that machines had begun."""

    cancelled: tuple[str, ...]
    kept: tuple[str, ...]


# ── wishes


async def withdraw(unit: Unit, attempt_id: str, why: str) -> None:
    """Take an offer back that nothing can have started from."""
    known = records.known(await records.attempt(unit, attempt_id))
    await census.require_told(unit, known.agent)
    await records.perform(unit, decide.withdrawn(known, why, unit.now))


async def stop(unit: Unit, attempt_id: str, why: str) -> None:
    """End the attempt if it can be ended: an offer is withdrawn, a machine is asked to stop."""
    known = records.known(await records.attempt(unit, attempt_id))
    await census.require_told(unit, known.agent)
    await records.perform(unit, decide.stopped(known, why, unit.now))


async def give_up(unit: Unit, attempt_id: str, consent: str) -> None:
    """The maker would rather risk a second part than wait: the old fence is closed for ever."""
    known = records.known(await records.attempt(unit, attempt_id))
    await records.perform(unit, decide.given_up(known, consent, unit.now))


async def cancel_order(unit: Unit, order_id: str, why: str, *, looked: bool = False) -> Cancelled:
    """Cancel what no machine has begun; parts that are being made or are made stay ordered.

    Raises Awaited while an agent has not told: it may have begun what this store never offered;
    unless somebody has looked there.
    """
    if await orders.order(unit, order_id) is None:
        raise KeyError(order_id)
    if not looked:
        seen = "; or say --looked if you have seen there what they made of it"
        await census.require_told(unit, unless=seen)
    cancelled, kept, awaited = list[str](), list[str](), await census.missing(unit)
    for job in await orders.jobs_of(unit, order_id):
        if job.state in JOB_ENDS:
            continue
        attempt_row = await records.attempt(unit, job.attempt) if job.attempt else None
        begun = attempt_row is not None and (
            attempt_row.state not in model.FREE or attempt_row.agent in awaited
        )
        if begun or job.state == JobState.MADE:
            kept.append(job.id)
        else:
            await orders.cancel_job(unit, job.id, why)
            cancelled.append(job.id)
    if not cancelled:
        raise NothingToCancel(
            f"nothing of order {order_id} can be cancelled: each part is begun, made or ended"
        )
    return Cancelled(tuple(cancelled), tuple(kept))


async def take_back_distrusted(unit: Unit, signer: Signer) -> None:
    """Offers that no key of ours stands behind any more: their jobs are wanted as before.

    Left to the labs they would be refused, and a machine that refused a job is not asked again.
    """
    awaited = await census.missing(unit)
    rows = await unit.session.scalars(
        select(AttemptRow)
        .where(AttemptRow.state.in_(model.FREE), AttemptRow.agent.not_in(awaited))
        .order_by(AttemptRow.id)
    )
    for row in rows.all():
        if not signer.trusts(row.ticket):
            why = "the key that signed this offer is not trusted any more"
            await records.perform(unit, decide.withdrawn(records.known(row), why, unit.now))


async def stop_cancelled(unit: Unit, job_id: str) -> None:
    """The job is cancelled: its live attempt, if any, has nothing to make."""
    for attempt_id in await records.live_of_job(unit, job_id):
        await stop(unit, attempt_id, "the order was cancelled")


# ── what agents say


async def claim(unit: Unit, signer: Signer, agent: str, asked: Claim) -> Granted | Denied | None:
    """Answer a claim; None is silence: the agent asks again when its reports have come through."""
    if await census.missing(unit):
        return None
    row = await unit.session.get(AttemptRow, asked.attempt)
    standing = None if row is None else await labs.machine(unit, row.agent, row.machine)
    reply, effects = decide.claimed(
        None if row is None else records.known(row),
        agent,
        asked,
        unit.now,
        attended=standing is None or standing.machine.attended,
        sign=signer.sign,
    )
    await records.perform(unit, effects)
    return reply


async def hello(unit: Unit, agent: str, said: Hello) -> Welcome | None:
    """Compare notes with an agent that has just connected.

    None: it is in an epoch that this store has not come to. Either the store was put back, which a
    person then says, or the agent lies; in both cases it alone is left without an answer.
    """
    row = await unit.session.get_one(AgentRow, agent)
    link, epoch = await outbox.link(unit, agent), await outbox.epoch(unit)
    if said.epoch > epoch:
        await labs.fell_silent(unit, agent)
        await _turn_away(unit, link, said.boot, "agent.later_epoch")
        return None
    compared = notes.compare(outbox.notes(link, row.boot), said, epoch)
    if compared.current:
        outbox.keep(link, compared.notes)
        link.turned_away = None
        await labs.heard(unit, agent, said.boot, said.version)
        await labs.machines_said(unit, agent, said.machines)
        await outbox.send_again(unit, agent)
    else:
        await _turn_away(unit, link, said.boot, "agent.older_copy")
    if compared.ahead:
        await unit.record_seldom("agent.remembers_more", agent, boot=said.boot)
    if compared.complete:
        live = [records.known(each) for each in await records.live(unit, agent)]
        told = decide.listed(live, said.attempts, link.down_acked, unit.now)
        await records.perform(unit, told)
    return _welcome(said.boot, compared, epoch, unit.now)


async def _turn_away(unit: Unit, link: LinkRow, boot: str, event: str) -> None:
    """Told once, however often it says hello."""
    if link.turned_away != boot:
        link.turned_away = boot
        await unit.record_seldom(event, link.agent, boot=boot)


def _welcome(boot: str, compared: Compared, epoch: int, now: datetime) -> Welcome:
    return Welcome(
        boot=boot,
        current=compared.current,
        epoch=epoch,
        speaks=compared.notes.boot,
        acked_up=compared.notes.up_acked,
        down_from=compared.down_from,
        down_back=compared.down_back,
        at=now,
    )


async def welcome(unit: Unit, agent: str, boot: str) -> Welcome:
    """What we remember of the agent, for a boot that has said no hello, or need not."""
    row = await unit.session.get_one(AgentRow, agent)
    ours = outbox.notes(await outbox.link(unit, agent), row.boot)
    compared = Compared(ours, current=boot == row.boot)
    return _welcome(boot, compared, await outbox.epoch(unit), unit.now)


async def turned_away(unit: Unit, agent: str, boot: str) -> bool:
    """Whether this boot got no welcome, or one that it does not like."""
    return (await outbox.link(unit, agent)).turned_away == boot


async def report(unit: Unit, agent: str, said: Report) -> DownAck | Welcome | Ask:
    """Fold in one report, once and in order; a gap is answered with what we have."""
    link = await outbox.link(unit, agent)
    if said.seq > link.up_acked + 1:
        return await welcome(unit, agent, said.boot)
    if said.seq == link.up_acked + 1:
        row = await unit.session.get(AttemptRow, said.attempt)
        known = None if row is None else records.known(row)
        if known is None and link.strange != said.attempt:
            return Ask(attempt=said.attempt)
        if decide.concerns(known, agent, said):
            _keep(unit, agent, said)
        link.up_acked = said.seq
        await labs.heard(unit, agent, said.boot)
        await records.perform(unit, decide.reported(known, agent, said, unit.now))
    return DownAck(seq=link.up_acked)


async def recall(unit: Unit, signer: Signer, agent: str, said: Recall) -> Welcome:
    """Take up an attempt that an older copy of this store does not know; then its reports."""
    await census.recalled(unit, signer, agent, said.attempt, said.ticket)
    return await welcome(unit, agent, said.boot)


async def shelve(unit: Unit, agent: str, said: Report) -> DownAck:
    """Keep a report that could not be folded in, and tell it, for a person to look at."""
    link = await outbox.link(unit, agent)
    if said.seq == link.up_acked + 1:
        row = await unit.session.get(AttemptRow, said.attempt)
        if decide.concerns(None if row is None else records.known(row), agent, said):
            _keep(unit, agent, said)
        link.up_acked = said.seq
        await unit.record("report.shelved", said.attempt, agent=agent, seq=said.seq)
    return DownAck(seq=link.up_acked)


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
    awaited = await census.missing(unit)
    rows = await unit.session.execute(
        select(AttemptRow, AgentRow.session)
        .join(AgentRow, AgentRow.id == AttemptRow.agent)
        .where(AttemptRow.state.in_(LIVE - {State.UNKNOWN}), AttemptRow.agent.not_in(awaited))
        .order_by(AttemptRow.id)
    )
    for row, session in rows.all():
        online, away = session == Session.ONLINE, session in {Session.AWAY, Session.RETIRED}
        effects = decide.unheard(records.known(row), unit.now, online=online, away=away)
        await records.perform(unit, effects)
