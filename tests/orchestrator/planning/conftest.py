"""Labs, machines and orders in a real database, to be quoted and planned."""

from pathlib import Path
from typing import Any

import pytest

from fablab_agents.protocol.messages import Machine
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.dispatch import service as dispatch
from orchestrator.labs import service as labs
from orchestrator.labs.model import NewLab
from orchestrator.orders import model as orders_model
from orchestrator.orders import service as orders
from orchestrator.orders.model import Maker
from orchestrator.orders.tables import JobRow
from orchestrator.planning import model, service
from orchestrator.planning.model import Wish
from orchestrator.store import Store
from tests.orchestrator.dispatch.conftest import a_release
from tests.wire import hello

HERE = {"lat": 41.390, "lon": 2.170}


class Town:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.release = a_release("f" * 64)

    async def publish(self, **changes: Any) -> None:
        self.release = self.release.model_copy(update=changes)
        async with self.store.unit() as unit:
            unit.session.add(
                ReleaseRow(
                    sha256=self.release.sha256,
                    design=self.release.design,
                    version=self.release.version,
                    title=self.release.title,
                    licence=self.release.licence,
                    private=self.release.private,
                    published_at=unit.now,
                    manifest=self.release.canonical().decode(),
                    findings=[],
                    pictures={},
                )
            )

    async def open_lab(self, name: str, km_north: float, *machines: Machine) -> str:
        async with self.store.unit() as unit:
            place = {"lat": 41.390 + km_north / 111.2, "lon": 2.170}
            lab = await labs.create_lab(unit, NewLab(name=name, **place))
            agent = (await labs.enrol(unit, await labs.new_code(unit, lab.id), "0.1.0")).agent
        await self.says(agent, *machines)
        return agent

    async def says(self, agent: str, *machines: Machine) -> None:
        async with self.store.unit() as unit:
            await dispatch.hello(unit, agent, hello(machines=machines))

    async def quote(self, **wish: Any) -> model.Quote:
        async with self.store.unit() as unit:
            return await service.quote(unit, Wish(**{"design": "hook", **HERE, **wish}))

    async def order(self, quote: model.Quote) -> list[str]:
        async with self.store.unit() as unit:
            quoted = await service.quoted(unit, quote.id)
            assert quoted is not None
            text = orders_model.confirmation_text(quoted, "Ana")
            agreed = orders.Confirmation(Maker(name="Ana"), orders_model.digest(text))
            order = await orders.place(unit, quoted, agreed, lambda _: "sealed")
            return [job.id for job in await orders.jobs_of(unit, order.id)]

    async def jobs(self, ids: list[str]) -> list[JobRow]:
        async with self.store.view() as unit:
            return [await orders.job(unit, each) for each in ids]


@pytest.fixture
async def town(database_url: str, tmp_path: Path):
    store = await Store.open(database_url, tmp_path / "blobs")
    yield Town(store)
    await store.close()
