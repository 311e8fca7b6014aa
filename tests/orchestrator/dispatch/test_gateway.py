"""The gateway against the real embedded broker, with an agent that speaks the protocol by hand."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from fablab_agents.protocol import messages, topics
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import (
    Ask,
    Claim,
    DownAck,
    Granted,
    Offer,
    Presence,
    ProgramFacts,
    Progress,
    Recall,
    Report,
    UpAck,
    Welcome,
)
from orchestrator.dispatch import access, decide, loop, outbox, records, service
from orchestrator.dispatch.access import BrokerSettings
from orchestrator.dispatch.decide import Effect
from orchestrator.dispatch.gateway import Address, Gateway
from orchestrator.dispatch.model import Known
from orchestrator.labs.enrolment import secret_hash
from orchestrator.labs.model import Session
from orchestrator.labs.tables import AgentRow
from orchestrator.orders import service as orders
from orchestrator.orders.model import JobState
from orchestrator.store import Unit
from tests.conftest import free_port
from tests.wire import hello

City = Any


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The database is not in question here, so one kind will do."""
    return f"sqlite+aiosqlite:///{tmp_path}/test.db"


class Doorbell:
    """The embedded broker as a process that can be killed and started again."""

    def __init__(self, folder: Path, city: City) -> None:
        self.port = free_port()
        self._config = folder / "broker.toml"
        passwords = folder / "passwd"
        secrets = {access.ORCHESTRATOR: "o-secret", city.agent: city.secret}
        access.write_passwords(passwords, {u: secret_hash(s) for u, s in secrets.items()})
        BrokerSettings("127.0.0.1", self.port, passwords).write(self._config)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "orchestrator.dispatch.broker", str(self._config)]
        self._process = subprocess.Popen([*command, str(os.getpid())])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Agent:
    """One connection of the lab's agent."""

    def __init__(self, client: aiomqtt.Client, agent: str) -> None:
        self._client = client
        self.agent = agent

    async def say(self, message: messages.Up | Progress) -> None:
        topic = topics.telemetry if isinstance(message, Progress) else topics.up
        await self._client.publish(topic(self.agent), message.model_dump_json(), qos=1)

    async def present(self, *, online: bool) -> None:
        said = Presence(boot="boot-1", online=online).model_dump_json()
        await self._client.publish(topics.presence(self.agent), said, qos=1, retain=True)

    async def raw(self, payload: bytes) -> None:
        await self._client.publish(topics.up(self.agent), payload, qos=1)

    async def hear(self, kind: type[Any]) -> Any:
        """The next message of this kind; others are passed over."""
        async with asyncio.timeout(15):
            async for message in self._client.messages:
                assert isinstance(message.payload, bytes)
                heard = messages.read_down(message.payload)
                if isinstance(heard, kind):
                    return heard
        raise AssertionError("the connection ended")

    async def stray(self, seq: int, attempt: str) -> None:
        """A report of an attempt that nobody ever offered, told until it is believed to be one."""
        await self.report(seq, attempt, State.ACCEPTED)
        assert (await self.hear(Ask)).attempt == attempt
        await self.say(Recall(boot="boot-1", attempt=attempt, ticket=None))
        await self.hear(Welcome)
        await self.report(seq, attempt, State.ACCEPTED)

    async def report(self, seq: int, attempt: str, state: State, **words: Any) -> None:
        await self.say(
            Report(
                boot="boot-1",
                seq=seq,
                attempt=attempt,
                fence=1,
                state=state,
                at=datetime.now(UTC),
                **words,
            )
        )


@contextlib.asynccontextmanager
async def connected(bell: Doorbell, city: City) -> AsyncGenerator[Agent]:
    for _ in range(100):
        try:
            client = aiomqtt.Client(
                "127.0.0.1", bell.port, username=city.agent, password=city.secret,
                identifier=city.agent, protocol=aiomqtt.ProtocolVersion.V311, timeout=5,
            )  # fmt: skip
            async with client:
                await client.subscribe(topics.down(city.agent), qos=1)
                yield Agent(client, city.agent)
                return
        except aiomqtt.MqttError:
            await asyncio.sleep(0.1)
    pytest.fail("the broker does not answer")


