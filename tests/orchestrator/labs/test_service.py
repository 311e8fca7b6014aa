from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from fablab_agents.protocol.messages import Bed, Condition, Machine
from orchestrator.labs import model, service
from orchestrator.labs.model import NewLab, Session
from orchestrator.labs.tables import AgentRow, CodeRow
from orchestrator.store import Store, Unit
from orchestrator.store.tables import EventRow

PRINTER = Machine(
    machine="printer-1",
    title="Printer 1",
    model="generic-fdm-220",
    processes=("3d_printing_fdm",),
    materials=("pla",),
    envelope_mm=(220, 220, 250),
    tolerance_mm=0.3,
    attended=False,
    rate_minor_per_h=400,
    setup_minor=150,
    offered=True,
    condition=Condition.IDLE,
    bed=Bed.CLEAR,
)


@pytest.fixture
async def store(database_url: str, tmp_path: Path):
    opened = await Store.open(database_url, tmp_path / "blobs")
    yield opened
    await opened.close()


async def _enrolled(store: Store, name: str = "Atelier Nord") -> service.Enrolled:
    async with store.unit() as unit:
        lab = await service.create_lab(unit, NewLab(name=name, lat=52.5, lon=13.4))
        return await service.enrol(unit, await service.new_code(unit, lab.id), "0.1.0")


async def _kinds(unit: Unit) -> list[str]:
    return list(await unit.session.scalars(select(EventRow.kind).order_by(EventRow.id)))


async def test_a_code_makes_one_agent_and_then_no_more(store: Store):
    async with store.unit() as unit:
        lab = await service.create_lab(unit, NewLab(name="Atelier Nord", lat=52.5, lon=13.4))
        code = await service.new_code(unit, lab.id)
    async with store.unit() as unit:
        enrolled = await service.enrol(unit, code, "0.1.0")
    assert enrolled.agent == "lab-atelier-nord"
    async with store.view() as unit:
        assert await service.secret_fits(unit, enrolled.agent, enrolled.secret)
        assert not await service.secret_fits(unit, enrolled.agent, "wrong")
        kept = (await unit.session.scalars(select(AgentRow.secret))).one()
        codes = (await unit.session.scalars(select(CodeRow.sha256))).all()
    assert enrolled.secret not in kept
    assert code not in codes
    async with store.view() as unit:
        with pytest.raises(service.CodeRefused, match="used already"):
            await service.enrol(unit, code, "0.1.0")


async def test_a_code_is_worth_nothing_after_fifteen_minutes(store: Store):
    async with store.unit() as unit:
        lab = await service.create_lab(unit, NewLab(name="Nord", lat=0, lon=0))
        code = await service.new_code(unit, lab.id)
        past = unit.now - timedelta(seconds=1)
        await unit.session.execute(update(CodeRow).values(expires_at=past))
    async with store.view() as unit:
        with pytest.raises(service.CodeRefused, match="15 minutes"):
            await service.enrol(unit, code, "0.1.0")
        with pytest.raises(service.CodeRefused, match="not known"):
            await service.enrol(unit, "abcdefg-abcdefg", "0.1.0")


async def test_a_second_agent_of_a_lab_replaces_the_first(store: Store):
    first = await _enrolled(store)
    async with store.unit() as unit:
        code = await service.new_code(unit, "lab-atelier-nord")
        second = await service.enrol(unit, code, "0.1.0")
    assert second.agent == "lab-atelier-nord-2"
    async with store.view() as unit:
        assert not await service.secret_fits(unit, first.agent, first.secret)
        assert list(await service.secrets_of_agents(unit)) == [second.agent]
        assert await service.agent(unit, first.agent) is None


async def test_labs_of_the_same_name_get_names_of_their_own(store: Store):
    assert (await _enrolled(store, "Fab Lab Übersee")).agent == "lab-fab-lab-ubersee"
    assert (await _enrolled(store, "Fab Lab Übersee!")).agent == "lab-fab-lab-ubersee-2"
    assert (await _enrolled(store, "工房")).agent == "lab-x"


async def test_machines_are_what_the_newest_list_says_and_only_changes_are_told(store: Store):
    agent = (await _enrolled(store)).agent
    other = PRINTER.model_copy(update={"machine": "printer-2"})
    for machines in ([PRINTER, other], [PRINTER, other], [PRINTER]):
        async with store.unit() as unit:
            await service.machines_said(unit, agent, machines)
    async with store.view() as unit:
        assert [m.id for m in await service.machines(unit)] == [f"{agent}/printer-1"]
        kinds = await _kinds(unit)
    assert kinds.count("machine.changed") == 2
    assert kinds.count("machine.gone") == 1
    async with store.unit() as unit:
        await service.machines_said(unit, agent, [PRINTER, other])
        assert len(await service.machines(unit)) == 2


async def test_an_agent_is_online_silent_and_away(store: Store):
    agent = (await _enrolled(store)).agent

    async def session() -> str:
        async with store.view() as unit:
            return (await unit.session.get_one(AgentRow, agent)).session

    assert await session() == Session.ENROLLED
    async with store.unit() as unit:
        await service.heard(unit, agent, "boot-1", "0.1.1")
        await service.machines_said(unit, agent, [PRINTER])
        assert (await service.machines(unit))[0].reachable
    async with store.unit() as unit:
        await service.fell_silent(unit, agent, "an-older-boot")
    assert await session() == Session.ONLINE
    async with store.unit() as unit:
        await service.fell_silent(unit, agent, "boot-1")
        await service.note_silence(unit)
        assert not (await service.machines(unit))[0].reachable
    assert await session() == Session.SILENT
    async with store.unit() as unit:
        past = unit.now - model.AWAY_AFTER - timedelta(seconds=1)
        await unit.session.execute(update(AgentRow).values(heard_at=past))
    async with store.unit() as unit:
        await service.note_silence(unit)
    assert await session() == Session.AWAY
    async with store.unit() as unit:
        await service.heard(unit, agent, "boot-2")
        past = unit.now - model.SILENT_AFTER - timedelta(seconds=1)
        await unit.session.execute(update(AgentRow).values(heard_at=past))
    async with store.unit() as unit:
        await service.note_silence(unit)
    assert await session() == Session.SILENT
    async with store.unit() as unit:
        await service.heard(unit, agent, "boot-2")
        await service.hear_anew(unit)
    assert await session() == Session.SILENT
