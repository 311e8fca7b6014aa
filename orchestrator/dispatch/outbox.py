"""What is to be told to agents: numbered, kept until stored there, sent again after each hello.

It promises an order for each agent and no loss; it knows nothing of what the messages mean.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from fablab_agents.protocol.messages import Durable
from orchestrator.dispatch.notes import Notes
from orchestrator.dispatch.tables import DownRow, EpochRow, LinkRow
from orchestrator.labs.model import Session
from orchestrator.labs.tables import AgentRow
from orchestrator.store import Unit


@dataclass(frozen=True)
class Send:
    """A message on its way."""

    agent: str
    seq: int
    body: str


async def epoch(unit: Unit) -> int:
    """The life that this database is in."""
    return await unit.session.scalar(select(func.max(EpochRow.epoch))) or 1


async def link(unit: Unit, agent: str) -> LinkRow:
    """How far both sides have come; made at the first word."""
    row = await unit.session.get(LinkRow, agent)
    if row is None:
        row = LinkRow(agent=agent, epoch=await _first_epoch(unit, agent))
        unit.session.add(row)
        await unit.session.flush()
    return row


async def _first_epoch(unit: Unit, agent: str) -> int:
    """An agent older than this epoch may remember more of the one before than we do."""
    enrolled = (await unit.session.get_one(AgentRow, agent)).enrolled_at
    begun = select(func.max(EpochRow.epoch)).where(EpochRow.since <= enrolled)
    return await unit.session.scalar(begun) or 1


def notes(row: LinkRow, boot: str | None) -> Notes:
    return Notes(boot, row.epoch, row.up_acked, row.down_head, row.down_acked, row.down_floor)


def keep(row: LinkRow, notes: Notes) -> None:
    row.epoch, row.up_acked = notes.epoch, notes.up_acked
    row.down_head, row.down_acked = notes.down_head, notes.down_acked


async def put(unit: Unit, agent: str, attempt: str, message: Callable[[int, int], Durable]) -> int:
    """Queue a message under the agent's next number; returns the number."""
    row = await link(unit, agent)
    row.down_head += 1
    unit.session.add(
        DownRow(
            agent=agent,
            seq=row.down_head,
            attempt=attempt,
            body=message(await epoch(unit), row.down_head).model_dump_json(),
            queued_at=unit.now,
        )
    )
    await unit.session.flush()
    return row.down_head


async def acked(unit: Unit, agent: str, seq: int) -> None:
    """The agent has stored our messages down to and with `seq`."""
    row = await link(unit, agent)
    row.down_acked = max(row.down_acked, min(seq, row.down_head))


async def send_again(unit: Unit, agent: str) -> None:
    """The agent compares notes: what it has not stored is new again."""
    row = await link(unit, agent)
    await unit.session.execute(
        update(DownRow)
        .where(DownRow.agent == agent, DownRow.seq > row.down_acked)
        .values(sent_at=None)
    )


async def to_send(unit: Unit, before: datetime) -> list[Send]:
    """What online agents have not stored yet and was not sent since `before`, in order."""
    rows = await unit.session.scalars(
        select(DownRow)
        .join(LinkRow, LinkRow.agent == DownRow.agent)
        .join(AgentRow, AgentRow.id == DownRow.agent)
        .where(
            AgentRow.session == Session.ONLINE,
            DownRow.seq > LinkRow.down_acked,
            (DownRow.sent_at.is_(None)) | (DownRow.sent_at < before),
        )
        .order_by(DownRow.agent, DownRow.seq)
    )
    return [Send(row.agent, row.seq, row.body) for row in rows]


async def untold(unit: Unit) -> Sequence[DownRow]:
    """What agents have not stored, as far as we remember, in order."""
    rows = await unit.session.scalars(
        select(DownRow)
        .join(LinkRow, LinkRow.agent == DownRow.agent)
        .where(DownRow.seq > LinkRow.down_acked, DownRow.seq > LinkRow.down_floor)
        .order_by(DownRow.agent, DownRow.seq)
    )
    return rows.all()


async def sent(unit: Unit, sends: Iterable[Send]) -> None:
    for each in sends:
        await unit.session.execute(
            update(DownRow)
            .where(DownRow.agent == each.agent, DownRow.seq == each.seq)
            .values(sent_at=unit.now)
        )