@contextlib.asynccontextmanager
async def running(bell: Doorbell, city: City) -> AsyncGenerator[Gateway]:
    gateway = Gateway(city.store, city.signer, Address("127.0.0.1", bell.port, "o-secret"))
    tasks = [
        asyncio.create_task(gateway.run()),
        asyncio.create_task(loop.run(city.store, city.signer)),
    ]
    try:
        await until(lambda: _there(gateway))
        yield gateway
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(look: Any, within_s: float = 15) -> None:
    async with asyncio.timeout(within_s):
        while not await look():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.fixture
async def bell(tmp_path: Path, city: City) -> AsyncIterator[Doorbell]:
    made = Doorbell(tmp_path, city)
    yield made
    made.kill()


async def _plan(city: City) -> None:
    async with city.store.unit() as unit:
        await orders.plan_job(unit, city.jobs[0], city.agent, "printer-1")


async def _session(city: City) -> str:
    async with city.store.view() as unit:
        return (await unit.session.get_one(AgentRow, city.agent)).session


async def test_it_ends_when_told_although_the_client_swallows_that(
    city: City, bell: Doorbell, monkeypatch: pytest.MonkeyPatch
):
    """3.11's wait_for swallows being cancelled in the very moment the answer comes."""
    gateway = Gateway(city.store, city.signer, Address("127.0.0.1", bell.port, "o-secret"))
    serving = asyncio.create_task(gateway.run())
    swallowed = []

    async def swallowing(sending: Any, timeout: float | None) -> Any:  # noqa: ASYNC109
        here = asyncio.current_task()
        answer = asyncio.ensure_future(sending)
        if here is not None and here.get_name() == "gateway: work":
            serving.cancel()
        try:
            await asyncio.wait([answer], timeout=timeout)
        except asyncio.CancelledError:
            swallowed.append(here)
        return await answer

    await until(lambda: _there(gateway))
    async with connected(bell, city) as agent:
        monkeypatch.setattr("aiomqtt.client.asyncio.wait_for", swallowing)
        await agent.say(hello())
        done, _ = await asyncio.wait([serving], timeout=10)
    assert swallowed
    assert done


@pytest.mark.parametrize(("patience_s", "warned"), [(0, 1), (60, 0)])
async def test_a_broker_that_is_still_starting_is_not_called_away(
    city: City, patience_s: float, warned: int
):
    address = Address("127.0.0.1", free_port(), "o-secret")
    gateway = Gateway(city.store, city.signer, address, patience_s)
    with capture_logs() as logs:
        serving = asyncio.create_task(gateway.run())
        await asyncio.sleep(1)
        serving.cancel()
        await asyncio.wait([serving])
    assert [each["event"] for each in logs] == ["broker away"] * warned


async def test_a_part_over_the_wire(city: City, bell: Doorbell):
    async with running(bell, city), connected(bell, city) as agent:
        await agent.present(online=True)
        await agent.say(hello().model_copy(update={"machines": (city.printer,)}))
        assert (await agent.hear(Welcome)).acked_up == 0
        await _plan(city)
        offer = await agent.hear(Offer)
        attempt = city.ticket(offer_send(offer)).attempt
        await agent.say(UpAck(boot="boot-1", seq=offer.seq))
        await agent.report(1, attempt, State.ACCEPTED)
        program = ProgramFacts(sha256="a" * 64, lines=9, seconds=60, grams=1)
        await agent.report(2, attempt, State.STAGED, program=program)
        await agent.report(3, attempt, State.CLAIMED)
        claim = Claim(
            boot="boot-1", attempt=attempt, fence=1, machine="printer-1", nonce="1" * 32,
            program="a" * 64,
        )  # fmt: skip
        await agent.say(claim)
        first = await agent.hear(Granted)
        await agent.say(claim)
        assert await agent.hear(Granted) == first
        await agent.report(4, attempt, State.STARTING)
        await agent.report(5, attempt, State.RUNNING)
        progress = Progress(
            boot="boot-1", attempt=attempt, machine="printer-1", fraction=0.5, line=4,
            temperatures_c={"hotend": (205.0, 210.0)},
        )  # fmt: skip
        await agent.say(progress)
        await until(lambda: _fraction(city, attempt, 0.5))
        await agent.report(6, attempt, State.FINISHED)
        while (await agent.hear(DownAck)).seq < 6:
            pass
        assert (await city.job()).state == JobState.MADE
        await agent.present(online=False)
        await until(lambda: _is(city, Session.SILENT))


