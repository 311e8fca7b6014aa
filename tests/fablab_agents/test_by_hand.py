"""A machine that only people reach, through a real agent: handed out, told, attested, recovered."""

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fablab_agents.config import Machine
from fablab_agents.journal import Journal
from fablab_agents.machines import Bench
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import Hello, Machines, Report
from fablab_agents.runner.owed import Owed
from fablab_agents.runner.runner import clock
from fablab_agents.runner.running import Running
from firmware_bridge.driver import Program
from tests.fablab_agents.conftest import CUT, City, Keys, Lab, Workshop, city_at, make_ticket
from tests.fablab_agents.test_journal import AT, after, grant_of, staged
from tests.fablab_agents.test_uplink import seed

BY_HAND = """
[[machine]]
id = "ruida-1"
title = "Big laser"
profile = "generic-laser-400"
driver = "by_hand"
link = "{link}"
materials = ["plywood"]
kerf_mm = 0.2
"""


@pytest.fixture
async def city(lab: Lab, keys: Keys) -> AsyncIterator[City]:
    async with city_at(lab.identity.mqtt.port, keys) as city:
        yield city


@pytest.fixture
def folder(lab: Lab, tmp_path: Path) -> Path:
    folder = tmp_path / "hand-out"
    folder.mkdir()
    path = lab.folder / "agent.toml"
    path.write_text(path.read_text() + BY_HAND.format(link=folder))
    return folder


async def card(lab: Lab) -> dict[str, object]:
    return next(each for each in await lab.machines() if each["machine"] == "ruida-1")


async def until(lab: Lab, **wanted: object) -> dict[str, object]:
    for _ in range(200):
        found = await card(lab)
        if all(found[name] == value for name, value in wanted.items()):
            return found
        await asyncio.sleep(0.1)
    pytest.fail(f"never {wanted}: {found}")


async def pressed(lab: Lab, path: str) -> None:
    """As soon as the city has welcomed the agent: the console may be quicker than the network."""
    for _ in range(200):
        answer = await lab.press(path)
        if answer.status_code == 200:
            return
        assert "network is away" in answer.text
        await asyncio.sleep(0.05)
    pytest.fail("the network stays away")


async def told(lab: Lab, word: str, **said: str) -> None:
    answer = await lab.press("/api/machines/ruida-1/told", word=word, **said)
    assert answer.status_code == 200, answer.text


def last(city: City, attempt: str) -> Report:
    said = city.last(attempt)
    assert said is not None
    return said


async def handed_out(lab: Lab, city: City, keys: Keys) -> str:
    attempt = seed(lab, city, keys, machine="ruida-1")
    lab.start()
    await until(lab, waits_for="start", condition="idle")
    await pressed(lab, "/api/machines/ruida-1/start")
    await until(lab, waits_for="word", words=["started", "not started"])
    return attempt


async def test_from_offer_to_attested_part(lab: Lab, city: City, keys: Keys, folder: Path) -> None:
    attempt = await handed_out(lab, city, keys)
    found = await card(lab)
    assert (found["by_hand"], found["state"]) == (True, "starting")
    described = [said for said in city.heard if isinstance(said, Hello | Machines)][-1]
    assert {each.machine: each.by_hand for each in described.machines} == {
        "laser-1": False,
        "ruida-1": True,
    }
    assert (folder / str(found["file"])).read_text() == CUT
    async with httpx.AsyncClient(base_url=lab.console, trust_env=False) as browser:
        file = await browser.get("/machines/ruida-1/program")
        assert (file.text, file.headers["content-type"]) == (CUT, "application/octet-stream")
        assert f'filename="{found["file"]}"' in file.headers["content-disposition"]
        sheet = (await browser.get("/machines/ruida-1/sheet")).text
        for fact in ("Big laser", "plywood", "3 mm", "0.2 mm", "Work zero", attempt):
            assert fact in sheet, fact
        page = (await browser.get("/cards")).text
        assert "attested by a person" in page
        assert "I started it" in page
        assert "I stopped it" not in page
        assert (await browser.get("/machines/laser-1/program")).status_code == 409
        assert (await browser.get("/machines/..%2f..%2fagent.toml/program")).status_code != 200
    assert (await lab.press("/api/machines/ruida-1/told", word="finished")).status_code == 409
    assert (await lab.press("/api/machines/ruida-1/told", word="burnt")).status_code == 400
    assert (await lab.press("/api/machines/ruida-1/pause")).status_code == 409
    await told(lab, "started")
    await city.until_state(attempt, State.RUNNING)
    await told(lab, "finished", person="Ben", note="edges a little dark")
    await city.until_state(attempt, State.FINISHED)
    said = last(city, attempt)
    assert (said.person, said.evidence) == ("Ben", {"attested": True})
    assert said.cause == "attested by a person: edges a little dark"
    found = await until(lab, condition="idle")
    assert found["bed"] == "occupied"
    async with httpx.AsyncClient(base_url=lab.console, trust_env=False) as browser:
        [line] = (await browser.get("/api/attempts")).json()
        assert line["attested"] is True
        assert (await browser.get("/machines/ruida-1/program")).status_code == 409


