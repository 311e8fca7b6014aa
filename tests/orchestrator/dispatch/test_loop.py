"""The dispatch loop: a job that cannot be offered holds up no other."""

from typing import Any

import pytest

from orchestrator.dispatch import offers
from orchestrator.dispatch.loop import Offers
from orchestrator.dispatch.tables import AttemptJobRow
from orchestrator.orders import service as orders
from orchestrator.store import StoreAway

City = Any


async def _jobs(city: City) -> list[str]:
    async with city.store.view() as unit:
        rows = await unit.session.execute(AttemptJobRow.__table__.select())
        return [row.job for row in rows]


async def _plan(city: City, *jobs: str) -> None:
    async with city.store.unit() as unit:
        for job in jobs:
            await orders.plan_job(unit, job, city.agent, "printer-1")


async def test_a_job_that_cannot_be_offered_is_set_aside(
    city: City, monkeypatch: pytest.MonkeyPatch
):
    bad, good = city.jobs[:2]
    await _plan(city, bad, good)
    offer = offers.offer

    async def spoiled(unit: Any, signer: Any, job: Any, on: Any) -> Any:
        row = await offer(unit, signer, job, on)
        if job.id == bad:
            raise LookupError(f"release {job.release} has no part {job.part}")
        return row

    monkeypatch.setattr(offers, "offer", spoiled)
    making = Offers(city.store, city.signer)
    await making.make()
    assert await _jobs(city) == []
    await making.make()
    assert await _jobs(city) == [good]


async def test_a_database_that_is_away_sets_nothing_aside(
    city: City, monkeypatch: pytest.MonkeyPatch
):
    await _plan(city, city.jobs[0])
    offer, away = offers.offer, [True]

    async def away_once(*given: Any) -> Any:
        if away:
            away.clear()
            raise StoreAway("the database is away")
        return await offer(*given)

    monkeypatch.setattr(offers, "offer", away_once)
    making = Offers(city.store, city.signer)
    with pytest.raises(StoreAway):
        await making.make()
    await making.make()
    assert await _jobs(city) == [city.jobs[0]]