def offer_send(offer: Offer) -> Any:
    return outbox.Send("", offer.seq, offer.model_dump_json())


async def _fraction(city: City, attempt: str, wanted: float) -> bool:
    return (await city.attempt(attempt)).fraction == wanted


async def _is(city: City, session: Session) -> bool:
    return await _session(city) == session


async def test_rubbish_from_one_agent_stops_nothing(city: City, bell: Doorbell):
    async with running(bell, city), connected(bell, city) as agent:
        for payload in (b"", b"{", b"\xff\xfe", b'{"kind":"hello"}', b"[]", b'{"kind":"offer"}'):
            await agent.raw(payload)
        await agent.raw(json.dumps({"kind": "ack", "boot": "b", "seq": 10**30}).encode())
        vast = {"kind": "hello", "boot": "b", "version": "1", "attempts": [], "machines": []}
        await agent.raw(json.dumps({**vast, "head_seq": 0, "acked_down": 2**63 - 1}).encode())
        await agent.say(hello().model_copy(update={"machines": (city.printer,)}))
        assert (await agent.hear(Welcome)).acked_up == 0
        await _plan(city)
        assert (await agent.hear(Offer)).seq == 1


async def test_telemetry_that_cannot_be_kept_is_dropped_and_nothing_else(
    city: City, bell: Doorbell, monkeypatch: pytest.MonkeyPatch
):
    dropped = asyncio.Event()

    async def spoiled(*_: Any) -> None:
        dropped.set()
        raise OverflowError

    monkeypatch.setattr(service, "progress", spoiled)
    async with running(bell, city) as gateway, connected(bell, city) as agent:
        await agent.say(
            Progress(boot="boot-1", attempt="a-1", machine="printer-1", fraction=0.5, line=4)
        )
        await asyncio.wait_for(dropped.wait(), 15)
        await agent.say(hello())
        assert (await agent.hear(Welcome)).acked_up == 0
        assert gateway.connected


async def test_a_report_waits_for_a_database_that_is_away(
    city: City, bell: Doorbell, monkeypatch: pytest.MonkeyPatch
):
    performing, away = records.perform, [True]

    async def away_once(unit: Unit, effects: Iterable[Effect]) -> None:
        if away:
            away.clear()
            raise OperationalError("", {}, OSError("server closed the connection"))
        await performing(unit, effects)

    monkeypatch.setattr(records, "perform", away_once)
    async with running(bell, city), connected(bell, city) as agent:
        await agent.say(hello())
        await agent.hear(Welcome)
        await agent.stray(1, "a-stray")
        assert (await agent.hear(DownAck)).seq == 1
    kinds = await city.kinds()
    assert "report.shelved" not in kinds
    assert kinds.count("attempt.stray") == 1


async def test_what_is_to_be_sent_waits_for_a_database_that_is_away(
    city: City, bell: Doorbell, monkeypatch: pytest.MonkeyPatch
):
    reading, away = outbox.to_send, [True]

    async def away_once(unit: Any, before: datetime) -> Any:
        if away:
            away.clear()
            raise OperationalError("", {}, OSError("server closed the connection"))
        return await reading(unit, before)

    monkeypatch.setattr(outbox, "to_send", away_once)
    async with running(bell, city), connected(bell, city) as agent:
        await agent.say(hello().model_copy(update={"machines": (city.printer,)}))
        await agent.hear(Welcome)
        await _plan(city)
        assert (await agent.hear(Offer)).seq == 1
    assert not away