async def test_the_persons_job_outlives_the_agent(
    lab: Lab, city: City, keys: Keys, folder: Path
) -> None:
    attempt = await handed_out(lab, city, keys)
    await told(lab, "started")
    await city.until_state(attempt, State.RUNNING)
    lab.agents[-1].end(signal.SIGKILL)
    lab.start()
    await until(lab, waits_for="word", words=["finished", "failed", "stopped"])
    assert lab.agents[-1].end() == 0  # told to end, it leaves the person's job alone
    lab.start()
    await until(lab, waits_for="word", condition="running")
    assert State.INTERRUPTED not in city.states(attempt)
    await told(lab, "failed", note="the sheet bowed")
    await city.until_state(attempt, State.FAILED)
    assert last(city, attempt).cause == "attested by a person: the sheet bowed"
    assert len(list((folder / "done").glob("*.record.jsonl"))) == 1


async def test_not_started_frees_the_job_and_a_stop_is_asked(
    lab: Lab, city: City, keys: Keys, folder: Path
) -> None:
    attempt = await handed_out(lab, city, keys)
    await city.stop(attempt)
    found = await until(lab, asked="the maker cancelled")
    assert found["words"] == ["started", "not started"]
    await told(lab, "not started")
    await city.until_state(attempt, State.NOT_STARTED)
    assert last(city, attempt).person == "Ana"


async def test_a_damaged_record_waits_for_a_persons_evidence(
    lab: Lab, city: City, keys: Keys, folder: Path
) -> None:
    attempt = await handed_out(lab, city, keys)
    await told(lab, "started")
    await city.until_state(attempt, State.RUNNING)
    [record] = folder.glob("*.record.jsonl")
    record.write_text("nonsense\n")
    answer = await lab.press("/api/machines/ruida-1/told", word="finished")
    assert answer.status_code == 409
    await city.until_state(attempt, State.UNKNOWN)
    await until(lab, waits_for="unknown decision")
    path = f"/api/attempts/{attempt}/attest"
    answer = await lab.press(path, outcome="finished", evidence="it lies on the table")
    assert answer.status_code == 200
    await city.until_state(attempt, State.FINISHED)
    assert last(city, attempt).evidence == {"attested": True}
    assert record.read_text() == "nonsense\n"


# ---- a disk that fills between the driver's start and the journal's word


@pytest.mark.parametrize("driver", ["by_hand", "marlin"])
async def test_a_start_that_the_journal_does_not_keep_leaves_the_machine_free(
    tmp_path: Path, workshop: Workshop, driver: str
) -> None:
    if driver == "by_hand":
        (tmp_path / "out").mkdir()
        link, profile = str(tmp_path / "out"), "generic-laser-400"
    else:
        link, profile = str(workshop.start("printer-1", "printer-220")), "generic-fdm-220"
    entry = Machine(id="laser-1", driver=driver, profile=profile, link=link, materials=("plywood",))
    journal = Journal.open(tmp_path / "journal.db", "lab-nord", "b1", clock().at)
    bench = Bench(entry, lambda _: None)
    await bench._thread.do(bench._connect)
    try:
        ticket, path = make_ticket(), tmp_path / "program.gcode"
        staged(journal, ticket)
        journal.put_mark("laser-1", "Ana", AT, attempt=ticket.attempt)
        journal.begin(ticket.attempt, grant_of(ticket), after(1), attended=True)
        path.write_text("G28\nM84\n")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        program = Program(path, sha256, ticket.attempt, 2)
        running = Running(journal, Owed(journal, clock, lambda: None))
        journal._db.execute("PRAGMA query_only = ON")
        starting = asyncio.create_task(running.start(bench, program))
        await asyncio.sleep(0.5)
        assert journal.trouble
        assert journal.mend()
        running._owed.pay()
        await asyncio.wait_for(starting, 5)
        found = journal.find(ticket.attempt)
        assert found is not None
        assert found.state is State.NOT_STARTED
        assert (await bench.look()).value == "idle"
        again = await bench.start(program)
        again.stop("only to see that it can")
    finally:
        await bench.close()
        journal.close()
    assert workshop.starts("printer-1") == []
