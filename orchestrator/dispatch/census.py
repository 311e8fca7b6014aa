"""After this database was put back to an older copy: nothing is offered or granted until every
agent has told what it remembers, or a person decided to go on without it.

What agents began meanwhile comes back by the tickets that we signed; what belongs to no order here
any more is an orphan: kept, shown, and never counted as made.
"""

from collections.abc import Sequence

from sqlalchemy import func, select, update

from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.tickets import BadEnvelope, Ticket, verify_ticket
from orchestrator.dispatch import decide, outbox, records
from orchestrator.dispatch.signing import Signer
from orchestrator.dispatch.tables import AttemptJobRow, AttemptRow, DownRow, EpochRow, LinkRow
from orchestrator.labs import service as labs
from orchestrator.labs.tables import AgentRow, LabRow
from orchestrator.orders import service as orders
from orchestrator.orders.model import JobState
from orchestrator.store import Unit

_OPEN = {JobState.WANTED, JobState.PLANNED, JobState.OFFERED}


class NotAwaited(Exception):
    """The census does not wait for this agent."""


class Awaited(Exception):
    """Nobody knows how an attempt stands before its agent has told what it remembers."""


async def require_told(unit: Unit, agent: str | None = None, *, unless: str = "") -> None:
    """Raise Awaited while the notes of this agent, or of any, are waited for.

    `unless` tells people what else they can do.
    """
    awaited = await missing(unit)
    if awaited and agent in {None, *awaited}:
        raise Awaited(
            "this database is an older copy, and not every lab has told yet how its attempts stand:"
            f" wait until {agent or ', '.join(awaited)} is online, or go on without"
            f" (cosmolocal store go-on){unless}"
        )


async def begin(unit: Unit, why: str) -> int:
    """A new epoch: every agent's notes are asked for again; its number.

    The clock is in it: the same copy put back twice must not begin the same epoch twice, or agents
    that told what they remember in the first would not tell it again.
    """
    number = messages.next_epoch(await outbox.epoch(unit), unit.now)
    unit.session.add(EpochRow(epoch=number, since=unit.now, why=why))
    untold = await outbox.untold(unit)
    await unit.session.execute(update(LinkRow).values(down_floor=LinkRow.down_head))
    await unit.session.flush()
    for row in untold:
        await _wish_again(unit, row)
    await unit.record("store.epoch", str(number), why=why)
    return number


async def _wish_again(unit: Unit, row: DownRow) -> None:
    """What the epoch before had not told; offers and doubts come of themselves after the census."""
    said = messages.read_down(row.body.encode())
    if isinstance(said, messages.Wish):
        await outbox.put(
            unit, row.agent, row.attempt, lambda epoch, seq: messages.numbered(said, epoch, seq)
        )


async def missing(unit: Unit) -> Sequence[str]:
    """Agents whose notes are waited for; nothing starts while there are any."""
    now = await unit.session.get(EpochRow, await outbox.epoch(unit))
    if now is None:
        return []
    rows = await unit.session.scalars(
        select(AgentRow.id)
        .outerjoin(LinkRow, LinkRow.agent == AgentRow.id)
        .where(
            AgentRow.retired_at.is_(None),
            AgentRow.enrolled_at < now.since,
            func.coalesce(LinkRow.epoch, 0) < now.epoch,
            func.coalesce(LinkRow.without, 0) < now.epoch,
        )
        .order_by(AgentRow.id)
    )
    return rows.all()


async def go_on_without(unit: Unit, agent: str) -> None:
    """A person decides: this agent will not come, what it remembers is given up."""
    if agent not in await missing(unit):
        raise NotAwaited(f"nobody waits for the notes of {agent}")
    (await outbox.link(unit, agent)).without = await outbox.epoch(unit)
    await unit.record("agent.given_up", agent)


async def orphans(unit: Unit) -> Sequence[AttemptRow]:
    """Attempts of agents that no job here waits for or was made by, oldest first."""
    of_job = select(AttemptJobRow.attempt)
    rows = select(AttemptRow).where(AttemptRow.id.not_in(of_job)).order_by(AttemptRow.offered_at)
    return (await unit.session.scalars(rows)).all()


async def lab_names(unit: Unit) -> dict[str, str]:
    """The name of each agent's lab."""
    rows = await unit.session.execute(
        select(AgentRow.id, LabRow.name).join(LabRow, LabRow.id == AgentRow.lab_id)
    )
    return {row.id: row.name for row in rows}


async def recalled(unit: Unit, signer: Signer, agent: str, attempt: str, token: str | None) -> None:
    """An agent shows the ticket of an attempt that we do not know; ours, it is taken up again."""
    try:
        ticket = verify_ticket(token or "", signer.read)
    except BadEnvelope:
        ticket = None
    if token is None or ticket is None or (ticket.agent, ticket.attempt) != (agent, attempt):
        (await outbox.link(unit, agent)).strange = attempt
        await unit.record_seldom("attempt.stray", attempt, agent=agent)
    elif await unit.session.get(AttemptRow, attempt) is None:
        await _adopt(unit, ticket, token)


async def _adopt(unit: Unit, ticket: Ticket, token: str) -> None:
    machine = await labs.machine(unit, ticket.agent, ticket.machine)
    unit.session.add(
        AttemptRow(
            id=ticket.attempt, agent=ticket.agent, machine=ticket.machine, fence=ticket.fence,
            state=State.OFFERED, release=ticket.release, part=ticket.part,
            quantity=ticket.quantity, file=ticket.file, estimate_s=ticket.estimate_s,
            ticket=token, down_seq=0, offered_at=ticket.issued_at, not_after=ticket.not_after,
            simulated=machine is not None and machine.machine.simulated,
        )
    )  # fmt: skip
    await unit.session.flush()
    await unit.record("attempt.adopted", ticket.attempt, agent=ticket.agent)
    joined = [await _join(unit, ticket, job) for job in ticket.jobs]
    if not any(joined):
        await _orphan(unit, ticket.attempt)


async def _join(unit: Unit, ticket: Ticket, job_id: str) -> bool:
    """The job is this attempt's again, unless it is made, given up or in newer hands.

    A newer fence was given only when the attempt before it was over, whatever we remember of that.
    """
    job = await orders.find_job(unit, job_id)
    if job is None or job.state not in _OPEN or job.fence >= ticket.fence:
        return False
    former = job.attempt
    await unit.session.execute(
        update(AttemptJobRow).where(AttemptJobRow.job == job_id).values(live=False)
    )
    place = (ticket.agent, ticket.machine)
    await orders.adopt_job(unit, job_id, ticket.attempt, ticket.fence, *place)
    unit.session.add(AttemptJobRow(attempt=ticket.attempt, job=job_id))
    await unit.session.flush()
    if former is not None:
        await _orphan(unit, former)
    return True


async def _orphan(unit: Unit, attempt: str) -> None:
    known = records.known(await records.attempt(unit, attempt))
    await records.perform(unit, decide.orphaned(known))
