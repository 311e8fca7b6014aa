"""Loads, decides and saves labs, agents and machines; changes and their events in one transaction.

It never keeps a secret: codes and agent secrets are told once and stored as hashes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from sqlalchemy import select

from fablab_agents.protocol.messages import Machine
from orchestrator.labs import enrolment, model
from orchestrator.labs.model import NewLab, Session
from orchestrator.labs.tables import AgentRow, CodeRow, LabRow, MachineRow
from orchestrator.store import Unit


class NoSuchLab(Exception):
    """There is no lab with this id."""


class NoSuchAgent(Exception):
    """No agent with this id speaks for a lab."""


class CodeRefused(Exception):
    """The enrolment code is unknown, used or too old: ask the network for a new one."""


@dataclass(frozen=True)
class Enrolled:
    agent: str
    secret: str


@dataclass(frozen=True)
class MachineStanding:
    """A machine as its shop last said; `reachable` means its agent is online and still has it."""

    lab: LabRow
    agent: str
    machine: Machine
    session: Session
    reachable: bool

    @property
    def id(self) -> str:
        return f"{self.agent}/{self.machine.machine}"


@dataclass(frozen=True)
class LabStanding:
    lab: LabRow
    agent: AgentRow | None
    """The agent that speaks for the lab now; None before it enrolled."""
    machines: tuple[MachineStanding, ...]


# ── labs and enrolment


async def create_lab(unit: Unit, new: NewLab) -> LabRow:
    taken = set(await unit.session.scalars(select(LabRow.id)))
    lab = LabRow(
        id=model.lab_id(new.name, taken),
        created_at=unit.now,
        **new.model_dump(exclude={"operator"}),
        operator=new.operator or new.name,
    )
    unit.session.add(lab)
    await unit.session.flush()
    await unit.record("lab.created", lab.id)
    return lab


async def new_code(unit: Unit, lab_id: str) -> str:
    """A one-time code with which the lab's agent enrols within 15 minutes."""
    if await unit.session.get(LabRow, lab_id) is None:
        raise NoSuchLab(f"there is no lab {lab_id}")
    code = enrolment.new_code()
    hashed = enrolment.code_hash(code)
    unit.session.add(CodeRow(sha256=hashed, lab_id=lab_id, expires_at=unit.now + model.CODE_LIFE))
    await unit.record("lab.code_made", lab_id)
    return code


async def enrol(unit: Unit, code: str, version: str) -> Enrolled:
    """Turn a code into an agent; an agent that spoke for the lab before is retired."""
    row = await unit.session.get(CodeRow, enrolment.code_hash(code))
    if row is None:
        raise CodeRefused("this enrolment code is not known: check for a typing error")
    if row.used_by is not None:
        raise CodeRefused("this enrolment code was used already: ask for a new one")
    if row.expires_at < unit.now:
        raise CodeRefused("this enrolment code is older than 15 minutes: ask for a new one")
    for former in await _speaking(unit, row.lab_id):
        await retire(unit, former.id)
    secret = enrolment.new_secret()
    taken = set(await unit.session.scalars(select(AgentRow.id)))
    agent = AgentRow(
        id=model.agent_id(row.lab_id, taken),
        lab_id=row.lab_id,
        secret=enrolment.secret_hash(secret),
        session=Session.ENROLLED,
        version=version,
        enrolled_at=unit.now,
    )
    unit.session.add(agent)
    row.used_by = agent.id
    await unit.session.flush()
    await unit.record("agent.enrolled", agent.id, lab=row.lab_id)
    return Enrolled(agent.id, secret)


async def retire(unit: Unit, agent_id: str) -> None:
    """The agent's secret is worth nothing from now on."""
    agent = await unit.session.get_one(AgentRow, agent_id)
    agent.retired_at = unit.now
    await _turn(unit, agent, Session.RETIRED)


async def secret_fits(unit: Unit, agent_id: str, secret: str) -> bool:
    agent = await unit.session.get(AgentRow, agent_id)
    if agent is None or agent.retired_at is not None:
        return False
    return enrolment.secret_fits(secret, agent.secret)


async def secrets_of_agents(unit: Unit) -> dict[str, str]:
    """Agent id → hash of its secret, for a broker's password file; without retired ones."""
    rows = select(AgentRow.id, AgentRow.secret).where(AgentRow.retired_at.is_(None))
    return {row.id: row.secret for row in await unit.session.execute(rows)}


# ── what agents say


async def agent(unit: Unit, agent_id: str) -> AgentRow | None:
    """The agent, unless it is unknown or retired."""
    row = await unit.session.get(AgentRow, agent_id)
    return None if row is None or row.retired_at is not None else row


