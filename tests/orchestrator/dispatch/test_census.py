"""After the store was put back: who is waited for, what comes back, what belongs to no order."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient

from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import Ask, Granted
from fablab_agents.protocol.tickets import Ticket
from orchestrator.app import create_app
from orchestrator.dispatch import census, offers, service
from orchestrator.dispatch.signing import Signer
from orchestrator.orders import service as orders
from orchestrator.settings import Settings
from orchestrator.store import Unit
from tests.orchestrator.dispatch.conftest import City


async def begin(city: City, after_s: float = 0.0) -> int:
    async with city.store.unit() as unit:
        unit.now += timedelta(seconds=after_s)
        return await census.begin(unit, "a test")


async def orphans(city: City) -> list[str]:
    async with city.store.view() as unit:
        return [row.id for row in await census.orphans(unit)]


async def recall(city: City, attempt: str, ticket: str | None) -> None:
    async with city.store.unit() as unit:
        await census.recalled(unit, city.signer, city.agent, attempt, ticket)


def signed(city: City, *jobs: str, fence: int = 1, attempt: str = "a-lost") -> str:
    ticket = Ticket.model_validate(
        {
            "agent": city.agent, "machine": "printer-1", "attempt": attempt, "fence": fence,
            "issued_at": "2026-11-28T10:00:00Z", "jobs": jobs, "release": "d" * 64,
            "design": "hook", "version": "1.0.0", "part": "hook", "file": city.file,
            "file_bytes": 1000, "format": "stl", "quantity": 1, "estimate_s": 1200,
            "recipe": {"process": "3d_printing_fdm", "material": "pla"},
            "not_after": "2036-11-30T10:00:00Z",
        }
    )  # fmt: skip
    return city.signer.sign(ticket)


async def test_nothing_is_offered_or_granted_before_the_notes_are_compared(city: City) -> None:
    attempt = await city.staged()
    epoch = await begin(city)
    assert await city.claim(attempt) is None
    async with city.store.unit() as unit:
        await orders.plan_job(unit, city.jobs[1], city.agent, "printer-1")
        assert await offers.offer_planned(unit, city.signer) == []
        with pytest.raises(census.Awaited):
            await service.stop(unit, attempt, "not wanted")
        with pytest.raises(census.Awaited, match=f"until {city.agent} is online.* --looked"):
            await service.cancel_order(unit, (await city.job()).order_id, "not wanted")
    async with city.store.unit() as unit:
        order = (await city.job()).order_id
        seen = await service.cancel_order(unit, order, "made at the lab", looked=True)
    assert seen == service.Cancelled((city.jobs[1],), (city.jobs[0],)), "whose lab is awaited"
    await city.hello(epoch=epoch, head_seq=3)
    assert isinstance(await city.claim(attempt), Granted)


async def test_the_same_copy_put_back_twice_begins_two_epochs(city: City) -> None:
    """Agents that told all in the first must be asked again in the second."""

    class Undone(Exception):
        pass

    begun: list[int] = []
    for after_s in (1, 90):

        async def put_back(unit: Unit, after_s: int = after_s) -> None:
            unit.now += timedelta(seconds=after_s)
            begun.append(await census.begin(unit, "a test"))
            raise Undone

        with pytest.raises(Undone):
            await city.store.run(put_back)
    assert begun[1] > begun[0] > 1


async def test_an_epoch_is_never_below_one_that_an_agent_knows(city: City) -> None:
    first = await begin(city, after_s=3600)
    assert await begin(city) == first + 1  # the clock was set back


async def test_an_attempt_that_the_store_forgot_is_its_jobs_again(city: City) -> None:
    assert isinstance(await city.say("a-lost", State.ACCEPTED), Ask)
    await recall(city, "a-lost", signed(city, city.jobs[0]))
    job = await city.job()
    assert (job.state, job.attempt, job.fence) == ("offered", "a-lost", 1)
    assert await orphans(city) == []
    city.seq = 0
    await city.say("a-lost", State.ACCEPTED)
    assert (await city.attempt("a-lost")).state == State.ACCEPTED


async def test_an_attempt_for_an_order_that_is_gone_is_an_orphan_and_makes_nothing(
    city: City,
) -> None:
    await recall(city, "a-lost", signed(city, "j-gone"))
    assert await orphans(city) == ["a-lost"]
    assert ['"withdraw"' in send.body for send in await city.sends()] == [True]
    for state in (State.ACCEPTED, State.STAGED, State.CLAIMED, State.STARTING, State.RUNNING):
        await city.say("a-lost", state)
    await city.say("a-lost", State.FINISHED)
    assert (await city.attempt("a-lost")).state == State.FINISHED
    assert (await city.job()).state == "wanted"


async def test_a_ticket_of_somebody_else_takes_up_nothing(city: City, tmp_path: Path) -> None:
    other = Signer.open(tmp_path / "other.json")
    ours, city.signer = city.signer, other
    forged = signed(city, city.jobs[0])
    city.signer = ours
    await recall(city, "a-lost", forged)
    await recall(city, "a-other", signed(city, city.jobs[0]))
    assert (await city.job()).state == "wanted"
    assert (await city.kinds()).count("attempt.stray") == 1


# ── the doors


@pytest.fixture
async def door(city: City, tmp_path: Path) -> AsyncGenerator[AsyncClient]:
    app = create_app(Settings(data_dir=tmp_path), city.store, city.signer, lambda: True)
    token = (tmp_path / "token").read_text().strip()
    async with AsyncClient(
        transport=ASGITransport(app),
        base_url="http://city/api/store",
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        yield client


async def test_a_revoked_keys_offers_are_taken_back_at_once(city: City, door: AsyncClient):
    attempt = await city.plan_and_offer()
    await door.post("http://city/api/keys/rotate", json={"revoke": False})
    assert (await city.attempt(attempt)).state == State.OFFERED
    await door.post("http://city/api/keys/rotate", json={"revoke": True})  # and the former goes
    assert (await city.attempt(attempt)).state == State.WITHDRAWN
    assert (await city.job()).avoid == []


async def test_an_operator_sees_the_census_and_goes_on_without_an_agent(
    city: City, door: AsyncClient
) -> None:
    assert (await door.get("/census")).json()["since"] is None
    begun = (await door.post("/restored", json={"why": "the disk"})).json()
    assert begun["why"] == "the disk"
    assert [each["agent"] for each in begun["awaited"]] == [city.agent]
    await recall(city, "a-lost", signed(city, "j-gone"))
    assert (await door.post("/go-on", json={"agent": "lab-nobody"})).status_code == 409
    told = (await door.post("/go-on", json={"agent": city.agent})).json()
    assert told["awaited"] == []
    assert [(each["attempt"], each["lab"]) for each in told["orphans"]] == [
        ("a-lost", "Atelier Nord")
    ]


async def test_only_an_operator_begins_an_epoch_or_ends_the_wait(
    city: City, door: AsyncClient
) -> None:
    del door.headers["Authorization"]
    for path, said in (("/restored", {"why": "x"}), ("/go-on", {"agent": city.agent})):
        assert (await door.post(path, json=said)).status_code == 401
    assert (await door.get("/census")).json()["epoch"] == 1
