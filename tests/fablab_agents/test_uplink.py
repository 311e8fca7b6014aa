"""The wire against a real broker: one real agent process, one simulated laser, one city."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from fablab_agents.protocol import messages, topics
from fablab_agents.protocol.attempts import State
from fablab_agents.runner import files as store
from fablab_agents.uplink import Uplink
from tests.fablab_agents.conftest import (
    AGENT,
    COASTER,
    CUT,
    City,
    Files,
    Keys,
    Lab,
    Workshop,
    attended,
    city_at,
    make_ticket,
    wait_until,
)


@pytest.fixture
async def city(lab: Lab, keys: Keys) -> AsyncIterator[City]:
    async with city_at(lab.identity.mqtt.port, keys) as city:
        yield city


def seed(lab: Lab, city: City, keys: Keys, gcode: str = CUT, **changes: Any) -> str:
    """An attempt that the agent has stored, accepted and prepared already."""
    ticket, seq = lab.prepared(keys, gcode, **changes)
    city.tickets[ticket.attempt] = ticket
    city.outbox[seq] = messages.Offer(epoch=1, seq=seq, ticket=keys.sign(ticket))
    return ticket.attempt


async def test_from_an_offer_to_a_part(
    lab: Lab, city: City, files: Files, workshop: Workshop
) -> None:
    lab.start()
    ticket = make_ticket(file=files.add(COASTER), file_bytes=len(COASTER))
    async with attended(lab):
        await city.until(lambda: city.heard)
        await city.offer(ticket)
        await city.until_state(ticket.attempt, State.FINISHED)
    assert city.states(ticket.attempt) == [
        State.ACCEPTED,
        State.STAGED,
        State.CLAIMED,
        State.STARTING,
        State.RUNNING,
        State.FINISHED,
    ]
    assert [start["bed"] for start in workshop.starts("laser-1")] == ["clear"]
    assert files.given == [ticket.file]
    program = lab.folder / "programs" / ticket.attempt / "program.gcode"
    made = (workshop.folder / "laser-1" / "job-1.gcode").read_text().split()
    assert made == program.read_text().replace(" ", "").split() or "".join(made) in "".join(
        program.read_text().split()
    )
    reports = {r.state: r for r in city.reports.values()}
    assert reports[State.STARTING].person == "Ana"
    assert reports[State.FINISHED].evidence["last_line"] > 0


async def test_a_file_with_other_bytes_is_refused(lab: Lab, city: City, files: Files) -> None:
    lab.start()
    sha256 = files.add(COASTER)
    files.kept[sha256] = COASTER.replace(b"20", b"21")
    ticket = make_ticket(file=sha256, file_bytes=len(COASTER))
    await city.offer(ticket)
    await city.until_state(ticket.attempt, State.REFUSED)
    said = city.last(ticket.attempt)
    assert said is not None
    assert "not what the offer names" in said.cause


async def test_a_file_that_would_fill_the_disk_is_not_asked_for(tmp_path: Path) -> None:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:9") as client:
        with pytest.raises(store.FileRefused, match="larger"):
            await store.Files(tmp_path).get(client, "a" * 64, 10**12)


async def test_messages_that_mean_nothing_start_nothing_and_harm_nothing(
    lab: Lab, city: City, keys: Keys
) -> None:
    agent = lab.start()
    await city.until(lambda: city.heard)
    ticket = make_ticket()
    foreign, tampered = Keys("key-9"), keys.sign(ticket)
    head, body, signature = tampered.split(".")
    other = body[:-4] + ("AAAA" if body[-4:] != "AAAA" else "BBBB")
    bad = [
        foreign.sign(ticket),
        Keys("key-1").sign(ticket),
        f"{head}.{other}.{signature}",
        keys.sign_bytes(b'{"kind":"ticket","fence":1,"fence":2}'),
        keys.sign(make_ticket(agent="lab-sued")),
        base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=") + f".{body}.",
        "no envelope at all",
    ]
    for raw in (b"", b"{}", b"\xff" * 100, b"[" * 5000, b"x" * 70_000, b'{"kind":"dance"}'):
        await city.tell_raw(raw)
    for envelope in bad:
        await city.offer(ticket, envelope=envelope)
    await city.until(lambda: city.acked_down == len(bad))
    await city.tell(messages.Granted(grant=keys.sign(ticket)))
    await city.offer(make_ticket(not_after=ticket.issued_at - timedelta(hours=1)))
    await city.until(lambda: city.head >= 1)
    assert [r.state for r in city.reports.values()] == [State.WITHDRAWN]
    assert agent.process.poll() is None
    assert lab.identity.secret not in agent.log


async def test_repeated_and_stale_offers_are_acknowledged_and_ignored(
    lab: Lab, city: City, keys: Keys, files: Files
) -> None:
    lab.start()
    await city.until(lambda: city.heard)
    ticket = make_ticket(fence=5, file=files.add(COASTER), file_bytes=len(COASTER))
    await city.offer(ticket)
    for _ in range(5):
        await city.tell(city.outbox[1])
    await city.offer(ticket)
    stale = make_ticket(fence=4, file=ticket.file, file_bytes=ticket.file_bytes)
    await city.offer(stale)
    await city.until(lambda: city.acked_down == 3)
    await city.until(lambda: city.head >= 1)
    assert city.states(stale.attempt) == []
    assert city.states(ticket.attempt).count(State.ACCEPTED) == 1


async def test_a_missing_message_is_asked_for_again(lab: Lab, city: City) -> None:
    lab.start()
    await city.until(lambda: city.heard)
    first, second = make_ticket(), make_ticket(jobs=("j-2",))
    city.tell_raw, keep = _nowhere, city.tell_raw  # the broker loses the first one
    await city.offer(first)
    city.tell_raw = keep
    await city.offer(second)
    await city.until(lambda: city.acked_down == 2)
    await city.until(lambda: city.states(first.attempt) and city.states(second.attempt))


async def _nowhere(raw: bytes, *, retain: bool = False) -> None:
    del raw, retain


async def test_a_retained_message_is_dropped(lab: Lab, city: City, keys: Keys) -> None:
    ticket = make_ticket()
    offer = messages.Offer(epoch=1, seq=1, ticket=keys.sign(ticket))
    await city.tell(offer, retain=True)
    agent = lab.start()
    await city.until(lambda: any(isinstance(said, messages.Machines) for said in city.heard))
    wait_until(lambda: "retained" in agent.log)
    assert city.acked_down == 0
    assert city.states(ticket.attempt) == []


async def test_a_lost_grant_is_asked_for_with_the_same_nonce_and_old_grants_start_nothing(
    lab: Lab, city: City, keys: Keys, workshop: Workshop
) -> None:
    attempt = seed(lab, city, keys)
    city.answers_claims = False
    lab.start()
    async with attended(lab):
        await city.until(lambda: len(city.claims) >= 2)
        assert len({claim.nonce for claim in city.claims}) == 1
        claim = city.claims[0]
        for wrong in ({"nonce": "f" * 32}, {"boot": "b-old"}, {"fence": 9}):
            await city.tell(messages.Granted(grant=city.grant_for(claim, **wrong)))
        city.answers_claims = True
        await city.until_state(attempt, State.FINISHED)
        for _ in range(25):
            await city.tell(messages.Granted(grant=city.grants[-1]))
            await city.tell(city.outbox[1])
        second = make_ticket(jobs=("j-2",))
        await city.offer(second)  # an answer to it shows that all of those were read
        await city.until(lambda: city.states(second.attempt))
    assert len(workshop.starts("laser-1")) == 1


async def test_reports_are_repeated_until_they_are_acknowledged(
    lab: Lab, city: City, keys: Keys
) -> None:
    attempt = seed(lab, city, keys)
    city.answers_reports = False
    lab.start()
    await city.until(lambda: [s for s in city.heard if isinstance(s, messages.Report)])
    assert city.head == 0
    city.answers_reports = True
    await city.until(lambda: city.head >= 1, within_s=30)
    assert city.states(attempt)[0] is State.ACCEPTED


async def test_a_withdrawn_attempt_never_starts(
    lab: Lab, city: City, keys: Keys, workshop: Workshop
) -> None:
    attempt = seed(lab, city, keys)
    lab.start()
    await city.until(lambda: city.heard)
    await city.withdraw(attempt)
    await city.until_state(attempt, State.WITHDRAWN)
    answer = await lab.press("/api/machines/laser-1/start")
    assert answer.status_code == 409
    assert workshop.starts("laser-1") == []


async def test_a_stop_from_the_city_interrupts(
    lab: Lab, city: City, keys: Keys, workshop: Workshop
) -> None:
    attempt = seed(lab, city, keys, CUT.replace("M5\n", "G4 P60\n" * 50 + "M5\n"))
    lab.start()
    async with attended(lab):
        await city.until_state(attempt, State.RUNNING)
        await city.stop(attempt)
        await city.until_state(attempt, State.INTERRUPTED)
    said = city.last(attempt)
    assert said is not None
    assert said.cause == "stopped: the maker cancelled"
    [machine] = await lab.machines()
    assert machine["bed"] == "occupied"


async def test_the_broker_dies_while_a_machine_runs(
    lab: Lab, city: City, keys: Keys, workshop: Workshop, mosquitto: Any
) -> None:
    attempt = seed(lab, city, keys, CUT.replace("M5\n", "G4 P60\n" * 4 + "M5\n"))
    agent = lab.start()
    async with attended(lab):
        await city.until_state(attempt, State.RUNNING)
        mosquitto.kill()
        await asyncio.to_thread(wait_until, lambda: "attempt finished" in agent.log)
        mosquitto.start()
    async with city_at(mosquitto.port, keys) as later:
        later.reports, later.boot = dict(city.reports), city.boot
        await later.until_state(attempt, State.FINISHED)
        assert agent.log.count("the network is away") == 1
    assert len(workshop.starts("laser-1")) == 1


async def test_the_broker_says_goodbye_for_a_killed_agent(lab: Lab, city: City) -> None:
    agent = lab.start()
    await city.until(lambda: city.presences and city.presences[-1].online)
    agent.end(9)
    await city.until(lambda: not city.presences[-1].online)
    lab.start().end()
    await city.until(lambda: [p.online for p in city.presences[-2:]] == [True, False])


async def test_an_older_journal_goes_on_from_what_the_city_remembers_and_claims_nothing(
    lab: Lab, city: City, keys: Keys
) -> None:
    attempt = seed(lab, city, keys)
    said = messages.Report(
        boot="b-0",
        seq=99,
        attempt="a-old",
        fence=1,
        state=State.ACCEPTED,
        at=make_ticket().issued_at,
    )
    city.reports[99] = said
    agent = lab.start()
    async with attended(lab):
        await asyncio.to_thread(wait_until, lambda: "is an older copy" in agent.log)
        later = make_ticket(jobs=("j-2",))
        await city.offer(later)
        await city.until(lambda: city.states(later.attempt))
    assert city.reports[100].attempt == later.attempt
    assert city.claims == []
    assert city.states(attempt) == []


async def test_a_broker_that_forbids_listening_is_said_plainly(
    lab: Lab, keys: Keys, start_mosquitto: Any
) -> None:
    acl = lab.folder / "acl"
    acl.write_text(f"topic write {topics.ROOT}/{AGENT}/#\n")
    broker = start_mosquitto("allow_anonymous true", f"acl_file {acl}")
    lab.identity.model_copy(
        update={"mqtt": lab.identity.mqtt.model_copy(update={"port": broker.port})}
    ).save(lab.folder)
    agent = lab.start()
    await asyncio.to_thread(wait_until, lambda: "does not" in agent.log)


async def test_whatever_ends_a_connection_another_one_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connects, again = 0, asyncio.Event()

    async def connect(_: Uplink) -> None:
        nonlocal connects
        connects += 1
        if connects == 1:
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        again.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Uplink, "_connect", connect)
    nobody: Any = SimpleNamespace(connected=False, wake=lambda: None, verify=None)
    nobody.identity = SimpleNamespace(agent=AGENT)
    serving = asyncio.create_task(Uplink(nobody, "1", nobody, nobody).serve())
    await asyncio.wait_for(again.wait(), 15)
    serving.cancel()