async def heard(unit: Unit, agent_id: str, boot: str, version: str | None = None) -> None:
    """A living sign of this boot of the agent."""
    row = await unit.session.get_one(AgentRow, agent_id)
    row.heard_at, row.boot = unit.now, boot
    row.version = version or row.version
    await _turn(unit, row, Session.ONLINE)


async def fell_silent(unit: Unit, agent_id: str, boot: str | None = None) -> None:
    """The broker or the agent says it is gone; a word about an older boot changes nothing."""
    row = await unit.session.get_one(AgentRow, agent_id)
    if row.session == Session.ONLINE and boot in (None, row.boot):
        await _turn(unit, row, Session.SILENT)


async def machines_said(unit: Unit, agent_id: str, machines: Iterable[Machine]) -> None:
    """Replace what is known of the agent's machines by its newest list."""
    known = {
        row.machine: row
        for row in await unit.session.scalars(
            select(MachineRow).where(MachineRow.agent == agent_id)
        )
    }
    said = {machine.machine: machine for machine in machines}
    for name, machine in said.items():
        await _machine_said(unit, agent_id, known.get(name), machine)
    for name in known.keys() - said.keys():
        if known[name].present:
            known[name].present = False
            await unit.record("machine.gone", f"{agent_id}/{name}")


async def _machine_said(
    unit: Unit, agent_id: str, row: MachineRow | None, machine: Machine
) -> None:
    plain = machine.model_dump(mode="json")
    if row is not None and row.present and row.said == plain:
        return
    if row is None:
        row = MachineRow(agent=agent_id, machine=machine.machine)
        unit.session.add(row)
    row.said, row.said_at, row.present = plain, unit.now, True
    await unit.session.flush()
    await unit.record(
        "machine.changed",
        f"{agent_id}/{machine.machine}",
        condition=machine.condition,
        bed=machine.bed,
        offered=machine.offered,
        attempt=machine.attempt,
    )


async def note_silence(unit: Unit) -> None:
    """Agents that say nothing become silent, and silent ones away."""
    heard = select(AgentRow).where(AgentRow.session.in_([Session.ONLINE, Session.SILENT]))
    for row in (await unit.session.scalars(heard)).all():
        await _turn(unit, row, model.after_silence(Session(row.session), row.heard_at, unit.now))


async def hear_anew(unit: Unit) -> None:
    """After our own restart nobody counts as online until heard."""
    for row in await unit.session.scalars(
        select(AgentRow).where(AgentRow.session == Session.ONLINE)
    ):
        await _turn(unit, row, Session.SILENT)


# ── how labs stand


async def labs(unit: Unit) -> list[LabStanding]:
    """All labs by name, each with its agent and its machines."""
    rows = await unit.session.scalars(select(LabRow).order_by(LabRow.name, LabRow.id))
    agents = {
        row.lab_id: row
        for row in await unit.session.scalars(
            select(AgentRow).where(AgentRow.retired_at.is_(None)).order_by(AgentRow.enrolled_at)
        )
    }
    standings = await machines(unit)
    return [
        LabStanding(lab, agents.get(lab.id), tuple(s for s in standings if s.lab.id == lab.id))
        for lab in rows
    ]


async def machines(unit: Unit) -> list[MachineStanding]:
    """Every machine of every agent that is not retired, in a fixed order."""
    rows = await unit.session.execute(
        select(MachineRow, AgentRow, LabRow)
        .join(AgentRow, AgentRow.id == MachineRow.agent)
        .join(LabRow, LabRow.id == AgentRow.lab_id)
        .where(AgentRow.retired_at.is_(None), MachineRow.present)
        .order_by(MachineRow.agent, MachineRow.machine)
    )
    told = (_standing(row, agent, lab) for row, agent, lab in rows)
    return [standing for standing in told if standing is not None]


async def machine(unit: Unit, agent_id: str, name: str) -> MachineStanding | None:
    return next((m for m in await machines(unit) if m.id == f"{agent_id}/{name}"), None)


def _standing(row: MachineRow, agent: AgentRow, lab: LabRow) -> MachineStanding | None:
    """None for what an older version took that is no description of a machine any more."""
    session = Session(agent.session)
    try:
        said = Machine.model_validate(row.said)
    except ValidationError:
        return None
    return MachineStanding(lab, agent.id, said, session, reachable=session is Session.ONLINE)


async def _speaking(unit: Unit, lab_id: str) -> Sequence[AgentRow]:
    rows = select(AgentRow).where(AgentRow.lab_id == lab_id, AgentRow.retired_at.is_(None))
    return (await unit.session.scalars(rows)).all()


async def _turn(unit: Unit, row: AgentRow, to: Session) -> None:
    if row.session == to:
        return
    row.session = to
    await unit.session.flush()
    await unit.record(f"agent.{to}", row.id, lab=row.lab_id)
