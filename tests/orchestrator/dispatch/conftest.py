"""A small city in a fresh database: one lab with a printer, a design, an order of two pieces."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from designs.design import File, MeshFacts, Part, Release, Role
from fablab_agents.protocol import tickets
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import (
    Bed,
    Claim,
    Condition,
    Machine,
    Offer,
    ProgramFacts,
    Report,
)
from fablab_agents.protocol.tickets import Ticket
from orchestrator.app import wire
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.dispatch import offers, outbox, records, service
from orchestrator.dispatch.signing import Signer
from orchestrator.dispatch.tables import AttemptRow
from orchestrator.labs import service as labs
from orchestrator.labs.model import NewLab
from orchestrator.orders import model as orders_model
from orchestrator.orders import service as orders
from orchestrator.orders.model import Item, Maker, PriceLine, Quoted
from orchestrator.orders.tables import JobRow
from orchestrator.store import Store, Unit
from orchestrator.store.tables import EventRow
from tests.wire import hello

PROGRAM = "a" * 64
BOOT = "boot-1"
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


def a_release(file_sha256: str) -> Release:
    facts = MeshFacts(
        size_mm=(40, 30, 20), volume_mm3=9000, area_mm2=5000, triangles=120, shells=1,
        watertight=True,
    )  # fmt: skip
    hook = Part(
        name="hook", title="Hook", process="3d_printing_fdm", material="pla",
        file_sha256=file_sha256, file_name="hook.stl", format="stl", facts=facts,
    )  # fmt: skip
    file = File(
        name="hook.stl", sha256=file_sha256, size_bytes=1000, role=Role.EXPORT, format="stl"
    )
    return Release(
        design="hook", version="1.0.0", title="Hook", function="Holds a coat.",
        licence="CERN-OHL-S-2.0", licensor="Us", parts=(hook,), files=(file,),
    )  # fmt: skip


def a_quote(release: Release, agent: str, pieces: int) -> Quoted:
    item = Item(
        part="hook", quantity=pieces, process="3d_printing_fdm", material="pla", estimate_s=1200,
        lab="Atelier Nord", agent=agent, machine="printer-1",
        lines=(PriceLine(what="setup", minor=150),),
    )  # fmt: skip
    return Quoted(
        id="q-1", release=release.sha256, title="Hook", version="1.0.0", quantity=pieces,
        lat=52.5, lon=13.4, items=(item,), currency="EUR", policy_version="t", ready_at=None,
        valid_until=datetime.now(UTC) + timedelta(days=1),
    )  # fmt: skip


@dataclass
class City:
    """The store, the keys, and a hand-made agent that speaks for the lab."""

    store: Store
    signer: Signer
    agent: str
    secret: str
    file: str
    seq: int = 0
    jobs: list[str] = field(default_factory=list[str])
    printer: Machine = PRINTER

    # what the orchestrator does

    async def plan_and_offer(self, job: str | None = None) -> str:
        async with self.store.unit() as unit:
            await orders.plan_job(unit, job or self.jobs[0], self.agent, "printer-1")
            offered = await offers.offer_planned(unit, self.signer)
        assert len(offered) == 1
        return offered[0]

    async def attempt(self, attempt: str) -> AttemptRow:
        async with self.store.view() as unit:
            return await records.attempt(unit, attempt)

    async def job(self, job: str | None = None) -> JobRow:
        async with self.store.view() as unit:
            return await orders.job(unit, job or self.jobs[0])

    async def kinds(self) -> list[str]:
        async with self.store.view() as unit:
            return list(await unit.session.scalars(select(EventRow.kind).order_by(EventRow.id)))

    async def sends(self) -> list[outbox.Send]:
        async with self.store.view() as unit:
            return await outbox.to_send(unit, unit.now)

    def ticket(self, send: outbox.Send) -> Ticket:
        return tickets.verify_ticket(Offer.model_validate_json(send.body).ticket, self.signer.read)

    # what the agent says

    async def hello(self, **said: Any) -> int | None:
        words = {"boot": BOOT, "head_seq": self.seq, "machines": (PRINTER,), **said}
        async with self.store.unit() as unit:
            welcome = await service.hello(unit, self.agent, hello(**words))
            return None if welcome is None else welcome.acked_up

    async def say(self, attempt: str, state: State, fence: int = 1, **words: Any) -> Any:
        self.seq += 1
        return await self.repeat(attempt, state, self.seq, fence, **words)

    async def repeat(
        self, attempt: str, state: State, seq: int, fence: int = 1, **words: Any
    ) -> Any:
        if state is State.STAGED:
            words["program"] = ProgramFacts(sha256=PROGRAM, lines=900, seconds=700, grams=8)
        report = Report(
            boot=BOOT, seq=seq, attempt=attempt, fence=fence, state=state,
            at=datetime.now(UTC), **words,
        )  # fmt: skip
        async with self.store.unit() as unit:
            return await service.report(unit, self.agent, report)

    async def claim(self, attempt: str, nonce: str = "1" * 32, **words: Any) -> Any:
        asked = Claim(
            **{
                "boot": BOOT,
                "attempt": attempt,
                "fence": 1,
                "machine": "printer-1",
                "nonce": nonce,
                "program": PROGRAM,
                **words,
            }
        )
        return await self.store.run(
            lambda unit: service.claim(unit, self.signer, self.agent, asked)
        )

    async def staged(self, job: str | None = None) -> str:
        attempt = await self.plan_and_offer(job)
        fence = (await self.attempt(attempt)).fence
        await self.say(attempt, State.ACCEPTED, fence)
        await self.say(attempt, State.STAGED, fence)
        await self.say(attempt, State.CLAIMED, fence)
        return attempt

    async def running(self) -> str:
        attempt = await self.staged()
        await self.claim(attempt)
        await self.say(attempt, State.STARTING)
        await self.say(attempt, State.RUNNING)
        return attempt


async def _publish(unit: Unit, release: Release) -> None:
    unit.session.add(
        ReleaseRow(
            sha256=release.sha256,
            design=release.design,
            version=release.version,
            title=release.title,
            licence=release.licence,
            private=False,
            published_at=unit.now,
            manifest=release.canonical().decode(),
            findings=[],
            pictures={},
        )
    )
    await unit.session.flush()


@pytest.fixture
async def city(database_url: str, tmp_path: Path):
    store = await Store.open(database_url, tmp_path / "blobs")
    wire(store)
    signer = Signer.open(tmp_path / "keys" / "tickets.json")
    file = store.blobs.put(b"solid hook")
    release = a_release(file)
    async with store.unit() as unit:
        await _publish(unit, release)
        lab = await labs.create_lab(unit, NewLab(name="Atelier Nord", lat=52.5, lon=13.4))
        enrolled = await labs.enrol(unit, await labs.new_code(unit, lab.id), "0.1.0")
        quoted = a_quote(release, enrolled.agent, 2)
        text = orders_model.confirmation_text(quoted, "Ana")
        agreed = orders.Confirmation(Maker(name="Ana"), orders_model.digest(text))
        order = await orders.place(unit, quoted, agreed, signer.seal)
        jobs = [job.id for job in await orders.jobs_of(unit, order.id)]
    made = City(store, signer, enrolled.agent, enrolled.secret, file, jobs=jobs)
    await made.hello()
    yield made
    await store.close()
