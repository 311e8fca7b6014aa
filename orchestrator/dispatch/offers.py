"""Offers: the next planned job of every free machine becomes an attempt with a signed ticket.

Attempt, ticket, message and event are one transaction; nothing can start from an offer.
"""

from collections.abc import Container, Sequence
from datetime import UTC, datetime

from designs.design import Part, Release
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import Offer
from fablab_agents.protocol.tickets import Recipe, Ticket
from orchestrator.dispatch import census, model, outbox, records
from orchestrator.dispatch.firsts import FirstArticles, sent
from orchestrator.dispatch.signing import Signer
from orchestrator.dispatch.tables import AttemptJobRow, AttemptRow
from orchestrator.labs import service as labs
from orchestrator.labs.service import MachineStanding
from orchestrator.orders import service as orders
from orchestrator.orders.tables import JobRow
from orchestrator.planning import service as planning
from orchestrator.store import Unit, new_id


async def offer(unit: Unit, signer: Signer, job: JobRow, on: MachineStanding) -> AttemptRow:
    """Offer a planned job to the machine it is planned on: attempt, ticket, message, event."""
    release, part = await sent(unit, job, on)
    attempt_id = new_id("a")
    fence = await orders.offer_job(unit, job.id, attempt_id, await outbox.epoch(unit))
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
        unit, on.agent, attempt_id, lambda epoch, seq: Offer(epoch=epoch, seq=seq, ticket=signed)
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
                "manner": part.recipe.model_dump(mode="json") if part.recipe else None,
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
    if not planned or await census.missing(unit):
        return []
    standings = {standing.id: standing for standing in await labs.machines(unit)}
    taken, firsts = await busy_machines(unit), FirstArticles(unit)
    found: list[tuple[JobRow, MachineStanding]] = []
    for job in planned:
        standing = standings.get(f"{job.agent}/{job.machine}")
        if job.id in without or standing is None or standing.id in taken:
            continue
        if _takes_offers(standing) and await firsts.lets(job, standing):
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
    return {f"{row.agent}/{row.machine}" for row in await records.live(unit)}