async def test_a_report_that_cannot_be_folded_does_not_hold_up_the_next(
    city: City, bell: Doorbell, monkeypatch: pytest.MonkeyPatch
):
    reported = decide.reported

    def spoiled(known: Known | None, agent: str, said: Report, now: datetime) -> list[Effect]:
        if said.attempt == "a-poison":
            raise ZeroDivisionError
        return reported(known, agent, said, now)

    monkeypatch.setattr(decide, "reported", spoiled)
    async with running(bell, city), connected(bell, city) as agent:
        await agent.say(hello())
        await agent.hear(Welcome)
        await agent.stray(1, "a-poison")
        await agent.stray(2, "a-stray")
        while (await agent.hear(DownAck)).seq < 2:
            pass
    kinds = await city.kinds()
    assert kinds.count("report.shelved") == 1
    assert kinds.count("attempt.stray") == 1


async def test_a_report_that_cannot_even_be_shelved_ends_nothing(
    city: City, bell: Doorbell, monkeypatch: pytest.MonkeyPatch
):
    """Without its words it is kept; when nothing keeps it, nothing is acknowledged."""
    keep = service.shelve

    async def spoiled(unit: Unit, agent: str, said: Report) -> DownAck:
        if said.cause or said.attempt == "a-never":
            raise ZeroDivisionError
        return await keep(unit, agent, said)

    async def unfolded(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service, "shelve", spoiled)
    monkeypatch.setattr(service, "report", unfolded)
    async with running(bell, city) as gateway, connected(bell, city) as agent:
        await agent.say(hello())
        await agent.hear(Welcome)
        await agent.report(1, "a-poison", State.ACCEPTED, cause="words")
        assert (await agent.hear(DownAck)).seq == 1
        await agent.report(2, "a-never", State.ACCEPTED)
        await agent.say(hello())
        assert (await agent.hear(Welcome)).acked_up == 1
        assert gateway.connected


async def test_half_a_character_in_a_report_is_no_message(city: City, bell: Doorbell):
    """It could be read but not written, and ended the orchestrator, after each restart again."""
    async with running(bell, city) as gateway, connected(bell, city) as agent:
        await agent.say(hello())
        await agent.hear(Welcome)
        await agent.say(Recall(boot="boot-1", attempt="a-1", ticket=None))
        await agent.hear(Welcome)
        said = Report(
            boot="boot-1", seq=1, attempt="a-1", fence=1, state=State.FAILED,
            at=datetime.now(UTC), cause="CAUSE",
        )  # fmt: skip
        for odd in ("\\ud800", "\\u0000"):
            await agent.raw(said.model_dump_json().replace("CAUSE", odd).encode())
        await agent.say(hello())
        assert (await agent.hear(Welcome)).acked_up == 0
        assert gateway.connected


async def test_after_our_restart_an_agent_is_welcomed_without_a_word_from_it(
    city: City, bell: Doorbell
):
    async with connected(bell, city) as agent:
        async with running(bell, city):
            await agent.present(online=True)
            await agent.say(hello())
            await agent.hear(Welcome)
        async with running(bell, city):
            assert (await agent.hear(Welcome)).boot == "boot-1"
            await until(lambda: _is(city, Session.ONLINE))


async def test_what_was_queued_while_the_broker_was_dead_arrives(city: City, bell: Doorbell):
    async with running(bell, city) as gateway:
        with contextlib.suppress(aiomqtt.MqttError):
            async with connected(bell, city) as agent:
                await agent.present(online=True)
                await agent.say(hello().model_copy(update={"machines": (city.printer,)}))
                await agent.hear(Welcome)
                bell.kill()
                await until(lambda: _gone(gateway))
        await _plan(city)
        await until(lambda: _offered(city))
        bell.start()
        async with connected(bell, city) as agent:
            await agent.present(online=True)
            await agent.say(hello())
            assert (await agent.hear(Offer)).seq == 1


async def _there(gateway: Gateway) -> bool:
    return gateway.connected


async def _gone(gateway: Gateway) -> bool:
    return not gateway.connected


async def _offered(city: City) -> bool:
    return (await city.job()).state == JobState.OFFERED
